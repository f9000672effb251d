"""Products of three registers of one and the same token, under softmax attention.

**The gate.** Token i ≥ 1 holds the m binary digits of i as ±1, and 1; token 0 holds 0 for all of them. The score
B(⟨digits_i, digits_j⟩ − m) is 0 at j = i, −2B for each digit that differs, and 0 at token 0. All others weigh at most
θ = (1 + e^{−2B})^m − 1, as C(m, k) numbers differ from i in k digits. Terms are of size Bm, however long the sequence is.

**By odds.** With the score −s_i at token 0 beside the gate the head moves σ(s_i) v_i, σ(z) = 1/(1 + e^{−z}), within 2θX for
values of size X at most, whatever number s_i is. With s_i = −log i that is the share v_i/(i + 1).

**Products.** With β⟨x_i, y_j⟩ added to the gate the head moves σ(βs) v_i, s = ⟨x_i, y_i⟩, as token 0 has
the score 0 and the value 0. For β = ±b the difference is tanh(bs/2) v_i; P_b = (2/b) tanh(bs/2) is s up to b²s³/12. Heads
for ±b and ±2b give (4P_b − P_{2b})/3, which is s within (2/45) b⁴|s|⁵ for every s and b: with tanh x = x − x³/3 + r(x),
0 ≤ r(x) ≤ 2x⁵/15 for x ≥ 0, the cubes cancel. Their values add up to 6/b, and so often count the gate and rounding.
"""

import math
from dataclasses import dataclass

from flint import arb

from constructions.parts.block import UNIT, Head
from constructions.parts.links import Link, read, side_by_side, stack, tile
from constructions.parts.stream import Register
from constructions.rounding.outward import nearest

ROUNDS = 8
"""So often b and the gate are chosen in turn."""
BELOW = 100.0
"""What the gate lets through is to be so many times smaller than what the series leaves."""
CLOSED = 44.0
"""Gates are at least so large: e⁻⁸⁸ of another token is less than float64 can see, and evaluation may leave it out."""


@dataclass(frozen=True)
class Product:
    """The numbers of Lemma 5 of docs/softmax.md: four heads add ⟨x_i, y_i⟩ v_i to each token.

    Attributes:
        b: the factor, a power of two.
        gate: B, an integer.
        digits: m, which tells tokens 1 … 2^m − 1 apart.
        own: bound on |⟨x_i, y_i⟩|.
        across: bound on ‖x_i‖ ‖y_j‖ for all j ≤ i.
        terms: entries of x and y.
    """

    b: float
    gate: float
    digits: int
    own: float
    across: float
    terms: int

    @classmethod
    def best(
        cls, own: float, across: float, digits: int, terms: int, *, spread: float = 1.0, finer: float = 1.0
    ) -> "Product":
        """The power of two for b at which what is left and what rounding adds are about least, times `finer`.

        Where values of other tokens count `spread` times as much as the token's own, the gate keeps even that small.
        """
        found = cls(2.0**-8, CLOSED, digits, own, across, terms)
        for _ in range(ROUNDS):
            b = finer * _power_of_two(best_b(own, found.share_rounding))
            wanted = 24 * BELOW * digits * max(spread, 1.0) / (b * 2 / 45 * b**4 * own**5)
            room = nearest(arb.log, wanted) / 2 + b * (own + across)
            found = cls(b, max(CLOSED, float(math.ceil(room))), digits, own, across, terms)
        return found

    @property
    def series(self) -> arb:
        """How far the factor of v_i is from ⟨x_i, y_i⟩, if no other token had a weight; thirds as float64 holds them."""
        return arb(2) / 45 * arb(self.b) ** 4 * arb(self.own) ** 5 + 5 * UNIT * arb(self.own)

    @property
    def leak(self) -> arb:
        """What all other tokens change, as part of the largest value of any token."""
        most = (2 * arb(self.b) * (arb(self.own) + self.across)).exp()
        return 12 * (1 + 3 * arb(UNIT)) / self.b * most * others(self.gate, self.digits)

    @property
    def share_rounding(self) -> float:
        """By how much float64 may be off with a weight of attention: terms of the gate cancel, in whatever order."""
        added = self.digits + 1 + self.terms
        return UNIT * (8 + added * (self.digits + 2) * self.gate / 4)

    @property
    def rounding(self) -> float:
        """How far a product is off by that, as part of the token's own value."""
        return 6 / self.b * self.share_rounding

    def heads(
        self, role: str, left: Link, right: Link, value: Link, to: Register, digits: Register, one: Register
    ) -> tuple[Head, ...]:
        """Four heads for each vector of left and right: ⟨left_k, right_k⟩ · value_k is added to part k of `to`.

        Left and right hold as many vectors of `terms` entries as the value has parts, one after the other; all are 0 at
        token 0.
        """
        count = left.height // self.terms
        query, key = (tile(part, count) for part in own_gate(self.gate, digits, one))
        key = side_by_side(count, key, right)
        return tuple(
            Head(
                f"{role} {factor:+g}b",
                side_by_side(count, query, factor * self.b * left),
                key,
                weight / self.b * value,
                to,
                count,
                "softmax",
            )
            for factor, weight in ((1.0, 8 / 3), (-1.0, -8 / 3), (2.0, -1 / 3), (-2.0, 1 / 3))
        )


def own_gate(gate: float, digits: Register, one: Register) -> tuple[Link, Link]:
    """Query and key of B(⟨digits_i, digits_j⟩ − m)."""
    place, full = read(digits), read(one)
    return stack(gate * place, -gate * digits.size * full), stack(place, full)


def others(gate: float, digits: int) -> arb:
    """θ, what all other tokens weigh at most, the token itself 1."""
    return (digits * (-2 * arb(gate)).exp().log1p()).expm1()


def by_odds(
    role: str,
    odds: Link,
    value: Link,
    to: Register | tuple[Register, ...],
    gate: float,
    *,
    digits: Register,
    one: Register,
    start: Register,
) -> Head:
    """A head that adds σ(odds) · value, of the token itself; 0 at token 0."""
    query, key = own_gate(gate, digits, one)
    return Head(role, stack(query, -odds), stack(key, read(start)), value, to, 1, "softmax")


def by_odds_error(gate: float, digits: int) -> arb:
    """How far that is off, as part of the largest value of any token."""
    return 2 * others(gate, digits)


def share(
    role: str,
    value: Link,
    to: Register,
    gate: float,
    *,
    digits: Register,
    one: Register,
    log: Register,
    start: Register,
) -> Head:
    """A head that adds value/(i + 1), of the token itself; 0 at token 0."""
    return by_odds(role, -read(log), value, to, gate, digits=digits, one=one, start=start)


def share_error(gate: float, digits: int, tokens: int) -> arb:
    """How far i + 1 times that is off, as part of the largest value of any token; the logarithm is the nearest number."""
    return (tokens + 1) * by_odds_error(gate, digits) + 2 * arb(UNIT) * arb(tokens).log()


def best_b(bound: float, rounding: float) -> float:
    """The b for which (2/45) b⁴ bound⁵ + 6 rounding/b is least, if a weight of attention is off by `rounding`.

    >>> round(best_b(1.0, 2.0**-53), 5)
    0.0013
    """
    return nearest(lambda x: (135 * x / 4).root(5), rounding) / bound


def _power_of_two(number: float) -> float:
    """The largest power of two that is not above a number > 0."""
    return math.ldexp(1.0, math.frexp(number)[1] - 1)
