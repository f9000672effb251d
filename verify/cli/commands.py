"""The command line.

weightwright verify | certify | inspect | plot | errata | sweep | train | ship | compare | contexts | probe
"""

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import torch
import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from constructions import __version__, files
from constructions.showing import number
from verify import errata as errata_module
from verify.audit import Report
from verify.catalog import CATALOG, named
from verify.claims import general
from verify.cli import certification as cli_certify
from verify.cli import inspection as cli_inspect
from verify.cli import models as cli_models
from verify.cli import specs
from verify.cli.models import COLUMNS, MOST, Json, out_folder
from verify.show import plots
from verify.show.report import figures, made, publish, save
from verify.sweeps import grid as frontier
from verify.sweeps import runner as sweeping
from verify.training import checkpoint
from verify.training import train as training
from verify.training.cache import cached
from verify.training.recipes import RECIPES

app = typer.Typer(
    help="\b\nTransformers that provably carry out decision-making algorithms.\n"
    "Example: weightwright verify linucb --out reports",
    no_args_is_help=True,
    add_completion=False,
)
RANKS = (
    "measured: sampled, in float64 where no other arithmetic is named; enclosed: in balls, on the worst history found; "
    "certified: for every admissible history, in exact arithmetic, rounded outwards; stated: a formula"
)
"""What each number is, once."""


AUDITED = [entry.name for entry in CATALOG.values() if entry.claims]
"""What has claims."""


def _version(asked: bool) -> bool:
    if asked:
        print(f"weightwright {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _begin(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    torch.set_num_threads(1)  # layers are many and small: a second thread costs more than it brings


@app.command(epilog="Example: weightwright verify linucb --out reports")
def verify(
    construction: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the catalog, FILE.py, module:ENTRY.")
    ] = "all",
    sets: specs.Set = None,
    spec: specs.Spec = None,
    as_json: Json = False,
    out: Annotated[Path | None, out_folder("page, JSON, figures")] = None,
    histories: Annotated[
        int, typer.Option(min=1, max=MOST, metavar="N", help="Histories of the main search.")
    ] = 2000,
    mutants: Annotated[int, typer.Option(min=0, max=MOST, metavar="N", help="Wrong weights to audit.")] = 100,
) -> None:
    """Audit: measured ≤ certified ≤ stated, claim by claim.

    A table here, one page in --out; exit status 1 if any claim fails.
    """
    console, progress = Console(), Console(stderr=True)
    given = specs.asked(sets, spec)
    rows = (
        [CATALOG[name] for name in AUDITED] if construction == "all" and not given else [named(construction)]
    )
    reports = {}
    with progress.status("starting") as status:
        for entry in rows:
            name, start = entry.name, time.perf_counter()
            tell = lambda what, name=name: status.update(f"{name}: {what}")  # noqa: E731
            if entry.claims is None or given:
                report = general.report(entry, specs.made(entry, given), histories, mutants, tell)
            else:
                report = entry.found("claims")(histories, mutants, tell)
            words = [f"--set {shlex.quote(word)}" for word in sets or ()] + (
                [f"--spec {spec}"] if spec else []
            )
            words += [f"--histories {histories} --mutants {mutants} --out reports"]
            command = " ".join(["weightwright verify", construction if len(rows) == 1 else name, *words])
            reports[name] = replace(report, made=made(time.perf_counter() - start, command))
            if out is not None:
                save(reports[name], out / name)
        if out is not None:
            status.update("errata")
            _save_errata(out)
            status.update("drawing figures")
            progress.print(f"report: {publish(out)}")
    if as_json:
        print(json.dumps({name: report.record() for name, report in reports.items()}, default=float))
    else:
        for report in reports.values():
            for table in tables(report):
                console.print(table)
        console.print(RANKS, style="dim")
    if not all(report.holds for report in reports.values()):
        raise typer.Exit(1)


def among(what: str, name: str, known: Sequence[str]) -> Sequence[str]:
    """One of these, or all of them.

    Raises:
        ValueError: if it is none.
    """
    if name not in (*known, "all"):
        raise ValueError(f"{what}: wanted one of {', '.join((*known, 'all'))}, got {name}")
    return known if name == "all" else [name]


def tables(report: Report) -> list[Table]:
    """The verdicts and the slack of a report, for the terminal."""
    names = ("measured", "enclosed", "certified", "stated", "relative")
    claims = _table(report.title, "claim", *names)
    claims.add_column()
    for verdict in report.verdicts:
        values = (getattr(verdict, name) for name in names)
        mark = "[green]holds[/]" if verdict.holds else "[red]FAILS[/]"
        note = f"\n[dim]{verdict.note}[/]" if verdict.note else ""
        claims.add_row(verdict.claim + note, *map(number, values), mark)
    names = ("error", "promise", "slack", "own_error", "own_promise", "own_slack")
    heads = ("worst\nerror", "promise", "slack", "own\nerror", "own\npromise", "own\nslack")
    slack = _table("Slack", "block", *heads)
    notes = list(dict.fromkeys(row["note"] for row in report.blocks if row["note"]))
    for row in report.blocks:
        mark = f" ({notes.index(row['note']) + 1})" if row["note"] else ""
        slack.add_row(row["block"] + mark, *(number(row[name]) for name in names))
    slack.caption = "\n".join(f"({place}) {note}" for place, note in enumerate(notes, 1)) or None
    slack.caption_justify = "left"
    return [claims, slack]


