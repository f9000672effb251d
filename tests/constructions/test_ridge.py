"""Ridge regression in context: near what scikit-learn finds, in the layers that the theorem says."""

import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from constructions.history import BanditHistory
from constructions.inputs.bandits import COVERED
from constructions.prediction import ridge
from constructions.rounding.rates import Descent
from verify import algorithms
from verify.claims import prediction as claims
from verify.theorems import prediction as theorem


def problem(seed, dim=3, count=19):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, dim))
    x *= generator.uniform(0.2, 1, (count, 1)) / np.linalg.norm(x, axis=1, keepdims=True)
    return x, np.clip(x @ generator.normal(size=dim) + generator.normal(0, 0.1, count), -1, 1)


def history(x, y):
    """All pairs, and the unit vectors asked about at every token: the weights themselves."""
    dim, count = x.shape[1], len(x)
    contexts = np.broadcast_to(np.eye(dim), (count + 1, dim, dim)).copy()
    contexts[:-1, 0] = x
    return BanditHistory(contexts, [0] * count, y)


@pytest.mark.parametrize("solver", ["newton", "gd", "agd", "chebyshev"])
@pytest.mark.parametrize("penalty", [0.3, 5.0])
def test_predictions_are_scikit_learn_s_within_the_certificate(solver, penalty):
    x, y = problem(1)
    spec = ridge.Spec(3, 20, actions=3, error=1e-4, ridge=penalty, solver=solver)
    built = ridge.build(spec)
    theirs = Ridge(alpha=penalty, fit_intercept=False, solver="cholesky").fit(x, y).coef_
    assert np.abs(built.values(history(x, y))[-1] - theirs).max() <= built.certificate <= 1e-4
    np.testing.assert_allclose(algorithms.ridge(spec, history(x, y))[-1], theirs, atol=1e-12)


@pytest.mark.parametrize(("horizon", "penalty", "error"), [(20, 1.0, 1e-3), (200, 0.1, 1e-6), (5, 3.0, 1e-1)])
def test_newton_takes_the_fewest_steps_of_the_theorem(horizon, penalty, error):
    spec = ridge.Spec(2, horizon, ridge=penalty, error=error)
    wide = 1 + COVERED  # the bounds as the door has them
    built, condition = ridge.build(spec), 1 + (horizon - 1) * wide**2 / penalty
    largest = math.sqrt((horizon - 1) / penalty) / 2 * wide**2

    def left(steps):
        return largest / math.cosh(2 ** (steps + 1) * math.atanh(condition**-0.5))

    steps = built.size().layers - 2
    assert built.certificate == pytest.approx(left(steps), rel=1e-6)
    assert built.certificate <= error < left(steps - 1)


def test_descent_takes_the_fewest_steps_that_its_bound_allows():
    spec = ridge.Spec(2, 12, solver="gd", error=1e-2)
    built = ridge.build(spec)
    steps, method = built.size().layers - 1, Descent("gd", 1.0, 1 + COVERED, 12)
    before, after = (method.reward_residual(n) * math.sqrt(11) / 2 for n in (steps - 1, steps))
    assert after <= built.certificate * (1 + 1e-5) <= 1e-2 * (1 + 1e-5) < before


def test_layers_are_a_logarithm_of_the_condition_number_and_fewer_than_gradient_descent_of_the_other_theorem():
    layers = [ridge.build(ridge.Spec(2, horizon)).size().layers for horizon in (10, 40, 160, 640)]
    assert max(np.diff(layers)) <= 2  # log₂√4, and of the logarithm of 1/error
    theirs = theorem.RIDGE_PAPER.evaluate("layers", **claims.theirs(ridge.Spec(2, 640)))
    assert layers[-1] == 10
    assert theirs == 12_091


def test_the_quoted_depth_of_gradient_descent_is_enough_and_a_fifth_of_it_is_not():
    """On the mean of pairs as that theorem has it: step 1/(β + λ), from 0, where the solution is as large as it can be."""
    spec = ridge.Spec(2, 13, ridge=0.5, error=1e-4)
    weak = math.sqrt(spec.ridge / 12)
    x, y = np.column_stack([np.resize([1, -1], 12) * math.sqrt(1 - weak**2), np.full(12, weak)]), np.ones(12)
    numbers = claims.theirs(spec)
    true = np.linalg.solve(x.T @ x + spec.ridge * np.eye(2), x.T @ y)
    assert np.linalg.norm(true) == pytest.approx(numbers["weight_norm"] / 2)
    depth = int(theorem.RIDGE_PAPER.evaluate("layers", **numbers)) - 1

    def left(steps):
        w = np.zeros(2)
        for _ in range(steps):
            w -= (x.T @ (x @ w - y) / 12 + spec.ridge / 12 * w) / (1 + spec.ridge / 12)
        return np.linalg.norm(w - true)

    assert left(depth) <= spec.error < left(depth // 5)


def test_an_error_that_weights_of_float64_do_not_lead_to_is_refused():
    with pytest.raises(
        ValueError, match=r"error: wanted one that weights of float64 can carry, .* got 1e-14"
    ):
        ridge.build(ridge.Spec(2, 20, solver="chebyshev", error=1e-14))
    with pytest.raises(ValueError, match="ridge: wanted at least"):
        ridge.Spec(2, 1000, ridge=1e-20)
