"""Many bandits at once, to be played in lockstep."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from constructions.history import BanditHistory
from verify.environments import placing
from verify.play.lockstep import Pay, Seen, Whole


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
    def choices(self) -> int:
        """A."""
        return self.means.shape[1]

    @property
    def best(self) -> Int[np.ndarray, " batch"]:
        """The optimal arm of each."""
        return self.means.argmax(axis=1)

    def arrive(self, step: int, states: None, actions: Whole | None) -> None:
        """There are no states."""

    def context(self, states: None) -> Float[np.ndarray, "batch arms dim"]:
        """The arms, always."""
        return self.arms

    def pay(self, step: int, states: None, actions: Whole) -> Pay:
        """What arms pay at a step in 0..T−1."""
        means, noise = self.means[np.arange(len(actions)), actions], self.noise[:, step]
        return (noise < means).astype(np.float64) if self.bernoulli else means + noise

    def regret(self, seen: Seen) -> Float[np.ndarray, "batch steps"]:
        """Mean reward of the best arm less that of the arm played, step by step."""
        return self.means.max(axis=1)[:, None] - np.take_along_axis(self.means, seen.actions, axis=1)

    def histories(self, seen: Seen) -> list[BanditHistory]:
        """Each bandit's part as a history of its own, its last decision pending."""
        return [
            BanditHistory(np.repeat(arms[None], len(actions), axis=0), actions[:-1], rewards[:-1])
            for arms, actions, rewards in zip(self.arms, seen.actions, seen.rewards, strict=True)
        ]


def linear_tasks(
    generator: np.random.Generator,
    batch: int,
    steps: int,
    dim: int,
    actions: int,
    scale: float,
    norms: tuple[float, float] | None = None,
) -> Tasks:
    """The paper's linear bandits: w* ~ U[0,1]^d, arms i.i.d. U[−1,1]^d, with norms in bounds if told, noise N(0, scale²)."""
    weights = generator.random((batch, dim))
    vectors = placing.arms(generator, batch * actions, dim, norms, None)
    arms = vectors.reshape(batch, actions, dim)
    noise, uniforms = scale * generator.standard_normal((batch, steps)), generator.random((batch, steps))
    return Tasks(arms, np.einsum("bkd,bd->bk", arms, weights), noise, uniforms, bernoulli=False)


def bernoulli_tasks(generator: np.random.Generator, batch: int, steps: int, actions: int) -> Tasks:
    """Bernoulli bandits with means U[0,1]; arm k is the one-hot vector e_k."""
    arms = np.broadcast_to(np.eye(actions), (batch, actions, actions))
    means = generator.random((batch, actions))
    noise, uniforms = generator.random((2, batch, steps))
    return Tasks(arms, means, noise, uniforms, bernoulli=True)
