"""Sizes of a transformer in the paper's terms, and the operator norms of sparse matrices that its norm is made of."""

from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.linalg import svds

from constructions.transformer import Layer, Transformer


@dataclass(frozen=True)
class Size:
    """Sizes of a transformer in the paper's terms; heads and hidden are the maxima over layers.

    Attributes:
        layers: L, tied layers counted as often as they run.
        heads: M.
        width: D, the token dimension.
        hidden: D', the number of MLP neurons.
        norm: |||θ||| = max_ℓ {max_m max(‖Q_m‖, ‖K_m‖) + Σ_m ‖V_m‖ + ‖W1‖ + ‖W2‖}, operator norms (eq. tf-norm).
        stored: number of weights kept in memory.
        dense: number of weights of the literal dense form, every layer written out.
    """

    layers: int
    heads: int
    width: int
    hidden: int
    norm: float
    stored: int
    dense: int

    def record(self) -> dict[str, int | float]:
        """As plain numbers."""
        return asdict(self)


def measured(transformer: Transformer) -> Size:
    """L, M, D, D' and |||θ||| of the weights."""
    layers, width = transformer.stored_layers, transformer.width
    dense = 0  # Q, K and V of a head, W1 and W2
    for layer in layers:
        dense += layer.repeat * width * (3 * width * layer.attention.heads + 2 * layer.mlp.first.outputs)
    norm = float(max((sum(layer_norms(layer)) for layer in layers), default=0.0))
    stored = sum(parameter.numel() for parameter in transformer.parameters())
    return Size(**transformer.counts(), norm=norm, stored=stored, dense=dense)


def layer_norms(layer: Layer) -> tuple[float, float, float, float]:
    """Largest ‖Q‖ or ‖K‖, Σ ‖V‖, ‖W1‖ and ‖W2‖: one layer's term of |||θ||| is their sum.

    Padding with zero rows does not change an operator norm, nor do distinct targets.
    """
    scores, values = [0.0], 0.0
    for group in layer.attention.stored_groups:
        scores += [head_norms(part.matrix(), group.count).max() for part in (group.query, group.key)]
        values += head_norms(group.value.matrix(), group.count).sum()
    first, second = (operator_norm(part.matrix()) for part in (layer.mlp.first, layer.mlp.second))
    return float(max(scores)), float(values), first, second


LARGE = 1000
"""From so many rows and columns on, operator norms are found by Lanczos iteration, to about ten digits."""


def operator_norm(matrix: sparse.csr_array) -> float:
    """Largest singular value; empty rows and columns are dropped first."""
    if not matrix.nnz:
        return 0.0
    coo = matrix.tocoo()
    rows, columns = np.unique(coo.row, return_inverse=True)[1], np.unique(coo.col, return_inverse=True)[1]
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    compact = sparse.csr_array((coo.data, (rows, columns)), shape=shape)
    if min(shape) > LARGE:
        start = np.cos(np.arange(min(shape)))  # of no symmetry that could annul it
        largest = svds(compact, k=1, v0=start, return_singular_vectors=False, solver="arpack")
        return float(np.asarray(largest)[0])
    gram = compact @ compact.T if shape[0] <= shape[1] else compact.T @ compact
    return float(np.sqrt(max(np.linalg.eigvalsh(gram.toarray())[-1], 0.0)))


def head_norms(stacked: sparse.csr_array, heads: int) -> Float[np.ndarray, " heads"]:
    """Operator norms of so many matrices of equal height, one below the other.

    Those that differ in the names of their columns only are computed once.
    """
    matrix = stacked.tocoo()
    height = (len(stacked.indptr) - 1) // heads
    head, row = matrix.row // height, matrix.row % height
    order = np.lexsort((matrix.col, head))
    new = np.diff(matrix.col[order], prepend=-1) != 0
    new |= np.diff(head[order], prepend=-1) != 0
    column = np.empty(len(order), np.int64)
    column[order] = np.cumsum(new)
    edges = np.searchsorted(head, np.arange(heads + 1))
    known, norms = {}, np.zeros(heads)
    for number, (start, stop) in enumerate(pairwise(edges)):
        if start == stop:
            continue
        names = column[start:stop] - column[start:stop].min()
        entries = matrix.data[start:stop], (row[start:stop], names)
        print_ = b"|".join(array.tobytes() for array in (entries[0], *entries[1]))
        if print_ not in known:
            known[print_] = operator_norm(sparse.csr_array(entries, shape=(height, names.max() + 1)))
        norms[number] = known[print_]
    return norms
