"""What slim.py and narrow.py share: one block that runs through the stages, last first, in registers that it uses again.

A register is emptied by the layer that has used it, by two neurons an entry that add −x: what is written next starts from 0.

**Lemma.** The present episode need not be kept out of the counts: without heads for it the logits are the same.

*Proof.* A step of stage g is closed by the token after it, the next state or the empty one, which is of stage g + 1: only
there are the step and its stage known together. Let N_g(s, a) at token i be the number of tokens j ≤ i that close such a
step, those of the token's own episode included, and so on for rewards and moves. Let h_i be the stage of token i.

(a) While stage g is at work, token i holds UCB-VI's numbers of stage g for these counts. For whatever it holds then comes
from sums over tokens j ≤ i, in which j gives its one-hot registers and its reward alone, and, by induction on g from H down,
from numbers of stage g + 1 at i itself.

(b) So every bound that gates and look-ups rely on holds at every token, whether it has a state or not. An episode visits
(g, s, a) once at most: N ≤ K, and so far do the look-ups reach. Hence r̂ ≤ 1, Σ P̂ ≤ 1, and base + ahead ≤ `spec.largest`.
The heads that see their own token only are closed at all others, as (a) wants.

(c) Token i closes no step of its own episode at a stage g ≥ h_i, nor does a token before it: those that do are of stage
g + 1 > h_i. So for g ≥ h_i its numbers are those of the earlier episodes, as UCB-VI wants them. For g < h_i they are not,
but only selection heads write logits, and at stage g those are closed at token i unless g = h_i, as base + ahead ≤ B. ∎
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.construction import Construction
from constructions.language import Program, episodes
from constructions.parts.block import (
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    Units,
    gate_size,
    own_heads,
)
from constructions.parts.links import Values, pick, read, side_by_side, stack, tile, transposed
from constructions.parts.stream import Register, Stream
from constructions.parts.units import signed_units
from constructions.primitives import copying, counting, lookup
from constructions.rounding.outward import above
from constructions.ucbvi.spec import Spec
from constructions.ucbvi.theorem import complete, previous_steps


def common_registers(spec: Spec) -> dict[str, int]:
    """Scratch registers of both forms: the step before, the stage, what earlier episodes say of one stage."""
    sizes = episodes.before(spec, *episodes.PARTS)
    sizes |= {"stage": spec.horizon + 1}
    for suffix in ("_raw", ""):
        sizes |= {f"visits{suffix}": spec.pairs, f"rewards{suffix}": spec.pairs}
    several = spec.horizon > 1
    return sizes | {"base": spec.pairs, "ahead": spec.pairs * several, "value": spec.states * several}


def prelude(p: Program, spec: Spec) -> None:
    """Layers 1 and 2: the step before, and the stage one-hot beside it."""
    _, clock, _ = p.input("clock", spec.horizon + 1.0).split(3)
    registers = {"of": clock.register, "to": p.stream["stage"], "one": p.stream.one}
    previous_steps(p, lookup.one_hot("stage one-hot", "theorem ours", **registers))


def empty(*registers: Register) -> tuple[Units, ...]:
    """Neurons that take a register's content away."""
    return tuple(signed_units("empty", read(register), (register, -1.0)) for register in registers)


def count_heads(spec: Spec, stream: Stream, stage: int) -> tuple[Head, ...]:
    """Visits and rewards of a stage over all tokens so far, divided by i."""
    kinds = stream["previous_state"], stream["previous_action"]
    moved, to = (stream.one, stream["previous_reward"]), (stream["visits_raw"], stream["rewards_raw"])
    return heads_of(spec, stream, counting.Counters.every([stage], kinds, moved, to))


def heads_of(spec: Spec, stream: Stream, counters: counting.Counters) -> tuple[Head, ...]:
    """The heads that count, by the one-hot stage."""
    place = {"stage": stream["stage"], "position": stream["position"], "tokens": spec.tokens}
    block = counting.by_stage("counts over i", "theorem ours", counters, **place)
    return block.steps[0].heads


def times_index(spec: Spec, stream: Stream, what: Sequence[str], to: Sequence[str]) -> tuple[Head, ...]:
    """Registers times i, into others."""
    registers = {"what": stream.several(what), "to": stream.several(to), "position": stream["position"]}
    block = copying.times_index("times i", "theorem ours", bound=1.0, tokens=spec.tokens, **registers)
    return block.steps[0].heads


