"""Attention in balls: heads by their definition, of which only those are evaluated that may be open.

    signed pair   heads (q, k, v) and (−q, k, −v): relu(z) − relu(−z) = z, so both are linear, and sums over the past are
                  matrices, one for all pairs with common key and value
    other         a score that is certainly ≤ 0 moves nothing; that is decided in float64 with a bound on all that rounding
                  and the balls' radii may do. Every other score is evaluated in balls

Weights are taken as they are stored, bit by bit. Which identity a head satisfies is read off them here.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import arb, arb_mat
from jaxtyping import Bool, Float, Int

from constructions.fast.own_matrices import Seeker
from constructions.fast.pruning import HeadWeights
from constructions.fast.sparsity import edges, shape
from verify.balls.arrays import EPSILON, TINY, ZERO, Balls, Matrix, balls, floats, relu, spread

BLOCK = 2**22
"""So many scores are looked at at a time."""


class StaleError(Exception):
    """A head would read, on another token, what was not brought up to date there."""


@dataclass
class BallStream:
    """All tokens, of which those in `at` are brought up to date.

    Attributes:
        values: shape (width, tokens).
        middle: numbers of float64 beside them, brought up to date by `floats`.
        reach: how far the values are from these at most.
        at: the tokens that are evaluated, in order, from 0.
        now: their values, shape (width, wanted); `values` itself where all are.
        stale: the entries that other tokens do not hold as they should.
        written: the entries that some layer writes.
        known: what has been worked out from entries that no layer writes.
    """

    values: Balls
    middle: Float[np.ndarray, "width tokens"]
    reach: Float[np.ndarray, "width tokens"]
    at: Int[np.ndarray, " wanted"]
    now: Balls
    stale: Bool[np.ndarray, " width"]
    written: Bool[np.ndarray, " width"]
    known: dict = field(default_factory=dict)

    def __post_init__(self):
        self._changed = np.zeros(len(self.values), dtype=bool)
        whole = self.now is self.values
        self._own = (self.middle, self.reach) if whole else (self.middle[:, self.at], self.reach[:, self.at])
        self._live = np.zeros(len(self.values), dtype=bool)
        for part in self._own:
            self._live |= part.any(1)

    @classmethod
    def of(
        cls, encoded: Float[np.ndarray, "width tokens"], written: Bool[np.ndarray, " width"]
    ) -> "BallStream":
        """Tokens as they are encoded, which become the stream's own, all of them to be evaluated."""
        values, every, nothing = (
            balls(encoded),
            np.arange(encoded.shape[1]),
            np.zeros(len(encoded), dtype=bool),
        )
        return cls(values, encoded, np.zeros(encoded.shape), every, values, nothing, written)

    def only(self, at: Int[np.ndarray, " wanted"], stale: Bool[np.ndarray, " width"]) -> "BallStream":
        """The same stream, of which from now on these tokens are evaluated."""
        middle, reach = self.floats
        return BallStream(self.values, middle, reach, at, self.values[:, at], stale, self.written)

    def copy(self) -> "BallStream":
        """One of its own, which goes on from here."""
        middle, reach = (part.copy() for part in self.floats)
        values = self.values.copy()
        now = values if self.now is self.values else self.now.copy()
        return BallStream(values, middle, reach, self.at, now, self.stale, self.written, dict(self.known))

    @property
    def floats(self) -> tuple[Float[np.ndarray, "width tokens"], Float[np.ndarray, "width tokens"]]:
        """Numbers of float64, and how far the values are from them at most."""
        self._update()
        return self.middle, self.reach

    @property
    def own(self) -> tuple[Float[np.ndarray, "width wanted"], Float[np.ndarray, "width wanted"]]:
        """The same of the tokens that are evaluated."""
        self._update()
        return self._own

    @property
    def sizes(self) -> tuple[Float[np.ndarray, "live wanted"], Float[np.ndarray, "live wanted"]]:
        """The sizes of both, of those entries that are not 0 from the start and have not been written."""
        middle, reach = self.own
        return np.abs(middle[self._live]), reach[self._live]

    def _update(self) -> None:
        if self._changed.any():
            rows = np.flatnonzero(self._changed)
            found = floats(self.now[rows])
            for all_, own, part in zip((self.middle, self.reach), self._own, found, strict=True):
                all_[np.ix_(rows, self.at)] = own[rows] = part
            self._live |= self._changed
            self._changed[:] = False

    def add(self, rows: Int[np.ndarray, " rows"], moved: Balls) -> None:
        """Add to some entries, each named once."""
        self.now[rows] = found = self.now[rows] + moved
        if self.now is not self.values:
            self.values[np.ix_(rows, self.at)] = found
        self._changed[rows] = True

    def settled(self, *parts: Matrix) -> bool:
        """Whether nothing that these read is ever written."""
        return not any(self.written[part.reads].any() for part in parts)

    def fresh(self, part: Matrix) -> None:
        """Wanted: a matrix that reads nothing stale."""
        if self.stale[part.reads].any():
            raise StaleError


