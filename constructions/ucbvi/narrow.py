"""UCB-VI in D, M = O(SA): no counts of transitions, no transition model. A theorem of ours.

**Theorem.** For S states, A ≥ 2 actions, H stages, K episodes there is a transformer with L = 2H + 4 + (H − 1)(⌈log₄ A⌉ − 1)
layers, at most 2SA + 2A + 1 heads a layer, D = O(SA + H) registers and D' = O(K·SA) neurons whose logits are Q̂_h(s, ·)/τ of
UCB-VI, exactly, for all rewards in [0, 1].

*Proof.* The counts of token i are those of all tokens j ≤ i, the present episode's steps included; that this changes no
logit is the lemma of loop.py. Let token j close the step (h_j, s_j, a_j, r_j), as layers 1 and 2 make it known to it, and
let s'_j be its own state. For a vector V with 0 ≤ V ≤ X ≤ B, and [·] read off one-hot registers,

    relu(⟨V_i, s'_j⟩ − c + B([s_j = s] + [a_j = a] + [h_j = h] − 3))                                                   (1)

is relu(V(s'_j) − c) where all three match and 0 elsewhere, as the bracket is ≤ −1 there. (1) at c = 0 less (1) at c = H is
min(V, H). So two heads for (s, a) yield (1/i) Σ_{s'} N_h(s,a,s') min(V(s'), H). By the first without V, (1/i) N_h(s,a) and
(1/i) N_h(s,a) r_h(s,a).

Write E/i for that sum. Each of the N visits is closed by a token of its own, so N ≤ i and E/i ≤ HN/i ≤ H. Dividing by
max(N, 1) is a look-up linear in E/i (lookup.py), so it can be done before the factor i is restored: y = E/(i max(N, 1)). An
attention head at its own token then sees i·y, since its score is bilinear and j = i there (maximum.py). So relu(X_p − X_q)
for X = r̂ + b + H·[N = 0] + i·y is one head, at which i·y itself is restored by another; the MLP takes the second level, and
V = max_a X over four actions is done two layers after the last V, without having been cut off: (1) does that where V is
used, and the selection heads, relu(x) − relu(x − H) with x = ⟨s_i, X(·, a)⟩ − B(1 − [h_i = h]), where Q̂ is.

Layers: 1, 2 the step before; 3 counts of stage H; for each h = H … 1: (α) heads: E_h (2SA), counts times i (1), selection of
stage h + 1 (2A); MLP: r̂ + b, y. (β) heads: i·y (1), first level of the maximum (S⌊A/2⌋), counts of stage h − 1 (SA); MLP:
second level. Last, the selection of stage 1. V_1 is not needed, so of the ⌈log₄ A⌉ − 1 further layers of maxima every stage
but the first takes its share. ∎

The theorem's own construction needs D, M = O(HS²A) and D' = O(K²HS²A) at 2H + 8 layers.
"""

from collections.abc import Iterator

from constructions.construction import Construction
from constructions.parts.block import Head, Position, Step, Units, gate_size
from constructions.parts.links import blank, pick, read, side_by_side, tile
from constructions.parts.stream import Stream
from constructions.primitives import counting, lookup, maximum
from constructions.ucbvi import loop
from constructions.ucbvi.spec import Spec
from constructions.ucbvi.theorem import program


def registers(spec: Spec) -> dict[str, int]:
    """Scratch registers and their sizes."""
    levels = maximum.scratch_sizes(spec.states, spec.actions)
    sizes = loop.common_registers(spec)
    sizes |= {name: spec.pairs * (spec.horizon > 1) for name in ("ahead_raw", "share")}
    return sizes | {f"level_{n}": size for n, size in enumerate(levels)}


def build(spec: Spec) -> Construction:
    """The narrow transformer."""
    p = program(spec, registers(spec))
    stream = p.stream
    return loop.construct(p, spec, "value iteration from the context", _steps(spec, stream))


