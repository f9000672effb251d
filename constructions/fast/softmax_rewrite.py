"""The rewriting of softmax attention: which identity of softmax_heads.py each head provably satisfies."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from constructions.fast.pruning import HeadWeights
from constructions.fast.softmax_heads import Every, Near, SoftmaxGroup, Tally, Window
from constructions.fast.sparsity import Sparse, Targets, edges, shape

Frame = tuple[Int[np.ndarray, " places"], Float[np.ndarray, "tokens places"]]
"""Stream entries that tokens fill whatever the history, and what they hold, token by token."""

BITS = 64
"""What a head leaves out moves no entry by more than 2 to the minus so many."""

SLACK = 8.0
"""By so much products may lower the largest score before tokens that were left out count."""

FEW = 8
"""So many tokens beside token 0 at most are near."""

LONG = 2**14
"""For more tokens than that, scores of all pairs are not looked at."""

ROWS = 2**22
"""So many scores are looked at together."""


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of tokens before anything runs, and what has been found out about it.

    Attributes:
        entries: stream entries that no layer writes.
        table: what they hold, token by token.
        width: D.
        radius: that of clipping, which no token's norm exceeds.
    """

    entries: Int[np.ndarray, " entries"]
    table: Float[np.ndarray, "longest entries"]
    width: int
    radius: float
    _windows: dict[tuple, Window | None] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: Frame, written: Bool[np.ndarray, " width"], radius: float) -> "Known":
        """Of a frame, what no layer writes."""
        entries, table = frame
        still = ~written[entries]
        return cls(entries[still], table[:, still], len(written), radius)

    @property
    def one(self) -> int | None:
        """The stream entry that holds 1 at every token but token 0, and 0 there, if there is one."""
        wanted = np.arange(len(self.table)) > 0
        found = np.flatnonzero((self.table == wanted[:, None]).all(0))
        return int(self.entries[found[0]]) if len(found) else None

    @cached_property
    def others(self) -> Float[np.ndarray, " width"]:
        """1 at the entries that are not known, else 0."""
        found = np.ones(self.width)
        found[self.entries] = 0.0
        return found

    def window(
        self, form: Float[np.ndarray, "entries entries"], keys: Float[np.ndarray, "keys entries"], cut: float
    ) -> Window | None:
        """The tokens that count where the known part of scores is p_iᵀ form p_j, if they are few."""
        name = form.tobytes(), keys.tobytes(), len(keys), cut
        if name not in self._windows:
            self._windows[name] = _window(self.table, form, keys, cut)
        return self._windows[name]


