"""Interchange interventions: whether the policy of a trained transformer goes by the registers that a probe reads in it.

That a register can be read does not mean that it is used, so it is changed. Of two held-out histories with the same arms,
the base and the source, the state token of a decision of the base is moved by the least change after which a linear probe
reads there what it reads of the source: for a probe h ↦ Wᵀh + c the projection of the difference onto the span of W. The
layers after it run on. What ought to follow the algorithm says: its scores, computed from the base with this one register of
the source (registers.py), never from the model. What is measured of the two stands in effects.py.

The change is made at the state token of the decision alone. There the probe is fitted and the decision is read, and there
built transformers hold their registers; tokens before it are the memory of the past, from which later layers may take the
register of the base once more. Before the first layer a state token knows nothing of the past, so that levels begin with 1.

Controls change as much, by Euclidean norm: a direction at random, what a probe of shuffled targets reads, and what the probe
reads of the next arm. They need not agree in just half of all pairs, as any large change lowers the odds of an arm that was
chosen. A model with random weights has probes of its own. In the built transformer the same is done to registers where they
stand.

Source: arXiv 2106.02997 (interchange interventions).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.construction import Construction
from verify.comparison.panels import curve
from verify.comparison.stand_ins import home
from verify.probes.effects import Question, measures, question
from verify.probes.linear_probes import FOLDS, Probe, activations, cross_validated, dealt, exchanged
from verify.probes.pairs import Run, decisions, drawn, until
from verify.sweeps.records import Record, panel
from verify.training.kinds import Recipe
from verify.training.model import TrainedTransformer
from verify.training.policy import Trained

LEAST = 4 * FOLDS
"""Problems, of which half fit the probes."""
EVERY = 4
"""One decision in so many fits the probes."""
LOOKS = {
    "trained": "measured",
    "random direction": "certified",
    "shuffled": "stated",
    "another arm": "stated",
    "random weights": "certified",
}
FEW = 10
"""Bases for what is built, which runs them one by one."""
LATEST = 20
"""The last decision that is changed there, as time grows with it; and half the horizon, so that counts stay below it."""


def as_long(
    change: Float[np.ndarray, "pairs width"], wanted: Float[np.ndarray, "pairs width"]
) -> Float[np.ndarray, "pairs width"]:
    """Each row with the length of a wanted one; 0 stays 0."""
    length = np.linalg.norm(change, axis=1, keepdims=True)
    return change * np.linalg.norm(wanted, axis=1, keepdims=True) / np.where(length > 0, length, 1)


@torch.no_grad()
def levels_of(
    model: TrainedTransformer, tokens: Float[np.ndarray, "pairs tokens entries"]
) -> list[Float[Tensor, "pairs tokens width"]]:
    """What all tokens hold, as the first block reads them and after each."""
    read = torch.as_tensor(tokens, dtype=torch.float32).to(model.device)
    return model.activations(read, torch.arange(read.shape[1], device=model.device))


@torch.no_grad()
def resumed(
    model: TrainedTransformer,
    levels: Sequence[Float[Tensor, "pairs tokens width"]],
    level: int,
    place: int,
    change: Float[np.ndarray, "pairs width"],
) -> Float[np.ndarray, "pairs actions"]:
    """Log-probabilities at a token that is changed at a level; what stands before it stays, and nothing after it is read."""
    token = levels[level][:, place] + torch.as_tensor(change).to(levels[level])
    for number in range(level, model.shape.layers):
        tokens = levels[number][:, : place + 1].clone()
        tokens[:, place] = token
        token = model.stored_blocks[number](tokens, torch.tensor([place], device=model.device))[:, 0]
    return model.read_out(token).double().log_softmax(dim=1).numpy(force=True)


def probe(
    trained: Trained,
    built: Construction | None = None,
    problems: int = 200,
    seed: int = 0,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> Record:
    """Agreement, `followed`, effect and correlation by register, model and level.

    Args:
        trained: the model.
        built: a transformer built for the same algorithm.
        problems: half of them fit the probes, the other half are bases.
        seed: of problems, controls and random weights.
        tell: told registers done and wanted, of both models.

    Raises:
        ValueError: if no exchange of registers is defined for the recipe, or for fewer than LEAST problems.
    """
    recipe = trained.recipe
    if (missing := lacking(recipe)) is not None:
        raise ValueError(f"interchange: wanted {missing}")
    if problems < LEAST:
        raise ValueError(f"problems: wanted at least {LEAST}, got {problems}")
    fitting, bases, sources = drawn(recipe, problems, seed)
    steps, exchange = decisions(recipe.horizon), home(recipe).found("interchange")
    own, other = ({name: one[:, steps] for name, one in run.known.items()} for run in (bases, sources))
    arms = np.stack([history.contexts[0] for history in bases.histories])
    before, after = exchange.scores(recipe, arms, own, other)
    generator = np.random.default_rng([seed, 2**33])
    asked = {name: question(before, one, own[name].shape[-1], generator) for name, one in after.items()}
    fresh = TrainedTransformer(trained.model.shape, torch.Generator().manual_seed(seed))
    rows: list[Record] = []
    for control, model in enumerate((trained.model, fresh.to(trained.model.device))):
        lens = _Lens.of(model, recipe, fitting, bases, sources, steps)
        for number, (name, one) in enumerate(asked.items(), 1):
            found = lens.by_level(name, one, bool(control), generator)
            rows += [{"register": name, "model": who, "levels": levels} for who, levels in found.items()]
            tell(control * len(asked) + number, 2 * len(asked))
    record: Record = {"bases": len(bases.histories), "decisions": (steps + 1).tolist(), "rows": rows}
    if built is not None:
        record["built"] = follows(built, exchange.stands, asked, bases, sources, steps)
    return record


def lacking(recipe: Recipe) -> str | None:
    """What is missing for interchange between a recipe's algorithm and its models; None if nothing is."""
    row = home(recipe)
    if row.interchange is None:
        return f"an exchange of registers in the row {row.name}, got none"
    if row.player != recipe.algorithm:
        return f"models of {row.player}, whose registers are known, got {recipe.algorithm}"
    return None


