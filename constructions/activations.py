"""What registers hold from layer to layer, kept or replaced while the layers run.

Layers are numbered as they run: 0 is the input, ℓ what stands after ℓ layers, tied ones counted as often as they repeat.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from constructions.fast.program import Program
from constructions.history import within
from constructions.inputs.bandits import History, Tokens
from constructions.parts.block import Block
from constructions.parts.links import held
from constructions.parts.stream import Register, Stream
from constructions.plain import integer, integers, listed, reals, several, shown
from constructions.transformer import Transformer, clip

Values = Float[np.ndarray, "tokens size"]
"""What a register, or a block's registers side by side, hold."""

Hook = tuple[Any, Callable[[np.ndarray, int], np.ndarray | None]]
"""A place, as `Sites.find` understands it, and what is to be made of what is there."""

Kept = dict[int, dict[str, Values]]
"""Register contents by layer and name."""


@dataclass(frozen=True, eq=False)
class Sites:
    """Where results stand.

    Attributes:
        stream: the registers.
        layers: L.
        results: of each block, by name, the last layer that writes its result, and the registers of it.
    """

    stream: Stream
    layers: int
    results: Mapping[str, tuple[int, tuple[Register, ...]]]

    @classmethod
    def of(cls, transformer: Transformer, stream: Stream, blocks: Sequence[Block]) -> "Sites":
        """Read off the weights which layer writes what."""
        last, number = np.zeros(transformer.width, int), 0
        for layer in transformer.stored_layers:
            number += layer.repeat
            for group in layer.attention.stored_groups:
                last[group.targets.numpy(force=True)] = number
            last[layer.mlp.second.rows.numpy(force=True)] = number
        ends = [int(max(last[register.slice].max() for register in block.outputs)) for block in blocks]
        results = {block.name: (end, block.outputs) for block, end in zip(blocks, ends, strict=True)}
        return cls(stream, number, results)

    def number(self, layer: int) -> int:
        """A layer's number, counted from the end if negative."""
        found = integer(layer)
        if found is None or not -self.layers - 1 <= found <= self.layers:
            raise ValueError(
                f"layer: wanted 0..{self.layers}, or −1 for the last and so on, got {shown(layer)}"
            )
        return found % (self.layers + 1)

    def numbers(self, layers: Any) -> frozenset[int]:
        """Numbers of layers, one or several."""
        return frozenset(map(self.number, several(layers)))

    def find(self, place: Any) -> tuple[frozenset[int], tuple[Register, ...]]:
        """Layers and registers of a place: (layer, register), (layers, register), or the name of a block."""
        if isinstance(place, str):
            if place not in self.results:
                raise ValueError(
                    f"block: wanted one of {listed(self.results)}, or a pair (layer, register), got {shown(place)}"
                )
            end, registers = self.results[place]
            return frozenset({end}), registers
        if not isinstance(place, tuple) or len(place) != 2:
            raise ValueError(f"place: wanted (layer, register) or a block's name, got {shown(place)}")
        layers, name = place
        return self.numbers(layers), (self.stream[name],)

    def wanted(self, layers: Iterable[int] | None, registers: Iterable[str] | None) -> dict[int, set[str]]:
        """Names of the registers to keep, by layer; of every block its result and the whole last layer if none are named."""
        registers = None if registers is None else several(registers)
        names = {self.stream[name].name for name in self.stream.registers if registers is None}
        names |= {self.stream[name].name for name in registers or ()}
        if layers is not None or registers is not None:
            chosen = range(self.layers + 1) if layers is None else self.numbers(layers)
            return dict.fromkeys(chosen, names)
        found: dict[int, set[str]] = {self.layers: names}
        for end, outputs in self.results.values():
            found.setdefault(end, set()).update(register.name for register in outputs)
        return found


def asked(
    tokens: Tokens, histories: Sequence[History], steps: Int[np.ndarray, " steps"] | None
) -> tuple[Float[np.ndarray, "batch tokens width"], Int[np.ndarray, " wanted"]]:
    """The token matrices of histories of equal length, and which tokens hold the states of all steps, or of some (from 0).

    Raises:
        ValueError: if there is no history, one is not admissible or of another length, or a step is none of theirs.
    """
    if not isinstance(histories, Sequence) or not histories:
        raise ValueError(f"histories: wanted a list of one or more, got {shown(histories)}")
    encoded, count = [tokens.encode(history) for history in histories], histories[0].steps
    if odd := [history.steps for history in histories if history.steps != count]:
        raise ValueError(f"histories: wanted {count} steps in each, as the first has, got {odd[0]}")
    states = tokens.states(count)
    if steps is not None:
        steps = integers("steps", steps)
        if steps.ndim != 1:
            raise ValueError(f"steps: wanted a list of them, got shape {steps.shape}")
        within("steps", steps, count)
        states = states[steps]
    return encoded[0][None] if len(encoded) == 1 else np.stack(encoded), states  # a wide one is not copied


