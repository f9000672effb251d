"""What commands have in common: options, progress bars, tables of numbers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from constructions import files

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
MOST = 10**6
"""Runs, histories and mutants at most: more would take months."""
Runs = Annotated[int, typer.Option(min=2, max=MOST, metavar="N", help="Problems to play.")]
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
"""What a progress bar shows."""


def out_folder(what: str) -> Any:
    """The option --out of a command that writes this into a folder."""
    return typer.Option("--out", callback=files.writable, help=f"Folder for {what}.")


Out = Annotated[Path | None, out_folder("JSON and figures")]


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars, one for each name that is told."""
    shown: dict[str, TaskID] = {}
    with Progress(*COLUMNS, console=Console(stderr=True)) as bar:

        def tell(what: str, done: int, whole: int) -> None:
            if what not in shown:
                shown[what] = bar.add_task(what, total=whole)
            bar.update(shown[what], completed=done)

        yield tell


def narrow(title: str, first: str, *heads: str) -> Table:
    """A narrow table of numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(first, no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table
