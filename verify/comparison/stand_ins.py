"""What stands in for the algorithm that a model was to learn: specifications, which rows of the catalog have as `stand_in`.

LinUCB as an expert takes the largest score, and no transformer of the paper does that exactly; soft LinUCB at the
temperature of Theorem 9 stands in for it, 0.003 at T = 200, at which the paper shows the regret of LinUCB. Thompson sampling
of Bernoulli arms and soft UCB-VI stand for themselves. UCB for Bernoulli arms has no built form.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from constructions import linucb, thompson, ucbvi
from constructions.construction import Construction
from constructions.plain import shown
from verify import theorems
from verify.audit import Truth
from verify.catalog import CATALOG, Entry
from verify.theorems import pretraining
from verify.training.kinds import BanditRecipe, EpisodeRecipe, Recipe
from verify.training.shifts import NOISES

LOWEST = 0.05
"""Arms of linear bandits are taken for no shorter; one in ten million is."""
SHORTEST = 1e-4
"""The same where arms are projected or drawn together."""


def home(recipe: Recipe) -> Entry:
    """The row of the catalog that a recipe's problems belong to."""
    return CATALOG[recipe.row]


def bounds(recipe: Recipe, shifted: bool = False) -> Any:
    """The specification of the recipe's row that its problems keep within; `shifted` if it is to admit every shift."""
    return home(recipe).found("stand_in")(recipe, shifted)


SIZES = ("dim", "actions", "states", "horizon", "episodes")
"""Fields of specifications that the problems decide."""


def stand_in(
    recipe: Recipe, shifted: bool = False, fields: Mapping[str, Any] | None = None
) -> Construction | None:
    """The built transformer for the algorithm that a recipe's models are to learn, if that is the one of its row.

    Args:
        recipe: the recipe.
        shifted: whether it is to admit every shift of the problems.
        fields: of the specification, where they are to be others.

    Raises:
        ValueError: for a field that it does not have, a value that is refused or makes it one of other problems, or fields
            where nothing is built.

    >>> from verify.training.recipes import RECIPES
    >>> round(stand_in(RECIPES["ad-linucb"]).spec.temperature, 6)
    0.003042
    """
    entry = home(recipe)
    if entry.player != recipe.algorithm:
        if fields:
            raise ValueError(
                f"{min(fields)}: wanted none, as nothing is built for {recipe.algorithm}, got one"
            )
        return None
    spec = bounds(recipe, shifted)
    entry.hold(fields or {})
    for name, value in (fields or {}).items():
        if name in SIZES and value != getattr(spec, name):
            raise ValueError(
                f"{name}: wanted {getattr(spec, name)}, that of the model's problems, got {shown(value)}"
            )
    return entry.build(replace(spec, **(fields or {})))


def truth(recipe: Recipe) -> Truth:
    """The true algorithm that a recipe's models are to learn, from specification and history to log-probabilities.

    Raises:
        ValueError: if it is not that of the recipe's row.
    """
    entry = home(recipe)
    if entry.player != recipe.algorithm:
        raise ValueError(f"recipe: wanted the algorithm of the row {entry.name}, got {recipe.algorithm}")
    return entry.truth


def soft_linucb(recipe: BanditRecipe, shifted: bool = False) -> linucb.Spec:
    """LinUCB as the paper has it, at the temperature of Theorem 9; wider bounds if problems are to be shifted."""
    longest = float(np.sqrt(recipe.dim))
    low, high = recipe.action_norm or (LOWEST, longest)
    shared = {"ridge": recipe.ridge, "exploration": recipe.bonus, "weight_norm": longest}
    sizes = {"horizon": recipe.horizon, "actions": recipe.actions, "action_max": high}
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
        action_norm=(min(SHORTEST, low), max(longest, high)) if shifted else (low, high),
        noise_bound=max(deviations * recipe.noise, 1.0),
    )


def bernoulli_thompson(recipe: BanditRecipe, shifted: bool = False) -> thompson.BernoulliSpec:
    """Thompson sampling of as many arms and steps; every shift keeps rewards within 0 and 1."""
    return thompson.BernoulliSpec(recipe.actions, recipe.horizon)


def narrow_ucbvi(recipe: EpisodeRecipe, shifted: bool = False) -> ucbvi.Spec:
    """The recipe's own, in the smallest form; every shift keeps to its sizes."""
    return replace(recipe.spec, form="narrow")
