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
from constructions.language import Program, Value, bandits
from constructions.parts.block import UNIT, Bound
from constructions.primitives import descent, interpolation, stored
from constructions.rounding.outward import above, balls, below, nearest
from constructions.thompson import by_newton, posterior
from constructions.thompson.spec import Spec

SOURCE = "Theorem approx_thompson_linear, step 4, two arms"
SHARE = 0.7
"""Part of the error left to log Φ, whose width grows with error^{-1/2}."""


@dataclass(frozen=True)
class TwoArmsPlan:
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


def plan(spec: Spec) -> TwoArmsPlan:
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
    return TwoArmsPlan(depth, residual, spread, error, tail, whole)


def registers(spec: Spec, chosen: TwoArmsPlan) -> dict[str, int]:
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
        gap: m̂.
        variance: q̂.
        least: bound on q̂ from below.
        shake: rounding of q, relative.
        gap_shake: rounding of m, relative to √(rq).
    """

    noise: float
    gap: Value
    variance: Value
    least: float
    shake: float
    gap_shake: float


def write(p: Program, spec: Spec, chosen: TwoArmsPlan) -> Value:
    """All of the construction for two arms: the two log-probabilities, log Φ(±t)."""
    theta = above(arb(posterior.largest_ratio(spec)) + chosen.ratio)
    curve = log_normal(chosen.tail, theta)  # first: what it refuses is refused soon
    p = p.citing(SOURCE)
    moments = (_by_newton if spec.solver == "newton" else _by_descent)(p, spec, chosen)
    t = _ratio(p, spec, chosen, moments, _inverse_root(p, chosen, moments))
    slope = theta + math.sqrt(2 / math.pi)
    return p.function("logits", "log Φ(±t)", t, log_ndtr, curve, slope=slope, signs=(1.0, -1.0))


def _by_descent(p: Program, spec: Spec, chosen: TwoArmsPlan) -> Moments:
    """Of u = a_1 − a_2: m = ⟨u, μ̂⟩ and q = ⟨u, Σ⁻¹u⟩."""
    _, _, arms = bandits.tokens(p, spec)
    first, second = arms.vectors
    u, depth = p.total("difference", first - second, name="difference u"), chosen.depth
    p.put(
        posterior.estimate(spec, p.stream, depth),
        posterior.inverse(spec, p.stream, "solved", depth, vectors="difference", norm=u.size, source="4"),
    )
    largest, r, epsilon = largest_eigenvalue(spec), spec.noise_variance, chosen.residual
    apart = admitted_separation(spec)
    low = below(arb(apart) ** 2 / largest * (1 - arb(epsilon)))
    most = above(arb(u.size) ** 2 / spec.ridge * (1 + arb(epsilon)))
    estimate = above(descent.largest_estimate(spec.ridge, spec.horizon, admitted_reward(spec)))
    estimate += p.written("estimate").promise.total.error
    mean, solved = p.value("estimate", estimate), p.value("solved", most / u.size)
    carried = u.size * mean.error, "the rounding of u is taken relatively"
    gap = p.product("gap", "gap ⟨u, μ⟩", mean, u, proved=carried)
    carried = Bound(epsilon * most, u.size * solved.error.rounding), "q̂ is within a factor 1 ± ε of q"
    variance = p.product("variance", "variance uᵀΣ⁻¹u", solved, u, size=most, across=most, proved=carried)
    steepness = math.sqrt(largest)  # of ‖u‖ in √q
    tremor = u.error.rounding / apart  # rounding of u, relative
    shake = _own(p, "variance") / low + largest * solved.error.rounding / u.size
    shake += 2 * tremor * steepness / math.sqrt(spec.ridge)
    gap_shake = _own(p, "gap") * _longest(chosen, r * low)
    gap_shake += steepness / math.sqrt(r) * (mean.error.rounding + tremor * mean.size)
    return Moments(r, gap, variance, low, shake, gap_shake)


def _by_newton(p: Program, spec: Spec, chosen: TwoArmsPlan) -> Moments:
    """Of x = √r Σ⁻¹ᐟ²u and v: m = ⟨x, v⟩ and rq = ‖x‖²."""
    by_newton.solve(p, spec, by_newton.chosen(spec, chosen.depth))
    largest, epsilon = largest_eigenvalue(spec), chosen.residual
    theta, reach, high = posterior.largest_ratio(spec), 2 * posterior.reach(spec), admitted_norms(spec)[1]
    x, v = p.value("white", reach * (1 + epsilon)), p.value("half", theta * (1 + epsilon))
    contraction, apart = spec.noise_variance / largest, admitted_separation(spec)
    low = below(arb(apart) ** 2 * spec.noise_variance / largest * (1 - arb(epsilon)))
    most, whole = above(arb(reach) ** 2 * (1 + arb(epsilon))), reach * theta * (1 + epsilon)
    off, rounding = above(arb(reach) * theta * epsilon), theta * x.error.rounding + reach * v.error.rounding
    E = "one E for both"
    gap = p.product("gap", "gap ⟨u, μ⟩", v, x, size=whole, across=2 * whole, proved=(Bound(off, rounding), E))
    carried = Bound(epsilon * most, 2 * reach * x.error.rounding), E
    variance = p.product("variance", "variance r uᵀΣ⁻¹u", x, x, size=most, across=2 * most, proved=carried)
    relative = x.error.rounding / (2 * high * math.sqrt(contraction))  # of x, which is linear in u
    relative += UNIT * 32 * high / apart * math.sqrt(largest / spec.ridge)  # i·a_1 − i·a_2 is rounded
    shake = _own(p, "variance") / low + 2 * relative
    gap_shake = _own(p, "gap") * _longest(chosen, low) + theta * relative + v.error.rounding
    return Moments(1.0, gap, variance, low, shake, gap_shake)


def _own(p: Program, name: str) -> float:
    """What the block of a register rounds itself."""
    return p.written(name).promise.own.rounding


def _longest(chosen: TwoArmsPlan, least: float) -> float:
    """The largest s."""
    return (1 + chosen.spread) / math.sqrt(least)


def _relative(chosen: TwoArmsPlan) -> float:
    """What a factor 1 ± ε on q does to m/√q."""
    return (1 + chosen.residual) / math.sqrt(1 - chosen.residual) - 1


def _inverse_root(p: Program, chosen: TwoArmsPlan, moments: Moments) -> Value:
    """The interpolant s ≈ 1/√(rq)."""
    q, low, r = moments.variance, moments.least, moments.noise
    longest = _longest(chosen, r * low)
    with balls():
        meant = stored.power(0.5).scaled(1 / arb(r).sqrt())
    curve, _ = stored.within(
        lambda aim: interpolation.scaled(interpolation.power(0.5, low, q.size, aim), 1 / math.sqrt(r)),
        meant,
        chosen.spread,
    )
    return p.function(
        "inverse_root",
        "1/√(r uᵀΣ⁻¹u)",
        q,
        lambda x: 1 / np.sqrt(r * np.maximum(x, low)),
        (curve, chosen.spread * longest),
        size=1.5 * longest,  # also where there are no arms
        proved=(Bound(_relative(chosen) * longest, longest * moments.shake), "q̂ is within 1 ± ε of q"),
    )


def _ratio(p: Program, spec: Spec, chosen: TwoArmsPlan, moments: Moments, s: Value) -> Value:
    """The ratio t = m s w for w = (3 − r q s²)/2, one step of Newton's iteration."""
    m, q, r, size = moments.gap, moments.variance, moments.noise, posterior.largest_ratio(spec)
    drift, why = (1 + chosen.spread) * (1 + _relative(chosen)) - 1, "errors relative to √q (two_arms.py)"
    root, shift = math.sqrt(q.size / r), _own(p, "inverse_root") * math.sqrt(r * q.size)
    shake = moments.shake + shift

    def product(to: str, name: str, left: Value, right: Value, size: float, off: float, rounding: float):
        return p.product(to, name, left, right, size=size, proved=(Bound(off, rounding), why))

    first = product("first", "uᵀΣ⁻¹u · 1/√", q, s, 2 * root, drift * root, 2 * root * shake)
    rounding = 2 * (moments.gap_shake + size * shake)
    scaled = product("scaled", "ratio, first try", m, s, size + chosen.ratio + 1, drift * size, rounding)
    rounding = 4 / r * (_own(p, "first") / math.sqrt(moments.least / r) + shift)
    square = product("square", "its square", first, s, 5 / r, 3 * drift / r, rounding)
    correction = p.total("correction", 1.5 * p.one - (r / 2) * square, name="Newton's correction")
    rounding = 2 * scaled.error.rounding + 2 * (size + 1) * correction.error.rounding
    return product("ratio", "ratio t", scaled, correction, size + chosen.ratio, chosen.ratio, rounding)


def log_normal(tail: float, theta: float) -> tuple[interpolation.Interpolant, float]:
    """The interpolant of log Φ on [−θ, θ] within `tail`, and how near its neurons are."""
    return stored.within(
        lambda aim: interpolation.walk(lambda x: nearest(_log_normal, x), curvature, -theta, theta, aim),
        LOG_NORMAL,
        tail,
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
