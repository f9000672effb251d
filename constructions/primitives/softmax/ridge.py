"""The ridge problem under softmax attention: its normal equations over i + 1, and Newton's iteration.

**Normal equations.** Token 0 holds λI, action tokens a aᵀ and r a, the others 0. A head that scores all tokens alike has
the means M = A/(i + 1), m = b/(i + 1). M⁻¹m is the ridge estimate, and nothing is larger than a token's own numbers.

**Inverse.** X ← 2c(X − ½XMX), row p of XMX being Σ_r ⟨X_p, M_r⟩ X_r: products of three (products.py), row r of X as the
value. Neurons multiply by 2c. Products are off, by E relative to their values and by ℓ through the gate, and make
(XM + E)X + ℓ of XMX. For L = I − XM that is

    L ← (1 − c)I + cL² + cE(I − L) + cℓM.

With L = L* + Δ, L* what exact steps leave, ‖L*‖ ≤ e_k, a step makes of δ = ‖Δ‖ at most
c((2e_k + δ)δ + (1 + e_k + δ)‖E‖ + ‖ℓM‖). The condition number stands before ‖ℓM‖ alone, and ℓ is exponentially small.
X = (I − L)M⁻¹, and Xm is off by L times the ridge estimate.
"""

import math

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.parts.block import UNIT, Block, Bound, Head, Promise, Step, Units
from constructions.parts.links import Link, Values, blank, entry, grams, held, pick, read, stack, tile
from constructions.parts.stream import Register
from constructions.parts.units import joined, signed_units
from constructions.primitives.softmax.products import Product
from constructions.rounding.outward import above
from constructions.rounding.schedules import Inverse


def outer(
    name: str,
    source: str,
    product: Product,
    *,
    action: Register,
    reward: Register,
    to: Register,
    digits: Register,
    one: Register,
    most: tuple[float, float],
) -> Block:
    """What a step adds to the normal equations.

    Claim: row p of `to` is a_p · (a, r), of the token itself.
    Source: Lemma 5 of docs/softmax.md.
    Reads: action, reward, digits, one.  Writes: to.
    Error: that of `product`, once a row; `most` bounds ‖a‖ and |r|.
    Cost: 1 layer of 4d heads; no neurons.
    """
    dim, size = action.size, math.hypot(*most)
    value = tile(stack(read(action), read(reward)), dim)
    heads = product.heads("a_p (a, r)", read(action), tile(read(one), dim), value, to, digits, one)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        a, r = held(values, action), held(values, reward)
        return (a[:, :, None] * np.concatenate([a, r], axis=1)[:, None]).reshape(len(a), -1)

    own = Bound(above((product.series + product.leak) * size), product.rounding * size)
    promise = Promise("norm bounds", own, own, 2 * most[0] * size + math.sqrt(dim) * own.whole)
    return Block(name, source, (Step(heads),), to, truth, promise, groups=dim)


def normal_equations(
    name: str,
    source: str,
    *,
    outer: Register,
    action: Register,
    reward: Register,
    start: Register,
    one: Register,
    gram: Register,
    moment: Register | None = None,
    ridge: float,
    most: tuple[float, float],
    inherited: Bound,
) -> Block:
    """The matrix and the right-hand side of the ridge problem, over i + 1.

    Claim: gram is (λI + Σ_{j≤i} a_j a_jᵀ)/(i + 1), moment, if there is one, Σ_{j≤i} r_j a_j/(i + 1).
    Source: theorem ours, docs/softmax.md.
    Reads: outer, start, one; the truth is computed from action and reward.  Writes: gram, moment.
    Error: none of its own; `inherited` is what errors of outer cause, in gram and moment together.
    Cost: 1 layer of 1 head; no neurons. The matrix is symmetric, whatever outer is.
    """
    dim = action.size
    p, q = (place.ravel() for place in np.indices((dim, dim)))
    corners = np.arange(dim) * (dim + 1)
    ridges = Link(corners, np.full(dim, start.start), np.full(dim, ridge), dim * dim, frozenset({start.name}))
    matrix = 0.5 * (pick(outer, p * (dim + 1) + q) + pick(outer, q * (dim + 1) + p)) + ridges
    vector = pick(outer, np.arange(dim) * (dim + 1) + dim)
    value, to = (matrix, gram) if moment is None else (stack(matrix, vector), (gram, moment))
    head = Head("mean", read(one), blank(1), value, to, 1, "softmax")

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        a, r, i = held(values, action), held(values, reward), np.arange(1.0, len(values[action.name]) + 1)
        found = grams(a, ridge).reshape(len(a), -1)
        if moment is not None:
            found = np.concatenate([found, np.cumsum(r * a, axis=0)], axis=1)
        return found / i[:, None]

    size = math.hypot(ridge * math.sqrt(dim) + most[0] ** 2, most[0] * most[1])
    own = Bound(above(inherited.error), inherited.rounding + UNIT * 64 * size)
    promise = Promise("norm bounds", own, own, 2 * size)
    return Block(name, source, (Step((head,)),), to, truth, promise)


