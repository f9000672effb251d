"""The identities by which MLP neurons are evaluated.

paired    two neurons that read and write opposite things: relu(z) − relu(−z) = z, a linear map
look-up   neurons that read the same direction u = ⟨a, h⟩ at different thresholds: their sum is a piecewise linear function
          of u, found by one sorted search instead of one relu a knot
other     everything else, by the definition
"""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import sparse
from torch import Tensor

from constructions.fast.sparsity import (
    MANY,
    Move,
    Rows,
    Sparse,
    Stream,
    Targets,
    alike,
    bands,
    columns,
    edges,
    shape,
)

KNOTS = 3
"""So many neurons at least make a look-up."""

BLOCK = 1024
"""So many pieces of a look-up are worked out at a time, which bounds the memory that takes."""


@dataclass(frozen=True, eq=False)
class Lookups:
    """Piecewise linear functions of directions of the token.

    Attributes:
        directions: u = ⟨a, h⟩, one row a direction.
        knots: thresholds in order, one row a direction, filled up with ∞.
        anchors: a knot beside each piece, piece n lying between knots n − 1 and n.
        source: the direction that each function takes.
        values: each function's value at the anchor of each piece.
        slopes: its slope on each piece.
        targets: the stream entry that each function is added to.
    """

    directions: Sparse
    knots: Float[np.ndarray, "directions knots"]
    anchors: Float[np.ndarray, "directions pieces"]
    source: Int[np.ndarray, " functions"]
    values: Float[np.ndarray, "functions pieces"]
    slopes: Float[np.ndarray, "functions pieces"]
    targets: Targets
    _placed: dict = field(default_factory=dict)

    def __call__(self, stream: Stream) -> Move:
        """Every function's value."""
        at = self.directions(stream).flatten(1).contiguous()
        knots, anchors, values, slopes, source = self._tables(at)
        piece = torch.searchsorted(knots, at)
        past = at - anchors.gather(1, piece)
        if source is not None:
            past, piece = past[source], piece[source]
        found = values.gather(1, piece).addcmul_(slopes.gather(1, piece), past)
        return self.targets, found.view(len(self.source), *stream.shape[1:]), 1.0

    def _tables(self, like: Tensor) -> list:
        """Knots, anchors, values and slopes as tensors like another, and the sources; None if each direction has one."""
        kind = like.dtype, like.device
        if kind not in self._placed:
            tables = (self.knots, self.anchors, self.values, self.slopes)
            plain = np.array_equal(self.source, np.arange(len(self.knots)))
            source = None if plain else torch.as_tensor(self.source, device=like.device)
            self._placed[kind] = [*(torch.as_tensor(table).to(like) for table in tables), source]
        return self._placed[kind]

    @property
    def cost(self) -> int:
        """Multiplications for one token, a comparison counted as one."""
        search = int(np.ceil(np.log2(self.knots.shape[1] + 1)))
        return self.directions.matrix.nnz + len(self.knots) * search + len(self.source)


@dataclass(frozen=True, eq=False)
class Neurons:
    """The MLP of one layer, its neurons filed; `counts` says how many under which identity.

    Attributes:
        paired: what opposite pairs read.
        bands: where that goes, in slices with a weight each.
        lookups: the piecewise linear functions, if there are any.
        first: what the other neurons read.
        second: where that goes.
        counts: neurons by identity.
    """

    paired: Rows | Sparse
    bands: list[tuple[slice, slice, float]] | None
    lookups: Lookups | None
    first: Sparse
    second: Rows
    counts: dict[str, int]

    def add(self, stream: Stream) -> None:
        """The MLP layer, residual included."""
        linear = self.paired(stream) if self.paired.height else None
        moves = []
        if self.lookups is not None:
            moves.append(self.lookups(stream))
        if self.second.count:
            moves.append((self.second.targets, self.second(torch.relu(self.first(stream))), 1.0))
        if linear is not None and self.bands is not None:
            whole = slice(0, self.paired.height)
            for to, rows, weight in self.bands:
                stream[to].add_(linear if rows == whole else linear[rows], alpha=weight)
        elif linear is not None and isinstance(self.paired, Rows):
            self.paired.targets.add(stream, linear)
        for targets, rows, weight in moves:
            targets.add(stream, rows, weight)

    @property
    def cost(self) -> int:
        """Multiplications for one token."""
        linear = self.paired.matrix.nnz + sum(rows.stop - rows.start for _, rows, _ in self.bands or [])
        found = 0 if self.lookups is None else self.lookups.cost
        return linear + found + self.first.matrix.nnz + self.second.matrix.nnz


