"""The stated side: the paper's numbers, and its general facts tried out on plain numpy."""

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from verify import theorems
from verify.theorems import NOTATION, Statement, evaluate, lemmas, linucb, ucbvi

SETTING = dict(
    dim=5, actions=10, horizon=200, ridge=1, action_max=5**0.5, action_min=0.5, weight_norm=5**0.5,
    noise_bound=6, error=1e-3, temperature=0.1, exploration=2, depth=100,
    error_1=1e-3, error_2=1e-5, error_3=1e-4, logit_error=0.01, states=3, episodes=20,
)  # fmt: skip
STATEMENTS = [
    x for module in (lemmas, linucb, ucbvi) for x in vars(module).values() if isinstance(x, Statement)
]
CLAIMS = [(s, what) for s in STATEMENTS for what in ("error", *s.size)]
LOOSE = [
    lemmas.RIDGE_CONDITION, lemmas.RIDGE_NORM, linucb.EXPLORATION, linucb.LOGIT_BOUND, linucb.SPLIT_BOUND,
    linucb.STATED_LAYERS, linucb.STEP_3_NEEDS, *linucb.ERROR_SPLIT.values(),
]  # fmt: skip
RANGES = {
    "horizon": (1, 10_000), "ridge": (1e-2, 10), "action_max": (0.5, 5), "weight_norm": (0.1, 5),
    "noise_bound": (0.1, 5), "action_min": (1e-2, 0.5), "exploration": (0.1, 50), "temperature": (1e-3, 2),
    "error": (1e-9, 0.1),
}  # fmt: skip
ranges = st.fixed_dictionaries({name: st.floats(*ends) for name, ends in RANGES.items()})


def agd(hessian, linear, smooth, convex, steps):
    """Every iterate of AGD on wᵀHw/2 − bᵀw from 0, as the paper writes it (w and v)."""
    root = math.sqrt(smooth / convex)
    w = v = np.zeros(len(linear))
    iterates = [w]
    for _ in range(steps):
        new = v - (hessian @ v - linear) / smooth
        w, v = new, new + (root - 1) / (root + 1) * (new - w)
        iterates.append(w)
    return np.array(iterates)


def gd(hessian, linear, smooth, steps):
    iterates = [np.zeros(len(linear))]
    for _ in range(steps):
        iterates.append(iterates[-1] - (hessian @ iterates[-1] - linear) / smooth)
    return np.array(iterates)


@pytest.mark.parametrize(("horizon", "layers"), [(50, 1_001), (200, 2_273), (10_000, 21_489)])
def test_agd_layers_at_known_settings(horizon, layers):
    assert lemmas.RIDGE_AGD.evaluate("layers", **{**SETTING, "horizon": horizon}) == layers


def test_other_explicit_formulas_by_hand():
    # κ = 2·200·6/1 = 2400; ‖w_t‖ ≤ 200·√5·(5+6)/1 = 2200√5; ‖A_t⁻¹a‖ ≤ √5.
    gd_layers, root = math.ceil(2 * 2400 * math.log(2200 * 5**0.5 / 1e-3)), 2 * math.sqrt(2400)
    step_1 = math.ceil(root * math.log(2401 * 2200 * 5**0.5 / 1e-3))
    step_2 = math.ceil(root * math.log(2401 * 5**0.5 / 1e-5))
    for statement, sizes in {
        lemmas.RIDGE_GD: {"layers": gd_layers, "heads": 3, "hidden": 0, "norm": 2**0.5 + 0.5},
        lemmas.RIDGE_AGD: {"heads": 4, "hidden": 20, "norm": 10.5},
        linucb.STEP_1: {"layers": step_1, "heads": 4, "hidden": 20, "norm": 10.5},
        linucb.STEP_2: {"layers": step_2, "heads": 40, "hidden": 200, "norm": 10 + 10 * (4 / 6 + 2**0.5)},
        linucb.STEP_3: {"layers": 2, "heads": 40},
        linucb.STEP_3_ORDER: {"hidden": 10 * 4e7**0.5, "norm": 10 + 200 * 2e5**0.25 + 20},
        linucb.THEOREM_8_EXPLICIT: {"heads": 40},
    }.items():
        for what, value in sizes.items():
            assert statement.evaluate(what, **SETTING) == pytest.approx(value, rel=1e-12), statement.name
    width = 1 * 5**0.5 + 6 * math.sqrt(2 * math.log(2 * 5 * 200) + 5 * math.log((5 + 200 * 5) / 5))
    assert evaluate(linucb.EXPLORATION, **SETTING) == pytest.approx(width, rel=1e-12)
    assert evaluate(linucb.STEP_3_NEEDS, **SETTING) == pytest.approx(0.25 / (2 * 6 * 200 * 5**0.5), rel=1e-12)


PAIRS = [
    (lemmas.RIDGE_GD, lemmas.GD_CONVERGENCE, lemmas.RIDGE_GD_DEPTH),
    (lemmas.RIDGE_AGD, lemmas.AGD_CONVERGENCE, lemmas.RIDGE_AGD_DEPTH),
]


