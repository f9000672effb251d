"""The command weightwright plot: figures of a construction at any specification, or of what was saved."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from constructions import files
from verify.catalog import Entry, named
from verify.cli import specs
from verify.cli.options import MOST, Json
from verify.show import plots
from verify.show.report import figures, publish
from verify.sweeps.figures import FIGURES, Effort


def plot(
    source: Annotated[
        str, typer.Argument(metavar="NAME|REPORT", help="A construction, or what --out of a command was.")
    ],
    figure: Annotated[
        str | None, typer.Option(metavar="|".join(FIGURES), help="One figure, or one of a report by name.")
    ] = None,
    sets: specs.Set = None,
    spec: specs.Spec = None,
    over: Annotated[str, typer.Option(metavar="FIELD", help="What `horizon` varies.")] = "horizon",
    values: Annotated[list[int] | None, typer.Option(metavar="N", help="Its values, one each.")] = None,
    histories: Annotated[
        int, typer.Option(min=1, max=MOST, metavar="N", help="Searched for each construction.")
    ] = 100,
    seeds: Annotated[int, typer.Option(min=2, max=MOST, metavar="N", help="Runs, for regret.")] = 10,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Inches, as in 5x3.")] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Above the first panel.")] = None,
    x_label: Annotated[str | None, typer.Option(metavar="TEXT", help="Below every panel.")] = None,
    y_label: Annotated[str | None, typer.Option(metavar="TEXT", help="Beside every panel.")] = None,
    style: Annotated[
        list[str] | None, typer.Option(metavar="NAME|FILE", help="A matplotlib style, laid over ours.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder, or one figure as .pdf, .svg, .png, .csv or .json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Figures: of any specification, or of saved reports.

    NAME draws depth unless --figure says otherwise, into figures/NAME. A report, as --out of commands writes it,
    draws all its figures, into figures; a folder of reports the page of all, beside them.
    """
    look: dict[str, Any] = {"title": title, "xlabel": x_label, "ylabel": y_label, "size": _size(size)}
    look["style"] = style or ()
    path = Path(source)
    if out is not None:  # asked before any work
        files.placed(out) if plots.kind_of(out) else files.writable(out)
    saved = path.suffix != ".py" and path.exists()
    if saved and (sets or spec is not None):
        raise ValueError(f"--set: wanted none for what is saved, got {sets or spec}")
    if saved and figure is None and path.is_dir() and not (path / "report.json").exists():
        drawn = [str(publish(path, out))]
    elif saved:
        drawn = _drawn(_of_report(path, figure), out, Path("figures"), look)
    else:
        entry = named(source)
        folder, effort = Path("figures") / entry.name, Effort(histories, seeds, over, tuple(values or ()))
        asked = specs.made(entry, specs.asked(sets, spec))
        drawn = _drawn(_of_construction(entry, asked, figure or "depth", effort), out, folder, look)
    print(json.dumps(drawn) if as_json else "\n".join(drawn))


def _of_report(path: Path, figure: str | None) -> dict[str, list[Any]]:
    """The panels of saved figures, all or one, by name."""
    found = figures(path / "report.json" if path.is_dir() else path)
    if figure is not None and figure not in found:
        raise files.refusal("figure", f"one of {', '.join(found)}", figure)
    return found if figure is None else {figure: found[figure]}


def _of_construction(entry: Entry, spec: Any, figure: str, effort: Effort) -> dict[str, list[Any]]:
    """The panels of one figure at a specification, by name."""
    if figure not in FIGURES:
        raise files.refusal("figure", f"one of {', '.join(FIGURES)}", figure)
    with Console(stderr=True).status(f"{entry.name}: {figure}") as status:
        tell = lambda what: status.update(f"{entry.name}: {what}")  # noqa: E731
        return {figure: list(FIGURES[figure](entry, spec, replace(effort, tell=tell)))}


def _drawn(chosen: dict[str, list[Any]], out: Path | None, folder: Path, look: dict[str, Any]) -> list[str]:
    """What was written: one file, if `out` is one, or all figures into a folder, twice."""
    if out is None or not (kind := plots.kind_of(out)):
        pairs = (plots.save(plots.draw(*one, **look), out or folder, name) for name, one in chosen.items())
        return [str(path) for pair in pairs for path in pair]
    if len(chosen) != 1:
        raise files.refusal("--figure", f"one of {', '.join(chosen)}, as {out} is a {kind} file", "none")
    [panels] = chosen.values()
    return [str(plots.write(panels, out, **look))]


def _size(text: str | None) -> tuple[float, float] | None:
    """Width and height in inches.

    Raises:
        ValueError: if it is not two numbers in [1, 40] with an x between.

    >>> _size("5x3")
    (5.0, 3.0)
    """
    if text is None:
        return None
    try:
        width, height = map(float, text.split("x"))
        if not (1 <= width <= 40 and 1 <= height <= 40):
            raise ValueError
    except ValueError:
        raise ValueError(f"--size: wanted WxH, each from 1 to 40 inches, got {text}") from None
    return width, height
