"""Ridge regression with a penalty chosen on held-out pairs: the selection in plain fractions, and what it loses."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from constructions.history import BanditHistory
from constructions.language import bandits
from constructions.prediction import choice, validated
from verify import algorithms
from verify.audit import exact

SPEC = validated.Spec(dim=2, horizon=13, training=6)


def shares(losses, slope):
    """The weights q_k, in fractions."""
    left, weights = Fraction(1), []
    for loss in losses:
        over = sum((max(loss - other, Fraction(0)) for other in losses), Fraction(0))
        after = max(left - max(1 - slope * over, Fraction(0)), Fraction(0))
        weights.append(left - after)
        left = after
    return weights


def selection(count):
    """The blocks of choice.py alone: losses and predictions are entries of an arm."""
    spec = validated.Spec(dim=2 * count, horizon=2, training=1, bound=100.0)
    p = bandits.program("here", spec, excess=count, share=count, predictions=1)
    arm = bandits.tokens(p, spec)[2].entries.split(2 * count)
    made = choice.chosen(p, arm[:count], arm[count:], 2.0)
    return bandits.complete(p, spec, made.error.error)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(-9, 9)), min_size=3, max_size=3))
@example([(0, 1), (0, 5), (0, 7)])
@example([(3, 4), (2, -4), (2, 2)])
@example([(1, 1), (1, 2), (0, 3)])
def test_the_selection_is_exact_and_a_mean_of_what_is_near_the_least(rows):
    losses, values = ([Fraction(row[n], 8) for row in rows] for n in (0, 1))
    arm = np.array([*losses, *values], float)[None, None]
    [found] = exact.logits(selection(3), BanditHistory(arm, [], []))[0]
    weights = shares(losses, 2)
    assert found == sum((w * f for w, f in zip(weights, values, strict=True)), Fraction(0))
    assert sum(weights) == 1
    assert all(
        w >= 0 and (not w or loss < min(losses) + Fraction(1, 2))
        for w, loss in zip(weights, losses, strict=True)
    )


def problem(seed, noise, dim=2, count=12):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, dim))
    x /= 1.01 * np.linalg.norm(x, axis=1, keepdims=True)
    return x, np.clip(x @ generator.normal(size=dim) + generator.normal(0, noise, count), -1, 1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_what_is_chosen_has_nearly_the_least_loss_of_scikit_learn_s_fits(seed, noise):
    x, y = problem(seed, noise)
    spec = replace(SPEC, actions=2, margin=0.02)
    contexts = np.broadcast_to(np.eye(2), (13, 2, 2)).copy()
    contexts[:-1, 0] = x
    history = BanditHistory(contexts, [0] * 12, y)
    weights = validated.build(spec).values(history)[-1]
    fits = [Ridge(alpha=a, fit_intercept=False).fit(x[:6], y[:6]).coef_ for a in spec.penalties]
    losses = [((x[6:] @ w - y[6:]) ** 2).sum() for w in fits]
    assert ((x[6:] @ weights - y[6:]) ** 2).sum() <= min(losses) + validated.gap(spec)
    np.testing.assert_allclose(algorithms.candidates(spec, history)[1][-1], losses, atol=1e-9)
    apart = sorted(losses)
    if apart[1] - apart[0] > spec.margin:  # one alone is near the least
        np.testing.assert_allclose(weights, fits[int(np.argmin(losses))], atol=spec.error)


@pytest.mark.parametrize("training", [1, 6, 12])
def test_halves_are_told_apart_without_any_rounding(training):
    x, y = problem(0, 1.0)
    built = validated.build(replace(SPEC, training=training, error=1.0))
    seen = {
        probe.block: probe
        for probe in built.probe(BanditHistory(np.vstack([x, x[:1]])[:, None], [0] * 12, y))
    }
    assert [seen[name].error for name in ("halves", "pairs, train", "pairs, held")] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("penalties", [(10.0, 1.0, 0.1), (0.1, 100.0), (1.0, 1.0)])
def test_any_penalties_in_any_order(penalties):
    spec = replace(SPEC, penalties=penalties, error=1e-4)
    built = validated.build(spec)
    assert built.certificate <= 1e-4
    x, y = problem(0, 0.3)
    history = BanditHistory(np.vstack([x, [[0.5, -0.5]]])[:, None], [0] * 12, y)
    assert abs(built.values(history) - algorithms.validated(spec, history)).max() <= built.allowed


def test_a_margin_is_kept_by_a_power_of_two():
    assert [replace(SPEC, margin=margin).slope for margin in (1.0, 0.3, 8.0)] == [1.0, 4.0, 0.125]
    assert SPEC.margin < validated.gap(SPEC) < SPEC.margin + 1e-6
