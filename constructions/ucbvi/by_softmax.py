"""UCB-VI with softmax attention: heads that match (h, s, a) average what came of it; token 0 stands for nothing seen.

    layer 1        the step before: its state, action and reward, from one and two tokens back
    layer 2        for the last stage: r̂(s, a), or H where nothing was seen, and 1/(N(s, a) + 1);  MLP: + b(N)
    S layers       for each stage but the last, for s' = 1 … S: heads add P̂(s'|s, a) · V(s'), the weight of attention being
                   P̂ = n/N;  1/(n + 1) and 1/(N − n + 1) for the next s';  MLP: log n − log(N − n), the odds of P̂
    MLP            Q = min(H, r̂ + b + Σ P̂ V)
    ⌈log₂ A⌉       V = max_a Q, beside r̂, b and the first odds of the stage before;  Q(s_i, ·)/τ into the logits of tokens
                   of this stage

**Theorem.** For S states, A actions, H stages, K episodes and an integer gate B ≥ 3 there is a softmax transformer with
L = 4 + (H − 1)(S + max(1, ⌈log₂ A⌉)) layers, 4SA heads at most, D = O(SA + H) registers and D' = O(K SA) neurons whose
log-probabilities are those of soft UCB-VI within

    (2H/τ) ((H + 2) e^{−B} + (n + 4S) H e^{−2B} + n (Λ_b + S H Λ/2) e^{−3B}),

n = K(2H + 1), Λ_b = 3 b(1) √K, Λ = max(4B, 2K + 4),

and what float64 leaves of weights, for all rewards in [0, 1]. docs/softmax.md has the proof.

A token takes the values of others as they are there, and V(s') at an old token is what was known then. So the head that
averages cannot average V(s') itself, as one might wish: it has P̂, and multiplies V(s') of its own token by it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from constructions import limits
from constructions.construction import Construction
from constructions.inputs.begun import START
from constructions.language import Program, episodes
from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step, Units
from constructions.parts.links import Link, Values, held, pick, read, repeat_rows, stack, tile
from constructions.parts.stream import Register, Stream
from constructions.primitives import counting, interpolation, lookup, maximum
from constructions.primitives.softmax import averages, own_token
from constructions.rounding.outward import above
from constructions.ucbvi import loop
from constructions.ucbvi.spec import SoftmaxSpec
from constructions.ucbvi.tables import Tables, tables

SOURCE = "theorem ours, docs/softmax.md"


def levels(spec: SoftmaxSpec) -> list[int]:
    """Sizes of what is left of S · A numbers after each MLP of the maximum, S at the end; one for A = 1."""
    sizes, left = [], spec.actions
    while not sizes or left > 1:
        left = math.ceil(left / 2)
        sizes.append(spec.states * left)
    return sizes


def registers(spec: SoftmaxSpec) -> dict[str, int]:
    """Scratch registers and their sizes."""
    pairs = spec.states * spec.actions
    sizes = {"previous_state": spec.states, "previous_action": spec.actions, "previous_reward": 1}
    sizes |= {"stage": spec.horizon + 1} | dict.fromkeys(("visits", "base", "chosen"), pairs)
    if spec.horizon > 1:
        sizes |= dict.fromkeys(("seen", "rest", "odds", "ahead"), pairs)
        sizes |= {f"level_{n}": size for n, size in enumerate(levels(spec)[:-1])} | {"value": spec.states}
    return sizes


def build(spec: SoftmaxSpec) -> Construction:
    """The transformer for a spec, with its certificate."""
    pairs = float(spec.states * spec.actions)
    layers = 4.0 + spec.horizon * (spec.states + len(levels(spec)))
    limits.hold("ucbvi by softmax", weights=15 * pairs * layers * (spec.episodes + 10), stored=layers)
    return written(tables(spec))


def written(made: Tables) -> Construction:
    """The transformer for a gate, whatever error that leaves."""
    spec = made.spec
    p = episodes.program(SOURCE, spec, "softmax", **registers(spec))
    before, stream = step_before(p, made.gate), p.stream
    stage = lookup.one_hot(
        "stage one-hot", SOURCE, of=stream["clock"].part(1, of=3), to=stream["stage"], one=stream.one
    )
    p.then(before, stage)
    p.then(_loop(made, p))
    return episodes.complete(p, spec, (2 * made.logit).error)


def step_before(p: Program, gate: int) -> Block:
    """Layer 1: state, action and reward of the step before; neurons round the first two, relu(2x − ½) − relu(2x − 3/2)."""
    names = ("state", "action", "reward")
    (state, action, reward), to = p.stream.several(names), p.stream.several(f"previous_{x}" for x in names)
    how = {"position": p.position, "start": p.stream[START], "gate": float(gate)}
    heads = (
        own_token.one_token("state, two tokens back", 2, read(state), to[0], **how),
        own_token.one_token(
            "action and reward, one back", 1, stack(read(action), read(reward)), to[1:], **how
        ),
    )
    units = tuple(_rounded(register, p.stream.one) for register in to[:2])

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        found = []
        for back, register in ((2, state), (1, action), (1, reward)):
            x = held(values, register)
            found.append(np.concatenate([np.zeros((back, x.shape[1])), x])[: len(x)])
        return np.concatenate(found, axis=1)

    own = Bound(above(own_token.one_token_error(gate, 1.0)), 4 * UNIT)
    promise = Promise("one-hot states and actions, rewards in [0, 1]", own, own, 4.0)
    return Block("step before", p.source, (Step(heads, units),), to, truth, promise)


def _rounded(register: Register, one: Register) -> Units:
    """Neurons that make 0 of what is below 1/4 and 1 of what is above 3/4, in place."""
    x, ones, rows = read(register), tile(read(one), register.size), np.arange(register.size)
    reads, weights = stack(2 * x - 0.5 * ones, 2 * x - 1.5 * ones, x), np.repeat([1.0, -1.0, -1.0], len(rows))
    return Units("round", reads, ((register, np.tile(rows, 3), np.arange(3 * len(rows)), weights),))


def _loop(made: Tables, p: Program) -> Block:
    """The block of all stages; its claim is the policy's logits at state tokens."""
    spec, logits, tau = made.spec, p.stream["logits"], made.spec.plain.tau

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return loop.plan(spec.plain, values) / tau

    largest = max(2.0 * spec.horizon + spec.bonus(0), 2.0 * made.gate + spec.episodes, spec.horizon / tau)
    magnitude = 2 * largest * math.sqrt(p.stream.width)
    promise = Promise("rewards within [0, 1]", made.logit, made.logit, magnitude)
    steps = tuple(_Stages(made, p.stream).steps())
    return Block("value iteration by averages", p.source, steps, logits, truth, promise, groups=spec.actions)


