"""Theorems of this project on depth: LinUCB and Thompson sampling by Newton's iteration, and what no polynomial can do.

Transcribed from docs/depth.md, where the proofs are, section by section; nothing here looks at a construction. Unlike the
other files of this folder it states what is ours, so every statement has its constants.

With κ = S/λ, the condition number, and e₀ = (S − λ)/(S + λ), k steps of the scaled iteration for A⁻¹ leave
e_k = 1/T_{2^k}(1/e₀) = 1/cosh(2^k arcosh(1/e₀)), and k steps of the one for A^{-1/2} leave e once
k ≥ ⌈log_{3√3/2} √κ⌉ + ⌈log₂ log₃(1/e)⌉.

>>> setting = dict(dim=5, actions=10, action_min=0.5, action_max=5**0.5, weight_norm=5**0.5, noise_bound=6)
>>> setting |= dict(ridge=1, exploration=1, temperature=0.1, error=1e-3, horizon=10_000)
>>> THEOREM_A.evaluate("layers", **setting), round(THEOREM_C.evaluate("layers", **setting), 2)
(14.0, 7.17)
"""

import sympy
from sympy import Max, Min, Rational, acosh, asinh, ceiling, cos, cosh, floor, log, pi, sqrt

from verify.theorems import (
    Statement,
    action_max,
    action_min,
    actions,
    condition,
    depth,
    dim,
    draw_norm,
    error,
    excess,
    exploration,
    horizon,
    momentum,
    node_norm,
    nodes,
    noise_bound,
    noise_variance,
    prior_variance,
    ridge,
    temperature,
    truncation,
    weight_norm,
)
from verify.theorems.lemmas import BOUNDED

_PAGE = "this project, docs/depth.md"
_NORMS = ("every action vector has norm between action_min and action_max",)
ADMISSIBLE = (*_NORMS, "every reward has absolute value at most REWARD_MAX; this follows from " + BOUNDED[1])
POLYNOMIAL = "on the family of section 7, the log-odds of the two arms are a polynomial in s of degree at most 3^layers"
_ROUND = Rational(201, 100)  # a power of two above b(1 + 2⁻²⁰), for a bound b, is at most this times b
_GOLDEN = (1 + sqrt(5)) / 2

# Section 1: n₊, ρ, S, κ.
STEPS: sympy.Expr = Max(horizon - 1, 1)
REWARD_MAX: sympy.Expr = action_max * weight_norm + noise_bound
LARGEST: sympy.Expr = ridge + STEPS * action_max**2
CONDITION: sympy.Expr = LARGEST / ridge

# Lemma 3.
START: sympy.Expr = (LARGEST - ridge) / (LARGEST + ridge)
INVERSE_ERROR: sympy.Expr = 1 / cosh(2**depth * acosh(1 / START))
INVERSE_STEPS: sympy.Expr = Max(1, ceiling(log(acosh(1 / error) / acosh(1 / START), 2)))
INVERSE_STEPS_SIMPLE: sympy.Expr = Max(1, ceiling(log(sqrt(CONDITION) * log(2 / error) / 2, 2)))

LEMMA_3 = Statement(
    name="scaled Newton iteration for the inverse",
    source=f"{_PAGE}, Lemma 3",
    assumptions=(*_NORMS, "error < 1"),
    error=error,
    size={"layers": INVERSE_STEPS, "heads": 2 * dim**2 + 1, "hidden": sympy.Integer(0)},
)

# Lemma 4: one step on the lower end of the interval, written with `error` for l; and the steps that suffice.
GROWTH: sympy.Expr = 3 * sqrt(3) / 2
ROOT_STEP: sympy.Expr = GROWTH * error * (1 + error) / (1 + error + error**2) ** Rational(3, 2)
QUADRATIC: sympy.Expr = Rational(2, 3)
ROOT_STEPS: sympy.Expr = Max(0, ceiling(log(CONDITION) / 2 / log(GROWTH))) + Max(
    1, ceiling(log(log(1 / error) / log(3), 2))
)

LEMMA_4 = Statement(
    name="coupled Newton iteration for the inverse root",
    source=f"{_PAGE}, Lemma 4",
    assumptions=(*_NORMS, "error ≤ 1/3"),
    error=error,
    size={"layers": ROOT_STEPS, "heads": 4 * dim**2 + 2, "hidden": sympy.Integer(0)},
)

