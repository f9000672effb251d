"""Theorems of this project on softmax attention, transcribed from docs/softmax.md; nothing here looks at a construction.

>>> SETTING = dict(states=4, actions=3, horizon=4, episodes=20, temperature=0.05, exploration=1)
>>> UCBVI.evaluate("layers", **SETTING), UCBVI_BY_GATE.evaluate("error", gate=40, **SETTING) < 1e-12
(22.0, True)
"""

import sympy
from sympy import Max, Min, Rational, acosh, ceiling, exp, log, sqrt

from verify.theorems import (
    Statement,
    action_max,
    actions,
    dim,
    draw_norm,
    episodes,
    error,
    exploration,
    gate,
    horizon,
    noise_variance,
    poles,
    prior_variance,
    ridge,
    separation,
    states,
    temperature,
    visits,
)
from verify.theorems.newton import ADMISSIBLE, LARGEST, PIECES, REWARD_MAX, STEPS
from verify.theorems.thompson import RIDGE, SEPARATED
from verify.theorems.ucbvi import BONUS, TABULAR

_PAGE = "this project, docs/softmax.md"

# Section 4: n, the steepest slopes of b(N) and log N as functions of 1/(N + 1), and how deep a maximum over A is.
TOKENS: sympy.Expr = episodes * (2 * horizon + 1)
BONUS_SLOPE: sympy.Expr = 3 * exploration * BONUS.subs(visits, 1) * sqrt(episodes)
LOG_SLOPE: sympy.Expr = Max(4 * gate, 2 * episodes + 4)
_HALVINGS = Max(1, ceiling(log(actions, 2) - Rational(1, 10**9)))
_PAIRS = states * actions

SIZES: dict[str, sympy.Expr] = {
    "layers": 4 + (horizon - 1) * (states + _HALVINGS),
    "heads": Max(4 * _PAIRS, 2),
    "width": 8 * _PAIRS + states * (3 + log(actions, 2)) + 3 * actions + horizon + 10,
    "hidden": _PAIRS * (3 * episodes + 10) + horizon + 3,
}

UCBVI_BY_GATE = Statement(
    name="soft UCB-VI by softmax attention, its error by the gate",
    source=f"{_PAGE}, Theorem 1",
    assumptions=(*TABULAR, "an integer gate of at least 3", "weights that are not rounded"),
    error=2
    * horizon
    / temperature
    * (
        (horizon + 2) * exp(-gate)
        + (TOKENS + 4 * states) * horizon * exp(-2 * gate)
        + TOKENS * (BONUS_SLOPE + states * horizon * LOG_SLOPE / 2) * exp(-3 * gate)
    ),
    size=SIZES,
)

UCBVI = Statement(
    name="soft UCB-VI by softmax attention, for an error",
    source=f"{_PAGE}, Theorem 1",
    assumptions=(*TABULAR, "the gate is chosen from the error"),
    error=error,
    size=SIZES,
)

# Section 7: the condition number of A/(i + 1) over all tokens, and what the inverse is needed to.
CONDITION: sympy.Expr = (2 * horizon + 1) * (1 + action_max**2 / ridge) / 2
INVERSE_NEEDED: sympy.Expr = Min(
    Rational(1, 2),
    error * temperature * sqrt(ridge) / (7 * action_max * (sqrt(STEPS) * REWARD_MAX + exploration)),
)


def _steps(needed: sympy.Expr, condition: sympy.Expr) -> sympy.Expr:
    """k, from what the inverse is needed to and the condition number."""
    start = (condition - 1) / (condition + 1)
    return Max(1, ceiling(log(acosh(1 / needed) / acosh(1 / start), 2)))


LINUCB = Statement(
    name="soft LinUCB by softmax attention, for an error",
    source=f"{_PAGE}, Theorem 2",
    assumptions=(*ADMISSIBLE, "factors and gates are chosen from the error"),
    error=error,
    size={
        "layers": _steps(INVERSE_NEEDED, CONDITION) + 2,
        "heads": Max(4 * dim + 1, 4 * dim**2, 4 * dim * (actions + 1)),
        "width": 3 * dim**2
        + 3 * dim
        + 2 * actions * dim
        + 3 * actions
        + 6
        + ceiling(log(2 * horizon + 1, 2)),
        "hidden": Max(2 * dim**2 + 2, 2 * actions + actions * PIECES + 1),
    },
)


# Section 8: the ridge and the condition number of the posterior, Θ, w, what the inverse is needed to, and odds.
RATIO: sympy.Expr = sqrt(STEPS / noise_variance) * REWARD_MAX
RATIO_NEEDED: sympy.Expr = Min(1, 3 * error / (8 * (RATIO + 2)))
_SPECTRUM = LARGEST.subs(ridge, RIDGE) / RIDGE
POSTERIOR_NEEDED: sympy.Expr = Min(Rational(2, 5), RATIO_NEEDED / (32 * sqrt(_SPECTRUM) * RATIO))
_ODDS_NEEDED = Min(Rational(1, 2), 3 * RATIO_NEEDED / (5 * (RATIO + 1)))

THOMPSON = Statement(
    name="Thompson sampling with two arms by softmax attention, for an error",
    source=f"{_PAGE}, Theorem 3",
    assumptions=(*ADMISSIBLE, SEPARATED, "factors and gates are chosen from the error"),
    error=error,
    size={
        "layers": _steps(POSTERIOR_NEEDED, CONDITION.subs(ridge, RIDGE)) + 3,
        "heads": Max(4 * dim + 5, 4 * dim**2, 8 * dim),
        "width": 3 * dim**2 + 9 * dim + 14 + ceiling(log(2 * horizon + 1, 2)),
        "hidden": Max(
            2 * dim**2 + 2,
            4 + log(6 * action_max**2 / separation**2) / Rational(54, 100),
            4 + log(8 * _SPECTRUM) / log(1 + Rational(23, 10) * sqrt(_ODDS_NEEDED)),
            6 + 4 * (RATIO + 1) / sqrt(error),
        ),
    },
)

# Section 9: what the inverse is needed to, over the largest √(r aᵀΣ⁻¹a).
_REACH = sqrt(prior_variance) * action_max
SAMPLING_NEEDED: sympy.Expr = Min(Rational(1, 2), error / (8 * _REACH * (2 * draw_norm + RATIO)))

SAMPLING = Statement(
    name="Thompson sampling in sampling form by softmax attention, for an error and the poles of a rule",
    source=f"{_PAGE}, Theorem 4",
    assumptions=(
        *ADMISSIBLE,
        "draws have norm at most draw_norm",
        "factors and gates are chosen from the error",
    ),
    error=error,
    size={
        "layers": _steps(SAMPLING_NEEDED, CONDITION.subs(ridge, RIDGE)) + 2,
        "heads": Max(4 * dim + 1, 4 * dim**2 * (poles + 1), 4 * dim * (poles + 1)),
        "width": (2 * poles + 3) * dim**2
        + 5 * dim
        + actions * (dim + 3)
        + 6
        + ceiling(log(2 * horizon + 1, 2)),
        "hidden": Max((2 * dim**2 + 2) * (poles + 1), 4 * actions),
    },
)
