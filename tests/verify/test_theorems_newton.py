"""The theorems of docs/depth.md: every inequality of their proofs on plain numbers, and how the formulas hang together."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from constructions.primitives import interpolation
from verify import theorems
from verify.theorems import NOTATION, Statement, evaluate, newton

EPS = 2.0**-52
L = sympy.Symbol("l", positive=True)
SETTING = dict(
    dim=5, actions=10, horizon=200, ridge=1, action_max=5**0.5, action_min=0.5, weight_norm=5**0.5,
    noise_bound=6, error=1e-3, temperature=0.1, exploration=1, depth=3, prior_variance=1, noise_variance=2.25,
    draw_norm=10, nodes=64, node_norm=5, truncation=1e-6,
)  # fmt: skip
STATEMENTS = [x for x in vars(newton).values() if isinstance(x, Statement)]
RANGES = {
    "horizon": (1, 10**6), "ridge": (1e-3, 1e3), "action_max": (0.6, 5), "weight_norm": (0.1, 5),
    "noise_bound": (0.1, 5), "exploration": (0, 50), "temperature": (1e-3, 2), "error": (1e-9, 0.1),
}  # fmt: skip
ranges = st.fixed_dictionaries({name: st.floats(*ends) for name, ends in RANGES.items()})
shares = st.floats(1e-6, 1 - 1e-6)


def step(low):
    """l' of Lemma 4."""
    return 1.5 * math.sqrt(3) * low * (1 + low) / (1 + low + low * low) ** 1.5


# ---------------------------------------------------------------- Lemma 3


@given(st.floats(1 + 1e-6, 1e8), st.integers(0, 20))
def test_the_recursion_is_the_closed_form(condition, steps):
    """e_k of the recursion in 60 digits, against 1/cosh(2^k arcosh(1/e₀)) as stated."""
    with mpmath.workdps(60):
        error = (mpmath.mpf(condition) - 1) / (mpmath.mpf(condition) + 1)
        for _ in range(steps):
            error = error**2 / (2 - error**2)
        names = [theorems.ridge, theorems.depth, theorems.horizon, theorems.action_max]
        formula = sympy.lambdify(names, newton.INVERSE_ERROR, "mpmath")
        stated = formula(mpmath.mpf(1), steps, 2, mpmath.sqrt(mpmath.mpf(condition) - 1))
        assert abs(stated - error) <= mpmath.mpf("1e-35") * error


@given(st.floats(1 + 1e-3, 1e6), st.floats(-1, 1), st.integers(1, 6))
def test_residuals_are_chebyshev_polynomials(condition, place, steps):
    """Lemma 3 (a): R_k = −e_k T_{2^k}(ξ) for one eigenvalue x, followed through the iteration."""
    x = ((condition + 1) - place * (condition - 1)) / 2
    inverse, error = 2 / (1 + condition), (condition - 1) / (condition + 1)
    for _ in range(steps):
        after = error**2 / (2 - error**2)
        inverse, error = (1 + after) * (2 * inverse - inverse * x * inverse), after
    want = -error * math.cos(2**steps * math.acos(place))
    # a residual y off by δ is off by at most 4δ after a step, and 8 roundings of numbers ≤ 4 join in; acos the same
    assert abs(inverse * x - 1 - want) <= 2 * 32 * EPS * 4**steps * max(1, 1 / math.sqrt(1 - place**2 + EPS))


@given(ranges)
def test_both_forms_of_the_steps_reach_the_error_and_the_first_is_the_least(values):
    steps, simple = (evaluate(x, **values) for x in (newton.INVERSE_STEPS, newton.INVERSE_STEPS_SIMPLE))
    assert steps <= simple
    reached = evaluate(newton.INVERSE_ERROR, **values, depth=steps)
    assert reached <= values["error"] * (1 + 1e-9)
    if steps > 1:
        assert evaluate(newton.INVERSE_ERROR, **values, depth=steps - 1) >= values["error"] * (1 - 1e-9)


@pytest.mark.parametrize(("condition", "steps"), [(5.0, 1), (30.0, 2), (400.0, 3)])
def test_no_polynomial_of_its_degree_does_better(condition, steps):
    """Lemma 3 (c) by de la Vallée-Poussin: the residual alternates between ±e_k at 2^k + 1 points."""
    degree, start = 2**steps, (condition - 1) / (condition + 1)
    bound = 1 / math.cosh(degree * math.acosh(1 / start))
    xi = np.cos(np.arange(degree + 1) * math.pi / degree)
    x = (condition + 1 - xi * (condition - 1)) / 2
    # least-squares cannot beat the minimax: the best p on the grid solves x p(x) − 1 = ± h with alternating signs
    signs = (-1.0) ** np.arange(degree + 1)
    system = np.column_stack([x[:, None] * chebyshev.chebvander(xi, degree - 1), signs])
    level = abs(np.linalg.solve(system, np.ones(degree + 1))[-1])
    assert level == pytest.approx(bound, rel=1e-12 * np.linalg.cond(system))


# ---------------------------------------------------------------- Lemma 4


