"""Softmax attention in balls, by its definition: every score, every exponential, every sum."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat

from constructions.fast.pruning import HeadWeights
from verify.balls.arrays import ZERO, Balls, Matrix
from verify.balls.heads import BallStream


@dataclass(frozen=True, eq=False)
class Softmax:
    """Heads: h_i[targets] += Σ_{j≤i} softmax_{j≤i}(⟨query h_i, key h_j⟩) value h_j."""

    query: Matrix
    key: Matrix
    value: Matrix
    targets: np.ndarray
    heads: int

    @classmethod
    def of(cls, weights: HeadWeights) -> "Softmax":
        """The heads of one group of weights."""
        query, key, value = (Matrix(part) for part in (weights.query, weights.key, weights.value))
        return cls(query, key, value, weights.targets, weights.count)

    def __call__(self, stream: BallStream) -> tuple[np.ndarray, Balls]:
        """Stream entries, and what is added to them; an entry may be named more than once."""
        for part in (self.key, self.value):
            stream.fresh(part)
        query = self._split(self.query, stream.now)
        key, value = (self._split(part, stream.values) for part in (self.key, self.value))
        moved = [_moved(query[n], key[n], value[n], stream.at) for n in range(self.heads)]
        return self.targets, np.concatenate(moved)

    def _split(self, part: Matrix, values: Balls) -> Balls:
        """What a matrix reads, shape (heads, rows of each, tokens)."""
        return part(values).reshape(self.heads, part.height // self.heads, -1)


def _moved(query: Balls, key: Balls, value: Balls, at: np.ndarray) -> Balls:
    """What one head moves to the tokens `at`, shape (span, wanted)."""
    (asked, which), (keys, place) = _distinct(query), _distinct(key)
    weights = [_exponentials(row) for row in (_mat(asked.T) * _mat(keys)).tolist()]
    shares = np.full((len(place), len(at)), ZERO, dtype=object)
    for n, (row, i) in enumerate(zip(which, at, strict=True)):
        shares[: i + 1, n] = weights[row][place[: i + 1]]
    ones = np.full((1, len(place)), arb(1), dtype=object)
    product: Any = _mat(np.concatenate([value, ones])) * _mat(shares)
    found = np.array(product.tolist(), dtype=object)
    return found[:-1] / found[-1]


def _exponentials(scores: list[arb]) -> Balls:
    """exp(score − the largest), which are the weights but for a factor."""
    most = arb(max(float(score) for score in scores))
    found = np.empty(len(scores), dtype=object)
    found[:] = [(score - most).exp() for score in scores]
    return found


def _mat(values: Balls) -> arb_mat:
    height, width = values.shape
    return arb_mat(height, width, values.ravel().tolist())


def _distinct(rows: Balls) -> tuple[Balls, np.ndarray]:
    """Columns, those that are the same numbers of float64 once, and which of them stands where."""
    known: dict[Any, int] = {}
    which, first = [], []
    for n, column in enumerate(rows.T):
        middle = tuple(map(float, column))
        exact = all(ball.is_exact() and ball == x for ball, x in zip(column, middle, strict=True))
        name = middle if exact else n
        if name not in known:
            known[name] = len(first)
            first.append(n)
        which.append(known[name])
    return rows[:, first], np.array(which, dtype=np.int64)
