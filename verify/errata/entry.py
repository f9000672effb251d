"""What an erratum is, and what it takes to confirm one."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

PAPER = "arXiv 2310.08566, May 2024"


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


@dataclass(frozen=True)
class Erratum:
    """One candidate error.

    Attributes:
        name: a short name.
        where: the place in the paper.
        printed: what it says.
        repair: what it should say.
        effect: what the repair does to the theorem.
        demonstrate: runs both forms.
    """

    name: str
    where: str
    printed: str
    repair: str
    effect: str
    demonstrate: Callable[[], Demonstration]

    def record(self) -> dict:
        """For JSON, the demonstration included."""
        shown = self.demonstrate()
        texts = {key: getattr(self, key) for key in ("name", "where", "printed", "repair", "effect")}
        return texts | asdict(shown) | {"confirmed": shown.confirmed}
