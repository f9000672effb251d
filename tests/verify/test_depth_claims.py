"""The claims of docs/depth.md on sizes, at small ones; each fails on something broken."""

from dataclasses import replace

import pytest

from constructions import linucb, thompson
from constructions.linucb import by_newton
from constructions.thompson import by_newton as root_by_newton
from verify.claims import depth
from verify.theorems import newton

SPEC = linucb.Spec(dim=2, actions=2, horizon=10, solver="newton", error=1e-2)
DRAWN = thompson.Spec(dim=2, actions=3, horizon=10, form="sampling")
LINES = thompson.Spec(dim=2, actions=4, horizon=12, nodes=8)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(depth, "HORIZONS", [100, 1000])
    monkeypatch.setattr(depth, "ERRORS", (1e-2,))
    monkeypatch.setattr(depth, "LONG", 30)
    monkeypatch.setattr(depth, "ROUNDED", (10, 30))
    monkeypatch.setattr(depth, "RIDGES", [1.0, 1e-6])


def failing(verdicts) -> str:
    """The claims that do not hold."""
    return "; ".join(verdict.claim for verdict in verdicts if not verdict.holds)


def deeper(monkeypatch, module, extra):
    """Plans with more steps than are needed from now on, by horizon."""
    right = module.plan

    def wrong(spec, *budget):
        chosen, more = right(spec, *budget), extra(spec.horizon)
        if budget:
            return replace(chosen, steps=chosen.steps + more)
        return (chosen[0] + more, *chosen[1:])

    monkeypatch.setattr(module, "plan", wrong)


def test_all_hold():
    verdicts = [*depth.linucb_verdicts(SPEC), *depth.thompson_verdicts(DRAWN, LINES)]
    assert len(verdicts) == 2 + 2 + 9 + 2 + 9 + 3
    assert not failing(verdicts)


@pytest.mark.nightly
def test_rounding_is_held_to_its_bound_and_the_policy_to_its_certificate(monkeypatch):
    found = depth.rounding(SPEC)
    assert len(found.verdicts) == 3
    assert len(found.records["rounding"]) == 2
    assert not failing(found.verdicts)
    monkeypatch.setattr(depth.numerics, "STEP", 1e-3)  # a bound that promises too much
    assert "rounding of X_k" in failing(depth.rounding(SPEC).verdicts)
    monkeypatch.setitem(depth.numerics.PRECISIONS, "float64", depth.numerics.PRECISIONS["float32"])
    assert "error over certificate" in failing(depth.rounding(SPEC).verdicts)


def test_one_layer_too_many_is_noticed(monkeypatch):
    deeper(monkeypatch, by_newton, lambda horizon: 1)
    assert "T=1,000: layers" in failing(depth.linucb_verdicts(SPEC))


def test_depth_that_grows_too_fast_is_noticed(monkeypatch):
    deeper(monkeypatch, by_newton, lambda horizon: horizon // 100)
    found = failing(depth.linucb_verdicts(SPEC))
    assert "per factor of 10" in found
    assert "multiple of the least" in found
    assert "polynomial method, most" in found


def test_a_transformer_below_the_lower_bound_would_refute_it(monkeypatch):
    deeper(monkeypatch, by_newton, lambda horizon: -6 * (horizon >= 100))
    assert "polynomial method, least" in failing(depth.linucb_verdicts(SPEC))


def test_other_sizes_are_held(monkeypatch):
    for name, size in (("heads", 1), ("width", 1), ("hidden", 0), ("norm", 1)):
        theorem = replace(
            newton.THEOREM_B, size={**newton.THEOREM_B.size, name: newton.sympy.Integer(size) + 1}
        )
        monkeypatch.setattr(newton, "THEOREM_B", theorem)
        assert f"{name} over stated" in failing(depth.thompson_verdicts(DRAWN, LINES))


def test_a_root_with_too_many_steps_is_noticed(monkeypatch):
    deeper(monkeypatch, root_by_newton, lambda horizon: 4)
    found = failing(depth.thompson_verdicts(DRAWN, LINES))
    assert "sampling form by Newton, d=2, A=3, ε=0.001, T=100: layers" in found
    assert "lines by Newton, d=2, A=4, T=12: layers" in found