def test_the_identity_behind_lemma_4():
    u = 1 + L + L**2
    left = 4 * u**3 - 27 * L**2 * (1 + L) ** 2
    assert sympy.expand(left - (1 - L) ** 2 * (2 + L) ** 2 * (1 + 2 * L) ** 2) == 0
    stated = newton.ROOT_STEP.subs(theorems.error, L)
    assert sympy.simplify(1 - stated**2 - left / (4 * u**3)) == 0
    slope = 2 * (5 + 4 * L) * u - 3 * (1 + 2 * L) * (2 + 5 * L + 2 * L**2)
    assert sympy.expand(slope - (4 - 9 * L - 18 * L**2 - 4 * L**3)) == 0
    f = (2 + L) ** 2 * (1 + 2 * L) ** 2 / (4 * u**3)
    assert sympy.simplify(sympy.diff(f, L) / f - slope / ((2 + L) * (1 + 2 * L) * u)) == 0
    assert f.subs(L, sympy.Rational(1, 2)) == sympy.Rational(400, 343)
    assert sympy.Rational(400, 343) * sympy.Rational(4, 7) <= newton.QUADRATIC
    assert sympy.expand((4 + 4 * L) - (1 - L) * (2 + L) ** 2 - 4 * L - 3 * L**2 - L**3) == 0


@given(shares, st.floats(0, 1))
def test_a_step_maps_the_interval_into_the_stated_one(low, share):
    """Lemma 4 (a), on one eigenvalue."""
    place = low + share * (1 - low)
    scale = math.sqrt(3 / (1 + low + low**2))
    after = scale / 2 * place * (3 - (scale * place) ** 2)
    assert step(low) * (1 - 16 * EPS) <= after <= 1 + 16 * EPS
    for end in (low, 1.0):
        assert scale / 2 * end * (3 - (scale * end) ** 2) == pytest.approx(step(low), rel=16 * EPS)


@given(shares)
def test_growth_and_quadratic_convergence(low):
    """(4.2), and Lemma 4 (b) and (c); the factor 3√3/2 is what is left at l → 0, 3/8 at l → 1."""
    after, u = step(low), 1 + low + low**2
    room = 1 + 64 * EPS
    assert (1 - low) * ((2 + low) * (1 + 2 * low)) ** 2 <= 4 * (1 + low) * (1 + after) * u**1.5 * room
    lost = (1 - low) ** 2 * (2 + low) ** 2 * (1 + 2 * low) ** 2 / (4 * u**3) / (1 + after)  # 1 − l', (4.1)
    assert abs(lost - (1 - after)) <= 32 * EPS
    assert after / lost * room >= 1.5 * math.sqrt(3) * low / (1 - low)
    if low >= 0.5:
        assert 3 / 8 * (1 - low) ** 2 <= lost * room <= 2 / 3 * (1 - low) ** 2 * room**2


def test_the_constants_of_lemma_4_are_sharp():
    assert step(1e-9) / 1e-9 == pytest.approx(1.5 * math.sqrt(3), rel=1e-8)
    assert (1 - step(0.5)) / 0.25 == pytest.approx(2 / 3, rel=0.06)


@given(st.floats(1.001, 1e12), st.floats(1e-12, 1 / 3))
def test_so_many_steps_suffice_for_the_root(condition, error):
    values = dict(horizon=2, ridge=1, action_max=math.sqrt(condition - 1), error=error)
    low, steps = condition**-0.5, int(evaluate(newton.ROOT_STEPS, **values))
    for _ in range(steps):
        low = step(low)
    assert (1 - low) / (1 + low) <= error + 64 * EPS
    assert steps <= 2 + math.log(condition) / 2 / math.log(1.5 * math.sqrt(3)) + max(
        1, math.log2(math.log(1 / error, 3)) + 1
    )


# ---------------------------------------------------------------- Lemma 5, sizes


@settings(max_examples=50)
@given(st.floats(1e-8, 1), st.floats(1.001, 1e6), st.floats(1e-5, 10))
def test_so_many_pieces_suffice_for_the_square_root(low, ratio, error):
    """Lemma 5: the knots of its proof, walked, and the interpolant's distance at and between them."""
    high, roots = low * ratio, [math.sqrt(low)]
    while roots[-1] < math.sqrt(high):
        p = roots[-1]
        roots.append(p + 4 * error + 4 * math.sqrt(error**2 + error * p))
        assert math.sqrt(roots[-1] + error) == pytest.approx(math.sqrt(p + error) + 2 * math.sqrt(error))
    assert len(roots) - 1 <= math.ceil(math.sqrt(1 + math.sqrt(high) / error) / 2 * (1 + 1e-9))
    knots = np.square(np.array([*roots[:-1], math.sqrt(high)]))
    x = np.concatenate([knots, np.linspace(knots[:-1], knots[1:], 33).ravel()])
    apart = np.interp(x, knots, np.sqrt(knots) + error) - np.sqrt(x)
    assert np.abs(apart).max() <= error * (1 + 1e-9) + 8 * EPS * math.sqrt(high)
    assert len(interpolation.square_root(low, high, error).slopes) == len(roots) - 1


