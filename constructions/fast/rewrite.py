"""The rewriting itself: which identity each head and neuron provably satisfies.

heads.py, own_token.py and neurons.py say what the identities are.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int
from scipy import sparse

from constructions.fast.chunks import Places, PositionScore, largest
from constructions.fast.heads import Gated, General, Group, Linear, OwnProduct, OwnToken
from constructions.fast.neurons import file_neurons
from constructions.fast.own_matrices import CROWD, Seeker, own_matrices
from constructions.fast.program import CompiledLayer, Front, Program
from constructions.fast.pruning import HeadWeights, LayerWeights, prune
from constructions.fast.softmax_heads import Near, SoftmaxGroup
from constructions.fast.softmax_rewrite import Frame, Known
from constructions.fast.softmax_rewrite import groups as softmax_groups
from constructions.fast.sparsity import Rows, Sparse, Targets, alike, columns, edges, packed, shape
from constructions.softmax.attention import softmax_shares
from constructions.transformer import Transformer


def compile_weights(
    transformer: Transformer,
    position: slice,
    longest: int,
    wanted: slice | Int[np.ndarray, " entries"] = slice(None),
    frame: Frame | None = None,
) -> Program:
    """Rewrite a transformer's current weights.

    Of softmax attention what tokens hold whatever the history has to be known, token 0 included. Without it, or with yet
    another attention, the literal layers run.

    Args:
        transformer: the weights as they are now; compile again after changing one.
        position: the stream entries at which every token holds (i, i², 1).
        longest: the largest number of tokens that will be processed.
        wanted: the stream entries that are asked for; heads and neurons on which none of them depends are left out.
        frame: what tokens hold whatever the history, for softmax attention.
    """
    soft = not transformer.as_printed
    if soft and (
        frame is None
        or any(layer.attention.shares is not softmax_shares for layer in transformer.stored_layers)
    ):
        return Program(transformer, (), position, Places(longest), 0, literal=True)
    layers = [LayerWeights.of(layer) for layer in transformer.stored_layers]
    prune(layers, wanted)
    writes = [np.zeros(transformer.width, dtype=bool)]  # from layer n on
    for layer in reversed(layers):
        writes.insert(0, writes[0] | layer.written)
    if frame is not None and soft:
        known = Known.of(frame, writes[0], transformer.clip_radius)
        one, places = known.one, Places(longest, frame)
        groups = [softmax_groups(layer.heads, known) for layer in layers]
    else:
        place = _Place(position, longest, bool(writes[0][position].any()))
        one, places = place.one, Places(longest)
        groups = [
            [group for heads in layer.heads for group in _Filing(heads, place).groups()] for layer in layers
        ]
    reads = [_columns(members, transformer.width) for members in groups]
    alone = next(n for n in range(len(layers) + 1) if not any((read & writes[n]).any() for read in reads[n:]))
    compiled = tuple(
        CompiledLayer(
            tuple(_settle(group, n >= alone, writes[0]) for group in members),
            file_neurons(layer.first, layer.second, one),
            layer.repeat,
            _spread(layer.written),
            Front(layer.first, layer.second) if soft else None,
        )
        for n, (layer, members) in enumerate(zip(layers, groups, strict=True))
    )
    return Program(transformer, compiled, position, places, alone, front=soft)


def _spread(written: Bool[np.ndarray, " width"]) -> slice:
    """A slice that covers the entries written."""
    entries = np.flatnonzero(written)
    return slice(int(entries[0]), int(entries[-1]) + 1) if len(entries) else slice(0, 0)


def _columns(groups: Sequence[Group | SoftmaxGroup], width: int) -> Bool[np.ndarray, " width"]:
    """The stream entries that keys and values of other tokens read; token 0 is always computed."""
    found = np.zeros(width, dtype=bool)
    for group in groups:
        found[group.far if isinstance(group, Near) else group.reads] = True
    return found


def _settle(
    group: Group | SoftmaxGroup, alone: bool, written: Bool[np.ndarray, " width"]
) -> Group | SoftmaxGroup:
    """Mark a group that reads, on other tokens, nothing that is written from here on, or anywhere."""
    if isinstance(group, OwnToken):
        return group
    alone = alone and not (isinstance(group, Near) and not group.lag)  # that reads token 0 as it is now
    return replace(group, settled=alone or not written[group.reads].any())


@dataclass(frozen=True)
class _Place:
    """Where positions stand, the largest position, and whether a layer writes there."""

    position: slice
    longest: int
    written: bool

    @property
    def one(self) -> int | None:
        """The stream entry that always holds 1."""
        return None if self.written else self.position.stop - 1


class _Filing:
    """Files the heads of one group of weights, all heads at once.

    The score of a head is the sum over its rows of (query row h_i)(key row h_j). Rows that read the position only, on both
    sides, make a polynomial in i and j; the others make the product.
    """

    def __init__(self, heads: HeadWeights, place: _Place):
        self.heads, self.place = heads, place
        self.rank, self.span = (shape(heads.query)[0] // heads.count, shape(heads.value)[0] // heads.count)
        at = slice(place.position.start, place.position.stop)
        inside = np.zeros(shape(heads.query)[1])
        inside[at] = 1.0
        (query_at, query_off), (key_at, key_off) = (
            (abs(part) @ inside > 0, abs(part) @ (1 - inside) > 0) for part in (heads.query, heads.key)
        )
        self.live = (query_at | query_off) & (key_at | key_off)  # a product with nothing is 0
        polynomial = self.live & ~query_off & ~key_off & (not place.written)
        self.product = self.live & ~polynomial
        query, key = (
            (part[:, at].toarray() * polynomial[:, None]).reshape(heads.count, self.rank, 3)
            for part in (heads.query, heads.key)
        )
        self.coefficients = np.einsum("hra,hrb->hab", query, key)

    def groups(self) -> Iterator[Group]:
        """Every head under one identity."""
        heads, count = self.heads, self.heads.count
        silent = np.zeros(count, dtype=bool)
        for part, height in ((heads.query, self.rank), (heads.key, self.rank), (heads.value, self.span)):
            silent |= np.diff(edges(part)[::height] if height else np.zeros(count + 1)) == 0
        mixed = self.product.reshape(count, self.rank).any(1)
        gate = ~silent & self._gates()
        if silent.any():
            nothing = sparse.csr_array((shape(heads.value)[1],) * 2)
            yield OwnToken(PositionScore(np.zeros((3, 3))), Rows(nothing), int(silent.sum()))
        for members in self._alike(np.flatnonzero(gate & ~mixed)):
            yield self._own_token(members)
        pairs, rest = self._signed_pairs(np.flatnonzero(~silent & ~(gate & ~mixed)))
        for name, members in pairs.items():
            yield self._linear(name, np.array(members))
        products = (gate & self._gates(strict=True))[rest]
        for members in self._alike(rest[products]):
            score = PositionScore(self.coefficients[members[0]])
            matrices, alone = own_matrices(heads, self.product, members, score)
            yield from matrices
            if len(alone):
                yield self._own_product(alone)
        yield from self._others(rest[~products])

    def _gates(self, strict: bool = False) -> Bool[np.ndarray, " heads"]:
        """Whether the polynomial is ≤ 0, or < 0, for all j < i up to the largest position."""
        if self.place.written:
            return np.zeros(self.heads.count, dtype=bool)
        index = torch.arange(2, self.place.longest + 1, dtype=torch.float64)
        kinds, kind = np.unique(self.coefficients.reshape(-1, 9), axis=0, return_inverse=True)
        most = [largest(PositionScore(c.reshape(3, 3)).before(index)) for c in kinds]
        return (np.array(most) < 0 if strict else np.array(most) <= 0)[kind.ravel()]

    def _alike(self, members: Int[np.ndarray, " members"]) -> Iterator[Int[np.ndarray, " members"]]:
        """Split heads by their polynomial and the number of rows of their product."""
        found = defaultdict(list)
        rows = self.product.reshape(self.heads.count, self.rank).sum(1)
        for head in members:
            found[self.coefficients[head].tobytes(), rows[head]].append(head)
        return (np.array(group) for group in found.values())

    def _rows(self, members: Int[np.ndarray, " members"], height: int) -> Int[np.ndarray, " rows"]:
        """The rows of some heads."""
        return (members[:, None] * height + np.arange(height)).ravel()

    def _own_token(self, members: Int[np.ndarray, " members"]) -> OwnToken:
        rows, width = self._rows(members, self.span), shape(self.heads.value)[1]
        value = self.heads.value[rows].tocoo()
        entries = self.heads.targets[rows][value.row], value.col
        placed = sparse.csr_array((value.data, entries), shape=(width, width))
        return OwnToken(PositionScore(self.coefficients[members[0]]), Rows(placed), len(members))

    def _signed_pairs(self, members: Int[np.ndarray, " members"]):
        """Match heads (q, k, v, targets) with (−q, k, −v, targets); group the matches by their key and value rows."""
        seeker, pairs = Seeker(self.heads, np.ones(self.rank, dtype=bool)), defaultdict(list)
        matched = list(seeker.pairs(members))
        for head, _ in matched:
            print_ = seeker.key_print(head) + b"/" + seeker.value_print(head)
            pairs[hashlib.sha256(print_).hexdigest()].append(head)
        return pairs, np.setdiff1d(members, np.array(matched, dtype=np.int64))

    def _linear(self, name: str, members: Int[np.ndarray, " members"]) -> Linear:
        heads, first = self.heads, members[:1]
        key, value = heads.key[self._rows(first, self.rank)], heads.value[self._rows(first, self.span)]
        key_rows, value_rows = (np.flatnonzero(np.diff(edges(part))) for part in (key, value))
        queries = heads.query[(members[:, None] * self.rank + key_rows).ravel()]
        targets = Targets(heads.targets[(members[:, None] * self.span + value_rows).ravel()])
        return Linear(Rows(key), Rows(value), Sparse(queries), targets, False, name, 2 * len(members))

    def _own_product(self, members: Int[np.ndarray, " members"]) -> OwnProduct:
        heads, rows = self.heads, self._rows(members, self.rank)
        query, key = (Sparse(part[rows[self.product[rows]]]) for part in (heads.query, heads.key))
        score = PositionScore(self.coefficients[members[0]])
        return OwnProduct(score, query, key, *self._moves(members), len(members), False)

    def _moves(self, members: Int[np.ndarray, " members"]) -> tuple[Sparse, Targets]:
        rows = self._rows(members, self.span)
        return Sparse(self.heads.value[rows]), Targets(self.heads.targets[rows])

    def _others(self, members: Int[np.ndarray, " members"]) -> Iterator[Group]:
        """Crowds of heads with a common product as gated, the rest as general."""
        if not len(members):
            return
        rows = self._rows(members, self.rank)
        query, key = self.heads.query[rows], self.heads.key[rows]
        constant = self.live[rows] & (np.diff(edges(query)) == 1) & (self.place.one is not None)
        constant[constant] = columns(query)[edges(query)[:-1][constant]] == self.place.one
        constant &= self._differs(key, len(members))
        weights = np.zeros(len(rows))
        weights[constant] = query.data[edges(query)[:-1][constant]]
        owner = np.arange(len(rows)) // self.rank
        gates = (
            sparse.csr_array((weights, (owner, np.arange(len(rows)))), shape=(len(members), len(rows))) @ key
        )
        common = sparse.diags_array((self.live[rows] & ~constant).astype(float))
        query, key = (sparse.csr_array(common @ part) for part in (query, key))
        (query_print, _), (key_print, _) = packed(query, self.rank), packed(key, self.rank)
        crowds = defaultdict(list)
        for number in range(len(members)):
            crowds[query_print(number), key_print(number)].append(number)
        alone = []
        for crowd in crowds.values():
            gate = gates[crowd]
            if len(crowd) < CROWD or not abs(gate).sum(1).all():
                alone += crowd
                continue
            first = np.flatnonzero(
                np.diff(query[: (crowd[0] + 1) * self.rank].indptr)[crowd[0] * self.rank :]
            )
            shared = [Sparse(part[crowd[0] * self.rank + first]) for part in (query, key)]
            cap = float(abs(gate.data).min()) / 2
            value, targets = self._moves(members[crowd])
            yield Gated(shared[0], shared[1], Sparse(gate), value, targets, False, len(crowd), cap)
        if alone:
            rows = self._rows(members[alone], self.rank)
            query, key = Sparse(self.heads.query[rows]), Sparse(self.heads.key[rows])
            value, targets = self._moves(members[alone])
            yield General(query, key, value, targets, False, len(alone))

    def _differs(self, part: sparse.csr_array, members: int) -> Bool[np.ndarray, " rows"]:
        """Which rows are not the same in all heads."""
        kinds = alike(part).reshape(members, self.rank)
        return np.tile((kinds != kinds[0]).any(0), members)
