"""Soft LinUCB against coba, against a naive loop, and against its own first principles."""

from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import pytest
from coba.learners import LinUCBLearner
from fixed_play import history_from
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from constructions.history import BanditHistory
from verify import algorithms, environments
from verify.play.rollout import rollout


@dataclass(frozen=True)
class Parameters:
    ridge: float = 1.0
    exploration: float = 1.0
    temperature: float = 0.5


SPEC = Parameters()
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


def random_history(seed, steps=20, arms=4, dim=3, norm=1.0):
    generator = np.random.default_rng(seed)
    return BanditHistory(
        norm * generator.standard_normal((steps, arms, dim)),
        generator.integers(arms, size=steps - 1),
        generator.standard_normal(steps - 1),
    )


@st.composite
def histories(draw):
    steps, arms, dim = draw(st.integers(1, 12)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    number = st.floats(-2, 2, allow_subnormal=False)
    many = lambda size, element: draw(st.lists(element, min_size=size, max_size=size))  # noqa: E731
    contexts = np.reshape(many(steps * arms * dim, number), (steps, arms, dim))
    return BanditHistory(contexts, many(steps - 1, st.integers(0, arms - 1)), many(steps - 1, number))


parameters = st.builds(Parameters, st.floats(0.1, 10), st.floats(0, 5), st.floats(0.2, 10))
seeds = st.integers(0, 2**32 - 1)


def naive(spec, history):
    """The definitions at the last step, in loops and with an explicit inverse."""
    dim, last = history.contexts.shape[2], history.contexts[-1]
    gram, moment = spec.ridge * np.eye(dim), np.zeros(dim)
    for action, reward in zip(history.chosen, history.rewards, strict=True):
        gram, moment = gram + np.outer(action, action), moment + action * reward
    inverse = np.linalg.inv(gram)
    mean = np.array([action @ inverse @ moment for action in last])
    width = np.array([(action @ inverse @ action) ** 0.5 for action in last])
    score = mean + spec.exploration * width
    odds = np.exp((score - max(score)) / spec.temperature)
    inverse_actions = np.array([inverse @ action for action in last])
    return inverse @ moment, inverse_actions, mean, width, score, np.log(odds / sum(odds))


@settings(deadline=None)
@given(parameters, histories())
@example(Parameters(0.1, 5.0, 0.2), BanditHistory(np.zeros((1, 1, 1)), [], []))
@example(Parameters(0.1, 5.0, 0.2), random_history(0, steps=12, norm=2.0))
def test_every_value_agrees_with_a_naive_loop(spec, history):
    values = algorithms.linucb_values(spec, history)
    for step in range(history.steps):
        expected = naive(spec, history.prefix(step + 1))
        for field, value in zip(fields(values), expected, strict=True):
            close(getattr(values, field.name)[step], value, err_msg=field.name)
    np.testing.assert_array_equal(algorithms.linucb(spec, history), values.log_probabilities)


@pytest.mark.parametrize("ridge", [1.0, 0.2, 7.0])
@pytest.mark.parametrize(("seed", "exploration"), [(0, 2.0), (1, 0.0), (2, 0.3)])
def test_estimates_widths_scores_and_argmax_agree_with_coba(ridge, seed, exploration):
    """Coba's ridge is 1; its scores on actions a/√λ are those of ridge λ on a, and its θ is then √λ·w."""
    environment = environments.paper_linear_bandit(np.random.default_rng(seed), horizon=120)
    history = history_from(environment, np.random.default_rng(seed))
    spec = Parameters(ridge, exploration, temperature=1e-3)
    values = algorithms.linucb_values(spec, history)
    learner = LinUCBLearner(alpha=exploration, features=["a"])
    actions = history.contexts / ridge**0.5
    learner.predict(None, [tuple(row) for row in actions[0].tolist()])
    for step in range(history.steps):
        offered = [tuple(row) for row in actions[step].tolist()]
        width = np.sqrt(np.einsum("kd,de,ke->k", actions[step], learner._A_inv, actions[step]))
        score = actions[step] @ learner._theta + exploration * width
        close(values.ridge_estimate[step], learner._theta / ridge**0.5, rtol=0)
        close(values.width[step], width, rtol=0)
        close(values.score[step], score, rtol=0)
        if np.ptp(np.sort(score)[-2:]) > 1e-8:
            greedy = learner._pmf(None, offered)
            assert np.argmax(values.log_probabilities[step]) == np.argmax(greedy) == np.argmax(score)
        if step < history.steps - 1:
            arm = history.actions[step]
            learner.learn(None, offered[arm], history.rewards[step], 1.0)


@settings(deadline=None, max_examples=25)
@given(parameters, histories())
def test_ridge_estimate_minimises_its_objective(spec, history):
    values = algorithms.linucb_values(spec, history)
    chosen, rewards = history.chosen, history.rewards

    def objective(weights):
        residual = chosen @ weights - rewards
        return residual @ residual + spec.ridge * weights @ weights

    def gradient(weights):
        return 2 * chosen.T @ (chosen @ weights - rewards) + 2 * spec.ridge * weights

    last = values.ridge_estimate[-1]
    np.testing.assert_allclose(gradient(last), 0, atol=1e-9 * (1 + history.steps * 16))
    found = minimize(objective, np.zeros_like(last), jac=gradient, tol=1e-12)
    assert objective(last) <= found.fun + 1e-9 * (1 + found.fun)


@settings(deadline=None, max_examples=25)
@given(parameters, histories())
def test_width_is_the_largest_mean_within_the_unit_confidence_ball(spec, history):
    """max over ‖A^{1/2} u‖ ≤ 1 of ⟨a, u⟩ is the width, attained at A⁻¹a / width."""
    values = algorithms.linucb_values(spec, history)
    gram = spec.ridge * np.eye(history.contexts.shape[2]) + history.chosen.T @ history.chosen
    last, solved, width = history.contexts[-1], values.inverse_actions[-1], values.width[-1]
    close(np.einsum("kd,de,ke->k", solved, gram, solved), width**2)
    close(np.einsum("kd,kd->k", last, solved), width**2)


@given(parameters, seeds)
def test_first_step_knows_nothing(spec, seed):
    history = random_history(seed, steps=1)
    values = algorithms.linucb_values(spec, history)
    norms = np.linalg.norm(history.contexts, axis=2)
    np.testing.assert_array_equal(values.ridge_estimate, 0)
    np.testing.assert_allclose(values.width, norms / spec.ridge**0.5, rtol=1e-13)
    np.testing.assert_allclose(values.score, spec.exploration * values.width, rtol=1e-13)


@given(parameters, seeds)
def test_symmetries_of_the_policy(spec, seed):
    """Rotate all vectors: nothing changes. Rename the arms: so does the policy. The past has no order."""
    history, generator = random_history(seed), np.random.default_rng(seed)
    expected = algorithms.linucb(spec, history)
    rotation = np.linalg.qr(generator.standard_normal((3, 3)))[0]
    rotated = BanditHistory(history.contexts @ rotation, history.actions, history.rewards)
    close(algorithms.linucb(spec, rotated), expected)
    order = generator.permutation(4)
    renamed = BanditHistory(history.contexts[:, order], np.argsort(order)[history.actions], history.rewards)
    close(algorithms.linucb(spec, renamed), expected[:, order])
    past = generator.permutation(19)
    contexts = history.contexts[np.append(past, 19)]
    shuffled = BanditHistory(contexts, history.actions[past], history.rewards[past])
    close(algorithms.linucb(spec, shuffled)[-1], expected[-1])


@given(parameters, seeds, st.integers(1, 20))
def test_a_step_sees_only_what_came_before(spec, seed, steps):
    """Neither later data nor the arm just played leak into a row."""
    history = random_history(seed)
    close(algorithms.linucb(spec, history)[steps - 1], algorithms.linucb(spec, history.prefix(steps))[-1])


@given(parameters, seeds, st.floats(0.1, 10))
def test_units_cancel(spec, seed, unit):
    """Rewards, α and τ in another unit, or actions and √λ in another unit, leave the policy as it is."""
    history, expected = random_history(seed), algorithms.linucb(spec, random_history(seed))
    richer = BanditHistory(history.contexts, history.actions, unit * history.rewards)
    longer = BanditHistory(unit * history.contexts, history.actions, history.rewards)
    scaled = replace(spec, exploration=unit * spec.exploration, temperature=unit * spec.temperature)
    for other, past in ((scaled, richer), (replace(spec, ridge=unit**2 * spec.ridge), longer)):
        close(algorithms.linucb(other, past), expected)


@given(parameters, seeds)
def test_widths_of_a_fixed_action_set_never_grow(spec, seed):
    history = random_history(seed)
    fixed = BanditHistory(np.repeat(history.contexts[:1], 20, axis=0), history.actions, history.rewards)
    width = algorithms.linucb_values(spec, fixed).width
    assert (np.diff(width, axis=0) <= 1e-12).all()
    played = width[1:][np.arange(19), fixed.actions], width[:-1][np.arange(19), fixed.actions]
    np.testing.assert_allclose(played[0], played[1] / np.sqrt(1 + played[1] ** 2), rtol=1e-9)


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-12, 1e12, 1e300])
@pytest.mark.parametrize("norm", [1e-9, 1.0, 1e6])
def test_extreme_temperatures_and_scales_give_no_nan(temperature, norm):
    history = random_history(0, norm=norm)
    values = algorithms.linucb_values(replace(SPEC, temperature=temperature), history)
    assert not np.isnan(values.log_probabilities).any()
    np.testing.assert_allclose(np.exp(values.log_probabilities).sum(axis=1), 1, rtol=1e-12)
    if temperature < 1e-250:
        top = np.take_along_axis(values.log_probabilities, values.score.argmax(axis=1)[:, None], axis=1)
        np.testing.assert_array_equal(top, 0)
    if temperature > 1e250:
        np.testing.assert_allclose(values.log_probabilities, -np.log(4), rtol=1e-12)


