"""Which tests run a line: coverage's contexts of one run of the suite, and how long each test took in it."""

import ast
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from coverage import CoverageData

from benchmarks.mutants.sample import Mutant, text

DURATION = re.compile(r"^([\d.]+)s (?:setup|call|teardown) +(\S.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Touching:
    """What one run of the suite recorded, made with `--cov=constructions --cov-context=test --durations=0 -vv`.

    Attributes:
        data: coverage's file, with a context for each test.
        log: what pytest printed.
        root: the folder that the run was made in.
    """

    data: Path
    log: Path
    root: Path

    @cached_property
    def seconds(self) -> dict[str, float]:
        """How long each test took, setup included."""
        found: dict[str, float] = {}
        for took, test in DURATION.findall(self.log.read_text(encoding="utf-8", errors="replace")):
            found[test] = found.get(test, 0.0) + float(took)
        return found

    @cached_property
    def lines(self) -> Counter:
        """How many lines each test runs: a guess at how long it takes, where that is not known."""
        return Counter(
            test
            for path in self._data.measured_files()
            for tests in self.tests(str(Path(path).relative_to(self.root))).values()
            for test in tests
        )

    def cost(self, test: str) -> float:
        """Seconds of a test."""
        return self.seconds.get(test, 0.5 + self.lines[test] / 200)

    @cached_property
    def _data(self) -> CoverageData:
        data = CoverageData(str(self.data))
        data.read()
        return data

    @cache  # noqa: B019  one object a run
    def tests(self, path: str) -> dict[int, set[str]]:
        """The tests that run each line of a file."""
        found = self._data.contexts_by_lineno(str(self.root / path))
        return {
            line: {context.rpartition("|")[0] for context in contexts} - {""}
            for line, contexts in found.items()
        }

    def of(self, mutant: Mutant) -> set[str]:
        """The tests that run a mutant's statement; for what runs on import alone, those of the nearest code around it."""
        by_line = self.tests(mutant.path)
        for lines in around(mutant):
            if found := set().union(*(by_line.get(line, set()) for line in lines)):
                return found
        return set()

    def choice(self, mutant: Mutant, budget: float, tried: Collection[str] = ()) -> list[str]:
        """Tests of a mutant that take so many seconds together: cheap ones first, and the more so the more of a file.

        Last come the others of their files: what is built once for several tests is recorded for the first of them.
        """
        files: dict[str, list[tuple[bool, float, str]]] = {}
        touching = self.of(mutant)
        homes = {test.partition("::")[0] for test in touching}
        for test in self.lines:
            if (home := test.partition("::")[0]) in homes:
                files.setdefault(home, []).append((test not in touching, self.cost(test), test))
        ranked = [
            (other, (took + 0.05) * turn, took, test)
            for tests in files.values()
            for turn, (other, took, test) in enumerate(sorted(tests), 1)
        ]
        chosen: list[str] = []
        for *_, took, test in sorted(ranked):
            if test not in tried and (took <= budget or not chosen):
                budget -= took
                chosen.append(test)
        return chosen


def around(mutant: Mutant) -> list[range]:
    """Lines to look for tests of a mutant: its statement, then the function, the class and the file around it."""
    tree = ast.parse(text(mutant.path))
    line = mutant.start[0]
    holding = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and first(node) <= line <= node.end_lineno
    ]
    holding.sort(key=lambda node: node.end_lineno - first(node))
    found = [head(holding[0])] if holding else []
    found += [
        range(node.body[0].lineno, node.end_lineno + 1)
        for node in holding
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return [*found, range(1, len(text(mutant.path).splitlines()) + 1)]


def first(node: ast.stmt) -> int:
    """The first line of a statement, decorators included."""
    return min([node.lineno, *(part.lineno for part in getattr(node, "decorator_list", []))])


def head(node: ast.stmt) -> range:
    """The lines of a statement without the statements in it."""
    inner = getattr(node, "body", None)
    return range(first(node), max(inner[0].lineno, node.lineno + 1) if inner else node.end_lineno + 1)
