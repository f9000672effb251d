"""Certificates against balls of 200 bits: never below what the same spec gives there, and never exceeded at the door."""

import math
from dataclasses import replace

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, reject
from hypothesis import strategies as st

from constructions import linucb, thompson
from constructions.history import BanditHistory
from constructions.inputs.bandits import COVERED, DOOR
from constructions.linucb import by_newton
from constructions.primitives import interpolation, rational, refinement, stored
from constructions.rounding import outward, rates, schedules
from verify import algorithms

DECADES = st.floats(-6, 6).map(lambda power: 10.0**power)


@pytest.fixture(autouse=True)
def _bits():
    before, ctx.prec = ctx.prec, 200
    yield
    ctx.prec = before


def chebyshev(condition: arb, steps: int) -> arb:
    """1/T_n(1/e₀) by the recursion of the polynomials, n = 2^steps, e₀ = (κ − 1)/(κ + 1)."""
    value = (condition + 1) / (condition - 1)
    for _ in range(steps):
        value = 2 * value**2 - 1
    return 1 / value


# ---------------------------------------------------------------- numbers rounded outwards


@given(st.floats(0, 1e300), st.floats(0, 1e300))
def test_sums_and_products_are_never_too_small(x, y):
    assert arb(x) + arb(y) <= outward.total(x, y)
    assert outward.product(x, y) == math.inf or arb(x) * arb(y) <= outward.product(x, y)


def test_infinite_and_undefined_bounds_stay_infinite():
    assert outward.above(arb("nan")) == outward.above(arb("inf")) == math.inf
    assert outward.total(math.inf, 1.0) == outward.product(2.0, math.inf) == math.inf


# ---------------------------------------------------------------- Newton's iterations


@pytest.mark.parametrize("condition", [1.5, 1e3, 1e8, 1e12, 1e14, 1e15])
def test_errors_of_the_inverse_are_those_of_chebyshev_polynomials(condition):
    """The recursion in float64 is 12 times too small at κ = 10¹⁴, and 10⁵ times at 10¹⁵."""
    for steps, error in enumerate(schedules.inverse_errors(1.0, condition, 32)):
        exact = chebyshev(arb(condition), steps)
        assert exact <= error
        assert error <= exact * (1 + arb(2) ** -50) + arb("1e-320")


@pytest.mark.parametrize("condition", [4.0, 1e4, 1e8, 1e12, 1e15])
def test_what_weights_leave_of_the_inverse_holds_for_every_eigenvalue(condition):
    """Eigenvalues in [λ, S], those that are worst for the first step among them, taken through the stored weights."""
    points = [arb(x) for x in np.geomspace(1.0, condition, 99)] + [arb(condition)]
    for chosen in schedules.inverses(1.0, condition):
        for a in points:
            y = (chosen.constant - chosen.slope * a) * a
            for scale in chosen.scales:
                y = 2 * arb(scale) * y - scale * y * y
            assert not abs(y - 1) > chosen.error  # balls, whose own width is far below
        assert not chosen.error < chebyshev(arb(condition), len(chosen.errors)) / 2


@pytest.mark.parametrize("condition", [4.0, 1e4, 1e8, 1e12, 1e15])
@pytest.mark.parametrize("steps", [3, 8, 20, 40])
def test_what_weights_leave_of_the_inverse_root_holds_for_every_eigenvalue(condition, steps):
    chosen = schedules.inverse_root(1.0, condition, steps)
    z0, z1, y0, y1 = map(arb, schedules.root_start(chosen.steps, condition))
    for a in map(arb, np.geomspace(1.0, condition, 99)):
        z, y = z0 - z1 * a, a * (y0 - y1 * a)
        for p, q in chosen.steps[1:]:
            factor = arb(p) - q * z * y
            z, y = z * factor, y * factor
        assert not abs(z * (a / condition).sqrt() / chosen.middle - 1) > chosen.error
    assert chosen.error > 0


