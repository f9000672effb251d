"""The command weightwright sweep: depth, size and error of every solver, by horizon and error."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from constructions import files
from constructions.showing import number
from verify.cli import specs
from verify.cli.options import COLUMNS, Json, out_folder
from verify.show import plots
from verify.sweeps import grid as frontier
from verify.sweeps import runner as sweeping


def sweep(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"{', '.join(frontier.SWEPT)}, a row of one's own, or all.")
    ] = "all",
    sets: specs.Set = None,
    spec: specs.Spec = None,
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler, tcp://host:8786."),
    ] = None,
    out: Annotated[Path, out_folder("results, JSON and figures")] = Path("reports/sweep"),
    workers: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Processes on this machine.")
    ] = os.cpu_count() or 1,
    quick: Annotated[bool, typer.Option("--quick", help="Four horizons, one error.")] = False,
    as_json: Json = False,
) -> None:
    """Every solver's depth, size and error, by horizon and error.

    Writes results.jsonl, records.json and figures; goes on where it was killed. Exit status 1 if a configuration fails.
    """
    names = frontier.SWEPT if name == "all" else (name,)
    given = specs.asked(sets, spec)
    tasks = [(one.key, one) for one in frontier.configurations(names, quick, given)]
    tasks[0][1].spec()  # refused before any work if it is
    run = sweeping.in_processes(workers) if dask is None else sweeping.on_cluster(dask)
    with Progress(*COLUMNS, console=Console(stderr=True)) as bar:
        shown = bar.add_task("sweep", total=None)

        def tell(done: int, failed: int, whole: int) -> None:
            text = f"sweep, {failed} failed" if failed else "sweep"
            bar.update(shown, completed=done, total=whole, description=text)

        lines = list(
            sweeping.sweep(frontier.evaluate, tasks, out / "results.jsonl", run, tell, frontier.Row).values()
        )
    rows = [line["record"] for line in lines if line["status"] == "done"]
    failed = [line for line in lines if line["status"] == "failed"]
    failed += [
        {"key": line["key"], "reason": "measured ≤ certified does not hold"}
        for line in lines
        if line["status"] == "done" and line["record"]["holds"] is False
    ]
    saved = {"rows": rows, "failed": failed, "layers": frontier.layers_by_horizon(rows)}
    saved["records"] = frontier.panels(rows)
    saved = files.sealed(saved)
    files.write_json(out / "records.json", saved)
    for name, panels in saved["records"].items():
        plots.save(plots.draw(*panels), out, name)
    if as_json:
        print(json.dumps(saved))
    else:
        Console().print(*_layers(saved["layers"]))
    for line in failed:
        print(f"failed: {line['key']}: {line['reason']}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _layers(rows: list[dict]) -> Iterator[Table]:
    """Layers by powers of ten of T, for the terminal."""
    for algorithm in dict.fromkeys(row["algorithm"] for row in rows):
        own = [row for row in rows if row["algorithm"] == algorithm]
        found = sorted({horizon for row in own for horizon in row["layers"]})
        decades = [horizon for horizon in found if str(horizon).rstrip("0") == "1"]
        title = f"{algorithm}: layers by T, ε = {frontier.TABLE_ERROR:g}"
        table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.add_column("T", no_wrap=True)
        for horizon in decades:
            table.add_column(f"{horizon:,}", justify="right")
        for row in own:
            name = row["route"] if row["solver"] == "theorem" else f"{row['route']}, {row['solver']}"
            table.add_row(name, *(number(row["layers"].get(horizon)) for horizon in decades))
        yield table
