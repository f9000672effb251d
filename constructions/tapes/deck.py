"""Tapes played: every operation is a call or a few of NumPy's, on arrays that are made once."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from jaxtyping import Float, Int, Shaped

from constructions.fast.neurons import Lookups
from constructions.tapes.crowds import Players
from constructions.tapes.tape import ONE, Crowd, Matrices, Operation, Pieces, Products, Relu, Sum

Call = tuple[Callable, tuple]
"""A function and its arguments; the last one says where the result goes."""

FEW, SEVERAL = 3, 8
"""Up to so many terms a row, sums are added up term by term, a few numbers and many."""

WIDE = 1024
"""So many numbers are many."""


class Deck:
    """The numbers of a tape, for one history or several in lockstep, and the calls that work them out.

    Args:
        operations: what is to be done.
        size: how many slots there are.
        factors: the numbers that weights may be multiplied by, kept up to date by who plays; factor 0 is 1.
        batch: how many histories.
    """

    def __init__(
        self, operations: list[Operation], size: int, factors: Float[np.ndarray, " factors"], batch: int
    ):
        self.tail, self.factors = () if batch == 1 else (batch,), factors
        self.slots = np.zeros((size, *self.tail))
        self.slots[ONE] = 1.0
        moving = [one for one in operations if isinstance(one, Sum) and one.factors.any()]
        sizes = np.cumsum([0, *(len(one.weights) for one in moving)])
        pool = np.empty(sizes[-1])
        self._moving = {id(one): pool[a:b] for one, a, b in zip(moving, sizes, sizes[1:], strict=False)}
        self.calls: list[Call] = []
        self.crowds = Players()
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
        for one in operations:
            self.calls += kinds[type(one)](one)

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

    def _at(
        self, slots: Int[np.ndarray, " terms"], to: np.ndarray | None = None
    ) -> tuple[np.ndarray, list[Call]]:
        """What stands in some slots: where they follow one another, where they stand."""
        if (np.diff(slots) == 1).all():
            return self.view(slice(int(slots[0]), int(slots[-1]) + 1)), []
        found = np.empty((len(slots), *self.tail)) if to is None else to
        return found, [(self.slots.take, (slots, 0, found, "clip"))]

    def _sum(self, one: Sum) -> Iterator[Call]:
        out, rows = self.view(one.out), len(one.starts)
        weights = self._moving.get(id(one), one.weights)
        each = len(one.slots) // rows
        if each <= FEW and (one.starts == np.arange(rows) * each).all() and len(one.slots) == rows * each:
            parts = [slice(n, None, each) for n in range(each)]
            if all(one.part(part) for part in parts):
                yield from self._runs(one, parts, weights, out)
                return
        if each == 1 and len(one.slots) == rows and (period := _period(one.slots)) < rows:
            run, times = (
                self.view(slice(int(one.slots[0]), int(one.slots[0]) + period), 1, period),
                rows // period,
            )
            weights, out = self.wide(weights.reshape(times, period)), out.reshape(times, period, *self.tail)
            yield np.multiply, (run, weights, out)
            return
        found, calls = self._at(one.slots, out if len(one.slots) == rows else None)
        yield from calls
        if id(one) in self._moving or (weights != 1).any():
            scaled = out if len(one.slots) == rows else np.empty((len(one.slots), *self.tail))
            yield np.multiply, (found, self.wide(weights), scaled)
            found = scaled
        elif found is not out and len(one.slots) == rows:
            yield np.copyto, (out, found)
        if len(one.slots) > rows:
            yield from self._added(found, one.starts, out)

    def _added(self, terms: np.ndarray, starts: np.ndarray, out: np.ndarray) -> Iterator[Call]:
        """Terms, row by row."""
        sizes = np.diff(starts, append=len(terms))
        least, most = int(sizes.min()), int(sizes.max())
        wide = out.size >= WIDE
        if most > (SEVERAL if wide else FEW) or (least < most and not wide):
            yield np.add.reduceat, (terms, starts, 0, None, out)
            return
        if least == most:
            parts = [terms[n::most] for n in range(most)]
            yield np.add, (parts[0], parts[1], out)
            for part in parts[2:]:
                yield np.add, (out, part, out)
            return
        yield terms.take, (starts, 0, out, "clip")
        for n in range(1, most):
            more = np.flatnonzero(sizes > n)
            yield partial(_add_rows, terms, starts[more] + n, more, out), ()

    def _runs(self, one: Sum, parts: list[slice], weights: np.ndarray, out: np.ndarray) -> Iterator[Call]:
        """A sum of runs of consecutive slots, each with one weight."""
        spare, total = np.empty_like(out), None
        for part in parts:
            run = self.view(one.part(part) or slice(0))
            if one.weights[part][0] != 1 or one.factors[part][0]:
                scaled = out if total is None else spare
                yield np.multiply, (run, weights[part][:1].reshape(()), scaled)  # a view: it stays up to date
                run = scaled
            if total is not None:
                yield np.add, (total, run, out)
                run = out
            total = run
        if total is not out:
            yield np.copyto, (out, total)

    def _products(self, one: Products) -> Iterator[Call]:
        out, rows = self.view(one.out), len(one.starts)
        left, calls = self._at(one.left)
        right, more = self._at(one.right)
        yield from (*calls, *more)
        if len(one.left) == rows:
            yield np.multiply, (left, right, out)
        else:
            terms = np.empty((len(one.left), *self.tail))
            yield np.multiply, (left, right, terms)
            yield from self._added(terms, one.starts, out)

    def _matrices(self, one: Matrices) -> Iterator[Call]:
        left, right = (self.view(slots, rows, -1) for slots, rows in (one.left, one.right))
        out = self.view(one.out, one.left[1], -1)
        if self.tail:
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
        yield partial(self.crowds.play, one, self.view, self.view(one.out)), ()

    def _pieces(self, one: Pieces) -> Iterator[Call]:
        yield _Pieces(one.functions, self.view(one.at), self.view(one.out), self.wide), ()


def _period(slots: Int[np.ndarray, " terms"]) -> int:
    """After how many terms consecutive slots begin again, time after time."""
    breaks = np.flatnonzero(np.diff(slots) != 1) + 1
    period = int(breaks[0]) if len(breaks) else len(slots)
    whole = len(slots) % period == 0 and (slots.reshape(-1, period) == slots[:period]).all()
    return period if whole else len(slots)


def _add_rows(terms: np.ndarray, which: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Add some of the terms to some rows."""
    out[rows] += terms.take(which, 0)


