"""Specifications from the command line: `--set field=value` and `--spec FILE.toml`, for every field of a row's class."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from constructions import files
from verify.catalog import Entry, named

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Any field: dim=3, error=1e-4, …")
]
Beside = Annotated[
    list[str] | None,
    typer.Option("--beside", metavar="WHAT", help="Another beside it: solver=newton, NAME."),
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


def beside(words: Sequence[str], entry: Entry, spec: Any) -> tuple[Entry, dict[str, Any]]:
    """The row and the fields of what is to stand beside a specification: its own, but for those that are named.

    Args:
        words: fields as FIELD=VALUE, and the name of another row, if it is one.
        entry: the specification's row.
        spec: the specification.

    Raises:
        ValueError: for two names, a name of no row, or a field that the other's specifications do not have.
    """
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise ValueError(f"--beside: wanted one NAME, got {' and '.join(names)}")
    other, given = named(names[0]) if names else entry, asked([word for word in words if "=" in word], None)
    other.hold(given)
    own = {one.name for one in fields(other.spec)}
    return other, {name: value for name, value in asdict(spec).items() if name in own} | given


def made(entry: Entry, given: Mapping[str, Any]) -> Any:
    """A row's example with other fields.

    Raises:
        ValueError: for a field that its specifications do not have, or a value that they refuse.
    """
    entry.hold(given)
    return entry.spec(**{**entry.example, **given})
