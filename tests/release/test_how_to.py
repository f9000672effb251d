"""The commands that the how-to pages show run as they stand, in an empty folder with the files that the pages name.

One that is to fail says so: `# exit status 1`.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from click import Context
from typer.main import get_command
from typer.testing import CliRunner

from verify.cli.commands import COMMANDS, app

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OWN = ("compare-your-model", "your-own-history")
"""Pages whose commands take files of the reader; their code runs as doctests."""
SLOW = ("draw-figures",)
"""Pages whose commands take a minute; by day tests/verify/test_figures.py draws the same figures."""
PAGES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.nightly] * (path.stem in SLOW))
    for path in sorted((ROOT / "docs" / "how-to").glob("*.md"))
    if path.stem not in OWN
]


def commands(page: Path) -> list[tuple[list[str], int]]:
    """The words of each command on a page, after its name, and its exit status."""
    lines = "".join(BLOCK.findall(page.read_text(encoding="utf-8"))).splitlines()
    assert all(line.startswith("$ weightwright ") for line in lines)
    return [(shlex.split(line, comments=True)[2:], int("# exit status 1" in line)) for line in lines]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder but for the examples, whose modules, if they are made, are forgotten afterwards."""
    examples = list((ROOT / "docs" / "examples").glob("*.py"))
    for path in examples:
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("counts", *(path.stem for path in examples)):
        monkeypatch.setitem(sys.modules, name, None)  # so that what stands there is put back
        del sys.modules[name]
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_commands_run_as_they_stand(page, folder):
    found = commands(page)
    assert found
    for words, status in found:
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == status, f"{shlex.join(words)}: {result.output}"
        assert ("fails on the history" in result.output) == bool(status)
        out = words[words.index("--out") + 1] if "--out" in words else None
        assert out is None or (folder / out).exists()


@pytest.mark.parametrize("page", [*(f"how-to/{name}" for name in OWN), "commands"])
def test_other_commands_have_the_options_that_they_are_shown_with(page):
    found = commands(ROOT / "docs" / f"{page}.md")
    assert found
    for (name, *words), _ in found:
        command = COMMANDS[name].loaded(name)
        command.make_parser(Context(command)).parse_args(words)


def test_the_index_names_every_command():
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").partition("lists the commands:")[2]
    group = get_command(app)
    assert sorted(re.findall(r"`([\w-]+)`", text)) == sorted(group.list_commands(Context(group)))  # type: ignore[attr-defined]
