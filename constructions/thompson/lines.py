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

**The certificate.** Say that e tells the arms apart if |⟨x_k − x_j, e⟩| ≥ ζ‖x_k − x_j‖ and ≥ δ for every pair. Then, with
ε_w, ε and Θ of posterior.py, Z ≥ ‖n‖ for all nodes and ε_c the relative error of 1/x,

    |b̂ − b| ≤ |b| r + h,   r = (1 + ε_c)/(1 − ε_w/ζ) − 1,   h = (1 + r)(ε_w Z + εΘ)/ζ,
    |p̂_k − P̄_k| ≤ ε_p = 2[ε_Φ + Φ(−C) + r/4 + 2h/5],

as |x|φ(x) ≤ 1/4 and φ ≤ 2/5; max and min are 1-Lipschitz. For every arm with P̄_k ≥ floor, both ways,

    |log TF_k − log P̄_k| ≤ −log(1 − ε_p/floor) + 2ε_log + max(log(1 + A(ε_p + η₁)), −log(1 − Aε_p)).

So much is deterministic. What holds with a probability over direction and nodes, for a history fixed before they are drawn,
is in nodes.py.
"""

import math
from dataclasses import dataclass

import numpy as np
from flint import arb
from jaxtyping import Float, Int

from constructions import checks, limits
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
from constructions.rounding.outward import above, balls, below, nearest, power_of_two
from constructions.thompson import by_newton, posterior
from constructions.thompson.algebra import route
from constructions.thompson.nodes import APART, Rule, normal_quantile, resolution
from constructions.thompson.spec import FLOOR, Spec

SOURCE = "Theorem approx_thompson_linear, step 4, lines"
NEARLY = 1 + 1e-9
"""Direction and basis are orthonormal up to rounding, which is far below this."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The choices behind the weights.

    Attributes:
        rule: direction and nodes.
        algebra: the linear algebra.
        cut: C.
        inverse: interpolant of 1/x from δ(1 − ε_w/ζ) on.
        normal: interpolant of Φ(x − C)/N on [0, 2C], level beyond.
        logarithm: interpolant of log from η₁ on.
        probability: ε_p.
        error: the certificate.
    """

    rule: Rule
    algebra: posterior.Plan | by_newton.Plan
    cut: float
    inverse: interpolation.Interpolant
    normal: interpolation.Interpolant
    logarithm: interpolation.Interpolant
    probability: float
    error: float


def plan(spec: Spec) -> Plan:
    """Shares of the error that leave most of it to Φ, which has neurons for each arm and node."""
    pairs = 2.0 * spec.actions * (spec.actions - 1)  # ends of intervals for each node, from d numbers each
    limits.hold("thompson by lines", weights=(pairs * spec.nodes + spec.dim) * spec.dim)
    rule, arms, wanted = Rule.of(spec), spec.actions, float(spec.error or 0) * (1 - 1e-6)
    log_error, cut_off = wanted / 20, float(spec.truncation or 0)

    def whole(probability: float) -> float:
        p, above_one, below_one = map(
            arb, (probability, arms * (arb(probability) + cut_off), arms * arb(probability))
        )
        total = above_one.log1p().max(-(-below_one).log1p())
        return above(-(-p / arb(FLOOR)).log1p() + 2 * arb(log_error) + total)

    if whole(0.0) >= wanted:
        raise ValueError(
            f"truncation: wanted one that leaves room within error = {wanted:g}, got {cut_off:g}"
        )
    low, high = 0.0, min(FLOOR, 0.5 / arms)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if whole(middle) <= wanted else (low, middle)
    budget = low / 2  # for one end of the interval
    cut = -nearest(normal_quantile, 0.02 * budget)
    spread, shift = 0.4 * budget, 0.05 * budget
    longest = _longest(rule)
    theta = posterior.largest_ratio(spec)
    algebra = route(spec).plan(spec, APART * shift / 4 / max(longest, 1.0), APART * shift / 4 / theta)
    apart, nodes = NEARLY * arb(algebra.relative) / APART, len(rule.nodes)
    least = below(resolution(spec) * (1 - apart))  # of slopes as they are computed
    inverse, _ = stored.within(
        lambda aim: interpolation.power(1.0, least, 2 * _reach(spec), aim), stored.power(1.0), spread
    )
    relative = (1 + arb(spread)) / (1 - apart) - 1
    drift = (1 + relative) * (apart * longest + arb(algebra.residual) * theta / APART)
    normal_error = below(arb(budget) - (cut / arb(2).sqrt()).erfc() / 2 - relative / 4 - 2 * drift / 5)
    share, _ = stored.within(
        lambda aim: interpolation.scaled(normal_interpolant(cut, aim * nodes), 1 / nodes),
        _normal(cut).scaled(1 / arb(nodes)),
        below(normal_error / arb(nodes)),
    )
    logarithm, _ = stored.within(
        lambda aim: interpolation.walk(
            lambda x: nearest(arb.log, x), lambda x: -1 / (x * x), cut_off, 1.5, aim
        ),
        stored.LOGARITHM,
        log_error,
    )
    error = whole(low)
    checks.carried(float(spec.error or 0), error)
    return Plan(rule, algebra, cut, inverse, share, logarithm, low, error)


def _longest(rule: Rule) -> float:
    """The largest ‖n‖."""
    return float(np.linalg.norm(rule.nodes, axis=1).max(initial=0.0)) * NEARLY


def _normal(cut: float) -> stored.Curve:
    """Φ(x − C) in balls. Its second derivative −tφ(t) is largest at t = ±1, and 0 is a knot."""

    def bend(left: arb, right: arb) -> arb:
        ends = left - cut, right - cut
        near, far = sorted(ends, key=lambda t: abs(t).mid())
        one = near / abs(near) if not near.contains(0) else far / abs(far)
        t = near if abs(near) > 1 else far if abs(far) < 1 else one
        return -t * (-(t**2) / 2).exp() / (2 * arb.pi()).sqrt()

    return stored.Curve(lambda x: ((cut - x) / arb(2).sqrt()).erfc() / 2, bend=bend)


def zone(spec: Spec) -> float:
    """δ₀, a power of two, so that what is divided by it is exact: about a tenth of δ."""
    return power_of_two(resolution(spec) / 10) / 2


def _reach(spec: Spec) -> float:
    """Bound on ‖x_k‖."""
    return math.sqrt(spec.prior_variance) * spec.action_norm[1] * (1 + 1e-3)


def normal_interpolant(cut: float, error: float) -> interpolation.Interpolant:
    """Φ(x − cut) on [0, 2 cut] within an error, level beyond: knots from the middle outwards.

    |Φ''(t)| = |t|φ(t) is largest at ±1. The chord leaves Φ by at most h² max |t|φ(t)/8: twice the error, of which the shift
    by ∓error takes half; in the two middle pieces, where the shift begins, by the error alone.

    >>> from scipy.special import ndtr
    >>> f = normal_interpolant(4.0, 1e-3)
    >>> x = np.linspace(0, 9, 9999)
    >>> len(f.slopes), bool(abs(f(x) - ndtr(np.minimum(x, 8) - 4)).max() <= 1e-3)
    (23, True)
    """
    half = [0.0]
    with balls():
        while half[-1] < cut:
            start, allowed = half[-1], error if len(half) == 1 else 2 * error
            low, high = 0.0, cut - start
            for _ in range(60):
                step = (low + high) / 2
                at = min(max(1.0, start), start + step)
                bend = at * nearest(arb.exp, -at * at / 2) / math.sqrt(2 * math.pi)
                low, high = (step, high) if step * step * bend / 8 <= allowed else (low, step)
            half.append(cut if high >= cut - start else start + low)
            if len(half) > interpolation.MOST_KNOTS:
                raise ValueError(
                    f"Φ: wanted an error that {interpolation.MOST_KNOTS:,} knots can reach, got {error:g}"
                )
    right = np.array(half)
    knots = np.concatenate([-right[:0:-1], right])
    values = nearest(_normal(0.0).value, knots) + np.sign(knots) * error
    return interpolation.Interpolant(np.append(knots + cut, 2 * cut + 1), np.append(values, values[-1]))


def registers(spec: Spec, chosen: Plan) -> dict[str, int]:
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


def write(p: Program, spec: Spec, chosen: Plan) -> Value:
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


def _slopes(spec: Spec, stream: Stream, chosen: Plan, white: Block) -> Block:
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

    reach, pairs = 2 * _reach(spec), len(first)
    own = Bound(0.0, UNIT * 4 * (spec.dim + 2) * reach)
    promise = Promise("any", own, own + 2 * white.promise.total, 2 * reach * math.sqrt(pairs))
    steps = (Step((), units),)
    return Block("slopes along e", SOURCE, steps, (at["ahead"], at["near"]), truth, promise, groups=2 * pairs)


def _lines(spec: Spec, stream: Stream, chosen: Plan, white: Block, mean: Block) -> Block:
    """One lemma: from x_k and y_k to the mean over nodes of the exact probabilities along their lines."""
    rule, at = chosen.rule, stream.registers
    delta, theta, reach = resolution(spec), posterior.largest_ratio(spec), 2 * _reach(spec)
    longest = _longest(rule)
    farthest = reach * (longest + theta) * (1 + 1e-3)
    beyond = gate_size(4 * farthest / delta + 4 * chosen.cut)  # M
    gate = gate_size(4 / delta * 2 * spec.horizon)
    first, second = _pairs(spec.actions)
    moves, levels = _moves(stream, rule, first, second, gate), _tree(spec, stream, chosen)
    slopes, to = read(at["ahead"]), at["inverse"]
    inverse = interpolation.neurons("1/slope", chosen.inverse, source=slopes, one=stream.one, to=to)
    steps = [
        Step((), (inverse, _offsets(stream, beyond, zone(spec)))),
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
    spec: Spec, chosen: Plan, beyond: float, gate: float, white: Promise, mean: Promise
) -> tuple[float, float]:
    """What rounding does to p̂_k: here, and by what it did to x̂ and ŷ before.

    Ends of intervals that matter are at most C, so that α_j − α_k = b/c is at most C·reach. To such an end add: the rounding
    of c by interpolation and by the gate, times b/c; of M(1 − g), from a difference of numbers δ/δ₀ times M; and of sums
    with numbers as large as M. φ ≤ 2/5 and two ends give 4/5 of it.
    """
    delta, reach, nodes = resolution(spec), 2 * _reach(spec), chosen.rule.nodes
    longest = _longest(chosen.rule)
    inverse, normal, levels = chosen.inverse, chosen.normal, 4 + (spec.actions - 1).bit_length()
    slopes = (len(inverse.knots) + 4) * inverse.size + 8 * gate * 2 * spec.horizon
    ends = chosen.cut * reach * slopes + (4 * delta / zone(spec) + 8 * levels + spec.dim) * beyond
    sums = 2 * (len(normal.knots) + len(nodes) + 4) * normal.size * len(nodes)
    carried = (2 * white.total.rounding * (longest + chosen.cut) + 2 * mean.total.rounding) / delta
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


def _moves(stream: Stream, rule: Rule, first: np.ndarray, second: np.ndarray, gate: float) -> Head:
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


def _tree(spec: Spec, stream: Stream, chosen: Plan) -> list[Step]:
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


def _candidates(stream: Stream, rule: Rule, arms: int) -> Link:
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


def _mean(stream: Stream, chosen: Plan) -> tuple[Units, Units]:
    """p̂_k += (1/N) Σ over nodes of Φ(hi_k) − Φ(lo_k)."""

    def part(name: str, sign: float) -> Units:
        places = {"source": read(stream[name]), "one": stream.one, "to": stream["probability"]}
        return interpolation.neurons(f"Φ of {name}", interpolation.scaled(chosen.normal, sign), **places)

    return part("high", 1.0), part("low", -1.0)
