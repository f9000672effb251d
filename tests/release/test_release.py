"""What a release holds: a source archive, and the wheel that is made from it."""

import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from typer.testing import CliRunner

import constructions
from verify.cli.commands import app

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]
LEFT = ignore_patterns(
    ".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "build", "dist", "reports"
)


def make(kind: str, source: Path, to: Path) -> Path:
    """A source archive or a wheel, with the setuptools at hand; its path."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(to)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [path] = to.glob({"sdist": "*.tar.gz", "wheel": "*.whl"}[kind])
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The unpacked source archive of the files at hand."""
    folder = tmp_path_factory.mktemp("sdist")
    copytree(ROOT, folder / "tree", ignore=LEFT)
    with tarfile.open(make("sdist", folder / "tree", folder)) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"weightwright-{VERSION}"


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    """The wheel that the source archive gives."""
    return make("wheel", source, tmp_path_factory.mktemp("wheel"))


def files(folder: Path, *parts: str) -> set[str]:
    """All files of some parts of a tree, but what Python, Hypothesis and Jupyter leave behind."""
    found = (path for part in parts for path in (folder / part).rglob("*") if path.is_file())
    names = {path.relative_to(folder) for path in found}
    left = {"__pycache__", ".hypothesis", ".ipynb_checkpoints"}
    return {name.as_posix() for name in names if not left & {*name.parts}}


def test_the_source_archive_holds_what_the_tests_need(source):
    parts = ("constructions", "verify", "tests", "docs", "notebooks", "benchmarks")
    assert files(source, *parts) == files(ROOT, *parts)
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "pyproject.toml"):
        assert (source / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_wheel_holds_the_two_packages_the_module_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == files(ROOT, "constructions", "verify") | {"weightwright.py"}
    assert {"constructions/py.typed", "verify/py.typed"} <= names
    assert any(fnmatch(name, "verify/models/*.safetensors") for name in names)


def test_the_wheel_says_what_it_is(wheel):
    archive, about = zipfile.ZipFile(wheel), f"weightwright-{VERSION}.dist-info"
    told = archive.read(f"{about}/METADATA").decode()
    assert f"\nVersion: {VERSION}\n" in told
    assert "\nLicense-Expression: MIT\n" in told
    assert "# Weightwright" in told
    assert archive.read(f"{about}/entry_points.txt").decode().split() == [
        "[console_scripts]",
        "weightwright",
        "=",
        "verify.__main__:main",
    ]


def test_the_version_has_one_source():
    assert constructions.__version__ in (VERSION, "0+unknown")
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"weightwright {constructions.__version__}\n")


@pytest.mark.nightly
def test_it_works_from_where_it_is_installed(wheel, tmp_path):
    """In an environment of its own, which borrows what it depends on, away from the checkout."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"

    def run(*words) -> str:
        done = subprocess.run(
            [*map(str, words)], cwd=tmp_path, capture_output=True, text=True, env={"PATH": ""}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    run(python, "-m", "pip", "install", "--no-index", "--no-deps", wheel)
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    place = run(python, "-c", "import constructions, verify; print(constructions.__file__, verify.__file__)")
    assert place.count(str(site)) == 2
    command = python.with_name("weightwright")
    assert run(command, "--version") == f"weightwright {VERSION}\n"
    assert "verify" in run(command, "--help")
    assert '"confirmed": true' in run(command, "errata", "--json")
    code = "from verify.training import train; print(train.load('dpt-bernoulli').recipe.actions)"
    assert run(python, "-c", code) == "5\n"
