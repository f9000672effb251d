"""Amortised or algorithmic? What a trained model does where the algorithm is told from a memory of its runs.

Five questions, each with its controls: does it keep the algorithm's symmetries (symmetries.py), do its layers hold the
registers of the construction (linear_probes.py), does its policy go by them (interchange.py), do its heads average over an
arm's own plays (attention.py), and how does it fare on problems unlike those of its training (out_of_distribution.py)?
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from constructions import checks
from verify.catalog import Entry
from verify.comparison.guests import Guest, subject
from verify.comparison.stand_ins import bounds, home, stand_in
from verify.play.lockstep import play
from verify.probes import attention, interchange, linear_probes, out_of_distribution, symmetries
from verify.sweeps.records import Record
from verify.training.kinds import Recipe, seated
from verify.training.policy import HELD_OUT, Trained

Tell = Callable[[str, int, int], None]
PARTS = ("symmetries", "registers", "interchange", "attention", "shifts")

LEAST = {"registers": 2 * linear_probes.FOLDS, "interchange": interchange.LEAST, "patterns": 4}
"""Of what there have to be more than two."""


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        histories: in each search for a broken symmetry.
        runs: of the true algorithm, to be transformed by each symmetry.
        registers: problems for linear probes.
        interchange: problems for interchange interventions.
        patterns: histories whose attention is looked at.
        shifts: problems for each shift.
    """

    histories: int = 60
    runs: int = 20
    registers: int = 100
    interchange: int = 200
    patterns: int = 200
    shifts: int = 64

    def __post_init__(self):
        for field in fields(self):
            least = LEAST.get(field.name, 2)
            checks.settle(self, checks.whole, field.name, least=least)


QUICK = Effort(histories=5, runs=3, registers=20, interchange=20, patterns=8, shifts=10)


def probe(
    model: Any,
    effort: Effort = Effort(),
    only: Collection[str] | None = None,
    tell: Tell = lambda what, done, whole: None,
    recipe: Recipe | str | None = None,
) -> Record:
    """What was found out about a model, as JSON, a list of records for each part; `records` has panels for plots.draw.

    The parts are those of PARTS that apply, if not told. A model of one's own is asked for log-probabilities alone
    (`guests.subject`, which `model` and `recipe` are for), and for its attention if it has `patterns(history)`.

    Raises:
        ValueError: if there is no such model, there is no such part, or the model's row of the catalog does not have it.
    """
    for part in only or ():
        if part not in PARTS:
            raise ValueError(f"only: wanted one of {', '.join(PARTS)}, got {part!r}")
    trained, title = subject(model, recipe)
    recipe, known = trained.recipe, applicable(home(trained.recipe))
    if isinstance(trained, Guest):
        kept = ("registers", "interchange") if trained.looks else ("registers", "interchange", "attention")
        known = tuple(part for part in known if part not in kept)
    if "interchange" in known and (lacking := interchange.lacking(recipe)) is not None:
        if only is not None and "interchange" in only:
            raise ValueError(f"interchange: wanted {lacking}")
        known = tuple(part for part in known if part != "interchange")
    only = known if only is None else only
    for part in only:
        if part not in known:
            raise ValueError(
                f"only: wanted {' or '.join(known)} for {_kind(trained)} on {recipe.problem}, got {part}"
            )
    true = recipe.seats[recipe.algorithm].title
    found: Record = {"model": title, "true": true, "records": {}}
    if "symmetries" in only:
        found["symmetries"] = broken(trained, effort, partial(tell, "symmetries"))
    if "registers" in only and isinstance(trained, Trained):
        tell_registers = partial(tell, "registers")
        found["registers"] = linear_probes.probes(trained, effort.registers, tell=tell_registers)
        found["records"]["registers"] = linear_probes.panels(found["registers"])
    if "interchange" in only and isinstance(trained, Trained):
        built = stand_in(recipe, fields=home(recipe).found("interchange").fields)
        found["interchange"] = interchange.probe(
            trained, built, effort.interchange, tell=partial(tell, "interchange")
        )
        found["records"]["interchange"] = interchange.panels(found["interchange"])
    if "attention" in only:
        found["attention"] = attention.probe(trained, effort.patterns, tell=partial(tell, "attention"))
        found["records"]["attention"] = attention.panels(found["attention"])
    if "shifts" in only:
        built, tell_shifts = stand_in(recipe, shifted=True), partial(tell, "shifts")
        found["shifts"] = out_of_distribution.probe(trained, built, effort.shifts, tell=tell_shifts)
        smooth = min(10, recipe.horizon)
        found["records"]["shifts"] = out_of_distribution.panels(found["shifts"], smooth)
    return found


def _kind(trained: Trained | Guest) -> str:
    return "a model of one's own" if isinstance(trained, Guest) else "a model trained"


def applicable(row: Entry) -> tuple[str, ...]:
    """The parts that can be asked of models of a row's problems: what the row has, attention and shifts."""
    return tuple(part for part in PARTS if part in ("attention", "shifts") or getattr(row, part) is not None)


def broken(trained: Trained | Guest, effort: Effort, tell: Callable[[int, int], None]) -> list[Record]:
    """By how much the model breaks each symmetry of its algorithm, beside the true policy where that has probabilities."""
    recipe, generator = trained.recipe, np.random.default_rng([HELD_OUT, 0, 2])
    row, spec = home(recipe), bounds(recipe)
    problems: Any = recipe.draw(generator, effort.runs)
    seen = play(problems, seated(recipe, recipe.algorithm, problems, generator))
    return symmetries.measured(
        trained.log_probabilities,
        row.found("symmetries")(spec),
        row,
        spec,
        problems.histories(seen),
        histories=effort.histories,
        true=partial(row.truth, spec) if row.player == recipe.algorithm else None,
        tell=tell,
    )
