"""Whether all responses are binary: exact in rational arithmetic by the definitions, and right in words."""

from dataclasses import replace
from fractions import Fraction

import pytest
from by_definition import by_definition
from hypothesis import example, given
from hypothesis import strategies as st

from constructions.history import BanditHistory
from constructions.prediction import binary

SPEC = binary.Spec(horizon=7)
RESPONSE = st.integers(-32, 32).map(lambda n: Fraction(n, 16))


def told(responses, spec=SPEC):
    """Distance and verdict after all responses, in fractions."""
    history = BanditHistory(
        [[[0.5]]] * (len(responses) + 1), [0] * len(responses), [float(y) for y in responses]
    )
    built = binary.build(spec)
    token = by_definition(built.transformer, built.tokens.encode(history))[-1]
    return [token[built.tokens.stream[name].start] for name in ("distance", "binary")]


@given(st.lists(RESPONSE, max_size=6))
@example([Fraction(1, 2)])
@example([Fraction(-2), Fraction(2)])
@example([Fraction(0), Fraction(1), Fraction(1)])
@example([Fraction(1, 16)])
@example([Fraction(5, 4)])
def test_the_test_is_exact_in_rational_arithmetic(responses):
    distance, verdict = told(responses)
    assert distance == sum((min(abs(y), abs(y - 1)) for y in responses), Fraction(0))
    assert (verdict == 1) == all(y in (0, 1) for y in responses)
    assert 0 <= verdict <= 1
    if any(min(abs(y), abs(y - 1)) >= SPEC.margin for y in responses):
        assert verdict == 0


@pytest.mark.parametrize(("margin", "slope"), [(0.25, 4.0), (0.3, 4.0), (0.01, 128.0), (5.0, 0.25)])
def test_the_slope_is_a_power_of_two_that_keeps_the_margin(margin, slope):
    spec = replace(SPEC, margin=margin)
    assert spec.slope == slope
    assert told([Fraction(1), Fraction(3, 2)], spec)[1] == max(1 - Fraction(slope) / 2, 0)
