"""Arms that are not on offer: the policy is that of the algorithm without them, computed here from its definition."""

import copy
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betainc
from scipy.stats import beta, norm

from constructions import linucb, thompson, ucbvi
from constructions.history import BanditHistory, EpisodeHistory
from constructions.thompson.nodes import NodeRule

LINUCB = linucb.build(linucb.Spec(2, 4, 6, 0.05, "newton", temperature=0.3, noise_bound=1.0, weight_norm=1.0))
LINEAR = thompson.Spec(
    3, 4, 5, 0.05, "newton", nodes=16, separation=0.2, action_norm=(0.5, 1.5), noise_bound=3.0
)
LINES = thompson.build(LINEAR)
SAMPLING = thompson.build(replace(LINEAR, form="sampling", error=1e-3))
BERNOULLI = thompson.build(thompson.BernoulliSpec(4, 7, 0.05))


@st.composite
def offer(draw, spec, coins=False):
    """A history and a mask of what was on offer: what was played was."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps, arms = draw(st.integers(1, spec.horizon)), spec.actions
    mask = generator.random((steps, arms)) < draw(st.sampled_from([0.2, 0.5, 0.8]))
    mask[np.arange(steps), generator.integers(arms, size=steps)] = True
    actions = np.array([generator.choice(np.flatnonzero(row)) for row in mask[:-1]], int)
    if coins:
        history = BanditHistory([np.eye(arms)] * steps, actions, generator.integers(2, size=steps - 1))
        return history, mask
    corners = np.linalg.qr(generator.normal(size=(3, 3)))[0] if spec.dim == 3 else None
    contexts = generator.normal(size=(steps, arms, spec.dim))
    if corners is not None:  # far enough apart, as the specification asks: the corners of a pyramid, shrunk
        contexts = np.concatenate([corners, -corners[:1]]) * generator.uniform(0.6, 1.4, (steps, 4, 1))
    else:
        contexts /= np.linalg.norm(contexts, axis=-1, keepdims=True)
    draws = generator.normal(size=(steps, spec.dim)) if getattr(spec, "form", "") == "sampling" else None
    return BanditHistory(contexts, actions, generator.uniform(-1, 1, steps - 1), draws), mask


def posterior(spec, ridge, history, step):
    """A⁻¹ and A⁻¹b of the plays before a step."""
    chosen = history.chosen[:step]
    inverse = np.linalg.inv(ridge * np.eye(spec.dim) + chosen.T @ chosen)
    return inverse, inverse @ (chosen.T @ history.rewards[:step])


def held(policy, true, mask, certificate, floor=0.0, one_sided=False):
    """Wanted: a policy over the arms on offer, within the certificate of the true one."""
    np.testing.assert_allclose(np.exp(policy).sum(axis=1), 1, atol=1e-9)
    assert (np.isneginf(policy) == ~mask).all()
    likely = mask & (true >= floor)
    gaps = np.log(true[likely]) - policy[likely]
    assert (gaps if one_sided else np.abs(gaps)).max(initial=0) <= certificate + 1e-9


@settings(deadline=None)
@given(offer(LINUCB.spec))
def test_linucb_is_the_softmax_of_the_scores_on_offer(drawn):
    history, mask = drawn
    spec, true = LINUCB.spec, np.zeros(mask.shape)
    for step, row in enumerate(mask):
        inverse, mean = posterior(spec, spec.ridge, history, step)
        arms = history.contexts[step][row]
        scores = arms @ mean + spec.exploration * np.sqrt(np.einsum("kd,de,ke->k", arms, inverse, arms))
        odds = np.exp((scores - scores.max()) / spec.temperature)
        true[step, row] = odds / odds.sum()
    held(LINUCB.log_probabilities(history, offered=mask), true, mask, LINUCB.certificate)


def along(spec, arms, mean, root):
    """How likely each arm is to be drawn, along the spec's lines: from their end to end, cut where the winner changes."""
    white, means = arms @ root, arms @ mean
    if len(arms) == 1:
        return np.ones(1)
    if len(arms) == 2:
        return np.array([p := norm.cdf((means[0] - means[1]) / np.linalg.norm(white[0] - white[1])), 1 - p])
    rule = NodeRule.of(replace(spec, actions=len(arms)))
    total = np.zeros(len(arms))
    for point in rule.nodes @ rule.basis.T:
        at, slope = means + white @ point, white @ rule.direction
        with np.errstate(divide="ignore", invalid="ignore"):
            cuts = (at[:, None] - at) / (slope - slope[:, None])
        cuts = np.sort(cuts[np.isfinite(cuts)])
        ends = np.concatenate([[-math.inf], cuts, [math.inf]])
        inside = np.concatenate([[cuts[0] - 1], (cuts[:-1] + cuts[1:]) / 2, [cuts[-1] + 1]])
        for low, high, here in zip(ends[:-1], ends[1:], inside, strict=True):
            total[(at + slope * here).argmax()] += norm.cdf(high) - norm.cdf(low)
    return total / len(rule.nodes)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(deadline=None, max_examples=30)
