"""Histories on which a construction is held to its promises, and the worst that comes of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from constructions.construction import Construction
from constructions.inputs.bandits import History
from constructions.parts.block import Block
from constructions.probing import Probe
from verify.audit.verdicts import FLOAT64, Verdict
from verify.audit.witness import words
from verify.balls import BallTruth, enclose


@runtime_checkable
class Outline(Protocol):
    """A few words and numbers from which one history follows; a frozen dataclass."""

    @property
    def steps(self) -> int:
        """Number of decisions."""
        ...

    def history(self, spec: Any) -> History:
        """The history."""
        ...


DIGITS = 12
"""So many of a seal tell constructions apart."""

Truth = Callable[[Any, Any], Float[np.ndarray, "steps arms"]]


def over(error: float, allowed: float) -> float:
    """An error over what is allowed; infinite where nothing is promised, or where nothing is allowed and there is one.

    >>> over(1.0, 4.0), over(0.0, 0.0), over(1e-300, 0.0), over(0.0, math.inf)
    (0.25, 0.0, inf, inf)
    """
    if not allowed < math.inf or (error and not allowed):
        return math.inf
    return error / allowed if allowed else 0.0


@dataclass(frozen=True)
class Worst:
    """The worst of one block: its largest errors, and the probe with the largest ratio of error to promise."""

    probe: Probe
    outline: Outline
    ratio: float
    error: float
    relative: float
    own_error: float

    @classmethod
    def of(cls, probe: Probe, outline: Outline) -> "Worst":
        """A single probe."""
        ratio = max(
            over(probe.error, probe.promise),
            over(probe.own_error, probe.own_promise),
            over(probe.surrogate_error, probe.surrogate_promise),
        )
        return cls(probe, outline, ratio, probe.error, probe.relative, probe.own_error)

    def merge(self, other: "Worst") -> "Worst":
        """The worst of two."""
        larger = {
            name: max(getattr(self, name), getattr(other, name))
            for name in ("error", "relative", "own_error")
        }
        return replace(self if self.ratio >= other.ratio else other, **larger)


@dataclass(frozen=True)
class Findings:
    """What a search found.

    Attributes:
        histories: how many it tried.
        error: the worst |log-probability error|.
        outline: the history at which it was found.
        blocks: the worst of every block by name.
        ratio: the worst error over what the construction allows; 0 if no policy was measured.
        step: the decision (from 0) at which the worst error was found.
    """

    histories: int = 0
    error: float = 0.0
    outline: Outline | None = None
    blocks: Mapping[str, Worst] = field(default_factory=dict)
    ratio: float = 0.0
    step: int = 0

    @property
    def witness(self) -> dict | None:
        """The outline of the worst history as a record."""
        return words(self.outline)

    @property
    def worst(self) -> Outline | None:
        """The history of the largest score."""
        blocks = [(one.ratio, one.outline) for one in self.blocks.values()]
        return max([(self.ratio, self.outline), *blocks], key=lambda pair: pair[0])[1]

    @property
    def score(self) -> float:
        """Worst error over promise, of the policy and of every block: what the search climbs; above 1 one is broken."""
        return max([self.ratio, *(worst.ratio for worst in self.blocks.values())])

    def merge(self, other: "Findings") -> "Findings":
        """Both together."""
        blocks = dict(self.blocks)
        for name, worst in other.blocks.items():
            blocks[name] = blocks[name].merge(worst) if name in blocks else worst
        worse = other if other.outline is None or other.error >= self.error else self
        ratio = max(self.ratio, other.ratio)
        return replace(worse, histories=self.histories + other.histories, blocks=blocks, ratio=ratio)


def measure(
    built: Construction,
    truth: Truth | None,
    tried: Sequence[Outline],
    *,
    held_to: Construction | None = None,
    probed: bool = True,
) -> Findings:
    """Evaluate outlines of equal length side by side, against every promise and the true algorithm, by `built.guarantee`.

    Args:
        built: what is evaluated.
        truth: the true algorithm, from spec and history to log-probabilities, or to scores where scores are promised.
        tried: the histories.
        held_to: whose promises and certificate count, if not its own: changed weights promise nothing, and score infinitely
            without this.
        probed: whether every block is held to its promises too, which takes most of the time.
    """
    trial = Trial.of(built, truth, tried)
    return trial.compared(held_to or built, built.outputs(trial.histories), probed)


@dataclass(frozen=True)
class Trial:
    """Histories of equal length, and what the true algorithm gives on each.

    Attributes:
        tried: their outlines.
        histories: the same at length.
        true: what is true of each; None if only blocks are looked at.
    """

    tried: Sequence[Outline]
    histories: Sequence[History]
    true: Sequence[np.ndarray] | None

    @classmethod
    def of(cls, built: Construction, truth: Truth | None, tried: Sequence[Outline]) -> "Trial":
        """For a construction's specification."""
        histories = [outline.history(built.spec) for outline in tried]
        return cls(tried, histories, None if truth is None else [truth(built.spec, one) for one in histories])

    def compared(
        self, held_to: Construction, outputs: Float[np.ndarray, "batch tokens width"], probed: bool = True
    ) -> Findings:
        """What came out on these histories, by whatever weights, against the promises of a construction."""
        blocks, findings = held_to.blocks if probed else (), Findings()
        said = held_to.said(outputs) if self.true is not None else ()
        for n, (outline, history, output) in enumerate(zip(self.tried, self.histories, outputs, strict=True)):
            error, step, ratio = 0.0, 0, 0.0
            if self.true is not None:
                by_step = held_to.guarantee.errors(self.true[n], said[n]).max(axis=1, initial=0.0)
                step, error = int(by_step.argmax()), float(by_step.max())
                ratio = over(error, held_to.allowed)
            probes = held_to.probe(history, output, blocks) if blocks else ()
            worst = {probe.block: Worst.of(probe, outline) for probe in probes}
            findings = findings.merge(Findings(1, error, outline, worst, ratio, step))
        return findings


