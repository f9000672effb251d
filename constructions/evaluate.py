"""Fast evaluation by exact rewriting of the weights.

rewrite.py looks at the weights alone, never at the algorithm they carry out, and files every head under the first identity
that it provably satisfies:

    own token   query and key read nothing but the position (i, i², 1), and the score, a polynomial in i and j, is ≤ 0
                for every j < i: the head is a linear map of its own token, times relu(score(i, i))/i
    linear      two heads with the same key, opposite queries and opposite values: relu(z) − relu(−z) = z, so the sum over
                j is the prefix sum of value ⊗ key, applied to the query; where key and value read registers that no layer
                writes, that prefix sum is the same in every layer and is computed once
    general     everything else, by the definition

MLP neurons that come in opposite pairs are linear maps in the same way. Change a weight and the head may lose its
identity; it then takes the general path, and the result is what the dense form gives.

If no key and no value anywhere reads a register that a layer writes, tokens do not see each other's results: the program is
`independent`, what one token computes is invisible to all others, and only the tokens that are asked for are computed.

Tokens are processed in chunks with a state in between, so that a whole history (one chunk) and one more token (a chunk of
one) are the same computation.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor

Stream = Float[Tensor, "width batch tokens"]
"""Inside this file a stream entry is a row, so that sparse maps act on long contiguous rows."""

Spans = list[tuple[slice, slice]]
"""Where rows go: pairs of slices (stream entries, rows)."""

Move = tuple[Spans, Float[Tensor, "_ batch tokens"]]
"""Rows to be added to the stream."""


def spans(targets: Int[np.ndarray, " rows"]) -> Spans:
    """Where rows go, as pairs of slices (stream entries, rows) of consecutive entries: adding slices saves copies.

    >>> spans(np.array([4, 5, 9]))
    [(slice(4, 6, None), slice(0, 2, None)), (slice(9, 10, None), slice(2, 3, None))]
    """
    breaks = np.flatnonzero(np.diff(targets) != 1) + 1
    starts, stops = [0, *breaks], [*breaks, len(targets)]
    return [
        (slice(int(targets[start]), int(targets[start]) + int(stop - start)), slice(int(start), int(stop)))
        for start, stop in zip(starts, stops, strict=True)
        if stop > start
    ]


class Sparse:
    """A sparse matrix times a stream: on the CPU by SciPy, many times faster there than torch's own sparse product."""

    def __init__(self, matrix):
        self.matrix = sparse.csr_array(matrix)

    def __call__(self, stream: Stream) -> Float[Tensor, "rows batch tokens"]:
        """Matrix times stream."""
        product = self.matrix @ stream.flatten(1).numpy()
        return torch.from_numpy(product).unflatten(1, stream.shape[1:])


class Rows(Sparse):
    """The nonzero rows of a sparse matrix, and the stream entries to which they belong."""

    def __init__(self, matrix):
        matrix = sparse.csr_array(matrix)
        matrix.eliminate_zeros()
        used = np.flatnonzero(np.diff(matrix.indptr))
        super().__init__(matrix[used])
        self.targets, self.count = spans(used), len(used)


@dataclass(frozen=True)
class Chunk:
    """The tokens at hand, and of those the ones whose results are wanted.

    Attributes:
        inputs: all tokens of the chunk as they came, for keys and values that read nothing else.
        stream: the wanted tokens as they stand.
        index: position i of the wanted tokens, from 1.
        wanted: which tokens of the chunk they are.
        shared: prefix sums of this chunk that several layers use.
    """

    inputs: Stream
    stream: Float[Tensor, "width batch wanted"]
    index: Float[Tensor, " wanted"]
    wanted: Int[Tensor, " wanted"]
    shared: dict

    def seen(self, static: bool) -> Stream:
        """What keys and values read: all tokens."""
        return self.inputs if static else self.stream


@dataclass
class State:
    """What the tokens so far leave behind: their number, and prefix sums or keys and values."""

    count: int = 0
    memory: dict = field(default_factory=dict)


@dataclass(frozen=True)
class OwnToken:
    """Heads that see only their own token: h_i += relu(score(i, i))/i · value h_i."""

    score: Float[np.ndarray, "3 3"]
    value: Rows
    heads: int
    static = True

    def __call__(self, chunk: Chunk, state: State, place: tuple) -> Move:
        """What these heads add to the stream."""
        i = chunk.index
        powers = torch.stack([i, i**2, torch.ones_like(i)])
        score = torch.relu((powers * (torch.as_tensor(self.score) @ powers)).sum(0)) / i
        return self.value.targets, self.value(chunk.stream) * score


@dataclass(frozen=True)
class Linear:
    """Signed pairs with common key and value rows: h_i[targets] += (1/i) Σ_j (value h_j) ⟨key h_j, query h_i⟩."""

    key: Rows
    value: Rows
    queries: Sparse
    targets: Spans
    static: bool
    name: tuple
    heads: int

    def __call__(self, chunk: Chunk, state: State, place: tuple) -> Move:
        """What these heads add to the stream."""
        memory = self.name if self.static else place
        if memory not in chunk.shared:
            seen = chunk.seen(self.static)
            sums = (self.value(seen)[:, None] * self.key(seen)[None]).cumsum(
                -1
            )  # (values, keys, batch, tokens)
            if memory in state.memory:
                sums += state.memory[memory][..., None]
            state.memory[memory] = sums[..., -1].clone()
            chunk.shared[memory] = sums[..., chunk.wanted] / chunk.index
        sums, query = chunk.shared[memory], self.queries(chunk.stream).unflatten(0, (-1, self.key.count))
        moved = sums[None, :, 0] * query[:, None, 0]  # (pairs, values, batch, tokens)
        for key in range(1, self.key.count):
            moved.addcmul_(sums[None, :, key], query[:, None, key])
        return self.targets, moved.flatten(0, 1)


