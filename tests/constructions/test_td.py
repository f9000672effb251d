"""Policy evaluation: exact in rational arithmetic, and the algorithms are those of the books by other routes."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from constructions.history import BanditHistory
from constructions.parts.guarantee import RESOLUTION
from constructions.prediction import td
from verify import algorithms, audit
from verify.audit import exact
from verify.balls import counts
from verify.histories import linear as histories

SPEC = td.Spec(features=2, horizon=6, sweeps=3, discount=0.75, bound=8.0, reward=3.0)
WHOLE = st.lists(st.integers(-3, 3), min_size=4, max_size=4)


def transitions(rows, rewards, asked):
    """A history whose only arm is the transition, the vectors asked about last."""
    return BanditHistory(np.array([*rows, asked], float)[:, None], [0] * len(rows), rewards)


def in_fractions(spec, rows, rewards, asked):
    """The value after the last transition, sums within sums."""
    d, n = spec.features, len(rows)
    step, discount, keep = (Fraction(x) for x in (spec.step, spec.discount, spec.trace))
    w = [Fraction(0)] * d
    for _ in range(spec.sweeps):
        moved = [Fraction(0)] * d
        for j, row in enumerate(rows):
            error = rewards[j] + sum((discount * row[d + k] - row[k]) * w[k] for k in range(d))
            for k in range(d):
                moved[k] += error * sum((keep**m * rows[j - m][k] for m in range(j + 1)), Fraction(0))
        w = [held + step / (2 * n + 1) * more for held, more in zip(w, moved, strict=True)]
    return sum((asked[k] * w[k] for k in range(d)), Fraction(0))


@given(st.sampled_from([0.0, 0.5, 0.25]), st.lists(st.tuples(WHOLE, st.integers(-3, 3)), max_size=5), WHOLE)
@example(0.5, [([1, 0, 0, 1], 1), ([0, 1, 0, 0], 2), ([1, 1, 1, 0], -1), ([2, 0, 1, 1], 3)], [1, 2, 0, 0])
def test_values_are_the_algorithm_s_in_rational_arithmetic(keep, past, asked):
    spec = replace(SPEC, trace=keep)
    rows, rewards = [row for row, _ in past], [reward for _, reward in past]
    [value] = exact.logits(td.build(spec), transitions(rows, rewards, asked))[-1]
    assert value == in_fractions(spec, rows, rewards, asked)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_numpy_and_balls_say_what_fractions_say(keep):
    spec, generator = replace(SPEC, trace=keep, step=0.3), np.random.default_rng(0)
    rows, rewards, asked = generator.integers(-3, 4, (5, 4)).tolist(), [1, -2, 3, 0, 1], [1, -1, 2, 2]
    wanted = in_fractions(spec, rows, rewards, asked)
    history = transitions(rows, rewards, asked)
    assert algorithms.td(spec, history)[-1, 0] == pytest.approx(float(wanted), rel=1e-13)
    [[ball]] = counts.td(spec, history, [5])
    assert abs(float(ball) - float(wanted)) <= 1e-12 * abs(float(wanted))


def test_what_follows_what_is_asked_about_is_not_read():
    built, generator = td.build(replace(SPEC, actions=2)), np.random.default_rng(1)
    contexts, rewards = generator.uniform(-1, 1, (5, 2, 4)), generator.uniform(-1, 1, 4)
    other = contexts.copy()
    other[-1, :, 2:] = 0
    actions = [0, 1, 1, 0]
    found = [built.values(BanditHistory(one, actions, rewards)) for one in (contexts, other)]
    assert (found[0] == found[1]).all()


def test_one_hot_features_approach_the_values_of_the_chain_that_was_seen():
    """The certainty equivalent: V = r̂ + γ P̂ V of the means of what was seen, as fast as the rarest state allows."""
    generator, states, gamma = np.random.default_rng(2), 3, 0.5
    seen = generator.integers(states, size=31)
    rewards, eye = generator.random(30), np.eye(states)
    counts_, moved, paid = np.zeros(states), np.zeros((states, states)), np.zeros(states)
    for state, after, reward in zip(seen[:-1], seen[1:], rewards, strict=True):
        counts_[state] += 1
        moved[state, after] += 1
        paid[state] += reward
    wanted = np.linalg.solve(np.eye(states) - gamma * moved / counts_[:, None], paid / counts_)
    pairs = np.concatenate([np.c_[eye[seen[:-1]], eye[seen[1:]]], np.c_[eye[[0]], 0 * eye[[0]]]])
    contexts = np.repeat(pairs[:, None], states, axis=1)
    contexts[-1, :, :states] = eye
    history = BanditHistory(contexts, np.zeros(30, int), rewards)
    spec = td.Spec(states, 31, states, sweeps=120, step=2.0, discount=gamma, bound=1.5)
    left = (
        1 - 2 * counts_.min() / 61 * (1 - gamma)
    ) ** 120  # a sweep moves V(s) by a share 2n(s)/i of what is off
    assert left < 1e-4
    assert abs(td.build(spec).values(history)[-1] - wanted).max() <= left * abs(wanted).max() + 1e-12


def test_sarsa_is_that_of_a_table():
    """Q ← Q + (α/i) Σ (r + γ Q(s′, a′) − Q(s, a)) over a table, and the actions of the state at hand."""
    generator, states, actions, gamma = np.random.default_rng(3), 2, 3, 0.9
    pairs = list(zip(generator.integers(states, size=9), generator.integers(actions, size=9), strict=True))
    rewards, table = generator.random(8), {}
    for _ in range(5):
        old = dict(table)
        for n, (pair, after) in enumerate(pairwise(pairs)):
            error = rewards[n] + gamma * old.get(after, 0.0) - old.get(pair, 0.0)
            table[pair] = table.get(pair, 0.0) + error / 17
    eye = np.eye(states * actions).reshape(states, actions, -1)
    contexts = np.zeros((9, actions, 2 * states * actions))
    for n, (state, _) in enumerate(pairs):
        contexts[n, :, : states * actions] = eye[state]
        contexts[n, :, states * actions :] = eye[pairs[n + 1]] if n < 8 else 0
    history = BanditHistory(contexts, [action for _, action in pairs[:-1]], rewards)
    spec = td.Spec(states * actions, 9, actions, sweeps=5, discount=gamma, bound=1.5)
    wanted = [table.get((pairs[-1][0], action), 0.0) for action in range(actions)]
    np.testing.assert_allclose(td.build(spec).values(history)[-1], wanted, atol=1e-14)


def test_traces_look_forward():
    """Over one episode Σ δ_j e_j is Σ (G_j − V(s_j)) φ_j, G_j the λ-return, the mean of n-step ones by (1 − λ)λⁿ."""
    generator, n, gamma, decay = np.random.default_rng(4), 6, 0.8, 0.5
    phi, rewards = generator.uniform(-0.5, 0.5, (n, 2)), generator.uniform(-1, 1, n)
    after = np.concatenate([phi[1:], np.zeros((1, 2))])
    w = np.zeros(2)
    for _ in range(2):
        values = np.append(phi @ w, 0.0)
        moved = np.zeros(2)
        for j in range(n):
            returns = [
                sum(gamma**k * rewards[j + k] for k in range(m)) + gamma**m * values[j + m]
                for m in range(1, n - j + 1)
            ]
            shares = [(1 - decay) * decay**m for m in range(n - j - 1)] + [decay ** (n - j - 1)]
            moved += (np.dot(shares, returns) - values[j]) * phi[j]
        w = w + moved / (2 * n + 1)
    spec = td.Spec(2, n + 1, sweeps=2, discount=gamma, trace=gamma * decay)
    rows = np.c_[phi, after]
    found = td.build(spec).values(transitions(rows, rewards, [1.0, 0.0, 0.0, 0.0]))[-1, 0]
    assert found == pytest.approx(w[0], abs=1e-14)


def test_traces_that_float64_does_not_hold_are_certified_to_the_last_digits():
    spec = replace(SPEC, trace=0.9, bound=1.0, reward=1.0, horizon=20)
    built = td.build(spec)
    assert 0 < built.certificate < RESOLUTION
    assert td.build(replace(spec, trace=0.5)).certificate == 0
    found = audit.search(built, algorithms.td, 40, source=histories)
    assert found.score <= 1
    assert found.outline is not None
    enclosed = audit.enclose(built, counts.td, found.outline.history(spec))
    assert 0 < enclosed.exact_high <= built.certificate


@pytest.mark.parametrize("horizon", [1, 2, 3, 4, 5, 9])
def test_traces_take_as_many_layers_as_the_horizon_has_binary_digits(horizon):
    spec = replace(SPEC, trace=0.5, horizon=horizon)
    assert td.build(spec).size().layers == spec.sweeps + 1 + max(1, int(np.ceil(np.log2(horizon))))


def test_what_float64_cannot_carry_is_refused():
    with pytest.raises(ValueError, match=r"sweeps: wanted a bound on weights below 1e\+100, got"):
        td.build(replace(SPEC, sweeps=200))
    with pytest.raises(ValueError, match=r"Σ c\^m φ: wanted a sum that float64 can hold, got 1e\+30 kept"):
        td.build(replace(SPEC, trace=1e30, horizon=100))
    with pytest.raises(
        ValueError, match=r"Σ c\^m φ: wanted gates below 2\^53, 8 · tokens³ about, got 200000"
    ):
        td.build(replace(SPEC, trace=0.5, horizon=100_000))
    with pytest.raises(ValueError, match="contexts: wanted pairs of 2 and 2 features, got vectors of 3"):
        algorithms.td(SPEC, BanditHistory(np.ones((1, 1, 3)), [], []))