def test_a_certificate_is_not_lost_to_cancellation():
    """(S − λ)/(S + λ) and (h − l)/(h + l) are 0 in float64 here; the scores are off by some 4e-14."""
    built = thompson.build(
        thompson.Spec(dim=5, actions=10, horizon=77, form="sampling", solver="newton", error=1e-12)
    )
    assert 4e-14 <= built.certificate <= 1e-12


@given(DECADES, DECADES, st.sampled_from([2, 30, 1000]))
def test_newton_certificates_are_above_theirs_in_balls(ridge, largest, horizon):
    """(2/τ)(mean + α(width + ε_√)), every term at 200 bits, at the norms of the spec."""
    bounds = {
        "action_norm": (largest / 2, largest),
        "weight_norm": 1.0,
        "temperature": 1e3,
        "root": "products",
    }
    try:
        spec = linucb.Spec(2, 3, horizon, 1e-3, "newton", ridge, **bounds)
        built = linucb.build(spec)
    except ValueError as error:
        reject_unless(str(error))
    steps, *_ = by_newton.plan(spec)
    length, rewards = arb(spec.action_norm[1]), spec.action_norm[1] * arb(spec.weight_norm) + spec.noise_bound
    past, lam = max(horizon - 1, 1), arb(ridge)
    e = chebyshev(1 + past * length**2 / lam, steps)
    mean = e * length * (past / lam).sqrt() * rewards / 2
    width = length / lam.sqrt() * (1 - (1 - e).sqrt())
    certificate = 2 / arb(spec.temperature) * (mean + spec.exploration * width)
    assert certificate <= built.certificate <= spec.error


def reject_unless(message: str) -> None:
    """A spec that float64 cannot carry says so; anything else is a failure."""
    assert "wanted" in message
    reject()


# ---------------------------------------------------------------- the door


@pytest.mark.parametrize("beyond", [9e-10, 9.9e-7])
@pytest.mark.parametrize("condition", [1e8, 1e9, 1e10])
def test_what_the_door_lets_in_is_within_the_certificate(condition, beyond):
    """One action as long as is let in: far outside of a spectrum worked out for B_a, the polynomials grow like cosh."""
    spec = linucb.Spec(
        1, 1, 2, 1e-4, "newton", ridge=1 / condition, exploration=0.0, temperature=1.0, action_norm=(0.5, 1.0)
    )
    built = linucb.build(spec)
    assert beyond < DOOR < COVERED
    spectrum = arb(spec.ridge) + arb(1 + beyond) ** 2
    chosen = schedules.inverse(spec.ridge, by_newton.largest_eigenvalue(spec), by_newton.plan(spec)[0])
    y = (chosen.constant - chosen.slope * spectrum) * spectrum
    for scale in chosen.scales:
        y = 2 * arb(scale) * y - scale * y * y
    assert abs(y - 1) <= chosen.error
    history = BanditHistory([[[1 + beyond]]] * 2, [0], [spec.weight_norm])
    error = abs(built.log_probabilities(history) - algorithms.linucb(spec, history)).max()
    assert error <= built.certificate


# ---------------------------------------------------------------- neurons, rules, refinement, descent


@given(st.floats(-6, 3), st.floats(0.01, 6), st.floats(-6, -1))
def test_an_interpolant_is_as_near_as_it_says(low, decades, size):
    """Sums of the stored neurons, one by one, at points between the knots."""
    low = 10.0**low
    high = low * 10.0**decades
    error = 10.0**size * math.sqrt(high)
    shape, reached = stored.within(
        lambda aim: interpolation.square_root(low, high, aim), stored.SQUARE_ROOT, error
    )
    assert reached <= error
    neurons = list(zip(shape.thresholds.tolist(), shape.weights.tolist(), strict=True))
    for x in map(arb, np.geomspace(low, high, 7)[1:-1]):
        value = arb(float(shape.values[0])) + sum((w * (x - t) for t, w in neurons if x > t), arb(0))
        assert abs(value - x.sqrt()) <= reached


