"""The proofs of docs/depth.md on the built weights, step by step: contraction, and the degree of what is computed."""

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from by_definition import by_definition
from hypothesis import given, settings
from hypothesis import strategies as st

from constructions import linucb, thompson
from constructions.history import BanditHistory
from constructions.inputs.bandits import admitted_norms
from constructions.linucb import by_newton
from constructions.parts.block import UNIT
from constructions.sizes import measured
from constructions.thompson import by_newton as root_by_newton
from constructions.thompson import sampling
from constructions.transformer import Transformer
from verify import algorithms
from verify.histories.linear import outlines
from verify.sweeps.rounding import prefix
from verify.theorems import evaluate, newton, symbols
from verify.theorems import symbols as posterior_symbols

SPECS = [
    linucb.Spec(dim=2, actions=2, horizon=12, solver="newton"),
    linucb.Spec(dim=3, actions=3, horizon=5, solver="newton", ridge=0.2, exploration=3.0),
    linucb.Spec(dim=1, actions=2, horizon=30, solver="newton", ridge=2.0, action_norm=(0.1, 1.0)),
]
SAMPLED = [
    thompson.Spec(dim=2, actions=2, horizon=12, form="sampling", solver="newton"),
    thompson.Spec(dim=3, actions=2, horizon=5, form="sampling", solver="newton", noise_variance=0.3),
]


BUILT = [linucb.build(spec) for spec in SPECS]
STEPS = [by_newton.plan(spec)[0] for spec in SPECS]
PREFIXES = [[prefix(one, 2 + k) for k in range(n)] for one, n in zip(BUILT, STEPS, strict=True)]
SAMPLERS = [thompson.build(spec) for spec in SAMPLED]
ROOT_STEPS = [sampling.plan(spec).steps for spec in SAMPLED]
ROOT_PREFIXES = [[prefix(one, 2 + k) for k in range(n)] for one, n in zip(SAMPLERS, ROOT_STEPS, strict=True)]
VALUES = [symbols(spec) | {"action_max": admitted_norms(spec)[1]} for spec in SPECS]
"""With norms as wide as the door, for which weights are chosen."""
ERRORS = [
    [evaluate(newton.INVERSE_ERROR, **values, depth=k + 1) for k in range(n)]
    for values, n in zip(VALUES, STEPS, strict=True)
]
"""e_1, e_2, …, as stated."""

cases = st.integers(0, len(SPECS) - 1).flatmap(lambda n: st.tuples(st.just(n), outlines(SPECS[n])))
sampled = st.integers(0, len(SAMPLED) - 1).flatmap(lambda n: st.tuples(st.just(n), outlines(SAMPLED[n])))


def ridge_problem(spec, history):
    """A and b at each step, added up here."""
    chosen, n = history.chosen, history.steps
    grams = np.concatenate([np.zeros((1, spec.dim, spec.dim)), chosen[:, :, None] * chosen[:, None, :]])
    moments = np.concatenate([np.zeros((1, spec.dim)), chosen * history.rewards[:, None]])
    return spec.ridge * np.eye(spec.dim) + np.cumsum(grams, axis=0)[:n], np.cumsum(moments, axis=0)[:n]


def power(matrices, exponent):
    values, basis = np.linalg.eigh(matrices)
    return (basis * values[:, None] ** exponent) @ basis.mT


def held(built, history, name):
    return built.outputs([history])[0][:, built.tokens.stream[name].slice]


def solved(built):
    """The block of the iteration: its rounding bound holds after every step, as no step's result is larger."""
    [block] = [block for block in built.blocks if "Newton" in block.name]
    return block.promise.own.rounding


def sizes(spec):
    values = posterior_symbols(spec) if isinstance(spec, thompson.Spec) else symbols(spec)
    return values | {"ridge": spec.ridge, "action_max": admitted_norms(spec)[1]}


# ---------------------------------------------------------------- Lemma 3 and Theorem A


@settings(max_examples=60, deadline=None)
@given(cases)
def test_every_step_contracts_as_stated(case):
    """‖A^{1/2} X_k A^{1/2} − I‖ ≤ e_k after each layer, and equal to it where λ is an eigenvalue: at the first step."""
    number, outline = case
    spec, history = SPECS[number], outline.history(SPECS[number])
    matrices, _ = ridge_problem(spec, history)
    root, largest = power(matrices, 0.5), np.linalg.eigvalsh(matrices)[:, -1]
    # X is off by at most the block's bound; A^{1/2}, products and eigenvalues here by a few roundings of κ each
    room = largest * solved(BUILT[number]) + 64 * spec.dim * UNIT * largest / spec.ridge
    for k, cut in enumerate(PREFIXES[number], 1):
        inverse = held(cut, history, "inverse").reshape(matrices.shape)
        left = root @ inverse @ root - np.eye(spec.dim)
        error = np.abs(np.linalg.eigvalsh((left + left.mT) / 2)).max(axis=-1)
        stated = ERRORS[number][k - 1]
        assert (error <= stated + room).all(), k
        assert error[0] >= stated - room[0], k


