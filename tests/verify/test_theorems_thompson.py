"""Theorems 10 and 11 as printed: their numbers, what of them can be tried out, and where they fail."""

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi, norm

from verify import theorems
from verify.algorithms import choice_probabilities
from verify.theorems import NOTATION, Statement, evaluate, lemmas, thompson
from verify.theorems import thompson_whole as whole

SETTING = dict(
    dim=5, actions=10, horizon=200, prior_variance=1, noise_variance=2.25, action_max=5**0.5, weight_norm=6.84,
    noise_bound=6.9, failure=0.01, error=1e-3, error_1=1e-4, error_2=1e-5, error_3=1e-4, error_4=1e-3,
    separation=0.5, truncation=1e-4, poles=30, neurons=1000, neuron_norm=50,
    distribution_ratio=2, trajectories=1000, log_covering=1e6,
)  # fmt: skip
MODULES = (thompson, whole)
STATEMENTS = list({x.name: x for m in MODULES for x in vars(m).values() if isinstance(x, Statement)}.values())
CLAIMS = [(s, what) for s in STATEMENTS for what in ("error", *s.size)]
LOOSE = {
    name: x for m in MODULES for name, x in vars(m).items() if isinstance(x, sympy.Expr) and name[0] != "_"
}
LARGEST, LEAST = 200 * 7.25, 2.25
CENTER = math.sqrt(LARGEST * LEAST)
KAPPA = LARGEST / LEAST


def value(expression, **changes):
    return evaluate(sympy.sympify(expression), **{**SETTING, **changes})


def test_the_formulas_by_hand():
    root = 2 * math.sqrt(2 * 200 * 7.25 / 2.25)
    poles = (KAPPA**0.25 / 4 + 1) * math.ceil(math.log(2 * math.sqrt(LARGEST) / 1e-5))
    step_1 = (400 * 7.25 + 2.25) * 200 * 5**0.5 * (5**0.5 * 6.84 + 6.9) / (2.25**2 * 1e-4)
    for statement, sizes in {
        thompson.STEP_1: {
            "layers": math.ceil(root * math.log(step_1)),
            "heads": 4,
            "hidden": 20,
            "norm": 10 + 4.25 / 7.25,
        },
        thompson.STEP_2A: {"layers": 2, "heads": 30, "hidden": 0, "norm": 202 + CENTER},
        thompson.STEP_2B: {
            "layers": math.ceil(root * math.log((1 + KAPPA) * 5**0.5 * LARGEST / (2.25 * 1e-3))),
            "heads": 1200,
        },
        thompson.STEP_2B_ORDER: {"width": 1500, "hidden": 1500, "norm": 300},
        thompson.STEP_2C: {"layers": 1, "heads": 0, "hidden": 3100, "norm": 2**0.5 + 31 * CENTER**0.5},
        thompson.STEP_2: {"norm": 200 + 10 * 200**0.25},
        thompson.STEP_3: {
            "layers": math.ceil(2 + root * math.log((1 + KAPPA) * 6 * math.sqrt(LARGEST) * 5**0.5 / 1e-4)),
            "heads": 40,
            "hidden": 200,
        },
        thompson.STEP_4: {"layers": 1, "heads": 0, "hidden": 10_000, "norm": 150},
        whole.THEOREM_10: {
            "hidden": 10 * (200**0.25 * 5 + 1000),
            "norm": 350 + 10 * 200**0.25,
            "width": 50 * 200**0.25,
        },
    }.items():
        for what, number in sizes.items():
            assert statement.evaluate(what, **SETTING) == pytest.approx(number, rel=1e-12), statement.name
    log_regret = math.log(1 + 200 * 5 / (2.25 * 5))
    log_failure = math.log(4 * 5 * 200 * 5**0.5), math.log(2 * 200 * 5**0.5)
    radius = 1.5 * (math.sqrt(4.5 * 5 * log_failure[0]) + math.sqrt(2 * log_failure[1] + 5 * log_regret))
    on_event = 2 * radius * math.sqrt(200) * math.sqrt(10 * log_regret)
    threshold = 2 * 200 * 5 * (5**0.5 * 6.84 + math.sqrt(4.5 * math.log(200 / 0.01))) / 2.25
    holder = 20 / 1e-4 * (math.sqrt(2e-4 / 0.5) + 2e-4 / 0.5)
    for expression, number in {
        thompson.WEIGHT_NORM: math.sqrt(5) + 2 * math.sqrt(math.log(200)),
        thompson.NOISE_BOUND: math.sqrt(4.5 * math.log(400 / 0.01)),
        thompson.POLES: poles,
        thompson.STEP_3_THRESHOLD: threshold,
        thompson.STEP_3_NEEDS_1: 1e-4 / 5**0.5,
        thompson.STEP_3_NEEDS_2: 1e-4 * 2.25 / 3,
        whole.HOLDER_VECTOR: holder,
        whole.HOLDER_MEAN: 20 * 1e-4 / (0.5 * 1e-4),
        whole.PROBABILITY_BOUND: math.exp(1.5) * (1e-3 + 10 * holder + 10 * 40) + 1e-4,
        whole.SEPARATION_USED: 0.25,
        whole.SEPARATION_KEPT: 0.5 * math.sqrt(2.25 / LARGEST),
        whole.REGRET: on_event + 6 * 5**0.5 * math.sqrt(math.log(4 * 25 * 200)),
        whole.REGRET_ORDER: 5 * math.sqrt(200) * math.log(1000),
        whole.LEARNING_REGRET: math.sqrt(2) * 40_000 * math.sqrt((1e6 + math.log(20_000)) / 1000),
        whole.LOG_COVERING: 200**1.25 * 500 * (1000 + 50 * math.sqrt(200)) * math.log(1000),
    }.items():  # fmt: skip
        assert value(expression) == pytest.approx(number, rel=1e-12), expression


