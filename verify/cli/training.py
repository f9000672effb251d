"""The commands weightwright train | ship."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from constructions import files
from constructions.showing import number
from verify.cli import specs
from verify.cli.options import COLUMNS, Json, Runs, out_folder
from verify.training import checkpoint
from verify.training import ship as shipping
from verify.training import train as training
from verify.training.cache import cached
from verify.training.recipes import RECIPES


class Optimizer(StrEnum):
    """What a run's optimizer may be."""

    adamw = "adamw"
    soap = "soap"
    muon = "muon"


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help=f"One of {', '.join(RECIPES)}.")],
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Optimiser steps.")] = 10_000,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Trajectories in each.")] = 64,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of weights and data.")] = 0,
    optimizer: Annotated[Optimizer, typer.Option(help="Of the hidden matrices.")] = Optimizer.adamw,
    layers: Annotated[int, typer.Option(min=1, metavar="N", help="Layers.")] = 8,
    heads: Annotated[int, typer.Option(min=1, metavar="N", help="Heads of each.")] = 4,
    width: Annotated[int, typer.Option(min=1, metavar="N", help="Width of the stream.")] = 32,
    softmax: Annotated[bool, typer.Option("--softmax", help="Softmax in place of ReLU attention.")] = False,
    sets: specs.Set = None,
    every: Annotated[int, typer.Option(min=1, metavar="N", help="Steps between checkpoints.")] = 250,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")] = False,
    cache: Annotated[
        Path | None, typer.Option(callback=files.writable, help="Folder to keep the batches in.")
    ] = None,
    out: Annotated[Path | None, out_folder("checkpoints, model and curves")] = None,
    as_json: Json = False,
) -> None:
    """Train by one of the paper's recipes, on the GPU if there is one.

    --set changes any field of the recipe (d, A, T, noise, …) or of the run (rates, lengths, …), as in
    --set horizon=50 --set 'lengths=[[0.5, 0.125], [0.9, 0.25]]'.
    """
    sizes = {"layers": layers, "heads": heads, "width": width, "attention": "softmax" if softmax else "relu"}
    settings = {"steps": steps, "batch": batch, "seed": seed, "optimizer": optimizer.value, **sizes}
    run = training.named(recipe, **{**settings, **specs.asked(sets, None)})
    source = None if cache is None else cached(cache, run.recipe, run.seed, run.batch)
    curve: list[dict[str, float]] = []
    folder = out or Path("models") / recipe
    with Progress(*COLUMNS, console=Console(stderr=True)) as bar:
        shown = bar.add_task(recipe, total=run.steps)

        def tell(now: training.Progress) -> None:
            curve[:] = now.curve
            regret = f", regret {number(curve[-1]['trained'])}" if curve else ""
            bar.update(shown, completed=now.step, description=f"{recipe}: loss {now.loss:.3f}{regret}")

        training.train(run, folder, resume=resume, every=every, tell=tell, source=source)
        bar.update(shown, completed=run.steps)
    if not curve:  # the run was at its end already
        _, _, _, curve = checkpoint.load(folder / "checkpoint.safetensors")
    if as_json:
        print(json.dumps({"model": str(folder / "model.safetensors"), "curve": curve}))
    else:
        table = Table(*(names := list(curve[-1])))
        for row in curve[-5:]:
            table.add_row(*(number(row.get(name)) for name in names))
        Console().print(table, f"{folder / 'model.safetensors'}")


def ship(
    name: Annotated[str, typer.Argument(help="What the model is to be called.")],
    folder: Annotated[Path, typer.Argument(help="Where `weightwright train --out` wrote.")],
    out: Annotated[
        Path, typer.Option(callback=files.writable, help="Where shipped models lie.")
    ] = training.MODELS,
    runs: Runs = 500,
    seconds: Annotated[float | None, typer.Option(help="Training time, if the curve has none.")] = None,
    as_json: Json = False,
) -> None:
    """Export a checkpoint's weights, with a card that is measured."""
    with Progress(*COLUMNS, console=Console(stderr=True)) as bar:
        shown = bar.add_task(f"{name}: regret", total=runs)
        tell = lambda done, whole: bar.update(shown, completed=done)  # noqa: E731
        path = shipping.ship(folder, name, to=out, runs=runs, seconds=seconds, tell=tell)
    written = [str(path), str(path.with_suffix(".md"))]
    print(json.dumps(written) if as_json else "\n".join(written))
