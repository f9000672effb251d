"""The forward pass in balls: Definitions 1 to 3 on the weights as float64 holds them.

Tokens are taken as they are encoded, numbers of float64, and every layer is evaluated with its rounding enclosed. All of
them may be evaluated, or only what is asked for: towards the end of a construction tokens do not see each other's results,
and from that layer on the wanted ones are enough. Whether that is right is checked head by head: if one would read what was
left out, all tokens are evaluated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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


def compile_layers(built: Construction, *, everything: bool = True) -> tuple[Layer, ...]:
    """The transformer's current weights, filed; with `everything` or without what the output does not depend on."""
    weights = [LayerWeights.of(layer) for layer in built.transformer.stored_layers]
    if not everything:
        prune(weights, built.output)
    one, printed = built.tokens.stream["position"].slice.stop - 1, built.transformer.as_printed
    if not printed or any(layer.written[one] for layer in weights):  # token 0 holds no 1 there
        one = None
    return tuple(
        Layer(
            tuple(
                filed
                for group, heads in enumerate(layer.heads)
                for filed in (file_heads(heads, (number, group)) if printed else (Softmax.of(heads),))
            ),
            file_neurons(layer.first, layer.second, one),
            layer.repeat,
            layer.written,
        )
        for number, layer in enumerate(weights)
    )


def logits(
    built: Construction,
    history: History,
    steps: Sequence[int] | np.ndarray,
    layers: Sequence[Layer],
    *,
    everywhere: bool = False,
    register: str = "",
) -> Balls:
    """The output, as a rule logits, or a register by name, at some steps (from 0) of a history, shape (steps, size).

    `layers` are those of `compile_layers`; for another register than the output's, with everything.

    Precision is that of flint's context. With `everywhere` all tokens are evaluated in all layers. If tokens or entries are
    left out, it is taken from the proof of the clip radius, not worked out, that they do not carry a token beyond it.

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
        stream = _run(layers, encoded, wanted, alone, radius)
    except StaleError:
        stream = _run(layers, encoded, wanted, len(layers), radius)
    entries = built.tokens.stream[register].slice if register else built.output
    return stream.values[entries][:, wanted].T


def said(built: Construction, found: Balls) -> Balls:
    """What the certificate speaks of, made of the output: log-probabilities, or the output as it is."""
    return log_softmax(found) if built.guarantee.normalised else found


def _run(
    layers: Sequence[Layer], encoded: np.ndarray, wanted: np.ndarray, alone: int, radius: float
) -> BallStream:
    """All layers; from number `alone` on, on the wanted tokens only."""
    writes = [np.zeros(len(encoded), dtype=bool)]  # from layer n on
    for layer in reversed(layers):
        writes.insert(0, writes[0] | layer.written)
    stream = BallStream.of(encoded, writes[0])
    _inside(stream, radius)
    for number, layer in enumerate(layers):
        if number == alone:
            stream = stream.only(np.unique(wanted), writes[alone])
        for _ in range(layer.repeat):
            layer(stream)
            _inside(stream, radius)
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
