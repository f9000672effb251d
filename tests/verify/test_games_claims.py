"""The claims of Hedge at small sizes, and that each fails on something broken."""

import copy
from dataclasses import replace

import pytest

from constructions.games import hedge
from verify import algorithms
from verify.claims import games as claims
from verify.theorems import games as theorem

SPEC = hedge.Spec(4, 60)


def times(built, factor):
    """The weights of the head multiplied, which are then promised as if they were right."""
    transformer = copy.deepcopy(built.transformer)
    transformer.get_parameter("layers.0.attention.groups.0.value.weight").mul_(factor)
    return replace(built, transformer=transformer, seal="")


def test_regret_is_within_the_bound_and_near_it():
    found = claims.regret(hedge.build(SPEC), 60)
    assert found.holds
    assert found.certified / 2 < found.measured <= found.certified <= found.stated
    assert found.rounding < 1e-9


@pytest.mark.parametrize("factor", [-1.0, 0.0, 30.0])
def test_a_player_that_does_not_learn_or_learns_the_wrong_thing_is_seen(factor):
    assert not claims.regret(times(hedge.build(SPEC), factor), 60).holds


def test_two_players_are_within_the_bound_and_near_it():
    for found in claims.met(30, 3, 10):
        assert found.holds
        assert found.certified / 5 < found.measured <= found.certified <= found.stated


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_players_that_do_not_learn_are_seen(monkeypatch, factor):
    build = hedge.build
    monkeypatch.setattr(claims.hedge, "build", lambda spec: times(build(spec), factor))
    assert not any(found.holds for found in claims.met(200, 3, 10))


def test_a_value_that_is_wrong_is_seen(monkeypatch):
    solve = algorithms.equilibrium

    def wrong(game):
        found = solve(game)
        return replace(found, low=found.low + 0.5, high=found.high + 0.5)

    monkeypatch.setattr(claims.algorithms, "equilibrium", wrong)
    _, value = claims.met(200, 3, 10)
    assert not value.holds


def test_weights_that_are_changed_are_certified_nothing():
    built = hedge.build(SPEC)
    built.transformer.get_parameter("layers.0.attention.groups.0.value.weight").data.mul_(1.1)
    assert claims.certain(built) == float("inf")


def test_what_is_stated_by_hand():
    """8 log 2/200: with that rate the two forms are one; √(100 log 2) = 8.3255…"""
    numbers = {"actions": 2, "horizon": 200}
    tuned = theorem.REGRET_TUNED.evaluate("error", **numbers)
    assert tuned == pytest.approx(8.325546111576977)
    assert theorem.REGRET.evaluate("error", rate=hedge.Spec(2, 200).rate, **numbers) == pytest.approx(tuned)
    assert theorem.GAP.evaluate("error", **numbers) == pytest.approx(2 * tuned / 200)
    assert theorem.VALUE.evaluate("error", **numbers) == pytest.approx(tuned / 200)
    assert theorem.EXACT.evaluate("width", actions=10) == 25


def test_the_plan_is_whole():
    report = claims.plan(20, 4).report()
    assert report.holds
    main = [verdict.claim for verdict in report.verdicts if verdict.main]
    for what in ("log-probability error", ": layers", ": regret", "best replies", "value", "10 % off"):
        assert sum(what in claim for claim in main) == 1, what
    assert sum("10 × 10" in verdict.claim for verdict in report.verdicts) == 2 * len(claims.ROUNDS)
    assert sum("worst error over what is allowed" in verdict.claim for verdict in report.verdicts) == 3
    assert report.size["layers"] == 1
