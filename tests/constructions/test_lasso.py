"""Lasso in context: exact in rational arithmetic, and near what scikit-learn finds."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from constructions.history import BanditHistory
from constructions.prediction import lasso
from verify import algorithms
from verify.audit import exact
from verify.claims import prediction as claims

SPEC = lasso.Spec(dim=2, horizon=6, iterations=4, penalty=0.25, bound=4.0, response=3.0)
PAIR = st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.integers(-3, 3))


def pairs(x, y, asked):
    """A history of one arm a step, what is asked about last."""
    return BanditHistory(np.array([*x, asked], float)[:, None], [0] * len(y), y)


def in_fractions(spec, x, y, asked):
    """The prediction after all pairs, soft thresholds by cases."""
    step, threshold = Fraction(spec.step), Fraction(spec.step) * Fraction(spec.penalty)
    w = [Fraction(0)] * spec.dim
    for _ in range(spec.iterations):
        off = [
            sum((a * b for a, b in zip(row, w, strict=True)), Fraction(0)) - z
            for row, z in zip(x, y, strict=True)
        ]
        slope = [
            sum((e * row[k] for e, row in zip(off, x, strict=True)), Fraction(0)) for k in range(spec.dim)
        ]
        ahead = [one - step * more / (2 * len(y) + 1) for one, more in zip(w, slope, strict=True)]
        w = [
            z - threshold if z > threshold else z + threshold if z < -threshold else Fraction(0)
            for z in ahead
        ]
    return sum((a * b for a, b in zip(asked, w, strict=True)), Fraction(0))


@given(st.lists(PAIR, max_size=5), st.tuples(st.integers(-2, 2), st.integers(-2, 2)))
@example([(2, 0, 3), (0, 1, -1), (1, 2, 3), (-1, 1, 0)], (1, 2))
def test_predictions_are_the_algorithm_s_in_rational_arithmetic(past, asked):
    x, y = [row[:2] for row in past], [row[2] for row in past]
    [found] = exact.logits(lasso.build(SPEC), pairs(x, y, asked))[-1]
    assert found == in_fractions(SPEC, x, y, asked)
    assert algorithms.lasso(SPEC, pairs(x, y, asked))[-1, 0] == pytest.approx(float(found), abs=1e-13)


def problem(seed, dim=4, count=30):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-0.5, 0.5, (count, dim))
    return x, np.clip(x @ generator.choice([0.0, 0.0, 1.0, -1.0], dim), -1, 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("penalty", [0.002, 0.01, 0.05])
def test_the_minimum_is_what_scikit_learn_finds_and_steps_come_near_it(seed, penalty):
    x, y = problem(seed)
    spec = lasso.Spec(4, 31, iterations=60, penalty=penalty)
    history = pairs(x, y, [0.0] * 4)
    theirs = Lasso(alpha=penalty * 61 / 30, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    found, least = algorithms.lasso_minimum(spec, history)
    np.testing.assert_allclose(found, theirs, atol=1e-8)
    lowest = algorithms.lasso_objective(spec, history, theirs)
    assert lowest - 1e-9 <= least <= lowest + 1e-12
    built = lasso.build(spec)
    weights = built.outputs([history])[0, -1, built.tokens.stream["weights"].slice]
    left = algorithms.lasso_objective(spec, history, weights) - lowest
    assert -1e-12 <= left <= theirs @ theirs / (2 * spec.step * spec.iterations) <= lasso.gap(spec)


@pytest.mark.parametrize(("bound", "step"), [(1.0, 1.0), (2.0, 0.25), (1.2, 1.0), (0.5, 4.0), (3.0, 0.125)])
def test_the_step_is_a_power_of_two_within_what_converges(bound, step):
    assert lasso.Spec(2, 5, bound=bound).step == step
    assert 1 <= step * bound**2 <= 2


def test_what_is_left_is_within_the_bound_and_steps_that_are_wrong_are_seen(monkeypatch):
    spec = lasso.Spec(2, 12, iterations=6, penalty=0.05)
    found = claims.remaining(spec, 10)
    assert found.holds
    assert 0 < found.measured <= (found.certified or 0) <= (found.stated or 0)
    build = lasso.build
    monkeypatch.setattr(claims.lasso, "build", lambda spec: build(replace(spec, penalty=3.0)))
    assert not claims.remaining(lasso.Spec(2, 12, iterations=2000, penalty=0.05), 10).holds