def about(built: Construction, block: Block | None = None) -> dict[str, Any]:
    """Fields of a verdict: what it is about, the whole or a block, and which blocks made what that reads."""
    blocks, name = built.sealed_blocks, "" if block is None else block.name
    if block is None:
        uses = [one.name for one in built.guarantee.written(blocks)]
    else:
        uses = [one.name for one in blocks if one.writes & block.reads and one.name != name]
    return {"construction": built.seal[:DIGITS], "block": name, "uses": tuple(dict.fromkeys(uses))}


def kept(claim: str, built: Construction, block: Block, worst: Worst, stated: float | None = None) -> Verdict:
    """The verdict on a block's promise, errors of its inputs included, from the worst that a search found.

    Where float64 is too coarse to see the promise of exact arithmetic, and nothing else is stated, the claim is one of
    float64: that measured is at most the promise with rounding.
    """
    promise = block.promise.total
    found = {"relative": worst.relative, "witness": words(worst.outline)} | about(built, block)
    if stated is None and promise.error < promise.rounding < math.inf:
        note = f"{block.source}; in exact arithmetic the promise is {promise.error:.2g}, which float64 is too coarse to show"
        claim = f"{claim}, in float64"
        return Verdict(claim, FLOAT64, "size", worst.error, promise.whole, note=note, **found)
    error, rounding = promise.error, promise.rounding
    return Verdict(claim, block.source, "bound", worst.error, stated, error, rounding, **found)


def enclosed(
    built: Construction, truth: BallTruth, history: History | Outline | None, step: int
) -> float | None:
    """Upper end of an enclosure of the policy's error at one decision, in exact arithmetic; infinite where none can be had.

    Args:
        built: the construction, its weights as float64 holds them.
        truth: the true algorithm in balls.
        history: what has been seen, or its outline; what comes after the decision makes no difference. Without any there is
            no error either.
        step: the decision (from 0), that of the worst error.
    """
    if history is None:
        return None
    if isinstance(history, Outline):
        history = history.history(built.spec)
    try:
        return enclose(built, truth, history.prefix(step + 1), [step]).exact_high
    except ValueError:  # clipping acts, or no precision is enough
        return math.inf
