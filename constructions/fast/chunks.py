"""The tokens at hand and what earlier ones left behind: what the identities of heads.py compute on."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.fast.sparsity import Sparse, Stream

Wanted = slice | Int[Tensor, " wanted"]
"""Which tokens are asked for."""


POWERS = np.array([[2, 3, 1], [3, 4, 2], [1, 2, 0]])
"""Powers of i in (i, i², 1) ⊗ (i, i², 1)."""


@dataclass
class State:
    """What the tokens so far leave behind.

    Attributes:
        count: how many there were.
        memory: per group what it needs of earlier tokens.
        inputs: the tokens themselves, for what turns out not to fit an identity.
        literal: whether the literal layers have taken over: clipping has acted, or an identity has failed.
        past: the same as memory, where tapes have taken over.
        untaped: whether there are no tapes for these tokens.
    """

    count: int = 0
    memory: dict = field(default_factory=dict)
    inputs: list = field(default_factory=list)
    literal: bool = False
    past: Any = None
    untaped: bool = False


@dataclass(frozen=True)
class Chunk:
    """The tokens at hand, and of those the ones whose results are wanted.

    Attributes:
        settled: all tokens of the chunk, for keys and values that read nothing that is written from here on.
        stream: the wanted tokens as they stand.
        first: the position of the chunk's first token, from 0.
        wanted: which tokens of the chunk they are.
        state: what the tokens before the chunk left behind; brought up to date by the groups.
        shared: what groups with settled keys have computed for this chunk.
        part: which part of the layers it is for; what they leave behind is told apart by it.
        places: what positions score.
        found: what has been worked out once for this chunk: scores of positions, views of the stream.
    """

    settled: Stream
    stream: Float[Tensor, "width batch wanted"]
    first: int
    wanted: "Wanted"
    state: State
    shared: dict
    part: str
    places: "Places"
    found: dict = field(default_factory=dict)

    def seen(self, settled: bool) -> Stream:
        """What keys and values read: all tokens."""
        return self.settled if settled else self.stream

    def so_far(
        self, place: str, settled: bool, read: Callable[[Stream], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """What is read of all tokens so far, which come last but one in each tensor; kept under this name."""
        if place not in self.shared:
            now = read(self.seen(settled))
            if place in self.state.memory:
                now = tuple(torch.cat(pair, -2) for pair in zip(self.state.memory[place], now, strict=True))
            self.shared[place] = self.state.memory[place] = now
        return self.shared[place]

    def pick(self, values: Float[Tensor, "*any tokens"]) -> Float[Tensor, "*any wanted"]:
        """Of values for all tokens of the chunk, those of the wanted ones."""
        return values[..., self.wanted]

    @cached_property
    def at(self) -> Int[Tensor, " wanted"]:
        """Which of all tokens the wanted ones are, from 0."""
        last = self.first + self.settled.shape[-1]
        return torch.arange(self.first, last, device=self.stream.device)[self.wanted]

    @cached_property
    def index(self) -> Float[Tensor, " wanted"]:
        """Position i of the wanted tokens, from 1, in float64."""
        return self.at.double() + 1

    def own(self, score: "PositionScore") -> Float[Tensor, " wanted"]:
        """score(i, i) at the wanted tokens."""
        return self._at(("own", score.print), score.own)

    def before(self, score: "PositionScore") -> Float[Tensor, " wanted"]:
        """The largest score(i, j) for j < i at the wanted tokens."""
        return self._at(("before", score.print), score.before)

    def _at(self, name: Hashable, work: Callable[[Tensor], Tensor]) -> Float[Tensor, " wanted"]:
        """What is known of all positions, at the wanted tokens, worked out once for a chunk."""
        last = self.first + self.settled.shape[-1]
        return self.once(name, lambda: self.pick(self.places(name, work, self.stream)[self.first : last]))

    def once(self, name: Hashable, work: Callable[[], Any]) -> Any:
        """What has been worked out under a name for this chunk, or is now."""
        if name not in self.found:
            self.found[name] = work()
        return self.found[name]

    def highest(self, score: "PositionScore") -> float:
        """The largest of them all."""
        return self.once(("highest", score.print), lambda: largest(self.before(score)))

    def alone(self, score: "PositionScore") -> Float[Tensor, " wanted"]:
        """relu(score(i, i))/i at the wanted tokens."""
        return self._at(("alone", score.print), lambda i: torch.relu(score.own(i)) / i)

    @property
    def share(self) -> Float[Tensor, " wanted"]:
        """1/i at the wanted tokens."""
        return self._at("share", torch.reciprocal)

    @cached_property
    def only_share(self) -> float:
        """The same of the only wanted token."""
        return float(self.share)

    @property
    def shape(self) -> tuple[int, int]:
        """Batch, and wanted tokens of each of its members."""
        return self.stream.shape[1], self.stream.shape[2]

    def read(self, part: Sparse, *shape: int) -> Float[Tensor, "..."]:
        """What a matrix reads at every wanted token of the batch, but for its weight, in a shape."""
        return self.view(slice(*part.span), *shape) if part.span else part.pick(self.stream).view(*shape)

    def view(self, rows: slice, *shape: int) -> Float[Tensor, "..."]:
        """Consecutive rows of the stream in a shape: not a copy, so that it stays up to date."""
        return self.once((rows.start, rows.stop, *shape), lambda: self.stream[rows].view(*shape))

    @cached_property
    def tokens(self) -> int:
        """How many tokens are wanted, the batch all told."""
        return self.shape[0] * self.shape[1]

    def over_index(self, values: Float[Tensor, "*any wanted"]) -> Float[Tensor, "*any wanted"]:
        """Divide by the position i."""
        return values / self.index.to(values)


@dataclass(frozen=True, eq=False)
class Places:
    """What positions 1 … longest score, worked out once for all chunks of a kind.

    Attributes:
        longest: how many.
        frame: where tokens hold what they hold whatever the history, and what, if that is not (i, i², 1) at their position.
    """

    longest: int
    frame: tuple[Int[np.ndarray, " places"], Float[np.ndarray, "tokens places"]] | None = None
    _known: dict = field(default_factory=dict)

    def __call__(
        self, name: Hashable, work: Callable[[Tensor], Tensor], like: Tensor
    ) -> Float[Tensor, "*any longest"]:
        """work(1 … longest) as a tensor like another."""
        name = name, like.dtype, like.device
        if name not in self._known:
            index = torch.arange(1, self.longest + 1, dtype=torch.float64)
            self._known[name] = work(index).to(like)
        return self._known[name]

    def hold(self, tokens: Float[Tensor, "entries batch tokens"], first: int) -> bool:
        """Whether tokens hold the positions that follow on the first so many."""
        last = first + tokens.shape[-1]
        true = self("position", self._true, tokens)
        return last <= self.longest and bool((tokens == true[:, None, first:last]).all())

    def _true(self, index: Float[Tensor, " longest"]) -> Float[Tensor, "entries longest"]:
        if self.frame is not None:
            return torch.as_tensor(self.frame[1].T)
        return torch.stack([index, index**2, torch.ones_like(index)])


@dataclass(frozen=True)
class PositionScore:
    """A score that is a polynomial in the positions: coefficients of (i, i², 1) ⊗ (j, j², 1)."""

    coefficients: Float[np.ndarray, "3 3"]

    @cached_property
    def print(self) -> bytes:
        """The coefficients as a name."""
        return self.coefficients.tobytes()

    @cached_property
    def powers(self) -> Float[np.ndarray, "5"]:
        """Coefficients of p(i, i)."""
        return np.bincount(POWERS.ravel(), self.coefficients.ravel(), minlength=5)

    def own(self, index: Float[Tensor, " wanted"]) -> Float[Tensor, " wanted"]:
        """p(i, i), equal powers of i added up first."""
        powers = enumerate(self.powers)
        return sum((float(c) * index**n for n, c in powers if c), start=torch.zeros_like(index))

    def before(self, index: Float[Tensor, " wanted"]) -> Float[Tensor, " wanted"]:
        """Max p(i, j) over integers 1 ≤ j < i, at the ends or beside the vertex; −∞ at i = 1."""
        i = torch.stack([index, index**2, torch.ones_like(index)], dim=1)
        linear, quadratic, constant = (i @ torch.as_tensor(self.coefficients).to(index)).T
        candidates = [torch.ones_like(index), index - 1]
        if self.coefficients[:, 1].any():
            vertex = torch.where(quadratic == 0, 1.0, -linear / (2 * quadratic))
            candidates += [vertex.floor(), vertex.ceil()]
        j = torch.minimum(torch.stack(candidates).clamp(min=1), index - 1)
        values = (linear * j + quadratic * j**2 + constant).amax(0)
        return torch.where(index > 1, values, -torch.inf)


def largest(values: Float[Tensor, "*any"]) -> float:
    """The largest of some numbers, −∞ of none; NaN if one is."""
    return float(values.amax()) if values.numel() else -math.inf