@dataclass(frozen=True)
class General:
    """Heads evaluated by Definition 1."""

    query: Sparse
    key: Sparse
    value: Sparse
    targets: Spans
    static: bool
    heads: int

    def __call__(self, chunk: Chunk, state: State, place: tuple) -> Move:
        """What these heads add to the stream."""
        seen = chunk.seen(self.static)
        query, key, value = (  # each (batch, heads, tokens, rows)
            part(tokens).unflatten(0, (self.heads, -1)).permute(2, 0, 3, 1)
            for part, tokens in ((self.query, chunk.stream), (self.key, seen), (self.value, seen))
        )
        if not (self.static and place in chunk.shared):
            if place in state.memory:
                before = state.memory[place]
                key, value = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2)
            state.memory[place] = chunk.shared[place] = (key, value)
        key, value = state.memory[place]
        later = torch.arange(1, key.shape[2] + 1) > chunk.index[:, None]
        scores = torch.relu(query @ key.mT).masked_fill_(later, 0.0) / chunk.index[:, None]
        return self.targets, (scores @ value).permute(1, 3, 0, 2).flatten(0, 1)


@dataclass(frozen=True)
class CompiledLayer:
    """One stored layer after rewriting: head groups, the linear map of paired neurons, and the other neurons."""

    groups: tuple[OwnToken | Linear | General, ...]
    paired: Rows
    first: Sparse
    second: Rows
    repeat: int


class Program:
    """A transformer after rewriting. `run` evaluates it on whole sequences, `advance` on the next few tokens."""

    def __init__(self, layers: list[CompiledLayer], written: Int[np.ndarray, " entries"], clip_radius: float):
        self.layers, self.clip_radius = layers, clip_radius
        self.written = slice(0, 0) if not len(written) else slice(int(written[0]), int(written[-1]) + 1)
        groups = [group for layer in layers for group in layer.groups if not isinstance(group, OwnToken)]
        self.independent = all(group.static for group in groups)

    def run(
        self, tokens: Float[Tensor, "batch tokens width"], wanted: slice = slice(None)
    ) -> Float[Tensor, "batch wanted width"]:
        """The transformer's output at the wanted tokens of whole sequences."""
        return self.advance(tokens, State(), wanted)

    def advance(
        self, tokens: Float[Tensor, "batch tokens width"], state: State, wanted: slice = slice(None)
    ) -> Float[Tensor, "batch wanted width"]:
        """The output at the wanted ones of the next few tokens; `state` is brought up to date."""
        inputs = tokens.permute(2, 0, 1).clone(memory_format=torch.contiguous_format)
        self._clip(inputs, inputs.square().sum(0))
        chosen = torch.arange(tokens.shape[1])[wanted if self.independent else slice(None)]
        stream = inputs[..., chosen].contiguous()
        chunk = Chunk(inputs, stream, (chosen + state.count + 1).to(tokens.dtype), chosen, {})
        unwritten = stream.square().sum(0) - stream[self.written].square().sum(0)
        runs = (
            (number, repetition, layer)
            for number, layer in enumerate(self.layers)
            for repetition in range(
                layer.repeat if len(chosen) else 1
            )  # nothing wanted: only the state is brought up to date
        )
        for number, repetition, layer in runs:
            moves = []
            for n, group in enumerate(layer.groups):
                place = (number, n) if group.static else (number, n, repetition)
                moves.append(group(chunk, state, place))
            self._add(stream, moves)
            moves = [(layer.paired.targets, layer.paired(stream))] if layer.paired.count else []
            if layer.second.count:
                moves.append((layer.second.targets, layer.second(torch.relu(layer.first(stream)))))
            self._add(stream, moves)
            self._clip(stream, unwritten + torch.linalg.vector_norm(stream[self.written], dim=0).square())
        state.count += tokens.shape[1]
        return (stream if self.independent else stream[..., wanted]).permute(1, 2, 0)

    @staticmethod
    def _add(stream: Stream, moves: list[Move]) -> None:
        """Add all moves, which were computed from the stream before any of them."""
        for targets, values in moves:
            for to, rows in targets:
                stream[to] += values[rows]

    def _clip(self, stream: Stream, squares: Float[Tensor, "batch tokens"]) -> None:
        if (squares > self.clip_radius**2).any():
            stream *= torch.clamp(self.clip_radius / squares.sqrt(), max=1.0)

    def explain(self) -> list[dict[str, int]]:
        """For each stored layer: how often it runs, and its number of heads under each identity."""
        return [
            {"repeat": layer.repeat}
            | {
                kind.__name__: sum(group.heads for group in layer.groups if isinstance(group, kind))
                for kind in (OwnToken, Linear, General)
            }
            for layer in self.layers
        ]
