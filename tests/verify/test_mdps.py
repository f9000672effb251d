"""Tabular processes keep their promises, gymnasium's tables are read rightly, and episodes share random numbers."""

import sys
from itertools import product
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify import algorithms
from verify.environments import TabularMDP, gymnasium_mdp, random_mdp
from verify.play.episodes import EpisodicEnvironment, play
from verify.play.rollout import Decoder

LEFT, DOWN, RIGHT, UP = range(4)  # FrozenLake
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def fixed(odds):
    """A decoder that always returns the same probabilities."""
    with np.errstate(divide="ignore"):
        rows = np.log(np.asarray(odds, dtype=float))
    return SimpleNamespace(observe=lambda state: rows, record=lambda action, reward: None)


def two_states():
    """Action 0 stays, action 1 moves to the other state; only staying in state 1 pays, and only at the last stage 1/2.

    Stage by stage (H = 3): V_3 = (0, 1/2); V_2 = (1/2, 1 + 1/2); V_1 = (3/2, 5/2).
    """
    stay, move = np.eye(2), np.eye(2)[::-1]
    transitions = np.broadcast_to(np.stack([stay, move], axis=1), (3, 2, 2, 2))
    rewards = np.zeros((3, 2, 2))
    rewards[:, 1, 0] = [1, 1, 0.5]
    return TabularMDP([1, 0], transitions, rewards)


def test_optimal_values_by_hand():
    state_values, action_values = two_states().values()
    assert state_values.tolist() == [[1.5, 2.5], [0.5, 1.5], [0, 0.5], [0, 0]]
    assert action_values.tolist() == [[[0.5, 1.5], [2.5, 0.5]], [[0, 0.5], [1.5, 0]], [[0, 0], [0.5, 0]]]
    assert two_states().regret(0, 1, 1) == 2.0
    assert two_states().regret(0, 0, 1) == 0


@given(seeds)
def test_optimal_values_are_the_best_over_all_plans(seed):
    """Every deterministic plan is tried: 2 actions in 2 states at 2 stages."""
    mdp = random_mdp(rng(seed), states=2, actions=2, horizon=2)
    returns = []
    for plan in product(range(2), repeat=4):
        action = np.reshape(plan, (2, 2))
        value = np.zeros(2)
        for stage in (1, 0):
            rows = stage, np.arange(2), action[stage]
            value = mdp.rewards[rows] + mdp.transitions[rows] @ value
        returns.append(value)
    np.testing.assert_allclose(mdp.values()[0][0], np.max(returns, axis=0), rtol=1e-12)


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.05, 1.0, 20.0]))
def test_random_processes_have_regret_zero_at_the_optimum_only(seed, states, actions, horizon, concentration):
    mdp = random_mdp(rng(seed), states, actions, horizon, concentration)
    shape = horizon, states, actions
    regrets = np.reshape([mdp.regret(*here) for here in np.ndindex(shape)], shape)
    assert (mdp.horizon, mdp.states, mdp.actions) == shape
    assert (regrets >= 0).all()
    np.testing.assert_array_equal(regrets.min(axis=2), 0)
    np.testing.assert_array_equal(regrets.argmin(axis=2), mdp.values()[1].argmax(axis=2))


def test_random_processes_differ_from_stage_to_stage_and_concentrate():
    sizes = {"states": 5, "actions": 4, "horizon": 6}
    mdp, same, sure = (random_mdp(rng(0), **sizes, concentration=c) for c in (1.0, 1.0, 0.01))
    np.testing.assert_array_equal(mdp.transitions, same.transitions)
    assert not np.array_equal(mdp.transitions[0], mdp.transitions[1])
    assert mdp.transitions.max(axis=-1).mean() < 0.6 < 0.95 < sure.transitions.max(axis=-1).mean()
    assert 0 <= mdp.rewards.min() < 0.1
    assert 0.9 < mdp.rewards.max() <= 1