@dataclass(frozen=True, eq=False)
class _Lens:
    """A model, with what it holds of all histories."""

    model: TrainedTransformer
    fitting: Run
    fitted: Sequence[Float[np.ndarray, "pairs some width"]]
    levels: Sequence[Tensor]
    other: Sequence[Float[np.ndarray, "pairs steps width"]]
    places: Int[np.ndarray, " steps"]

    @classmethod
    def of(
        cls, model: TrainedTransformer, recipe: Recipe, fitting: Run, bases: Run, sources: Run, steps: Any
    ) -> "_Lens":
        """What a model holds."""
        places = recipe.places
        fitted = activations(model, fitting.tokens, places[::EVERY])
        other = activations(model, sources.tokens, places[steps])
        return cls(model, fitting, fitted, levels_of(model, bases.tokens), other, places[steps])

    def by_level(
        self, name: str, asked: Question, control: bool, generator: np.random.Generator
    ) -> dict[str, list[Record]]:
        """The measures of a register at each level, of the model and, unless it is one, of controls."""
        values, last = self.fitting.known[name][:, ::EVERY], len(self.levels) - 1
        before = self._runs(last, [np.zeros_like(self.other[last][:, 0])] * len(self.places))
        found: dict[str, list[Record]] = {}
        for level in range(1, last + 1):
            fitted = self.fitted[level]
            probe, each = cross_validated(fitted, values), asked.columns.shape[2]
            read = self._changes(probe, level, asked.columns)
            changes = {"random weights" if control else "trained": read}
            if not control:
                others = {
                    "random direction": [generator.normal(size=one.shape) for one in read],
                    "shuffled": self._changes(cross_validated(fitted, dealt(values)), level, asked.columns),
                }
                if each < values.shape[2]:
                    next_arm = (asked.columns + each) % values.shape[2]
                    others["another arm"] = self._changes(probe, level, next_arm)
                for who, made in others.items():
                    changes[who] = [as_long(one, wanted) for one, wanted in zip(made, read, strict=True)]
            for who, change in changes.items():
                numbers = measures(asked, before, self._runs(level, change))
                found.setdefault(who, []).append({"level": level} | numbers)
        return found

    def _changes(
        self, probe: Probe, level: int, columns: Int[np.ndarray, "pairs steps some"]
    ) -> list[Float[np.ndarray, "pairs width"]]:
        """The change at each decision."""
        own = self.levels[level][:, self.places].double().numpy(force=True)
        return [
            exchanged(probe, own[:, step], self.other[level][:, step], columns[:, step])
            for step in range(len(self.places))
        ]

    def _runs(self, level: int, changes: Sequence[np.ndarray]) -> Float[np.ndarray, "pairs steps actions"]:
        """The policy at each decision."""
        placed = zip(self.places, changes, strict=True)
        return np.stack([resumed(self.model, self.levels, level, int(at), one) for at, one in placed], axis=1)


