"""A folder of reports: report.json and figures of each construction, and one self-contained page of all of them.

save(report, folder)    folder/report.json: every number
publish(folder)         the figures of every folder/*/report.json, and folder/index.html, from what was saved alone
"""

import json
import math
import os
import platform
import subprocess
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from verify import page, plots
from verify.audit import Report, Verdict

ROOT = Path(__file__).parent.parent
WANTED = "wanted a report.json written by `weightwright verify --out`"


def number(value: float | int | None) -> str:
    """A number as a reader of a terminal wants it.

    >>> number(1001), number(0.00123456), number(None), number(0.5)
    ('1,001', '1.23e-03', '—', '0.5')
    """
    if value is None:
        return "—"
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.3g}" if 1e-2 <= abs(value) < 1e5 else f"{value:.2e}"


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


def write_whole(path: Path, text: str) -> None:
    """Write beside the final name and move there, so that a reader never finds half a file; folders are made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".part")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def save(report: Report, folder: Path) -> None:
    """Write folder/report.json."""
    write_whole(folder / "report.json", json.dumps(report.record(), indent=1, default=float))


def load(path: Path) -> Report:
    """A saved report; whether its claims hold is worked out again from their numbers.

    Raises:
        ValueError: if the file is none that `save` wrote.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        verdicts = [Verdict(**_known(Verdict, verdict)) for verdict in record["verdicts"]]
        for verdict in verdicts:
            verdict.holds  # noqa: B018  # numbers, not words
        return Report(**_known(Report, {**record, "verdicts": verdicts}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {WANTED}, got {error}") from error


def figures(path: Path) -> dict[str, list[Any]]:
    """The panels of each figure in any saved JSON that has some: a report, a sweep, a comparison.

    Raises:
        ValueError: if the file has none.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["records"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {WANTED}, got {error}") from error


def _known(kind: type, record: dict) -> dict[str, Any]:
    """The fields that a class has; older files have fewer, newer ones more."""
    return {field.name: record[field.name] for field in fields(kind) if field.name in record}


def publish(folder: Path, to: Path | None = None) -> Path:
    """Draw the figures and write the page of every report in a folder, beside them or in another folder.

    Raises:
        ValueError: if there is no report in the folder, or one is damaged.
    """
    paths = sorted(folder.glob("*/report.json"))
    if not paths:
        raise ValueError(f"{folder}: {WANTED}, in a folder for each construction, got none")
    to, reports = to or folder, {path.parent.name: load(path) for path in paths}
    drawings = {
        name: {
            figure: plots.save(plots.draw(*panels), to / name, figure)[0].read_text(encoding="utf-8")
            for figure, panels in report.records.items()
        }
        for name, report in reports.items()
    }
    write_whole(to / "index.html", page.page(reports, drawings, errata(folder)))
    return to / "index.html"


def errata(folder: Path) -> list[dict]:
    """The errata that were run and saved in a folder; none if they were not.

    Raises:
        ValueError: if the file is damaged.
    """
    path = folder / "errata.json"
    if not path.exists():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        kept = ("kind", "proof")  # of an older version if they are missing
        return [
            record | {key: record[key] for key in kept} | {"confirmed": bool(record["confirmed"])}
            for record in records
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: wanted errata written by `weightwright errata --out`, got {error}"
        ) from error
