"""Soft UCB-VI against hand computations, against loops over fractions, and against its own symmetries."""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from constructions.history import EpisodeHistory
from verify import algorithms


@dataclass(frozen=True)
class Parameters:
    states: int = 3
    actions: int = 2
    horizon: int = 3
    episodes: int = 8
    temperature: float = 0.5


SPEC = Parameters()
close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
seeds = st.integers(0, 2**32 - 1)


def random_history(spec, seed, steps=None):
    """States and actions at random, with rewards that are a function of stage, state and action."""
    generator = np.random.default_rng(seed)
    steps = steps or int(generator.integers(1, spec.episodes * spec.horizon + 1))
    states = generator.integers(spec.states, size=steps)
    actions = generator.integers(spec.actions, size=steps - 1)
    table = generator.random((spec.horizon, spec.states, spec.actions))
    rewards = table[np.arange(steps - 1) % spec.horizon, states[:-1], actions]
    return EpisodeHistory(states, actions, rewards, spec.horizon)


def small_bonus(spec, size=4):
    """Rationals that float64 holds exactly and that do not hide what was learnt: size/4·1/(n+1), in eighths."""
    return [Fraction(size * round(8 / (n + 1)), 32) for n in range(spec.episodes + 1)]


specs = st.builds(
    Parameters,
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 8),
    st.floats(0.1, 10),
)


def test_two_stages_by_hand():
    """One state more than is visited, two actions, H = 2, K = 3, bonus 1/n; at the third episode:

    stage 2: state 1, action 0 was seen twice with reward 1/2: Q = 1/2 + 1/2 = 1, the rest unseen: Q = 2.
    stage 1: state 0, action 1 led to state 1 twice with reward 0: Q = min(2, 0 + 1/2 + V_2(1)) = 2 as V_2(1) = 2.
    """
    spec = Parameters(states=3, actions=2, horizon=2, episodes=3)
    history = EpisodeHistory([0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1], [0, 0.5, 0, 0.5, 0], 2)
    bonus = np.array([9.0, 1.0, 1 / 2, 1 / 3])
    values = algorithms.ucbvi_values(spec, history, bonus)
    assert values.action_values.shape == (3, 2, 3, 2)
    assert values.counts[2].tolist() == [[[0, 2], [0, 0], [0, 0]], [[0, 0], [2, 0], [0, 0]]]
    assert values.rewards[2, 1].tolist() == [[0, 0], [0.5, 0], [0, 0]]
    assert (values.action_values[0] == 2).all()
    assert values.action_values[2, 1].tolist() == [[2, 2], [1, 2], [2, 2]]
    assert values.action_values[2, 0].tolist() == [[2, 2]] * 3
    assert values.state_values[2].tolist() == [[2] * 3, [2] * 3, [0] * 3]
    assert values.score[-2:].tolist() == [[2, 2], [1, 2]]
    both = np.exp(values.log_probabilities[-1])
    close(both, np.array([1, np.e**2]) / (1 + np.e**2))


def test_values_pass_from_stage_to_stage_by_hand():
    """One action, H = 2, K = 5, no bonus: state 0 led to 0, 0, 1 with reward 1/8; then 0 pays 1/4 and 1 pays 1."""
    spec = Parameters(states=2, actions=1, horizon=2, episodes=5)
    history = EpisodeHistory([0, 0, 0, 0, 0, 1, 0], [0] * 6, [1 / 8, 1 / 4, 1 / 8, 1 / 4, 1 / 8, 1], 2)
    values = algorithms.ucbvi_values(spec, history, np.zeros(6))
    close(values.action_values[3, :, :, 0], [[1 / 8 + (1 / 4 + 1 / 4 + 1) / 3, 2], [1 / 4, 1]])
    close(values.score[:, 0], [2, 2, 1 / 8 + 1 / 4, 1 / 4, 1 / 8 + 1 / 4, 2, 1 / 8 + 1 / 2])
    exact = algorithms.ucbvi_exact(spec, history, [0] * 6)
    assert [row[0] for row in exact[-3:]] == [Fraction(3, 8), 2, Fraction(5, 8)]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.integers(1, 60))
