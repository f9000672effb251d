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
"""

import math
from dataclasses import replace

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.construction import Construction
from constructions.inputs.episodes import EPISODE_INPUTS, EpisodeTokens, episode_stream
from constructions.parts.assemble import assemble, clip_radius
from constructions.parts.block import (
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    gate_size,
    own_heads,
)
from constructions.parts.links import Values, pick, read, stack, tile
from constructions.parts.stream import Register, Stream
from constructions.primitives import clipping, copying, counting, lookup, maximum, product
from constructions.rounding import outward
from constructions.rounding.outward import above
from constructions.ucbvi.spec import Spec

SOURCE = "Theorem approx_ucbvi, step "

LITERAL = frozenset({"constant", "values", "gate", "reward", "model", "maximum"})
"""Pieces that can be built as printed, for verify/errata/: head 5's constant, the values V = −V of heads 6 to 10, the
gate of the squares, the look-up for r̂, P̂_{h+1}, the maximum."""


def previous_registers(spec: Spec) -> dict[str, int]:
    """The step before, divided by i and as it is, and their sizes."""
    sizes = {}
    for suffix in ("_raw", ""):
        sizes |= {
            f"previous_state{suffix}": spec.states,
            f"previous_action{suffix}": spec.actions,
            f"previous_reward{suffix}": 1,
        }
    return sizes


def registers(spec: Spec) -> dict[str, int]:
    """Scratch registers and their sizes."""
    pairs, stages, states, actions = spec.pairs, spec.horizon, spec.states, spec.actions
    every = stages * pairs
    sizes = previous_registers(spec)
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


def build(spec: Spec, literal: frozenset[str] = frozenset()) -> Construction:
    """The transformer of the theorem; with the pieces in `literal` as printed, of which it then promises too much."""
    if unknown := literal - LITERAL:
        raise ValueError(f"literal: wanted some of {sorted(LITERAL)}, got {sorted(unknown)}")
    more = {"rewards_squared": spec.horizon * spec.pairs} if "reward" in literal else {}
    stream = episode_stream(spec, **registers(spec), **more)
    counts = _counts(spec, stream, literal)
    lookups = _lookups(spec, stream, counts[-1][0].promise.total, literal)
    values = _value_iteration(spec, stream, [block.promise.total for block in lookups[-1]], literal)
    stages = [*counts, *lookups, *values, *_selection(spec, stream, values[-1][0].promise.total)]
    return construct(spec, stream, stages)


def construct(spec: Spec, stream: Stream, stages: list[list[Block]]) -> Construction:
    """Assemble, with a clip radius above the norm of every token at every layer."""
    blocks = tuple(block for stage in stages for block in stage)
    inputs = [spec.tokens, spec.tokens**2, spec.episodes, spec.horizon + 1, 2]
    transformer = assemble(stream, EPISODE_INPUTS, stages, clip_radius(inputs, blocks))
    certificate = (2 * blocks[-1].promise.total).error
    return Construction(spec, EpisodeTokens(stream, spec), blocks, transformer, certificate)


def previous_steps(spec: Spec, stream: Stream) -> list[list[Block]]:
    """Layers 1 and 2: state, action and reward of the step before."""
    parts = ("state", "action", "reward")
    raw, held = (tuple(stream[f"previous_{part}{suffix}"] for part in parts) for suffix in ("_raw", ""))
    what = tuple(stream[part] for part in parts)
    copy = copying.previous_step(
        "previous step over i",
        SOURCE + "1a",
        what=what,
        to=raw,
        clock=stream["clock"],
        position=stream["position"],
    )
    back = copying.times_index(
        "previous step",
        SOURCE + "1a",
        what=raw,
        to=held,
        bound=1.0,
        tokens=spec.tokens,
        inherited=spec.tokens * copy.promise.own,
        position=stream["position"],
    )
    return [[copy], [back]]


def _counts(spec: Spec, stream: Stream, literal: frozenset[str]) -> list[list[Block]]:
    """Layers 1 to 4."""
    stages, states, actions = spec.horizon, spec.states, spec.actions
    place = {"clock": stream["clock"], "position": stream["position"]}
    stage, state, action, after = (axis.ravel() for axis in np.mgrid[:stages, :states, :actions, :states])
    wanted = (
        (stream["previous_state"], state),
        (stream["previous_action"], action),
        (stream["state"], after),
    )
    one = stream.one
    moves = counting.Counters(wanted, stage + 1, (one,), (stream["transitions_raw"],))
    stage, state, action = (axis.ravel() for axis in np.mgrid[:stages, :states, :actions])
    wanted = ((stream["previous_state"], state), (stream["previous_action"], action))
    targets = stream["visits_raw"], stream["rewards_raw"]
    visits = counting.Counters(wanted, stage + 1, (one, stream["previous_reward"]), targets)
    printed = {"changes": "constant" not in literal, "negated": "values" not in literal}
    ramps = {"horizon": stages, "tokens": spec.tokens, **printed, **place}
    counts = [
        counting.by_ramps(f"{what} over i", SOURCE + "1b", counters, **ramps)
        for what, counters in (("transitions", moves), ("visits and rewards", visits))
    ]
    previous, gain = (
        previous_steps(spec, stream),
        30.0 * spec.horizon,
    )  # five heads, three entries, gates of 2H
    names = ("transitions", "visits", "rewards")
    raw, held = (tuple(stream[name + suffix] for name in names) for suffix in ("_raw", ""))
    back = copying.times_index(
        "counts",
        SOURCE + "1b",
        what=raw,
        to=held,
        position=stream["position"],
        bound=float(max(spec.most, 1)),
        tokens=spec.tokens,
        inherited=spec.tokens * (counts[-1].promise.own + gain * previous[-1][0].promise.total),
    )
    return [*previous, counts, [back]]


def _lookups(spec: Spec, stream: Stream, inherited: Bound, literal: frozenset[str]) -> list[list[Block]]:
    """Layer 5: squares, then P̂, r̂ and b; the squares' gate is printed as K and has to be above K²."""
    source, most, one = SOURCE + "2", spec.episodes, stream.one
    bound = float(most**2)
    gate = float(most) if "gate" in literal else gate_size(bound)
    squares = [
        _squares(spec, stream, name, f"{name}_squared", bound, gate)
        for name in ("transitions", "visits", "rewards")
        if f"{name}_squared" in stream.registers
    ]
    every = {name: np.arange(stream[name].size) for name in ("transitions", "visits", "rewards", "bonus")}

    def entries(name: str, like: str) -> lookup.Entries:
        return stream[name], every[like]

    top = entries("transitions", "transitions"), entries("transitions_squared", "transitions")
    bottom = entries("visits", "visits"), entries("visits_squared", "visits")
    gains, hopes = entries("rewards", "rewards"), spec.hopes(most + 1)
    units = {
        "model": lookup.printed_quotient_units("P̂", top, bottom, stream["model"], one, most),
        "reward_estimate": lookup.squared_quotient_units(
            "r̂", gains, bottom, stream["reward_estimate"], one, most
        ),
        "bonus": lookup.printed_table_units("b", bottom, stream["bonus"], one, hopes),
    }
    if "reward" in literal:
        top = gains, entries("rewards_squared", "rewards")
        units["reward_estimate"] = lookup.printed_quotient_units(
            "r̂", top, bottom, stream["reward_estimate"], one, most
        )
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
    rounding, blocks = UNIT * 16 * (most + 1) ** 2 * float(numbers.max()), []
    for name, group in units.items():
        own = Bound(table if name == "bonus" else part, rounding)
        size, largest = stream[name].size, float(numbers.max()) if name == "bonus" else 1.0
        promise = Promise(
            f"counts ≤ {most}", own, own + 8.0 * (most + 1) * inherited, largest * math.sqrt(size)
        )
        blocks.append(
            Block(
                name.replace("_", " "),
                source,
                (Step((), (group,)),),
                stream[name],
                truth(name),
                promise,
                groups=size,
            )
        )
    return [squares, blocks]


