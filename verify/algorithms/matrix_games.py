"""The value of a zero-sum matrix game, by linear programming.

The player of rows pays game[i, j] to the player of columns, who wants it large.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from constructions.plain import reals


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """Optimal strategies, as near as linear programming comes.

    Attributes:
        rows: odds of the rows, shape (rows,).
        columns: odds of the columns, shape (columns,).
        low: what `columns` is paid at least, whatever the rows do: at most the value.
        high: what `rows` pays at most, whatever the columns do: at least the value.
    """

    rows: Float[np.ndarray, " rows"]
    columns: Float[np.ndarray, " columns"]
    low: float
    high: float

    @property
    def value(self) -> float:
        """The value, within half of `high` − `low`."""
        return (self.low + self.high) / 2


def equilibrium(game) -> Equilibrium:
    """Optimal strategies of a game, shape (rows, columns).

    Raises:
        ValueError: if it is no matrix of finite numbers, or linear programming does not solve it.

    >>> round(equilibrium([[0.0, 1.0], [0.5, 0.0]]).value, 9)  # rows 1 : 2
    0.333333333
    """
    game = reals("game", game)
    if game.ndim != 2 or not game.size:
        raise ValueError(f"game: wanted shape (rows, columns), none of them 0, got {game.shape}")
    rows, columns = _strategy(game), _strategy(-game.T)
    return Equilibrium(rows, columns, float((game @ columns).min()), float((rows @ game).max()))


def gap(game: Float[np.ndarray, "rows columns"], rows: np.ndarray, columns: np.ndarray) -> float:
    """How much both together could gain by best replies to one another's odds; 0 at equilibrium."""
    return float((rows @ game).max() - (game @ columns).min())


def _strategy(game: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " rows"]:
    """Odds of the rows for which the largest payment is least: min v, gameᵀ odds ≤ v."""
    count, replies = game.shape
    solved = linprog(
        np.append(np.zeros(count), 1.0),
        np.hstack([game.T, -np.ones((replies, 1))]),
        np.zeros(replies),
        np.append(np.ones(count), 0.0)[None],
        [1.0],
        [(0, None)] * count + [(None, None)],
    )
    if solved.status:
        raise ValueError(f"game: wanted one that linear programming solves, got {solved.message}")
    odds = np.maximum(solved.x[:-1], 0)
    return odds / odds.sum()
