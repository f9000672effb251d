"""Soft LinUCB: what it accepts, what it promises, and that it keeps its promises."""

import copy
import inspect
import io
import math
import pickle
from dataclasses import fields, replace
from decimal import Decimal, getcontext
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings, target
from hypothesis import strategies as st

from constructions import linucb
from constructions.history import BanditHistory
from constructions.inputs.bandits import admitted_norms, reward_bound
from constructions.linucb import Solver, Spec, build
from constructions.parts.block import UNIT
from constructions.sizes import measured
from constructions.transformer import SparseMap
from verify import algorithms
from verify.histories.linear import LinearOutline, outlines
from verify.theorems import evaluate
from verify.theorems.linucb import STATED_LAYERS

SPEC = Spec(dim=2, actions=3, horizon=4, error=0.1, action_norm=(0.5, 1.0), weight_norm=1.0, noise_bound=1.0)
PAPER = Spec(5, 10, 200, action_norm=(0.5, math.sqrt(5)), weight_norm=math.sqrt(5), noise_bound=6.0)


@cache
def built(spec: Spec = SPEC):
    return build(spec)


# ---------------------------------------------------------------- specs

BAD_SPECS = [
    ({"dim": 0}, "dim: wanted an integer >= 1, got 0"),
    ({"dim": 2.0}, "dim: wanted an integer >= 1, got 2.0"),
    ({"actions": True}, "actions: wanted an integer >= 1, got True"),
    ({"horizon": -1}, "horizon: wanted an integer >= 1, got -1"),
    ({"horizon": "4"}, "horizon: wanted an integer >= 1, got '4'"),
    ({"error": 0.0}, "error: wanted a finite number > 0, got 0.0"),
    ({"error": math.nan}, "error: wanted a finite number > 0, got nan"),
    ({"error": "0.1"}, "error: wanted a finite number > 0, got '0.1'"),
    ({"ridge": -1.0}, "ridge: wanted a finite number > 0, got -1.0"),
    ({"ridge": None}, "ridge: wanted a finite number > 0, got None"),
    ({"ridge": 10**400}, "ridge: wanted a finite number > 0, got about 1e.400"),
    ({"temperature": math.inf}, "temperature: wanted a finite number > 0, got inf"),
    ({"temperature": False}, "temperature: wanted a finite number > 0, got False"),
    ({"exploration": -0.1}, "exploration: wanted a finite number >= 0, got -0.1"),
    ({"weight_norm": math.nan}, "weight_norm: wanted a finite number >= 0, got nan"),
    ({"noise_bound": -math.inf}, "noise_bound: wanted a finite number >= 0, got -inf"),
    ({"action_norm": (0.0, 1.0)}, "action_norm: wanted a finite number > 0, got 0.0"),
    ({"action_norm": (2.0, 1.0)}, r"action_norm: wanted smallest <= largest, got \(2.0, 1.0\)"),
    ({"action_norm": (1.0,)}, r"action_norm: wanted a pair \(smallest, largest\), got \(1.0,\)"),
    ({"action_norm": 1.0}, r"action_norm: wanted a pair \(smallest, largest\), got 1.0"),
    ({"action_norm": ("a", "b")}, "action_norm: wanted a finite number > 0, got 'a'"),
    ({"solver": "adam"}, "solver: wanted 'gd' or 'agd' or 'chebyshev' or 'newton', got 'adam'"),
    ({"solver": "newton", "depth": "stated"}, "depth: wanted 'certified' for newton, of which"),
    ({"solver": "chebyshev", "depth": "stated"}, "depth: wanted 'certified' for chebyshev, of which"),
    ({"depth": "deep"}, "depth: wanted 'certified' or 'stated', got 'deep'"),
    (
        {"weight_norm": 0.0, "noise_bound": 0.0},
        "weight_norm, noise_bound: wanted at least one > 0, got 0 and 0",
    ),
]


def unchecked(**values) -> Spec:
    """A spec made without the types that tests enforce: what a user meets."""
    spec = object.__new__(Spec)
    for name, value in values.items():
        object.__setattr__(spec, name, value)
    inspect.unwrap(Spec.__post_init__)(spec)
    return spec


