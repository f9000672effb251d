"""Two arms with softmax attention, in O(log T) layers: log Φ of one ratio, which attention divides.

With u = a_1 − a_2, P(1) = Φ(t), P(2) = Φ(−t), t = ⟨u, μ⟩/√(r uᵀΣ⁻¹u), μ and rΣ⁻¹ the posterior's. t is that of any vector
along u, and so u is divided by its length, roughly, before anything is computed of it.

    layer 1            a_p · (a, r) at action tokens, ‖u‖², and a_k/(i + 1);           MLP: odds of 1/‖u‖, roughly
    layer 2            averages M = Σ/(i + 1), m = b/(i + 1); û = u/‖u‖, û/(i + 1);    MLP: the first X
    layers 3 … k+1     X ← 2c(X − ½XMX), the factor 2c by neurons
    layer k+2          g = ⟨û, Xm⟩ and q = ûᵀXû/(i + 1);                                MLP: odds of 1/√(rq)
    layer k+3          t = g/√(rq);                                                    MLP: log Φ(±t) by interpolation

**Theorem.** X is what Theorem 2 of docs/softmax.md leaves of M⁻¹, so that q is within a factor 1 ± κ_q of ûᵀΣ⁻¹û, and g
within α√(r ûᵀΣ⁻¹û) of ⟨û, μ⟩. With Θ = √((T−1)/r) ρ, odds that are off by δ, and what gates leave beside,

    |t̂ − t| ≤ ε_t = (Θ + α) e^δ/√(1 − κ_q) − Θ,       |log-probability error| ≤ 2[ε_Φ + ε_t(Θ + ε_t + √(2/π))].

In all k + 3 layers, at most max(4d + 5, 4d², 8d) heads, D = 3d² + 9d + 14 + ⌈log₂(2T + 1)⌉ registers, and about
Θ log(S/λ̃)/√ε neurons. Proof, and every constant: docs/softmax.md, Theorem 3.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr

from constructions import limits
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_norms
from constructions.inputs.begun import START, placing
from constructions.language import Program, Value, averages, bandits
from constructions.language.averages_plan import estimate
from constructions.parts.links import Link, Values, held, read, stack
from constructions.primitives.softmax import division
from constructions.rounding.outward import above
from constructions.thompson import posterior, two_arms
from constructions.thompson.softmax import plan as plans
from constructions.thompson.softmax.plan import HIGH, SoftmaxPlan
from constructions.thompson.spec import SoftmaxSpec

SOURCE = "theorem ours, docs/softmax.md"
SCALED = "‖u‖² is within a factor of what it is"


def registers(spec: SoftmaxSpec) -> dict[str, int]:
    """Registers beside those of the tokens, and their sizes."""
    d = spec.dim
    sizes = placing(spec.tokens) | {"outer": d * (d + 1), "shares": 2 * d, "gram": d * d, "moment": d}
    sizes |= {"inverse": d * d, "length": 1, "length_odds": 1, "unit": d, "unit_share": d}
    return sizes | dict.fromkeys(("gap", "variance", "odds", "ratio"), 1)


def build(spec: SoftmaxSpec) -> Construction:
    """The transformer for a spec, with its certificate."""
    limits.hold("thompson by softmax", numbers=spec.tokens * (spec.digits + 6.0))
    plan, d = plans.plan(spec), spec.dim
    limits.hold("thompson by softmax", weights=12.0 * d * d * (d * len(plan.found.chosen.errors) + 2))
    return written(plan)


def written(plan: SoftmaxPlan) -> Construction:
    """The transformer for a plan, whatever error that leaves."""
    spec, found = plan.spec, plan.found
    theta = posterior.largest_ratio(spec) + plan.ratio.error
    curve = two_arms.log_normal(plan.tail, theta)  # first: what it refuses is refused soon
    p = bandits.program(SOURCE, spec, "softmax", **registers(spec))
    averages.outer(p, found)
    averages.shares(p, found)
    _length(p, plan)
    averages.equations(p, found)
    _direction(p, plan)
    averages.inverse(p, found)
    moved, spread = above(estimate(spec)) * plan.apart, 2 * HIGH / spec.ridge * plan.apart
    gap = averages.means(p, found, "gap", "gap ⟨û, μ⟩", "unit", moved)
    variance = averages.squares(p, found, "variance", "variance ûᵀΣ⁻¹û", "unit", "unit_share", spread)
    t = _ratio(p, plan, gap, variance)
    slope = theta + math.sqrt(2 / math.pi)
    logits = p.function("logits", "log Φ(±t)", t, log_ndtr, curve, slope=slope, signs=(1.0, -1.0))
    return bandits.complete(p, spec, (2 * logits.error).error, spec.separation)


def _length(p: Program, plan: SoftmaxPlan) -> None:
    """Layer 1: ‖u‖², and the odds by which u is divided by its length, roughly."""
    (u, of), curve = difference(p, "arms"), plan.scale.curve
    p.put(division.length("‖u‖²", p.source, plan.length, vector=u, of=of, **averages.placed(p, to="length")))
    name, shape = "odds of 1/‖u‖, roughly", (curve, curve.rounded().error)
    p.function("length_odds", name, p.value("length"), curve.made, shape, proved=(plan.off, SCALED))


def _direction(p: Program, plan: SoftmaxPlan) -> None:
    """Layer 2: û, and û/(i + 1)."""
    (u, of), (share, of_share) = difference(p, "arms"), difference(p, "shares")
    block = division.quotient(
        "û and û/(i + 1)",
        p.source,
        plan.scale.unit,
        plan.found.products.share,
        value=stack(u, share),
        of=lambda values: np.concatenate([of(values), of_share(values)], axis=1),
        to=p.stream.several(("unit", "unit_share")),
        size=HIGH,
        largest=2 * admitted_norms(plan.spec)[1],
        total=plan.apart,
        groups=2,
        terms=plan.found.vectors.times / 4,
        **averages.placed(p, odds="length_odds", start=START),
    )
    p.put(block)


def _ratio(p: Program, plan: SoftmaxPlan, gap: Value, variance: Value) -> Value:
    """Layers k + 2 and k + 3: the odds of 1/√(rq), and t = g/√(rq)."""
    root, size = plan.root, posterior.largest_ratio(plan.spec) + plan.ratio.error
    name, shape = "odds of 1/√(r ûᵀΣ⁻¹û)", (root.curve, root.error)
    p.function("odds", name, variance, root.odds, shape, proved=(plan.spread, "q is within a factor of it"))
    block = division.quotient(
        "ratio t",
        p.source,
        root.unit,
        plan.found.products.share,
        value=read(gap.register),
        of=lambda values: held(values, gap.register),
        size=size,
        largest=HIGH * plan.found.products.mean.own + gap.error.error,
        total=plan.ratio,
        **averages.placed(p, odds="odds", to="ratio", start=START),
    )
    p.put(block)
    return Value(p.stream["ratio"], size, 1, plan.ratio)


def difference(p: Program, name: str) -> tuple[Link, Callable[[Values], Float[np.ndarray, "tokens dim"]]]:
    """First − second, of the two vectors in a register: as a link, and in NumPy."""
    first, second = (p.stream[name].part(n, of=2) for n in range(2))
    return read(first) - read(second), lambda values: held(values, first) - held(values, second)
