"""Heads that look back at tokens one by one: what is kept of each token, and what heads make of it; for one history."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions.fast.sparsity import TINY
from constructions.tapes.tape import Crowd

CLOSE = 1 + 1e-9
"""More than rounding takes off a norm."""

ROOM = 64
"""Rows that a table has room for at first."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows that only grow: a table that has been added to shares its arrays with the one before, which stays what it was.

    Attributes:
        head: which head looks at the row; −1 where all do, each at keys and values of its own.
        key: of one head, or head by head.
        gate: what is added to the product with the key.
        value: what is moved, likewise.
        count: how many rows there are.
        closed: the largest gate that was taken for closed, −∞ if none was.
        sizes: the largest sum of absolute entries, and the largest norm, of a key whose gate was.
    """

    head: Int[np.ndarray, " rows"]
    key: Float[np.ndarray, "rows ..."]
    gate: Float[np.ndarray, " rows"]
    value: Float[np.ndarray, "rows ..."]
    count: int = 0
    closed: float = -np.inf
    sizes: tuple[float, float] = (0.0, 0.0)

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
        known = cls(head, key, gate, value, len(head))
        return replace(known, closed=float(closed.max())).with_sizes(rows)

    def with_sizes(self, keys: Float[np.ndarray, "rows rank"]) -> "Table":
        """With the sizes of more keys."""
        keys = np.abs(keys)
        sizes = float(keys.sum(1).max()), float(np.sqrt(np.square(keys).sum(1)).max()) + TINY
        return replace(self, sizes=(max(self.sizes[0], sizes[0]), max(self.sizes[1], sizes[1])))

    def with_rows(self, head: Any, key: Any, gate: Any, value: Any) -> "Table":
        """So many rows more."""
        count, table = self.count + len(gate), self
        if count > len(self.gate):
            room = max(2 * count, ROOM)
            table = replace(self, **{name: _longer(getattr(self, name), room) for name in NAMES})
        for name, rows in zip(NAMES, (head, key, gate, value), strict=True):
            getattr(table, name)[self.count : count] = rows
        return replace(table, count=count)


NAMES = ("head", "key", "gate", "value")


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

    def play(self, one: Crowd, view: Any, out: Float[np.ndarray, " rows"]) -> None:
        """What the heads move to one token."""
        if one.place not in self.met:
            (self._gather if one.common else self._take_down)(one, view)
        table, count = self.tables[one.place], self.met[one.place][one.token]
        query = view(one.query)
        if not one.common:
            self._attend(one, table, count, query, out)
            return
        self._look(table, query)
        out.fill(0.0)
        if count:
            scores = table.key[:count] @ query if len(query) else np.zeros(count)
            scores += table.gate[:count]
            np.maximum(scores, 0.0, out=scores)
            np.add.at(out.reshape(one.heads, -1), table.head[:count], scores[:, None] * table.value[:count])

    def _attend(
        self, one: Crowd, table: Table, count: int, query: np.ndarray, out: Float[np.ndarray, " rows"]
    ) -> None:
        """By the definition, tokens that a head does not see left out."""
        queries, moved = query.reshape(one.heads, -1), out.reshape(one.heads, -1)
        for head in range(one.heads):
            scores = table.key[:count, head] @ queries[head]
            seen = np.flatnonzero(~(scores <= 0))
            np.dot(scores[seen], table.value[seen, head], out=moved[head])

    def _take_down(self, one: Crowd, view: Any) -> None:
        """Keys and values of all tokens of the chunk."""
        count, table = one.tokens, self.tables[one.place]
        key, value = (view(part, count, one.heads, -1) for part in (one.keys, one.values))
        self.tables[one.place] = table.with_rows(-1, key, np.zeros(count), value)
        self.met[one.place] = [table.count + 1 + n for n in range(count)]

    def _gather(self, one: Crowd, view: Any) -> None:
        """The heads that may see a token of the chunk, and how closed the others are at least."""
        table, gates = self.tables[one.place], view(one.gates, one.tokens, one.heads)
        shut = gates <= -one.cap
        if shut.all():
            self.met[one.place] = [table.count] * one.tokens
            closed = float(gates.max())
        else:
            token, head = (~shut).nonzero()
            keys, values = view(one.keys, one.tokens, -1), view(one.values, one.tokens, one.heads, -1)
            closed = float(gates.max(initial=-np.inf, where=shut))
            table = table.with_rows(head, keys[token], gates[token, head], values[token, head])
            before = table.count - len(token)
            self.met[one.place] = (before + np.searchsorted(token, np.arange(one.tokens), "right")).tolist()
        table = replace(table, closed=max(table.closed, closed))
        self.tables[one.place] = table.with_sizes(view(one.keys, one.tokens, -1))

    def _look(self, table: Table, query: np.ndarray) -> None:
        """Whether a product may outweigh a gate that was taken for closed."""
        if len(query):
            reach = float(np.abs(query).max()) * table.sizes[0]
            if not reach * CLOSE + table.closed <= 0:
                reach = (float(np.sqrt(query.dot(query))) + TINY) * table.sizes[1]
                self.open |= not reach * CLOSE + table.closed <= 0
