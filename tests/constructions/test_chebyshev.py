"""Chebyshev's semi-iteration: its coefficients, its residual, and that no method of its kind does better."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st
from primitive_case import matrix
from primitive_cases import descent_case
from scipy.optimize import linprog

from constructions import linucb
from constructions.rounding.rates import Descent

KAPPA = 16  # a square, so that √κ is rational


def method(condition: float = KAPPA) -> Descent:
    """2T(B² + λ)/λ with T = 1 and λ = 1; the step is 2/κ."""
    return Descent("chebyshev", ridge=1.0, action_max=math.sqrt(condition / 2 - 1), horizon=1)


def chebyshev(degree: int, x: Fraction) -> Fraction:
    """T_degree(x) by its definition as a recursion."""
    last, now = Fraction(1), x
    for _ in range(degree - 1):
        last, now = now, 2 * x * now - last
    return now if degree else last


def error_polynomial(layers, x: Fraction) -> Fraction:
    """What layers leave of an error along an eigenvector of ηA/i to x: `point` and `ahead` start at error 1."""
    point = ahead = Fraction(1)
    for step, momentum in layers:
        ahead = ahead - Fraction(step) * x * point
        point, ahead = ahead, ahead + Fraction(momentum) * (ahead - point)
    return point


@given(st.integers(1, 40), st.fractions(0, 1))
def test_the_layers_make_the_chebyshev_polynomial_of_the_spectrum(depth, share):
    """T_k(t)/T_k(σ), t running through [−1, 1] over the spectrum, in fractions; coefficients are rounded, 40 times 2."""
    centre = Fraction(KAPPA + 1, KAPPA - 1)
    x = Fraction(1, KAPPA) + share * (1 - Fraction(1, KAPPA))
    layers = [(step / method().step_size, momentum) for step, momentum in method().layers(depth)]
    wanted = chebyshev(depth, centre - (centre + 1) * x) / chebyshev(depth, centre)
    assert abs(error_polynomial(layers, x) - wanted) <= 2.0**-53 * 100 * depth
    assert abs(wanted) <= Fraction(method().residual(depth)) * (1 + Fraction(1, 10**12))


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_no_polynomial_of_the_degree_is_smaller_on_the_spectrum(depth):
    """The least sup of |p| with p(0) = 1 on 2,000 points of [1/κ, 1], by linear programming."""
    points = (1 + 1 / KAPPA) / 2 - (1 - 1 / KAPPA) / 2 * np.cos(np.linspace(0, np.pi, 2001))
    t = (1 + 1 / KAPPA - 2 * points) / (1 - 1 / KAPPA)
    basis = np.polynomial.chebyshev.chebvander(t, depth)
    at_zero = np.polynomial.chebyshev.chebvander((KAPPA + 1) / (KAPPA - 1), depth)
    rows = np.block([[basis, -np.ones((2001, 1))], [-basis, -np.ones((2001, 1))]])
    found = linprog(
        np.eye(depth + 2)[-1],
        rows,
        np.zeros(4002),
        np.append(at_zero, 0)[None],
        [1],
        bounds=(None, None),
    )
    assert found.x[-1] == pytest.approx(method().residual(depth), rel=1e-4)


@pytest.mark.parametrize("depth", [1, 3, 10, 40])
def test_the_residual_is_attained_by_inverses(depth):
    """One arm for ever, the other direction never: at token 2T its eigenvalue is 1/κ."""
    case, horizon = descent_case("inverse", "chebyshev", depth, horizon=6), 6
    first, second = np.eye(2)
    pair = {"arms": np.concatenate([first, second])}
    played = [pair, {"action": first, "reward": 3.0}] * (horizon - 1)
    tokens, bound = matrix(case.stream, [*played, pair, pair]), case.block.promise.own
    one = case.alone()
    wrong = one.output(one.run(tokens))[-1, 2:] - case.exact(tokens)[-1, 2:]
    assert abs(np.linalg.norm(wrong) - bound.error) <= bound.rounding


@pytest.mark.parametrize("depth", [3, 10, 20])
def test_a_search_over_lengths_of_arms_uses_up_most_of_the_bound_on_ridge_estimates(depth):
    case, horizon, errors = descent_case("ridge", "chebyshev", depth, horizon=6), 6, []
    one = case.alone()
    for length in np.geomspace(0.05, 1, 60):
        rows = [{}, {"action": [length, 0.0], "reward": 3.0}] * (horizon - 1) + [{}, {}]
        tokens = matrix(case.stream, rows)
        wrong = one.output(one.run(tokens)) - case.exact(tokens)
        errors.append(np.linalg.norm(wrong, axis=1).max())
    assert 0.5 <= max(errors) / case.block.promise.own.error <= 1


@given(st.floats(2.1, 1e8), st.integers(1, 10_000))
def test_rounding_errors_grow_no_more_than_is_promised(condition, depth):
    """Σ_j T_j(σ)/T_k(σ) |U_{k−j}(1)|, the sum that `amplification` bounds, step factor 4 apart."""
    one = method(condition)
    ages = np.arange(depth)  # k − j
    log = math.log(one.momentum)
    shares = np.exp(ages * log) * (1 + np.exp(2 * (depth - ages) * log)) / (1 + math.exp(2 * depth * log))
    total = float((shares * (ages + 1)).sum())
    target(total / one.amplification)
    assert 4 * total <= one.amplification
    assert max(step for step, _ in one.layers(depth)) <= 4 * one.step_size


@pytest.mark.parametrize(("horizon", "layers"), [(50, 207), (200, 428), (1000, 998), (10_000, 3349)])
def test_half_the_layers_of_accelerated_descent(horizon, layers):
    spec = linucb.Spec(5, 10, horizon, 1e-3, action_norm=(0.5, math.sqrt(5)), noise_bound=6.0)
    depths = [
        sum(depth for depth, *_ in linucb.plan(replace(spec, solver=solver)).loops) + 2
        for solver in ("agd", "chebyshev")
    ]
    assert depths[1] == layers
    assert 0.48 < depths[1] / depths[0] < 0.52


def test_layers_differ_and_the_first_ones_settle():
    """Not tied; but for the first few, momentum is that of heavy ball, g²."""
    built = linucb.build(linucb.Spec(2, 3, 8, 0.1, solver="chebyshev"))
    assert all(layer.repeat == 1 for layer in built.transformer.stored_layers)
    assert len(built.transformer.stored_layers) == built.size().layers
    momenta = [momentum for _, momentum in method(1e3).layers(600)]
    assert momenta[-1] == pytest.approx(method(1e3).momentum ** 2, rel=1e-12)