def _window(
    table: Float[np.ndarray, "longest entries"],
    form: Float[np.ndarray, "entries entries"],
    keys: Float[np.ndarray, "keys entries"],
    cut: float,
) -> Window | None:
    """Look at the scores of all pairs, some rows at a time."""
    longest = len(table)
    rows = max(1, ROWS // longest)
    blocks = [np.arange(at, min(at + rows, longest)) for at in range(0, longest, rows)]
    found: set[int] = set()
    for i in blocks:
        scores = _scores(table, form, i)
        back = i[:, None] - np.arange(1, i[-1] + 1)
        top = scores[:, 1:].max(1, initial=-np.inf)
        found |= set(np.unique(back[(scores[:, 1:] > top[:, None] - cut - SLACK) & (back >= 0)]).tolist())
        if len(found) > FEW:
            return None
    offsets, levels = tuple(sorted(found)), keys @ table.T  # (keys, longest)
    outside, far = np.full(longest, -np.inf), np.zeros((len(keys), longest))
    at = np.full((1 + len(offsets), longest), -np.inf)
    tokens = np.arange(longest)[None] - np.array([0, *offsets])[:, None]
    tokens[0], there = 0, tokens >= 1
    there[0] = True
    for i in blocks:
        scores = _scores(table, form, i)
        columns, seen = np.maximum(tokens[:, i], 0), np.arange(i[-1] + 1) <= i[:, None]
        at[:, i] = np.where(there[:, i], scores[np.arange(len(i)), columns], -np.inf)
        seen[np.arange(len(i)), columns] = False
        seen[:, 0] = False
        outside[i] = np.where(seen, scores, -np.inf).max(1, initial=-np.inf)
        for number, level in enumerate(abs(levels)):
            far[number, i] = (seen * level[: seen.shape[1]]).max(1, initial=0.0)
    near = np.where(there, levels[:, np.maximum(tokens, 0)], 0.0)
    return Window(offsets, at, outside, near, far, cut)


def _scores(
    table: Float[np.ndarray, "longest entries"],
    form: Float[np.ndarray, "entries entries"],
    i: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, "rows tokens"]:
    """The known part of scores of tokens i by tokens j up to the last of them; −∞ for j > i."""
    scores = table[i] @ form @ table[: i[-1] + 1].T
    scores[np.arange(i[-1] + 1) > i[:, None]] = -np.inf
    return scores


def groups(layer: Iterable[HeadWeights], known: Known) -> tuple[SoftmaxGroup, ...]:
    """Every head of a layer under one identity; all tallies of one span are one."""
    found, tallies = [], defaultdict(list)
    for heads in layer:
        filing = _Filing(heads, known)
        if filing.steady.any():
            tallies[filing.span].append(filing.tally(np.flatnonzero(filing.steady)))
        found += filing.others(np.flatnonzero(~filing.steady))
    return (*map(_joined, tallies.values()), *found)


def _joined(tallies: list[Tally]) -> Tally:
    """Several as one."""
    key, value = (
        Sparse(sparse.vstack([part.matrix for part in parts]))
        for parts in zip(*((tally.key, tally.value) for tally in tallies), strict=True)
    )
    targets = Targets(np.concatenate([tally.targets.entries for tally in tallies]))
    return Tally(key, value, targets, sum(tally.heads for tally in tallies))


class _Filing:
    """Files the heads of one group of weights, all heads at once.

    The score of a head is the sum over its rows of (query row h_i)(key row h_j). Both are what reads known entries plus what
    reads others.
    """

    def __init__(self, heads: HeadWeights, known: Known):
        self.heads, self.known = heads, known
        self.rank, self.span = (shape(heads.query)[0] // heads.count, shape(heads.value)[0] // heads.count)
        live = (np.diff(edges(heads.query)) > 0) & (
            np.diff(edges(heads.key)) > 0
        )  # a product with nothing is 0
        mute = sparse.diags_array(live.astype(float))
        self.query, self.key = (sparse.csr_array(mute @ part) for part in (heads.query, heads.key))
        self.query_known, self.key_known = (
            part[:, known.entries].toarray() for part in (self.query, self.key)
        )
        self.moves, self.loose = (abs(part) @ known.others > 0 for part in (self.query, self.key))
        owner = np.repeat(np.arange(shape(heads.value)[0]) // max(self.span, 1), np.diff(edges(heads.value)))
        self.sizes = np.sqrt(np.bincount(owner, heads.value.data**2, minlength=heads.count))
        self.level, fixed = self._levels()
        self.steady = (fixed & ~self.moves | ~live).reshape(heads.count, self.rank).all(1)

    def _levels(self) -> tuple[Float[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
        """What the known part of each query row is after token 0, and whether it is the same at all these tokens."""
        kinds, kind = np.unique(self.query_known, axis=0, return_inverse=True)
        at = kinds @ self.known.table[1:].T
        level = at[:, 0] if at.shape[1] else np.zeros(len(kinds))
        return level[kind.ravel()], (at == level[:, None]).all(1)[kind.ravel()]

    def tally(self, members: Int[np.ndarray, " members"]) -> Tally:
        """Heads whose queries are the same at all tokens after token 0."""
        rows = self._rows(members, self.rank)
        owner = np.repeat(np.arange(len(members)), self.rank)
        weights = sparse.csr_array(
            (self.level[rows], (owner, np.arange(len(rows)))), shape=(len(members), len(rows))
        )
        return Tally(Sparse(weights @ self.key[rows]), *self._moves(members), len(members))

    def others(self, members: Int[np.ndarray, " members"]) -> Iterator[SoftmaxGroup]:
        """Those that see few tokens as near, the rest by the definition."""
        crowds = defaultdict(list)
        for head in members.tolist() if len(self.known.table) <= LONG else ():
            window = self._window(head)
            if window is not None:
                loose = int(self.loose[head * self.rank :][: self.rank].sum())
                crowds[id(window), loose].append((head, window))
        near = {head for crowd in crowds.values() for head, _ in crowd}
        for crowd in crowds.values():
            yield self._near(np.array([head for head, _ in crowd]), crowd[0][1])
        rest = np.array([head for head in members.tolist() if head not in near], dtype=np.int64)
        if len(rest):
            rows = self._rows(rest, self.rank)
            yield Every(Sparse(self.query[rows]), Sparse(self.key[rows]), *self._moves(rest), len(rest))

    def _window(self, head: int) -> Window | None:
        """The tokens that count for a head, if they are few."""
        rows = slice(head * self.rank, (head + 1) * self.rank)
        form = self.query_known[rows].T @ self.key_known[rows]
        keys = self.key_known[rows][self._met(rows)]
        size = float(self.sizes[head]) * self.known.radius
        if not math.isfinite(size):
            return None
        cut = BITS * math.log(2) + math.log(max(size, 1.0)) + math.log(len(self.known.table))
        return self.known.window(form, keys, float(math.ceil(cut)))

    def _met(self, rows: slice | Int[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
        """Rows in which a query that is not known meets a key that is."""
        return self.moves[rows] & self.key_known[rows].any(1)

    def _near(self, members: Int[np.ndarray, " members"], window: Window) -> Near:
        rows = self._rows(members, self.rank)
        others = sparse.diags_array(self.known.others)
        given = (self.query @ others)[rows[self._met(rows)]]
        loose = rows[self.loose[rows]]
        query, key = self.query[loose], (self.key @ others)[loose]
        value, targets = self._moves(members)
        return Near(window, Sparse(given), Sparse(query), Sparse(key), value, targets, len(members))

    def _rows(self, members: Int[np.ndarray, " members"], height: int) -> Int[np.ndarray, " rows"]:
        """The rows of some heads."""
        return (members[:, None] * height + np.arange(height)).ravel()

    def _moves(self, members: Int[np.ndarray, " members"]) -> tuple[Sparse, Targets]:
        rows = self._rows(members, self.span)
        return Sparse(self.heads.value[rows]), Targets(self.heads.targets[rows])
