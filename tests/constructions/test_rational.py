"""Roots by poles, and interpolants: errors on fine grids, attained, and with no more poles than needed."""

import math

import mpmath
import numpy as np
import pytest
from scipy.special import ndtr

from constructions.primitives import interpolation, rational
from constructions.thompson import lines_plan, two_arms

POWERS = {"pade": 0.5, "zolotarev": -0.5}
RULES = [
    (getattr(rational, name), power, ratio, error)
    for name, power in POWERS.items()
    for ratio in (1.5, 30.0, 1e4)
    for error in (0.3, 1e-3, 1e-9)
]
every_rule = pytest.mark.parametrize(("make", "power", "ratio", "error"), RULES)


def relative(rule, ridge: float, ratio: float, power: float) -> np.ndarray:
    """Relative errors on a grid that is fine at both ends and in between."""
    s = ridge * ratio ** ((1 - np.cos(np.linspace(0, np.pi, 20001))) / 2)
    return rule(np.maximum(s - ridge, 0.0)) / s**power - 1


@every_rule
def test_poles_keep_their_error_and_attain_it(make, power, ratio, error):
    """Rounding: that of a sum whose terms are far larger than itself."""
    rule = make(0.7, 0.7 * ratio, error)
    terms = rule.constant + np.abs(rule.weights / rule.shifts).sum()
    rounding = 2.0**-53 * (len(rule.shifts) + 10) * terms / min(0.7**power, (0.7 * ratio) ** power)
    worst = np.abs(relative(rule, 0.7, ratio, power)).max()
    assert 0.99 * rule.error - rounding - 2e-14 <= worst <= rule.error + rounding
    assert rule.error <= error
    assert (rule.shifts >= 0.7).all()


@every_rule
def test_one_pole_less_would_not_do(make, power, ratio, error):
    """Ask for larger and larger errors until one pole is saved."""
    count, looser = len(make(0.7, 0.7 * ratio, error).shifts), error
    while count > 1 and looser < 0.99:
        looser = min(looser * 1.1, 0.99)
        rule = make(0.7, 0.7 * ratio, looser)
        if len(rule.shifts) < count:
            assert rule.error > error
            assert np.abs(relative(rule, 0.7, ratio, power)).max() > error
            break


@pytest.mark.parametrize(("ratio", "error"), [(30.0, 1e-3), (1e4, 1e-6), (1e8, 1e-2)])
def test_no_sum_with_as_many_poles_is_better(ratio, error):
    """Its error alternates 2m + 1 times between the extremes: Chebyshev's sign of the best; and weights are positive."""
    rule = rational.zolotarev(2.0, 2.0 * ratio, error)
    found = relative(rule, 2.0, ratio, -0.5)
    ends = np.sign(found[np.abs(found) >= (1 - 1e-4) * rule.error])
    assert 1 + np.count_nonzero(np.diff(ends)) == 2 * len(rule.shifts) + 1
    assert (rule.weights > 0).all()
    assert rule.constant == 0


def test_poles_grow_with_the_fourth_root_or_the_logarithm():
    ratios = 10.0 ** np.arange(2, 9, 2)
    pade, zolotarev = (
        np.array([len(make(1.0, ratio, 1e-6).shifts) for ratio in ratios], float)
        for make in (rational.pade, rational.zolotarev)
    )
    slopes = np.diff(np.log10(pade[1:])) / 2
    np.testing.assert_allclose(slopes, 1 / 4, atol=0.01)
    steps = np.diff(zolotarev)
    assert steps.max() - steps.min() <= 1  # equal but for rounding up


@pytest.mark.parametrize("make", [rational.pade, rational.zolotarev])
@pytest.mark.parametrize(
    "arguments", [(0.0, 1.0, 0.1), (2.0, 1.0, 0.1), (1.0, 2.0, 1e-14), (1.0, 2.0, 1.0), (math.nan, 2.0, 0.1)]
)
def test_bad_poles_are_named(make, arguments):
    with pytest.raises(
        ValueError,
        match=r"wanted (0 < ridge < largest and at least one|1e-13 <= error < 1), got",
    ):
        make(*arguments)


