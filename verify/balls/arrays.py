"""Arrays of balls: real numbers known up to a radius, each operation rounded outwards (python-flint's `arb`).

Arrays are NumPy's, of objects: sums and products are those of the balls. Precision is flint's own setting, changed for a
while by `precision`.
"""

from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import sparse

from constructions.fast.sparsity import columns, edges, shape
from constructions.rounding import outward

ZERO = arb(0)
EPSILON = 2.0**-52
"""Twice the unit roundoff of float64."""
ACCURATE = 64
"""Balls of so many bits are wider than float64's rounding by next to nothing."""
TINY = 1e-300
"""More than underflow takes off any sum here."""

Balls = NDArray[np.object_]
"""An array of balls."""

relu = np.frompyfunc(arb.nonnegative_part, 1, 1)
"""The part of a ball that is ≥ 0, and 0 where there is none."""
_convert, _middle = np.frompyfunc(arb, 1, 1), np.frompyfunc(float, 1, 1)
_accuracy = np.frompyfunc(arb.rel_accuracy_bits, 1, 1)
_nothing = np.frompyfunc(arb.is_zero, 1, 1)


class ImpreciseError(ValueError):
    """So many bits do not decide what has to be decided; more may."""


precision = outward.balls
"""So many bits for everything inside."""


def balls(values: Any) -> Balls:
    """Numbers of float64 as balls of radius 0."""
    values = np.asarray(values, dtype=np.float64)
    found = np.full(values.shape, ZERO, dtype=object)
    some = values != 0
    found[some] = _convert(values[some].astype(object))
    return found


def floats(values: Balls) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Midpoints in float64, and for each ball how far it reaches from there at most."""
    middle = np.asarray(_middle(values), dtype=np.float64)
    reach = np.abs(middle) * EPSILON + TINY  # 2⁻⁵³ for the midpoint, at most 2⁻⁶³ for the radius
    for place in zip(*np.nonzero(np.asarray(_accuracy(values)) < ACCURATE), strict=True):
        ball: Any = values[place]
        reach[place] += float(ball.rad()) * (1 + 2 * EPSILON)
    whole = (middle == np.rint(middle)) & (np.abs(middle) < 2**53)
    reach[whole] = np.where([ball.is_integer() for ball in values[whole]], 0.0, reach[whole])
    return middle, reach


class Matrix:
    """A sparse matrix of float64 that acts on balls."""

    def __init__(self, matrix: sparse.csr_array):
        self.matrix, self.height = matrix, shape(matrix)[0]
        self.reads = np.unique(columns(matrix))
        self.narrow = sparse.csr_array(matrix[:, self.reads])
        self.used = np.flatnonzero(np.diff(edges(matrix)))
        self._rows = np.repeat(np.arange(self.height), np.diff(edges(matrix)))
        self._odd, self._weights = matrix.data != 1, balls(matrix.data)

    def __call__(self, stream: Balls, tokens: Int[np.ndarray, " wanted"] | None = None) -> Balls:
        """Matrix times stream, or times some of its tokens."""
        wanted = stream.shape[1] if tokens is None else len(tokens)
        reads = columns(self.matrix)
        terms = stream[reads] if tokens is None else stream[np.ix_(reads, tokens)]
        entries, places = np.nonzero(~np.asarray(_nothing(terms), dtype=bool))  # zeros add nothing
        values, odd = terms[entries, places], self._odd[entries]
        values[odd] = values[odd] * self._weights[entries[odd]]
        return spread(self._rows[entries], places, values, (self.height, wanted))

    def floats(
        self, middle: Float[np.ndarray, "reads tokens"], reach: Float[np.ndarray, "reads tokens"]
    ) -> tuple[Float[np.ndarray, "rows tokens"], Float[np.ndarray, "rows tokens"]]:
        """The same in float64 for entries read within `reach` of `middle`, and how far the product may be off."""
        size = abs(self.narrow)
        terms = np.diff(edges(self.matrix))[:, None]
        slack = size @ (reach + (terms.max(initial=0) + 2) * EPSILON * np.abs(middle))
        return self.narrow @ middle, slack * (1 + (terms + 2) * EPSILON) + TINY


def spread(rows: np.ndarray, tokens: np.ndarray, values: Balls, shape: tuple[int, int]) -> Balls:
    """Values summed up by row and token."""
    found = np.full(shape, ZERO, dtype=object)
    if len(values):
        place = rows * shape[1] + tokens
        order = np.argsort(place, kind="stable")
        starts = np.flatnonzero(np.diff(place[order], prepend=-1))
        found.ravel()[place[order][starts]] = np.add.reduceat(values[order], starts)
    return found


def log_softmax(scores: Balls) -> Balls:
    """Log-softmax over the last axis."""
    rows = np.empty(scores.shape, dtype=object)
    for place in np.ndindex(scores.shape[:-1]):
        most = arb(max(float(score) for score in scores[place]))
        total = sum(((score - most).exp() for score in scores[place]), start=arb(0))
        rows[place] = scores[place] - (most + total.log())
    return rows
