"""Newton's iteration on matrices, one attention layer a step: inverse and inverse square root.

A head's score is bilinear in two registers and its value linear in a third, so one attention layer computes cubic forms of a
token's own registers. For symmetric X and G, held row by row,

    (XGX)[i, ·] = Σ_m ⟨X[i, ·], G[·, m]⟩ X[m, ·]:

a signed pair of heads for each (i, m), with score ⟨X[i, ·], i·G[m, ·]⟩, which is i times the product, and value X[m, ·].
The register i·G undoes the 1/i of attention; the gate B(j − i) keeps other tokens out. One more head, whose score is i at
its own token, carries the linear part.

**Normal equations.** Score i·a_j[m] on every past token j, value a_j: (1/i)Σ_j i a_j[m] a_j is row m of G = Σ a_j a_jᵀ, and
with i² for i it is i times that. The rewards in place of a_j[m] give Σ r_j a_j. The MLP of the layer adds λ and iλ on the
diagonal.

**Inverse.** With A = λI + G and the eigenvalues of X₀A in [1 − e, 1 + e], X ← c(2X − XAX), c = 2/(2 − e²), has them in
[1 − e', 1 + e'], e' = c − 1 = e²/(2 − e²): eigenvalues y go to c(1 − (1 − y)²) ∈ c[1 − e², 1]. From X₀ = 2/(λ + S) I, e₀ =
(S − λ)/(S + λ) for every spectrum in [λ, S]. X_k = A^{-1/2}(I + E)A^{-1/2} with ‖E‖ ≤ e_k: e_k = 1/T_{2^k}(1/e₀), the best
that any polynomial of its degree 2^k − 1 can do.

**Inverse square root.** Y ← MY, Z ← MZ, M = (a/2)(3I − a²ZY), from Y = A/S, Z = I: Y stays ZA/S, so that Z alone is needed,
M = (a/2)(3I − a²Z²A/S). With the eigenvalues of (ZY)^{1/2} in [l, h] and a² = 3/(h² + hl + l²), x ↦ (a/2)x(3 − a²x²) maps
[l, h] on [l', 1 + …] with equal values at both ends. Z tends to √S A^{-1/2}.
"""

import math

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import limits
from constructions.parts.block import (
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    Units,
    gate_size,
    own_heads,
    own_linear,
)
from constructions.parts.links import Link, Values, entry, grams, held, read, stack, tile
from constructions.parts.stream import Register
from constructions.rounding import schedules
from constructions.rounding.outward import above