def test_too_many_poles_are_named():
    with pytest.raises(ValueError, match="pade: wanted an error within reach of 1000 poles"):
        rational.pade(1e-20, 1.0, 1e-6)


# ---------------------------------------------------------------- interpolants


@pytest.mark.parametrize("error", [0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("low", [1e-4, 0.5])
def test_walk_keeps_its_error_and_attains_it(error, low):
    curve = interpolation.walk(math.log, lambda x: -1 / x**2, low, 1.5, error)
    x = np.geomspace(low, 1.5, 100_001)
    worst = np.abs(curve(x) - np.log(x)).max()
    assert worst <= error * (1 + 1e-9)
    assert worst >= 0.9 * error


@pytest.mark.parametrize(("spread", "share"), [(0.3, -1.0), (1e-2, 0.05), (1e-5, 0.95)])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_power_keeps_its_relative_error_and_attains_it(exponent, spread, share):
    """A chord over [x, gx] is charged the curvature at x and the value at gx: little if g is close to 1."""
    curve = interpolation.power(exponent, 1e-3, 10.0, spread)
    x = np.geomspace(1e-3, 10.0, 200_001)
    found = curve(x) * x**exponent - 1
    assert np.abs(found).max() <= spread * (1 + 1e-9)
    assert found.min() <= -0.99 * spread
    assert found.max() >= share * spread


@pytest.mark.parametrize("error", [0.05, 1e-3, 1e-5])
@pytest.mark.parametrize("cut", [2.0, 5.0])
def test_the_normal_interpolant_keeps_its_error_and_attains_it(cut, error):
    curve = lines_plan.normal_interpolant(cut, error)
    x = np.linspace(0, 2 * cut, 100_001)
    worst = np.abs(curve(x) - ndtr(x - cut)).max()
    assert 0.9 * error <= worst <= error * (1 + 1e-9)
    assert curve.slopes[-1] == 0  # level beyond


def test_at_zero_is_what_neurons_make_of_zero():
    curve = interpolation.power(0.5, 0.01, 4.0, 0.01)
    by_hand = curve.values[-1] + (curve.weights * np.maximum(curve.thresholds, 0)).sum()
    assert curve.at_zero == pytest.approx(by_hand, rel=1e-9)
    assert curve.values[0] < curve.at_zero <= 1.5 * curve.values[0]
    level = interpolation.walk(math.log, lambda x: -1 / x**2, 0.01, 1.0, 1e-2)
    assert level.at_zero == level.values[0]


@pytest.mark.parametrize("x", [-1e5, -3e4, -1e4, -300.0, -40.0, -5.0, 0.0, 2.0, 30.0])
def test_curvature_of_the_logarithm_of_the_normal_distribution(x):
    """1e-4 of its size: far out it is −1, but for 1/x², the difference of two numbers of size x²."""
    with mpmath.workdps(60):
        mills = mpmath.npdf(x) / mpmath.ncdf(x)
        exact = float(-mills * (x + mills))
    assert two_arms.curvature(x) == pytest.approx(exact, rel=1e-4, abs=1e-300)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interpolation.walk(math.log, lambda x: -1, 1.0, 1.0, 0.1), "walk: wanted low < high"),
        (
            lambda: interpolation.walk(math.exp, math.exp, 0.0, 1.0, 0.0),
            "walk: wanted low < high and error > 0",
        ),
        (
            lambda: interpolation.walk(math.exp, math.exp, 0.0, 1.0, 1e-12),
            "100,000 knots can reach, got 1e-12",
        ),
        (lambda: interpolation.power(1.0, 0.0, 1.0, 0.1), "power: wanted 0 < low < high"),
        (lambda: interpolation.power(1.0, 1.0, 2.0, 1.0), r"spread in \(0, 1\)"),
        (lambda: interpolation.power(1.0, 1.0, 9.0, 1e-12), "power: wanted a spread that 100,000 knots"),
    ],
)
def test_bad_interpolants_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("make", [rational.pade, rational.zolotarev])
def test_one_pole_is_enough_for_little(make):
    assert len(make(1.0, 1.5, 0.3).shifts) == 1
