"""The commands weightwright certify | export-certificate: errors on saved histories in balls; a file that others check."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from constructions import files, load
from constructions.construction import Construction
from constructions.showing import number
from verify.balls import enclose
from verify.catalog import Entry, entry_of, named
from verify.certificate import check_certificate, export
from verify.cli import specs
from verify.cli.histories import read
from verify.cli.options import Json, out_folder


def certify(
    histories: Annotated[
        list[Path], typer.Argument(metavar="HISTORY…", help="Files by history.save, or .csv, .json.")
    ],
    of: Annotated[str, typer.Option(metavar="NAME|FILE", help="Of the catalog, or by built.save.")],
    last: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The last N decisions; all if left out.")
    ] = None,
    as_json: Json = False,
    out: Annotated[Path | None, out_folder("certify.json")] = None,
) -> None:
    """Enclose errors on saved histories in balls, rounding included.

    Exit status 1 if a certificate is exceeded.
    """
    console = Console(stderr=True)
    with console.status("building") as status:
        (entry, built), records = found(of), []
        for path in histories:
            status.update(f"enclosing {path}")
            records.append(enclosed(entry, built, path, last))
    if out is not None:
        files.write(out / "certify.json", json.dumps(records, indent=1))
    if as_json:
        print(json.dumps(records))
    else:
        Console().print(table(of, records))
    if not all(record["holds"] for record in records):
        raise typer.Exit(1)


def found(name: str) -> tuple[Entry, Construction]:
    """A row and its construction: that of a name with its main specification, or that of a file.

    Raises:
        ValueError: if it is neither.
    """
    if Path(name).suffix == ".safetensors":
        built = load(name)
        return entry_of(built.spec), built
    return (entry := named(name)), entry.build(entry.main)


def enclosed(entry: Entry, built: Construction, path: Path, last: int | None) -> dict[str, Any]:
    """What was found on one saved history, as a record: `Enclosure.record`, and file, steps and what is stated.

    Raises:
        ValueError: if the file holds no history, or one of another kind or not admissible, or the row has no balls.
    """
    history = read(path, entry, built)
    steps = range(max(0, history.steps - (last or history.steps)), history.steps)
    if entry.balls is None:
        raise ValueError(
            f"certify: wanted balls in the row {entry.name}, the true algorithm in ball arithmetic, got none"
        )
    enclosure = enclose(built, entry.balls, history, steps)
    stated = getattr(built.spec, "error", 0.0)  # of UCB-VI the theorem says: no error at all
    return {"file": str(path), "steps": len(steps), "stated": stated} | enclosure.record()


def table(name: str, records: list[dict[str, Any]]) -> Table:
    """For the terminal: what float64 measures, what is enclosed, what is promised and what is stated."""
    shown = Table("history", title=f"{name}: worst error", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("decisions", "measured\n(float64)", "enclosed", "certified", "stated"):
        shown.add_column(head, justify="right", no_wrap=True)
    shown.add_column()
    for record in records:
        names = ("steps", "float64_high", "exact_high", "certificate", "stated")
        mark = "[green]holds[/]" if record["holds"] else "[red]FAILS[/]"
        shown.add_row(record["file"], *(number(record[name]) for name in names), mark)
    return shown


def export_certificate(
    construction: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the catalog, FILE.py, module:ENTRY.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The certificate, as JSON.")],
    sets: specs.Set = None,
    spec: specs.Spec = None,
    histories: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Histories to run it on.")] = 3,
    steps: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Decisions of each, at most.")
    ] = 12,
    as_json: Json = False,
) -> None:
    """Write weights, statement and obligations to a file that check_certificate.py checks alone.

    The checker needs NumPy and python-flint, and nothing of this library.
    """
    entry = named(construction)
    given = specs.asked(sets, spec)
    files.placed(out)
    with Console(stderr=True).status("building"):
        built = entry.build(specs.made(entry, given) if given else entry.main)
        record = export.certificate(entry, built, export.chosen(entry, built, histories, steps))
        export.export(out, record)
    told = {
        "certificate": str(out),
        "checker": str(Path(check_certificate.__file__)),
        "trusted": record["trusted"],
    }
    if as_json:
        print(json.dumps(told))
    else:
        print(f"{out}\ncheck it: python {told['checker']} {out}")
