"""The claims of Thompson sampling and the records of their figures, at small sizes; each fails on something broken."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from constructions import thompson
from verify import algorithms
from verify.audit import measure
from verify.claims import thompson as claims
from verify.histories.linear import battery
from verify.show import plots
from verify.sweeps import thompson as posterior_sweeps

SMALL = thompson.Spec(dim=2, actions=3, horizon=12, nodes=64, separation=0.05)
DRAWN = replace(SMALL, form="sampling", error=1e-3)
TWO = thompson.Spec(dim=2, actions=2, horizon=6, error=1e-2, separation=0.05)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, spec in (("MAIN", SMALL), ("SAMPLED", DRAWN), ("ACTING", replace(DRAWN, solver="zolotarev"))):
        monkeypatch.setattr(claims, name, spec)
    monkeypatch.setattr(claims, "HORIZONS", [10, 30, 100, 300])


def spoiled(monkeypatch, factor: float = 1.2):
    """Every construction that is built from now on has the values of its heads scaled in its last layer with heads."""
    build = thompson.build

    def wrong(spec):
        built = build(spec)
        layers = [layer for layer in built.transformer.stored_layers if layer.attention.heads]
        with torch.no_grad():
            for group in layers[-1].attention.stored_groups:
                group.value.weight.mul_(factor)
        return replace(built, seal="")  # sealed as it is: it promises what it does not keep

    monkeypatch.setattr(thompson, "build", wrong)


@pytest.mark.nightly
def test_the_policy_is_held_against_the_oracle_and_against_its_own_lines(monkeypatch):
    title = ("total variation, mean", "total variation, worst", "log TS", "|log TF − log P̄|")
    found = list(claims._policy())
    for verdict, words in zip(found, title, strict=True):
        assert words in verdict.claim
    *_, lines = found
    assert lines.holds
    spoiled(monkeypatch, 2.0)
    *_, lines = claims._policy()
    assert not lines.holds


def test_sampled_actions_are_compared_draw_by_draw(monkeypatch):
    assert all(verdict.holds for verdict in claims._sampling(2, 3))
    spoiled(monkeypatch, -1.0)
    error, same, margin = claims._sampling(2, 3)
    assert not error.holds
    assert not same.holds
    assert not margin.holds


def test_two_arms_are_held_to_their_certificate(monkeypatch):
    spec = replace(TWO, separation=1e-3)
    right = claims._two_arms(spec)
    assert right.holds
    assert 0 < right.enclosed <= right.certified
    spoiled(monkeypatch)
    wrong = claims._two_arms(spec)
    assert not wrong.holds
    assert wrong.enclosed > wrong.certified


def test_lines_are_held_to_their_certificate(monkeypatch):
    def searched():
        built = thompson.build(replace(SMALL, nodes=16))
        findings = measure(built, claims.line_policy, battery(built.spec)[::24])
        return claims._searched(built, findings, "lines")

    policy, *blocks = searched()
    assert policy.holds
    assert 0 < policy.enclosed <= policy.certified
    assert not [verdict.claim for verdict in blocks if not verdict.holds]
    spoiled(monkeypatch, 2.0)
    policy, *_ = searched()
    assert not policy.holds
    assert policy.enclosed > policy.certified


def test_sizes_grow_as_the_theorem_says_and_stay_below_its_proof(monkeypatch):
    sizes = posterior_sweeps.sizes(SMALL, claims.HORIZONS)
    assert all(verdict.holds for verdict in claims._orders(sizes))
    sizes["pade"]["poles"] = [n**2 for n in sizes["pade"]["poles"]]
    assert [v.holds for v in claims._orders(sizes) if v.claim.startswith("poles in T")] == [False]


def test_regret_of_the_transformer_is_that_of_the_true_algorithm():
    record = posterior_sweeps.regret(claims.ACTING, range(3), "small")
    verdict = claims._regret(record)
    assert verdict.holds
    assert record["differing"] == 0
    assert record["built"] == record["true"]
    verdict = claims._regret(record | {"built": [1e9]})
    assert not verdict.holds


def test_the_mean_over_lines_tends_to_the_truth():
    [history] = posterior_sweeps.runs(SMALL, 1)
    many = np.exp(claims.line_policy(replace(SMALL, nodes=4096), history))
    values = algorithms.thompson_values(SMALL, history)
    true = algorithms.choice_probabilities(values.whitened, values.mean)
    assert np.abs(many - true.probabilities).max() < 0.01
    one = np.exp(claims.line_policy(replace(SMALL, nodes=1), history))
    assert np.abs(one - true.probabilities).max() > 0.1


def test_distances_and_shortfalls_are_those_of_their_definitions():
    [history] = posterior_sweeps.runs(SMALL, 1)
    found = posterior_sweeps.Posteriors.along(SMALL, [history], np.array([0, 5]))
    true = found.true.probabilities
    assert found.distance(true).tolist() == [0.0, 0.0]
    half = np.where(np.arange(3) == 0, true / 2, true)
    assert found.distance(half) == pytest.approx(true[:, 0] / 4)
    assert found.shortfall(half)[0] == pytest.approx(np.log(2))
    assert found.some(np.array([1]), 64).mean.shape == (1, 3)


def test_every_record_can_be_drawn():
    histories = posterior_sweeps.runs(SMALL, 2)
    truth = posterior_sweeps.Posteriors.along(SMALL, histories, np.array([0, 4, 11]))
    records = [
        *posterior_sweeps.error_against_nodes(SMALL, [8, 64], truth, [0]),
        posterior_sweeps.error_against_poles(SMALL, [1, 2, 4]),
        posterior_sweeps.error_against_depth(SMALL, [20, 60], histories),
        *posterior_sweeps.size_panels([10, 30], posterior_sweeps.sizes(SMALL, [10, 30])),
        *posterior_sweeps.picture(SMALL, [1, 4]),
    ]
    for record in records:
        plots.draw(record)
    errors = {curve["label"]: curve["y"] for curve in records[0]["curves"]}
    assert errors["lines, Sobol’"][-1] < errors["points, independent"][-1]
    poles = {curve["label"]: curve["y"] for curve in records[2]["curves"]}
    for name in ("Padé", "Zolotarev"):
        assert all(
            m <= c * (1 + 1e-9)
            for m, c in zip(poles[f"{name}, measured"], poles[f"{name}, certified"], strict=True)
        )