@pytest.mark.parametrize(("change", "message"), BAD_SPECS, ids=[str(change)[:40] for change, _ in BAD_SPECS])
def test_bad_specs_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        unchecked(**{field.name: getattr(SPEC, field.name) for field in fields(SPEC)} | change)


# ---------------------------------------------------------------- histories

RIGHT = np.array([[1.0, 0.0], [0.0, 0.5], [0.6, 0.8]])  # norms at both ends
STEPS = np.stack([RIGHT] * 3)


def with_entry(array, index, value):
    array = np.array(array, dtype=float)
    array[index] = value
    return array


BAD_HISTORIES = [
    ((STEPS[0], [0, 1], [0.0, 0.0]), "contexts: wanted shape"),
    ((STEPS[:0], [], []), "contexts: wanted shape"),
    ((STEPS[:, :2], [0, 1], [0.0, 0.0]), "contexts: wanted 3 actions of dimension 2, got 2 × 2"),
    ((np.ones((3, 3, 3)) / 2, [0, 1], [0.0, 0.0]), "contexts: wanted 3 actions of dimension 2, got 3 × 3"),
    (
        (with_entry(STEPS, (1, 2, 0), math.nan), [0, 1], [0.0, 0.0]),
        r"contexts: .*got nan at index \(1, 2, 0\)",
    ),
    (
        (with_entry(STEPS, (0, 0, 1), math.inf), [0, 1], [0.0, 0.0]),
        r"contexts: .*got inf at index \(0, 0, 1\)",
    ),
    (
        (with_entry(STEPS, (2, 0, 0), 1.001), [0, 1], [0.0, 0.0]),
        r"norms in \[0.5, 1\], got 1.001 at index \(2, 0\)",
    ),
    (
        (with_entry(STEPS, (1, 1, 1), 0.499), [0, 1], [0.0, 0.0]),
        r"norms in \[0.5, 1\], got 0.499 at index \(1, 1\)",
    ),
    ((np.stack([RIGHT] * 5), [0] * 4, [0.0] * 4), "history: wanted at most horizon = 4 steps, got 5"),
    ((STEPS, [0], [0.0, 0.0]), r"actions: wanted shape \(2,\), one fewer than the 3 contexts, got \(1,\)"),
    ((STEPS, [0, 1, 2], [0.0, 0.0]), r"actions: wanted shape \(2,\)"),
    ((STEPS, [[0], [1]], [0.0, 0.0]), r"actions: wanted shape \(2,\)"),
    ((STEPS, [0, 3], [0.0, 0.0]), r"actions: wanted numbers in 0\.\.2, got 3"),
    ((STEPS, [0, -1], [0.0, 0.0]), r"actions: wanted numbers in 0\.\.2, got -1"),
    ((STEPS, [0.0, 1.0], [0.0, 0.0]), "actions: wanted integer arm indices, got an array of float64"),
    ((STEPS, [True, False], [0.0, 0.0]), "actions: wanted integer arm indices, got an array of bool"),
    ((STEPS, [0, 1], [0.0]), r"rewards: wanted shape \(2,\)"),
    ((STEPS, [0, 1], [0.0, math.nan]), r"rewards: wanted finite numbers, got nan at index \(1,\)"),
    ((STEPS, [0, 1], [-math.inf, 0.0]), r"rewards: wanted finite numbers, got -inf at index \(0,\)"),
    ((STEPS, [0, 1], [2.001, 0.0]), r"rewards: wanted \|reward\| <= .* = 2, got 2.001"),
    ((STEPS, [0, 1], ["much", "little"]), "rewards: wanted an array of real numbers, got list"),
]


@pytest.mark.parametrize(("history", "message"), BAD_HISTORIES, ids=[message for _, message in BAD_HISTORIES])
def test_bad_histories_are_named(history, message):
    with pytest.raises(ValueError, match=message):
        built().log_probabilities(BanditHistory(*history))


