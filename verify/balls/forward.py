"""The forward pass in balls: Definitions 1 to 3 on the weights as float64 holds them.

Tokens are taken as they are encoded, numbers of float64, and every layer is evaluated with its rounding enclosed. All of
them may be evaluated, or only what is asked for: towards the end of a construction tokens do not see each other's results,
and from that layer on the wanted ones are enough. Whether that is right is checked head by head: if one would read what was
left out, all tokens are evaluated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from constructions.construction import Construction
from constructions.fast.pruning import LayerWeights, prune
from constructions.inputs.bandits import History
from verify.balls.arrays import EPSILON, Balls, ImpreciseError, log_softmax
from verify.balls.heads import BallStream, Linear, Literal, StaleError, file_heads
from verify.balls.neurons import Neurons, file_neurons
from verify.balls.softmax import Softmax


@dataclass(frozen=True, eq=False)
class Layer:
    """One stored layer, its heads and neurons filed; `written` are the stream entries that it writes."""

    heads: tuple[Linear | Literal | Softmax, ...]
    neurons: Neurons
    repeat: int
    written: np.ndarray

    def __call__(self, stream: BallStream) -> None:
        """Attention, then MLP."""
        moves = [head(stream) for head in self.heads]  # all from the stream before any of them
        if moves:
            rows, moved = (np.concatenate(part) for part in zip(*moves, strict=True))
            order = np.argsort(rows, kind="stable")
            starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
            stream.add(rows[order][starts], np.add.reduceat(moved[order], starts))
        self.neurons(stream)


KEPT = 2**20
"""So many numbers are kept of one run at most; larger ones are run anew."""


@dataclass(eq=False)
class Past:
    """What stood before each stored layer of one run, and after the last.

    A run of other layers on the same history, at the same steps and precision, goes on from the first that differs.
    """

    layers: Sequence[Layer] = ()
    alone: int = 0
    streams: list[BallStream] = field(default_factory=list)

    def shared(self, layers: Sequence[Layer], alone: int) -> int:
        """How many layers need not be run; none where others write other entries, of which much depends."""
        if len(self.layers) != len(layers) or alone != self.alone:
            return 0
        pairs = list(zip(layers, self.layers, strict=True))
        if not all(
            one.repeat == other.repeat and np.array_equal(one.written, other.written) for one, other in pairs
        ):
            return 0
        return next((n for n, (one, other) in enumerate(pairs) if one is not other), len(pairs))


def compile_layers(built: Construction, *, everything: bool = True) -> tuple[Layer, ...]:
    """The transformer's current weights, filed; with `everything` or without what the output does not depend on."""
    weights = [LayerWeights.of(layer) for layer in built.transformer.stored_layers]
    if not everything:
        prune(weights, built.output)
    one = _one(built, [layer.written for layer in weights])
    return tuple(_filed(layer, number, one, built) for number, layer in enumerate(weights))


def _one(built: Construction, written: Sequence[np.ndarray]) -> int | None:
    """The entry that always holds 1, if there is one."""
    one = built.tokens.stream["position"].slice.stop - 1  # token 0, where there is one, holds no 1 there
    return None if not built.transformer.as_printed or any(part[one] for part in written) else one


def _filed(layer: LayerWeights, number: int, one: int | None, built: Construction) -> Layer:
    """One stored layer."""
    printed = built.transformer.as_printed
    heads = tuple(
        filed
        for group, heads in enumerate(layer.heads)
        for filed in (file_heads(heads, (number, group)) if printed else (Softmax.of(heads),))
    )
    return Layer(heads, file_neurons(layer.first, layer.second, one), layer.repeat, layer.written)


