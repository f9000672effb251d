"""The identities by which heads of softmax attention are evaluated: what each says, and how it computes.

softmax_rewrite.py looks at the weights alone and files every head under the first identity that it provably satisfies. What
tokens hold whatever the history, their positions and the mark of token 0, is known before anything runs:

    tally         every token after token 0 has the same query: the score goes by token j alone, and the head takes running
                  sums of e^score and e^score · value: averages over all tokens, or over those that match
    near          the score is s(i, j), known for all i and j, plus products: all but token 0 and a few tokens i − c are left
                  out, as together they move the result by less than 2⁻⁶⁴. Checked on the tokens at hand, with the largest
                  that products can be; where it fails, the literal layers take over
    every         everything else, by the definition (softmax_every.py)

Token 0 sees itself alone, whatever its scores are. In a chunk that has it, it comes first.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.fast.chunks import Chunk
from constructions.fast.softmax_every import Every
from constructions.fast.sparsity import Move, Sparse, Stream, Targets

FLOOR = 2.0**-900
"""Below that, running sums may have lost digits to underflow."""


@dataclass(frozen=True)
class Tally:
    """Heads whose score goes by token j alone: Σ_{l≤i} e^{key h_l} value h_l / Σ_{l≤i} e^{key h_l}."""

    key: Sparse
    value: Sparse
    targets: Targets
    heads: int
    settled: bool = False

    @property
    def reads(self) -> Int[np.ndarray, " entries"]:
        """The stream entries that are read on other tokens."""
        return np.concatenate([self.key.matrix.indices, self.value.matrix.indices])

    def __call__(self, chunk: Chunk, place: str) -> Move | None:
        """What these heads add to the stream; None if sums underflow."""
        if place not in chunk.shared:
            chunk.shared[place] = self._averages(chunk, place)
        weight, averages = chunk.shared[place]
        if not weight >= FLOOR:
            return None
        return self.targets, averages, 1.0

    def _averages(self, chunk: Chunk, place: str) -> tuple[float, Float[Tensor, "rows batch wanted"]]:
        """The least sum of weights, and the averages; what is left behind is relative to the largest score so far."""
        seen, memory = chunk.seen(self.settled), chunk.state.memory
        scores = self.key(seen)  # (heads, batch, tokens)
        values = self.value(seen).unflatten(0, (self.heads, -1))
        top = scores.amax(-1)
        before = memory.get(place)
        if before is not None:
            top = torch.maximum(top, before[0])
        weights = scores.sub_(top[..., None]).exp_()
        sums = values.mul_(weights[:, None]).cumsum_(-1)
        weights = weights.cumsum_(-1)
        if before is not None:
            fade = (before[0] - top).exp_()
            weights += (fade * before[1])[..., None]
            sums += (fade[:, None] * before[2])[..., None]
        memory[place] = top, weights[..., -1].clone(), sums[..., -1].clone()
        weights = chunk.pick(weights)
        least = float(weights.amin()) if weights.numel() else math.inf
        return least, (chunk.pick(sums) / weights[:, None]).flatten(0, 1)

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens, an exponential counted as one."""
        span = self.value.height // max(self.heads, 1)
        return tokens * (self.key.matrix.nnz + self.value.matrix.nnz + self.heads * (1 + 2 * span))


@dataclass(frozen=True, eq=False)
class Window:
    """Scores and keys that are known before anything runs, at token 0 and at tokens i − c.

    Attributes:
        offsets: the numbers c, in order.
        scores: s(i, 0) and s(i, i − c), −∞ where i − c is no token after token 0.
        outside: the largest s(i, j) of all other tokens up to i.
        levels: of keys that are known, the value at these tokens.
        far: and the largest size at all others.
        cut: by how much the largest score has to exceed those of all others.
    """

    offsets: tuple[int, ...]
    scores: Float[np.ndarray, "columns longest"]
    outside: Float[np.ndarray, " longest"]
    levels: Float[np.ndarray, "keys columns longest"]
    far: Float[np.ndarray, "keys longest"]
    cut: float
    _placed: dict = field(default_factory=dict)

    def at(self, chunk: Chunk) -> list[Tensor]:
        """Scores, those outside, levels and far at the wanted tokens, as tensors like the stream."""
        kind = chunk.stream.dtype, chunk.stream.device
        if kind not in self._placed:
            tables = self.scores, self.outside + self.cut, self.levels, self.far
            self._placed[kind] = [torch.as_tensor(table).to(chunk.stream) for table in tables]
        tables = self._placed[kind]
        return chunk.once(("window", id(self)), lambda: [table[..., chunk.at] for table in tables])

    @cached_property
    def speaks(self) -> list[list[int]]:
        """For each column, the known keys that are not 0 there."""
        return [np.flatnonzero(column.any(1)).tolist() for column in self.levels.swapaxes(0, 1)]