def test_states_are_drawn_with_their_probabilities():
    mdp, generator = random_mdp(rng(3), 4, 2, 2), rng(0)
    first = np.bincount([mdp.reset(generator) for _ in range(4000)], minlength=4) / 4000
    np.testing.assert_allclose(first, mdp.initial, atol=0.03)
    rewards, after = zip(*(mdp.step(1, 2, 0, generator) for _ in range(4000)), strict=True)
    np.testing.assert_allclose(np.bincount(after, minlength=4) / 4000, mdp.transitions[1, 2, 0], atol=0.03)
    assert set(rewards) == {mdp.rewards[1, 2, 0]}


def test_one_transition_takes_one_uniform():
    mdp, left, right = random_mdp(rng(0), 4, 2, 2), rng(1), rng(1)
    mdp.step(0, 0, 0, left)
    mdp.reset(left)
    right.random(2)
    assert left.random() == right.random()


def test_frozen_lake_slips_to_either_side():
    """From the start, right: a third each down (slip), right, and up (slip, against the wall)."""
    mdp = gymnasium_mdp("FrozenLake-v1", 20)
    assert (mdp.states, mdp.actions, mdp.horizon) == (16, 4, 20)
    assert (mdp.offset, mdp.scale) == (0, 1)
    assert mdp.initial.tolist() == [1] + [0] * 15
    np.testing.assert_allclose(mdp.transitions[7, 0, RIGHT, [4, 1, 0]], 1 / 3)
    np.testing.assert_allclose(mdp.transitions[0, 0, LEFT, [0, 4]], [2 / 3, 1 / 3])
    np.testing.assert_allclose(mdp.rewards[0, 14], [0, 1 / 3, 1 / 3, 1 / 3])
    assert mdp.rewards[0].sum() == pytest.approx(1)
    assert gymnasium_mdp("FrozenLake", 2, map_name="8x8").states == 64


def test_frozen_lake_without_slips_takes_six_steps():
    values = {steps: gymnasium_mdp("FrozenLake", steps, is_slippery=False).values()[0] for steps in (5, 6, 9)}
    assert [table[0, 0] for table in values.values()] == [0, 1, 1]


def test_frozen_lakes_long_run_value_is_the_known_one():
    """14/17 of all slippery 4x4 walks can reach the goal, if time is no object."""
    assert gymnasium_mdp("FrozenLake", 3000).values()[0][0, 0] == pytest.approx(14 / 17, abs=1e-6)


def test_the_shortest_walk_past_the_cliff_costs_thirteen():
    mdp = gymnasium_mdp("CliffWalking", 20)
    assert (mdp.states, mdp.actions, mdp.offset, mdp.scale) == (48, 4, -100, 100)
    assert mdp.initial.argmax() == 36
    assert mdp.values()[0][0, 36] * 100 - 100 * 20 == pytest.approx(-13)
    up, right = 0, 1
    assert mdp.rewards[0, 36, right] == 0
    assert mdp.transitions[0, 36, right, 36] == 1  # the cliff sends back to the start
    assert mdp.rewards[0, 36, up] == 0.99


def test_a_taxi_needs_what_it_is_known_to_need():
    """Raw values from a start are 20 − the steps before the last; their mean over starts is the known 7.93."""
    mdp = gymnasium_mdp("Taxi", 30)
    assert (mdp.states, mdp.actions, mdp.offset, mdp.scale) == (500, 6, -10, 30)
    raw = mdp.values()[0][0] * 30 - 10 * 30
    starts = mdp.initial > 0
    assert starts.sum() == 300
    np.testing.assert_allclose(raw[starts], raw[starts].round(), atol=1e-9)
    assert mdp.initial @ raw == pytest.approx(7.93)
    assert mdp.transitions.strides[0] == 0  # thirty stages in the memory of one


