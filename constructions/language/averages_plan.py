"""What the ridge problem under softmax attention is made of: factors and gates of products, steps, and what they leave.

Sections 6 and 7 of docs/softmax.md, with the weights as float64 holds them. X is to (i + 1)A⁻¹ what Lemma 7 says; forms
⟨v, Xm⟩ and vᵀXv/(i + 1) are taken of vectors v at hand, arms or others, whose norms are bounded from both sides.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from flint import arb

from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.ridge import largest_eigenvalue
from constructions.parts.block import UNIT, Bound
from constructions.primitives import descent
from constructions.primitives.softmax import products, ridge
from constructions.primitives.softmax.products import CLOSED, Product
from constructions.rounding import schedules
from constructions.rounding.outward import above, below, nearest
from constructions.rounding.schedules import Inverse

FINEST = 24
"""So often b may be halved: float64 has no digits left of products then."""


@dataclass(frozen=True)
class Problem:
    """The ridge problem of a specification's past, with a ridge of its own; all else is the specification's."""

    dim: int
    actions: int
    horizon: int
    action_norm: tuple[float, float]
    weight_norm: float
    noise_bound: float
    tokens: int
    digits: int
    ridge: float

    @classmethod
    def of(cls, spec: Any, ridge: float) -> "Problem":
        """That of a specification."""
        held: dict[str, Any] = {field.name: getattr(spec, field.name) for field in fields(cls)}
        held["ridge"] = ridge
        return cls(**held)


@dataclass(frozen=True)
class Vectors:
    """What forms are taken of.

    Attributes:
        low, high: bounds on the norm.
        times: v/(i + 1) is off by so many times as much by other tokens as a share of an arm, relative to `high`.
    """

    low: float
    high: float
    times: float = 1.0


@dataclass(frozen=True)
class Products:
    """The four kinds of products, and the gate of shares.

    Attributes:
        outer: a_p · (a, r).
        turn: ⟨X_p, M_r⟩ · X_r, in each step.
        mean: ⟨X_p, m⟩ · v_p.
        square: ⟨X_p, v/(i + 1)⟩ · v_p.
        share: B of a_k/(i + 1).
    """

    outer: Product
    turn: Product
    mean: Product
    square: Product
    share: float

    @classmethod
    def of(cls, spec: Any, vectors: Vectors, finer: float) -> "Products":
        """Those of a spec, b so many times what is best for rounding; sizes twice as large as exact ones are allowed for."""
        (_, high), reward, d, m = admitted_norms(spec), admitted_reward(spec), spec.dim, spec.digits
        condition = spec.tokens * (1 + high * high / spec.ridge)
        inverse, width = 4 * spec.tokens / spec.ridge, 2 * vectors.high / spec.ridge
        room = (
            nearest(arb.log, 4.0 * m * spec.tokens * max(condition, 1.0) * max(vectors.times, 1.0) / UNIT) / 2
        )
        return cls(
            Product.best(high, high, m, 1, spread=math.sqrt(d), finer=finer),
            Product.best(2.0, 2 * condition, m, d, spread=d * condition, finer=finer),
            Product.best(2 * above(estimate(spec)), inverse * high * reward, m, d, spread=d, finer=finer),
            Product.best(width, 2 * width, m, d, spread=d, finer=finer),
            max(CLOSED, float(math.ceil(room))),
        )


def estimate(spec: Any) -> arb:
    """W, a bound on the norm of a ridge estimate."""
    return descent.largest_estimate(spec.ridge, max(spec.horizon - 1, 1), admitted_reward(spec))


@dataclass(frozen=True)
class Plan:
    """Products and steps for a spec, and what they leave: Theorem 2, line by line.

    With `rounded` u in place of 0, what float64 adds is counted too, to first order.
    """

    spec: Any
    vectors: Vectors
    products: Products
    chosen: Inverse
    rounded: float = 0.0

    def left(self, product: Product) -> arb:
        """How far the factor of a vector is off."""
        return product.series + (arb(self.spec.dim).sqrt() * product.rounding if self.rounded else 0)

    def form(self, product: Product) -> arb:
        """How far a form is off by the products of the last layer alone."""
        return (self.left(product) + self.spec.dim * product.leak) * self.vectors.high

    @cached_property
    def equations(self) -> arb:
        """η: M is off by B_a η, m by ρ η."""
        outer = self.products.outer
        summed = arb(self.rounded) * (self.spec.tokens + 8) * admitted_norms(self.spec)[1]
        return self.left(outer) / 2 + arb(self.spec.dim).sqrt() * outer.leak + summed

    @cached_property
    def spoilt(self) -> arb:
        """ζ, by which part of M it is off at most."""
        return admitted_norms(self.spec)[1] * self.equations * (self.spec.tokens + 1) / self.spec.ridge

    @cached_property
    def stray(self) -> arb:
        """‖Δ‖ after the last step."""
        low, high = ends(self.spec, self.products)
        condition = arb(high) / low
        return ridge.strayed(self.chosen, self.products.turn, self.spec.dim, condition, self.rounded)

    @cached_property
    def residual(self) -> arb:
        """‖L‖ after the last step."""
        return self.chosen.error + self.stray

    @cached_property
    def mean(self) -> arb:
        """How far ⟨v, Xm⟩ is off, but for the products that it is made of."""
        spec, largest = self.spec, estimate(self.spec)
        moved = (admitted_reward(spec) + admitted_norms(spec)[1] * largest) * self.equations
        moved *= (spec.tokens + 1) / (arb(spec.ridge) * (1 - self.spoilt))  # ω
        if not (1 + self.residual) * (largest + moved) <= self.products.mean.own:
            return arb("inf")
        return self.vectors.high * (moved + self.residual * (largest + moved))

    @cached_property
    def relative(self) -> arb:
        """By which factor vᵀXv/(i + 1) may be off."""
        return (1 + arb(self.chosen.error)) / (1 - self.spoilt) - 1

    @cached_property
    def shares(self) -> arb:
        """How far (i + 1) times v/(i + 1) is off, as part of `high`."""
        gate, digits, tokens = self.products.share, self.spec.digits, self.spec.tokens
        others = (tokens + 1) * products.by_odds_error(gate, digits)
        return products.share_error(gate, digits, tokens) + (self.vectors.times - 1) * others

    @cached_property
    def absolute(self) -> arb:
        """How far it is off beside that, but for the products that it is made of."""
        spec, high, share = self.spec, arb(self.vectors.high), self.shares
        longest = (1 + self.residual) * (1 + share) * high / (spec.ridge * (1 - self.spoilt))
        if not longest <= self.products.square.own:
            return arb("inf")
        share = share + 8 * self.vectors.times * arb(self.rounded)
        return high**2 / (spec.ridge * (1 - self.spoilt)) * (self.stray + share * (1 + self.residual))

    @cached_property
    def spread(self) -> arb:
        """Both together, of the largest vᵀA⁻¹v there is."""
        return self.relative * (self.vectors.high / arb(self.spec.ridge).sqrt()) ** 2 + self.absolute

    @cached_property
    def square(self) -> arb:
        """The relative error of vᵀA⁻¹v, all that is absolute measured on the least there is."""
        absolute = self.absolute + self.form(self.products.square)
        return self.relative + absolute * largest_eigenvalue(self.spec) / arb(self.vectors.low) ** 2

    @property
    def small(self) -> bool:
        """Whether the equations are within what Theorem 2 takes for granted."""
        return bool(self.spoilt <= 0.125) and bool(self.equations <= admitted_norms(self.spec)[1] / 8)

    @property
    def holds(self) -> bool:
        """Whether sizes are within what products are made for, and vᵀA⁻¹v is known within a half."""
        return self.small and above(self.square) <= 0.5 and above(self.mean) < math.inf


def ends(spec: Any, made: Products) -> tuple[float, float]:
    """Bounds on the spectrum of what attention makes of A/(i + 1), at every token."""
    high = arb(admitted_norms(spec)[1])
    outer = Plan(spec, Vectors(0.0, 0.0), made, Inverse(0.0, 0.0, (), (0.0,)))
    apart = high * outer.equations
    return below(arb(spec.ridge) / (spec.tokens + 1) - apart), above((spec.ridge + high**2) / 2 + apart)


def plans(spec: Any, vectors: Vectors, needed: float) -> Iterator[Plan]:
    """Plans that hold, with one step more each, up to an error `needed` of the inverse; and the same with smaller b."""
    for halvings in range(FINEST):
        made = Products.of(spec, vectors, 0.5**halvings)
        low, high = ends(spec, made)
        for chosen in schedules.inverses(low, high) if low > 0 else ():
            found = Plan(spec, vectors, made, chosen)
            if found.holds:
                yield found
            if chosen.error <= needed:  # the theorem has no more steps: b is made smaller
                break


def rounding(found: Plan) -> Plan:
    """The same plan with what float64 adds."""
    return Plan(found.spec, found.vectors, found.products, found.chosen, UNIT)


def bound(exact: arb, rounded: arb) -> Bound:
    """An error, and what float64 adds to it."""
    return Bound(above(exact), max(above(rounded) - above(exact), 0.0))
