"""A witness made small: few decisions, small whole numbers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache
from itertools import islice
from types import ModuleType
from typing import Any

import hypothesis
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from rich.console import Console

from constructions.construction import Construction
from verify.audit.measuring import Findings, Outline, Truth, measure
from verify.audit.search import SEARCH, Stepwise, Strategies
from verify.histories import linear
from verify.histories.told import Told

BATCH = 20
"""So many histories are measured side by side, and so many that break a promise are shrunk."""
EXAMPLES = 100
"""So many histories told step by step are tried before the outline's own numbers are made small."""

Progress = Callable[[str], None]


def shrink(
    built: Construction,
    truth: Truth | None,
    source: Strategies = linear,
    *,
    start: Findings | Outline | None = None,
    progress: Progress | None = None,
    **held: Any,
) -> Outline | None:
    """A small history that breaks a promise; None, said in a sentence, if there is nothing to shrink.

    Of the histories that it starts from, the fewest decisions at which one still breaks a promise; then, of no more, one
    told step by step in whole numbers, as small as Hypothesis finds it, or else the same outline with small numbers.

    Args:
        built: what is evaluated.
        truth: the true algorithm; None if only blocks are held to their promises.
        source: where histories come from.
        start: what a search found, or one history; the battery of the source if left out.
        progress: told what is being done, and in the end what came of it. Left out, a terminal shows it; nothing else does.
        held: further arguments of `measure`.
    """

    def score(tried: Sequence[Outline]) -> float:
        return measure(built, truth, tried, **held).score

    def breaks(outline: Outline) -> bool:
        return score([outline]) > 1

    with _telling(progress) as tell:
        found = _broken(start, source, built.spec, score, tell)
        if not found:
            return None
        shortest = _shortest(found, breaks, tell)
        steps = _decisions(shortest.steps)
        tell(f"{steps} break a promise: looking for small whole numbers")
        small = _told(source, built.spec, shortest.steps, breaks) or _small(shortest, breaks)
        tell(f"a promise breaks within {_decisions(small.steps)}: {small!r}")
        return small


def _broken(
    start: Findings | Outline | None,
    source: Strategies,
    spec: Any,
    score: Callable[[Sequence[Outline]], float],
    tell: Progress,
) -> list[Outline]:
    """Histories that break a promise, of those to start from; else it is said that there are none."""
    if isinstance(start, Findings):
        tried, start = start.histories, start.worst if start.score > 1 else None
        if start is None:
            tell(f"nothing to shrink: none of {tried:,} histories breaks a promise")
            return []
    tried = source.battery(spec) if start is None else [start]
    what = f"{len(tried):,} {'history' if len(tried) == 1 else 'histories'} of {_decisions(tried[0].steps)}"
    tell(f"measuring {what}")
    batches = (tried[n : n + BATCH] for n in range(0, len(tried), BATCH))
    broken = (one for batch in batches if score(batch) > 1 for one in batch if score([one]) > 1)
    found = list(islice(broken, BATCH))
    if not found:
        tell(f"nothing to shrink: none of {what} breaks a promise")
    return found


def _shortest(found: Sequence[Outline], breaks: Callable[[Outline], bool], tell: Progress) -> Outline:
    """The first of them that still breaks a promise at the fewest decisions."""
    for steps in range(1, found[0].steps):
        tell(f"{_decisions(steps)} of {found[0].steps}")
        for outline in found:
            if breaks(shorter := _cut(outline, steps)):
                return shorter
    return found[0]


def _cut(outline: Any, steps: int) -> Any:
    """The same history, or its recipe, with so many decisions."""
    if isinstance(outline, Told):
        return replace(outline, past=outline.past[: steps - 1])
    return replace(outline, steps=steps)


def _told(source: Strategies, spec: Any, steps: int, breaks: Callable[[Outline], bool]) -> Told | None:
    """A history of at most so many decisions in whole numbers, if the source tells such and one of them breaks a promise."""
    if not isinstance(source, Stepwise) or not isinstance(source, ModuleType):
        return None
    drawn = st.builds(
        Told,
        st.lists(source.step(spec), max_size=steps - 1).map(tuple),
        st.integers(0, 2**16),
        st.just(source.__name__),
    )

    @cache
    def broken(told: Told) -> bool:
        try:
            return breaks(told)
        except ValueError:  # it tells too little: no draws, for one
            return False

    if broken(least := Told((), 0, source.__name__)):
        return least
    settings = hypothesis.settings(SEARCH, max_examples=EXAMPLES, phases=(Phase.generate, Phase.shrink))
    try:
        return hypothesis.find(drawn, broken, settings=settings)
    except NoSuchExample:
        return None


def _small(outline: Any, breaks: Callable[[Outline], bool]) -> Any:
    """The same outline with the smallest whole numbers with which it still breaks a promise, field by field."""
    for field in fields(outline):
        now = getattr(outline, field.name)
        if field.name == "steps" or isinstance(now, bool) or not isinstance(now, int | float):
            continue
        smaller = (type(now)(n) for n in range(10) if n < abs(now) or now % 1)
        tried = (replace(outline, **{field.name: value}) for value in smaller)
        outline = next(filter(breaks, tried), outline)
    return outline


def _decisions(count: int) -> str:
    return f"{count} decision{'s' * (count != 1)}"


@contextmanager
def _telling(progress: Progress | None) -> Iterator[Progress]:
    """Who is told: the caller's own, or a line that a terminal shows and that ends with the last thing said."""
    console, said = Console(stderr=True), [""]
    if progress is not None or not console.is_terminal:
        yield progress or (lambda _: None)
        return
    with console.status("shrinking") as status:

        def tell(what: str) -> None:
            said[0] = what
            status.update(what)

        yield tell
    console.print(said[0], markup=False, highlight=False)
