"""Solvers whose spectrum leaves its interval: Theorem E against recursions, and built weights against Theorem E."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.claims import depth
from verify.sweeps import outside
from verify.theorems import evaluate, newton

EXCESS = st.floats(1e-3, 2.0)
CONDITION = st.floats(1.5, 1e3)


@given(CONDITION, EXCESS, st.integers(0, 5))
def test_scaled_steps_leave_what_the_theorem_says(condition, excess, steps):
    largest, x = condition, condition * (1 + excess)
    error, inverse = (largest - 1) / (largest + 1), 2 / (1 + largest)
    for _ in range(steps):
        error = error * error / (2 - error * error)
        inverse = (1 + error) * (2 * inverse - x * inverse * inverse)
    stated = evaluate(newton.OUTSIDE, depth=2**steps, excess=excess, condition=condition)
    assert abs(inverse * x - 1) == pytest.approx(stated, rel=1e-6)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 30))
def test_momentum_leaves_what_the_theorem_says(tenths, parts, layers):
    excess, momentum = Fraction(tenths, 20), Fraction(parts, 41)
    before = now = Fraction(1)
    for n in range(layers):
        before, now = now, -excess * (now + (momentum * (now - before) if n else 0))
    stated = evaluate(
        newton.OUTSIDE_ACCELERATED, depth=layers, excess=float(excess), momentum=float(momentum)
    )
    scale = max(1.0, float(abs(now)))
    assert stated == pytest.approx(float(abs(now)), abs=1e-9 * scale)


@given(CONDITION, EXCESS, st.integers(1, 60), st.floats(1.01, 100))
def test_a_schedule_stands_no_larger_excess(condition, excess, degree, factor):
    most = (condition - 1) / condition * math.sinh(math.acosh(factor) / (2 * degree)) ** 2
    values = {"depth": degree, "condition": condition}
    inside = evaluate(newton.OUTSIDE, excess=1e-300, **values)
    assert evaluate(newton.OUTSIDE, excess=most, **values) == pytest.approx(factor * inside, rel=1e-6)
    assert (evaluate(newton.OUTSIDE, excess=excess, **values) < 1) == (excess < 1 / condition)


GRID = (1e-3, 0.01, 0.03, 0.1, 0.3, 0.35, 0.38, 0.99, 1.0)


def off(solver: outside.Solver, ridge: float, steps: int) -> list[float]:
    """How far measured shares are from stated ones, of those that are neither next to nothing nor far beyond 1."""
    stated = [(excess, solver.formula(excess)) for excess in GRID]
    near = [(excess, share) for excess, share in stated if 1e-6 < share < outside.FAR]
    assert near
    return [abs(solver.measured(excess, ridge, steps) - share) / max(1, share) for excess, share in near]


@pytest.mark.parametrize(("ridge", "action_max", "steps"), [(1.0, 1.0, 50), (0.3, 2.0, 7), (2.0, 1.5, 20)])
def test_built_weights_leave_what_the_theorem_says(ridge, action_max, steps):
    for solver in outside.solvers(ridge, action_max, steps):
        assert max(off(solver, ridge, steps)) <= outside.ROUNDED


def test_a_wrong_weight_is_noticed():
    for solver in outside.solvers(1.0, 1.0, 20):
        weight = solver.weights.stored_layers[-1].attention.stored_groups[0].value.weight
        weight.data[0] *= 1.001
        assert max(off(solver, 1.0, 20)) > outside.ROUNDED


def test_claims_hold_and_schedules_fail_first():
    found = depth.outside()
    assert len(found.verdicts) == 4
    assert all(verdict.holds for verdict in found.verdicts)
    [panel] = found.records["outside"]
    harm = {one["name"]: one["harmful"] for one in panel["solvers"]}
    assert harm["Chebyshev"] < harm["Newton, scaled"] < harm["accelerated"] < harm["Newton, plain"]


def test_an_excess_is_positive():
    with pytest.raises(ValueError, match="wanted some, each > 0"):
        outside.outside(1.0, 1.0, 5, [0.0])
    with pytest.raises(ValueError, match="wanted some, each > 0"):
        outside.outside(1.0, 1.0, 5, np.array([]).tolist())
