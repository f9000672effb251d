"""The identities by which heads are evaluated: what each says, and how it computes.

rewrite.py looks at the weights alone, never at the algorithm they carry out, and files every head under the first identity
that it provably satisfies:

    own token     query and key read nothing but the position (i, i², 1), and the score, a polynomial in i and j, is ≤ 0
                  for every j < i: the head is a linear map of its own token, times relu(score(i, i))/i
    own product   the score is such a polynomial p(i, j) plus ⟨x_i, y_j⟩, where no layer writes what y reads: wherever
                  ‖x_i‖ max_{j<i} ‖y_j‖ + max_{j<i} p(i, j) ≤ 0 the head sees its own token only. This is checked on the
                  tokens at hand; where it fails, they go the general way
    linear        two heads with the same key, opposite queries and opposite values: relu(z) − relu(−z) = z, so the sum over
                  j is the prefix sum of value ⊗ key, applied to the query; where key and value read registers that no
                  layer writes, that prefix sum is the same in every layer and is computed once
    general       everything else, by the definition

In the first two, p(i, i) is evaluated after equal powers of i have been added up: a gate B(j − i) is exactly 0 there. Change
a weight and the head may lose its identity; it then takes the general path, and the result is what the dense form gives.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.sparsity import Move, Rows, Spans, Sparse, Stream


@dataclass
class State:
    """What the tokens so far leave behind.

    Attributes:
        count: how many there were.
        memory: per group its prefix sums, largest key norms, or keys and values.
        inputs: the tokens themselves, for what turns out not to fit an identity.
        clipped: whether clipping has acted, or something else that only the literal layers can do.
    """

    count: int = 0
    memory: dict = field(default_factory=dict)
    inputs: list = field(default_factory=list)
    clipped: bool = False


@dataclass(frozen=True)
class Chunk:
    """The tokens at hand, and of those the ones whose results are wanted.

    Attributes:
        inputs: all tokens of the chunk as they came, for keys and values that read nothing else.
        stream: the wanted tokens as they stand.
        index: position i of the wanted tokens, from 1, in float64.
        wanted: which tokens of the chunk they are.
        state: what the tokens before the chunk left behind; brought up to date by the groups.
        shared: what groups with static keys have computed for this chunk.
    """

    inputs: Stream
    stream: Float[Tensor, "width batch wanted"]
    index: Float[Tensor, " wanted"]
    wanted: Int[Tensor, " wanted"]
    state: State
    shared: dict

    def seen(self, static: bool) -> Stream:
        """What keys and values read: all tokens."""
        return self.inputs if static else self.stream

    def over_index(self, values: Float[Tensor, "*any wanted"]) -> Float[Tensor, "*any wanted"]:
        """Divide by the position i."""
        return values / self.index.to(values)


@dataclass(frozen=True)
class PositionScore:
    """A score that is a polynomial in the positions: coefficients of (i, i², 1) ⊗ (j, j², 1)."""

    coefficients: Float[np.ndarray, "3 3"]

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
    static = True

    def __call__(self, chunk: Chunk, place: str) -> Move:
        """What these heads add to the stream."""
        if place not in chunk.shared:
            chunk.shared[place] = (torch.relu(self.score.own(chunk.index)) / chunk.index).to(chunk.stream)
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
    targets: Spans
    heads: int
    general: "General"
    static = True

    def __call__(self, chunk: Chunk, place: str) -> Move:
        """What these heads add to the stream."""
        query = self.query(chunk.stream).unflatten(0, (self.heads, -1))
        keys = self.key(chunk.inputs).unflatten(0, (self.heads, -1))  # (heads, rank, batch, tokens)
        norms = torch.linalg.vector_norm(keys, dim=1)
        start = chunk.state.memory.get(place, torch.zeros_like(norms[..., 0]))
        largest = torch.cat([start[..., None], norms], -1).cummax(-1).values  # of the tokens before
        reach = torch.linalg.vector_norm(query, dim=1) * largest[..., chunk.wanted]
        chunk.state.memory[place] = largest[..., -1].clone()
        if not (reach + self.score.before(chunk.index).to(reach) <= 0).all():
            if self.general.static:
                return self.general(chunk, place)
            chunk.state.clipped = True  # values of earlier tokens are gone: the literal layers take over
            return [], chunk.stream
        scores = (query * keys[..., chunk.wanted]).sum(1) + self.score.own(chunk.index).to(query)
        values = self.value(chunk.stream).unflatten(0, (self.heads, -1))
        return self.targets, (values * chunk.over_index(torch.relu(scores))[:, None]).flatten(0, 1)

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
    targets: Spans
    static: bool
    name: str
    heads: int

    def __call__(self, chunk: Chunk, place: str) -> Move:
        """What these heads add to the stream."""
        memory = self.name if self.static else place
        if memory not in chunk.shared:
            seen = chunk.seen(self.static)
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
        once = 0 if self.static else sums + self.key.matrix.nnz + self.value.matrix.nnz
        return tokens * (once + self.queries.matrix.nnz + self.heads // 2 * sums)


@dataclass(frozen=True)
class General:
    """Heads evaluated by Definition 1."""

    query: Sparse
    key: Sparse
    value: Sparse
    targets: Spans
    static: bool
    heads: int

    def __call__(self, chunk: Chunk, place: str) -> Move:
        """What these heads add to the stream."""
        query = self._rows(self.query, chunk.stream)
        key, value = self._seen(chunk, place)
        later = torch.arange(1, key.shape[2] + 1, device=query.device) > chunk.index[:, None]
        scores = torch.relu(query @ key.mT).masked_fill_(later, 0.0) / chunk.index[:, None].to(query)
        return self.targets, (scores @ value).permute(1, 3, 0, 2).flatten(0, 1)

    def _rows(self, part: Sparse, tokens: Stream) -> Float[Tensor, "batch heads tokens rows"]:
        return part(tokens).unflatten(0, (self.heads, -1)).permute(2, 0, 3, 1)

    def _seen(self, chunk: Chunk, place: str) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens so far: of the inputs, or of what this layer was given before and now."""
        if self.static:
            if place not in chunk.shared:
                inputs = torch.cat([*chunk.state.inputs, chunk.inputs], -1)
                chunk.shared[place] = self._rows(self.key, inputs), self._rows(self.value, inputs)
            return chunk.shared[place]
        now = (self._rows(self.key, chunk.stream), self._rows(self.value, chunk.stream))
        before = chunk.state.memory.get(place)
        if before is not None:
            now = (torch.cat([before[0], now[0]], 2), torch.cat([before[1], now[1]], 2))
        chunk.state.memory[place] = now
        return now

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens."""
        reads = sum(part.matrix.nnz for part in (self.query, self.key, self.value))
        return tokens * (reads + (tokens + 1) // 2 * (self.query.height + self.value.height))


Group = OwnToken | OwnProduct | Linear | General
