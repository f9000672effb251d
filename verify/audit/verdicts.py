"""Theorem × construction → verdict: measured ≤ certified ≤ stated.

*measured* is the worst error that a search finds on the real weights, *certified* what the construction promises for every
admissible history, *stated* the theorem's own formula. A verdict that fails keeps its witness.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np

ORDER_WINDOW = 0.05
"""How far a fitted exponent may lie from the stated one."""

FLOAT64 = "this project, of float64"
"""The source of what is claimed of rounding."""

NOTHING = 1e-30
"""No promise of float64's size can see a change of a log-probability this small. An error that is 0 is enclosed within it:
balls never show two logarithms to be equal."""


@dataclass(frozen=True)
class Cited:
    """A statement that a claim is held to.

    Attributes:
        name: what it is called.
        source: where it stands.
        kind: "explicit", if every constant is printed; "order", if growth alone is told.
        assumptions: what must hold, in words.
        uses: the statements whose formulas its own is made of.
    """

    name: str
    source: str
    kind: Literal["explicit", "order"] = "explicit"
    assumptions: tuple[str, ...] = ()
    uses: tuple["Cited", ...] = ()


@dataclass(frozen=True)
class Verdict:
    """One claim, held against one construction.

    Attributes:
        claim: what is claimed, in words.
        source: where.
        kind: "bound", measured ≤ certified ≤ stated; "size", measured ≤ stated; "least", measured ≥ stated; "order",
            a fitted exponent within ORDER_WINDOW of the stated one (evidence, not a proof).
        measured, certified, stated: the three numbers; None where there is none.
        rounding: what float64 may add to `measured`. Where it is above `certified`, float64 is too coarse to tell.
        enclosed: upper end of an enclosure of the same error on the witness, in exact arithmetic, the weights as they are
            stored; see `enclosed`.
        relative: measured divided by the size of what it is an error of, if it is an error.
        note: anything a reader should know.
        witness: the history at which `measured` was found, as an outline.
        main: whether a reader in a hurry should see it.
        replay: Python that measures it again on the witness alone.
        fit: whether `measured` is a fitted exponent that is held to a bound.
        rank: how `measured` came about: "sampled", the worst that a search found; "counted" on the weights; "exact", in
            rational arithmetic; "certified", a certificate itself.
        construction: what it is a claim about: the seal of a construction, its first digits; empty if that is not told.
        block: the block of it that the claim is about; empty for the whole.
        uses: the blocks of it on which the claim rests, the nearest ones.
        statement: the statement whose formula is `stated`, if it is one's.
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
    enclosed: float | None = None
    fit: bool = False
    rank: Literal["sampled", "counted", "exact", "certified"] = "sampled"
    construction: str = ""
    block: str = ""
    uses: tuple[str, ...] = ()
    statement: Cited | None = None

    @property
    def sign(self) -> str:
        """How what was measured is to stand to what is certified and stated: "≤", "≥", or "±", within ORDER_WINDOW."""
        return {"least": "≥", "order": "±"}.get(self.kind, "≤")

    def held_to(self, value: float | None, text: str) -> str:
        """A number that is certified or stated, written as `text`, as what was measured is held to it.

        >>> Verdict("c", "s", "least", 3.0, 2.0).held_to(2.0, "2"), Verdict("c", "s", "order", 1.0, 1.0).held_to(1.0, "1")
        ('≥ 2', '1 ± 0.05')
        """
        if value is None:
            return text
        return f"{text} ± {ORDER_WINDOW:g}" if self.sign == "±" else f"{self.sign} {text}"

    @property
    def fitted(self) -> bool:
        """Whether an exponent was fitted, which is evidence; all else is held to a number."""
        return self.kind == "order" or self.fit

    @property
    def holds(self) -> bool:
        """Whether the claim stands."""
        stated = np.inf if self.stated is None else self.stated
        if self.kind == "order":
            return abs(self.measured - stated) <= ORDER_WINDOW
        if self.kind == "least":
            return self.measured >= stated
        certified = self.measured if self.certified is None else self.certified
        inside = self.measured <= certified + self.rounding and certified < math.inf
        enclosed = (self.rounding if self.coarse else 0.0) if self.enclosed is None else self.enclosed
        inside &= enclosed <= (certified or NOTHING)
        return bool(inside and certified <= stated * (1 + 1e-12))  # norms: two ways to round one formula

    @property
    def coarse(self) -> bool:
        """Whether float64 may be off by more than is certified: what is measured then holds nothing by itself."""
        return self.certified is not None and not self.rounding <= self.certified

    @property
    def history(self) -> str:
        """The witness in a line, or nothing."""
        return ", ".join(f"{name}={value!r}" for name, value in (self.witness or {}).items())

    def record(self) -> dict:
        """For JSON."""
        return asdict(self) | {"holds": self.holds}


@dataclass(frozen=True)
class Words:
    """What a page says of a construction.

    Attributes:
        short: its name in a list; the title of the report if left out.
        claim: what it does and how well, in a sentence or two.
        code: where to find its weights, formulas and claims.
        source: whose construction it is: a paper, or where it stands; left out, what the row says of itself.
        captions: what each figure shows, by its name.
    """

    short: str = ""
    claim: str = ""
    code: str = ""
    source: str = ""
    captions: Mapping[str, str] = field(default_factory=dict)


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
        words: what the page says of it.
        made: when, with which versions, on what machine and in what time.
    """

    title: str
    spec: dict
    size: dict
    verdicts: list[Verdict]
    blocks: list[dict]
    mutants: list[dict]
    records: dict[str, list[dict]]
    words: Words = field(default_factory=Words)
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
