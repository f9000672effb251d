"""Theorem approx_ucbvi of arXiv 2310.08566 (Theorem 12) with weights: all stages' registers side by side.

    layers 1, 2       the previous step's state, action and reward, divided by i and multiplied again
    layers 3, 4       counts N_h(s,a,s'), N_h(s,a), N_h(s,a) r_h(s,a) over earlier episodes, in the same way
    layer 5           heads: squares of the counts;  MLP: P̂_h, r̂_h and b_h by look-ups on integers
    2 layers a stage  heads: Σ P̂_h V̂_{h+1};  MLP: Q̂_h, cut off at H;  heads and MLP: V̂_h = max_a Q̂_h
    3 layers          Q̂_h(s, ·) for every h;  the one of the present stage;  times i/τ

As printed, with these repairs: the constant of count head 5 (counting.py), a squaring gate above K² instead of K, the
look-up for r̂ with real rewards (lookup.py), P̂_h for P̂_{h+1}, and the maximum (maximum.py), for which ⌈log₄ A⌉ layers a
stage are needed: L = H(1 + ⌈log₄ A⌉) + 8, which is 2H + 8 for 2 ≤ A ≤ 4 as stated.

Exact: with look-up values in exact arithmetic every register equals what the algorithm defines. The certificate is what
rounding them to float64 leaves (spec.rounded), the bonus being the algorithm's as float64 holds it.

Counts, look-ups, maxima and the selection are blocks of the program, not values made by it: they are exact because their
arguments are integers or one-hot, which a bound on sizes does not say.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.construction import Construction
from constructions.inputs.episodes import episode_stream
from constructions.language import Program, episodes
from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step, gate_size, own_heads
from constructions.parts.links import Values, entry, read, stack, tile
from constructions.parts.stream import Stream
from constructions.primitives import clipping, counting, lookup, maximum
from constructions.rounding import outward
from constructions.rounding.outward import above
from constructions.ucbvi.spec import Spec

SOURCE = "Theorem approx_ucbvi, step "

COUNTS = "transitions", "visits", "rewards"


def registers(spec: Spec) -> dict[str, int]:
    """Scratch registers and their sizes."""
    pairs, stages, states, actions = spec.pairs, spec.horizon, spec.states, spec.actions
    every = stages * pairs
    sizes = episodes.before(spec, *episodes.PARTS)
    for suffix in ("_raw", ""):
        sizes |= {f"transitions{suffix}": every * states, f"visits{suffix}": every, f"rewards{suffix}": every}
    sizes |= {"transitions_squared": every * states, "visits_squared": every}
    sizes |= {"model": every * states, "reward_estimate": every, "bonus": every}
    for stage in range(stages, 0, -1):
        sizes |= {f"ahead_{stage}": pairs * (stage < stages), f"q_{stage}": pairs}
        levels = maximum.scratch_sizes(states, actions)
        sizes |= {f"level_{stage}_{n}": size for n, size in enumerate(levels)} | {f"v_{stage}": states}
    return sizes | {"chosen": stages * actions, "chosen_raw": actions}


def layer_sizes(spec: Spec) -> list[tuple[int, int]]:
    """(heads, neurons) of every layer in order, without building them."""
    pairs, states, stages, actions = spec.pairs, spec.states, spec.horizon, spec.actions
    every, side, count = stages * pairs, spec.episodes + 1, spec.actions
    found = [(3, 0), (1, 0), (10 * every * (states + 1), 0), (1, 0)]
    found.append((every * (states + 1), every * (states * side**2 + 2 * side)))
    levels = []
    while not levels or count > 1:
        left = math.ceil(count / 2)
        levels.append((states * (count // 2), states * (left // 2 * 2 + left % 2)))
        count = math.ceil(left / 2)
    for stage in range(stages, 0, -1):
        found += [(2 * pairs * (stage < stages), 2 * pairs), *levels]
    return [*found, (2 * stages * actions, 0), (5 * stages * actions, 0), (1, 0)]


def dense_weights(spec: Spec) -> int:
    """Weights of the literal dense form, without building it."""
    width = episode_stream(spec, **registers(spec)).width
    return sum(3 * heads * width**2 + 2 * hidden * width for heads, hidden in layer_sizes(spec))


def build(spec: Spec) -> Construction:
    """The transformer of the theorem."""
    return complete(written(spec), spec)


def written(spec: Spec) -> Program:
    """The theorem's program, all its blocks put; verify/errata/ puts printed ones in their places."""
    p = program(spec, registers(spec))
    _counts(p, spec)
    _lookups(p, spec)
    _value_iteration(p, spec)
    _selection(p, spec)
    return p


def program(spec: Spec, scratch: Mapping[str, int]) -> Program:
    """An empty program with these registers."""
    return episodes.program(SOURCE, spec, **scratch)


