"""Division by a square root, under softmax attention: neurons say by how much, attention multiplies.

Let z = √(rx)/c ≥ 2 for all x in [low, high]. Neurons hold s = −log(z − 1), which is σ(s) = 1/z, and a head with token 0 at
−s (products.py) moves σ(s) v/c = v/√(rx). Where s is off by δ, that is off by a factor between e^{−|δ|} and e^{|δ|}, as
(log σ)' = 1 − σ ≤ 1: what neurons leave of s is relative to the quotient. If x is off by a factor, so is the quotient:
|x ds/dx| = z/(2(z − 1)) ≤ 1.

s is convex in x and falls, s' = −g/(z(z − 1)), s'' = g²(2z − 1)/(z³(z − 1)²), g = r/(2c²). Chords leave no more than δ if
they reach from x to x + 4√(δ/s'') = x(1 + 8√δ(z − 1)/√(z(2z − 1))), which is beyond x(1 + 3.2√δ): so many knots are needed
as log(high/low)/log(1 + 3.2√δ), and one or two more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.parts.block import UNIT, Block, Bound, Promise, Step
from constructions.parts.links import Link, Values, held, read
from constructions.parts.stream import Register
from constructions.primitives import interpolation, stored
from constructions.primitives.interpolation import Interpolant
from constructions.primitives.softmax import products
from constructions.rounding.outward import above, balls, below, nearest


@dataclass(frozen=True, eq=False)
class Divisor:
    """The odds by which a head divides by √(rx).

    Attributes:
        unit: c.
        weight: r.
        low: the least x.
        curve: the interpolant of s.
        error: how near its neurons are.
        steep: bound on the size of x times its slope.
    """

    unit: float
    weight: float
    low: float
    curve: Interpolant
    error: float
    steep: float

    @classmethod
    def of(cls, low: float, high: float, error: float, weight: float = 1.0) -> "Divisor":
        """For x in [low, high], and neurons within an error.

        >>> found = Divisor.of(0.5, 8.0, 0.1)
        >>> bool(abs(found.share(np.array([2.0]))[0] / found.unit * np.sqrt(2.0) - 1) < 0.2), found.curve.knots.size
        (True, 5)
        """
        with balls():
            unit = below((arb(weight) * low).sqrt() / 2)
            scale, g = arb(weight) / arb(unit) ** 2, weight / (2 * unit * unit)
            meant = stored.Curve(lambda x: -((scale * x).sqrt() - 1).log(), bend=lambda x, _: _bend(scale, x))

        def bend(x: float) -> float:
            z = math.sqrt(2 * g * x)
            return g * g * (2 * z - 1) / (z * z * z * ((z - 1) * (z - 1)))

        def made(aim: float) -> Interpolant:
            line = interpolation.walk(lambda x: nearest(meant.value, x), bend, low, high, aim)
            return replace(line, left=True)

        curve, reached = stored.within(made, meant, error)
        slopes = np.abs(curve.slopes) * curve.knots[1:]
        return cls(unit, weight, low, curve, reached, float(slopes.max()) * (1 + 2**-40))

    @property
    def most(self) -> float:
        """Bound on the size of s, also where there is no x and 0 stands for it."""
        return max(float(np.abs(self.curve.values).max()), abs(self.curve.at_zero))

    def share(self, x: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """c/√(rx), σ of what neurons make of x."""
        return sigmoid(self.curve.made(x))

    def odds(self, x: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """The function s, level below the least x."""
        return -np.log(np.sqrt(self.weight * np.maximum(x, self.low)) / self.unit - 1)


def _bend(scale: arb, x: arb) -> arb:
    """The second derivative, which is largest at the left end."""
    z = (scale * x).sqrt()
    return (scale / 2) ** 2 * (2 * z - 1) / (z**3 * (z - 1) ** 2)


def sigmoid(odds: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """σ(s)."""
    return 1 / (1 + np.exp(-odds))


def length(
    name: str,
    source: str,
    product: products.Product,
    *,
    vector: Link,
    of: Callable[[Values], Float[np.ndarray, "tokens dim"]],
    to: Register,
    digits: Register,
    one: Register,
) -> Block:
    """The squared length of a vector of the token itself.

    Claim: `to` is ‖v‖²; `of` gives v, 0 at token 0, in NumPy.
    Source: Lemma 5 of docs/softmax.md.
    Reads: vector, digits, one.  Writes: to.
    Error: that of `product`; in exact arithmetic also within (2/45)(b P)⁴ of it relatively, but for the gate.
    Cost: 1 layer of 4 heads; no neurons.
    """
    heads = product.heads(name, vector, vector, read(one), to, digits, one)
    own = Bound(above(product.series + product.leak), product.rounding)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return np.square(of(values)).sum(axis=1, keepdims=True)

    promise = Promise("norm bounds", own, own, 2 * product.own + own.whole)
    return Block(name, source, (Step(heads),), to, truth, promise)


def quotient(
    name: str,
    source: str,
    unit: float,
    gate: float,
    *,
    odds: Register,
    value: Link,
    of: Callable[[Values], Float[np.ndarray, "tokens size"]],
    to: Register | tuple[Register, ...],
    size: float,
    largest: float,
    total: Bound,
    digits: Register,
    one: Register,
    start: Register,
    groups: int = 1,
    terms: float = 1.0,
) -> Block:
    """Vectors of the token itself, divided by the square root that some odds stand for.

    Claim: `to` is σ(odds) · value/unit; `of` gives the value, 0 at token 0, in NumPy.
    Source: Lemma 8 of docs/softmax.md.
    Reads: odds, value, digits, one, start.  Writes: to.
    Error: 2θ/unit of the `largest` value of any token, and 1/unit as float64 has it; `total` is what all errors cause.
    Cost: 1 layer of 1 head; no neurons. `size` bounds what is written of each vector, `terms` by how much what it is added
    up of exceeds it.
    """
    head = products.by_odds(
        name, read(odds), (1 / unit) * value, to, gate, digits=digits, one=one, start=start
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return sigmoid(held(values, odds)) * of(values) / unit

    leak = products.by_odds_error(gate, digits.size) * largest / unit
    own = Bound(above(leak + 2 * arb(UNIT) * size), UNIT * 32 * terms * size)
    promise = Promise("norm bounds", own, own + total, 2 * size * math.sqrt(groups))
    return Block(name, source, (Step((head,)),), to, truth, promise, groups=groups)
