"""Linear attention that reads what it writes: one average over the past, taken again and again, and sums that decay."""

import math
from collections.abc import Sequence

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.parts.block import EXACT, UNIT, Block, Bound, Head, Position, Promise, Step, signed
from constructions.parts.links import Values, held, read, repeat_rows, stack
from constructions.parts.stream import Register
from constructions.parts.units import Units
from constructions.rounding.outward import above, balls, nearest, power_of_two


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
    gain: float | None = None,
    inherited: Bound = EXACT,
    threshold: float = 0.0,
    one: Register | None = None,
) -> Block:
    """A sum over the past that is moved by itself, turn by turn.

    Claim: `to` at token i is what so many turns x ← S(x + (weight/i) Σ_{j≤i} (⟨key_j, x⟩ + by_j) · value_j) make of x = 0,
        key_j the sum of weight · register over `key`, S(z) = z − max(min(z, threshold), −threshold) entry by entry.
    Source: ours, after the gradient step in the proof of Lemma approx_ridge, arXiv 2310.08566.
    Reads: the registers of the key, by, value, position; with a threshold to.  Writes: to.
    Error: none of its own, for `by` a number. `score` bounds Σ |terms| of ⟨key_j, x⟩ + by_j times the norm of value_j,
        `largest` the entries of x, at every token and turn; `gain` is what all turns make of an error of at most 1 that
        each adds to every entry, `turns` if left out: none increases max |x − y|. `inherited` is what errors of the inputs
        make of (⟨key_j, x⟩ + by_j) · value_j.
    Cost: `turns` layers of 2 heads, tied; no neurons, with a threshold two an entry and one more.

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
    units = (_shrunk(name, to, one or position.part(2, of=3), threshold),) if threshold else ()

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        rows = np.add.reduce([factor * held(values, register) for factor, register in key])
        moved = held(values, value)
        x = np.zeros_like(moved)
        for _ in range(turns):
            scores = np.tril(x @ rows.T + held(values, by).T)
            x = x + weight * (scores @ moved) / held(values, position)[:, :1]
            x = x - np.clip(x, -threshold, threshold)
        return x

    gain, size = float(turns) if gain is None else gain, abs(weight) * score
    rounding = UNIT * (2 * (tokens + to.size + 8) * size + 2 * largest + 8 * threshold)
    own = Bound(0.0, gain * rounding)
    most = largest + (size + threshold if threshold else 0.0)  # between heads and neurons
    promise = Promise(
        f"|entries| ≤ {largest:.4g} after every turn",
        own,
        own + above(arb(gain) * abs(weight)) * inherited,
        math.sqrt(to.size) * most,
    )
    return Block(name, source, (Step(heads, units),), to, truth, promise, turns, to.size)


def _shrunk(name: str, to: Register, one: Register, threshold: float) -> Units:
    """Neurons that move every entry towards 0: relu(x − τ) − relu(x + τ) + τ is S(x) − x."""
    size, ones, entries = to.size, repeat_rows(read(one), to.size), np.arange(to.size)
    reads = stack(read(to) - threshold * ones, read(to) + threshold * ones, read(one))
    signs = np.repeat([1.0, -1.0, threshold], size)
    units = np.concatenate([entries, entries + size, np.full(size, 2 * size)])
    return Units(f"{name}, towards 0", reads, ((to, np.tile(entries, 3), units, signs),))


def discounted(
    name: str,
    source: str,
    *,
    what: Register,
    to: Register,
    position: Register,
    keep: float,
    steps: int,
    tokens: int,
    largest: float,
    inherited: Bound = EXACT,
) -> Block:
    """A sum over all steps before, of two tokens each, that decays from step to step.

    Claim: `to` at token i is Σ_{m≥0} keep^m · what_{i−2m}.
    Source: ours. Let E_n be the same sum over m < 2ⁿ: E_{n+1} at token i is E_n there plus keep^{2ⁿ} times E_n at token
        i − 2·2ⁿ. That token alone is seen by relu(i − G(i − j − 2·2ⁿ)²), which is i there and, once G ≥ i, 0 elsewhere.
    Reads: what, position, to.  Writes: to.
    Error: where float64 does not hold the powers keep^{2ⁿ}, what that makes of `largest`, the norm of what is summed.
        Gates are differences of whole numbers below 2⁵³, of which nothing is lost.
    Cost: ⌈log₂ steps⌉ layers, one at least, of one head, the first of two; no neurons.

    Raises:
        ValueError: if there are too many tokens for that, or keep makes more than float64 can hold.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, sum=2, position=3)
    >>> at = dict(what=s["x"], to=s["sum"], position=s["position"])
    >>> block = discounted("trace", "", keep=0.5, steps=9, tokens=18, largest=1.0, **at)
    >>> len(block.steps), block.promise.total.error
    (4, 0.0)
    """
    gate, layers = power_of_two(tokens), max(1, (steps - 1).bit_length())
    if 8 * gate * tokens**2 >= 2**53:
        raise ValueError(f"{name}: wanted gates below 2^53, 8 · tokens³ about, got {tokens} tokens")
    powers = [nearest(lambda x, n=n: x ** (2**n), keep) for n in range(layers)]
    with balls(256):
        meant, made = [arb(1)], [arb(1)]
        for power in powers:
            made += [arb(power) * one for one in made]
        for _ in made[1:]:
            meant.append(meant[-1] * arb(keep))
        total = above(sum((abs(one) for one in made[:steps]), arb(0)) * largest)
        apart = (abs(one - other) for one, other in zip(made[:steps], meant, strict=False))
        error = above(sum(apart, arb(0)) * largest)
    if not max(total, error) < math.inf:
        raise ValueError(f"{name}: wanted a sum that float64 can hold, got {keep:g} kept over {steps} steps")
    place, own = Position.of(position), Bound(error, UNIT * 4 * steps * total)

    def back(n: int) -> Head:
        shift, value = 2.0 * 2**n, powers[n] * read(to if n else what)
        square = (2 * gate * shift + 1) * place.index - gate * place.square - gate * shift**2 * place.one
        seen = -2 * gate * shift * place.index - gate * place.square
        query, key = stack(square, place.index, place.one), stack(place.one, 2 * gate * place.index, seen)
        return Head(f"{to.name} {2**n} back", query, key, value, to)

    near = stack(place.index, place.index - place.square)
    first = Head(f"{to.name} now", near, stack(place.index, place.one), read(what), to)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        found = held(values, what).copy()
        for token in range(2, len(found)):
            found[token] += keep * found[token - 2]
        return found

    heads = [(first, back(0)), *((back(n),) for n in range(1, layers))]
    sums = above(arb(total) / largest) if largest else 0.0
    promise = Promise("any", own, own + sums * inherited, total)
    return Block(name, source, tuple(Step(one) for one in heads), to, truth, promise)
