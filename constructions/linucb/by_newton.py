"""Soft LinUCB in O(log T) layers: Newton's iteration in place of descent.

    layer 1            A = λI + Σ a_j a_jᵀ and b = Σ r_j a_j, both also times i; arms times i
    layers 2 … k+1     X ← c(2X − XAX)
    layer k+2          heads: ⟨a_k, Xb⟩ and a_kᵀXa_k;  MLP: logits_k = (⟨a_k, Xb⟩ + α√(a_kᵀXa_k))/τ, √ by interpolation

**Theorem.** X = A^{-1/2}(I + E)A^{-1/2} with ‖E‖ ≤ e_k (newton.py). For every history within the norm bounds, with
ρ = B_aB_w + σ and ε_√ the error of the root,

    |⟨a, Xb⟩ − ⟨a, w⟩|     ≤ ‖a‖ ‖E‖ ‖A⁻¹Fᵀ‖ ‖r‖ ≤ e_k B_a √(T−1) ρ/(2√λ)
    |√(aᵀXa) − √(aᵀA⁻¹a)|  ≤ (B_a/√λ)(1 − √(1 − e_k))
    |log-probability error| ≤ (2/τ)(first + α(second + ε_√)).

The first: E is a function of A, b = Fᵀr with the actions as rows of F and the rewards as r, so that Xb − w = E A⁻¹Fᵀr, and
the singular values of A⁻¹Fᵀ are s/(s² + λ) ≤ 1/(2√λ).

1/e_k = T_{2^k}(1/e_0), e_0 = (S − λ)/(S + λ), S = λ + (T − 1)B_a²: e_k ≤ 2 exp(−2^{k+1}/√κ), κ = S/λ, so that
k = ⌈log₂(½√κ ln(2/e))⌉ steps reach e. In all k + 2 layers, at most max(4(d + 1) + 1, 2d² + 1, 2d(A + 1)) heads,
D = 3d² + 3d + 2Ad + 3A + 4 registers. The theorem has Õ(√T) layers. Every constant: docs/depth.md, Theorem A.

ε_√ takes what the iteration leaves of ε, at least root_share of it; an error that is squared at each step leaves nearly all.
"""

import math

from flint import arb

from constructions import checks, limits
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_norms
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language import Program, Value, bandits
from constructions.linucb import widths
from constructions.linucb.spec import Spec
from constructions.rounding import schedules
from constructions.rounding.outward import above

SOURCE = "theorem ours, in place of Theorem approx_smooth_linucb"


def plan(spec: Spec) -> tuple[int, float, float]:
    """The fewest steps that leave the square root its share; their e_k, and ε_√.

    Raises:
        ValueError: if weights of float64 do not lead so far.
    """
    budget = spec.error * spec.temperature / 2 * (1 - widths.SLACK)
    share = (1 - widths.root_share(spec)) * budget if spec.exploration else budget
    reached = math.inf
    for chosen in schedules.inverses(spec.ridge, largest_eigenvalue(spec)):
        error, reached = chosen.error, widths.inherited(spec, chosen.error, chosen.error)
        if error <= 0.5 and reached <= share:
            root = (budget - reached) / spec.exploration if spec.exploration else math.inf
            return len(chosen.errors), error, root
    checks.carried(spec.error, reached * spec.error / share)
    raise ValueError(f"ridge: wanted a problem that weights of float64 can solve, got {spec.ridge!r}")


def registers(spec: Spec) -> dict[str, int]:
    """Scratch registers and their sizes."""
    d, A = spec.dim, spec.actions
    sizes = dict.fromkeys(("gram", "gram_times", "inverse"), d * d)
    sizes |= {"moment": d, "moment_times": d, "arms_times": A * d, "mean": A, "square": A}
    products = spec.exploration and spec.root == "products"
    return sizes | ({"width": A} | widths.registers(spec) if products else {})


def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate."""
    (steps, e, root_error), d = plan(spec), spec.dim
    limits.hold("linucb by Newton", weights=6.0 * d**2 * (d * steps + spec.actions))
    p = bandits.program(SOURCE, spec, **registers(spec))
    (A, b), arms = bandits.normal_equations(p, spec), bandits.arms_times(p, spec)
    X = bandits.inverse(p, spec, "inverse", A, steps)
    logits = scores(p, spec, X, b, arms, e, root_error)
    return bandits.complete(p, spec, (2 * logits.error).error)


def scores(p: Program, spec: Spec, X: Value, b: Value, arms: Value, e: float, root_error: float) -> Value:
    """The last layers: logits (⟨a_k, Xb⟩ + α√(a_kᵀXa_k))/τ, X within e of A⁻¹."""
    high, E = admitted_norms(spec)[1], "X = A^{-1/2}(I + E)A^{-1/2}, ‖E‖ ≤ e_k (newton.py)"
    mean = p.form("mean", "mean ⟨a_k, w⟩", X, b, arms, (above(e * widths.largest_mean(spec)), E))
    square = p.form("square", "square a_kᵀA⁻¹a_k", X, arms, arms, (above(e * arb(high) ** 2 / spec.ridge), E))
    score = 1.0 * mean
    if spec.exploration:
        score += spec.exploration * widths.root(p, spec, square, e, root_error, inline=True)
    return p.total("logits", score / spec.temperature, rounded=widths.rounded_weights(spec))
