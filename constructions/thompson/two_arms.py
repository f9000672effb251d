"""Step 4 for two arms, with nothing left to existence: log Φ of one ratio.

With u = a_1 − a_2, P(1) = Φ(t), P(2) = Φ(−t), t = ⟨u, μ⟩/√(r uᵀΣ⁻¹u). No square root of a matrix is needed.

    layer 1            MLP: u
    layers 2 … n+1     μ̂ and Σ⁻¹u by descent
    layer n+2          heads: m = ⟨u, μ̂⟩ and q = ⟨u, Σ⁻¹u⟩;             MLP: s ≈ 1/√(rq) by interpolation
    layer n+3          heads: p = qs, v = ms
    layer n+4          heads: ps;                                        MLP: w = (3 − r ps)/2
    layer n+5          heads: t = vw, one Newton step better than v;      MLP: log Φ(±t) by interpolation

By Newton's iteration (by_newton.py) x = √r Σ⁻¹ᐟ²u and v = Σ⁻¹ᐟ²b/√r come in the place of Σ⁻¹u and μ̂: m = ⟨x, v⟩, and
‖x‖² = rq in the place of q. That takes k + 6 layers; below, r is then 1 and ε = 2ε_w + ε_w².

**The certificate.** q̂ lies within a factor 1 ± ε of q, and |m̂ − m| ≤ √(rq) εΘ (posterior.py). If s = (1 + η)/√(rq̂), then
sw = (1 + η)(1 − η − η²/2)/√(rq̂) = (1 − 3η²/2 − η³/2)/√(rq̂). With η ≤ η₀ and |t| ≤ Θ,

    |t̂ − t| ≤ ε_t = Θ[(1 + ε)(1 + 2η₀²)/√(1 − ε) − 1],

log Φ has slopes of size at most |x| + √(2/π) for x ≤ 0 and less beyond, and log-softmax is 2-Lipschitz:

    |log-probability error| ≤ 2[ε_Φ + ε_t(Θ + ε_t + √(2/π))].

It holds for both arms at every step, though Φ(−Θ) may be 10⁻⁹⁰⁰⁰. The neurons: log(q_max/q_min)/√η₀ for 1/√q, Θ/√ε_Φ for
log Φ. Tokens without arms have q = 0, where the interpolant of 1/√ goes on to 3/2 of its largest value: products must stay
silent across tokens with that too.

**Rounding** is carried along relative to ‖u‖, as q may be as small as η²/λ_max: the descent is linear in u, so that what it
rounds shrinks with u, and only the gates of own-token products leave something absolute, divided by the least q. What
rounding does to q and s cancels in p s, as p is computed from both.
"""

import math
from dataclasses import dataclass

import numpy as np
from flint import arb
from scipy.special import log_ndtr

from constructions import checks
from constructions.inputs.bandits import admitted_norms, admitted_reward, admitted_separation
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language import Program
from constructions.parts.block import UNIT, Block, Bound
from constructions.parts.stream import Stream
from constructions.primitives import copying, descent, interpolation, product, stored
from constructions.rounding.outward import above, balls, below, nearest
from constructions.thompson import by_newton, posterior
from constructions.thompson.spec import Spec

SOURCE = "Theorem approx_thompson_linear, step 4, two arms"
SHARE = 0.7
"""Part of the error left to log Φ, whose width grows with error^{-1/2}."""


@dataclass(frozen=True)
class Plan:
    """The choices behind the weights.

    Attributes:
        depth: layers of descent, or Newton's steps.
        residual: ε.
        spread: η₀.
        ratio: ε_t.
        tail: ε_Φ.
        error: the certificate.
    """

    depth: int
    residual: float
    spread: float
    ratio: float
    tail: float
    error: float