@given(offer(LINES.spec))
def test_thompson_sampling_is_the_chance_to_be_best_of_those_on_offer(drawn):
    history, mask = drawn
    true = np.zeros(mask.shape)
    for step, row in enumerate(mask):
        inverse, mean = posterior(LINEAR, LINEAR.ridge, history, step)
        spectrum, basis = np.linalg.eigh(inverse)
        root = math.sqrt(LINEAR.noise_variance) * (basis * np.sqrt(spectrum)) @ basis.T
        true[step, row] = along(LINEAR, history.contexts[step][row], mean, root)
    policy = LINES.log_probabilities(history, offered=mask)
    held(policy, true, mask, LINEAR.error, floor=LINES.guarantee.floor)


def test_leaving_an_arm_out_is_not_to_divide_by_what_is_left():
    """w ~ N(0, 4I), noise N(0, 0.01); e₁ paid 1.0025, e₃ 0.90225; e₁ and e₂ on offer: 0.6912, and not 0.6344."""
    history = BanditHistory([np.eye(3)] * 3, [0, 2], [1.0025, 0.90225])
    more = {"prior_variance": 4.0, "noise_variance": 0.01, "action_norm": (1.0, 1.0), "separation": 0.5}
    built = thompson.build(thompson.Spec(3, 3, 3, 0.002, "newton", nodes=1, truncation=1e-6, **more))
    first = np.exp(built.log_probabilities(history, offered=[[1, 1, 1], [1, 1, 1], [1, 1, 0]])[2])
    assert abs(math.log(first[0] / 0.691243)) <= 0.002 + 1e-6
    assert abs(first[0] - 0.634390) > 0.05
    assert first[0] + first[1] == pytest.approx(1)
    assert first[2] == 0


def largest(u, k, others, won, lost):
    """The density of arm k at u, times the chance that all others are below."""
    return beta.pdf(u, won[k], lost[k]) * np.prod([betainc(won[j], lost[j], u) for j in others])


@settings(deadline=None, max_examples=30)
@given(offer(BERNOULLI.spec, coins=True))
def test_bernoulli_arms_compete_with_those_on_offer(drawn):
    history, mask = drawn
    true = np.zeros(mask.shape)
    for step, row in enumerate(mask):
        won, lost = (
            np.bincount(history.actions[:step][history.rewards[:step] == paid], minlength=4) + 1
            for paid in (1, 0)
        )
        for k in np.flatnonzero(row):
            others = [j for j in np.flatnonzero(row) if j != k]
            true[step, k] = quad(largest, 0, 1, (k, others, won, lost), epsabs=1e-12)[0]
    held(BERNOULLI.log_probabilities(history, offered=mask), true, mask, BERNOULLI.spec.error, one_sided=True)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(deadline=None, max_examples=30)
