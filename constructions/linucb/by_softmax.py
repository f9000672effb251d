"""Soft LinUCB with softmax attention, in O(log T) layers: Newton's iteration on averages.

    layer 1            a_p · (a, r) at action tokens, and a_k/(i + 1) for the arms on offer
    layer 2            M = A/(i + 1) and m = b/(i + 1), averages with token 0, which holds λI;  MLP: the first X
    layers 3 … k+1     X ← 2c(X − ½XMX), the factor 2c by neurons
    layer k+2          heads: ⟨a_k, Xm⟩ and a_kᵀXa_k/(i + 1);  MLP: logits_k = (first + α√second)/τ, √ by interpolation

**Theorem.** For an admissible history let W = √(T−1) ρ/(2√λ) bound the ridge estimate w, N = 2T, and let M be off by B_a η,
m by ρη, ζ = B_a η (N + 1)/λ ≤ ⅛, ω = (ρ + B_a W) η (N + 1)/(λ(1 − ζ)). With X = (I − L*− Δ)M⁻¹, ‖L*‖ ≤ e_k, ‖Δ‖ ≤ δ,

    |⟨a, Xm⟩ − ⟨a, w⟩|          ≤ B_a (ω + (e_k + δ)(W + ω))
    |aᵀXa/(i + 1) − aᵀA⁻¹a|     ≤ ((1 + e_k)/(1 − ζ) − 1) aᵀA⁻¹a + δ B_a²/(λ(1 − ζ)),

and what products of the last layer and shares leave beside. e_k is that of Newton for the condition number
κ = (N + 1)(1 + B_a²/λ)/2; η and δ are a few times (2/45) b⁴, as small as one likes: k = ⌈log₂(½√κ ln(2/e))⌉ steps reach e.
In all k + 2 layers, at most max(4d + 1, 4d², 4d(A + 1)) heads and D = 3d² + 3d + 2Ad + 3A + ⌈log₂(2T + 1)⌉ + 6 registers.

Proof, and every constant: docs/softmax.md, Theorem 2.
"""

from constructions import limits
from constructions.construction import Construction
from constructions.inputs.begun import placing
from constructions.language import averages, bandits
from constructions.language.averages_plan import Plan
from constructions.linucb import softmax_plan, widths
from constructions.linucb.spec import SoftmaxSpec
from constructions.rounding.outward import above

SOURCE = "theorem ours, docs/softmax.md"


def registers(spec: SoftmaxSpec) -> dict[str, int]:
    """Registers beside those of the tokens, and their sizes."""
    d, A = spec.dim, spec.actions
    sizes = placing(spec.tokens) | {"outer": d * (d + 1), "shares": A * d, "gram": d * d, "moment": d}
    return sizes | {"inverse": d * d, "mean": A, "square": A}


def build(spec: SoftmaxSpec) -> Construction:
    """The transformer for a spec, with its certificate."""
    limits.hold(
        "linucb by softmax", numbers=spec.tokens * (spec.digits + 6.0)
    )  # what every token holds, in a table
    found, root = softmax_plan.plan(spec)
    d, A = spec.dim, spec.actions
    limits.hold("linucb by softmax", weights=12.0 * d * (d * d * len(found.chosen.errors) + A * (d + A)))
    return written(found, root)


def written(found: Plan, root: float) -> Construction:
    """The transformer for a plan, whatever error that leaves; `root` is what is left to the square root."""
    spec = found.spec
    p = bandits.program(SOURCE, spec, "softmax", **registers(spec))
    averages.outer(p, found)
    averages.shares(p, found)
    averages.equations(p, found)
    averages.inverse(p, found)
    score = 1.0 * averages.means(p, found, "mean", "mean ⟨a_k, w⟩", "arms")
    square = averages.squares(p, found, "square", "square a_kᵀA⁻¹a_k", "arms", "shares")
    if spec.exploration:
        residual = above(found.square)
        score += spec.exploration * widths.root(p, spec.plain, square, residual, root, inline=True)
    rounded = widths.rounded_weights(spec.plain)
    logits = p.total("logits", score / spec.temperature, rounded=rounded)
    return bandits.complete(p, spec, (2 * logits.error).error)
