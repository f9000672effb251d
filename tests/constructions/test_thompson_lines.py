"""Thompson sampling along lines: the mean over nodes, written out once more, and what the nodes leave to chance."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings, target
from hypothesis import strategies as st
from scipy.stats import norm

from constructions.history import BanditHistory
from constructions.thompson import Spec, build, lines_plan, nodes
from constructions.thompson.nodes import APART, Chance, NodeRule, chance, contraction, resolution
from constructions.thompson.spec import FLOOR
from verify import algorithms
from verify.algorithms import choice_probabilities
from verify.histories.linear import LinearOutline, outlines

BASE = Spec(dim=2, actions=3, horizon=3, error=0.3, solver="zolotarev", nodes=4, separation=0.1)
SPECS = [
    BASE,
    replace(BASE, solver="pade", error=0.1),
    replace(BASE, solver="newton", error=0.1),
    replace(BASE, dim=3, actions=4, rule="random", nodes=3),
    replace(BASE, dim=1, actions=5, nodes=9),
    replace(BASE, nodes=1, error=0.9, truncation=0.01),
    replace(BASE, prior_variance=1e-10, horizon=1),
    replace(BASE, weight_norm=0.0, action_norm=(1.0, 1.0)),
]
FEW = settings(max_examples=max(4, settings.default.max_examples // 4))
every_spec = pytest.mark.parametrize("spec", SPECS, ids=[str(n) for n in range(len(SPECS))])


@cache
def built(spec: Spec):
    return build(spec)


def by_breakpoints(rule: NodeRule, white: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """One decision: on the line of each node, all crossings of two scores in order; in each gap the highest score wins."""
    found = np.zeros(len(mean))
    for node in rule.nodes:
        heights, slopes = white @ (rule.basis @ node) + mean, white @ rule.direction
        crossings = [
            (heights[j] - heights[k]) / (slopes[k] - slopes[j])
            for k in range(len(mean))
            for j in range(k)
            if slopes[k] != slopes[j]
        ]
        ends = np.concatenate([[-np.inf], np.sort(crossings), [np.inf]])
        inside = np.concatenate([[ends[1] - 1], (ends[1:-2] + ends[2:-1]) / 2, [ends[-2] + 1]])
        for left, right, s in zip(ends[:-1], ends[1:], inside, strict=True):
            measure = norm.cdf(right) - norm.cdf(left) if right < 0 else norm.sf(left) - norm.sf(right)
            found[np.argmax(heights + s * slopes)] += measure
    return found / len(rule.nodes)


def told_apart(spec: Spec, rule: NodeRule, white: np.ndarray) -> bool:
    """The certificate's condition on the direction, for one decision."""
    pairs = [(k, j) for k in range(spec.actions) for j in range(k)]
    apart = np.array([white[k] - white[j] for k, j in pairs])
    along = np.abs(apart @ rule.direction)
    return bool((along >= np.maximum(APART * np.linalg.norm(apart, axis=1), resolution(spec))).all())


@every_spec
@FEW
@given(data=st.data())
def test_lines_keep_their_promises(spec, data):
    construction, rule = built(spec), NodeRule.of(spec)
    history = data.draw(outlines(spec)).history(spec)
    values = algorithms.thompson_values(spec, history)
    told = np.array([told_apart(spec, rule, white) for white in values.whitened])
    assume(told.any())
    wanted = np.array(
        [by_breakpoints(rule, *pair) for pair in zip(values.whitened, values.mean, strict=True)]
    )
    np.testing.assert_allclose(rule.policy(values.whitened, values.mean)[told], wanted[told], atol=1e-9)
    outputs, registers = construction.outputs([history])[0], construction.tokens.stream.registers
    found = outputs[:, registers["probability"].slice]
    [promise] = [block.promise.total for block in construction.blocks if block.name == "P by lines"]
    error = np.abs(found - wanted)[told].max()
    target(float(error / promise.error))
    assert error <= promise.whole
    likely = told[:, None] & (wanted >= FLOOR)
    logs = np.abs(construction.policy(outputs) - np.log(np.maximum(wanted, 1e-300)))
    assert logs[likely].max() <= construction.certificate <= spec.error
    if told.all():
        for probe in construction.probe(history, outputs):
            assert probe.error <= probe.promise, probe.block
            assert probe.own_error <= probe.own_promise, probe.block


@every_spec
def test_rounding_stays_below_the_promise(spec):
    """Else a real error could hide in it."""
    [block] = [block for block in built(spec).blocks if block.name == "P by lines"]
    own, total = block.promise.own, block.promise.total
    assert own.rounding <= total.rounding <= 0.02 * total.error
    assert block.groups == spec.actions  # each p̂_k is within ε_p, not their norm