def test_the_bonus_is_the_papers(states, actions, horizon, episodes):
    """2H√(log(SAT/δ)/max(N,1)) with T = KH and δ = 1/(KH)."""
    spec = Parameters(states, actions, horizon, episodes)
    total, confidence = episodes * horizon, 1 / (episodes * horizon)
    for visits, bonus in enumerate(algorithms.ucbvi_bonus(spec)):
        expected = 2 * horizon * np.sqrt(np.log(states * actions * total / confidence) / max(visits, 1))
        np.testing.assert_allclose(bonus, expected, rtol=1e-13, atol=1e-12)
    assert visits == episodes


@given(specs, seeds, st.integers(0, 4))
@example(Parameters(1, 1, 1, 1), 0, 0)
@example(Parameters(2, 3, 3, 8), 1, 1)
def test_values_agree_with_loops_over_fractions(spec, seed, size):
    history, bonus = random_history(spec, seed), small_bonus(spec, size)
    exact = algorithms.ucbvi_exact(spec, history, bonus)
    values = algorithms.ucbvi_values(spec, history, np.array(bonus, dtype=np.float64))
    close(values.score, np.array(exact, dtype=np.float64))


def test_the_comparison_with_fractions_sees_more_than_the_cap():
    """With the small bonus most values differ from H; otherwise agreement would say nothing."""
    spec = Parameters(2, 2, 2, 30)
    history, bonus = random_history(spec, 0, 60), small_bonus(spec)
    exact = algorithms.ucbvi_exact(spec, history, bonus)
    assert np.mean(np.array(exact, dtype=float) < 2) > 0.5
    assert len({value for row in exact for value in row}) > 30


@given(seeds)
def test_the_papers_bonus_agrees_with_fractions_where_it_no_longer_hides_everything(seed):
    """S = A = H = 2 needs some fifty visits; a history that mostly stays in one place has them."""
    spec = Parameters(states=2, actions=2, horizon=2, episodes=90, temperature=0.1)
    generator = np.random.default_rng(seed)
    states, actions = (np.where(generator.random(180) < 0.04, 1, 0) for _ in range(2))
    rewards = 0.25 * generator.random((2, 2, 2))[np.arange(180) % 2, states, actions]
    history = EpisodeHistory(states, actions[:-1], rewards[:-1], 2)
    bonus = [Fraction(float(b)) for b in algorithms.ucbvi_bonus(spec)]
    exact = np.array(algorithms.ucbvi_exact(spec, history, bonus), dtype=np.float64)
    close(algorithms.ucbvi_values(spec, history).score, exact)
    odds = np.exp(algorithms.ucbvi(spec, history))
    assert odds.min() < 0.2
    close(odds, np.exp(exact / 0.1) / np.exp(exact / 0.1).sum(axis=1, keepdims=True), atol=1e-11)


def test_a_bonus_of_h_hides_everything_until_enough_visits():
    """Q = H exactly, so the policy is uniform, until N > 4 log(SAT/δ): here 4·log(4·100²) = 42.4 visits."""
    spec = Parameters(states=2, actions=2, horizon=1, episodes=100)
    history = EpisodeHistory([0] * 100, [0] * 99, [0.0] * 99, 1)
    score = algorithms.ucbvi_values(spec, history).score
    assert (score[:43] == 1).all()  # episode k has seen k−1 visits
    assert (score[43:, 0] < 1).all()
    assert (score[:, 1] == 1).all()


@given(specs, seeds)
def test_decoder_and_whole_histories_agree(spec, seed):
    history, policy, rows = random_history(spec, seed), algorithms.ucbvi_decoder(spec), []
    for step, state in enumerate(history.states):
        rows.append(policy.observe(state))
        if step < history.steps - 1:
            policy.record(history.actions[step], history.rewards[step])
    expected = algorithms.ucbvi(spec, history)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(algorithms.ucbvi_values(spec, history).log_probabilities, expected)