@dataclass(frozen=True)
class Near:
    """Heads that see token 0 and tokens i − c only.

    Attributes:
        window: what is known of scores and keys; the same for all these heads.
        given: queries that meet keys that are known.
        query: queries that meet the other keys.
        key: these.
        value: the values.
        targets: where the rows go.
        heads: how many.
        settled: whether keys and values read nothing that is written from here on.
    """

    window: Window
    given: Sparse
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

    @property
    def far(self) -> Int[np.ndarray, " entries"]:
        """The same, token 0 left aside."""
        return self.reads if self.lag else self.key.matrix.indices

    @property
    def lag(self) -> int:
        """How far back these heads see, token 0 left aside."""
        return max(self.window.offsets, default=0)

    def __call__(self, chunk: Chunk, place: str) -> Move | None:
        """What these heads add to the stream; None if they may see other tokens."""
        scores, outside, _, far = self.window.at(chunk)
        given, query = self._by_head(self.given, chunk.stream), self._by_head(self.query, chunk.stream)
        keys, reach = self._columns(self.key, chunk, place, "key"), outside
        if far.any():
            reach = reach + (given.abs() * far[:, None]).sum(1)
        if self.key.height:
            reach = reach + (query.abs() * self._largest(chunk, place)).sum(1)
        found = [self._score(chunk, n, given, query, keys[n]) for n in range(len(scores))]
        scores = torch.stack(torch.broadcast_tensors(*found))
        top = scores.amax(0)
        if not (reach <= top).all():
            return None
        shares = scores.sub_(top).exp_()
        shares /= shares.sum(0)
        values = self._columns(self.value, chunk, place, "value")
        moved = values[0] * shares[0].unsqueeze(1)
        for share, value in zip(shares[1:], values[1:], strict=True):
            moved.addcmul_(value, share.unsqueeze(1))
        return self.targets, moved.flatten(0, 1), 1.0

    def _score(self, chunk: Chunk, column: int, given: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Scores of one column, all that is known of them alone where nothing else is in them."""
        scores, _, levels, _ = self.window.at(chunk)
        score = scores[column].expand(1, 1, -1)  # (heads, batch, wanted)
        for number in self.window.speaks[column]:
            score = score + given[:, number] * levels[number, column]
        return score + (query * key).sum(1) if self.key.height else score

    def _by_head(self, part: Sparse, stream: Stream) -> Float[Tensor, "heads rows batch tokens"]:
        return part(stream).unflatten(0, (self.heads, part.height // self.heads))

    def _columns(
        self, part: Sparse, chunk: Chunk, place: str, name: str
    ) -> list[Float[Tensor, "heads rows batch _"]]:
        """What a matrix reads at token 0 and at the tokens i − c, or 0 before the first."""
        memory, known = chunk.state.memory, chunk.shared.setdefault(place, {})
        if not chunk.first:
            memory[f"{place} {name} 0"] = self._by_head(part, chunk.stream[..., :1])
        front = memory[f"{place} {name} 0"]
        if not self.lag:
            own = [self._by_head(part, chunk.stream) for _ in self.window.offsets]
            return [front, *own]
        if name not in known:
            now = self._by_head(part, chunk.seen(self.settled))
            before = memory.get(f"{place} {name}", now.new_zeros(*now.shape[:-1], self.lag))
            whole = torch.cat([before, now], -1)
            memory[f"{place} {name}"] = whole[..., -self.lag :].clone()
            backs = (whole[..., self.lag - c :][..., : now.shape[-1]] for c in self.window.offsets)
            known[name] = [chunk.pick(back) for back in backs]
        return [front, *known[name]]

    def _largest(self, chunk: Chunk, place: str) -> Float[Tensor, "heads rows batch wanted"]:
        """The largest size of each entry of a key up to the wanted tokens."""
        memory, known = chunk.state.memory, chunk.shared.setdefault(place, {})
        if "size" not in known:
            sizes = self._by_head(self.key, chunk.settled).abs_()  # of all tokens, wanted or not
            before = memory.get(f"{place} size", torch.zeros_like(sizes[..., 0]))
            most = torch.maximum(sizes.cummax(-1).values, before[..., None])
            memory[f"{place} size"] = most[..., -1].clone()
            known["size"] = chunk.pick(most)
        return known["size"]

    def cost(self, tokens: int) -> int:
        """Multiplications for so many tokens, an exponential counted as one."""
        reads = sum(part.matrix.nnz for part in (self.given, self.query, self.key, self.value))
        columns = 1 + len(self.window.offsets)
        known = self.heads * sum(map(len, self.window.speaks))
        return tokens * (reads + known + columns * (self.query.height + 2 * self.heads + self.value.height))


SoftmaxGroup = Tally | Near | Every
