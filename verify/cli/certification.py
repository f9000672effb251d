"""The command weightwright certify: how far a construction is from its algorithm on saved histories, enclosed in balls."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from constructions import files, linucb, load, saving, thompson, ucbvi
from constructions.construction import Construction
from constructions.history import BanditHistory, EpisodeHistory, load_history
from constructions.showing import number
from verify import algorithms
from verify.balls import enclose
from verify.claims import bernoulli as bernoulli_claims
from verify.claims import linucb as linucb_claims
from verify.claims import thompson as thompson_claims
from verify.claims import ucbvi as ucbvi_claims
from verify.cli.models import Json, out_folder

MAIN: Mapping[str, tuple[Callable[[Any], Construction], Any]] = {
    "linucb": (linucb.build, linucb_claims.MAIN),
    "thompson": (thompson.build, thompson_claims.TWO),
    "bernoulli": (thompson.build, bernoulli_claims.MAIN),
    "ucbvi": (ucbvi.build, ucbvi_claims.MAIN),
}
"""What a name stands for: who builds it, and the main specification of its report."""

TRUTHS = {
    "linucb.Spec": (algorithms.linucb, BanditHistory),
    "thompson.Spec": (algorithms.thompson, BanditHistory),
    "thompson.BernoulliSpec": (algorithms.bernoulli_thompson, BanditHistory),
    "ucbvi.Spec": (algorithms.ucbvi, EpisodeHistory),
}
"""The algorithm that a kind of construction carries out, and what it has seen."""


def certify(
    histories: Annotated[list[Path], typer.Argument(metavar="HISTORY…", help="Files by history.save.")],
    of: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="linucb, thompson, bernoulli, ucbvi, or by built.save.")
    ],
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
        built, records = construction(of), []
        for path in histories:
            status.update(f"enclosing {path}")
            records.append(enclosed(built, path, last))
    if out is not None:
        files.write(out / "certify.json", json.dumps(records, indent=1))
    if as_json:
        print(json.dumps(records))
    else:
        Console().print(table(of, records))
    if not all(record["holds"] for record in records):
        raise typer.Exit(1)


def construction(name: str) -> Construction:
    """The construction of a name with its main specification, or of a file.

    Raises:
        ValueError: if it is neither.
    """
    if name in MAIN:
        build, spec = MAIN[name]
        return build(spec)
    if not Path(name).exists():
        raise ValueError(f"--of: wanted one of {', '.join(MAIN)} or a file, got {name}")
    return load(name)


def enclosed(built: Construction, path: Path, last: int | None) -> dict[str, Any]:
    """What was found on one saved history, as a record: `Enclosure.record`, and file, steps and what is stated.

    Raises:
        ValueError: if the file holds no history, or one of another kind or not admissible.
    """
    truth, wanted = TRUTHS[saving.kind(built.spec)]
    history = load_history(path)
    if not isinstance(history, wanted):
        raise ValueError(f"{path}: wanted {wanted.__name__}, got {type(history).__name__}")
    steps = range(max(0, history.steps - (last or history.steps)), history.steps)
    found = enclose(built, truth, history, steps)
    stated = getattr(built.spec, "error", 0.0)  # of UCB-VI the theorem says: no error at all
    return {"file": str(path), "steps": len(steps), "stated": stated} | found.record()


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
