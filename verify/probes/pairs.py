"""Pairs of histories for interchange interventions: bases, and sources with the same arms but another past."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions.history import BanditHistory
from verify.comparison.stand_ins import home
from verify.play.lockstep import play
from verify.probes.linear_probes import registers
from verify.training import shifts
from verify.training.kinds import Recipe, seated
from verify.training.policy import HELD_OUT

PARTS_OF_HORIZON = (0.05, 0.1, 0.25, 0.5, 0.95)
"""Where decisions are changed."""


@dataclass(frozen=True, eq=False)
class Run:
    """Histories at some decisions: what was played, what tokens were seen, and what the algorithm knew."""

    histories: Sequence[BanditHistory]
    tokens: Float[np.ndarray, "pairs tokens entries"]
    known: Mapping[str, Float[np.ndarray, "pairs steps _"]]


def drawn(recipe: Recipe, problems: int, seed: int) -> tuple[Run, Run, Run]:
    """Histories of the recipe's player: half for probes, and bases, with their sources, for what is left.

    A source has the arms of its base, and the weights, noise and luck of the base after the next, as "mixed" players come by
    turns.
    """
    generator, known = np.random.default_rng([HELD_OUT, seed, 4]), home(recipe).found("registers")

    def run(problems: Any) -> Run:
        seen = play(problems, seated(recipe, recipe.player, problems, generator))
        histories, tokens = problems.histories(seen), recipe.encode(problems, seen)
        return Run(histories, tokens, registers(known, recipe, problems, seen))

    fitting: Any
    bases: Any
    fitting, bases = (recipe.draw(generator, size) for size in (problems // 2, problems - problems // 2))
    rolled = {
        one.name: np.roll(getattr(bases, one.name), -2, axis=0)
        for one in fields(bases)
        if one.name != "bernoulli"
    }
    sources = shifts.with_arms(replace(bases, **rolled), bases.arms)
    return run(fitting), run(bases), run(sources)


def decisions(horizon: int) -> Int[np.ndarray, " steps"]:
    """Which decisions are changed, from 0; the first has no past.

    >>> decisions(200).tolist()
    [10, 20, 50, 100, 190]
    """
    return np.unique([max(1, min(int(part * horizon), horizon - 1)) for part in PARTS_OF_HORIZON])


def until(history: BanditHistory, step: int) -> BanditHistory:
    """The history when the decision of that number, from 0, is pending."""
    return BanditHistory(history.contexts[: step + 1], history.actions[:step], history.rewards[:step])
