"""Cutting numbers off at 0 and at a largest value: relu(x) − relu(x − high)."""

import math

import numpy as np
from jaxtyping import Float

from constructions.parts.block import EXACT, UNIT, Block, Bound, Promise, Step, Units
from constructions.parts.links import Link, Values, held, read, repeat_rows, stack
from constructions.parts.stream import Register


def between(
    name: str,
    source: str,
    *,
    terms: tuple[Register, ...],
    to: Register,
    one: Register,
    high: float,
    bound: float,
    inherited: Bound = EXACT,
) -> Block:
    """The sum of some registers, cut off at 0 and at `high`.

    Claim: entry n of `to` is max(min(Σ terms_n, high), 0).
    Source: proof of Theorem approx_ucbvi, step 3, arXiv 2310.08566, without the neuron relu(−x) that its sum must not have.
    Reads: terms, one.  Writes: to.
    Error: none; `bound` bounds the sum of the terms' sizes.
    Cost: 1 MLP layer of 2 neurons an entry; no heads.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, y=2, one=1, out=2)
    >>> block = between("clip", "", terms=(s["x"], s["y"]), to=s["out"], one=s["one"], high=1.0, bound=4.0)
    >>> block.steps[0].units[0].reads.height
    4
    """
    links = [read(term) for term in terms]

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return np.clip(sum((held(values, term) for term in terms), np.zeros(to.size)), 0.0, high)

    own = Bound(0.0, UNIT * 2 * (len(terms) + 2) * (bound + high))
    return Block(
        name=name,
        source=source,
        steps=(Step((), (units(name, sum(links[1:], links[0]), to, one, high),)),),
        output=to,
        groups=to.size,
        truth=truth,
        promise=Promise("any", own, own + inherited, math.sqrt(to.size) * high),
    )


def units(role: str, numbers: Link, to: Register, one: Register, high: float) -> Units:
    """The neurons of `between`."""
    size = numbers.height
    entries, signs = np.tile(np.arange(size), 2), np.repeat([1.0, -1.0], size)
    reads = stack(numbers, numbers - high * repeat_rows(read(one), size))
    return Units(role, reads, ((to, entries, np.arange(2 * size), signs),))
