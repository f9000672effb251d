"""How far a transformer is from the algorithm on one history, with all rounding enclosed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from flint import arb

from constructions.construction import Construction
from constructions.inputs.bandits import History
from constructions.rounding import outward
from verify.balls import forward
from verify.balls.arrays import Balls, ImpreciseError, balls, precision

BITS = 256
"""Precision at first."""
MOST = 2**15
"""Precision beyond which nothing is tried."""
NARROW = 2.0**-40
"""Widths are to be smaller than this part of the certificate."""
WIDEST = 1e-30
"""And than this."""

BallTruth = Callable[[Any, Any, Sequence[int]], Balls]
"""From specification, history and steps (from 0) to balls around log-probabilities, shape (steps, actions)."""


@dataclass(frozen=True)
class Enclosure:
    """The worst error on one history, enclosed: all numbers are rounded outwards.

    Of what `built.guarantee` says; what the certificate does not speak of does not count.

    Attributes:
        exact_low, exact_high: bounds on the worst error of the transformer in exact arithmetic, its weights being those that
            float64 holds.
        float64_low, float64_high: bounds on the worst error of what float64 evaluation returned here.
        width: the widest ball of a single error.
        certificate: what the construction promises.
        bits: the precision that was enough.
    """

    exact_low: float
    exact_high: float
    float64_low: float
    float64_high: float
    width: float
    certificate: float
    bits: int

    @property
    def holds(self) -> bool:
        """Whether the certificate is kept, in exact arithmetic, but for the enclosure's own width, 10⁻³⁰ at most."""
        return self.exact_high <= self.certificate + min(self.width, WIDEST)

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"holds": self.holds}


def enclose(
    built: Construction,
    truth: BallTruth,
    history: History,
    steps: Sequence[int] | None = None,
    bits: int = BITS,
) -> Enclosure:
    """Enclose the worst error of a construction on a history, at all steps or some.

    Precision is doubled until the width is below 2⁻⁴⁰ of the certificate and below 10⁻³⁰; the truth, which has no layers,
    has its own. With hundreds of layers or decisions that takes some seconds. If all steps are asked for, or nothing is
    certified, all tokens are evaluated in all layers; else see `forward.logits`.

    Args:
        built: the construction; its weights are taken as float64 holds them.
        truth: the true algorithm in balls: `balls` of a catalog's row.
        history: what has been seen.
        steps: which decisions, counted from 0; all if left out.
        bits: precision to begin with; a layer may cost two bits, and so many are added.

    Raises:
        ValueError: if the history is not admissible, a step is not in it, clipping acts, the truth does not return balls,
            or no precision is enough.
    """
    chosen = np.arange(history.steps) if steps is None else np.asarray(list(steps), dtype=np.int64)
    if not chosen.size or chosen.min() < 0 or chosen.max() >= history.steps:
        raise ValueError(f"steps: wanted some of 0..{history.steps - 1}, got {steps}")
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= MOST // 2:
        raise ValueError(f"bits: wanted 2 to {MOST // 2}, got {bits!r}")
    outputs = built.outputs([history], logits_only=True, steps=chosen)[0]
    guarantee, measured = built.guarantee, built.said(outputs)
    everywhere = len(np.unique(chosen)) == history.steps or not math.isfinite(built.certificate)
    layers = forward.compile_layers(built, everything=everywhere)
    narrow = min(NARROW * (built.certificate or math.inf), WIDEST)
    true = _known(
        lambda: _checked(truth(built.spec, history, chosen.tolist()), measured.shape),
        bits,
        narrow / 4,
        guarantee.floor,
    )
    bits = min(bits + 2 * sum(layer.repeat for layer in layers), MOST)
    while True:
        try:
            with precision(bits):
                found = forward.logits(built, history, chosen, layers, everywhere=everywhere)
                counted = _counted(true, guarantee.floor)
                gaps = (true - forward.said(built, found))[counted]
                rounded = (true - balls(measured))[counted]
                ends = *_worst(gaps, guarantee.one_sided), *_worst(rounded, guarantee.one_sided)
                width = max((outward.above(2 * gap.rad()) for gap in gaps), default=0.0)
            if width <= narrow or 2 * bits > MOST:
                return Enclosure(*ends, width, built.certificate, bits)
        except ImpreciseError:
            if 2 * bits > MOST:
                raise
        bits *= 2


def enclose_register(
    built: Construction, register: str, truth: BallTruth, history: History, step: int, bits: int
) -> float:
    """Upper bound on the ℓ2 error of a register at one step (from 0), in exact arithmetic.

    Raises:
        ValueError: if clipping acts, or so many bits do not decide whether it does.
    """
    layers = forward.compile_layers(built)
    with precision(bits):
        [found] = forward.logits(built, history, [step], layers, register=register)
        [true] = truth(built.spec, history, [step])
        square = sum(((x - y) ** 2 for x, y in zip(found, true, strict=True)), start=arb(0))
        return outward.above(square.nonnegative_part().sqrt())


def _known(truth: Callable[[], Balls], bits: int, narrow: float, floor: float) -> Balls:
    """The truth, with twice the precision until what counts of it is so narrow, or no more is tried."""
    while True:
        try:
            with precision(bits):
                true = truth()
                wide = max(
                    (outward.above(2 * ball.rad()) for ball in true[_counted(true, floor)]), default=0.0
                )
            if wide <= narrow or 2 * bits > MOST:
                return true
        except (ImpreciseError, ZeroDivisionError):  # flint's word for a matrix that may be singular
            if 2 * bits > MOST:
                raise
        bits *= 2


def _checked(true: Any, wanted: tuple[int, ...]) -> Balls:
    """Wanted: balls of a shape."""
    true = np.asarray(true, dtype=object)
    if true.shape != wanted or not all(isinstance(ball, arb) for ball in true.ravel()):
        got = sorted({type(entry).__name__ for entry in true.ravel()})
        raise ValueError(f"truth: wanted arb of shape {wanted}, got {', '.join(got)} of shape {true.shape}")
    return true


def _counted(true: Balls, floor: float) -> np.ndarray:
    """Which actions count: those that are not certainly less probable than the floor."""
    if not floor:
        return np.ones(true.shape, dtype=bool)
    least = arb(floor).log()
    return ~np.array([ball < least for ball in true.ravel()], dtype=bool).reshape(true.shape)


def _worst(gaps: Balls, one_sided: bool) -> tuple[float, float]:
    """Bounds on the largest |gap|, or on the largest gap."""
    low = [gap.lower() if one_sided else gap.abs_lower() for gap in gaps]
    high = [gap.upper() if one_sided else gap.abs_upper() for gap in gaps]
    least = max((0.0 - outward.above(-ball) for ball in low), default=0.0)
    return least, max((outward.above(ball) for ball in high), default=0.0)
