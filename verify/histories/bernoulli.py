"""Histories of Bernoulli bandits that try to break a construction, as outlines from which one history follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import strategies as st

from constructions.history import BanditHistory
from constructions.inputs.bandits import BanditSpec
from verify.histories import grid

PATHS = (
    "one arm",  # one arm for ever: one posterior contracts, the others stay flat
    "in turn",  # all arms equally often
    "two arms",  # two arms in turn, the others never
    "random",  # arms at random
    "Thompson",  # as true Thompson sampling plays
)
REWARDS = (
    "one",
    "zero",
    "alternating",  # each arm wins every other time: all arms alike
    "one wins",  # one arm always wins, the others never do: the smallest probabilities
    "one loses",
    "late",  # failures in the first half, then successes
    "close",  # means within 0.02 of 1/2
    "prior",  # means from the prior
)


@dataclass(frozen=True)
class BernoulliOutline:
    """One history in words.

    Attributes:
        path: which arms are played, one of PATHS.
        rewards: what they pay, one of REWARDS.
        steps: number of decisions.
        seed: of the generator for everything random.
    """

    path: str
    rewards: str
    steps: int
    seed: int

    def history(self, spec: BanditSpec) -> BanditHistory:
        """The history."""
        generator, arms = np.random.default_rng(self.seed), spec.actions
        means = generator.random(arms)
        if self.rewards == "close":
            means = 0.5 + 0.02 * (2 * means - 1)
        first, second = generator.permutation(arms)[:2]
        wins, plays = np.zeros((2, arms))
        actions, rewards = np.zeros(self.steps - 1, int), np.zeros(self.steps - 1)
        for step in range(self.steps - 1):
            arm = {
                "one arm": first,
                "in turn": step % arms,
                "two arms": second if step % 2 else first,
                "random": generator.integers(arms),
                "Thompson": generator.beta(wins + 1, plays - wins + 1).argmax(),
            }[self.path]
            won = {
                "one": True,
                "zero": False,
                "alternating": plays[arm] % 2 == 0,
                "one wins": arm == first,
                "one loses": arm != first,
                "late": 2 * step >= self.steps,
            }.get(self.rewards, generator.random() < means[arm])
            actions[step], rewards[step] = arm, float(won)
            plays[arm], wins[arm] = plays[arm] + 1, wins[arm] + won
        return BanditHistory(np.tile(np.eye(arms), (self.steps, 1, 1)), actions, rewards)


def outlines(spec: BanditSpec, steps: int | None = None) -> st.SearchStrategy[BernoulliOutline]:
    """Outlines for a spec, of any length or of the given one."""
    lengths = st.integers(1, spec.horizon) if steps is None else st.just(steps)
    seeds = st.integers(0, 2**32 - 1)
    return st.builds(BernoulliOutline, st.sampled_from(PATHS), st.sampled_from(REWARDS), lengths, seeds)


def batches(spec: BanditSpec, size: int) -> st.SearchStrategy[list[BernoulliOutline]]:
    """Lists of `size` outlines of equal length; half the lists are of full length."""
    return grid.batches(outlines, spec, spec.horizon, size)


def battery(spec: BanditSpec, repeats: int = 1) -> list[BernoulliOutline]:
    """Every path with every kind of reward, at full length: the same for everyone."""
    return grid.battery(BernoulliOutline, product(PATHS, REWARDS), spec.horizon, repeats)


def decisions(spec: BanditSpec) -> int:
    """The most decisions that a history can hold."""
    return spec.horizon


def step(spec: BanditSpec) -> st.SearchStrategy[tuple[int, float]]:
    """An arm, and whether it won."""
    return st.tuples(st.integers(0, spec.actions - 1), st.integers(0, 1).map(float))


def told(spec: BanditSpec, past: Sequence[tuple], seed: int) -> BanditHistory:
    """The history of such steps; there is nothing left for the seed."""
    contexts = np.tile(np.eye(spec.actions), (len(past) + 1, 1, 1))
    return BanditHistory(contexts, [arm for arm, _ in past], [reward for _, reward in past])
