"""What has been seen of a bandit: contexts, actions and rewards."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions.history.admitted import drawn, up_to, within
from constructions.history.kept import write
from constructions.history.tables import Table
from constructions.plain import integers, reals

ARM = re.compile(r"arm_(\d{1,9})_(\d{1,9})")
"""A column with an entry of the vector of an arm."""


@dataclass(frozen=True, eq=False)
class BanditHistory:
    """A linear-bandit history of `steps` decisions, the last of which is still to be taken.

    Attributes:
        contexts: the action vectors offered at each step, shape (steps, arms, dim).
        actions: index of the arm chosen at each step but the last, from 0, shape (steps - 1,).
        rewards: the reward received for each of them, shape (steps - 1,).
        draws: for policies that are handed their randomness, a standard normal vector at each step, shape (steps, dim);
            None for all others.

    Raises:
        ValueError: if shapes disagree, a number is NaN or infinite, or an arm index is out of range.

    Source: arXiv 2310.08566, section 3 (the data D_{t-1} and the state s_t = A_t); the draws are ours.

    >>> BanditHistory(np.ones((3, 2, 4)), np.array([0, 1]), np.array([0.5, -0.5])).steps
    3
    """

    contexts: Float[np.ndarray, "steps arms dim"]
    actions: Int[np.ndarray, " taken"]
    rewards: Float[np.ndarray, " taken"]
    draws: Float[np.ndarray, "steps dim"] | None = None

    def __init__(self, contexts, actions, rewards, draws=None):
        """Convert anything array-like, then check."""
        contexts, rewards = reals("contexts", contexts), reals("rewards", rewards)
        actions = integers("actions", actions, "arm indices")
        if contexts.ndim != 3 or 0 in contexts.shape:
            raise ValueError(
                f"contexts: wanted shape (steps, arms, dim), none of them 0, got {contexts.shape}"
            )
        steps, arms, _ = contexts.shape
        for name, array in (("actions", actions), ("rewards", rewards)):
            if array.shape != (steps - 1,):
                raise ValueError(
                    f"{name}: wanted shape ({steps - 1},), one fewer than the {steps} contexts, got {array.shape}"
                )
        within("actions", actions, arms)
        if draws is not None:
            draws = drawn(draws, contexts)
        fields = (("contexts", contexts), ("actions", actions), ("rewards", rewards), ("draws", draws))
        for name, array in fields:
            object.__setattr__(self, name, array)

    @property
    def steps(self) -> int:
        """Number of decisions, the pending one included."""
        return self.contexts.shape[0]

    @property
    def chosen(self) -> Float[np.ndarray, "taken dim"]:
        """The action vectors a_1, …, a_{steps-1} that were played."""
        return self.contexts[np.arange(self.steps - 1), self.actions]

    def prefix(self, steps: int) -> "BanditHistory":
        """The history as it stood when decision number `steps` (counted from 1) was pending."""
        steps = up_to(steps, self.steps)
        draws = None if self.draws is None else self.draws[:steps]
        return BanditHistory(
            self.contexts[:steps], self.actions[: steps - 1], self.rewards[: steps - 1], draws
        )

    def save(self, path: str | Path) -> None:
        """Write an .npz file for `load_history`, whole or not at all."""
        write(path, self)

    @classmethod
    def from_table(
        cls, table: Any, *, arms: Any = None, names: Mapping[str, str] | None = None
    ) -> "BanditHistory":
        """The history in a table with a row for each decision; that of the last row is still to be taken.

        Columns are `action`, `reward`, and for entry i of the vector of arm k, both from 0, `arm_k_i`; `draw_i` where there
        are draws. The action and the reward of the last row may be empty: they are not read. Other columns are left alone.

        Args:
            table: the path of a CSV file, a frame of pandas or polars, or a mapping of columns.
            arms: the vectors of arms that are always the same, shape (arms, dim), or of each step; in place of columns.
            names: what columns are called in the table where it is not as here, from our name to theirs.

        Raises:
            ValueError: if a column is missing, a cell that is read is no number, or as the class.

        >>> table = {"arm_0_0": [1, 1], "arm_1_0": [0.5, 2], "clicked": [0.25, None], "action": [1, None]}
        >>> history = BanditHistory.from_table(table, names={"reward": "clicked"})
        >>> history.contexts[:, :, 0].tolist(), history.actions.tolist(), history.rewards.tolist()
        ([[1.0, 0.5], [1.0, 2.0]], [1], [0.25])
        """
        found = Table.of(table, names)
        every, done = range(found.rows), range(found.rows - 1)
        taken = found.integers("action", done), found.reals("reward", done)
        if arms is None:
            pairs = [tuple(map(int, match.groups())) for match in map(ARM.fullmatch, found.names) if match]
            count, dim = (max((pair[side] for pair in pairs), default=0) + 1 for side in (0, 1))
            vectors = [[found.reals(f"arm_{k}_{i}", every) for i in range(dim)] for k in range(count)]
            arms = np.moveaxis(np.array(vectors), 2, 0)
        elif (arms := reals("arms", arms)).ndim == 2:
            arms = np.repeat(arms[None], found.rows, axis=0)
        draws = None
        if "draw_0" in found.names:
            draws = np.stack([found.reals(f"draw_{i}", every) for i in range(arms.shape[-1])], axis=1)
        return cls(arms, *taken, draws)

    def table(self) -> dict[str, list]:
        """The columns that `from_table` reads, for a data frame or a CSV file; None where nothing was done yet."""
        columns = {"action": [*self.actions.tolist(), None], "reward": [*self.rewards.tolist(), None]}
        for k, i in np.ndindex(self.contexts.shape[1:]):
            columns[f"arm_{k}_{i}"] = self.contexts[:, k, i].tolist()
        if self.draws is not None:
            columns |= {f"draw_{i}": row for i, row in enumerate(self.draws.T.tolist())}
        return columns
