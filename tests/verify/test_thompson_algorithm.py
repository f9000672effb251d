"""Linear Thompson sampling against Gaussian conditioning, exact angles, normal integrals and plain drawing."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from fixed_play import history_from
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial import ConvexHull
from scipy.special import log_ndtr
from scipy.stats import multivariate_normal, norm

from constructions.history import BanditHistory
from verify import algorithms, environments
from verify.algorithms import choice_probabilities
from verify.environments.sampling import checked, pick
from verify.play.rollout import rollout


@dataclass(frozen=True)
class Parameters:
    prior_variance: float = 1.0
    noise_variance: float = 2.25


SPEC = Parameters()
variances = st.floats(0.1, 10)
parameters = st.builds(Parameters, variances, variances)
seeds = st.integers(0, 2**32 - 1)


def random_history(seed, steps=15, arms=4, dim=3, norm=1.0):
    generator = np.random.default_rng(seed)
    return BanditHistory(
        norm * generator.standard_normal((steps, arms, dim)),
        generator.integers(arms, size=steps - 1),
        generator.standard_normal(steps - 1),
        generator.standard_normal((steps, dim)),
    )


def arms_of(seed, *shape):
    generator = np.random.default_rng(seed)
    return generator.standard_normal(shape), generator.standard_normal(shape[:-1])


@settings(deadline=None, max_examples=40)
@given(parameters, seeds)
@example(Parameters(0.1, 10.0), 0)
def test_the_posterior_is_that_of_gaussian_conditioning(spec, seed):
    """Weights and rewards are jointly Gaussian; condition in the space of rewards, and take roots by sqrtm."""
    history = random_history(seed)
    values, scores = algorithms.thompson_values(spec, history), algorithms.thompson_scores(spec, history)
    for step in range(history.steps):
        past, last = history.prefix(step + 1), history.contexts[step]
        cross = spec.prior_variance * past.chosen.T
        rewards = past.chosen @ cross + spec.noise_variance * np.eye(step)
        mean = cross @ np.linalg.solve(rewards, past.rewards)
        covariance = spec.prior_variance * np.eye(3) - cross @ np.linalg.solve(rewards, cross.T)
        root = sqrtm(covariance).real
        np.testing.assert_allclose(values.posterior_mean[step], mean, atol=1e-9)
        np.testing.assert_allclose(values.whitened[step], last @ root, atol=1e-9)
        np.testing.assert_allclose(values.mean[step], last @ mean, atol=1e-9)
        np.testing.assert_allclose(scores[step], last @ (mean + root @ history.draws[step]), atol=1e-9)


@given(seeds)
@example(0)
def test_two_arms_are_exact(seed):
    x, y = arms_of(seed, 6, 2, 4)
    y[0] = [0, 1000]
    found = choice_probabilities(x, y)
    gaps = (y[:, 0] - y[:, 1]) / np.linalg.norm(x[:, 0] - x[:, 1], axis=1)
    expected = log_ndtr(np.stack([gaps, -gaps], axis=1))
    np.testing.assert_allclose(found.log_probabilities, expected, rtol=1e-9)
    np.testing.assert_allclose(found.probabilities, np.exp(expected), rtol=1e-7)
    np.testing.assert_array_equal(found.half_width, 0)


def test_far_tails_keep_their_digits():
    found = choice_probabilities([[200.0, 0.0], [0.0, 0.0]], [0.0, 40_000.0])
    assert found.log_probabilities[0] == pytest.approx(-20_006.217, abs=1e-3)
    assert found.log_probabilities[1] == 0
    # Three arms in one dimension: the middle one wins on [30, 40] only, and log Φ(−30) is −454.32.
    middle = choice_probabilities([[0.0], [1.0], [2.0]], [0.0, -30.0, -70.0]).log_probabilities[1]
    assert middle == pytest.approx(norm.logsf(30), rel=1e-12)


@given(seeds, st.integers(1, 7))
def test_one_dimension_is_exact(seed, arms):
    """Between neighbouring crossings of any two arms the best arm does not change."""
    x, y = arms_of(seed, arms, 1)
    first, second = np.triu_indices(arms, 1)
    crossings = np.sort((y[first] - y[second]) / (x[second, 0] - x[first, 0]))
    ends = np.concatenate([[-np.inf], crossings, [np.inf]])
    inside = np.concatenate([[-1e6], (crossings[1:] + crossings[:-1]) / 2, [1e6]])[: len(ends) - 1]
    winners = (y[:, None] + x * inside).argmax(axis=0)
    expected = np.bincount(winners, np.diff(norm.cdf(ends)), minlength=arms)
    found = choice_probabilities(x, y)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-12)
    np.testing.assert_array_equal(found.half_width, 0)


@pytest.mark.parametrize("dim", [2, 5])
def test_few_arms_against_the_normal_integral(dim):
    """With 3 arms: the orthant probability of the 2 differences, which scipy has to about 10⁻⁸."""
    x, y = arms_of(1, 20, 3, dim)
    found = choice_probabilities(x, y, points=256)
    gaps = np.empty((20, 3))
    for row, arm in np.ndindex(gaps.shape):
        others = [other for other in range(3) if other != arm]
        differences = x[row, arm] - x[row, others]
        law = multivariate_normal(np.zeros(2), differences @ differences.T, allow_singular=True)
        gaps[row, arm] = found.probabilities[row, arm] - law.cdf(y[row, arm] - y[row, others])
    assert (np.abs(gaps) <= found.half_width + 1e-6).mean() > 0.95
    assert np.abs(gaps).max() < 2e-4


def test_equal_means_in_the_plane_are_exterior_angles():
    for seed in range(5):
        x = np.random.default_rng(seed).standard_normal((6, 2))
        hull = ConvexHull(x).vertices
        expected = np.zeros(6)
        for before, arm, after in zip(np.roll(hull, 1), hull, np.roll(hull, -1), strict=True):
            incoming, outgoing = x[arm] - x[before], x[after] - x[arm]
            cosine = incoming @ outgoing / np.linalg.norm(incoming) / np.linalg.norm(outgoing)
            expected[arm] = np.arccos(cosine) / (2 * np.pi)
        found = choice_probabilities(x, np.zeros(6))
        assert (np.abs(found.probabilities - expected) <= 1.5 * found.half_width + 1e-12).all()
        assert found.half_width.max() < 1e-4
        np.testing.assert_array_equal(found.probabilities[expected == 0], 0)


def test_many_arms_against_plain_drawing():
    x, y = arms_of(3, 10, 5)
    scores = np.random.default_rng(0).standard_normal((400_000, 5)) @ x.T + y
    counted = np.bincount(scores.argmax(axis=1), minlength=10) / len(scores)
    found = choice_probabilities(x, y)
    spread = np.sqrt(found.probabilities / len(scores))
    assert (np.abs(counted - found.probabilities) <= 4 * spread + found.half_width).all()
    assert found.half_width.max() < 5e-4


def test_the_error_bar_covers():
    """At level 99.9 %: estimates few and coarse, beside one with 128 times as many lines."""
    x, y = arms_of(4, 12, 6, 4)
    fine = choice_probabilities(x, y, replicates=32, points=2048, seed=7)
    assert fine.half_width.max() < 2e-3
    ratios = []
    for seed in range(10):
        coarse = choice_probabilities(x, y, replicates=4, points=128, seed=seed)
        bar = np.hypot(coarse.half_width, fine.half_width)
        ratios.append(np.abs(coarse.probabilities - fine.probabilities)[bar > 0] / bar[bar > 0])
    ratios = np.concatenate(ratios)
    assert (ratios <= 1).mean() > 0.99
    assert (ratios > 0.1).mean() > 0.2  # nor is it far too wide: 4 replicates have t = 12.9, so 1 is rare


@settings(deadline=None, max_examples=20)
@given(seeds)
@example(0)
def test_symmetries_of_the_choice(seed):
    """Adding a vector to all arms, or turning them, leaves exact values; equal arms share; probabilities sum to 1."""
    x, y = arms_of(seed, 5, 1)
    turned = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0][:1]
    plain, moved = choice_probabilities(x, y), choice_probabilities(x + 2.0, y - 3.0)
    np.testing.assert_allclose(moved.probabilities, plain.probabilities, atol=1e-12)
    raised = choice_probabilities(x @ turned, y, replicates=2, points=4)
    np.testing.assert_allclose(raised.probabilities, plain.probabilities, atol=raised.half_width.max() + 0.05)
    doubled = choice_probabilities(np.concatenate([x, x[2:]]), np.concatenate([y, y[2:]]))
    np.testing.assert_allclose(doubled.probabilities[:2], plain.probabilities[:2], atol=1e-12)
    for half in (slice(2, 5), slice(5, 8)):
        np.testing.assert_allclose(doubled.probabilities[half], plain.probabilities[2:] / 2, atol=1e-12)
        np.testing.assert_allclose(
            doubled.log_probabilities[half], plain.log_probabilities[2:] - np.log(2), atol=1e-9
        )


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_ties_and_parallel_arms_are_settled(dim):
    x = np.ones((5, dim))
    for y, odds in (([0, 0, 0, 0, 0], [0.2] * 5), ([0, 1, 0, 1, 0.5], [0, 0.5, 0, 0.5, 0])):
        found = choice_probabilities(x, np.array(y, float), points=8)
        np.testing.assert_allclose(found.probabilities, odds, atol=1e-15)
        np.testing.assert_array_equal(found.half_width, 0)
    one = choice_probabilities(x[:1], [3.0])
    assert (one.probabilities.tolist(), one.log_probabilities.tolist()) == ([1.0], [0.0])


@settings(deadline=None, max_examples=20)
@given(seeds, st.sampled_from([(2, 2), (5, 3), (9, 2)]))
def test_probabilities_sum_to_one_and_never_hurt_nan(seed, sizes):
    x, y = arms_of(seed, 3, *sizes)
    x[1], y[2] = 1e-8 * x[1], 1e3 * y[2]
    x[0, -1], y[0, -1] = x[0, 0], y[0, 0]
    found = choice_probabilities(x, y, replicates=2, points=16)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-12)
    for values in (found.log_probabilities, found.probabilities, found.half_width):
        assert not np.isnan(values).any()


def test_equal_seeds_give_equal_numbers_and_a_batch_is_its_members():
    x, y = arms_of(5, 2, 3, 5, 3)
    together = choice_probabilities(x, y, points=64)
    np.testing.assert_array_equal(together.probabilities, choice_probabilities(x, y, points=64).probabilities)
    alone = choice_probabilities(x[1, 2], y[1, 2], points=64)
    np.testing.assert_allclose(alone.probabilities, together.probabilities[1, 2], atol=1e-12)
    other = choice_probabilities(x, y, points=64, seed=np.random.default_rng(1))
    assert not np.array_equal(other.probabilities, together.probabilities)


def test_the_policy_is_the_choice_and_the_frequency_of_the_scores():
    history = random_history(2, steps=3)
    policy = algorithms.thompson(SPEC, history)
    values = algorithms.thompson_values(SPEC, history)
    found = choice_probabilities(values.whitened, values.mean)
    np.testing.assert_array_equal(policy, found.log_probabilities)
    draws = np.random.default_rng(0).standard_normal((3000, 3, 3))
    fields = (history.contexts, history.actions, history.rewards)
    best = [algorithms.thompson_scores(SPEC, BanditHistory(*fields, draw)).argmax(axis=1) for draw in draws]
    counted = (np.array(best)[:, :, None] == np.arange(4)).mean(axis=0)
    assert (np.abs(counted - np.exp(policy)) < 4 * np.sqrt(0.25 / 3000)).all()


@given(seeds, st.integers(1, 15))
def test_a_step_sees_only_what_came_before(seed, steps):
    history = random_history(seed)
    whole, part = (algorithms.thompson_values(SPEC, h) for h in (history, history.prefix(steps)))
    for name in ("posterior_mean", "whitened", "mean"):
        np.testing.assert_allclose(getattr(whole, name)[:steps], getattr(part, name), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(parameters, seeds)
def test_the_decoder_plays_the_argmax_of_the_scores(spec, seed):
    history, generator = random_history(seed), np.random.default_rng(seed)
    draws = generator.standard_normal((history.steps, 3))
    policy = algorithms.thompson_decoder(spec, np.random.default_rng(seed))
    scores = algorithms.thompson_scores(
        spec, BanditHistory(history.contexts, history.actions, history.rewards, draws)
    )
    for step in range(history.steps):
        answer = checked(policy.observe(history.contexts[step]), step, 4)
        arm = pick(answer, 0.999)
        assert answer[arm] == 0
        assert set(np.delete(answer, arm)) == {-np.inf}
        assert arm == scores[step].argmax()
        if step < history.steps - 1:
            policy.record(history.actions[step], history.rewards[step])


def test_the_sampler_learns_and_is_calibrated():
    """Played in its own prior, it regrets little; and the best arm is its own with the probability it gives it."""
    late, uniform, surprise = [], [], []
    for seed in range(30):
        bandit = environments.gaussian_linear_bandit(
            np.random.default_rng(seed), dim=2, actions=2, horizon=60
        )
        run = rollout(
            bandit,
            algorithms.thompson_decoder(SPEC, np.random.default_rng(seed)),
            np.random.default_rng(seed),
        )
        late.append(run.regret[40:].mean())
        uniform.append(np.mean([bandit.regret(0, arm) for arm in range(2)]))
        odds = np.exp(algorithms.thompson(SPEC, run.history)[[5, 20, 40]])
        best = [(bandit.context(step) @ bandit.weights).argmax() for step in (5, 20, 40)]
        surprise.append((odds[np.arange(3), best] - (odds**2).sum(axis=1)).mean())
    assert np.mean(late) < 0.4 * np.mean(uniform)
    assert abs(np.mean(surprise)) < 4 * np.std(surprise) / np.sqrt(30)


@pytest.mark.parametrize("name", ["prior_variance", "noise_variance"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_parameters_are_named(name, value):
    spec, message = replace(SPEC, **{name: value}), f"{name}: wanted a finite number > 0, got {value}"
    with pytest.raises(ValueError, match=message):
        algorithms.thompson(spec, random_history(0))
    with pytest.raises(ValueError, match=message):
        algorithms.thompson_decoder(spec, np.random.default_rng(0))


@pytest.mark.parametrize("contexts", [np.ones((3, 1, 2)), 1e200 * np.ones((3, 1, 2))])
def test_a_ratio_lost_to_rounding_is_an_error(contexts):
    history = BanditHistory(contexts, [0, 0], [1.0, 1.0])
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match="noise_variance / prior_variance: wanted"),
    ):
        algorithms.thompson(replace(SPEC, noise_variance=1e-18), history)


def test_scores_need_draws():
    history = history_from(
        environments.paper_linear_bandit(np.random.default_rng(0)), np.random.default_rng(0)
    )
    with pytest.raises(ValueError, match="draws: wanted a standard normal vector at each step, got None"):
        algorithms.thompson_scores(SPEC, history)


X, Y = np.ones((3, 2)), np.zeros(3)
BAD = {
    "vector": ((np.ones(3), Y), {}, r"whitened: wanted shape .*got \(3,\)"),
    "no arms": ((np.ones((0, 2)), Y[:0]), {}, r"whitened: wanted shape .*got \(0, 2\)"),
    "means": ((X, Y[:2]), {}, r"mean: wanted shape \(3,\), got \(2,\)"),
    "nan": ((np.nan * X, Y), {}, "whitened: wanted finite numbers, got nan"),
    "infinite": ((X, Y + np.inf), {}, "mean: wanted finite numbers, got inf"),
    "replicates": ((X, Y), {"replicates": 1}, "replicates: wanted at least 2, got 1"),
    "no replicates": ((X, Y), {"replicates": 0}, "replicates: wanted an integer ≥ 1, got 0"),
    "points": ((X, Y), {"points": 100}, "points: wanted a power of 2, got 100"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arms_are_named(case):
    arguments, options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        choice_probabilities(*arguments, **options)


SEEN = ("observe", np.ones((2, 3)))


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([("record", 0, 1.0)], "record: wanted a context observed first"),
        ([SEEN, SEEN], "observe: wanted the pending decision recorded"),
        ([SEEN, ("record", 2, 1.0)], r"actions: wanted numbers in 0\.\.1, got 2"),
        ([SEEN, ("record", 0, 1.0), ("observe", np.ones((2, 4)))], "dimension 3, got 4"),
    ],
)
def test_decoder_rejects_misuse(calls, message):
    policy = algorithms.thompson_decoder(SPEC, np.random.default_rng(0))
    for name, *arguments in calls[:-1]:
        getattr(policy, name)(*arguments)
    name, *arguments = calls[-1]
    with pytest.raises(ValueError, match=message):
        getattr(policy, name)(*arguments)