def test_step_1_is_the_ridge_lemma_with_the_events_noise():
    ridge = {theorems.ridge: thompson.RIDGE, theorems.error: theorems.error_1}
    for what, size in lemmas.RIDGE_AGD.size.items():
        gap = sympy.sympify(size).subs(ridge) - thompson.STEP_1.size[what]
        assert sympy.simplify(gap) == 0, what
    at_event = thompson.at_event(thompson.STEP_1.size["layers"])
    bounds = {"weight_norm": value(thompson.WEIGHT_NORM), "noise_bound": value(thompson.NOISE_BOUND)}
    assert value(at_event) == thompson.STEP_1.evaluate("layers", **{**SETTING, **bounds})
    assert not at_event.free_symbols & {theorems.weight_norm, theorems.noise_bound}


@given(st.integers(1, 50), st.integers(1, 10_000), st.floats(1e-6, 0.49))
def test_the_event_has_the_probability_claimed(dim, horizon, failure):
    """The norm of w*/√λ has a chi law; the noises are independent, and a union bound is enough."""
    changes = dict(dim=dim, horizon=horizon, failure=failure, prior_variance=1)
    beyond = chi(dim).sf(value(thompson.WEIGHT_NORM, **changes))
    loud = horizon * 2 * norm.sf(value(thompson.NOISE_BOUND, **changes) / 1.5)
    assert beyond + loud <= failure


def test_the_radius_is_twice_the_two_norms():
    norms = (
        thompson.WEIGHT_NORM * theorems.action_max + sympy.sqrt(theorems.prior_variance) * theorems.action_max
    )
    assert sympy.expand(thompson.RADIUS - 2 * norms) == 0


def remainder(spectrum, center, poles):
    """√z less its Padé decomposition around `center`, the printed sum at each eigenvalue z."""
    angles = np.arange(1, poles + 1) * np.pi / (2 * poles + 1)
    a, b = 2 / (2 * poles + 1) * np.sin(angles) ** 2, np.cos(angles) ** 2
    x = (spectrum[:, None] - center) / center
    return np.sqrt(spectrum) - np.sqrt(center) * (1 + (a * x / (1 + b * x)).sum(axis=1))


@pytest.mark.parametrize("poles", [1, 2, 5, 12])
@pytest.mark.parametrize("horizon", [2, 20, 1000])
def test_the_remainder_of_the_square_root(poles, horizon):
    """The first two forms are the same, and attained at an end of the spectrum; the third is weaker."""
    values = {**SETTING, "poles": poles, "horizon": horizon}
    largest, center = (evaluate(x, **values) for x in (thompson.LARGEST, thompson.CENTER))
    found = np.abs(remainder(np.geomspace(2.25, largest, 1001), center, poles)).max()
    first, second, last = (
        s.evaluate("error", **values)
        for s in (thompson.PADE_EIGENVALUES, thompson.PADE_CONDITION, thompson.PADE_LAST)
    )
    assert found == pytest.approx(first, rel=1e-6)
    assert first == pytest.approx(second, rel=1e-9)
    assert second <= last