def test_arms_that_never_win_are_held_at_the_truncation():
    """One arm far behind: its probability is below the truncation, and its log-probability near log η₁."""
    spec = replace(BASE, dim=1, noise_bound=9.0)
    arms = np.array([[1.0], [-1.0], [2.0]])
    history = BanditHistory([arms] * 3, [0, 0], [spec.reward_max] * 2)
    [*_, last] = built(spec).log_probabilities(history)
    assert abs(last[1] - math.log(spec.truncation)) <= spec.error
    assert algorithms.thompson(spec, history)[-1, 1] < math.log(spec.truncation) - 5


# ---------------------------------------------------------------- nodes

WHITE = np.array([[0.5, 0.2, 0.0], [-0.1, 0.6, 0.3], [0.2, -0.4, 0.7], [-0.5, 0.1, -0.2]])
MEAN = np.array([0.1, -0.2, 0.0, 0.3])


@cache
def truth():
    found = choice_probabilities(WHITE, MEAN, replicates=16)
    return found.probabilities, found.half_width


def policies(count: int, **change) -> np.ndarray:
    spec = Spec(dim=3, actions=4, horizon=3, **change)
    return np.array(
        [NodeRule.of(replace(spec, seed=seed)).policy(WHITE[None], MEAN[None])[0] for seed in range(count)]
    )


@pytest.mark.parametrize("rule", ["sobol", "random"])
@pytest.mark.parametrize("count", [1, 8])
def test_the_mean_over_nodes_is_unbiased(rule, count):
    """Within 4.5 standard errors over 300 seeds: once in 10⁵ trials by chance, and the seeds are fixed."""
    found, (odds, half) = policies(300, nodes=count, rule=rule), truth()
    error = np.abs(found.mean(0) - odds)
    assert (error <= 4.5 * found.std(0) / math.sqrt(300) + half).all()


@pytest.mark.parametrize("rule", ["sobol", "random"])
def test_nodes_are_standard_normal(rule):
    """Mean and covariance, each within 4.5 standard errors of 4,096 independent ones."""
    found = NodeRule.of(replace(BASE, dim=3, nodes=4096, rule=rule)).nodes
    assert np.abs(found.mean(0)).max() <= 4.5 / 64
    assert np.abs(np.cov(found.T) - np.eye(2)).max() <= 4.5 * math.sqrt(2) / 64


def test_sobol_points_converge_to_the_oracle():
    """At about 1/N, not 1/√N; and within the error bar and the distance that is left to chance."""
    odds, half = truth()
    errors = {count: np.sqrt(((policies(16, nodes=count) - odds) ** 2).mean()) for count in (16, 1024)}
    assert errors[1024] <= errors[16] / 20
    assert errors[1024] <= 1e-3
    for count, failure in ((64, 0.05), (1024, 0.01)):
        bound = chance(Spec(dim=3, actions=4, horizon=3, nodes=count)).distance(failure)
        assert (np.abs(policies(30, nodes=count) - odds) <= bound + half).all()


@pytest.mark.parametrize("failure", [0.5, 0.1])
def test_independent_nodes_keep_hoeffdings_bound(failure):
    spec = Spec(dim=3, actions=4, horizon=3, nodes=16, rule="random")
    bound = chance(spec).distance(failure)
    assert bound == pytest.approx(math.sqrt(math.log(2 / failure) / 32))
    odds, _ = truth()
    assert (np.abs(policies(200, nodes=16, rule="random") - odds) > bound).mean(0).max() <= failure


@pytest.mark.parametrize(("dim", "share"), [(2, 0.02), (5, 0.02), (3, 0.2)])
def test_directions_that_fail_are_as_rare_as_bounded(dim, share):
    """Arms as close as they may be, where whitening shrinks them most."""
    spec = Spec(dim=dim, actions=3, horizon=3, nodes=1, separation=1e-4 * 0.5 / share)
    bound = chance(spec).untold
    assert 0 < bound < 1
    corner = contraction(spec) * spec.separation * np.eye(dim)
    white = np.stack([np.zeros(dim), corner[0], corner[1]])
    failed = [not told_apart(spec, NodeRule.of(replace(spec, seed=seed)), white) for seed in range(1500)]
    deviation = 3 * math.sqrt(bound / 1500)
    assert np.mean(failed) <= bound + deviation
    assert (
        np.mean(failed) >= bound / 4
    )  # the bound says something: √2 of distance and the density's maximum apart