def follows(
    built: Construction,
    stands: Mapping[str, Mapping[str, int]],
    asked: Mapping[str, Question],
    bases: Run,
    sources: Run,
    steps: Int[np.ndarray, " steps"],
) -> list[Record]:
    """The same measures of a built transformer, on a few histories and decisions up to LATEST, or on the first.

    Args:
        built: the transformer.
        stands: where such transformers hold registers, as `registers.Exchange` has it; what it does not hold is left out.
        asked: what the algorithm does, by register.
        bases: the bases, whose state tokens are changed.
        sources: their sources.
        steps: the decisions that were asked about.
    """
    soon = steps <= min(LATEST, built.tokens.decisions // 2)
    few = np.flatnonzero(soon) if soon.any() else np.array([0])
    count = min(FEW, len(bases.histories))
    known = {
        name: stands[name] for name in asked if set(stands.get(name, {None})) <= set(built.sites.results)
    }
    before = np.empty((count, len(few), built.spec.actions))
    after = {name: np.empty_like(before) for name in known}
    for pair, at in np.ndindex(before.shape[:2]):
        own, other = (until(run.histories[pair], int(steps[few[at]])) for run in (bases, sources))
        before[pair, at] = built.log_probabilities(own)[-1]
        _, theirs = built.run_with_cache(other)
        for name, blocks in known.items():
            columns = asked[name].columns[pair, few[at]]
            hooks = [
                (block, partial(_put, theirs=theirs[block][-1], columns=columns, parts=parts))
                for block, parts in blocks.items()
            ]
            after[name][pair, at] = built.run_with_hooks(own, hooks)[-1]
    found = []
    for name, policies in after.items():
        one = asked[name]
        some = Question(*(getattr(one, part.name)[:count, few] for part in fields(one)))
        found.append({"register": name} | measures(some, before, policies))
    return found


def _put(
    held: Float[np.ndarray, "tokens size"],
    layer: int,
    theirs: Float[np.ndarray, " size"],
    columns: Int[np.ndarray, " some"],
    parts: int,
) -> Float[np.ndarray, "tokens size"]:
    """A block's result, at the last token with columns of another, or with what each part has of the columns' arm."""
    if parts:
        size = len(theirs) // parts
        columns = columns[0] // len(columns) + size * np.arange(parts)
    held[-1, columns] = theirs[columns]
    return held


def panels(found: Mapping[str, Any]) -> list[Record]:
    """A panel for each register, for plots.draw: agreement by level, with 95 % intervals."""
    names = dict.fromkeys(row["register"] for row in found["rows"])
    return [
        panel(
            name,
            ("layer", "agreement with the algorithm"),
            [_line(row) for row in found["rows"] if row["register"] == name],
            ("linear", "linear"),
        )
        for name in names
    ]


def _line(row: Mapping[str, Any]) -> Record:
    """The agreement of one model, level by level; 0 where there was no pair."""
    values = np.array([level["agreement"] or [0.0] * 3 for level in row["levels"]]).T
    return curve(row["model"], *values.tolist(), look=LOOKS[row["model"]])
