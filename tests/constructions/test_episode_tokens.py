"""Episodes as tokens: the layout of the paper's Appendix E.1, written out in a loop of its own."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.history import EpisodeHistory
from constructions.inputs.episodes import EpisodeTokens, episode_stream


@dataclass(frozen=True)
class Sizes:
    states: int
    actions: int
    horizon: int
    episodes: int


SIZES = Sizes(states=3, actions=2, horizon=2, episodes=3)
HISTORY = EpisodeHistory([2, 0, 1, 1, 0], [1, 0, 0, 1], [0.5, 1.0, 0.0, 0.25], 2)


def tokens_for(spec: Sizes) -> EpisodeTokens:
    return EpisodeTokens(episode_stream(spec, scratch=2), spec)


sizes = st.builds(Sizes, *(st.integers(1, most) for most in (4, 4, 5, 5)))


@st.composite
def histories(draw, spec: Sizes):
    steps = draw(st.integers(1, spec.episodes * spec.horizon))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return EpisodeHistory(
        generator.integers(spec.states, size=steps),
        generator.integers(spec.actions, size=steps - 1),
        generator.random(steps - 1),
        spec.horizon,
    )


def by_hand(spec: Sizes, history: EpisodeHistory) -> np.ndarray:
    """[action; reward; state; 0 …; k, h, v; i, i², 1], token index i written as the paper writes it."""
    zeros = [0.0] * spec.actions + [0.0] * 2  # logits and scratch
    table = {}
    for t in range(1, history.steps + 1):
        k, h = -(-t // spec.horizon), (t - 1) % spec.horizon + 1
        i = 2 * (t - 1) + k
        state = [float(s == history.states[t - 1]) for s in range(spec.states)]
        table[i] = [0.0] * spec.actions + [0.0] + state + zeros + [k, h, 1.0, i, i * i, 1.0]
        if t == history.steps:
            break
        i = 2 * t - 1 + k
        action = [float(a == history.actions[t - 1]) for a in range(spec.actions)]
        reward = [history.rewards[t - 1]]
        table[i] = action + reward + [0.0] * spec.states + zeros + [k, h, 0.0, i, i * i, 1.0]
        if h == spec.horizon:
            i = (2 * spec.horizon + 1) * k
            empty = [0.0] * (spec.actions + 1 + spec.states)
            table[i] = empty + zeros + [k, spec.horizon + 1, 1.0, i, i * i, 1.0]
    assert sorted(table) == list(range(1, len(table) + 1))
    return np.array([table[i] for i in sorted(table)], dtype=float)


@given(st.data())
def test_tokens_are_laid_out_as_in_the_paper(data):
    spec = data.draw(sizes)
    tokens, history = tokens_for(spec), data.draw(histories(spec))
    np.testing.assert_array_equal(tokens.encode(history), by_hand(spec, history))


def test_the_layout_by_name():
    """Two episodes of two steps and the state of a third: S A S A ∅ S A S A ∅ S."""
    tokens = tokens_for(SIZES)
    stream, rows = tokens.stream, tokens.encode(HISTORY)
    kinds = ["S" if row[stream["state"].slice].any() else "A" for row in rows]
    empty = [not row[: stream["clock"].start].any() for row in rows]
    drawn = "".join("∅" if none else kind for kind, none in zip(kinds, empty, strict=True))
    assert drawn == "SASA∅SASA∅S"
    assert tokens.states(5).tolist() == [0, 2, 5, 7, 10]
    assert (tokens.decisions, tokens.longest) == (6, 15)


@given(st.data())
def test_chunks_one_after_another_are_the_whole(data):
    """State chunks begin with the empty token of the episode before; three histories at once are three histories."""
    spec = data.draw(sizes)
    tokens = tokens_for(spec)
    first = data.draw(histories(spec))
    others = [
        EpisodeHistory(
            (first.states + n) % spec.states, (first.actions + n) % spec.actions, first.rewards, spec.horizon
        )
        for n in (1, 2)
    ]
    group, found = [first, *others], []
    for t in range(1, first.steps + 1):
        contexts = tokens.observed([history.states[t - 1] for history in group])
        if t > 1:
            assert sum(part.shape[1] for part in found) == tokens.before(t)
        found.append(tokens.state_chunk(t, contexts))
        if t < first.steps:
            actions, rewards = ([getattr(x, name)[t - 1] for x in group] for name in ("actions", "rewards"))
            found.append(tokens.action_chunk(t, contexts, actions, rewards))
    wanted = np.stack([tokens.encode(history) for history in group])
    np.testing.assert_array_equal(np.concatenate(found, axis=1), wanted)


@given(st.data())
def test_a_longer_history_begins_with_the_tokens_of_a_shorter_one(data):
    spec = data.draw(sizes)
    tokens, history = tokens_for(spec), data.draw(histories(spec))
    cut = data.draw(st.integers(1, history.steps))
    part = tokens.encode(history.prefix(cut))
    np.testing.assert_array_equal(part, tokens.encode(history)[: len(part)])


BAD = [
    (EpisodeHistory([0, 1], [0], [0.5], 3), "history: wanted episodes of horizon 2, got 3"),
    (EpisodeHistory([0] * 7, [0] * 6, [0.5] * 6, 2), "history: wanted at most 3 episodes, got 4"),
    (EpisodeHistory([0, 3], [0], [0.5], 2), r"states: wanted numbers in 0\.\.2, got 3"),
    (EpisodeHistory([0, 1], [2], [0.5], 2), r"actions: wanted numbers in 0\.\.1, got 2"),
]


@pytest.mark.parametrize(("history", "message"), BAD, ids=[message for _, message in BAD])
def test_histories_beyond_the_spec_are_named(history, message):
    with pytest.raises(ValueError, match=message):
        tokens_for(SIZES).encode(history)


BAD_STEPS = [
    (lambda t: t.observed([3]), r"states: wanted numbers in 0\.\.2, got 3"),
    (lambda t: t.observed([-1]), r"states: wanted numbers in 0\.\.2, got -1"),
    (lambda t: t.observed([0.5]), "states: wanted integer states, got an array of float64"),
    (lambda t: t.action_chunk(1, np.array([0]), [2], [0.0]), r"actions: wanted numbers in 0\.\.1, got 2"),
    (lambda t: t.action_chunk(1, np.array([0]), [-1], [0.0]), r"actions: wanted numbers in 0\.\.1, got -1"),
    (lambda t: t.action_chunk(1, np.array([0]), [0], [1.5]), r"rewards: wanted numbers in \[0, 1\], got 1.5"),
    (lambda t: t.action_chunk(1, np.array([0]), [0], [np.nan]), "rewards: wanted finite numbers, got nan"),
]


@pytest.mark.parametrize(("call", "message"), BAD_STEPS, ids=[message for _, message in BAD_STEPS])
def test_steps_beyond_the_spec_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(tokens_for(SIZES))