@pytest.mark.parametrize("pair", [PAIRS[0], PAIRS[1], (linucb.STEP_2, linucb.STEP_2_DEPTH)])
def test_error_at_depth_inverts_the_layers(pair):
    lemma, at_depth = pair[0], pair[-1]
    unrounded = lemma.size["layers"].args[0]
    assert sympy.expand_log(unrounded.subs(lemma.error, at_depth.error) - theorems.depth).simplify() == 0
    (solved,) = sympy.solve(sympy.Eq(unrounded, theorems.depth), lemma.error)
    assert sympy.simplify(sympy.log(solved / at_depth.error).expand(log=True)) == 0


@settings(max_examples=50)
@given(ranges)
def test_the_stated_layers_reach_the_error(values):
    """The lemma follows from the proposition: at its own number of layers, the distance is at most ε."""
    for lemma, rate, at_depth in PAIRS:
        layers = lemma.evaluate("layers", **values)
        if layers > 0:
            reached, stated = (s.evaluate("error", depth=layers, **values) for s in (rate, at_depth))
            assert reached <= stated * (1 + 1e-9) <= values["error"] * (1 + 1e-8)


@pytest.mark.parametrize("condition", [1.5, 30.0, 2400.0])
def test_gd_and_agd_stay_within_the_proposition(condition):
    rng = np.random.default_rng(7)
    steps = np.arange(math.ceil(12 * math.sqrt(condition)))
    bounds = [
        sympy.lambdify(theorems.depth, rate(theorems.depth, sympy.Float(condition), sympy.Integer(1)))(steps)
        for rate in (lemmas.gd_distance, lemmas.agd_distance)
    ]
    for dim in (2, 5, 8):
        basis, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
        spectrum = np.concatenate([[1, condition], rng.uniform(1, condition, dim - 2)])
        hessian, solution = (basis * spectrum) @ basis.T, basis[:, 0] + 0.1 * rng.normal(size=dim)
        problem = (hessian, hessian @ solution, condition)
        runs = (gd(*problem, steps[-1]), agd(*problem, 1.0, steps[-1]))
        for run, bound in zip(runs, bounds, strict=True):
            gap = np.linalg.norm(run - solution, axis=1) / np.linalg.norm(solution)
            assert np.all(gap <= bound * (1 + 1e-9) + 1e-12)


@pytest.mark.parametrize("shape", ["random", "one arm", "nearly low rank"])
def test_ridge_lemma_holds_on_ridge_problems(shape):
    rng, horizon, dim = np.random.default_rng(3), 40, 4
    values = dict(horizon=horizon, ridge=0.7, action_max=1.3, weight_norm=2.0, noise_bound=0.5)
    chosen = rng.normal(size=(horizon, dim)) if shape != "one arm" else np.ones((horizon, dim))
    chosen *= 1.3 / np.linalg.norm(chosen, axis=1, keepdims=True)
    if shape == "nearly low rank":
        chosen = chosen @ np.diag([1, 1, 1e-3, 1e-3])
    truth = rng.normal(size=dim)
    rewards = chosen @ (2.0 * truth / np.linalg.norm(truth)) + rng.uniform(-0.5, 0.5, horizon)
    smooth, convex = 1.3**2 + 0.7, 0.7 / (2 * horizon)
    for step in (1, 2, 10, horizon):
        seen, got, token = chosen[: step - 1], rewards[: step - 1], 2 * step - 1
        gram = 0.7 * np.eye(dim) + seen.T @ seen
        solution = np.linalg.solve(gram, seen.T @ got)
        assert np.linalg.norm(solution) <= evaluate(lemmas.RIDGE_NORM, **values)
        run = agd(gram / token, seen.T @ got / token, smooth, convex, 200)
        for depth in (0, 1, 5, 50, 200):
            stated = lemmas.AGD_CONVERGENCE.evaluate("error", depth=depth, **values)
            assert np.linalg.norm(run[depth] - solution) <= stated + 1e-12


def log_softmax_gap(u, v):
    return np.abs((u - np.logaddexp.reduce(u)) - (v - np.logaddexp.reduce(v))).max()


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-3, 3)), min_size=1, max_size=8))
@example([(-20, 0.2), (0.1, -0.2)])
def test_log_softmax_is_2_lipschitz(pairs):
    u, change = np.array(pairs).T
    stated = lemmas.LOG_SOFTMAX.evaluate("error", logit_error=np.abs(change).max())
    assert log_softmax_gap(u, u + change) <= stated + 1e-12


def test_the_2_of_log_softmax_is_needed():
    gap = log_softmax_gap(np.array([-20.0, 0.1]), np.array([-19.8, -0.1]))
    assert gap >= 0.999 * lemmas.LOG_SOFTMAX.evaluate("error", logit_error=0.2)


