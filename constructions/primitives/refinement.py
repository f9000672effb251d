"""Square roots by multiplication: a rough 1/√x, refined by one attention layer a step.

Interpolation of √x takes error^{-1/2} neurons. Products are exact and take none, so that a rough z ≈ 1/√x, for which a few
neurons are enough, can be improved by Newton's iteration. With y = xz, both are multiplied by the same factor,

    y ← (a/2) y (3 − a²yz),    z ← (a/2) z (3 − a²yz),

so that y = xz for ever, and t = √x z = y/√x goes to (a/2) t (3 − a²t²). That is a cubic form of registers of the token
itself: score ⟨iy, z⟩, which is i times the product, undoes the 1/i of attention, and value y, iy or z makes the new ones. iy
comes from y = xz with value i² for i.

**The certificate.** For t in [l, h] ∋ 1 and a² = 3/(h² + hl + l²), the values at both ends are equal, and the largest is
1, at at = 1; so t' lies in [l', 1], l' = (a/2) l (3 − a²l²). The last step divides by (1 + l')/2, which leaves a relative
error of ε_k = (1 − l')/(1 + l'). From [1 − δ, 1 + δ] the errors are δ, about 3δ²/4, and then 3/4 of the square of
the last: k steps square the error k times. `error` follows the interval in balls, with
the weights as float64 holds them. Neurons are needed for z only, about log(high/low)/(2√(δ/3)) an entry, whatever
the error.
"""

import math

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.parts.block import (
    EXACT,
    UNIT,
    Block,
    Bound,
    Position,
    Promise,
    Step,
    gate_size,
    own_heads,
    own_linear,
)
from constructions.parts.links import Values, held, read, side_by_side, stack, tile
from constructions.parts.stream import Register
from constructions.rounding.outward import above, balls
from constructions.rounding.schedules import cubic_steps

MOST_STEPS = 12
"""Errors are squared at each step: more would serve none that float64 can hold."""


def scales(spread: float, steps: int) -> list[float]:
    """The scale a of each step; the last number is the factor 2/(1 + l') of the end.

    >>> [round(scale, 6) for scale in scales(0.1, 2)]
    [0.998337, 1.007511, 1.000042]
    """
    low, high, found = 1 - spread, 1 + spread, []
    for _ in range(steps):
        found.append(math.sqrt(3 / (high * high + high * low + low * low)))
        scaled = found[-1] * low
        low, high = scaled / 2 * (3 - scaled * scaled), 1.0
    return [*found, 2 / (1 + low)]


def weights(spread: float, steps: int) -> list[tuple[float, float]]:
    """(p, q) of each step, t ↦ pt − qt³."""
    *factors, last = scales(spread, steps)
    ends = [1.0] * (steps - 1) + [last]
    return [(end * 1.5 * a, end * (a * a * a) / 2) for end, a in zip(ends, factors, strict=True)]


def error(spread: float, steps: int) -> float:
    """ε_k of the weights as float64 holds them, rounded up.

    >>> [f"{error(0.1, steps):.2g}" for steps in range(4)]
    ['0.1', '0.0075', '4.2e-05', '1.3e-09']
    """
    with balls():
        chosen = weights(spread, steps) if steps else []
        low, high = cubic_steps((1 - arb(spread), 1 + arb(spread)), chosen)
        return above((1 - low).max(high - 1))


def least(spread: float, wanted: float, name: str = "refinement") -> int:
    """The fewest steps whose error is at most the one wanted.

    Raises:
        ValueError: if float64 weights do not reach it.
    """
    for steps in range(1, MOST_STEPS):
        if error(spread, steps) <= wanted:
            return steps
    raise ValueError(
        f"{name}: wanted a relative error that weights of float64 reach, {error(spread, MOST_STEPS):.2g}, got {wanted:.3g}"
    )


def root(
    name: str,
    source: str,
    *,
    of: Register,
    near: Register,
    position: Register,
    to: Register,
    to_times: Register,
    partner: Register,
    spread: float,
    steps: int,
    high: float,
    nearest: float,
    tokens: int,
    inherited: Bound = EXACT,
) -> Block:
    """√x from x and a rough 1/√x.

    Claim: entry k of `to` is √of_k; to_times holds i times that, partner 1/√of_k, both as rough as `to` or better.
    Source: theorem ours, in place of the interpolation in the proof of Theorem approx_smooth_linucb, step 3.
    Reads: of, near, position.  Writes: to, to_times, partner.
    Error: ε_steps √high; `inherited` is what errors of `of` cause.
    Needs: at every token, of_k is 0 or |near_k √of_k − 1| ≤ spread; 0 ≤ of_k ≤ high, 0 ≤ near_k ≤ nearest.
    Cost: 1 + steps layers, the first of 1 head an entry, the others of one more; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(x=2, z=2, y=2, iy=2, again=2, position=3)
    >>> names = dict(of=s["x"], near=s["z"], position=s["position"], to=s["y"], to_times=s["iy"], partner=s["again"])
    >>> block = root("√x", "", spread=0.1, steps=2, high=4.0, nearest=20.0, tokens=8, **names)
    >>> len(block.steps), f"{block.promise.own.error:.2g}"
    (3, '8.5e-05')
    """
    if not 0 < spread < 0.5 or steps < 1:
        raise ValueError(f"{name}: wanted 0 < spread < 0.5 and at least 1 step, got {spread} and {steps}")
    count, place = to.size, Position.of(position)
    both = side_by_side(count, tile(place.index, count), tile(place.square, count))
    gate = gate_size(high * nearest)
    first = own_heads(
        "y", read(of), read(near), (to, to_times), position, gate, signs=(1.0,), value=both, count=count
    )
    layers, gates, largest = [Step(first)], [gate], nearest
    for number, (linear, cube) in enumerate(weights(spread, steps), 1):
        now = near if number == 1 else partner
        values = side_by_side(count, read(to), read(to_times), read(now))
        gates.append(gate_size(tokens * (1 + spread) * math.sqrt(high) * largest))
        cubic = own_heads(
            f"step {number}",
            read(to_times),
            read(now),
            (to, to_times, partner),
            position,
            gates[-1],
            signs=(1.0,),
            value=-cube * values,
            count=count,
        )
        kept = [
            (linear - 1) * read(to),
            (linear - 1) * read(to_times),
            (linear if number == 1 else linear - 1) * read(now),
        ]
        layers.append(
            Step(
                (*cubic, own_linear(f"step {number} again", stack(*kept), (to, to_times, partner), position))
            )
        )
        largest *= linear

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return np.sqrt(np.maximum(held(values, of), 0.0))

    size = (1 + spread) * math.sqrt(high)
    own = Bound(
        above(error(spread, steps) * arb(high).sqrt()), UNIT * 32 * (1 + max(gates)) * (steps + 1) * size
    )
    magnitude = math.sqrt(count) * math.hypot(size, tokens * size, largest)
    promise = Promise(f"a rough 1/√x within a factor 1 ± {spread:.3g}", own, own + inherited, magnitude)
    return Block(name, source, tuple(layers), to, truth, promise, groups=count)