@dataclass(frozen=True)
class _Stages:
    """Layers 2 and on."""

    made: Tables
    stream: Stream

    def steps(self) -> Iterator[Step]:
        """Layer by layer, the last stage first."""
        spec, at = self.made.spec, self.stream
        yield self.looked_up(spec.horizon)
        for stage in range(spec.horizon, 0, -1):
            last = stage == spec.horizon
            for state in range(0 if last else spec.states - 1):
                told = self.outcomes(stage, state + 1)
                yield Step((self.expected(state), *told.heads), (*told.units, *loop.empty(at["odds"])))
            heads = () if last else (self.expected(spec.states - 1),)
            spent = ("base",) if last else ("base", "ahead", "odds", "value")
            yield Step(heads, (self.values(last), *loop.empty(*at.several(spent))))
            yield from self.maxima(stage)

    def looked_up(self, stage: int) -> Step:
        """R̂ or H, and b(N), into `base`; of a stage that has one after it also the first odds."""
        spec, at = self.made.spec, self.stream
        matches, one = self.matches(stage), at.one
        fallback = read(at["previous_reward"]) + float(spec.horizon) * read(at[START])
        heads = (
            self.matching("reward, or H", matches, 3, fallback, at["base"], float(self.made.gate)),
            self.matching("1/(N + 1)", matches, 3, read(at[START]), at["visits"]),
        )
        bonus = interpolation.neurons(
            "bonus", self.made.bonus, source=read(at["visits"]), one=one, to=at["base"]
        )
        told = self.outcomes(stage, 0) if stage < spec.horizon else Step()
        return Step((*heads, *told.heads), (bonus, *loop.empty(at["visits"]), *told.units))

    def outcomes(self, stage: int, state: int) -> Step:
        """1/(n + 1) and 1/(N − n + 1), of visits that a state followed and of the others; the odds log n − log(N − n)."""
        at, matches = self.stream, self.matches(stage)
        after = tile(pick(at["state"], np.array([state])), matches.height)
        heads = (
            self.matching("1/(n + 1)", matches + after, 4, read(at[START]), at["seen"]),
            self.matching("1/(N − n + 1)", matches - after, 3, read(at[START]), at["rest"]),
        )
        logs, more = self.made.logs, {"one": at.one, "to": at["odds"]}
        units = (
            interpolation.neurons("log n", logs, source=read(at["seen"]), **more),
            interpolation.neurons(
                "−log(N − n)", interpolation.scaled(logs, -1.0), source=read(at["rest"]), **more
            ),
            *loop.empty(at["seen"], at["rest"]),
        )
        return Step(heads, units)

    def matches(self, stage: int) -> Link:
        """How many of h, s and a each token closes a step of, for each (s, a): 3 where all are right."""
        at = self.stream
        kinds = at.several(("previous_state", "previous_action"))
        counters = counting.Counters.every([stage], kinds, (), ())
        return counters.matches() + pick(at["stage"], counters.stages)  # entry h is of stage h + 1

    def matching(
        self, role: str, matches: Link, wanted: int, value: Link, to: Register, level: float = 0.0
    ) -> Head:
        """The average of a value over the tokens that match, for each (s, a)."""
        how = {"one": read(self.stream.one), "start": read(self.stream[START]), "level": level}
        return averages.matching(role, matches, wanted, value, to, gate=float(self.made.gate), **how)

    def expected(self, state: int) -> Head:
        """P̂(s'|s, a) · V(s') into `ahead`."""
        at, pairs = self.stream, self.stream["ahead"].size
        value = tile(pick(at["value"], np.array([state])), pairs)
        how = {"position": at["position"], "start": at[START], "gate": float(self.made.gate)}
        return own_token.by_odds("P̂ · V", read(at["odds"]), value, at["ahead"], **how)

    def values(self, last: bool) -> Units:
        """Q = relu(x) − relu(x − H), x = base + ahead."""
        at = self.stream
        x = read(at["base"]) if last else read(at["base"]) + read(at["ahead"])
        cut, rows = x - float(self.made.spec.horizon) * tile(read(at.one), x.height), np.arange(x.height)
        writes = (at["chosen"], np.tile(rows, 2), np.arange(2 * x.height), np.repeat([1.0, -1.0], x.height))
        return Units("Q, cut off at H", stack(x, cut), (writes,))

    def maxima(self, stage: int) -> Iterator[Step]:
        """Q(s_i, ·)/τ into the logits, and V = max_a Q; the stage before is looked up beside it."""
        spec, at = self.made.spec, self.stream
        left, spent = read(at["chosen"]), at["chosen"]
        if stage == 1:
            yield Step((), (self.selected(stage),))
            return
        names = [*(name for name in at.registers if name.startswith("level_")), "value"]
        for number, target in enumerate(at.several(names)):
            units = (maximum.neuron_level("max", left, spec.states, target), *loop.empty(spent))
            told = self.looked_up(stage - 1) if not number else Step()
            first = () if number else (self.selected(stage),)
            yield Step(told.heads, (*first, *units, *told.units))
            left, spent = read(target), target

    def selected(self, stage: int) -> Units:
        """Relu(Q(s, a) − H(2 − [s_i = s] − [h_i = h]))/τ for all s into the logit of a."""
        spec, at, top = self.made.spec, self.stream, float(self.made.spec.horizon)
        here = repeat_rows(read(at["state"]), spec.actions)
        now = tile(
            pick(at["stage"], np.array([stage - 1])) - 2 * Position.of(at["position"]).one, here.height
        )
        rows, weight = np.arange(here.height), np.full(here.height, 1 / spec.plain.tau)
        writes = (at["logits"], rows % spec.actions, rows, weight)
        return Units("Q of this state and stage", read(at["chosen"]) + top * (here + now), (writes,))
