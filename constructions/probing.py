"""Probes: block by block, what a register ought to hold, what it holds, and what was promised of the difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions.parts.block import Block
from constructions.parts.links import Values
from constructions.parts.stream import Stream
from constructions.plain import reals


@dataclass(frozen=True)
class Probe:
    """One block on one history: true value, computed value and promise.

    Attributes:
        block: the block's name.
        true: the ideal values, from exact inputs, at the state tokens; shape (steps, groups, size of a vector).
        computed: what the transformer holds there.
        error: the worst ℓ2 distance between the two over steps and groups.
        relative: the same divided by the largest ‖true‖.
        promise: the certified bound on `error`, errors of the block's inputs and rounding included.
        own_error: the worst distance from the ideal result for the inputs as the transformer computed them.
        own_promise: the certified bound on `own_error`, rounding included.
        surrogate_error: the worst distance from the block's surrogate, for inputs as computed; 0 if it has none.
        surrogate_promise: the certified bound on `surrogate_error`, rounding included; 0 if it has none.
    """

    block: str
    true: Float[np.ndarray, "steps groups size"]
    computed: Float[np.ndarray, "steps groups size"]
    error: float
    relative: float
    promise: float
    own_error: float
    own_promise: float
    surrogate_error: float = 0.0
    surrogate_promise: float = 0.0

    def record(self) -> dict[str, Any]:
        """Name and numbers, for tables: everything but the vectors."""
        return {name: value for name, value in vars(self).items() if name not in ("true", "computed")}

    def __repr__(self) -> str:
        steps, groups, size = self.true.shape
        shape = f"{steps} steps × {groups} × {size}"
        whole, own = ((self.error, self.promise), (self.own_error, self.own_promise))
        told = (f"{error:.3g} {'≤' if error <= bound else '>'} {bound:.3g}" for error, bound in (whole, own))
        return "Probe({!r}, {}: error {}, own {})".format(self.block, shape, *told)


def probes(
    blocks: Sequence[Block],
    stream: Stream,
    inputs: Float[np.ndarray, "tokens width"],
    states: Int[np.ndarray, " steps"],
    outputs: Float[np.ndarray, "steps width"],
) -> list[Probe]:
    """The probes of all blocks on one token matrix, from the outputs at some of its tokens.

    Every register has one writer, so the output tokens still hold what each block computed. A block's own error is taken
    with what it reads at other tokens as it ought to be.
    """
    final, outputs = inputs.copy(), reals("outputs", outputs, finite=False)
    if outputs.shape != (wanted := (len(states), inputs.shape[1])):
        raise ValueError(f"outputs: wanted shape {wanted}, got {outputs.shape}")
    final[states] = outputs
    ideal, held = (
        {name: tokens[:, register.slice] for name, register in stream.registers.items()}
        for tokens in (inputs, final)
    )
    asked = np.isin(np.arange(len(inputs)), states)
    found = []
    for block in blocks:
        names = [register.name for register in block.outputs]
        edges = np.cumsum([register.size for register in block.outputs])
        own, surrogate = block.truth(held), block.surrogate
        meant = surrogate.function(held) if surrogate else own
        ideal |= dict(zip(names, np.split(block.truth(ideal), edges[:-1], axis=1), strict=True))
        for name in names:  # only state tokens were asked for
            held[name] = np.where(asked[:, None], held[name], ideal[name])
        true, computed, own, meant = (
            values[states].reshape(len(states), block.groups, edges[-1] // block.groups)
            for values in (_joined(ideal, names), _joined(held, names), own, meant)
        )
        error, largest = _worst(computed - true), _worst(true)
        relative, bound = error / largest if largest else error, surrogate and surrogate.bound.whole
        whole, part = block.promise.total.whole, block.promise.own.whole
        own_error, off = _worst(computed - own), _worst(computed - meant) if surrogate else 0.0
        found.append(
            Probe(block.name, true, computed, error, relative, whole, own_error, part, off, bound or 0.0)
        )
    return found


def _joined(values: Values, names: Sequence[str]) -> Float[np.ndarray, "tokens size"]:
    """Registers side by side."""
    return np.concatenate([values[name] for name in names], axis=1)


def _worst(difference: Float[np.ndarray, "steps groups size"]) -> float:
    """Largest ℓ2 norm of a vector; NaN counts as infinite, so that it can never pass."""
    return float(np.nan_to_num(np.linalg.norm(difference, axis=-1), nan=np.inf).max())
