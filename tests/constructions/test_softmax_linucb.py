"""Soft LinUCB by softmax attention: its blocks, its steps, its certificate, and what attention has to hold for them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from constructions import linucb
from constructions.history import BanditHistory
from constructions.language import averages_plan
from constructions.language.averages_plan import Plan, Products
from constructions.linucb import by_softmax, softmax_plan
from constructions.rounding import schedules
from constructions.rounding.outward import above, balls
from verify import algorithms, audit
from verify.histories import linear as strategies

SPEC = linucb.SoftmaxSpec(2, 3, 6, 0.01, action_norm=(0.5, 1.0), weight_norm=1.0, noise_bound=1.0)
BUILT = linucb.build(SPEC)
PAPER = linucb.SoftmaxSpec(5, 10, 200, 1e-3, action_norm=(0.5, 1.0), weight_norm=1.0, noise_bound=1.0)


def a_history(spec: linucb.SoftmaxSpec, seed: int = 0) -> BanditHistory:
    """A full one, of random arms of length 1 and rewards near the largest."""
    chance = np.random.default_rng(seed)
    arms = chance.standard_normal((spec.horizon, spec.actions, spec.dim))
    arms /= np.linalg.norm(arms, axis=-1, keepdims=True)
    actions = chance.integers(spec.actions, size=spec.horizon - 1)
    return BanditHistory(arms, actions, chance.uniform(-1.5, 1.5, spec.horizon - 1))


def test_it_is_within_its_certificate_and_no_other_algorithm_is():
    tried = strategies.battery(SPEC)[::4]
    found = audit.measure(BUILT, algorithms.linucb, tried)
    assert found.score <= 1
    assert found.error > BUILT.certificate / 2  # the root takes nearly all that there is

    def other(spec, history):
        return algorithms.linucb(replace(spec, exploration=0.99 * spec.exploration), history)

    assert BUILT.certificate <= SPEC.error
    assert audit.measure(linucb.build(replace(SPEC, error=1e-4)), other, tried).score > 1


def test_without_exploration_nothing_but_products_and_steps_is_off():
    spec = replace(SPEC, exploration=0.0, error=1e-6)
    built, history = linucb.build(spec), a_history(spec)
    error = np.abs(built.log_probabilities(history) - algorithms.linucb(spec, history)).max()
    assert 1e-12 < error <= built.certificate <= 1e-6


def test_the_size_asked_for_is_built_and_that_of_ten_thousand_steps_is_certified():
    built, history = linucb.build(PAPER), a_history(PAPER)
    size = built.size()
    assert (size.layers, size.heads) == (10, 220)
    assert built.certificate <= 1e-3
    assert built.rounding < 2e-4
    few = BanditHistory(history.contexts[:60], history.actions[:59], history.rewards[:59])
    assert np.abs(built.log_probabilities(few) - algorithms.linucb(PAPER, few)).max() <= built.certificate
    assert linucb.build(replace(PAPER, horizon=10_000)).size().layers == 13
    assert linucb.build(linucb.SoftmaxSpec(5, 10, 10_000)).size().layers == 14  # the paper's bounds


def kept(built, history: BanditHistory) -> list[dict[str, np.ndarray]]:
    """What stands in the registers after each layer, token 0 first."""
    found, registers = [], built.tokens.stream.registers.items()

    def keep(_, tokens):
        found.append({name: tokens[0, :, one.slice].numpy() for name, one in registers})
        return tokens

    built.transformer(torch.as_tensor(built.tokens.encode(history))[None], keep)
    return found


def coarse(b: float = 0.25, gate: float = 30.0) -> Plan:
    """A plan whose products are off by much more than float64 is."""
    spec = replace(SPEC, exploration=0.0)
    arms = softmax_plan.vectors(spec)
    made = Products.of(spec, arms, 1.0)
    made = replace(made, turn=replace(made.turn, b=b, gate=gate))
    return Plan(spec, arms, made, schedules.inverse(*averages_plan.ends(spec, made), 6))


@pytest.mark.parametrize(("b", "gate"), [(0.25, 30.0), (0.125, 5.0)])
def test_each_step_leaves_what_the_theorem_says(b: float, gate: float):
    """L goes to (1 − c)I + cL² + cE(I − L), E what two hyperbolic tangents leave of each entry of I − L, but for gates."""
    with balls(53):
        found, history = coarse(b, gate), a_history(SPEC)
        built = by_softmax.written(found, 0.0)
    made, layers, eye = found.products.turn, kept(built, history), np.eye(SPEC.dim)
    gram = layers[2]["gram"][1:].reshape(-1, SPEC.dim, SPEC.dim)
    inverses = [one["inverse"][1:].reshape(-1, SPEC.dim, SPEC.dim) for one in layers[2:]]
    seen = []
    for scale, before, after in zip(found.chosen.scales, inverses, inverses[1:], strict=False):
        left, now = eye - before @ gram, eye - after @ gram
        entries = eye - left
        off = 8 / (3 * b) * np.tanh(b * entries / 2) - np.tanh(b * entries) / (3 * b) - entries
        assert np.abs(off).max() <= float(made.series)
        wanted = (1 - scale) * eye + scale * left @ left + scale * off @ entries
        seen.append(np.abs(now - wanted).max())
        through = scale * SPEC.dim**1.5 * float(made.leak) * np.linalg.norm(before, 2, (1, 2)).max()
        assert seen[-1] <= through * np.linalg.norm(gram, 2, (1, 2)).max() + 1e-11
        assert np.abs(scale * off @ entries).max() > 100 * seen[-1] or gate < 10
    assert gate > 10 or max(seen) > 1e-6  # a small gate lets something through
    last = eye - inverses[len(found.chosen.scales)] @ gram
    assert np.linalg.norm(last, 2, (1, 2)).max() <= found.chosen.error + above(found.stray)


def test_steps_are_refused_where_products_are_larger_than_they_are_made_for():
    with balls(53):
        found = coarse(2.0)
        assert above(found.stray) == np.inf
        assert not found.holds


def test_m_is_symmetric_to_the_last_bit_and_token_0_holds_no_inverse():
    layers = kept(BUILT, a_history(SPEC))
    gram = layers[-1]["gram"].reshape(-1, SPEC.dim, SPEC.dim)
    assert (gram == gram.mT).all()
    assert (gram[0] == SPEC.ridge * np.eye(SPEC.dim)).all()
    for one in layers:
        assert not one["inverse"][0].any()
        assert not one["shares"][0].any()


def test_tokens_hold_digits_and_logarithms_and_token_0_neither():
    tokens = kept(BUILT, a_history(SPEC))[0]
    assert not tokens["digits"][0].any()
    assert tokens["log"][0] == 0
    bits = (tokens["digits"][1:] + 1) / 2
    assert (bits @ 2.0 ** np.arange(SPEC.digits) == np.arange(1, 2 * SPEC.horizon)).all()
    np.testing.assert_allclose(tokens["log"][1:, 0], np.log(np.arange(1, 2 * SPEC.horizon)), rtol=1e-15)


def test_a_decoder_and_a_plain_module_give_the_same(tmp_path):
    history = a_history(SPEC)
    whole, decoder = BUILT.log_probabilities(history), BUILT.decoder()
    for step in range(history.steps):
        np.testing.assert_allclose(decoder.observe(history.contexts[step]), whole[step], rtol=0, atol=1e-10)
        if step < history.steps - 1:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))
    model, tokens = BUILT.to_torch(), torch.as_tensor(BUILT.tokens.encode(history))[None]
    logits = model(tokens)[0, BUILT.tokens.states(history.steps)][:, BUILT.output]
    np.testing.assert_allclose(torch.log_softmax(logits, -1).numpy(force=True), whole, rtol=0, atol=1e-10)


def test_the_fewest_steps_are_taken_and_smaller_factors_only_where_they_are_wanted():
    with balls(53):
        found, left = softmax_plan.plan(SPEC)
        assert found.products == Products.of(SPEC, found.vectors, 1.0)
        budget = SPEC.error * SPEC.temperature / 2
        assert softmax_plan.reached(found) <= 0.2 * budget
        assert 0.79 * budget < left <= budget
        fewer = schedules.inverse(*averages_plan.ends(SPEC, found.products), len(found.chosen.errors) - 1)
        assert softmax_plan.reached(replace(found, chosen=fewer)) > 0.2 * budget
        long = linucb.SoftmaxSpec(5, 10, 10_000)
        found, _ = softmax_plan.plan(long)
        assert found.products.turn.b < Products.of(long, found.vectors, 1.0).turn.b


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"exploration": 0.0, "error": 1e-13},
            r"error: wanted one that weights of float64 can carry, .* got 1e-13",
        ),
        (
            {"horizon": 10**9},
            r"linucb by softmax: wanted at most 8 GiB \(WEIGHTWRIGHT_MEMORY\), got about 5.5e\+02",
        ),
        ({"dim": 0}, r"dim: wanted an integer >= 1, got 0"),
        ({"temperature": 0.0}, r"temperature: wanted a finite number > 0, got 0.0"),
    ],
)
def test_what_cannot_be_built_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        linucb.build(replace(SPEC, **change))
