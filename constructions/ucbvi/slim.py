"""UCB-VI with registers that are used again from stage to stage: D, M = O(S²A) in place of O(HS²A). A theorem of ours.

**Theorem.** For S states, A ≥ 2 actions, H stages, K episodes there is a transformer with L = 2H + 4 + (H − 1)(⌈log₄ A⌉ − 1)
layers, at most S²A + 2SA heads a layer, D = O(S²A + H) registers and D' = O(K·S²A) neurons whose logits are Q̂_h(s, ·)/τ of
UCB-VI, exactly, for all rewards in [0, 1].

*Proof.* The theorem's own steps, one stage at a time, with three changes. (a) Counting wants the stage one-hot and does
without heads for the present episode (the lemma of loop.py): one head a counter in place of ten. (b) x/max(N, 1) is a
look-up for real x (lookup.py): no squares. (c) The maximum comes before the cut at H, min(H, max_a X) = max_a min(H,
X): its first level by neurons, the second by heads, the cut by neurons; every further layer between them takes two levels
more. Layers: 1, 2 the step before; 3 counts of stage H; 4 counts times i, look-ups; for each h = H … 1: (x) heads:
Σ P̂_h V_{h+1} (SA), counts of stage h − 1 (S²A + SA); MLP: first level. (y) heads: second level (S⌊(A + 1)/4⌋), counts times
i (1), selection of stage h (2A), no more than in (x); MLP: V_h cut off, look-ups of stage h − 1. V_1 is not needed. A
register is emptied by the layer that used it last, before anything is written to it again. ∎
"""

import math
from collections.abc import Iterator

from constructions.construction import Construction
from constructions.parts.block import Head, Step, Units, gate_size, own_heads
from constructions.parts.links import blank, read, tile
from constructions.parts.stream import Stream
from constructions.primitives import clipping, counting, lookup, maximum
from constructions.ucbvi import loop
from constructions.ucbvi.spec import Spec
from constructions.ucbvi.theorem import program


def level_sizes(spec: Spec) -> list[int]:
    """Registers of the maximum: after the neurons' first level, then in turn after heads and after neurons."""
    count, sizes = math.ceil(spec.actions / 2), []
    for _ in range(maximum.layers(spec.actions) - 1):
        sizes += [count, count // 2]
        count = math.ceil(math.ceil(count / 2) / 2)
    return [spec.states * size for size in (*sizes, count, count // 2)]


def registers(spec: Spec) -> dict[str, int]:
    """Scratch registers and their sizes."""
    moves = spec.pairs * spec.states * (spec.horizon > 1)
    sizes = loop.common_registers(spec) | {
        name: moves for name in ("transitions_raw", "transitions", "model")
    }
    return sizes | {f"level_{n}": size for n, size in enumerate(level_sizes(spec))}


def build(spec: Spec) -> Construction:
    """The slim transformer."""
    p = program(spec, registers(spec))
    stream = p.stream
    return loop.construct(p, spec, "value iteration, stage by stage", _steps(spec, stream))


def _steps(spec: Spec, stream: Stream) -> Iterator[Step]:
    yield Step(_counts(spec, stream, spec.horizon))
    units = (*_estimates(spec, stream, spec.horizon), *_spent(spec, stream, spec.horizon))
    yield Step(_times_index(spec, stream, spec.horizon), units)
    for stage in range(spec.horizon, 0, -1):
        yield from _stage(spec, stream, stage)


def _counts(spec: Spec, stream: Stream, stage: int) -> tuple[Head, ...]:
    """Visits, rewards and, before the last stage, transitions of a stage over all tokens so far, divided by i."""
    heads = loop.count_heads(spec, stream, stage)
    if stage == spec.horizon:
        return heads
    kinds, to = stream.several(("previous_state", "previous_action", "state")), (stream["transitions_raw"],)
    moves = counting.Counters.every([stage], kinds, (stream.one,), to)
    return (*heads, *loop.heads_of(spec, stream, moves))


def _names(spec: Spec, stage: int) -> tuple[str, ...]:
    return ("visits", "rewards", *(("transitions",) if stage < spec.horizon else ()))


def _times_index(spec: Spec, stream: Stream, stage: int) -> tuple[Head, ...]:
    names = _names(spec, stage)
    return loop.times_index(spec, stream, [f"{name}_raw" for name in names], names)


def _estimates(spec: Spec, stream: Stream, stage: int) -> list[Units]:
    """What the counts of a stage say: r̂ + b and P̂."""
    units = list(loop.base_units(spec, stream))
    if stage < spec.horizon:
        moves, visits, most = read(stream["transitions"]), read(stream["visits"]), spec.episodes
        units.append(
            lookup.quotient_units("P̂", moves, visits, stream["model"], stream.one, float(most), most)
        )
    return units


def _spent(spec: Spec, stream: Stream, stage: int) -> tuple[Units, ...]:
    """The counts of a stage, once they have been looked up."""
    return loop.empty(*(stream[name + suffix] for name in _names(spec, stage) for suffix in ("_raw", "")))


def _stage(spec: Spec, stream: Stream, stage: int) -> list[Step]:
    """Layers x and y, and those of further levels between them."""
    states, top, position = spec.states, float(spec.horizon), stream["position"]
    levels = [register for name, register in stream.registers.items() if name.startswith("level_")]
    numbers, later = read(stream["base"]), stage < spec.horizon
    heads: list[Head] = []
    if later:
        value, gate = tile(read(stream["value"]), spec.pairs), gate_size(top)
        heads += own_heads(
            "ahead", value, read(stream["model"]), stream["ahead"], position, gate, signs=(1.0,)
        )
        numbers = numbers + read(stream["ahead"])
    choose = loop.selection_heads(spec, stream, stage)
    if stage == 1:
        return [Step(tuple(heads)), Step(choose)]
    heads += _counts(spec, stream, stage - 1)
    target = levels.pop(0)
    first = [maximum.neuron_level("level", numbers, states, target)]
    if later:
        first.extend(loop.empty(stream["value"]))
    steps, left, spent = [Step(tuple(heads), tuple(first))], read(target), [target]
    while True:
        excess = levels.pop(0) if left.height > states and levels else None
        heads = (
            []
            if excess is None
            else list(maximum.attention_level("level", left, states, excess, position, spec.largest))
        )
        spent += [] if excess is None else [excess]
        left = maximum.after_attention(left, states, read(excess) if excess is not None else blank(0))
        if not levels:
            break
        target = levels.pop(0)
        units = maximum.neuron_level("level", left, states, target)
        steps.append(Step(tuple(heads), (units, *loop.empty(*spent))))
        left, spent = read(target), [target]
    used = [*spent, stream["base"], *((stream["ahead"], stream["model"]) if later else ())]
    last = [
        clipping.units("value", left, stream["value"], stream.one, top),
        *_estimates(spec, stream, stage - 1),
        *loop.empty(*used),
        *_spent(spec, stream, stage - 1),
    ]
    return [*steps, Step((*heads, *_times_index(spec, stream, stage - 1), *choose), tuple(last))]
