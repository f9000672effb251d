"""Shipping: the weights of a checkpoint alone, what they were trained on, how well they play, and a card that says so.

    weightwright ship dpt-bernoulli FOLDER      verify/models/dpt-bernoulli.safetensors and .md

Everything on the card is read from the file or measured when it is written; nothing is typed in, but for the time of runs
whose curve does not tell it.
"""

import json
import math
import shlex
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from constructions import checks, files
from constructions.showing import number
from verify.training import checkpoint, train
from verify.training.curves import NOT_REGRET
from verify.training.kinds import Recipe
from verify.training.policy import CHUNK, HELD_OUT, TOGETHER, Trained, contests, half_interval
from verify.training.recipes import RECIPES, held_out

TRAJECTORIES = 500
"""Held-out trajectories for the loss on a card."""


def ship(
    folder: Path,
    name: str,
    *,
    to: Path = train.MODELS,
    runs: int = 500,
    seconds: float | None = None,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> Path:
    """Export the checkpoint in a folder; returns the file written, beside which is its card.

    Args:
        folder: where `weightwright train --out` wrote.
        name: what the model is to be called.
        to: where models lie.
        runs: held-out problems on which its regret is measured.
        seconds: what training took, if the curve does not say.
        tell: told problems done and wanted.

    Raises:
        ValueError: if the folder has no checkpoint, it is damaged, the name has folders, something is in the way, or there
            are fewer than 2 runs.
    """
    if name != Path(name).name:
        raise ValueError(f"name: wanted one without folders, got {name!r}")
    for suffix in ("safetensors", "md"):
        files.placed(to / f"{name}.{suffix}")
    source = folder / "checkpoint.safetensors"
    _, step, settings, curve = checkpoint.load(source)
    trained, run = train.load(source), train.from_record(settings)
    facts = {
        "command": command(run),
        "seconds": curve[-1].get("seconds", seconds) if curve else seconds,
        "cpu": curve[-1].get("cpu") if curve else None,
        "loss": held_out_loss(trained),
        "regret": measured(trained, runs, tell),
    }
    path = to / f"{name}.safetensors"
    checkpoint.save(path, trained.model, None, step, asdict(run), curve, facts)
    files.write(to / f"{name}.md", card(path))
    return path


def measured(
    trained: Trained, runs: int, tell: Callable[[int, int], None] = lambda done, whole: None, first: int = 0
) -> dict[str, dict[str, float]]:
    """Regret at the horizon on held-out problems: mean, standard deviation, and half the mean's 95 % interval, by player.

    `first` is the number of the first batch of problems, so that others than those of the card can be asked for.
    """
    if runs < 2:
        raise ValueError(f"runs: wanted 2 or more, got {runs}")
    played = contests(trained, runs, first=first, tell=tell)
    totals = {name: regret.sum(axis=1) for name, regret in played.items()}
    return {
        name: {
            "mean": float(total.mean()),
            "deviation": float(total.std(ddof=1)),
            "half": half_interval(total),
            "runs": runs,
        }
        for name, total in totals.items()
    }


@torch.no_grad()
def held_out_loss(trained: Trained, trajectories: int = TRAJECTORIES, first: int = 0) -> dict[str, float]:
    """The loss in nats a decision on held-out trajectories of the recipe: mean, and half its 95 % interval.

    Of whole trajectories, whatever share of them was trained on last. Their losses, each the mean over its decisions, are
    independent, decisions are not: the interval is that of a mean of so many trajectories. `first` is the number of the
    first batch of them, as for `measured`.

    Raises:
        ValueError: for fewer than 2 trajectories.
    """
    trajectories = checks.whole("trajectories", trajectories, least=2)
    places, found = torch.as_tensor(trained.recipe.places, device=trained.model.device), []
    for done in range(0, trajectories, TOGETHER):
        data = held_out(trained.recipe, first + done // TOGETHER, min(TOGETHER, trajectories - done))
        pairs = (torch.as_tensor(array).split(CHUNK) for array in (data.tokens, data.labels))
        for tokens, labels in zip(*pairs, strict=True):
            logits = trained.model(tokens.to(places.device), places).double()
            losses = functional.cross_entropy(
                logits.transpose(1, 2), labels.to(places.device), reduction="none"
            )
            found.append(losses.mean(dim=1).numpy(force=True))
    rows = np.concatenate(found)
    return {"mean": float(rows.mean()), "half": half_interval(rows), "trajectories": trajectories}


def command(run: train.Run) -> str:
    """The command that trains a run."""
    name, changes = _recipe(run.recipe)
    options, sets = [f"weightwright train {name}"], dict(changes)
    for field in fields(run):
        value, default = getattr(run, field.name), field.default
        if default is MISSING or value == default:
            continue
        if field.name in ("steps", "batch", "seed", "optimizer", "layers", "heads", "width"):
            options.append(f"--{field.name} {value}")
        elif field.name == "attention":
            options.append("--softmax")
        else:
            sets[field.name] = value
    return " ".join(
        (*options, *(f"--set {shlex.quote(f'{key}={toml(value)}')}" for key, value in sets.items()))
    )


def toml(value: object) -> str:
    """A setting as --set takes it.

    >>> toml(0.5), toml(((0.5, 0.125),)), toml(True), toml("optimal")
    ('0.5', '[[0.5, 0.125]]', 'true', 'optimal')
    """
    return value if isinstance(value, str) else json.dumps(value)


def card(path: Path) -> str:
    """The card of a shipped model, in Markdown, from its file alone."""
    tensors, step, settings, curve = checkpoint.load(path)
    run, name = train.from_record(settings), path.stem
    count = sum(value.numel() for value in tensors.values())
    stopped = "" if step == run.steps else f", stopped after {step:,}: the checkpoint of that step"
    results = checkpoint.told(path, "regret")
    runs = next(iter(results.values()))["runs"]
    names = [key for key in curve[-1] if key not in NOT_REGRET] if curve else []
    rows = curve[:: max(1, len(curve) // 8)]
    rows += [curve[-1]] if curve and rows[-1] is not curve[-1] else []
    parts = [
        f"# {name}",
        f"{count:,} weights in float32, {path.stat().st_size:,} bytes: {run.layers} layers of {run.heads} heads, "
        f"width {run.width}, {run.attention} attention. `verify.training.train.load({name!r})` loads it, "
        f"`weightwright compare {name}` plays it against the true algorithm.",
        f"- **Command**: `{checkpoint.told(path, 'command')}`",
        f"- **Data**: {run.recipe.described}, made on the spot from seed {run.seed}; "
        f"{step * run.batch:,} trajectories, each seen once",
        f"- **Steps**: {run.steps:,} of {run.batch} trajectories{stopped}{_stretches(curve, run)}",
        f"- **Time**: {_time(checkpoint.told(path, 'seconds'), checkpoint.told(path, 'cpu', None))}",
        f"\n## Regret\n\nAt the horizon, on {runs} held-out problems (seeds [2³²: {HELD_OUT}, n]), the same for all; "
        "mean and its 95 % interval. *trained* draws from the model's probabilities, *greedy* takes their largest.\n",
        "| player | regret |\n|---|---|",
        *(f"| {who} | {number(row['mean'])} ± {number(row['half'])} |" for who, row in results.items()),
        *_loss(checkpoint.told(path, "loss", None), run),
        "\n## Curve\n\nRegret of 100 held-out problems while it was trained. That is one run's record: another "
        "processor rounds otherwise, and the same command takes another course there.\n",
        "| " + " | ".join(columns := ["step", "loss", *names]) + " |",
        "|---" * len(columns) + "|",
        *("| " + " | ".join(number(row[key]) for key in columns) + " |" for row in rows),
    ]
    return "\n".join(parts) + "\n"


def _time(seconds: float | None, cpu: float | None) -> str:
    """Of training, by the processor where that is known, and by the clock."""
    clock = "not recorded" if seconds is None else f"{number(round(seconds / 60))} minutes by the clock"
    if cpu is not None:
        return f"{number(round(cpu / 60))} CPU minutes, all processes together; {clock}"
    return clock if seconds is None else f"{clock}; CPU time was not recorded"


def _loss(found: dict[str, float] | None, run: train.Run) -> list[str]:
    """The section on the loss of held-out trajectories, if that was measured."""
    if found is None:
        return []
    return [
        f"\n## Loss\n\n{found['mean']:.4f} ± {found['half']:.4f} nats a decision: mean and its 95 % interval over "
        f"{found['trajectories']} held-out trajectories, made as those of training on problems of the same seeds as "
        f"for regret, all {run.recipe.horizon} decisions of each. Probabilities all alike have "
        f"{math.log(run.recipe.actions):.4f}."
    ]


def _stretches(curve: list[dict], run: train.Run) -> str:
    """How many steps were planned when, if that changed, and how many decisions of each trajectory were seen until when."""
    rows = [{"steps": run.steps, "length": run.length_at(row["step"] - 1)} | row for row in curve]
    planned, seen = (_until(rows, name) for name in ("steps", "length"))
    parts = ", then ".join(f"`--steps {steps}` up to step {last:,}" for steps, last in planned)
    resumed = f"; {parts}, by the same command with `--resume`" if len(planned) > 1 else ""
    lengths = ", ".join(f"{length} decisions of each trajectory up to step {last:,}" for length, last in seen)
    return resumed + (f"; {lengths}" if len(seen) > 1 else "")


def _until(rows: list[dict], name: str) -> list[tuple[int, int]]:
    """The values of a column in turn, and the step at which each was there last."""
    return [(value, list(some)[-1]["step"]) for value, some in groupby(rows, lambda row: int(row[name]))]


def _recipe(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The name of a recipe, and what is not as the named one has it: of several, the one that differs least."""
    found = {
        name: {
            field.name: getattr(recipe, field.name)
            for field in fields(recipe)
            if getattr(recipe, field.name) != getattr(known, field.name)
        }
        for name, known in RECIPES.items()
        if type(known) is type(recipe)
    }
    name = min(found, key=lambda name: len(found[name]))
    return name, found[name]
