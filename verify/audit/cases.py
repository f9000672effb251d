"""What the laws of whole constructions are tried on, and what was found of one."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from hypothesis import strategies as st

from constructions.construction import Construction
from verify.audit.search import Outline


@dataclass(frozen=True, eq=False)
class Case:
    """A specification of a catalog's row, with what is claimed of it.

    Attributes:
        entry: the row: `build`, `truth` and `histories` of it are used.
        spec: the specification; the row's main one if left out.
        size: sizes that are claimed, by name.
        most: sizes that are bounded.
        refused: changes of the specification that are to be refused, and the beginning of what is said of them.
        asked: what the certificate is held to; the specification's `error` if left out.
        same: impostors that are none here, as they say what the algorithm says. Where they are named, all others are to be
            caught; else one may be too close to be told apart.
        sharper: the `error` of a specification that tells impostors apart, where this one's is too large.
        name: what the case is called; the row's name if left out.
    """

    entry: Any
    spec: Any = None
    size: Mapping[str, int] | None = None
    most: Mapping[str, float] | None = None
    refused: tuple[tuple[dict[str, Any], str], ...] = ()
    asked: float | None = None
    same: frozenset[str] | None = None
    sharper: float | None = None
    name: str = ""

    def __post_init__(self):
        if self.spec is None:
            object.__setattr__(self, "spec", self.entry.main)
        if not self.name:
            object.__setattr__(self, "name", self.entry.name)

    @classmethod
    def of(cls, entry: Any, built: Construction) -> "Case":
        """What a row has built already, of which nothing more is claimed."""
        case = cls(entry, built.spec)
        case.__dict__["built"] = built
        return case

    @cached_property
    def built(self) -> Construction:
        """What the row builds."""
        return self.entry.build(self.spec)

    def histories(self, steps: int | None = None) -> st.SearchStrategy[Outline]:
        """Outlines from where the row has them, of any length or of so many decisions."""
        one = self.entry.histories.batches(self.spec, 1).map(lambda batch: batch[0])
        return one if steps is None else one.map(lambda outline: replace(outline, steps=steps))

    def refuses(self, change: Mapping[str, Any]) -> str:
        """What is said of a changed specification, made as a user makes it: where tests enforce types, without them."""
        spec = object.__new__(type(self.spec))
        for name in (field.name for field in fields(self.spec)):
            object.__setattr__(spec, name, change.get(name, getattr(self.spec, name)))
        try:
            inspect.unwrap(type(spec).__post_init__)(spec)
        except ValueError as error:
            return str(error)
        return ""


@dataclass(frozen=True)
class Kept:
    """What was found of a law: the worst, what is allowed, and where that was."""

    law: str
    worst: float
    allowed: float
    where: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is kept; NaN keeps nothing."""
        return bool(self.worst <= self.allowed)

    def __str__(self) -> str:
        place = f": {self.where}" if self.where else ""
        return f"{self.law}: {'kept' if self.holds else 'broken'}, worst {self.worst:.3g}, allowed {self.allowed:.3g}{place}"
