"""A computation on numbers in slots, written down before it is run: sums, products, matrices, bends and look-ups.

A slot is written once. Which slots hold what a stream entry holds is known while the tape is written, so that a copy costs
nothing, what cancels is not computed, and everything that is linear at one place is one sum. Slot 0 holds 0, slot 1 holds 1.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions.fast.neurons import Lookups

Slots = Int[np.ndarray, " _"]
"""Where numbers stand, or 0 where there is none."""

ZERO, ONE = 0, 1
"""Where they stand."""


@dataclass(frozen=True, eq=False)
class Sum:
    """Each new slot is a sum of weighted slots; a weight is a number times a factor, which goes by the position.

    Attributes:
        out: the slots written.
        starts: where each slot's terms begin.
        slots: of each term, what is added.
        weights: by how much it is multiplied.
        factors: and by which factor; 0 is none.
    """

    out: slice
    starts: Int[np.ndarray, " rows"]
    slots: Int[np.ndarray, " terms"]
    weights: Float[np.ndarray, " terms"]
    factors: Int[np.ndarray, " terms"]

    @property
    def reads(self) -> tuple[Slots, ...]:
        """The slots that are read."""
        return (self.slots,)

    def part(self, terms: slice) -> slice | None:
        """Some of the terms as consecutive slots, if they are that, with one weight and one factor; else None."""
        slots, weights, factors = self.slots[terms], self.weights[terms], self.factors[terms]
        alike = (
            (np.diff(slots) == 1).all() and (weights == weights[0]).all() and (factors == factors[0]).all()
        )
        return span(slots) if alike else None


@dataclass(frozen=True, eq=False)
class Products:
    """Each new slot is a sum of products of two slots."""

    out: slice
    starts: Int[np.ndarray, " rows"]
    left: Int[np.ndarray, " terms"]
    right: Int[np.ndarray, " terms"]

    @property
    def reads(self) -> tuple[Slots, ...]:
        """The slots that are read."""
        return self.left, self.right


@dataclass(frozen=True, eq=False)
class Matrices:
    """X Yᵀ, if it is turned, or XY, of matrices that stand in the tape row by row: their slots and how many rows they have.

    A shift, a number and its factor, is added to the diagonal.
    """

    out: slice
    left: tuple[slice, int]
    right: tuple[slice, int]
    turned: bool
    shift: tuple[float, int] | None = None

    @property
    def reads(self) -> tuple[Slots, ...]:
        """The slots that are read."""
        return run(self.left[0]), run(self.right[0])


@dataclass(frozen=True, eq=False)
class Relu:
    """Relu of consecutive slots."""

    out: slice
    at: slice

    @property
    def reads(self) -> tuple[Slots, ...]:
        """The slots that are read."""
        return (run(self.at),)


@dataclass(frozen=True, eq=False)
class Pieces:
    """Piecewise linear functions of consecutive slots."""

    out: slice
    at: slice
    functions: Lookups

    @property
    def reads(self) -> tuple[Slots, ...]:
        """The slots that are read."""
        return (run(self.at),)


@dataclass(frozen=True, eq=False)
class Crowd:
    """What heads that look back at tokens one by one move to one token, head by head, to be divided by its position.

    Attributes:
        out: the slots written.
        query: of the token, one for all heads, or head by head.
        keys: of all tokens of the chunk, one token after the other; values and gates likewise.
        gates: head by head, where the product is common to all; else there are none.
        values: head by head.
        place: a name for what is remembered of tokens.
        token: which of the chunk it is.
        tokens: how many there are.
        heads: how many there are.
        common: whether one product is for all heads.
        cap: gates up to −cap are taken for closed.
    """

    out: slice
    query: slice
    keys: slice
    gates: slice
    values: slice
    place: str
    token: int
    tokens: int
    heads: int
    common: bool
    cap: float

    @property
    def reads(self) -> tuple[Slots, ...]:
        """The slots that are read."""
        return run(self.query), run(self.keys), run(self.gates), run(self.values)


Operation = Sum | Products | Matrices | Relu | Pieces | Crowd


@dataclass(eq=False)
class Tape:
    """What is to be done, in order.

    Attributes:
        size: how many slots there are.
        operations: what writes them.
        ends: for each slot, where those end that were made with it.
        copies: slots that have been put together.
        positive: slots that are known to hold nothing below 0.
    """

    size: int = 2
    operations: list[Operation] = field(default_factory=list)
    ends: list[int] = field(default_factory=lambda: [1, 2])
    copies: dict[bytes, Slots] = field(default_factory=dict)
    positive: set[int] = field(default_factory=lambda: {ZERO, ONE})

    def new(self, count: int) -> Slots:
        """So many slots more, one after the other."""
        self.size += count
        self.ends += [self.size] * count
        return np.arange(self.size - count, self.size)

    def sum(self, rows, slots, weights, factors, count: int) -> Slots:
        """Slots of `count` sums: term n adds weights[n] · factor · slots[n] to sum rows[n]."""
        order = np.lexsort((factors, slots, rows))
        rows, slots, weights, factors = (np.asarray(part)[order] for part in (rows, slots, weights, factors))
        if len(rows):
            new = (np.diff(rows) != 0) | (np.diff(slots) != 0) | (np.diff(factors) != 0)
            first = np.flatnonzero(np.concatenate([[True], new]))
            rows, slots, factors = rows[first], slots[first], factors[first]
            weights = np.add.reduceat(weights, first)
            keep = (weights != 0) & (slots != 0)
            rows, slots, weights, factors = (part[keep] for part in (rows, slots, weights, factors))
        terms = np.bincount(rows, minlength=count)
        plain = (terms[rows] == 1) & (weights == 1) & (factors == 0)
        found = np.zeros(count, np.int64)
        found[rows[plain]] = slots[plain]
        rows, slots, weights, factors = (part[~plain] for part in (rows, slots, weights, factors))
        made = np.unique(rows)
        if len(made):
            found[made] = out = self.new(len(made))
            starts = np.searchsorted(rows, made)
            self.operations.append(Sum(span(out), starts, slots, weights, factors))
        return found

    def products(self, rows, left: Slots, right: Slots, count: int) -> Slots:
        """Slots of `count` sums of products: term n adds left[n] · right[n] to sum rows[n]; rows in order."""
        keep = (left != 0) & (right != 0)
        rows, left, right = np.asarray(rows)[keep], left[keep], right[keep]
        made, found = np.unique(rows), np.zeros(count, np.int64)
        if len(made):
            found[made] = out = self.new(len(made))
            self.operations.append(Products(span(out), np.searchsorted(rows, made), left, right))
        return found

    def matrices(self, left: Slots, rows: int, right: Slots, columns: int, turned: bool) -> Slots:
        """X Yᵀ, or XY, for X of so many rows and Y of so many rows."""
        if not len(left):
            return np.zeros(rows * columns, np.int64)
        one, other = span(self.together(left)), span(self.together(right))
        out = self.new(rows * (columns if turned else len(right) // columns))
        self.operations.append(Matrices(span(out), (one, rows), (other, columns), turned))
        return out

    def relu(self, slots: Slots) -> Slots:
        """Relu of some slots."""
        if self.positive.issuperset(slots.tolist()):
            return slots
        at = self.together(slots)
        out = self.new(len(at))
        self.operations.append(Relu(span(out), span(at)))
        return out

    def pieces(self, slots: Slots, functions: Lookups) -> Slots:
        """Piecewise linear functions of some slots."""
        at = self.together(slots)
        out = self.new(len(functions.source))
        self.operations.append(Pieces(span(out), span(at), functions))
        return out

    def stand_together(self, slots: Slots) -> bool:
        """Whether slots follow one another, and were made at one time."""
        return bool(slots[0] and (np.diff(slots) == 1).all() and slots[-1] < self.ends[slots[0]])

    def crowd(self, query: Slots, keys: Slots, gates: Slots, values: Slots, size: int, **about: Any) -> Slots:
        """What a crowd of heads moves, so many numbers."""
        given = {"query": query, "keys": keys, "gates": gates, "values": values}
        parts = {name: span(self.together(part)) for name, part in given.items()}
        out = self.new(size)
        self.operations.append(Crowd(out=span(out), **parts, **about))
        return out

    def together(self, slots: Slots) -> Slots:
        """The same numbers in consecutive slots: themselves, if they stand so already."""
        if not len(slots) or self.stand_together(slots):
            return slots
        name = slots.tobytes()
        if name not in self.copies:
            self.copies[name], count = self.new(len(slots)), np.arange(len(slots))
            out = span(self.copies[name])
            self.operations.append(Sum(out, count, slots, np.ones(len(slots)), 0 * count))
        return self.copies[name]


def run(slots: slice) -> Slots:
    """A slice as consecutive slots."""
    return np.arange(slots.start, slots.stop)


def span(slots: Slots) -> slice:
    """Consecutive slots as a slice."""
    return slice(int(slots[0]), int(slots[-1]) + 1) if len(slots) else slice(0, 0)