@dataclass(frozen=True, eq=False)
class Activations:
    """What was kept of one run: `cache[layer, register]` or `cache[block]`, arrays of shape (tokens, size)."""

    sites: Sites
    kept: Kept

    def __getitem__(self, place: Any) -> Values:
        layers, registers = self.sites.find(place)
        found = self.kept.get(next(iter(layers)), {}) if len(layers) == 1 else {}
        if not all(register.name in found for register in registers):
            raise ValueError(
                f"cache: wanted a layer and register that were kept, got {shown(place)}; "
                "run_with_cache(history, layers=…, registers=…) says which are"
            )
        return np.concatenate([held(found, register) for register in registers], axis=1)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return ((layer, name) for layer, found in sorted(self.kept.items()) for name in found)

    def __len__(self) -> int:
        return sum(len(found) for found in self.kept.values())

    def __contains__(self, place: Any) -> bool:
        try:
            self[place]
        except ValueError:
            return False
        return True

    def __repr__(self) -> str:
        size = sum(values.nbytes for found in self.kept.values() for values in found.values())
        return f"Activations({len(self)} arrays of {len(self.kept)} layers, {size:,} bytes)"


class Recorder:
    """Keeps what was wanted of the stream, layer by layer."""

    def __init__(self, stream: Stream, wanted: Mapping[int, set[str]]):
        self.kept: Kept = {}
        self._registers, self._wanted = stream.registers, wanted

    def __call__(self, layer: int, tokens: Float[Tensor, "tokens width"]) -> None:
        """Keep what is wanted of this layer."""
        if layer in self._wanted:
            array, names = tokens.numpy(force=True), self._wanted[layer]
            parts = {name: part for name, part in self._registers.items() if name in names}
            self.kept[layer] = {name: array[:, part.slice].copy() for name, part in parts.items()}


@torch.no_grad()
def run(
    program: Program,
    sites: Sites,
    tokens: Float[np.ndarray, "tokens width"],
    hooks: Sequence[Hook],
    wanted: Mapping[int, set[str]],
    *,
    literal: bool = False,
) -> tuple[Float[np.ndarray, "tokens width"], Kept]:
    """A token matrix through all layers: the output, and what was wanted on the way, after hooks have acted.

    Up to the first hook it is the rewritten layers that run, unless `literal`, and from there on the literal ones.
    """
    found = [(*sites.find(place), change) for place, change in pairs(hooks)]
    first = min((min(layers) for layers, *_ in found if layers), default=sites.layers)
    recorder = Recorder(sites.stream, wanted)
    transformer = program.transformer
    start = clip(torch.as_tensor(tokens), transformer.clip_radius)
    reached = [start]

    def tell(layer: int, batch: Tensor) -> None:
        if layer < first:
            recorder(layer, batch[0])
        elif layer == first:
            reached[0] = batch[0].clone()

    def after(layer: int, stream: Tensor) -> Tensor:
        for layers, registers, change in found:
            if layer in layers:
                stream = _changed(stream, layer, registers, change)
        recorder(layer, stream)
        return stream

    if literal or first == 0 or not program.watch(start[None], tell):
        return transformer(start, after).numpy(force=True), recorder.kept
    recorder(0, start)
    return transformer(reached[0], after, first).numpy(force=True), recorder.kept


def pairs(hooks: Any) -> list[tuple[Any, Any]]:
    """Wanted: pairs of a place and a function."""
    found = several(hooks)
    for hook in found:
        if not isinstance(hook, tuple | list) or len(hook) != 2 or not callable(hook[1]):
            raise ValueError(f"hooks: wanted pairs (place, function), got {shown(hook)}")
    return [(place, change) for place, change in found]


def _changed(stream: Tensor, layer: int, registers: tuple[Register, ...], change: Callable) -> Tensor:
    """The stream with what a hook makes of some registers."""
    parts = [stream[:, register.slice] for register in registers]
    before = torch.cat(parts, dim=1).numpy(force=True)  # a copy
    after = change(before, layer)
    if after is None:
        return stream
    after = reals("hook", after)
    if after.shape != before.shape:
        names = ", ".join(register.name for register in registers)
        raise ValueError(
            f"hook: wanted an array of shape {before.shape} for {names} after layer {layer}, got {after.shape}"
        )
    stream = stream.clone()
    edges = np.cumsum([register.size for register in registers])[:-1]
    for register, part in zip(registers, np.split(after, edges, axis=1), strict=True):
        stream[:, register.slice] = torch.as_tensor(part).to(stream)
    return stream
