"""What rounding does to Newton's iteration: the yardsticks are right, and the iteration corrects itself."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions import linucb
from constructions.history import BanditHistory
from constructions.parts.block import UNIT
from verify import algorithms
from verify.histories.linear import outlines
from verify.show import plots
from verify.sweeps import rounding as numerics
from verify.sweeps.linucb import hard_histories

SPEC = linucb.Spec(dim=2, actions=3, horizon=40, solver="newton")
HISTORIES = hard_histories(SPEC)


@given(st.data())
def test_the_policy_in_balls_is_true_linucb(data):
    """Cholesky's method loses κ ≈ 200 units in the last place of scores of size ≤ 100."""
    history = data.draw(outlines(SPEC)).history(SPEC)
    true = algorithms.linucb(SPEC, history)[-1]
    np.testing.assert_allclose(numerics.policy(SPEC, history), true, rtol=0, atol=UNIT * 1e5 * 200)


def test_the_policy_in_balls_is_exact_where_it_is_known():
    """One action played n times at norm 1, λ = 1: its mean is n/(n + 1), its width 1/√(n + 1)."""
    spec = linucb.Spec(dim=1, actions=2, horizon=9, action_norm=(1.0, 1.0), temperature=1.0)
    history = [[[1.0], [-1.0]]] * 9, [0] * 8, [1.0] * 8
    found = numerics.policy(spec, BanditHistory(*history))
    scores = np.array([8 / 9, -8 / 9]) + 1 / 3
    np.testing.assert_allclose(found, scores - np.log(np.exp(scores).sum()), rtol=1e-15)


def test_rounding_grows_and_then_goes():
    found = numerics.along_the_iteration(SPEC, HISTORIES)
    for name in numerics.PRECISIONS:
        assert found[name][-1] < max(found[name]) / 3
    assert all(0 < a <= b for a, b in zip(found["float64"], found["bounds"], strict=True))
    assert all(1e6 * a < b < 1e12 * a for a, b in zip(found["float64"], found["float32"], strict=True))
    assert found["certified"][-1] < found["bounds"][-1] * 1e6


def test_the_first_step_is_rounded_once():
    """X_1 is linear in A: a few units in the last place of numbers of size ≤ κ, in the norm of A."""
    found = numerics.along_the_iteration(SPEC, HISTORIES)
    assert found["float64"][0] <= 16 * UNIT * found["condition"]


def test_ill_conditioned_problems_leave_float32_first():
    spec = replace(SPEC, root="products")
    found = numerics.by_condition(spec, [1.0, 1e-4, 1e-6], HISTORIES)
    single, double, certified = (np.array(found[name]) for name in ("float32", "float64", "certified"))
    assert (double <= certified).all()
    assert not (single <= certified)[1:].any()
    assert found["conditions"] == sorted(found["conditions"])


def test_both_are_drawn():
    panels = numerics.panels(
        numerics.along_the_iteration(SPEC, HISTORIES[:1]),
        numerics.by_condition(replace(SPEC, root="products"), [1.0, 1e-2], HISTORIES[:1]),
    )
    assert len(plots.draw(*panels).axes) == 2


@pytest.mark.parametrize(("spec", "histories"), [(replace(SPEC, solver="agd"), HISTORIES), (SPEC, [])])
def test_bad_input_is_named(spec, histories):
    with pytest.raises(ValueError, match="numerics: wanted solver 'newton' and histories, got"):
        numerics.along_the_iteration(spec, histories)
