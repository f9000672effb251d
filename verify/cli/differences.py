"""The command weightwright diff: what became of the claims of one audit in another."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from constructions.showing import number
from verify.audit import Verdict
from verify.cli.options import Json
from verify.show import changes
from verify.show.changes import NUMBERS, Change

MARKS = {"lost": "[red]lost[/]", "fails": "[red]fails[/]", "gained": "[green]gained[/]", "moved": "moved"}


def diff(
    before: Annotated[
        Path, typer.Argument(metavar="A", help="report.json, a folder of reports, or verify --json.")
    ],
    after: Annotated[Path, typer.Argument(metavar="B", help="The same, later.")],
    as_json: Json = False,
) -> None:
    """Claims gained, lost and moved between two audits.

    Exit status 1 if one that held is lost or fails, or a new one fails.
    """
    old, new = changes.read(before), changes.read(after)
    found = changes.changes(old, new)
    if as_json:
        print(json.dumps([change.record() for change in found]))
    else:
        claims = sum(len(report.verdicts) for report in new.values())
        Console().print(table(found) if found else f"{claims} claims, all as they were")
    if changes.lost(found):
        raise typer.Exit(1)


def table(found: list[Change]) -> Table:
    """For the terminal: what was lost first, each claim with its numbers before and after."""
    shown = Table("", "claim", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in NUMBERS:
        shown.add_column(head, justify="right", no_wrap=True)
    for change in sorted(found, key=lambda change: list(MARKS).index(change.kind)):
        cells = (_cell(change.before, change.after, name) for name in NUMBERS)
        shown.add_row(MARKS[change.kind], f"[dim]{escape(change.report)}[/] {escape(change.claim)}", *cells)
    return shown


def _cell(old: Verdict | None, new: Verdict | None, name: str) -> str:
    """A number, or what it was and what it has become."""
    numbers = [getattr(one, name) for one in (old, new) if one is not None]
    same = len(numbers) == 1 or numbers[0] == numbers[1]
    return number(numbers[0]) if same else " →\n".join(map(number, numbers))
