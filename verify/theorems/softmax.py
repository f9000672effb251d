"""Theorems of this project on softmax attention, transcribed from docs/softmax.md; nothing here looks at a construction.

>>> SETTING = dict(states=4, actions=3, horizon=4, episodes=20, temperature=0.05, exploration=1)
>>> UCBVI.evaluate("layers", **SETTING), UCBVI_BY_GATE.evaluate("error", gate=40, **SETTING) < 1e-12
(22.0, True)
"""

import math
from collections.abc import Mapping
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
    noise_variance,
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


@dataclass(frozen=True)
class Chosen:
    """What Theorems 2 and 3 leave open.

    Attributes:
        steps: k.
        factors: b_1, …, b_4; b_5 of Theorem 3.
        gates: B of these four, and of Lemma 6; then that of b_5.
        root: ε_√, or δ.
        tail: ε_Φ.
    """

    steps: int
    factors: tuple[float, ...]
    gates: tuple[float, ...]
    root: float
    tail: float = 0.0


def linucb_error(chosen: Chosen, **values: SupportsFloat) -> float:
    """The bound of Theorem 2 for a specification's numbers; infinite where its assumptions do not hold."""
    lam, top, least = (float(values[x]) for x in ("ridge", "action_max", "action_min"))
    found = _linear(chosen, lam, (least, top), 1.0, values)
    if found is None:
        return math.inf
    mean, _, r, _ = found
    width = top / math.sqrt(lam) * r / (1 + math.sqrt(1 - r)) + chosen.root
    return 2 / float(values["temperature"]) * (mean + float(values["exploration"]) * width)


def thompson_error(chosen: Chosen, **values: SupportsFloat) -> float:
    """The bound of Theorem 3 for a specification's numbers; infinite where its assumptions do not hold."""
    top, apart, noise = (float(values[x]) for x in ("action_max", "separation", "noise_variance"))
    lam, theta = noise / float(values["prior_variance"]), evaluate(RATIO, **values)
    largest, digits = lam + evaluate(STEPS, **values) * top**2, _digits(values)
    found = _linear(chosen, lam, (4 / 5, 5 / 4), 8 * top / apart, values)
    if found is None:
        return math.inf
    mean, held, r, share = found
    b, gate, P = chosen.factors[4], chosen.gates[5], 4 * top**2
    told = 2 / 45 * (b * P) ** 4 + _through(b, gate, P, P, digits) / apart**2
    if not (told <= 1 / 8 and share <= 1 / 8):
        return math.inf
    alpha, factor = 5 / 4 * math.sqrt(largest / noise) * mean, 1 / math.sqrt(1 - r)
    others = float(_others(chosen.gates[4], digits))
    off = (theta + alpha) * factor * math.exp(chosen.root) - theta
    off += share / 2 * math.sqrt(largest / lam) * theta
    off += 25 / 4 * others * math.sqrt(largest / noise) * factor * held
    return 2 * (chosen.tail + off * (theta + off + math.sqrt(2 / math.pi)))


def _digits(values: Mapping[str, SupportsFloat]) -> int:
    return math.ceil(math.log2(2 * float(values["horizon"]) + 1))


def _others(gate: float, digits: int) -> sympy.Expr:
    """θ = (1 + e^{−2B})^m − 1, which no float64 may be small enough for."""
    return sum(math.comb(digits, k) * exp(sympy.Float(-2 * k * gate)) for k in range(1, digits + 1))  # type: ignore


def _through(b: float, gate: float, own: float, across: float, digits: int) -> float:
    """Λ(b, P, P')."""
    return float(12 / b * exp(sympy.Float(2 * b * (own + across))) * _others(gate, digits))


def _linear(
    chosen: Chosen,
    lam: float,
    norms: tuple[float, float],
    times: float,
    values: Mapping[str, SupportsFloat],
) -> tuple[float, float, float, float] | None:
    """Of forms of vectors with such norms: μ, a bound on ‖Xm‖ with what products leave, r, and what shares are off.

    The factor of Lemma 6 is `times` as large for these vectors. None where the assumptions of Theorem 2 do not hold.
    """
    T, d, top = (float(values[x]) for x in ("horizon", "dim", "action_max"))
    (least, high), rho, n, N = norms, evaluate(REWARD_MAX, **values), evaluate(STEPS, **values), 2 * T
    digits, W = _digits(values), math.sqrt(n / lam) * rho / 2
    low, upper = lam / (N + 1), (lam + top**2) / 2
    own = (top, 2.0, 2 * W, 2 * high / lam)
    across = (top, 2 * N * (1 + top**2 / lam), 4 * N * top * rho / lam, 4 * high / lam)
    four = list(zip(chosen.factors, chosen.gates, own, across, strict=False))[:4]
    left = [2 / 45 * b**4 * P**5 for b, _, P, _ in four]
    through = [_through(b, gate, P, Q, digits) for b, gate, P, Q in four]
    share = times * float(2 * (N + 1) * _others(chosen.gates[4], digits))
    eta = left[0] / 2 + math.sqrt(d) * through[0]
    zeta = top * eta / low
    if not (zeta <= 1 / 8 and eta <= top / 8):
        return None
    omega = (rho + top * W) * eta / (low * (1 - zeta))
    low, upper = low - top * eta, upper + top * eta
    angle = 2 * math.atanh(math.sqrt(low / upper))
    e = [1 / math.cosh(2**j * angle) for j in range(chosen.steps + 1)]
    both, delta, holds = math.sqrt(d) * left[1] + d**1.5 * upper / low * through[1], 0.0, True
    for j in range(1, chosen.steps):
        holds = holds and e[j] + delta <= 1
        delta = (1 + e[j + 1]) * ((2 * e[j] + delta) * delta + (1 + e[j] + delta) * both)
    residual, products = e[-1] + delta, left[2] + d * through[2]
    mean = high * (omega + residual * (W + omega) + products)
    absolute = high**2 / (lam * (1 - zeta)) * (delta + share * (1 + residual))
    absolute += high * (left[3] + d * through[3])
    r = (1 + e[-1]) / (1 - zeta) - 1 + (lam + n * top**2) / least**2 * absolute
    holds = holds and r <= 1 / 2 and (1 + residual) * (W + omega) <= 2 * W
    if not (holds and (1 + residual) * (1 + share) <= 2 * (1 - zeta)):
        return None
    return mean, 2 * W + products, r, share
