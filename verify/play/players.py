"""The true algorithms on bandits, each playing a whole batch in lockstep.

The formulas are those of `verify.algorithms`, computed in another way and by other code, so that each checks the other.
"""

import numpy as np
from jaxtyping import Bool, Float

from verify.play.lockstep import Pay, Player, Problems, Whole
from verify.play.many_bandits import Tasks


class LinUCB:
    """argmax_k ⟨a_k, w_t⟩ + α√(a_kᵀ A_t⁻¹ a_k); ties go to the first arm.

    Only the vectors A_t⁻¹ a_k are kept; Sherman and Morrison's formula takes u uᵀa_k/(1 + aᵀu) from each, u = A_t⁻¹ a.
    """

    def __init__(self, tasks: Tasks, ridge: float = 1.0, exploration: float = 2.0):
        self._arms, self._exploration = tasks.arms, exploration
        self._solved, self._moment = tasks.arms / ridge, np.zeros_like(tasks.arms[:, 0])

    @property
    def mean(self) -> Float[np.ndarray, "batch arms"]:
        """⟨a_k, w_t⟩."""
        return np.matmul(self._solved, self._moment[:, :, None])[:, :, 0]

    def choose(self, step: int, states: None = None) -> Whole:
        """The arm with the largest upper confidence bound."""
        width = np.einsum("bkd,bkd->bk", self._solved, self._arms)
        return (self.mean + self._exploration * np.sqrt(np.maximum(width, 0))).argmax(axis=1)

    def record(self, actions: Whole, rewards: Pay) -> None:
        """A ← A + a aᵀ, b ← b + r a."""
        every = np.arange(len(actions))
        chosen, solved = self._arms[every, actions], self._solved[every, actions]
        self._moment += chosen * rewards[:, None]
        shrink = solved / (1 + np.einsum("bd,bd->b", chosen, solved))[:, None]
        self._solved -= np.matmul(self._arms, solved[:, :, None]) * shrink[:, None]


class LinearThompson:
    """argmax_k ⟨a_k, w̃⟩, w̃ drawn from the posterior of w ~ N(0, λI) under noise N(0, r)."""

    def __init__(
        self, tasks: Tasks, generator: np.random.Generator, variance: float = 1.0, noise: float = 2.25
    ):
        self._arms, self._generator, self._noise = tasks.arms, generator, noise
        count, dim = len(tasks.arms), tasks.arms.shape[2]
        self._gram = np.broadcast_to(noise / variance * np.eye(dim), (count, dim, dim)).copy()
        self._moment = np.zeros((count, dim))

    def choose(self, step: int, states: None = None) -> Whole:
        """One draw for each bandit: with Σ = LLᵀ, μ + √r L⁻ᵀz."""
        factor = np.linalg.cholesky(self._gram)
        half = np.linalg.solve(factor, self._moment[:, :, None])
        draws = self._generator.standard_normal(half.shape)
        weights = np.linalg.solve(factor.mT, half + np.sqrt(self._noise) * draws)
        return np.matmul(self._arms, weights)[:, :, 0].argmax(axis=1)

    def record(self, actions: Whole, rewards: Pay) -> None:
        """Σ ← Σ + a aᵀ, b ← b + r a."""
        chosen = self._arms[np.arange(len(actions)), actions]
        self._gram += chosen[:, :, None] * chosen[:, None, :]
        self._moment += chosen * rewards[:, None]


class _Counting:
    """Plays and pay of each arm."""

    def __init__(self, tasks: Tasks):
        self._plays, self._pay = (np.zeros_like(tasks.means) for _ in range(2))

    def record(self, actions: Whole, rewards: Pay) -> None:
        """Count."""
        every = np.arange(len(actions))
        self._plays[every, actions] += 1
        self._pay[every, actions] += rewards

    @property
    def mean(self) -> Float[np.ndarray, "batch arms"]:
        """The mean pay of each arm, 0 where there was none."""
        return self._pay / np.maximum(self._plays, 1)


class EmpiricalMean(_Counting):
    """Each arm once in turn, then the one with the largest mean: the paper's baseline without exploration."""

    def choose(self, step: int, states: None = None) -> Whole:
        """Arms not yet played first."""
        return np.where(self._plays > 0, self.mean, np.inf).argmax(axis=1)


class UCB(_Counting):
    """argmax_k mean + √(1/N_k), each arm once first."""

    def choose(self, step: int, states: None = None) -> Whole:
        """The arm with the largest upper confidence bound; ties go to the first."""
        with np.errstate(divide="ignore"):
            return (self.mean + np.sqrt(1 / self._plays)).argmax(axis=1)


class Thompson(_Counting):
    """Bernoulli arms with Beta(1, 1) priors: the arm whose posterior draw is largest."""

    def __init__(self, tasks: Tasks, generator: np.random.Generator):
        super().__init__(tasks)
        self._generator = generator

    def choose(self, step: int, states: None = None) -> Whole:
        """One draw for each bandit and arm."""
        draws = self._generator.beta(self._pay + 1, self._plays - self._pay + 1)
        return np.asarray(draws).argmax(axis=1)


class Uniform:
    """Every action with equal odds, by the problems' uniforms."""

    def __init__(self, problems: Problems):
        self._actions = (problems.uniforms * problems.choices).astype(np.int64)

    def choose(self, step: int, states: Whole | None = None) -> Whole:
        """Whatever came."""
        return self._actions[:, step]

    def record(self, actions: Whole, rewards: Pay) -> None:
        """Nothing is learnt."""


class Mixed:
    """One player in the bandits of a mask, another one in the rest."""

    def __init__(self, mask: Bool[np.ndarray, " batch"], first: Player, second: Player):
        self._mask, self._players = mask, (first, second)

    def choose(self, step: int, states: None = None) -> Whole:
        """Both are asked, so that what a player draws does not depend on the mask."""
        return np.where(self._mask, *(player.choose(step) for player in self._players))

    def record(self, actions: Whole, rewards: Pay) -> None:
        """Both are told."""
        for player in self._players:
            player.record(actions, rewards)