@pytest.mark.parametrize("kind", ["pade", "zolotarev"])
@pytest.mark.parametrize("condition", [1.5, 40.0, 1e4, 1e9])
def test_a_rational_rule_is_as_near_as_it_says(kind, condition):
    for count in (1, 4, 12):
        rule = rational.with_poles(kind, 2.0, 2.0 * condition, count)
        for s in map(arb, np.geomspace(2.0, 2.0 * condition, 301)):
            terms = zip(rule.weights.tolist(), rule.shifts.tolist(), strict=True)
            value = arb(rule.constant) + sum((w / (p + s - 2) for w, p in terms), arb(0))
            assert abs((value / s.sqrt() if kind == "pade" else value * s.sqrt()) - 1) <= rule.error


@pytest.mark.parametrize("solver", ["gd", "agd", "chebyshev"])
@pytest.mark.parametrize("ridge", [1e-6, 1.0, 1e3])
def test_descent_with_stored_weights_is_within_its_residual(solver, ridge):
    """Every layer's own step and momentum, at eigenvalues of the slowest token and of an early one."""
    method = rates.Descent(solver, ridge, 2.0, 20)
    for depth in (1, 7, 60):
        layers, residual = method.layers(depth), method.residual(depth)
        for token in (2, 39):
            for gram in map(arb, [0.0, *np.geomspace(1e-9, 4.0 * (token // 2), 40)]):
                true = 1 / (gram + ridge)
                point = ahead = arb(0)
                for step, momentum in layers:
                    at = point if solver == "chebyshev" else ahead
                    new = ahead + (step - (step * gram + arb(step * ridge)) * at) / token
                    point, ahead = new, new + momentum * (new - point)
                assert abs(point / true - 1) <= residual


def test_refinement_with_stored_weights_is_within_its_error():
    for steps in (1, 2, 3, 4):
        for t in map(arb, np.linspace(1 - 1 / 16, 1 + 1 / 16, 41)):
            for p, q in refinement.weights(1 / 16, steps):
                t = arb(p) * t - q * t**3
            assert abs(t - 1) <= refinement.error(1 / 16, steps)


# ---------------------------------------------------------------- what float64 cannot carry


@pytest.mark.parametrize(
    "build",
    [
        lambda: linucb.build(linucb.Spec(1, 2, 2, 1e-11, "newton", ridge=1e-14, temperature=1e3)),
        lambda: thompson.build(thompson.Spec(2, 2, 9, 1e-15, "newton", form="sampling")),
        lambda: thompson.build(thompson.Spec(2, 3, 9, 1e-15, "zolotarev", form="sampling")),
        lambda: thompson.build(thompson.Spec(2, 2, 9, 1e-13, "newton")),
    ],
)
def test_errors_that_weights_cannot_carry_are_refused_in_one_line(build):
    with pytest.raises(ValueError, match=r"wanted .*, got") as caught:
        build()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_draws_as_long_as_the_door_lets_in_are_covered():
    spec = thompson.Spec(dim=1, actions=2, horizon=2, form="sampling", solver="newton", error=1e-9)
    built = thompson.build(spec)
    longest = spec.draw_norm * (1 + 0.99 * DOOR)
    history = BanditHistory([[[1.0], [-1.0]]] * 2, [0], [1.0], [[longest]] * 2)
    scores = built.outputs([history], logits_only=True)[0][:, built.tokens.stream["logits"].slice]
    assert abs(scores - algorithms.thompson_scores(spec, history)).max() <= built.certificate
    with pytest.raises(ValueError, match="draws: wanted norms"):
        built.log_probabilities(replace_draws(history, longest * (1 + 2 * DOOR)))


def replace_draws(history: BanditHistory, size: float) -> BanditHistory:
    return BanditHistory(history.contexts, history.actions, history.rewards, [[size]] * history.steps)


def test_specs_made_wider_by_the_door_keep_their_meaning():
    """The door is the spec's own: what it names in an error are the spec's bounds."""
    built = linucb.build(replace(linucb.Spec(1, 1, 2, 0.1, "newton"), action_norm=(0.5, 1.0)))
    with pytest.raises(ValueError, match=r"wanted action norms in \[0.5, 1\], got 1"):
        built.log_probabilities(BanditHistory([[[1 + 2 * DOOR]]], [], []))
