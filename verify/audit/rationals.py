"""Rows of numbers in exact arithmetic.

Rows whose numbers are all integers, and products of them with weights that are multiples of 2⁻²⁰, are held in float64 as
long as no sum can reach 2³³: it is exact for them. Everything else is computed as rationals.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import numpy as np
from flint import fmpq
from jaxtyping import Float
from scipy import sparse

from constructions.fast.sparsity import columns, edges, shape

FINEST = 2.0**20
"""Numbers held in float64 are multiples of 1/FINEST."""

SAFE = 2.0**53 / FINEST
"""Below this, sums of such numbers are exact."""


@dataclass
class Numbers:
    """Rows of numbers, one a token: integers (or multiples of 2⁻²⁰) in float64, or rationals.

    Attributes:
        integers: shape (rows, tokens); rows that are rational are meaningless here.
        rationals: the other rows, by number.
    """

    integers: Float[np.ndarray, "rows tokens"]
    rationals: dict[int, np.ndarray] = field(default_factory=dict)

    def row(self, number: int) -> np.ndarray:
        """One row as exact objects."""
        if number in self.rationals:
            return self.rationals[number]
        return np.array([rational(x) for x in self.integers[number].tolist()], dtype=object)

    def put(self, number: int, values: np.ndarray) -> None:
        """Store a row of exact objects, as integers if they are."""
        whole = [int(x.p) for x in values if x.q == 1]
        if len(whole) == len(values) and max(map(abs, whole), default=0) < SAFE:
            self.integers[number] = whole
            self.rationals.pop(number, None)
        else:
            self.rationals[number] = values

    def whole(self) -> np.ndarray:
        """Which rows are integers."""
        found = np.ones(len(self.integers), dtype=bool)
        found[list(self.rationals)] = False
        return found

    def floats(self) -> Float[np.ndarray, "rows tokens"]:
        """Everything rounded to float64."""
        found = self.integers.copy()
        for number, values in self.rationals.items():
            found[number] = [int(x.p) / int(x.q) for x in values]  # of integers: rounded once
        return found

    def times(self, matrix: sparse.csr_array, exact: np.ndarray | None = None) -> "Numbers":
        """A matrix times the rows; `exact` are its entries in order, where they are not floats."""
        matrix = sparse.csr_array(matrix)
        weights = matrix.data if exact is None else exact
        scaled = matrix.data * FINEST
        plain = exact is None and bool((scaled == np.rint(scaled)).all())
        whole = self.whole()
        largest = np.abs(self.integers).max(1, initial=0.0) * whole
        safe = np.zeros(shape(matrix)[0], dtype=bool)
        if plain:
            safe = (abs(matrix) @ largest < SAFE) & (abs(matrix) @ (~whole).astype(float) == 0)
        product = Numbers(matrix @ (self.integers * whole[:, None]))
        for number in np.flatnonzero(~safe):
            inside = slice(edges(matrix)[number], edges(matrix)[number + 1])
            total = np.array([fmpq(0)] * self.integers.shape[1], dtype=object)
            for column, weight in zip(columns(matrix)[inside], weights[inside], strict=True):
                total = total + self.row(int(column)) * rational(weight)
            product.put(int(number), total)
        return product


@lru_cache(2**16)  # most are 0, 1 and a few weights
def rational(number: float | Fraction) -> fmpq:
    """A float or fraction as an exact rational."""
    return fmpq(*number.as_integer_ratio())
