"""Functions of one variable by products: Chebyshev series, in attention layers that treble the degree.

Piecewise linear interpolation takes error^{-1/2} neurons. A function that is analytic on [low, high] and somewhat beyond is
a polynomial of degree O(log 1/error) to within an error, and with t ∈ [−1, 1] for x and T_1 = t, T_2 = 2t² − 1, …

    T_{n+k} = 2T_n T_k − T_{n−k},    T_{2n+k} = 4T_n² T_k − 2T_n T_{n−k} − T_k,    1 ≤ k ≤ n,

so that from T_1, …, T_n one layer makes T_{n+1}, …, T_{3n}: a score ⟨iT_n, T_n⟩ or ⟨iT_n, 1⟩ times a value T_k, divided by
i, is a product of three or two. Likewise every polynomial of degree up to 3n is S_0 + T_n S_1 + T_n² S_2 with S_j of degree
up to n: the last layer adds up the series. iT_2 comes from t² with value i² for i, iT_{3n} is 4T_n² iT_n − 3iT_n. Degree
2 · 3^l takes l + 1 layers, and no neurons.

**The certificate.** If |f| ≤ M within the ellipse with foci low and high whose semiaxes add up to ρ times (high − low)/2,
the coefficients fall as 2Mρ^{−k}. Interpolation in n + 1 Chebyshev points puts each of those beyond n down on one before, or
drops it: |p − f| ≤ 2 Σ_{k>n} 2Mρ^{−k} = 4Mρ^{−n}/(ρ − 1). What rounding does to the coefficients comes on top.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from flint import arb
from jaxtyping import Float
from numpy.polynomial import chebyshev

from constructions.block import (
    EXACT,
    UNIT,
    Block,
    Bound,
    Position,
    Promise,
    Step,
    gate_size,
    own_heads,
    own_linear,
)
from constructions.links import Link, blank, held, read, side_by_side, stack, tile
from constructions.outward import nearest
from constructions.stream import Register


@dataclass(frozen=True, eq=False)
class Series:
    """A Chebyshev series on an interval.

    Attributes:
        coefficients: of T_0, T_1, ….
        low, high: the interval.
        error: bound on the distance from the function that it stands for.
    """

    coefficients: Float[np.ndarray, " terms"]
    low: float
    high: float
    error: float

    @property
    def degree(self) -> int:
        """Of the last term."""
        return len(self.coefficients) - 1

    @property
    def stored(self) -> int:
        """2 · 3^l, the least n with 3n ≥ degree: so many polynomials are kept."""
        return 2 * 3 ** (self.layers - 2)

    @property
    def layers(self) -> int:
        """Of attention: one for n = 2, one for each tripling, one for the sum."""
        layers, reach = 2, 6
        while reach < self.degree:
            layers, reach = layers + 1, 3 * reach
        return layers

    def __call__(self, x: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """Evaluate between low and high."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return chebyshev.chebval((x - middle) / half, self.coefficients)


def analytic(
    function: Callable[[np.ndarray], np.ndarray],
    low: float,
    high: float,
    *,
    ratio: float,
    largest: float,
    error: float,
) -> Series:
    """The series of least degree that a bound on the function in the complex plane certifies.

    Args:
        function: analytic within the ellipse.
        low: where the interval begins.
        high: where it ends.
        ratio: ρ > 1; the semiaxes of the ellipse add up to ρ (high − low)/2.
        largest: M, bound on |function| within it.
        error: largest distance from the function.

    >>> series = analytic(np.exp, -1.0, 1.0, ratio=8.0, largest=math.exp(4.07), error=1e-6)
    >>> series.degree, series.layers
    (9, 3)
    """
    if not low < high or not ratio > 1 or not largest > 0:
        raise ValueError(
            f"analytic: wanted low < high, ratio > 1 and largest > 0, got {low}, {high}, {ratio}, {largest}"
        )
    middle, half = (low + high) / 2, (high - low) / 2
    steepness = (
        8 * ratio * (abs(low) + abs(high)) / (half * (ratio - 1) ** 2)
    )  # M over the distance to the ellipse

    def tail(degree: int) -> float:
        return 4 * largest * ratio**-degree / (ratio - 1)

    def rounding(degree: int) -> float:  # of values, where their arguments are rounded too, and of sums
        return (degree + 1) * 2 * UNIT * largest * (24 + steepness)

    degree = 1
    while tail(degree) + rounding(degree) > error:
        degree += 1
        if rounding(degree) >= error:
            raise ValueError(f"analytic: wanted an error that float64 can reach, got {error:g}")
    values = np.asarray(function(middle + half * _cosines(degree)[1]), dtype=float)
    coefficients = (_cosines(degree) * values).sum(1) * 2 / (degree + 1)
    coefficients[0] /= 2
    return Series(coefficients, low, high, error)


