"""What stands in for the algorithm that a model was to learn: built transformers, and true policies of the same spec.

LinUCB as an expert takes the largest score, and no transformer of the paper does that exactly; soft LinUCB at the
temperature of Theorem 9 stands in for it, 0.003 at T = 200, at which the paper shows the regret of LinUCB. Thompson sampling
of Bernoulli arms and soft UCB-VI stand for themselves. UCB for Bernoulli arms has no built form.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import linucb, thompson, ucbvi
from constructions.construction import Construction
from constructions.inputs.bandits import History
from verify import algorithms, theorems
from verify.theorems import pretraining
from verify.training.policy import true_algorithm
from verify.training.recipes import BanditRecipe, EpisodeRecipe, Recipe
from verify.training.shifts import NOISES

LOWEST = 0.05
"""Arms of linear bandits are taken for no shorter; one in ten million is."""
SHORTEST = 1e-4
"""The same where arms are projected or drawn together."""


@dataclass(frozen=True)
class Truth:
    """A true algorithm, from the spec of what is built: probabilities on whole histories, and one decision at a time."""

    policy: Callable[[Any, Any], Float[np.ndarray, "steps actions"]]
    decoder: Callable[[Any], Any]


TRUTHS = {
    "linucb": Truth(algorithms.linucb, algorithms.decoder),
    "thompson": Truth(algorithms.bernoulli_thompson, algorithms.bernoulli_thompson_decoder),
    "ucbvi": Truth(algorithms.ucbvi, algorithms.ucbvi_decoder),
}


def stand_in(recipe: Recipe, shifted: bool = False) -> Construction | None:
    """The built transformer for a recipe's true algorithm, if there is one; `shifted` if it is to admit every shift.

    >>> from verify.training.recipes import RECIPES
    >>> round(stand_in(RECIPES["ad-linucb"]).spec.temperature, 6)
    0.003042
    """
    if isinstance(recipe, EpisodeRecipe):
        return ucbvi.build(replace(recipe.spec, form="narrow"))
    if true_algorithm(recipe) == "thompson":
        return thompson.build(thompson.BernoulliSpec(recipe.actions, recipe.horizon))
    return linucb.build(soft_linucb(recipe, shifted)) if true_algorithm(recipe) == "linucb" else None


def soft_linucb(recipe: BanditRecipe, shifted: bool = False) -> linucb.Spec:
    """LinUCB as the paper has it, at the temperature of Theorem 9; wider bounds if problems are to be shifted."""
    longest = float(np.sqrt(recipe.dim))
    shared = {"ridge": 1.0, "exploration": 2.0, "weight_norm": longest}  # the paper's
    sizes = {"horizon": recipe.horizon, "actions": recipe.actions, "action_max": longest}
    deviations = 8 * max(NOISES) + 1 if shifted else 4
    return linucb.Spec(
        recipe.dim,
        recipe.actions,
        recipe.horizon,
        solver="newton",
        root="products",
        ridge=shared["ridge"],
        exploration=shared["exploration"],
        weight_norm=longest,
        temperature=theorems.evaluate(pretraining.TEMPERATURE, **sizes, **shared),
        action_norm=(SHORTEST if shifted else LOWEST, longest),
        noise_bound=max(deviations * recipe.noise, 1.0),
    )


def true_policy(recipe: Recipe, spec: Any, history: History) -> Float[np.ndarray, "steps actions"]:
    """Log-probabilities of the true algorithm, at the spec of what was built."""
    return TRUTHS[true_algorithm(recipe)].policy(spec, history)
