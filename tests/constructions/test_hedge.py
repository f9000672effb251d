"""Hedge: exact in rational arithmetic, its regret bound against calculus by brute force, and two players in games."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.games import hedge
from constructions.history import BanditHistory
from verify import algorithms
from verify.audit import exact
from verify.audit.search import Stepwise
from verify.histories import losses as histories
from verify.play.games import meet

SPEC = hedge.Spec(3, 9)


@given(st.data())
def test_logits_are_minus_rate_times_losses_in_rational_arithmetic(data):
    past = data.draw(st.lists(histories.step(SPEC), max_size=SPEC.horizon - 1))
    wanted, totals = [], [Fraction(0)] * SPEC.actions
    for row in [(0,) * SPEC.actions, *(row for _, *row in past)]:
        totals = [total + loss for total, loss in zip(totals, row, strict=True)]
        wanted.append([-Fraction(SPEC.rate) * total for total in totals])
    assert exact.logits(hedge.build(SPEC), histories.told(SPEC, past, 0)) == wanted


def test_the_policy_is_that_of_weights_multiplied_round_by_round():
    losses = np.random.default_rng(0).uniform(-1, 1, (8, 3))
    weights = np.ones(3)
    for loss in losses:
        weights = weights * np.exp(-SPEC.rate * loss)
    history = histories.seen(losses, np.zeros(8, int))
    np.testing.assert_allclose(
        np.exp(hedge.build(SPEC).log_probabilities(history)[-1]), weights / weights.sum(), rtol=1e-14
    )


def test_the_true_player_says_round_by_round_what_it_says_of_the_whole():
    history = histories.seen(np.random.default_rng(2).random((8, 3)), np.zeros(8, int))
    player, rows = algorithms.hedge_decoder(SPEC), []
    for context in history.contexts:
        rows.append(player.observe(context))
        player.record(0, 0.0)
    np.testing.assert_allclose(rows, algorithms.hedge(SPEC, history), atol=1e-14)


def test_what_was_played_and_paid_is_not_read():
    losses, built = np.random.default_rng(1).random((5, 3)), hedge.build(SPEC)
    history = histories.seen(losses, [0, 1, 2, 0, 1])
    other = BanditHistory(history.contexts, [2, 2, 2, 2, 2], np.ones(5))
    assert (built.log_probabilities(history) == built.log_probabilities(other)).all()


@pytest.mark.parametrize("rate", [1e-3, 0.1, 1.0, 5.0])
def test_the_bound_on_a_round_is_the_largest_that_there_is(rate):
    """δ(η) = max of q + log(1 − cq)/η over [0, 1], by brute force; and at most η/8."""
    q = np.linspace(0, 1, 100_001)
    largest = (q + np.log1p(q * np.expm1(-rate)) / rate).max()
    rounds = 1000
    found = (hedge.regret(hedge.Spec(4, rounds, rate)) - np.log(4) / rate) / rounds
    assert largest <= found + 1e-12
    assert found == pytest.approx(largest, rel=1e-6, abs=1e-12)
    assert found <= rate / 8 + 1e-12


def test_one_round_can_cost_what_the_bound_says():
    """Two arms, one of which always loses, at odds where f is largest: a round adds δ(η) to the bound's potential."""
    rate = 1.5
    c = 1 - np.exp(-rate)
    odds = 1 / c - 1 / rate  # of the arm that loses
    added = odds + np.log(odds * np.exp(-rate) + 1 - odds) / rate
    found = hedge.regret(hedge.Spec(2, 1, rate)) - np.log(2) / rate
    assert added == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize(
    ("game", "value"),
    [
        ([[0, 1], [1, 0]], 1 / 2),
        ([[0.5, 1, 0], [0, 0.5, 1], [1, 0, 0.5]], 1 / 2),  # paper, scissors, stone
        (np.diag([1, 1 / 2, 1 / 3]), 1 / 6),  # 1/Σ 1/d
        ([[0.3, 0.7], [0.4, 0.9]], 0.7),  # a saddle point
        ([[0.2, 0.9, 0.4]], 0.9),
    ],
)
def test_values_of_games_that_are_known(game, value):
    found = algorithms.equilibrium(game)
    assert found.value == pytest.approx(value, abs=1e-9)
    assert 0 <= algorithms.gap(np.asarray(game, float), found.rows, found.columns) <= 1e-9
    assert found.low <= value + 1e-12
    assert found.high >= value - 1e-12