def _steps(spec: Spec, stream: Stream) -> Iterator[Step]:
    yield Step(loop.count_heads(spec, stream, spec.horizon))
    for stage in range(spec.horizon, 0, -1):
        yield _expect(spec, stream, stage)
        yield from _maximise(spec, stream, stage)
    yield Step(loop.selection_heads(spec, stream, 1))


def _expect(spec: Spec, stream: Stream, stage: int) -> Step:
    """Layer α: expected values, counts, selection of the stage after; then what the counts say."""
    heads = list(loop.times_index(spec, stream, ("visits_raw", "rewards_raw"), ("visits", "rewards")))
    units = [
        *loop.base_units(spec, stream),
        *loop.empty(*(stream[n] for n in ("visits_raw", "rewards_raw", "visits", "rewards"))),
    ]
    if stage < spec.horizon:
        heads += [*_ahead_heads(spec, stream, stage), *loop.selection_heads(spec, stream, stage + 1)]
        top, bottom, largest = read(stream["ahead_raw"]), read(stream["visits"]), float(spec.horizon)
        to = stream["share"], stream.one
        share = lookup.quotient_units("share", top, bottom, *to, largest, spec.episodes)
        units += [share, *loop.empty(*(stream[n] for n in ("ahead_raw", "base", "value")))]
        units += loop.empty(stream["ahead"]) if stage < spec.horizon - 1 else ()
    return Step(tuple(heads), tuple(units))


def _ahead_heads(spec: Spec, stream: Stream, stage: int) -> list[Head]:
    """(1/i) Σ over visits to (stage, s, a) of min(V, H) at the state that followed: two heads a pair."""
    pairs, gate = spec.pairs, gate_size(spec.largest)
    one = tile(Position.of(stream["position"]).one, pairs)
    kinds = stream.several(("previous_state", "previous_action"))
    counters = counting.Counters.every([stage], kinds, (stream.one,), (stream["ahead_raw"],))
    match = counters.matches() + pick(
        stream["stage"], counters.stages
    )  # entry h − 1 is stage h: the step before's is h − 1
    query = side_by_side(pairs, tile(read(stream["value"]), pairs), one)
    heads = []
    for cut, sign in ((0.0, 1.0), (float(spec.horizon), -1.0)):
        closed = gate * match - (3 * gate + cut) * one
        key = side_by_side(pairs, tile(read(stream["state"]), pairs), closed)
        heads.append(Head(f"ahead, cut {cut:g}", query, key, sign * one, stream["ahead_raw"], pairs))
    return heads


def _maximise(spec: Spec, stream: Stream, stage: int) -> list[Step]:
    """Layers β: i·y, the maximum over actions; counts of the stage before."""
    states, scratch = spec.states, [r for name, r in stream.registers.items() if name.startswith("level_")]
    later = stage < spec.horizon
    heads = list(loop.times_index(spec, stream, ("share",), ("ahead",))) if later else []
    spent = [stream["share"]] if later else []
    if stage == 1:
        return [Step(tuple(heads), loop.empty(*spent))]
    heads += loop.count_heads(spec, stream, stage - 1)
    left, factor = read(stream["base"]), read(stream["share"]) if later else None
    held, steps = left + read(stream["ahead"]) if later else left, []
    for last in range(maximum.layers(spec.actions) - 1, -1, -1):
        excess = scratch.pop(0) if left.height > states else None
        if excess is not None:
            bound = 2 * spec.largest
            heads += maximum.attention_level("level", left, states, excess, stream["position"], bound, factor)
            spent.append(excess)
        left = maximum.after_attention(held, states, read(excess) if excess is not None else blank(0))
        target = scratch.pop(0) if last else stream["value"]
        units: list[Units] = [maximum.neuron_level("level", left, states, target)]
        steps.append(Step(tuple(heads), (*units, *(loop.empty(*spent)))))
        heads, spent, factor = [], [target], None
        left = held = read(target)
    return steps
