"""Square roots by products: errors in fractions, and what they save."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from constructions import linucb
from constructions.parts.stream import Stream
from constructions.primitives import refinement
from verify import algorithms
from verify.histories.linear import outlines
from verify.sweeps.records import fit_power

SPEC = linucb.Spec(
    dim=2,
    actions=3,
    horizon=6,
    error=1e-2,
    solver="newton",
    root="products",
    action_norm=(0.5, 1.0),
    weight_norm=1.0,
    noise_bound=1.0,
)


FEW = settings(max_examples=settings.default.max_examples // 3)  # for what costs a run of every layer
build = cache(linucb.build)


def refined(t: Fraction, spread: float, steps: int) -> Fraction:
    """Newton's iteration on √x z, scaled as the layers do it, in fractions."""
    *factors, last = map(Fraction, refinement.scales(spread, steps))
    for scale in factors:
        t = scale / 2 * t * (3 - (scale * t) ** 2)
    return t * last


@given(st.sampled_from([0.4, 0.1, 1 / 16, 1e-3]), st.integers(1, 4), st.floats(-1, 1))
def test_every_start_within_the_spread_ends_within_the_error(spread, steps, share):
    """Scales are rounded; nine of them act on numbers near 1."""
    wrong = abs(refined(1 + Fraction(spread) * Fraction(share), spread, steps) - 1)
    bound = refinement.error(spread, steps)
    target(float(wrong / Fraction(bound)) if bound > 1e-12 else 0.0)
    assert wrong <= Fraction(bound) + Fraction(20, 2**53)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_error_is_attained_at_both_ends(steps):
    for end in (-1, 1):
        wrong = abs(refined(1 + Fraction(end, 10), 0.1, steps) - 1)
        assert float(wrong) == pytest.approx(refinement.error(0.1, steps), rel=1e-5)


def test_bad_spreads_are_named():
    s = Stream.of(x=1, z=1, y=1, iy=1, again=1, position=3)
    names = {"of": s["x"], "near": s["z"], "to": s["y"], "to_times": s["iy"], "partner": s["again"]}
    limits = {"position": s["position"], "high": 1.0, "nearest": 1.0, "tokens": 4}
    for spread, steps in ((0.0, 1), (0.5, 1), (0.1, 0)):
        with pytest.raises(ValueError, match=r"wanted 0 < spread < 0\.5 and at least 1 step"):
            refinement.root("√x", "", spread=spread, steps=steps, **names, **limits)


# ---------------------------------------------------------------- soft LinUCB


@pytest.mark.parametrize(
    ("error", "solver"),
    [
        pytest.param(
            error, solver, marks=pytest.mark.nightly if (error, solver) == (1e-4, "chebyshev") else ()
        )
        for error in (1e-1, 1e-4)
        for solver in ("agd", "chebyshev", "newton")
    ],
)
@FEW
@given(data=st.data())
def test_measured_error_is_at_most_the_certificate(solver, error, data):
    spec = replace(SPEC, solver=solver, error=error)
    built = build(spec)
    history = data.draw(outlines(spec)).history(spec)
    wrong = np.abs(built.log_probabilities(history) - algorithms.linucb(spec, history)).max()
    whole = built.certificate + 2 * built.blocks[-1].promise.total.rounding
    target(wrong / whole)
    assert wrong <= whole
    assert built.certificate <= error
    for probe in built.probe(history):
        assert probe.error <= probe.promise, probe.block
        assert probe.own_error <= probe.own_promise, probe.block


def test_neurons_do_not_grow_and_layers_hardly():
    """1/√ε by interpolation; by products as many for every error, and a layer more whenever the digits double."""
    errors, hidden, layers = [1e-2, 1e-3, 1e-4, 1e-6, 1e-8], {}, {}
    for root in ("interpolation", "products"):
        specs = [linucb.Spec(5, 10, 200, error, solver="newton", root=root) for error in errors]
        sizes = [linucb.build(spec).size() for spec in specs]
        hidden[root], layers[root] = (
            [getattr(size, what) for size in sizes] for what in ("hidden", "layers")
        )
    assert fit_power(1 / np.array(errors), hidden["interpolation"]).exponent == pytest.approx(0.5, abs=0.02)
    assert set(hidden["products"]) == {151}
    assert layers["products"] == [13, 13, 15, 15, 15]
    assert max(np.subtract(layers["products"], layers["interpolation"])) <= 4


def test_without_exploration_there_is_no_root():
    spec = replace(SPEC, exploration=0.0)
    assert linucb.build(spec).size() == linucb.build(replace(spec, root="interpolation")).size()


def test_it_is_refused_at_the_stated_depth():
    with pytest.raises(ValueError, match="root: wanted 'interpolation' at the depth of the paper's proof"):
        replace(SPEC, solver="agd", depth="stated")
