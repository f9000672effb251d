"""Chebyshev series by products: identities in fractions, certified tails, and sizes."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from constructions.primitives import series
from constructions.stream import Stream
from verify.sweeps import fit_power


def chebyshev(x: Fraction, most: int) -> list[Fraction]:
    """T_0(x), …, T_most(x) by their recursion."""
    values = [Fraction(1), x]
    while len(values) <= most:
        values.append(2 * x * values[-1] - values[-2])
    return values


@given(st.sampled_from([2, 6, 18]), st.data(), st.fractions(-1, 1, max_denominator=100))
def test_every_degree_up_to_three_times_is_split_into_products(stored, data, x):
    degree = data.draw(st.integers(0, 3 * stored))
    values = chebyshev(x, 3 * stored)
    parts = [
        sum((Fraction(c) * t for c, t in zip(part, values, strict=False)), Fraction(0))
        for part in series.split(degree, stored)
    ]
    assert parts[0] + values[stored] * parts[1] + values[stored] ** 2 * parts[2] == values[degree]


EXP = {"ratio": 6.0, "largest": math.exp(4.13)}
FUNCTIONS = {
    "exp": (np.exp, mpmath.exp, -2.0, 1.0, EXP),
    "1/x": (lambda x: 1 / x, lambda x: 1 / x, 0.5, 2.5, {"ratio": 2.0, "largest": 4.0}),
    "pole at 2.51": (
        lambda x: 1 / (2.51 - x),
        lambda x: 1 / (2.51 - x),
        0.5,
        2.5,
        {"ratio": 1.1, "largest": 183.0},
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(error=st.floats(-6, -1).map(lambda x: 10**x), share=st.floats(0, 1))
def test_the_tail_is_certified(name, error, share):
    """In 40 digits: nothing is left of rounding but that of the coefficients."""
    many, one, low, high, limits = FUNCTIONS[name]
    found = series.analytic(many, low, high, error=error, **limits)
    with mpmath.workdps(40):
        x = min(low + mpmath.mpf(share) * (high - low), mpmath.mpf(high))
        t = (2 * x - low - high) / (high - low)
        last, now, total = 1, t, mpmath.mpf(found.coefficients[0])
        for coefficient in found.coefficients[1:]:
            total, last, now = total + mpmath.mpf(coefficient) * now, now, 2 * t * now - last
        wrong = float(abs(total - one(x)))
    target(wrong / error)
    assert wrong <= error


def test_degree_grows_as_the_logarithm_and_layers_as_its_logarithm():
    errors = 10.0 ** -np.arange(1, 11)
    found = [series.analytic(np.exp, -2.0, 1.0, error=float(error), **EXP) for error in errors]
    degrees = np.array([one.degree for one in found])
    assert np.abs(np.diff(degrees) - math.log(10) / math.log(6)).max() <= 1
    for one in found:
        assert one.degree <= 3 * one.stored
        assert one.layers == 2 or one.degree > one.stored
        assert one.stored == 2 * 3 ** (one.layers - 2)
    assert fit_power(1 / errors, degrees).exponent < 0.1


def test_bad_input_is_named():
    limits = {"ratio": 2.0, "largest": 1.0, "error": 1e-3}
    for change in ({"low": 1.0}, {"ratio": 1.0}, {"largest": 0.0}):
        values = {"low": 0.0, "high": 1.0} | limits | change
        with pytest.raises(ValueError, match="analytic: wanted low < high, ratio > 1 and largest > 0"):
            series.analytic(np.exp, **values)
    with pytest.raises(ValueError, match="analytic: wanted an error that float64 can reach, got 1e-14"):
        series.analytic(np.exp, 0.0, 1.0, **limits | {"error": 1e-14})
    s = Stream.of(x=1, y=1, t=3, it=1, position=3)
    curve = series.analytic(np.exp, -2.0, 1.0, error=0.1, **EXP)
    names = {"of": s["x"], "position": s["position"], "terms": s["t"], "times": s["it"], "to": s["y"]}
    with pytest.raises(ValueError, match="wanted of, terms and times of 1, 2 and 1 entries, got 1, 3 and 1"):
        series.function("e^x", "", curve, truth=np.exp, tokens=4, **names)
