"""Leaving out what nobody asks for: heads and neurons on which no wanted stream entry depends."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy import sparse

from constructions.fast.sparsity import columns, edges, shape
from constructions.transformer import Layer

Columns = Bool[np.ndarray, " width"]
"""A set of stream entries."""


@dataclass
class HeadWeights:
    """The heads of one group as SciPy matrices, rows head by head."""

    query: sparse.csr_array
    key: sparse.csr_array
    value: sparse.csr_array
    targets: Int[np.ndarray, " rows"]
    count: int


@dataclass
class LayerWeights:
    """One stored layer as SciPy matrices; `second` is W2 transposed, one row a neuron."""

    heads: list[HeadWeights]
    first: sparse.csr_array
    second: sparse.csr_array
    repeat: int

    @classmethod
    def of(cls, layer: Layer) -> "LayerWeights":
        """The weights as they are now."""
        heads = [
            HeadWeights(
                group.query.matrix(),
                group.key.matrix(),
                group.value.matrix(),
                group.targets.numpy(force=True),
                group.count,
            )
            for group in layer.attention.stored_groups
        ]
        return cls(heads, layer.mlp.first.matrix(), layer.mlp.second.matrix().T.tocsr(), layer.repeat)

    @property
    def written(self) -> Columns:
        """The stream entries that the layer writes."""
        found = np.zeros(shape(self.first)[1], dtype=bool)
        found[columns(self.second)] = True
        for heads in self.heads:
            found[heads.targets[np.diff(edges(heads.value)) > 0]] = True
        return found


def prune(layers: list[LayerWeights], wanted: slice | Int[np.ndarray, " entries"]) -> None:
    """Drop, in place, every weight of a value or of W2 that leads nowhere."""
    live = np.zeros(shape(layers[0].first)[1] if layers else 0, dtype=bool)
    live[wanted] = True
    for layer in reversed(layers):
        if live.all():
            return
        while True:
            middle = live | _read(layer.first, abs(layer.second) @ live > 0)
            before = middle.copy()
            for heads in layer.heads:
                lively = (np.diff(edges(heads.value)) > 0) & middle[heads.targets]
                head = lively.reshape(heads.count, -1).any(1)
                for part in (heads.query, heads.key, heads.value):
                    before |= _read(part, np.repeat(head, shape(part)[0] // heads.count))
            if layer.repeat == 1 or not (before & ~live).any():
                break
            live = live | before
        layer.second.data[~live[columns(layer.second)]] = 0.0
        layer.second.eliminate_zeros()
        for heads in layer.heads:
            heads.value.data[np.repeat(~middle[heads.targets], np.diff(edges(heads.value)))] = 0.0
            heads.value.eliminate_zeros()
        live = before


def _read(matrix: sparse.csr_array, rows: Bool[np.ndarray, " rows"]) -> Columns:
    """The columns that some rows of a matrix read."""
    found = np.zeros(shape(matrix)[1], dtype=bool)
    found[columns(matrix)[np.repeat(rows, np.diff(edges(matrix)))]] = True
    return found