def test_decoder_agrees_where_something_has_been_learnt():
    spec = Parameters(states=2, actions=2, horizon=2, episodes=120, temperature=0.05)
    policy, generator, rows = algorithms.ucbvi_decoder(spec), np.random.default_rng(0), []
    states, actions = [], []
    for step in range(240):
        states.append(int(generator.random() < 0.1))
        rows.append(policy.observe(states[-1]))
        actions.append(int(generator.random() < 0.1))
        if step < 239:
            policy.record(actions[-1], 0.25 * actions[-1])
    history = EpisodeHistory(states, actions[:-1], 0.25 * np.array(actions[:-1]), 2)
    np.testing.assert_array_equal(rows, algorithms.ucbvi(spec, history))
    assert np.ptp(rows[-1]) > 1


def test_the_decoder_plans_when_an_episode_begins_and_only_then(monkeypatch):
    from verify.algorithms import tabular

    planned, plan = [], tabular._plan
    monkeypatch.setattr(tabular, "_plan", lambda *given: planned.append(len(given[2])) or plan(*given))
    policy = algorithms.ucbvi_decoder(SPEC)
    for _ in range(7):
        policy.observe(0)
        policy.record(0, 0.0)
    assert planned == [0, 1, 2]


@given(specs, seeds)
def test_new_names_for_states_and_actions_rename_the_policy(spec, seed):
    history, generator = random_history(spec, seed), np.random.default_rng(seed)
    bonus = np.array(small_bonus(spec), dtype=np.float64)
    values = algorithms.ucbvi_values(spec, history, bonus)
    states, actions = generator.permutation(spec.states), generator.permutation(spec.actions)
    renamed = EpisodeHistory(states[history.states], actions[history.actions], history.rewards, spec.horizon)
    other = algorithms.ucbvi_values(spec, renamed, bonus)
    close(other.action_values[:, :, states][..., actions], values.action_values)
    close(other.log_probabilities[:, actions], values.log_probabilities)


@given(specs, seeds, st.data())
def test_a_step_sees_finished_episodes_and_its_own_state(spec, seed, data):
    """Rows do not move when later steps are cut off, nor when the episode's own past is changed."""
    history = random_history(spec, seed)
    bonus = np.array(small_bonus(spec), dtype=np.float64)
    score = algorithms.ucbvi_values(spec, history, bonus).score
    steps = data.draw(st.integers(1, history.steps))
    early = history.prefix(steps)
    np.testing.assert_array_equal(algorithms.ucbvi_values(spec, early, bonus).score[-1], score[steps - 1])
    first = (early.episodes - 1) * spec.horizon
    states, actions, rewards = early.states.copy(), early.actions.copy(), early.rewards.copy()
    states[first:-1], actions[first:], rewards[first:] = 0, 0, 0
    other = EpisodeHistory(states, actions, rewards, spec.horizon)
    np.testing.assert_array_equal(algorithms.ucbvi_values(spec, other, bonus).score[-1], score[steps - 1])


@given(specs, seeds)
def test_the_past_has_no_order_of_episodes(spec, seed):
    full = random_history(spec, seed, spec.episodes * spec.horizon)
    bonus = np.array(small_bonus(spec), dtype=np.float64)
    order = np.append(np.random.default_rng(seed).permutation(spec.episodes - 1), spec.episodes - 1)
    steps = (order[:, None] * spec.horizon + np.arange(spec.horizon)).ravel()
    shuffled = EpisodeHistory(
        full.states[steps], full.actions[steps[:-1]], full.rewards[steps[:-1]], spec.horizon
    )
    left, right = (algorithms.ucbvi_values(spec, one, bonus).action_values[-1] for one in (full, shuffled))
    close(left, right)


