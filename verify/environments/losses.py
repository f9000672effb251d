"""Losses of all arms, set beforehand: all of them are seen after each round, or that of the arm played alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks, limits
from constructions.plain import reals
from verify.environments.common import index, random


@dataclass(frozen=True, eq=False)
class FixedLosses:
    """Losses in [0, 1]; a round's context holds those of the round before, zeros in the first.

    Attributes:
        losses: of each arm in each round, shape (rounds, arms).

    Raises:
        ValueError: if they are not a matrix of numbers in [0, 1].

    >>> stage = FixedLosses([[0.0, 1.0], [0.5, 0.0]])
    >>> stage.context(1).tolist(), stage.regret(0, 1), stage.regret(1, 1)
    ([[0.0], [1.0]], 1.0, -0.5)
    """

    losses: Float[np.ndarray, "rounds arms"]

    def __init__(self, losses):
        """Convert anything array-like, then check."""
        losses = reals("losses", losses)
        if losses.ndim != 2 or not losses.size:
            raise ValueError(f"losses: wanted shape (rounds, arms), none of them 0, got {losses.shape}")
        if losses.min() < 0 or losses.max() > 1:
            raise ValueError(f"losses: wanted numbers in [0, 1], got {losses.min()}..{losses.max()}")
        object.__setattr__(self, "losses", losses)

    @property
    def dim(self) -> int:
        """Of an arm one number is known."""
        return 1

    @property
    def actions(self) -> int:
        """Number of arms."""
        return self.losses.shape[1]

    @property
    def horizon(self) -> int:
        """Number of rounds."""
        return len(self.losses)

    def context(self, step: int) -> Float[np.ndarray, "arms 1"]:
        """The losses of the round before, at each step in 0..horizon−1."""
        step = index("step", step, self.horizon)
        return self.losses[step - 1][:, None] if step else np.zeros((self.actions, 1))

    def reward(self, step: int, arm: int, generator: np.random.Generator) -> float:
        """Minus the loss of the arm; nothing is random."""
        return -float(self.losses[index("step", step, self.horizon), index("arm", arm, self.actions)])

    def regret(self, step: int, arm: int) -> float:
        """The arm's loss less that of the arm that is the best of all rounds together: negative in some rounds."""
        losses = self.losses[index("step", step, self.horizon)]
        return float(losses[index("arm", arm, self.actions)] - losses[self.losses.sum(axis=0).argmin()])


@dataclass(frozen=True, eq=False)
class HiddenLosses:
    """Losses in [0, 1] of which that of the arm played is seen, with the inverse of its probability.

    Attributes:
        full: the losses.
        least: what smaller probabilities are taken for.

    >>> stage = HiddenLosses(FixedLosses([[0.5, 1.0], [0.5, 0.0]]), least=0.01)
    >>> stage.context(0).tolist(), stage.after(0, 1, 0.25).tolist()
    ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 4.0]])
    """

    full: FixedLosses
    least: float

    @property
    def dim(self) -> int:
        """Of an arm a loss and a weight are known."""
        return 2

    @property
    def actions(self) -> int:
        """Number of arms."""
        return self.full.actions

    @property
    def horizon(self) -> int:
        """Number of rounds."""
        return self.full.horizon

    def context(self, step: int) -> Float[np.ndarray, "arms 2"]:
        """What is known before anything was played."""
        index("step", step, self.horizon)
        return np.zeros((self.actions, 2))

    def after(self, step: int, arm: int, odds: float) -> Float[np.ndarray, "arms 2"]:
        """Loss and weight of the arm played at a step with a probability in (0, 1]; zeros for the others."""
        step, arm = index("step", step, self.horizon), index("arm", arm, self.actions)
        context = np.zeros((self.actions, 2))
        context[arm] = self.full.losses[step, arm], 1 / max(odds, self.least)
        return context

    def reward(self, step: int, arm: int, generator: np.random.Generator) -> float:
        """Minus the loss of the arm; nothing is random."""
        return self.full.reward(step, arm, generator)

    def regret(self, step: int, arm: int) -> float:
        """As for FixedLosses."""
        return self.full.regret(step, arm)


def hidden_losses(spec: Any, generator: np.random.Generator) -> HiddenLosses:
    """Random losses for a specification with arms, a horizon and a least probability: the loss of what is played is seen.

    Raises:
        ValueError: as for random_losses.
    """
    return HiddenLosses(random_losses(generator, spec.actions, spec.horizon), spec.least)


def random_losses(generator: np.random.Generator, actions: int = 10, horizon: int = 200) -> FixedLosses:
    """Losses of 0 or 1, each arm's with a mean of its own, drawn from U[0, 1].

    Raises:
        ValueError: if a size is not positive.

    >>> random_losses(np.random.default_rng(0)).context(3).shape
    (10, 1)
    """
    actions, horizon = checks.whole("actions", actions), checks.whole("horizon", horizon)
    limits.hold("losses", numbers=float(actions) * horizon)
    means = random(generator).random(actions)
    return FixedLosses((generator.random((horizon, actions)) < means).astype(float))
