"""Tapes played: every operation is a call or a few of NumPy's, on arrays that are made once."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from types import ModuleType

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.sparse._sparsetools import (
    csr_matvec,
    csr_matvecs,
)  # what csr_array's @ calls, without its overhead

from constructions.fast.neurons import Lookups
from constructions.tapes.crowds import Players
from constructions.tapes.tape import ONE, Crowd, Matrices, Operation, Pieces, Products, Relu, Sum

Call = tuple[Callable, tuple]
"""A function and its arguments; the last one says where the result goes."""


class Deck:
    """The numbers of a tape, for one history or several in lockstep, and the calls that work them out.

    Args:
        operations: what is to be done.
        size: how many slots there are.
        factors: the numbers that weights may be multiplied by, kept up to date by who plays; factor 0 is 1.
        batch: how many histories.
        machine: `constructions.tapes.compiled`, if that is to carry them out.
    """

    def __init__(
        self,
        operations: list[Operation],
        size: int,
        factors: Float[np.ndarray, " factors"],
        batch: int,
        machine: ModuleType | None = None,
    ):
        self.tail, self.factors = () if batch == 1 else (batch,), factors
        self.slots = np.zeros((size, *self.tail))
        self.slots[ONE] = 1.0
        self.crowds, self._machine = Players(), machine
        alone = machine if machine and not self.tail else None
        moving = [
            one
            for one in operations
            if isinstance(one, Sum) and one.factors.any() and not (alone and alone.takes(one))
        ]
        sizes = np.cumsum([0, *(len(one.weights) for one in moving)])
        pool = np.empty(sizes[-1])
        self._moving = {id(one): pool[a:b] for one, a, b in zip(moving, sizes, sizes[1:], strict=False)}
        self.calls: list[Call] = []
        if moving:
            which, weights = (
                np.concatenate([getattr(one, name) for one in moving]) for name in ("factors", "weights")
            )
            self.calls += [(factors.take, (which, None, pool, "clip")), (np.multiply, (pool, weights, pool))]
        kinds = {
            Sum: self._sum,
            Products: self._products,
            Matrices: self._matrices,
            Relu: self._relu,
            Pieces: self._pieces,
            Crowd: self._crowd,
        }

        def carried_out(one: Operation) -> Iterator[Call]:
            return kinds[type(one)](one)

        if alone:
            self.calls += alone.calls(operations, self.slots, factors, carried_out)
        else:
            self.calls += chain.from_iterable(map(carried_out, operations))

    def play(self) -> None:
        """Work everything out."""
        for call, arguments in self.calls:
            call(*arguments)

    def diagonal(self, slots: slice, rows: int) -> Float[np.ndarray, "rows *batch"]:
        """The diagonal of a square matrix."""
        return self.slots[slots.start : slots.stop : rows + 1]

    def view(self, slots: slice, *shape: int) -> Float[np.ndarray, "..."]:
        """Consecutive slots, in a shape."""
        found = self.slots[slots]
        return found.reshape(*shape, *self.tail) if shape else found

    def wide(self, numbers: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "..."]:
        """Numbers that are the same for all histories."""
        return numbers[..., None] if self.tail else numbers

    def _at(self, slots: Int[np.ndarray, " terms"]) -> tuple[np.ndarray, list[Call]]:
        """What stands in some slots: where they follow one another, where they stand."""
        if (np.diff(slots) == 1).all():
            return self.view(slice(int(slots[0]), int(slots[-1]) + 1)), []
        found = np.empty((len(slots), *self.tail))
        return found, [(self.slots.take, (slots, 0, found, "clip"))]

    def _sum(self, one: Sum) -> Iterator[Call]:
        weights = self._moving.get(id(one), one.weights)
        yield from added(one.starts, one.slots, weights, self.slots, self.view(one.out))

    def _products(self, one: Products) -> Iterator[Call]:
        out, rows = self.view(one.out), len(one.starts)
        left, calls = self._at(one.left)
        yield from calls
        if not self.tail and len(one.left) > rows:
            yield from added(one.starts, one.right, left, self.slots, out)
            return
        right, calls = self._at(one.right)
        yield from calls
        count = len(one.left)
        terms = out if count == rows else np.empty((count, *self.tail))
        yield np.multiply, (left, right, terms)
        if terms is not out:
            yield from added(one.starts, np.arange(count), np.ones(count), terms, out)

    def _matrices(self, one: Matrices) -> Iterator[Call]:
        left, right = (self.view(slots, rows, -1) for slots, rows in (one.left, one.right))
        out = self.view(one.out, one.left[1], -1)
        if self.tail and self._machine:
            yield self._machine.matrices, (left, right, out, one.turned)
        elif self.tail:
            form = "abz,cbz->acz" if one.turned else "abz,bcz->acz"
            yield partial(np.einsum, form, left, right, out=out), ()
        else:
            yield np.dot, (left, right.T if one.turned else right, out)
        if one.shift is not None:
            diagonal, (weight, factor) = self.diagonal(one.out, one.left[1]), one.shift
            shift = np.array(weight)
            if factor:
                shift = np.empty(())
                yield np.multiply, (self.factors[factor : factor + 1].reshape(()), weight, shift)
            yield np.add, (diagonal, shift, diagonal)

    def _relu(self, one: Relu) -> Iterator[Call]:
        yield partial(np.maximum, self.view(one.at), np.array(0.0), out=self.view(one.out)), ()

    def _crowd(self, one: Crowd) -> Iterator[Call]:
        count, heads, products = one.tokens, one.heads, 1 if one.common else one.heads
        shapes = ((products, -1), (count, products, -1), (count, -1), (count, heads, -1))
        parts = one.query, one.keys, one.gates, one.values
        views = [self.view(part, *shape) for part, shape in zip(parts, shapes, strict=True)]
        yield partial(self.crowds.play, one, *views, self.view(one.out, heads, -1)), ()

    def _pieces(self, one: Pieces) -> Iterator[Call]:
        yield _Pieces(one.functions, self.view(one.at), self.view(one.out), self.wide), ()


def added(
    starts: Int[np.ndarray, " rows"],
    columns: Int[np.ndarray, " terms"],
    weights: Float[np.ndarray, " terms"],
    given: Float[np.ndarray, "columns *batch"],
    out: Float[np.ndarray, "rows *batch"],
) -> list[Call]:
    """A sparse matrix, whose rows begin at `starts`, times what is given; arrays may change until it is called."""
    ends = np.append(starts, len(columns)).astype(np.int32)
    matrix = ends, columns.astype(np.int32), weights
    if given.ndim == 1:
        product = csr_matvec, (len(out), len(given), *matrix, given, out)
    else:
        sizes = len(out), len(given), given.shape[1]
        product = csr_matvecs, (*sizes, *matrix, given.reshape(-1), out.reshape(-1))
    return [(out.fill, (0.0,)), product]


class _Pieces:
    """Look-ups in tables: each is searched once for all directions that have it, and rows that are alike are kept once."""

    def __init__(self, functions: Lookups, at: np.ndarray, out: np.ndarray, wide: Callable):
        self.at, self.out, self.source = at, out, functions.source
        self.piece = np.empty(at.shape, np.int64)
        tables, which = _alike(functions.knots)
        self.tables = [(table, np.flatnonzero(which == number)) for number, table in enumerate(tables)]
        self.plain = np.array_equal(self.source, np.arange(len(functions.knots)))
        self.anchors, which = _alike(functions.anchors)
        self.first = wide(which * self.anchors.shape[1]) if len(self.anchors) > 1 else None
        lines, which = _alike(np.stack([functions.values, functions.slopes], 1))
        self.values, self.slopes = np.ascontiguousarray(lines.swapaxes(0, 1))
        self.then = wide(which * self.values.shape[1]) if len(lines) > 1 else None

    def __call__(self) -> None:
        at, piece = self.at, self.piece
        if len(self.tables) == 1:
            piece = self.tables[0][0].searchsorted(at)
        else:
            for table, which in self.tables:
                piece[which] = table.searchsorted(at[which])
        past = at - self.anchors.take(piece if self.first is None else piece + self.first)
        if not self.plain:
            past, piece = past[self.source], piece[self.source]
        piece = piece if self.then is None else piece + self.then
        np.multiply(self.slopes.take(piece), past, self.out)
        np.add(self.out, self.values.take(piece), self.out)


def _alike(
    rows: Float[np.ndarray, "rows ..."],
) -> tuple[Float[np.ndarray, "kinds ..."], Int[np.ndarray, " rows"]]:
    """Rows that differ, and which of them each one is."""
    found: dict[bytes, int] = {}
    which = np.array([found.setdefault(row.tobytes(), len(found)) for row in rows], np.int64)
    return rows[np.unique(which, return_index=True)[1]], which
