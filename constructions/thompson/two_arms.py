"""Step 4 for two arms, with nothing left to existence: log Φ of one ratio.

With u = a_1 − a_2, P(1) = Φ(t), P(2) = Φ(−t), t = ⟨u, μ⟩/√(r uᵀΣ⁻¹u). No square root of a matrix is needed.

    layer 1            MLP: u
    layers 2 … n+1     μ̂ and Σ⁻¹u by descent
    layer n+2          heads: m = ⟨u, μ̂⟩ and q = ⟨u, Σ⁻¹u⟩;             MLP: s ≈ 1/√(rq) by interpolation
    layer n+3          heads: p = qs, v = ms
    layer n+4          heads: ps;                                        MLP: w = (3 − r ps)/2
    layer n+5          heads: t = vw, one Newton step better than v;      MLP: log Φ(±t) by interpolation

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
from scipy.special import erfcx, log_ndtr

from constructions.block import Block, Bound
from constructions.primitives import copying, descent, interpolation, product
from constructions.stream import Stream
from constructions.thompson import posterior
from constructions.thompson.spec import Spec

SOURCE = "Theorem approx_thompson_linear, step 4, two arms"
SHARE = 0.7
"""Part of the error left to log Φ, whose width grows with error^{-1/2}."""


@dataclass(frozen=True)
class Plan:
    """The choices behind the weights.

    Attributes:
        depth: layers of descent.
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
    spread = math.sqrt(wanted / 8)

    def ratio(epsilon: float) -> float:
        return most * ((1 + epsilon) * (1 + 2 * spread**2) / math.sqrt(1 - epsilon) - 1)

    depth = posterior.least_depth(spec, lambda epsilon: epsilon < 0.5 and ratio(epsilon) <= wanted * most)
    residual = posterior.method(spec).residual(depth)
    error = ratio(residual)
    whole = 2 * (tail + error * (most + error + math.sqrt(2 / math.pi)))
    return Plan(depth, residual, spread, error, tail, whole)


def registers(spec: Spec) -> dict[str, int]:
    """Names and sizes of the scratch registers."""
    vectors = ("difference", "estimate", "estimate_ahead", "solved", "solved_ahead")
    scalars = ("gap", "variance", "inverse_root", "first", "scaled", "square", "correction", "ratio")
    return {**dict.fromkeys(vectors, spec.dim), **dict.fromkeys(scalars, 1)}


def extremes(spec: Spec, residual: float) -> tuple[float, float]:
    """Bounds on q̂."""
    low, high = (
        spec.separation**2 / posterior.largest_eigenvalue(spec),
        4 * spec.action_norm[1] ** 2 / spec.ridge,
    )
    return low * (1 - residual), high * (1 + residual)