@dataclass(frozen=True, eq=False)
class Linear:
    """Signed pairs with common key and value: h_i[targets] += (1/i) Σ_j (value h_j) ⟨key h_j, query h_i⟩."""

    key: Matrix
    value: Matrix
    queries: Matrix
    targets: Int[np.ndarray, " rows"]
    pairs: int
    name: tuple

    def __call__(self, stream: BallStream) -> tuple[np.ndarray, Balls]:
        """Stream entries, and what is added to them; an entry may be named more than once."""
        if self.name not in stream.known or not stream.settled(self.key, self.value):
            stream.known[self.name] = self._sums(stream)
        queries = self.queries(stream.now).reshape(self.pairs, self.key.height, -1)
        moved = [
            (arb_mat(self.pairs, self.key.height, queries[..., n].ravel().tolist()) * sums).entries()
            for n, sums in enumerate(stream.known[self.name])
        ]
        found = np.empty((len(moved), len(self.targets)), dtype=object)
        for n, row in enumerate(moved):
            found[n] = row
        return self.targets, found.T

    def _sums(self, stream: BallStream) -> list[arb_mat]:
        """(1/i) Σ_{j≤i} key_j ⊗ value_j at the wanted tokens."""
        stream.fresh(self.key)
        stream.fresh(self.value)
        middle, reach = stream.floats
        blank = (middle == 0) & (reach == 0)
        some = np.flatnonzero(~(blank[self.key.reads].all(0) | blank[self.value.reads].all(0)))
        key, value = (part(stream.values, some) for part in (self.key, self.value))
        outer = (key[:, None] * value[None]).reshape(self.key.height * self.value.height, len(some))
        sums = np.add.accumulate(np.concatenate([np.full((len(outer), 1), ZERO), outer], axis=1), axis=1)
        before = np.searchsorted(some, stream.at, side="right")
        return [
            arb_mat(self.key.height, self.value.height, sums[:, n].tolist()) * (arb(1) / int(i + 1))
            for n, i in zip(before, stream.at, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Literal:
    """Heads by their definition: h_i[targets] += (1/i) Σ_{j≤i} relu(⟨query h_i, key h_j⟩) value h_j."""

    query: Matrix
    key: Matrix
    value: Matrix
    targets: Int[np.ndarray, " rows"]
    heads: int
    name: tuple

    def __call__(self, stream: BallStream) -> tuple[np.ndarray, Balls]:
        """Stream entries, and what is added to them; an entry may be named more than once."""
        if self.name not in stream.known or not stream.settled(self.query, self.key):
            stream.known[self.name] = self._open(stream)
        head, query, token, share = stream.known[self.name]
        if self.stale(stream, token, query):
            raise StaleError
        tokens, place = np.unique(token, return_inverse=True)
        values = self._split(self.value, stream, tokens)
        moved = values[head, :, place] * share[:, None]
        entries, span = self.targets.reshape(self.heads, -1)[head], moved.shape[1]
        rows, where = np.unique(entries, return_inverse=True)
        at = np.repeat(query, span)
        return rows, spread(where.ravel(), at, moved.ravel(), (len(rows), len(stream.at)))

    def _split(self, part: Matrix, stream: BallStream, tokens: np.ndarray) -> Balls:
        """What a matrix reads, shape (heads, rows of each, tokens)."""
        return part(stream.values, tokens).reshape(self.heads, part.height // self.heads, len(tokens))

    def stale(self, stream: BallStream, token: np.ndarray, query: np.ndarray) -> bool:
        """Whether a value is read on another token that does not hold it."""
        return bool(stream.stale[self.value.reads].any() and (token != stream.at[query]).any())

    def _open(self, stream: BallStream) -> tuple[np.ndarray, np.ndarray, np.ndarray, Balls]:
        """Head, number of the wanted token i, token j, and relu(score)/i, wherever that is not 0."""
        stream.fresh(self.key)
        found = [
            np.concatenate(part)
            for part in zip(*(self._candidates(stream, part) for part in self._parts(stream)), strict=True)
        ]
        head, query, token = found
        tokens, place = np.unique(token, return_inverse=True)
        wanted, asked = np.unique(query, return_inverse=True)
        queries = self._split(self.query, stream, stream.at[wanted])
        keys = self._split(self.key, stream, tokens)
        share = np.full(len(head), ZERO, dtype=object)
        if len(head) and queries.shape[1]:
            scores = (queries[head, :, asked] * keys[head, :, place]).sum(axis=1)
            share = relu(scores) / balls(stream.at[query] + 1.0)
        some = np.array([not ball.is_zero() for ball in share], dtype=bool)
        return head[some], query[some], token[some], share[some]

    def _parts(self, stream: BallStream) -> Iterator[Int[np.ndarray, " part"]]:
        """Numbers of wanted tokens, a few at a time."""
        most = max(1, BLOCK // (self.heads * stream.values.shape[1]))
        for start in range(0, len(stream.at), most):
            yield np.arange(start, min(start + most, len(stream.at)))

    def _candidates(self, stream: BallStream, part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where a score may be above 0, decided in float64 with room for everything."""
        at, last = stream.at[part], stream.at[part].max() + 1
        query, off = self._rows(self.query, stream, at)
        key, apart = self._rows(self.key, stream, np.arange(last))
        rank = query.shape[2]
        scores = query @ key.mT  # (heads, wanted, tokens)
        sizes, lengths = np.abs(query) + off, np.abs(key) + apart
        room = (off + (rank + 2) * EPSILON * sizes) @ lengths.mT + sizes @ apart.mT
        room = room * (1 + 2 * (rank + 2) * EPSILON) + TINY
        whole = (off == 0).all((1, 2)) & (apart == 0).all((1, 2))  # integers, and sums of them exact
        room[whole] = np.where(sizes[whole] @ lengths[whole].mT < 2**52, 0.0, room[whole])
        opened = ~(scores + room <= 0) & (np.arange(last) <= at[:, None])
        head, query, token = opened.nonzero()
        return head, part[query], token

    def _rows(self, part: Matrix, stream: BallStream, tokens: np.ndarray):
        """What a matrix reads in float64, shape (heads, tokens, rank), and how far it may be off: 0 for integers."""
        middle, reach = (values[np.ix_(part.reads, tokens)] for values in stream.floats)
        rows, off = part.floats(middle, reach)
        data, size = part.narrow.data, abs(part.narrow) @ np.abs(middle)
        if (data == np.rint(data)).all():
            inexact = ((reach != 0) | (middle != np.rint(middle))).astype(float)
            off[(abs(part.narrow) @ inexact == 0) & (size < 2**52)] = 0.0
        return tuple(x.reshape(self.heads, -1, len(tokens)).swapaxes(1, 2) for x in (rows, off))


def file_heads(weights: HeadWeights, name: tuple) -> Iterator[Linear | Literal]:
    """The heads of one group of weights, signed pairs apart; heads without query, key or value move nothing."""
    count = weights.count
    rank, span = shape(weights.query)[0] // count, shape(weights.value)[0] // count
    speaks = np.ones(count, dtype=bool)
    for part, height in ((weights.query, rank), (weights.key, rank), (weights.value, span)):
        speaks &= np.diff(edges(part)[::height]) > 0 if height else False
    if not speaks.any():
        return
    seeker, crowds = Seeker(weights, np.ones(rank, dtype=bool)), defaultdict(list)
    matched = list(seeker.pairs(np.flatnonzero(speaks)))
    for head, _ in matched:
        crowds[seeker.key_print(head), seeker.value_print(head)].append(head)

    def rows(
        members: list[int] | np.ndarray, height: int, used: Any = slice(None)
    ) -> Int[np.ndarray, " rows"]:
        return (np.asarray(members)[:, None] * height + np.arange(height)[used]).ravel()

    for print_, members in crowds.items():
        key, value = weights.key[rows(members[:1], rank)], weights.value[rows(members[:1], span)]
        reads, moves = (np.flatnonzero(np.diff(edges(part))) for part in (key, value))
        queries = Matrix(weights.query[rows(members, rank, reads)])
        targets = weights.targets[rows(members, span, moves)]
        yield Linear(Matrix(key[reads]), Matrix(value[moves]), queries, targets, len(members), print_)
    speaks[np.array(matched, dtype=np.int64).ravel()] = False
    rest = np.flatnonzero(speaks)
    if len(rest):
        query, key = (Matrix(part[rows(rest, rank)]) for part in (weights.query, weights.key))
        value = Matrix(weights.value[rows(rest, span)])
        yield Literal(query, key, value, weights.targets[rows(rest, span)], len(rest), name)
