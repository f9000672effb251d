"""Step 4 for any number of arms: the policy integrated along fixed lines, in place of an assumption of existence.

Write z ~ N(0, I_d) as z = E n + s e with a fixed direction e, a basis E of what is orthogonal to it, n ~ N(0, I_{d−1}) and
s ~ N(0, 1). On the line of a node n the score of arm k is α_k + sβ_k, α_k = ⟨x_k, En⟩ + y_k, β_k = ⟨x_k, e⟩, so that k wins
exactly for s between

    lo_k = max over j with β_j < β_k of b_kj,    hi_k = min over j with β_j > β_k of b_jk,    b_kj = (α_j − α_k)/(β_k − β_j),

and P(k | n) = [Φ(hi_k) − Φ(lo_k)]₊. The mean over N nodes, which stand in the weights, is P̄_k: one direction is integrated
exactly, the others by scrambled Sobol' points or by independent ones. b_kj is ⟨B_kj, (n, 1)⟩ with N-free vectors
B_kj = c_kj(Eᵀ(x_j − x_k), y_j − y_k), c_kj = 1/(β_k − β_j): A(A−1) divisions a token, not N times as many.

    layer 1       MLP: pos_kj = relu(β_k − β_j), and near_kj, the same cut off at δ
    layer 2       heads: y_k;  MLP: c_kj from pos_kj by interpolation, and ∓M(1 − g_kj), g_kj = 1 where near_kj ≥ δ₀: the
                  bounds that do not apply
    layer 3       heads: B_kj, own-token score i c_kj, value (Eᵀ(x_j − x_k), y_j − y_k)
    layers 3 …    MLP: max and min of A − 1 numbers for each arm and node, by max(p, q) = q + relu(p − q)
    then          MLP: hi + C and lo + C, cut off at 0, less relu(lo − hi): where lo > hi the two are equal, or both below 0
    then          MLP: Φ(· − C) by interpolation, constant below 0, and the mean over nodes: p̂_k
    then          MLP: logits = log(p̂_k ∨ η₁) by interpolation

lines_plan.py has the certificate.
"""

import math

import numpy as np
from flint import arb
from jaxtyping import Float, Int

from constructions.language import Program, Value
from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step, gate_size
from constructions.parts.links import (
    Link,
    Values,
    mapped,
    read,
    repeat_rows,
    side_by_side,
    some,
    split,
    stack,
    tile,
    transposed,
)
from constructions.parts.stream import Register, Stream
from constructions.parts.units import Units, constant_units, joined, relu_units
from constructions.primitives import clipping, interpolation, maximum, stored
from constructions.rounding.outward import above
from constructions.thompson import lines_plan, posterior
from constructions.thompson.algebra import route
from constructions.thompson.lines_plan import LinesPlan
from constructions.thompson.nodes import NodeRule, resolution
from constructions.thompson.spec import Spec

SOURCE = "Theorem approx_thompson_linear, step 4, lines"


def registers(spec: Spec, chosen: LinesPlan) -> dict[str, int]:
    """Names and sizes of the scratch registers."""
    arms, pairs = spec.actions, spec.actions * (spec.actions - 1)
    lines = arms * len(chosen.rule.nodes)
    sizes = {"mean": arms, "ahead": pairs, "near": pairs, "inverse": pairs}
    sizes |= {"slopes": pairs * (spec.dim - 1), "low_offset": pairs, "high_offset": pairs}
    for number, size in enumerate(_levels(2 * lines, arms - 1)):
        sizes[f"level_{number}"] = size
    return sizes | {"low": lines, "high": lines, "probability": arms}


