"""Environments keep their promises, and rollouts keep random numbers common."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fixed_play import history_from
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi, kstest, truncnorm

from verify import algorithms
from verify.environments import (
    DATASETS,
    BernoulliBandit,
    LinearBandit,
    bernoulli_bandit,
    classification_bandit,
    gaussian_linear_bandit,
    paper_linear_bandit,
)
from verify.environments.sampling import pick
from verify.play.rollout import Environment, rollout

SPEC = SimpleNamespace(ridge=1.0, exploration=0.5, temperature=0.1)
NORMS = (0.8, 1.3)
BOUNDS = {"paper": np.inf, "gaussian": np.inf, "bounded": 2.0, "event": 2.0}
EVENT = dict(action_norm=NORMS, separation=0.4, weight_norm=1.5, noise_bound=2.0)


def varying(noise):
    """A maker of bandits whose action vectors change at every step."""
    return lambda rng: LinearBandit(rng.random(3), rng.standard_normal((40, 4, 3)), noise, 0.7)


def data(name):
    return lambda rng: classification_bandit(name, rng, 40, components=3)


ENVIRONMENTS = {
    "paper": lambda rng: paper_linear_bandit(rng, horizon=40),
    "bounded": lambda rng: paper_linear_bandit(rng, horizon=40, action_norm=NORMS, noise_bound=2.0),
    "gaussian": lambda rng: gaussian_linear_bandit(rng, horizon=40),
    "event": lambda rng: gaussian_linear_bandit(rng, horizon=40, fixed=False, **EVENT),
    "uniform": varying("uniform"),
    "sign": varying("sign"),
    **{name: data(name) for name in DATASETS},
    "bernoulli": lambda rng: bernoulli_bandit(rng, horizon=40),
}


@pytest.fixture(params=ENVIRONMENTS)
def make(request):
    return lambda seed=0: ENVIRONMENTS[request.param](np.random.default_rng(seed))


def table(environment, noise_seed=0):
    """Everything an environment says: contexts, rewards, regrets of all steps and arms."""
    generator, shape = np.random.default_rng(noise_seed), (environment.horizon, environment.actions)
    contexts = np.array([environment.context(step) for step in range(environment.horizon)])
    rewards = [environment.reward(step, arm, generator) for step, arm in np.ndindex(shape)]
    regrets = [environment.regret(step, arm) for step, arm in np.ndindex(shape)]
    return contexts, np.reshape(rewards, shape), np.reshape(regrets, shape)


def test_every_environment_speaks_the_protocol(make):
    environment = make()
    contexts, _, regrets = table(environment)
    assert isinstance(environment, Environment)
    assert contexts.shape == (environment.horizon, environment.actions, environment.dim)
    assert environment.horizon == 40
    np.testing.assert_array_equal(regrets.min(axis=1), 0)


def test_equal_seeds_give_equal_environments_and_rewards(make):
    for left, right in zip(table(make()), table(make()), strict=True):
        np.testing.assert_array_equal(left, right)
    told = (
        2 if isinstance(make(), BernoulliBandit) else 0
    )  # its contexts are always the same, its regrets not
    assert not np.array_equal(table(make(0))[told], table(make(1))[told])


@pytest.mark.parametrize("name", ["paper", "bounded", "gaussian", "event", "uniform", "sign"])
def test_linear_rewards_are_the_mean_plus_noise_within_its_bound(name):
    environment = ENVIRONMENTS[name](np.random.default_rng(0))
    contexts, rewards, regrets = table(environment)
    means = contexts @ environment.weights
    noise = rewards - means
    assert np.abs(noise).max() <= environment.noise_bound + 1e-12
    assert np.ptp(noise) > 0.5
    np.testing.assert_allclose(regrets, means.max(axis=1, keepdims=True) - means, atol=1e-12)
    assert environment.noise_bound == BOUNDS.get(name, 0.7)


@pytest.mark.parametrize(
    ("noise", "truncation", "law"),
    [
        ("gaussian", None, ("norm", (0, 1.5))),
        ("gaussian", 1.0, truncnorm(-1 / 1.5, 1 / 1.5, scale=1.5).cdf),
        ("gaussian", 1000.0, ("norm", (0, 1.5))),
        ("uniform", None, ("uniform", (-1.5, 3.0))),
    ],
)
def test_noise_follows_its_law(noise, truncation, law):
    bandit = LinearBandit([0.0], [[1.0]], noise, 1.5, truncation, horizon=1)
    generator = np.random.default_rng(0)
    sample = [bandit.reward(0, 0, generator) for _ in range(4000)]
    law, arguments = law if isinstance(law, tuple) else (law, ())
    assert kstest(sample, law, arguments).pvalue > 0.01


def test_sign_noise_takes_two_values_and_no_scale_means_no_noise():
    generator = np.random.default_rng(0)
    sign = LinearBandit([0.0], [[1.0]], "sign", 1.5, horizon=1)
    sample = [sign.reward(0, 0, generator) for _ in range(400)]
    assert set(sample) == {-1.5, 1.5}
    assert abs(np.mean(sample)) < 0.3
    for noise, truncation in (("gaussian", None), ("gaussian", 1.0), ("uniform", None), ("sign", None)):
        quiet = LinearBandit([2.0], [[1.0]], noise, 0.0, truncation, horizon=1)
        assert quiet.noise_bound == 0
        assert quiet.reward(0, 0, generator) == 2.0


def test_the_papers_bandit_is_as_described():
    bandit = paper_linear_bandit(np.random.default_rng(0))
    assert (bandit.dim, bandit.actions, bandit.horizon, bandit.scale) == (5, 10, 200, 1.5)
    assert (bandit.noise, bandit.truncation) == ("gaussian", None)
    assert (bandit.contexts == bandit.contexts[0]).all()
    many = [paper_linear_bandit(np.random.default_rng(seed), horizon=1) for seed in range(300)]
    weights = np.concatenate([one.weights for one in many])
    entries = np.concatenate([one.contexts.ravel() for one in many])
    assert kstest(weights, "uniform").pvalue > 0.01
    assert kstest(entries, "uniform", (-1, 2)).pvalue > 0.01


@given(st.integers(0, 2**32 - 1))
def test_action_norms_are_in_the_range_asked_for(seed):
    bandit = paper_linear_bandit(np.random.default_rng(seed), horizon=3, action_norm=NORMS)
    norms = np.linalg.norm(bandit.contexts, axis=2)
    assert NORMS[0] <= norms.min()
    assert norms.max() <= NORMS[1]


def test_the_gaussian_bandit_is_as_described():
    bandit = gaussian_linear_bandit(np.random.default_rng(0))
    assert (bandit.dim, bandit.actions, bandit.horizon, bandit.scale) == (5, 10, 200, 1.5)
    assert (bandit.noise, bandit.truncation) == ("gaussian", None)
    assert (bandit.contexts == bandit.contexts[0]).all()
    fresh = gaussian_linear_bandit(np.random.default_rng(0), fixed=False).contexts
    assert len({one.tobytes() for one in fresh}) == 200
    assert kstest(fresh.ravel(), "uniform", (-1, 2)).pvalue > 0.01
    many = [
        gaussian_linear_bandit(np.random.default_rng(seed), prior_variance=4.0, horizon=1)
        for seed in range(300)
    ]
    assert kstest(np.concatenate([one.weights for one in many]), "norm", (0, 2)).pvalue > 0.01


def test_redrawn_weights_have_the_conditional_law():
    """‖w*‖/2 has the chi law of 5 degrees of freedom, cut off at 2."""
    options = dict(prior_variance=4.0, weight_norm=4.0, horizon=1, actions=2)
    generator = np.random.default_rng(0)
    norms = [np.linalg.norm(gaussian_linear_bandit(generator, **options).weights) for _ in range(1000)]
    assert max(norms) <= 4
    assert kstest(norms, lambda x: chi(5).cdf(np.divide(x, 2)) / chi(5).cdf(2)).pvalue > 0.01


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_gaussian_bandit_keeps_within_the_event_asked_for(seed, fixed):
    bandit = gaussian_linear_bandit(np.random.default_rng(seed), horizon=3, fixed=fixed, **EVENT)
    norms = np.linalg.norm(bandit.contexts, axis=2)
    assert (NORMS[0] <= norms.min(), norms.max() <= NORMS[1]) == (True, True)
    distances = np.linalg.norm(bandit.contexts[:, :, None] - bandit.contexts[:, None], axis=3)
    assert distances[:, ~np.eye(10, dtype=bool)].min() >= 0.4
    assert np.linalg.norm(bandit.weights) <= 1.5
    assert bandit.noise_bound == 2.0


def test_bernoulli_arms_pay_with_their_probabilities():
    bandit, generator = BernoulliBandit([0.0, 0.3, 1.0], horizon=5), np.random.default_rng(0)
    rewards = np.array([[bandit.reward(4, arm, generator) for arm in range(3)] for _ in range(4000)])
    assert set(rewards.ravel()) == {0.0, 1.0}
    np.testing.assert_allclose(rewards.mean(axis=0), bandit.means, atol=0.03)
    np.testing.assert_array_equal(bandit.context(4), np.eye(3))
    assert [bandit.regret(0, arm) for arm in range(3)] == [1.0, 0.7, 0.0]
    means = [bernoulli_bandit(np.random.default_rng(seed)).means for seed in range(200)]
    assert kstest(np.concatenate(means), "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("name", "classes", "features", "examples"),
    [("iris", 3, 4, 150), ("wine", 3, 13, 178), ("digits", 10, 64, 1797), ("breast_cancer", 2, 30, 569)],
)
def test_classification_data_become_a_bandit(name, classes, features, examples):
    bandit = classification_bandit(name, np.random.default_rng(0), horizon=examples)
    small = classification_bandit(name, np.random.default_rng(0), horizon=examples, components=2)
    assert bandit.dim == classes * (features + 1)
    assert small.dim == classes * 3
    assert (bandit.labels == small.labels).all()
    assert set(bandit.labels.tolist()) == set(range(classes))
    one = bandit.context(0)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(one @ one.T * (1 - np.eye(classes)), 0)
    for arm in range(classes):
        block = one[arm].reshape(classes, features + 1)
        np.testing.assert_array_equal(block[arm], bandit.features[0])
        np.testing.assert_array_equal(np.delete(block, arm, axis=0), 0)
    rewards = [bandit.reward(0, arm, np.random.default_rng(0)) for arm in range(classes)]
    assert rewards == np.eye(classes)[bandit.labels[0]].tolist()


def test_principal_components_are_uncorrelated_and_by_size():
    bandit = classification_bandit("wine", np.random.default_rng(0), horizon=178, components=4)
    scores = bandit.features[:, :-1] / bandit.features[:, -1:]
    covariance = scores.T @ scores / 178
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-12)
    assert (np.diff(np.diag(covariance)) < 0).all()
    assert covariance[0, 0] > 4  # the largest eigenvalue of wine's correlation matrix is about 4.7


def test_linucb_learns_to_classify():
    bandit = classification_bandit("iris", np.random.default_rng(0), horizon=150)
    run = rollout(bandit, algorithms.decoder(SPEC), np.random.default_rng(0))
    assert run.regret[75:].mean() < 0.3  # guessing: 0.67


def test_equal_seeds_and_policies_give_identical_rollouts(make):
    environment = make()
    runs = [rollout(make(), algorithms.decoder(SPEC), np.random.default_rng(seed)) for seed in (3, 3, 4)]
    first, second, other = [(*vars(run).values(), *vars(run.history).values())[1:] for run in runs]
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(first[0], other[0])
    contexts, _, regrets = table(environment)
    np.testing.assert_array_equal(runs[0].history.contexts, contexts)
    np.testing.assert_array_equal(runs[0].history.actions, runs[0].actions[:-1])
    np.testing.assert_array_equal(runs[0].regret, regrets[np.arange(40), runs[0].actions])


def test_different_policies_see_the_same_noise():
    bandit = ENVIRONMENTS["bounded"](np.random.default_rng(0))
    noises = []
    for arm in range(2):
        history = history_from(bandit, np.random.default_rng(5), policy=np.eye(10)[arm])
        assert (history.actions == arm).all()
        noises.append(history.rewards - history.chosen @ bandit.weights)
    np.testing.assert_allclose(noises[0], noises[1], atol=1e-12)


def wasteful(horizon):
    """A bandit that draws a different number of random numbers for each arm."""
    says = {"context": lambda step: np.ones((2, 1)), "regret": lambda step, arm: 0.0}
    reward = lambda step, arm, generator: float(generator.random(arm + 1)[0])  # noqa: E731
    return SimpleNamespace(dim=1, actions=2, horizon=horizon, reward=reward, **says)


def test_noise_stays_common_even_if_arms_draw_unequally_and_horizons_differ():
    rewards = [
        history_from(wasteful(horizon), np.random.default_rng(5), policy=np.eye(2)[arm]).rewards[:5]
        for arm in range(2)
        for horizon in (6, 9)
    ]
    for other in rewards[1:]:
        np.testing.assert_array_equal(rewards[0], other)
    assert len(set(rewards[0])) == 5


def test_arms_are_drawn_with_the_policys_probabilities():
    odds = np.array([0.2, 0.0, 0.5, 0.3])
    bandit = LinearBandit(np.ones(1), np.ones((4, 1)), horizon=5_000)
    actions = history_from(bandit, np.random.default_rng(0), policy=odds).actions
    np.testing.assert_allclose(np.bincount(actions, minlength=4) / len(actions), odds, atol=0.03)
    uniform = history_from(bandit, np.random.default_rng(0)).actions
    np.testing.assert_allclose(np.bincount(uniform, minlength=4) / len(uniform), 0.25, atol=0.03)


@pytest.mark.parametrize(("uniform", "arm"), [(0.0, 1), (0.49, 1), (0.51, 3), (1 - 2**-53, 3)])
def test_an_arm_of_probability_zero_is_never_picked(uniform, arm):
    with np.errstate(divide="ignore"):
        assert pick(np.log([0.0, 0.5, 0.0, 0.5, 0.0]), uniform) == arm


ARMS, W = np.eye(2), np.ones(2)


def rng():
    return np.random.default_rng(0)


def played(answer):
    """Play a decoder that always returns the same answer."""
    decoder = SimpleNamespace(observe=lambda context: np.array(answer), record=lambda action, reward: None)
    return rollout(LinearBandit(W, ARMS, horizon=2), decoder, rng())


def bandit(contexts=ARMS, weights=W, noise="gaussian", scale=1.0, truncation=None, horizon=2):
    return LinearBandit(weights, contexts, noise, scale, truncation, horizon)


BAD = {
    "no horizon": (lambda: LinearBandit(W, ARMS), "contexts: wanted shape .*got .2, 2. and horizon None"),
    "zero horizon": (lambda: bandit(horizon=0), "horizon: wanted an integer >= 1, got 0"),
    "other horizon": (lambda: bandit(ARMS[None]), "horizon: wanted 1.*got 2"),
    "no arms": (lambda: bandit(np.ones((2, 0, 2))), "contexts: wanted shape"),
    "dimensions": (lambda: bandit(weights=np.ones(3)), r"weights: wanted shape \(2,\), got \(3,\)"),
    "nan": (lambda: bandit(weights=[np.nan, 0]), "weights: wanted finite numbers"),
    "noise": (lambda: bandit(noise="cauchy"), "noise: wanted .gaussian. or .*got 'cauchy'"),
    "scale": (lambda: bandit(scale=-1), "scale: .*got -1"),
    "truncation": (lambda: bandit(truncation=-1.0), "truncation: .*got -1.0"),
    "truncated sign": (lambda: bandit(noise="sign", truncation=1.0), "truncation: .*for sign noise"),
    "step": (lambda: bandit().context(2), r"step: wanted an index in 0\.\.1, got 2"),
    "negative step": (lambda: bandit().regret(-1, 0), "step: .*got -1"),
    "arm": (lambda: bandit().regret(0, 2), r"arm: wanted an index in 0\.\.1, got 2"),
    "reward's arm": (lambda: bandit().reward(0, -1, rng()), "arm: .*got -1"),
    "paper dim": (lambda: paper_linear_bandit(rng(), dim=0), "dim: wanted an integer >= 1, got 0"),
    "paper norms": (
        lambda: paper_linear_bandit(rng(), action_norm=(4.0, 3.0)),
        "action_norm: .*got .4.0, 3.0",
    ),
    "gaussian dim": (lambda: gaussian_linear_bandit(rng(), dim=0), "dim: wanted an integer >= 1, got 0"),
    "prior": (lambda: gaussian_linear_bandit(rng(), prior_variance=0.0), "prior_variance: .*got 0.0"),
    "noise variance": (
        lambda: gaussian_linear_bandit(rng(), noise_variance=np.nan),
        "noise_variance: .*got nan",
    ),
    "gaussian norms": (
        lambda: gaussian_linear_bandit(rng(), action_norm=(0.0, 4.0)),
        "action_norm: .*got 0.0",
    ),
    "separation": (lambda: gaussian_linear_bandit(rng(), separation=5.0), "separation: .*got 5.0"),
    "weights": (lambda: gaussian_linear_bandit(rng(), weight_norm=-1.0), "weight_norm: .*got -1.0"),
    "no means": (lambda: BernoulliBandit([], 5), r"means: wanted shape .arms,. .*got \(0,\)"),
    "no probabilities": (lambda: BernoulliBandit([0.5, 1.5], 5), "means: wanted probabilities, got 0.5..1.5"),
    "bernoulli horizon": (lambda: BernoulliBandit([0.5], 0), "horizon: wanted an integer >= 1, got 0"),
    "bernoulli actions": (lambda: bernoulli_bandit(rng(), actions=0), "actions: .*got 0"),
    "bernoulli step": (lambda: BernoulliBandit([0.5], 5).regret(5, 0), "step: .*got 5"),
    "bernoulli arm": (lambda: BernoulliBandit([0.5], 5).reward(0, 1, rng()), "arm: .*got 1"),
    "data set": (lambda: classification_bandit("mnist", rng(), 10), "name: wanted .iris..*got 'mnist'"),
    "data horizon": (lambda: classification_bandit("iris", rng(), 151), "horizon: wanted 1 to 150.*got 151"),
    "components": (lambda: classification_bandit("iris", rng(), 9, 5), "components: wanted 1 to 4.*got 5"),
    "data step": (lambda: classification_bandit("iris", rng(), 9).regret(9, 0), "step: .*got 9"),
    "data arm": (lambda: classification_bandit("iris", rng(), 9).reward(0, 3, rng()), "arm: .*got 3"),
    "policy name": (lambda: history_from(wasteful(3), rng(), "greedy"), "policy: .*got 'greedy'"),
    "policy sum": (lambda: history_from(wasteful(3), rng(), np.ones(2)), "policy: wanted 2 probabilities"),
    "policy shape": (lambda: history_from(wasteful(3), rng(), np.ones(1)), "policy: wanted 2 probabilities"),
    "policy sign": (lambda: history_from(wasteful(3), rng(), np.array([2.0, -1.0])), "probabilities ≥ 0"),
    "logits": (lambda: played([1.0, 2.0]), "step 0: wanted 2 log-probabilities.*summing to 10"),
    "nan logits": (lambda: played([np.nan, 0.0]), "step 0: .*summing to nan"),
    "too many": (lambda: played(np.log([0.5, 0.25, 0.25])), r"step 0: .*got shape \(3,\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_missing_scikit_learn_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="install the extra `data`"):
        classification_bandit("iris", rng(), 10)
