"""A random sample of mutants: places in the code, each with one of cosmic-ray's changes."""

import ast
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

BITS = ("LShift", "RShift", "BitAnd", "BitOr", "BitXor", "Invert", "Is", "IsNot")
"""What arithmetic and comparisons are not changed to: on floats a type error, which anything catches."""

Position = tuple[int, int]  # line from 1, column from 0


@dataclass(frozen=True)
class Mutant:
    """One change to one file.

    Attributes:
        path: the file, from the root of the project.
        start: where the change begins.
        end: where it ends.
        operator: cosmic-ray's name for it.
        occurrence: which of the operator's occurrences in the file it is.
    """

    path: str
    start: Position
    end: Position
    operator: str
    occurrence: int

    @property
    def name(self) -> str:
        """Unique, and readable."""
        kind = self.operator.removeprefix("core/")
        return f"{self.path}:{self.start[0]}:{self.start[1]} {kind} {self.occurrence}"

    def source(self) -> str:
        """The whole file, changed."""
        return mutate_code(text(self.path), get_operator(self.operator)(), self.occurrence)

    def change(self) -> tuple[str, str]:
        """The first line that differs, before and after."""
        before, after = text(self.path).splitlines(), self.source().splitlines()
        if len(before) != len(after):
            return before[self.start[0] - 1].strip(), ""
        return next((a.strip(), b.strip()) for a, b in zip(before, after, strict=True) if a != b)


@cache
def text(path: str) -> str:
    """A file as it is."""
    return Path(path).read_text(encoding="utf-8")


def operators() -> list[str]:
    """Those that need no arguments, but for changes to what only integers have."""
    return [
        name
        for name in operator_names()
        if not get_operator(name).arguments() and not name.endswith(tuple("_" + bits for bits in BITS))
    ]


def all_mutants(path: str) -> Iterator[Mutant]:
    """Every mutant of a file."""
    nodes = list(ast_nodes(get_ast(text(path))))
    for name in operators():
        operator = get_operator(name)()
        found = (span for node in nodes for span in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(found):
            yield Mutant(path, start, end, name, occurrence)


@cache
def left_out(path: str) -> list[tuple[Position, Position, str]]:
    """Stretches of a file in which a change does not matter, and why."""
    lines = text(path).splitlines()
    found = []

    def leave(node: ast.expr | ast.stmt | None, reason: str) -> None:
        if node is not None:  # columns of ast count bytes
            start = len(lines[node.lineno - 1].encode()[: node.col_offset].decode())
            end = len(lines[node.end_lineno - 1].encode()[: node.end_col_offset].decode())
            found.append(((node.lineno, start), (node.end_lineno, end), reason))

    for node in ast.walk(ast.parse(text(path))):
        match node:
            case ast.ClassDef(bases=bases) if "Protocol" in map(ast.unparse, bases):
                leave(node, "stub of a Protocol")
            case ast.FunctionDef(name="__repr__" | "_repr_html_"):
                leave(node, "text of a repr")
            case ast.Raise():
                leave(node, "text of an error")
        if isinstance(node, ast.FunctionDef):
            leave(node.returns, "annotation")
        elif isinstance(node, ast.arg | ast.AnnAssign):
            leave(node.annotation, "annotation")
    return found


def reason(mutant: Mutant) -> str | None:
    """Why a mutant is left out, if it is."""
    held = left_out(mutant.path)
    return next((why for start, end, why in held if start <= mutant.start and mutant.end <= end), None)


def draw(folder: str, count: int, seed: int) -> tuple[list[Mutant], Counter]:
    """At most so many mutants of the files of a folder, and how many places there are: in all, and left out by reason.

    A place is a stretch of code and a kind of change. Places are drawn with equal chances, and one change at each: an
    operator that may become six others counts once. What does not compile is no mutant.
    """
    places: dict[tuple, list[Mutant]] = {}
    counts = Counter()
    for path in sorted(Path(folder).rglob("*.py")):
        for mutant in all_mutants(str(path)):
            kind = mutant.operator.partition("_")[0]
            places.setdefault((mutant.path, mutant.start, mutant.end, kind), []).append(mutant)
    kept = []
    for choices in places.values():
        why = reason(choices[0])
        counts[why or "kept"] += 1
        if why is None:
            kept.append(choices)
    generator = random.Random(seed)
    drawn = [generator.choice(choices) for choices in generator.sample(kept, min(count, len(kept)))]
    sample = [mutant for mutant in drawn if compiles(mutant)]
    counts["drawn, but does not compile"] = len(drawn) - len(sample)
    return sample, counts


def compiles(mutant: Mutant) -> bool:
    """Whether the changed file is Python."""
    try:
        compile(mutant.source(), mutant.path, "exec")
    except SyntaxError:
        return False
    return True
