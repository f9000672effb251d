"""Thompson sampling by softmax attention: its blocks, its certificate, division by a root, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from flint import arb

from constructions import thompson
from constructions.history import BanditHistory
from constructions.primitives.softmax.division import Divisor
from constructions.rounding.outward import balls
from constructions.thompson.softmax import plan as softmax_plan
from constructions.thompson.softmax import sampling, two_arms
from verify import algorithms, audit
from verify.histories import linear as strategies

BOUNDS = {"action_norm": (0.5, 1.0), "weight_norm": 1.0, "noise_bound": 1.0}
SPEC = thompson.SoftmaxSpec(2, 2, 6, 0.01, separation=0.1, **BOUNDS)
BUILT = thompson.build(SPEC)
PAPER = thompson.SoftmaxSpec(5, 2, 200)


def a_history(spec: thompson.SoftmaxSpec, apart: float, seed: int = 0) -> BanditHistory:
    """A full one, of arms of length 1 that are so far apart, and rewards near the largest."""
    chance, steps = np.random.default_rng(seed), spec.horizon
    first, other = np.linalg.qr(chance.standard_normal((steps, spec.dim, 2)))[0].transpose(2, 0, 1)
    angle = 2 * np.arcsin(apart / 2)
    arms = np.stack([first, np.cos(angle) * first + np.sin(angle) * other], axis=1)
    actions = chance.integers(2, size=steps - 1)
    return BanditHistory(arms, actions, chance.uniform(-1.9, 1.9, steps - 1))


def test_it_is_within_its_certificate_and_no_other_algorithm_is():
    tried = strategies.battery(SPEC)[::4]
    found = audit.measure(BUILT, algorithms.thompson, tried)
    assert found.score <= 1
    assert BUILT.certificate / 8 < found.error <= BUILT.certificate <= SPEC.error

    def other(spec, history):
        return algorithms.thompson(replace(spec, noise_variance=0.99 * spec.noise_variance), history)

    assert audit.measure(thompson.build(replace(SPEC, error=1e-4)), other, tried).score > 1


def test_it_gives_what_the_one_with_relu_attention_gives():
    plain, history = thompson.build(SPEC.plain), a_history(SPEC, 0.5)
    apart = np.abs(BUILT.log_probabilities(history) - plain.log_probabilities(history)).max()
    assert 0 < apart <= BUILT.certificate + plain.certificate


@pytest.mark.parametrize("apart", [0.1, 0.5, 1.9])
def test_the_direction_has_about_length_one_however_near_the_arms_are(apart: float):
    history = a_history(SPEC, apart)
    _, held = BUILT.run_with_cache(history, registers=["unit", "unit_share", "length", "length_odds"])
    states = BUILT.tokens.states(history.steps)
    unit, share = (held[-1, name][states] for name in ("unit", "unit_share"))
    u = history.contexts[:, 0] - history.contexts[:, 1]
    lengths = np.linalg.norm(unit, axis=1)
    assert softmax_plan.LOW < lengths.min() <= lengths.max() < softmax_plan.HIGH
    np.testing.assert_allclose(unit * apart, u * lengths[:, None], rtol=0, atol=1e-14)
    np.testing.assert_allclose(share * (states + 1)[:, None], unit, rtol=0, atol=1e-13)
    np.testing.assert_allclose(held[-1, "length"][states, 0], apart**2, rtol=1e-6)


def test_the_ratio_is_that_of_the_arms_and_not_of_the_length_they_were_given():
    """A wrong length changes nothing that is read, as long as neurons know the root."""
    history = a_history(SPEC, 0.7)
    plain = BUILT.run_with_hooks(history, [])
    moved = BUILT.run_with_hooks(history, [((0, "length_odds"), lambda odds, _: odds + 0.05)])
    assert np.abs(moved - plain).max() <= 2 * BUILT.certificate
    wrong = BUILT.run_with_hooks(history, [(("odds of 1/√(r ûᵀΣ⁻¹û)"), lambda odds, _: odds + 0.05)])
    assert np.abs(wrong - plain).max() > 2 * BUILT.certificate


def test_the_size_asked_for_is_built_and_the_paper_s_setting_is_certified():
    built = thompson.build(PAPER)
    size = built.size()
    assert (size.layers, size.heads, size.width) == (12, 100, 143)
    assert built.certificate <= 1e-3
    history = a_history(PAPER, 1e-3)
    few = BanditHistory(history.contexts[:40], history.actions[:39], history.rewards[:39])
    assert np.abs(built.log_probabilities(few) - algorithms.thompson(PAPER, few)).max() <= built.certificate


def test_no_fewer_steps_would_do():
    with balls(53):
        plan = softmax_plan.plan(SPEC)
        theta = softmax_plan.posterior.largest_ratio(SPEC)
        wanted = min(0.75 * SPEC.error / 2 / (theta + 2), 1.0)
        tried = [*softmax_plan.plans(SPEC, plan.found.vectors, 0.0)]
        fewer = [one for one in tried if len(one.chosen.errors) < len(plan.found.chosen.errors)]
        assert all(softmax_plan.left(SPEC, one, 0.0) > wanted / 8 for one in fewer)
        assert softmax_plan.left(SPEC, plan.found, 0.0) <= wanted / 8
        assert plan.ratio.error <= wanted
        built = two_arms.written(plan)
    assert built.certificate == BUILT.certificate


@pytest.mark.parametrize(
    ("low", "high", "error", "weight"), [(1e-3, 40.0, 1e-4, 2.25), (0.5, 600.0, 0.1, 1e-3)]
)
def test_odds_divide_by_a_root(low, high, error, weight):
    """In exact arithmetic at all knots and between them, with neurons as float64 holds them."""
    with balls():
        found = Divisor.of(low, high, error, weight)
        assert 2 * found.unit <= (arb(weight) * low).sqrt()
    x = np.geomspace(low, high, 1000).clip(low, high)
    quotients = found.share(x) / found.unit * np.sqrt(weight * x)
    assert np.exp(-error) <= quotients.min() < quotients.max() <= np.exp(error)
    assert np.abs(found.odds(x) - found.curve.made(x)).max() <= found.error <= error
    assert found.curve.knots.size <= 3 + np.log(high / low) / np.log(1 + 3.2 * np.sqrt(error / 2))
    slopes = np.abs(np.diff(found.curve.made(x)) / np.diff(x))
    assert (slopes * x[:-1]).max() <= found.steep * (1 + 1e-3)


def test_a_decoder_and_a_plain_module_give_the_same():
    history = a_history(SPEC, 0.3)
    whole, decoder = BUILT.log_probabilities(history), BUILT.decoder()
    for step in range(history.steps):
        np.testing.assert_allclose(decoder.observe(history.contexts[step]), whole[step], rtol=0, atol=1e-9)
        if step < history.steps - 1:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))
    model, tokens = BUILT.to_torch(), torch.as_tensor(BUILT.tokens.encode(history))[None]
    logits = model(tokens)[0, BUILT.tokens.states(history.steps)][:, BUILT.output]
    np.testing.assert_allclose(torch.log_softmax(logits, -1).numpy(force=True), whole, rtol=0, atol=1e-9)


def test_a_single_arm_on_offer_is_certain():
    history = a_history(SPEC, 0.3)
    offered = np.ones((history.steps, 2), dtype=bool)
    offered[-1, 0] = False
    policy = BUILT.log_probabilities(history, offered=offered)
    assert policy[-1].tolist() == [-np.inf, 0.0]
    np.testing.assert_array_equal(policy[:-1], BUILT.log_probabilities(history)[:-1])


SAMPLING = thompson.SoftmaxSpec(2, 3, 6, 0.01, "sampling", separation=0.1, **BOUNDS)
DRAWN = thompson.build(SAMPLING)


def test_scores_at_a_draw_are_within_the_certificate_and_those_of_another_draw_are_not():
    tried = strategies.battery(SAMPLING)[::3]
    found = audit.measure(DRAWN, algorithms.thompson_scores, tried)
    assert found.score <= 1
    assert DRAWN.certificate / 2 < found.error <= DRAWN.certificate <= SAMPLING.error

    def other(spec, history):
        return algorithms.thompson_scores(spec, replace(history, draws=0.99 * history.draws))

    assert audit.measure(DRAWN, other, tried).score > 1


def test_each_pole_is_an_inverse_with_its_ridge_and_their_sum_an_inverse_root():
    history, states = tried_history(SAMPLING), DRAWN.tokens.states(SAMPLING.horizon)
    plan = sampling.plan(SAMPLING)
    _, held = DRAWN.run_with_cache(history, layers=[-1])
    played = history.chosen
    for step, token in enumerate(states):
        gram = played[:step].T @ played[:step]
        root = np.zeros_like(gram)
        for mark, pole, weight in zip(plan.marks, plan.poles, plan.rule.weights, strict=True):
            found = held[-1, f"inverse{mark}"][token].reshape(2, 2) / (token + 1)
            wanted = np.linalg.inv(pole.spec.ridge * np.eye(2) + gram)
            assert np.linalg.norm(found - wanted, 2) <= 1.01 * float(pole.residual) / pole.spec.ridge
            root += weight * found
        square = root @ (SAMPLING.ridge * np.eye(2) + gram) @ root
        apart = plan.rule.error + max(float(pole.residual) for pole in plan.poles)
        np.testing.assert_allclose(square, np.eye(2), rtol=0, atol=2.5 * apart)


def tried_history(spec: thompson.SoftmaxSpec) -> BanditHistory:
    """A full one of the search's."""
    return strategies.battery(spec)[0].history(spec)


