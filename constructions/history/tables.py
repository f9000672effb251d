"""Tables, whoever made them: CSV files, frames of pandas or polars, mappings of columns.

A table is anything that names its columns and gives each by its name; no library of frames is imported.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions import files
from constructions.plain import integers, listed, real, reals, shown

KINDS = "a CSV file, a frame with named columns, or a mapping of columns"


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length.

    Attributes:
        names: ours of all columns.
        rows: how many there are.
    """

    names: tuple[str, ...]
    rows: int
    _columns: Mapping[str, list[Any]]

    @classmethod
    def of(cls, table: Any, names: Mapping[str, str] | None = None) -> "Table":
        """A table, columns of other names told by `names`, from our name to theirs.

        Raises:
            ValueError: if it is none, has no rows or columns of unequal length, or lacks a column that `names` has.
        """
        found = _columns(table)
        for ours, theirs in (names or {}).items():
            if theirs not in found:
                raise _missing(theirs, found)
            found[ours] = found.pop(theirs)
        lengths = {name: len(values) for name, values in found.items()}
        rows = next(iter(lengths.values()), 0)
        if odd := [name for name, length in lengths.items() if length != rows]:
            raise ValueError(f"table: wanted {rows} rows in every column, got {lengths[odd[0]]} in {odd[0]}")
        if not rows:
            raise ValueError("table: wanted at least one row, got none")
        return cls(tuple(found), rows, found)

    def column(self, name: str) -> list[Any]:
        """The cells of a column.

        Raises:
            ValueError: if there is none of this name.
        """
        if name not in self._columns:
            raise _missing(name, self.names)
        return self._columns[name]

    def reals(self, name: str, rows: Iterable[int]) -> Float[np.ndarray, " rows"]:
        """Some cells as real numbers."""
        return reals(name, self._numbers(name, rows))

    def integers(self, name: str, rows: Iterable[int]) -> Int[np.ndarray, " rows"]:
        """Some cells as integers; 1.0 is one, as a column with an empty cell is of floats in frames."""
        cells = self._numbers(name, rows)
        return integers(
            name, [int(cell) if type(cell) is float and cell == int(cell) else cell for cell in cells]
        )

    def _numbers(self, name: str, rows: Iterable[int]) -> list[float | int]:
        column, found = self.column(name), []
        for row in rows:
            cell = column[row].item() if isinstance(column[row], np.generic) else column[row]
            if real(cell) is None:
                got = "an empty cell" if empty(cell) else shown(cell)
                raise ValueError(f"{name}: wanted a finite number, got {got} in row {row}, counted from 0")
            found.append(cell)
        return found


def empty(cell: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, or what frames have for them.

    >>> empty(None), empty(float("nan")), empty(0.0), empty("x")
    (True, True, False, False)
    """
    try:
        return cell is None or bool(cell != cell)
    except TypeError:  # pandas' NA is neither equal to itself nor not
        return True


def _missing(name: str, found: Iterable[str]) -> ValueError:
    return ValueError(f"table: wanted a column {name}, got {listed(found) or 'none'}")


def _columns(table: Any) -> dict[str, list[Any]]:
    """Cells by the name of their column."""
    if isinstance(table, str | Path):
        return _csv(table)
    names = table.keys() if isinstance(table, Mapping) else getattr(table, "columns", None)
    try:
        return {str(name): _cells(table[name]) for name in names}  # type: ignore[union-attr]
    except Exception as error:  # whatever something else makes of it
        raise ValueError(f"table: wanted {KINDS}, got {shown(table)}") from error


def _cells(column: Any) -> list[Any]:
    return column.to_list() if hasattr(column, "to_list") else list(column)


def _csv(path: str | Path) -> dict[str, list[Any]]:
    """Columns of a file with a line of names; cells that are numbers as such, empty ones as None."""
    wanted = "a CSV file with a line of names, and rows of as many cells"
    try:
        text = files.read(path, wanted).decode("utf-8-sig")
        head, *rows = csv.reader(text.splitlines(), strict=True)
        if len(set(head)) < len(head):
            raise ValueError("a name twice")
        rows = [row for row in rows if row]
        for number, row in enumerate(rows):
            if len(row) != len(head):
                raise ValueError(f"{len(row)} cells in row {number}, beside {len(head)} names")
        return {name: [_cell(row[n]) for row in rows] for n, name in enumerate(head)}
    except (ValueError, csv.Error) as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise files.refusal(path, wanted, error) from None


def _cell(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip() or None
