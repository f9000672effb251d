"""Theorems of this project on softmax attention, transcribed from docs/softmax.md; nothing here looks at a construction.

>>> SETTING = dict(states=4, actions=3, horizon=4, episodes=20, temperature=0.05, exploration=1)
>>> UCBVI.evaluate("layers", **SETTING), UCBVI_BY_GATE.evaluate("error", gate=40, **SETTING) < 1e-12
(22.0, True)
"""

import sympy
from sympy import Max, Rational, ceiling, exp, log, sqrt

from verify.theorems import (
    Statement,
    actions,
    episodes,
    error,
    exploration,
    gate,
    horizon,
    states,
    temperature,
    visits,
)
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
