"""Products of registers of one and the same token.

A score is bilinear in two tokens; to multiply two registers of *one* token, all earlier tokens must be silenced. With
query (x, i, 1) and key (y, −B, Bj) the score of token j is

    ⟨x_i, y_j⟩ + B(j − i)

which is ⟨x_i, y_i⟩ at j = i and at most |⟨x_i, y_j⟩| − B ≤ 0 before, once B ≥ |⟨x_i, y_j⟩|. The value j undoes the 1/i.
Two signed heads give both signs.
"""

import math

import numpy as np
from jaxtyping import Float

from constructions.parts.block import EXACT, UNIT, Block, Bound, Position, Promise, Step, gate_size, own_heads
from constructions.parts.links import Values, held, pick, read, tile
from constructions.parts.stream import Register


def own_token(
    name: str,
    source: str,
    *,
    left: Register,
    right: Register,
    to: Register,
    position: Register,
    bound: float,
    tokens: int,
    inherited: Bound = EXACT,
) -> Block:
    """Inner products of registers of the token itself.

    Claim: entry k of `to` is ⟨left_k, right_k⟩; left may hold one vector, which then serves every k, and may be shorter than
        right_k, of which only so many entries count then.
    Source: proof of Theorem approx_smooth_linucb, step 3 (heads k1 to k4), arXiv 2310.08566.
    Reads: left, right, position.  Writes: to.
    Error: none of its own; `inherited` is what errors of left cause.
    Needs: |⟨left_k at i, right_k at j⟩| ≤ bound for all j ≤ i ≤ tokens.
    Cost: 1 layer of 2 heads an entry; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, y=6, out=3, position=3)
    >>> registers = dict(left=s["x"], right=s["y"], to=s["out"], position=s["position"])
    >>> block = own_token("⟨x, y⟩", "", bound=5.0, tokens=9, **registers)
    >>> sum(head.count for head in block.steps[0].heads), block.promise.own.error
    (6, 0.0)
    """
    count = to.size
    dim = right.size // count
    if right.size % count or (left.size > dim and left.size != right.size):
        raise ValueError(
            f"{name}: wanted left and right to hold {count} vectors, got sizes {left.size}, {right.size}"
        )
    gate = gate_size(bound)
    alone, length = left.size <= dim, min(left.size, dim)
    first = (np.arange(count)[:, None] * dim + np.arange(length)).ravel()
    factor = tile(read(left), count) if alone else read(left)
    heads = own_heads(to.name, factor, pick(right, first), to, position, gate)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        x, y = (held(values, part) for part in (left, right))
        x, y = x.reshape(len(x), -1, length), y.reshape(len(y), -1, dim)
        return (x * y[..., :length]).sum(-1)

    own = Bound(0.0, UNIT * (dim + 6) * (bound + 2 * gate * tokens))  # the gate cancels Bj against Bi
    return Block(
        name=name,
        source=source,
        steps=(Step(heads),),
        output=to,
        groups=count,
        truth=truth,
        promise=Promise(
            f"|product| ≤ {gate:g}, across tokens too", own, own + inherited, math.sqrt(count) * bound
        ),
    )


def outer(
    name: str,
    source: str,
    *,
    left: Register,
    right: Register,
    to: Register,
    position: Register,
    bound: tuple[float, float],
    tokens: int,
) -> Block:
    """The outer product of two registers of the token itself.

    Claim: `to` is left rightᵀ, row by row.
    Source: theorem ours, docs/drift.md: the score is left_m · j at the token itself, and ≤ 0 before.
    Reads: left, right, position.  Writes: to.
    Error: none; `bound` bounds the norms of left and right, `tokens` is the largest number of tokens.
    Cost: 1 layer of 2 heads an entry of left; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, y=3, out=6, position=3)
    >>> registers = dict(left=s["x"], right=s["y"], to=s["out"], position=s["position"])
    >>> block = outer("x yᵀ", "", bound=(1.0, 2.0), tokens=9, **registers)
    >>> sum(head.count for head in block.steps[0].heads)
    4
    """
    rows, gate = left.size, gate_size(bound[0] * tokens)
    index, value = tile(Position.of(position).index, rows), tile(read(right), rows)
    heads = own_heads(to.name, read(left), index, to, position, gate, value=value, count=rows)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        x, y = (held(values, part) for part in (left, right))
        return (x[:, :, None] * y[:, None]).reshape(len(x), -1)

    own = Bound(0.0, UNIT * 8 * (bound[0] + 2 * gate) * bound[1] * math.sqrt(rows))
    promise = Promise("norm bounds", own, own, 2 * bound[0] * bound[1])
    return Block(name, source, (Step(heads),), to, truth, promise)
