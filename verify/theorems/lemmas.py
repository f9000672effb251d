"""The lemmas every construction leans on: gradient descent, ridge regression, log-softmax.

The ridge problem after t − 1 < T observations is solved on the token of index 2t − 1, and the paper divides
it by that index: it is λ/(2t − 1)-strongly convex and (B_a² + λ)-smooth, its condition number is at most
`RIDGE_CONDITION`, and its solution has norm at most `RIDGE_NORM`. The start is 0, the step size
1/(B_a² + λ).

>>> setting = dict(horizon=200, action_max=5**0.5, ridge=1, weight_norm=5**0.5, noise_bound=6)
>>> RIDGE_AGD.evaluate("layers", error=1e-3, **setting)
2273.0
"""

import sympy
from sympy import ceiling, exp, log, sqrt

from verify.theorems import (
    PAPER,
    Statement,
    action_max,
    depth,
    dim,
    error,
    horizon,
    logit_error,
    noise_bound,
    ridge,
    weight_norm,
)

BOUNDED = (
    "every action vector has norm at most action_max",
    "the true weight vector has norm at most weight_norm",
    "every noise has absolute value at most noise_bound",
)
_SMALL = "error is small: the formula for the layers is positive"
MOMENTUM = "the momentum is (√κ − 1)/(√κ + 1) with κ the bound 2T(B_a² + λ)/λ, the same at every step"

RIDGE_CONDITION: sympy.Expr = 2 * horizon * (action_max**2 + ridge) / ridge
RIDGE_NORM: sympy.Expr = horizon * action_max * (action_max * weight_norm + noise_bound) / ridge


def gd_distance(steps: sympy.Expr, condition: sympy.Expr, start: sympy.Expr) -> sympy.Expr:
    """Bound on ‖w_k − w*‖ after k steps of gradient descent, condition number κ, initial distance `start`.

    Source: Proposition 19 (a), which prints the square: ‖w_k − w*‖² ≤ exp(−k/κ) ‖w_0 − w*‖².
    """
    return exp(-steps / (2 * condition)) * start


def agd_distance(steps: sympy.Expr, condition: sympy.Expr, start: sympy.Expr) -> sympy.Expr:
    """Bound on ‖w_k − w*‖ after k steps of accelerated gradient descent.

    Source: Proposition 19 (b), which prints the square: ‖w_k − w*‖² ≤ (1 + κ) exp(−k/√κ) ‖w_0 − w*‖².
    """
    return sqrt(1 + condition) * exp(-steps / (2 * sqrt(condition))) * start


GD_CONVERGENCE = Statement(
    name="gradient descent on the ridge problem",
    source=f"{PAPER}, Proposition 19 (a), with the bounds on κ and ‖w_t‖ in the proof of Lemma 21",
    assumptions=BOUNDED,
    error=gd_distance(depth, RIDGE_CONDITION, RIDGE_NORM),
)

AGD_CONVERGENCE = Statement(
    name="accelerated gradient descent on the ridge problem",
    source=f"{PAPER}, Proposition 19 (b), with the bounds on κ and ‖w_t‖ in the proof of Lemma 21",
    assumptions=(*BOUNDED, MOMENTUM),
    error=agd_distance(depth, RIDGE_CONDITION, RIDGE_NORM),
)

_GD_SIZE = {
    "heads": sympy.Integer(3),
    "hidden": sympy.Integer(0),
    "norm": sqrt(2) + (ridge + 2) / (action_max**2 + ridge),
}

RIDGE_GD = Statement(
    name="ridge lemma, gradient descent",
    source=f"{PAPER}, Lemma 21, first part",
    assumptions=(*BOUNDED, _SMALL),
    error=error,
    size={
        "layers": ceiling(
            4
            * horizon
            * (action_max**2 + ridge)
            / ridge
            * log(horizon * action_max * (action_max * weight_norm + noise_bound) / (ridge * error))
        ),
        **_GD_SIZE,
    },
)

RIDGE_GD_DEPTH = Statement(
    name="ridge lemma, gradient descent, error at a given depth",
    source=f"{PAPER}, Lemma 21, first part, its formula for the layers solved for ε",
    assumptions=BOUNDED,
    error=RIDGE_NORM * exp(-depth * ridge / (4 * horizon * (action_max**2 + ridge))),
    size={"layers": depth, **_GD_SIZE},
)

_AGD_SIZE = {"heads": sympy.Integer(4), "hidden": 4 * dim, "norm": 10 + (ridge + 2) / (action_max**2 + ridge)}

RIDGE_AGD = Statement(
    name="ridge lemma, accelerated gradient descent",
    source=f"{PAPER}, Lemma 21, second part",
    assumptions=(*BOUNDED, _SMALL),
    error=error,
    size={
        "layers": ceiling(
            2
            * sqrt(2 * horizon)
            * sqrt((action_max**2 + ridge) / ridge)
            * log(
                (2 * horizon * (action_max**2 + ridge) + ridge)
                * horizon
                * action_max
                * (action_max * weight_norm + noise_bound)
                / (ridge**2 * error)
            )
        ),
        **_AGD_SIZE,
    },
)

RIDGE_AGD_DEPTH = Statement(
    name="ridge lemma, accelerated gradient descent, error at a given depth",
    source=f"{PAPER}, Lemma 21, second part, its formula for the layers solved for ε",
    assumptions=(*BOUNDED, MOMENTUM),
    error=(2 * horizon * (action_max**2 + ridge) + ridge)
    / ridge
    * RIDGE_NORM
    * exp(-depth / (2 * sqrt(2 * horizon) * sqrt((action_max**2 + ridge) / ridge))),
    size={"layers": depth, **_AGD_SIZE},
)

LOG_SOFTMAX = Statement(
    name="log-softmax is 2-Lipschitz in the largest coordinate",
    source=f"{PAPER}, Lemma 18",
    error=2 * logit_error,
)
