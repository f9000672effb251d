"""Amortised or algorithmic? What a trained model does where the algorithm is told from a memory of its runs.

Three questions, each with its controls: does it keep the algorithm's symmetries (symmetries.py), do its layers hold the
registers of the construction (linear_probes.py), and how does it fare on problems unlike those of its training
(out_of_distribution.py)?
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from constructions import checks
from constructions.thompson import BernoulliSpec
from verify.comparison.panels import NAMES
from verify.comparison.stand_ins import soft_linucb, stand_in, true_policy
from verify.probes import linear_probes, out_of_distribution, symmetries
from verify.probes.episode_symmetries import episodic
from verify.sweeps.records import Record
from verify.training import train
from verify.training.policy import (
    HELD_OUT,
    Trained,
    held_out,
    histories,
    named,
    played,
    true_algorithm,
)
from verify.training.recipes import EpisodeRecipe, Recipe

Tell = Callable[[str, int, int], None]
PARTS = ("symmetries", "registers", "shifts")


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        histories: in each search for a broken symmetry.
        runs: of the true algorithm, to be transformed by each symmetry.
        registers: problems for linear probes.
        shifts: problems for each shift.
    """

    histories: int = 60
    runs: int = 20
    registers: int = 100
    shifts: int = 64

    def __post_init__(self):
        for field in fields(self):
            least = 2 * linear_probes.FOLDS if field.name == "registers" else 2
            checks.settle(self, checks.whole, field.name, least=least)


QUICK = Effort(histories=5, runs=3, registers=20, shifts=10)


def probe(
    model: Path | str,
    effort: Effort = Effort(),
    only: Collection[str] | None = None,
    tell: Tell = lambda what, done, whole: None,
) -> Record:
    """What was found out about a model, as JSON, a list of records for each part; `records` has panels for plots.draw.

    The parts are those of PARTS that apply, if not told.

    Raises:
        ValueError: if there is no such model, there is no such part, or it does not apply to models of episodes.
    """
    for part in only or ():
        if part not in PARTS:
            raise ValueError(f"only: wanted one of {', '.join(PARTS)}, got {part!r}")
    path = train.locate(model)
    trained = train.load(path)
    recipe, only = trained.recipe, applicable(trained.recipe) if only is None else only
    for part in only:
        if part not in applicable(recipe):
            wanted = "wanted symmetries or shifts for a model trained on episodes"
            raise ValueError(f"only: {wanted}, got {part}")
    found: Record = {"model": train.title(path), "true": NAMES[true_algorithm(recipe)], "records": {}}
    if "symmetries" in only:
        found["symmetries"] = broken(trained, effort, partial(tell, "symmetries"))
    if "registers" in only:
        tell_registers = partial(tell, "registers")
        found["registers"] = linear_probes.probes(trained, effort.registers, tell=tell_registers)
        found["records"]["registers"] = linear_probes.panels(found["registers"])
    if "shifts" in only:
        built, tell_shifts = stand_in(recipe, shifted=True), partial(tell, "shifts")
        found["shifts"] = out_of_distribution.probe(trained, built, effort.shifts, tell=tell_shifts)
        smooth = min(10, recipe.horizon)
        found["records"]["shifts"] = out_of_distribution.panels(found["shifts"], smooth)
    return found


def applicable(recipe: Recipe) -> tuple[str, ...]:
    """The parts that can be asked of a recipe's models."""
    return ("symmetries", "shifts") if isinstance(recipe, EpisodeRecipe) else PARTS


def _symmetries(recipe: Recipe) -> tuple[Any, dict[str, symmetries.Symmetry]]:
    """The bounds that histories keep within, and the symmetries of a recipe's algorithm."""
    if isinstance(recipe, EpisodeRecipe):
        return recipe.spec, episodic(recipe.spec)
    if recipe.problem == "linear":
        return soft_linucb(recipe), symmetries.LINEAR
    return BernoulliSpec(recipe.actions, recipe.horizon), symmetries.BERNOULLI


def broken(trained: Trained, effort: Effort, tell: Callable[[int, int], None]) -> list[Record]:
    """By how much the model breaks each symmetry of its algorithm, beside the true policy where that has probabilities."""
    recipe, generator = trained.recipe, np.random.default_rng([HELD_OUT, 0, 2])
    spec, known = _symmetries(recipe)
    problems = held_out(recipe, generator, effort.runs)
    seen = played(problems, named(true_algorithm(recipe), recipe, problems, generator))
    return symmetries.measured(
        trained.log_probabilities,
        known,
        spec,
        histories(problems, seen),
        histories=effort.histories,
        true=None if true_algorithm(recipe) == "ucb" else partial(true_policy, recipe, spec),
        tell=tell,
    )
