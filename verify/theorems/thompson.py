"""Linear Thompson sampling: Theorem 10, the four steps of its proof, and the regret of Theorem 11.

The proof computes estimates of μ_t (step 1), of Σ_t^{1/2} a_{t,k} for every arm k by a Padé decomposition of the
square root (step 2), from them of √r Σ_t^{-1/2} a_{t,k} and ⟨μ_t, a_{t,k}⟩ (step 3), and of the truncated
log-probabilities as functions of these (step 4). The errors of the four are error_1 to error_4.

Everything holds on an event of probability at least 1 − failure, on which ‖w*‖ ≤ B_w and |noise| ≤ σ with the
values `WEIGHT_NORM` and `NOISE_BOUND`; the formulas are in the symbols weight_norm and noise_bound, and
`at_event` puts the two in. The formulas are as printed, slips included.

>>> from verify.theorems import evaluate
>>> setting = dict(horizon=200, action_max=5**0.5, noise_variance=2.25, prior_variance=1, dim=5, failure=0.01)
>>> evaluate(at_event(STEP_1.size["layers"]), error_1=1e-3, **setting)
1613.0
"""

import sympy
from sympy import Max, Rational, ceiling, log, sqrt

from verify.theorems import (
    PAPER,
    Statement,
    action_max,
    actions,
    dim,
    error,
    error_1,
    error_2,
    error_3,
    error_4,
    failure,
    horizon,
    neuron_norm,
    neurons,
    noise_bound,
    noise_variance,
    poles,
    prior_variance,
    weight_norm,
)

_PROOF = f"{PAPER}, section F.3, proof of Theorem 10"
_SMALL = "the error is small: the formula for the layers is positive"
_NONE = sympy.Integer(0)
_QUARTER = Rational(1, 4)

BOUNDED = ("every action vector has norm at most action_max",)
EVENT = (
    *BOUNDED,
    "the true weight vector has norm at most weight_norm, which is WEIGHT_NORM",
    "every noise has absolute value at most noise_bound, which is NOISE_BOUND",
)
SEPARATED = "different action vectors on offer are at least separation apart"
APPROXIMABLE = (
    "each truncated log-probability is within the error of a sum of relus, at most neurons of them with "
    "coefficients of absolute sum at most neuron_norm, for arguments up to RADIUS"
)

# Section F.3, before the steps.
WEIGHT_NORM: sympy.Expr = sqrt(prior_variance) * (sqrt(dim) + 2 * sqrt(log(2 / failure)))
NOISE_BOUND: sympy.Expr = sqrt(2 * noise_variance * log(2 * horizon / failure))

# λ̃; the printed bound on the largest eigenvalue of Σ_t (the least is at least λ̃); κ̃, their ratio; μ, the
# point around which the square root is expanded.
RIDGE: sympy.Expr = noise_variance / prior_variance
LARGEST: sympy.Expr = horizon * (action_max**2 + RIDGE)
CONDITION: sympy.Expr = horizon * (action_max**2 + RIDGE) / RIDGE
CENTER: sympy.Expr = sqrt(horizon * RIDGE * (action_max**2 + RIDGE))

# Assumption on the log-posterior: the arguments of the sum of relus are at most this.
RADIUS: sympy.Expr = 2 * action_max * sqrt(prior_variance) * (1 + 2 * sqrt(log(2 / failure)) + sqrt(dim))


def at_event(expression: sympy.Expr) -> sympy.Expr:
    """An expression in weight_norm and noise_bound, with the values that the proof's event gives them.

    >>> at_event(noise_bound**2)
    2*noise_variance*log(2*horizon/failure)
    """
    return sympy.sympify(expression.subs({weight_norm: WEIGHT_NORM, noise_bound: NOISE_BOUND}))