def complete(p: Program, spec: Spec) -> Construction:
    """The construction that a program has written, its last block the logits."""
    return episodes.complete(p, spec, (2 * p.blocks[-1].promise.total).error)


def previous_steps(p: Program, *beside: Block) -> None:
    """Layers 1 and 2: state, action and reward of the step before; other blocks beside the first."""
    episodes.step_before(p.citing(SOURCE + "1a"), beside=beside)


def _counts(p: Program, spec: Spec) -> None:
    """Layers 1 to 4."""
    previous_steps(p)
    at, stages = p.stream, range(1, spec.horizon + 1)
    kinds = at["previous_state"], at["previous_action"]
    moves = counting.Counters.every(stages, (*kinds, at["state"]), (at.one,), (at["transitions_raw"],))
    moved, to = (at.one, at["previous_reward"]), (at["visits_raw"], at["rewards_raw"])
    visits = counting.Counters.every(stages, kinds, moved, to)
    ramps: dict[str, Any] = p.at(clock="clock") | {"horizon": spec.horizon, "tokens": spec.tokens}
    counts = [
        counting.by_ramps(f"{what} over i", SOURCE + "1b", counters, **ramps)
        for what, counters in (("transitions", moves), ("visits and rewards", visits))
    ]
    gain = 30.0 * spec.horizon  # five heads, three entries, gates of 2H
    inherited = counts[-1].promise.own + gain * p.written("previous_state").promise.total
    raw, most = (f"{name}_raw" for name in COUNTS), float(max(spec.most, 1))
    p.put(*counts)
    p.put(p.citing(SOURCE + "1b").times_index("counts", raw, COUNTS, most, inherited=p.tokens * inherited))


def _lookups(p: Program, spec: Spec) -> None:
    """Layer 5: squares, then P̂, r̂ and b."""
    at, one, most = p.stream, p.stream.one, spec.episodes
    p.put(*(squares(spec, at, name, gate_size(float(most**2))) for name in ("transitions", "visits")))
    moves, visits = ((read(at[name]), read(at[f"{name}_squared"])) for name in ("transitions", "visits"))
    hopes, gains, hoped = spec.hopes(most + 1), read(at["rewards"]), at["reward_estimate"]
    units = {
        "model": lookup.printed_quotient_units("P̂", moves, visits, at["model"], one, most),
        "reward_estimate": lookup.squared_quotient_units("r̂", gains, visits, hoped, one, most),
        "bonus": lookup.printed_table_units("b", visits, at["bonus"], one, hopes),
    }
    numbers = np.array(hopes, dtype=float)

    def truth(name: str):
        def found(values: Values) -> Float[np.ndarray, "tokens size"]:
            visits = values["visits"]
            if name == "bonus":
                return numbers[np.clip(np.rint(visits), 0, most).astype(int)]
            often = np.maximum(visits, 1)
            if name == "model":
                return values["transitions"] / np.repeat(often, spec.states, axis=1)
            return values["rewards"] / often

        return found

    table, part = spec.look_ups
    rounding = UNIT * 16 * (most + 1) ** 2 * float(numbers.max())
    inherited = p.written("visits").promise.total
    for name, group in units.items():
        own = Bound(table if name == "bonus" else part, rounding)
        to, largest = at[name], float(numbers.max()) if name == "bonus" else 1.0
        total, size = own + 8.0 * (most + 1) * inherited, largest * math.sqrt(to.size)
        promise, steps = Promise(f"counts ≤ {most}", own, total, size), (Step((), (group,)),)
        p.put(Block(name.replace("_", " "), SOURCE + "2", steps, to, truth(name), promise, groups=to.size))