def recompile(built: Construction, other: Construction, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The same as `compile_layers`; layers with the weights of another construction are its own, the very same.

    Args:
        built: whose weights are filed.
        other: one with as many stored layers.
        layers: its layers, with everything.
    """
    pairs = list(zip(built.transformer.stored_layers, other.transformer.stored_layers, strict=True))
    changed = {n: LayerWeights.of(one) for n, (one, two) in enumerate(pairs) if not _equal(one, two)}
    written = [changed[n].written if n in changed else layer.written for n, layer in enumerate(layers)]
    one = _one(built, written)
    if one != _one(other, [layer.written for layer in layers]):
        return compile_layers(built)
    return tuple(
        _filed(changed[n], n, one, built) if n in changed else layer for n, layer in enumerate(layers)
    )


def _equal(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    """Whether two stored layers have the same weights, at the same places."""
    parts = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
    return all(name == other and torch.equal(value, known) for (name, value), (other, known) in parts)


def logits(
    built: Construction,
    history: History,
    steps: Sequence[int] | np.ndarray,
    layers: Sequence[Layer],
    *,
    everywhere: bool = False,
    register: str = "",
    past: Past | None = None,
) -> Balls:
    """The output, as a rule logits, or a register by name, at some steps (from 0) of a history, shape (steps, size).

    `layers` are those of `compile_layers`; for another register than the output's, with everything.

    Precision is that of flint's context. With `everywhere` all tokens are evaluated in all layers. If tokens or entries are
    left out, it is taken from the proof of the clip radius, not worked out, that they do not carry a token beyond it.
    With a `past`, layers that have run before are not run again, and if there is none yet, it is this one.

    Raises:
        ValueError: if the history is not admissible, or clipping acts; ImpreciseError if it may act, for all that is known.
    """
    encoded, place = built.tokens.encode(history).T, built.tokens.stream["position"].slice.stop
    printed = built.transformer.as_printed
    if printed and not (encoded[place - 1] == 1).all():
        raise ValueError("balls: wanted tokens whose position register ends in 1, got others")
    wanted = built.tokens.states(history.steps)[np.asarray(steps)]
    radius = built.transformer.clip_radius
    try:
        alone = len(layers) if everywhere or not printed else built.policy_program.alone
        stream = _run(layers, encoded, wanted, alone, radius, past)
    except StaleError:
        stream = _run(layers, encoded, wanted, len(layers), radius, past)
    entries = built.tokens.stream[register].slice if register else built.output
    return stream.values[entries][:, wanted].T


def said(built: Construction, found: Balls) -> Balls:
    """What the certificate speaks of, made of the output: log-probabilities, or the output as it is."""
    return log_softmax(found) if built.guarantee.normalised else found


def _run(
    layers: Sequence[Layer],
    encoded: np.ndarray,
    wanted: np.ndarray,
    alone: int,
    radius: float,
    past: Past | None = None,
) -> BallStream:
    """All layers; from number `alone` on, on the wanted tokens only."""
    writes = [np.zeros(len(encoded), dtype=bool)]  # from layer n on
    for layer in reversed(layers):
        writes.insert(0, writes[0] | layer.written)
    first, stood = past.shared(layers, alone) if past else 0, []
    if past and first:
        stream = past.streams[first].copy()
    else:
        stream = BallStream.of(encoded, writes[0])
        _inside(stream, radius)
    keep = past is not None and not past.streams and stream.values.size * len(layers) <= KEPT
    for number, layer in enumerate(layers[first:], first):
        if keep:
            stood.append(stream.copy())
        if number == alone:
            stream = stream.only(np.unique(wanted), writes[alone])
        for _ in range(layer.repeat):
            layer(stream)
            _inside(stream, radius)
    if past and keep:
        past.layers, past.alone, past.streams = layers, alone, [*stood, stream.copy()]
    return stream


def _inside(stream: BallStream, radius: float) -> None:
    """Wanted: norms below the clip radius, so that clipping does not act."""
    middle, reach = stream.sizes
    least, most = (
        math.sqrt(np.square(sizes).sum(0).max(initial=0.0)) * (1 + sign * len(sizes) * EPSILON)
        for sizes, sign in ((np.maximum(middle - reach, 0), -1), (middle + reach, 1))
    )
    if not most <= radius:
        kind = ValueError if least > radius else ImpreciseError
        raise kind(f"balls: wanted norms below the clip radius {radius:g}, got {least:g} to {most:g}")