STEP_1 = Statement(
    name="Thompson sampling, step 1: the posterior mean",
    source=f"{_PROOF}, step 1",
    assumptions=(*EVENT, _SMALL),
    error=error_1,
    size={
        "layers": ceiling(
            2
            * sqrt(2 * horizon)
            * sqrt((action_max**2 + RIDGE) / RIDGE)
            * log(
                (2 * horizon * (action_max**2 + RIDGE) + RIDGE)
                * horizon
                * action_max
                * (action_max * weight_norm + noise_bound)
                / (RIDGE**2 * error_1)
            )
        ),
        "heads": sympy.Integer(4),
        "hidden": 4 * dim,
        "norm": 10 + (RIDGE + 2) / (action_max**2 + RIDGE),
    },
)

# Step 2, the Padé decomposition: bounds on the remainder in operator norm, in the three forms of the display.
_POWER = 2 * poles + 1


def _remainder(name: str, line: str, bound: sympy.Expr) -> Statement:
    return Statement(
        name=f"Thompson sampling, step 2: remainder of the square root, {name}",
        source=f"{_PROOF}, proof of step 2, {line} of the display on the remainder",
        assumptions=BOUNDED,
        error=bound,
    )


_UPPER = (sqrt(LARGEST) + sqrt(CENTER)) / (sqrt(LARGEST) - sqrt(CENTER))
_LOWER = (sqrt(CENTER) + sqrt(RIDGE)) / (sqrt(CENTER) - sqrt(RIDGE))
PADE_EIGENVALUES = _remainder(
    "in eigenvalues",
    "first line",
    Max(2 * sqrt(LARGEST) / (1 + _UPPER**_POWER), 2 * sqrt(RIDGE) / (_LOWER**_POWER - 1)),
)

_RATIO = (CONDITION**_QUARTER + 1) / (CONDITION**_QUARTER - 1)
PADE_CONDITION = _remainder(
    "in the condition number",
    "second line",
    Max(2 * sqrt(LARGEST) / (1 + _RATIO**_POWER), 2 * sqrt(RIDGE) / (_RATIO**_POWER - 1)),
)

_GROWTH = 1 + 2 / CONDITION**_QUARTER
PADE_LAST = _remainder(
    "last form", "third line", 2 * Max(sqrt(LARGEST) * _GROWTH**-_POWER, sqrt(RIDGE) / (_GROWTH**_POWER - 1))
)

# The m printed for a remainder of at most error_2 < 1: a whole number times one that is none.
POLES: sympy.Expr = (CONDITION**_QUARTER / 4 + 1) * Max(
    ceiling(log(2 * sqrt(LARGEST) / error_2)), ceiling(log(2 * sqrt(RIDGE) / error_2 + 1))
)

STEP_2A = Statement(
    name="Thompson sampling, step 2a: the vectors (Σ_t − μI) a_{t,k}",
    source=f"{_PROOF}, step 2a (attention only: hidden 0)",
    assumptions=BOUNDED,
    error=sympy.Integer(0),
    size={"layers": sympy.Integer(2), "heads": 3 * actions, "hidden": _NONE, "norm": horizon + 2 + CENTER},
)

STEP_2B = Statement(
    name="Thompson sampling, step 2b: one linear system for each pole and arm",
    source=f"{_PROOF}, step 2b (the upper brackets of the layers as in its proof)",
    assumptions=(*BOUNDED, _SMALL),
    error=error,
    size={
        "layers": ceiling(
            2
            * sqrt(2 * horizon * (action_max**2 + RIDGE) / RIDGE)
            * log((1 + CONDITION) * action_max * horizon * (action_max**2 + RIDGE) / (RIDGE * error))
        ),
        "heads": 4 * actions * poles,
    },
)

# Its proof has the objectives of all poles and tokens (B_a² + λ̃)-smooth, and steps of one over this.
STEP_2B_SMOOTHNESS: sympy.Expr = action_max**2 + RIDGE

STEP_2B_ORDER = Statement(
    name="Thompson sampling, step 2b: one linear system for each pole and arm, orders",
    source=f"{_PROOF}, step 2b and the last line of its proof",
    kind="order",
    assumptions=BOUNDED,
    error=error,
    size={"width": actions * dim * poles, "hidden": actions * dim * poles, "norm": actions * poles},
)

