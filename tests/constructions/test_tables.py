"""Histories from tables and from logs of episodes: there and back, and what is refused."""

import csv
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.history import BanditHistory, EpisodeHistory
from verify.environments import gymnasium_mdp


class Column(list):
    """As pandas and polars have it: cells by to_list."""

    def to_list(self):
        return list(self)


class Frame:
    """As pandas has it: an empty cell makes a column of floats, and is NaN."""

    def __init__(self, columns):
        self.columns, self._columns = list(columns), columns

    def __getitem__(self, name):
        cells = self._columns[name]
        return (
            Column(float("nan" if cell is None else cell) for cell in cells)
            if None in cells
            else Column(cells)
        )


def written(columns, path):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    return path


def same(one, other):
    return all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))


NUMBERS = st.floats(-1e9, 1e9)


@st.composite
def bandits(draw):
    steps, arms, dim = (draw(st.integers(1, 4)) for _ in range(3))
    cells = iter(
        draw(st.lists(NUMBERS, min_size=2 * steps * (arms + 1) * dim, max_size=2 * steps * (arms + 1) * dim))
    )
    fill = lambda *shape: np.array([next(cells) for _ in range(int(np.prod(shape)))]).reshape(shape)  # noqa: E731
    draws = fill(steps, dim) if draw(st.booleans()) else None
    actions = draw(st.lists(st.integers(0, arms - 1), min_size=steps - 1, max_size=steps - 1))
    rewards = draw(st.lists(NUMBERS, min_size=steps - 1, max_size=steps - 1))
    return BanditHistory(fill(steps, arms, dim), actions, rewards, draws)


@st.composite
def episodes(draw):
    steps = draw(st.integers(1, 9))
    some = lambda values, count: draw(st.lists(values, min_size=count, max_size=count))  # noqa: E731
    rewards = some(st.floats(0, 1), steps - 1)
    return EpisodeHistory(
        some(st.integers(0, 5), steps), some(st.integers(0, 3), steps - 1), rewards, draw(st.integers(1, 4))
    )


