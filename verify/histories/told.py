"""A history told step by step: the smallest form of a witness."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from constructions.inputs.bandits import History


@dataclass(frozen=True)
class Told:
    """What was played and what it paid, step by step.

    Attributes:
        past: the steps, as `told` of the module wants them; rewards are whole numbers.
        seed: of what they leave open.
        source: the module that tells histories so, `verify.histories.linear` for one.
    """

    past: tuple[tuple[float, ...], ...]
    seed: int
    source: str

    @property
    def steps(self) -> int:
        """Number of decisions."""
        return len(self.past) + 1

    def history(self, spec: Any) -> History:
        """The history."""
        return import_module(self.source).told(spec, self.past, self.seed)
