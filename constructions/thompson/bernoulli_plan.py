"""What a Bernoulli Thompson sampling transformer is built for, and what it is built of."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import checks, limits
from constructions.parts.guarantee import Guarantee
from constructions.primitives import envelope, lookup
from constructions.primitives.envelope import Envelope
from constructions.rounding.outward import above, balls, rational
from constructions.thompson.quadrature import Quadrature, rule

SHARES = {"density": 0.6, "log_cdf": 0.12, "share": 0.25, "logits": 0.03}
"""Parts of the error left to layers 2, 4, 5 and 6, about as the fewest neurons have it."""

ABSOLUTE = 0.25
"""The part of an exponential's error that is absolute; the rest is relative."""

QUADRATURE = 2e-3
"""Part of the error left to quadrature: the number of nodes grows with its logarithm only."""


@dataclass(frozen=True)
class BernoulliSpec:
    """What to build.

    Attributes:
        actions: A, arms with rewards 0 or 1; contexts are the identity.
        horizon: T, the largest number of steps.
        error: ε, bound on log TS_k − log TF_k for every arm and every step.

    Raises:
        ValueError: for values no transformer can be built for.

    >>> BernoulliSpec(actions=5, horizon=200).dim
    5
    """

    actions: int
    horizon: int
    error: float = 0.01

    def __post_init__(self):
        checks.settle(self, checks.whole, "actions", "horizon")
        if self.actions < 2:
            raise ValueError(f"actions: wanted at least 2, got {self.actions}")
        checks.settle(self, checks.number, "error", positive=True)
        if self.error > 0.5:
            raise ValueError(f"error: wanted at most 0.5, got {self.error!r}")

    @property
    def guarantee(self) -> Guarantee:
        """One-sided: log-probabilities that are too small."""
        return Guarantee(one_sided=True)

    @property
    def offers(self) -> str:
        """Probabilities to be the best depend on the others: `constructions.offers`."""
        return "fewer"

    @property
    def dim(self) -> int:
        """An arm is a one-hot vector."""
        return self.actions

    @property
    def action_norm(self) -> tuple[float, float]:
        """Of length 1."""
        return 1.0, 1.0

    @property
    def weight_norm(self) -> float:
        """Rewards are at most 1."""
        return 1.0

    @property
    def noise_bound(self) -> float:
        """That includes the noise."""
        return 0.0


@dataclass(frozen=True, eq=False)
class BernoulliPlan:
    """The choices behind the weights, and what follows from them.

    Letters are those of the theorem in bernoulli.py; bounds are rounded up.

    Attributes:
        arms: A.
        rule: nodes, weights and D.
        factorials: log 0!, …, log T!, as the tables have them.
        drift: e₀, bound on what float64 leaves of an exponent.
        density, log_cdf, share, logits: the functions of layers 2, 4, 5 and 6.
        lift: what layer 3 adds.
    """

    arms: int
    rule: Quadrature
    factorials: Float[np.ndarray, " counts"]
    drift: float
    density: Envelope
    log_cdf: Envelope
    share: Envelope
    logits: Envelope
    lift: float

    @property
    def cdf_error(self) -> tuple[float, float]:
        """r₁ and e: F ≤ F̃ ≤ (1 + r₁)F + e."""
        return cdf_error(self.rule, self.density, self.drift, self.lift)

    @property
    def whole(self) -> arb:
        """1 + r₁ + η: e^ℓ ≤ (1 + r₁)F + η is at most that."""
        return 1 + sum(map(arb, self.cdf_error), arb(self.log_cdf.absolute))

    @property
    def shares(self) -> float:
        """Bound on Σ_k p̃_k."""
        with balls():
            missed, rise = arb(self.rule.whole_error), (1 + arb(self.share.relative)) * arb(self.drift).exp()
            products = self.whole**self.arms / (1 + arb(self.cdf_error[0])) + self.arms * missed
            added = self.arms * (self.share.absolute + missed)
            return above((1 + scale(self.rule)) * (rise * products + added))

    @property
    def shortfall(self) -> float:
        """d: p_k ≤ e^d e^{logit_k}."""
        with balls():
            curves = (
                (self.arms - 1) * arb(self.log_cdf.shortfall) + self.share.shortfall + self.logits.shortfall
            )
            return above(self.drift + curves - (1 - scale(self.rule)).log())

    @property
    def overshoot(self) -> float:
        """Bound on |p̃_k − Σ_g w_g f_k Π_{j≠k} max(D f_j, a₂)|.

        Both have sums over k within the bound of `shares`, and neither falls below p_k by more than quadrature and the
        shortfall account for.
        """
        missed = self.arms * (self.rule.whole_error + self.arms * arb(self.rule.partial_error))
        return above(arb(self.shares) - 1 + self.shortfall + missed)

    @property
    def largest(self) -> float:
        """Bound on Σ_g w_g f_k Π_{j≠k} ((1 + r₁)F_j + η)."""
        return above(self.whole**self.arms * (1 + arb(self.rule.whole_error)))

    @property
    def certificate(self) -> float:
        """Log Z + d."""
        with balls():
            return above((self.shares + self.arms * arb(self.logits.absolute)).log() + self.shortfall)