def base_units(spec: Spec, stream: Stream) -> tuple[Units, Units]:
    """B + H·[N = 0] and r̂ of one stage, into `base`."""
    one, base, most = stream.one, stream["base"], spec.episodes
    visits, rewards = read(stream["visits"]), read(stream["rewards"])
    return (
        lookup.table_units("bonus", visits, base, one, spec.hopes(most + 1)),
        lookup.quotient_units("reward", rewards, visits, base, one, float(most), most),
    )


def selection_heads(spec: Spec, stream: Stream, stage: int) -> tuple[Head, ...]:
    """Q̂_h(s, ·)/τ into the logits of tokens of this stage, cut off at H: relu(x) − relu(x − H) for x = base + ahead."""
    actions, top = spec.actions, float(spec.horizon)
    place, numbers = Position.of(stream["position"]), read(stream["base"])
    if stage < spec.horizon:
        numbers = numbers + read(stream["ahead"])
    closed = gate_size(spec.largest)
    now = closed * (pick(stream["stage"], np.array([stage - 1])) - place.one)
    gate = gate_size(2 * max(spec.largest, closed + top))
    key = tile(stack(read(stream["state"]), place.one), actions)
    heads = []
    for cut, sign in ((0.0, 1.0), (top, -1.0)):
        query = side_by_side(actions, transposed(numbers, actions), tile(now - cut * place.one, actions))
        heads += own_heads(
            f"stage {stage}",
            query,
            key,
            stream["logits"],
            stream["position"],
            gate,
            signs=(1.0,),
            scale=sign / spec.tau,
        )
    return tuple(heads)


def construct(p: Program, spec: Spec, name: str, steps: Iterable[Step]) -> Construction:
    """The construction whose steps work through all stages in one block, after the step before.

    The language has one writer for a register; here registers are used again from stage to stage.
    """
    prelude(p, spec)
    p.then(loop_block(spec, p.stream, name, steps))
    return complete(p, spec)


def loop_block(spec: Spec, stream: Stream, name: str, steps: Iterable[Step]) -> Block:
    """The block of all stages; its claim is the policy's logits at state tokens."""

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return plan(spec, values) / spec.tau

    steps = tuple(steps)
    gate = gate_size(4 * (spec.largest + gate_size(spec.largest)))
    stages, scale = spec.horizon, spec.largest * (spec.episodes + spec.states)
    error = above(arb(spec.rounded) * (1 / arb(spec.tau) + UNIT / arb(spec.tau)) + spec.rounded_scale)
    own = Bound(error, UNIT * 16 * stages * (scale + gate * spec.tokens) / spec.tau)
    sizes = {to.name: to.size for step in steps for head in step.heads for to in head.registers}
    sizes |= {
        write[0].name: write[0].size for step in steps for units in step.units for write in units.writes
    }
    largest = max(spec.largest, spec.episodes * spec.largest, spec.largest / spec.tau)
    magnitude = 4 * largest * math.sqrt(sum(sizes.values()))
    promise = Promise("rewards within [0, 1]", own, own, magnitude)
    return Block(name, "theorem ours", steps, stream["logits"], truth, promise, groups=spec.actions)


def plan(spec: Spec, values: Values) -> Float[np.ndarray, "tokens actions"]:
    """Q̂_h(s, ·) at every state token, straight from what the tokens hold; 0 elsewhere."""
    clock, found = values["clock"], np.zeros((len(values["clock"]), spec.actions))
    episode, stage, top = clock[:, 0].astype(int), clock[:, 1].astype(int) - 1, spec.horizon
    is_state, is_action = (values[name].any(1) for name in ("state", "action"))
    state, action = values["state"].argmax(1), values["action"].argmax(1)
    for number in np.unique(episode):
        past = np.flatnonzero(is_action & (episode < number))
        counts, gains = np.zeros((2, top, spec.states, spec.actions))
        place = stage[past], state[past - 1], action[past]
        np.add.at(counts, place, 1)
        np.add.at(gains, place, values["reward"][past, 0])
        value = np.zeros(spec.states)
        best = np.zeros((top, spec.states, spec.actions))
        for h in range(top - 1, -1, -1):
            here = past[stage[past] == h]
            ahead = np.zeros((spec.states, spec.actions))
            if h < top - 1:
                np.add.at(ahead, (state[here - 1], action[here]), value[state[here + 1]])
            often = np.maximum(counts[h], 1)
            hope = np.array([[spec.bonus(int(n)) for n in row] for row in counts[h]])
            best[h] = np.where(counts[h] > 0, np.minimum(top, (gains[h] + ahead) / often + hope), top)
            value = best[h].max(-1)
        mine = np.flatnonzero(is_state & (episode == number))
        found[mine] = best[stage[mine], state[mine]]
    return found