def file_neurons(first: sparse.csr_array, second: sparse.csr_array, one: int | None) -> Neurons:
    """File the neurons of an MLP.

    Args:
        first: W1, shape (neurons, D).
        second: W2 transposed, shape (neurons, D).
        one: the stream entry that always holds 1, if there is one.
    """
    units, second = shape(first)[0], sparse.csr_array(second)
    speaks = np.diff(edges(second)) > 0
    pairs = opposites(first, second, speaks)
    chosen = [later for _, later in pairs]
    speaks[np.array(pairs, dtype=np.int64).ravel()] = False
    read, written = first[chosen], sparse.csr_array(second[chosen].T)
    slices = bands(written, MANY)
    paired = Sparse(read) if slices is not None else Rows(written @ read)
    found, lookups = _lookups(first, second, np.flatnonzero(speaks), one)
    speaks[found] = False
    rest = np.flatnonzero(speaks)
    counts = {"paired": 2 * len(pairs), "look-up": len(found), "other": units - 2 * len(pairs) - len(found)}
    return Neurons(paired, slices, lookups, Sparse(first[rest]), Rows(second[rest].T), counts)


def opposites(
    first: sparse.csr_array, second: sparse.csr_array, speaks: Bool[np.ndarray, " neurons"]
) -> list[tuple[int, int]]:
    """Pairs of neurons that read and write opposite things, each in one pair at most: the earlier and the later."""
    whole = sparse.hstack([first, second])
    kinds = alike(sparse.csr_array(sparse.vstack([whole, -whole])))
    (own, opposite), pairs, waiting = np.split(kinds, 2), [], defaultdict(list)
    for unit in np.flatnonzero(np.isin(own, opposite) & speaks).tolist():
        mates = waiting[opposite[unit]]
        if mates:
            pairs.append((mates.pop(), unit))
        else:
            waiting[own[unit]].append(unit)
    return pairs


def _lookups(
    first: sparse.csr_array, second: sparse.csr_array, units: np.ndarray, one: int | None
) -> tuple[Int[np.ndarray, " found"], Lookups | None]:
    """The neurons among `units` that share a direction with enough others, and their functions."""
    if one is None or not len(units):
        return np.empty(0, np.int64), None
    reads = first[units]
    threshold = reads[:, [one]].toarray()[:, 0]
    coo = reads.tocoo()
    off = coo.col != one
    sloped = sparse.csr_array((coo.data[off], (coo.row[off], coo.col[off])), shape=reads.shape)
    sloped.sum_duplicates()
    sloped.eliminate_zeros()
    lead = np.zeros(len(units))
    some = np.diff(edges(sloped)) > 0
    lead[some] = sloped.data[edges(sloped)[:-1][some]]
    scaled = sloped.copy()
    scaled.data = sloped.data / np.repeat(lead, np.diff(edges(sloped)))
    kinds = np.where(some, alike(scaled), -1)
    order = np.argsort(kinds, kind="stable")
    borders = np.flatnonzero(np.diff(kinds[order], prepend=-2, append=-2))
    spans = [
        (start, stop)
        for start, stop in pairwise(borders.tolist())
        if stop - start >= KNOTS and some[order[start]]
    ]
    if not spans:
        return np.empty(0, np.int64), None
    which, rows, targets, (knots, anchors, values, slopes) = _tables(
        spans, lead[order], threshold[order], second[units[order]]
    )
    lookups = Lookups(
        Sparse(scaled[order[[start for start, _ in spans]]]),
        knots[which],
        anchors[which],
        np.repeat(np.arange(len(spans)), [len(part) for part in rows]),
        values[np.concatenate(rows)],
        slopes[np.concatenate(rows)],
        Targets(targets),
    )
    return np.concatenate([units[order[start:stop]] for start, stop in spans]), lookups