@settings(deadline=None)
@given(parameters, histories())
def test_decoder_agrees_with_the_whole_history(spec, history):
    policy, rows = algorithms.decoder(spec), []
    for step in range(history.steps):
        rows.append(policy.observe(history.contexts[step]))
        if step < history.steps - 1:
            policy.record(history.actions[step], history.rewards[step])
    np.testing.assert_allclose(rows, algorithms.linucb(spec, history), rtol=1e-9, atol=1e-12)


def test_rollout_records_the_policy_it_played():
    environment = environments.paper_linear_bandit(np.random.default_rng(0))
    run = rollout(environment, algorithms.decoder(SPEC), np.random.default_rng(1))
    close(run.log_probabilities, algorithms.linucb(SPEC, run.history))


def test_hard_linucb_learns_the_papers_bandit():
    """The paper's expert (λ = 1, α = 2, argmax) regrets little after a hundred steps."""
    late, uniform = [], []
    for seed in range(5):
        environment = environments.paper_linear_bandit(np.random.default_rng(seed))
        policy = algorithms.decoder(Parameters(1.0, 2.0, 1e-6))
        run = rollout(environment, policy, np.random.default_rng(seed))
        late.append(run.regret[100:].mean())
        uniform.append(np.mean([environment.regret(0, arm) for arm in range(10)]))
    assert np.mean(late) < 0.2 * np.mean(uniform)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ridge": 0.0}, "ridge: wanted a finite number > 0, got 0.0"),
        ({"ridge": float("nan")}, "ridge: .*got nan"),
        ({"exploration": -1.0}, "exploration: wanted a finite number ≥ 0, got -1.0"),
        ({"exploration": float("inf")}, "exploration: .*got inf"),
        ({"temperature": 0.0}, "temperature: wanted a finite number > 0, got 0.0"),
        ({"temperature": -1.0}, "temperature: .*got -1.0"),
    ],
)
def test_bad_parameters_are_named(changes, message):
    spec = replace(SPEC, **changes)
    with pytest.raises(ValueError, match=message):
        algorithms.linucb(spec, random_history(0))
    with pytest.raises(ValueError, match=message):
        algorithms.decoder(spec)


