"""Patterns of attention that are known, against the average over an arm's own plays."""

from itertools import permutations

import numpy as np
import pytest

from verify.probes import own_plays
from verify.probes.own_plays import Plays, Tally, Target, ranked, tally

STEPS = 9


def past(generator, steps=STEPS, arms=3):
    """A bandit's history: states at even tokens, plays at odd ones."""
    return Plays(2 * np.arange(steps), generator.integers(arms, size=steps - 1), arms)


def looking(plays, whose, lag=1):
    """A head that gives play s the weight `whose(the query's play, s)`, token 0 the weight 1, and others a little."""
    tokens = 2 * len(plays.states) - 1
    pattern = np.tril(np.full((tokens, tokens), 1e-5))
    pattern[:, 0] = 1
    for token in range(tokens):
        pattern[token, plays.states[:-1] + lag] = 0
        for number, state in enumerate(plays.states[:-1]):
            if state + lag < token:
                pattern[token, state + lag] = whose(token // 2, number)
    return pattern


def best(histories, patterns, question):
    return ranked(tally(histories, lambda number: [patterns[number]]), question)


def test_heads_whose_attention_is_known():
    generator = np.random.default_rng(0)
    histories = [past(generator) for _ in range(40)]

    def heads(plays, lag):
        same = lambda at, s: at < len(plays.arms) and plays.arms[s] == plays.arms[at]  # noqa: E731
        last = lambda at, s: same(at, s) and not any(same(at, later) for later in range(s + 1, at))  # noqa: E731
        kinds = (same, lambda at, s: 1, lambda at, s: plays.arms[s] == 2, last)
        return np.stack([looking(plays, kind, lag) for kind in kinds])

    for lag, place in ((1, "its own token"), (2, "the token after")):
        patterns = [heads(plays, lag) for plays in histories]
        found = {question: best(histories, patterns, question) for question in own_plays.QUESTIONS}
        for question, head in (("same", 0), ("next", 0), ("fixed", 2), ("all", 1)):
            first, *rest = found[question]
            assert (first["head"], first["place"]) == (head, place), question
            assert first["agreement"] == pytest.approx(1, abs=1e-12), question
            assert first["selection"] == pytest.approx(1, abs=1e-12), question
            assert first["low"] == pytest.approx(1, abs=1e-12), question
            assert max(row["agreement"] for row in rest) < 0.7, question
        assert found["fixed"][0]["arm"] == 2
        uniform, single = ({row["head"]: row for row in found["same"]}[head] for head in (1, 3))
        assert uniform["agreement"] == pytest.approx(0, abs=1e-12)
        assert single["selection"] == pytest.approx(1, abs=1e-12)  # own plays alone, but one of them
        assert 0.2 < single["agreement"] < 0.6


def test_chance_is_the_mean_over_all_ways_to_permute_the_arms():
    generator = np.random.default_rng(1)
    weights, own = generator.uniform(size=6) ** 3, np.array([1, 0, 1, 0, 0, 1], bool)
    pattern = np.zeros((1, 7, 7))
    pattern[0, 6, :6] = weights
    view = own_plays.View(np.array([6]), np.arange(6), own[None], np.ones((1, 6), bool))
    parts = weights / weights.sum()

    def shared(mine):
        return sum(min(part, 1 / 3) for part, one in zip(parts, mine, strict=True) if one)

    chance = np.mean([shared(order) for order in permutations(own.tolist())])
    found = view.sums(pattern)[0]
    assert found[:2] == pytest.approx([shared(own) - chance, 1 - chance], abs=1e-12)
    assert found[2:4] == pytest.approx([parts[own].sum() - 0.5, 0.5], abs=1e-12)
    assert found[4:].tolist() == [1, 1]


def test_what_says_nothing_is_not_counted():
    """One own play, own plays alone, or hardly any attention to plays."""
    seen = np.ones((1, 4), bool)
    for own, given, counted in (
        ([1, 1, 0, 0], 1.0, 1),
        ([1, 0, 0, 0], 1.0, 0),
        ([1] * 4, 1.0, 0),
        ([1, 1, 0, 0], 1e-3, 0),
    ):
        pattern = np.zeros((1, 6, 6))
        pattern[0, 5, :4], pattern[0, 5, 4] = given / 4, 1 - given
        found = own_plays.View(np.array([5]), np.arange(4), np.array([own], bool), seen).sums(pattern)[0]
        assert (found[1] > 0) == counted
        assert found[4] == pytest.approx(given)


def test_what_settles_is_not_what_measures():
    """A head that is the best by luck on every other history is told by the rest."""
    sums = np.ones((20, 2, 2, 6))
    sums[::2, :, 1, 0], sums[1::2, :, 1, 0] = 1, 0  # the second head: 1, then 0
    sums[:, :, 0, 0] = 0.5
    lucky, steady = ranked(
        Tally([(1, 0), (1, 1)], [Target("same", place) for place in own_plays.PLACES], sums), "same"
    )
    assert (lucky["head"], lucky["agreement"], lucky["high"]) == (1, 0, 0)
    assert (steady["agreement"], steady["low"]) == (0.5, 0.5)


def test_intervals_are_as_wide_as_the_mean_is_uncertain():
    sums = np.ones((400, 1, 1, 6))
    sums[:, 0, 0, 0] = np.random.default_rng(0).integers(2, size=400)
    [row] = ranked(Tally([(1, 0)], [Target("same", "its own token")], sums), "same")
    assert row["low"] < row["agreement"] < row["high"]
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(200), rel=0.15)


def test_a_head_made_to_average_gives_no_less_and_to_own_plays_alone():
    generator = np.random.default_rng(0)
    plays = past(generator, 12)
    pattern = np.tril(generator.uniform(size=(2, 23, 23)))
    view = Target("same", "its own token").view(plays)
    found = view.averaged(pattern, 1)
    np.testing.assert_array_equal(found[0], pattern[0])
    np.testing.assert_allclose(found.sum(axis=2), pattern.sum(axis=2))
    np.testing.assert_array_equal(found[1, ::2], pattern[1, ::2])  # decisions do not ask
    assert (np.triu(found, 1) == 0).all()
    for at, arm in enumerate(plays.arms):
        earlier, token = np.flatnonzero(plays.arms[:at] == arm), 2 * at + 1
        np.testing.assert_array_equal(found[1, token, ::2], pattern[1, token, ::2])
        if len(earlier) < 2:
            np.testing.assert_array_equal(found[1, token], pattern[1, token])
        else:
            wanted = np.zeros(11)
            wanted[earlier] = pattern[1, token, 1:token:2].sum() / len(earlier)
            wanted[at:] = pattern[1, token, 2 * np.arange(at, 11) + 1]
            np.testing.assert_allclose(found[1, token, 1::2], wanted)
    mixed = view.shuffled(generator)
    assert (mixed.own.sum(axis=1) == view.own.sum(axis=1)).all()
    assert not (mixed.own & ~mixed.seen).any()
    assert (mixed.own != view.own).any()
