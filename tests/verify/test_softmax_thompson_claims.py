"""What is claimed of Thompson sampling by softmax: its formula is the certificate's, and the audit holds."""

import math
from dataclasses import replace

import pytest

from constructions import thompson
from constructions.language.averages_plan import Plan, Products
from constructions.rounding.outward import balls
from constructions.thompson.softmax import plan as softmax_plan
from constructions.thompson.softmax import sampling, two_arms
from verify.claims import softmax_thompson as claims
from verify.theorems import softmax_errors as theorem
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
        built = two_arms.written(plan)
    assert math.isclose(built.certificate, stated(spec, told(plan)), rel_tol=1e-4)


SAMPLED = (
    claims.SAMPLED,
    thompson.SoftmaxSpec(1, 3, 1, 0.1, "sampling", action_norm=(2.0, 3.0)),
    thompson.SoftmaxSpec(2, 2, 300, 0.01, "sampling", noise_variance=0.5),
)


def told_sampling(plan: sampling.SamplingPlan) -> tuple[theorem.Chosen, list[theorem.Pole], float]:
    """What a plan has chosen, in the letters of Theorem 4."""

    def letters(one) -> theorem.Chosen:
        four = one.products.outer, one.products.turn, one.products.mean, one.products.square
        gates = *(product.gate for product in four), one.products.share
        return theorem.Chosen(len(one.chosen.errors), tuple(product.b for product in four), gates, 0.0)

    weights, shifts = plan.rule.weights.tolist(), plan.rule.shifts.tolist()
    poles = [
        theorem.Pole(*pair, letters(one)) for *pair, one in zip(weights, shifts, plan.poles, strict=True)
    ]
    return letters(plan.mean), poles, plan.rule.error


def stated_sampling(spec: thompson.SoftmaxSpec, chosen: theorem.Chosen, poles: list, near: float) -> float:
    """The theorem's bound for the spec's bounds as the door has them."""
    wide = {"action_max": spec.action_norm[1] * WIDE, "weight_norm": spec.weight_norm * WIDE}
    wide |= {"noise_bound": spec.noise_bound * WIDE, "draw_norm": spec.draw_norm * WIDE}
    return theorem.sampling_error(chosen, poles, near, **symbols(spec) | wide)


@pytest.mark.parametrize("spec", SAMPLED)
def test_the_certificate_of_a_sample_is_the_theorem_s(spec):
    with balls(53):
        plan = sampling.plan(spec)
        built = sampling.written(plan)
    chosen, poles, near = told_sampling(plan)
    assert math.isclose(built.certificate, stated_sampling(spec, chosen, poles, near), rel_tol=1e-4)
    assert stated_sampling(spec, replace(chosen, factors=(1.0, *chosen.factors[1:])), poles, near) == math.inf
    closer = replace(poles[0].chosen, steps=poles[0].chosen.steps + 1)
    finer = [replace(poles[0], chosen=closer), *poles[1:]]
    assert stated_sampling(spec, chosen, finer, near) < stated_sampling(spec, chosen, poles, near)
    open_gate = replace(poles[0].chosen, gates=(*poles[0].chosen.gates[:4], 1.0))
    assert stated_sampling(spec, chosen, [replace(poles[0], chosen=open_gate)], near) == math.inf


def test_the_sampling_form_is_searched():
    failing = [verdict.claim for verdict in claims.sampled(3) if not verdict.holds]
    assert failing == []


def ajar(found: Plan, gate: float, share: float) -> Plan:
    """The same with gates that let something through."""
    made = found.products
    names = ("outer", "turn", "mean", "square")
    products = {name: replace(getattr(made, name), gate=gate) for name in names}
    return replace(found, products=replace(made, share=share, **products))


def test_what_gates_let_through_is_in_the_certificate_as_the_theorem_has_it():
    """Of gates as they are chosen nothing would be seen."""
    spec = thompson.SoftmaxSpec(
        2, 2, 12, 0.01, action_norm=(0.5, 1.0), separation=0.1, weight_norm=1.0, noise_bound=1.0
    )
    with balls(53):
        plan = softmax_plan.plan(spec)
        whole = two_arms.written(plan).certificate
        for gates in ((44.0, 9.0), (14.0, 44.0)):
            found = ajar(plan.found, *gates)
            assert found.holds
            opened = replace(plan, found=found, length=replace(plan.length, gate=14.0))
            certificate = two_arms.written(opened).certificate
            assert math.isclose(certificate, stated(spec, told(opened)), rel_tol=1e-4)
            assert certificate > whole * (1 + 1e-3)
        drawn = thompson.SoftmaxSpec(2, 3, 12, 0.01, "sampling", action_norm=(0.5, 1.0), weight_norm=1.0)
        sampled = sampling.plan(drawn)
        for gates in ((44.0, 9.0), (14.0, 44.0)):
            poles = tuple(ajar(pole, *gates) for pole in sampled.poles)
            opened = replace(sampled, mean=ajar(sampled.mean, *gates), poles=poles)
            assert math.isclose(opened.error, stated_sampling(drawn, *told_sampling(opened)), rel_tol=1e-4)
            assert opened.error > sampled.error * (1 + 1e-3)


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