@pytest.mark.parametrize(
    ("name", "ends", "nothing"),
    [
        ("FrozenLake", [5, 7, 11, 12, 15], 0),
        ("CliffWalking", [47], 1.0),
        ("Taxi", [0, 85, 410, 475], 1 / 3),
    ],
)
def test_what_ends_an_episode_absorbs_at_raw_reward_zero(name, ends, nothing):
    mdp = gymnasium_mdp(name, 3)
    kept = mdp.transitions[:, np.arange(mdp.states), :, np.arange(mdp.states)].min(axis=(1, 2))
    assert np.flatnonzero((kept == 1) & (np.ptp(mdp.rewards[0], axis=1) == 0)).tolist() == ends
    np.testing.assert_allclose(mdp.rewards[:, ends], nothing, rtol=1e-15)


@pytest.mark.parametrize(("name", "options"), [("FrozenLake", {}), ("CliffWalking", {"is_slippery": True})])
def test_gymnasium_itself_moves_as_the_table_says(name, options):
    """A random walk in the running environment only makes moves of positive probability, with the raw rewards."""
    mdp = gymnasium_mdp(name, 1, **options)
    environment = gymnasium.make(f"{name}-v1", **options).unwrapped
    generator, (state, _) = rng(0), environment.reset(seed=0)
    outcomes = {}
    for _ in range(2000):
        action = int(generator.integers(4))
        after, reward, ended, *_ = environment.step(action)
        outcomes.setdefault((state, action), []).append((int(after), reward))
        state = environment.reset()[0] if ended else int(after)
    for here, seen in outcomes.items():
        assert all(mdp.transitions[(0, *here, after)] > 0 for after, _ in seen)
        if len(seen) > 60:
            frequency = np.bincount([after for after, _ in seen], minlength=mdp.states) / len(seen)
            np.testing.assert_allclose(frequency, mdp.transitions[(0, *here)], atol=0.25)
            mean = np.mean([(raw - mdp.offset) / mdp.scale for _, raw in seen])
            assert mean == pytest.approx(mdp.rewards[(0, *here)], abs=0.25)


def test_a_table_without_rewards_is_all_zero():
    mdp = gymnasium_mdp("FrozenLake", 2, reward_schedule=(0, 0, 0))
    assert (mdp.offset, mdp.scale, mdp.rewards.max()) == (0, 1, 0)


def test_the_protocols_are_spoken():
    sizes = {"states": 3, "actions": 2, "horizon": 2}
    spec = SimpleNamespace(**sizes, episodes=3, temperature=0.1)
    assert isinstance(random_mdp(rng(), **sizes), EpisodicEnvironment)
    assert isinstance(algorithms.ucbvi_decoder(spec), Decoder)


def ucbvi_run(seed, episodes=300, mdp_seed=0):
    sizes = {"states": 2, "actions": 2, "horizon": 2}
    spec = SimpleNamespace(**sizes, episodes=400, temperature=0.02)
    mdp = random_mdp(rng(mdp_seed), **sizes, concentration=0.1)
    return spec, mdp, play(mdp, algorithms.ucbvi_decoder(spec), rng(seed), episodes)


def test_a_run_records_what_happened():
    spec, mdp, run = ucbvi_run(1)
    history = run.history
    assert (history.episodes, history.steps, history.horizon) == (300, 600, 2)
    np.testing.assert_array_equal(run.actions[:-1], history.actions)
    np.testing.assert_array_equal(run.rewards[:-1], history.rewards)
    here = history.stages - 1, history.states, run.actions
    np.testing.assert_array_equal(run.rewards, mdp.rewards[here])
    np.testing.assert_array_equal(run.regret, [mdp.regret(*map(int, one)) for one in zip(*here, strict=True)])
    np.testing.assert_array_equal(run.log_probabilities, algorithms.ucbvi(spec, history))
    moved = history.stages[1:] > 1
    reached = mdp.transitions[tuple(part[:-1] for part in here)][np.arange(599), history.states[1:]]
    assert (reached[moved] > 0).all()


