"""An audit in parts, none of which needs another: one after the other, or side by side on the cores that are there."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import active_children, get_context
from typing import Any

import torch

from constructions.construction import Construction
from verify.audit.measuring import Truth
from verify.audit.mutation import Mutant, mutants, share
from verify.audit.search import Strategies
from verify.audit.verdicts import Report, Verdict, Words

NOTICED, MANY = 0.9, 20
"""The share of wrong weights that an audit is to notice, where there are so many."""

HALVES = 2
"""Wrong weights are audited in so many parts, however many cores there are."""


@dataclass(frozen=True)
class Found:
    """What one part of an audit found.

    Attributes:
        verdicts: its claims.
        slacks: rows of slack, by the name of the figure that shows them.
        records: what other figures show, by their names, one record a panel.
        mutants: the single-weight changes that were tried.
        size: the measured sizes of what the report is about, if it is this part that has them.
    """

    verdicts: Sequence[Verdict] = ()
    slacks: Mapping[str, list[dict]] = field(default_factory=dict)
    records: Mapping[str, list[dict]] = field(default_factory=dict)
    mutants: Sequence[Mutant] = ()
    size: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        told: what is done in it, in a few words.
        work: does it: what it finds, or a verdict, or several.
        long: whether it takes long, and is begun early where others run beside it.
    """

    told: str
    work: Callable[[], Found | Verdict | Iterable[Verdict]]
    long: bool = False

    def found(self) -> Found:
        """Do it."""
        found = self.work()
        if isinstance(found, Found):
            return found
        return Found([found] if isinstance(found, Verdict) else list(found))


@dataclass(frozen=True)
class Plan:
    """An audit that is still to be carried out.

    Attributes:
        title: what is audited.
        spec: the main specification.
        parts: what is done; a report has their verdicts in this order.
        broken: of what single weights are made wrong, if it is not what the report is about.
        words: what the page says of it.
        least: a wrong weight is to be noticed if it changes what comes out by more than this.
    """

    title: str
    spec: Any
    parts: Sequence[Part]
    broken: str = ""
    words: Words = field(default_factory=Words)
    least: float = 0.0

    def report(self, progress: Callable[[str], None] = lambda _: None) -> Report:
        """Carry it out, here and one part after the other; `progress` is told what is being done."""

        def tell(_: int, __: int, part: Part, found: Found | None) -> None:
            if found is None:
                progress(part.told)

        return together([lambda: self], 1, tell)[0]

    def gathered(self, found: Sequence[Found]) -> Report:
        """The report on what the parts have found, in their order."""
        verdicts = [verdict for part in found for verdict in part.verdicts]
        tried = [mutant for part in found for mutant in part.mutants]
        verdicts += [_caught(tried, self.broken, self.least)] if tried else []
        figures: dict[str, list[dict]] = {}
        for part in found:
            for name, panels in part.records.items():
                figures.setdefault(name, []).extend(panels)
        slacks = {
            name: [row for row in rows if row["promise"]]  # of a promise of 0 nothing can be used up
            for part in found
            for name, rows in part.slacks.items()
        }
        figures |= {name: [{"kind": "slack", "rows": rows}] for name, rows in slacks.items()}
        blocks = [row for rows in slacks.values() for row in rows]
        size = {name: value for part in found for name, value in part.size.items()}
        broken = [asdict(mutant) for mutant in tried]
        return Report(self.title, asdict(self.spec), size, verdicts, blocks, broken, figures, self.words)


def wrong_weights(
    build: Callable[[], Construction], truth: Truth, trials: int, source: Strategies
) -> list[Part]:
    """Parts that make single weights of a construction wrong, and audit what comes of it."""

    def half(number: int) -> Found:
        return Found(mutants=mutants(build(), truth, trials, seed=0, source=source, part=(number, HALVES)))

    told = f"auditing {trials} mutants, part {{}} of {HALVES}"
    return [Part(told.format(n + 1), lambda n=n: half(n), long=True) for n in range(HALVES if trials else 0)]


def _caught(broken: Sequence[Mutant], what: str = "", least: float = 0.0) -> Verdict:
    """How many wrong weights the audit notices, of those that change what comes out by more than `least`.

    `what` was made wrong. Fewer than MANY say little about a share, which is then told and held to nothing.
    """
    effective = [mutant for mutant in broken if mutant.effective]
    told = [mutant for mutant in effective if mutant.change > least] if least else effective
    survivors = [mutant for mutant in told if not mutant.caught]
    tried = f"{len(told)} of {len(broken)} that change what comes out" + f" by more than {least:g}" * bool(
        least
    )
    notes = [f"{m.place} {m.row}, {m.column}: {m.reason}" for m in survivors]
    if least:
        notes.append(f"of {len(effective)} that change it at all, {share(broken):.0%} are noticed")
    return Verdict(
        f"{what}audit fails when one weight is 10 % off, share of {tried}",
        "this audit",
        "least",
        share(told),
        NOTICED if len(told) >= MANY else 0.0,
        note="; ".join(notes),
        main=True,
    )


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def together(
    makers: Sequence[Callable[[], Plan]],
    jobs: int,
    tell: Callable[[int, int, Part, Found | None], None] = lambda *_: None,
) -> list[Report]:
    """Carry out plans, their parts side by side in processes of their own.

    What is found does not depend on how many processes there are: parts share nothing.

    Args:
        makers: each makes a plan, the same one in every process; functions that can be pickled.
        jobs: so many processes at most; with one, everything is done here.
        tell: is told the number of a plan, how many parts there are of all plans, and a part as it begins, where that is
            known, and as it ends, with what it found.
    """
    plans = [make() for make in makers]
    work = [(which, number) for which, plan in enumerate(plans) for number in range(len(plan.parts))]
    done: dict[tuple[int, int], Found] = {}
    if min(jobs, len(work)) <= 1:
        for which, number in work:
            tell(which, len(work), plans[which].parts[number], None)
            done[which, number] = plans[which].parts[number].found()
            tell(which, len(work), plans[which].parts[number], done[which, number])
    else:
        work.sort(key=lambda pair: not plans[pair[0]].parts[pair[1]].long)
        others = set(active_children())
        with ProcessPoolExecutor(min(jobs, len(work)), get_context("spawn"), _begin, (makers,)) as pool:
            futures = {pool.submit(_found, *pair): pair for pair in work}
            try:
                for future in as_completed(futures):
                    which, number = futures[future]
                    done[which, number] = future.result()
                    tell(which, len(work), plans[which].parts[number], done[which, number])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in set(active_children()) - others:
                    process.terminate()  # a part takes minutes
                raise
    return [
        plan.gathered([done[which, number] for number in range(len(plan.parts))])
        for which, plan in enumerate(plans)
    ]


_plans: list[Plan] = []
"""Those of a process that carries out parts."""


def _begin(makers: Sequence[Callable[[], Plan]]) -> None:
    """A process of its own, with one thread: others have the other cores."""
    torch.set_num_threads(1)
    _plans[:] = [make() for make in makers]


def _found(which: int, number: int) -> Found:
    """One part of a plan, in such a process."""
    return _plans[which].parts[number].found()