def test_no_fewer_steps_and_poles_would_do_for_a_sample():
    with balls(53):
        plan = sampling.plan(SAMPLING)
        high, longest = SAMPLING.action_norm[1], arb(sampling.admitted_draw(SAMPLING))
        budget = SAMPLING.error * (1 - sampling.SLACK)
        fewer = [
            one
            for one in sampling.candidates(SAMPLING, plan.rule, 0.0)
            if len(one.mean.chosen.errors) < len(plan.mean.chosen.errors)
        ]
        assert all(one.error > budget for one in fewer)
        assert plan.error <= budget
        for pole in plan.poles:
            product = replace(pole.products.square, own=pole.products.square.own / 4)
            small = replace(pole, products=replace(pole.products, square=product))
            assert sampling.form(small, high, longest) == np.inf  # products larger than they are made for


@pytest.mark.parametrize("noise", [3.0, 17.0, 19.0, 410.0])
def test_a_past_that_says_hardly_anything_is_a_problem_like_others(noise: float):
    """Largest and least eigenvalue are nearly one: some of these had no rule of their own."""
    spec = replace(SAMPLING, action_norm=(0.01, 0.02), separation=0.01, noise_variance=noise, error=1e-3)
    built = thompson.build(spec)
    found = audit.measure(built, algorithms.thompson_scores, strategies.battery(spec)[::30])
    assert found.score <= 1