def squares(spec: Spec, stream: Stream, what: str, gate: float) -> Block:
    """Squares of counts; the gate has to be above what two counts can multiply to, K², and is printed as K."""
    numbers, squared, bound = stream[what], stream[f"{what}_squared"], float(spec.episodes**2)
    heads = own_heads(
        squared.name, read(numbers), read(numbers), squared, stream["position"], gate, signs=(1.0,)
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return values[what] ** 2

    own = Bound(0.0, UNIT * 8 * (bound + 2 * gate * spec.tokens))
    promise = Promise(f"counts ≤ {math.sqrt(bound):g}", own, own, bound * math.sqrt(squared.size))
    name, steps = f"{what} squared", (Step(heads),)
    return Block(name, SOURCE + "2", steps, squared, truth, promise, groups=squared.size)


def _value_iteration(p: Program, spec: Spec) -> None:
    """Layers 6 and on: for each stage, last first, expected values, action values, values.

    P̂ is off relatively, by no more than it is where it is 1, and Σ P̂V ≤ H. b(n) is a number of float64 but for b(0) + H,
    which rounds to no less than H and is cut off at H: in exact arithmetic nothing comes of what the bonus table is off by.
    """
    p, top, states = p.citing(SOURCE + "3"), float(spec.horizon), spec.states
    model, reward, bonus = (p.value(name) for name in ("model", "reward_estimate", "bonus"))
    ahead_error = Bound(outward.product(top, model.error.error), states * top * model.error.rounding)
    models, rewards, bonuses = (value.split(spec.horizon) for value in (model, reward, bonus))
    for stage in range(spec.horizon, 0, -1):
        terms = rewards[stage - 1].register, bonuses[stage - 1].register
        total = reward.error + Bound(0.0, bonus.error.rounding)
        if stage < spec.horizon:
            after, q = p.value(f"v_{stage + 1}", top), f"ahead_{stage}"
            proved = after.error + ahead_error, "Σ P̂ ≤ 1, and V ≤ H"
            ahead = p.product(q, q, after, models[stage - 1], size=top, across=3 * top, proved=proved)
            terms, total = (*terms, ahead.register), total + ahead.error
        q, v, one = f"q_{stage}", f"v_{stage}", p.stream.one
        bounds = {"high": top, "bound": spec.largest}
        p.put(clipping.between(q, p.source, terms=terms, to=p.stream[q], one=one, inherited=total, **bounds))
        levels = p.stream.several(name for name in p.stream.registers if name.startswith(f"level_{stage}_"))
        to: dict[str, Any] = p.at(numbers=q, to=v) | {"inherited": p.written(q).promise.total}
        p.then(maximum.over_groups(v, p.source, scratch=levels, bound=top, tokens=spec.tokens, **to))


def _selection(p: Program, spec: Spec) -> None:
    """The last three layers."""
    stages, states, actions, top = spec.horizon, spec.states, spec.actions, float(spec.horizon)
    chosen, inherited = p.stream["chosen"], p.written("v_1").promise.total
    names = [f"q_{stage}" for stage in range(1, stages + 1)]
    numbers = [read(q) for q in p.stream.several(names)]
    stored = stack(*(entry(link, action, of=actions) for link in numbers for action in range(actions)))
    gate, state = 2.0 * top, tile(read(p.stream["state"]), stages * actions)
    heads = own_heads("chosen", state, stored, chosen, p.position, gate_size(gate))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        stored = np.stack([values[name].reshape(-1, states, actions) for name in names], axis=1)
        return np.einsum("ts,thsa->tha", values["state"], stored).reshape(-1, stages * actions)

    own, source, steps = Bound(0.0, UNIT * 8 * (top + 4 * gate * spec.tokens)), SOURCE + "4", (Step(heads),)
    promise = Promise("one-hot state", own, own + inherited, top * math.sqrt(chosen.size))
    p.then(Block("Q̂_h(s, ·) of every stage", source, steps, chosen, truth, promise, groups=chosen.size))
    second = _present(p, spec, own, own + inherited)
    scaled = Bound(
        above(arb(inherited.error) * (1 + UNIT) / spec.tau + spec.rounded_scale),
        spec.tokens / spec.tau * second.promise.total.rounding,
    )
    scales = {"bound": top / spec.tau, "scale": 1 / spec.tau, "inherited": scaled}
    p.put(second, p.citing(source).times_index("logits", ["chosen_raw"], ["logits"], **scales))


def _present(p: Program, spec: Spec, own: Bound, inherited: Bound) -> Block:
    """The action values of the present stage, by ramps in h, divided by i."""
    place, actions, top = Position.of(p.position), spec.actions, float(spec.horizon)
    (_, clock, _), to = p.input("clock", 1.0).split(3), p.stream["chosen_raw"]
    gate, now, heads = gate_size(2 * top), read(clock.register), []
    key = tile(stack(place.one, -gate * place.one, gate * place.index), actions)
    for stage, held in enumerate(p.value("chosen").split(spec.horizon), 1):
        goal, stored = float(stage) * place.one, read(held.register)
        ramps = (
            (goal - now, -1.0),
            (goal - place.one - now, 1.0),
            (now - goal, -1.0),
            (now - place.one - goal, 1.0),
        )
        for score, sign in (*ramps, (place.one, 1.0)):
            query = tile(stack(score, place.index, place.one), actions)
            heads.append(Head(f"stage {stage}", query, key, sign * stored, to, actions))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        stages = values["clock"][:, 1].astype(int) - 1
        stored = values["chosen"].reshape(len(stages), spec.horizon, actions)
        inside = stages < spec.horizon
        picked = stored[np.arange(len(stages)), np.minimum(stages, spec.horizon - 1)]
        return picked * inside[:, None] / values["position"][:, :1]

    share, steps = Bound(0.0, own.rounding), (Step(tuple(heads)),)
    promise = Promise("stages ≤ H + 1", share, share + inherited, 2 * top * top * math.sqrt(actions))
    return Block("Q̂_h(s, ·) over i", SOURCE + "4", steps, to, truth, promise, groups=actions)
