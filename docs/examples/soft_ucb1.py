"""Soft UCB1 for Bernoulli arms: a transformer of two layers.

Arm k of A, played n_k times, has won s_k times: P(k) ∝ exp(score_k/τ), score_k = s_k/max(n_k, 1) + c/√max(n_k, 1).

    layer 1   2 heads: n_k and s_k, exactly;   MLP: 1/max(n_k, 1) and 1/√max(n_k, 1), within a factor 1 ± δ
    layer 2   2A heads: mean_k = s_k · that;   MLP: logits_k = (mean_k + c·width_k)/τ

**Theorem.** Every log-probability is off by at most 2(1 + c)δ/τ, for every history. With δ = min(½, ετ/(2(1 + c))) that
is at most ε. There are 2 layers, 2A heads, A² + 7A + 4 registers and at most 2A(2 + ln(max(T, 2))/√δ) + 2 neurons.

*Proof.* As 0 ≤ s_k ≤ n_k, a factor 1 ± δ moves the mean by at most δ, and the width, at most 1, by at most δ: a logit by
(1 + c)δ/τ, and what float64 leaves of 1/τ and c/τ; ε has room for that. Log-softmax is 2-Lipschitz. Knots of x^-p: g apart,
(g − 1)g^{p/2} = 4√(δ/(p(p + 1))), ln g ≥ √δ for p = 1 or ½: 1 + ln(max(T, 2))/√δ pieces, one below 1, and one constant.  ∎
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from constructions import checks
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.language import bandits
from constructions.primitives import stored
from constructions.rounding.outward import balls
from verify.catalog import Entry
from verify.histories import bernoulli


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        actions: A, arms with rewards 0 or 1; arm k is the k-th one-hot vector.
        horizon: T, the largest number of steps.
        error: ε, bound on |log-probability error|.
        exploration: c, weight of the confidence width.
        temperature: τ of the softmax.
    """

    actions: int
    horizon: int
    error: float = 1e-2
    exploration: float = 1.0
    temperature: float = 0.1
    action_norm: ClassVar[tuple[float, float]] = (1.0, 1.0)  # what the tokens of a bandit are checked against
    weight_norm: ClassVar[float] = 1.0
    noise_bound: ClassVar[float] = 0.0

    def __post_init__(self):
        checks.settle(self, checks.whole, "actions", "horizon")
        checks.settle(self, checks.number, "error", "temperature", positive=True)
        checks.settle(self, checks.number, "exploration", positive=False)

    @property
    def dim(self) -> int:
        """An arm is a one-hot vector."""
        return self.actions

    @property
    def spread(self) -> float:
        """δ, a hair below what the theorem allows, so that rounding does not carry the certificate over ε."""
        return min(0.5, (1 - 1e-6) * self.error * self.temperature / (2 * (1 + self.exploration)))


def true_log_probabilities(spec: Spec, history: BanditHistory) -> np.ndarray:
    """Soft UCB1 itself, step by step, from the list of what was played and won."""
    rows = []
    for step in range(history.steps):
        n = np.maximum(np.bincount(history.actions[:step], minlength=spec.actions), 1)
        s = np.bincount(history.actions[:step], history.rewards[:step], spec.actions)
        score = (s / n + spec.exploration / np.sqrt(n)) / spec.temperature
        rows.append(score - np.logaddexp.reduce(score))
    return np.array(rows)


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> build(Spec(actions=3, horizon=50)).certificate <= 1e-2
    True
    """
    A, T, tau, c, d = spec.actions, spec.horizon, spec.temperature, spec.exploration, spec.spread
    p = bandits.program("soft UCB1", spec, plays=A, wins=A, inverse=A, width=A, mean=A)
    arm, reward = p.input("action", 1.0).entries, p.input("reward", 1.0)
    n, s = p.sum("plays", arm), p.sum("wins", arm, by=reward)
    one, half = (stored.power_of_counts(power, T, d) for power in (1.0, 0.5))
    inverse = p.function("inverse", "1/n", n, lambda n: 1 / np.maximum(n, 1), one, size=1.0, slope=1.0)
    width = p.function("width", "1/√n", n, lambda n: np.maximum(n, 1) ** -0.5, half, size=1.0, slope=1.0)
    mean = p.product("mean", "mean s/n", s, inverse, size=1 + d, proved=(inverse.error.error, "s_k ≤ n_k"))
    logits = p.total("logits", (mean + c * width) / tau)
    checks.carried(spec.error, certificate := 2 * logits.error.error)
    return bandits.complete(p, spec, certificate, bernoulli=True)


SMALL = {"actions": 3, "horizon": 50}
ENTRY = Entry("soft ucb1", "Soft UCB1", Spec, build, true_log_probabilities, bernoulli, example=SMALL)
