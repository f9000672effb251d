"""Who can be asked to play, by name: a table for bandits, and one for decision processes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.algorithms import ucbvi_bonus
from verify.play.lockstep import Player
from verify.play.many_bandits import Tasks
from verify.play.many_mdps import UCBVI
from verify.play.players import UCB, EmpiricalMean, LinearThompson, LinUCB, Mixed, Thompson, Uniform

GREEDY = 1e-9
"""A temperature at which the largest value is taken, and uniforms decide between equal ones."""


@dataclass(frozen=True)
class Seat:
    """One who can play.

    Attributes:
        title: its name in tables and figures.
        take: from problems, the recipe that they are drawn by, and a generator to the player.
        certain: whether it takes one action with certainty, so that it has no odds to compare.
    """

    title: str
    take: Callable[[Any, Any, np.random.Generator], Player]
    certain: bool = False


def _thompson(problems: Tasks, recipe: Any, generator: np.random.Generator) -> Player:
    if problems.bernoulli:
        return Thompson(problems, generator)
    return LinearThompson(problems, generator, recipe.prior_variance, recipe.noise**2 or GREEDY)


def _mixed(problems: Tasks, recipe: Any, generator: np.random.Generator) -> Player:
    """Thompson sampling in a share of the bandits, evenly spread, and uniform in the rest."""
    spread = np.floor(recipe.share * np.arange(len(problems.means) + 1))
    return Mixed(spread[1:] == spread[:-1], Uniform(problems), Thompson(problems, generator))


BANDITS: Mapping[str, Seat] = {
    "linucb": Seat(
        "LinUCB",
        lambda problems, recipe, generator: LinUCB(problems, recipe.ridge, recipe.bonus),
        certain=True,
    ),
    "ucb": Seat("UCB", lambda problems, recipe, generator: UCB(problems), certain=True),
    "empirical": Seat(
        "empirical mean", lambda problems, recipe, generator: EmpiricalMean(problems), certain=True
    ),
    "uniform": Seat("uniform", lambda problems, recipe, generator: Uniform(problems)),
    "thompson": Seat("Thompson sampling", _thompson),
    "mixed": Seat("Thompson sampling and uniform", _mixed),
}
EPISODES: Mapping[str, Seat] = {
    "ucbvi": Seat(
        "UCB-VI",
        lambda problems, recipe, generator: UCBVI(problems, ucbvi_bonus(recipe.spec), recipe.spec.tau),
    ),
    "uniform": Seat("uniform", lambda problems, recipe, generator: Uniform(problems)),
    "values": Seat(
        "empirical values",
        lambda problems, recipe, generator: UCBVI(problems, np.zeros(problems.steps + 1), GREEDY),
    ),
}
"""Values: greedy, with no bonus but for what is new."""

TITLES = {name: seat.title for seats in (BANDITS, EPISODES) for name, seat in seats.items()}
