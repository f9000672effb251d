"""Bandits that pay 0 or 1."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from constructions import checks, limits
from constructions.plain import reals
from verify.environments.common import index, random


@dataclass(frozen=True, eq=False)
class BernoulliBandit:
    """Arms that pay 1 with a probability of their own and 0 otherwise; arm k's action vector is e_k.

    Attributes:
        means: the probability of each arm, shape (arms,).
        horizon: number of decisions.

    Raises:
        ValueError: if the means are not a vector of probabilities, or the horizon is not an integer ≥ 1.

    >>> bandit = BernoulliBandit([0.25, 0.75], horizon=7)
    >>> bandit.actions, bandit.regret(0, 0)
    (2, 0.5)
    """

    means: Float[np.ndarray, " arms"]
    horizon: int

    def __init__(self, means, horizon):
        """Convert anything array-like, then check."""
        means, horizon = reals("means", means), checks.whole("horizon", horizon)
        if means.ndim != 1 or not means.size:
            raise ValueError(f"means: wanted shape (arms,) with at least one arm, got {means.shape}")
        if means.min() < 0 or means.max() > 1:
            raise ValueError(f"means: wanted probabilities, got {means.min()}..{means.max()}")
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "horizon", horizon)

    @property
    def dim(self) -> int:
        """Length of an action vector, the number of arms."""
        return self.actions

    @property
    def actions(self) -> int:
        """Number of arms."""
        return len(self.means)

    def context(self, step: int) -> Float[np.ndarray, "arms dim"]:
        """The identity matrix, at each step in 0..horizon−1."""
        index("step", step, self.horizon)
        return np.eye(self.actions)

    def reward(self, step: int, arm: int, generator: np.random.Generator) -> float:
        """1 with the arm's probability, else 0, through one uniform number of the generator."""
        index("step", step, self.horizon)
        return float(generator.random() < self.means[index("arm", arm, self.actions)])

    def regret(self, step: int, arm: int) -> float:
        """Mean reward of the best arm less that of this arm, ≥ 0."""
        index("step", step, self.horizon)
        return float(self.means.max() - self.means[index("arm", arm, self.actions)])


def bernoulli_bandit(generator: np.random.Generator, actions: int = 5, horizon: int = 200) -> BernoulliBandit:
    """A Bernoulli bandit whose means are drawn from U[0, 1], the uniform prior of Beta-Bernoulli sampling.

    Raises:
        ValueError: if a size is not positive.

    >>> bernoulli_bandit(np.random.default_rng(0)).context(3).shape
    (5, 5)
    """
    actions = checks.whole("actions", actions)
    limits.hold("bandit", numbers=float(actions) ** 2)
    return BernoulliBandit(random(generator).random(actions), horizon)
