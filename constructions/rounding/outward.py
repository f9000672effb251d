"""Numbers of float64 that are certain: bounds that cannot be too small, and weights that are the same on every processor.

A ball (python-flint's `arb`) is an interval that is certain to contain the number it stands for. A bound is worked out in
balls from the numbers that float64 holds, and `above` is the least float64 that is certainly not below it. `nearest` is what
becomes a weight or counts knots: libraries round exp, log and cos as the processor likes, in the last bit.

    above(arb(2).sqrt())        never `math.sqrt(2)`, which may lie below √2
    nearest(arb.exp, 0.1)       never `math.exp(0.1)` or `np.exp(0.1)`, which hang on the instruction set
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from threading import RLock
from typing import TypeVar

import numpy as np
from flint import arb, ctx, fmpq

BITS = 200
"""Precision of balls where numbers cancel."""
MOST_BITS = 2**14
"""No more are tried to tell two numbers of float64 apart."""

Numbers = TypeVar("Numbers", float, np.ndarray)

_ALONE = RLock()


@contextmanager
def balls(bits: int = BITS) -> Iterator[None]:
    """A context in which balls are so many bits wide; one thread at a time, as flint's precision is that of all threads."""
    with _ALONE, ctx.workprec(bits):
        yield


def above(ball: arb | float) -> float:
    """The least float64 that is certainly not below a ball; ∞ where there is none, NaN included.

    >>> above(arb(1) / 3) > 1 / 3, above(arb(0.5)), above(arb("nan"))
    (True, 0.5, inf)
    """
    ball = arb(ball)
    if not ball.is_finite():
        return -math.inf if ball < 0 else math.inf
    found = float(ball.upper())
    while not arb(found) >= ball:
        found = math.nextafter(found, math.inf)
    return found


def below(ball: arb | float) -> float:
    """The largest float64 that is certainly not above a ball; −∞ where there is none.

    >>> below(arb(1) / 3) <= 1 / 3, below(arb(0.5))
    (True, 0.5)
    """
    return -above(-arb(ball))


def nearest(function: Callable[[arb], arb], numbers: Numbers) -> Numbers:
    """The float64 nearest to f(x), for one x or each of an array, on every processor.

    Args:
        function: from a ball to a ball: `arb.exp`, `arb.log`, or one of one's own.
        numbers: x.

    Many one by one are quicker inside `balls()`.

    >>> nearest(arb.exp, 0.0), nearest(lambda x: 1 / x.sqrt(), np.array([[1.0, 4.0]])).tolist()
    (1.0, [[1.0, 0.5]])
    """
    if not isinstance(numbers, np.ndarray):
        if ctx.prec >= BITS:
            return _nearest(function, numbers)
        with balls():
            return _nearest(function, numbers)
    with balls():
        found = [_nearest(function, x) for x in numbers.ravel().tolist()]
    return np.array(found, dtype=float).reshape(numbers.shape)


def _nearest(function: Callable[[arb], arb], x: float) -> float:
    """At the precision at hand, and at more while it leaves the last bit open."""
    ball = function(arb(x))
    low, high = float(ball.lower()), float(ball.upper())
    if low == high:
        return low
    if ctx.prec > MOST_BITS:
        raise ValueError(f"nearest: wanted f({x!r}) in a ball that shrinks, got {ball}")
    with balls(2 * ctx.prec):
        return _nearest(function, x)


def power_of_two(number: float) -> float:
    """The least power of two that is not below a number > 0.

    >>> power_of_two(8), power_of_two(8.5), power_of_two(0.3)
    (8.0, 16.0, 0.5)
    """
    part, exponent = math.frexp(number)
    return math.ldexp(1.0, exponent - 1 if part == 0.5 else exponent)


def rational(number: Fraction) -> arb:
    """A ball around a fraction."""
    return arb(fmpq(number.numerator, number.denominator))


def product(left: float, right: float) -> float:
    """Of two numbers ≥ 0, rounded up; 0 times ∞ is 0."""
    if not left or not right:
        return 0.0
    return above(arb(left) * right)


def total(left: float, right: float) -> float:
    """The sum of two numbers ≥ 0, rounded up.

    >>> total(1.0, 1e-300) > 1.0, total(1.0, 0.0), total(0.25, 0.5)
    (True, 1.0, 0.75)
    """
    return above(arb(left) + right)
