"""The commands that the how-to pages show run as they stand, in an empty folder with the files that the pages name."""

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


def commands(page: Path) -> list[list[str]]:
    """The words of each command on a page, after its name."""
    lines = "".join(BLOCK.findall(page.read_text(encoding="utf-8"))).splitlines()
    assert all(line.startswith("$ weightwright ") for line in lines)
    return [shlex.split(line, comments=True)[2:] for line in lines]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder but for the example, whose module, if one is made, is forgotten afterwards."""
    shutil.copy(ROOT / "docs" / "examples" / "td0.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("td0", "counts"):
        monkeypatch.setitem(sys.modules, name, None)  # so that what stands there is put back
        del sys.modules[name]
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_commands_run_as_they_stand(page, folder):
    found = commands(page)
    assert found
    for words in found:
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, f"{shlex.join(words)}: {result.output}"
        out = words[words.index("--out") + 1] if "--out" in words else None
        assert out is None or (folder / out).exists()


@pytest.mark.parametrize("page", [*(f"how-to/{name}" for name in OWN), "commands"])
def test_other_commands_have_the_options_that_they_are_shown_with(page):
    found = commands(ROOT / "docs" / f"{page}.md")
    assert found
    for name, *words in found:
        command = COMMANDS[name].loaded(name)
        command.make_parser(Context(command)).parse_args(words)


def test_the_index_names_every_command():
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").partition("lists the commands:")[2]
    group = get_command(app)
    assert sorted(re.findall(r"`(\w+)`", text)) == sorted(group.list_commands(Context(group)))  # type: ignore[attr-defined]