class _Pieces:
    """Look-ups in tables; each table is searched once for all directions that have it."""

    def __init__(self, functions: Lookups, at: np.ndarray, out: np.ndarray, wide: Callable):
        self.at, self.out, self.source = at, out, functions.source
        self.piece = np.empty(at.shape, np.int64)
        alike: dict[bytes, list[int]] = {}
        for number, knots in enumerate(functions.knots):
            alike.setdefault(knots.tobytes(), []).append(number)
        self.tables = [(functions.knots[which[0]], np.array(which)) for which in alike.values()]
        self.anchors, self.values, self.slopes = functions.anchors, functions.values, functions.slopes
        rows = (self.anchors, self.values, self.slopes)
        self.one = all((part == part[:1]).all() for part in (*rows, functions.knots))
        self.plain = np.array_equal(self.source, np.arange(len(functions.knots)))
        if self.one:
            self.anchors, self.values, self.slopes = (part[0] for part in rows)
        self.first, self.then = (wide(np.arange(len(part)) * part.shape[-1]) for part in rows[:2])

    def __call__(self) -> None:
        at, piece = self.at, self.piece
        if len(self.tables) == 1:
            piece = self.tables[0][0].searchsorted(at)
        else:
            for table, which in self.tables:
                piece[which] = table.searchsorted(at[which])
        past = at - self.anchors.take(piece if self.one else piece + self.first)
        if not self.plain:
            past, piece = past[self.source], piece[self.source]
        piece = piece if self.one else piece + self.then
        np.multiply(self.slopes.take(piece), past, self.out)
        np.add(self.out, self.values.take(piece), self.out)
