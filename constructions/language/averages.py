"""The ridge problem of a linear bandit under softmax attention, in the language: its equations, their inverse, forms of it.

    equations    layers 1 and 2: a_p · (a, r) at action tokens, then M = A/(i + 1) and m = b/(i + 1), averages with token 0
    shares       layer 1: a_k/(i + 1), of the arms on offer
    inverse      layers 2 … k+1: X, which is (i + 1)A⁻¹
    form         the layer after: ⟨v, Xm⟩ or vᵀXv/(i + 1) of vectors at hand

What is left of each is that of a plan (averages_plan.py).
"""

import numpy as np
from jaxtyping import Float

from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.begun import DIGITS, LOG, START
from constructions.language.averages_plan import Plan, bound, ends, rounding
from constructions.language.programs import Program
from constructions.language.values import Value
from constructions.parts.block import UNIT, Block, Bound, Promise, Step
from constructions.parts.links import Values, held, read
from constructions.primitives.softmax import products, ridge
from constructions.rounding.outward import above


def placed(p: Program, **names: str) -> dict:
    """Registers by their roles, with those that say where a token stands."""
    return {role: p.stream[name] for role, name in names.items()} | {
        "digits": p.stream[DIGITS],
        "one": p.stream.one,
    }


def outer(p: Program, found: Plan) -> None:
    """Layer 1: what a step adds to the normal equations, in the register `outer`."""
    both = {"action": p.stream["action"], "reward": p.stream["reward"], "most": _most(found)}
    made = found.products.outer
    p.put(ridge.outer("a aᵀ and r a", p.source, made, **placed(p, to="outer"), **both))


def equations(p: Program, found: Plan, mark: str = "") -> None:
    """Layer 2: M and m, in the registers `gram` and `moment`; with a mark M alone, in the register so marked."""
    spec, most = found.spec, _most(found)
    both = {"action": p.stream["action"], "reward": p.stream["reward"], "most": most}
    to = {name: p.stream[name] for name in ("outer", START)} | {"one": p.stream.one}
    to |= {"gram": p.stream[f"gram{mark}"]} | ({} if mark else {"moment": p.stream["moment"]})
    size = most[0] + (0.0 if mark else most[1])
    off = bound(size * found.equations, size * rounding(found).equations)
    name = f"A{mark}, over i + 1" if mark else "A and b, over i + 1"
    p.put(ridge.normal_equations(name, p.source, ridge=spec.ridge, inherited=off, **to, **both))


def shares(p: Program, found: Plan, of: str = "arms", high: float | None = None) -> None:
    """Layer 1: the arms over i + 1, in the register `shares`, or other vectors, of norm at most `high`."""
    spec, gate, arms, to = found.spec, found.products.share, p.stream[of], p.stream["shares"]
    high, groups = admitted_norms(spec)[1] if high is None else high, to.size // spec.dim
    places = placed(p, log=LOG, start=START)
    head = products.share("own share", read(arms), to, gate, **places)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        a = held(values, arms)
        return a / np.arange(1.0, len(a) + 1)[:, None]

    own = Bound(above(products.share_error(gate, spec.digits, spec.tokens) * high), UNIT * 8 * high)
    promise = Promise("norm bounds", own, own, 2 * groups**0.5 * high)
    p.put(Block(f"{of}, over i + 1", p.source, (Step((head,)),), to, truth, promise, groups=groups))


def inverse(p: Program, found: Plan, mark: str = "") -> None:
    """Layers 2 to k + 1: X in the register `inverse`, marked as M is, with errors from where attention has M."""
    spec, (low, high) = found.spec, ends(found.spec, found.products)
    whole, scale = rounding(found), spec.dim**0.5 / low
    own = bound(scale * found.residual, scale * (whole.residual + 64 * UNIT * spec.dim * high / low))
    moved = scale / (1 - found.spoilt)
    total = own + bound(moved * found.spoilt, moved * whole.spoilt)
    to = placed(p, gram=f"gram{mark}", to=f"inverse{mark}", start=START)
    block = ridge.inverse(
        f"(i + 1) A{mark}⁻¹ by Newton",
        p.source,
        found.products.turn,
        found.chosen,
        ridge=spec.ridge,
        least=low,
        own=own,
        total=total,
        **to,
    )
    p.put(block)


def means(p: Program, found: Plan, to: str, name: str, left: str, more: Bound | None = None) -> Value:
    """The layer after: ⟨v, Xm⟩ of the vectors in `left`; `more` is what their own errors cause."""
    off = bound(found.mean, rounding(found).mean)
    return _form(p, found, to, name, found.products.mean, left, "moment", off, more)


def squares(
    p: Program, found: Plan, to: str, name: str, left: str, by: str, more: Bound | None = None
) -> Value:
    """The layer after: vᵀXv/(i + 1), with v/(i + 1) in `by`."""
    off = bound(found.spread, rounding(found).spread)
    return _form(p, found, to, name, found.products.square, left, by, off, more)


def _form(
    p: Program,
    found: Plan,
    to: str,
    name: str,
    product: products.Product,
    left: str,
    vector: str,
    off: Bound,
    more: Bound | None,
) -> Value:
    """Either of them."""
    high, at = found.vectors.high, placed(p, matrix="inverse", vector=vector, left=left, to=to)
    off = off if more is None else off + more
    p.put(ridge.form(name, p.source, product, most=high, inherited=off, **at))
    return p.value(to, product.own * high)


def _most(found: Plan) -> tuple[float, float]:
    """Bounds on ‖a‖ and |r|."""
    return admitted_norms(found.spec)[1], admitted_reward(found.spec)