def _tables(
    spans: list[tuple[int, int]], scale: np.ndarray, threshold: np.ndarray, second: sparse.csr_array
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """Piecewise linear functions of spans of neurons; those that differ in the entries written only are found once.

    Returns the number of each span's knots, the numbers of its functions, the entries that these are added to, and what was
    found: knots, anchors, values and slopes, filled up to one length.
    """
    starts, (height, width) = edges(second), shape(second)
    number = np.full(height, -1)
    for n, (start, stop) in enumerate(spans):
        number[start:stop] = n
    written, place = np.unique(
        np.repeat(number, np.diff(starts)) * width + columns(second), return_inverse=True
    )
    first = np.searchsorted(written, np.arange(len(spans) + 1) * width)  # of each span's entries written
    known, found, rows, which = {}, [], [], []
    for n, (start, stop) in enumerate(spans):
        inside = slice(starts[start], starts[stop])
        neuron = np.repeat(np.arange(stop - start), np.diff(starts[start : stop + 1]))
        parts = (
            scale[start:stop],
            threshold[start:stop],
            neuron,
            place[inside] - first[n],
            second.data[inside],
        )
        print_ = b"|".join(part.tobytes() for part in parts)
        if print_ not in known:
            known[print_] = len(found), sum(len(values) for *_, values, _ in found)
            found.append(_functions(*parts))
        kind, row = known[print_]
        which.append(kind)
        rows.append(row + np.arange(first[n + 1] - first[n]))
    most = max(len(knots) for knots, *_ in found)

    def filled(parts: list, length: int, **how) -> np.ndarray:
        return np.array([np.pad(part, (0, length - len(part)), **how) for part in parts])

    tables = [
        filled([knots for knots, *_ in found], most, constant_values=np.inf),
        filled([anchors for _, anchors, _, _ in found], most + 1, mode="edge"),
        filled([row for _, _, values, _ in found for row in values], most + 1, mode="edge"),
        filled([row for *_, slopes in found for row in slopes], most + 1, mode="edge"),
    ]
    return np.array(which), rows, written[first[0] :] % width, tables


def _functions(
    scale: np.ndarray, threshold: np.ndarray, neuron: np.ndarray, place: np.ndarray, weight: np.ndarray
):
    """Knots and anchors of Σ_n w_n relu(scale_n u + threshold_n), and for each place written values and slopes."""
    turn = -threshold / scale
    order = np.argsort(turn, kind="stable")
    rank = np.argsort(order)
    turn, scale, threshold = turn[order], scale[order], threshold[order]
    left, right = turn[[0, *range(len(turn))]], turn[[*range(len(turn)), -1]]
    anchors = np.where(
        abs(left) <= abs(right), left, right
    )  # the nearer end of a piece: differences from it lose no digits
    places = range(place.max(initial=-1) + 1)
    weights = np.zeros((len(order), len(places)))  # (neurons, functions)
    np.add.at(weights, (rank[neuron], place), weight)
    values, slopes = (np.empty((len(anchors), len(places))) for _ in range(2))
    for start in range(0, len(anchors), BLOCK):
        at = anchors[start : start + BLOCK, None]
        bends = np.maximum(at * scale + threshold, 0.0)  # (pieces, neurons)
        bends[at == turn] = 0.0  # exactly, at its own knot
        pieces = np.arange(start, start + len(at))
        active = (pieces[:, None] > np.arange(len(turn))) == (
            scale > 0
        )  # the piece lies on the neuron's side of its knot
        values[pieces], slopes[pieces] = bends @ weights, active @ (weights * scale[:, None])
    return turn, anchors, values.T, slopes.T
