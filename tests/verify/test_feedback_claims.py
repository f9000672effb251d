"""The claims of EXP3 at small sizes, and that each fails on something broken."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest

from constructions.games import exp3
from verify import algorithms
from verify.claims import feedback as claims
from verify.claims import games
from verify.histories import losses as loss_histories
from verify.theorems import games as theorem

SPEC = exp3.Spec(3, 40)


def times(built, factor):
    """The weights of the head multiplied, which are then promised as if they were right."""
    transformer = copy.deepcopy(built.transformer)
    transformer.get_parameter("layers.0.attention.groups.0.value.weight").mul_(factor)
    return replace(built, transformer=transformer, seal="")


def test_regret_is_within_the_bound_and_near_it():
    found = claims.regret(exp3.build(SPEC), 11)
    assert found.holds
    assert found.certified / 3 < found.measured <= found.certified <= found.stated
    assert found.rounding < 1e-8


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_a_player_that_learns_nothing_or_the_wrong_thing_is_seen(factor):
    assert not claims.regret(times(exp3.build(replace(SPEC, horizon=120)), factor), 11).holds


def test_regret_is_that_of_odds_by_hand():
    """Two rounds: even odds, then those after the arm that was played lost 1: exp(−η/p) against 1, p = 1/2."""
    spec = exp3.Spec(2, 2, rate=0.5)
    outline = loss_histories.LossOutline("one best", 2, 0)
    [costs] = claims.cost(exp3.build(spec), [outline])
    loses = int(outline.losses(spec)[0].argmax())
    less = np.exp(-0.5 * 2) / (1 + np.exp(-0.5 * 2))
    assert {round(one, 12) for one in costs} == {1.0, round(0.5 + less, 12)}, loses


def game(spec, past, rest, beside):
    """What the best adversary gains from here on, of the true algorithm: all losses tried, one play after the other."""
    if not rest:
        return 0.0
    policy = np.exp(spec.rate * -np.array(past))
    policy /= policy.sum()
    best = -np.inf
    for losses in itertools.product((0, 1), repeat=spec.actions):
        gained = -losses[beside]
        for arm, odds in enumerate(policy):
            after = [total + (n == arm) * losses[n] / max(odds, spec.least) for n, total in enumerate(past)]
            gained += odds * (losses[arm] + game(spec, after, rest - 1, beside))
        best = max(best, gained)
    return best


@pytest.mark.parametrize("spec", [exp3.Spec(2, 4), exp3.Spec(3, 2), exp3.Spec(2, 3, rate=2.0, least=0.4)])
def test_the_worst_adversary_is_that_of_the_game_played_out(spec):
    wanted = max(game(spec, [0.0] * spec.actions, spec.horizon, arm) for arm in range(spec.actions))
    assert claims.worst(exp3.build(spec)) == pytest.approx(wanted, rel=1e-12)


def test_the_worst_adversary_is_within_the_bound_and_sees_who_does_not_learn():
    """An adversary of one who plays evenly for ever gains T (N − 1)/N."""
    found = claims.adversary(exp3.build(exp3.Spec(2, 5)))
    assert found.holds
    assert found.certified / 3 < found.measured <= found.certified <= found.stated
    still = times(exp3.build(exp3.Spec(2, 5)), 0.0)
    assert claims.worst(still) == pytest.approx(2.5)
    assert games.certain(still, exp3.regret) == found.certified  # promised as if it were right


def test_losses_that_are_not_divided_are_another_algorithm():
    assert claims._unweighted().measured > 1e6
    history = claims.ROW.histories.told(SPEC, [(0, 1, 1), (1, 1, 1)], 0)
    assert (claims.unweighted(SPEC, history) == algorithms.exp3(SPEC, history)).all()


def test_what_is_stated_by_hand():
    """√(2 · 200 · 2 log 2) = 23.548…; with that rate the two forms are one."""
    numbers = {"actions": 2, "horizon": 200}
    tuned = theorem.EXP3_TUNED.evaluate("error", **numbers)
    assert tuned == pytest.approx(23.548200450309494)
    assert theorem.EXP3_REGRET.evaluate("error", rate=exp3.Spec(2, 200).rate, **numbers) == pytest.approx(
        tuned
    )
    assert theorem.EXP3.evaluate("width", actions=5) == 21


def test_the_plan_is_whole():
    report = claims.plan(20, 4).report()
    assert report.holds
    main = [verdict.claim for verdict in report.verdicts if verdict.main]
    for what in ("log-probability error", ": layers", "sequences of losses", "adversaries", "10 % off"):
        assert sum(what in claim for claim in main) == 1, what
    assert sum("worst error over what is allowed" in verdict.claim for verdict in report.verdicts) == 4
    assert report.size["layers"] == 1