def scale(rule: Quadrature) -> arb:
    """What float64 leaves of the weights w_g and of their products with those of neurons, relatively."""
    return arb(rule.weight_error) + envelope.ROUNDED


def cdf_error(rule: Quadrature, density: Envelope, drift: float, lift: float) -> tuple[float, float]:
    """r₁ and e, F̃ ≤ (1 + r₁)F + e: as f̃ lies between (1 + r₁)f − (r₁ + d₁)f and (1 + r₁)f + a₁."""
    relative, absolute, shortfall = _errors(density, drift)
    rise = arb(rule.spread(1.0, 0.0, absolute, above(arb(relative) + shortfall)))
    return relative, above(lift + rise + (1 + arb(relative)) * rule.partial_error)


def _errors(density: Envelope, drift: float) -> tuple[float, float, float]:
    """r₁, a₁ and d₁ of layer 2, its exponents a drift off."""
    relative = above((1 + arb(density.relative)) * arb(drift).exp() - 1)
    return relative, density.absolute, above(density.shortfall + arb(drift))


def log_factorials(horizon: int) -> tuple[Float[np.ndarray, " counts"], float]:
    """Log 0!, …, log T!, and a bound on what the neurons of the three tables make of log((n + 1)!/(s! b!)) instead.

    >>> log_factorials(3)[0].round(3).tolist(), log_factorials(200)[1] < 2e-12
    ([0.0, 0.0, 0.693, 1.792], True)
    """
    with balls():
        true = [(arb(n) + 1).lgamma() for n in range(horizon + 1)]
        values = np.array([float(ball) for ball in true])
        tables = (values[1:], true[1:]), (values[:-1], true[:-1]), (values[:-1], true[:-1])
        errors = [_table_error(found.tolist(), wanted) for found, wanted in tables]
        return values, above(sum(errors, arb(0)))


def _table_error(values: list[float], wanted: list[arb]) -> arb:
    numbers = map(rational, lookup.stored_values(list(map(Fraction, values))))
    return max((abs(x - ball).upper() for x, ball in zip(numbers, wanted, strict=True)), default=arb(0))


def plan(spec: BernoulliSpec) -> BernoulliPlan:
    """The functions that a spec asks for."""
    arms, budget = (
        spec.actions,
        {name: spec.error * (1 - 4 * QUADRATURE) * part for name, part in SHARES.items()},
    )
    nodes = rule(arms, spec.horizon, spec.error * QUADRATURE / arms)
    count = float(
        nodes.nodes.size
    )  # D for every arm, all other arms' logarithms for every node, three tables
    limits.hold("thompson for Bernoulli arms", weights=arms * (count**2 + arms * count + 3 * spec.horizon))
    factorials, table_error = log_factorials(spec.horizon)
    drift = above(table_error + (spec.horizon - 1) * arb(nodes.log_error))
    moved = nodes.spread(1.0, 0.0, ABSOLUTE, 1 - ABSOLUTE) + nodes.spread(-1.0, 1 - ABSOLUTE, ABSOLUTE)
    first, last = budget["density"] / ((arms - 1) * (1 - ABSOLUTE) + arms * moved), budget["share"]
    longest = above(arb(spec.horizon).log() + drift)
    density = envelope.exponential(longest, (1 - ABSOLUTE) * first, ABSOLUTE * first)
    lift = above(arb(nodes.spread(-1.0, *_errors(density, drift))) + nodes.partial_error)
    highest_cdf = above(1 + sum(map(arb, cdf_error(nodes, density, drift, lift)), arb(0)))
    log_cdf = envelope.logarithm(highest_cdf, budget["log_cdf"] / arms)
    highest = above(longest + (arms - 1) * (arb(highest_cdf) + log_cdf.absolute).log())
    share = envelope.exponential(highest, (1 - ABSOLUTE) * last, ABSOLUTE * last / arms)
    logits = envelope.logarithm(above(arb(spec.error).exp()), budget["logits"] / arms)
    return BernoulliPlan(arms, nodes, factorials, drift, density, log_cdf, share, logits, lift)