def _cosines(degree: int) -> Float[np.ndarray, "terms points"]:
    """T_k at the zeros of T_{degree+1}; angles are reduced as integers."""
    points = degree + 1
    turns = np.outer(np.arange(points), 2 * np.arange(points) + 1) % (4 * points)
    return nearest(lambda turn: arb.cos_pi(turn / (2 * points)), turns.astype(float))


def function(
    name: str,
    source: str,
    series: Series,
    *,
    truth: Callable[[np.ndarray], np.ndarray],
    of: Register,
    position: Register,
    terms: Register,
    times: Register,
    to: Register,
    tokens: int,
    inherited: Bound = EXACT,
) -> Block:
    """A function of each entry of a register.

    Claim: entry k of `to` is truth(of_k).
    Source: theorem ours, in place of "a sum of ReLUs" wherever a function is analytic.
    Reads: of, position.  Writes: to; terms, `series.stored` entries an entry, and times, for T_1, …, T_n and iT_n.
    Error: that of the series; `inherited` is what errors of `of` cause.
    Needs: low ≤ of_k ≤ high at every token.
    Cost: `series.layers` layers of at most 3 heads an entry and 1 more; no neurons.

    >>> from constructions.stream import Stream
    >>> s = Stream.of(x=2, y=2, t=12, it=2, position=3)
    >>> series = analytic(np.exp, -1.0, 1.0, ratio=8.0, largest=math.exp(4.07), error=1e-6)
    >>> names = dict(of=s["x"], position=s["position"], terms=s["t"], times=s["it"], to=s["y"])
    >>> len(function("e^x", "", series, truth=np.exp, tokens=8, **names).steps)
    3
    """
    count, kept = to.size, series.stored
    if (of.size, terms.size, times.size) != (count, count * kept, count):
        raise ValueError(
            f"{name}: wanted of, terms and times of {count}, {count * kept} and {count} entries, "
            f"got {of.size}, {terms.size} and {times.size}"
        )
    steps, stored = [_first(series, of, position, terms, times)], 2
    while stored < kept:
        targets = np.eye(3 * stored + 1)[stored + 1 :]
        steps.append(_next(targets, stored, position, terms, times, (terms, times), tokens))
        stored *= 3
    whole = np.zeros((1, 3 * kept + 1))
    whole[0, : series.degree + 1] = series.coefficients
    steps.append(_next(whole, kept, position, terms, times, to, tokens))
    gate, size = gate_size(2 * tokens), float(np.abs(series.coefficients).sum())
    reach = 1 + (abs(series.low) + abs(series.high)) / (series.high - series.low)
    own = Bound(series.error, UNIT * 64 * (1 + gate) * reach * 17**series.layers * size)
    magnitude = math.sqrt(count) * math.hypot(size + series.error, math.sqrt(kept), tokens)
    promise = Promise(f"{series.low:.3g} ≤ x ≤ {series.high:.3g}", own, own + inherited, magnitude)
    return Block(
        name, source, tuple(steps), to, lambda values: truth(held(values, of)), promise, groups=count
    )


