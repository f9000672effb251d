"""Exponentials and logarithms from above, by MLP neurons that interpolate between two curves.

Errors of one sign compose better than errors of either: what is never underestimated at any step is never underestimated at
the end, and what it is overestimated by can be summed up over all outcomes.

**Exponentials.** e^x ≤ y ≤ (1 + r)e^x + a. Chords of e^x lie above it, since it is convex. A chord of slope s exceeds
(1 + r)e^x most at x = log(s/(1 + r)); a piece reaches as far as that excess is at most a. Below the first knot, log a, the
interpolant is a. About (x_max + log(r/a) + 2)/√(8r) knots, for a ≤ r.

**Logarithms.** log x ≤ y ≤ log(x + a). Chords of log(x + a) lie below it, since it is concave. A chord of slope s exceeds
log x least at x = 1/s; a piece reaches as far as that excess is at least 0. The first knot is 0. About 2√(x_max/(8a)) knots:
no logarithm of a, for an error of a in x costs nothing where x is small. Neurons face left: at large x there
are no slopes of size 1/a that would have to cancel.

Below its first knot an exponential is constant; nobody goes beyond the last, nor below that of a logarithm.

**In float64.** These choices are made in float64, and weights of neurons are rounded. What the stored neurons do is measured
in balls, knot by knot: y/e^x has no minimum within a piece, and (y − a)/e^x has one maximum at most; e^y − x has no maximum,
and y − log x one minimum. So each bound is had at the ends of a piece, or at one point between them. What is missing at the
lower side is the *shortfall* d: e^{−d}e^x ≤ y, log x − d ≤ y. It is about 10⁻¹⁵.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.parts.block import UNIT, Block, Bound, Promise, Step, Surrogate, Units
from constructions.parts.links import Link, Values, held, read, repeat_rows, stack
from constructions.parts.stream import Register
from constructions.primitives.interpolation import MOST_KNOTS, Interpolant, neurons
from constructions.primitives.stored import pieces
from constructions.rounding.outward import above, balls, nearest

ROUNDED = 4 * UNIT
"""Part by which rounding the products of weights and bends, all > 0 where x is below the last knot, can change their sum."""

SLACK = 1e-9
"""Part of an error kept back, so that rounding does not carry a bound that is met exactly over its edge."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Envelope(Interpolant):
    """A piecewise linear function that lies above a curve by no more than is allowed.

    Attributes:
        shortfall: d, of the stored neurons.
        relative: r of the stored neurons, for exponentials.
        absolute: a of the stored neurons.
    """

    shortfall: float
    relative: float
    absolute: float

    @property
    def bends(self) -> Float[np.ndarray, " knots"]:
        """Changes of slope at the knots, level beyond the last: the weights of the neurons of exponentials."""
        return np.diff(self.slopes, prepend=0.0, append=0.0)


def exponential(high: float, relative: float, absolute: float) -> Envelope:
    """The function with e^x ≤ y ≤ (1 + relative)e^x + absolute for all x ≤ high with the fewest knots, but for rounding.

    >>> len(exponential(0.0, 0.01, 0.01).knots)
    7
    """
    if not min(relative, absolute) > 0 or not absolute < math.exp(high):
        raise ValueError(
            f"exponential: wanted relative > 0 and 0 < absolute < e^high = {math.exp(high):g}, "
            f"got {relative}, {absolute}"
        )
    _check_knots("exponential", (high - math.log(absolute) + 2) / math.sqrt(8 * relative))

    def fits(start: float, stop: float) -> bool:
        first = nearest(arb.exp, start)
        slope = first * nearest(arb.expm1, stop - start) / (stop - start)
        top = min(max(nearest(arb.log, slope / (1 + relative)), start), stop)
        chord = first + slope * (top - start)
        return chord - (1 + relative) * nearest(arb.exp, top) <= absolute * (1 - SLACK)

    knots = _furthest(fits, nearest(arb.log, absolute), high)
    values = nearest(arb.exp, knots)
    lowest, highest, first = arb("inf"), arb(0), float(values[0])
    with balls():
        for left, right, slope, value in pieces(Interpolant(knots, values)):
            top = left.max(right.min(left + 1 - (value - first) / slope))
            highest = highest.max((value - first + slope * (top - left)) / top.exp())
            lowest = lowest.min(value / left.exp()).min((value + slope * (right - left)) / right.exp())
        shortfall = max(0.0, above(-lowest.log()))
        relative = above(highest - 1)
        return Envelope(knots, values, shortfall=shortfall, relative=relative, absolute=first)