def stages(spec: Spec, stream: Stream, chosen: Plan) -> list[list[Block]]:
    """All blocks of the construction for two arms."""
    at, high, size = stream.registers, 2 * spec.action_norm[1], posterior.largest_ratio(spec)
    arms = [stream["arms"].part(n, of=2) for n in range(2)]
    terms = ((1.0, arms[0]), (-1.0, arms[1]))
    difference = copying.combine("difference u", SOURCE, terms=terms, to=at["difference"], bound=high)
    mean = posterior.estimate(spec, stream, chosen.depth)
    solved = posterior.inverse(
        spec, stream, "solved", chosen.depth, vectors="difference", norm=high, source="4"
    )
    (low, most), r, epsilon, eta = (
        extremes(spec, chosen.residual),
        spec.noise_variance,
        chosen.residual,
        chosen.spread,
    )
    longest, theta = (1 + eta) / math.sqrt(r * low), size + chosen.ratio
    estimate = descent.largest_estimate(spec.ridge, spec.horizon, spec.reward_max) + mean.promise.total.error
    units = at["position"].part(2, of=3)

    def own(name: str, left: str, right: str, to: str, bound: float, error: float, rounding: float) -> Block:
        return product.own_token(
            name,
            SOURCE,
            left=at[left],
            right=at[right],
            to=at[to],
            position=at["position"],
            bound=bound,
            tokens=2 * spec.horizon,
            inherited=Bound(error, rounding),
        )

    gap = own(
        "gap ⟨u, μ⟩",
        "estimate",
        "difference",
        "gap",
        high * estimate,
        high * mean.promise.total.error,
        high * mean.promise.total.rounding,
    )
    variance = own(
        "variance uᵀΣ⁻¹u",
        "solved",
        "difference",
        "variance",
        most,
        epsilon * most,
        high * solved.promise.total.rounding,
    )
    steepness = math.sqrt(posterior.largest_eigenvalue(spec))  # of ‖u‖ in √q
    apart = difference.promise.total.rounding / spec.separation  # rounding of u, relative
    shake = variance.promise.own.rounding / low + steepness**2 * solved.promise.total.rounding / high
    shake += 2 * apart * steepness / math.sqrt(spec.ridge)  # rounding of q, relative
    gap_shake = gap.promise.own.rounding * longest + steepness / math.sqrt(r) * (
        mean.promise.total.rounding + apart * estimate
    )  # of m, relative to √(rq)
    relative = (1 + epsilon) / math.sqrt(1 - epsilon) - 1  # of what a factor 1 ± ε on q does to m/√q
    inverse_root = interpolation.function(
        "1/√(r uᵀΣ⁻¹u)",
        SOURCE,
        interpolation.scaled(interpolation.power(0.5, low, most, eta), 1 / math.sqrt(r)),
        of=lambda x: 1 / np.sqrt(r * np.maximum(x, low)),
        error=eta * longest,
        source=at["variance"],
        one=units,
        to=at["inverse_root"],
        inherited=Bound(relative * longest, longest * shake),
    )
    drift = (1 + eta) * (1 + relative) - 1
    across = 1.5 * longest  # also where there are no arms
    root_shake = inverse_root.promise.own.rounding * math.sqrt(r * most)
    first = own(
        "uᵀΣ⁻¹u · 1/√",
        "variance",
        "inverse_root",
        "first",
        most * across,
        drift * math.sqrt(most / r),
        2 * math.sqrt(most / r) * (shake + root_shake),
    )
    scaled = own(
        "ratio, first try",
        "gap",
        "inverse_root",
        "scaled",
        high * estimate * across,
        drift * size,
        2 * (gap_shake + size * (shake + root_shake)),
    )
    square = own(
        "its square",
        "first",
        "inverse_root",
        "square",
        2 * math.sqrt(most / r) * across,
        3 * drift / r,
        4 / r * (first.promise.own.rounding / math.sqrt(low / r) + root_shake),
    )
    correction = copying.combine(
        "Newton's correction", SOURCE, terms=((1.5, units), (-r / 2, at["square"])), to=at["correction"], bound=4.0,
        inherited=(r / 2) * square.promise.total,
    )  # fmt: skip
    ratio = own(
        "ratio t",
        "scaled",
        "correction",
        "ratio",
        4 * (theta + 1),
        chosen.ratio,
        2 * scaled.promise.total.rounding + 2 * (size + 1) * correction.promise.total.rounding,
    )
    return [
        [difference],
        [mean, solved],
        [gap, variance],
        [inverse_root],
        [first, scaled],
        [square],
        [correction],
        [ratio],
        [_logits(stream, chosen, theta, ratio)],
    ]


def _logits(stream: Stream, chosen: Plan, theta: float, ratio: Block) -> Block:
    """The two log-probabilities, log Φ(±t)."""
    slope = theta + math.sqrt(2 / math.pi)
    return interpolation.function(
        "log Φ(±t)",
        SOURCE,
        interpolation.walk(lambda x: float(log_ndtr(x)), curvature, -theta, theta, chosen.tail),
        of=log_ndtr,
        error=chosen.tail,
        source=stream["ratio"],
        one=stream["position"].part(2, of=3),
        to=stream["logits"],
        inherited=slope * ratio.promise.total,
        signs=(1.0, -1.0),
    )


def curvature(x: float) -> float:
    """(log Φ)'' = −m(x + m), m = φ/Φ; it rises from −1 to 0.

    >>> round(curvature(0.0), 6), curvature(-30.0) > -1
    (-0.63662, True)
    """
    mills = math.sqrt(2 / math.pi) / float(erfcx(-x / math.sqrt(2)))  # as exp(−x²/2) and Φ cancel far out
    return -min(max(mills * (x + mills), 0.0), 1.0)