SEEN = ("observe", RIGHT)
BAD_CALLS = [
    ([("record", 0, 0.0)], r"wanted observe\(context\) first, got record"),
    ([SEEN, SEEN], r"wanted record\(action, reward\) before the next context, got observe"),
    ([SEEN, ("record", 0, 0.0), ("record", 0, 0.0)], r"wanted observe\(context\) first"),
    ([*[SEEN, ("record", 0, 0.0)] * 4, SEEN], "wanted at most 4 decisions, got one more"),
    ([("observe", RIGHT[:2])], "contexts: wanted 3 actions of dimension 2, got 2 × 2"),
    ([("observe", RIGHT[0])], "contexts: wanted"),
    ([("observe", STEPS)], "contexts: wanted"),
    ([("observe", 2 * RIGHT)], r"contexts: wanted action norms in \[0.5, 1\], got 2"),
    ([("observe", math.nan * RIGHT)], "contexts: wanted finite numbers, got nan"),
    ([SEEN, ("record", 3, 0.0)], r"actions: wanted numbers in 0\.\.2, got 3"),
    ([SEEN, ("record", -1, 0.0)], r"actions: wanted numbers in 0\.\.2, got -1"),
    ([SEEN, ("record", 1.0, 0.0)], "actions: wanted integer actions"),
    ([SEEN, ("record", 0, math.nan)], "rewards: wanted finite numbers, got nan"),
    ([SEEN, ("record", 0, -2.5)], r"rewards: wanted \|reward\| <= .* = 2, got -2.5"),
]


def call(decoder, name, *arguments):
    """A method without the shape types that tests enforce: what a user meets."""
    return inspect.unwrap(getattr(type(decoder), name))(decoder, *arguments)


@pytest.mark.parametrize(("calls", "message"), BAD_CALLS, ids=[message for _, message in BAD_CALLS])
def test_bad_decoder_calls_are_named_and_change_nothing(calls, message):
    decoder = built().decoder()
    for good in calls[:-1]:
        call(decoder, *good)
    before = copy.deepcopy((decoder._steps.state.count, decoder._contexts))
    with pytest.raises(ValueError, match=message):
        call(decoder, *calls[-1])
    assert decoder._steps.state.count == before[0]
    np.testing.assert_equal(decoder._contexts, before[1])


def test_decoder_keeps_what_it_saw():
    """The caller may use its arrays again before it records."""
    context, decoder, clean = RIGHT.copy(), built().decoder(), built().decoder()
    decoder.observe(context)
    clean.observe(RIGHT)
    context[:] = 0.7
    decoder.record(0, 1.0)
    clean.record(0, 1.0)
    np.testing.assert_array_equal(decoder.observe(RIGHT), clean.observe(RIGHT))


def test_history_keeps_what_it_was_given():
    contexts, actions, rewards = STEPS.copy(), np.array([0, 1]), np.array([1.0, -1.0])
    history = BanditHistory(contexts, actions, rewards)
    contexts[:], actions[:], rewards[:] = math.nan, 17, math.inf
    np.testing.assert_array_equal(history.contexts, STEPS)
    assert (history.actions.tolist(), history.rewards.tolist()) == ([0, 1], [1.0, -1.0])


# ---------------------------------------------------------------- certificates

LIMIT = 1.5e4  # largest condition number for which a random spec is built: depth grows with it


@st.composite
def specs(draw, horizon=20, condition=LIMIT, error=1e-6, depths=("certified", "stated")):
    """Specs of every kind, scales far from 1 included."""

    def powers(low, high):
        return st.floats(math.log10(low), math.log10(high)).map(lambda x: 10**x)

    T, largest = draw(st.integers(1, horizon)), draw(powers(0.1, 10.0))
    smallest_ridge = 2 * T * largest**2 / condition
    depth = draw(st.sampled_from(depths))
    return Spec(
        dim=draw(st.integers(1, 4)),
        actions=draw(st.integers(1, 4)),
        horizon=T,
        error=draw(st.sampled_from([error, 1.0]) | powers(error, 100.0)),
        solver=draw(st.sampled_from(get_args(Solver) if depth == "certified" else ["gd", "agd"])),
        ridge=draw(powers(smallest_ridge, 1e3)),
        exploration=draw(st.sampled_from([0.0, 1.0]) | powers(1e-6, 10.0)),
        temperature=draw(powers(0.05, 100.0)),
        action_norm=(largest * draw(st.sampled_from([1.0, 0.01]) | st.floats(0.05, 1.0)), largest),
        weight_norm=draw(st.sampled_from([0.0, 1.0])),
        noise_bound=draw(powers(0.01, 10.0)),
        depth=depth,
    )