def logarithm(high: float, absolute: float) -> Envelope:
    """The function with log x ≤ y ≤ log(x + absolute) for 0 ≤ x ≤ high with the fewest knots, but for rounding.

    >>> len(logarithm(1.0, 0.01).knots)
    8
    """
    if not 0 < absolute < high:
        raise ValueError(f"logarithm: wanted 0 < absolute < high = {high:g}, got {absolute}")
    _check_knots("logarithm", 2 * math.sqrt(high / (8 * absolute)))

    def fits(start: float, stop: float) -> bool:
        slope = nearest(arb.log1p, (stop - start) / (start + absolute)) / (stop - start)
        low = min(max(1 / slope, start), stop)
        return (
            nearest(arb.log, start + absolute) + slope * (low - start) - nearest(arb.log, low)
            >= SLACK * absolute
        )

    knots = _furthest(fits, 0.0, high)
    values = nearest(arb.log, knots + absolute)
    missing, excess = arb(0), arb(0)
    with balls():
        for left, right, slope, value in pieces(Interpolant(knots, values, left=True)):
            low = left.max(right.min(1 / slope))
            missing = missing.max(low.log() - value - slope * (low - left))
            excess = excess.max(value.exp() - left).max((value + slope * (right - left)).exp() - right)
        bounds = {"shortfall": above(missing), "relative": 0.0, "absolute": above(excess)}
        return Envelope(knots, values, left=True, **bounds)


def _check_knots(name: str, knots: float) -> None:
    if knots > MOST_KNOTS:
        raise ValueError(f"{name}: wanted errors that {MOST_KNOTS:,} knots can reach, got smaller ones")


def _furthest(fits: Callable[[float, float], bool], start: float, high: float) -> Float[np.ndarray, " knots"]:
    """Knots from start to high, each as far from the one before as fits; a shorter piece always fits as well."""
    knots, reach = [start], high - start
    with balls():
        while not fits(at := knots[-1], high):
            inside, outside = at, min(at + reach, high)
            while outside < high and fits(at, outside):
                inside, outside = outside, min(2 * outside - at, high)
            while outside - inside > 1e-6 * (outside - at):
                middle = (inside + outside) / 2
                inside, outside = (middle, outside) if fits(at, middle) else (inside, middle)
            knots.append(inside)
            reach = 1.1 * (inside - at)
    return np.array([*knots, high])


def exponentials(
    name: str,
    source: str,
    curve: Envelope,
    *,
    of: Link,
    exponents: Callable[[Values], Float[np.ndarray, "tokens rows"]],
    weights: Float[np.ndarray, " terms"],
    lift: float,
    one: Register,
    to: Register,
    size: float,
    largest: float,
    inherited: Bound,
) -> Block:
    """Weighted sums of exponentials of linear forms of a token.

    Claim: entry k of `to` is Σ_n weights_n exp(x_{kN+n}) over N terms, the x being the rows of the link `of`.
    Source: theorem ours (constructions/thompson/bernoulli.py).
    Reads: what `of` reads, one.  Writes: to.
    Error: from −d·sum + lift to r·sum + a·Σ weights + lift, and a part ROUNDED of it all. `largest` bounds the sum, `size`
    what the terms of an x add up to in absolute value; `exponents` computes the x in plain NumPy, `inherited` is what errors
    of what is read cause.
    Needs: x ≤ the last knot, weights ≥ 0.
    Cost: 1 MLP layer of a neuron a knot and a row, and one for all; no heads.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=4, one=1, out=2)
    >>> curve = exponential(0.0, 0.01, 0.01)
    >>> form = dict(of=read(s["x"]), exponents=lambda values: values["x"], weights=np.array([0.5, 0.5]), lift=0.0)
    >>> bounds = dict(size=9.0, largest=1.0, inherited=Bound(0.0))
    >>> block = exponentials("mean of e^x", "", curve, one=s["one"], to=s["out"], **form, **bounds)
    >>> block.steps[0].units[0].reads.height
    29
    """

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        terms = np.exp(exponents(values))
        return terms.reshape(len(terms), to.size, len(weights)) @ weights

    def made(values: Values) -> Float[np.ndarray, "tokens size"]:
        terms = curve(exponents(values))
        return terms.reshape(len(terms), to.size, len(weights)) @ weights + lift

    excess = error_of_sums(curve, weights, lift, largest)
    steepest = float((curve.slopes / curve.values[:-1]).max())  # what rounding of x does to y, relatively
    terms = len(curve.knots) * len(weights)  # all ≥ 0: none cancel
    own = Bound(excess, UNIT * (8 * size * steepest + 4 * (terms + 8)) * (largest + excess))
    highest = math.sqrt(to.size) * (largest + own.error)
    units = _units(name, curve, of, one, to, weights, lift)
    promise = Promise(f"x ≤ {curve.knots[-1]:.3g}", own, own + inherited, highest)
    # of stored weights: ROUNDED, and as for Interpolant.rounded; then what `made` rounds
    whole = 16 * UNIT * (largest + excess)
    surrogate = Surrogate(made, Bound(whole, own.rounding + whole))
    return Block(name, source, (Step((), (units,)),), to, truth, promise, groups=to.size, surrogate=surrogate)


