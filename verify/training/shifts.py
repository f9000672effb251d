"""Problems unlike those of training, as functions from problems to problems.

A shift leaves alone everything that it does not name, randomness included: what differs between two shifts is the shift.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from verify.play.many_bandits import Tasks
from verify.play.many_mdps import MDPs
from verify.training.kinds import Recipe

Shift = Callable[[Any, np.random.Generator], Any]
"""From Tasks to Tasks, or from MDPs to MDPs."""
NOISES = (0.5, 2.0, 4.0)
"""Factors on the standard deviation of the noise."""


def weights(problems: Tasks) -> Float[np.ndarray, "batch dim"]:
    """w*, from mean rewards: the solution of least norm of ⟨a_k, w⟩ = mean_k, unique where the arms span."""
    return np.einsum("bdk,bk->bd", np.linalg.pinv(problems.arms), problems.means)


def with_arms(problems: Tasks, arms: Float[np.ndarray, "batch arms dim"]) -> Tasks:
    """Other action sets under the same w*."""
    return replace(problems, arms=arms, means=np.einsum("bkd,bd->bk", arms, weights(problems)))


def unchanged(problems: Any, generator: np.random.Generator) -> Any:
    """As in training."""
    return problems


def louder(problems: Tasks, generator: np.random.Generator, factor: float) -> Tasks:
    """Noise times a factor."""
    return replace(problems, noise=factor * problems.noise)


def sphere(problems: Tasks, generator: np.random.Generator) -> Tasks:
    """Arms of length 1, in the directions that they had."""
    return with_arms(problems, problems.arms / np.linalg.norm(problems.arms, axis=2, keepdims=True))


def low_rank(problems: Tasks, generator: np.random.Generator) -> Tasks:
    """Arms projected on a random plane, another one for each problem."""
    basis = np.linalg.qr(generator.normal(size=(len(problems.arms), problems.arms.shape[2], 2)))[0]
    return with_arms(problems, problems.arms @ basis @ basis.mT)


def close(problems: Tasks, generator: np.random.Generator, factor: float = 0.2) -> Tasks:
    """Arms drawn together around their mean."""
    middle = problems.arms.mean(axis=1, keepdims=True)
    return with_arms(problems, middle + factor * (problems.arms - middle))


def close_means(problems: Tasks, generator: np.random.Generator, factor: float = 0.2) -> Tasks:
    """Mean rewards drawn together around 1/2."""
    return replace(problems, means=0.5 + factor * (problems.means - 0.5))


def permuted(problems: Tasks, generator: np.random.Generator) -> Tasks:
    """Arms numbered anew: the distribution of training again, and by how much chance alone moves the numbers."""
    return _numbered(problems, generator.permuted(_numbers(problems), axis=1))


def best_last(problems: Tasks, generator: np.random.Generator) -> Tasks:
    """Arms numbered by their mean rewards, the best one last."""
    return _numbered(problems, problems.means.argsort(axis=1))


def richer(problems: Tasks, generator: np.random.Generator, constant: float = 1.0) -> Tasks:
    """A constant added to all rewards; regret stays what it was, but no ⟨a, w⟩ is the mean any more."""
    return replace(problems, means=problems.means + constant)


def upper_half(problems: Tasks, generator: np.random.Generator) -> Tasks:
    """Bernoulli means from [½, 1] in place of [0, 1]."""
    return replace(problems, means=(1 + problems.means) / 2)


def longer(problems: Tasks, generator: np.random.Generator, factor: int = 2) -> Tasks:
    """More steps; a factor times as many, the first of them as they were."""
    shape = (len(problems.means), (factor - 1) * problems.steps)
    spread = problems.noise.std()
    more = generator.random(shape) if problems.bernoulli else spread * generator.standard_normal(shape)
    uniforms = np.concatenate([problems.uniforms, generator.random(shape)], axis=1)
    return replace(problems, noise=np.concatenate([problems.noise, more], axis=1), uniforms=uniforms)


def _numbers(problems: Tasks) -> Int[np.ndarray, "batch arms"]:
    return np.broadcast_to(np.arange(problems.means.shape[1]), problems.means.shape)


def _numbered(problems: Tasks, order: Int[np.ndarray, "batch arms"]) -> Tasks:
    """New arm j is old arm order[j]; Bernoulli arms stay the unit vectors."""
    means = np.take_along_axis(problems.means, order, axis=1)
    if problems.bernoulli:
        return replace(problems, means=means)
    return replace(problems, arms=np.take_along_axis(problems.arms, order[:, :, None], axis=1), means=means)


def late(processes: MDPs, generator: np.random.Generator) -> MDPs:
    """Rewards at the last stage only: sparse, and planning is all."""
    rewards = processes.rewards.copy()
    rewards[:, :-1] = 0
    return replace(processes, rewards=rewards)


def certain(processes: MDPs, generator: np.random.Generator) -> MDPs:
    """Deterministic transitions, to the likeliest state."""
    transitions = processes.transitions
    return replace(processes, transitions=np.eye(transitions.shape[-1])[transitions.argmax(axis=-1)])


def renumbered(processes: MDPs, generator: np.random.Generator) -> MDPs:
    """States numbered anew, in the same way at every stage: the distribution of training again."""
    count, states = processes.initial.shape
    order = generator.permuted(np.tile(np.arange(states), (count, 1)), axis=1)
    left = np.take_along_axis(processes.transitions, order[:, None, :, None, None], axis=2)
    return replace(
        processes,
        initial=np.take_along_axis(processes.initial, order, axis=1),
        transitions=np.take_along_axis(left, order[:, None, None, None, :], axis=4),
        rewards=np.take_along_axis(processes.rewards, order[:, None, :, None], axis=2),
    )


_LINEAR: dict[str, Shift] = {
    **{f"noise × {factor:g}": partial(louder, factor=factor) for factor in NOISES},
    "arms on the unit sphere": sphere,
    "arms in a plane": low_rank,
    "arms close together": close,
    "rewards + 1": richer,
}
_BERNOULLI: dict[str, Shift] = {"means close together": close_means, "means in the upper half": upper_half}
_EPISODES: dict[str, Shift] = {
    "rewards at the end only": late,
    "deterministic transitions": certain,
    "states renumbered": renumbered,
}
_BOTH: dict[str, Shift] = {"arms permuted": permuted, "best arm last": best_last, "horizon × 2": longer}


def shifts(recipe: Recipe) -> dict[str, Shift]:
    """By name, those of its problems; Bernoulli rewards have neither a scale of noise nor a geometry."""
    own = {"linear": _LINEAR | _BOTH, "bernoulli": _BERNOULLI | _BOTH, "episodes": _EPISODES}
    return {"as in training": unchanged, **own[recipe.problem]}
