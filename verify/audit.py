"""Theorem × construction → verdict: measured ≤ certified ≤ stated.

*measured* is the worst error that a search finds on the real weights, *certified* what the construction promises for every
admissible history, *stated* the theorem's own formula. A verdict that fails keeps its witness.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase
from jaxtyping import Float

from constructions.block import Block
from constructions.construction import Construction, Probe
from constructions.tokens import History
from verify import strategies
from verify.balls import enclose as enclose

ORDER_WINDOW = 0.05
"""How far a fitted exponent may lie from the stated one."""

FIT = "a fit, not a proof"
"""What the note of a fitted exponent says."""

SEARCH = hypothesis.settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=tuple(HealthCheck),  # type: ignore[arg-type]
)
"""The same search for everyone who runs it."""


@runtime_checkable
class Recipe(Protocol):
    """A few words and numbers from which one history follows; a frozen dataclass."""

    @property
    def steps(self) -> int:
        """Number of decisions."""
        ...

    def history(self, spec: Any) -> History:
        """The history."""
        ...


def words(recipe: Any) -> dict | None:
    """A recipe as a record, if there is one."""
    return None if recipe is None else asdict(recipe)


def replayed(construction: str, spec: Any, recipe: Recipe | None, block: str = "") -> str:
    """Python that builds the weights and measures the error, of the policy or of a block, on one history alone.

    The true algorithm is the one of the construction's name in verify.algorithms.
    """
    if recipe is None:
        return ""
    module = type(recipe).__module__.rpartition(".")[2]
    found = f".blocks[{block!r}]" if block else ""
    return (
        f"from constructions import {construction}\n"
        f"from verify import algorithms, audit, {module}\n"
        f"built = {construction}.build({construction}.{spec!r})\n"
        f"tried = [{module}.{recipe!r}]\n"
        f"print(audit.measure(built, algorithms.{construction}, tried){found}.error)"
    )


@runtime_checkable
class Strategies(Protocol):
    """Where recipes come from: verify.strategies for bandits, verify.episode_strategies for episodes."""

    def battery(self, spec: Any, repeats: int = 1) -> list:
        """The same recipes for everyone."""
        ...

    def batches(self, spec: Any, size: int) -> Any:
        """Hypothesis' lists of recipes of equal length."""
        ...


Truth = Callable[[Any, Any], Float[np.ndarray, "steps arms"]]


@dataclass(frozen=True)
class Verdict:
    """One claim, held against one construction.

    Attributes:
        claim: what is claimed, in words.
        source: where.
        kind: "bound", measured ≤ certified ≤ stated; "size", measured ≤ stated; "least", measured ≥ stated; "order",
            a fitted exponent within ORDER_WINDOW of the stated one (evidence, not a proof).
        measured, certified, stated: the three numbers; None where there is none.
        rounding: what float64 may add to `measured`.
        relative: measured divided by the size of what it is an error of, if it is an error.
        note: anything a reader should know.
        witness: the history at which `measured` was found, as a recipe.
        main: whether a reader in a hurry should see it.
        replay: Python that measures it again on the witness alone.
    """

    claim: str
    source: str
    kind: Literal["bound", "size", "least", "order"]
    measured: float
    stated: float | None = None
    certified: float | None = None
    rounding: float = 0.0
    relative: float | None = None
    note: str = ""
    witness: dict | None = None
    main: bool = False
    replay: str = ""

    @property
    def fitted(self) -> bool:
        """Whether an exponent was fitted, which is evidence; all else is held to a number."""
        return self.kind == "order" or FIT in self.note

    @property
    def holds(self) -> bool:
        """Whether the claim stands."""
        stated = np.inf if self.stated is None else self.stated
        if self.kind == "order":
            return abs(self.measured - stated) <= ORDER_WINDOW
        if self.kind == "least":
            return self.measured >= stated
        certified = self.measured if self.certified is None else self.certified
        inside = self.measured <= certified + self.rounding
        return bool(inside and certified <= stated * (1 + 1e-12))  # norms: two ways to round one formula

    def record(self) -> dict:
        """For JSON."""
        return asdict(self) | {"holds": self.holds}


@dataclass(frozen=True)
class Worst:
    """The worst of one block: its largest errors, and the probe with the largest ratio of error to promise."""

    probe: Probe
    recipe: Recipe
    ratio: float
    error: float
    relative: float
    own_error: float

    @classmethod
    def of(cls, probe: Probe, recipe: Recipe) -> "Worst":
        """A single probe."""
        pairs = ((probe.error, probe.promise), (probe.own_error, probe.own_promise))
        ratio = max(error / promise if promise else (np.inf if error else 0.0) for error, promise in pairs)
        return cls(probe, recipe, ratio, probe.error, probe.relative, probe.own_error)

    def merge(self, other: "Worst") -> "Worst":
        """The worst of two."""
        larger = {
            name: max(getattr(self, name), getattr(other, name))
            for name in ("error", "relative", "own_error")
        }
        return replace(self if self.ratio >= other.ratio else other, **larger)


