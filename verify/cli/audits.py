"""The commands weightwright verify | errata: claims held against constructions, and errors in the paper."""

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from constructions import files
from constructions.showing import number
from verify import errata as errata_module
from verify.audit import Report, Verdict
from verify.audit.plan import Found, Part, Plan, cores, together
from verify.catalog import CATALOG, named
from verify.claims import general
from verify.cli import specs
from verify.cli.options import MOST, Json, out_folder
from verify.show.report import made, publish, save

RANKS = (
    "measured: sampled, in float64 where no other arithmetic is named; enclosed: in balls, on the worst history found; "
    "certified: for every admissible history, in exact arithmetic, rounded outwards; stated: a formula"
)
"""What each number is, once."""

LEFT_OUT = (
    "Left out by --quick: the theorems' own claims (sizes, depths, norms, regret, exact forms, other specifications), "
    "most histories, wrong weights, and the law of clipping"
)
"""What a first look does not look at."""

LITTLE = 500
"""So few histories and mutants are audited sooner here than in processes that have to be started."""

AUDITED = [entry.name for entry in CATALOG.values() if entry.claims]
"""What has claims."""


def verify(
    construction: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the catalog, FILE.py, module:ENTRY.")
    ] = "all",
    sets: specs.Set = None,
    spec: specs.Spec = None,
    as_json: Json = False,
    out: Annotated[Path | None, out_folder("page, JSON, figures")] = None,
    histories: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, metavar="N", help="Of the main search: 2000, or 40."),
    ] = None,
    mutants: Annotated[
        int | None,
        typer.Option(min=0, max=MOST, metavar="N", help="Wrong weights to audit: 100, or 0."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every claim and block, not the main ones.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A first look, within a minute.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST,
            metavar="N",
            help="Processes side by side: the cores there are, or 1 for little work.",
        ),
    ] = None,
) -> None:
    """Audit: measured ≤ certified ≤ stated, claim by claim.

    A table here, one page in --out; exit status 1 if any claim fails.
    """
    histories = (40 if quick else 2000) if histories is None else histories
    mutants = (0 if quick else 100) if mutants is None else mutants
    console = Console()
    given = specs.asked(sets, spec)
    names = [construction] if construction != "all" or given else [*CATALOG] if quick else AUDITED
    makers = [partial(_plan, name, given, histories, mutants, quick) for name in names]
    jobs = jobs or (cores() if len(names) > 1 or histories + mutants > LITTLE else 1)
    start = time.perf_counter()
    with Meanwhile(names) as told:
        found = together(makers, jobs, told)
        words = [f"--histories {histories} --mutants {mutants}{' --quick' * quick} --out reports"]
        reports = {}
        for name, report in zip(names, found, strict=True):
            how = made(time.perf_counter() - start, _command(name, sets, spec, words))
            reports[named(name).name] = replace(report, made=how)
        if out is not None:
            _save(reports, out, told)
    if as_json:
        print(json.dumps({name: report.record() for name, report in reports.items()}, default=float))
    else:
        for report in reports.values():
            for table in tables(report, every):
                console.print(table)
            for verdict in report.verdicts:
                if not verdict.holds and verdict.witness:
                    told = f"{verdict.claim}: fails on the history {verdict.history}\n{verdict.replay}"
                    console.print(told, markup=False, highlight=False, soft_wrap=True)
        console.print(f"{RANKS}. {LEFT_OUT}" if quick else RANKS, style="dim")
    if not all(report.holds for report in reports.values()):
        raise typer.Exit(1)


def _plan(name: str, given: Mapping[str, Any], histories: int, mutants: int, quick: bool) -> Plan:
    """What is audited: all claims of a row, or what can be claimed of any."""
    entry = named(name)
    if entry.claims and not given and not quick:
        return entry.found("claims")(histories, mutants)
    return general.plan(entry, specs.made(entry, given) if given else entry.main, histories, mutants)


def _save(reports: Mapping[str, Report], out: Path, told: "Meanwhile") -> None:
    """Write the reports, the errata of the paper if it is the paper's constructions that they are about, and the page."""
    for name, report in reports.items():
        save(report, out / name)
    if any(report.words.source == errata_module.SOURCE for report in reports.values()):
        told.say("errata")
        _save_errata(out)
    told.say("drawing figures")
    told.line(f"report: {publish(out)}")


class Meanwhile:
    """What is told meanwhile: a line for each main claim as it falls, how much is done, and how long the rest may take."""

    def __init__(self, names: Sequence[str]):
        self.names, self.task = names, None
        bar = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self.bar = Progress(*bar, TimeRemainingColumn(), console=Console(stderr=True), transient=True)

    def __enter__(self) -> "Meanwhile":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, which: int, parts: int, part: Part, found: Found | None) -> None:
        """A part of so many has begun, or ended."""
        if self.task is None:
            self.task = self.bar.add_task("", total=parts)
        self.say(f"{self.names[which]}: {part.told}")
        if found is not None:
            self.bar.advance(self.task)
            for verdict in found.verdicts:
                if verdict.main or not verdict.holds:
                    self.line(f"[dim]{self.names[which]}[/]  {_mark(verdict)}  {escape(verdict.claim)}")

    def say(self, what: str) -> None:
        """What is being done."""
        if self.task is not None:
            self.bar.update(self.task, description=what)

    def line(self, text: str) -> None:
        """A line that stays."""
        self.bar.console.print(text)


def _mark(verdict: Verdict) -> str:
    return "[green]holds[/]" if verdict.holds else "[red]FAILS[/]"


def _command(name: str, sets: specs.Set, spec: specs.Spec, more: list[str]) -> str:
    """What makes a report again."""
    given = [f"--set {shlex.quote(word)}" for word in sets or ()] + ([f"--spec {spec}"] if spec else [])
    return " ".join(["weightwright verify", name, *given, *more])


def tables(report: Report, every: bool = True) -> list[Table]:
    """The verdicts and the slack of a report, for the terminal; else its main claims and those that fail."""
    names = ("measured", "enclosed", "certified", "stated", "relative")
    claims = _table(report.title, "claim", *names)
    claims.add_column()
    shown = [one for one in report.verdicts if every or one.main or not one.holds] or report.verdicts
    for verdict in shown:
        measured, enclosed, *bounds, relative = (getattr(verdict, name) for name in names)
        held = (verdict.held_to(bound, number(bound)) for bound in bounds)
        note = f"\n[dim]{escape(verdict.note)}[/]" if verdict.note else ""
        cells = number(measured), number(enclosed), *held, number(relative)
        claims.add_row(verdict.claim + note, *cells, _mark(verdict))
    if left := len(report.verdicts) - len(shown):
        claims.caption = f"{left} more claims hold, and {len(report.blocks)} blocks were measured: --all"
    if not every:
        return [claims]
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