STEP_2C = Statement(
    name="Thompson sampling, step 2c: the sum over the poles",
    source=f"{_PROOF}, step 2c (MLP only: heads 0; norm √2 of W₁ and the rest of W₂)",
    assumptions=BOUNDED,
    error=sympy.Integer(0),
    size={
        "layers": sympy.Integer(1),
        "heads": _NONE,
        "hidden": 2 * actions * dim * (poles + 1),
        "norm": sqrt(2) + sqrt(CENTER) * (1 + poles),
    },
)

STEP_2 = Statement(
    name="Thompson sampling, step 2: the vectors Σ_t^{1/2} a_{t,k}",
    source=f"{_PROOF}, step 2; logs from steps 2b and the number of poles",
    kind="order",
    assumptions=BOUNDED,
    error=error_2,
    size={
        "layers": sqrt(horizon),
        "heads": actions * horizon**_QUARTER,
        "hidden": horizon**_QUARTER * actions * dim,
        "norm": horizon + actions * horizon**_QUARTER,
    },
    logs={
        "layers": log(horizon / error_2),
        "heads": log(horizon / error_2),
        "hidden": log(horizon / error_2),
        "norm": log(horizon / error_2),
    },
)

# "Combining the intermediate steps with the approximation error in step 2b chosen as ε/m gives step 2."
STEP_2B_SHARE: sympy.Expr = error_2 / poles

# Step 3 assumes that the errors of steps 1 and 2 are less than these.
STEP_3_NEEDS_1: sympy.Expr = error_3 / action_max
STEP_3_NEEDS_2: sympy.Expr = error_3 * RIDGE / sqrt(4 * noise_variance)

# 𝖡, what the attention heads of step 3 take for a bound on ⟨μ̂_t, a_{t,k}⟩: printed with T/δ₀ where the event has 2T/δ₀.
STEP_3_THRESHOLD: sympy.Expr = (
    2
    * horizon
    * action_max**2
    * (action_max * weight_norm + sqrt(2 * noise_variance * log(horizon / failure)))
    / RIDGE
)

_STEP_3_ASSUMPTIONS = (*EVENT, "error_1 < error_3 / action_max and error_2 < error_3 · (r/λ) / √(4r)")

STEP_3 = Statement(
    name="Thompson sampling, step 3: the arguments, explicit part",
    source=f"{_PROOF}, step 3",
    assumptions=(*_STEP_3_ASSUMPTIONS, _SMALL),
    error=error_3,
    size={
        "layers": ceiling(
            2
            + 2
            * sqrt(2 * horizon * (action_max**2 + RIDGE) / RIDGE)
            * log(
                (1 + CONDITION)
                * 4
                * sqrt(noise_variance)
                * sqrt(horizon * (action_max**2 + RIDGE))
                * action_max
                / error_3
            )
        ),
        "heads": 4 * actions,
        "hidden": 4 * actions * dim,
    },
)

STEP_3_ORDER = Statement(
    name="Thompson sampling, step 3: the arguments, orders",
    source=f"{_PROOF}, step 3; log from 𝖡 in its proof",
    kind="order",
    assumptions=_STEP_3_ASSUMPTIONS,
    error=error_3,
    size={"norm": horizon + actions},
    logs={"norm": sqrt(log(horizon / failure))},
)

STEP_4 = Statement(
    name="Thompson sampling, step 4: the truncated log-probabilities",
    source=f"{_PROOF}, step 4 (MLP only: heads 0; norm of W₁ and of W₂)",
    assumptions=(
        *EVENT,
        APPROXIMABLE,
        "error_3 ≤ RADIUS / 2",
        "the computed arguments x_1, …, x_A are SEPARATION_USED apart",
    ),
    error=error_4,
    size={
        "layers": sympy.Integer(1),
        "heads": _NONE,
        "hidden": neurons * actions,
        "norm": sqrt(neurons * actions) + neuron_norm,
    },
)