def _levels(groups: int, count: int) -> list[int]:
    """Sizes of the registers of the maximum of so many numbers in each group."""
    sizes = []
    while count > 1:
        sizes.append(groups * (count // 2))
        count = math.ceil(count / 2)
    return sizes


def write(p: Program, spec: Spec, chosen: LinesPlan) -> Value:
    """The layers after steps 1 to 3, which have written `white`.

    The middle is one block: that errors of slopes and heights move an end of an interval relatively is a lemma about all of
    it, and its registers mean nothing to a token whose arms the direction does not tell apart.
    """
    p = p.citing(SOURCE)
    p.put(_slopes(spec, p.stream, chosen, p.written("white")))
    route(spec).mean(p, spec)
    p.put(_lines(spec, p.stream, chosen, p.written("white"), p.written("mean")))
    least, shape = float(spec.truncation or 0), chosen.logarithm

    def truth(probability: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(probability, least))

    curve, found = (shape, stored.deviation(shape, stored.LOGARITHM)), p.value("probability")
    return p.function("logits", "log P", found, truth, curve, slope=above(1 / arb(least)))


def _slopes(spec: Spec, stream: Stream, chosen: LinesPlan, white: Block) -> Block:
    """Of every pair, how much steeper one arm is along e than the other, and the same cut off at δ."""
    at, delta = stream.registers, resolution(spec)
    first, second = _pairs(spec.actions)
    ahead = _differences(at["white"], second, first, chosen.rule.direction[:, None])  # β_k − β_j
    units = (
        relu_units("slope ahead", ahead, (at["ahead"], 1.0)),
        clipping.units("slope near 0", ahead, at["near"], stream.one, delta),
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens ends"]:
        slopes = values["white"].reshape(len(values["white"]), spec.actions, spec.dim) @ chosen.rule.direction
        found = np.maximum(slopes[:, first] - slopes[:, second], 0.0)
        return np.concatenate([found, np.minimum(found, delta)], axis=1)

    reach, pairs = lines_plan.reach(spec), len(first)
    own = Bound(0.0, UNIT * 4 * (spec.dim + 2) * reach)
    promise = Promise("any", own, own + 2 * white.promise.total, 2 * reach * math.sqrt(pairs))
    steps = (Step((), units),)
    return Block("slopes along e", SOURCE, steps, (at["ahead"], at["near"]), truth, promise, groups=2 * pairs)


def _lines(spec: Spec, stream: Stream, chosen: LinesPlan, white: Block, mean: Block) -> Block:
    """One lemma: from x_k and y_k to the mean over nodes of the exact probabilities along their lines."""
    rule, at = chosen.rule, stream.registers
    delta, theta, reach = resolution(spec), posterior.largest_ratio(spec), lines_plan.reach(spec)
    farthest = reach * (rule.longest + theta) * (1 + 1e-3)
    beyond = gate_size(4 * farthest / delta + 4 * chosen.cut)  # M
    gate = gate_size(4 / delta * 2 * spec.horizon)
    first, second = _pairs(spec.actions)
    moves, levels = _moves(stream, rule, first, second, gate), _tree(spec, stream, chosen)
    slopes, to = read(at["ahead"]), at["inverse"]
    inverse = interpolation.neurons("1/slope", chosen.inverse, source=slopes, one=stream.one, to=to)
    steps = [
        Step((), (inverse, _offsets(stream, beyond, lines_plan.zone(spec)))),
        Step((moves,), levels[0].units),
        *levels[1:],
    ]

    def truth(values: Values) -> Float[np.ndarray, "tokens arms"]:
        white = values["white"].reshape(len(values["white"]), spec.actions, spec.dim)
        return rule.policy(white, values["mean"])

    slack, inherited = _rounding(spec, chosen, beyond, gate, white.promise, mean.promise)
    own, total = (Bound(chosen.probability, extra) for extra in (slack, slack + inherited))
    size = math.sqrt(spec.actions * len(rule.nodes))
    magnitude = 4 * size * beyond * math.sqrt(spec.actions) * len(steps)
    magnitude += 4 * (1 + reach) / delta * math.sqrt(len(first))  # c_kj and B_kj, at most 2/δ times reach
    promise = Promise("direction tells the arms apart", own, total, magnitude)
    return Block("P by lines", SOURCE, tuple(steps), at["probability"], truth, promise, groups=spec.actions)


def _rounding(
    spec: Spec, chosen: LinesPlan, beyond: float, gate: float, white: Promise, mean: Promise
) -> tuple[float, float]:
    """What rounding does to p̂_k: here, and by what it did to x̂ and ŷ before.

    Ends of intervals that matter are at most C, so that α_j − α_k = b/c is at most C·reach. To such an end add: the rounding
    of c by interpolation and by the gate, times b/c; of M(1 − g), from a difference of numbers δ/δ₀ times M; and of sums
    with numbers as large as M. φ ≤ 2/5 and two ends give 4/5 of it.
    """
    delta, reach, nodes = resolution(spec), lines_plan.reach(spec), chosen.rule.nodes
    inverse, normal, levels = chosen.inverse, chosen.normal, 4 + (spec.actions - 1).bit_length()
    slopes = (len(inverse.knots) + 4) * inverse.size + 8 * gate * 2 * spec.horizon
    ends = chosen.cut * reach * slopes + (4 * delta / lines_plan.zone(spec) + 8 * levels + spec.dim) * beyond
    sums = 2 * (len(normal.knots) + len(nodes) + 4) * normal.size * len(nodes)
    carried = (
        2 * white.total.rounding * (chosen.rule.longest + chosen.cut) + 2 * mean.total.rounding
    ) / delta
    return UNIT * (0.8 * ends + sums), 0.8 * 2 * carried


def _pairs(arms: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """All ordered pairs k ≠ j, by k."""
    first, second = np.divmod(np.arange(arms * arms), arms)
    keep = first != second
    return first[keep], second[keep]


def _differences(
    register: Register, minus: np.ndarray, plus: np.ndarray, directions: Float[np.ndarray, "dim count"]
) -> Link:
    """The coordinates of v_plus − v_minus along directions, pair by pair."""
    dim = len(directions)
    return mapped(some(register, plus, of=dim) - some(register, minus, of=dim), directions.T)


def _offsets(stream: Stream, beyond: float, zone: float) -> Units:
    """−M(1 − g) on lower ends and M(1 − g) on upper ends."""
    near, low, high = stream["near"], stream["low_offset"], stream["high_offset"]
    inside = read(near) - zone * repeat_rows(read(stream.one), near.size)
    role, steep = "ends that do not apply", beyond / zone
    return joined(
        role,
        relu_units(role, read(near), (low, steep), (high, -steep)),
        relu_units(role, inside, (low, -steep), (high, steep)),
        constant_units(role, stream.one, (low, -beyond), (high, beyond)),
    )


def _moves(stream: Stream, rule: NodeRule, first: np.ndarray, second: np.ndarray, gate: float) -> Head:
    """c_kj (Eᵀ(x_j − x_k), y_j − y_k), the last entry twice."""
    place, pairs = Position.of(stream["position"]), len(first)
    apart = _differences(stream["white"], first, second, rule.basis)
    gap = _differences(stream["mean"], first, second, np.ones((1, 1)))
    gates = tile(stack(place.index, place.one), pairs)
    key = stack(place.index, -gate * place.one, gate * place.index)
    to = tuple(stream[name] for name in ("slopes", "low_offset", "high_offset") if name in stream.registers)
    parts = [link for link in (apart, gap, gap) if link.height]
    return Head(
        "ends of intervals",
        side_by_side(pairs, read(stream["inverse"]), gates),
        tile(key, pairs),
        side_by_side(pairs, *parts),
        to,
        pairs,
    )


def _tree(spec: Spec, stream: Stream, chosen: LinesPlan) -> list[Step]:
    """From the ends of intervals to p̂."""
    lines, number, steps = spec.actions * len(chosen.rule.nodes), 0, []
    numbers = _candidates(stream, chosen.rule, spec.actions)
    while numbers.height > 2 * lines:
        excess, difference = stream[f"level_{number}"], maximum.differences(numbers, 2 * lines)
        steps.append(Step((), (relu_units(f"level {number}", difference, (excess, 1.0)),)))
        numbers, number = maximum.after_attention(numbers, 2 * lines, read(excess)), number + 1
    low, high = stream["low"], stream["high"]
    (lower, upper), ones = split(numbers, 2), chosen.cut * repeat_rows(read(stream.one), lines)
    ends = (
        relu_units("lower ends", lower + ones, (low, 1.0)),
        relu_units("empty intervals", lower + upper, (low, -1.0)),
        relu_units("upper ends", ones - upper, (high, 1.0)),
    )
    return [*steps, Step((), ends), Step((), _mean(stream, chosen))]


def _candidates(stream: Stream, rule: NodeRule, arms: int) -> Link:
    """Numbers whose largest is lo_k, and whose largest is −hi_k: for each side, node and arm, one for each other arm."""
    nodes, rest = rule.nodes.shape
    first, second = _pairs(arms)
    mirrored = np.lexsort((first, second))  # pairs (j, k) in the order of k, then j
    sides = []
    for sign, order, name in ((1.0, np.arange(len(first)), "low_offset"), (-1.0, mirrored, "high_offset")):
        ends = tile(some(stream[name], order, of=1), nodes)
        if rest:
            ends += transposed(mapped(some(stream["slopes"], order, of=rest), rule.nodes), nodes)
        sides.append(sign * ends)
    return stack(*sides)


def _mean(stream: Stream, chosen: LinesPlan) -> tuple[Units, Units]:
    """p̂_k += (1/N) Σ over nodes of Φ(hi_k) − Φ(lo_k)."""

    def part(name: str, sign: float) -> Units:
        places = {"source": read(stream[name]), "one": stream.one, "to": stream["probability"]}
        return interpolation.neurons(f"Φ of {name}", interpolation.scaled(chosen.normal, sign), **places)

    return part("high", 1.0), part("low", -1.0)
