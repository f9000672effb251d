"""A matrix under the names of its rows and columns, and frames of pandas where there is pandas."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.anatomy import latex
from constructions.anatomy.formulas import times


def frame(data: Any, **names: Any) -> Any:
    """A DataFrame of pandas, which is imported here and nowhere else.

    Raises:
        ImportError: if pandas is missing.
    """
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ImportError("frame: wanted pandas, got none: pip install pandas") from error
    return pandas.DataFrame(data, **names)


@dataclass(frozen=True, eq=False, repr=False)
class NamedMatrix:
    """Rows and columns of a matrix that are not zero, and their names.

    Attributes:
        rows: names, in order.
        columns: names, in order.
        values: the weights between them; all others are 0.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Float[np.ndarray, "rows columns"]

    @classmethod
    def of(cls, matrix: Any, rows: Sequence[str], columns: Sequence[str]) -> "NamedMatrix":
        """From a sparse matrix of SciPy and the names of all its rows and columns."""
        coo = matrix.tocoo()
        row, to = np.unique(coo.row, return_inverse=True)
        column, at = np.unique(coo.col, return_inverse=True)
        values = np.zeros((len(row), len(column)))
        np.add.at(values, (to, at), coo.data)
        return cls(tuple(rows[int(n)] for n in row), tuple(columns[int(n)] for n in column), values)

    def __getitem__(self, place: tuple[str, str]) -> float:
        """The weight at a row and a column, by their names.

        Raises:
            ValueError: for a name of none that is here.
        """
        for wanted, names in zip(place, (self.rows, self.columns), strict=True):
            if wanted not in names:
                raise ValueError(f"matrix: wanted one of {', '.join(names)}, got {wanted}")
        return float(self.values[self.rows.index(place[0]), self.columns.index(place[1])])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype, copy=copy)

    def frame(self) -> Any:
        """A DataFrame with the names as index and columns. ImportError if pandas is missing."""
        return frame(self.values, index=list(self.rows), columns=list(self.columns))

    def to_latex(self) -> str:
        """An array with names at its rows and columns, for a formula."""
        cells = [
            [latex.formula(times(x, "1"), ()) if x else "0" for x in row] for row in self.values.tolist()
        ]
        rows, columns = (list(map(latex.name, names)) for names in (self.rows, self.columns))
        return latex.array(rows, columns, cells)

    def __repr__(self) -> str:
        lines = [["", *self.columns]]
        lines += [
            [name, *(times(x, "1") if x else "·" for x in row)]
            for name, row in zip(self.rows, self.values.tolist(), strict=True)
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines)
