"""What became of the claims of one audit in another: gained, lost, moved."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from constructions import files
from verify.audit import Report, Verdict
from verify.show import report

NUMBERS = ("measured", "enclosed", "certified", "stated")
"""The numbers of a claim that may move."""
WANTED = "a report.json, a folder of reports, or what `weightwright verify --json` prints"


@dataclass(frozen=True)
class Change:
    """What became of one claim.

    Attributes:
        report: the name of the construction's report.
        claim: in words: as the later report has it, or the earlier one, if the later has none.
        kind: "lost", if it held and does not, or is no longer made; "gained", if it did not hold and does, or is new and
            holds; "fails", if it is new and does not hold; "moved", if its numbers are others.
        before, after: the claim in either report, None where there is none.
    """

    report: str
    claim: str
    kind: Literal["lost", "gained", "fails", "moved"]
    before: Verdict | None
    after: Verdict | None

    def record(self) -> dict[str, Any]:
        """As plain values: what became of it, and its numbers before and after."""
        sides = {"before": self.before, "after": self.after}
        told = {
            name: one and {n: getattr(one, n) for n in (*NUMBERS, "holds")} for name, one in sides.items()
        }
        return {"report": self.report, "claim": self.claim, "kind": self.kind} | told


def read(path: Path) -> dict[str, Report]:
    """Reports by name.

    Raises:
        ValueError: if the file is missing, damaged, or holds no reports.
    """
    if path.is_dir():
        found = {one.parent.name: report.load(one) for one in sorted(path.glob("*/report.json"))}
        found |= {path.name: report.load(path / "report.json")} if (path / "report.json").exists() else {}
        if not found:
            raise files.refusal(path, WANTED, "none")
        return found
    try:
        record = files.parsed(files.read(path, WANTED))
        if not isinstance(record, dict) or "verdicts" in record:
            return {path.parent.name: report.load(path)}
        return {name: Report(**files.typed(one, report.Saved)) for name, one in record.items()}
    except ValueError as error:
        raise files.refusal(path, WANTED, error) from None


def changes(before: Mapping[str, Report], after: Mapping[str, Report]) -> list[Change]:
    """What became of each claim of reports, and what is new; claims that are as they were are left out.

    A claim is known again by its report and words, or, if there are numbers in them, by the rest of its words.
    """
    found = []
    for name in dict.fromkeys([*before, *after]):
        sides = [side[name].verdicts if name in side else [] for side in (before, after)]
        found += [change for old, new in _pairs(*sides) if (change := _change(name, old, new))]
    return found


def _change(name: str, old: Verdict | None, new: Verdict | None) -> Change | None:
    held, holds = (one is not None and one.holds for one in (old, new))
    claim = (new or old).claim  # type: ignore[union-attr]
    if held != holds:
        return Change(name, claim, "gained" if holds else "lost", old, new)
    if old is None:
        return Change(name, claim, "fails", old, new)
    same = new is not None and all(getattr(old, one) == getattr(new, one) for one in NUMBERS)
    return None if same or new is None else Change(name, claim, "moved", old, new)


def _pairs(old: Sequence[Verdict], new: Sequence[Verdict]) -> list[tuple[Verdict | None, Verdict | None]]:
    """Claims of two reports side by side: those of the same words first, then those of the same words but for numbers."""
    pairs: list[tuple[Verdict | None, Verdict | None]] = []
    left = list(old), list(new)
    for key in (lambda one: one.claim, lambda one: re.sub(r"\d[\d.,]*", "#", one.claim)):
        rest: list[Verdict] = []
        for one in left[0]:
            other = next((two for two in left[1] if key(two) == key(one) and two.kind == one.kind), None)
            if other is None:
                rest.append(one)
            else:
                left[1].remove(other)
                pairs.append((one, other))
        left = rest, left[1]
    return [*pairs, *((one, None) for one in left[0]), *((None, two) for two in left[1])]


def lost(found: Sequence[Change]) -> bool:
    """Whether something was lost, or a new claim fails."""
    return any(change.kind in ("lost", "fails") for change in found)
