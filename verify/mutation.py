"""Does the audit notice? Single weights made wrong, one at a time, and what the audit says of each."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from constructions.construction import Construction
from verify import strategies
from verify.audit import Recipe, Strategies, Truth, measure


@dataclass(frozen=True)
class Mutant:
    """One weight made wrong.

    Attributes:
        place: which layer and map.
        row, column: what the weight connects, in register names where it has them.
        score: worst error over promise that the battery found; more than 1 means caught.
        reason: for a survivor, why its change stays within the promises.
    """

    place: str
    row: str
    column: str
    score: float
    reason: str = ""

    @property
    def caught(self) -> bool:
        """Whether the audit fails on it."""
        return self.score > 1


def mutants(
    built: Construction,
    truth: Truth,
    trials: int,
    seed: int,
    change: float = 0.1,
    tried: int = 20,
    source: Strategies = strategies,
) -> list[Mutant]:
    """Change single random weights by a tenth of their size, up or down, and audit each with part of the battery."""
    generator = np.random.default_rng(seed)
    names, weights = zip(*built.transformer.named_parameters(), strict=True)
    sizes = np.array([weight.numel() for weight in weights])
    tests = source.battery(built.spec)
    tests = [tests[n] for n in np.linspace(0, len(tests) - 1, tried).astype(int)]
    found = []
    for _ in range(trials):
        which = int(generator.choice(len(names), p=sizes / sizes.sum()))
        entry, sign = int(generator.integers(sizes[which])), float(generator.choice([-1.0, 1.0]))
        broken = copy.deepcopy(built.transformer)
        broken.get_parameter(names[which])[entry] *= 1 + sign * change
        mutant = replace(built, transformer=broken)
        score = measure(mutant, truth, tests, held_to=built).score
        found.append(Mutant(*_place(built, names[which], entry), score, _excuse(built, mutant, tests, score)))
    return found


def _place(built: Construction, name: str, entry: int) -> tuple[str, str, str]:
    """A weight's map, row and column, in register names where it has them."""
    stream, weights = built.tokens.stream, name.removesuffix(".weight")
    row, column = (
        int(built.transformer.get_buffer(f"{weights}.{axis}")[entry]) for axis in ("rows", "columns")
    )
    if name.endswith("second.weight"):
        return weights, stream.label(row), f"neuron {column}"
    return weights, f"row {row}", stream.label(column)


def _excuse(built: Construction, mutant: Construction, tests: Sequence[Recipe], score: float) -> str:
    """Why a mutant survives: measured, not argued."""
    if score > 1:
        return ""
    histories = [recipe.history(built.spec) for recipe in tests]
    change = np.abs(built.policy(mutant.outputs(histories)) - built.policy(built.outputs(histories))).max()
    if change < 1e-12:
        return "changes no output: the head or neuron it feeds never fires on an admissible history that was tried"
    return f"changes log-probabilities by {change:.1e} at most, within the slack of every promise (worst ratio {score:.3f})"
