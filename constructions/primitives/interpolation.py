"""Functions of one variable by MLP neurons: piecewise linear interpolation.

With knots x_1 < … < x_N, values y_j and slopes s_j = (y_{j+1} − y_j)/(x_{j+1} − x_j), the interpolant is

    f̃(x) = y_1 + s_1 relu(x − x_1) + Σ_{j≥2} (s_j − s_{j−1}) relu(x − x_j).

The weight of a neuron is the *change* of slope at its knot. The paper prints the slopes themselves (proof of Theorem
approx_smooth_linucb, step 3); `changes=False` builds that form, which is wrong from the second knot on and kept as a
witness.

**Knots for the square root.** On [p², q²] the chord lies below √x by at most (q − p)²/(4(p + q)), at ((p+q)/2)². Setting
this to 2ε and lifting the interpolant by ε leaves ±ε, with q = p + 4ε + 2√(4ε² + 4εp). As long as √x ≫ ε this is
(Δ√x)² ≈ 16ε√x, so about high^{1/4}/(2√ε) knots cover [0, high] whatever the lower end: no factor in T.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from constructions.block import EXACT, UNIT, Block, Bound, Promise, Step, Units
from constructions.links import Values, read, repeat_rows, stack
from constructions.stream import Register


@dataclass(frozen=True, eq=False)
class Interpolant:
    """A piecewise linear function: values at knots, straight between.

    >>> line = Interpolant(np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 3.0]))
    >>> line(np.array([0.5, 2.0])).tolist()
    [1.0, 2.5]
    """

    knots: Float[np.ndarray, " knots"]
    values: Float[np.ndarray, " knots"]

    @property
    def slopes(self) -> Float[np.ndarray, " pieces"]:
        """s_j on [x_j, x_{j+1}]."""
        return np.diff(self.values) / np.diff(self.knots)

    def __call__(self, x: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """Evaluate between the first and the last knot."""
        return np.interp(x, self.knots, self.values)


MOST_KNOTS = 100_000
"""More would only serve errors that rounding in float64 exceeds."""


def square_root(low: float, high: float, error: float) -> Interpolant:
    """The interpolant of √x on [low, high] with |f̃ − √x| ≤ error, with the fewest knots that reach it.

    >>> len(square_root(1e-4, 10.0, 1e-3).slopes)
    27
    """
    if not 0 < low < high or not error > 0:
        raise ValueError(f"square_root: wanted 0 < low < high and error > 0, got {low}, {high}, {error}")
    if high**0.25 / (2 * math.sqrt(error)) > MOST_KNOTS:
        raise ValueError(
            f"square_root: wanted an error that {MOST_KNOTS:,} knots can reach on [0, {high:g}], got {error:g}"
        )
    roots = [math.sqrt(low)]
    while roots[-1] < math.sqrt(high):
        p = roots[-1]
        roots.append(p + 4 * error + 2 * math.sqrt(4 * error**2 + 4 * error * p))
    roots[-1] = math.sqrt(high)
    return Interpolant(np.square(roots), np.array(roots) + error)


def neurons(
    role: str,
    interpolant: Interpolant,
    *,
    source: Register,
    one: Register,
    to: Register,
    changes: bool = True,
) -> Units:
    """MLP neurons that add f̃(source_k) to entry k of `to`: one a piece and one for the constant, an entry."""
    slopes, pieces, count = interpolant.slopes, len(interpolant.slopes), source.size
    weights = np.diff(slopes, prepend=0.0) if changes else slopes
    arguments = repeat_rows(read(source), pieces)  # rows entry by entry, knot by knot
    thresholds = repeat_rows(read(one), count * pieces).scale_rows(np.tile(interpolant.knots[:-1], count))
    entries = np.arange(count)
    return Units(
        role,
        stack(arguments - thresholds, read(one)),
        (
            (to, np.repeat(entries, pieces), np.arange(count * pieces), np.tile(weights, count)),
            (to, entries, np.full(count, count * pieces), np.full(count, interpolant.values[0])),
        ),
    )


def root(
    name: str,
    source_of_claim: str,
    interpolant: Interpolant,
    *,
    error: float,
    source: Register,
    one: Register,
    to: Register,
    inherited: Bound = EXACT,
    changes: bool = True,
) -> Block:
    """Square roots of a register.

    Claim: entry k of `to` is √source_k.
    Source: proof of Theorem approx_smooth_linucb, step 3, arXiv 2310.08566, with its coefficients repaired.
    Reads: source, one.  Writes: to.
    Error: that of the interpolant, between its first and last knot; `inherited` is what errors of source cause.
    Cost: 1 MLP layer; (knots − 1) neurons an entry and one for all.

    >>> from constructions.stream import Stream
    >>> s, f = Stream.of(x=2, one=1, out=2), square_root(0.01, 4.0, 0.01)
    >>> block = root("√x", "", f, error=0.01, source=s["x"], one=s["one"], to=s["out"])
    >>> block.steps[0].units[0].reads.height == 2 * len(f.slopes) + 1
    True
    """
    low, high = interpolant.knots[[0, -1]]

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return np.sqrt(np.maximum(values[source.name], 0.0))

    sizes = np.abs(np.diff(interpolant.slopes, prepend=0.0)).sum() * high + interpolant.values[0]
    own = Bound(error, UNIT * (len(interpolant.knots) + 4) * float(sizes))
    return Block(
        name=name,
        source=source_of_claim,
        steps=(Step((), (neurons(name, interpolant, source=source, one=one, to=to, changes=changes),)),),
        output=to,
        groups=to.size,
        truth=truth,
        promise=Promise(
            f"{low:.3g} ≤ x ≤ {high:.3g}", own, own + inherited, math.sqrt(to.size) * interpolant.values[-1]
        ),
    )
