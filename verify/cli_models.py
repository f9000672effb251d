"""The commands on trained models: weightwright ship | compare; and what the commands have in common."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from verify import compare as comparing
from verify import plots
from verify import ship as shipping
from verify import train as training
from verify.report import number, write_whole

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of tables.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the report: page, JSON, figures.")]
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
"""What a progress bar shows."""


def ship(
    name: Annotated[str, typer.Argument(help="What the model is to be called.")],
    folder: Annotated[Path, typer.Argument(help="Where `weightwright train --out` wrote.")],
    out: Annotated[Path, typer.Option(help="Where shipped models lie.")] = training.MODELS,
    runs: Annotated[int, typer.Option(min=2, help="Held-out problems to play.")] = 500,
    seconds: Annotated[float | None, typer.Option(help="Training time, if the curve has none.")] = None,
    as_json: Json = False,
) -> None:
    """Export the weights of a checkpoint, with a card: command, data, steps, time, regret, curve."""
    with Progress(*COLUMNS, console=Console(stderr=True)) as bar:
        shown = bar.add_task(f"{name}: regret", total=runs)
        tell = lambda done, whole: bar.update(shown, completed=done)  # noqa: E731
        path = shipping.ship(folder, name, to=out, runs=runs, seconds=seconds, tell=tell)
    files = [str(path), str(path.with_suffix(".md"))]
    print(json.dumps(files) if as_json else "\n".join(files))


def compare(
    model: Annotated[str, typer.Argument(help=f"One of {', '.join(training.shipped())}, or a .safetensors.")],
    runs: Annotated[int, typer.Option(min=2, help="Runs for regret.")] = comparing.Effort.runs,
    quick: Annotated[bool, typer.Option("--quick", help="100 runs, few histories and particles.")] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Built, true and trained: distances at every step, regret beside the paper's baselines, the distribution ratio.

    --out, which is reports/compare/MODEL, gets compare.json and the figures. Some minutes; seconds with --quick.
    """
    effort = comparing.QUICK if quick else comparing.Effort(runs=runs)
    shown: dict[str, TaskID] = {}
    with Progress(*COLUMNS, console=Console(stderr=True)) as bar:

        def tell(what: str, done: int, whole: int) -> None:
            if what not in shown:
                shown[what] = bar.add_task(what, total=whole)
            bar.update(shown[what], completed=done)

        found = comparing.compare(model, effort, tell)
    folder = out or Path("reports/compare") / found["model"]
    write_whole(folder / "compare.json", json.dumps(found, indent=1))
    for name, panels in found["records"].items():
        plots.save(plots.draw(*panels), folder, name)
    if as_json:
        print(json.dumps(found))
    else:
        Console().print(*comparison_tables(found), f"{folder / 'compare.json'} and figures")


def comparison_tables(found: dict) -> Iterator[Table]:
    """Regret, distances, and the theorem on pretraining, for the terminal."""
    regret = _table(f"{found['model']}: regret, {found['runs']} runs", "", "mean", "± 95 %", "s.d.")
    for name, row in found["regret"].items():
        values = (row["mean"][-1], row["half"], row["deviation"][-1])
        regret.add_row(comparing.NAMES.get(name, name), *map(number, values))
    yield regret
    steps = len(next(iter(found["pairs"].values()))["variation"])
    chosen = sorted({1, 10, steps // 2, steps} & set(range(1, steps + 1)))
    title = f"total variation along {found['histories']} histories of {found['true']}"
    pairs = _table(title, "", "mean", *(f"t = {step}" for step in chosen), "log error")
    for name, row in found["pairs"].items():
        values = (row["variation"][step - 1] for step in chosen)
        pairs.add_row(name, *map(number, (row["variation_mean"], *values, row["log_error_worst"])))
    yield pairs
    title = f"pretraining theorem, c = 1; measured: Σ D_H = {number(found['bound']['measured'])}"
    bounds = _table(title, "context", "log R", "95 %", "Σ D_H ≤", "at most", "vacuous by")
    for row in [*found["ratio"], {"bound": found["bound"]}]:
        name = f"α = {row['share']:g} by {row['mixing']}" if "share" in row else "the model's own"
        spread = f"{number(row['low'][-1])}–{number(row['high'][-1])}" if "share" in row else ""
        one = row["bound"]
        values = (one["distance"], one["distance_trivial"], one["distance_vacuous"])
        bounds.add_row(name, number(one["log_ratio"]), spread, *map(number, values))
    yield bounds


def _table(title: str, first: str, *heads: str) -> Table:
    """A narrow table of numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(first, no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table
