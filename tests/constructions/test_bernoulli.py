"""Thompson sampling for Bernoulli bandits: what it accepts, what it promises, and that it keeps its promises."""

import inspect
import itertools
import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings, target
from hypothesis import strategies as st
from scipy.special import betainc, betaln

from constructions.history import BanditHistory
from constructions.primitives import envelope
from constructions.thompson.bernoulli import BernoulliSpec, build
from constructions.thompson.bernoulli_plan import plan
from constructions.thompson.quadrature import _gauss, defects, rule
from verify import algorithms

SMALL = BernoulliSpec(actions=3, horizon=12, error=0.05)
LARGE = BernoulliSpec(actions=5, horizon=200)
FEW = settings(max_examples=settings.default.max_examples // 3)


@cache
def built(spec: BernoulliSpec = SMALL):
    return build(spec)


def history(arms: int, actions, rewards) -> BanditHistory:
    return BanditHistory(np.stack([np.eye(arms)] * (len(actions) + 1)), np.array(actions, int), rewards)


def histories(spec: BernoulliSpec):
    step = st.tuples(st.integers(0, spec.actions - 1), st.integers(0, 1))
    plays = st.lists(step, max_size=spec.horizon - 1)
    return plays.map(lambda plays: history(spec.actions, [a for a, _ in plays], [r for _, r in plays]))


def extremes(spec: BernoulliSpec) -> dict[str, BanditHistory]:
    """Histories at the ends: one arm, all failures, all successes, balanced, the best against the worst."""
    arms, step = spec.actions, np.arange(spec.horizon - 1)
    turns, none = step % arms, 0 * step
    cases = {
        "one arm fails": (none, none),
        "one arm succeeds": (none, none + 1),
        "one arm, half and half": (none, step % 2),
        "all fail": (turns, none),
        "all succeed": (turns, none + 1),
        "balanced": (turns, step // arms % 2),
        "one of them succeeds": (turns, turns == 0),
        "one of them fails": (turns, turns != 0),
        "first fail, then succeed": (turns, step > len(step) / 2),
        "two arms, one fails": (step % 2, step % 2),
    }
    return {name: history(arms, actions, np.array(won, float)) for name, (actions, won) in cases.items()}


def thompson_run(spec: BernoulliSpec, means, generator: np.random.Generator) -> BanditHistory:
    """True Thompson sampling on a bandit."""
    policy, actions, rewards = algorithms.bernoulli_thompson_decoder(spec, generator), [], []
    for _ in range(spec.horizon - 1):
        actions.append(int(policy.observe(np.eye(spec.actions)).argmax()))
        rewards.append(float(generator.random() < means[actions[-1]]))
        policy.record(actions[-1], rewards[-1])
    return history(spec.actions, actions, rewards)


def posteriors(past: BanditHistory) -> list[list[tuple[int, int]]]:
    """Successes and failures of each arm before each decision, by a plain loop."""
    counts, rows = [(0, 0)] * past.contexts.shape[1], []
    for action, reward in zip([*past.actions, 0], [*past.rewards, 0.0], strict=True):
        rows.append(list(counts))
        wins, losses = counts[action]
        counts[action] = (wins + (reward == 1), losses + (reward == 0))
    return rows


# ---------------------------------------------------------------- the true algorithm


def times(left: list, right: list) -> list:
    """Product of polynomials, coefficients from the constant on."""
    product = [Fraction(0)] * (len(left) + len(right) - 1)
    for (n, x), (m, y) in itertools.product(enumerate(left), enumerate(right)):
        product[n + m] += x * y
    return product


def integral(polynomial: list) -> list:
    return [Fraction(0), *(x / (n + 1) for n, x in enumerate(polynomial))]


def density(wins: int, losses: int) -> list:
    scale = Fraction(math.factorial(wins + losses + 1), math.factorial(wins) * math.factorial(losses))
    falling = [Fraction((-1) ** n * math.comb(losses, n)) for n in range(losses + 1)]
    return [Fraction(0)] * wins + [scale * x for x in falling]


def exact(counts: list[tuple[int, int]]) -> list[Fraction]:
    """P(arm k has the largest draw), by integration of polynomials in rational arithmetic."""
    result = []
    for k, own in enumerate(counts):
        product = density(*own)
        for other in counts[:k] + counts[k + 1 :]:
            product = times(product, integral(density(*other)))
        result.append(sum(integral(product)))
    return result


@given(histories(BernoulliSpec(3, 14)))
def test_true_probabilities_are_those_of_rational_integration(past):
    rows = algorithms.bernoulli_thompson(SMALL, past)
    wanted = [[float(p) for p in exact(counts)] for counts in posteriors(past)]
    np.testing.assert_allclose(np.exp(rows), wanted, rtol=1e-11)


@pytest.mark.parametrize("name", extremes(LARGE))
def test_true_probabilities_of_long_histories(name):
    """They sum up to 1, the error bar is small, and small probabilities are relatively right."""
    past = extremes(LARGE)[name]
    rows = algorithms.bernoulli_thompson(LARGE, past)
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1, rtol=1e-12)
    assert algorithms.bernoulli_thompson_accuracy(LARGE, past).max() < 1e-9
    counts = posteriors(past)[-1]
    wanted = [float(p) for p in exact([*counts[:2], (0, 0)])]  # rationals of a few thousand digits
    short = history(3, past.actions[past.actions < 2], past.rewards[past.actions < 2])
    got = algorithms.bernoulli_thompson(BernoulliSpec(3, 200), short)[-1]
    np.testing.assert_allclose(got, np.log(wanted), rtol=1e-11)


def test_a_coarser_rule_shows_in_the_error_bar(monkeypatch):
    past = extremes(LARGE)["balanced"]
    fine = algorithms.bernoulli_thompson(LARGE, past)
    monkeypatch.setattr("verify.algorithms.beta_bernoulli.REACH", 0.6)  # leaves a part of [0, 1] out
    missed = np.abs(algorithms.bernoulli_thompson(LARGE, past) - fine).max()
    assert missed > 1e-3
    assert algorithms.bernoulli_thompson_accuracy(LARGE, past).max() > 1e-4


def test_draws_follow_the_probabilities():
    """4,000 draws: a frequency is off by five standard deviations with probability 10⁻⁶."""
    generator, draws = np.random.default_rng(0), np.zeros(3)
    plays = [(0, 1.0), (1, 0.0), (1, 1.0), (2, 1.0), (0, 1.0)]
    policy = algorithms.bernoulli_thompson_decoder(SMALL, generator)
    for action, reward in plays:
        policy.observe(np.eye(3))
        policy.record(action, reward)
    draws = np.zeros(3)
    for _ in range(4000):
        draws += np.exp(policy.observe(np.eye(3)))
        policy._context = None
    wanted = np.array([float(p) for p in exact([(2, 0), (1, 1), (1, 0)])])
    assert (np.abs(draws / 4000 - wanted) < 5 * np.sqrt(wanted * (1 - wanted) / 4000)).all()


# ---------------------------------------------------------------- what is rejected

BAD_SPECS = [
    ({"actions": 1}, "actions: wanted at least 2, got 1"),
    ({"actions": 2.0}, "actions: wanted an integer >= 1, got 2.0"),
    ({"horizon": 0}, "horizon: wanted an integer >= 1, got 0"),
    ({"error": 0.0}, "error: wanted a finite number > 0, got 0.0"),
    ({"error": 0.6}, "error: wanted at most 0.5, got 0.6"),
    ({"error": math.nan}, "error: wanted a finite number > 0, got nan"),
]


@pytest.mark.parametrize(("change", "message"), BAD_SPECS, ids=[str(change) for change, _ in BAD_SPECS])
def test_bad_specs_are_named(change, message):
    spec = object.__new__(BernoulliSpec)
    for name, value in ({"actions": 2, "horizon": 4, "error": 0.1} | change).items():
        object.__setattr__(spec, name, value)
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(BernoulliSpec.__post_init__)(spec)


EYES = np.stack([np.eye(3)] * 3)
BAD_HISTORIES = [
    ((EYES[:, ::-1], [0, 1], [0, 1]), "contexts: wanted the identity, arm k as the k-th one-hot vector"),
    ((EYES[:, :2], [0, 1], [0, 1]), "contexts: wanted 3 actions of dimension 3, got 2 × 3"),
    ((2 * EYES, [0, 1], [0, 1]), r"contexts: wanted action norms in \[1, 1\], got 2"),
    ((EYES, [0, 1], [0, 0.5]), "rewards: wanted 0 or 1, got 0.5"),
    ((EYES, [0, 1], [-1, 0]), "rewards: wanted 0 or 1, got -1"),
    ((np.stack([np.eye(3)] * 13), [0] * 12, [0] * 12), "history: wanted at most horizon = 12 steps, got 13"),
]


@pytest.mark.parametrize(("parts", "message"), BAD_HISTORIES, ids=[message for _, message in BAD_HISTORIES])
def test_bad_histories_are_named(parts, message):
    with pytest.raises(ValueError, match=message):
        built().log_probabilities(BanditHistory(*parts))


BAD_STEPS = [
    ([np.eye(3)[::-1]], "contexts: wanted the identity"),
    ([np.eye(3), (0, 0.5)], "rewards: wanted 0 or 1, got 0.5"),
    ([np.eye(3), (3, 1.0)], r"actions: wanted numbers in 0\.\.2, got 3"),
    ([np.eye(3), np.eye(3)], r"wanted"),
    ([np.eye(2)], "wanted"),
    ([(0, 1.0)], "wanted"),
]
TRUE_ONES_OWN = (1, 2, 3, 4, 5)  # true Thompson sampling does not look at the vectors


@pytest.mark.parametrize(
    ("steps", "message", "policy"),
    [
        (steps, message, policy)
        for number, (steps, message) in enumerate(BAD_STEPS)
        for policy in ("built", "true")[: 1 + (number in TRUE_ONES_OWN)]
    ],
)
def test_bad_steps_are_named(steps, message, policy):
    generator = np.random.default_rng(0)
    true = algorithms.bernoulli_thompson_decoder(SMALL, generator)
    decoder = built().decoder() if policy == "built" else true

    def take(step):
        name = "record" if isinstance(step, tuple) else "observe"
        inspect.unwrap(getattr(type(decoder), name))(decoder, *(step if name == "record" else (step,)))

    for step in steps[:-1]:
        take(step)
    with pytest.raises(ValueError, match=message):
        take(steps[-1])


def test_the_true_algorithm_rejects_other_rewards_and_arms():
    with pytest.raises(ValueError, match=r"rewards: wanted 0 or 1, got 0.5"):
        algorithms.bernoulli_thompson(SMALL, history(3, [0], [0.5]))
    with pytest.raises(ValueError, match="contexts: wanted 3 arms, got 2"):
        algorithms.bernoulli_thompson(SMALL, history(2, [0], [1.0]))


# ---------------------------------------------------------------- quadrature


def every_posterior(horizon: int, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All counts (s, b), with density and distribution function at the nodes."""
    pairs = np.array([(s, n - s) for n in range(horizon) for s in range(n + 1)])
    s, b = pairs[:, :1], pairs[:, 1:]
    densities = np.exp(s * np.log(nodes) + b * np.log1p(-nodes) - betaln(s + 1, b + 1))
    return pairs, densities, betainc(s + 1, b + 1, nodes)


@pytest.mark.parametrize("spec", [SMALL, BernoulliSpec(5, 70)], ids=["small", "larger"])
def test_distribution_functions_are_never_underestimated_whatever_the_errors_of_the_densities(spec):
    """Densities between f and (1 + r)f + a at worst: F ≤ F̃ ≤ F + e, and the lift is needed."""
    choice = plan(spec)
    partial, curve = choice.rule.partial, choice.density
    _, f, cdf = every_posterior(spec.horizon, choice.rule.nodes)
    error = curve.relative * f + curve.absolute
    lowest = f @ partial.T + error @ np.minimum(partial, 0).T + choice.lift - cdf
    highest = f @ partial.T + error @ np.maximum(partial, 0).T + choice.lift - cdf
    assert -1e-11 <= lowest.min() <= 0.9 * choice.lift
    assert sum(choice.cdf_error) / 2 <= highest.max() <= sum(choice.cdf_error) + 1e-11


@pytest.mark.parametrize(
    ("arms", "horizon", "error"), [(2, 1, 1e-6), (3, 12, 1e-9), (5, 60, 1e-4), (4, 90, 1e-8)]
)
def test_quadrature_errs_by_no_more_than_it_says(arms, horizon, error):
    """For the posterior of every count; and for products of the posteriors of a few histories."""
    nodes = rule(arms, horizon, error)
    assert 0 <= nodes.partial_error <= error
    assert 0 <= nodes.whole_error <= error
    pairs, f, cdf = every_posterior(horizon, nodes.nodes)
    assert np.abs(f @ nodes.partial.T - cdf).max() <= nodes.partial_error + 1e-11
    assert np.abs(f @ nodes.weights - 1).max() <= nodes.whole_error + 1e-11
    where = {(int(s), int(b)): row for row, (s, b) in enumerate(pairs)}
    for past in extremes(BernoulliSpec(arms, horizon)).values():
        rows = [where[pair] for pair in posteriors(past)[-1]]
        others = np.stack([np.delete(cdf[rows], k, axis=0).prod(axis=0) for k in range(arms)])
        true = np.exp(algorithms.bernoulli_thompson(BernoulliSpec(arms, horizon), past)[-1])
        assert np.abs((f[rows] * others) @ nodes.weights - true).max() <= nodes.whole_error + 1e-11


@pytest.mark.parametrize(("arms", "horizon"), [(2, 30), (3, 60)])
def test_defects_are_bounds_for_few_nodes_too(arms, horizon):
    """So few that errors can be seen: for all posteriors of one arm, and for products as in the extreme histories."""
    spec = BernoulliSpec(arms, horizon)
    true = [np.exp(algorithms.bernoulli_thompson(spec, past)[-1]) for past in extremes(spec).values()]
    rows = [posteriors(past)[-1] for past in extremes(spec).values()]
    for count in range(4, 24, 2):
        gauss = _gauss(count)
        nodes, weights, partial = gauss.nodes, gauss.weights, gauss.partial
        pairs, f, cdf = every_posterior(horizon, nodes)
        inner, outer = defects(arms, horizon, count)
        assert np.abs(f @ partial.T - cdf).max() <= inner + 1e-12
        where = {(int(s), int(b)): row for row, (s, b) in enumerate(pairs)}
        for counts, wanted in zip(rows, true, strict=True):
            mine = [where[pair] for pair in counts]
            others = np.stack([np.delete(cdf[mine], k, axis=0).prod(axis=0) for k in range(arms)])
            assert np.abs((f[mine] * others) @ weights - wanted).max() <= outer + 1e-12


def test_many_fewer_nodes_than_steps():
    counts = [rule(5, horizon, 1e-6).nodes.size for horizon in (50, 200, 800, 3200)]
    assert counts[0] <= 50
    assert all(
        after <= 2.3 * before for before, after in itertools.pairwise(counts)
    )  # √T, as the theorem says


# ---------------------------------------------------------------- certificate


@FEW
@given(st.integers(2, 6), st.integers(1, 40), st.floats(-3, math.log10(0.5)))
def test_certificate_is_at_most_the_requested_error(arms, horizon, magnitude):
    spec = BernoulliSpec(arms, horizon, 10**magnitude)
    choice = plan(spec)
    assert 0.8 * spec.error <= choice.certificate <= spec.error


def ratios(construction, past) -> np.ndarray:
    """log TS_k − log TF_k at every step."""
    true = algorithms.bernoulli_thompson(construction.spec, past)
    return true - construction.log_probabilities(past)


def bound(construction) -> float:
    return construction.certificate + 2 * construction.blocks[-1].promise.total.rounding


@pytest.mark.parametrize("spec", [SMALL, BernoulliSpec(2, 30, 0.5), BernoulliSpec(4, 6, 1e-3)], ids=str)
@given(st.data())
def test_measured_error_is_at_most_the_certificate(spec, data):
    construction, past = built(spec), data.draw(histories(spec))
    error = ratios(construction, past).max()
    target(error / construction.certificate)
    assert error <= bound(construction)


@pytest.mark.parametrize("name", extremes(LARGE))
def test_the_theorem_on_extreme_histories(name):
    """Log-ratios, KL divergence, total variation and every single probability."""
    construction, past = built(LARGE), extremes(LARGE)[name]
    error = ratios(construction, past)
    true = np.exp(algorithms.bernoulli_thompson(LARGE, past))
    ours = np.exp(construction.log_probabilities(past))
    limit = -math.expm1(-bound(construction))
    assert error.max() <= bound(construction)
    assert (true * error).sum(axis=1).max() <= bound(construction)
    assert np.abs(true - ours).sum(axis=1).max() / 2 <= limit
    assert (ours - true - limit * (1 - true)).max() <= 0


def test_the_theorem_on_runs_of_thompson_sampling():
    generator, worst = np.random.default_rng(0), 0.0
    for _ in range(5):
        past = thompson_run(LARGE, generator.random(5), generator)
        worst = max(worst, ratios(built(LARGE), past).max())
    assert 0.05 * LARGE.error < worst <= bound(built(LARGE))


@given(histories(SMALL))
def test_exactly_integrated_probabilities_are_never_underestimated(past):
    """e^{logit_k} ≥ p_k, apart from rounding, and their sum is at most e^certificate."""
    construction = built()
    logits = construction.outputs([past])[0][:, construction.tokens.stream["logits"].slice]
    wanted = np.array([[float(p) for p in exact(counts)] for counts in posteriors(past)])
    rounding = construction.blocks[-1].promise.total.rounding
    assert (logits - np.log(wanted)).min() >= -rounding
    assert np.exp(logits).sum(axis=1).max() <= math.exp(construction.certificate + rounding)


# ---------------------------------------------------------------- block by block


@given(histories(SMALL))
def test_every_block_keeps_its_promise_and_probes_show_the_true_values(past):
    construction = built()
    counts = np.array(posteriors(past))
    s, b = counts[..., :1], counts[..., 1:]
    nodes = plan(SMALL).rule.nodes
    log_density = s * np.log(nodes) + b * np.log1p(-nodes) - betaln(s + 1, b + 1)
    expected = {
        "plays": np.concatenate([s + b, s, b], axis=1),
        "factor": -betaln(s + 1, b + 1),
        "density": np.exp(log_density),
        "cdf": betainc(s + 1, b + 1, nodes),
        "log_cdf": np.log(np.maximum(betainc(s + 1, b + 1, nodes), plan(SMALL).log_cdf.absolute)),
        "share": np.exp(algorithms.bernoulli_thompson(SMALL, past)),
    }
    for block, probe in zip(construction.blocks, construction.probe(past), strict=True):
        name = block.outputs[0].name
        if name in expected:
            slack = 1e-3 if name == "share" else 1e-9  # with max(F, a) in the place of F
            wanted = expected[name].reshape(probe.true.shape)
            np.testing.assert_allclose(probe.true, wanted, rtol=0, atol=slack)
        assert probe.error <= probe.promise, block.name
        assert probe.own_error <= probe.own_promise, block.name


@pytest.mark.parametrize("name", extremes(LARGE))
def test_every_block_keeps_its_promise_on_extreme_histories(name):
    past = extremes(LARGE)[name]
    probes = built(LARGE).probe(past)
    assert np.array_equal(probes[0].computed, probes[0].true)  # counts, to the last bit
    for probe in probes:
        assert probe.error <= probe.promise, probe.block
        assert probe.own_error <= probe.own_promise, probe.block


def grid(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 200_001)


@pytest.mark.parametrize(
    ("high", "relative", "absolute"), [(0.0, 0.1, 0.1), (6.0, 1e-3, 2e-4), (9.0, 1e-4, 1e-2)]
)
def test_exponentials_lie_between_their_two_curves(high, relative, absolute):
    curve, x = envelope.exponential(high, relative, absolute), grid(math.log(absolute) - 5, high)
    excess = (curve(x) - np.exp(x)) / (relative * np.exp(x) + absolute)
    assert excess.min() >= -1e-9
    assert 0.999 <= excess.max() <= 1
    for start, stop in itertools.pairwise(curve.knots[:-1]):  # as few knots as do it: each piece touches
        inside = excess[(x >= start) & (x <= stop)]
        assert inside.max() > 0.98


@pytest.mark.parametrize(("high", "absolute"), [(1.0, 0.1), (1.0, 1e-4), (2.0, 1e-3)])
def test_logarithms_lie_between_their_two_curves(high, absolute):
    curve = envelope.logarithm(high, absolute)
    x = np.concatenate([grid(0, high)[1:], np.geomspace(1e-12, high, 200_001)[:-1]])
    excess = (np.exp(curve(x)) - x) / absolute
    assert excess.min() >= 0
    assert 0.999 <= excess.max() <= 1 + 1e-9
    for start, stop in itertools.pairwise(curve.knots[:-1]):
        assert excess[(x >= start) & (x <= stop)].min() < 0.02
    assert curve(np.array([-1.0]))[0] == math.log(absolute)


def test_neurons_are_the_function_and_constant_outside_of_its_knots():
    curve, x = envelope.exponential(1.0, 0.1, 0.1), grid(-3, 3)[::100]
    neurons = np.maximum(x[:, None] - curve.knots, 0) @ curve.bends + curve.values[0]
    np.testing.assert_allclose(neurons, curve(x), atol=1e-11)
    assert neurons[-1] == pytest.approx(curve.values[-1])


def test_envelopes_that_cannot_be_built_are_named():
    with pytest.raises(
        ValueError, match=r"exponential: wanted relative > 0 and 0 < absolute < e\^high = 1, got"
    ):
        envelope.exponential(0.0, 0.1, 1.0)
    with pytest.raises(ValueError, match=r"logarithm: wanted 0 < absolute < high = 1, got 0\.0"):
        envelope.logarithm(1.0, 0.0)
    with pytest.raises(ValueError, match="logarithm: wanted errors that 100,000 knots can reach"):
        envelope.logarithm(1.0, 1e-13)
    with pytest.raises(ValueError, match="exponential: wanted errors that 100,000 knots can reach"):
        envelope.exponential(1.0, 1e-10, 0.1)


# ---------------------------------------------------------------- evaluation


@FEW
@given(histories(SMALL))
def test_literal_layers_and_matrices_give_the_same_as_the_fast_program(past):
    construction = built()
    tokens = torch.as_tensor(construction.tokens.encode(past))
    states, logits = construction.tokens.states(past.steps), construction.tokens.stream["logits"].slice
    fast = construction.log_probabilities(past)
    tolerance = 4 * construction.blocks[-1].promise.total.rounding
    for model in (construction.transformer, construction.transformer.dense()):
        literal = construction.policy(model(tokens).numpy()[states])
        np.testing.assert_allclose(literal, fast, rtol=0, atol=tolerance)
        assert np.array_equal(model(tokens).numpy()[:, -3:], tokens[:, -3:])
    assert logits.stop - logits.start == SMALL.actions


@FEW
@given(histories(SMALL))
def test_decoder_gives_the_same_as_the_whole_history(past):
    construction = built()
    decoder, rows = construction.decoder(), []
    for step in range(past.steps):
        rows.append(decoder.observe(past.contexts[step]))
        if step < past.steps - 1:
            decoder.record(int(past.actions[step]), float(past.rewards[step]))
    tolerance = 4 * construction.blocks[-1].promise.total.rounding
    np.testing.assert_allclose(rows, construction.log_probabilities(past), rtol=0, atol=tolerance)


@pytest.mark.parametrize("spec", [SMALL, BernoulliSpec(4, 40, 0.1)], ids=["small", "larger"])
def test_clipping_never_acts(spec):
    construction = built(spec)
    for past in extremes(spec).values():
        tokens = torch.as_tensor(construction.tokens.encode(past))
        for layer in construction.transformer.run():
            assert float(tokens.norm(dim=-1).max()) <= construction.transformer.clip_radius / 2
            tokens = layer(tokens)


@pytest.mark.parametrize("spec", [SMALL, LARGE], ids=["small", "large"])
def test_sizes_are_those_of_the_theorem(spec):
    size, choice, arms = built(spec).size(), plan(spec), spec.actions
    nodes = choice.rule.nodes.size
    assert (size.layers, size.heads) == (6, 3)
    assert size.width == arms + 1 + arms**2 + arms + 5 * arms + 3 * arms * nodes + 3
    knots = max(len(curve.knots) for curve in (choice.density, choice.log_cdf, choice.share))
    assert size.hidden == max(arms * nodes * knots + 1, 3 * arms * (spec.horizon - 1) + 3)
    scale = math.sqrt(arms / spec.error) * math.log(spec.horizon)
    assert knots <= 2 * scale + 20
