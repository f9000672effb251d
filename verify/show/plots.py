"""Figures, drawn from saved records alone.

    draw(record)                one panel, 3.4 in wide: a journal's column
    draw(record, record, …)     panels side by side, 7 in wide: a page; more than three in rows of two
    save(figure, folder, name)  name.svg, its text as text, and name.png; the same record always gives the same bytes
    write(records, path)        one file: a figure as .pdf, .svg or .png, or its numbers as .csv or .json

What a panel shows is worked out in panels.py.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from constructions import files
from verify.show.kinds import KINDS, check
from verify.show.panels import Record, registers

COLUMN, PAGE, HEIGHT = 3.4, 7.0, 2.5
"""Widths of figures of one panel and of several, and the least height of a row of panels, in inches."""
ROW, FRAME = 0.15, 0.75
"""Height of a line of names down the side of a panel, and of what is above and below them, in inches."""

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "figure.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "weightwright",
}


def draw(
    *records: Record,
    size: tuple[float, float] | None = None,
    title: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    style: Any = (),
) -> Figure:
    """A figure with a panel for each record.

    Args:
        records: what is drawn.
        size: width and height in inches; left out, a journal's column or page.
        title: in place of that of the first panel.
        xlabel: in place of that of every panel.
        ylabel: likewise.
        style: of matplotlib, laid over ours: a name, a file or a mapping, or several; colours of curves stay, as they tell
            measured from certified and stated.

    Raises:
        ValueError: if there is no record, or one is of no known kind, lacks a field or holds something else than numbers, or
            there is no such style.
    """
    check(records)
    with matplotlib.style.context(["default", STYLE, *_styles(style)]):
        rows, columns = (1, len(records)) if len(records) < 4 else (math.ceil(len(records) / 2), 2)
        whole = (COLUMN if columns == 1 else PAGE, rows * max(map(_height, records)))
        figure = Figure(figsize=size or whole, layout="constrained")
        FigureCanvasAgg(figure)
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, record in zip(places, records, strict=False):
            try:
                KINDS[record["kind"]].draw(axes, record)
            except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
                raise files.refusal("record", f"what a panel of {record['kind']} shows", error) from error
        for axes in places[len(records) :]:
            axes.remove()
        for number, axes in enumerate(figure.axes):
            named = {"title": None if number else title, "xlabel": xlabel, "ylabel": ylabel}
            axes.set(**{name: text for name, text in named.items() if text is not None})
        figure.draw_without_rendering()
        for axes in figure.axes:
            _clear_legend(axes)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once: saving again moves nothing
    return figure


def _styles(style: Any) -> list[Any]:
    """One style or several, each of which matplotlib knows."""
    try:
        styles: list[Any] = [style] if isinstance(style, str | Path | Mapping) else list(style)
        with matplotlib.style.context(styles):
            return styles
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise files.refusal("style", "a name, a file or a mapping that matplotlib knows", error) from None


def _height(record: Record) -> float:
    """Inches that a panel needs: those with names down the side grow with them."""
    names = len(record["rows"]) if record["kind"] == "slack" else 0
    if record["kind"] == "stream_at_token":
        names = len(registers(record))
    return max(HEIGHT, ROW * names + FRAME)


def _clear_legend(axes: Axes) -> None:
    """Move a legend that lies on a curve above the panel, in two columns, the title above it."""
    legend = axes.get_legend()
    if legend is None:
        return
    box = legend.get_window_extent().padded(1)
    paths = [line.get_transform().transform_path(line.get_path()) for line in axes.get_lines()]
    if not any(len(path) > 1 and path.intersects_bbox(box, filled=False) for path in paths):
        return
    handles, labels = axes.get_legend_handles_labels()
    lines = math.ceil(len(labels) / 2)
    place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1), "borderaxespad": 0, "columnspacing": 1}
    axes.legend(handles, labels, ncols=2, handlelength=1.8, **place)
    axes.set_title(axes.get_title("left"), pad=lines * 12 + 4)


def save(figure: Figure, folder: Path | str, name: str) -> tuple[Path, Path]:
    """Write folder/name.svg and folder/name.png (200 dpi), the folder being made if need be.

    Raises:
        ValueError: if the name is empty or not a plain file name.
    """
    if not name or Path(name).name != name or Path(name).suffix.lower() in KINDS_OF_FILE:
        raise ValueError(f"name: wanted a plain file name without suffix, got {name!r}")
    svg, png = (Path(folder) / f"{name}.{suffix}" for suffix in ("svg", "png"))
    for path in (svg, png):
        files.write(path, _picture(figure, path.suffix))
    return svg, png


SILENT: dict[str, dict[str, Any]] = {
    ".svg": {"metadata": {"Date": None, "Creator": None}},
    ".png": {"metadata": {"Software": None}, "dpi": 200},
    ".pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
}
"""Options of pictures that say nothing of when and with what they were drawn."""
KINDS_OF_FILE = (*SILENT, ".csv", ".json")


def _picture(figure: Figure, suffix: str) -> bytes:
    picture = BytesIO()
    with matplotlib.style.context(["default", STYLE]):
        figure.savefig(picture, format=suffix[1:], **SILENT[suffix])
    return picture.getvalue()


def kind_of(path: Path | None) -> str:
    """The suffix of a path that is one file of a figure; nothing for a folder."""
    suffix = "" if path is None else path.suffix.lower()
    return suffix if suffix in KINDS_OF_FILE else ""


def write(records: Sequence[Record], path: Path, **look: Any) -> Path:
    """One file of a figure, of the kind that its suffix says; `look` is as in `draw`.

    Raises:
        ValueError: if the suffix is none of .pdf, .svg, .png, .csv and .json, or as `draw`.
    """
    if not (kind := kind_of(path)):
        raise files.refusal(
            path, f"a name that ends with {', '.join(KINDS_OF_FILE)}", path.suffix or "no suffix"
        )
    check(records)
    if kind == ".json":
        files.write_json(path, {"records": {path.stem: list(records)}})
    elif kind == ".csv":
        files.write(path, table(records))
    else:
        files.write(path, _picture(draw(*records, **look), kind))
    return path


def table(records: Sequence[Record]) -> str:
    """What is drawn, as CSV: a row for every point, the panel and the curve named before the numbers.

    >>> rows = {"label": "ours", "x": [1, 2], "y": [3.0, 4.5], "look": "measured", "group": "a"}
    >>> print(table([{"kind": "curves", "title": "T", "x_label": "n", "y_label": "error", "curves": [rows]}]))
    panel,title,curve,n,error
    1,T,ours,1,3.0
    1,T,ours,2,4.5
    <BLANKLINE>
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, record in enumerate(records, 1):
        if record["kind"] == "curves":
            bands = any("low" in one for one in record["curves"])
            writer.writerow(
                ["panel", "title", "curve", record["x_label"], record["y_label"], *(["low", "high"] * bands)]
            )
            for one in record["curves"]:
                columns = [
                    one["x"],
                    one["y"],
                    *([one[name] for name in ("low", "high")] if "low" in one else []),
                ]
                writer.writerows(
                    [number, record["title"], one["label"], *row] for row in zip(*columns, strict=True)
                )
        elif record["kind"] == "slack":
            names = ("block", *KINDS["slack"].lists.split())
            writer.writerow(["panel", *names])
            writer.writerows([number, *(row[name] for name in names)] for row in record["rows"])
        elif names := KINDS[record["kind"]].lists.split():
            writer.writerow(["panel", *names])
            writer.writerows([number, *row] for row in zip(*(record[name] for name in names), strict=True))
        else:
            raise ValueError(f"csv: wanted curves, got {record['kind']}, which has none")
    return text.getvalue()