def plan(spec: Spec) -> Plan:
    """The least depth and the widest knots that meet the error."""
    budget, most = float(spec.error or 0) / 2 * (1 - 1e-6), posterior.largest_ratio(spec)
    tail = SHARE * budget
    slope = most + 1 + math.sqrt(2 / math.pi)
    wanted = min((budget - tail) / slope, 0.5) / most  # relative error of t
    spread = min(math.sqrt(wanted / 8), 0.5)

    def ratio(epsilon: float) -> float:
        part = arb(epsilon)
        return above(most * ((1 + part) * (1 + 2 * arb(spread) ** 2) / (1 - part).sqrt() - 1))

    def enough(epsilon: float) -> bool:
        return epsilon < 0.5 and ratio(epsilon) <= wanted * most

    if spec.solver == "newton":
        depth, residual = by_newton.least_steps(spec, lambda _, epsilon: enough(epsilon))
    else:
        depth = posterior.least_depth(spec, enough)
        residual = posterior.method(spec).residual(depth)
    error = ratio(residual)
    whole = above(2 * (tail + error * (most + arb(error) + (2 / arb.pi()).sqrt())))
    checks.carried(float(spec.error or 0), whole)
    return Plan(depth, residual, spread, error, tail, whole)


def registers(spec: Spec, chosen: Plan) -> dict[str, int]:
    """Names and sizes of the scratch registers."""
    names = ("difference", "estimate", "estimate_ahead", "solved", "solved_ahead")
    sizes: dict[str, int] = dict.fromkeys(names, spec.dim)
    if spec.solver == "newton":
        sizes = by_newton.registers(spec, difference=True)
    scalars = ("gap", "variance", "inverse_root", "first", "scaled", "square", "correction", "ratio")
    return sizes | dict.fromkeys(scalars, 1)


@dataclass(frozen=True)
class Moments:
    """What is known of m and q, once they are computed.

    Attributes:
        noise: r, as far as q does not hold it.
        variance: bounds on q̂.
        gap: bound on |m̂|.
        shake: rounding of q, relative.
        gap_shake: rounding of m, relative to √(rq).
    """

    noise: float
    variance: tuple[float, float]
    gap: float
    shake: float
    gap_shake: float


def write(p: Program, spec: Spec, chosen: Plan) -> None:
    """All blocks of the construction for two arms."""
    theta = above(arb(posterior.largest_ratio(spec)) + chosen.ratio)
    curve = _log_normal_curve(chosen, theta)  # first: what it refuses is refused soon
    moments = (_by_newton if spec.solver == "newton" else _by_descent)(p, spec, chosen)
    [inverse_root] = p.then(_inverse_root(p.stream, chosen, moments))
    ratio = _products(p, spec, chosen, moments, inverse_root.promise.own.rounding)
    p.then(_logits(p.stream, curve, theta, ratio))


def _own(p: Program, name: str, registers: tuple[str, str, str], bound: float, inherited: Bound) -> Block:
    """The product of two registers, in a third."""
    left, right, to = (p.stream[register] for register in registers)
    common = {"position": p.position, "tokens": p.tokens}
    return product.own_token(
        name, SOURCE, left=left, right=right, to=to, bound=bound, inherited=inherited, **common
    )


