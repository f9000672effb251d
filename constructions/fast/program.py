"""Fast evaluation by exact rewriting of the weights.

rewrite.py files every head under the first identity of heads.py or own_token.py that it provably satisfies, every neuron
under one of neurons.py. A `Program` runs the result.

From some layer on, no key and no value may read a register that a layer from there on writes: tokens no longer see each
other's results, what one token computes is invisible to all others, and only the tokens that are asked for are computed.

Tokens are processed in chunks with a state in between, so that a whole history (one chunk) and one more token (a chunk of
one) are the same computation. They may be float64 or float32, on the CPU or a GPU: the program follows its input.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from constructions.fast.chunks import Chunk, Places, State, Wanted, largest
from constructions.fast.heads import Gated, General, Group, Linear, OwnMatrix, OwnProduct, OwnToken
from constructions.fast.neurons import Neurons
from constructions.fast.softmax_heads import Every, Near, SoftmaxGroup, Tally
from constructions.fast.sparsity import Stream
from constructions.plain import shown
from constructions.transformer import Transformer, clip

AT_ONCE = 2**20
"""Of whole sequences so many numbers are worked on together: more do not stay near the processor, and take longer each."""

ROOM = 1e-3
"""Rounding that sums of squares are allowed before norms are taken one by one."""

Watcher = Callable[[int, Tensor], None]
"""Is told the number of a layer and what stands after it, shape (batch, tokens, width)."""


RELU, SOFTMAX = (OwnToken, OwnProduct, OwnMatrix, Linear, Gated, General), (Tally, Near, Every)
"""The identities of heads, by attention."""


@dataclass(frozen=True, eq=False)
class Front:
    """The MLP of one layer by its definition, for token 0, which does not hold the 1 that look-ups presume.

    Attributes:
        first: W1, shape (neurons, D).
        second: W2 transposed, shape (neurons, D).
    """

    first: sparse.csr_array
    second: sparse.csr_array

    def add(self, token: Float[Tensor, "width batch"]) -> None:
        """The MLP layer, residual included."""
        moved = self.second.T @ np.maximum(self.first @ token.double().numpy(force=True), 0.0)
        token.add_(torch.as_tensor(moved).to(token))


@dataclass(frozen=True)
class CompiledLayer:
    """One stored layer after rewriting.

    Attributes:
        groups: its heads, filed.
        neurons: its neurons, filed.
        repeat: how often it runs.
        written: covers the stream entries that it writes.
        front: its neurons as they are, for token 0, where there is one.
    """

    groups: tuple[Group | SoftmaxGroup, ...]
    neurons: Neurons
    repeat: int
    written: slice
    front: Front | None = None

    def run(self, chunk: Chunk, number: int, repetition: int) -> bool:
        """Attention, then MLP, on the chunk's stream; False if an identity does not hold for these tokens."""
        moves = []
        for n, group in enumerate(self.groups):
            place = f"{number}.{n}" if group.settled else f"{number}.{n}.{repetition}"
            move = group(chunk, place)
            if move is None:
                return False
            moves.append(move)
            if repetition == self.repeat - 1:
                chunk.shared.pop(place, None)  # nobody asks for it again
        for targets, rows, weight in moves:  # all were computed from the stream before any of them
            targets.add(chunk.stream, rows, weight)
        stream = chunk.stream
        if self.front and not chunk.first:
            self.front.add(stream[..., 0])
            stream = stream[..., 1:]
        self.neurons.add(stream)
        return True

    def explain(self, width: int, tokens: int) -> dict:
        """One row of Program.explain."""
        heads = {
            kind.__name__: sum(group.heads for group in self.groups if isinstance(group, kind))
            for kind in (SOFTMAX if self.front else RELU)
        }
        neurons = self.neurons.counts
        dense = sum(heads.values()) * (3 * width**2 + (tokens + 1) * width) + 2 * width * sum(
            neurons.values()
        )
        fast = sum(group.cost(tokens) for group in self.groups) + tokens * self.neurons.cost
        return {
            "repeat": self.repeat,
            "heads": heads,
            "neurons": neurons,
            "multiplications": {"dense": tokens * dense, "fast": fast},
        }


