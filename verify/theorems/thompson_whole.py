"""Linear Thompson sampling: how the four steps make up Theorem 10, and the regret of Theorem 11.

The formulas are as printed, slips included.
"""

from collections.abc import Mapping
from types import MappingProxyType

import sympy
from sympy import Max, Rational, exp, log, sqrt

from verify.theorems import (
    PAPER,
    Statement,
    action_max,
    actions,
    dim,
    distribution_ratio,
    error,
    error_1,
    error_2,
    error_3,
    error_4,
    failure,
    horizon,
    log_covering,
    neuron_norm,
    neurons,
    noise_variance,
    poles,
    prior_variance,
    separation,
    trajectories,
    truncation,
)
from verify.theorems.thompson import (
    APPROXIMABLE,
    EVENT,
    POLES,
    RIDGE,
    SEPARATED,
    STEP_1,
    STEP_2A,
    STEP_2B,
    STEP_2B_SHARE,
    STEP_2C,
    STEP_3,
    STEP_3_NEEDS_1,
    STEP_3_NEEDS_2,
    STEP_4,
)

_PROOF = f"{PAPER}, section F.3, proof of Theorem 10"
_REGRET_PROOF = f"{PAPER}, section F.4, proof of Theorem 11"
_QUARTER = Rational(1, 4)

# What the proof uses of the arguments x_k = √r Σ_t^{-1/2} a_{t,k}: "by Assumption [separation] and a triangular
# inequality". Beside it, what follows for the exact ones from ‖Σ_t‖ ≤ T (B_a² + λ̃), which is no formula of the paper.
SEPARATION_USED: sympy.Expr = separation / 2
SEPARATION_KEPT: sympy.Expr = separation * sqrt(noise_variance / (horizon * (action_max**2 + RIDGE)))

# The lemma on the Hölder continuity of the truncated log-probabilities, for one argument x_j or y_j moved by
# error_3, where the x are separation apart.
HOLDER_VECTOR: sympy.Expr = (
    2 * actions / truncation * (sqrt(2 * error_3 / separation) + 2 * error_3 / separation)
)
HOLDER_MEAN: sympy.Expr = 2 * actions * error_3 / (separation * truncation)

# ε₅, on probabilities, all of whose arguments have moved; and the bound on the one-sided error of log-probabilities,
# if A ε₅ < 1.
PROBABILITY_BOUND: sympy.Expr = (
    exp(Rational(3, 2))
    * (
        error_4
        + 2 * actions**2 / truncation * (sqrt(2 * error_3 / separation) + 2 * error_3 / separation)
        + 2 * actions**2 * error_3 / (separation * truncation)
    )
    + truncation
)
LOG_BOUND: sympy.Expr = (actions + 1) * PROBABILITY_BOUND

# The bound that the proof wants of ε₅ for an error of ε (the paper has it twice, the second time as ε/(4A)), and its
# choice of η₁. Of the others it prints powers of ε only: ε₁, ε₂, ε₃ of order ε⁴ and ε₄ of order ε, with factors
# polynomial in A and 1/η.
PROBABILITY_NEEDS: sympy.Expr = error / (2 * actions)
PROBABILITY_NEEDS_AGAIN: sympy.Expr = error / (4 * actions)
TRUNCATION: sympy.Expr = error / (4 * actions)
ERROR_POWERS: Mapping[str, int] = MappingProxyType({"error_1": 4, "error_2": 4, "error_3": 4, "error_4": 1})

# The proof's number of poles and its layers, as functions of error_3, whose constant is not printed: errors of steps
# 1 and 2 as step 3 needs them, that of step 2b its share, steps 1, 2a, 2b, 2c, 3 and 4 one after the other.
STATED_POLES: sympy.Expr = sympy.sympify(POLES.subs(error_2, STEP_3_NEEDS_2))
STATED_LAYERS: sympy.Expr = (
    sympy.sympify(STEP_1.size["layers"].subs(error_1, STEP_3_NEEDS_1))
    + STEP_2A.size["layers"]
    + sympy.sympify(
        STEP_2B.size["layers"]
        .subs(error, STEP_2B_SHARE)
        .subs(error_2, STEP_3_NEEDS_2)
        .subs(poles, STATED_POLES)
    )
    + STEP_2C.size["layers"]
    + STEP_3.size["layers"]
    + STEP_4.size["layers"]
)
STATED_HEADS: sympy.Expr = sympy.sympify(STEP_2B.size["heads"].subs(poles, STATED_POLES))

