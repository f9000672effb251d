"""Theorems of this project on softmax attention, transcribed from docs/softmax.md; nothing here looks at a construction.

>>> SETTING = dict(states=4, actions=3, horizon=4, episodes=20, temperature=0.05, exploration=1)
>>> UCBVI.evaluate("layers", **SETTING), UCBVI_BY_GATE.evaluate("error", gate=40, **SETTING) < 1e-12
(22.0, True)
"""

import math
from dataclasses import dataclass
from typing import SupportsFloat

import sympy
from sympy import Max, Min, Rational, acosh, ceiling, exp, log, sqrt

from verify.theorems import (
    Statement,
    action_max,
    actions,
    dim,
    episodes,
    error,
    evaluate,
    exploration,
    gate,
    horizon,
    ridge,
    states,
    temperature,
    visits,
)
from verify.theorems.newton import ADMISSIBLE, PIECES, REWARD_MAX, STEPS
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
_START = (CONDITION - 1) / (CONDITION + 1)

LINUCB = Statement(
    name="soft LinUCB by softmax attention, for an error",
    source=f"{_PAGE}, Theorem 2",
    assumptions=(*ADMISSIBLE, "factors and gates are chosen from the error"),
    error=error,
    size={
        "layers": Max(1, ceiling(log(acosh(1 / INVERSE_NEEDED) / acosh(1 / _START), 2))) + 2,
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


@dataclass(frozen=True)
class Chosen:
    """What Theorem 2 leaves open.

    Attributes:
        steps: k.
        factors: b_1, …, b_4.
        gates: B of these four, and of Lemma 6.
        root: ε_√.
    """

    steps: int
    factors: tuple[float, ...]
    gates: tuple[float, ...]
    root: float


def linucb_error(chosen: Chosen, **values: SupportsFloat) -> float:
    """The bound of Theorem 2 for a specification's numbers; infinite where its assumptions do not hold."""
    take = {name: values[name] for name in values}
    T, d, lam, top, least = (float(take[x]) for x in ("horizon", "dim", "ridge", "action_max", "action_min"))
    rho, n, N = evaluate(REWARD_MAX, **take), evaluate(STEPS, **take), 2 * T
    digits = math.ceil(math.log2(N + 1))
    W, low, high = math.sqrt(n / lam) * rho / 2, lam / (N + 1), (lam + top**2) / 2
    own = (top, 2.0, 2 * W, 2 * top / lam)
    across = (top, 2 * N * (1 + top**2 / lam), 4 * N * top * rho / lam, 4 * top / lam)
    thetas = [  # (1 + e^{−2B})^m − 1, which no float64 may be small enough for
        sum(math.comb(digits, k) * exp(sympy.Float(-2 * k * gate)) for k in range(1, digits + 1))
        for gate in chosen.gates
    ]
    left = [2 / 45 * b**4 * P**5 for b, P in zip(chosen.factors, own, strict=True)]
    through = [
        float(12 / b * exp(sympy.Float(2 * b * (P + Q))) * theta)
        for b, P, Q, theta in zip(chosen.factors, own, across, thetas[:4], strict=True)
    ]
    share = float(2 * (N + 1) * thetas[4])
    eta = left[0] / 2 + math.sqrt(d) * through[0]
    zeta = top * eta / low
    if not (zeta <= 1 / 8 and eta <= top / 8):
        return math.inf
    omega = (rho + top * W) * eta / (low * (1 - zeta))
    low, high = low - top * eta, high + top * eta
    angle = 2 * math.atanh(math.sqrt(low / high))
    e = [1 / math.cosh(2**j * angle) for j in range(chosen.steps + 1)]
    both, delta, holds = math.sqrt(d) * left[1] + d**1.5 * high / low * through[1], 0.0, True
    for j in range(1, chosen.steps):
        holds = holds and e[j] + delta <= 1
        delta = (1 + e[j + 1]) * ((2 * e[j] + delta) * delta + (1 + e[j] + delta) * both)
    residual = e[-1] + delta
    mean = top * (omega + residual * (W + omega) + left[2] + d * through[2])
    absolute = top**2 / (lam * (1 - zeta)) * (delta + share * (1 + residual))
    absolute += top * (left[3] + d * through[3])
    r = (1 + e[-1]) / (1 - zeta) - 1 + (lam + n * top**2) / least**2 * absolute
    holds = holds and r <= 1 / 2 and (1 + residual) * (W + omega) <= 2 * W
    if not (holds and (1 + residual) * (1 + share) <= 2 * (1 - zeta)):
        return math.inf
    width = top / math.sqrt(lam) * r / (1 + math.sqrt(1 - r)) + chosen.root
    return 2 / float(take["temperature"]) * (mean + float(take["exploration"]) * width)