FORMS = {"mapping": lambda table, path: table, "frame": lambda table, path: Frame(table), "csv": written}


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_a_history_is_the_same_after_a_table(form, data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "history.csv"
    bandit, runs = data.draw(bandits()), data.draw(episodes())
    assert same(BanditHistory.from_table(FORMS[form](bandit.table(), path)), bandit)
    assert same(EpisodeHistory.from_table(FORMS[form](runs.table(), path), runs.horizon), runs)


TABLE = {"action": [1, 0, None], "reward": [0.5, -1, None], "arm_0_0": [1, 2, 3], "arm_1_0": [4, 5, 6]}


def without(name):
    return {column: cells for column, cells in TABLE.items() if column != name}


def test_arms_that_stay_need_no_columns_and_names_may_be_others():
    table = {"day": [1, 2, 3], "shown": ["x", "y", "z"], "arm": [1, 0, 1], "paid": [1.0, 0.0, 1.0]}
    found = BanditHistory.from_table(table, arms=np.eye(2), names={"action": "arm", "reward": "paid"})
    assert same(found, BanditHistory([np.eye(2)] * 3, [1, 0], [1.0, 0.0]))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (without("reward"), "table: wanted a column reward, got action, arm_0_0, arm_1_0"),
        (without("action"), "table: wanted a column action, got reward, arm_0_0, arm_1_0"),
        (without("arm_0_0"), "table: wanted a column arm_0_0, got action, reward, arm_1_0"),
        (TABLE | {"arm_1_2": [0, 0, 0]}, "table: wanted a column arm_0_1, got action, .*"),
        (TABLE | {"arm_0_0": [1, 2]}, "table: wanted 3 rows in every column, got 2 in arm_0_0"),
        (TABLE | {"reward": [0.5, None, None]}, "reward: wanted a finite number, got an empty cell in row 1"),
        (TABLE | {"reward": ["a", 1, 1]}, "reward: wanted a finite number, got 'a' in row 0"),
        (TABLE | {"action": [0.5, 1, 1]}, "actions: wanted integer arm indices, got|action: wanted integer"),
        (TABLE | {"action": [2, 1, 1]}, "actions: wanted numbers in 0..1, got 2"),
        ({name: [] for name in TABLE}, "table: wanted at least one row, got none"),
        (3, "table: wanted a CSV file, a frame with named columns, or a mapping of columns, got 3"),
        (np.ones((3, 4)), "table: wanted a CSV file, .*, got array"),
        ("nowhere.csv", "nowhere.csv: wanted a CSV file with a line of names, .*, got FileNotFoundError"),
    ],
)
def test_a_table_that_is_none_is_refused_in_a_line(table, message):
    with pytest.raises(ValueError, match=message):
        BanditHistory.from_table(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("action,reward\n1\n", "got ValueError: 1 cells in row 0, beside 2 names"),
        ("action,action\n1,2\n", "got ValueError: a name twice"),
        ('action,reward\n"1,2\n', "got Error: unexpected end of data"),
        ("", "got ValueError"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_a_line(text, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as refused:
        BanditHistory.from_table(path, arms=np.eye(2))
    assert str(refused.value).startswith(str(path)[-20:]) or str(path) in str(refused.value)


# ------------------------------------------------------------------ episodes that end early

CUT = ([0, 4, 5], [1, 2], [0.0, 0.0])


def test_an_episode_cut_short_stays_where_it_ended():
    found = EpisodeHistory.from_episodes(
        [CUT, ([0, 1, 2], [2, 2, 1], [0.5, 0, 1])], 3, present=([0, 4], [1], [0.25])
    )
    assert found.states.tolist() == [0, 4, 5, 0, 1, 2, 0, 4]
    assert found.actions.tolist() == [1, 2, 0, 2, 2, 1, 1]
    assert found.rewards.tolist() == [0, 0, 0, 0.5, 0, 1, 0.25]
    assert found.stages.tolist() == [1, 2, 3, 1, 2, 3, 1, 2]


def test_a_table_says_where_an_episode_ended_or_is_refused():
    told = {
        "episode": ["a", "a", "a", "b"],
        "state": [0, 4, 5, 0],
        "action": [1, 2, None, None],
        "reward": [-1, -1, None, None],
    }
    found = EpisodeHistory.from_table(told, 4, offset=-100, scale=100)
    assert same(EpisodeHistory.from_table(Frame(told), 4, offset=-100, scale=100), found)
    assert found.states.tolist() == [0, 4, 5, 5, 0]
    assert found.actions.tolist() == [1, 2, 0, 0]
    assert found.rewards.tolist() == [0.99, 0.99, 1.0, 1.0]
    raw = {name: [*cells[:2], cells[3]] for name, cells in told.items()}
    with pytest.raises(
        ValueError, match="episode 'a': wanted 4 steps, or a last row with the state in which it ended"
    ):
        EpisodeHistory.from_table(raw, 4)
    with pytest.raises(ValueError, match="table: wanted a column episode, got state, action, reward"):
        EpisodeHistory.from_table({name: told[name] for name in ("state", "action", "reward")}, 4)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"episodes": []}, "episodes: wanted at least one, got none"),
        ({"episodes": [([0, 1], [0, 1], [0, 0])]}, "episode 0: wanted a state more than actions and rewards"),
        ({"episodes": [CUT, ([0] * 5, [0] * 4, [0] * 4)]}, "episode 1: wanted at most 3 actions, got 4"),
        ({"episodes": [3]}, r"episode 0: wanted \(states, actions, rewards\), got 3"),
        (
            {"episodes": [CUT], "present": ([0] * 4, [0] * 3, [0] * 3)},
            "present: wanted at most 2 actions, got 3",
        ),
        ({"episodes": [CUT], "scale": 0}, "offset, scale: wanted finite numbers, scale > 0, got 0.0, 0"),
        ({"episodes": [CUT], "horizon": 0}, "horizon: wanted an integer >= 1, got 0"),
        ({"episodes": [([0, 4], [1], [-1.0])]}, r"rewards: wanted numbers in \[0, 1\], got -1.0"),
    ],
)
def test_what_is_no_log_of_episodes_is_refused_in_a_line(given_, message):
    with pytest.raises(ValueError, match=message):
        EpisodeHistory.from_episodes(**{"horizon": 3} | given_)


ABSORBING = {"FrozenLake": 0.0, "CliffWalking": 1.0, "Taxi": 1 / 3}


@pytest.mark.parametrize("name", ABSORBING)
def test_logs_of_gymnasium_go_through_the_process_that_is_made_of_it(name):
    """Where nothing is left to chance, every step of the padded log is one of the process, the added ones too."""
    gymnasium = pytest.importorskip("gymnasium")
    horizon, options = 25, {"is_slippery": False} if name == "FrozenLake" else {}
    process = gymnasium_mdp(name, horizon, **options)
    with warnings.catch_warnings(action="ignore"):  # it names the version that it takes
        game = gymnasium.make(name, **options)
    best, log, generator = process.values()[1].argmax(axis=2), [], np.random.default_rng(0)
    for number in range(6):
        state, ended = game.reset(seed=number)[0], False
        states, actions, rewards = [state], [], []
        while not ended and len(actions) < horizon:
            action = int(generator.integers(process.actions) if number % 2 else best[len(actions), state])
            state, reward, ended, *_ = game.step(action)
            for kept, value in ((states, state), (actions, action), (rewards, reward)):
                kept.append(int(value))
        log.append((states, actions, rewards))
    ends = [len(actions) for _, actions, _ in log]
    assert min(ends) < horizon
    found = EpisodeHistory.from_episodes(
        log, horizon, offset=process.offset, scale=process.scale, present=([0], [], [])
    )
    assert found.steps == 6 * horizon + 1
    stages = found.stages[:-1] - 1
    here = stages, found.states[:-1], found.actions
    np.testing.assert_allclose(found.rewards, process.rewards[here], atol=1e-12)
    inside = stages < horizon - 1
    assert (process.transitions[here][inside, found.states[1:][inside]] == 1).all()
    added = np.concatenate([np.arange(horizon) >= end for end in ends])
    np.testing.assert_allclose(found.rewards[added], ABSORBING[name], atol=1e-12)
