"""Bounds that cannot be too small: formulas in balls, and their ends as float64.

A ball (python-flint's `arb`) is an interval that is certain to contain the number it stands for. A bound is worked out in
balls from the numbers that float64 holds, and `above` is the least float64 that is certainly not below it.

    above(arb(2).sqrt())        never `math.sqrt(2)`, which may lie below √2
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from threading import RLock

from flint import arb, ctx, fmpq

BITS = 200
"""Precision of balls where numbers cancel."""


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