def strayed(chosen: Inverse, product: Product, dim: int, condition: arb, rounded: float = 0.0) -> arb:
    """‖Δ‖ after the last step; infinite where products are larger than they are made for.

    Args:
        chosen: the steps.
        product: of each.
        dim: d.
        condition: bound on the largest eigenvalue of M at any token over the least.
        rounded: u, where what float64 adds is to be counted too, to first order.
    """
    found, root = arb(0), arb(dim).sqrt()
    own = root * (product.series + (product.rounding if rounded else 0))
    through = dim * root * condition * (product.leak + 50 * arb(rounded) / product.b)
    for scale, error in zip(chosen.scales, chosen.errors, strict=False):
        size = 1 + error + found
        if not size <= product.own:
            return arb("inf")
        found = scale * ((2 * error + found) * found + size * (own + through))
    return found


def inverse(
    name: str,
    source: str,
    product: Product,
    chosen: Inverse,
    *,
    gram: Register,
    to: Register,
    start: Register,
    digits: Register,
    one: Register,
    ridge: float,
    least: float,
    own: Bound,
    total: Bound,
) -> Block:
    """Newton's iteration for the inverse of gram.

    Claim: `to` is gram⁻¹, 0 at token 0, where gram is λI.
    Source: theorem ours, docs/softmax.md.
    Reads: gram, start, digits, one, to.  Writes: to.
    Error: (e_k + ‖Δ‖) √d over the least eigenvalue, in Frobenius norm, as `own` has it; `total` with errors of gram.
    Cost: an MLP of 2d² + 2 neurons, and for each further step a layer of 4d² heads and 2d² neurons.
    """
    dim = math.isqrt(to.size)
    corners, none = np.arange(dim) * (dim + 1), np.zeros(dim, dtype=int)
    first = joined(
        f"{to.name} first",
        signed_units("", read(gram), (to, -chosen.slope)),
        Units("", ridge * read(start), ((to, corners, none, np.full(dim, chosen.slope)),)),
        Units("", read(one), ((to, corners, none, np.full(dim, chosen.constant)),)),
    )
    rows, steps = [to.part(r, of=dim) for r in range(dim)], [Step((), (first,))]
    for scale in chosen.scales:
        heads: list[Head] = []
        for r, row in enumerate(rows):
            left, value = tile(read(gram.part(r, of=dim)), dim), tile(-0.5 * read(row), dim)
            heads += product.heads(f"{to.name} {r}", left, read(to), value, to, digits, one)
        steps.append(Step(tuple(heads), (signed_units("times 2c", read(to), (to, 2 * scale - 1)),)))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        square = held(values, gram).reshape(-1, dim, dim)
        return np.linalg.inv(square).reshape(len(square), -1) * (1 - held(values, start))

    promise = Promise("spectrum within bounds", own, total, 4 * math.sqrt(dim) / least)
    return Block(name, source, tuple(steps), to, truth, promise)


def form(
    name: str,
    source: str,
    product: Product,
    *,
    matrix: Register,
    vector: Register,
    left: Register,
    to: Register,
    digits: Register,
    one: Register,
    most: float,
    inherited: Bound,
) -> Block:
    """Quadratic forms of the token itself.

    Claim: entry k of `to` is left_kᵀ · matrix · vector_k; the vector may be one for all k.
    Source: Lemma 5 of docs/softmax.md.
    Reads: matrix, vector, left, digits, one.  Writes: to.
    Error: that of `product` for each entry of left_k, of norm at most `most`; `inherited` is what others cause.
    Cost: 1 layer of 4d heads if the vector is one, else of 4d an entry; no neurons.
    """
    arms, dim = to.size, product.terms
    alone, heads = vector.size == dim, list[Head]()
    for p in range(dim):
        key = tile(read(matrix.part(p, of=dim)), 1 if alone else arms)
        value: Link = entry(read(left), p, of=dim)
        heads += product.heads(f"{to.name} {p}", read(vector), key, value, to, digits, one)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        square = held(values, matrix).reshape(-1, dim, dim)
        each, by = (held(values, part).reshape(len(square), -1, dim) for part in (left, vector))
        return np.einsum("tkm,tmn,tkn->tk", each, square, by + 0 * each)

    off, rough = product.series + dim * product.leak, product.rounding + UNIT * 8 * dim * product.across
    own = Bound(above(off * most), math.sqrt(dim) * rough * most)
    total = own + inherited
    size = math.sqrt(arms) * (product.own * most + total.whole)
    promise = Promise("norm bounds", own, total, size)
    return Block(name, source, (Step(tuple(heads)),), to, truth, promise, groups=arms)
