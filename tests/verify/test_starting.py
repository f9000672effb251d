"""The command new: its files build, verify and keep the laws in an empty folder; a wrong algorithm is not passed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verify.cli.commands import app

ROOT = Path(__file__).parents[2]


def command(*words: str, name: str, folder: Path):
    """The command in an empty folder, by NAME.py."""
    return CliRunner().invoke(app, [words[0], str(folder / f"{name}.py"), *words[1:]], catch_exceptions=False)


def outcome(folder: Path, name: str) -> str:
    """What pytest says of the test that was written."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{name}.py"]
    more = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | more,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout


def test_a_first_file_builds_verifies_and_passes_its_own_test(tmp_path):
    made = CliRunner().invoke(app, ["new", "tallies", "--out", str(tmp_path), "--json"])
    assert [Path(path).name for path in json.loads(made.stdout)] == ["tallies.py", "test_tallies.py"]
    statements = [line for line in (tmp_path / "test_tallies.py").read_text().splitlines()[1:] if line]
    assert len(statements) == 3
    verified = command(
        "verify", "--json", "--histories", "40", "--mutants", "2", name="tallies", folder=tmp_path
    )
    assert verified.exit_code == 0, verified.output
    shown = command("inspect", name="tallies", folder=tmp_path)
    assert "Counts of plays" in shown.stdout
    assert "9 passed" in outcome(tmp_path, "tallies")


def test_a_first_file_whose_algorithm_is_another_fails_both(tmp_path):
    CliRunner().invoke(app, ["new", "miscounts", "--out", str(tmp_path)])
    path = tmp_path / "miscounts.py"
    path.write_text(path.read_text().replace("history.actions[:done]", "history.actions[: max(done - 1, 0)]"))
    verified = command(
        "verify", "--json", "--histories", "40", "--mutants", "0", name="miscounts", folder=tmp_path
    )
    assert verified.exit_code == 1
    assert "FAILED test_miscounts.py::test_laws[miscounts error]" in outcome(tmp_path, "miscounts")


@pytest.mark.parametrize(
    ("name", "message"), [("two words", "wanted a word that Python can import"), ("class", "wanted a word")]
)
def test_what_is_no_name_is_refused(name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        CliRunner().invoke(app, ["new", name, "--out", str(tmp_path)], catch_exceptions=False)


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "test_mine.py").write_text("kept")
    with pytest.raises(ValueError, match=r"test_mine\.py: wanted no such file yet"):
        CliRunner().invoke(app, ["new", "mine", "--out", str(tmp_path)], catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]
    assert (tmp_path / "test_mine.py").read_text() == "kept"
