"""Many bandits at once, played in lockstep.

A player is asked for an arm in every bandit, `choose(step)`, and told what it got, `record(arms, rewards)`. The randomness
of rewards is drawn before the first step and belongs to step and bandit, so that all players meet the same.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from constructions.history import BanditHistory


@dataclass(frozen=True, eq=False)
class Tasks:
    """Bandits of equal size; letters: batch members, T steps, A arms of dimension d.

    Attributes:
        arms: the action vectors, the same at every step.
        means: ⟨a_k, w*⟩, the mean reward of each arm.
        noise: what makes rewards random: added to the mean, or, for Bernoulli arms, uniform in [0, 1) and compared with it.
        uniforms: in [0, 1), for players that choose at random.
        bernoulli: whether arms pay 0 or 1.
    """

    arms: Float[np.ndarray, "batch arms dim"]
    means: Float[np.ndarray, "batch arms"]
    noise: Float[np.ndarray, "batch steps"]
    uniforms: Float[np.ndarray, "batch steps"]
    bernoulli: bool

    @property
    def steps(self) -> int:
        """T."""
        return self.noise.shape[1]

    @property
    def best(self) -> Int[np.ndarray, " batch"]:
        """The optimal arm of each."""
        return self.means.argmax(axis=1)

    def rewards(self, step: int, arms: Int[np.ndarray, " batch"]) -> Float[np.ndarray, " batch"]:
        """What the arms pay at a step in 0..T−1."""
        means, noise = self.means[np.arange(len(arms)), arms], self.noise[:, step]
        return (noise < means).astype(np.float64) if self.bernoulli else means + noise

    def regret(self, arms: Int[np.ndarray, "batch steps"]) -> Float[np.ndarray, "batch steps"]:
        """Mean reward of the best arm less that of the arm played, step by step."""
        return self.means.max(axis=1)[:, None] - np.take_along_axis(self.means, arms, axis=1)


def linear_tasks(
    generator: np.random.Generator, batch: int, steps: int, dim: int, actions: int, scale: float
) -> Tasks:
    """The paper's linear bandits: w* ~ U[0,1]^d, arms i.i.d. U[−1,1]^d, noise N(0, scale²)."""
    weights, arms = generator.random((batch, dim)), generator.uniform(-1, 1, (batch, actions, dim))
    noise, uniforms = scale * generator.standard_normal((batch, steps)), generator.random((batch, steps))
    return Tasks(arms, np.einsum("bkd,bd->bk", arms, weights), noise, uniforms, bernoulli=False)


def bernoulli_tasks(generator: np.random.Generator, batch: int, steps: int, actions: int) -> Tasks:
    """Bernoulli bandits with means U[0,1]; arm k is the one-hot vector e_k."""
    arms = np.broadcast_to(np.eye(actions), (batch, actions, actions))
    means = generator.random((batch, actions))
    noise, uniforms = generator.random((2, batch, steps))
    return Tasks(arms, means, noise, uniforms, bernoulli=True)


@runtime_checkable
class Player(Protocol):
    """Who plays a batch of bandits."""

    def choose(self, step: int) -> Int[np.ndarray, " batch"]:
        """The arm for each bandit at a step in 0..T−1."""
        ...

    def record(self, arms: Int[np.ndarray, " batch"], rewards: Float[np.ndarray, " batch"]) -> None:
        """What was played, and what it paid."""
        ...


@dataclass(frozen=True, eq=False)
class Trajectories:
    """What a player did: arms and rewards of every step, shape (batch, steps)."""

    actions: Int[np.ndarray, "batch steps"]
    rewards: Float[np.ndarray, "batch steps"]


def play(tasks: Tasks, player: Player) -> Trajectories:
    """Play to the horizon."""
    actions = np.empty(tasks.noise.shape, np.int64)
    rewards = np.empty(tasks.noise.shape)
    for step in range(tasks.steps):
        actions[:, step] = player.choose(step)
        rewards[:, step] = tasks.rewards(step, actions[:, step])
        player.record(actions[:, step], rewards[:, step])
    return Trajectories(actions, rewards)


def histories(tasks: Tasks, seen: Trajectories) -> list[BanditHistory]:
    """Each member of a batch as a history of its own, its last decision pending."""
    return [
        BanditHistory(np.repeat(arms[None], tasks.steps, axis=0), actions[:-1], rewards[:-1])
        for arms, actions, rewards in zip(tasks.arms, seen.actions, seen.rewards, strict=True)
    ]