def test_gain_is_that_of_one_node_where_sobol_points_promise_nothing():
    few = Spec(dim=3, actions=3, horizon=3, nodes=12)
    assert chance(few).variance == 12 / 4
    assert chance(replace(few, nodes=16)).variance == 2.0 ** (3 - 2) / 4
    assert chance(replace(few, nodes=16, rule="random")).variance == 1 / 4


def test_one_dimension_leaves_nothing_to_chance():
    spec = replace(BASE, dim=1, actions=4)
    rule, generator = NodeRule.of(spec), np.random.default_rng(0)
    assert rule.nodes.shape == (1, 0)
    white, mean = generator.normal(size=(20, 4, 1)), generator.normal(size=(20, 4))
    exact = choice_probabilities(white, mean)
    np.testing.assert_allclose(rule.policy(white, mean), exact.probabilities, atol=1e-12)
    assert chance(spec).untold == chance(spec).distance(1e-9) == 0.0
    assert chance(replace(spec, separation=1e-6)).untold == 1.0  # arms closer than the resolution


def test_probabilities_along_lines_are_never_below_0():
    """Of an interval with two ends an ulp apart it was −6.9e-18, and its logarithm NaN."""
    spec = Spec(2, 3, 4, nodes=8, error=0.02, separation=0.05, solver="zolotarev")
    outline = LinearOutline("collinear", "alternating", "spread", 4, -0.3097765482167092, 2843277610)
    values, rule = algorithms.thompson_values(spec, outline.history(spec)), NodeRule.of(spec)
    points = rule.nodes @ rule.basis.T
    assert algorithms.along_lines(values.whitened, values.mean, rule.direction, points).min() >= 0


@pytest.mark.parametrize("failure", [0.0, 1.0, -1.0, math.nan])
def test_bad_failures_are_named(failure):
    with pytest.raises(ValueError, match=r"failure: wanted a probability in \(0, 1\), got"):
        Chance(0.0, 0.25, 4, True).distance(failure)


def test_seeds_change_nodes_and_nothing_else():
    first, again, other = NodeRule.of(BASE), NodeRule.of(BASE), NodeRule.of(replace(BASE, seed=1))
    np.testing.assert_array_equal(first.nodes, again.nodes)
    assert not np.array_equal(first.nodes, other.nodes)
    assert not np.array_equal(first.direction, other.direction)
    assert build(replace(BASE, seed=1)).size().width == built(BASE).size().width


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("solver", ["pade", "zolotarev"])
@pytest.mark.parametrize(("dim", "arms", "count"), [(2, 3, 4), (3, 4, 2), (1, 5, 1), (2, 6, 1)])
def test_lines_have_the_size_of_the_docstring(solver, dim, arms, count):
    spec = replace(BASE, dim=dim, actions=arms, nodes=count, solver=solver)
    size, plan = build(spec).size(), lines_plan.plan(spec)
    depth, poles, pairs = plan.algebra.depth, len(plan.algebra.rule.shifts), arms * (arms - 1)
    again = solver == "pade"
    assert size.layers == (1 + again) * depth + 6 + math.ceil(math.log2(arms - 1))
    assert size.heads == max(3 + poles * (2 * arms + 1), pairs)
    base = 3 * dim + 4 + arms * (dim + 1) + (2 * poles + 1 + 2 * again) * arms * dim
    assert size.width == base + (dim + 4) * pairs + 2 * pairs * len(nodes.NodeRule.of(spec).nodes) + 2 * arms
    slopes, normal = len(plan.inverse.slopes), len(plan.normal.slopes)
    wide = 2 * arms * len(plan.rule.nodes) * normal + 2
    assert size.hidden == max(pairs * (slopes + 2) + 2, wide)


@pytest.mark.nightly
def test_a_medium_construction_keeps_its_promises():
    spec = Spec(dim=5, actions=10, horizon=20, nodes=64, solver="zolotarev", separation=0.01)
    construction, rule = build(spec), NodeRule.of(spec)
    history = LinearOutline("random", "linear", "spread", 20, 0.0, 0).history(spec)
    values = algorithms.thompson_values(spec, history)
    wanted = np.array(
        [by_breakpoints(rule, *pair) for pair in zip(values.whitened, values.mean, strict=True)]
    )
    told = np.array([told_apart(spec, rule, white) for white in values.whitened])
    found = construction.log_probabilities(history)
    likely = told[:, None] & (wanted >= FLOOR)
    assert np.abs(found - np.log(np.maximum(wanted, 1e-300)))[likely].max() <= construction.certificate