@given(specs())
def test_certificate_is_at_most_the_requested_error(spec):
    construction = build(spec)
    target(construction.certificate / spec.error)
    assert 0 <= construction.certificate <= spec.error


def bound(construction) -> float:
    """The certificate, and what float64 may add to it."""
    return construction.certificate + 2 * construction.blocks[-1].promise.total.rounding


@given(specs(horizon=8, condition=60.0, error=1e-3, depths=("certified",)), st.data())
def test_measured_error_is_at_most_the_certificate(spec, data):
    construction = build(spec)
    history = data.draw(outlines(spec)).history(spec)
    error = np.abs(construction.log_probabilities(history) - algorithms.linucb(spec, history)).max()
    target(error / bound(construction))
    assert error <= bound(construction)


FIXED = [
    replace(
        SPEC, solver=solver, horizon=horizon, error=error, exploration=exploration, ridge=2.0, temperature=0.5
    )
    for solver in ("gd", "agd", "chebyshev")
    for horizon, error, exploration in ((1, 0.1, 1.0), (5, 1e-4, 0.0), (5, 1e-3, 3.0))
]
FEW = settings(max_examples=settings.default.max_examples // 3)  # for what costs a run of every layer

every_construction = pytest.mark.parametrize("spec", FIXED, ids=lambda s: f"{s.solver}-{s.horizon}-{s.error}")


@every_construction
@FEW
@given(st.data())
def test_every_block_keeps_its_promise_and_probes_show_the_true_values(spec, data):
    """Tolerance: either side solves A x = y in float64, and the condition number of A is at most 1 + T B²/λ."""
    construction = built(spec)
    history = data.draw(outlines(spec)).history(spec)
    values = algorithms.linucb_values(spec, history)
    expected = {
        "ridge": values.ridge_estimate,
        "inverse": values.inverse_actions,
        "mean": values.mean,
        "square": values.width**2,
        "width": values.width,
        "logits": values.score / spec.temperature,
    }
    rounding = 100 * UNIT * (1 + spec.horizon * spec.action_norm[1] ** 2 / spec.ridge)
    probes = construction.probe(history)
    assert len(probes) == len(construction.blocks) == len(expected)
    for block, probe in zip(construction.blocks, probes, strict=True):
        true = expected[block.output.name].reshape(probe.true.shape)
        scale = np.abs(expected["logits" if block.output.name == "logits" else "width"]).max() + 1
        scale = max(scale, reward_bound(spec) * math.sqrt(spec.horizon))
        np.testing.assert_allclose(probe.true, true, rtol=0, atol=rounding * scale)
        assert probe.error <= probe.promise, block.name
        assert probe.own_error <= probe.own_promise, block.name
        assert np.linalg.norm(probe.computed - probe.true, axis=-1).max() == pytest.approx(probe.error)
    error = np.abs(construction.log_probabilities(history) - values.log_probabilities).max()
    target(error / bound(construction))
    assert error <= bound(construction)


@given(st.floats(1e-18, 1.0))
def test_width_error_is_a_bound_for_tiny_residuals_too(residual):
    """1 − √(1 − r) cancels for small r; in 120 digits it does not, and they hold every float64 at hand exactly."""
    getcontext().prec = 120
    longest = Decimal(admitted_norms(SPEC)[1])
    exact = longest / Decimal(SPEC.ridge).sqrt() * (1 - (1 - Decimal(residual)).sqrt())
    ours = linucb.width_error(SPEC, residual)
    # eight operations in balls of 53 bits, each with a middle and a radius of up to two units, and the way to a float
    assert exact <= Decimal(ours) <= exact * (1 + 40 * Decimal(UNIT))


# ---------------------------------------------------------------- depths


def stated(spec: Spec) -> float:
    names = (
        "dim",
        "actions",
        "horizon",
        "error",
        "ridge",
        "exploration",
        "temperature",
        "weight_norm",
        "noise_bound",
    )
    values = {name: getattr(spec, name) for name in names}
    return evaluate(STATED_LAYERS, action_min=spec.action_norm[0], action_max=spec.action_norm[1], **values)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"horizon": 50, "error": 1e-2},
        {
            "exploration": 0.01,
            "temperature": 1.0,
            "error": 1.0,
        },  # the proof's second condition on error_2 binds
        {"horizon": 7, "ridge": 0.3, "exploration": 2.5, "temperature": 1.0},
        {"dim": 2, "actions": 3, "action_norm": (1.0, 1.0), "weight_norm": 1.0, "noise_bound": 0.1},
        {"horizon": 1000, "error": 1e-5, "exploration": 12.0, "action_norm": (0.1, 3.0)},
    ],
    ids=str,
)
def test_stated_depth_is_that_of_the_paper_and_certified_depth_is_less(change):
    spec = replace(PAPER, depth="stated", **change)
    loops, certified = linucb.plan(spec).loops, linucb.plan(replace(spec, depth="certified")).loops
    assert sum(depth for depth, *_ in loops) + 2 == stated(spec)
    assert sum(depth for depth, *_ in certified) < sum(depth for depth, *_ in loops)


