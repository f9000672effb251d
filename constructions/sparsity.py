"""Sparse matrices times streams, by slices wherever entries run along a diagonal."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor

Stream = Float[Tensor, "width batch tokens"]
"""Inside this file a stream entry is a row, so that sparse maps act on long contiguous rows."""

Spans = list[tuple[slice, slice]]
"""Where rows go: pairs of slices (stream entries, rows)."""

Move = tuple[Spans, Float[Tensor, "_ batch tokens"]]
"""Rows to be added to the stream."""


def spans(targets: Int[np.ndarray, " rows"]) -> Spans:
    """Where rows go, as pairs of slices (stream entries, rows) of consecutive entries: adding slices saves copies.

    >>> spans(np.array([4, 5, 9]))
    [(slice(4, 6, None), slice(0, 2, None)), (slice(9, 10, None), slice(2, 3, None))]
    """
    breaks = np.flatnonzero(np.diff(targets) != 1) + 1
    starts, stops = [0, *breaks], [*breaks, len(targets)]
    return [
        (slice(int(targets[start]), int(targets[start]) + int(stop - start)), slice(int(start), int(stop)))
        for start, stop in zip(starts, stops, strict=True)
        if stop > start
    ]


def bands(matrix: sparse.csr_array) -> list[tuple[slice, slice, float]]:
    """A matrix as blocks weight · identity: (rows, columns, weight), runs along a diagonal with one weight.

    >>> bands(sparse.csr_array(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])))
    [(slice(0, 2, None), slice(1, 3, None), 2.0)]
    """
    coo = sparse.coo_array(matrix)
    order = np.lexsort((coo.row, coo.col - coo.row))
    rows, columns, weights = coo.row[order], coo.col[order], coo.data[order]
    steps = (np.diff(rows) != 1) | (np.diff(columns) != 1) | (np.diff(weights) != 0)
    edges = [0, *(np.flatnonzero(steps) + 1), len(rows)]
    return [
        (
            slice(int(rows[start]), int(rows[stop - 1]) + 1),
            slice(int(columns[start]), int(columns[stop - 1]) + 1),
            float(weights[start]),
        )
        for start, stop in pairwise(edges)
        if stop > start
    ]


FEW = 4
"""Up to so many bands, adding slices is quicker than a sparse product."""


class Sparse:
    """A sparse matrix times a stream: slice by slice if it has few bands, else by SciPy, quicker than torch's own."""

    def __init__(self, matrix):
        self.matrix = sparse.csr_array(matrix)
        self.height = int(np.shape(matrix)[0])
        self.bands = bands(self.matrix)
        self._placed: dict = {}

    def __call__(self, stream: Stream) -> Float[Tensor, "rows batch tokens"]:
        """Matrix times stream."""
        if len(self.bands) <= FEW:
            product = stream.new_zeros(self.height, *stream.shape[1:])
            for rows, columns, weight in self.bands:
                product[rows].add_(stream[columns], alpha=weight)
            return product
        place = (stream.dtype, stream.device)
        if place not in self._placed:
            self._placed[place] = self._place(stream)
        flat = stream.flatten(1)
        product = self._placed[place] @ (flat.numpy() if stream.device.type == "cpu" else flat)
        return torch.as_tensor(product).unflatten(1, stream.shape[1:])

    def peek(self, stream: Stream) -> Float[Tensor, "rows batch tokens"]:
        """Matrix times stream, as a view of the stream where the matrix only picks consecutive rows."""
        [(rows, columns, weight)] = self.bands if len(self.bands) == 1 else [(slice(0), slice(0), 0.0)]
        picks = weight == 1 and rows == slice(0, self.height)
        return stream[columns] if picks else self(stream)

    def _place(self, stream: Stream):
        values = torch.as_tensor(self.matrix.data).to(stream)
        if stream.device.type == "cpu":
            return sparse.csr_array(
                (values.numpy(), self.matrix.indices, self.matrix.indptr), shape=self.matrix.shape
            )
        indices = (
            torch.as_tensor(part).to(stream.device) for part in (self.matrix.indptr, self.matrix.indices)
        )
        rows, columns = indices
        return torch.sparse_csr_tensor(rows, columns, values, size=self.matrix.shape)


class Rows(Sparse):
    """The nonzero rows of a sparse matrix, and the stream entries to which they belong."""

    def __init__(self, matrix):
        matrix = sparse.csr_array(matrix)
        matrix.eliminate_zeros()
        used = np.flatnonzero(np.diff(matrix.indptr))
        super().__init__(matrix[used])
        self.used, self.targets, self.count = used, spans(used), len(used)
