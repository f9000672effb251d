"""EXP3: exact in rational arithmetic, the textbook's player on the same luck, and its bound against brute force."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.games import exp3
from constructions.history import BanditHistory
from verify import algorithms
from verify.audit import exact
from verify.audit.search import Stepwise
from verify.environments import FixedLosses, HiddenLosses, hidden_losses
from verify.histories import feedback as histories
from verify.play.rollout import rollout, rollouts

SPEC = exp3.Spec(3, 9, least=0.125)


@given(st.data())
def test_logits_are_minus_rate_times_weighted_losses_in_rational_arithmetic(data):
    past = data.draw(st.lists(histories.step(SPEC), max_size=SPEC.horizon - 1))
    totals = [Fraction(0)] * SPEC.actions
    wanted = [[*totals]]
    for arm, loss, weight in past:
        totals[arm] += loss * weight
        wanted.append([-Fraction(SPEC.rate) * total for total in totals])
    assert exact.logits(exp3.build(SPEC), histories.told(SPEC, past, 0)) == wanted


def test_weights_that_are_no_whole_numbers_are_as_exact():
    """As an outline plays: probabilities, losses and their weights are numbers of float64."""
    history = histories.PlayOutline("odds", "uniform", SPEC.horizon, 3).history(SPEC)
    totals = [Fraction(0)] * SPEC.actions
    for step, (context, logits) in enumerate(
        zip(history.contexts.tolist(), exact.logits(exp3.build(SPEC), history), strict=True)
    ):
        totals = [total + Fraction(a) * Fraction(w) for total, (a, w) in zip(totals, context, strict=True)]
        assert logits == [-Fraction(SPEC.rate) * total for total in totals], step
    assert totals[0].denominator > 2**40


def test_the_transformer_plays_as_the_textbook_does():
    """Weights times exp(−η ℓ/p) for the arm played, p its own odds by then: nothing is read of what the player was told."""
    spec, losses = exp3.Spec(4, 60, rate=0.1, least=1e-3), np.random.default_rng(0).random((60, 4))
    built, stage = exp3.build(spec), HiddenLosses(FixedLosses(losses), spec.least)
    runs = rollouts([stage] * 3, built.decoder(3), [np.random.default_rng([1, run]) for run in range(3)])
    for run in runs:
        weights = np.ones(4)
        for step, arm in enumerate(run.actions):
            odds = weights / weights.sum()
            np.testing.assert_allclose(np.exp(run.log_probabilities[step]), odds, rtol=1e-10)
            weights[arm] *= np.exp(-spec.rate * losses[step, arm] / odds[arm])
        np.testing.assert_allclose(algorithms.exp3(spec, run.history), run.log_probabilities, rtol=1e-10)
    assert len({tuple(run.actions) for run in runs}) == 3


def test_small_probabilities_are_taken_for_the_least():
    stage = HiddenLosses(FixedLosses([[1.0, 0.5]] * 2), least=0.25)
    assert stage.after(0, 1, 0.1).tolist() == [[0.0, 0.0], [0.5, 4.0]]
    assert stage.after(0, 1, 0.5).tolist() == [[0.0, 0.0], [0.5, 2.0]]
    with pytest.raises(ValueError, match=r"arm: wanted an index in 0\.\.1, got 2"):
        stage.after(0, 2, 0.5)


def test_the_true_player_says_round_by_round_what_it_says_of_the_whole():
    run = rollout(
        hidden_losses(SPEC, np.random.default_rng(0)),
        algorithms.exp3_decoder(SPEC),
        np.random.default_rng(1),
    )
    np.testing.assert_allclose(run.log_probabilities, algorithms.exp3(SPEC, run.history), atol=1e-13)
    assert (run.history.contexts[1:, :, 1] > 0).sum() == SPEC.horizon - 1


def test_action_tokens_are_not_read():
    history = histories.told(SPEC, [(0, 1, 2), (2, -1, 8), (0, 0, 1)], 0)
    other = BanditHistory(history.contexts, [1, 1, 1], np.ones(3))
    built = exp3.build(SPEC)
    assert (built.log_probabilities(history) == built.log_probabilities(other)).all()


@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("least", [0.0, 0.1, 1 / 3])
def test_no_round_adds_more_to_the_regret_than_the_bound_has(rate, least):
    """The largest of Σ_a p_a (ℓ_a + log(1 − p_a + p_a exp(−η ℓ_a w_a))/η) over odds of three arms and losses in [0, 1]."""
    odds, losses = np.linspace(1e-9, 1, 201), np.linspace(0, 1, 101)
    weights = 1 / np.maximum(odds, least)
    inside = 1 + odds[:, None] * np.expm1(-rate * losses * weights[:, None])
    adds = (odds[:, None] * (losses + np.log(inside) / rate)).max(axis=1)  # each arm's worst loss
    pairs = np.add.outer(np.arange(201), np.arange(201))
    third = 200 - np.minimum(pairs, 200)
    worst = np.where(pairs <= 200, adds[:, None] + adds + adds[third], -np.inf).max()
    spec = exp3.Spec(3, 1000, rate, least or 1e-12)
    added = (exp3.regret(spec) - np.log(3) / rate) / 1000
    assert worst <= added + 1e-12
    if rate <= 0.1 and not least:
        assert worst >= 0.9 * added


@given(st.integers(2, 50), st.integers(1, 10**6))
def test_with_numbers_of_its_own_the_bound_is_at_most_the_textbooks(arms, rounds):
    spec = exp3.Spec(arms, rounds)
    if spec.rate <= np.log(2):
        assert exp3.regret(spec) <= np.sqrt(2 * arms * rounds * np.log(arms)) * (1 + 1e-12)


@pytest.mark.parametrize(
    "told",
    [
        [[0.5, 2.0], [0.5, 2.0], [0.0, 0.0]],  # of two arms
        [[0.5, 0.0], [0.0, 0.0], [0.0, 0.0]],  # a loss without its weight
        [[1.5, 2.0], [0.0, 0.0], [0.0, 0.0]],
        [[0.5, 0.5], [0.0, 0.0], [0.0, 0.0]],  # a probability above 1
        [[0.5, -2.0], [0.0, 0.0], [0.0, 0.0]],
        [[0.5, 8.01], [0.0, 0.0], [0.0, 0.0]],
    ],
)
def test_what_no_play_can_have_told_is_refused_in_one_line(told):
    built = exp3.build(SPEC)
    history = BanditHistory([np.zeros((3, 2)), told], [0], [0.0])
    wanted = r"contexts: wanted one \(loss, weight\) in \[-1, 1\] × \[1, 8\], \(0, 0\) for other arms, got \["
    with pytest.raises(ValueError, match=wanted):
        built.log_probabilities(history)
    with pytest.raises(ValueError, match=wanted):
        built.decoder().observe(told)


def test_other_words_for_what_is_wrong():
    with pytest.raises(
        ValueError, match="contexts: wanted two numbers an arm, loss and weight, got vectors of 1"
    ):
        algorithms.exp3(SPEC, BanditHistory(np.ones((1, 3, 1)), [], []))
    with pytest.raises(ValueError, match="contexts: wanted 3 actions of dimension 2, got 3 × 1"):
        exp3.build(SPEC).log_probabilities(BanditHistory(np.ones((1, 3, 1)), [], []))


def test_every_outline_is_admissible_and_shrinks_to_steps():
    built = exp3.build(SPEC)
    for outline in histories.battery(SPEC, 2):
        history = outline.history(SPEC)
        built.tokens.check(history)
        assert history.steps == SPEC.horizon
        told = history.contexts[np.arange(1, SPEC.horizon), history.actions]
        assert (told[:, 0] == -history.rewards).all()
        assert (told[:, 1] >= 1).all()
    assert isinstance(histories, Stepwise)
