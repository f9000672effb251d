"""Neurons: relu of a link's rows, added to entries of registers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from constructions.parts.links import Link, read, stack
from constructions.parts.stream import Register


@dataclass(frozen=True, eq=False)
class Units:
    """MLP neurons relu(reads · h); `writes` says with which weights each is added to which register.

    Attributes:
        reads: one row a neuron.
        writes: (register, entry of the register, neuron, weight), the three last as arrays of equal length.
    """

    role: str
    reads: Link
    writes: tuple[tuple[Register, np.ndarray, np.ndarray, np.ndarray], ...]

    def __post_init__(self):
        for register, entries, neurons, weights in self.writes:
            if not len(entries) == len(neurons) == len(weights):
                raise ValueError(f"units {self.role}: wanted arrays of equal length for {register.name}")
            if len(entries) and (max(entries) >= register.size or max(neurons) >= self.reads.height):
                raise ValueError(f"units {self.role}: an index lies outside {register.name} or the neurons")

    @property
    def outline(self) -> "Units":
        """How many neurons there are, what they read and which registers they write, without their weights."""
        none = np.empty(0, int)
        return Units(
            self.role, self.reads.outline, tuple((write[0], none, none, none) for write in self.writes)
        )


def signed_units(role: str, reads: Link, *targets: tuple[Register, float]) -> Units:
    """2n neurons that add `scale · reads` (n rows) to each target register of n entries."""
    entries = np.tile(np.arange(reads.height), 2)
    neurons = np.arange(2 * reads.height)
    signs = np.repeat([1.0, -1.0], reads.height)
    return Units(
        role,
        stack(reads, -reads),
        tuple((register, entries, neurons, scale * signs) for register, scale in targets),
    )


def relu_units(role: str, reads: Link, *targets: tuple[Register, float]) -> Units:
    """Neurons that add `scale · relu(reads)`, n rows, to each target register of n entries."""
    rows = np.arange(reads.height)
    return Units(role, reads, tuple((to, rows, rows, np.full(len(rows), scale)) for to, scale in targets))


def constant_units(role: str, one: Register, *targets: tuple[Register, float]) -> Units:
    """One neuron that adds a constant to all entries of each target register."""
    entries = [np.arange(to.size) for to, _ in targets]
    writes = [(to, all, 0 * all, np.full(to.size, x)) for (to, x), all in zip(targets, entries, strict=True)]
    return Units(role, read(one), tuple(writes))


def joined(role: str, *groups: Units) -> Units:
    """Several groups of neurons as one."""
    offsets = np.cumsum([0, *(group.reads.height for group in groups)])
    writes = tuple(
        (to, entries, neurons + offset, weights)
        for group, offset in zip(groups, offsets[:-1], strict=True)
        for to, entries, neurons, weights in group.writes
    )
    return Units(role, stack(*(group.reads for group in groups)), writes)


def matrix_units(
    role: str, of: Register, one: Register, to: Register, matrix: Float[np.ndarray, "m n"], lift: float
) -> Units:
    """Neurons that add a matrix times each vector of a register, of entries ≥ 0, to those of another, and a constant."""
    height, width = matrix.shape
    vector, row, column = (x.ravel() for x in np.indices((to.size // height, height, width)))
    entries, last = np.arange(to.size), np.full(to.size, of.size)
    writes = (to, vector * height + row, vector * width + column, matrix[row, column])
    return Units(role, stack(read(of), read(one)), (writes, (to, entries, last, np.full(to.size, lift))))
