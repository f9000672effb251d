"""What Thompson sampling by softmax attention is made of, and what it leaves: Theorem 3 of docs/softmax.md, line by line.

The fewest steps of Newton's iteration are taken that leave the neurons their shares of the error: a quarter of it is that of
log Φ, and an eighth of what a ratio may be off is left to linear algebra.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from flint import arb

from constructions import checks
from constructions.inputs.bandits import admitted_norms, admitted_separation
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language.averages_plan import Plan, Vectors, bound, plans, rounding
from constructions.parts.block import UNIT, Bound
from constructions.primitives.softmax import products
from constructions.primitives.softmax.division import Divisor
from constructions.primitives.softmax.products import CLOSED, Product
from constructions.rounding.outward import above, below, nearest, power_of_two
from constructions.thompson import posterior
from constructions.thompson.spec import SoftmaxSpec

LOW, HIGH = 0.8, 1.25
"""Bounds on the norm of a difference of arms divided by its length, which is known roughly."""
ROUGH = 0.1
"""How far the neurons are off that divide by the length."""
TOLD = 0.125
"""The squared length is known within a factor 1 ± TOLD."""
FINE = 16.0
"""1/b is at least so many times the largest squared length, which leaves a part of 10⁻⁶ of each."""
SLACK = 1e-6
"""Part of the error kept back, so that rounding does not carry a bound that is met exactly over its edge."""


@dataclass(frozen=True, eq=False)
class SoftmaxPlan:
    """The choices behind the weights.

    Attributes:
        spec: what is built.
        found: products and steps of the linear algebra, for û = u/‖u‖, roughly.
        length: the product ‖u‖².
        scale: division by ‖u‖.
        root: division by √(rq).
        tail: what is left to log Φ.
    """

    spec: SoftmaxSpec
    found: Plan
    length: Product
    scale: Divisor
    root: Divisor
    tail: float

    @cached_property
    def off(self) -> Bound:
        """How far the odds of 1/‖u‖ are off by what is left of ‖u‖²."""
        steep, part = self.scale.steep, told(self.spec, self.length)
        shaken = self.length.rounding / admitted_separation(self.spec) ** 2
        return Bound(above(steep * arb(part) / (1 - arb(part))), 2 * steep * shaken)

    @cached_property
    def apart(self) -> Bound:
        """How far û is off by that, and û/(i + 1) times i + 1."""
        rounded = 2 * self.off.rounding + 8 * UNIT * self.found.vectors.times
        return Bound(above(HIGH * (arb(self.off.error).expm1() + self.found.shares)), HIGH * rounded)

    @cached_property
    def spread(self) -> Bound:
        """How far the odds of 1/√(rq) are off by what is left of q."""
        exact = self.found.square + 2 * arb(self.apart.error) / LOW
        whole = rounding(self.found).square + 2 * arb(self.apart.whole) / LOW
        return bound(exact / (1 - exact), whole / (1 - whole))

    @cached_property
    def ratio(self) -> Bound:
        """ε_t, how far a ratio is off."""
        neurons = UNIT * (len(self.root.curve.knots) + 16) * self.root.curve.size
        whole = left(self.spec, rounding(self.found), self.root.error + neurons)
        return bound(left(self.spec, self.found, self.root.error), whole)


def vectors(spec: SoftmaxSpec) -> Vectors:
    """What forms are taken of: û."""
    return Vectors(LOW, HIGH, 8 * admitted_norms(spec)[1] / admitted_separation(spec))


def told(spec: SoftmaxSpec, product: Product) -> float:
    """By which part of it ‖u‖² is off at most, of arms as far apart as the spec has them."""
    series = arb(2) / 45 * (arb(product.b) * product.own) ** 4 + 5 * UNIT
    return above(series + product.leak / arb(admitted_separation(spec)) ** 2)


def length(spec: SoftmaxSpec) -> Product:
    """The product ‖u‖².

    Raises:
        ValueError: if float64 would lose the least there is.
    """
    own, least = above(4 * arb(admitted_norms(spec)[1]) ** 2), admitted_separation(spec) ** 2
    b = 1 / power_of_two(FINE * own)
    room = nearest(arb.log, 12 * spec.digits / (b * least) / UNIT) / 2 + 2 * b * own
    found = Product(b, max(CLOSED, float(math.ceil(room))), spec.digits, own, own, spec.dim)
    if found.rounding > least * TOLD / 2:
        wanted = math.sqrt(found.rounding / TOLD * 2)
        raise ValueError(
            f"separation: wanted at least {wanted:.3g} with softmax attention in float64, got {spec.separation!r}"
        )
    return found


def least_norm(spec: SoftmaxSpec) -> arb:
    """The least √(r ûᵀΣ⁻¹û)."""
    return LOW * (arb(spec.noise_variance) / largest_eigenvalue(spec)).sqrt()


def left(spec: SoftmaxSpec, found: Plan, odds: float) -> arb:
    """ε_t: how far a ratio is off, the odds of its divisor off by `odds`."""
    theta, (alpha, factor) = arb(posterior.largest_ratio(spec)), _relative(spec, found)
    turned = found.shares / 4 + found.vectors.times * found.rounded
    turned *= 2 * (largest_eigenvalue(spec) / arb(spec.ridge)).sqrt() * theta
    held = HIGH * arb(found.products.mean.own) + found.form(found.products.mean)
    through = products.by_odds_error(found.products.share, spec.digits) * held
    through /= least_norm(spec) * (1 - found.square).sqrt() / 2
    return (theta + alpha) * factor * arb(odds).exp() - theta + turned + through


def _relative(spec: SoftmaxSpec, found: Plan) -> tuple[arb, arb]:
    """What linear algebra leaves of ⟨û, μ⟩, in units of √(r ûᵀΣ⁻¹û), and the factor of that root."""
    stretch = spec.plain.stretch
    alpha = (found.mean + found.form(found.products.mean)) / least_norm(spec)
    alpha += (stretch**2 - 1) * posterior.largest_ratio(spec)
    return alpha, (stretch / (1 - found.square)).sqrt() * (1 + 4 * arb(UNIT))


def plan(spec: SoftmaxSpec) -> SoftmaxPlan:
    """The fewest steps and the fewest neurons that meet the error.

    Raises:
        ValueError: if weights of float64 do not lead so far.
    """
    budget, theta = spec.error / 2 * (1 - SLACK), posterior.largest_ratio(spec)
    wanted, square = min(0.75 * budget / (theta + 2), 1.0), length(spec)
    condition = largest_eigenvalue(spec) / spec.ridge
    needed, best = min(0.4, wanted / (32 * math.sqrt(condition) * theta)), math.inf
    for found in plans(spec, vectors(spec), needed):
        reached = above(left(spec, found, 0.0))
        best = min(best, reached)
        if reached <= wanted / 8 and rounding(found).holds:
            return SoftmaxPlan(spec, found, square, _scale(spec), _root(spec, found, wanted), budget / 4)
    checks.carried(spec.error, best * 8 * spec.error / wanted)
    raise ValueError(f"ridge: wanted a problem that weights of float64 can solve, got r/λ = {spec.ridge!r}")


def _scale(spec: SoftmaxSpec) -> Divisor:
    """Division by ‖u‖."""
    low = below((1 - arb(TOLD)) * arb(admitted_separation(spec)) ** 2)
    return Divisor.of(low, above((1 + arb(TOLD)) * 4 * arb(admitted_norms(spec)[1]) ** 2), ROUGH)


def _root(spec: SoftmaxSpec, found: Plan, wanted: float) -> Divisor:
    """Division by √(rq), as rough as it may be for a ratio that is off by `wanted`."""
    theta, (alpha, factor) = posterior.largest_ratio(spec), _relative(spec, found)
    rest = left(spec, found, 0.0) - ((theta + alpha) * factor - theta)
    odds = min(0.5, below((((wanted + theta) - rest) / ((theta + alpha) * factor)).log()))
    low = below(arb(LOW) ** 2 / largest_eigenvalue(spec) * (1 - found.square))
    high = above(arb(HIGH) ** 2 / spec.ridge * (1 + found.square))
    return Divisor.of(low, high, odds, spec.noise_variance)
