"""Numbers that bounds are made of, each worked out a second time, from its definition."""

import math

import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from constructions import linucb, thompson, ucbvi
from constructions.inputs.bandits import DOOR
from constructions.inputs.ridge import largest_eigenvalue
from constructions.primitives import envelope
from constructions.primitives.interpolation import Interpolant
from constructions.rounding import rates, schedules
from constructions.rounding.outward import balls
from constructions.thompson.nodes import chance
from verify.errata import printed

numbers = st.floats(-10, 10, allow_subnormal=False)


@given(st.lists(numbers, min_size=2, max_size=6, unique=True), st.data(), st.booleans())
def test_an_interpolant_s_size_bounds_the_terms_of_its_sum(knots, data, left):
    """|y_end| + Σ |w_j| relu(±(x − x_j)), at every knot: between them the terms are linear."""
    knots = np.sort(knots)
    if np.diff(knots).min() < 1e-3:
        knots = np.arange(len(knots), dtype=float)
    values = np.array(data.draw(st.lists(numbers, min_size=len(knots), max_size=len(knots))))
    slopes = np.diff(values) / np.diff(knots)
    jumps = np.diff(slopes, append=0.0) if left else np.diff(slopes, prepend=0.0)
    apart = knots[1:, None] - knots if left else knots - knots[:-1, None]
    terms = np.abs(jumps) @ np.maximum(apart, 0.0) + abs(values[-1 if left else 0])
    assert terms.max() <= Interpolant(knots, values, left).size * (1 + 1e-12)


def primitive_polynomials(degree: int) -> int:
    """How many there are over the field of two elements: φ(2ⁿ − 1)/n."""
    whole = 2**degree - 1
    return sum(math.gcd(whole, n) == 1 for n in range(1, whole + 1)) // degree


def test_sobol_s_gain_grows_by_the_degree_of_each_dimension_s_polynomial():
    """2^(t + s − 1) in s dimensions, t = Σ (degree − 1): one without a polynomial, then polynomials in order."""
    degrees = [1, *(n for n in range(1, 9) for _ in range(primitive_polynomials(n)))]
    for dim in range(2, 55):
        found = chance(thompson.Spec(dim=dim, actions=3, horizon=2)).variance
        inside = dim - 1
        assert found == 2.0 ** (sum(degrees[:inside]) - inside + inside - 1) / 4, dim


@pytest.mark.parametrize("variance", [2.25, 9.0])
def test_norms_that_are_left_out_hold_with_the_probability_asked_for(variance):
    """‖w‖/√λ = χ_d ≤ √d + √(2x) but for e^{−x}, δ/2 of which is for the noise: T tails of 2e^{−b²/(2r)}."""
    spec = thompson.Spec(
        dim=3, actions=2, horizon=20, failure=0.02, prior_variance=4.0, noise_variance=variance
    )
    assert 20 * 2 * math.exp(-(spec.noise_bound**2) / (2 * variance)) == pytest.approx(0.02)
    assert spec.weight_norm == pytest.approx(2 * (math.sqrt(3) + 2 * math.sqrt(math.log(100))))


@pytest.mark.parametrize("spec", [linucb.Spec(2, 3, 5), thompson.Spec(dim=2, actions=2, horizon=5)])
def test_the_largest_eigenvalue_is_that_of_one_arm_for_ever(spec):
    """As long as the door lets in, and reached."""
    arm = np.array([spec.action_norm[1] * (1 + DOOR), 0.0])
    reached = np.linalg.eigvalsh(spec.ridge * np.eye(2) + 4 * np.outer(arm, arm)).max()
    assert reached * (1 - 1e-12) <= largest_eigenvalue(spec) <= reached * (1 + 1e-6)


def test_step_2a_is_held_to_its_definition():
    """(Σ − μI) a_k, token by token."""
    spec = thompson.Spec(dim=2, actions=3, horizon=6, form="sampling", error=0.05)
    generator = np.random.default_rng(0)
    stream, _ = printed.arguments(spec, together=False)
    block = printed.shifted(spec, stream)
    actions = generator.normal(size=(6, spec.dim))
    arms = generator.normal(size=(6, spec.actions, spec.dim))
    found = block.truth({"action": actions, "arms": arms.reshape(6, -1)})
    for token, (row, vectors) in enumerate(zip(found, arms, strict=True), 1):
        matrix = actions[:token].T @ actions[:token] + (spec.ridge - printed.center(spec)) * np.eye(spec.dim)
        np.testing.assert_allclose(row.reshape(vectors.shape), vectors @ matrix, atol=1e-10)


