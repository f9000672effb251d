"""Linear attention that reads what it writes: one average over the past, taken again and again."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from constructions.parts.block import UNIT, Block, Bound, Position, Promise, Step, signed
from constructions.parts.links import Values, held, read, stack
from constructions.parts.stream import Register


def averages(
    name: str,
    source: str,
    *,
    key: Sequence[tuple[float, Register]],
    by: Register,
    value: Register,
    to: Register,
    position: Register,
    weight: float,
    turns: int,
    score: float,
    largest: float,
    tokens: int,
    inherited: float = 0.0,
) -> Block:
    """A sum over the past that is moved by itself, turn by turn.

    Claim: `to` at token i is what so many turns x ← x + (weight/i) Σ_{j≤i} (⟨key_j, x⟩ + by_j) · value_j make of x = 0,
        key_j the sum of weight · register over `key`.
    Source: ours, after the gradient step in the proof of Lemma approx_ridge, arXiv 2310.08566.
    Reads: the registers of the key, by, value, position.  Writes: to.
    Error: none, for `by` a number and |entries of value| ≤ 1. `score` bounds Σ |terms| of ⟨key_j, x⟩ + by_j, `largest` the
        entries of x, at every token and turn. Rounding is for turns that do not increase max |x − y|; `inherited` is what
        that of the inputs adds to ⟨key_j, x⟩ + by_j.
    Cost: `turns` layers of 2 heads, tied; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, r=1, v=2, out=2, position=3)
    >>> at = dict(by=s["r"], value=s["v"], to=s["out"], position=s["position"])
    >>> block = averages("", "", key=[(-1.0, s["x"])], weight=1.0, turns=3, score=2.0, largest=1.0, tokens=9, **at)
    >>> block.repeat, len(block.steps[0].heads)
    (3, 2)
    """
    terms = [factor * read(register) for factor, register in key]
    keys = sum(terms[1:], terms[0])
    place = Position.of(position)
    heads = signed(name, stack(read(to), place.one), stack(keys, read(by)), weight * read(value), to)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        rows = np.add.reduce([factor * held(values, register) for factor, register in key])
        moved = held(values, value)
        x = np.zeros_like(moved)
        for _ in range(turns):
            scores = np.tril(x @ rows.T + held(values, by).T)
            x = x + weight * (scores @ moved) / held(values, position)[:, :1]
        return x

    rounding = UNIT * (2 * (tokens + to.size + 8) * abs(weight) * score + 2 * largest)
    own, more = Bound(0.0, turns * rounding), Bound(0.0, turns * abs(weight) * inherited)
    domain = f"|entries| ≤ {largest:.4g} after every turn"
    promise = Promise(domain, own, own + more, math.sqrt(to.size) * largest)
    return Block(name, source, (Step(heads),), to, truth, promise, turns, to.size)
