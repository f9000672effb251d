"""Tabular histories for tests of UCB-VI: outlines that lay bare what was learnt, and strategies for small specs."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from constructions import ucbvi
from constructions.history import EpisodeHistory
from constructions.ucbvi import Spec
from verify import algorithms

FORMS = ("theorem", "slim", "narrow")
TOLERANCE = (
    1e-10  # of the action values: all three forms are exact, and numbers up to 10³ lose no more to float64
)

FEW = settings(max_examples=settings.default.max_examples // 3)

every_form = pytest.mark.parametrize("form", FORMS)


@cache
def built(spec: Spec):
    return ucbvi.build(spec)


# ---------------------------------------------------------------- histories

MOVES = ("random", "one pair", "one state", "pairs in turn", "early and late")
REWARDS = ("nothing", "everything", "real", "of the pair", "0 or 1")


@dataclass(frozen=True)
class Outline:
    """A history in words: how states and actions follow, what they earn, how many decisions there are, and a seed."""

    moves: str
    rewards: str
    steps: int
    seed: int

    def history(self, spec: Spec) -> EpisodeHistory:
        generator, number = np.random.default_rng(self.seed), np.arange(self.steps)
        states = generator.integers(spec.states, size=self.steps)
        actions = generator.integers(spec.actions, size=self.steps)
        if self.moves == "one pair":
            states, actions = (np.full(self.steps, values[0]) for values in (states, actions))
        elif self.moves == "one state":
            states = np.full(self.steps, states[0])
        elif self.moves == "pairs in turn":
            pairs = number // spec.horizon % (spec.states * spec.actions)
            states, actions = pairs // spec.actions, pairs % spec.actions
        elif self.moves == "early and late":  # what the last episode has shown must not be known to its end
            last = number >= (spec.episodes - 1) * spec.horizon
            states, actions = states * last, actions * last
        table = generator.random((spec.horizon, spec.states, spec.actions))
        rewards = {
            "nothing": np.zeros(self.steps),
            "everything": np.ones(self.steps),
            "real": generator.random(self.steps),
            "of the pair": table[number % spec.horizon, states, actions],
            "0 or 1": generator.integers(2, size=self.steps).astype(float),
        }[self.rewards]
        return EpisodeHistory(states, actions[:-1], rewards[:-1], spec.horizon)


def outlines(spec: Spec):
    most = spec.episodes * spec.horizon
    steps = st.just(most) | st.integers(1, most)
    return st.builds(
        Outline, st.sampled_from(MOVES), st.sampled_from(REWARDS), steps, st.integers(0, 2**32 - 1)
    )


temperatures = st.sampled_from([None, 1.0, 0.01, 0.3, 10.0])
specs = st.builds(
    Spec,
    states=st.integers(1, 3),
    actions=st.integers(1, 6),
    horizon=st.integers(1, 4),
    episodes=st.integers(1, 6),
    temperature=temperatures,
    exploration=st.sampled_from([0.02, 0.0, 0.1, 1.0]),
)

BOLD = Spec(states=3, actions=3, horizon=3, episodes=6, exploration=0.02)
"""So little exploration that what was learnt shows: with 1 every action value of a short run is H."""

KNOWN = Spec(states=2, actions=2, horizon=3, episodes=12, exploration=0.01)
THOROUGH = Outline("random", "real", 36, 5)
"""Every action of every state is tried at every stage, so that expected values ahead are less than H and count."""

BUSY = Outline("random", "real", 18, 5)


def difference(spec: Spec, found: np.ndarray, history: EpisodeHistory) -> float:
    """Worst error of log-probabilities, in units of action values."""
    return float(np.nan_to_num(np.abs(found - algorithms.ucbvi(spec, history)), nan=np.inf).max() * spec.tau)


def uneven(spec: Spec, history: EpisodeHistory) -> bool:
    """Whether the policy is other than uniform at some step."""
    return bool(np.ptp(algorithms.ucbvi(spec, history), axis=1).max() > 1e-3)
