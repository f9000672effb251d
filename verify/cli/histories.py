"""Histories and truths of one's own, as the command line names them."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from constructions import files
from constructions.construction import Construction
from constructions.history import BanditHistory, EpisodeHistory, load_history
from constructions.inputs.bandits import History
from verify.catalog import Entry
from verify.imports import own

KINDS = "a history as .csv, .json, or .npz by history.save"
Own = Annotated[
    Path | None,
    typer.Option("--history", metavar="FILE", help="One's own, .csv, .json or .npz; for the page."),
]
Truth = Annotated[
    str | None,
    typer.Option("--truth", metavar="FILE.py:NAME", help="A true algorithm of one's own."),
]


def read(path: Path, entry: Entry, built: Construction) -> History:
    """The history in a file, of the kind that the row's constructions take.

    A CSV file has the columns of `from_table`; a JSON file these, or the arrays of the class, by name. Of Bernoulli arms
    the vectors may be left out.

    Raises:
        ValueError: if the file holds none, or one of another kind.
    """
    kind = path.suffix.lower()
    if kind in (".csv", ".json"):
        history = _made(path, _parsed(path) if kind == ".json" else path, entry, built)
    else:
        history = load_history(path)
    if not isinstance(history, entry.seen):
        raise files.refusal(path, entry.seen.__name__, type(history).__name__)
    return history


def _parsed(path: Path) -> dict[str, Any]:
    try:
        found = files.parsed(files.read(path, KINDS))
    except ValueError as error:
        raise error if str(path) in str(error) else files.refusal(path, KINDS, error) from None
    if not isinstance(found, dict):
        raise files.refusal(path, "an object with arrays or columns by name", type(found).__name__)
    return found


def _made(path: Path, table: Any, entry: Entry, built: Construction) -> History:
    """A history from columns, or from the arrays of its class."""
    try:
        if isinstance(table, dict) and {"contexts", "states"} & table.keys():
            return entry.seen(**table)
        if entry.seen is EpisodeHistory:
            return EpisodeHistory.from_table(table, built.spec.horizon)
        arms = np.eye(built.spec.actions) if getattr(built.tokens, "bernoulli", False) else None
        return BanditHistory.from_table(table, arms=arms)
    except (ValueError, TypeError) as error:
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from None


def truth(name: str | None) -> Callable[..., Any] | None:
    """A function by FILE.py:NAME or module:NAME, called `truth` in a file unless it says otherwise.

    Raises:
        ValueError: if there is none.
    """
    if name is None:
        return None
    found = own("truth", name, "truth")
    if not callable(found):
        raise ValueError(
            f"truth: wanted a function of specification and history, got {type(found).__name__} at {name}"
        )
    return found
