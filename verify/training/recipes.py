"""What a transformer is trained on: problems, who plays them, and the two kinds of labels.

Algorithm distillation labels every step with the action that the expert took there, the expert being who plays. Decision
pretraining labels every step with the optimal arm, whoever plays; approximate decision pretraining, with the arm that looks
best at the end of the trajectory. Batch number n of a seed is a function of (recipe, seed, n) alone: it needs no state, so
a run that is resumed goes on with the very batches that it would have had.

Source: arXiv 2310.08566, sections 3.3, 5 and Proposition 7.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from constructions import checks, limits
from verify.play.lockstep import play
from verify.training.kinds import BanditRecipe, EpisodeRecipe, Recipe, seated
from verify.training.policy import HELD_OUT


def units(recipe: Recipe) -> tuple[float, ...]:
    """What models divide the entries of a token by."""
    stream = recipe.tokens.stream
    found = np.ones(stream.width)
    for name, sizes in recipe.units.items():
        found[stream[name].slice] = sizes
    return tuple(found.tolist())


RECIPES: dict[str, Recipe] = {
    "ad-linucb": BanditRecipe("linear", "linucb", "expert", dim=5, actions=10, numbered=True),
    "ad-linucb-small": BanditRecipe(
        "linear", "linucb", "expert", dim=3, actions=5, horizon=100, numbered=True
    ),
    "dpt-bernoulli": BanditRecipe("bernoulli", "mixed", "optimal", dim=5, actions=5),
    "ad-ucb-bernoulli": BanditRecipe("bernoulli", "ucb", "expert", dim=5, actions=5),
    "ad-thompson-bernoulli": BanditRecipe("bernoulli", "thompson", "expert", dim=5, actions=5),
    "dpt-approximate": BanditRecipe("linear", "linucb", "estimate", dim=5, actions=10, numbered=True),
    "ad-ucbvi": EpisodeRecipe(placed=True),
}


@dataclass(frozen=True, eq=False)
class Batch:
    """Training data: tokens as float32, shape (batch, 2T − 1, entries), and for every decision a label, or odds of all."""

    tokens: Float[np.ndarray, "batch tokens entries"]
    labels: Int[np.ndarray, "batch steps"] | Float[np.ndarray, "batch steps actions"]

    def first(self, recipe: "Recipe", steps: int) -> "Batch":
        """The first decisions only."""
        return Batch(self.tokens[:, : recipe.places[steps - 1] + 1], self.labels[:, :steps])


def hold(recipe: Recipe, size: int) -> None:
    """Wanted: a batch of trajectories that fits into memory."""
    numbers = float(recipe.longest) * recipe.tokens.stream.width + recipe.working
    limits.hold("batch", numbers=size * numbers)


def batch(recipe: Recipe, seed: int, number: int, size: int) -> Batch:
    """Batch `number` of a seed.

    >>> one = batch(RECIPES["dpt-bernoulli"], seed=0, number=7, size=4)
    >>> one.tokens.shape, one.labels.shape
    ((4, 399, 39), (4, 200))
    """
    seed = checks.whole("seed", seed, least=0, most=HELD_OUT - 1)
    return _batch(recipe, seed, number, size)


def held_out(recipe: Recipe, number: int, size: int) -> Batch:
    """Batch `number` of trajectories of the recipe that no seed of training has: on the problems of `policy.contest`."""
    return _batch(recipe, HELD_OUT, number, size)


def _batch(recipe: Recipe, seed: int, number: int, size: int) -> Batch:
    """A batch as a function of its arguments alone."""
    checks.instance("recipe", recipe, BanditRecipe, EpisodeRecipe)
    number = checks.whole("number", number, least=0)
    hold(recipe, size := checks.whole("size", size))
    generator = np.random.default_rng([seed, number])
    problems = recipe.draw(generator, size)
    playing = seated(recipe, recipe.player, problems, generator)
    seen = play(problems, playing)
    return Batch(recipe.encode(problems, seen), recipe.wanted(problems, seen, playing))  # type: ignore[arg-type]
