"""The claims of prediction from a past of pairs at small sizes, and that each fails on something broken."""

import copy
from dataclasses import replace

import pytest

from constructions.prediction import binary, ridge, td, validated
from verify.claims import prediction as claims
from verify.theorems import prediction as theorem


def test_the_plan_is_whole():
    report = claims.plan(20, 4).report()
    assert report.holds
    assert len([verdict for verdict in report.verdicts if verdict.main]) == 5
    assert report.size["layers"] == 9


def test_the_plan_of_lasso_is_whole():
    report = claims.lasso_plan(20, 4).report()
    assert report.holds
    assert len([verdict for verdict in report.verdicts if verdict.main]) == 4


def test_the_plan_of_ridge_regression_is_whole():
    report = claims.ridge_plan(20, 4).report()
    assert report.holds
    assert len([verdict for verdict in report.verdicts if verdict.main]) == 5
    assert {verdict.measured for verdict in report.verdicts if "layers, beside" in verdict.claim} == {7}


def test_the_plan_of_a_chosen_penalty_is_whole():
    report = claims.validated_plan(20, 4).report()
    assert report.holds
    assert len([verdict for verdict in report.verdicts if verdict.main]) == 5


def test_the_plan_of_the_binary_test_is_whole():
    report = claims.binary_plan(20, 4).report()
    assert report.holds
    main = [verdict.claim for verdict in report.verdicts if verdict.main]
    for what in ("|error| of distance and test, 216", "not 1 for 0 and 1 alone", "heads, beside", "10 % off"):
        assert sum(what in claim for claim in main) == 1, what
    assert {v.measured for v in report.verdicts if "heads" in v.claim} == {4}


@pytest.mark.parametrize("factor", [1 + 2**-40, 0.5])
def test_a_binary_test_that_is_wrong_is_seen(monkeypatch, factor):
    """By a part in a trillion in rational arithmetic; by half, what it says of responses is wrong too."""
    monkeypatch.setattr(claims.binary, "build", damaged(binary.build, factor))
    error, says = claims.told(claims.BINARY.main)
    assert not error.holds
    assert says.holds == (factor > 1)


def test_a_binary_test_with_too_flat_a_slope_is_seen(monkeypatch):
    """A response a quarter from both is then told from 0 and 1 by a quarter alone."""
    spec, build = claims.BINARY.main, binary.build
    monkeypatch.setattr(claims.binary, "build", lambda _: build(replace(spec, margin=4 * spec.margin)))
    _, says = claims.told(spec)
    assert not says.holds
    *sizes, heads = claims.tested(spec)
    assert heads.stated == 6
    assert all(one.holds for one in [*sizes, heads])


def test_a_loss_above_the_least_is_seen(monkeypatch):
    """A selection with a slope of 1/16 in place of 4 lets in losses of up to 16 above the least."""
    spec, build = claims.VALIDATED.main, validated.build
    monkeypatch.setattr(claims.validated, "build", lambda spec: build(replace(spec, margin=16.0)))
    assert not next(iter(claims.chosen(spec, 20))).holds


def test_a_depth_above_the_other_theorem_s_is_seen():
    *_, beside = claims.layers(ridge.Spec(dim=2, horizon=8, solver="gd"))
    assert not beside.holds


def damaged(build, factor):
    """Sweeps whose values are multiplied, promised as if they were right."""

    def made(spec):
        built = build(spec)
        transformer = copy.deepcopy(built.transformer)
        transformer.get_parameter("layers.0.attention.groups.0.value.weight").mul_(factor)
        return replace(built, transformer=transformer, seal="")

    return made


def test_sweeps_that_are_wrong_are_seen(monkeypatch):
    monkeypatch.setattr(claims.td, "build", damaged(td.build, 1.01))
    error, *_ = claims._searched(*claims.ALL[0], 20).verdicts
    assert not error.holds


def test_sizes_that_are_wrong_are_seen():
    name, spec, _ = claims.ALL[2]
    found = {verdict.claim: verdict for verdict in claims._searched(name, spec, theorem.TD, 20).verdicts}
    assert not found["TD(λ), d=3, T=25, 8 sweeps: layers"].holds


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_what_is_stated_is_what_is_built(keep):
    spec = td.Spec(features=4, horizon=20, actions=3, sweeps=5, trace=keep)
    size, statement = td.build(spec).size(), theorem.TRACES if keep else theorem.TD
    numbers = {"dim": 4, "depth": 5, "actions": 3}
    for what in statement.size:
        assert getattr(size, what) == statement.evaluate(what, **numbers)