def _squares(spec: Spec, stream: Stream, what: str, to: str, bound: float, gate: float) -> Block:
    """Squares of counts; the gate has to be above what two counts can multiply to."""
    numbers, squared = stream[what], stream[to]
    heads = own_heads(to, read(numbers), read(numbers), squared, stream["position"], gate, signs=(1.0,))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return values[what] ** 2

    own = Bound(0.0, UNIT * 8 * (bound + 2 * gate * spec.tokens))
    promise = Promise(f"counts ≤ {math.sqrt(bound):g}", own, own, bound * math.sqrt(squared.size))
    return Block(
        f"{what} squared", SOURCE + "2", (Step(heads),), squared, truth, promise, groups=squared.size
    )


def _value_iteration(
    spec: Spec, stream: Stream, looked_up: list[Bound], literal: frozenset[str]
) -> list[list[Block]]:
    """Layers 6 and on: for each stage, last first, expected values, action values, values.

    P̂ is off relatively, by no more than it is where it is 1, and Σ P̂V ≤ H. b(n) is a number of float64 but for b(0) + H,
    which rounds to no less than H and is cut off at H: in exact arithmetic nothing comes of what the bonus table is off by.
    """
    top, found, (model, reward, bonus) = float(spec.horizon), [], looked_up
    ahead_error = Bound(outward.product(top, model.error), spec.states * top * model.rounding)
    one, place = stream.one, {"position": stream["position"], "tokens": spec.tokens}
    inherited = Bound(0.0)
    for stage in range(spec.horizon, 0, -1):
        terms = tuple(_of_stage(stream[name], stage, spec) for name in ("reward_estimate", "bonus"))
        total = reward + Bound(0.0, bonus.rounding)
        if stage < spec.horizon:
            ahead = product.own_token(
                f"ahead_{stage}",
                SOURCE + "3",
                left=stream[f"v_{stage + 1}"],
                right=_of_stage(stream["model"], stage + ("model" in literal), spec),
                to=stream[f"ahead_{stage}"],
                bound=3 * top,
                inherited=inherited + ahead_error,
                **place,
            )
            found.append([ahead])
            terms, total = (*terms, stream[f"ahead_{stage}"]), total + ahead.promise.total
        clip = clipping.between(
            f"q_{stage}",
            SOURCE + "3",
            terms=terms,
            to=stream[f"q_{stage}"],
            one=one,
            high=top,
            bound=spec.largest,
            inherited=total,
        )
        levels = tuple(
            register for name, register in stream.registers.items() if name.startswith(f"level_{stage}_")
        )
        best = maximum.over_groups(
            f"v_{stage}",
            SOURCE + "3",
            numbers=stream[f"q_{stage}"],
            to=stream[f"v_{stage}"],
            scratch=levels,
            bound=top,
            inherited=clip.promise.total,
            **place,
        )
        if "maximum" in literal:
            printed = maximum.printed_units(
                best.name, read(stream[f"q_{stage}"]), spec.states, stream[f"v_{stage}"]
            )
            best = replace(best, steps=(Step((), (printed,)),))
        found += [[clip], [best]]
        inherited = best.promise.total
    return found