@given(specs, seeds)
def test_values_lie_between_what_can_still_be_earned_and_h(spec, seed):
    values = algorithms.ucbvi_values(spec, random_history(spec, seed), np.zeros(spec.episodes + 1))
    assert values.action_values.min() >= 0
    assert values.action_values.max() <= spec.horizon
    assert (values.action_values[values.counts == 0] == spec.horizon).all()
    assert values.counts.sum(axis=(1, 2, 3)).tolist() == [
        episode * spec.horizon for episode in range(len(values.counts))
    ]


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-12, 1e12, 1e300])
def test_extreme_temperatures_give_no_nan(temperature):
    spec = Parameters(2, 2, 1, 100, temperature)
    history = EpisodeHistory([0] * 100, [0] * 99, [0.0] * 99, 1)
    rows = algorithms.ucbvi(spec, history)
    assert not np.isnan(rows).any()
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1, rtol=1e-12)
    if temperature < 1e-250:
        assert rows[-1].max() == 0
        assert rows[-1].min() < -1e290


HISTORY = EpisodeHistory([0, 1, 2] * 3, [0, 1] * 4, [0.5] * 8, 3)
BAD = [
    ({"states": 0}, "states: wanted an integer ≥ 1, got 0"),
    ({"actions": True}, "actions: wanted an integer ≥ 1, got True"),
    ({"horizon": -1}, "horizon: wanted an integer ≥ 1, got -1"),
    ({"episodes": 0}, "episodes: wanted an integer ≥ 1, got 0"),
    ({"temperature": 0.0}, "temperature: wanted a finite number > 0, got 0.0"),
    ({"temperature": float("nan")}, "temperature: .*got nan"),
]
BEYOND = [
    ({"horizon": 2}, "horizon: wanted a history of horizon 2, got 3"),
    ({"episodes": 2}, "episodes: wanted at most 2, got a history of 3"),
    ({"states": 2}, r"states: wanted numbers in 0\.\.1, got 2"),
    ({"actions": 1}, r"actions: wanted numbers in 0\.\.0, got 1"),
]


@pytest.mark.parametrize(("changes", "message"), BAD + BEYOND)
@pytest.mark.parametrize("name", ["ucbvi", "ucbvi_values", "ucbvi_exact"])
def test_bad_parameters_and_histories_are_named(name, changes, message):
    spec = replace(SPEC, **changes)
    bonus = ([0] * (spec.episodes + 1),) if name == "ucbvi_exact" else ()
    with pytest.raises(ValueError, match=message):
        getattr(algorithms, name)(spec, HISTORY, *bonus)


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_a_decoder_of_bad_parameters_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        algorithms.ucbvi_decoder(replace(SPEC, **changes))


def test_bonuses_are_counted():
    with pytest.raises(ValueError, match=r"bonus: wanted shape \(9,\), visits 0..K, got \(8,\)"):
        algorithms.ucbvi_values(SPEC, HISTORY, np.zeros(8))
    with pytest.raises(ValueError, match=r"bonus: wanted 9 numbers, for visits 0..K, got 8"):
        algorithms.ucbvi_exact(SPEC, HISTORY, [0] * 8)


SEEN, TAKEN = ("observe", 0), ("record", 0, 1.0)


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([TAKEN], "record: wanted a state observed first, got none pending"),
        ([SEEN, SEEN], "observe: wanted the pending decision recorded first"),
        ([SEEN, TAKEN, TAKEN], "record: wanted a state observed first"),
        ([("observe", 3)], r"states: wanted numbers in 0\.\.2, got 3"),
        ([("observe", -1)], "states: wanted numbers ≥ 0, got -1"),
        ([SEEN, ("record", 2, 1.0)], r"actions: wanted numbers in 0\.\.1, got 2"),
        ([SEEN, ("record", -1, 1.0)], "actions: wanted numbers ≥ 0, got -1"),
        ([SEEN, ("record", 0, 1.5)], r"rewards: wanted numbers in \[0, 1\], got 1.5"),
        ([SEEN, TAKEN] * 24 + [SEEN], "observe: wanted at most 8 episodes"),
    ],
)
def test_decoder_rejects_misuse(calls, message):
    policy = algorithms.ucbvi_decoder(SPEC)
    for name, *arguments in calls[:-1]:
        getattr(policy, name)(*arguments)
    name, *arguments = calls[-1]
    with pytest.raises(ValueError, match=message):
        getattr(policy, name)(*arguments)
