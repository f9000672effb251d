"""What stands where in a transformer: layers, families of heads and neurons, the blocks they belong to, their norms.

Every register is written by one block, so that what a head or a neuron writes says whose it is.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int
from scipy import sparse

from constructions.anatomy.formulas import Entries, Form, Score, formula, kind_of, score
from constructions.parts.block import Block, Head, Units
from constructions.sizes import layer_norms
from constructions.transformer import Layer, Transformer


@dataclass(frozen=True, eq=False)
class Family:
    """Heads alike, side by side.

    Attributes:
        block: the number of the block they belong to.
        role: what they are for, in the block's words.
        kind: what their score does: one of `formulas.KINDS`.
        place: number of the first head within its layer, in the order of the dense form.
        query, key: one head's rows under the other's, shape (count · rank, D).
        value: shape (count · span, D).
        targets: the stream entry to which each row of the value is added.
        count: number of heads.
        rank, span: rows of the query and of the value, of each head.
        form: the stream, as formulas name it.
    """

    block: int
    role: str
    kind: str
    place: int
    query: sparse.csr_array
    key: sparse.csr_array
    value: sparse.csr_array
    targets: Int[np.ndarray, " rows"]
    count: int
    rank: int
    span: int
    form: Form

    def entries(self, part: str, head: int) -> Entries:
        """One head's "query", "key" or "value": row within the head, column, weight."""
        height = self.span if part == "value" else self.rank
        own = getattr(self, part)[head * height : (head + 1) * height].tocoo()
        return list(zip(own.row.tolist(), own.col.tolist(), own.data.tolist(), strict=True))

    def score(self, head: int) -> Score:
        """The score of one head, multiplied out."""
        return score(self.form, self.entries("query", head), self.entries("key", head))

    def added(self, head: int) -> Entries:
        """One head's value: stream entry that is written, stream entry that is read, weight."""
        targets = self.targets[head * self.span : (head + 1) * self.span].tolist()
        return [(targets[row], column, weight) for row, column, weight in self.entries("value", head)]

    def formula(self, head: int) -> str:
        """What one head adds to what."""
        return formula(self.form, self.score(head), self.added(head), self.kind == "average")

    @property
    def formulas(self) -> tuple[str, ...]:
        """What each head adds to what."""
        return tuple(self.formula(head) for head in range(self.count))


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons alike: `first` of shape (count, D), `second` of shape (D, count); `place` is the number of the first one."""

    block: int
    role: str
    place: int
    count: int
    first: sparse.csr_array
    second: sparse.csr_array


@dataclass(frozen=True, eq=False)
class View:
    """One stored layer.

    Attributes:
        first: number of the first layer, from 1, in the order in which they run.
        repeat: how often it runs in succession.
        families: its heads.
        neurons: its neurons.
        reads, writes: names of registers, in the order of the stream.
        layer: its weights.
    """

    first: int
    repeat: int
    families: tuple[Family, ...]
    neurons: tuple[Neurons, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    layer: Layer

    @property
    def norms(self) -> tuple[float, float, float, float]:
        """Largest ‖Q‖ or ‖K‖, Σ ‖V‖, ‖W1‖ and ‖W2‖; their sum is the layer's share of |||θ|||."""
        return layer_norms(self.layer)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Numbers of the blocks at work, in order."""
        return tuple(sorted({part.block for part in (*self.families, *self.neurons)}))


Place = tuple[int, Block, int]
"""Number of a block, the block, and the number of one of its steps."""


def layers(transformer: Transformer, form: Form, blocks: Sequence[Block]) -> tuple[View, ...]:
    """All stored layers, in order, of blocks or their outlines.

    Raises:
        ValueError: if the blocks do not account for every head and neuron.
    """
    first, found = 1, []
    writers = [set(form.names(_written(layer))) for layer in transformer.stored_layers]
    placed = _placed(blocks, writers)
    for number, layer in enumerate(transformer.stored_layers):
        found.append(_view(form, layer, placed.get(number, []), number, first))
        first += layer.repeat
    return tuple(found)


def _written(layer: Layer) -> np.ndarray:
    targets = [group.targets.numpy(force=True) for group in layer.attention.stored_groups]
    return np.unique(np.concatenate([layer.mlp.second.rows.numpy(force=True), *targets]))


def _read(layer: Layer) -> np.ndarray:
    parts = [
        part for group in layer.attention.stored_groups for part in (group.query, group.key, group.value)
    ]
    return np.unique(np.concatenate([part.columns.numpy(force=True) for part in (*parts, layer.mlp.first)]))


def _placed(blocks: Sequence[Block], writers: list[set[str]]) -> dict[int, list[Place]]:
    """Which steps of which blocks each stored layer holds."""
    placed: dict[int, list[Place]] = {}
    for number, block in enumerate(blocks):
        begins = next(layer for layer, names in enumerate(writers) if names & block.writes)
        idle = next(n for n, step in enumerate(block.steps) if step.heads or step.units)
        for step in range(len(block.steps)):
            placed.setdefault(begins - idle + step, []).append((number, block, step))
    return placed


def _view(form: Form, layer: Layer, placed: list[Place], number: int, first: int) -> View:
    names = [(index, head) for index, block, step in placed for head in block.steps[step].heads]
    units = [(index, group) for index, block, step in placed for group in block.steps[step].units]
    counted = sum(head.count for _, head in names), sum(group.reads.height for _, group in units)
    held = layer.attention.heads, layer.mlp.first.outputs
    if counted != held:
        raise ValueError(
            f"stored layer {number}: wanted blocks with {held[0]} heads and {held[1]} neurons, got {counted}"
        )
    return View(
        first,
        layer.repeat,
        tuple(_families(form, layer, names)),
        tuple(_neurons(layer, units)),
        form.names(_read(layer)),
        form.names(_written(layer)),
        layer,
    )


def _families(form: Form, layer: Layer, names: list[tuple[int, Head]]) -> Iterator[Family]:
    """Heads stand in groups of one shape, within a group in the order of the blocks."""
    queues: dict[tuple[int, int], list[tuple[int, Head]]] = {}
    for index, head in names:
        shape = head.query.height // head.count, head.value.height // head.count
        queues.setdefault(shape, []).append((index, head))
    place = 0
    for group in layer.attention.stored_groups:
        maps = (group.query, group.key, group.value)
        rank, _, span = (part.outputs // group.count for part in maps)
        query, key, value = (part.matrix() for part in maps)
        targets, start = group.targets.numpy(force=True), 0
        for index, head in queues[rank, span]:
            stop = start + head.count
            scores, rows = slice(start * rank, stop * rank), slice(start * span, stop * span)
            own = query[scores], key[scores], value[rows], targets[rows], head.count, rank, span, form
            family = Family(index, head.role, "", place, *own)
            kind = kind_of(family.score(0), form.longest) if head.attention == "relu" else "average"
            yield replace(family, kind=kind)
            start, place = stop, place + head.count


def _neurons(layer: Layer, units: list[tuple[int, Units]]) -> Iterator[Neurons]:
    first, second = layer.mlp.first.matrix(), layer.mlp.second.matrix().tocsc()
    place = 0
    for index, group in units:
        stop = place + group.reads.height
        yield Neurons(
            index, group.role, place, group.reads.height, first[place:stop], second[:, place:stop].tocsr()
        )
        place = stop


def said(block: Block) -> str:
    """What the function that made a block says of itself: its docstring, "" if it has none.

    >>> from constructions import linucb
    >>> said(linucb.build(linucb.Spec(dim=2, actions=2, horizon=3, error=0.5)).blocks[2]).splitlines()[0]
    'Inner products of registers of the token itself.'
    """
    maker: Any = inspect.getmodule(block.truth)
    for name in getattr(block.truth, "__qualname__", "").partition(".<locals>")[0].split("."):
        maker = getattr(maker, name, None)
    return inspect.getdoc(maker) or "" if maker is not None else ""


def span(views: Sequence[View], block: int) -> tuple[int, int]:
    """The first and the last layer, from 1, in which a block is at work."""
    own = [view for view in views if block in view.blocks]
    return own[0].first, own[-1].first + own[-1].repeat - 1
