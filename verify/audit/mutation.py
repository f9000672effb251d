"""Does the audit notice? Single weights made wrong, one at a time, and what the audit says of each.

A mutant counts if it changes what comes out for an admissible history, which is decided in balls. Then it is

    caught          the audit fails on it
    within slack    it changes a log-probability, and keeps every promise on all that was tried
    equivalent      it changes none by more than NOTHING on ENCLOSED histories, at the decision where float64 sees the
                    largest change of each, with all rounding enclosed: gates with room to spare, neurons that never fire,
                    signs that do not occur

The seal refuses every weight that is not the one that was promised of (constructions/seal.py), whatever it does; `share` is
of what the promises catch by themselves, as if there were no seal.

Those on which float64 sees the largest change are enclosed. The audit has rounds: some histories of the battery, then all of
it, at every length.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from flint import arb

from constructions.construction import Construction
from constructions.inputs.bandits import History
from verify.audit.measuring import Findings, Outline, Trial, Truth
from verify.audit.search import Strategies
from verify.audit.verdicts import NOTHING
from verify.balls import forward
from verify.balls.arrays import Balls, ImpreciseError, precision
from verify.balls.enclosure import BITS, MOST
from verify.histories import linear as strategies

ENCLOSED = 10
"""So many histories are enclosed before a mutant is called equivalent."""

PLAIN = 1e-3
"""A decision stands for the one that changes most if it changes by this part of it."""

TENTH = (0.9, 1.1)
"""A tenth off, down or up."""
EVERY = (*TENTH, -1.0, 0.0)
"""A tenth off, the other sign, or left out."""


@dataclass(frozen=True)
class Mutant:
    """One weight made wrong.

    Attributes:
        place: which layer and map.
        row, column: what the weight connects, in register names where it has them.
        factor: what it was multiplied by.
        score: worst error over promise that the audit found; more than 1 means caught.
        kind: "caught", "within slack" or "equivalent", whether or not the audit failed on it.
        reason: for a survivor, what was measured.
        change: how much what comes out has certainly changed, on the histories that were enclosed.
        refused: whether the seal says that these are other weights, so that nothing is promised of them.
    """

    place: str
    row: str
    column: str
    factor: float
    score: float
    kind: Literal["caught", "within slack", "equivalent"]
    reason: str = ""
    change: float = 0.0
    refused: bool = False

    @property
    def caught(self) -> bool:
        """Whether the audit fails on it."""
        return self.score > 1

    @property
    def effective(self) -> bool:
        """Whether it changes what comes out."""
        return self.kind != "equivalent"


def mutants(
    built: Construction,
    truth: Truth,
    trials: int,
    seed: int,
    factors: Sequence[float] = TENTH,
    tried: int = 20,
    source: Strategies = strategies,
    probed: bool = True,
    part: tuple[int, int] = (0, 1),
) -> list[Mutant]:
    """Multiply single random weights, each by one of the factors, and audit what comes of it.

    Args:
        built: what is made wrong; its promises count.
        truth: the true algorithm.
        trials: how many weights.
        seed: of the choice of weights and factors.
        factors: what weights are multiplied by.
        tried: so many histories of the battery come first.
        source: where histories come from.
        probed: whether every block is held to its promises too, as in `audit.measure`.
        part: (n, parts): of so many parts of about equal length only number n, from 0.
    """
    generator = np.random.default_rng(seed)
    names, weights = zip(*built.transformer.named_parameters(), strict=True)
    sizes = np.array([weight.numel() for weight in weights])
    judge, found, chosen = Judge(built, truth, rounds(built.spec, source, tried), probed), [], []
    for _ in range(trials):
        which = int(generator.choice(len(names), p=sizes / sizes.sum()))
        chosen.append((which, int(generator.integers(sizes[which])), float(generator.choice(factors))))
    number, parts = part
    for which, entry, factor in chosen[trials * number // parts : trials * (number + 1) // parts]:
        broken = copy.deepcopy(built.transformer)
        broken.get_parameter(names[which])[entry] *= factor
        mutant = replace(built, transformer=broken)
        place = _place(built, names[which], entry)
        found.append(Mutant(*place, factor, *judge(mutant), refused=mutant.certificate == math.inf))
    return found


def share(found: Sequence[Mutant]) -> float:
    """Caught by the promises, as a part of those that change what comes out; 1 if none does."""
    effective = [mutant for mutant in found if mutant.effective]
    return sum(mutant.caught for mutant in effective) / max(len(effective), 1) if effective else 1.0


def rounds(spec: Any, source: Strategies, tried: int) -> list[list[Outline]]:
    """Lists of outlines of equal length: some of the battery at full length, the rest of it, and all of it shortened."""
    battery = source.battery(spec)
    first = set(np.linspace(0, len(battery) - 1, tried).astype(int).tolist())
    full = battery[0].steps
    chosen = [outline for n, outline in enumerate(battery) if n in first]
    others = [outline for n, outline in enumerate(battery) if n not in first]
    shorter = [
        [replace(outline, steps=steps) for outline in battery[:: full - 1]] for steps in range(1, full)
    ]
    return [part for part in (chosen, others, *reversed(shorter)) if part]


class Judge:
    """What the audit makes of a mutant, and what the mutant makes of the policy; the original is evaluated once."""

    def __init__(self, built: Construction, truth: Truth, lists: list[list[Outline]], probed: bool):
        self.built, self.probed = built, probed
        self.layers = forward.compile_layers(built, everything=True)
        self.trials = [Trial.of(built, truth, part) for part in lists]
        self.said = [built.said(built.outputs(trial.histories)) for trial in self.trials]
        self.known: dict[tuple[int, int, int, int], tuple[Balls, forward.Past]] = {}

    def __call__(
        self, mutant: Construction
    ) -> tuple[float, Literal["caught", "within slack", "equivalent"], str, float]:
        """Score, kind, reason and change."""
        findings, said = Findings(), []
        for trial in self.trials:
            outputs = mutant.outputs(trial.histories)
            said.append(mutant.said(outputs))
            findings = findings.merge(trial.compared(self.built, outputs, probed=self.probed))
            if findings.score > 1:
                break
        (low, high, seen), what = self.change(mutant, said), self.built.guarantee.one
        if not low > 0 and high <= NOTHING:
            told = f"changes no {what} by more than {high:.0e} on {seen} histories, in balls"
            return findings.score, "equivalent", told, low
        if findings.score > 1:
            return findings.score, "caught", "", low
        nearest = max(findings.blocks.values(), key=lambda worst: worst.ratio).probe.block
        told = f"changes a {what} by {low:.1e}; nearest to its promise: {nearest}, worst ratio {findings.score:.3f}"
        return findings.score, "within slack", told, low

    def change(self, mutant: Construction, known: Sequence[np.ndarray]) -> tuple[float, float, int]:
        """Bounds on a change of the output, or on the largest that is found, and on how many histories.

        What the mutant gives on the first histories is known. What float64 sees is enclosed at once, at the earliest
        decision where it is plain, as few tokens take little time.
        """
        sizes: list[tuple[float, int, int, int]] = []
        layers, largest = forward.recompile(mutant, self.built, self.layers), 0.0
        for n, (trial, before) in enumerate(zip(self.trials, self.said, strict=True)):
            after = known[n] if n < len(known) else mutant.said(mutant.outputs(trial.histories))
            apart = np.nan_to_num(np.abs(after - before), nan=np.inf).max(axis=2)
            for m, row in enumerate(apart):
                step = len(row) - 1 - int(row[::-1].argmax())  # the last of the largest: it has seen most
                sizes.append((float(row[step]), n, m, step))
            if apart.max() > largest:
                largest = float(apart.max())
                step, m = (int(index) for index in np.argwhere(PLAIN * largest <= apart.T)[0])
                low, high = self._apart(mutant, layers, n, m, step)
                if low > 0:
                    return low, high, 1
        chosen, most = sorted(sizes, reverse=True)[:ENCLOSED], 0.0
        for _, *where in chosen:
            low, high = self._apart(mutant, layers, *where)
            most = max(most, high)
            if low > 0 or most > NOTHING:
                return low, most, len(chosen)
        return 0.0, most, len(chosen)

    def _apart(
        self, mutant: Construction, layers: Sequence[forward.Layer], n: int, m: int, step: int
    ) -> tuple[float, float]:
        """Bounds on the largest change at one decision of a history, with twice the precision until it is decided."""
        history, bits = self.trials[n].histories[m], BITS + 2 * sum(layer.repeat for layer in layers)
        while True:
            with precision(bits):
                try:
                    before, past = self._known(n, m, step, bits)
                    gaps = (before - _policy(mutant, layers, history, step, past)).ravel()
                    low, high = (max(map(float, ends)) for ends in _ends(gaps))
                except ImpreciseError:
                    low, high = 0.0, math.inf
                except ValueError:  # a token leaves the clip radius, as none of the original's does
                    return math.inf, math.inf
            if low > 0 or high <= NOTHING or 2 * bits > MOST:
                return low, high
            bits *= 2

    def _known(self, n: int, m: int, step: int, bits: int) -> tuple[Balls, forward.Past]:
        """What the original gives at one decision, and what stood before each of its layers."""
        if (where := (n, m, step, bits)) not in self.known:
            past = forward.Past()
            found = _policy(self.built, self.layers, self.trials[n].histories[m], step, past)
            self.known[where] = found, past
        return self.known[where]


def _ends(gaps: Balls) -> tuple[list[arb], list[arb]]:
    """Bounds on the size of each; where a ball is no number, 0 and infinity."""
    known = [gap.is_finite() for gap in gaps]
    low = [gap.abs_lower() if sure else arb(0) for gap, sure in zip(gaps, known, strict=True)]
    return low, [gap.abs_upper() if sure else arb("inf") for gap, sure in zip(gaps, known, strict=True)]


def _policy(
    built: Construction, layers: Sequence[forward.Layer], history: History, step: int, past: forward.Past
) -> Balls:
    """What is given at one step, in balls of flint's precision; tokens that it does not depend on are left out."""
    return forward.said(built, forward.logits(built, history, [step], layers, past=past))


def _place(built: Construction, name: str, entry: int) -> tuple[str, str, str]:
    """A weight's map, row and column, in register names where it has them."""
    stream, weights = built.tokens.stream, name.removesuffix(".weight")
    row, column = (
        int(built.transformer.get_buffer(f"{weights}.{axis}")[entry]) for axis in ("rows", "columns")
    )
    if name.endswith("second.weight"):
        return weights, stream.label(row), f"neuron {column}"
    return weights, f"row {row}", stream.label(column)
