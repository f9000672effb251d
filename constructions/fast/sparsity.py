"""Sparse matrices times streams, by slices wherever entries run along a diagonal."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor

Stream = Float[Tensor, "width batch tokens"]
"""Inside this file a stream entry is a row, so that sparse maps act on long contiguous rows."""

FEW = 4
"""Up to so many bands, adding slices is quicker than a sparse product; so is a dense one for so many columns, and for so
many tokens a product of matrices is quicker than one entry after the other."""

TINY = 2.0**-500
"""More than underflow takes off the root of a sum of squares."""

SMALL = 2**16
"""Up to so many products, all of them at once are quicker than one entry after the other."""

MANY = 8
"""Above so many slices, rows are added to the stream by their index."""


class Targets:
    """Where rows go: row n is added to stream entry `entries[n]`."""

    def __init__(self, entries: Int[np.ndarray, " rows"]):
        self.entries, self.spans = entries, spans(entries)

    def add(self, stream: Stream, rows: Float[Tensor, "_ batch tokens"], weight: float = 1.0) -> None:
        """Add weighted rows to the stream, slice by slice if there are few: that saves copies."""
        if len(self.spans) == 1:
            stream[self.spans[0][0]].add_(rows, alpha=weight)
        elif len(self.spans) <= MANY:
            for to, part in self.spans:
                stream[to].add_(rows[part], alpha=weight)
        else:
            stream.index_add_(0, torch.as_tensor(self.entries, device=stream.device), rows, alpha=weight)


def spans(targets: Int[np.ndarray, " rows"]) -> list[tuple[slice, slice]]:
    """Where rows go, as pairs of slices (stream entries, rows) of consecutive entries.

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


def bands(matrix: sparse.csr_array, most: int) -> list[tuple[slice, slice, float]] | None:
    """A matrix as blocks weight · identity: (rows, columns, weight), runs along a diagonal with one weight.

    None if there are more than `most`.

    >>> bands(sparse.csr_array(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])), most=1)
    [(slice(0, 2, None), slice(1, 3, None), 2.0)]
    """
    coo = sparse.coo_array(matrix)
    order = np.lexsort((coo.row, coo.col - coo.row))
    rows, columns, weights = coo.row[order], coo.col[order], coo.data[order]
    steps = (np.diff(rows) != 1) | (np.diff(columns) != 1) | (np.diff(weights) != 0)
    edges = [0, *(np.flatnonzero(steps) + 1), len(rows)]
    if len(edges) > most + 1:
        return None
    return [
        (
            slice(int(rows[start]), int(rows[stop - 1]) + 1),
            slice(int(columns[start]), int(columns[stop - 1]) + 1),
            float(weights[start]),
        )
        for start, stop in pairwise(edges)
        if stop > start
    ]


def shape(matrix: sparse.csr_array) -> tuple[int, int]:
    """Rows and columns."""
    rows, width = matrix.shape  # type: ignore[misc]
    return int(rows), int(width)


def edges(matrix: sparse.csr_array) -> Int[np.ndarray, " rows_and_one"]:
    """Where each row's entries begin, and where the last row's end."""
    return np.asarray(matrix.indptr)


def columns(matrix: sparse.csr_array) -> Int[np.ndarray, " entries"]:
    """The column of each entry, row by row."""
    return np.asarray(matrix.indices)


def packed(matrix: sparse.csr_array, rows: int = 1) -> tuple[Callable[[int], bytes], Callable[[int], bytes]]:
    """Two fingerprints of `rows` successive rows, theirs and that of their negative: equal for equal entries only.

    >>> one, other = packed(sparse.csr_array(np.array([[0.0, 2.0], [0.0, -2.0]])))
    >>> one(0) == other(1), one(0) == one(1)
    (True, False)
    """
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    row = np.repeat(np.arange(shape(matrix)[0]) % max(rows, 1), np.diff(edges(matrix)))
    starts = edges(matrix)[:: max(rows, 1)].tolist()
    size, prints = 24, []
    for sign in (1.0, -1.0):
        weights = (sign * matrix.data).astype(np.float64).view(np.int64)
        fields = (row.astype(np.int64), columns(matrix).astype(np.int64), weights)
        prints.append(np.stack(fields, 1).tobytes())

    def prints_of(whole: bytes) -> Callable[[int], bytes]:
        return lambda n: whole[size * starts[n] : size * starts[n + 1]]

    return prints_of(prints[0]), prints_of(prints[1])


def alike(matrix: sparse.csr_array) -> Int[np.ndarray, " rows"]:
    """A number for each row, the same for rows that are equal.

    >>> alike(sparse.csr_array(np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 2.0]]))).tolist() in ([0, 1, 0], [1, 0, 1])
    True
    """
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    counts = np.diff(edges(matrix))
    bits = matrix.data.astype(np.float64).view(np.uint64)
    mixed = columns(matrix).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ bits
    for shift, factor in (
        (30, 0xBF58476D1CE4E5B9),
        (27, 0x94D049BB133111EB),
        (31, 1),
    ):  # Stafford's mix of 64 bits
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    hashes = np.diff(sums[edges(matrix)]) + counts.astype(np.uint64)
    _, first, kinds = np.unique(hashes, return_index=True, return_inverse=True)
    model = first[kinds]  # a hash may lie: compare each row with the first of its kind
    place = np.arange(len(matrix.data)) + np.repeat(edges(matrix)[model] - edges(matrix)[:-1], counts)
    same = (counts == counts[model]).all() and place.size == len(matrix.data)
    if (
        not same
        or (columns(matrix)[place] != columns(matrix)).any()
        or (matrix.data[place] != matrix.data).any()
    ):
        row, _ = packed(matrix)
        _, kinds = np.unique([row(n) for n in range(len(counts))], return_inverse=True)
    return kinds