@given(st.floats(1, 1e5), st.floats(1e-9, 0.99), st.floats(0.01, 100))
def test_the_printed_poles_reach_the_error(horizon, error, ridge):
    changes = dict(horizon=horizon, noise_variance=ridge, error_2=error)
    poles = value(thompson.POLES, **changes)
    assert value(thompson.PADE_LAST.error, **{**changes, "poles": poles}) <= error * (1 + 1e-9)


def test_the_printed_poles_are_no_whole_number():
    assert value(thompson.POLES) % 1 > 0.01


def test_step_2b_is_not_as_smooth_as_printed():
    """Before the first action Σ_1 = λ̃I, and the Hessian of pole m is about μI: 57 where the proof has 7.25."""
    cosine = math.cos(30 * math.pi / 61) ** 2
    hessian = (1 - cosine) * CENTER + cosine * 2.25
    assert hessian > 7 * value(thompson.STEP_2B_SMOOTHNESS)


def test_separation_is_not_kept_as_the_proof_has_it():
    """One action played 49 times: two arms that differ along it come much nearer than half of what they were."""
    chosen, arms = np.tile([1.0, 0], (49, 1)), np.array([[1.0, 0], [0.5, 0]])
    spectrum, basis = np.linalg.eigh(2.25 * np.eye(2) + chosen.T @ chosen)
    x = 1.5 * arms @ (basis * spectrum**-0.5) @ basis.T
    distance = np.linalg.norm(x[0] - x[1])
    changes = dict(horizon=50, action_max=1, separation=0.5)
    assert distance < 0.5 * value(whole.SEPARATION_USED, **changes)
    assert distance >= value(whole.SEPARATION_KEPT, **changes)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(-6, 0), st.floats(-4, -1))
def test_the_holder_bounds_hold_for_two_arms(seed, log_move, log_truncation):
    rng, move, floor = np.random.default_rng(seed), 10.0**log_move, 10.0**log_truncation
    x, y = rng.normal(size=(2, 3)), rng.normal(size=2)
    step = rng.normal(size=3)
    near_x, near_y = x.copy(), y.copy()
    near_x[rng.integers(2)] += move * step / np.linalg.norm(step)
    near_y[rng.integers(2)] += move
    separation = min(np.linalg.norm(pair[0] - pair[1]) for pair in (x, near_x))
    changes = dict(actions=2, truncation=floor, separation=separation, error_3=move)
    logs = lambda x, y: np.log(np.maximum(choice_probabilities(x, y).probabilities, floor))  # noqa: E731
    assert np.abs(logs(x, y) - logs(near_x, y)).max() <= value(whole.HOLDER_VECTOR, **changes)
    assert np.abs(logs(x, y) - logs(x, near_y)).max() <= value(whole.HOLDER_MEAN, **changes)


def test_the_choice_of_errors():
    """A ε₅ ≤ ε/2 serves; the second version, ε₅ ≤ ε/(4A), is out of reach: η₁ alone is as much."""
    at_need = whole.LOG_BOUND.subs(whole.PROBABILITY_BOUND, whole.PROBABILITY_NEEDS)
    assert all(value(at_need, actions=a) <= SETTING["error"] * (1 + 1e-12) for a in (1, 2, 10, 1000))
    assert sympy.simplify(whole.TRUNCATION - whole.PROBABILITY_NEEDS_AGAIN) == 0
    rest = whole.PROBABILITY_BOUND - theorems.truncation
    assert value(rest) > 0
    # With the printed powers of ε and small factors the first version is within reach.
    small = {name: 1e-16 * 1e-3**power for name, power in whole.ERROR_POWERS.items()}
    truncation = value(whole.TRUNCATION)
    assert value(whole.PROBABILITY_BOUND, **small, truncation=truncation) <= value(whole.PROBABILITY_NEEDS)


def test_the_stated_layers_are_the_steps():
    needs = {f"error_{n}": value(x) for n, x in ((1, thompson.STEP_3_NEEDS_1), (2, thompson.STEP_3_NEEDS_2))}
    poles = value(thompson.POLES, **needs)
    share = value(thompson.STEP_2B_SHARE, **needs, poles=poles)
    step_2b = thompson.STEP_2B.evaluate("layers", **{**SETTING, "error": share})
    total = thompson.STEP_1.evaluate("layers", **{**SETTING, **needs}) + 2 + step_2b + 1
    total += thompson.STEP_3.evaluate("layers", **SETTING) + 1
    assert value(whole.STATED_LAYERS) == total > 3000
    assert value(whole.STATED_POLES) == poles
    assert value(whole.STATED_HEADS) == pytest.approx(40 * poles)
    assert whole.STATED_LAYERS.free_symbols <= set(NOTATION) - {theorems.error_1, theorems.error_2}


