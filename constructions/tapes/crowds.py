"""Heads that look back at tokens one by one: what is kept of each token, and what heads make of it; for one history."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from constructions.tapes.tape import Crowd

CLOSE = 1 + 1e-9
"""More than rounding takes off a norm."""

ROOM = 64
"""Rows that a table has room for at first."""


class Table(NamedTuple):
    """Rows that only grow: a table that has been added to shares its arrays with the one before, which stays what it was.

    Attributes:
        head: which head looks at the row; −1 where all do, each at keys and values of its own.
        key: head by head; one for all where their product is common.
        gate: what is added to the product with the key.
        value: what is moved: by the head, or head by head.
        height: how many rows there are.
        closed: the largest gate that was taken for closed, −∞ if none was.
        size: the largest sum of absolute entries of a key.
    """

    head: Int[np.ndarray, " rows"]
    key: Float[np.ndarray, "rows ..."]
    gate: Float[np.ndarray, " rows"]
    value: Float[np.ndarray, "rows ..."]
    height: int = 0
    closed: float = -np.inf
    size: float = 0.0

    @classmethod
    def of(cls, one: Crowd, memory: Any) -> "Table":
        """What a program's own state has of a crowd."""
        if not one.common:
            key, value = (np.ascontiguousarray(part.numpy(force=True)[0].swapaxes(0, 1)) for part in memory)
            return cls(np.full(len(key), -1), key, np.zeros(len(key)), value, len(key))
        keys, closed, (head, _, token), gate, value = memory
        rows = keys[:, 0].T.numpy(force=True)
        parts = head, gate, value, rows[token.numpy(force=True)]
        head, gate, value, key = (np.asarray(part) for part in parts)
        return cls(head, key, gate, value, len(head), float(closed.max()), largest(rows))

    def with_rows(self, head: Any, key: Any, gate: Any, value: Any) -> "Table":
        """So many rows more."""
        height, table = self.height + len(gate), self
        if height > len(self.gate):
            longer = [_longer(rows, max(2 * height, ROOM)) for rows in self[:4]]
            table = self._replace(**dict(zip(self._fields[:4], longer, strict=True)))
        for rows, more in zip(table[:4], (head, key, gate, value), strict=True):
            rows[self.height : height] = more
        return table._replace(height=height)


def largest(keys: Float[np.ndarray, "rows rank"]) -> float:
    """The largest sum of absolute entries."""
    return float(np.abs(keys).sum(1).max(initial=0.0))


def _longer(rows: np.ndarray, room: int) -> np.ndarray:
    found = np.zeros((room, *rows.shape[1:]), rows.dtype)
    found[: len(rows)] = rows
    return found


class Players:
    """Crowds played on a deck's slots; tables are handed in before, and are there with what is new afterwards."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.met: dict[str, list[int]] = {}
        self.open = False

    def begin(self, tables: dict[str, Table]) -> None:
        """What is known so far."""
        self.tables, self.open = dict(tables), False
        self.met.clear()

    def play(
        self,
        one: Crowd,
        query: Float[np.ndarray, "queries rank"],
        keys: Float[np.ndarray, "tokens queries rank"],
        gates: Float[np.ndarray, "tokens gates"],
        values: Float[np.ndarray, "tokens heads span"],
        out: Float[np.ndarray, "heads span"],
    ) -> None:
        """What the heads move to one token."""
        if one.place not in self.met:
            if one.common:
                self._gather(one, keys[:, 0], gates, values)
            else:
                self._take_down(one, keys, values)
        table, count = self.tables[one.place], self.met[one.place][one.token]
        if one.common:
            self._look_back(table, count, query[0], out)
        else:
            _attend(table, count, query, out)

    def _look_back(
        self,
        table: Table,
        count: int,
        query: Float[np.ndarray, " rank"],
        out: Float[np.ndarray, "heads span"],
    ) -> None:
        """At the rows of tokens up to this one; and whether a product may outweigh a gate that was taken for closed."""
        self.open |= not float(np.abs(query).max()) * table.size * CLOSE + table.closed <= 0
        out.fill(0.0)
        if count:
            scores = table.key[:count] @ query
            scores += table.gate[:count]
            np.maximum(scores, 0.0, out=scores)
            np.add.at(out, table.head[:count], scores[:, None] * table.value[:count])

    def _take_down(self, one: Crowd, keys: np.ndarray, values: np.ndarray) -> None:
        """Keys and values of all tokens of the chunk."""
        table = self.tables[one.place]
        self.tables[one.place] = table.with_rows(-1, keys, np.zeros(one.tokens), values)
        self.met[one.place] = [table.height + 1 + n for n in range(one.tokens)]

    def _gather(self, one: Crowd, keys: np.ndarray, gates: np.ndarray, values: np.ndarray) -> None:
        """The heads that may see a token of the chunk, and how closed the others are at least."""
        table = self.tables[one.place]
        before, opened = table.height, ~(gates <= -one.cap)
        token, head = opened.nonzero()
        self.met[one.place] = (before + token.searchsorted(range(one.tokens), "right")).tolist()
        closed = float(gates.max(initial=-np.inf, where=~opened)) if len(token) else float(gates.max())
        if len(token):
            table = table.with_rows(head, keys[token], gates[token, head], values[token, head])
        sizes = max(closed, table.closed), max(largest(keys), table.size)  # what is new first: NaN stays
        self.tables[one.place] = table._replace(closed=sizes[0], size=sizes[1])


def _attend(
    table: Table, count: int, queries: Float[np.ndarray, "heads rank"], out: Float[np.ndarray, "heads span"]
) -> None:
    """By the definition, tokens that a head does not see left out."""
    for head, query in enumerate(queries):
        scores = table.key[:count, head] @ query
        seen = np.flatnonzero(~(scores <= 0))
        np.dot(scores[seen], table.value[seen, head], out=out[head])
