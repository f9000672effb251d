"""The identities by which heads are evaluated: what each says, and how it computes.

rewrite.py looks at the weights alone, never at the algorithm they carry out, and files every head under the first identity
that it provably satisfies:

    own token     query and key read nothing but the position (i, i², 1), and the score, a polynomial in i and j, is ≤ 0
                  for every j < i: the head is a linear map of its own token, times relu(score(i, i))/i
    linear        two heads with the same key, opposite queries and opposite values: relu(z) − relu(−z) = z, so the sum over
                  j is the prefix sum of value ⊗ key, applied to the query; where key and value read settled registers, that
                  prefix sum is the same in every layer and is computed once
    own product   the score is such a polynomial p(i, j) plus ⟨x_i, y_j⟩: wherever the largest that ⟨x_i, y_j⟩ can be for
                  j < i, plus max_{j<i} p(i, j), is ≤ 0, the head sees its own token only. This is checked on the tokens at
                  hand; where it fails, the literal layers take over
    gated         many heads with score ⟨x_i, y_j⟩ + g(j), the product common to all, the gate g a head's own: tokens whose
                  gate no product outweighs are left out. Checked on the tokens at hand in the same way
    general       everything else, by the definition

In the first and third, p(i, i) is evaluated after equal powers of i have been added up: a gate B(j − i) is exactly 0 there.
Change a weight and the head may lose its identity; it then takes another path, and the result is what the dense form gives.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.sparsity import Move, Rows, Sparse, Stream, Targets


@dataclass
class State:
    """What the tokens so far leave behind.

    Attributes:
        count: how many there were.
        memory: per group what it needs of earlier tokens.
        inputs: the tokens themselves, for what turns out not to fit an identity.
        literal: whether the literal layers have taken over: clipping has acted, or an identity has failed.
    """

    count: int = 0
    memory: dict = field(default_factory=dict)
    inputs: list = field(default_factory=list)
    literal: bool = False


@dataclass(frozen=True)
class Chunk:
    """The tokens at hand, and of those the ones whose results are wanted.

    Attributes:
        settled: all tokens of the chunk, for keys and values that read nothing that is written from here on.
        stream: the wanted tokens as they stand.
        index: position i of the wanted tokens, from 1, in float64.
        wanted: which tokens of the chunk they are.
        state: what the tokens before the chunk left behind; brought up to date by the groups.
        shared: what groups with settled keys have computed for this chunk.
        scores: what positions score at the wanted tokens.
    """

    settled: Stream
    stream: Float[Tensor, "width batch wanted"]
    index: Float[Tensor, " wanted"]
    wanted: Int[Tensor, " wanted"]
    state: State
    shared: dict
    scores: dict = field(default_factory=dict)

    def seen(self, settled: bool) -> Stream:
        """What keys and values read: all tokens."""
        return self.settled if settled else self.stream

    def own(self, score: "PositionScore") -> Float[Tensor, " wanted"]:
        """score(i, i) at the wanted tokens, worked out once for a chunk."""
        return self._once(("own", score.print), lambda: score.own(self.index).to(self.stream))

    def before(self, score: "PositionScore") -> Float[Tensor, " wanted"]:
        """The largest score(i, j) for j < i at the wanted tokens, worked out once for a chunk."""
        return self._once(("before", score.print), lambda: score.before(self.index).to(self.stream))

    def _once(self, name: tuple, work: Callable[[], Tensor]) -> Tensor:
        if name not in self.scores:
            self.scores[name] = work()
        return self.scores[name]

    def over_index(self, values: Float[Tensor, "*any wanted"]) -> Float[Tensor, "*any wanted"]:
        """Divide by the position i."""
        return values / self.index.to(values)


@dataclass(frozen=True)
class PositionScore:
    """A score that is a polynomial in the positions: coefficients of (i, i², 1) ⊗ (j, j², 1)."""

    coefficients: Float[np.ndarray, "3 3"]

    @cached_property
    def print(self) -> bytes:
        """The coefficients as a name."""
        return self.coefficients.tobytes()

    def own(self, index: Float[Tensor, " wanted"]) -> Float[Tensor, " wanted"]:
        """p(i, i), equal powers of i added up first."""
        powers = np.array([[2, 3, 1], [3, 4, 2], [1, 2, 0]])
        sums = np.bincount(powers.ravel(), self.coefficients.ravel(), minlength=5)
        return sum((float(c) * index**n for n, c in enumerate(sums) if c), start=torch.zeros_like(index))

    def before(self, index: Float[Tensor, " wanted"]) -> Float[Tensor, " wanted"]:
        """Max p(i, j) over integers 1 ≤ j < i, at the ends or beside the vertex; −∞ at i = 1."""
        i = torch.stack([index, index**2, torch.ones_like(index)], dim=1)
        linear, quadratic, constant = (i @ torch.as_tensor(self.coefficients).to(index)).T
        vertex = torch.where(quadratic == 0, 1.0, -linear / (2 * quadratic))
        candidates = torch.stack([torch.ones_like(index), index - 1, vertex.floor(), vertex.ceil()])
        j = torch.minimum(candidates.clamp(min=1), index - 1)
        values = (linear * j + quadratic * j**2 + constant).amax(0)
        return torch.where(index > 1, values, -torch.inf)


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
        if place not in chunk.shared:
            chunk.shared[place] = torch.relu(chunk.own(self.score)) / chunk.index.to(chunk.stream)
        return self.value.targets, self.value(chunk.stream) * chunk.shared[place]

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
            norms = [torch.linalg.vector_norm(keys, dim=1, keepdim=True), sizes.sum(1, keepdim=True)]
            sizes = torch.cat([sizes, *norms], 1)
            start = chunk.state.memory.get(place, torch.zeros_like(sizes[..., 0]))
            largest = torch.cat([start[..., None], sizes], -1).cummax(-1).values  # of the tokens before
            chunk.state.memory[place] = largest[..., -1].clone()
            chunk.shared[place] = keys[..., chunk.wanted], largest[..., chunk.wanted]
        keys, largest = chunk.shared[place]
        reach = self._reach(query, largest)
        if not (reach + chunk.before(self.score) <= 0).all():
            return None
        scores = (query * keys).sum(1) + chunk.own(self.score)
        values = self.value(chunk.stream).unflatten(0, (self.heads, -1))
        return self.targets, (values * chunk.over_index(torch.relu(scores))[:, None]).flatten(0, 1)

    @staticmethod
    def _reach(
        query: Float[Tensor, "heads rank batch wanted"], largest: Float[Tensor, "heads sizes batch wanted"]
    ) -> Float[Tensor, "heads batch wanted"]:
        """Bound on ⟨x_i, y_j⟩ over j < i, the best of Σ |x_n| max |y_n|, ‖x‖₂ max ‖y‖₂ and ‖x‖_∞ max ‖y‖₁."""
        sizes = query.abs()
        entries = (sizes * largest[:, :-2]).sum(1)
        euclidean = torch.linalg.vector_norm(query, dim=1) * largest[:, -2]
        return torch.minimum(torch.minimum(entries, euclidean), sizes.amax(1) * largest[:, -1])

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens."""
        reads = sum(part.matrix.nnz for part in (self.query, self.key, self.value))
        return tokens * (reads + 3 * self.query.height + self.value.height)


