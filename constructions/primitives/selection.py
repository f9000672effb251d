"""Choosing one of several stored vectors by a one-hot register.

For values |v| ≤ B and an indicator c in {0, 1}, relu(±v − B(1 − c)) is relu(±v) if c = 1 and 0 if c = 0. The difference of
the two signs, summed over the candidates, is the chosen value. The gate −B·1 + B·c is linear in the token.
"""

import math

import numpy as np
from jaxtyping import Float

from constructions.block import UNIT, Block, Bound, Promise, Step, Units
from constructions.links import Values, read, repeat_rows, stack
from constructions.outward import power_of_two
from constructions.stream import Register


def by_one_hot(
    name: str, source: str, *, choice: Register, options: Register, one: Register, to: Register, bound: float
) -> Block:
    """The chosen one of n vectors.

    Claim: `to` is options_n for the n at which `choice` is 1, and 0 where `choice` is all zero.
    Source: proof of Theorem approx_ucbvi, step 4 (selection of Q_h(s_t, ·)), arXiv 2310.08566.
    Reads: choice, options, one.  Writes: to.
    Error: none, for |entries of options| ≤ bound.
    Cost: 1 MLP layer of 2 neurons for every entry of options; no heads.

    >>> from constructions.stream import Stream
    >>> s = Stream.of(choice=3, options=6, one=1, out=2)
    >>> by_one_hot("pick", "", choice=s["choice"], options=s["options"], one=s["one"], to=s["out"], bound=4.0).groups
    1
    """
    count, span = choice.size, to.size
    if options.size != count * span:
        raise ValueError(f"{name}: wanted options of size {count * span}, got {options.size}")
    gate_size = power_of_two(bound)
    gate = gate_size * repeat_rows(read(choice), span) - gate_size * repeat_rows(read(one), count * span)
    entries = np.tile(np.arange(span), 2 * count)
    signs = np.repeat([1.0, -1.0], count * span)
    units = Units(
        name,
        stack(read(options) + gate, gate - read(options)),
        ((to, entries, np.arange(2 * count * span), signs),),
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        stored = values[options.name].reshape(-1, count, span)
        return np.einsum("tn,tns->ts", values[choice.name], stored)

    own = Bound(0.0, UNIT * 4 * gate_size * math.sqrt(span))
    promise = Promise(f"|v| ≤ {gate_size:g}", own, own, math.sqrt(span) * bound)
    return Block(name, source, (Step((), (units,)),), to, truth, promise)
