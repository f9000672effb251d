"""Soft UCB-VI: Theorem 12, the four steps of its proof, the bonus, and the orders of Theorem 13.

The proof counts visits (step 1), turns counts into estimates of transitions, rewards and bonuses (step 2),
runs value iteration backwards through an episode (step 3), and selects the Q-values of the current step and
state and divides them by τ (step 4). All of it is claimed to be exact: every error is 0.

`horizon` is H here; the paper's T is `TOTAL_STEPS`. The paper writes δ for two things: the δ in the bonus,
which is `BONUS_DELTA`, and the probability with which Theorem 13 may fail, which is the symbol `failure`.

>>> THEOREM_12_EXPLICIT.evaluate("layers", horizon=3)
14.0
"""

import sympy
from sympy import Max, log, sqrt

from verify.theorems import (
    PAPER,
    Statement,
    actions,
    episodes,
    failure,
    horizon,
    log_covering,
    states,
    temperature,
    trajectories,
    visits,
)

_PROOF = f"{PAPER}, section G.3, proof of Theorem 12"
_EXACT = sympy.Integer(0)
_NONE = sympy.Integer(0)

TABULAR = (
    "finite states and actions, the reward of each step a function of state and action, in [0, 1]",
    "K episodes of H steps, embedded as in section G.1",
)

TOTAL_STEPS: sympy.Expr = episodes * horizon

# Section G.2: "throughout this section, we choose the small probability δ = 1/(KH)".
BONUS_DELTA: sympy.Expr = 1 / (episodes * horizon)
_BONUS_LOG = log(states * actions * TOTAL_STEPS / BONUS_DELTA)

BONUS: sympy.Expr = 2 * horizon * sqrt(_BONUS_LOG / Max(visits, 1))

# One head for each quadruple (s, a, s', h): what most sizes are counted in.
_QUADRUPLES = horizon * states**2 * actions

# Step 1b: ten heads for each N_h(s, a, s'). Those for N_h(s, a) and N_h(s, a) r_h(s, a) come on top, as
# O(HSA) more.
TRANSITION_COUNT_HEADS: sympy.Expr = 10 * _QUADRUPLES

STEP_1 = Statement(
    name="soft UCB-VI, step 1: the counts, explicit part",
    source=f"{_PROOF}, step 1 (attention only: hidden 0)",
    assumptions=TABULAR,
    error=_EXACT,
    size={"layers": sympy.Integer(4), "hidden": _NONE},
)

STEP_1_ORDER = Statement(
    name="soft UCB-VI, step 1: the counts, orders",
    source=f"{_PROOF}, step 1",
    kind="order",
    assumptions=TABULAR,
    error=_EXACT,
    size={"heads": _QUADRUPLES, "norm": horizon * episodes + _QUADRUPLES},
)

STEP_2 = Statement(
    name="soft UCB-VI, step 2: transitions, rewards and bonuses, explicit part",
    source=f"{_PROOF}, step 2",
    assumptions=TABULAR,
    error=_EXACT,
    size={"layers": sympy.Integer(1)},
)

STEP_2_ORDER = Statement(
    name="soft UCB-VI, step 2: transitions, rewards and bonuses, orders",
    source=f"{_PROOF}, step 2; log from the bonus, whose values stand in the weights",
    kind="order",
    assumptions=TABULAR,
    error=_EXACT,
    size={
        "heads": _QUADRUPLES,
        "hidden": episodes**2 * _QUADRUPLES,
        "norm": _QUADRUPLES + episodes**3 + episodes * horizon,
    },
    logs={"norm": sqrt(_BONUS_LOG)},
)

STEP_3 = Statement(
    name="soft UCB-VI, step 3: value iteration, explicit part",
    source=f"{_PROOF}, step 3",
    assumptions=TABULAR,
    error=_EXACT,
    size={"layers": 2 * horizon, "heads": 2 * states * actions, "hidden": 3 * states * actions},
)

STEP_3_ORDER = Statement(
    name="soft UCB-VI, step 3: value iteration, orders",
    source=f"{_PROOF}, step 3",
    kind="order",
    assumptions=TABULAR,
    error=_EXACT,
    size={"norm": horizon + states * actions},
)

STEP_4 = Statement(
    name="soft UCB-VI, step 4: the logits, explicit part",
    source=f"{_PROOF}, step 4 (heads: 2HA in its first layer, 5HA in its second; attention only: hidden 0)",
    assumptions=TABULAR,
    error=_EXACT,
    size={"layers": sympy.Integer(3), "heads": 5 * horizon * actions, "hidden": _NONE},
)

STEP_4_ORDER = Statement(
    name="soft UCB-VI, step 4: the logits, orders",
    source=f"{_PROOF}, step 4",
    kind="order",
    assumptions=TABULAR,
    error=_EXACT,
    size={"heads": horizon * actions, "norm": horizon * (episodes + actions) + 1 / temperature},
)

THEOREM_12 = Statement(
    name="Theorem 12, soft UCB-VI",
    source=f"{PAPER}, Theorem 12 and its display; log from step 2 of its proof",
    kind="order",
    assumptions=(*TABULAR, "the layers are printed without an O(·): 2H + 8"),
    error=_EXACT,
    size={
        "layers": 2 * horizon + 8,
        "heads": _QUADRUPLES,
        "width": _QUADRUPLES,
        "hidden": episodes**2 * _QUADRUPLES,
        "norm": episodes**2 * _QUADRUPLES + episodes**3 + 1 / temperature,
    },
    logs={"norm": sqrt(_BONUS_LOG)},
)

THEOREM_12_EXPLICIT = Statement(
    name="Theorem 12, soft UCB-VI, explicit part",
    source=f"{PAPER}, Theorem 12: equal probabilities for every step and action",
    assumptions=TABULAR,
    error=_EXACT,
    size={"layers": 2 * horizon + 8},
)

# Theorem 13 takes this temperature.
REGRET_TEMPERATURE: sympy.Expr = 1 / episodes

# The proof's bound on ε_τ, the Q-value lost by acting softly at one step, and what the whole costs (an order).
SOFTENING_LOSS: sympy.Expr = actions * temperature
SOFTENING_REGRET: sympy.Expr = episodes * horizon * SOFTENING_LOSS

# Orders, without their logarithms: the regret of soft UCB-VI itself, and what learning it from data adds
# with probability at least 1 − failure.
REGRET: sympy.Expr = horizon**2 * sqrt(states * actions * episodes) + horizon**3 * states**2 * actions
LEARNING_REGRET: sympy.Expr = TOTAL_STEPS**2 * sqrt(
    (log_covering + log(TOTAL_STEPS / failure)) / trajectories
)

# The two orders printed for log 𝒩_Θ, the first in the sizes of Theorem 12 (its L as H).
LOG_COVERING_BY_SIZES: sympy.Expr = (
    horizon**2
    * THEOREM_12.size["width"]
    * (THEOREM_12.size["heads"] * THEOREM_12.size["width"] + THEOREM_12.size["hidden"])
    * log(trajectories)
)
LOG_COVERING: sympy.Expr = (
    horizon**4 * states**4 * actions**3 * (episodes**2 + horizon * states**2 * actions) * log(trajectories)
)
