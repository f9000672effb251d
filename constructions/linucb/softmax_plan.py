"""What soft LinUCB by softmax attention is made of: factors and gates of products, steps, and what is left of the error.

Theorem 2 of docs/softmax.md, with the weights as float64 holds them. The fewest steps are taken that leave the square root
its share of the error, with factors b at which rounding is least, and with smaller ones where the certificate wants them.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from flint import arb

from constructions import checks
from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.ridge import largest_eigenvalue
from constructions.linucb import widths
from constructions.linucb.spec import SoftmaxSpec
from constructions.parts.block import UNIT, Bound
from constructions.primitives.softmax import products, ridge
from constructions.primitives.softmax.products import CLOSED, Product
from constructions.rounding import schedules
from constructions.rounding.outward import above, below, nearest
from constructions.rounding.schedules import Inverse

FINEST = 24
"""So often b may be halved: float64 has no digits left of products then."""


@dataclass(frozen=True)
class Products:
    """The four kinds of products, and the gate of shares.

    Attributes:
        outer: a_p · (a, r).
        turn: ⟨X_p, M_r⟩ · X_r, in each step.
        mean: ⟨X_p, m⟩ · a_p.
        square: ⟨X_p, a_k/(i + 1)⟩ · a_{k,p}.
        share: B of a_k/(i + 1).
    """

    outer: Product
    turn: Product
    mean: Product
    square: Product
    share: float

    @classmethod
    def of(cls, spec: SoftmaxSpec, finer: float) -> "Products":
        """Those of a spec, b so many times what is best for rounding; sizes twice as large as exact ones are allowed for."""
        (_, high), reward, d, m = admitted_norms(spec), admitted_reward(spec), spec.dim, spec.digits
        condition = spec.tokens * (1 + high * high / spec.ridge)
        inverse, estimate = 4 * spec.tokens / spec.ridge, above(widths.largest_mean(spec.plain) / high)
        width = 2 * high / spec.ridge
        room = nearest(arb.log, 4.0 * m * spec.tokens * max(condition, 1.0) / UNIT) / 2
        return cls(
            Product.best(high, high, m, 1, spread=math.sqrt(d), finer=finer),
            Product.best(2.0, 2 * condition, m, d, spread=d * condition, finer=finer),
            Product.best(2 * estimate, inverse * high * reward, m, d, spread=d, finer=finer),
            Product.best(width, 2 * width, m, d, spread=d, finer=finer),
            max(CLOSED, float(math.ceil(room))),
        )


@dataclass(frozen=True)
class Plan:
    """Products and steps for a spec, and what they leave: Theorem 2, line by line.

    With `rounded` u in place of 0, what float64 adds is counted too, to first order.
    """

    spec: SoftmaxSpec
    products: Products
    chosen: Inverse
    rounded: float = 0.0

    def left(self, product: Product) -> arb:
        """How far the factor of a vector is off."""
        return product.series + (arb(self.spec.dim).sqrt() * product.rounding if self.rounded else 0)

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
    def estimate(self) -> arb:
        """Bound on the norm of a ridge estimate, W."""
        return widths.largest_mean(self.spec.plain) / admitted_norms(self.spec)[1]

    @cached_property
    def mean(self) -> arb:
        """How far ⟨a, Xm⟩ is off, but for the products that it is made of."""
        high, spec = arb(admitted_norms(self.spec)[1]), self.spec
        moved = (admitted_reward(spec) + high * self.estimate) * self.equations
        moved *= (spec.tokens + 1) / (arb(spec.ridge) * (1 - self.spoilt))  # ω
        if not (1 + self.residual) * (self.estimate + moved) <= self.products.mean.own:
            return arb("inf")
        return high * (moved + self.residual * (self.estimate + moved))

    @cached_property
    def relative(self) -> arb:
        """By which factor aᵀXa/(i + 1) may be off."""
        return (1 + arb(self.chosen.error)) / (1 - self.spoilt) - 1

    @cached_property
    def absolute(self) -> arb:
        """How far it is off beside that, but for the products that it is made of."""
        spec, high = self.spec, arb(admitted_norms(self.spec)[1])
        share = products.share_error(self.products.share, spec.digits, spec.tokens)
        if (
            not (1 + self.residual) * (1 + share) * high / (spec.ridge * (1 - self.spoilt))
            <= self.products.square.own
        ):
            return arb("inf")
        share = share + 8 * arb(self.rounded)
        return high**2 / (spec.ridge * (1 - self.spoilt)) * (self.stray + share * (1 + self.residual))

    @cached_property
    def spread(self) -> arb:
        """Both together, of the largest squared width there is."""
        return self.relative * widths.longest(self.spec.plain) ** 2 + self.absolute

    @cached_property
    def square(self) -> arb:
        """The relative error of the squared width, all that is absolute measured on the least there is."""
        (low, high), product = admitted_norms(self.spec), self.products.square
        own = (self.left(product) + self.spec.dim * product.leak) * high
        return self.relative + (self.absolute + own) * largest_eigenvalue(self.spec) / arb(low) ** 2

    @cached_property
    def reached(self) -> float:
        """What τ times a logit is off, the square root apart."""
        spec, product = self.spec, self.products.mean
        own = (self.left(product) + spec.dim * product.leak) * admitted_norms(spec)[1]
        carried = spec.exploration * widths.width_error(spec.plain, above(self.square))
        return above(self.mean + own + carried + spec.temperature * arb(widths.rounded_weights(spec.plain)))

    @property
    def holds(self) -> bool:
        """Whether sizes are within what products are made for, and the squared width is known within a half."""
        small = bool(self.spoilt <= 0.125) and bool(self.equations <= admitted_norms(self.spec)[1] / 8)
        return small and above(self.square) <= 0.5 and above(self.mean) < math.inf


def ends(spec: SoftmaxSpec, made: Products) -> tuple[float, float]:
    """Bounds on the spectrum of what attention makes of A/(i + 1), at every token."""
    high = arb(admitted_norms(spec)[1])
    apart = high * Plan(spec, made, Inverse(0.0, 0.0, (), (0.0,))).equations
    return below(arb(spec.ridge) / (spec.tokens + 1) - apart), above((spec.ridge + high**2) / 2 + apart)


def plan(spec: SoftmaxSpec) -> tuple[Plan, float]:
    """Products and the fewest steps that leave the square root its share, and what is left to that.

    Raises:
        ValueError: if weights of float64 do not lead so far.
    """
    high, paid = admitted_norms(spec)[1], math.sqrt(max(spec.horizon - 1, 1)) * admitted_reward(spec)
    enough = spec.error * spec.temperature * math.sqrt(spec.ridge) / (7 * high * (paid + spec.exploration))
    budget = spec.error * spec.temperature / 2 * (1 - widths.SLACK)
    share = (1 - widths.root_share(spec.plain)) * budget if spec.exploration else budget
    best = math.inf
    for halvings in range(FINEST):
        made = Products.of(spec, 0.5**halvings)
        low, high = ends(spec, made)
        for chosen in schedules.inverses(low, high) if low > 0 else ():
            found = Plan(spec, made, chosen)
            if found.holds:
                best = min(best, found.reached)
                if found.reached <= share:
                    left = (budget - found.reached) / spec.exploration if spec.exploration else math.inf
                    return found, left
            if chosen.error <= min(0.5, enough):  # the theorem has no more steps: b is made smaller
                break
    checks.carried(spec.error, best * spec.error / share)
    raise ValueError(f"ridge: wanted a problem that weights of float64 can solve, got {spec.ridge!r}")


def rounding(found: Plan) -> Plan:
    """The same plan with what float64 adds."""
    return Plan(found.spec, found.products, found.chosen, UNIT)


def bound(exact: arb, rounded: arb) -> Bound:
    """An error, and what float64 adds to it."""
    return Bound(above(exact), max(above(rounded) - above(exact), 0.0))