_LOG = log(horizon * actions * dim / (error * separation))

THEOREM_10 = Statement(
    name="Theorem 10, linear Thompson sampling",
    source=f"{PAPER}, section F.2, formal statement of Theorem 10; logs from its proof",
    kind="order",
    assumptions=(
        *EVENT,
        SEPARATED,
        APPROXIMABLE,
        "error < min(separation, 1) / 4; truncation = error / (4 · actions)",
        "polynomials in prior_variance, noise_variance, their inverses, 1/action_min and action_max are hidden",
        "with probability at least 1 − failure, and for one side: log of the true probability less that computed",
    ),
    error=error,
    size={
        "layers": sqrt(horizon),
        "heads": actions * horizon**_QUARTER,
        "width": horizon**_QUARTER * actions * dim,
        "hidden": actions * (horizon**_QUARTER * dim + neurons),
        "norm": horizon + actions * horizon**_QUARTER + sqrt(neurons * actions) + neuron_norm,
    },
    logs={"layers": _LOG, "heads": _LOG, "width": _LOG, "hidden": _LOG, "norm": _LOG},
)

# Theorem 11. β, the radius of the confidence ellipsoids, at failure = δ_TS, and the value it is given.
CONFIDENCE_RADIUS: sympy.Expr = sqrt(noise_variance) * (
    sqrt(2 * noise_variance * dim * log(4 * dim / failure))
    + sqrt(2 * log(2 / failure) + dim * log(1 + horizon * action_max**2 / (RIDGE * dim)))
)
REGRET_FAILURE: sympy.Expr = 1 / (horizon * sqrt(dim))
REGRET_RADIUS: sympy.Expr = sympy.sympify(CONFIDENCE_RADIUS.subs(failure, REGRET_FAILURE))

# The Bayes regret of Thompson sampling: on the event, off the event, and both, with every constant of the proof.
REGRET_ON_EVENT: sympy.Expr = (
    2
    * Max(REGRET_RADIUS, action_max / sqrt(RIDGE))
    * sqrt(horizon)
    * sqrt(2 * dim * log(1 + horizon * action_max**2 / (RIDGE * dim)))
)
REGRET_OFF_EVENT: sympy.Expr = 6 * action_max * sqrt(prior_variance * log(4 * dim**2 * horizon))
REGRET: sympy.Expr = REGRET_ON_EVENT + REGRET_OFF_EVENT

# The same as an order, its logarithm included; what learning it from data adds with probability at least 1 − failure,
# at an approximation error of LEARNING_ERROR; and the two orders printed for log 𝒩_Θ, without their logarithms of sizes.
REGRET_ORDER: sympy.Expr = dim * sqrt(horizon) * log(horizon * dim)
LEARNING_ERROR: sympy.Expr = 1 / (distribution_ratio * horizon**3)
LEARNING_REGRET: sympy.Expr = (
    sqrt(distribution_ratio) * horizon**2 * sqrt((log_covering + log(horizon / failure)) / trajectories)
)
LOG_COVERING_BY_SIZES: sympy.Expr = (
    THEOREM_10.size["layers"] ** 2
    * THEOREM_10.size["width"]
    * (THEOREM_10.size["heads"] * THEOREM_10.size["width"] + THEOREM_10.size["hidden"])
    * log(trajectories)
)
LOG_COVERING: sympy.Expr = (
    horizon ** Rational(5, 4)
    * actions**2
    * dim
    * (neurons + actions * sqrt(horizon) * dim)
    * log(trajectories)
)