@given(offer(SAMPLING.spec))
def test_a_draw_takes_the_largest_score_on_offer(drawn):
    history, mask = drawn
    policy = SAMPLING.log_probabilities(history, offered=mask)
    for step, row in enumerate(mask):
        inverse, mean = posterior(LINEAR, LINEAR.ridge, history, step)
        spectrum, basis = np.linalg.eigh(inverse)
        sample = (
            mean
            + math.sqrt(LINEAR.noise_variance) * (basis * np.sqrt(spectrum)) @ basis.T @ history.draws[step]
        )
        scores = np.where(row, history.contexts[step] @ sample, -np.inf)
        best = policy[step].argmax()
        assert row[best]
        assert scores[best] >= scores.max() - 2 * SAMPLING.certificate - 1e-9


def stepwise(decoder, history, mask, start=0):
    """The policy over what is on offer, one step at a time."""
    for step in range(start, history.steps):
        draw = None if history.draws is None else history.draws[step]
        yield decoder.observe(history.contexts[step], draw, offered=mask[step])
        if step < history.steps - 1:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))


WAYS = {"LinUCB": LINUCB, "draws": SAMPLING, "lines": LINES, "Bernoulli": BERNOULLI}


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("name", WAYS)
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_one_step_at_a_time_is_the_whole(name, data):
    built = WAYS[name]
    history, mask = data.draw(offer(built.spec, coins=built is BERNOULLI))
    whole = built.log_probabilities(history, offered=mask)
    decoder = built.decoder()
    np.testing.assert_allclose(np.array([*stepwise(decoder, history, mask)]), whole, rtol=0, atol=1e-9)


def two_offers(built):
    """Two histories of equal length, and what is on offer in each."""
    generator, steps, arms = np.random.default_rng(5), built.spec.horizon, built.spec.actions
    masks = generator.random((2, steps, arms)) < 0.6
    masks[..., 0] = True
    masks[:, 2] = True  # now and then everything is
    actions = np.array([[generator.choice(np.flatnonzero(row)) for row in mask[:-1]] for mask in masks])
    corners = np.concatenate([np.eye(3), -np.eye(3)[:1]])
    arms = np.eye(arms) if built is BERNOULLI else corners[:, : built.spec.dim] if built is LINES else None
    if arms is None:
        angles = generator.uniform(0, 6, (built.spec.actions, 1))
        arms = np.hstack([np.cos(angles), np.sin(angles)])
    rewards = generator.integers(2, size=actions.shape)
    return [BanditHistory([arms] * steps, *done) for done in zip(actions, rewards, strict=True)], masks


@pytest.mark.parametrize("name", ["LinUCB", "lines", "Bernoulli"])
def test_a_batch_has_an_offer_each_and_a_saved_state_remembers_them(name):
    built = WAYS[name]
    histories, masks = two_offers(built)
    whole = [built.log_probabilities(one, offered=mask) for one, mask in zip(histories, masks, strict=True)]
    decoder = built.decoder(batch=2)
    for step in range(built.spec.horizon):
        contexts = np.array([history.contexts[step] for history in histories])
        found = decoder.observe(contexts, offered=masks[:, step])
        np.testing.assert_allclose(found, [one[step] for one in whole], rtol=0, atol=1e-9)
        if step == built.spec.horizon - 1:
            break
        if (
            step == 3
        ):  # it goes on otherwise, and comes back: what is on offer now, and was before, is remembered
            saved = pickle.loads(pickle.dumps(decoder.state()))
            decoder.record([0, 0], [0.0, 1.0])
            decoder.observe(contexts, offered=masks[:, 4])
            decoder.restore(saved)
            left_out = masks[:, 3].argmin(axis=1)
            with pytest.raises(ValueError, match="actions: wanted an arm that is on offer"):
                decoder.record(left_out, [1.0, 1.0])
        done = (np.array([getattr(one, what)[step] for one in histories]) for what in ("actions", "rewards"))
        decoder.record(*done)


