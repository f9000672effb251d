"""A row of the catalog: one construction, with all that the tools need to know of it."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from typing import Any

import numpy as np

from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.inputs.bandits import History
from verify.audit import Strategies, Truth, Words
from verify.balls import BallTruth


@dataclass(frozen=True, eq=False)
class Entry:
    """One construction.

    Attributes:
        name: what commands call it.
        title: what it is, in a few words.
        spec: the class of its specifications, a frozen dataclass.
        build: from a specification to the construction.
        truth: the true algorithm: from specification and history to what the certificate speaks of, shape (steps, actions).
        histories: where the histories of a search come from.
        seen: the class of its histories.
        example: fields of the specification that stands for it where none is asked for.
        main: the specification that its report is about, and that saved histories are held to; `example` if left out.
        balls: the true algorithm in ball arithmetic, to enclose errors.
        environment: from a specification and a generator to a problem within the bounds of the specification.
        decoder: from a specification and a generator to the true algorithm, one decision at a time; without a generator, to
            its probabilities, which a row with a stand-in has.
        player: its name among those who play many problems at once, `verify.play.seats`.
        played: what `decoder` plays in `environment`, in words.
        claims: its audit: from numbers of histories and mutants to a Plan; or where that is, as "module:function".
        grid: how it is swept over horizons and errors; or where that is, as "module:name".
        words: what pages say of it; or where that is, as "module:name".
        symmetries: from a specification to what ought to change nothing, by name; or where that is.
        registers: from a training recipe and a history to what its algorithm knows at each decision, by name; or where
            that is.
        interchange: what the algorithm does if it takes one of these for another's, a `verify.probes.registers.Exchange`; or
            where that is.
        stand_in: from a training recipe, and whether its problems are to be shifted, to the specification that stands for
            the algorithm to be learnt; or where that is.
    """

    name: str
    title: str
    spec: type
    build: Callable[[Any], Construction]
    truth: Truth
    histories: Strategies
    seen: type[History] = BanditHistory
    example: Mapping[str, Any] = field(default_factory=dict)
    main: Any = None
    balls: BallTruth | None = None
    environment: Callable[[Any, np.random.Generator], Any] | None = None
    decoder: Callable[[Any, Any], Any] | None = None
    player: str = ""
    played: str = ""
    claims: Callable[..., Any] | str | None = None
    grid: Any = None
    words: Words | str = field(default_factory=Words)
    symmetries: Callable[[Any], Mapping[str, Any]] | str | None = None
    registers: Callable[[Any, Any], Mapping[str, np.ndarray]] | str | None = None
    interchange: Any = None
    stand_in: Callable[[Any, bool], Any] | str | None = None

    def __post_init__(self):
        if self.main is None:
            object.__setattr__(self, "main", self.spec(**self.example))

    def said(self) -> Words:
        """What pages say of it. Where `words` do not say whose it is, its module does: the first line of its docstring."""
        words = self.found("words")
        if words.source:
            return words
        module = inspect.getmodule(self.spec)
        first = ((module and inspect.getdoc(module)) or "").partition("\n")[0].rstrip(".")
        return replace(words, source=": ".join(filter(None, (self.spec.__module__, first))))

    def playable(self, what: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Its environment and its decoder, for `what` is to be drawn from them.

        Raises:
            ValueError: if the row has not both.
        """
        if self.environment is None or self.decoder is None:
            raise ValueError(f"{what}: wanted an environment and a decoder in the row {self.name}, got none")
        return self.environment, self.decoder

    def hold(self, names: Iterable[str]) -> None:
        """Wanted: fields of its specifications.

        Raises:
            ValueError: for one that they do not have.
        """
        known = [one.name for one in fields(self.spec)]
        for name in names:
            if name not in known:
                raise ValueError(f"{self.name}: wanted fields of {', '.join(known)}, got {name}")

    def found(self, what: str) -> Any:
        """A field that may say where it is: the object itself. Modules are imported when they are asked for."""
        value = getattr(self, what)
        if not isinstance(value, str):
            return value
        module, _, name = value.partition(":")
        return getattr(import_module(module), name)
