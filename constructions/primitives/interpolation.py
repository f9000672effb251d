"""Functions of one variable by MLP neurons: piecewise linear interpolation.

With knots x_1 < … < x_N, values y_j and slopes s_j = (y_{j+1} − y_j)/(x_{j+1} − x_j), the interpolant is

    f̃(x) = y_1 + s_1 relu(x − x_1) + Σ_{j≥2} (s_j − s_{j−1}) relu(x − x_j).

The weight of a neuron is the *change* of slope at its knot. The paper prints the slopes themselves (proof of Theorem
approx_smooth_linucb, step 3), which is wrong from the second knot on (verify/errata/linucb.py).

**Knots.** A chord over [x, x + h] leaves a concave or convex function by at most h² max|f''|/8. `walk` is for |f''| that
falls: h = 4√(error/|f''(x)|) from the lower end on, the interpolant shifted by half of what it leaves. `power` is for x^{-p}
with a relative error: even steps of log x.

**Knots for the square root.** On [p², q²] the chord lies below √x by at most (q − p)²/(4(p + q)), at ((p+q)/2)². Setting
this to 2ε and lifting the interpolant by ε leaves ±ε, with q = p + 4ε + 2√(4ε² + 4εp). As long as √x ≫ ε this is
(Δ√x)² ≈ 16ε√x, so about high^{1/4}/(2√ε) knots cover [0, high] whatever the lower end: no factor in T.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.parts.block import EXACT, UNIT, Block, Bound, Promise, Step, Surrogate, Units
from constructions.parts.links import Link, Values, held, read, repeat_rows, stack
from constructions.parts.stream import Register
from constructions.rounding.outward import balls, nearest


@dataclass(frozen=True, eq=False)
class Interpolant:
    """A piecewise linear function: values at knots, straight between.

    Attributes:
        knots, values: in order of the knots.
        left: whether neurons face left, f̃(x) = y_N + Σ_j w_j relu(x_j − x): for functions that are steep at the lower end,
            where the others would cancel large numbers at the upper end.

    >>> line = Interpolant(np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 3.0]))
    >>> line(np.array([0.5, 2.0])).tolist()
    [1.0, 2.5]
    """

    knots: Float[np.ndarray, " knots"]
    values: Float[np.ndarray, " knots"]
    left: bool = False

    @property
    def weights(self) -> Float[np.ndarray, " pieces"]:
        """The weight of each neuron, at the lower end of its piece, or at the upper if it faces left."""
        return np.diff(self.slopes, append=0.0) if self.left else np.diff(self.slopes, prepend=0.0)

    @property
    def thresholds(self) -> Float[np.ndarray, " pieces"]:
        """Where each neuron turns."""
        return self.knots[1:] if self.left else self.knots[:-1]

    @property
    def size(self) -> float:
        """Bound on the sum of the sizes of all terms between the first and the last knot."""
        reach = np.abs(self.thresholds) + np.abs(self.knots[[0 if self.left else -1]])
        return float((np.abs(self.weights) * reach).sum() + np.abs(self.values[-1 if self.left else 0]))

    @property
    def at_zero(self) -> float:
        """What neurons make of 0, as held by tokens without an argument: beyond the knots they go straight on, or stay."""
        return float(self.made(np.zeros(1))[0])

    @property
    def slopes(self) -> Float[np.ndarray, " pieces"]:
        """s_j on [x_j, x_{j+1}]."""
        return np.diff(self.values) / np.diff(self.knots)

    def __call__(self, x: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """Evaluate between the first and the last knot."""
        return np.interp(x, self.knots, self.values)

    def made(self, x: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """What the neurons make of any x: beyond the knots straight on at the side they face, level at the other."""
        if self.left:
            return self(x) - self.slopes[0] * np.maximum(self.knots[0] - x, 0.0)
        return self(x) + self.slopes[-1] * np.maximum(x - self.knots[-1], 0.0)

    def rounded(self, pieces: int = 0) -> Bound:
        """How far stored neurons are from it within the knots, and what rounding adds when `pieces` of them are added up.

        A slope is off by three units, a weight by one of its own: at x that is at most 3uΣ|s_j|(x_{j+1} − x_j) and
        uΣ|w_j||x − x_j|, each sum at most `size`; here with room for terms of second order. `made` itself rounds 8u of it.
        """
        return Bound(5 * UNIT * self.size, UNIT * (pieces + 12) * self.size)


MOST_KNOTS = 100_000
"""More would only serve errors that rounding in float64 exceeds."""


def square_root(low: float, high: float, error: float) -> Interpolant:
    """The interpolant of √x on [low, high] with |f̃ − √x| ≤ error, with the fewest knots that reach it.

    >>> len(square_root(1e-4, 10.0, 1e-3).slopes)
    27
    """
    if not 0 < low < high or not error > 0:
        raise ValueError(f"square_root: wanted 0 < low < high and error > 0, got {low}, {high}, {error}")
    if math.sqrt(math.sqrt(high)) / (2 * math.sqrt(error)) > MOST_KNOTS:
        raise ValueError(
            f"square_root: wanted an error that {MOST_KNOTS:,} knots can reach on [0, {high:g}], got {error:g}"
        )
    roots = [math.sqrt(low)]
    while roots[-1] < math.sqrt(high):
        p = roots[-1]
        roots.append(p + 4 * error + 2 * math.sqrt(4 * error * (error + p)))
    roots[-1] = math.sqrt(high)
    knots = np.square(roots)
    knots[[0, -1]] = low, high  # not their roots squared, which are rounded
    return Interpolant(knots, np.array(roots) + error)


def walk(
    function: Callable[[float], float],
    curvature: Callable[[float], float],
    low: float,
    high: float,
    error: float,
) -> Interpolant:
    """The interpolant of a function on [low, high] with |f̃ − f| ≤ error.

    Args:
        function: concave, or convex.
        curvature: its second derivative, falling in size.
        low: where it begins.
        high: where it ends.
        error: largest distance from the function.

    >>> walk(math.log, lambda x: -1 / x**2, 0.01, 1.0, 1e-3).knots.size
    40
    """
    if not low < high or not error > 0:
        raise ValueError(f"walk: wanted low < high and error > 0, got {low}, {high}, {error}")

    def longest(x: float) -> float:
        return 4 * math.sqrt(error / max(abs(curvature(x)), 1e-300))

    with balls():
        ends = np.linspace(low, high, 64).tolist()
        fewest = sum((right - left) / longest(right) for left, right in pairwise(ends))  # steps grow
        knots = [low]
        while knots[-1] < high and max(fewest, len(knots)) <= MOST_KNOTS:
            knots.append(min(knots[-1] + longest(knots[-1]), high))
        if knots[-1] < high or len(knots) > MOST_KNOTS:
            raise ValueError(f"walk: wanted an error that {MOST_KNOTS:,} knots can reach, got {error:g}")
        values = np.array([function(x) for x in knots])
    return Interpolant(np.array(knots), values - math.copysign(error, curvature(low)))


def power(exponent: float, low: float, high: float, spread: float) -> Interpolant:
    """The interpolant of x^-exponent on [low, high] with a relative error of at most `spread`.

    The chord over [x, gx] is above by at most (g−1)²p(p+1)/8 · x^-p; that is to be 2·spread·(gx)^-p.

    >>> power(0.5, 1e-3, 1e3, 1e-3).knots.size
    106
    """
    if not 0 < low < high or not 0 < spread < 1 or not exponent > 0:
        raise ValueError(
            f"power: wanted 0 < low < high, spread in (0, 1) and exponent > 0, got {low}, {high}, {spread}, {exponent}"
        )
    step = 4 * math.sqrt(spread / (exponent * (exponent + 1)))  # of g g^{p/2}
    shorter, longer = 0.0, step  # g − 1
    for _ in range(60):
        middle = (shorter + longer) / 2
        enough = middle * nearest(lambda x: x ** (arb(exponent) / 2), 1 + middle) <= step
        shorter, longer = (middle, longer) if enough else (shorter, middle)
    count = math.ceil(nearest(arb.log, high / low) / nearest(arb.log1p, shorter)) + 1
    if count > MOST_KNOTS:
        raise ValueError(f"power: wanted a spread that {MOST_KNOTS:,} knots can reach, got {spread:g}")
    knots = nearest(lambda k: low * (arb(high) / low) ** (k / (count - 1)), np.arange(count, dtype=float))
    return Interpolant(knots, (1 - spread) * nearest(lambda x: x ** -arb(exponent), knots), left=True)


def scaled(interpolant: Interpolant, factor: float) -> Interpolant:
    """The same, its values times a factor."""
    return Interpolant(interpolant.knots, factor * interpolant.values, interpolant.left)


def neurons(role: str, interpolant: Interpolant, *, source: Link, one: Register, to: Register) -> Units:
    """MLP neurons that add f̃ of row k of `source` to entry k of `to`, counted round: one a piece, one for constants."""
    pieces, count = len(interpolant.slopes), source.height
    arguments = repeat_rows(source, pieces)  # rows entry by entry, knot by knot
    thresholds = repeat_rows(read(one), count * pieces).scale_rows(np.tile(interpolant.thresholds, count))
    entries = np.arange(count) % to.size
    facing = -1.0 if interpolant.left else 1.0
    return Units(
        role,
        stack(facing * (arguments - thresholds), read(one)),
        (
            (to, np.repeat(entries, pieces), np.arange(count * pieces), np.tile(interpolant.weights, count)),
            (
                to,
                entries,
                np.full(count, count * pieces),
                np.full(count, interpolant.values[-1 if interpolant.left else 0]),
            ),
        ),
    )


def function(
    name: str,
    source_of_claim: str,
    interpolant: Interpolant,
    *,
    of: Callable[[np.ndarray], np.ndarray],
    error: float,
    source: Register,
    one: Register,
    to: Register,
    inherited: Bound = EXACT,
    signs: tuple[float, ...] = (1.0,),
) -> Block:
    """A function of each entry of a register.

    Claim: `to` holds of(sign · source) for each sign, one sign after the other.
    Source: proof of Theorem approx_smooth_linucb, step 3, arXiv 2310.08566, repaired, for any function.
    Reads: source, one.  Writes: to.
    Error: that of the interpolant, between its first and last knot; `inherited` is what errors of source cause.
    Cost: 1 MLP layer; (knots − 1) neurons an entry of `to` and one for all.

    >>> from constructions.parts.stream import Stream
    >>> s, f = Stream.of(x=1, one=1, out=2), power(1.0, 0.1, 4.0, 0.01)
    >>> registers = dict(source=s["x"], one=s["one"], to=s["out"])
    >>> block = function("1/x", "", f, of=lambda x: 1 / x, error=0.1, signs=(1.0, -1.0), **registers)
    >>> block.steps[0].units[0].reads.height == 2 * len(f.slopes) + 1
    True
    """
    low, high = interpolant.knots[[0, -1]]
    reads = stack(*(sign * read(source) for sign in signs))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        x = held(values, source)
        return of(np.concatenate([sign * x for sign in signs], axis=1))

    def made(values: Values) -> Float[np.ndarray, "tokens size"]:
        x = held(values, source)
        return interpolant.made(np.concatenate([sign * x for sign in signs], axis=1))

    pieces = len(interpolant.knots)
    own = Bound(error, UNIT * (pieces + 4) * interpolant.size)
    magnitude = math.sqrt(to.size) * max(float(np.abs(interpolant.values).max()), abs(interpolant.at_zero))
    units = neurons(name, interpolant, source=reads, one=one, to=to)
    return Block(
        name=name,
        source=source_of_claim,
        steps=(Step((), (units,)),),
        output=to,
        groups=to.size,
        truth=truth,
        promise=Promise(f"{low:.3g} ≤ x ≤ {high:.3g}", own, own + inherited, magnitude),
        surrogate=Surrogate(made, interpolant.rounded(pieces)),
    )