@dataclass(frozen=True)
class Linear:
    """Signed pairs with common key and value rows: h_i[targets] += (1/i) Σ_j (value h_j) ⟨key h_j, query h_i⟩."""

    key: Rows
    value: Rows
    queries: Sparse
    targets: Targets
    settled: bool
    name: str
    heads: int

    @property
    def reads(self) -> Int[np.ndarray, " entries"]:
        """The stream entries that are read on other tokens."""
        return np.concatenate([self.key.matrix.indices, self.value.matrix.indices])

    def __call__(self, chunk: Chunk, place: str) -> Move:
        """What these heads add to the stream."""
        memory = self.name if self.settled else place
        if memory not in chunk.shared:
            seen = chunk.seen(self.settled)
            outer = self.value(seen)[:, None] * self.key(seen)[None]  # (values, keys, batch, tokens)
            sums = outer.cumsum(-1)
            if memory in chunk.state.memory:
                sums += chunk.state.memory[memory][..., None]
            chunk.state.memory[memory] = sums[..., -1].clone()
            chunk.shared[memory] = chunk.over_index(sums[..., chunk.wanted])
        sums = chunk.shared[memory]
        query = self.queries.peek(chunk.stream).unflatten(0, (self.heads // 2, self.key.count))
        moved = sums[None, :, 0] * query[:, None, 0]  # (pairs, values, batch, tokens)
        for key in range(1, self.key.count):
            moved.addcmul_(sums[None, :, key], query[:, None, key])
        return self.targets, moved.flatten(0, 1)

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens, without prefix sums that are computed once for all layers."""
        sums = self.key.count * self.value.count
        once = 0 if self.settled else sums + self.key.matrix.nnz + self.value.matrix.nnz
        return tokens * (once + self.queries.matrix.nnz + self.heads // 2 * sums)


@dataclass(frozen=True)
class Gated:
    """Heads with score ⟨query h_i, key h_j⟩ + gate h_j, the first term common to all of them.

    Kept of a token are the heads whose gate lies above −`cap`, and the largest gate of the others: as long as no product
    outweighs that one, they see nothing of the token.
    """

    query: Sparse
    key: Sparse
    gates: Sparse
    value: Sparse
    targets: Targets
    settled: bool
    heads: int
    cap: float

    @property
    def reads(self) -> Int[np.ndarray, " entries"]:
        """The stream entries that are read on other tokens."""
        return np.concatenate([part.matrix.indices for part in (self.key, self.gates, self.value)])

    def __call__(self, chunk: Chunk, place: str) -> Move | None:
        """What these heads add to the stream; None if a product outweighs a gate that was taken for closed."""
        if place not in chunk.shared:
            chunk.shared[place] = chunk.state.memory[place] = self._take_in(chunk, place)
        keys, closed, (head, batch, token), gate, value = chunk.shared[place]
        query = self.query(chunk.stream)
        common = query.permute(1, 2, 0) @ keys.permute(1, 0, 2)  # (batch, wanted, tokens)
        seen = torch.arange(1, keys.shape[-1] + 1, device=query.device) <= chunk.index[:, None]
        if ((common + closed[:, None]) * seen > 0).any():
            return None
        scores = torch.relu(common[batch, :, token] + gate[:, None]) * seen.T[token]
        rows = chunk.over_index(scores)[:, None] * value[:, :, None]  # (open, span, wanted)
        span, members, wanted = value.shape[1], query.shape[1], query.shape[2]
        moved = query.new_zeros(self.heads * span * members, wanted)
        places = (head[:, None] * span + torch.arange(span, device=head.device)) * members + batch[:, None]
        moved.index_add_(0, places.flatten(), rows.flatten(0, 1))
        return self.targets, moved.view(self.heads * span, members, wanted)

    def _take_in(self, chunk: Chunk, place: str):
        """Keys, largest closed gates, and open gates with their values, of the tokens before and at hand."""
        seen = chunk.seen(self.settled)
        gates = self.gates(seen)  # (heads, batch, tokens)
        opened = ~(gates <= -self.cap)
        closed = gates.masked_fill(opened, -torch.inf).amax(0)
        head, batch, token = opened.nonzero(as_tuple=True)
        value = self.value(seen).unflatten(0, (self.heads, -1))[head, :, batch, token]
        keys, gate, token = self.key(seen), gates[head, batch, token], token + chunk.state.count
        if place not in chunk.state.memory:
            return keys, closed, (head, batch, token), gate, value
        before = chunk.state.memory[place]
        joined = (torch.cat(pair) for pair in zip(before[2], (head, batch, token), strict=True))
        return (
            torch.cat([before[0], keys], -1),
            torch.cat([before[1], closed], -1),
            tuple(joined),
            torch.cat([before[3], gate]),
            torch.cat([before[4], value]),
        )

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens, of each of which one head takes note."""
        reads = sum(part.matrix.nnz for part in (self.query, self.key, self.gates, self.value))
        return tokens * (reads + (tokens + 1) // 2 * (self.key.height + self.value.height // self.heads))


@dataclass(frozen=True)
class General:
    """Heads evaluated by Definition 1."""

    query: Sparse
    key: Sparse
    value: Sparse
    targets: Targets
    settled: bool
    heads: int

    @property
    def reads(self) -> Int[np.ndarray, " entries"]:
        """The stream entries that are read on other tokens."""
        return np.concatenate([self.key.matrix.indices, self.value.matrix.indices])

    def __call__(self, chunk: Chunk, place: str) -> Move:
        """What these heads add to the stream."""
        query = self._rows(self.query, chunk.stream)
        if place not in chunk.shared:
            seen = chunk.seen(self.settled)
            now = (self._rows(self.key, seen), self._rows(self.value, seen))
            if place in chunk.state.memory:
                now = tuple(torch.cat(pair, 2) for pair in zip(chunk.state.memory[place], now, strict=True))
            chunk.shared[place] = chunk.state.memory[place] = now
        key, value = chunk.shared[place]  # of all tokens so far
        later = torch.arange(1, key.shape[2] + 1, device=query.device) > chunk.index[:, None]
        scores = torch.relu(query @ key.mT).masked_fill_(later, 0.0) / chunk.index[:, None].to(query)
        return self.targets, (scores @ value).permute(1, 3, 0, 2).flatten(0, 1)

    def _rows(self, part: Sparse, tokens: Stream) -> Float[Tensor, "batch heads tokens rows"]:
        return part(tokens).unflatten(0, (self.heads, -1)).permute(2, 0, 3, 1)

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens."""
        reads = sum(part.matrix.nnz for part in (self.query, self.key, self.value))
        return tokens * (reads + (tokens + 1) // 2 * (self.query.height + self.value.height))


Group = OwnToken | OwnProduct | Linear | Gated | General
