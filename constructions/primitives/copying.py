"""Moving registers: from another token, or between registers of one token.

**From the step before.** relu(j − i + c) is a ramp in j that starts at j = i − c, and differences of ramps see one token, or
two. **Times i.** A score that is i² at the token itself and ≤ 0 before undoes the attention's 1/i.

**Within a token.** relu(z) − relu(−z) = z: two neurons an entry add any linear combination of registers.
"""

import math

import numpy as np
from jaxtyping import Float

from constructions.parts.block import (
    EXACT,
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
)
from constructions.parts.links import Values, held, read, stack
from constructions.parts.stream import Register
from constructions.parts.units import signed_units
from constructions.rounding.outward import power_of_two


def previous_step(
    name: str,
    source: str,
    *,
    what: tuple[Register, ...],
    to: tuple[Register, ...],
    clock: Register,
    position: Register,
) -> Block:
    """State, action and reward of the step before, divided by i.

    Claim: to_n at token i is (1/i)(what_n at i − 2 plus what_n at i − 1), both of the same episode, on tokens without an
    action; 0 on the others.
    Source: proof of Theorem approx_ucbvi, step 1a, arXiv 2310.08566: with ramps relu(j + c − i), c = 3, 2, 1, and weights
    1, −1, −1, to which B(k_j − k_i) − B(1 − v_i), B = 4, is added.
    Reads: what, clock (k, h, v), position.  Writes: to.
    Error: none, for what within [0, 1].
    Cost: 1 layer of 3 heads; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, y=2, clock=3, position=3)
    >>> block = previous_step("copy", "", what=(s["x"],), to=(s["y"],), clock=s["clock"], position=s["position"])
    >>> len(block.steps[0].heads)
    3
    """
    place, gate = Position.of(position), 4.0
    episode, _, idle = (read(clock.part(n, of=3)) for n in range(3))
    value = stack(*(read(register) for register in what))
    query = stack(episode + place.one - idle, gate * place.one, place.one, place.index)
    heads = tuple(
        Head(
            f"{to[0].name} ramp {ahead}",
            query,
            stack(-gate * place.one, episode, ahead * place.one + place.index, -place.one),
            sign * value,
            to,
        )
        for ahead, sign in ((3.0, 1.0), (2.0, -1.0), (1.0, -1.0))
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        x = np.concatenate([values[register.name] for register in what], axis=1)
        number, _, free = values[clock.name].T
        result = np.zeros_like(x)
        for back in (1, 2):
            same = (number[back:] == number[:-back]) & (free[back:] == 1)
            result[back:][same] += x[:-back][same]
        return result / values[position.name][:, :1]

    size = sum(register.size for register in to)
    own = Bound(0.0, UNIT * 16 * math.sqrt(size))
    return Block(
        name,
        source,
        (Step(heads),),
        to,
        truth,
        Promise("entries within [0, 1]", own, own, 2 * math.sqrt(size)),
    )


def times_index(
    name: str,
    source: str,
    *,
    what: tuple[Register, ...],
    to: tuple[Register, ...],
    position: Register,
    bound: float,
    tokens: int,
    scale: float = 1.0,
    inherited: Bound = EXACT,
) -> Block:
    """Registers times the token's index, which undoes an attention's 1/i.

    Claim: to_n is scale · i · what_n. Source: eq. tf_constrcut_ucbvi_multi, proof of Theorem approx_ucbvi, arXiv
    2310.08566: the score is i² − G(i² − j²), which is i² at j = i and ≤ 0 before, once G ≥ i. Reads: what, position.
    Writes: to. Error: none; `bound` is the largest entry of the result, `tokens` the largest number of tokens. Cost: 1
    layer of 1 head; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, y=2, position=3)
    >>> block = times_index("i x", "", what=(s["x"],), to=(s["y"],), position=s["position"], bound=1.0, tokens=9)
    >>> len(block.steps[0].heads)
    1
    """
    place, gate = Position.of(position), power_of_two(tokens)
    value = scale * stack(*(read(register) for register in what))
    query = stack(place.square, -gate * place.square, place.one)
    head = Head(f"{to[0].name} × i", query, stack(place.one, place.one, gate * place.square), value, to)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        x = np.concatenate([values[register.name] for register in what], axis=1)
        return scale * values[position.name][:, :1] * x

    size = sum(register.size for register in to)
    own = Bound(0.0, UNIT * 8 * bound)
    promise = Promise("any", own, own + inherited, math.sqrt(size) * bound)
    return Block(name, source, (Step((head,)),), to, truth, promise, groups=size)


def combine(
    name: str,
    source: str,
    *,
    terms: tuple[tuple[float, Register], ...],
    to: Register,
    bound: float,
    inherited: Bound = EXACT,
    error: float = 0.0,
) -> Block:
    """A linear combination of registers of the token itself.

    Claim: `to` is Σ weight · register over the terms.
    Source: "a last linear map", proof of Theorem approx_smooth_linucb, step 3, arXiv 2310.08566.
    Reads: the registers of the terms.  Writes: to.
    Error: none of its own but `error`, where the weights are not quite those that are meant; `inherited` is what errors of
    the terms cause. `bound` bounds Σ |weight · entry|.
    Cost: 1 MLP layer of 2 neurons an entry; no heads.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, y=2, out=2)
    >>> terms = ((1.0, s["x"]), (0.5, s["y"]))
    >>> block = combine("x + y/2", "", terms=terms, to=s["out"], bound=1.5)
    >>> block.steps[0].units[0].reads.height
    4
    """
    link = sum((weight * read(register) for weight, register in terms[1:]), terms[0][0] * read(terms[0][1]))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return sum((weight * held(values, register) for weight, register in terms), np.zeros(to.size))

    own = Bound(error, UNIT * 2 * (len(terms) + 2) * bound)
    return Block(
        name=name,
        source=source,
        steps=(Step((), (signed_units(name, link, (to, 1.0)),)),),
        output=to,
        groups=to.size,
        truth=truth,
        promise=Promise("any", own, own + inherited, math.sqrt(to.size) * bound),
    )