def normal_equations(
    name: str,
    source: str,
    *,
    action: Register,
    reward: Register,
    position: Register,
    gram: Register,
    gram_times: Register,
    moment: Register,
    moment_times: Register,
    ridge: float,
    action_max: float,
    reward_max: float,
    horizon: int,
) -> Block:
    """The matrix and the right-hand side of the ridge problem, and both times i.

    Claim: gram is λI + Σ a_j a_jᵀ, gram_times i times that, moment Σ r_j a_j, moment_times i times that.
    Source: theorem ours, in place of Lemma approx_ridge of arXiv 2310.08566.
    Reads: action, reward (0 on tokens without an action), position.
    Writes: gram, gram_times, moment, moment_times.
    Error: none.
    Cost: 1 layer of 4(d + 1) heads and 2 neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(action=2, reward=1, g=4, ig=4, b=2, ib=2, position=3)
    >>> names = dict(gram=s["g"], gram_times=s["ig"], moment=s["b"], moment_times=s["ib"])
    >>> limits = dict(ridge=1.0, action_max=1.0, reward_max=1.0, horizon=4)
    >>> registers = dict(action=s["action"], reward=s["reward"], position=s["position"])
    >>> block = normal_equations("A, b", "", **registers, **names, **limits)
    >>> sum(head.count for head in block.steps[0].heads)
    12
    """
    place, dim = Position.of(position), action.size
    key = stack(
        read(action), read(reward)
    )  # the same for all heads: they differ in the row that their query picks
    heads = []
    for factor, matrix, vector in ((place.index, gram, moment), (place.square, gram_times, moment_times)):
        for sign in (1.0, -1.0):
            rows = [_only(factor, row, dim + 1) for row in range(dim + 1)]
            for queries, to in ((rows[:dim], matrix), (rows[dim:], vector)):
                count = len(queries)
                query, value = sign * stack(*queries), sign * tile(read(action), count)
                heads.append(
                    Head(f"{to.name} {'+' if sign > 0 else '−'}", query, tile(key, count), value, to, count)
                )
    corners = np.arange(dim) * (dim + 1)
    writes = ((gram, 0), (gram_times, 1))
    units = Units(
        "diagonals",
        stack(place.one, place.index),
        tuple((to, corners, np.full(dim, unit), np.full(dim, ridge)) for to, unit in writes),
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        a, i = held(values, action), held(values, position)[:, :1]
        matrix = grams(a, ridge).reshape(len(a), -1)
        vector = np.cumsum(a * held(values, reward), axis=0)
        return np.concatenate([matrix, i * matrix, vector, i * vector], axis=1)

    largest, tokens = ridge + horizon * action_max * action_max, 2 * horizon
    right = math.sqrt(horizon) * reward_max * math.sqrt(largest)
    size = tokens * math.hypot(largest * math.sqrt(dim), right)
    own = Bound(0.0, UNIT * 4 * tokens * size)
    to = (gram, gram_times, moment, moment_times)
    return Block(
        name, source, (Step(tuple(heads), (units,)),), to, truth, Promise("norm bounds", own, own, 2 * size)
    )


def _only(link: Link, row: int, height: int) -> Link:
    """A link of one row as row number `row` of so many."""
    return Link(link.rows + row, link.columns, link.weights, height, link.reads)


def triple(
    left: Register,
    middle: Register,
    right: Register,
    to: Register,
    position: Register,
    scale: float,
    bound: float,
) -> tuple[Head, ...]:
    """Heads that add scale · (LMR)/i to a matrix, M being symmetric.

    For each m, the products of all rows of L with row m of M, times row m of R.
    """
    dim, heads = math.isqrt(to.size), []
    for m in range(dim):
        keys, values = (tile(read(register.part(m, of=dim)), dim) for register in (middle, right))
        role = f"{left.name} {middle.name} {right.name} {m}"
        heads += own_heads(
            role, read(left), keys, to, position, gate_size(bound), value=scale * values, count=dim
        )
    return tuple(heads)


def diagonal(one: Link, dim: int) -> Link:
    """A link of one row on the diagonal of a matrix, row by row."""
    places = np.arange(dim) * (dim + 1)
    return Link(places, np.repeat(one.columns, dim), np.repeat(one.weights, dim), dim * dim, one.reads)


def inverse(
    name: str,
    source: str,
    *,
    gram: Register,
    gram_times: Register,
    position: Register,
    to: Register,
    ridge: float,
    largest: float,
    steps: int,
    tokens: int,
    scaled: bool = True,
) -> Block:
    """Newton's iteration for A⁻¹; if it is not `scaled`, all steps after the first are alike (docs/depth.md, section 11).

    Claim: `to` becomes A^{-1/2}(I + E)A^{-1/2}, E a function of A, with ‖E‖ at most the error of schedules.inverse.
    Source: theorem ours, in place of Lemma approx_ridge of arXiv 2310.08566.
    Reads: gram, gram_times, position.  Writes: to.
    Error: ‖E‖ √d/λ, in Frobenius norm.
    Cost: `steps` layers, the first of 1 head, as X₀ is a multiple of the identity, the others of 2d² + 1; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(g=4, ig=4, x=4, position=3)
    >>> registers = dict(gram=s["g"], gram_times=s["ig"], to=s["x"], position=s["position"])
    >>> block = inverse("A⁻¹", "", ridge=1.0, largest=9.0, steps=5, tokens=8, **registers)
    >>> len(block.steps), sum(head.count for head in block.steps[1].heads)
    (5, 9)
    """
    limits.hold(name, weights=6.0 * gram.size**1.5 * steps)
    dim, chosen = math.isqrt(gram.size), schedules.inverse(ridge, largest, steps, scaled)
    one = Position.of(position).one
    first = chosen.constant * diagonal(one, dim) - chosen.slope * read(gram)
    layers = [Step((own_linear(f"{to.name} first", first, to, position),))]
    for scale in chosen.scales:
        heads = triple(to, gram_times, to, to, position, -scale, 2 * tokens * largest / ridge)
        layers.append(
            Step((*heads, own_linear(f"{to.name} again", (2 * scale - 1) * read(to), to, position)))
        )

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        square = held(values, gram).reshape(-1, dim, dim)
        return np.linalg.inv(square).reshape(len(square), -1)

    size = 2 * math.sqrt(dim) / ridge
    own = Bound(above(chosen.error * arb(dim).sqrt() / ridge), UNIT * 64 * dim * largest / ridge * size)
    return Block(name, source, tuple(layers), to, truth, Promise("spectrum in [λ, S]", own, own, 2 * size))


def inverse_root(
    name: str,
    source: str,
    *,
    gram: Register,
    gram_times: Register,
    position: Register,
    to: Register,
    partner: Register,
    ridge: float,
    largest: float,
    steps: int,
    tokens: int,
    action: Register,
) -> Block:
    """The coupled iteration for A^{-1/2}.

    Claim: `to` becomes √S A^{-1/2}(I + E) times a number `middle`, E a function of A, with ‖E‖ at most the error, both of
    schedules.inverse_root; partner holds i·Y.
    Source: theorem ours, in place of step 2 of the proof of Theorem approx_thompson_linear, arXiv 2310.08566.
    Reads: gram, gram_times, position, to, partner; the truth is computed from action.  Writes: to, partner.
    Error: ‖E‖ √(S/λ) √d times `middle`, in Frobenius norm.
    Cost: `steps` layers of 4d² + 2 heads at most; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(action=2, g=4, ig=4, z=4, y=4, position=3)
    >>> registers = dict(gram=s["g"], gram_times=s["ig"], to=s["z"], partner=s["y"], position=s["position"])
    >>> limits = dict(ridge=1.0, largest=9.0, steps=5, tokens=8, action=s["action"])
    >>> block = inverse_root("A^{-1/2}", "", **registers, **limits)
    >>> len(block.steps), sum(head.count for head in block.steps[1].heads)
    (5, 18)
    """
    limits.hold(name, weights=12.0 * action.size**3 * steps)
    dim, chosen, one = action.size, schedules.inverse_root(ridge, largest, steps), Position.of(position).one
    bound, middle = 4 * tokens * math.sqrt(largest / ridge), chosen.middle
    z0, z1, y0, y1 = schedules.root_start(chosen.steps, largest)
    start = (
        own_linear(f"{to.name} first", z0 * diagonal(one, dim) - z1 * read(gram), to, position),
        *times(
            f"{gram_times.name}²", gram_times, read(gram_times), partner, position, -y1, 2 * tokens * largest
        ),
        own_linear(f"{partner.name} first", y0 * read(gram_times), partner, position),
    )
    layers = [Step(start)]
    for linear, cubic in chosen.steps[1:]:
        heads = (
            *triple(to, partner, to, to, position, -cubic, bound),
            own_linear(f"{to.name} again", (linear - 1) * read(to), to, position),
            *triple(partner, to, partner, partner, position, -cubic, bound),
            own_linear(f"{partner.name} again", (linear - 1) * read(partner), partner, position),
        )
        layers.append(Step(heads))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        eigenvalues, basis = np.linalg.eigh(grams(held(values, action), ridge))
        scaled = middle * math.sqrt(largest) / np.sqrt(eigenvalues)
        return ((basis * scaled[:, None]) @ basis.mT).reshape(len(basis), -1)

    condition = largest / ridge
    size = 2 * math.sqrt(dim * condition)
    error = above(chosen.error * middle * (dim * arb(largest) / ridge).sqrt())
    own = Bound(error, UNIT * 64 * dim * condition * size)
    magnitude = math.hypot(2 * size, 2 * tokens * 2 * math.sqrt(dim))
    return Block(name, source, tuple(layers), to, truth, Promise("spectrum in [λ, S]", own, own, magnitude))


def times(
    role: str, matrix: Register, vectors: Link, to: Register, position: Register, scale: float, bound: float
) -> tuple[Head, ...]:
    """Heads that add scale · Mv/i for each of several vectors v: for each m, the m-th entry of v times row m of M.

    M is symmetric; `bound` bounds the entries.
    """
    dim, heads = math.isqrt(matrix.size), []
    count, one = vectors.height // dim, Position.of(position).one
    for m in range(dim):
        values, gate = scale * tile(read(matrix.part(m, of=dim)), count), gate_size(bound)
        entries, ones = entry(vectors, m, of=dim), tile(one, count)
        heads += own_heads(f"{role} {m}", entries, ones, to, position, gate, value=values, count=count)
    return tuple(heads)
