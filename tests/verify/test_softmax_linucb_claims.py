"""What is claimed of LinUCB by softmax: its formula is the certificate's, and the audit holds; the whole of it by night."""

import math
from dataclasses import replace

import pytest

from constructions import linucb
from constructions.language.averages_plan import Plan, Products
from constructions.linucb import by_softmax, softmax_plan
from constructions.rounding.outward import balls
from verify.claims import softmax_linucb as claims
from verify.theorems import softmax_errors as theorem
from verify.theorems import symbols

WIDE = 1 + 2e-6
"""Bounds as wide as the door is are a millionth wider; the formula is taken at those."""


def told(plan: Plan, root: float) -> theorem.Chosen:
    """What a plan has chosen, in the letters of Theorem 2."""
    four = plan.products.outer, plan.products.turn, plan.products.mean, plan.products.square
    gates = *(one.gate for one in four), plan.products.share
    return theorem.Chosen(len(plan.chosen.errors), tuple(one.b for one in four), gates, root)


def stated(spec: linucb.SoftmaxSpec, chosen: theorem.Chosen) -> float:
    """The theorem's bound for the spec's bounds as the door has them."""
    low, high = spec.action_norm
    wide = {"action_min": low / WIDE, "action_max": high * WIDE, "weight_norm": spec.weight_norm * WIDE}
    wide["noise_bound"] = spec.noise_bound * WIDE
    return theorem.linucb_error(chosen, **symbols(spec) | wide)


@pytest.mark.parametrize(
    "spec",
    [
        claims.MAIN,
        claims.LONG,
        linucb.SoftmaxSpec(3, 2, 1, 0.1, action_norm=(2.0, 3.0)),
        linucb.SoftmaxSpec(2, 4, 30, 1e-2, ridge=50.0, temperature=0.5, exploration=0.1),
        linucb.SoftmaxSpec(4, 3, 1000, 1e-2, ridge=0.5, noise_bound=0.5),
    ],
)
@pytest.mark.parametrize("finer", [1.0, 4.0])
def test_the_certificate_is_the_theorem_s(spec, finer):
    """Near above it, for factors that are best and for some so large that products are what is off."""
    with balls(53):
        plan, root = softmax_plan.plan(spec)
        plan = replace(plan, products=Products.of(spec, plan.vectors, finer))
        assert plan.holds
        built = by_softmax.written(plan, root)
    bound = stated(spec, told(plan, root))
    assert built.certificate <= bound * (1 + 1e-5) < built.certificate * (1.2 if finer == 1 else 1.01) + 1e-9


def test_the_formula_is_infinite_where_the_theorem_says_nothing():
    spec = claims.MAIN
    with balls(53):
        plan, root = softmax_plan.plan(spec)
    chosen = told(plan, root)
    assert math.isfinite(stated(spec, chosen))
    assert stated(spec, replace(chosen, steps=1)) == math.inf
    assert stated(spec, replace(chosen, factors=(1.0, *chosen.factors[1:]))) == math.inf
    assert stated(spec, replace(chosen, gates=(1.0,) * 5)) == math.inf


def test_a_smaller_factor_a_larger_gate_and_another_step_leave_less():
    with balls(53):
        plan, root = softmax_plan.plan(claims.LONG)
    chosen = told(plan, root)
    for change in ({"steps": chosen.steps + 1}, {"factors": tuple(b / 2 for b in chosen.factors)}):
        assert stated(claims.LONG, replace(chosen, **change)) < stated(claims.LONG, chosen)


@pytest.mark.parametrize("horizon", [1, 7, 50, 3000])
@pytest.mark.parametrize("ridge", [0.3, 1.0, 40.0])
def test_sizes_are_those_of_the_theorem(horizon, ridge):
    spec = linucb.SoftmaxSpec(2, 3, horizon, 0.01, ridge=ridge, temperature=1.0)
    assert [verdict.claim for verdict in claims.sizes(spec) if not verdict.holds] == []
