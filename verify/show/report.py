"""A folder of reports: report.json and figures of each construction, and one self-contained page of all of them.

save(report, folder)    folder/report.json: every number
publish(folder)         the figures of every folder/*/report.json, and folder/index.html, from what was saved alone
"""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch

from constructions import files
from verify.audit import Report, Verdict, Words
from verify.audit.slack import Row
from verify.errata.entry import Record
from verify.show import page, plots

ROOT = Path(__file__).parents[2]
WANTED = "a report.json written by `weightwright verify --out`"


def made(seconds: float, command: str) -> dict:
    """When, how, with which versions and on what machine a report was made, `seconds` having been spent on it."""
    return {
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round(seconds, 1),
        "weightwright": _version(),
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }


def _version() -> str | None:
    try:
        return metadata.version("weightwright")
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of this checkout, and whether files differ from it; None where there is none."""
    if not (ROOT / ".git").exists():
        return None
    asked = (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    try:
        commit, changed = (
            subprocess.run(
                ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}, with changes" if changed else commit


def save(report: Report, folder: Path) -> None:
    """Write folder/report.json."""
    files.write_json(folder / "report.json", report.record())


Plain = bool | int | float | str | Sequence[float] | None


class Made(TypedDict, total=False):
    """How a report was made, as `made` says it; older reports do not."""

    command: str
    date: str
    seconds: float
    weightwright: str | None
    commit: str | None
    python: str
    torch: str
    numpy: str
    machine: str
    cores: int | None


class Mutant(TypedDict):
    """A wrong weight that was tried."""

    place: str
    row: str
    column: str
    score: float
    reason: str


class Saved(TypedDict):
    """A report.json: `Report.record()`."""

    title: str
    spec: dict[str, Plain]
    size: dict[str, int | float]
    verdicts: list[Verdict]
    blocks: list[Row]
    mutants: list[Mutant]
    records: dict[str, list[dict[str, Any]]]
    words: NotRequired[Words]
    made: Made


class Figures(TypedDict):
    """Any saved JSON that has figures."""

    records: dict[str, list[dict[str, Any]]]


class Errata(TypedDict):
    """An errata.json."""

    errata: list[Record]


def load(path: Path) -> Report:
    """A saved report; whether its claims hold is worked out again from their numbers.

    Raises:
        ValueError: if the file is none that `save` wrote, or was changed since.
    """
    return Report(**files.read_json(path, Saved, WANTED))


def figures(path: Path) -> dict[str, list[Any]]:
    """The panels of each figure in any saved JSON that has some: a report, a sweep, a comparison.

    Raises:
        ValueError: if the file has none, or was changed since it was written.
    """
    return files.read_json(path, Figures, WANTED)["records"]


def publish(folder: Path, to: Path | None = None) -> Path:
    """Draw the figures and write the page of every report in a folder, beside them or in another folder.

    Raises:
        ValueError: if there is no report in the folder, or one is damaged.
    """
    paths = sorted(folder.glob("*/report.json"))
    if not paths:
        raise files.refusal(folder, f"{WANTED}, in a folder for each construction", "none")
    files.writable(to := to or folder)
    reports = {path.parent.name: load(path) for path in paths}
    drawings = {
        name: {
            figure: plots.save(plots.draw(*panels), to / name, figure)[0].read_text(encoding="utf-8")
            for figure, panels in report.records.items()
        }
        for name, report in reports.items()
    }
    files.write(to / "index.html", page.page(reports, drawings, errata(folder)))
    return to / "index.html"


def errata(folder: Path) -> list[Record]:
    """The errata that were run and saved in a folder; none if they were not.

    Raises:
        ValueError: if the file is damaged.
    """
    path = folder / "errata.json"
    if not path.exists():
        return []
    return files.read_json(path, Errata, "errata written by `weightwright errata --out`")["errata"]