def test_equal_seeds_give_equal_runs_and_a_longer_run_begins_alike():
    runs = [ucbvi_run(seed, episodes)[2] for seed, episodes in ((1, 300), (1, 300), (1, 200), (2, 300))]
    for name in ("actions", "rewards", "regret", "log_probabilities"):
        first, second, short, other = (getattr(run, name) for run in runs)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first[:400], short)
        assert not np.array_equal(first, other)
    assert np.ptp(runs[0].log_probabilities[-2:]) > 0.1  # something had been learnt


def test_different_policies_see_the_same_first_states_and_moves():
    """Both actions move alike here, so common random numbers show as equal states."""
    table = random_mdp(rng(0), 4, 1, 3)
    mdp = TabularMDP(table.initial, table.transitions.repeat(2, axis=2), table.rewards.repeat(2, axis=2))
    runs = [play(mdp, fixed(odds), rng(5), 50) for odds in ([1, 0], [0, 1], [0.5, 0.5])]
    assert [set(run.actions) for run in runs] == [{0}, {1}, {0, 1}]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.history.states, runs[0].history.states)
    assert set(runs[0].history.states) == {0, 1, 2, 3}


def test_every_episode_starts_afresh():
    """Every move leads to state 1, every episode starts in state 0."""
    mdp = TabularMDP([1, 0], np.broadcast_to([0.0, 1.0], (3, 2, 2, 2)), np.zeros((3, 2, 2)))
    assert play(mdp, fixed([0.5, 0.5]), rng(0), 4).history.states.tolist() == [0, 1, 1] * 4


class Wasteful:
    """A process that draws a different number of random numbers for each action; all states look alike."""

    states, actions, horizon = 1000, 2, 3

    def reset(self, generator):
        return int(1000 * generator.random())

    def step(self, stage, state, action, generator):
        return 0.5, int(1000 * generator.random(action + 1)[0])

    def regret(self, stage, state, action):
        return 0.0


def test_random_numbers_stay_common_if_actions_draw_unequally_and_lengths_differ():
    runs = [
        play(Wasteful(), fixed(odds), rng(5), episodes).history.states[:15].tolist()
        for odds in ([1, 0], [0, 1], [0.5, 0.5])
        for episodes in (5, 9)
    ]
    assert all(run == runs[0] for run in runs)
    assert len(set(runs[0])) > 10


def test_actions_come_from_the_policy():
    run = play(two_states(), fixed([0.2, 0.8]), rng(0), 1000)
    assert run.actions.mean() == pytest.approx(0.8, abs=0.03)


def test_regret_is_the_value_lost():
    """The mean over runs of reward + regret is the optimal value of the first state."""
    mdp = random_mdp(rng(2), 3, 2, 4)
    run = play(mdp, fixed([0.5, 0.5]), rng(1), 1200)
    first = run.history.states[::4]
    lost = (run.rewards + run.regret).reshape(-1, 4).sum(axis=1)
    assert lost.mean() == pytest.approx(mdp.values()[0][0, first].mean(), abs=0.03)


def test_ucbvi_learns_a_small_process():
    spec, mdp, _ = ucbvi_run(0, 1)
    policies = algorithms.ucbvi_decoder(spec), fixed([0.5, 0.5])
    late = [play(mdp, policy, rng(0), 400).regret[600:].mean() for policy in policies]
    assert late[0] < 0.5 * late[1]


ODDS = np.full((1, 2, 2, 2), 0.5)
PAY = np.zeros((1, 2, 2))


def mdp(initial=(1, 0), transitions=ODDS, rewards=PAY, **units):
    return TabularMDP(initial, transitions, rewards, **units)