def kept(claim: str, block: Block, worst: Worst, stated: float | None = None) -> Verdict:
    """The verdict on a block's promise, errors of its inputs included, from the worst that a search found."""
    return Verdict(
        claim,
        block.source,
        "bound",
        worst.error,
        stated,
        block.promise.total.error,
        rounding=block.promise.total.rounding,
        relative=worst.relative,
        witness=words(worst.recipe),
    )


@dataclass(frozen=True)
class Findings:
    """What a search found.

    Attributes:
        histories: how many it tried.
        error: the worst |log-probability error|.
        recipe: the history at which it was found.
        blocks: the worst of every block by name.
    """

    histories: int = 0
    error: float = 0.0
    recipe: Recipe | None = None
    blocks: Mapping[str, Worst] = field(default_factory=dict)

    @property
    def witness(self) -> dict | None:
        """The recipe of the worst history as a record."""
        return words(self.recipe)

    def score(self, certificate: float) -> float:
        """Worst error over promise: what the search climbs, and more than 1 where a claim fails."""
        ratios = [worst.ratio for worst in self.blocks.values()]
        return max([self.error / certificate if certificate else 0.0, *ratios])

    def merge(self, other: "Findings") -> "Findings":
        """Both together."""
        blocks = dict(self.blocks)
        for name, worst in other.blocks.items():
            blocks[name] = blocks[name].merge(worst) if name in blocks else worst
        worse = other if other.recipe is None or other.error >= self.error else self
        return Findings(self.histories + other.histories, worse.error, worse.recipe, blocks)


@dataclass(frozen=True)
class Report:
    """All that an audit of one construction found; `record()` is its JSON.

    Attributes:
        title: what was audited.
        spec: the main specification.
        size: its measured sizes.
        verdicts: the claims.
        blocks: rows of error, promise and slack, block by block.
        mutants: the single-weight changes that were tried.
        records: what the figures show, by the name of the figure, one record a panel.
        made: when, with which versions, on what machine and in what time.
    """

    title: str
    spec: dict
    size: dict
    verdicts: list[Verdict]
    blocks: list[dict]
    mutants: list[dict]
    records: dict[str, list[dict]]
    made: dict = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every claim stands."""
        return all(verdict.holds for verdict in self.verdicts)

    def __repr__(self) -> str:
        held = sum(verdict.holds for verdict in self.verdicts)
        return f"Report({self.title!r}: {held} of {len(self.verdicts)} claims hold)"

    def record(self) -> dict:
        """For JSON."""
        verdicts = [verdict.record() for verdict in self.verdicts]
        return asdict(replace(self, verdicts=[])) | {"verdicts": verdicts, "holds": self.holds}


def measure(
    built: Construction, truth: Truth | None, tried: Sequence[Recipe], floor: float = 0.0
) -> Findings:
    """Evaluate recipes of equal length side by side, against every promise and, if given, the true algorithm.

    Only actions of true probability at least `floor` count for the error of the policy.
    """
    histories = [recipe.history(built.spec) for recipe in tried]
    outputs = built.outputs(histories)
    findings = Findings()
    for recipe, history, output in zip(tried, histories, outputs, strict=True):
        error = 0.0
        if truth is not None:
            true = truth(built.spec, history)
            counted = ~(true < (math.log(floor) if floor else -math.inf))
            difference = np.abs(built.policy(output) - true)[counted]
            error = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
        blocks = {probe.block: Worst.of(probe, recipe) for probe in built.probe(history, output)}
        findings = findings.merge(Findings(1, error, recipe, blocks))
    return findings


def search(
    built: Construction,
    truth: Truth | None,
    histories: int,
    batch: int = 20,
    source: Strategies = strategies,
    floor: float = 0.0,
) -> Findings:
    """Look for the worst error over at least so many histories: a fixed battery, then Hypothesis, climbing error/promise."""
    findings, spec = Findings(), built.spec
    fixed = source.battery(spec)
    for start in range(0, min(len(fixed), histories), batch):
        findings = findings.merge(measure(built, truth, fixed[start : start + batch], floor))

    @hypothesis.settings(
        SEARCH,
        max_examples=max(1, math.ceil((histories - findings.histories) / batch)),
        phases=(Phase.generate, Phase.target),
    )
    @hypothesis.given(source.batches(spec, batch))
    def climb(tried: list[Recipe]) -> None:
        nonlocal findings
        found = measure(built, truth, tried, floor)
        hypothesis.target(min(found.score(built.certificate), 1e300))
        findings = findings.merge(found)

    climb()
    return findings


def shrink(built: Construction, truth: Truth | None, source: Strategies = strategies) -> Recipe | None:
    """The shortest history of the battery that still breaks a promise; None if none of any length does."""
    for steps in range(1, built.tokens.decisions + 1):
        for recipe in source.battery(built.spec):
            tried = replace(recipe, steps=steps)
            if measure(built, truth, [tried]).score(built.certificate) > 1:
                return tried
    return None
