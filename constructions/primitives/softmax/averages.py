"""Averages over the tokens that match, and how many these are: what softmax attention does by itself.

A head scores the tokens j = 1 … i by what they hold: 0 where they match and −3B or less elsewhere, and token 0 by −F. With N
matches and n ≤ i tokens beside token 0 the weights are, up to the sum over all of them,

    1 for each match,    e^{−F} for token 0,    at most e^{−3B} for each of the others.

**Average or fallback.** With F = B, and values that are at most R apart, the head gives the mean value over the matches, or
the value of token 0 where there is none, within R(e^{−B} + n e^{−2B}): if N ≥ 1, all others together have the share
(e^{−B} + (n − N) e^{−3B})/N at most; if N = 0, they have n e^{−3B}/e^{−B} beside token 0.

**Count.** With F = 0, token 0 has the share w = 1/(N + 1 + x), 0 ≤ x ≤ n e^{−3B}: 1/(N + 1) − n e^{−3B} ≤ w ≤ 1/(N + 1). A
function of N is then one of that number, with knots at 1/(N + 1).
"""

import numpy as np
from flint import arb

from constructions.parts.block import Head
from constructions.parts.links import Link, tile
from constructions.parts.stream import Register
from constructions.primitives import stored
from constructions.primitives.interpolation import Interpolant


def matching(
    role: str,
    matches: Link,
    wanted: int,
    value: Link,
    to: Register,
    *,
    one: Link,
    start: Link,
    gate: float,
    level: float,
) -> Head:
    """A head for each row of `matches`, which counts what a token has of the `wanted` things; 0 at token 0, and an integer.

    Adds to entry m of `to` the average of `value` over the tokens that have them all for row m, token 0 at −`level`.
    """
    count = matches.height
    key = 3 * gate * (matches - wanted * tile(one, count)) - level * tile(start, count)
    return Head(role, tile(one, count), key, tile(value, count), to, count, "softmax")


def average_error(tokens: int, gate: float, spread: float) -> arb:
    """How far an average, or its fallback, is off, of values at most `spread` apart, with so many tokens after token 0."""
    small = (-arb(gate)).exp()
    return arb(spread) * (small + tokens * small**2)


def count_error(tokens: int, gate: float) -> arb:
    """How far the share of token 0 is below 1/(N + 1)."""
    return tokens * (-3 * arb(gate)).exp()


def of_counts(values: np.ndarray) -> Interpolant:
    """The function of 1/(N + 1) that is values[N] at N = 0, 1, …; it is 0 on token 0, where no position is held."""
    knots = 1 / np.arange(len(values), 0.0, -1.0)
    return Interpolant(knots, np.asarray(values, dtype=np.float64)[::-1], left=True)


def table_errors(table: Interpolant, values: list[arb]) -> tuple[arb, arb]:
    """How far the neurons of `of_counts` are off at 1/(N + 1), and the steepest slope: what an error of it is multiplied by.

    `values` are what is meant at N = 0, 1, …; knots and weights are those of float64.
    """
    off, steepest, last = arb(0), arb(0), len(values)
    for left, right, slope, at_left in stored.pieces(table):
        last -= 1  # the piece between 1/(last + 1) and 1/last
        steepest = steepest.max(abs(slope))
        for knot, made, n in ((left, at_left, last), (right, at_left + slope * (right - left), last - 1)):
            off = off.max(abs(made - values[n]) + abs(slope) * abs(knot - arb(1) / (n + 1)))
    return off, steepest