POWERS = [
    ("layers", "horizon", 0.5), ("heads", "horizon", 0.25), ("width", "horizon", 0.25), ("norm", "horizon", 1),
    ("hidden", "neurons", 1), ("norm", "neurons", 0.5), ("norm", "neuron_norm", 1), ("width", "dim", 1),
]  # fmt: skip


@pytest.mark.parametrize(("what", "name", "power"), POWERS)
def test_orders_grow_as_printed(what, name, power):
    low, high = (whole.THEOREM_10.evaluate(what, **{**SETTING, name: 1e16 * f}) for f in (1, 4))
    assert math.log(high / low, 4) == pytest.approx(power, abs=0.01)


def test_the_two_orders_of_the_covering_number_agree():
    """With T, d and A large their ratio tends to 1: the two terms left out are smaller."""
    for changes in (dict(horizon=1e30), dict(horizon=1e20, actions=1e6), dict(horizon=1e20, neurons=1e40)):
        ratio = value(whole.LOG_COVERING_BY_SIZES, **changes) / value(whole.LOG_COVERING, **changes)
        assert ratio == pytest.approx(1, abs=1e-3)


@given(st.integers(1, 1000), st.integers(1, 10**6), st.floats(0.01, 100))
def test_the_regret_off_the_event_is_as_its_chain_has_it(dim, horizon, variance):
    """2 B_a T times 2√(2λd log(4d/δ)) δ at δ = 1/(T√d)."""
    changes = dict(dim=dim, horizon=horizon, prior_variance=variance)
    small = value(whole.REGRET_FAILURE, **changes)
    chain = 4 * 5**0.5 * horizon * math.sqrt(2 * variance * dim * math.log(4 * dim / small)) * small
    assert chain <= value(whole.REGRET_OFF_EVENT, **changes) * (1 + 1e-9)


def test_the_confidence_radius_has_one_root_of_the_noise_too_many():
    """Lattimore and Szepesvári, Theorem 20.5, have √λ̃ ‖w*‖ + √r √(…); the first is √(2rd log(4d/δ)) at most."""

    def ellipsoid(r):
        rest = 2 * math.log(2 / 0.01) + 5 * math.log(1 + 200 * 5 / (r * 5))
        return math.sqrt(2 * r * 5 * math.log(4 * 5 / 0.01)) + math.sqrt(r * rest)

    printed = {r: value(whole.CONFIDENCE_RADIUS, noise_variance=r) for r in (0.25, 1, 4)}
    assert printed[1] == pytest.approx(ellipsoid(1))
    assert printed[0.25] < 0.9 * ellipsoid(0.25)
    assert printed[4] > 1.1 * ellipsoid(4)


@pytest.mark.parametrize(("statement", "what"), CLAIMS, ids=lambda x: getattr(x, "name", x))
def test_claims_are_in_shared_symbols_and_move_the_right_way(statement, what):
    formula = statement.expression(what)
    assert formula.free_symbols | statement.logs.get(what, formula).free_symbols <= set(NOTATION)
    falling = ("poles",) if what == "error" else ("error", "error_1", "error_2", "error_3", "error_4")
    rising = () if what == "error" else ("poles",)
    for name in ("horizon", "dim", "actions", "neurons", *rising, *falling):
        way = -1 if name in falling else 1
        values = [statement.evaluate(what, **{**SETTING, name: f * SETTING[name]}) for f in (1, 1.1, 3)]
        assert all(way * (b - a) >= -1e-12 * abs(a) for a, b in pairwise(values)), name


@pytest.mark.parametrize("name", LOOSE)
def test_other_formulas_are_numbers_in_shared_symbols(name):
    assert LOOSE[name].free_symbols <= set(NOTATION)
    assert value(LOOSE[name]) > 0


def test_statements_can_be_pickled_and_hashed():
    assert len(STATEMENTS) == 13
    assert {pickle.loads(pickle.dumps(statement)) for statement in STATEMENTS} == set(STATEMENTS)


def test_missing_values_are_named():
    values = {name: number for name, number in SETTING.items() if name != "prior_variance"}
    with pytest.raises(ValueError, match=r"step 2b.*, layers: wanted values for .*no prior_variance"):
        thompson.STEP_2B.evaluate("layers", **values)
