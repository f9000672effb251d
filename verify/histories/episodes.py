"""Histories of episodes that try to break a construction, as outlines from which one history follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import strategies as st

from constructions.history import EpisodeHistory
from constructions.inputs.episodes import TabularSpec
from verify.histories import grid

PATHS = (
    "random",  # states and actions at random
    "one pair",  # one state and one action for ever: the largest counts
    "cycle",  # states and actions in turn
    "sticky",  # mostly one state and action, sometimes another
    "by stage",  # a state and an action for every stage, the same in every episode but for rare slips
)
REWARDS = ("zero", "one", "table", "random", "thirds")


@dataclass(frozen=True)
class EpisodeOutline:
    """One history in words.

    Attributes:
        path: how states and actions follow one another, one of PATHS.
        rewards: one of REWARDS; "table" is a function of (h, s, a), "random" is not, "thirds" are 0, 1/3, 2/3 and 1.
        steps: number of decisions.
        seed: of the generator for everything random.
    """

    path: str
    rewards: str
    steps: int
    seed: int

    def history(self, spec: TabularSpec) -> EpisodeHistory:
        """The history."""
        generator, steps = np.random.default_rng(self.seed), self.steps
        stages = np.arange(steps) % spec.horizon
        states, actions = (
            generator.integers(spec.states, size=steps),
            generator.integers(spec.actions, size=steps),
        )
        if self.path == "one pair":
            states, actions = np.full(steps, states[0]), np.full(steps, actions[0])
        if self.path == "cycle":
            states, actions = np.arange(steps) % spec.states, np.arange(steps) // spec.states % spec.actions
        if self.path in ("sticky", "by stage"):
            home, habit = (
                generator.integers(spec.states, size=steps),
                generator.integers(spec.actions, size=steps),
            )
            where = stages if self.path == "by stage" else np.zeros(steps, int)
            slips = generator.random(steps) < 0.1
            states, actions = np.where(slips, states, home[where]), np.where(slips, actions, habit[where])
        table = generator.random((spec.horizon, spec.states, spec.actions))
        rewards = {
            "zero": np.zeros(steps),
            "one": np.ones(steps),
            "table": table[stages, states, actions],
            "random": generator.random(steps),
            "thirds": generator.integers(4, size=steps) / 3,
        }[self.rewards]
        return EpisodeHistory(states, actions[:-1], rewards[:-1], spec.horizon)


def decisions(spec: TabularSpec) -> int:
    """The most decisions that a history can hold."""
    return spec.episodes * spec.horizon


def outlines(spec: TabularSpec, steps: int | None = None) -> st.SearchStrategy[EpisodeOutline]:
    """Outlines for a spec, of any length or of the given one."""
    lengths = st.integers(1, decisions(spec)) if steps is None else st.just(steps)
    seeds = st.integers(0, 2**32 - 1)
    return st.builds(EpisodeOutline, st.sampled_from(PATHS), st.sampled_from(REWARDS), lengths, seeds)


def batches(spec: TabularSpec, size: int) -> st.SearchStrategy[list[EpisodeOutline]]:
    """Lists of `size` outlines of equal length; half the lists are of full length."""
    return grid.batches(outlines, spec, decisions(spec), size)


def battery(spec: TabularSpec, repeats: int = 1) -> list[EpisodeOutline]:
    """Every path with every kind of reward, at full length: the same for everyone."""
    return grid.battery(EpisodeOutline, product(PATHS, REWARDS), decisions(spec), repeats)


def step(spec: TabularSpec) -> st.SearchStrategy[tuple[int, int, float]]:
    """A state, an action, and a reward of 0 or 1."""
    state, action = st.integers(0, spec.states - 1), st.integers(0, spec.actions - 1)
    return st.tuples(state, action, st.integers(0, 1).map(float))


def told(spec: TabularSpec, past: Sequence[tuple], seed: int) -> EpisodeHistory:
    """The history of such steps; the seed's remainder is the last state."""
    states, actions, rewards = zip(*past, strict=True) if past else ((), (), ())
    return EpisodeHistory([*states, seed % spec.states], actions, rewards, spec.horizon)
