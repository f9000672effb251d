"""Supervised pretraining: what a transformer learns from n trajectories, as stated. The constants c are set to 1.

Sources: arXiv 2310.08566, Theorem 6 (distance to the expert, and rewards), the bound on the covering number that its
section on pretraining gives, and Theorem 9 (the temperature at which soft LinUCB has the regret of LinUCB).
"""

import sympy
from sympy import Max, log, sqrt

from verify.theorems import (
    action_max,
    actions,
    covering_radius,
    distribution_ratio,
    error,
    exploration,
    failure,
    heads,
    hidden,
    horizon,
    layers,
    log_covering,
    norm,
    radius,
    ridge,
    trajectories,
    weight_norm,
    width,
)

# The radius at which transformers are covered, and the logarithm of how many are needed.
COVERING_RADIUS: sympy.Expr = (trajectories * horizon) ** -2
LOG_COVERING: sympy.Expr = (
    layers**2 * width * (heads * width + hidden) * log(2 + Max(norm, layers, radius) / covering_radius)
)

# With probability at least 1 − failure, Σ_t of the expected Hellinger distance to the expert; `error` is ε_real.
DISTANCE: sympy.Expr = (
    horizon
    * sqrt(distribution_ratio)
    * (sqrt((log_covering + log(horizon / failure)) / trajectories) + sqrt(error))
)
# The gap in total reward, rewards being in [−1, 1].
REWARD_GAP: sympy.Expr = horizon * DISTANCE

# What holds of any two policies: D_H² = Σ_a (√p − √q)² ≤ 2 at each step; a reward is off by 1 at most in [0, 1].
TRIVIAL_DISTANCE: sympy.Expr = sqrt(2) * horizon
TRIVIAL_REWARD_GAP: sympy.Expr = horizon

# Theorem 9: soft LinUCB at this temperature has the regret of LinUCB, up to constants.
TEMPERATURE: sympy.Expr = 1 / (
    sqrt(4 * horizon)
    * log(4 * horizon * actions * action_max * (weight_norm + 2 * exploration / sqrt(ridge)))
)