# Theorem A: ‖E‖ that suffices, the pieces of the square root, and the norm layer by layer.
INVERSE_NEEDED: sympy.Expr = Min(
    Rational(1, 2),
    error * temperature * sqrt(ridge) / (6 * action_max * (sqrt(STEPS) * REWARD_MAX + exploration)),
)
_WIDEST = action_max * sqrt(3 / (2 * ridge))  # of √(aᵀXa)
PIECES: sympy.Expr = ceiling(sqrt(1 + _WIDEST * exploration / (Rational(39, 100) * error * temperature)) / 2)


def _equations_norm(regular: sympy.Expr) -> sympy.Expr:
    """Layer 1, its ridge given."""
    return sqrt(1 + (4 * horizon) ** 2) + 4 * (dim + 1) + 2 + regular * sqrt(dim)


_X0 = 2 / (ridge + LARGEST)
_SCORES = _ROUND * 4 * horizon / ridge * Max(sqrt(horizon * LARGEST) * REWARD_MAX, action_max)
_FIRST = sqrt(Max(2, PIECES) + 1 + actions * PIECES * _WIDEST**4)
_SECOND = sqrt(2 + exploration**2 * (LARGEST / action_min**2 + 4 * actions * _WIDEST**2)) / temperature
NORMS_A: tuple[sympy.Expr, ...] = (
    _equations_norm(ridge),
    _GOLDEN + 2 * _X0 * sqrt(_X0**2 + 4 * dim),
    4 * _ROUND * horizon * CONDITION + 4 * dim**2 + 3,
    Max(1, _SCORES) + 2 * dim * (actions + 1) + _FIRST + _SECOND,
)

THEOREM_A = Statement(
    name="Theorem A, soft LinUCB",
    source=f"{_PAGE}, Theorem A",
    assumptions=ADMISSIBLE,
    error=error,
    size={
        "layers": sympy.sympify(LEMMA_3.size["layers"].subs(error, INVERSE_NEEDED)) + 2,
        "heads": Max(4 * dim + 5, 2 * dim**2 + 1, 2 * dim * (actions + 1)),
        "width": 3 * dim**2 + 3 * dim + 2 * actions * dim + 3 * actions + 4,
        "hidden": 2 * actions + actions * PIECES + 1,
        "norm": Max(*NORMS_A),
    },
)

# Theorem B. The ridge is r/λ; Θ bounds ‖Σ^{-1/2} b‖/√r, and R the whitened arms.
_RIDGE_B = noise_variance / prior_variance
_LARGEST_B = LARGEST.subs(ridge, _RIDGE_B)
_ROOT_STEPS_B = LEMMA_4.size["layers"].subs(ridge, _RIDGE_B)
THETA: sympy.Expr = sqrt(STEPS / noise_variance) * REWARD_MAX
REACH: sympy.Expr = sqrt(prior_variance) * action_max
ROOT_NEEDED: sympy.Expr = Min(
    Rational(1, 5), error / (REACH * Max(Rational(21, 10) * draw_norm, Rational(9, 4) * THETA))
)
_FIRST_B = (
    Max(_GOLDEN, 1 + 4 * _ROUND * horizon * _LARGEST_B)
    + GROWTH * (2 / _LARGEST_B + sqrt(dim))
    + 2 * dim**2 * GROWTH / _LARGEST_B**2
)
_STEP_B = 8 * _ROUND * horizon * sqrt(_LARGEST_B / _RIDGE_B) + (4 * dim**2 + 2) * GROWTH
_TIMES_B = (
    1
    + 2 * _ROUND * horizon * Max(action_max, sqrt(horizon * _LARGEST_B) * REWARD_MAX)
    + 4 * dim * (actions * sqrt(noise_variance / _LARGEST_B) + 1 / sqrt(noise_variance * _LARGEST_B))
)
_PRODUCTS_B = Max(1, 2 * _ROUND * REACH * Max(2 * THETA, draw_norm)) + 4 * actions + 2 + sqrt(2)
NORMS_B: tuple[sympy.Expr, ...] = (_equations_norm(_RIDGE_B), _FIRST_B, _STEP_B, _TIMES_B, _PRODUCTS_B)

THEOREM_B = Statement(
    name="Theorem B, Thompson sampling, the sample itself",
    source=f"{_PAGE}, Theorem B (i)",
    assumptions=(*ADMISSIBLE, "the draw in the state token has norm at most draw_norm"),
    error=error,
    size={
        "layers": sympy.sympify(_ROOT_STEPS_B.subs(error, ROOT_NEEDED)) + 3,
        "heads": Max(4 * dim + 5, 4 * dim**2 + 2, 2 * dim * (actions + 1), 4 * actions),
        "width": 4 * dim**2 + 5 * dim + 3 * actions * dim + 3 * actions + 4,
        "hidden": 2 * actions,
        "norm": Max(*NORMS_B),
    },
)