def test_stated_and_certified_sizes_in_the_papers_setting():
    """The ridge step alone is stated to take 2,273 layers; both constructions meet the same error."""
    deep, shallow = built(replace(PAPER, depth="stated")), built(PAPER)
    assert deep.size().layers == stated(PAPER) > 2273
    assert shallow.size().layers < deep.size().layers / 2
    assert shallow.certificate <= PAPER.error
    assert deep.certificate <= PAPER.error
    for construction in (deep, shallow):
        assert construction.size().heads <= 4 * PAPER.actions
        assert construction.size().width == construction.tokens.stream.width


def test_one_layer_less_would_not_do():
    """The certified depth is the least: one layer less, and the square root gets less than its share."""
    for spec in FIXED:
        [(depth, *_)] = linucb.plan(spec).loops
        method = linucb.descent_method(spec)
        share = (1 - linucb.root_share(spec) if spec.exploration else 1) * spec.error * spec.temperature / 2
        assert linucb.inherited_error(spec, method, depth) <= share
        less = linucb.inherited_error(spec, method, depth - 1)
        assert less > share * (1 - linucb.SLACK) or method.residual(depth - 1) > 0.5


# ---------------------------------------------------------------- shipping


def through_state_dict(model):
    fresh, buffer = build(SPEC).transformer, io.BytesIO()
    for part in fresh.modules():
        if isinstance(part, SparseMap):
            part.weight.zero_()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    return fresh


@pytest.mark.parametrize(
    "ship",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), through_state_dict],
    ids=["deepcopy", "pickle", "state_dict"],
)
def test_a_shipped_transformer_is_the_same(ship):
    model, outline = built().transformer, LinearOutline("random", "random", "both ends", 4, 0.0, 0)
    tokens = torch.as_tensor(built().tokens.encode(outline.history(SPEC)))
    shipped = ship(model)
    assert torch.equal(shipped(tokens), model(tokens))
    assert measured(shipped) == measured(model)
    assert shipped.clip_radius == model.clip_radius


def test_a_spec_may_be_written_in_whole_numbers():
    spec = Spec(
        2, 3, 4, 1, ridge=1, exploration=1, temperature=1, action_norm=(1, 2), weight_norm=1, noise_bound=0
    )
    assert spec.action_norm == (1.0, 2.0)
    assert build(spec).certificate <= 1