def _table(title: str, first: str, *numbers: str) -> Table:
    """A table of numbers, which are never cut off, beside words."""
    table = Table(first, title=title)
    for head in numbers:
        table.add_column(head, justify="right", no_wrap=True)
    return table


@app.command(epilog="Example: weightwright plot reports/linucb --figure depth")
def plot(
    source: Annotated[Path, typer.Argument(help="What --out was, a folder in it, or a report.json.")],
    figure: Annotated[str | None, typer.Option(help="One figure by name; all if left out.")] = None,
    out: Annotated[Path | None, out_folder("the page or the figures")] = None,
    as_json: Json = False,
) -> None:
    """Draw saved reports again: the page of all, or the figures of one.

    Reports are what `weightwright verify --out` saved. The page goes beside them, figures of one to
    figures/, unless --out says otherwise.
    """
    if figure is None and source.is_dir() and not (source / "report.json").exists():
        drawn = [str(publish(source, out))]
    else:
        records = figures(source / "report.json" if source.is_dir() else source)
        if figure is not None and figure not in records:
            _fail(files.refusal("figure", f"one of {', '.join(records)}", figure))
        drawn = []
        for name in [figure] if figure else records:
            paths = plots.save(plots.draw(*records[name]), out or Path("figures"), name)
            drawn += [str(path) for path in paths]
    print(json.dumps(drawn) if as_json else "\n".join(drawn))


@app.command(epilog="Example: weightwright errata --json")
def errata(as_json: Json = False, out: Annotated[Path | None, out_folder("JSON")] = None) -> None:
    """Errors in the paper, each on a smallest witness, with its repair.

    Exit status 1 if one is not confirmed.
    """
    records = [erratum.record() for erratum in errata_module.ERRATA] if out is None else _save_errata(out)
    if as_json:
        print(json.dumps(records))
    else:
        for kind, title in errata_module.KINDS.items():
            if chosen := [record for record in records if record["kind"] == kind]:
                Console().print(_errata_table(title, chosen))
    if not all(record["confirmed"] for record in records):
        raise typer.Exit(1)


def _errata_table(title: str, records: list[errata_module.Record]) -> Table:
    table = Table("erratum", "witness", "wanted", "as printed", "repaired", "", title=title)
    for record in records:
        proof = f"proof: docs/{record['proof']}" if record["proof"] else "the repair is not proven"
        details = (record["where"], record["printed"], f"repair: {record['repair']}", record["effect"], proof)
        text = f"{record['name']}\n[dim]" + "\n".join(details) + "[/]"
        mark = "[green]confirmed[/]" if record["confirmed"] else "[red]not confirmed[/]"
        values = (number(record[key]) for key in ("wanted", "literal", "repaired"))
        table.add_row(text, f"{record['witness']}\n[dim]{record['context']}[/]", *values, mark)
    return table


def _save_errata(out: Path) -> list[errata_module.Record]:
    """Run the errata, and write what came out."""
    records = [erratum.record() for erratum in errata_module.ERRATA]
    files.write_json(out / "errata.json", {"errata": records})
    return records


@app.command(epilog="Example: weightwright sweep --algorithm linucb --quick")
def sweep(
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler, tcp://host:8786."),
    ] = None,
    out: Annotated[Path, out_folder("results, JSON and figures")] = Path("reports/sweep"),
    workers: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Processes on this machine.")
    ] = os.cpu_count() or 1,
    algorithm: Annotated[
        str, typer.Option(metavar="|".join((*frontier.SWEPT, "all")), help="What to sweep.")
    ] = "all",
    quick: Annotated[bool, typer.Option("--quick", help="Four horizons, one error.")] = False,
    as_json: Json = False,
) -> None:
    """Every solver's depth, size and error, by horizon and error.

    Writes results.jsonl, records.json and figures; goes on where it was killed. Exit status 1 if a configuration fails.
    """
    names = among("algorithm", algorithm, frontier.SWEPT)
    tasks = [(one.key, one) for one in frontier.configurations(names, quick)]
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


class Optimizer(StrEnum):
    """What a run's optimizer may be."""

    adamw = "adamw"
    soap = "soap"
    muon = "muon"


@app.command(
    epilog=f"RECIPE: {', '.join(RECIPES)}.\n\nExample: weightwright train dpt-bernoulli --steps 8000 --resume"
)
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", hidden=True)],
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


app.command(epilog="Example: weightwright certify history.npz --of linucb")(cli_certify.certify)
app.command(epilog="Example: weightwright inspect linucb --solver newton --html")(cli_inspect.inspect)
app.command(epilog="Example: weightwright ship dpt-bernoulli models/dpt-bernoulli")(cli_models.ship)
app.command(epilog="Example: weightwright compare dpt-bernoulli --out reports/compare")(cli_models.compare)
app.command(epilog="Example: weightwright contexts --out reports/contexts")(cli_models.contexts)
app.command(epilog="Example: weightwright probe dpt-bernoulli --only symmetries --quick")(cli_models.probe)


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


def _fail(message: object) -> NoReturn:
    print(f"weightwright: {message}", file=sys.stderr)
    raise typer.Exit(2)
