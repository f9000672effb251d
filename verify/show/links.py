"""What rests on what: where each claim of a report stands on its page, which claims it uses, and which use it."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from verify.audit import Cited, Verdict


def slug(text: str) -> str:
    """A name as an address on a page.

    >>> slug("soft ucb1")
    'soft-ucb1'
    """
    return re.sub(r"[^\w.-]+", "-", text)


class Links:
    """The claims of one report, each with an address, by what they are about, and the command that makes it again."""

    def __init__(self, name: str, verdicts: Sequence[Verdict], command: str | None = None):
        self.name, self.verdicts = name, verdicts
        self.command = (command or f"weightwright verify {name}").removesuffix(" --out reports")
        self._numbers = {id(verdict): number for number, verdict in enumerate(verdicts, 1)}
        self._about: dict[tuple[str, str], Verdict] = {}
        for verdict in verdicts:
            self._about.setdefault((verdict.construction, verdict.block), verdict)
        self.statements: dict[str, Cited] = {}
        for verdict in verdicts:
            self._collect(verdict.statement)

    def _collect(self, statement: Cited | None) -> None:
        if statement is not None and statement.name not in self.statements:
            self.statements[statement.name] = statement
            for one in statement.uses:
                self._collect(one)

    def place(self, verdict: Verdict) -> str:
        """The address of a claim."""
        return f"{slug(self.name)}-{self._numbers[id(verdict)]}"

    def number(self, verdict: Verdict) -> int:
        """Its number in the report, from 1."""
        return self._numbers[id(verdict)]

    def uses(self, verdict: Verdict) -> str:
        """The blocks on which a claim rests, each a link to what is claimed of it. HTML."""
        return _listed(self._block(verdict.construction, name) for name in verdict.uses)

    def used_by(self, verdict: Verdict) -> str:
        """The claims that rest on the block of this one, as links. HTML."""
        users = [
            other
            for other in self.verdicts
            if verdict.block and other.construction == verdict.construction and verdict.block in other.uses
        ]
        return _listed(self._link(other, other.block or other.claim) for other in users)

    def stated_by(self, verdict: Verdict) -> str:
        """The statement that a claim is held to. HTML."""
        return self._statement(verdict.statement) if verdict.statement else ""

    def made_of(self, statement: Cited) -> str:
        """The statements whose formulas one's own is made of. HTML."""
        return _listed(map(self._statement, statement.uses))

    def held_to(self, statement: Cited) -> str:
        """The statements that use one, and the claims that are held to it. HTML."""
        users = [self._statement(one) for one in self.statements.values() if statement in one.uses]
        claims = [one for one in self.verdicts if one.statement == statement]
        return _listed([*users, *(self._link(one, f"claim {self.number(one)}") for one in claims)])

    def statement_place(self, statement: Cited) -> str:
        """The address of a statement."""
        return f"{slug(self.name)}-statement-{[*self.statements].index(statement.name) + 1}"

    def _block(self, construction: str, name: str) -> str:
        found = self._about.get((construction, name))
        return escape(name) if found is None else self._link(found, name)

    def _link(self, verdict: Verdict, text: str) -> str:
        return f"<a href='#{self.place(verdict)}'>{escape(text)}</a>"

    def _statement(self, statement: Cited) -> str:
        return f"<a href='#{self.statement_place(statement)}'>{escape(statement.name)}</a>"


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(texts)