def _by_descent(p: Program, spec: Spec, chosen: Plan) -> Moments:
    """M = ⟨u, μ̂⟩ and q = ⟨u, Σ⁻¹u⟩."""
    at, high, depth = p.stream.registers, 2 * admitted_norms(spec)[1], chosen.depth
    arms = [at["arms"].part(n, of=2) for n in range(2)]
    terms = ((1.0, arms[0]), (-1.0, arms[1]))
    difference = copying.combine("difference u", SOURCE, terms=terms, to=at["difference"], bound=high)
    mean = posterior.estimate(spec, p.stream, depth)
    solved = posterior.inverse(spec, p.stream, "solved", depth, vectors="difference", norm=high, source="4")
    largest, r, epsilon = largest_eigenvalue(spec), spec.noise_variance, chosen.residual
    apart = admitted_separation(spec)
    low = below(arb(apart) ** 2 / largest * (1 - arb(epsilon)))
    most = above(arb(high) ** 2 / spec.ridge * (1 + arb(epsilon)))
    estimate = above(descent.largest_estimate(spec.ridge, spec.horizon, admitted_reward(spec)))
    estimate += mean.promise.total.error
    registers, carried = ("estimate", "difference", "gap"), high * mean.promise.total
    gap = _own(p, "gap ⟨u, μ⟩", registers, high * estimate, carried)
    registers, carried = (
        ("solved", "difference", "variance"),
        Bound(epsilon * most, high * solved.promise.total.rounding),
    )
    variance = _own(p, "variance uᵀΣ⁻¹u", registers, most, carried)
    steepness = math.sqrt(largest)  # of ‖u‖ in √q
    apart = difference.promise.total.rounding / apart  # rounding of u, relative
    shake = variance.promise.own.rounding / low + largest * solved.promise.total.rounding / high
    shake += 2 * apart * steepness / math.sqrt(spec.ridge)
    gap_shake = gap.promise.own.rounding * _longest(chosen, r * low) + steepness / math.sqrt(r) * (
        mean.promise.total.rounding + apart * estimate
    )
    p.then(difference)
    p.then(mean, solved)
    p.then(gap, variance)
    return Moments(r, (low, most), high * estimate, shake, gap_shake)


def _by_newton(p: Program, spec: Spec, chosen: Plan) -> Moments:
    """M = ⟨x, v⟩ and rq = ‖x‖²."""
    by_newton.solve(p, spec, by_newton.chosen(spec, chosen.depth))
    white, half = (p.written(name).promise.total for name in ("white", "half"))
    largest, epsilon = largest_eigenvalue(spec), chosen.residual
    theta, reach, high = posterior.largest_ratio(spec), 2 * posterior.reach(spec), admitted_norms(spec)[1]
    contraction, apart = spec.noise_variance / largest, admitted_separation(spec)
    low = below(arb(apart) ** 2 * spec.noise_variance / largest * (1 - arb(epsilon)))
    most = above(arb(reach) ** 2 * (1 + arb(epsilon)))
    registers, whole = ("half", "white", "gap"), reach * theta * (1 + epsilon)
    carried = Bound(above(arb(reach) * theta * epsilon), theta * white.rounding + reach * half.rounding)
    gap = _own(p, "gap ⟨u, μ⟩", registers, 2 * whole, carried)
    registers, carried = ("white", "white", "variance"), Bound(epsilon * most, 2 * reach * white.rounding)
    variance = _own(p, "variance r uᵀΣ⁻¹u", registers, 2 * most, carried)
    relative = white.rounding / (2 * high * math.sqrt(contraction))  # of x, which is linear in u
    apart = UNIT * 32 * high / apart  # rounding of i·a_1 − i·a_2, relative
    relative += apart * math.sqrt(largest / spec.ridge)
    shake = variance.promise.own.rounding / low + 2 * relative
    gap_shake = gap.promise.own.rounding * _longest(chosen, low) + theta * relative + half.rounding
    p.then(gap, variance)
    return Moments(1.0, (low, most), whole, shake, gap_shake)


def _longest(chosen: Plan, least: float) -> float:
    """The largest s."""
    return (1 + chosen.spread) / math.sqrt(least)


def _relative(chosen: Plan) -> float:
    """What a factor 1 ± ε on q does to m/√q."""
    return (1 + chosen.residual) / math.sqrt(1 - chosen.residual) - 1


def _inverse_root(stream: Stream, chosen: Plan, moments: Moments) -> Block:
    """S ≈ 1/√(rq)."""
    (low, most), r = moments.variance, moments.noise
    longest = _longest(chosen, r * low)
    with balls():
        meant = stored.power(0.5).scaled(1 / arb(r).sqrt())
    curve, _ = stored.within(
        lambda aim: interpolation.scaled(interpolation.power(0.5, low, most, aim), 1 / math.sqrt(r)),
        meant,
        chosen.spread,
    )
    return interpolation.function(
        "1/√(r uᵀΣ⁻¹u)",
        SOURCE,
        curve,
        of=lambda x: 1 / np.sqrt(r * np.maximum(x, low)),
        error=chosen.spread * longest,
        source=stream["variance"],
        one=stream["position"].part(2, of=3),
        to=stream["inverse_root"],
        inherited=Bound(_relative(chosen) * longest, longest * moments.shake),
    )


