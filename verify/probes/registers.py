"""What true algorithms know at each decision: the registers of the constructions, those of all arms side by side."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.history import BanditHistory
from verify import algorithms
from verify.play.seats import GREEDY


def linear(recipe: Any, history: BanditHistory) -> dict[str, Float[np.ndarray, "steps size"]]:
    """w_t, A_t⁻¹a_k, √(a_kᵀA_t⁻¹a_k) and ⟨a_k, w_t⟩ at the ridge of the recipe's algorithm.

    Of Thompson sampling that is the variance of its noise over that of its prior, else LinUCB's.
    """
    thompson = (recipe.noise**2 or GREEDY) / recipe.prior_variance
    ridge = thompson if recipe.algorithm == "thompson" else recipe.ridge
    spec: Any = SimpleNamespace(ridge=ridge, exploration=1.0, temperature=1.0)
    values = algorithms.linucb_values(spec, history)
    inverse = values.inverse_actions.reshape(history.steps, -1)
    return {
        "ridge estimate": values.ridge_estimate,
        "A⁻¹a": inverse,
        "width": values.width,
        "mean": values.mean,
    }


def counted(recipe: Any, history: BanditHistory) -> dict[str, Float[np.ndarray, "steps size"]]:
    """Successes and failures of each Bernoulli arm, and the mean (s + 1)/(s + f + 2) of the posterior."""
    arms = history.contexts.shape[1]
    plays = np.eye(arms)[history.actions]
    won, lost = (
        np.concatenate([np.zeros((1, arms)), np.cumsum(plays * paid[:, None], axis=0)])
        for paid in (history.rewards, 1 - history.rewards)
    )
    return {"successes": won, "failures": lost, "posterior mean": (won + 1) / (won + lost + 2)}
