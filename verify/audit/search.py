"""The search for the worst error of a construction, over histories that an outline makes."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import hypothesis
from hypothesis import HealthCheck, Phase

from constructions.construction import Construction
from constructions.inputs.bandits import History
from verify.audit.measuring import Findings, Outline, Truth, measure
from verify.histories import linear as strategies

SEARCH = hypothesis.settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=tuple(HealthCheck),  # type: ignore[arg-type]
)
"""The same search for everyone who runs it."""


@runtime_checkable
class Strategies(Protocol):
    """Where outlines come from: verify.histories.linear for bandits, verify.histories.episodes for episodes."""

    def battery(self, spec: Any, repeats: int = 1) -> list:
        """The same outlines for everyone."""
        ...

    def batches(self, spec: Any, size: int) -> Any:
        """Hypothesis' lists of outlines of equal length."""
        ...


@runtime_checkable
class Stepwise(Strategies, Protocol):
    """Where histories can also be told step by step, tuples of numbers, so that Hypothesis can shrink them."""

    def outlines(self, spec: Any, steps: int | None = None) -> Any: ...  # noqa: D102
    def decisions(self, spec: Any) -> int: ...  # noqa: D102
    def step(self, spec: Any) -> Any: ...  # noqa: D102
    def told(self, spec: Any, past: Sequence[tuple], seed: int) -> History: ...  # noqa: D102


def search(
    built: Construction,
    truth: Truth | None,
    histories: int,
    batch: int = 20,
    source: Strategies = strategies,
    **held: Any,
) -> Findings:
    """Look for the worst error over at least so many histories: a fixed battery, then Hypothesis, climbing error/promise.

    Further arguments are those of `measure`.
    """

    def measured(tried: Sequence[Outline]) -> Findings:
        return measure(built, truth, tried, **held)

    return climb(Findings(), measured, lambda found: found.score, built.spec, histories, batch, source)


def climb(
    found: Any,
    measure: Callable[[Sequence[Outline]], Any],
    score: Callable[[Any], float],
    spec: Any,
    histories: int,
    batch: int = 20,
    source: Strategies = strategies,
) -> Any:
    """What is found in at least so many histories: a fixed battery, then Hypothesis, climbing a score.

    Args:
        found: what is known before, as a record with `histories` and `merge`.
        measure: what some outlines of equal length show.
        score: what is climbed.
        spec: for what the histories are.
        histories: so many at least.
        batch: so many at a time.
        source: where they come from.
    """
    fixed = source.battery(spec)
    for start in range(0, min(len(fixed), histories), batch):
        found = found.merge(measure(fixed[start : start + batch]))

    @hypothesis.settings(
        SEARCH,
        max_examples=max(1, math.ceil((histories - found.histories) / batch)),
        phases=(Phase.generate, Phase.target),
    )
    @hypothesis.given(source.batches(spec, batch))
    def ascend(tried: list[Outline]) -> None:
        nonlocal found
        new = measure(tried)
        hypothesis.target(min(score(new), 1e300))
        found = found.merge(new)

    ascend()
    return found