def test_the_split_uses_half_of_the_error_where_its_minimum_is_the_first():
    (first,) = set(linucb.ERROR_SPLIT["error_2"].args) - {linucb.STEP_3_NEEDS}
    bound = linucb.at_split(linucb.SPLIT_BOUND.subs(theorems.error_2, first))
    assert sympy.simplify(bound - theorems.error / 2) == 0


@settings(max_examples=50)
@given(ranges)
def test_the_split_keeps_the_log_probability_error(values):
    assert evaluate(linucb.at_split(linucb.SPLIT_BOUND), **values) <= values["error"]
    needs = evaluate(linucb.STEP_3_NEEDS, **values)
    assert evaluate(linucb.ERROR_SPLIT["error_2"], **values) <= needs * (1 + 1e-12)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0, 1))
def test_the_logit_bound_holds_for_perturbed_scores(seed, seen, share):
    rng, dim = np.random.default_rng(seed), 3
    values = dict(horizon=seen + 1, ridge=0.7, action_max=1.3, action_min=0.2, exploration=1.5, temperature=2)
    eps_1, eps_2 = 0.01, share * evaluate(linucb.STEP_3_NEEDS, **values)
    units = rng.normal(size=(seen + 2, dim))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    past, arm, weights = 1.3 * units[2:], rng.uniform(0.2, 1.3) * units[0], rng.normal(size=dim)
    solved = np.linalg.solve(0.7 * np.eye(dim) + past.T @ past, arm)
    true = weights @ arm + 1.5 * np.sqrt(solved @ arm)
    near = (weights - eps_1 * units[0]) @ arm + 1.5 * np.sqrt((solved - eps_2 * units[0]) @ arm)
    stated = evaluate(linucb.LOGIT_BOUND, error_1=eps_1, error_2=eps_2, error_3=0, **values)
    assert abs(true - near) / 2 <= stated + 1e-12


def test_theorem_8_layers_are_the_three_steps():
    split = {name: evaluate(e, **SETTING) for name, e in linucb.ERROR_SPLIT.items()}
    steps = (linucb.STEP_1, linucb.STEP_2, linucb.STEP_3)
    total = sum(step.evaluate("layers", **{**SETTING, **split}) for step in steps)
    assert total == linucb.THEOREM_8_EXPLICIT.evaluate("layers", **SETTING) > 2 * 2_273


POWERS = [
    ("layers", "horizon", 0.5), ("hidden", "horizon", 0.5), ("norm", "horizon", 1), ("norm", "error", -0.25),
    ("hidden", "error", -0.5), ("norm", "temperature", -1), ("hidden", "dim", 0.5), ("width", "actions", 1),
]  # fmt: skip


@pytest.mark.parametrize(("what", "name", "power"), POWERS)
def test_orders_grow_as_printed(what, name, power):
    start = {"horizon": 1e8, "error": 1e-16, "temperature": 1e-16}.get(name, 1)
    low, high = (linucb.THEOREM_8.evaluate(what, **{**SETTING, name: start * f}) for f in (1, 4))
    assert math.log(high / low, 4) == pytest.approx(power, abs=0.01)


@pytest.mark.parametrize(("statement", "what"), CLAIMS, ids=lambda x: getattr(x, "name", x))
def test_claims_are_in_shared_symbols_and_move_the_right_way(statement, what):
    formula = statement.expression(what)
    assert formula.free_symbols | statement.logs.get(what, formula).free_symbols <= set(NOTATION)
    falling = ("depth",) if what == "error" else ("error", "error_1", "error_2", "error_3", "temperature")
    for name in ("horizon", "dim", "actions", "states", "episodes", *falling):
        way = -1 if name in falling else 1
        values = [statement.evaluate(what, **{**SETTING, name: f * SETTING[name]}) for f in (1, 1.1, 3)]
        assert all(way * (b - a) >= -1e-12 * abs(a) for a, b in pairwise(values)), name


def test_other_formulas_are_in_shared_symbols():
    assert set().union(*(f.free_symbols for f in LOOSE)) <= set(NOTATION)


def test_statements_can_be_pickled_and_hashed():
    assert {pickle.loads(pickle.dumps(statement)) for statement in STATEMENTS} == set(STATEMENTS)


@pytest.mark.parametrize(
    ("what", "values", "words"),
    [
        ("layers", {"horizon": 5}, "no action_max, error, noise_bound, ridge, weight_norm"),
        ("layers", {**SETTING, "horizont": 5}, "got horizont"),
        ("layers", {**SETTING, "ridge": -1}, "ridge finite and not negative, got -1.0"),
        ("layers", {**SETTING, "error": 0}, "finite real number"),
        ("width", SETTING, "one of error, layers, heads, hidden, norm; got 'width'"),
    ],
)
def test_evaluate_names_what_was_wanted_and_got(what, values, words):
    with pytest.raises(ValueError, match=words):
        lemmas.RIDGE_AGD.evaluate(what, **values)


def test_a_statement_rejects_sizes_it_does_not_know():
    with pytest.raises(ValueError, match="wanted sizes among layers"):
        Statement("x", "y", "order", (), None, {"length": theorems.dim})
