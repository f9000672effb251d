"""The MLP in balls: neurons by their definition, many at once where they read one entry of the stream.

signed pair   neurons that read and write opposite things: relu(z) − relu(−z) = z
look-up       neurons relu(a u + t) of one entry u, sorted by the knot −t/a: those that are certainly on are the first so
              many, and add up to u Σ w a + Σ w t, sums that are known beforehand
other         everything else
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy import sparse

from constructions.fast.neurons import opposites
from constructions.fast.sparsity import edges, shape
from verify.balls.arrays import EPSILON, TINY, ZERO, Balls, Matrix, balls, precision, relu
from verify.balls.heads import BallStream

KNOTS = 8
"""So many neurons at least make a look-up."""

FARTHEST = 1e300
"""Knots beyond are taken for it: no entry below a clip radius comes near."""
PLENTY = 2**12
"""So many bits, sums of products of float64 are exact or nearly so."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Σ_n w_n relu(a_n u + t_n) with all a_n > 0, knots in order; as a function of −u if it is `mirrored`.

    Attributes:
        low, high: bounds on the knots in float64, in order.
        slopes, offsets: Σ w a and Σ w t over the first so many, from none to all.
        terms: a, t and w, as balls.
    """

    low: Float[np.ndarray, " knots"]
    high: Float[np.ndarray, " knots"]
    slopes: Balls
    offsets: Balls
    terms: tuple[Balls, Balls, Balls]

    @classmethod
    def of(cls, slope: np.ndarray, threshold: np.ndarray, weight: np.ndarray) -> "Curve":
        """From numbers of float64."""
        with np.errstate(over="ignore"):
            knots = np.clip(-threshold / slope, -FARTHEST, FARTHEST)
        order = np.argsort(knots, kind="stable")
        knots = knots[order]
        room = np.abs(knots) * 2 * EPSILON + TINY  # rounding of the quotient and of the next lines
        a, t, w = (balls(part[order]) for part in (slope, threshold, weight))
        with precision(PLENTY):  # whatever the precision at which they are used
            slopes, offsets = (np.add.accumulate(np.concatenate([balls([0]), w * part])) for part in (a, t))
        return cls(knots - room, knots + room, slopes, offsets, (a, t, w))

    def __call__(self, ball, low: float, high: float):
        """Its value at a ball that lies between two numbers."""
        surely = int(np.searchsorted(self.high, low, side="right"))
        perhaps = int(np.searchsorted(self.low, high, side="left"))
        found = ball * self.slopes[surely] + self.offsets[surely]
        for a, t, w in zip(*(part[surely:perhaps] for part in self.terms), strict=True):
            found += w * (a * ball + t).nonnegative_part()
        return found


@dataclass(frozen=True, eq=False)
class Neurons:
    """The MLP of one layer.

    Attributes:
        paired: what opposite pairs read, and what they write.
        curves: the functions of entries: (entry read, entry written, sign of u, curve).
        other: what the other neurons read, and what they write.
    """

    paired: tuple[Matrix, Matrix]
    curves: list[tuple[int, int, float, Curve]]
    other: tuple[Matrix, Matrix]

    def __call__(self, stream: BallStream) -> None:
        """The MLP layer, residual included."""
        now, moves = stream.now, []
        for (first, second), act in ((self.paired, lambda z: z), (self.other, relu)):
            if first.height:
                moves.append((second.used, second(np.asarray(act(first(now))))[second.used]))
        if self.curves:
            moves.append(self._look_up(stream, now))
        for rows, moved in moves:
            stream.add(rows, moved)

    def _look_up(self, stream: BallStream, now: Balls) -> tuple[np.ndarray, Balls]:
        targets = np.unique([target for _, target, _, _ in self.curves])
        found = np.full((len(targets), now.shape[1]), ZERO, dtype=object)
        middle, reach = stream.own
        low, high = middle - reach, middle + reach
        low, high = low - np.abs(low) * EPSILON, high + np.abs(high) * EPSILON  # rounding of the difference
        for entry, target, sign, curve in self.curves:
            row = found[np.searchsorted(targets, target)]
            for n, ball in enumerate(now[entry]):
                ends = (low[entry, n], high[entry, n]) if sign > 0 else (-high[entry, n], -low[entry, n])
                row[n] += curve(ball if sign > 0 else -ball, *ends)
        return targets, found


def file_neurons(first: sparse.csr_array, second: sparse.csr_array, one: int | None) -> Neurons:
    """File the neurons of an MLP.

    Args:
        first: W1, shape (neurons, D).
        second: W2 transposed, shape (neurons, D).
        one: the stream entry that always holds 1, if there is one.
    """
    speaks = (np.diff(edges(second)) > 0) & (np.diff(edges(first)) > 0)
    pairs = opposites(first, second, speaks)
    leaders = [earlier for earlier, _ in pairs]
    speaks[np.array(pairs, dtype=np.int64).ravel()] = False
    curves = _curves(first, second, speaks, one)
    rest = np.flatnonzero(speaks)

    def part(members) -> tuple[Matrix, Matrix]:
        return Matrix(first[members]), Matrix(sparse.csr_array(second[members].T))

    return Neurons(part(leaders), curves, part(rest))


def _curves(
    first: sparse.csr_array, second: sparse.csr_array, speaks: np.ndarray, one: int | None
) -> list[tuple[int, int, float, Curve]]:
    """Look-ups; their neurons no longer count among those that speak."""
    if one is None:
        return []
    coo = first.tocoo()
    off = coo.col != one
    threshold, slope, entry = np.zeros((3, shape(first)[0]))
    alone = np.bincount(coo.row[off], minlength=len(speaks)) == 1
    threshold[coo.row[~off]] = coo.data[~off]
    slope[coo.row[off]], entry[coo.row[off]] = coo.data[off], coo.col[off]
    crowd = np.where(speaks & alone, 2 * entry + (slope > 0), -1).astype(np.int64)
    crowd[np.bincount(crowd + 1)[crowd + 1] < KNOTS] = -1
    speaks[crowd >= 0] = False
    writes = second.tocoo()
    order = np.lexsort((writes.row, writes.col, crowd[writes.row]))
    order = order[crowd[writes.row[order]] >= 0]
    units, targets, weights = writes.row[order], writes.col[order], writes.data[order]
    changes = (np.diff(crowd[units], prepend=-1) != 0) | (np.diff(targets, prepend=-1) != 0)
    known, found = {}, []
    for start, stop in pairwise([*np.flatnonzero(changes).tolist(), len(order)]):
        chosen = units[start:stop]
        parts = np.abs(slope[chosen]), threshold[chosen], weights[start:stop]
        print_ = b"|".join(part.tobytes() for part in parts)
        if print_ not in known:
            known[print_] = Curve.of(*parts)
        number = int(crowd[chosen[0]])
        found.append((number // 2, int(targets[start]), 1.0 if number % 2 else -1.0, known[print_]))
    return found