@pytest.mark.parametrize(
    ("statement", "sizes"),
    [
        (newton.THEOREM_A, {"layers": 11, "heads": 110, "width": 75 + 15 + 100 + 34}),
        (newton.THEOREM_B, {"layers": 11, "heads": 110, "width": 100 + 25 + 150 + 34, "hidden": 20}),
        (newton.THEOREM_B_LINES, {"heads": 110, "width": 120 + 180 + 4 + (9 + 128) * 90}),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_sizes_by_hand(statement, sizes):
    for what, value in sizes.items():
        assert statement.evaluate(what, **SETTING) == pytest.approx(value, rel=1e-12), what


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda x: x.name)
def test_statements_are_in_shared_symbols_and_move_the_right_way(statement):
    for what in statement.size:
        assert statement.expression(what).free_symbols <= set(NOTATION)
        for name, way in (("horizon", 1), ("dim", 1), ("actions", 1), ("error", -1), ("temperature", -1)):
            found = [statement.evaluate(what, **{**SETTING, name: f * SETTING[name]}) for f in (1, 1.5, 3)]
            assert all(way * (b - a) >= 0 for a, b in pairwise(found)), (what, name)


@settings(max_examples=50)
@given(st.integers(100, 10**6), ranges)
def test_depth_per_decade(horizon, values):
    """The corollary of Theorem A, with the second form of k."""
    formula = newton.INVERSE_STEPS_SIMPLE.subs(theorems.error, newton.INVERSE_NEEDED)
    if evaluate(newton.INVERSE_NEEDED, **{**values, "horizon": horizon}) <= 0.02:
        steps = [evaluate(formula, **{**values, "horizon": x}) for x in (horizon, 10 * horizon)]
        assert steps[1] - steps[0] <= 2


# ---------------------------------------------------------------- Theorem C


@pytest.mark.parametrize("p", [0.5, 0.05, 0.005])
def test_chebyshev_coefficients_of_the_posterior_mean(p):
    """(7.2), against the cosine transform of t/(t² + p²)."""
    count = 2 ** math.ceil(math.log2(40 / math.asinh(p)))  # q^count is below 10⁻¹⁷
    angles = (np.arange(count) + 0.5) * math.pi / count
    t = np.cos(angles)
    q = math.sqrt(1 + p * p) - p
    for j in (1, 2, 3, 8, 9, 21):
        found = 2 / count * (t / (t * t + p * p) * np.cos(j * angles)).sum()
        stated = 2 * q**j / math.sqrt(1 + p * p) if j % 2 else 0.0
        assert abs(abs(found) - stated) <= EPS * count / p


@pytest.mark.parametrize(("horizon", "error"), [(5, 1.0), (9, 1e-1), (9, 1e-3), (31, 1e-2)])
def test_no_polynomial_of_too_low_degree_comes_close(horizon, error):
    """Theorem C against the best polynomial: its error on a grid, by exchange, stays above ετ below the least degree."""
    values = {**SETTING, "horizon": horizon, "error": error}
    least = evaluate(newton.LEAST_DEGREE, **values)
    past, side = 2 * ((horizon - 1) // 2), math.sqrt(4.75)
    degree = math.ceil(least) - 1
    assert degree >= 1
    s = side * np.cos(np.linspace(0, math.pi, 40 * degree + 41))
    mean = 5**0.5 * 11 * past * s / (1 + past * s**2)
    assert minimax(s / side, mean, degree) >= error * 0.1


def minimax(t, values, degree):
    """At most the error of the best polynomial: the largest leveled one that exchanges find (de la Vallée-Poussin)."""
    chosen = np.linspace(0, len(t) - 1, degree + 2).round().astype(int)
    best = 0.0
    for _ in range(30):
        signs = (-1.0) ** np.arange(degree + 2)
        system = np.column_stack([chebyshev.chebvander(t[chosen], degree), signs])
        solved = np.linalg.solve(system, values[chosen])
        best = max(best, abs(solved[-1]))
        residual = values - chebyshev.chebval(t, solved[:-1])
        runs = np.split(np.arange(len(t)), np.flatnonzero(np.diff(np.sign(residual))) + 1)
        peaks = np.array([run[np.abs(residual[run]).argmax()] for run in runs])
        if len(peaks) < degree + 2:
            break
        first = np.abs(residual[peaks])
        starts = range(len(peaks) - degree - 1)
        place = max(starts, key=lambda n: first[n : n + degree + 2].min())
        chosen = peaks[place : place + degree + 2]
    return best


@pytest.mark.parametrize("error", [1e-3, 1e-6])
@pytest.mark.parametrize("horizon", [10**n for n in range(2, 7)])
def test_corollary_d(horizon, error):
    values = {**SETTING, "horizon": horizon, "error": error}
    layers, least = (x.evaluate("layers", **values) for x in (newton.THEOREM_A, newton.THEOREM_C))
    excess = evaluate(newton.EXCESS, **values)
    assert layers < math.log2(3) * least + 3 + max(0.0, math.log2(excess))
    assert excess < 1
