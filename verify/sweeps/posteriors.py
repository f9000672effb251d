"""Posteriors along real runs of Thompson sampling: what the arms look like, and how likely each is to be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from constructions import thompson
from constructions.construction import Construction
from constructions.history import BanditHistory
from verify import algorithms, environments
from verify.play.rollout import SideBySide, rollouts

FLOOR = 0.01
"""One-sided errors are taken over actions of at least this probability."""


def runs(spec: thompson.Spec, count: int, seed: int = 0, fixed: bool = False) -> list[BanditHistory]:
    """Histories of true Thompson sampling in bandits drawn from the prior, within the bounds of the spec."""
    stages = bandits(spec, count, seed, fixed)
    players = [algorithms.thompson_decoder(spec, np.random.default_rng([seed, n, 1])) for n in range(count)]
    generators = [np.random.default_rng([seed, n, 2]) for n in range(count)]
    return [run.history for run in rollouts(stages, SideBySide(players), generators)]


def bandits(spec: thompson.Spec, count: int, seed: int = 0, fixed: bool = False) -> list:
    """Bandits drawn from the prior, within the bounds of the spec."""
    return [bandit(np.random.default_rng([seed, n]), spec, fixed) for n in range(count)]


def bandit(generator: np.random.Generator, spec: thompson.Spec, fixed: bool):
    """One of them."""
    return environments.gaussian_linear_bandit(
        generator,
        dim=spec.dim,
        actions=spec.actions,
        horizon=spec.horizon,
        prior_variance=spec.prior_variance,
        noise_variance=spec.noise_variance,
        fixed=fixed,
        action_norm=spec.action_norm,
        separation=spec.separation,
        weight_norm=spec.weight_norm,
        noise_bound=spec.noise_bound,
    )


@dataclass(frozen=True, eq=False)
class Posteriors:
    """What the arms look like under some posteriors, and how likely each is to be drawn, with an error bar."""

    white: Float[np.ndarray, "posteriors arms dim"]
    mean: Float[np.ndarray, "posteriors arms"]
    true: algorithms.ChoiceProbabilities

    @classmethod
    def along(
        cls, spec: thompson.Spec, histories: Sequence[BanditHistory], steps: np.ndarray
    ) -> "Posteriors":
        """At some steps (from 0) of each history."""
        values = [algorithms.thompson_values(spec, history) for history in histories]
        white = np.concatenate([each.whitened[steps] for each in values])
        mean = np.concatenate([each.mean[steps] for each in values])
        return cls(white, mean, algorithms.choice_probabilities(white, mean))

    def distance(self, found: Float[np.ndarray, "posteriors arms"]) -> Float[np.ndarray, " posteriors"]:
        """Total variation from the truth."""
        return np.abs(found - self.true.probabilities).sum(-1) / 2

    def shortfall(self, found: Float[np.ndarray, "posteriors arms"]) -> Float[np.ndarray, " posteriors"]:
        """Largest log(true/found) over actions of probability at least FLOOR."""
        true = self.true.probabilities
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(true >= FLOOR, np.log(true / found), -np.inf).max(-1)

    def some(self, which: np.ndarray, points: int) -> "Posteriors":
        """Some of them, the oracle taken with more points."""
        white, mean = self.white[which], self.mean[which]
        return Posteriors(white, mean, algorithms.choice_probabilities(white, mean, points=points, seed=1))

    @property
    def bars(self) -> tuple[float, float]:
        """The oracle's own error: the largest bar on a total variation, and on a log-probability that counts."""
        half, true = self.true.half_width, self.true.probabilities
        counted = true >= FLOOR
        return float(half.sum(-1).max() / 2), float((half[counted] / true[counted]).max())


def evaluated(
    built: Construction, histories: Sequence[BanditHistory], steps: np.ndarray
) -> Float[np.ndarray, "posteriors arms"]:
    """The transformer's probabilities at some steps (from 0) of each history."""
    found = [
        built.policy(built.outputs([history], logits_only=True, steps=steps)[0]) for history in histories
    ]
    return np.exp(np.concatenate(found))
