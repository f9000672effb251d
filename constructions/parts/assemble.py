"""Blocks into layers: the only place where registers become matrix indices.

Blocks of one stage run side by side in the same layers; stages follow one another. Where a stage ends on heads alone
and the next begins with units alone, the two share a layer (attention first, then MLP), as the paper counts.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np

from constructions.parts.block import Block, Head, Step, Units
from constructions.parts.links import Link, stack
from constructions.parts.stream import Stream
from constructions.rounding.outward import power_of_two
from constructions.softmax.attention import softmax_shares
from constructions.transformer import MLP, Attention, Heads, Layer, SparseMap, Transformer, relu_shares

Stage = Sequence[Block]

ATTENTIONS = {"relu": relu_shares, "softmax": softmax_shares}
"""The word for each attention."""


def assemble(
    stream: Stream,
    inputs: frozenset[str],
    stages: Sequence[Stage],
    clip_radius: float,
    attention: str = "relu",
) -> Transformer:
    """The transformer that runs the stages in order.

    Args:
        stream: the registers.
        inputs: names of the registers that tokens fill; all others start at zero.
        stages: blocks in order, those of one stage side by side.
        clip_radius: R of TF^R.
        attention: "relu" or "softmax".

    Raises:
        ValueError: if a block reads what nobody wrote before it, or writes what another block writes.
    """
    return transformer(arranged(stream, inputs, stages), stream.width, clip_radius, attention)


def arranged(stream: Stream, inputs: frozenset[str], stages: Sequence[Stage]) -> list[tuple[Step, int]]:
    """What stands in each layer, and how often it runs; arguments and errors as for `assemble`."""
    check(stream, inputs, stages)
    runs: list[tuple[Step, int]] = []
    for stage in stages:
        for step, repeat in _side_by_side(stage):
            joins = runs and repeat == runs[-1][1] == 1 and not step.heads and not runs[-1][0].units
            if joins:
                step = Step(runs.pop()[0].heads, step.units)
            runs.append((step, repeat))
    return runs


def transformer(
    runs: list[tuple[Step, int]], width: int, clip_radius: float, attention: str = "relu"
) -> Transformer:
    """Weights, layer by layer; `runs` is used up, so that what nobody else holds is freed as its weights are there.

    Raises:
        ValueError: if a head was made for another attention.
    """
    runs.reverse()
    return Transformer([_layer(*runs.pop(), width, attention) for _ in range(len(runs))], width, clip_radius)


def clip_radius(inputs: Sequence[float], blocks: Sequence[Block], room: float = 2.0) -> float:
    """A power of two above the norm of every token at every layer: of the inputs' norms and of all that blocks write.

    It is `room` times the least there is.
    """
    norm = math.hypot(*inputs, *(block.promise.magnitude for block in blocks))
    return room * power_of_two(norm)


def check(stream: Stream, inputs: frozenset[str], stages: Sequence[Stage]) -> None:
    """Reject unknown registers, reads before any write and registers with two writers.

    A block may read a register of its own before it has written it: that is scratch which starts at zero.
    """
    known, available, written = set(stream.registers), set(inputs), set(inputs)
    for stage in stages:
        for block in stage:
            if unknown := (block.reads | block.writes) - known:
                raise ValueError(
                    f"{block.name}: wanted registers of the stream, got {', '.join(sorted(unknown))}"
                )
            _check_places(stream, block)
            if missing := block.reads - block.writes - available:
                raise ValueError(
                    f"{block.name}: reads {', '.join(sorted(missing))} before any block has written it"
                )
            if taken := block.writes & written:
                raise ValueError(
                    f"{block.name}: writes {', '.join(sorted(taken))}, which another writes already"
                )
            written |= block.writes
        available |= set().union(*(block.writes for block in stage))


def _check_places(stream: Stream, block: Block) -> None:
    """Links and targets must lie where this stream has the registers they name."""

    @cache
    def places(names: frozenset[str]) -> np.ndarray:
        """Which entries of the stream are those of some registers."""
        found = np.zeros(stream.width + 1, dtype=bool)  # the last for all that lie beyond
        for name in names:
            found[stream[name].slice] = True
        return found

    def inside(entries, names: frozenset[str]) -> bool:
        return bool(places(names)[np.minimum(entries, stream.width)].all())

    heads = [head for step in block.steps for head in step.heads]
    units = [group for step in block.steps for group in step.units]
    links = [link for head in heads for link in (head.query, head.key, head.value)] + [
        group.reads for group in units
    ]
    targets = [to for head in heads for to in head.registers] + [
        register for group in units for register, *_ in group.writes
    ]
    wrong = [sorted(link.reads) for link in links if not inside(link.columns, link.reads)]
    wrong += [
        [to.name]
        for to in targets
        if not inside(np.arange(to.start, to.start + to.size), frozenset({to.name}))
    ]
    if wrong:
        raise ValueError(
            f"{block.name}: wanted registers of the stream, got {', '.join(wrong[0])} of another one"
        )


def _side_by_side(stage: Stage) -> list[tuple[Step, int]]:
    """The steps of a stage's blocks, layer by layer, with how often each runs."""
    shapes = {(len(block.steps), block.repeat) for block in stage}
    if len(shapes) != 1:
        raise ValueError(f"stage: wanted blocks of equal steps and repeats, got {sorted(shapes)}")
    [(length, repeat)] = shapes
    if repeat > 1 and length > 1:
        raise ValueError(f"stage: wanted repeated blocks of one layer, got {length} layers")
    return [
        (
            Step(
                tuple(head for block in stage for head in block.steps[n].heads),
                tuple(units for block in stage for units in block.steps[n].units),
            ),
            repeat,
        )
        for n in range(length)
    ]


def _layer(step: Step, repeat: int, width: int, attention: str) -> Layer:
    return Layer(_attention(step.heads, width, attention), _mlp(step.units, width), repeat)


def _attention(heads: Sequence[Head], width: int, attention: str) -> Attention:
    """Heads of equal rank and span side by side in one group."""
    groups: dict[tuple[int, int], list[Head]] = {}
    for head in heads:
        if head.attention != attention:
            raise ValueError(
                f"head {head.role}: wanted one for {attention} attention, got one for {head.attention}"
            )
        shape = head.query.height // head.count, head.value.height // head.count
        groups.setdefault(shape, []).append(head)
    return Attention([_group(members, width) for members in groups.values()], ATTENTIONS[attention])


def _group(heads: Sequence[Head], width: int) -> Heads:
    query, key, value = (
        _map(stack(*(getattr(head, name) for head in heads)), width) for name in ("query", "key", "value")
    )
    targets = np.concatenate([head.targets for head in heads])
    return Heads(query, key, value, targets, sum(head.count for head in heads))


def _mlp(units: Sequence[Units], width: int) -> MLP:
    reads = stack(*(group.reads for group in units))
    offsets = np.cumsum([0, *(group.reads.height for group in units)])
    writes = [
        (register.start + entries, offset + neurons, weights)
        for group, offset in zip(units, offsets[:-1], strict=True)
        for register, entries, neurons, weights in group.writes
    ]
    rows, columns, weights = (
        (np.concatenate(part) for part in zip(*writes, strict=True)) if writes else ([], [], np.empty(0))
    )
    if weights.dtype == object:  # exact numbers among them: then all are
        weights = np.frompyfunc(Fraction, 1, 1)(weights)
    return MLP(_map(reads, width), SparseMap(rows, columns, weights, width, reads.height))


def _map(link: Link, width: int) -> SparseMap:
    return SparseMap(link.rows, link.columns, link.weights, link.height, width)
