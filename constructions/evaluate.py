"""Fast evaluation by exact rewriting of the weights.

rewrite.py files every head under the first identity of identities.py that it provably satisfies; MLP neurons that come in
opposite pairs are linear maps. A `Program` runs the result.

If no key and no value anywhere reads a register that a layer writes, tokens do not see each other's results: the program is
`independent`, what one token computes is invisible to all others, and only the tokens that are asked for are computed.

Tokens are processed in chunks with a state in between, so that a whole history (one chunk) and one more token (a chunk of
one) are the same computation. They may be float64 or float32, on the CPU or a GPU: the program follows its input.
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.identities import Chunk, General, Group, Linear, OwnProduct, OwnToken, State
from constructions.sparsity import Move, Rows, Sparse, Stream
from constructions.transformer import Transformer, clip


@dataclass(frozen=True)
class CompiledLayer:
    """One stored layer after rewriting: head groups, the linear map of paired neurons, and the other neurons."""

    groups: tuple[Group, ...]
    paired: tuple[Sparse, Sparse]
    first: Sparse
    second: Rows
    repeat: int
    neurons: int

    def explain(self, width: int, tokens: int) -> dict:
        """One row of Program.explain."""
        kinds = (OwnToken, OwnProduct, Linear, General)
        heads = {
            kind.__name__: sum(group.heads for group in self.groups if isinstance(group, kind))
            for kind in kinds
        }
        dense = tokens * (
            sum(heads.values()) * (3 * width**2 + (tokens + 1) * width) + 2 * width * self.neurons
        )
        fast = sum(group.cost(tokens) for group in self.groups)
        fast += tokens * sum(part.matrix.nnz for part in (*self.paired, self.first, self.second))
        return {
            "repeat": self.repeat,
            "heads": heads,
            "neurons": {"paired": self.neurons - self.first.height, "other": self.first.height},
            "multiplications": {"dense": dense, "fast": fast},
        }


class Program:
    """A transformer after rewriting. `run` evaluates it on whole sequences, `advance` on the next few tokens.

    The rewriting presumes that tokens hold their positions and that clipping does not act. The first is checked on all
    tokens as they come, the second at every layer on the tokens that are computed; where either fails, the literal layers
    take over, for good. Tokens that are not wanted are neither computed nor checked.
    """

    def __init__(
        self,
        transformer: Transformer,
        layers: list[CompiledLayer],
        written: Int[np.ndarray, " entries"],
        position: slice,
    ):
        self.transformer, self.layers, self.position = transformer, layers, position
        self.written = slice(int(written.min()), int(written.max()) + 1) if len(written) else slice(0, 0)
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
        inputs = clip(tokens, self.transformer.clip_radius).permute(2, 0, 1).contiguous()
        chosen = torch.arange(tokens.shape[1], device=tokens.device)[
            wanted if self.independent else slice(None)
        ]
        stream = inputs[..., chosen].clone()
        chunk = Chunk(inputs, stream, (chosen + state.count + 1).double(), chosen, state, {})
        held = not state.clipped and self._placed(inputs, state.count) and self._rewritten(chunk)
        state.clipped = state.clipped or not held  # in this order: a group may have set it
        state.count += tokens.shape[1]
        state.inputs.append(inputs)
        if state.clipped:
            whole = torch.cat(state.inputs, -1).permute(1, 2, 0)
            literal = copy.deepcopy(self.transformer).to(whole)
            return literal(whole)[:, -tokens.shape[1] :][:, wanted]
        return (stream if self.independent else stream[..., wanted]).permute(1, 2, 0)

    def _placed(self, inputs: Stream, count: int) -> bool:
        """Whether the tokens hold the positions (i, i², 1) that follow on `count` tokens."""
        index = torch.arange(
            count + 1, count + 1 + inputs.shape[-1], dtype=torch.float64, device=inputs.device
        )
        wanted = torch.stack([index, index**2, torch.ones_like(index)]).to(inputs.dtype)
        return bool((inputs[self.position] == wanted[:, None]).all())

    def _rewritten(self, chunk: Chunk) -> bool:
        """Run all layers on the chunk's stream; False if clipping would have acted."""
        stream, written = chunk.stream, chunk.stream[self.written]
        squares = stream.square().sum(0) - written.square().sum(0)  # of the rows that no layer writes
        radius = self.transformer.clip_radius
        room = max(radius**2 - float(squares.max()), 0.0) if squares.numel() else math.inf
        safe = math.sqrt(room / max(len(written), 1)) * (
            1 - 1e-6
        )  # no entry larger: no norm beyond the radius
        for number, layer in enumerate(self.layers):
            for repetition in range(layer.repeat if written.numel() else 1):  # nothing wanted: the state only
                self._layer(layer, chunk, number, repetition)
                if written.numel() and not self._within(written, safe):
                    norms = torch.linalg.vector_norm(stream, dim=0)
                    if not bool((norms <= radius).all()):
                        return False
        return True

    @staticmethod
    def _within(rows: Stream, size: float) -> bool:
        """Whether no entry is larger; NaN is."""
        low, high = torch.aminmax(rows)
        return -size <= low.item() and high.item() <= size

    def _layer(self, layer: CompiledLayer, chunk: Chunk, number: int, repetition: int) -> None:
        """Attention, then MLP, on the wanted tokens."""
        stream, moves = chunk.stream, []
        for n, group in enumerate(layer.groups):
            moves.append(group(chunk, f"{number}.{n}" if group.static else f"{number}.{n}.{repetition}"))
        self._add(stream, moves)
        reads, writes = layer.paired
        paired = reads(stream) if reads.height else None
        if layer.second.count:
            self._add(stream, [(layer.second.targets, layer.second(torch.relu(layer.first(stream))))])
        if paired is not None:
            for to, rows, weight in writes.bands:
                stream[to].add_(paired[rows], alpha=weight)

    @staticmethod
    def _add(stream: Stream, moves: list[Move]) -> None:
        """Add all moves, which were computed from the stream before any of them."""
        for targets, values in moves:
            for to, rows in targets:
                stream[to] += values[rows]

    def explain(self, tokens: int = 100) -> list[dict]:
        """How each stored layer is evaluated.

        One row a layer: how often it runs, its heads by identity, its neurons in opposite pairs and other neurons, and the
        multiplications of one run over `tokens` tokens, by the literal dense form and by this program.
        """
        return [layer.explain(self.transformer.width, tokens) for layer in self.layers]