def test_the_sampling_form_runs_step_by_step_and_as_a_plain_module():
    history = tried_history(SAMPLING)
    whole, decoder = DRAWN.log_probabilities(history), DRAWN.decoder()
    for step in range(history.steps):
        said = decoder.observe(history.contexts[step], history.draws[step])
        np.testing.assert_allclose(said, whole[step], rtol=0, atol=1e-9)
        if step < history.steps - 1:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))
    model, tokens = DRAWN.to_torch(), torch.as_tensor(DRAWN.tokens.encode(history))[None]
    logits = model(tokens)[0, DRAWN.tokens.states(history.steps)][:, DRAWN.output]
    np.testing.assert_allclose(torch.log_softmax(logits, -1).numpy(force=True), whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "sampling", "error": 1e-14}, r".* wanted .* got "),
        ({"actions": 3}, r"actions: wanted 2 for the policy with softmax attention, got 3"),
        ({"error": 1e-12}, r"error: wanted .* got 1"),
        (
            {"separation": 1e-6},
            r"separation: wanted at least .* with softmax attention in float64, got 1e-06",
        ),
        ({"horizon": 10**9}, r"thompson by softmax: wanted at most 8 GiB \(WEIGHTWRIGHT_MEMORY\), got about"),
        ({"noise_variance": 0.0}, r"noise_variance: wanted a finite number > 0, got 0.0"),
    ],
)
def test_what_cannot_be_built_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        thompson.build(replace(SPEC, **change))
