"""Episode histories: their clock, their prefixes, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.history import EpisodeHistory

STATES, ACTIONS, REWARDS = [3, 0, 2, 2, 1], [0, 1, 1, 0], [0.0, 1.0, 0.25, 0.5]


def history(**changes):
    given_ = {"states": STATES, "actions": ACTIONS, "rewards": REWARDS, "horizon": 2}
    return EpisodeHistory(**given_ | changes)


def test_array_likes_become_arrays_that_the_caller_cannot_change():
    states = np.array(STATES, dtype=np.int32)
    one = history(states=states, rewards=tuple(REWARDS), horizon=np.int64(2))
    states[0] = 9
    assert one.states.tolist() == STATES
    assert (one.states.dtype, one.actions.dtype, one.rewards.dtype) == (np.int64, np.int64, np.float64)
    assert type(one.horizon) is int


@given(st.integers(1, 40), st.integers(1, 7))
def test_the_clock_is_that_of_the_paper(steps, horizon):
    """Step t is H(k−1) + h with h in 1..H, for every step and no other way."""
    one = EpisodeHistory(np.zeros(steps, int), np.zeros(steps - 1, int), np.zeros(steps - 1), horizon)
    assert one.steps == steps
    episodes = np.array([one.prefix(step).episodes for step in range(1, steps + 1)])
    np.testing.assert_array_equal(horizon * (episodes - 1) + one.stages, np.arange(1, steps + 1))
    assert 1 <= one.stages.min() <= one.stages.max() <= horizon


def test_a_finished_episode_does_not_begin_the_next():
    assert [history().prefix(steps).episodes for steps in range(1, 6)] == [1, 1, 2, 2, 3]


def test_prefix_keeps_what_had_been_seen():
    early = history().prefix(3)
    assert early.states.tolist() == STATES[:3]
    assert early.actions.tolist() == ACTIONS[:2]
    assert early.rewards.tolist() == REWARDS[:2]
    assert early.horizon == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states": []}, r"states: wanted shape \(steps,\) with at least one step, got \(0,\)"),
        ({"states": [[0]]}, r"states: wanted shape .*got \(1, 1\)"),
        ({"states": 3}, r"states: wanted shape .*got \(\)"),
        ({"states": [0.0, 1.0]}, "states: wanted integer states, got an array of float64"),
        ({"states": [[0], [1, 2]]}, "states: wanted integer states, got list"),
        ({"states": [True] * 5}, "states: wanted integer states, got an array of bool"),
        ({"states": [3, 0, -2, 2, 1]}, "states: wanted numbers ≥ 0, got -2 at index 2"),
        ({"actions": [0, 1, 1]}, r"actions: wanted shape \(4,\), one fewer than the 5 states, got \(3,\)"),
        ({"actions": [0, 1, 1, -1]}, "actions: wanted numbers ≥ 0, got -1 at index 3"),
        ({"actions": [0.5] * 4}, "actions: wanted integer actions, got an array of float64"),
        ({"rewards": [0.0] * 5}, r"rewards: wanted shape \(4,\), one fewer.*got \(5,\)"),
        ({"rewards": [0, 1, 1.5, 0]}, r"rewards: wanted numbers in \[0, 1\], got 1.5 at index 2"),
        ({"rewards": [0, 1, -1e-5, 0]}, r"rewards: wanted numbers in \[0, 1\], got -1e-05 at index 2"),
        ({"rewards": [0, np.nan, 0, 0]}, r"rewards: wanted finite numbers, got nan at index \(1,\)"),
        ({"rewards": ["a"] * 4}, "rewards: wanted an array of real numbers, got list"),
        ({"horizon": 0}, "horizon: wanted an integer >= 1, got 0"),
        ({"horizon": 2.0}, "horizon: wanted an integer >= 1, got 2.0"),
        ({"horizon": True}, "horizon: wanted an integer >= 1, got True"),
    ],
)
def test_bad_histories_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        history(**changes)


@pytest.mark.parametrize("steps", [0, 6])
def test_a_prefix_is_within_the_history(steps):
    with pytest.raises(ValueError, match=f"prefix: wanted 1 to 5 steps, got {steps}"):
        history().prefix(steps)
