"""Look-ups on integers, exact, by MLP neurons.

**Indicators.** For an integer N and 0 ≤ x ≤ C, x·[N ≥ y] = relu(x + C(N − y)) − relu(C(N − y)): if N ≥ y both are positive
and their difference is x, else x + C(N − y) ≤ 0. Since 1/max(N, 1) = 1 + Σ_{y=2} (1/y − 1/(y−1)) [N ≥ y],

    x/max(N, 1) = x − Σ_{y=2}^{K} (relu(x + C(N − y)) − relu(C(N − y)))/(y(y−1)),

for every real x in [0, C], by K − 1 neurons and K − 1 more that all quotients with the same N share. A function of N alone
is interpolated at the integers: one neuron a value.

**As printed**, relu(1 − (n − x)² − (N − y)²) is the indicator of (n, N) = (x, y): (K + 1)² neurons a quotient n/max(N, 1),
fed by the squares of n and N. It needs integers; for real x in [0, K], K relu(x/K − (N − y)²) is x·[N = y], K + 1 neurons.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from flint import arb, fmpq
from jaxtyping import Float

from constructions.parts.block import EXACT, UNIT, Block, Bound, Promise, Step, Units
from constructions.parts.links import Link, Values, held, read, repeat_rows, stack, tile
from constructions.parts.stream import Register
from constructions.rounding.outward import above, balls, rational


def quotient_error(most: int) -> arb:
    """By how much x/max(N, 1) is off for x = 1, as weights are rounded: at most Σ_y |stored − 1/(y(y − 1))|."""
    terms = ((1 / (y * (y - 1)), fmpq(1, y * (y - 1))) for y in range(2, most + 1))
    return sum((abs(arb(stored) - meant) for stored, meant in terms), arb(0))


def table_error(values: Sequence[Fraction]) -> arb:
    """By how much values[N] is off for the worst N, as its weights are rounded."""
    off = max(abs(made - meant) for made, meant in zip(stored_values(values), values, strict=True))
    return rational(off)


def quotient_units(
    role: str, x: Link, n: Link, to: Register, one: Register, largest: float, most: int
) -> Units:
    """Neurons that add x_n/max(N_m, 1) to entry n of `to`; the x_n come in equal groups, one group for each count N_m.

    For 0 ≤ x_n ≤ largest and integers 0 ≤ N_m ≤ most, max(most, 1) neurons a quotient and most − 1 a count.
    """
    size, counts, steps = x.height, n.height, max(most - 1, 0)
    group = size // counts
    if group * counts != size or size != to.size:
        raise ValueError(f"{role}: wanted equal groups for {counts} counts, {to.size} in all, got {size}")
    levels = np.arange(2, steps + 2)
    gate = largest * (repeat_rows(n, steps) - _thresholds(one, levels, counts))
    shifted = repeat_rows(x, steps) + largest * (
        repeat_rows(repeat_rows(n, group), steps) - _thresholds(one, levels, size)
    )
    weights = np.array([Fraction(-1, int(y * (y - 1))) for y in levels], dtype=object)
    entries = np.arange(size)
    shared = (np.arange(counts)[:, None] * steps + np.arange(steps)).repeat(group, axis=0).ravel()
    return Units(
        role,
        stack(x, shifted, gate),
        (
            (to, entries, entries, np.full(size, Fraction(1))),
            (to, entries.repeat(steps), size + np.arange(size * steps), np.tile(weights, size)),
            (to, entries.repeat(steps), size * (1 + steps) + shared, np.tile(-weights, size)),
        ),
    )


def one_hot(name: str, source: str, *, of: Register, to: Register, one: Register) -> Block:
    """An integer as a one-hot vector.

    Claim: entry m of `to` is 1 where the number is m + 1, else 0.
    Source: theorem ours; [n = m] is the second difference of relu(n − m + 1), relu(n − m), relu(n − m − 1).
    Reads: of, one.  Writes: to.
    Error: none, for integers 0 ≤ n ≤ to.size.
    Cost: 1 MLP layer of to.size neurons; no heads.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(n=1, one=1, out=5)
    >>> one_hot("[n = m]", "", of=s["n"], to=s["out"], one=s["one"]).steps[0].units[0].reads.height
    5
    """
    size = to.size
    levels = np.arange(size)
    reads = repeat_rows(read(of), size) - _thresholds(one, levels, 1)
    entries = [levels, levels[:-1], levels[:-2]]
    weights = [np.full(len(part), weight) for part, weight in zip(entries, (1.0, -2.0, 1.0), strict=True)]
    neurons = [part + ahead for ahead, part in enumerate(entries)]
    units = Units(name, reads, tuple((to, *write) for write in zip(entries, neurons, weights, strict=True)))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return (held(values, of) == levels + 1).astype(float)

    return Block(
        name,
        source,
        (Step((), (units,)),),
        to,
        truth,
        Promise(f"integers ≤ {size}", EXACT, EXACT, math.sqrt(size)),
    )


def table_units(role: str, of: Link, to: Register, one: Register, values: Sequence[Fraction]) -> Units:
    """Neurons that add values[N_m] to entry m of `to`: one a value after the first, and one for all."""
    size, weights = of.height, np.array(_bends(values), dtype=object)
    steps, entries = len(weights), np.arange(size)
    reads = repeat_rows(of, steps) - _thresholds(one, np.arange(steps), size)
    return Units(
        role,
        stack(reads, read(one)),
        (
            (to, entries.repeat(steps), np.arange(size * steps), np.tile(weights, size)),
            (to, entries, np.full(size, size * steps), np.full(size, values[0])),
        ),
    )


def _bends(values: Sequence[Fraction]) -> list[Fraction]:
    slopes = [after - before for before, after in pairwise(values)]
    return [after - before for before, after in pairwise([Fraction(0), *slopes])]


def stored_values(values: Sequence[Fraction]) -> list[Fraction]:
    """What the neurons of a table make of each count when their weights are float64.

    >>> stored_values([Fraction(0), Fraction(1, 3), Fraction(2, 3)])[1] == Fraction(1 / 3)
    True
    """
    found, slope = [Fraction(float(values[0]))], Fraction(0)
    for bend in _bends(values):
        slope += Fraction(float(bend))
        found.append(found[-1] + slope)
    return found


def table(
    name: str, source: str, *, of: Register, to: Register, one: Register, values: Sequence[Fraction]
) -> Block:
    """A function of counts.

    Claim: entry m of `to` is values[N_m].
    Source: proof of Theorem approx_ucbvi, step 2 (f₂), arXiv 2310.08566, without its squares.
    Reads: of, one.  Writes: to.
    Error: that of weights rounded in float64, for integers 0 ≤ N_m < len(values).
    Cost: 1 MLP layer of len(values) − 1 neurons a count and one more; no heads.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(n=2, one=1, out=2)
    >>> block = table("1/n", "", of=s["n"], to=s["out"], one=s["one"], values=[Fraction(1, 3)] * 4)
    >>> block.steps[0].units[0].reads.height
    7
    """
    units, numbers = table_units(name, read(of), to, one, values), np.array(values, dtype=np.float64)

    def truth(counts: Values) -> Float[np.ndarray, "tokens size"]:
        return numbers[np.rint(held(counts, of)).astype(int)]

    largest = float(np.abs(numbers).max())
    with balls():
        error = above(table_error(values))
    own = Bound(error, UNIT * 8 * len(values) ** 2 * largest)
    promise = Promise(f"integers ≤ {len(values) - 1}", own, own, largest * to.size**0.5)
    return Block(name, source, (Step((), (units,)),), to, truth, promise, groups=to.size)


def printed_quotient_units(
    role: str,
    top: tuple[Link, Link],
    bottom: tuple[Link, Link],
    to: Register,
    one: Register,
    most: int,
) -> Units:
    """The paper's f₁: (most + 1)² neurons a quotient; top and bottom are given with their squares."""
    (x, x_squared), (n, n_squared) = top, bottom
    size, group, side = x.height, x.height // n.height, most + 1
    first, second = (grid.ravel() for grid in np.mgrid[:side, :side])
    pairs = side**2
    n, n_squared = repeat_rows(n, group), repeat_rows(n_squared, group)
    reads = tile_constants(one, 1.0 - first**2 - second**2, size)
    for link, weights in (
        (x_squared, -np.ones(pairs)),
        (n_squared, -np.ones(pairs)),
        (x, 2.0 * first),
        (n, 2.0 * second),
    ):
        reads = reads + repeat_rows(link, pairs).scale_rows(np.tile(weights, size))
    values = np.array(
        [Fraction(int(a), max(int(b), 1)) for a, b in zip(first, second, strict=True)], dtype=object
    )
    return Units(
        role, reads, ((to, np.arange(size).repeat(pairs), np.arange(size * pairs), np.tile(values, size)),)
    )


