"""What is claimed of Thompson sampling by softmax: its formula is the certificate's, and the audit holds."""

import math
from dataclasses import replace

import pytest

from constructions import thompson
from constructions.language.averages_plan import Products
from constructions.rounding.outward import balls
from constructions.thompson import by_softmax, softmax_plan
from verify import audit
from verify.balls import linear
from verify.claims import softmax_thompson as claims
from verify.theorems import softmax as theorem
from verify.theorems import symbols

WIDE = 1 + 2e-6
"""Bounds as wide as the door is are a millionth wider; the formula is taken at those."""


def told(plan: softmax_plan.SoftmaxPlan) -> theorem.Chosen:
    """What a plan has chosen, in the letters of Theorem 3."""
    made = plan.found.products
    five = made.outer, made.turn, made.mean, made.square, plan.length
    gates = *(one.gate for one in five[:4]), made.share, plan.length.gate
    factors = tuple(one.b for one in five)
    return theorem.Chosen(len(plan.found.chosen.errors), factors, gates, plan.root.error, plan.tail)


def stated(spec: thompson.SoftmaxSpec, chosen: theorem.Chosen) -> float:
    """The theorem's bound for the spec's bounds as the door has them."""
    low, high = spec.action_norm
    wide = {"action_min": low / WIDE, "action_max": high * WIDE, "weight_norm": spec.weight_norm * WIDE}
    wide |= {"noise_bound": spec.noise_bound * WIDE, "separation": spec.separation / WIDE}
    return theorem.thompson_error(chosen, **symbols(spec) | wide)


@pytest.mark.parametrize(
    "spec",
    [
        claims.MAIN,
        claims.LONG,
        thompson.SoftmaxSpec(1, 2, 1, 0.1, action_norm=(2.0, 3.0)),
        thompson.SoftmaxSpec(3, 2, 1000, 0.01, separation=0.5, action_norm=(0.5, 1.0), weight_norm=1.0),
    ],
)
@pytest.mark.parametrize("finer", [1.0, 2.0])
def test_the_certificate_is_the_theorem_s(spec, finer):
    """Near above it, for factors that are chosen and for some so large that products are what is off."""
    with balls(53):
        plan = softmax_plan.plan(spec)
        found = replace(plan.found, products=Products.of(spec, plan.found.vectors, finer))
        plan = plan if finer == 1 else replace(plan, found=found)
        assert plan.found.holds
        built = by_softmax.written(plan)
    assert math.isclose(built.certificate, stated(spec, told(plan)), rel_tol=1e-4)


def test_the_formula_is_infinite_where_the_theorem_says_nothing():
    spec = claims.MAIN
    with balls(53):
        chosen = told(softmax_plan.plan(spec))
    assert math.isfinite(stated(spec, chosen))
    assert stated(spec, replace(chosen, steps=1)) == math.inf
    assert stated(spec, replace(chosen, factors=(1.0, *chosen.factors[1:]))) == math.inf
    assert stated(spec, replace(chosen, factors=(*chosen.factors[:4], 1.0))) == math.inf
    assert stated(spec, replace(chosen, gates=(*chosen.gates[:4], 1.0, chosen.gates[5]))) == math.inf
    assert stated(spec, replace(chosen, gates=(*chosen.gates[:5], 1.0))) == math.inf


@pytest.mark.parametrize("what", ["steps", "factors", "root", "tail", "gates"])
def test_each_choice_enters_the_formula_and_the_better_one_leaves_less(what):
    with balls(53):
        chosen = told(softmax_plan.plan(claims.LONG))
    if what == "gates":
        coarse = replace(chosen, gates=(*chosen.gates[:4], 14.0, chosen.gates[5]))
        assert stated(claims.LONG, chosen) < stated(claims.LONG, coarse) < math.inf
        return
    finer = {"steps": chosen.steps + 1, "factors": tuple(b / 2 for b in chosen.factors)}
    finer |= {"root": chosen.root / 2, "tail": chosen.tail / 2}
    assert stated(claims.LONG, replace(chosen, **{what: finer[what]})) < stated(claims.LONG, chosen)


@pytest.mark.parametrize("horizon", [1, 7, 50, 3000])
@pytest.mark.parametrize("noise", [0.3, 1.0, 40.0])
def test_sizes_are_those_of_the_theorem(horizon, noise):
    spec = thompson.SoftmaxSpec(
        2, 2, horizon, 0.05, noise_variance=noise, separation=0.1, action_norm=(0.5, 1.0), weight_norm=1.0
    )
    assert [verdict.claim for verdict in claims.sizes(spec) if not verdict.holds] == []


def test_ten_thousand_steps_are_certified():
    assert [verdict.claim for verdict in claims.long() if not verdict.holds] == []


def test_two_hundred_steps_are_searched():
    verdict = claims.searched(3)
    assert verdict.holds
    assert verdict.measured > 0
    assert not replace(verdict, certified=verdict.measured / 2, rounding=0.0).holds


def test_an_error_is_that_of_exact_arithmetic():
    built = thompson.build(replace(claims.MAIN, horizon=4))
    history = claims.ROW.histories.battery(built.spec)[0].history(built.spec)
    found = audit.enclose(built, linear.thompson, history)
    assert found.holds
    assert 0 < found.exact_low <= found.exact_high <= built.certificate
    assert math.isclose(found.exact_high, found.float64_high, rel_tol=1e-4)


@pytest.mark.nightly
def test_the_whole_audit_holds():
    report = claims.plan(400, 40).report()
    assert [verdict.claim for verdict in report.verdicts if not verdict.holds] == []


@pytest.mark.nightly
def test_two_thousand_histories_of_two_hundred_steps_and_the_worst_enclosed():
    built = thompson.build(claims.LONG)
    found = audit.search(built, claims.ROW.truth, 2000, 20, claims.ROW.histories)
    assert found.error <= built.certificate + built.rounding
    assert audit.enclosed(built, claims.ROW.balls, found.outline, found.step) <= built.certificate