def _of_stage(register: Register, stage: int, spec: Spec) -> Register:
    return register.part(stage - 1, of=spec.horizon)


def _selection(spec: Spec, stream: Stream, inherited: Bound) -> list[list[Block]]:
    """The last three layers."""
    stages, states, actions, top = spec.horizon, spec.states, spec.actions, float(spec.horizon)
    position, chosen = stream["position"], stream["chosen"]
    columns = [np.arange(states) * actions + action for action in range(actions)]
    stored = stack(
        *(pick(stream[f"q_{stage}"], column) for stage in range(1, stages + 1) for column in columns)
    )
    gate = 2.0 * top
    state = tile(read(stream["state"]), stages * actions)
    heads = own_heads("chosen", state, stored, chosen, position, gate_size(gate))
    names = [f"q_{stage}" for stage in range(1, stages + 1)]

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        stored = np.stack([values[name].reshape(-1, states, actions) for name in names], axis=1)
        return np.einsum("ts,thsa->tha", values["state"], stored).reshape(-1, stages * actions)

    own = Bound(0.0, UNIT * 8 * (top + 4 * gate * spec.tokens))
    total = own + inherited
    promise = Promise("one-hot state", own, total, top * math.sqrt(chosen.size))
    first = Block(
        "Q̂_h(s, ·) of every stage", SOURCE + "4", (Step(heads),), chosen, truth, promise, groups=chosen.size
    )
    second = _present(spec, stream, own, total)
    third = copying.times_index(
        "logits",
        SOURCE + "4",
        what=(stream["chosen_raw"],),
        to=(stream["logits"],),
        position=position,
        bound=top / spec.tau,
        tokens=spec.tokens,
        scale=1 / spec.tau,
        inherited=Bound(
            above(arb(inherited.error) * (1 + UNIT) / spec.tau + spec.rounded_scale),
            spec.tokens / spec.tau * second.promise.total.rounding,
        ),
    )
    return [[first], [second], [third]]


def _present(spec: Spec, stream: Stream, own: Bound, inherited: Bound) -> Block:
    """The action values of the present stage, by ramps in h, divided by i."""
    place, actions, top = Position.of(stream["position"]), spec.actions, float(spec.horizon)
    gate, now, heads = gate_size(2 * top), read(stream["clock"].part(1, of=3)), []
    key = tile(stack(place.one, -gate * place.one, gate * place.index), actions)
    for stage in range(1, spec.horizon + 1):
        goal = float(stage) * place.one
        ramps = (
            (goal - now, -1.0),
            (goal - place.one - now, 1.0),
            (now - goal, -1.0),
            (now - place.one - goal, 1.0),
        )
        stored = read(stream["chosen"].part(stage - 1, of=spec.horizon))
        for score, sign in (*ramps, (place.one, 1.0)):
            query = tile(stack(score, place.index, place.one), actions)
            heads.append(Head(f"stage {stage}", query, key, sign * stored, stream["chosen_raw"], actions))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        stages = values["clock"][:, 1].astype(int) - 1
        stored = values["chosen"].reshape(len(stages), spec.horizon, actions)
        inside = stages < spec.horizon
        picked = stored[np.arange(len(stages)), np.minimum(stages, spec.horizon - 1)]
        return picked * inside[:, None] / values["position"][:, :1]

    share = Bound(0.0, own.rounding)
    promise = Promise("stages ≤ H + 1", share, share + inherited, 2 * top * top * math.sqrt(actions))
    return Block(
        "Q̂_h(s, ·) over i",
        SOURCE + "4",
        (Step(tuple(heads)),),
        stream["chosen_raw"],
        truth,
        promise,
        groups=actions,
    )