# Theorem B (ii): F and ζ of lines_plan.py, the probability error p, and the accuracy of the linear algebra that it takes.
LEAST_PROBABILITY = Rational(1, 100)
TOLD_APART = Rational(1, 10_000)
LINES_NEEDED: sympy.Expr = (
    TOLD_APART
    / 160
    * Min(
        LEAST_PROBABILITY / 2,
        1 / (4 * actions),
        (Rational(85, 100) * error - actions * truncation)
        / (Rational(14, 10) * (1 / LEAST_PROBABILITY + actions)),
    )
    * Min(1 / Max(node_norm, 1), 1 / (Rational(2001, 1000) * THETA))
)
_PAIRS = actions * (actions - 1)

THEOREM_B_LINES = Statement(
    name="Theorem B, Thompson sampling along lines",
    source=f"{_PAGE}, Theorem B (ii)",
    assumptions=(
        *ADMISSIBLE,
        "the direction tells the arms apart; actions ≥ 3; actions · truncation < 0.85 · error",
    ),
    error=error,
    size={
        "layers": sympy.sympify(_ROOT_STEPS_B.subs(error, LINES_NEEDED)) + 6 + ceiling(log(actions - 1, 2)),
        "heads": Max(4 * dim + 5, 4 * dim**2 + 2, 2 * dim * (actions + 1), _PAIRS, 2 * actions),
        "width": 4 * dim * (dim + 1) + 3 * actions * (dim + 1) + 4 + (dim + 4 + 2 * nodes) * _PAIRS,
    },
)

# Theorem C: the even number of past steps, the family's p, and the least degree.
_PAST = 2 * floor((horizon - 1) / 2)
_SIDE = sqrt(action_max**2 - action_min**2)
_P = sqrt(ridge / _PAST) / _SIDE
LEAST_DEGREE: sympy.Expr = (
    log(pi * action_max * REWARD_MAX / (2 * error * temperature * _SIDE * sqrt(1 + _P**2))) / asinh(_P) - 2
)

THEOREM_C = Statement(
    name="Theorem C, the least layers of a polynomial method for soft LinUCB",
    source=f"{_PAGE}, Theorem C",
    assumptions=(*ADMISSIBLE, "horizon ≥ 3, dim ≥ 2, actions ≥ 2, action_min < action_max", POLYNOMIAL),
    error=error,
    size={"layers": log(Max(LEAST_DEGREE, 1), 3)},
)

THEOREM_C_THOMPSON = Statement(
    name="Theorem C, the least layers of a polynomial method for Thompson's sample",
    source=f"{_PAGE}, Theorem C, Thompson sampling",
    assumptions=(*THEOREM_C.assumptions[:-1], POLYNOMIAL.replace("log-odds", "difference of the scores")),
    error=error,
    size={"layers": THEOREM_C.size["layers"].subs({temperature: 1, ridge: _RIDGE_B})},
)

COROLLARY = f"{_PAGE}, depth per decade"

# Section 11: what k steps leave along an eigenvalue (1 + δ) times the largest that they were built for.
_FLIP = excess * (1 + momentum) / 2
_ROOT = sqrt(_FLIP**2 + momentum * excess)
OUTSIDE: sympy.Expr = cosh(depth * acosh(1 + 2 * excess * condition / (condition - 1))) / cosh(
    depth * acosh((condition + 1) / (condition - 1))
)
"""Theorem E (a): of a Chebyshev polynomial of degree `depth`, by Chebyshev's layers, or by log₂ of it of Newton's."""
OUTSIDE_PLAIN: sympy.Expr = excess**depth
"""Theorem E (b): of Newton's iteration without scales, 2^k = `depth`."""
OUTSIDE_ACCELERATED: sympy.Expr = sympy.Abs(
    (_ROOT + _FLIP - excess) * (_ROOT - _FLIP) ** depth
    + cos(pi * depth) * (_ROOT - _FLIP + excess) * (_ROOT + _FLIP) ** depth
) / (2 * _ROOT)
"""Theorem E (c): of accelerated descent, tied layers."""
SOURCE_OUTSIDE = f"{_PAGE}, Theorem E"

# Corollary D: Theorem A's layers are at most log₂3 times Theorem C's plus EXTRA, plus log₂ of EXCESS where that is above 1.
MULTIPLE: sympy.Expr = log(3, 2)
EXTRA: sympy.Expr = sympy.Integer(3)
EXCESS: sympy.Expr = sqrt(CONDITION) * log(2 / INVERSE_NEEDED) / 2 / LEAST_DEGREE