@dataclass(frozen=True, eq=False)
class Program:
    """A transformer after rewriting. `run` evaluates it on whole sequences, `advance` on the next few tokens.

    The rewriting presumes that tokens hold their positions and that clipping does not act. The first is checked on all
    tokens as they come, the second at every layer on all that is computed; where either fails, the literal layers take over,
    for good. What is not wanted, tokens or registers, is neither computed nor checked.

    Attributes:
        transformer: what was rewritten.
        layers: its stored layers.
        position: the stream entries that hold (i, i², 1).
        places: what positions score.
        alone: the first layer from which on tokens do not see each other's results.
        tapes: for chunks of so many tokens, what flatten.py makes of it.
        literal: whether it is the literal layers that run from the start, as nothing is known of their attention.
        front: whether token 0 comes before the others: heads look there.
    """

    transformer: Transformer
    layers: tuple[CompiledLayer, ...]
    position: slice
    places: Places
    alone: int
    tapes: dict[Any, Any] = field(default_factory=dict)
    literal: bool = False
    front: bool = False

    def run(
        self, tokens: Float[Tensor, "batch tokens width"], wanted: Wanted = slice(None)
    ) -> Float[Tensor, "batch wanted width"]:
        """The transformer's output at the wanted tokens of whole sequences."""
        few = max(1, AT_ONCE // max(1, tokens[:1].numel()))
        found = [self.advance(part, State(), wanted) for part in tokens.split(few)]
        return torch.cat(found) if len(found) > 1 else found[0]

    @torch.inference_mode()
    def watch(self, tokens: Float[Tensor, "batch tokens width"], tell: Watcher) -> bool:
        """Run on whole sequences; `tell` is told what stands after each layer, tied ones as often as they repeat.

        What it is told of is only lent. False, at some layer, if the literal layers would have to take over.
        """
        inputs = tokens.permute(2, 0, 1).clone(memory_format=torch.contiguous_format)
        if self.literal or not self._placed(inputs, 0):
            return False
        return self._rewritten(inputs, State(), slice(None), tell) is not None

    @torch.inference_mode()
    def advance(
        self, tokens: Float[Tensor, "batch tokens width"], state: State, wanted: Wanted = slice(None)
    ) -> Float[Tensor, "batch wanted width"]:
        """The output at the wanted ones of the next few tokens; `state` is brought up to date, and keeps the tokens."""
        if not tokens.shape[1]:
            return tokens
        radius = self.transformer.clip_radius
        inside = bool((torch.linalg.vector_norm(tokens, dim=-1) <= radius).all())
        placed = (tokens if inside else clip(tokens, radius)).permute(2, 0, 1)
        inputs = placed.clone(memory_format=torch.contiguous_format)
        result = None
        literal = self.literal or state.literal
        if not literal and self._placed(inputs, state.count):
            result = self._rewritten(inputs, state, wanted)
        state.literal = result is None
        state.count += tokens.shape[1]
        state.inputs.append(tokens)
        if result is None:
            whole = torch.cat(state.inputs, 1)
            literal = copy.deepcopy(self.transformer).to(whole)
            return literal(whole)[:, -tokens.shape[1] :][:, wanted]
        return result.permute(1, 2, 0)

    def _placed(self, inputs: Stream, first: int) -> bool:
        """Whether tokens hold what they are to hold whatever the history."""
        held = self.places.frame[0] if self.places.frame else self.position
        return self.places.hold(inputs[held], first)

    def _rewritten(
        self, inputs: Stream, state: State, wanted: Wanted, tell: Watcher | None = None
    ) -> Float[Tensor, "width batch wanted"] | None:
        """All layers on the next few tokens, in place; None if only the literal layers can do it."""
        if self.alone:  # what is settled is not written: it may be read from the stream itself
            first = Chunk(inputs, inputs, state.count, slice(None), state, {}, "first", self.places)
            if not self._layers(first, range(self.alone), tell):
                return None
        place = slice(None)
        if self.front and not state.count:  # heads look at token 0, which comes first
            index = torch.arange(inputs.shape[-1], device=inputs.device)[wanted]
            wanted = torch.cat([index.new_zeros(1), index[index > 0]])
            place = (index > 0).cumsum(0) * (index > 0)
        stream = inputs[..., wanted].clone(memory_format=torch.contiguous_format)
        last = Chunk(inputs, stream, state.count, wanted, state, {}, "last", self.places)
        done = self._layers(last, range(self.alone, len(self.layers)), tell)
        return last.stream[..., place] if done else None

    def _layers(self, chunk: Chunk, numbers: range, tell: Watcher | None) -> bool:
        """Run stored layers on the chunk's stream; False if an identity fails or clipping would act.

        No token's squared norm is above `most`: at first it is that of all of them together, what a layer has written is
        added to it, and it is taken anew when it has grown beyond the radius.
        """
        stream, square = chunk.stream, self.transformer.clip_radius**2
        whole = _plain(stream.view(-1))
        most = float(whole.dot(whole))
        for number in numbers:
            layer = self.layers[number]
            written = _plain(chunk.view(layer.written, -1))
            for repetition in range(layer.repeat if len(written) or tell else 1):  # else the state only
                if not layer.run(chunk, number, repetition):
                    return False
                most += float(written.dot(written))
                if not (most <= square * (1 - ROOM) and math.isfinite(most)):
                    most = _largest_square(stream)
                    if not (most <= square and math.isfinite(most)):
                        return False
                if tell:
                    before = sum(earlier.repeat for earlier in self.layers[:number])
                    tell(before + repetition + 1, stream.permute(1, 2, 0))
        return True

    def explain(self, tokens: int = 100) -> list[dict]:
        """How each stored layer is evaluated.

        One row a layer: how often it runs, its heads and neurons by identity, and the multiplications of one run over
        `tokens` tokens, by the literal dense form and by this program.

        Raises:
            ValueError: if the literal layers run.
        """
        if self.literal:
            raise ValueError("explain: wanted attention that is rewritten, got another")
        return [layer.explain(self.transformer.width, tokens) for layer in self.layers]


def placement(dtype: Any, device: Any) -> dict[str, Any]:
    """In which precision and where to compute; wanted: float64 or float32, on a device that is there.

    Fewer digits do not tell the positions of tokens apart.
    """
    if not isinstance(dtype, torch.dtype) or dtype not in (torch.float64, torch.float32):
        raise ValueError(f"dtype: wanted torch.float64 or torch.float32, got {shown(dtype)}")
    try:
        found = torch.empty(0, dtype=dtype, device=device).device
    except Exception as error:  # whatever torch makes of a name, or of a device that there is not
        raise ValueError(f"device: wanted one that torch can use, got {shown(device)}") from error
    if found.type == "meta":
        raise ValueError("device: wanted one that computes, got 'meta'")
    return {"dtype": dtype, "device": found}


def _plain(numbers: Float[Tensor, " count"]) -> Any:
    """The same memory as NumPy reads it, where it can: its products begin sooner."""
    return numbers.numpy() if numbers.device.type == "cpu" else numbers


def _largest_square(stream: Stream) -> float:
    """The largest squared norm of a token."""
    return max(largest(stream.double().square().sum(0)), 0.0)
