"""Moving registers: from another token, or between registers of one token.

**From `offset` tokens back.** relu(i(j − i + c)) is i times a ramp in j that starts at j = i − c. The second difference
of three ramps, c = offset + 1, offset, offset − 1 with weights 1, −2, 1, is i at j = i − offset and 0 at every other
j ≤ i; the i undoes the attention's 1/i. At offset 0 the other two ramps vanish and one head remains.

**Within a token.** relu(z) − relu(−z) = z: two neurons an entry add any linear combination of registers.
"""

import math

import numpy as np
from jaxtyping import Float

from constructions.block import (
    EXACT,
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    Values,
    read,
    signed_units,
    stack,
)
from constructions.stream import Register


def shift(
    name: str,
    source: str,
    *,
    what: Register,
    to: Register,
    position: Register,
    offset: int,
    bound: float,
    tokens: int,
) -> Block:
    """A register of the token `offset` places earlier.

    Claim: `to` at token i is `what` at token i − offset, and 0 where there is no such token.
    Source: proof of Theorem approx_ucbvi, step 1a (second differences of position scores), arXiv 2310.08566.
    Reads: what, position.  Writes: to.
    Error: none; `bound` is the largest ℓ2 norm of `what`, `tokens` the largest number of tokens.
    Cost: 1 layer of 3 heads (1 head at offset 0); no neurons.

    >>> from constructions.stream import Stream
    >>> s = Stream.of(x=2, y=2, position=3)
    >>> registers = dict(what=s["x"], to=s["y"], position=s["position"])
    >>> len(shift("copy", "", offset=1, bound=1.0, tokens=9, **registers).steps[0].heads)
    3
    """
    if offset < 0:
        raise ValueError(f"{name}: wanted an offset >= 0, got {offset}")
    place = Position.of(position)
    ramps = [(1, 1.0), (0, -2.0), (-1, 1.0)] if offset else [(1, 1.0)]
    heads = tuple(
        Head(
            f"{to.name} ramp {offset + extra}",
            stack(place.index, (offset + extra) * place.index - place.square),
            stack(place.index, place.one),
            weight * read(what),
            to,
        )
        for extra, weight in ramps
    )

    own = Bound(0.0, 16 * UNIT * (tokens + offset) * bound)  # i·j + (c·i − i²) cancels numbers of size i²

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        x = values[what.name]
        return np.concatenate([np.zeros((min(offset, len(x)), x.shape[1])), x[: len(x) - offset]])[: len(x)]

    return Block(name, source, (Step(heads),), to, truth, Promise("any", own, own, bound + own.rounding))


def combine(
    name: str,
    source: str,
    *,
    terms: tuple[tuple[float, Register], ...],
    to: Register,
    bound: float,
    inherited: Bound = EXACT,
) -> Block:
    """A linear combination of registers of the token itself.

    Claim: `to` is Σ weight · register over the terms.
    Source: "a last linear map", proof of Theorem approx_smooth_linucb, step 3, arXiv 2310.08566.
    Reads: the registers of the terms.  Writes: to.
    Error: none of its own; `inherited` is what errors of the terms cause. `bound` bounds Σ |weight · entry|.
    Cost: 1 MLP layer of 2 neurons an entry; no heads.

    >>> from constructions.stream import Stream
    >>> s = Stream.of(x=2, y=2, out=2)
    >>> terms = ((1.0, s["x"]), (0.5, s["y"]))
    >>> block = combine("x + y/2", "", terms=terms, to=s["out"], bound=1.5)
    >>> block.steps[0].units[0].reads.height
    4
    """
    link = sum((weight * read(register) for weight, register in terms[1:]), terms[0][0] * read(terms[0][1]))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return sum((weight * values[register.name] for weight, register in terms), np.zeros(to.size))

    own = Bound(0.0, UNIT * 2 * (len(terms) + 2) * bound)
    return Block(
        name=name,
        source=source,
        steps=(Step((), (signed_units(name, link, (to, 1.0)),)),),
        output=to,
        groups=to.size,
        truth=truth,
        promise=Promise("any", own, own + inherited, math.sqrt(to.size) * bound),
    )