class Sparse:
    """A sparse matrix times a stream: slice by slice if it has few bands, dense if it has few columns, else by SciPy.

    Where it only picks entries of the stream, all with one weight, `weight` is that and not 1; `span` says where they
    begin and end if they follow one another.
    """

    def __init__(self, matrix):
        self.matrix = sparse.csr_array(matrix)
        self.height = shape(matrix)[0]
        self.bands = bands(self.matrix, FEW)
        self.weight, self.span, self._entries = 1.0, None, None
        if self.bands and len(self.bands) == 1 and self.bands[0][0] == slice(0, self.height):
            _, rows, self.weight = self.bands[0]
            self.span = rows.start, rows.stop
        elif (np.diff(edges(self.matrix)) == 1).all() and len(set(self.matrix.data.tolist())) == 1:
            self.weight = float(self.matrix.data[0])
            self._entries = torch.as_tensor(columns(self.matrix)).long()
        self._read = np.unique(columns(self.matrix))
        self._placed: dict = {}

    def __call__(self, stream: Stream) -> Float[Tensor, "rows batch tokens"]:
        """Matrix times stream."""
        if self.bands is not None:
            (rows, columns, weight), *rest = self.bands or [(slice(0), slice(0), 0.0)]
            if rows != slice(0, self.height):
                product, rest = stream.new_zeros(self.height, *stream.shape[1:]), self.bands
            elif weight == 1 and rest and rest[0][0] == rows:
                (_, others, share), *rest = rest
                product = stream[columns].add(stream[others], alpha=share)
            else:
                product = stream[columns] * weight
            for rows, columns, weight in rest:
                product[rows].add_(stream[columns], alpha=weight)
            return product
        place = (stream.dtype, stream.device)
        if place not in self._placed:
            self._placed[place] = self._narrow(stream) if len(self._read) <= FEW else self._place(stream)
        if len(self._read) <= FEW:
            read, matrix = self._placed[place]
            return (matrix @ stream.index_select(0, read).flatten(1)).view(self.height, *stream.shape[1:])
        flat = stream.flatten(1)
        product = self._placed[place] @ (flat.numpy() if stream.device.type == "cpu" else flat)
        return torch.as_tensor(product).unflatten(1, stream.shape[1:])

    def peek(self, stream: Stream) -> Float[Tensor, "rows batch tokens"]:
        """Matrix times stream, as a view of the stream where the matrix only picks consecutive rows."""
        rows = self.pick(stream)
        return rows if self.weight == 1 else rows * self.weight

    def pick(self, stream: Stream) -> Float[Tensor, "rows batch tokens"]:
        """The same, but for the weight."""
        if self.span is not None:
            return stream[slice(*self.span)]
        return (
            self(stream) if self._entries is None else stream.index_select(0, self._entries.to(stream.device))
        )

    def _narrow(self, stream: Stream) -> tuple[Int[Tensor, " columns"], Float[Tensor, "rows columns"]]:
        """The columns that hold anything, and the matrix of those alone."""
        read = torch.as_tensor(self._read).long().to(stream.device)
        return read, torch.as_tensor(self.matrix[:, self._read].toarray()).to(stream)

    def _place(self, stream: Stream):
        values = torch.as_tensor(self.matrix.data).to(stream)
        if stream.device.type == "cpu":
            return sparse.csr_array(
                (values.numpy(), self.matrix.indices, edges(self.matrix)), shape=self.matrix.shape
            )
        indices = (
            torch.as_tensor(part).to(stream.device) for part in (edges(self.matrix), self.matrix.indices)
        )
        rows, columns = indices
        return torch.sparse_csr_tensor(rows, columns, values, size=self.matrix.shape)


class Rows(Sparse):
    """The nonzero rows of a sparse matrix, and the stream entries to which they belong."""

    def __init__(self, matrix):
        matrix = sparse.csr_array(matrix)
        matrix.eliminate_zeros()
        used = np.flatnonzero(np.diff(edges(matrix)))
        super().__init__(matrix[used])
        self.used, self.targets, self.count = used, Targets(used), len(used)


Move = tuple[Targets, Float[Tensor, "_ batch tokens"], float]
"""Rows to be added to the stream, and their weight."""


def lengths(rows: Float[Tensor, "..."], dim: int) -> Float[Tensor, "..."]:
    """Bounds on ℓ2 norms along a dimension, in float64, exact but for underflow; quicker than torch's own norms."""
    return rows.double().square().sum(dim).sqrt_().add_(TINY)


def contract(
    left: Float[Tensor, "rows rank tokens"], right: Float[Tensor, "columns rank tokens"]
) -> Float[Tensor, "rows columns tokens"]:
    """Products of rows and columns, token by token: as matrices for few tokens, all at once if they are small."""
    if left.shape[2] <= FEW:
        return left.permute(2, 0, 1).bmm(right.permute(2, 1, 0)).permute(1, 2, 0)
    if left.numel() * right.shape[0] <= SMALL:
        return (left[:, None] * right).sum(2)
    found = left[:, None, 0] * right[None, :, 0]
    for n in range(1, left.shape[1]):
        found.addcmul_(left[:, None, n], right[None, :, n])
    return found