@pytest.mark.parametrize("name", ["LinUCB", "lines", "Bernoulli"])
def test_a_replayed_past_counts_for_what_is_on_offer(name):
    built = WAYS[name]
    [history, _], [mask, _] = two_offers(built)
    whole = built.log_probabilities(history, offered=mask)
    decoder = built.decoder()
    decoder.replay(history.prefix(4))
    found = [*stepwise(decoder, history, mask, 3)]
    np.testing.assert_allclose(found, whole[3:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["LinUCB", "Bernoulli"])
def test_an_offer_that_is_refused_changes_nothing(name):
    built = WAYS[name]
    [history, _], _ = two_offers(built)
    decoder = built.decoder()
    for offered, message in [
        ([0, 0, 0, 0], "offered: wanted an arm, got none$"),
        ([[1, 1, 1, 1]], r"offered: wanted shape \(4,\), got \(1, 4\)"),
        ([1, 1, 2, 1], "offered: wanted True or False, got 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            decoder.observe(history.contexts[0], offered=offered)
    decoder.observe(history.contexts[0], offered=[1, 0, 1, 1])
    with pytest.raises(ValueError, match="actions: wanted an arm that is on offer, got 1"):
        decoder.record(1, 1.0)
    decoder.record(2, 1.0)
    past = BanditHistory(history.contexts[:2], [2], [1.0])
    found = decoder.observe(history.contexts[1], offered=[1, 1, 0, 0])
    whole = built.log_probabilities(past, offered=[[1, 0, 1, 1], [1, 1, 0, 0]])
    np.testing.assert_allclose(found, whole[1], rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match=r"wanted shape \(2, 4\) or \(4,\), got \(3, 4\)"):
        built.decoder(batch=2).observe(history.contexts[:2], offered=np.ones((3, 4)))


def test_everything_on_offer_changes_nothing():
    generator = np.random.default_rng(0)
    coins = BanditHistory([np.eye(4)] * 5, generator.integers(4, size=4), generator.integers(2, size=4))
    whole = BERNOULLI.log_probabilities(coins)
    np.testing.assert_allclose(BERNOULLI.log_probabilities(coins, offered=[True] * 4), whole, atol=1e-12)


HISTORY = BanditHistory([np.eye(4)] * 3, [0, 1], [1, 0])


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (
            [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]],
            "wanted the arm that was played at step 1, 1, to be on offer",
        ),
        (
            [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]],
            "offered: wanted an arm at every step, got none at step 2",
        ),
        ([1, 1, 1], r"offered: wanted shape \(3, 4\) or \(4,\), got \(3,\)"),
        ([1, 1, 0.5, 1], "offered: wanted True or False, got 0.5"),
        ("all", "offered: wanted an array of real numbers, got str"),
    ],
)
def test_a_mask_that_is_none_is_refused_in_a_line(offered, message):
    with pytest.raises(ValueError, match=message):
        BERNOULLI.log_probabilities(HISTORY, offered=offered)


def test_who_cannot_leave_arms_out_says_so():
    built = ucbvi.build(ucbvi.Spec(2, 2, 2, 2, form="narrow"))
    with pytest.raises(
        ValueError, match=r"a specification that says what the policy is with fewer .*, got ucbvi.Spec"
    ):
        built.log_probabilities(EpisodeHistory([0], [], [], 2), offered=[True, False])
    with pytest.raises(ValueError, match="a specification that says what the policy is with fewer"):
        built.decoder().observe(0, offered=[True, False])
    other = copy.deepcopy(BERNOULLI)
    next(iter(other.transformer.parameters())).data.mul_(2)
    with pytest.raises(
        ValueError, match=r"offered: wanted what thompson\.BernoulliSpec builds, got other weights"
    ):
        other.log_probabilities(HISTORY, offered=[1, 1, 1, 0])
    with pytest.raises(ValueError, match=r"wanted what thompson\.BernoulliSpec builds, got other weights"):
        other.decoder().observe(np.eye(4), offered=[1, 1, 1, 0])
