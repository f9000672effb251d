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

import numpy as np
from jaxtyping import Float

from constructions import limits
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.begun import DIGITS, LOG, START, placing
from constructions.language import Program, Value, bandits
from constructions.linucb import softmax_plan, widths
from constructions.linucb.softmax_plan import Plan, bound, rounding
from constructions.linucb.spec import SoftmaxSpec
from constructions.parts.block import UNIT, Block, Bound, Promise, Step
from constructions.parts.links import Values, held, read
from constructions.primitives.softmax import products, ridge
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
    equations(p, found)
    inverse(p, found)
    mean, square = forms(p, found)
    score = 1.0 * mean
    if spec.exploration:
        residual = above(found.square)
        score += spec.exploration * widths.root(p, spec.plain, square, residual, root, inline=True)
    rounded = widths.rounded_weights(spec.plain)
    logits = p.total("logits", score / spec.temperature, rounded=rounded)
    return bandits.complete(p, spec, (2 * logits.error).error)


def placed(p: Program, **names: str) -> dict:
    """Registers by their roles, with those that say where a token stands."""
    return {role: p.stream[name] for role, name in names.items()} | {
        "digits": p.stream[DIGITS],
        "one": p.stream.one,
    }


def equations(p: Program, found: Plan) -> None:
    """Layers 1 and 2: M and m, and a_k/(i + 1)."""
    spec, made, start = found.spec, found.products, p.stream[START]
    most, exact, rounded = (
        (admitted_norms(spec)[1], admitted_reward(spec)),
        found.equations,
        rounding(found).equations,
    )
    both = {"action": p.stream["action"], "reward": p.stream["reward"], "most": most}
    p.put(ridge.outer("a aᵀ and r a", SOURCE, made.outer, **placed(p, to="outer"), **both))
    p.put(shares(p, found))
    to = {name: p.stream[name] for name in ("outer", "gram", "moment")} | {
        "start": start,
        "one": p.stream.one,
    }
    size = most[0] + most[1]
    off = bound(size * exact, size * rounded)
    p.put(
        ridge.normal_equations("A and b, over i + 1", SOURCE, ridge=spec.ridge, inherited=off, **to, **both)
    )


def shares(p: Program, found: Plan) -> Block:
    """The arms over i + 1."""
    spec, gate, high = found.spec, found.products.share, admitted_norms(found.spec)[1]
    arms, to = p.stream["arms"], p.stream["shares"]
    places = placed(p, log=LOG, start=START)
    head = products.share("own share", read(arms), to, gate, **places)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        a = held(values, arms)
        return a / np.arange(1.0, len(a) + 1)[:, None]

    own = Bound(above(products.share_error(gate, spec.digits, spec.tokens) * high), UNIT * 8 * high)
    promise = Promise("norm bounds", own, own, 2 * spec.actions**0.5 * high)
    return Block("arms, over i + 1", SOURCE, (Step((head,)),), to, truth, promise, groups=spec.actions)


def inverse(p: Program, found: Plan) -> None:
    """Layers 2 to k + 1: X, with errors of M counted from where it is what attention made."""
    spec, (low, high) = found.spec, softmax_plan.ends(found.spec, found.products)
    whole, scale = rounding(found), spec.dim**0.5 / low
    own = bound(scale * found.residual, scale * (whole.residual + 64 * UNIT * spec.dim * high / low))
    moved = scale / (1 - found.spoilt)
    total = own + bound(moved * found.spoilt, moved * whole.spoilt)
    to = placed(p, gram="gram", to="inverse", start=START)
    block = ridge.inverse(
        "(i + 1) A⁻¹ by Newton",
        SOURCE,
        found.products.turn,
        found.chosen,
        ridge=spec.ridge,
        least=low,
        own=own,
        total=total,
        **to,
    )
    p.put(block)


def forms(p: Program, found: Plan) -> tuple[Value, Value]:
    """Layer k + 2: means and squared widths."""
    whole, high = rounding(found), admitted_norms(found.spec)[1]
    made, values = found.products, list[Value]()
    for to, name, product, vector, off, rough in (
        ("mean", "mean ⟨a_k, w⟩", made.mean, "moment", found.mean, whole.mean),
        ("square", "square a_kᵀA⁻¹a_k", made.square, "shares", found.spread, whole.spread),
    ):
        at = placed(p, matrix="inverse", vector=vector, left="arms", to=to)
        p.put(ridge.form(name, SOURCE, product, most=high, inherited=bound(off, rough), **at))
        values.append(p.value(to, product.own * high))
    return values[0], values[1]
