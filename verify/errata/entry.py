"""What an erratum is, and what it takes to confirm one."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypedDict

PAPER = "arXiv 2310.08566, May 2024"
SOURCE = f"Lin, Bai and Mei, Transformers as Decision Makers, {PAPER}"
"""Whose constructions they are that errata are about; other pages than theirs show none."""

SAID = ("name", "kind", "where", "printed", "repair", "effect", "proof")
KINDS = {"error": "Mathematical errors", "misprint": "Misprints"}
"""The kinds of errata, in the order in which they are listed, with their headings."""


@dataclass(frozen=True)
class Demonstration:
    """What running both forms gives on the witness.

    Attributes:
        witness: the input, in words.
        wanted: the value that the claim promises.
        literal: what the construction as printed computes.
        repaired: what the repaired construction computes.
        tolerance: the error that the claim allows.
        context: the literal piece inside the whole construction, in words and numbers.
    """

    witness: str
    wanted: float
    literal: float
    repaired: float
    tolerance: float
    context: str

    @property
    def confirmed(self) -> bool:
        """Whether the literal form fails and the repaired form does not."""
        return bool(abs(self.literal - self.wanted) > self.tolerance >= abs(self.repaired - self.wanted))


class Record(TypedDict):
    """What an erratum says and what its demonstration gave, as JSON."""

    name: str
    kind: Literal["error", "misprint"]
    where: str
    printed: str
    repair: str
    effect: str
    proof: str
    witness: str
    wanted: float
    literal: float
    repaired: float
    context: str
    confirmed: bool


@dataclass(frozen=True)
class Erratum:
    """One candidate error.

    Attributes:
        name: a short name.
        kind: "misprint" where the text around shows what is meant, and the rest of the proof uses that; "error" where a
            claim is false as meant, or an argument does not hold, so that something else is to be built, stated or argued.
        where: the place in the paper.
        printed: what it says.
        repair: what it should say.
        effect: what the repair does to the theorem; it "stands" only where that is proven.
        demonstrate: runs both forms.
        proven: whether the repair is, under the erratum's name in docs/errata.md.
    """

    name: str
    kind: Literal["error", "misprint"]
    where: str
    printed: str
    repair: str
    effect: str
    demonstrate: Callable[[], Demonstration]
    proven: bool = True

    @property
    def proof(self) -> str:
        """Where the repair is proven, a heading of a page of docs/; empty if it is nowhere."""
        return f"errata.md#{self.name.lower().replace(' ', '-')}" if self.proven else ""

    def record(self) -> Record:
        """For JSON, the demonstration included."""
        shown = self.demonstrate()
        said: Any = {name: getattr(self, name) for name in SAID}
        return said | asdict(shown) | {"confirmed": shown.confirmed}