def _products(p: Program, spec: Spec, chosen: Plan, moments: Moments, rounding: float) -> Block:
    """From s to t; `rounding` is that of s."""
    (low, most), r, size = moments.variance, moments.noise, posterior.largest_ratio(spec)
    drift = (1 + chosen.spread) * (1 + _relative(chosen)) - 1
    across = 1.5 * _longest(chosen, r * low)  # also where there are no arms
    root_shake = rounding * math.sqrt(r * most)
    first = _own(
        p,
        "uᵀΣ⁻¹u · 1/√",
        ("variance", "inverse_root", "first"),
        most * across,
        Bound(drift * math.sqrt(most / r), 2 * math.sqrt(most / r) * (moments.shake + root_shake)),
    )
    scaled = _own(
        p,
        "ratio, first try",
        ("gap", "inverse_root", "scaled"),
        moments.gap * across,
        Bound(drift * size, 2 * (moments.gap_shake + size * (moments.shake + root_shake))),
    )
    square = _own(
        p,
        "its square",
        ("first", "inverse_root", "square"),
        2 * math.sqrt(most / r) * across,
        Bound(3 * drift / r, 4 / r * (first.promise.own.rounding / math.sqrt(low / r) + root_shake)),
    )
    terms = ((1.5, p.position.part(2, of=3)), (-r / 2, p.stream["square"]))
    carried = (r / 2) * square.promise.total
    correction = copying.combine(
        "Newton's correction", SOURCE, terms=terms, to=p.stream["correction"], bound=4.0, inherited=carried
    )
    rounded = 2 * scaled.promise.total.rounding + 2 * (size + 1) * correction.promise.total.rounding
    ratio = _own(
        p,
        "ratio t",
        ("scaled", "correction", "ratio"),
        4 * (size + chosen.ratio + 1),
        Bound(chosen.ratio, rounded),
    )
    for stage in ([first, scaled], [square], [correction], [ratio]):
        p.then(*stage)
    return ratio


def _log_normal_curve(chosen: Plan, theta: float) -> tuple[interpolation.Interpolant, float]:
    """The interpolant of log Φ on [−θ, θ], and how near its neurons are."""
    return stored.within(
        lambda aim: interpolation.walk(lambda x: nearest(_log_normal, x), curvature, -theta, theta, aim),
        LOG_NORMAL,
        chosen.tail,
    )


def _logits(
    stream: Stream, chosen: tuple[interpolation.Interpolant, float], theta: float, ratio: Block
) -> Block:
    """The two log-probabilities, log Φ(±t)."""
    (curve, reached), slope = chosen, theta + math.sqrt(2 / math.pi)
    return interpolation.function(
        "log Φ(±t)",
        SOURCE,
        curve,
        of=log_ndtr,
        error=reached,
        source=stream["ratio"],
        one=stream["position"].part(2, of=3),
        to=stream["logits"],
        inherited=slope * ratio.promise.total,
        signs=(1.0, -1.0),
    )


def _log_normal(x: arb) -> arb:
    return ((-x / arb(2).sqrt()).erfc() / 2).log()


def _bend(left: arb, right: arb) -> arb:
    """(log Φ)'' at the left end, where it is largest: −m(x + m), m = φ/Φ."""
    mills = (-(left**2) / 2).exp() / (arb.pi() / 2).sqrt() / (-left / arb(2).sqrt()).erfc()
    return -mills * (left + mills)


LOG_NORMAL = stored.Curve(_log_normal, bend=_bend)


def curvature(x: float) -> float:
    """(log Φ)'' = −m(x + m), m = φ/Φ; it rises from −1 to 0.

    >>> round(curvature(0.0), 6), curvature(-30.0) > -1
    (-0.63662, True)
    """
    return nearest(lambda x: _bend(x, x), x)
