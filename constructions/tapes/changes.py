"""Tapes of which only what has changed is worked out, as machine code that numba makes: for one history.

A decision changes little of a large program: what one more visit changes, and what follows from it. Every slot knows which
slots are made of it. One that has changed marks them; operations, in their order, work out what is marked, and nothing else.
What is not marked would come out as it stands: the same numbers are read by the same operation, or what has changed is
multiplied by 0 there, before and after. (Numbers that others write all at once have a shadow of what stood there before.)
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from constructions.tapes.machine_code import one_of, size_of, written
from constructions.tapes.tape import ONE, Crowd, Matrices, Operation, Pieces, Products, Slots, Sum, run

BLOCK = 64
"""So many marks are passed over at once where there are none."""


def calls(
    operations: list[Operation],
    slots: Float[np.ndarray, " slots"],
    factors: Float[np.ndarray, " factors"],
    otherwise: Callable[[Operation], Iterable[tuple]],
) -> list[tuple]:
    """Calls that bring slots up to date; `otherwise` has those for heads that look back, which are always carried out."""
    changes = _Changes(operations, slots, factors)
    given = np.ones(len(slots), np.bool_)
    for one in operations:
        given[one.out] = False
    found: list[tuple] = [changes.looked_at(np.flatnonzero(given)), changes.factors()]
    for apart, group in groupby(operations, lambda one: isinstance(one, Crowd)):
        some = list(group)
        if not apart:
            found.append(changes.played(some))
        else:
            for one in some:
                found += [*otherwise(one), changes.looked_at(run(one.out))]
    return found


class Made(NamedTuple):
    """Which slots are made of which: those of a slot stand from where those of the slot before it end.

    Attributes:
        ends: of each slot, and then of each factor.
        target: the slots that are written with it.
        partner: what it is multiplied by there; where that holds 0, nothing changes.
    """

    ends: Int[np.ndarray, " sources"]
    target: Slots
    partner: Slots

    @classmethod
    def of(cls, operations: list[Operation], slots: int, factors: int) -> "Made":
        """What operations say."""
        parts = [part for one in operations for part in _made(one, slots)]
        source, target, partner = (
            np.concatenate([np.zeros(0, np.int64), *part]) for part in zip(*parts, strict=True)
        )
        partner = np.where(partner == source, ONE, partner)  # a square: it is written before it is looked at
        order = np.argsort(source, kind="stable")
        ends = np.searchsorted(source[order], np.arange(slots + factors), "right")
        return cls(ends, target[order].astype(np.int32), partner[order].astype(np.int32))


class _Changes:
    """What is marked: at first, everything that operations write."""

    def __init__(self, operations: list[Operation], slots: np.ndarray, factors: np.ndarray):
        self.slots, self.given = slots, factors
        self.made = Made.of(operations, len(slots), len(factors))
        self.before, self.known = slots.copy(), np.full(len(factors), np.nan)
        self.marks = np.zeros(-(-len(slots) // BLOCK) * BLOCK, np.bool_)
        for one in operations:
            if not isinstance(one, Crowd):
                self.marks[one.out] = True
        self.blocks = self.marks.reshape(-1, BLOCK).any(1)
        self.marking = *self.made, slots, self.before, self.marks, self.blocks

    def looked_at(self, where: Slots) -> tuple:
        """A call that marks what is made of slots that others have written, where they have changed."""
        return notice, (self.slots, self.before, where, 0, *self.marking)

    def factors(self) -> tuple:
        """A call that marks what is made with factors that have changed."""
        return notice, (self.given, self.known, np.arange(len(self.given)), len(self.slots), *self.marking)

    def played(self, operations: list[Operation]) -> tuple:
        """A call that works out what is marked of some operations."""
        return play, (*written(operations), self.given, *self.marking)


def _made(one: Operation, slots: int) -> list[tuple[Slots, Slots, Slots]]:
    """What is read, which slots are written with it, and what multiplies it there; factor f is number slots + f."""
    out = run(one.out)
    if isinstance(one, Sum | Products):
        terms = len(one.slots if isinstance(one, Sum) else one.left)
        to = np.repeat(out, np.diff(np.append(one.starts, terms)))
        if isinstance(one, Products):
            return [(one.left, to, one.right), (one.right, to, one.left)]
        moving = np.flatnonzero(one.factors)
        by = slots + one.factors[moving], to[moving], one.slots[moving]
        return [(one.slots, to, np.full(terms, ONE)), by]
    if isinstance(one, Matrices):
        (left, rows), (right, others) = one.left, one.right
        x, y = run(left).reshape(rows, -1), run(right).reshape(others, -1)
        row, column = np.divmod(np.arange(len(out)), len(out) // rows)
        first, second = x[row].ravel(), (y if one.turned else y.T)[column].ravel()
        to = np.repeat(out, x.shape[1])
        found = [(first, to, second), (second, to, first)]
        if one.shift is not None and one.shift[1]:
            diagonal = out[:: len(out) // rows + 1]
            found.append((np.full(rows, slots + one.shift[1]), diagonal, np.full(rows, ONE)))
        return found
    if isinstance(one, Crowd):
        return []
    read = run(one.at)[one.functions.source] if isinstance(one, Pieces) else run(one.at)
    return [(read, out, np.full(len(out), ONE))]


@njit(cache=True, inline="always")
def _differ(one, other):
    """Whether two numbers are not the same to the last bit; NaN is no number."""
    return one != other or (one == 0 and np.signbit(one) != np.signbit(other))


@njit(cache=True, inline="always")
def _mark(source, ends, target, partner, slots, shadow, marks, blocks):
    """What is made of a slot, or with a factor."""
    for n in range(ends[source - 1] if source else 0, ends[source]):
        if slots[partner[n]] != 0 or shadow[partner[n]] != 0:
            marks[target[n]] = True
            blocks[target[n] // BLOCK] = True


@njit(cache=True)
def notice(now, before, where, first, ends, target, partner, slots, shadow, marks, blocks):
    """Mark what is made of numbers, of those at `where`, that have changed; they count from `first`."""
    for n in where:
        if _differ(now[n], before[n]):
            _mark(first + n, ends, target, partner, slots, shadow, marks, blocks)
            before[n] = now[n]


@njit(cache=True)
def play(code, numbers, factors, ends, target, partner, slots, shadow, marks, blocks):
    """Work out what is marked of the operations written down, and mark what is made of it."""
    at = 0
    while at < len(code):
        first = code[at + 3]
        last = first + size_of(code, at)
        slot = first
        while slot < last:
            stop = min(last, (slot // BLOCK + 1) * BLOCK)
            if blocks[slot // BLOCK]:
                for one in range(slot, stop):
                    if marks[one]:
                        marks[one] = False
                        value = one_of(code, numbers, factors, slots, at, one - first)
                        if _differ(value, slots[one]):
                            slots[one] = value
                            _mark(one, ends, target, partner, slots, slots, marks, blocks)
                if slot % BLOCK == 0 and stop % BLOCK == 0:
                    blocks[slot // BLOCK] = False
            slot = stop
        at = code[at + 1]
