"""Runs tests on a mutant, in a fork of a process that has imported what takes long: that costs seconds, not half a minute.

Functions of loaded modules get the changed code in the fork, which is exact for lines that importing the packages does not
run. For all others the fork is made before the packages are imported, and imports them changed.
"""

import gc
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import jaxtyping
import pytest

from benchmarks.mutants.sample import Mutant, text
from benchmarks.mutants.touching import around

HEAVY = (
    "scipy.stats",
    "scipy.optimize",
    "torch",
    "hypothesis",
    "sympy",
    "matplotlib.figure",
    "flint",
    "typer",
    "rich",
)
MEMORY = 8 * 2**30
OPTIONS = "-x -q --no-header --tb=no --doctest-modules --doctest-glob=README.md --doctest-glob=docs/*.md"
PLUGINS = "cacheprovider xdist nbmake pytest_cov jaxtyping"


@dataclass(frozen=True)
class Outcome:
    """What became of some tests.

    Attributes:
        kind: "passed", "failed", "out of time", or "broken" if pytest ran none of them.
        test: the one that failed.
        why: its error.
        seconds: of the processor.
        times: seconds that each test took.
    """

    kind: str
    test: str
    why: str
    seconds: float
    times: dict[str, float] = field(default_factory=dict)

    @property
    def caught(self) -> bool:
        """Whether the tests noticed."""
        return self.kind in ("failed", "out of time")


def modules() -> Iterable[str]:
    """Every module of the two packages."""
    for package in ("constructions", "verify"):
        for path in sorted(Path(package).rglob("*.py")):
            if path.stem != "__main__":
                yield module_of(path)


def import_packages() -> None:
    """With the shapes of every annotation enforced, as in the test suite."""
    for name in modules():
        importlib.import_module(name)


def forked(act: Callable[[Path], Any], seconds: float) -> tuple[Any, int, float]:
    """What a function writes to a file as JSON, in a fork with so much of the processor; its status and seconds used."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                nothing = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(nothing, stream)
                act(told)
            finally:
                os._exit(0)
        until = time.monotonic() + 20 * seconds + 60  # processors may be shared; this is for what sleeps
        while not (done := os.wait4(pid, os.WNOHANG))[0]:
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what it started
        _, status, used = done
        found = json.loads(told.read_text(encoding="utf-8")) if told.exists() else None
        return found, status, used.ru_utime + used.ru_stime


class Noted:
    """A plugin of pytest that keeps the first failure, and how long tests took."""

    failure = ("", "")

    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def pytest_runtest_logreport(self, report) -> None:
        """Of a test."""
        self.times[report.nodeid] = round(self.times.get(report.nodeid, 0.0) + report.duration, 2)
        self.note(report)

    def pytest_collectreport(self, report) -> None:
        """Of a file that could not be imported."""
        self.note(report)

    def note(self, report) -> None:
        """If it is one."""
        if report.failed and not self.failure[0]:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = crash.message if crash else str(report.longrepr).strip().splitlines()[-1]
            self.failure = (report.nodeid, why.splitlines()[0][:160] if why else "")


class Judge:
    """Warm, and ready to run tests on mutants."""

    def __init__(self) -> None:
        for name in HEAVY:
            importlib.import_module(name)
        sys.path[:0] = [str(Path.cwd() / name) for name in ("", "tests/tools", "docs/examples")]
        jaxtyping.install_import_hook(["constructions", "verify"], "shape_types.enforce")
        found, _, _ = forked(self._import_under_coverage, 600)
        self.imported = {path: set(lines) for path, lines in found.items()}
        self.functions: dict[str, list[FunctionType]] = {}

    def _import_under_coverage(self, told: Path) -> None:
        measured = coverage.Coverage(data_file=None, source=["constructions"])
        measured.start()
        import_packages()
        measured.stop()
        data = measured.get_data()
        files = {str(Path(f).relative_to(Path.cwd())): data.lines(f) for f in data.measured_files()}
        told.write_text(json.dumps(files), encoding="utf-8")

    def on_import(self, mutant: Mutant) -> bool:
        """Whether importing the packages runs the statement."""
        return bool(self.imported.get(mutant.path, set()) & set(around(mutant)[0]))

    def load(self) -> None:
        """Import the packages for good: from now on only what does not run on import can be judged."""
        import_packages()
        for function in [thing for thing in gc.get_objects() if isinstance(thing, FunctionType)]:
            self.functions.setdefault(function.__code__.co_filename, []).append(function)
        gc.freeze()

    def run(self, mutant: Mutant | None, tests: list[str], seconds: float) -> Outcome:
        """Tests on a mutant, or on the code as it is."""

        def act(told: Path) -> None:
            if mutant is not None and self.functions:
                self.patch(mutant)
            elif mutant is not None:
                shadow(mutant)
                try:  # before pytest, which reads files that are named to it by itself
                    importlib.import_module(module_of(mutant.path))
                except Exception as error:
                    told.write_text(json.dumps([1, "import", repr(error)[:160], {}]), encoding="utf-8")
                    return
            noted = Noted()
            options = [*OPTIONS.split(), *(f"-pno:{name}" for name in PLUGINS.split())]
            code = pytest.main(["-c", "pyproject.toml", "-o", "addopts=", *options, *tests], plugins=[noted])
            told.write_text(json.dumps([int(code), *noted.failure, noted.times]), encoding="utf-8")

        found, status, used = forked(act, seconds)
        if found is None:
            late = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
            return Outcome("out of time" if late else "broken", "", f"status {status}", used)
        code, test, why, times = found
        kind = {0: "passed"}.get(code, "failed" if test else "broken")
        return Outcome(
            kind, test, why if kind != "broken" else why or f"pytest ended with {code}", used, times
        )

    def patch(self, mutant: Mutant) -> None:
        """Give the functions of a loaded file their changed code."""
        path = str(Path.cwd() / mutant.path)
        loader = sys.modules[module_of(mutant.path)].__spec__.loader
        codes = [
            by_place(loader.source_to_code(source.encode(), path))
            for source in (text(mutant.path), mutant.source())
        ]
        changed = 0
        for function in self.functions[path]:
            place = (function.__code__.co_qualname, function.__code__.co_firstlineno)
            before, after = (code.get(place, []) for code in codes)
            if before != after:
                [function.__code__] = after
                changed += 1
        if not changed:
            raise ValueError(f"{mutant.name}: wanted a function to change, got none")


def module_of(path: str | Path) -> str:
    """The name of a file's module."""
    return ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")


def by_place(code: CodeType) -> dict[tuple[str, int], list[CodeType]]:
    """All functions of a file by name and line."""
    found: dict[tuple[str, int], list[CodeType]] = {}
    for part in code.co_consts:
        if isinstance(part, CodeType):
            found.setdefault((part.co_qualname, part.co_firstlineno), []).append(part)
            for place, codes in by_place(part).items():
                found.setdefault(place, []).extend(codes)
    return found


def shadow(mutant: Mutant) -> None:
    """Let importing find the changed file in place of the file."""
    path, source, read = str(Path.cwd() / mutant.path), mutant.source().encode(), SourceFileLoader.get_data

    def get_data(loader: SourceFileLoader, name: str) -> bytes:
        if "__pycache__" in name and loader.path == path:
            raise FileNotFoundError(name)
        return source if name == path else read(loader, name)

    SourceFileLoader.get_data = get_data
    SourceFileLoader.set_data = lambda *_, **__: None
