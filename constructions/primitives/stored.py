"""Piecewise linear functions as float64 holds their neurons: how far they are from what they stand for, in balls.

Weights of neurons are rounded, and their sum at a knot is not quite the value that was meant there. So the error is not
taken from the formula that chose the knots: the sum of the neurons is followed exactly from knot to knot, and on each piece,
a straight line y = α + sx, its distance from the function is taken at both ends and where it is stationary between them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate, pairwise

import numpy as np
from flint import arb

from constructions.primitives import interpolation
from constructions.primitives.interpolation import Interpolant
from constructions.rounding.outward import above, balls


@dataclass(frozen=True, eq=False)
class Curve:
    """A function in balls, and where its distance from a straight line is stationary.

    Attributes:
        value: f(x).
        turn: from α and s, the x at which the error of α + sx is stationary: there is one at most. None where it has no
            formula; then `bend` is used.
        bend: the f'' of largest size between two points, the left one first; it is of one sign there.
        relative: whether the error is y/f(x) − 1 instead of y − f(x).
    """

    value: Callable[[arb], arb]
    turn: Callable[[arb, arb], arb] | None = None
    bend: Callable[[arb, arb], arb] | None = None
    relative: bool = False

    def error(self, x: arb, y: arb) -> arb:
        """Of a value y at x."""
        return y / self.value(x) - 1 if self.relative else y - self.value(x)

    def scaled(self, factor: arb) -> "Curve":
        """The same function times a number > 0."""
        turn, bend = self.turn, self.bend
        return Curve(
            lambda x: factor * self.value(x),
            turn and (lambda intercept, slope: turn(intercept / factor, slope / factor)),
            bend and (lambda left, right: factor * bend(left, right)),
            self.relative,
        )


SQUARE_ROOT = Curve(lambda x: x.sqrt(), lambda _, slope: 1 / (4 * slope * slope))
LOGARITHM = Curve(lambda x: x.log(), lambda _, slope: 1 / slope)


def power(exponent: float) -> Curve:
    """x^-exponent, the error taken relatively: (α + sx)x^p − 1 is stationary at −pα/((1 + p)s)."""
    p = arb(exponent)
    return Curve(lambda x: x**-p, lambda intercept, slope: -p * intercept / ((1 + p) * slope), relative=True)


def deviation(interpolant: Interpolant, curve: Curve) -> float:
    """Bound on the size of the error anywhere between the first and the last knot, rounded up.

    >>> from constructions.primitives.interpolation import square_root
    >>> 0.99e-3 < deviation(square_root(1e-4, 10.0, 1e-3), SQUARE_ROOT) < 1.01e-3
    True
    """
    with balls():
        knots = [arb(x) for x in interpolant.knots.tolist()]
        values, slopes = _made(interpolant, knots)
        errors = [curve.error(x, y) for x, y in zip(knots, values, strict=True)]
        worst = reduce(arb.max, map(abs, errors))  # NaN stays NaN
        for n, slope in enumerate(slopes):
            (left, right), at_left = knots[n : n + 2], values[n]
            if curve.turn is None:  # between the ends, f''(x − left)(right − x)/2 is added
                bulge = (right - left) ** 2 * curve.bend(left, right) / 8  # type: ignore[misc]
                worst = worst.max(abs(errors[n] + bulge)).max(abs(errors[n + 1] + bulge))
            elif not slope.contains(0):
                x = curve.turn(at_left - slope * left, slope)
                if not (x < left or x > right):
                    worst = worst.max(abs(curve.error(x, at_left + slope * (x - left))))
        return above(worst)


def pieces(interpolant: Interpolant) -> list[tuple[arb, arb, arb, arb]]:
    """Of every piece: its ends, the slope, and the value at the left end, as the neurons make them."""
    knots = [arb(x) for x in interpolant.knots.tolist()]
    values, slopes = _made(interpolant, knots)
    return list(zip(knots[:-1], knots[1:], slopes, values[:-1], strict=True))


def _made(interpolant: Interpolant, knots: list[arb]) -> tuple[list[arb], list[arb]]:
    """Values at the knots and slopes between them, as the neurons make them."""
    weights, gaps = interpolant.weights.tolist(), [b - a for a, b in pairwise(knots)]
    first = arb(float(interpolant.values[-1 if interpolant.left else 0]))
    if interpolant.left:
        slopes = [-slope for slope in accumulate(map(arb, reversed(weights)))]
        falls = [-slope * gap for slope, gap in zip(slopes, reversed(gaps), strict=True)]
        return list(accumulate(falls, initial=first))[::-1], slopes[::-1]
    slopes = list(accumulate(map(arb, weights)))
    rises = [slope * gap for slope, gap in zip(slopes, gaps, strict=True)]
    return list(accumulate(rises, initial=first)), slopes


TRIES = 6
"""How often a smaller error is aimed at."""


def within(make: Callable[[float], Interpolant], curve: Curve, error: float) -> tuple[Interpolant, float]:
    """The interpolant that `make` makes for an error, or for one a little smaller, and how near its neurons are.

    Raises:
        ValueError: if rounding alone is as large as the error.
    """
    aim, reached, step = error, math.inf, 1
    while aim > error / 2 and step <= TRIES:
        found = make(aim)
        reached = deviation(found, curve)
        if reached <= error:
            return found, reached
        aim -= 2**step * (reached - error) + error * 2.0**-48  # further each time, and more than a rounding
        step += 1
    raise ValueError(f"error: wanted neurons of float64 within {error:.3g} of a function, got {reached:.3g}")


def power_of_counts(exponent: float, most: int, spread: float) -> tuple[Interpolant, float]:
    """max(n, 1)^-exponent for 0 ≤ n ≤ most within a factor 1 ± spread, flat up to 1, and how near its neurons are.

    >>> power_of_counts(1.0, 50, 1e-3)[1] <= 1e-3
    True
    """

    def make(aim: float) -> Interpolant:
        line = interpolation.power(exponent, 1.0, max(most, 2), aim * (1 - 1e-9))  # the rest is for rounding
        return Interpolant(np.append(0.0, line.knots), np.append(line.values[0], line.values), left=True)

    wanted = replace(power(exponent), value=lambda n: n.max(arb(1)) ** -arb(exponent))
    return within(make, wanted, spread)