def printed_table_units(
    role: str, of: tuple[Link, Link], to: Register, one: Register, values: Sequence[Fraction]
) -> Units:
    """The paper's f₂: values[N] by relu(1 − (N − y)²), one neuron a value; N is given with its square."""
    levels, (n, squared) = np.arange(len(values)), of
    size, steps = n.height, len(values)
    reads = tile_constants(one, 1.0 - levels**2, size) - repeat_rows(squared, steps)
    reads = reads + repeat_rows(n, steps).scale_rows(np.tile(2.0 * levels, size))
    weights = np.tile(np.array(values, dtype=object), size)
    return Units(role, reads, ((to, np.arange(size).repeat(steps), np.arange(size * steps), weights),))


def squared_quotient_units(
    role: str, x: Link, bottom: tuple[Link, Link], to: Register, one: Register, most: int
) -> Units:
    """The paper's f₃ for real x in [0, most]: Σ_y G relu(x/G − (N − y)²)/max(y, 1), N given with its square.

    G ≥ most is a power of two. So ‖W₁‖ = O(most^{5/2}) and ‖W₂‖ = O(most); with G inside, ‖W₁‖ would be O(most^{7/2}).
    """
    levels, (n, squared) = np.arange(most + 1), bottom
    size, steps = x.height, most + 1
    gate = 1 << max(most - 1, 0).bit_length()
    reads = (
        (1.0 / gate) * repeat_rows(x, steps)
        - repeat_rows(squared, steps)
        + tile_constants(one, -1.0 * levels**2, size)
    )
    reads = reads + repeat_rows(n, steps).scale_rows(np.tile(2.0 * levels, size))
    weights = np.tile(np.array([Fraction(gate, max(int(y), 1)) for y in levels], dtype=object), size)
    return Units(role, reads, ((to, np.arange(size).repeat(steps), np.arange(size * steps), weights),))


def tile_constants(one: Register, constants: np.ndarray, times: int) -> Link:
    """Rows that hold some constants, the whole list `times` times."""
    return tile(read(one), len(constants) * times).scale_rows(np.tile(np.asarray(constants, float), times))


def _thresholds(one: Register, levels: np.ndarray, times: int) -> Link:
    return tile_constants(one, levels, times)
