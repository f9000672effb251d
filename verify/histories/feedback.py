"""Plays with bandit feedback that try to break a construction, as outlines from which one follows.

Losses are those of `verify.histories.losses`. Of a round the next context holds the loss of the arm that was played, and the
inverse of the probability with which it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float, Int

from constructions.history import BanditHistory
from verify.histories import grid
from verify.histories.losses import KINDS, LossOutline
from verify.histories.losses import decisions as decisions

PLAYS = (
    "odds",  # as EXP3 plays
    "rare",  # the arm that EXP3 thinks least likely: large weights, as long as it does not know
    "likely",  # the one it thinks likeliest
    "any",  # arms at random, with probabilities at random
    "least",  # arms at random, each with the least probability: the largest sums
    "one",  # the same arm for ever, with the least probability: the largest logit
)
FOLLOWED = PLAYS[:3]
"""Those that depend on the policy."""


@dataclass(frozen=True)
class PlayOutline:
    """One play in words.

    Attributes:
        play: which arms are played, and with what probability, one of PLAYS.
        kind: what they lose, one of `verify.histories.losses.KINDS`.
        steps: number of decisions.
        seed: of the generator for everything random.
    """

    play: str
    kind: str
    steps: int
    seed: int

    def history(self, spec: Any) -> BanditHistory:
        """The history."""
        losses = LossOutline(self.kind, self.steps, self.seed).losses(spec)[:-1]
        generator, rounds = np.random.default_rng([self.seed, 2]), np.arange(self.steps - 1)
        arms, odds = generator.integers(spec.actions, size=len(rounds)), np.full(len(rounds), spec.least)
        if self.play == "one":
            arms[:] = arms[:1]
        if self.play == "any":
            odds = spec.least ** generator.random(len(rounds))
        if self.play in FOLLOWED:
            arms, odds = self._follow(spec, losses, generator.random(len(rounds)))
        return seen(spec.actions, arms, losses[rounds, arms], 1 / odds)

    def _follow(
        self, spec: Any, losses: Float[np.ndarray, "rounds arms"], uniforms: Float[np.ndarray, " rounds"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Arms that depend on what EXP3 thinks of them by then, and their probabilities."""
        choose = {
            "odds": lambda policy, uniform: int(np.searchsorted(np.cumsum(policy)[:-1], uniform)),
            "rare": lambda policy, _: int(policy.argmin()),
            "likely": lambda policy, _: int(policy.argmax()),
        }[self.play]
        totals, arms, odds = np.zeros(spec.actions), [], []
        for row, uniform in zip(losses, uniforms, strict=True):
            policy = np.exp(-spec.rate * (totals - totals.min()))
            policy /= policy.sum()
            arms.append(choose(policy, uniform))
            odds.append(max(policy[arms[-1]], spec.least))
            totals[arms[-1]] += row[arms[-1]] / odds[-1]
        return np.array(arms, int), np.array(odds)


def seen(
    arms: int,
    actions: Int[np.ndarray, " taken"],
    losses: Float[np.ndarray, " taken"],
    weights: Float[np.ndarray, " taken"],
) -> BanditHistory:
    """The history after rounds in which so much was lost, with such weights: contexts tell of the round before."""
    contexts = np.zeros((len(actions) + 1, arms, 2))
    contexts[np.arange(1, len(contexts)), actions] = np.stack([losses, weights], axis=1)
    return BanditHistory(contexts, actions, -losses)


def outlines(spec: Any, steps: int | None = None) -> st.SearchStrategy[PlayOutline]:
    """Outlines for a spec, of any length or of the given one."""
    lengths = st.integers(1, spec.horizon) if steps is None else st.just(steps)
    seeds = st.integers(0, 2**32 - 1)
    return st.builds(PlayOutline, st.sampled_from(PLAYS), st.sampled_from(KINDS), lengths, seeds)


def batches(spec: Any, size: int) -> st.SearchStrategy[list[PlayOutline]]:
    """Lists of `size` outlines of equal length; half the lists are of full length."""
    return grid.batches(outlines, spec, spec.horizon, size)


def battery(spec: Any, repeats: int = 1) -> list[PlayOutline]:
    """Every way of playing against every kind of losses, at full length: the same for everyone."""
    return grid.battery(PlayOutline, product(PLAYS, KINDS), spec.horizon, repeats)


def step(spec: Any) -> st.SearchStrategy[tuple[int, ...]]:
    """An arm, its loss, −1, 0 or 1, and its weight, a whole number."""
    weights = st.integers(1, max(1, int(1 / spec.least)))
    return st.tuples(st.integers(0, spec.actions - 1), st.integers(-1, 1), weights)


def told(spec: Any, past: Sequence[tuple], seed: int) -> BanditHistory:
    """The history of such rounds; there is nothing left for the seed."""
    actions, losses, weights = np.array(past, int).reshape(-1, 3).T
    return seen(spec.actions, actions, losses.astype(float), weights.astype(float))