BAD = {
    "no stages": (lambda: mdp(transitions=ODDS[:0]), r"transitions: wanted shape .*got \(0, 2, 2, 2\)"),
    "square": (lambda: mdp(transitions=np.ones((1, 2, 2, 1))), r"transitions: .*got \(1, 2, 2, 1\)"),
    "flat": (lambda: mdp(transitions=ODDS[0]), r"transitions: .*got \(2, 2, 2\)"),
    "sum": (lambda: mdp(transitions=ODDS * 0.9), r"transitions: .*sum to 1, got 0.9 at \(0, 0, 0\)"),
    "later stage": (
        lambda: mdp(transitions=np.concatenate([ODDS, 2 * ODDS]), rewards=np.zeros((2, 2, 2))),
        r"transitions: .*sum to 1, got 2.0 at \(1, 0, 0\)",
    ),
    "sign": (lambda: mdp(transitions=np.ones((1, 2, 2, 2)) * [2, -1]), "transitions: .*≥ 0, got -1"),
    "nan": (lambda: mdp(transitions=ODDS * np.nan), "transitions: wanted finite numbers, got nan"),
    "initial sum": (lambda: mdp(initial=[0.5, 0.6]), r"initial: .*sum to 1, got 1.1 at \(\)"),
    "initial shape": (lambda: mdp(initial=[1.0]), r"initial: wanted shape \(2,\), got \(1,\)"),
    "rewards shape": (lambda: mdp(rewards=np.zeros((1, 2))), r"rewards: wanted shape \(1, 2, 2\)"),
    "rewards": (lambda: mdp(rewards=PAY - 0.5), r"rewards: wanted numbers in \[0, 1\], got -0.5"),
    "high rewards": (lambda: mdp(rewards=PAY + 1.5), r"rewards: wanted numbers in \[0, 1\], got 1.5"),
    "scale": (lambda: mdp(scale=0.0), "offset, scale: .*got 0.0, 0.0"),
    "stage": (lambda: mdp().regret(1, 0, 0), r"stage: wanted an index in 0\.\.0, got 1"),
    "state": (lambda: mdp().regret(0, 2, 0), r"state: wanted an index in 0\.\.1, got 2"),
    "action": (lambda: mdp().step(0, 0, -1, rng()), r"action: wanted an index in 0\.\.1, got -1"),
    "no states": (lambda: random_mdp(rng(), 0, 1, 1), "states: wanted an integer >= 1, got 0"),
    "concentration": (lambda: random_mdp(rng(), 1, 1, 1, 0.0), "concentration: .*got 0.0"),
    "name": (lambda: gymnasium_mdp("Blackjack-v1", 3), "name: wanted .FrozenLake..*'Blackjack-v1'"),
    "old version": (lambda: gymnasium_mdp("FrozenLake-v0", 3), "name: .*FrozenLake-v1.*'FrozenLake-v0'"),
    "horizon": (lambda: gymnasium_mdp("Taxi", 0), "horizon: wanted an integer >= 1, got 0"),
    "option": (lambda: gymnasium_mdp("Taxi", 3, colour="red"), "options: .*Taxi, got {'colour': 'red'}"),
    "map": (lambda: gymnasium_mdp("FrozenLake", 3, map_name="5x5"), "options: .*got {'map_name': '5x5'}"),
    "fickle": (lambda: gymnasium_mdp("Taxi", 3, fickle_passenger=True), "fickle_passenger: wanted False"),
    "episodes": (lambda: play(mdp(), fixed([0.5, 0.5]), rng(), 0), "episodes: wanted an integer ≥ 1, got 0"),
    "three actions": (
        lambda: play(mdp(), fixed([1, 0, 0]), rng(), 1),
        r"step 0: wanted 2 .*got shape \(3,\)",
    ),
    "no policy": (lambda: play(mdp(), fixed([1, 1]), rng(), 1), "step 0: .*summing to 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_missing_gymnasium_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ValueError, match=r"gymnasium: .*'weightwright\[data\]'"):
        gymnasium_mdp("Taxi", 3)