def logarithms(
    name: str, source: str, curve: Envelope, *, of: Register, one: Register, to: Register, inherited: Bound
) -> Block:
    """Logarithms of a register.

    Claim: entry k of `to` is log max(of_k, a).
    Source: theorem ours (constructions/thompson/bernoulli.py).
    Reads: of, one.  Writes: to.
    Error: at most log 2, and from log(of_k) up to log(of_k + a), whatever of_k ≤ the last knot; `inherited` is what
    errors of `of` cause.
    Cost: 1 MLP layer of (knots − 1) neurons an entry, and one for all; no heads.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, one=1, out=2)
    >>> curve = logarithm(1.0, 0.01)
    >>> block = logarithms("log x", "", curve, of=s["x"], one=s["one"], to=s["out"], inherited=Bound(0.0))
    >>> block.steps[0].units[0].reads.height
    15
    """
    low, high = curve.absolute, float(curve.knots[-1])

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return np.log(np.clip(held(values, of), low, high))

    knots = len(curve.knots)
    own = Bound(_distance(curve), UNIT * 4 * (knots + 8) * curve.size)
    largest = float(np.abs(curve.values).max())
    units = neurons(name, curve, source=read(of), one=one, to=to)
    promise = Promise(f"x ≤ {high:.3g}", own, own + inherited, math.sqrt(to.size) * largest)
    surrogate = Surrogate(lambda values: curve.made(held(values, of)), curve.rounded(4 * knots))
    return Block(name, source, (Step((), (units,)),), to, truth, promise, groups=to.size, surrogate=surrogate)


def error_of_sums(
    curve: Envelope, weights: Float[np.ndarray, " terms"], lift: float, largest: float
) -> float:
    """Bound on the error of sums of exponentials with the weights as they are given."""
    rise = curve.relative * arb(largest) + curve.absolute * _sum(weights)
    whole = rise.max(curve.shortfall * arb(largest)) + lift
    return above(whole + ROUNDED * (whole + largest))


def _distance(curve: Envelope) -> float:
    """Bound on |y − log max(x, a)|: between knots the difference is convex beyond a, and monotone before."""
    worst, low = arb(curve.shortfall), arb(curve.absolute)
    with balls():
        for left, right, slope, value in pieces(curve):
            for x in (left, right, left.max(right.min(low))):
                worst = worst.max(abs(value + slope * (x - left) - x.max(low).log()))
        return above(worst)


def _sum(weights: Float[np.ndarray, " terms"]) -> arb:
    return sum(map(arb, weights.tolist()), arb(0))


def _units(
    role: str,
    curve: Envelope,
    of: Link,
    one: Register,
    to: Register,
    weights: Float[np.ndarray, " terms"],
    lift: float,
) -> Units:
    """Neurons that add Σ_n weights_n y(x_{kN+n}) + lift to entry k of `to`."""
    knots, terms, entries = len(curve.knots), len(weights), np.arange(to.size)
    thresholds = repeat_rows(read(one), of.height * knots).scale_rows(np.tile(curve.knots, of.height))
    bends = np.tile(np.outer(weights, curve.bends).ravel(), to.size)
    constant = above(_sum(weights) * float(curve.values[0]) + lift)
    return Units(
        role,
        stack(repeat_rows(of, knots) - thresholds, read(one)),
        (
            (to, entries.repeat(terms * knots), np.arange(of.height * knots), bends),
            (to, entries, np.full(to.size, of.height * knots), np.full(to.size, constant)),
        ),
    )