@settings(max_examples=60, deadline=None)
@given(cases)
def test_the_inequalities_of_theorem_a(case):
    """(1.1), (1.2), (5.1) and (5.2), with what each step left of E."""
    number, outline = case
    spec, history = SPECS[number], outline.history(SPECS[number])
    matrices, moments = ridge_problem(spec, history)
    high, reward = spec.action_norm[1], evaluate(newton.REWARD_MAX, **VALUES[number])
    past = max(spec.horizon - 1, 1)
    half = power(matrices, -0.5)
    arms = history.contexts
    tiny = 1 + 64 * spec.dim * UNIT * evaluate(newton.CONDITION, **VALUES[number])
    assert np.linalg.norm(arms @ half, axis=-1).max() <= high / math.sqrt(spec.ridge) * tiny
    turned = np.einsum("tde,te->td", half, moments)
    assert np.linalg.norm(turned, axis=-1).max() <= math.sqrt(past) * reward * tiny
    true = np.linalg.inv(matrices)
    rounding = solved(BUILT[number]) + 64 * spec.dim * UNIT * spec.horizon * high**2 / spec.ridge**2
    for k, cut in enumerate(PREFIXES[number]):
        inverse = held(cut, history, "inverse").reshape(matrices.shape)
        error = ERRORS[number][k]
        wrong = np.einsum("tkd,tde,te->tk", arms, inverse - true, moments)
        size = high * np.linalg.norm(moments, axis=-1).max(initial=0.0)
        stated = error * high / (2 * math.sqrt(spec.ridge)) * math.sqrt(past) * reward
        assert np.abs(wrong).max() <= stated + size * rounding
        squares = [np.einsum("tkd,tde,tke->tk", arms, x, arms) for x in (inverse, true)]
        apart = np.abs(np.sqrt(np.maximum(squares[0], 0.0)) - np.sqrt(squares[1]))
        stated = high / math.sqrt(spec.ridge) * (1 - math.sqrt(1 - error))
        assert error > 0.5 or stated <= 0.586 * error * high / math.sqrt(spec.ridge)
        # √x moves by at most δ/√x where x does by δ
        assert (apart <= stated + high**2 * rounding / np.sqrt(squares[1])).all()


@settings(max_examples=40, deadline=None)
@given(cases)
def test_the_policy_is_within_the_error(case):
    """(5.3)."""
    number, outline = case
    built, history = BUILT[number], outline.history(SPECS[number])
    error = np.abs(built.log_probabilities(history) - algorithms.linucb(built.spec, history)).max()
    assert error <= built.spec.error + 2 * built.blocks[-1].promise.total.rounding


# ---------------------------------------------------------------- Lemma 4 and Theorem B


@cache
def lower_ends(spec, steps):
    """l_0, l_1, …, by the stated formula."""
    ends = [evaluate(newton.CONDITION, **sizes(spec)) ** -0.5]
    for _ in range(steps):
        ends.append(evaluate(newton.ROOT_STEP, error=ends[-1]))
    return ends


def with_draws(history, seed):
    return replace(
        history, draws=np.random.default_rng(seed).normal(size=(history.steps, history.contexts.shape[2]))
    )


@settings(max_examples=40, deadline=None)
@given(sampled)
def test_every_step_of_the_root_stays_in_its_interval(case):
    """The eigenvalues of (ZY)^{1/2} = Z (Σ/S)^{1/2} lie in [l_k, 1], at l_k where λ is an eigenvalue; and Y = ZΣ/S."""
    number, outline = case
    spec, history = SAMPLED[number], with_draws(outline.history(SAMPLED[number]), outline.seed)
    matrices, _ = ridge_problem(spec, history)
    largest = evaluate(newton.LARGEST, **sizes(spec))
    quarter = power(matrices / largest, 0.25)
    condition = largest / spec.ridge
    room = solved(SAMPLERS[number]) + 64 * spec.dim * UNIT * condition**1.5
    index = np.arange(1, 2 * history.steps, 2)[:, None, None]
    ends = lower_ends(spec, ROOT_STEPS[number])
    for k, cut in enumerate(ROOT_PREFIXES[number], 1):
        root, partner = (held(cut, history, name).reshape(matrices.shape) for name in ("root", "partner"))
        found = np.linalg.eigvalsh(quarter @ (root + root.mT) / 2 @ quarter)
        assert found.min() >= ends[k] - room, k
        assert found.max() <= 1 + room, k
        assert np.abs(found[0] - ends[k]).max() <= room, k
        assert np.abs(partner - index * root @ matrices / largest).max() <= 2 * index.max() * room, k


