"""Heads that see their own token only; heads.py says what each identity is."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.fast.chunks import Chunk, PositionScore, largest
from constructions.fast.sparsity import TINY, Move, Rows, Sparse, Targets, contract, lengths


@dataclass(frozen=True)
class OwnToken:
    """Heads that see only their own token: h_i += relu(score(i, i))/i · value h_i."""

    score: PositionScore
    value: Rows
    heads: int
    settled = True
    reads = np.zeros(0, dtype=np.int64)

    def __call__(self, chunk: Chunk, place: str) -> Move:
        """What these heads add to the stream."""
        rows = chunk.read(self.value, self.value.height, *chunk.shape)
        return self.value.targets, rows * chunk.alone(self.score), self.value.weight

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens."""
        return tokens * (self.value.matrix.nnz + self.value.count)


@dataclass(frozen=True)
class OwnProduct:
    """Heads with score ⟨query h_i, key h_j⟩ + p(i, j) that see only their own token as long as p outweighs the product."""

    score: PositionScore
    query: Sparse
    key: Sparse
    value: Sparse
    targets: Targets
    heads: int
    settled: bool

    @property
    def reads(self) -> Int[np.ndarray, " entries"]:
        """The stream entries that are read on other tokens."""
        return self.key.matrix.indices

    def __call__(self, chunk: Chunk, place: str) -> Move | None:
        """What these heads add to the stream; None if they do not see their own token only."""
        query = self.query(chunk.stream).unflatten(0, (self.heads, -1))
        if place not in chunk.shared:
            keys = self.key(chunk.seen(self.settled)).unflatten(
                0, (self.heads, -1)
            )  # (heads, rank, batch, tokens)
            sizes = keys.abs()
            norms = [lengths(keys, 1)[:, None].to(keys), sizes.sum(1, keepdim=True)]
            sizes = torch.cat([sizes, *norms], 1)
            start = chunk.state.memory.get(place, torch.zeros_like(sizes[..., 0]))
            most = torch.cat([start[..., None], sizes], -1).cummax(-1).values  # of the tokens before
            chunk.state.memory[place] = most[..., -1].clone()
            chunk.shared[place] = chunk.pick(keys), chunk.pick(most[..., :-1])
        keys, most = chunk.shared[place]
        reach = self._reach(query, most)
        if not (reach + chunk.before(self.score) <= 0).all():
            return None
        scores = (query * keys).sum(1) + chunk.own(self.score)
        values = self.value(chunk.stream).unflatten(0, (self.heads, -1))
        return self.targets, (values * chunk.over_index(torch.relu(scores))[:, None]).flatten(0, 1), 1.0

    @staticmethod
    def _reach(
        query: Float[Tensor, "heads rank batch wanted"], largest: Float[Tensor, "heads sizes batch wanted"]
    ) -> Float[Tensor, "heads batch wanted"]:
        """Bound on ⟨x_i, y_j⟩ over j < i, the best of Σ |x_n| max |y_n|, ‖x‖₂ max ‖y‖₂ and ‖x‖_∞ max ‖y‖₁."""
        sizes = query.abs()
        entries = (sizes * largest[:, :-2]).sum(1)
        euclidean = lengths(query, 1).to(query) * largest[:, -2]
        return torch.minimum(torch.minimum(entries, euclidean), sizes.amax(1) * largest[:, -1])

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens."""
        reads = sum(part.matrix.nnz for part in (self.query, self.key, self.value))
        return tokens * (reads + 3 * self.query.height + self.value.height)


@dataclass(frozen=True)
class OwnMatrix:
    """Signed pairs of own-token products that form a matrix: h_i[a] += (1/i) Σ_b ⟨x_a, y_b⟩ v_ab, as relu(z) − relu(−z) = z.

    Where v is the same for all a this is a product of three matrices. The heads see their own token only as long as p
    outweighs ‖x_a‖ ‖y_b‖, one of them at the token, the other the largest before.

    Attributes:
        score: p; p(i, i) = 0.
        left: x, `rows` vectors.
        right: y, `columns` vectors.
        value: v, for all b, or for all a and b.
        targets: where the rows go.
        rows: how many a there are.
        columns: how many b there are.
        heads: two for each a and b.
        common: whether v is the same for all a.
        keyed: whether y is the key and x the query, or x the key and y the query.
        name: that of its keys.
        settled: whether keys read nothing that is written from here on.
    """

    score: PositionScore
    left: Sparse
    right: Sparse
    value: Sparse
    targets: Targets
    rows: int
    columns: int
    heads: int
    common: bool
    keyed: bool
    name: str
    settled: bool

    @property
    def reads(self) -> Int[np.ndarray, " entries"]:
        """The stream entries that are read on other tokens."""
        return (self.right if self.keyed else self.left).matrix.indices

    def __call__(self, chunk: Chunk, place: str) -> Move | None:
        """What these heads add to the stream; None if they may not see their own token only."""
        left, right, value = self._read(chunk)
        if not self._alone(chunk, place, left if self.keyed else right):
            return None
        if chunk.tokens == 1:
            moved = self._matrices(left, right, value).view(-1, 1, 1)
            return self.targets, moved, self._weight * chunk.only_share
        moved = self._entries(left, right, value).reshape(len(self.targets.entries), *chunk.shape)
        return self.targets, moved * chunk.share, self._weight

    @cached_property
    def _views(self) -> tuple | None:
        """A name of what is read, if all of it is views of the stream, which stay up to date."""
        read = [part.span for part in (self.left, self.right, self.value)]
        return (*read, self.rows, self.columns, self.common) if all(read) else None

    @cached_property
    def _weight(self) -> float:
        return self.left.weight * self.right.weight * self.value.weight

    def _read(self, chunk: Chunk) -> tuple[Float[Tensor, "..."], ...]:
        """x, y and v at the wanted tokens, but for their weights."""
        found = chunk.found.get(self._views)
        if found is None:
            tokens = () if chunk.tokens == 1 else (chunk.tokens,)
            rank, span = self.left.height // self.rows, len(self.targets.entries) // self.rows
            found = (
                chunk.read(self.left, self.rows, rank, *tokens),
                chunk.read(self.right, self.columns, rank, *tokens),
                chunk.read(self.value, 1 if self.common else self.rows, self.columns, span, *tokens),
            )
            if self._views is not None:
                chunk.found[self._views] = found
        return found

    def _alone(self, chunk: Chunk, place: str, queries: Float[Tensor, "vectors ..."]) -> bool:
        """Whether p outweighs all products with tokens before; all queries as one are quicker to look at, and often do."""
        past, most = self._past(chunk, place)
        weight = self.left.weight if self.keyed else self.right.weight
        whole = float(torch.linalg.vector_norm(queries.double())) + TINY
        if abs(weight) * whole * most + chunk.highest(self.score) <= 0:
            return True
        sizes = abs(weight) * lengths(queries, 1).amax(0)
        return bool((sizes.view(chunk.shape) * past + chunk.before(self.score) <= 0).all())

    def _past(self, chunk: Chunk, place: str) -> tuple[Float[Tensor, "batch wanted"], float]:
        """The largest norm of a key at the tokens before each wanted one, and the largest of them all."""
        place = f"{chunk.part} {self.name}" if self.settled else place
        if place not in chunk.shared:
            part, count = (self.right, self.columns) if self.keyed else (self.left, self.rows)
            keys = part.peek(chunk.seen(self.settled))
            sizes = lengths(keys.view(count, self.left.height // self.rows, *keys.shape[1:]), 1).amax(0)
            if place not in chunk.state.memory:
                chunk.state.memory[place] = torch.zeros_like(sizes[:, :1])
            norms = torch.cat([chunk.state.memory[place], sizes], -1).cummax(-1).values
            chunk.state.memory[place] = norms[:, -1:]
            before = chunk.pick(norms[:, :-1])
            chunk.shared[place] = before, largest(before)
        return chunk.shared[place]

    @staticmethod
    def _matrices(
        left: Float[Tensor, "rows rank"],
        right: Float[Tensor, "columns rank"],
        value: Float[Tensor, "values columns span"],
    ) -> Float[Tensor, "..."]:
        """Σ_b ⟨x_a, y_b⟩ v_ab for one token."""
        scores = left.mm(right.t())
        return scores.mm(value[0]) if len(value) == 1 else scores.unsqueeze(1).bmm(value)

    @staticmethod
    def _entries(
        left: Float[Tensor, "rows rank tokens"],
        right: Float[Tensor, "columns rank tokens"],
        value: Float[Tensor, "values columns span tokens"],
    ) -> Float[Tensor, "rows span tokens"]:
        """The same for many tokens."""
        scores = contract(left, right)
        if len(value) == 1:
            return contract(scores, value[0].transpose(0, 1))
        moved = scores[:, 0, None] * value[:, 0]
        for column in range(1, len(right)):
            moved.addcmul_(scores[:, column, None], value[:, column])
        return moved

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens."""
        reads = sum(part.matrix.nnz for part in (self.left, self.right, self.value))
        return tokens * (reads + self.columns * (self.left.height + len(self.targets.entries)))
