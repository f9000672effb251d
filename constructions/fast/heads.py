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
    own matrix    signed pairs of own products with p(i, i) = 0: relu(z) − relu(−z) = z; where the queries x_a, keys y_b
                  and values v_ab of many form a matrix, Σ_b ⟨x_a, y_b⟩ v_ab is a product of matrices
    gated         many heads with score ⟨x_i, y_j⟩ + g(j), the product common to all, the gate g a head's own: tokens whose
                  gate no product outweighs are left out. Checked on the tokens at hand in the same way; without a product
                  what they move is a prefix sum
    general       everything else, by the definition

Of own tokens p(i, i) is evaluated after equal powers of i have been added up: a gate B(j − i) is exactly 0 there.
Change a weight and the head may lose its identity; it then takes another path, and the result is what the dense form gives.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.fast.chunks import Chunk
from constructions.fast.own_token import OwnMatrix, OwnProduct, OwnToken
from constructions.fast.sparsity import Move, Rows, Sparse, Stream, Targets, contract


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
        memory = f"{chunk.part} {self.name}" if self.settled else place
        if memory not in chunk.shared:
            seen = chunk.seen(self.settled)
            outer = self.value(seen)[:, None] * self.key(seen)[None]  # (values, keys, batch, tokens)
            sums = outer.cumsum(-1)
            if memory in chunk.state.memory:
                sums += chunk.state.memory[memory][..., None]
            chunk.state.memory[memory] = sums[..., -1].clone()
            chunk.shared[memory] = chunk.over_index(chunk.pick(sums)).flatten(2)
        sums = chunk.shared[memory]
        query = chunk.read(self.queries, self.heads // 2, self.key.count, chunk.tokens)
        moved = contract(query, sums)
        return self.targets, moved.reshape(len(self.targets.entries), *chunk.shape), self.queries.weight

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
        if not self.query.height:
            return self._added_up(chunk, place)
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
        return self.targets, moved.view(self.heads * span, members, wanted), 1.0

    def _added_up(self, chunk: Chunk, place: str) -> Move:
        """Without a product the score is the gate: what is moved adds up, and nothing else is kept of a token."""
        seen, memory, span = chunk.seen(self.settled), chunk.state.memory, self.value.height // self.heads
        gates = self.gates(seen)  # (heads, batch, tokens)
        head, member, token = (~(gates <= 0)).nonzero(as_tuple=True)
        value = self.value(seen).unflatten(0, (self.heads, -1))[head, :, member, token]
        rows = (torch.relu(gates[head, member, token])[:, None] * value).flatten()  # open, times span
        batch = seen.shape[1]
        places = (head[:, None] * span + torch.arange(span, device=head.device)) * batch + member[:, None]
        before = memory.get(place, seen.new_zeros(self.heads * span * batch))
        memory[place] = before.index_add(0, places.flatten(), rows)
        reached = (token + chunk.state.count + 1)[:, None] <= chunk.index  # (open, wanted)
        moved = before[:, None].repeat(1, len(chunk.index))
        moved.index_add_(0, places.flatten(), rows[:, None] * reached.repeat_interleave(span, 0))
        return self.targets, chunk.over_index(moved).view(self.heads * span, batch, -1), 1.0

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
        key, value = chunk.so_far(place, self.settled, self._kept)  # of all tokens so far
        later = torch.arange(1, key.shape[2] + 1, device=query.device) > chunk.index[:, None]
        scores = torch.relu(query @ key.mT).masked_fill_(later, 0.0) / chunk.index[:, None].to(query)
        return self.targets, (scores @ value).permute(1, 3, 0, 2).flatten(0, 1), 1.0

    def _kept(self, seen: Stream) -> tuple[Tensor, ...]:
        return self._rows(self.key, seen), self._rows(self.value, seen)

    def _rows(self, part: Sparse, tokens: Stream) -> Float[Tensor, "batch heads tokens rows"]:
        return part(tokens).unflatten(0, (self.heads, -1)).permute(2, 0, 3, 1)

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens."""
        reads = sum(part.matrix.nnz for part in (self.query, self.key, self.value))
        return tokens * (reads + (tokens + 1) // 2 * (self.query.height + self.value.height))


Group = OwnToken | OwnProduct | OwnMatrix | Linear | Gated | General