@pytest.mark.parametrize("contexts", [np.ones((3, 1, 2)), 1e200 * np.ones((3, 1, 2))])
def test_a_ridge_lost_to_rounding_is_an_error(contexts):
    history = BanditHistory(contexts, [0, 0], [1.0, 1.0])
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="ridge: wanted one that"):
        algorithms.linucb(replace(SPEC, ridge=1e-18), history)


CONTEXT = np.ones((2, 3))
SEEN = ("observe", CONTEXT)


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([("record", 0, 1.0)], "record: wanted a context observed first"),
        ([SEEN, SEEN], "observe: wanted the pending decision recorded"),
        ([SEEN, ("record", 0, 1.0), ("record", 0, 1.0)], "record: wanted a context observed"),
        ([SEEN, ("record", 2, 1.0)], r"actions: wanted numbers in 0\.\.1, got 2"),
        ([SEEN, ("record", 0, float("nan"))], "rewards: wanted finite numbers, got nan"),
        ([("observe", np.ones(3))], "contexts: wanted shape"),
        ([SEEN, ("record", 0, 1.0), ("observe", np.ones((2, 4)))], "dimension 3, got 4"),
    ],
)
def test_decoder_rejects_misuse(calls, message):
    policy = algorithms.decoder(SPEC)
    for name, *arguments in calls[:-1]:
        getattr(policy, name)(*arguments)
    name, *arguments = calls[-1]
    with pytest.raises(ValueError, match=message):
        getattr(policy, name)(*arguments)
