"""What a Bernoulli Thompson sampling transformer is built for, and what it is built of."""

import math
from dataclasses import dataclass

from constructions import checks
from constructions.primitives import envelope
from constructions.primitives.envelope import Envelope
from constructions.thompson.quadrature import Rule, rule

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
        for name in ("actions", "horizon"):
            checks.whole(name, getattr(self, name))
        if self.actions < 2:
            raise ValueError(f"actions: wanted at least 2, got {self.actions}")
        checks.number("error", self.error, positive=True)
        if self.error > 0.5:
            raise ValueError(f"error: wanted at most 0.5, got {self.error!r}")

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
class Plan:
    """The choices behind the weights.

    Their errors r and a are those of the theorem in bernoulli.py.

    Attributes:
        rule: nodes, weights and D.
        density, log_cdf, share, logits: the functions of layers 2, 4, 5 and 6.
        lift: what layer 3 adds.
    """

    rule: Rule
    density: Envelope
    log_cdf: Envelope
    share: Envelope
    logits: Envelope
    lift: float

    @property
    def cdf_error(self) -> float:
        """e: F ≤ F̃ ≤ F + e."""
        rise = self.rule.spread(1.0, self.density.relative, self.density.absolute)
        return self.lift + rise + self.rule.partial_error

    def shares(self, arms: int) -> float:
        """Bound on Σ_k p̃_k."""
        whole, last = self.rule.whole_error, self.share
        product = (1 + self.cdf_error + self.log_cdf.absolute) ** arms
        return (1 + last.relative) * (product + arms * whole) + arms * (last.absolute + whole)

    def overshoot(self, arms: int) -> float:
        """Bound on |p̃_k − Σ_g w_g f_k Π_{j≠k} max(D f_j, a₂)|.

        Both have sums over k within the bound of `shares`, and neither falls below p_k by more than quadrature accounts for.
        """
        missed = self.rule.whole_error + arms * self.rule.partial_error
        return self.shares(arms) - 1 + arms * missed

    def largest(self, arms: int) -> float:
        """Bound on Σ_g w_g f_k Π_{j≠k} (F_j + η)."""
        return (1 + self.cdf_error + self.log_cdf.absolute) ** arms * (1 + self.rule.whole_error)

    def certificate(self, arms: int) -> float:
        """Logarithm of the bound on Z."""
        return math.log(self.shares(arms) + arms * self.logits.absolute)


def plan(spec: BernoulliSpec) -> Plan:
    """The functions that a spec asks for."""
    arms, longest = spec.actions, math.log(spec.horizon)
    budget = {name: spec.error * (1 - 4 * QUADRATURE) * share for name, share in SHARES.items()}
    nodes = rule(arms, spec.horizon, spec.error * QUADRATURE / arms)
    unit = nodes.spread(1.0, 1 - ABSOLUTE, ABSOLUTE) + nodes.spread(-1.0, 1 - ABSOLUTE, ABSOLUTE)
    first, last = budget["density"] / (arms * unit), budget["share"]
    density = envelope.exponential(longest, (1 - ABSOLUTE) * first, ABSOLUTE * first)
    log_cdf = envelope.logarithm(1.0, budget["log_cdf"] / arms)
    highest = longest + (arms - 1) * math.log1p(log_cdf.absolute)
    share = envelope.exponential(highest, (1 - ABSOLUTE) * last, ABSOLUTE * last / arms)
    lift = nodes.spread(-1.0, density.relative, density.absolute) + nodes.partial_error
    logits = envelope.logarithm(math.exp(spec.error), budget["logits"] / arms)
    return Plan(nodes, density, log_cdf, share, logits, lift)