def test_the_printed_centre_is_between_the_printed_bounds():
    """μ = √(Tλ̃(B_a² + λ̃)) is the geometric mean of λ̃ and T(B_a² + λ̃), which no eigenvalue of Σ exceeds."""
    spec = thompson.Spec(dim=1, actions=2, horizon=7, action_norm=(0.5, 3.0), noise_variance=2.0)
    assert printed.largest(spec) == pytest.approx(7 * (9 + 2))
    assert printed.center(spec) ** 2 == pytest.approx(7 * (9 + 2) * 2)


def test_the_policy_carries_the_error_of_the_last_stage_of_value_iteration():
    """Stages run from H to 1, each with the errors of those after it, and a temperature divides the whole."""
    built = ucbvi.build(ucbvi.Spec(states=2, actions=2, horizon=4, episodes=2, exploration=0.03))
    promised = {block.name: block.promise.total.error for block in built.blocks}
    assert 0 < promised["q_4"] < promised["q_3"] < promised["q_2"] < promised["q_1"]
    assert promised["logits"] >= promised["q_1"] / built.spec.tau


@pytest.mark.parametrize("horizon", [1, 10, 100])
def test_one_unit_of_error_in_a_step_of_accelerated_descent_is_amplified_as_bounded(horizon):
    """e_{k+1} = (1 − x)((1 + β)e_k − βe_{k−1}), summed over all later steps, for curvatures x of 1/κ to 1."""
    method = rates.Descent("agd", ridge=1.0, action_max=2.0, horizon=horizon)
    whole = 0.0
    for x in np.geomspace(1 / method.condition, 1, 20):
        before, now, total = 0.0, 1.0, 1.0
        for _ in range(3000):
            before, now = now, (1 - x) * ((1 + method.momentum) * now - method.momentum * before)
            total += abs(now)
        whole = max(whole, total)
    assert whole <= method.amplification * (1 + 1e-9)
    assert method.amplification <= 4 * whole


@given(*(st.floats(0.1, 3.0) for _ in range(4)))
def test_a_step_of_newton_takes_an_interval_into_the_one_that_is_bounded(one, other, p, q):
    """x ↦ px − qx³, below its top, across it and beyond."""
    with balls():
        low, high = (
            float(end)
            for end in schedules.cubic_steps((arb(min(one, other)), arb(max(one, other))), [(p, q)])
        )
    x = np.linspace(min(one, other), max(one, other), 200)
    values = p * x - q * x**3
    assert low - 1e-9 <= values.min()
    assert values.max() <= high + 1e-9


def measured_and_claimed(measured: np.ndarray, claimed: float) -> None:
    """A bound ≥ 0 that is met: never exceeded, and above the worst by no more than a fine grid misses."""
    worst = max(measured.max(), 0.0)
    assert worst <= claimed + 1e-9
    assert claimed <= worst * 1.001 + 1e-9


@pytest.mark.parametrize(("high", "relative", "absolute"), [(0.0, 0.1, 0.1), (6.0, 1e-3, 2e-4)])
def test_what_an_exponential_s_envelope_claims_is_met(high, relative, absolute):
    curve = envelope.exponential(high, relative, absolute)
    x = np.linspace(curve.knots[0], high, 200_001)
    measured_and_claimed((curve(x) - curve.absolute) / np.exp(x) - 1, curve.relative)
    measured_and_claimed(x - np.log(curve(x)), curve.shortfall)
    most = envelope.error_of_sums(curve, np.array([0.5, 2.0]), 0.0, 100.0)
    assert most <= (100 * relative + 2.5 * absolute) * 1.001


@pytest.mark.parametrize(("high", "absolute"), [(1.0, 0.1), (1.0, 1e-3), (3.0, 1e-2)])
def test_what_a_logarithm_s_envelope_claims_is_met(high, absolute):
    curve = envelope.logarithm(high, absolute)
    x = np.concatenate([np.geomspace(1e-12, high, 400_001), np.linspace(0, high, 400_001)[1:]])
    measured_and_claimed(np.exp(curve(x)) - x, curve.absolute)
    measured_and_claimed(np.log(x) - curve(x), curve.shortfall)
    gap = np.abs(curve(x) - np.log(np.maximum(x, curve.absolute)))
    measured_and_claimed(gap, envelope._distance(curve))
