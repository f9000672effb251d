"""Specifications from the command line: `--set field=value` and `--spec FILE.toml`, for every field of a row's class."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from constructions import files
from verify.catalog import Entry

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Any field: dim=3, error=1e-4, …")
]
Spec = Annotated[Path | None, typer.Option("--spec", metavar="FILE.toml", help="Several fields, in a file.")]


def asked(sets: Sequence[str] | None, path: Path | None) -> dict[str, Any]:
    """Fields by name; those of --set come after those of the file.

    Values are TOML; what is none is text. Lists are tuples.

    Raises:
        ValueError: for a file that is missing or no TOML, or a --set without "=".

    >>> asked(["horizon=50", "solver=newton", "action_norm=[0.5, 2]"], None)
    {'horizon': 50, 'solver': 'newton', 'action_norm': (0.5, 2)}
    """
    found: dict[str, Any] = {}
    if path is not None:
        try:
            found |= tomllib.loads(files.read(path, "a specification in TOML").decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise files.refusal(path, "a specification in TOML", error) from None
    for word in sets or ():
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"--set: wanted FIELD=VALUE, got {word}")
        try:
            found[name.strip()] = tomllib.loads(f"x = {text}")["x"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = text.strip()
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def made(entry: Entry, given: Mapping[str, Any]) -> Any:
    """A row's example with other fields.

    Raises:
        ValueError: for a field that its specifications do not have, or a value that they refuse.
    """
    entry.hold(given)
    return entry.spec(**{**entry.example, **given})
