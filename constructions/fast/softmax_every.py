"""Heads of softmax attention of which nothing else is known."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from constructions.fast.chunks import Chunk
from constructions.fast.sparsity import Move, Sparse, Stream, Targets

SCORES = 2**24
"""So many scores are held at a time."""

FEW = 4
"""Kinds of keys are few if there are so many tokens to each."""


@dataclass(frozen=True)
class Every:
    """Heads evaluated by the definition; keys and values of earlier tokens are kept.

    Where tokens at hand have few kinds of keys, as if they hold one-hot registers, each kind is looked at once.
    """

    query: Sparse
    key: Sparse
    value: Sparse
    targets: Targets
    heads: int
    settled: bool = False

    @property
    def reads(self) -> Int[np.ndarray, " entries"]:
        """The stream entries that are read on other tokens."""
        return np.concatenate([self.key.matrix.indices, self.value.matrix.indices])

    def __call__(self, chunk: Chunk, place: str) -> Move:
        """What these heads add to the stream."""
        query = self._rows(self.query, chunk.stream)
        key, value = chunk.so_far(place, self.settled, self._kept)  # (heads, batch, tokens so far, rows)
        kinds, kind = torch.unique(
            key.permute(1, 2, 0, 3).flatten(2).flatten(0, 1), dim=0, return_inverse=True
        )
        few = len(kinds) * FEW <= len(chunk.at)
        if few:
            key = kinds.unflatten(1, (self.heads, -1)).transpose(0, 1)[:, None]  # (heads, 1, kinds, rows)
            member = one_hot(kind.view(value.shape[1:3]), len(kinds)).to(value)
        else:
            member = value.new_zeros(0)
        some = max(1, SCORES // max(query.shape[1] * key.shape[2] * value.shape[2], 1))  # heads at a time
        moved = [
            self._by_kind(q @ k.mT, member, v, chunk) if few else self._by_token(q @ k.mT, v, chunk)
            for q, k, v in zip(*(part.split(some) for part in (query, key, value)), strict=True)
        ]
        return self.targets, torch.cat(moved).permute(0, 3, 1, 2).flatten(0, 1), 1.0

    @staticmethod
    def _by_token(
        scores: Float[Tensor, "some batch wanted tokens"],
        value: Float[Tensor, "some batch tokens span"],
        chunk: Chunk,
    ) -> Float[Tensor, "some batch wanted span"]:
        """Shares of all tokens."""
        later = torch.arange(value.shape[2], device=value.device) > chunk.at[:, None]
        return scores.masked_fill_(later, -torch.inf).softmax(-1) @ value

    @staticmethod
    def _by_kind(
        scores: Float[Tensor, "some batch wanted kinds"],
        member: Float[Tensor, "batch tokens kinds"],
        value: Float[Tensor, "some batch tokens span"],
        chunk: Chunk,
    ) -> Float[Tensor, "some batch wanted span"]:
        """Tokens of equal keys have equal scores: of each kind of key, how many there were, and the sum of their values."""
        counts = member.cumsum(1)[:, chunk.at]
        scores = scores.masked_fill_(counts == 0, -torch.inf)
        shares = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
        shares /= (shares * counts).sum(-1, keepdim=True)
        sums = ((member * column[..., None]).cumsum(2)[:, :, chunk.at] for column in value.unbind(-1))
        moved = [(shares * one).sum(-1) for one in sums]
        return torch.stack(moved, -1) if moved else value.new_zeros(*scores.shape[:-1], 0)

    def _kept(self, seen: Stream) -> tuple[Tensor, ...]:
        return self._rows(self.key, seen), self._rows(self.value, seen)

    def _rows(self, part: Sparse, tokens: Stream) -> Float[Tensor, "heads batch tokens rows"]:
        rows = part.height // self.heads
        return part(tokens).unflatten(0, (self.heads, rows)).permute(0, 2, 3, 1)

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens."""
        reads = sum(part.matrix.nnz for part in (self.query, self.key, self.value))
        return tokens * (reads + (tokens + 1) // 2 * (self.query.height + self.value.height))
