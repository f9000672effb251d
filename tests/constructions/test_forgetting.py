"""LinUCB that forgets: weights by age, window and discount, against what they say in plain numbers."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions.linucb import forgetting, lagged
from verify import algorithms, audit
from verify.catalog import CATALOG
from verify.claims import general
from verify.histories import linear as strategies

SPEC = forgetting.Spec(dim=2, actions=3, horizon=12, window=4)
FALLING = dataclasses.replace(SPEC, window=None, discount=0.7)


@given(st.integers(1, 12), st.integers(1, 12))
def test_a_window_is_exact(steps, horizon):
    lags = lagged.window(steps, horizon)
    assert lags.values[1::2].tolist() == [float(s < steps) for s in range(horizon)]
    assert lags.total >= max(lags.values[0::2].sum(), lags.values[1::2].sum())


@given(st.floats(0.05, 0.99), st.integers(1, 40), st.floats(1e-9, 0.5))
def test_a_discount_is_as_near_as_it_says_and_convex(factor, horizon, error):
    lags, off = lagged.discount(factor, horizon, error)
    exact = [Fraction(factor) ** s for s in range(horizon)]
    heads = [
        sum(Fraction(c) * max(int(k) - (2 * s + 1), 0) for k, c in zip(lags.knots, lags.weights, strict=True))
        for s in range(horizon)
    ]
    assert max(abs(x - y) for x, y in zip(heads, exact, strict=True)) <= off <= error + 1e-12
    assert (lags.weights >= -1e-15).all()
    assert (lags.values >= 0).all()


@pytest.mark.parametrize("spec", [SPEC, FALLING], ids=["window", "discount"])
def test_it_is_within_its_certificate_and_no_other_algorithm_is(spec):
    built, tried = forgetting.build(spec), strategies.battery(spec)[::4]
    assert audit.measure(built, algorithms.forgetting_linucb, tried).score <= 1
    assert audit.measure(built, algorithms.linucb, tried).score > 1
    changed = {"window": 5} if spec.window else {"discount": 0.75}

    def other(_, history):
        return algorithms.forgetting_linucb(dataclasses.replace(spec, **changed), history)

    assert audit.measure(built, other, tried).score > 1


@pytest.mark.parametrize(("spec", "told"), [(SPEC, "window=4"), (FALLING, "discount=0.7")])
def test_it_says_what_it_is_built_for(spec, told):
    built = forgetting.build(spec)
    assert told in repr(built)
    assert "None" not in repr(built)
    assert told in general.title(CATALOG["forgetting"], spec)


def test_a_window_beyond_the_horizon_is_linucb():
    spec = dataclasses.replace(SPEC, window=50)
    history = strategies.battery(spec)[3].history(spec)
    built = forgetting.build(spec).log_probabilities(history)
    assert np.abs(built - algorithms.linucb(spec, history)).max() <= spec.error


@pytest.mark.parametrize("spec", [SPEC, FALLING], ids=["window", "discount"])
def test_the_algorithm_one_decision_at_a_time_is_that_of_the_whole(spec):
    history, decoder = strategies.battery(spec)[5].history(spec), algorithms.forgetting_decoder(spec)
    whole = algorithms.forgetting_linucb(spec, history)
    for step in range(history.steps):
        assert decoder.observe(history.contexts[step]) == pytest.approx(whole[step], abs=1e-9)
        if step + 1 < history.steps:
            decoder.record(history.actions[step], history.rewards[step])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": None}, "wanted one of them, got None and None"),
        ({"discount": 0.5}, "wanted one of them, got 4 and 0.5"),
        ({"window": 0}, "window: wanted an integer >= 1, got 0"),
        ({"window": None, "discount": 1.0}, "discount: wanted one below 1, got 1.0"),
        ({"error": -1.0}, "error: wanted"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SPEC, **change)