def split(degree: int, stored: int) -> Float[np.ndarray, "3 _"]:
    """T_degree as S_0 + T_n S_1 + T_n² S_2, n = stored: the coefficients of T_0, …, T_n in each.

    >>> split(5, 2).tolist()  # 4 T_2² T_1 − 2 T_2 T_1 − T_1
    [[0.0, -1.0, 0.0], [0.0, -2.0, 0.0], [0.0, 4.0, 0.0]]
    """
    parts, k = np.zeros((3, stored + 1)), degree % stored or stored
    if degree <= stored:
        parts[0, degree] = 1
    elif degree <= 2 * stored:
        parts[1, k], parts[0, stored - k] = 2, -1
    else:
        parts[2, k], parts[1, stored - k], parts[0, k] = 4, -2, -1
    return parts


def _first(series: Series, of: Register, position: Register, terms: Register, times: Register) -> Step:
    """T_1 = t, T_2 = 2t² − 1 and iT_2."""
    place, count, kept = Position.of(position), of.size, series.stored
    half, middle = (series.high - series.low) / 2, (series.high + series.low) / 2
    t = (1 / half) * read(of) + tile((-middle / half) * place.one, count)
    doubled = side_by_side(count, _row(tile(2 * place.index, count), 1, kept), tile(2 * place.square, count))
    squares = own_heads(
        "t²", t, t, (terms, times), position, gate_size(1.0), signs=(1.0,), value=doubled, count=count
    )
    ones = tile(place.one, count)
    linear = stack(_row(t, 0, kept) - _row(ones, 1, kept), -tile(place.index, count))
    return Step((*squares, own_linear("t", linear, (terms, times), position)))


def _row(link: Link, row: int, height: int) -> Link:
    """Each row of a link as row number `row` of so many."""
    return Link(link.rows * height + row, link.columns, link.weights, link.height * height, link.reads)


def _next(
    targets: Float[np.ndarray, "rows degrees"],
    stored: int,
    position: Register,
    terms: Register,
    times: Register,
    to: Register | tuple[Register, Register],
    tokens: int,
) -> Step:
    """A layer that adds series of degree up to 3n to a register, or puts them behind T_n and makes iT_n into iT_{3n}."""
    place, count = Position.of(position), times.size
    splits = np.stack([split(degree, stored) for degree in range(targets.shape[1])])
    parts = np.einsum("rd,djk->jrk", targets, splits)
    links = [_series(part, terms, count, place.one, stored if isinstance(to, tuple) else 0) for part in parts]
    if isinstance(to, tuple):
        more = (-4 * read(times), blank(count), 4 * read(times))
        links = [side_by_side(count, link, extra) for link, extra in zip(links, more, strict=True)]
        linear = stack(_series(parts[0], terms, count, place.one, stored), more[0])
    else:
        linear = links[0]
    last = Link(
        np.arange(count),
        terms.start + np.arange(count) * (terms.size // count) + stored - 1,
        np.ones(count),
        count,
        frozenset({terms.name}),
    )
    gate, scores = gate_size(tokens), read(times)
    ones = tile(place.one, count)
    return Step(
        (
            own_linear(f"up to {3 * stored}", linear, to, position),
            *own_heads(f"T{stored}", scores, ones, to, position, gate, value=links[1], count=count),
            *own_heads(
                f"T{stored}²", scores, last, to, position, gate, signs=(1.0,), value=links[2], count=count
            ),
        )
    )


def _series(
    part: Float[np.ndarray, "rows degrees"], terms: Register, count: int, one: Link, behind: int
) -> Link:
    """For each entry, series in T_0, …, T_n as rows; with `behind`, as rows of terms from number `behind` on."""
    kept = terms.size // count
    height = kept if behind else len(part)
    rows, degrees = np.nonzero(part)
    entry, where = np.arange(count)[:, None], np.where(degrees > 0, terms.start + degrees - 1, one.columns[0])
    columns = where + np.where(degrees > 0, entry * kept, 0)
    return Link(
        (entry * height + behind + rows).ravel(),
        columns.ravel(),
        np.tile(part[rows, degrees] * np.where(degrees > 0, 1.0, one.weights[0]), count),
        count * height,
        frozenset({terms.name}) | one.reads,
    )