def test_players_with_different_numbers_of_choices_meet():
    """Theorem 3 with R and R' apart; rewards of both are minus their losses."""
    game, rounds = np.random.default_rng(3).random((2, 4)), 100
    rows, columns = hedge.Spec(2, rounds), hedge.Spec(4, rounds)
    meeting = meet(hedge.build(rows).decoder(1), hedge.build(columns).decoder(1), game[None], rounds)
    most = [hedge.regret(spec) / rounds for spec in (rows, columns)]
    solved = algorithms.equilibrium(game)
    assert algorithms.gap(game, meeting.rows[0], meeting.columns[0]) <= sum(most)
    assert abs(meeting.payment[0] - solved.value) <= max(most)
    assert meeting.rows.sum() == pytest.approx(1)
    assert meeting.columns.sum() == pytest.approx(1)


def test_meeting_by_hand():
    """Two rounds of matching pennies with odds of one's own: 1/4 and 3/4 against 1/2 and 1/2, then what both have seen."""

    class Told:
        def __init__(self, *odds):
            self.odds, self.seen = list(odds), []

        def observe(self, context):
            self.seen.append(context[0, :, 0].tolist())
            return np.log([self.odds.pop(0)])

        def record(self, action, reward):
            self.seen.append((int(action[0]), float(reward[0])))

    rows, columns = Told([0.25, 0.75], [1.0, 0.0]), Told([0.5, 0.5], [0.5, 0.5])
    with np.errstate(divide="ignore"):
        meeting = meet(rows, columns, np.array([[[1.0, 0.0], [0.0, 0.5]]]), 2)
    assert rows.seen[:3] == [[0, 0], (1, -0.25), [0.5, 0.25]]
    assert columns.seen[:3] == [[0, 0], (0, -0.75), [0.75, 0.625]]
    assert meeting.rows.tolist() == [[0.625, 0.375]]
    assert meeting.payment.tolist() == [((0.25 * 0.5 + 0.75 * 0.25) + 0.5) / 2]


def test_sums_of_long_histories_stay_within_what_rounding_may_add():
    """0.1 is no number of float64: errors of a sum of equal terms have the same sign, and grow with their number."""
    spec = hedge.Spec(2, 5000)
    built = hedge.build(spec)
    history = histories.seen(np.full((4999, 2), [0.1, 0.9]), np.zeros(4999, int))
    total = Fraction(0.1) * 4999 * Fraction(spec.rate)
    output = built.outputs([history], logits_only=True)[0, -1, built.output]
    promise = built.blocks[0].promise
    assert abs(Fraction(float(output[0])) + total) <= Fraction(promise.total.rounding)
    [probe] = built.probe(history)
    assert probe.error <= promise.total.whole


def test_losses_that_are_no_numbers_are_refused_in_one_line():
    spec = hedge.Spec(2, 3)
    with pytest.raises(ValueError, match=r"contexts: wanted action norms in \[0, 1\], got 2"):
        hedge.build(spec).log_probabilities(BanditHistory([[[2.0], [0.0]]], [], []))
    with pytest.raises(ValueError, match="contexts: wanted one number an arm, its loss, got vectors of 2"):
        algorithms.hedge(spec, BanditHistory(np.ones((1, 2, 2)), [], []))
    player = algorithms.hedge_decoder(spec)
    player.observe([[0.0], [0.0]])
    with pytest.raises(ValueError, match="observe: wanted the pending decision recorded first"):
        player.observe([[0.0], [0.0]])


def test_the_arms_on_offer_are_played_as_if_there_were_no_others():
    losses = np.random.default_rng(4).random((5, 3))
    history = histories.seen(losses, np.zeros(5, int))
    found = hedge.build(SPEC).log_probabilities(history, offered=[True, False, True])
    fewer = BanditHistory(history.contexts[:, [0, 2]], history.actions, history.rewards)
    two = hedge.build(hedge.Spec(2, SPEC.horizon, SPEC.rate))
    np.testing.assert_allclose(found[:, [0, 2]], two.log_probabilities(fewer), atol=1e-13)


def test_every_outline_is_admissible_and_shrinks_to_steps():
    for outline in histories.battery(SPEC, 2):
        losses = outline.losses(SPEC)
        assert losses.shape == (SPEC.horizon, SPEC.actions)
        assert 0 <= losses.min() <= losses.max() <= 1
        assert (outline.history(SPEC).contexts[1:, :, 0] == losses[:-1]).all()
    assert isinstance(histories, Stepwise)