@settings(max_examples=40, deadline=None)
@given(sampled)
def test_the_inequalities_of_theorem_b(case):
    """(6.1), and ‖x̂_k − x_k‖ ≤ e R."""
    number, outline = case
    spec, built = SAMPLED[number], SAMPLERS[number]
    history = with_draws(outline.history(spec), outline.seed)
    true = algorithms.thompson_values(spec, history)
    low = lower_ends(spec, ROOT_STEPS[number])[-1]
    error, values = (1 - low) / (1 + low), sizes(spec)
    reach, theta = evaluate(newton.REACH, **values), evaluate(newton.THETA, **values)
    rounding = {block.outputs[0].name: block.promise.total.rounding for block in built.blocks}
    outputs, stream = built.outputs([history])[0], built.tokens.stream
    white = outputs[:, stream["white"].slice].reshape(true.whitened.shape)
    wrong = np.linalg.norm(white - true.whitened, axis=-1).max()
    assert wrong <= error * reach + rounding["white"]
    noise = np.einsum("tkd,td->tk", true.whitened, history.draws)
    apart = np.abs(outputs[:, stream["noise"].slice] - noise).max()
    assert apart <= error * reach * np.linalg.norm(history.draws, axis=1).max() + rounding["noise"]
    apart = np.abs(outputs[:, stream["mean"].slice] - true.mean).max()
    assert apart <= (2 * error + error**2) / 2 * reach * theta + rounding["mean"]


# ---------------------------------------------------------------- norms


@pytest.mark.parametrize("number", range(len(BUILT) + len(SAMPLERS)))
def test_every_layer_has_the_norm_of_its_kind(number):
    """The lists of Theorems A and B: the normal equations, the first step, the others, and what follows."""
    built = (BUILT + SAMPLERS)[number]
    values, layers = sizes(built.spec), built.transformer.stored_layers
    kinds = newton.NORMS_A
    if built in SAMPLERS:
        values["draw_norm"], kinds = built.spec.draw_norm, newton.NORMS_B
    ends = len(kinds) - 3
    expected = [0, 1] + [2] * (len(layers) - 2 - ends) + list(range(3, 3 + ends))
    for layer, kind in zip(layers, expected, strict=True):
        norm = measured(Transformer([layer], built.transformer.width, built.transformer.clip_radius)).norm
        assert norm <= evaluate(kinds[kind], **values), kind


# ---------------------------------------------------------------- Lemma 7

SMALL = dict(dim=2, actions=2, horizon=3, action_norm=(0.5, 2.0), weight_norm=1.0, noise_bound=1.0)
FINE = 1e-5
"""Error of the square root: small enough that widths cross knots within the family, so that they must cancel."""
PLAIN = linucb.Spec(**SMALL, ridge=4.0, temperature=0.5, error=1.0)


def family(s: float, draws: bool = False) -> BanditHistory:
    """Section 7's history: actions (s, ±½), rewards ρ = 3, then arms ±2e₁."""
    played, last = [[s, 0.5], [s, -0.5]], [[2.0, 0.0], [-2.0, 0.0]]
    zeros = np.zeros((3, 2)) if draws else None
    return BanditHistory(np.array([played, played, last]), [0, 1], [3.0, 3.0], zeros)


def degree(built, points: int, draws: bool = False) -> int:
    """Of the difference of the logits as a polynomial in s: the order of its last difference that is not 0."""
    values = []
    for n in range(points):
        tokens = built.tokens.encode(family((n - points // 2) / 32, draws))
        first, second = by_definition(built.transformer, tokens)[-1][built.tokens.stream["logits"].slice]
        values.append(first - second)
    order = 0
    for n in range(1, points):
        values = [b - a for a, b in pairwise(values)]
        order = n if any(values) else order
    return order


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_newton_computes_a_polynomial_of_the_stated_degree(steps, monkeypatch):
    error = evaluate(newton.INVERSE_ERROR, **symbols(PLAIN), depth=steps)
    monkeypatch.setattr(by_newton, "plan", lambda spec: (steps, error, FINE))
    built = by_newton.build(replace(PLAIN, solver="newton"))
    assert built.size().layers == steps + 2
    assert degree(built, 2 ** (steps + 1) + 2) == 2 ** (steps + 1) - 1 <= 3 ** (steps + 2)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_step_of_descent_raises_the_degree_by_two(depth):
    plan = linucb.DescentPlan(((depth, "ridge", "inverse"),), FINE)
    built = linucb.assemble_plan(replace(PLAIN, solver="gd"), plan)
    assert degree(built, 2 * depth + 2) == 2 * depth - 1


@pytest.mark.parametrize("steps", [1, 2])
def test_the_root_computes_a_polynomial_of_the_stated_degree(steps, monkeypatch):
    spec = thompson.Spec(**SMALL, form="sampling", solver="newton", noise_variance=4.0, error=10.0)
    low = lower_ends(spec, steps)[-1]
    error = (1 - low) / (1 + low)
    chosen = root_by_newton.NewtonPlan(steps, error, 2 * error + error**2)
    monkeypatch.setattr(root_by_newton, "plan", lambda *_: chosen)
    built = thompson.build(spec)
    assert built.size().layers == steps + 3
    assert degree(built, 2 * 3**steps + 2, draws=True) == 2 * 3**steps - 1 <= 3 ** (steps + 3)
