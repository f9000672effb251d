"""Soft LinUCB: Theorem 8, the three steps of its proof, and how the proof shares out the error.

The proof computes an estimate of w_t (step 1), of A_t⁻¹ a_{t,k} for every arm k (step 2), and from them the
scores ⟨a_{t,k}, w_t⟩ + α √⟨a_{t,k}, A_t⁻¹ a_{t,k}⟩ divided by τ (step 3). The errors of the three steps are
error_1, error_2 and error_3. α is the symbol `exploration`; `EXPLORATION` is the value the theory gives it.
"""

from collections.abc import Mapping
from types import MappingProxyType

import sympy
from sympy import Min, ceiling, exp, log, sqrt

from verify.theorems import (
    PAPER,
    Statement,
    action_max,
    action_min,
    actions,
    depth,
    dim,
    error,
    error_1,
    error_2,
    error_3,
    exploration,
    horizon,
    logit_error,
    noise_bound,
    ridge,
    temperature,
    weight_norm,
)
from verify.theorems.lemmas import BOUNDED, LOG_SOFTMAX, MOMENTUM, RIDGE_AGD

_PROOF = f"{PAPER}, section E.4, proof of Theorem 8"
_NORMS = (*BOUNDED, "every action vector has norm at least action_min")
_SMALL = "the error is small: the formula for the layers is positive"

# Section 4.1 and section E.2 with δ = 1/(2 B_a B_w T).
EXPLORATION: sympy.Expr = sqrt(ridge) * weight_norm + noise_bound * sqrt(
    2 * log(2 * action_max * weight_norm * horizon)
    + dim * log((dim * ridge + horizon * action_max**2) / (dim * ridge))
)

STEP_1 = Statement(
    name="soft LinUCB, step 1: the ridge estimate",
    source=f"{_PROOF}, step 1",
    assumptions=(*BOUNDED, _SMALL),
    error=error_1,
    size={key: sympy.sympify(size.subs(error, error_1)) for key, size in RIDGE_AGD.size.items()},
)

_STEP_2_SIZE = {
    "heads": 4 * actions,
    "hidden": 4 * dim * actions,
    "norm": 10 + actions * ((ridge + 3) / (action_max**2 + ridge) + sqrt(2)),
}

STEP_2 = Statement(
    name="soft LinUCB, step 2: the vectors A_t⁻¹ a_{t,k}",
    source=f"{_PROOF}, step 2",
    assumptions=(BOUNDED[0], _SMALL),
    error=error_2,
    size={
        "layers": ceiling(
            2
            * sqrt(2 * horizon)
            * sqrt((action_max**2 + ridge) / ridge)
            * log((2 * horizon * (action_max**2 + ridge) + ridge) * action_max / (ridge**2 * error_2))
        ),
        **_STEP_2_SIZE,
    },
)

STEP_2_DEPTH = Statement(
    name="soft LinUCB, step 2, error at a given depth",
    source=f"{_PROOF}, step 2, its formula for the layers solved for ε",
    assumptions=(BOUNDED[0], MOMENTUM),
    error=(2 * horizon * (action_max**2 + ridge) + ridge)
    * action_max
    / ridge**2
    * exp(-depth / (2 * sqrt(2 * horizon) * sqrt((action_max**2 + ridge) / ridge))),
    size={"layers": depth, **_STEP_2_SIZE},
)

# Step 3 may assume that the error of step 2 is at most this.
STEP_3_NEEDS: sympy.Expr = action_min**2 / (2 * (action_max**2 + ridge) * horizon * action_max)

_STEP_3_ASSUMPTIONS = (*_NORMS, "error_2 ≤ action_min² / (2 (action_max² + ridge) · horizon · action_max)")

STEP_3 = Statement(
    name="soft LinUCB, step 3: the scores, explicit part",
    source=f"{_PROOF}, step 3",
    assumptions=_STEP_3_ASSUMPTIONS,
    error=error_3,
    size={"layers": sympy.Integer(2), "heads": 4 * actions},
)

STEP_3_ORDER = Statement(
    name="soft LinUCB, step 3: the scores, orders",
    source=f"{_PROOF}, step 3",
    kind="order",
    assumptions=_STEP_3_ASSUMPTIONS,
    error=error_3,
    size={
        "hidden": actions * sqrt(horizon * exploration / (temperature * error_3)),
        "norm": actions
        + horizon * (exploration / (temperature * error_3)) ** sympy.Rational(1, 4)
        + exploration / temperature,
    },
)

ERROR_SPLIT: Mapping[str, sympy.Expr] = MappingProxyType(
    {
        "error_1": error * temperature / (12 * action_max),
        "error_2": Min(
            action_min
            * temperature
            * error
            / (12 * sqrt(horizon * (action_max**2 + ridge)) * exploration * action_max),
            STEP_3_NEEDS,
        ),
        "error_3": error / 12,
    }
)

# The last line of the display that bounds |v*_{tk}/τ − v̂_{tk}/τ|.
LOGIT_BOUND: sympy.Expr = (
    action_max * error_1 / temperature
    + sqrt(horizon * (action_max**2 + ridge))
    * exploration
    * action_max
    * error_2
    / (action_min * temperature)
    + error_3
)

# The same for log-probabilities, by Lemma 18.
SPLIT_BOUND: sympy.Expr = sympy.sympify(LOG_SOFTMAX.expression("error").subs(logit_error, LOGIT_BOUND))


def at_split(expression: sympy.Expr) -> sympy.Expr:
    """An expression in error_1, error_2, error_3, with the proof's choice of the three put in.

    >>> at_split(24 * error_3)
    2*error
    """
    chosen = [(symbol, ERROR_SPLIT[symbol.name]) for symbol in (error_1, error_2, error_3)]
    return sympy.sympify(expression.subs(chosen))


# Steps 1, 2 and 3 one after the other.
STATED_LAYERS: sympy.Expr = at_split(STEP_1.size["layers"]) + at_split(STEP_2.size["layers"]) + 2

THEOREM_8 = Statement(
    name="Theorem 8, soft LinUCB",
    source=f"{PAPER}, Theorem 8 and its display; logs from its proof with α = O(√(d log T))",
    kind="order",
    assumptions=(
        *_NORMS,
        "error and temperature are small",
        "polynomials in noise_bound, 1/action_min, action_max, weight_norm, ridge and 1/ridge are hidden",
        "the heads are printed with their constant: at most 4 · actions",
    ),
    error=error,
    size={
        "layers": sqrt(horizon),
        "heads": 4 * actions,
        "width": dim * actions,
        "hidden": dim + actions * sqrt(horizon * dim / (temperature * error)),
        "norm": actions + horizon * sqrt(dim) / (temperature * error ** sympy.Rational(1, 4)),
    },
    logs={
        "layers": log(horizon * dim / (temperature * error)),
        "hidden": log(horizon) ** sympy.Rational(1, 4),
        "norm": sqrt(log(horizon)),
    },
)

THEOREM_8_EXPLICIT = Statement(
    name="Theorem 8, soft LinUCB, what it and its proof state with constants",
    source=f"{PAPER}, Theorem 8 (error, heads); {_PROOF} (layers: steps 1, 2 and 3 at the proof's errors)",
    assumptions=(*_NORMS, _SMALL),
    error=error,
    size={"layers": STATED_LAYERS, "heads": 4 * actions},
)
