"""Thompson sampling with two arms and by sampling, and the posterior under both: measured ≤ certified ≤ asked for."""

import copy
import inspect
import math
import pickle
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings, target
from hypothesis import strategies as st

from constructions import thompson
from constructions.history import BanditHistory
from constructions.thompson import Spec, build, lines_plan, posterior, sampling, two_arms
from verify import algorithms
from verify.histories.linear import LinearOutline, battery, outlines

TWO = Spec(dim=2, actions=2, horizon=4, error=0.05, separation=0.05)
DRAWN = Spec(dim=2, actions=3, horizon=4, error=0.2, separation=0.05, form="sampling")
LINES = replace(DRAWN, form="policy", nodes=4, error=0.3)
FEW = settings(max_examples=settings.default.max_examples // 3)


@cache
def built(spec: Spec):
    return build(spec)


def room(spec: Spec, outline: LinearOutline) -> BanditHistory:
    """The outline's history; an outline whose arms find no place apart is not one."""
    try:
        return outline.history(spec)
    except ValueError as error:
        assume("separation" not in str(error))
        raise


def with_draws(spec: Spec, history: BanditHistory, seed: int, longest: bool) -> BanditHistory:
    """Draws beside a history, as they come or as long as they may be."""
    draws = np.random.default_rng(seed).normal(size=(history.steps, spec.dim))
    lengths = np.linalg.norm(draws, axis=1, keepdims=True)
    draws *= spec.draw_norm / lengths if longest else 1.0
    return BanditHistory(history.contexts, history.actions, history.rewards, draws)


def keeps_promises(construction, history) -> None:
    for probe in construction.probe(history):
        assert probe.error <= probe.promise, probe.block
        assert probe.own_error <= probe.own_promise, probe.block


# ---------------------------------------------------------------- two arms


@st.composite
def specs(draw):
    """Small, and of every kind: scales far from 1, arms of one norm, opposite arms, rewards without noise or without w*."""

    def powers(low, high):
        return st.floats(math.log10(low), math.log10(high)).map(lambda x: 10**x)

    largest, horizon = draw(powers(0.3, 3.0)), draw(st.integers(1, 4))
    low = largest * draw(st.sampled_from([1.0, 0.2]))
    ridge = horizon * largest**2 * draw(powers(0.05, 1e3))  # the condition, and with it the depth
    variance = draw(powers(1e-3, 1e3))
    weight, noise = draw(st.sampled_from([(1.0, 1.0), (0.0, 2.0), (2.0, 0.0)]))
    return Spec(
        dim=draw(st.integers(1, 3)),
        actions=2,
        horizon=horizon,
        error=draw(powers(0.01, 1.0)),
        solver=draw(st.sampled_from(["pade", "zolotarev", "chebyshev", "newton"])),
        prior_variance=variance / ridge,
        noise_variance=variance,
        action_norm=(low, largest),
        separation=largest * draw(st.sampled_from([2.0 * low / largest, 0.3, 1e-3])),
        weight_norm=weight * math.sqrt(variance) / largest,
        noise_bound=noise * math.sqrt(variance),
    )


FAILED = Spec(dim=1, actions=2, horizon=2, error=1e-2)
"""1/√q at a token without arms is 3/2 of the largest with arms; gates that forgot it let other tokens in."""
FAILED_BY = LinearOutline("random", "lowest", "largest", 2, -2.0, 5)


@given(specs(), st.data())
def test_log_probabilities_are_within_the_certificate(spec, data):
    outline = data.draw(outlines(spec))
    construction, history = build(spec), room(spec, outline)
    target(check_two_arms(construction, history))


def check_two_arms(construction, history) -> float:
    """In full, and without the rounding that may be added: it stays far below."""
    true = algorithms.thompson(construction.spec, history)
    error = np.abs(construction.log_probabilities(history) - true).max()
    assert error <= construction.certificate <= construction.spec.error
    keeps_promises(construction, history)
    return error / construction.certificate


def test_histories_that_broke_the_gates():
    check_two_arms(built(FAILED), FAILED_BY.history(FAILED))
    for outline in battery(FAILED)[::3]:
        check_two_arms(built(FAILED), outline.history(FAILED))


def test_gates_hold_at_every_spec_in_a_row():
    """A gate is a power of two: only some bounds come close to theirs. New directions after small arms make q largest."""
    for largest in np.geomspace(1.0, 2.0, 12):
        spec = replace(FAILED, dim=2, action_norm=(0.2, float(largest)), separation=0.05, error=0.5)
        small, wide = np.array([[0.2, 0.0], [-0.2, 0.0]]), largest * np.array([[0.0, 1.0], [0.0, -1.0]])
        check_two_arms(build(spec), BanditHistory([small, wide], [0], [spec.reward_max]))


def test_probabilities_of_ten_to_the_minus_ten_thousand_and_less():
    """log p ≈ −10⁴, within 0.05."""
    scales = {"noise_variance": 0.01, "weight_norm": 2.0, "noise_bound": 3.0, "action_norm": (0.5, 1.0)}
    spec = replace(TWO, dim=1, horizon=30, prior_variance=0.05, separation=0.5, **scales)
    arms = np.array([[1.0], [-1.0]])
    history = BanditHistory([arms] * 30, [0] * 29, [spec.reward_max] * 29)
    true = algorithms.thompson(spec, history)
    assert -5e4 < true.min() < -8e3
    assert np.abs(built(spec).log_probabilities(history) - true).max() <= built(spec).certificate <= 0.05


def test_rounding_is_bounded_far_below_the_error():
    """Else probes could hide anything: arms a thousandth apart once left 830."""
    for separation in (0.05, 1e-3):
        construction = built(replace(TWO, separation=separation))
        assert (
            construction.blocks[-1].promise.total.rounding
            <= 0.05 * construction.certificate / separation**0.3
        )
        [root] = [block for block in construction.blocks if block.outputs[0].name == "inverse_root"]
        assert root.promise.total.rounding <= 1e-2 * root.promise.total.error


def literal(construction, history, model=None) -> np.ndarray:
    tokens = torch.as_tensor(construction.tokens.encode(history))
    output = (model or construction.transformer)(tokens).numpy()
    return output[construction.tokens.states(history.steps)]


@pytest.mark.parametrize(
    "spec", [TWO, DRAWN, replace(LINES, solver="zolotarev")], ids=lambda s: s.form + str(s.actions)
)
def test_the_literal_transformer_says_the_same(spec):
    """Either is within the rounding of the logits."""
    construction = built(spec)
    for outline in battery(spec)[::40]:
        history = outline.history(spec)
        history = with_draws(spec, history, 0, False) if spec.form == "sampling" else history
        fast, slow = construction.outputs([history])[0], literal(construction, history)
        place = construction.tokens.stream["logits"].slice
        bound = 2 * construction.blocks[-1].promise.total.rounding
        assert np.abs(fast[:, place] - slow[:, place]).max() <= bound


@pytest.mark.parametrize("spec", [TWO, DRAWN], ids=lambda s: s.form)
def test_one_changed_weight_changes_fast_and_literal_alike(spec):
    construction, generator = built(spec), np.random.default_rng(1)
    history = LinearOutline("random", "random", "spread", spec.horizon, 0.0, 3).history(spec)
    history = with_draws(spec, history, 0, False) if spec.form == "sampling" else history
    names = [name for name, weight in construction.transformer.named_parameters() if weight.numel()]
    moved = 0
    for name in generator.choice(names, 12):
        model = copy.deepcopy(construction.transformer)
        weights = model.get_parameter(name)
        weights[int(generator.integers(len(weights)))] *= 1.1
        changed = replace(construction, transformer=model)
        fast, slow = changed.outputs([history])[0], literal(construction, history, model)
        place = construction.tokens.stream["logits"].slice
        scale = max(1.0, np.abs(slow).max())
        np.testing.assert_allclose(fast[:, place], slow[:, place], rtol=1e-6, atol=1e-9 * scale)
        moved += np.abs(slow - literal(construction, history)).max() > 1e-6
    assert moved >= 4


@pytest.mark.parametrize("spec", [TWO, FAILED, DRAWN, replace(LINES, prior_variance=1e-10)], ids=str)
def test_clipping_never_acts(spec):
    """Slopes of 1/x once outgrew the radius where the prior is narrow."""
    construction = built(spec)
    for outline in battery(spec)[::20]:
        history = outline.history(spec)
        history = with_draws(spec, history, 0, True) if spec.form == "sampling" else history
        tokens = torch.as_tensor(construction.tokens.encode(history))
        for layer in construction.transformer.run():
            tokens = layer(tokens)
            assert float(tokens.norm(dim=-1).max()) <= construction.transformer.clip_radius / 2


# ---------------------------------------------------------------- the posterior


@pytest.mark.parametrize("solver", ["pade", "zolotarev", "chebyshev", "newton"])
@FEW
@given(data=st.data())
def test_differences_of_arms_carry_relative_errors_only(solver, data):
    """x̂ = (I + E)x with ‖E‖ ≤ ε_w, for differences of a millionth too; 10⁻⁹ of it is for rounding in x itself."""
    spec = replace(DRAWN, solver=solver, separation=1e-6, error=data.draw(st.sampled_from([0.02, 0.5])))
    construction, chosen = built(spec), sampling.plan(spec)
    history = with_draws(spec, room(spec, data.draw(outlines(spec))), 0, False)
    outputs, registers = construction.outputs([history])[0], construction.tokens.stream.registers
    white = outputs[:, registers["white"].slice].reshape(-1, spec.actions, spec.dim)
    mean = outputs[:, registers["mean"].slice]
    true = algorithms.thompson_values(spec, history)
    theta, worst = posterior.largest_ratio(spec), 0.0
    for k in range(spec.actions):
        for j in range(k):
            apart = true.whitened[:, j] - true.whitened[:, k]
            length = np.linalg.norm(apart, axis=1)
            error = np.linalg.norm(white[:, j] - white[:, k] - apart, axis=1)
            assert (error <= chosen.relative * length + 1e-14).all()
            gap, wanted = mean[:, j] - mean[:, k], true.mean[:, j] - true.mean[:, k]
            assert (np.abs(wanted) <= length * theta * (1 + 1e-9) + 1e-13).all()
            assert (np.abs(gap - wanted) <= length * chosen.residual * theta + 1e-13).all()
            worst = max(worst, float((error / length).max() / chosen.relative))
    target(worst)


@pytest.mark.parametrize("solver", ["pade", "zolotarev", "chebyshev", "newton"])
def test_the_posterior_is_that_of_the_oracle(solver):
    """Every probe's true value, from the blocks' own words, is the oracle's, which shares no code with them."""
    spec = replace(DRAWN, solver=solver)
    for outline in battery(spec)[::30]:
        history = with_draws(spec, outline.history(spec), 1, True)
        probes = {probe.block: probe for probe in built(spec).probe(history)}
        true = algorithms.thompson_values(spec, history)
        for name, wanted in (
            ("posterior mean", true.posterior_mean),
            ("√r Σ^-0.5 a_k", true.whitened),
            ("mean ⟨a_k, μ⟩", true.mean),
            ("scores ⟨a_k, w̃⟩", algorithms.thompson_scores(spec, history)),
        ):
            if solver == "newton" and name == "posterior mean":
                continue  # it never computes it
            found = probes[name].true
            np.testing.assert_allclose(found, wanted.reshape(found.shape), rtol=1e-9, atol=1e-10)
        keeps_promises(built(spec), history)


def test_growth_of_poles_and_depth():
    """m as T^{1/4} (pade) or log T (zolotarev), n as √T but for logarithms."""
    horizons = 10 ** np.arange(2, 7)
    plans = {
        solver: [sampling.plan(replace(DRAWN, solver=solver, horizon=int(T))) for T in horizons]
        for solver in ("pade", "zolotarev")
    }
    pade, zolotarev = (np.array([len(p.rule.shifts) for p in plans[s]], float) for s in plans)
    slope = np.polyfit(np.log10(horizons[2:]), np.log10(pade[2:]), 1)[0]
    assert 0.24 <= slope <= 0.34  # a logarithm of the error, which falls with T, comes on top
    assert np.diff(zolotarev).max() <= 3
    assert (zolotarev <= pade).all()
    for solver in plans:
        depth = np.array([p.depth for p in plans[solver]], float)
        assert 0.5 <= np.polyfit(np.log10(horizons), np.log10(depth), 1)[0] <= 0.6


def test_chebyshev_takes_half_the_layers():
    """For the same poles, where the poles leave as much to the descent."""
    for spec in (replace(DRAWN, horizon=200), replace(DRAWN, horizon=10_000)):
        half, whole = (sampling.plan(replace(spec, solver=solver)) for solver in ("chebyshev", "zolotarev"))
        assert len(half.rule.shifts) == len(whole.rule.shifts)
        assert 0.4 < half.depth / whole.depth < 0.55


# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize("solver", ["pade", "zolotarev", "chebyshev", "newton"])
@FEW
@given(data=st.data(), longest=st.booleans())
@example(data=None, longest=True)
def test_the_same_draw_gives_the_same_action(solver, data, longest):
    spec = replace(DRAWN, solver=solver)
    outline = data.draw(outlines(spec)) if data else LinearOutline("one arm", "highest", "largest", 4, 0.0, 0)
    construction, history = built(spec), with_draws(spec, room(spec, outline), outline.seed, longest)
    true = algorithms.thompson_scores(spec, history)
    scores = construction.outputs([history])[0][:, construction.tokens.stream["logits"].slice]
    assert np.abs(scores - true).max() <= construction.certificate <= spec.error
    margin = np.sort(true)[:, -1] - np.sort(true)[:, -2]
    same = scores.argmax(1) == true.argmax(1)
    assert same[margin > 2 * construction.certificate].all()
    keeps_promises(construction, history)


def play(decoder, histories: list[BanditHistory], steps=range(4)) -> np.ndarray:
    """A batch in lockstep, or one history alone."""
    alone, rows = decoder._batch is None, []

    def members(name, step):
        values = [getattr(history, name) for history in histories]
        return values[0][step] if alone else np.stack([value[step] for value in values])

    for step in steps:
        draw = () if histories[0].draws is None else (members("draws", step),)
        rows.append(decoder.observe(members("contexts", step), *draw))
        if step < histories[0].steps - 1:
            action, reward = members("actions", step), members("rewards", step)
            decoder.record(int(action) if alone else action, float(reward) if alone else reward)
    return np.array(rows)


@pytest.mark.parametrize("spec", [TWO, DRAWN], ids=lambda s: s.form)
def test_decoders_give_the_same_as_whole_histories(spec):
    construction = built(spec)
    histories = [LinearOutline("random", "random", "spread", 4, 0.0, seed).history(spec) for seed in range(3)]
    if spec.form == "sampling":
        histories = [with_draws(spec, history, n, False) for n, history in enumerate(histories)]
    whole = np.stack([construction.log_probabilities(history) for history in histories], axis=1)
    bound = 4 * construction.blocks[-1].promise.total.rounding
    np.testing.assert_allclose(play(construction.decoder(batch=3), histories), whole, rtol=0, atol=bound)
    for n, history in enumerate(histories):
        np.testing.assert_allclose(play(construction.decoder(), [history]), whole[:, n], rtol=0, atol=bound)
    first = construction.decoder()
    play(first, histories[:1], range(2))
    saved = pickle.loads(pickle.dumps(first.state()))
    play(first, histories[:1], range(2, 4))
    second, third = construction.decoder(), construction.decoder()
    second.restore(saved)
    third.replay(histories[0].prefix(3))
    for decoder in (second, third):
        np.testing.assert_allclose(
            play(decoder, histories[:1], range(2, 4)), whole[2:, 0], rtol=0, atol=bound
        )


# ---------------------------------------------------------------- sizes


def test_two_arms_have_the_size_of_the_docstring():
    for spec in (TWO, replace(TWO, dim=3, error=0.5), FAILED):
        size, chosen = built(spec).size(), two_arms.plan(spec)
        assert (size.layers, size.heads, size.width) == (chosen.depth + 5, 6, 8 * spec.dim + 14)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_two_arms_by_newton_have_the_size_of_the_docstring(dim):
    spec = replace(TWO, dim=dim, solver="newton")
    size, chosen = built(spec).size(), two_arms.plan(spec)
    assert (size.layers, size.width) == (chosen.depth + 6, 4 * dim**2 + 9 * dim + 14)
    assert size.heads == max(4 * dim + 5, 4 * dim**2 + 2)


def base_width(spec: Spec, poles: int) -> int:
    d, A = spec.dim, spec.actions
    return 3 * d + 4 + A * (d + 1) + (2 * poles + 1) * A * d + 2 * A * d * (spec.solver == "pade")


@pytest.mark.parametrize("solver", ["pade", "zolotarev", "chebyshev"])
@pytest.mark.parametrize(("dim", "arms"), [(2, 3), (3, 2), (1, 4)])
def test_the_sampling_form_has_the_size_of_the_docstring(solver, dim, arms):
    spec = replace(DRAWN, solver=solver, dim=dim, actions=arms)
    size, chosen = build(spec).size(), sampling.plan(spec)
    poles = len(chosen.rule.shifts)
    assert size.layers == (2 if solver == "pade" else 1) * chosen.depth + 2
    assert size.heads == 3 + poles * (2 * arms + 1)
    assert size.width == base_width(spec, poles) + dim + 2 * arms


def test_newton_has_the_size_of_the_docstring():
    for dim, arms in ((2, 3), (3, 2), (1, 4)):
        spec = replace(DRAWN, solver="newton", dim=dim, actions=arms)
        steps = sampling.plan(spec).steps
        assert build(spec).size().layers == steps + 3
        spec = replace(spec, form="policy", actions=5, nodes=4, error=0.3)
        assert build(spec).size().layers == lines_plan.plan(spec).algebra.steps + 6 + 2


# ---------------------------------------------------------------- bad input

BAD_SPECS = [
    ({"dim": 0}, "dim: wanted an integer >= 1, got 0"),
    ({"actions": 1}, "actions: wanted at least 2, got 1"),
    ({"horizon": 2.0}, "horizon: wanted an integer >= 1, got 2.0"),
    ({"nodes": 0}, "nodes: wanted an integer >= 1, got 0"),
    ({"error": math.nan}, "error: wanted a finite number > 0, got nan"),
    ({"error": "0.1"}, "error: wanted a finite number > 0, got '0.1'"),
    ({"prior_variance": 0.0}, "prior_variance: wanted a finite number > 0, got 0.0"),
    ({"noise_variance": math.inf}, "noise_variance: wanted a finite number > 0, got inf"),
    ({"prior_variance": 1e-320}, "prior_variance: wanted a number between 1e-30 and 1e[+]30, got 1e-320"),
    ({"separation": 0.0}, "separation: wanted a finite number > 0, got 0.0"),
    ({"separation": 4.5}, r"separation: wanted at most 2 B_a = 4.47\d*, got 4.5"),
    ({"failure": 1.0}, "failure: wanted a probability < 1, got 1.0"),
    ({"truncation": 0.6}, "truncation: wanted at most 0.5, got 0.6"),
    ({"actions": 3, "truncation": 0.02}, "truncation: wanted at most 0.01, got 0.02"),
    ({"truncation": -1.0}, "truncation: wanted a finite number > 0, got -1.0"),
    ({"solver": "agd"}, "solver: wanted 'pade' or 'zolotarev' or 'chebyshev' or 'newton', got 'agd'"),
    ({"form": "other"}, "form: wanted 'policy' or 'sampling', got 'other'"),
    ({"rule": 3}, "rule: wanted 'sobol' or 'random', got 3"),
    ({"seed": True}, "seed: wanted an integer >= 0, got True"),
    ({"action_norm": (2.0, 1.0)}, "action_norm: wanted smallest <= largest"),
    ({"weight_norm": -1.0}, "weight_norm: wanted a finite number >= 0, got -1.0"),
    ({"weight_norm": 0.0, "noise_bound": 0.0}, "weight_norm, noise_bound: wanted at least one > 0"),
]


@pytest.mark.parametrize(("change", "message"), BAD_SPECS, ids=[str(change)[:40] for change, _ in BAD_SPECS])
def test_bad_specs_are_named(change, message):
    spec = object.__new__(Spec)
    defaults = {field.name: getattr(TWO, field.name) for field in fields(TWO)}
    for name, value in (defaults | change).items():
        object.__setattr__(spec, name, value)
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(Spec.__post_init__)(spec)


def test_what_float64_cannot_reach_is_refused():
    for solver in ("zolotarev", "newton"):
        with pytest.raises(ValueError, match=r"wanted .*(100,000 knots|float64).*, got"):
            build(replace(TWO, error=1e-12, solver=solver))
    with pytest.raises(ValueError, match="truncation: wanted one that leaves room within error"):
        build(replace(LINES, error=0.02, truncation=0.01))


ARMS = np.array([[1.0, 0.0], [0.0, 1.0]])
CLOSE = np.array([[1.0, 0.0], [1.0, 0.04]])
BAD_HISTORIES = [
    (TWO, ([CLOSE], [], []), r"wanted actions at least 0.05 apart, got 0.04 at index \(0, 0, 1\)"),
    (TWO, ([math.nan * ARMS], [], []), "contexts: wanted finite numbers, got nan"),
    (TWO, ([ARMS[:, :1]], [], []), "contexts: wanted 2 actions of dimension 2, got 2 × 1"),
    (TWO, ([ARMS] * 5, [0] * 4, [0.0] * 4), "wanted at most horizon = 4 steps, got 5"),
    (TWO, ([ARMS] * 2, [0], [1e3]), r"rewards: wanted \|reward\| <= .*, got 1000"),
    (TWO, ([ARMS], [], [], [[0.0, 0.0]]), "history: wanted no draws for this form, got some"),
    (DRAWN, ([[*ARMS, -ARMS[0]]], [], []), "history: wanted draws for this form, got none"),
    (DRAWN, ([[*ARMS, -ARMS[0]]], [], [], [[9.0, 9.0]]), "draws: wanted norms <= 9.41421356, got 12.7279221"),
    (DRAWN, ([[*ARMS, -ARMS[0]]], [], [], [[math.nan, 0.0]]), "draws: wanted finite numbers, got nan"),
    (DRAWN, ([[*ARMS, -ARMS[0]]], [], [], [[0.0]]), "draws: wanted"),
]


@pytest.mark.parametrize(("spec", "history", "message"), BAD_HISTORIES, ids=[row[2] for row in BAD_HISTORIES])
def test_bad_histories_are_named(spec, history, message):
    with pytest.raises(ValueError, match=message):
        built(spec).log_probabilities(BanditHistory(*history))


THREE = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
BAD_CALLS = [
    (DRAWN, (THREE,), "observe: wanted a context and a draw, got no draw"),
    (DRAWN, (THREE, np.full(2, math.nan)), "draws: wanted finite numbers, got nan"),
    (DRAWN, (THREE, np.full(2, 8.0)), "draws: wanted norms <= 9.41421356, got 11.3137085"),
    (DRAWN, (THREE, np.zeros(3)), "draws: wanted"),
    (TWO, (ARMS, np.zeros(2)), "wanted no draw"),
    (TWO, (CLOSE,), "wanted actions at least 0.05 apart"),
]


@pytest.mark.parametrize(("spec", "call", "message"), BAD_CALLS, ids=[row[2] for row in BAD_CALLS])
def test_bad_decoder_calls_are_named_and_change_nothing(spec, call, message):
    decoder = built(spec).decoder()
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(type(decoder).observe)(decoder, *call)
    assert (decoder._decisions, decoder._steps.state.count) == (0, 0)


def test_a_draw_for_each_history_of_a_batch():
    decoder = built(DRAWN).decoder(batch=2)
    with pytest.raises(
        ValueError, match=r"draws: wanted shape .2, 2., a vector for each context, got .1, 2."
    ):
        decoder.observe(np.stack([THREE, THREE]), np.zeros((1, 2)))


def test_forms_follow_the_spec():
    assert thompson.build(TWO).chance is None
    assert built(LINES).chance.nodes == 4
