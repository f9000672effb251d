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


SMALL = ["--set", "actions=2", "--set", "horizon=4"]
STORY = f"""
import constructions, verify, weightwright
from typer.testing import CliRunner
from verify.cli.commands import app
from verify.training import train

def told(*words):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (words, result.output)
    return result.output

weightwright.linucb.build(weightwright.linucb.Spec(dim=2, actions=2, horizon=3, error=0.1)).save("built.safetensors")
assert weightwright.load("built.safetensors").certificate <= 0.1
told("new", "mine")
told("inspect", "mine.py")
told("inspect", "hedge", *{SMALL}, "--out", "page.html")
told("export-certificate", "hedge", *{SMALL}, "--histories", "1", "--out", "hedge.json")
told("verify", "hedge", *{SMALL}, "--histories", "2", "--mutants", "0", "--out", "reports")
assert train.load("dpt-bernoulli").recipe.actions == 5
print(constructions.__file__, verify.__file__, weightwright.__file__, sep="\\n")
"""
"""What a first user does, and all that reads files beside the code: pages, templates, trained weights."""


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Python of an environment of its own with the wheel in it, which borrows what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env")
    python = folder / "env" / "bin" / "python"
    words = ["-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel]
    run(folder, sys.executable, *words)
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = Path(run(folder, python, "-c", code).strip())
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return python


def run(folder: Path, *words) -> str:
    """What a command prints, away from the checkout."""
    done = subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_works_from_where_it_is_installed(installed, tmp_path):
    places = run(tmp_path, installed, "-W", "ignore", "-c", STORY).split()
    assert len(places) == 3
    assert all(Path(place).is_relative_to(installed.parents[1]) for place in places)
    for name in ("page.html", "reports/index.html", "reports/hedge/report.json", "test_mine.py"):
        assert (tmp_path / name).stat().st_size > 100
    [checker] = installed.parents[1].rglob("check_certificate.py")
    assert "trusted" in run(tmp_path, installed, "-I", checker, "hedge.json")


@pytest.mark.nightly
def test_its_commands_are_there(installed, tmp_path):
    command = installed.with_name("weightwright")
    assert '"confirmed": true' in run(tmp_path, command, "errata", "--json")
    assert run(tmp_path, command, "--version") == f"weightwright {VERSION}\n"
    assert "verify" in run(tmp_path, command, "--help")
    assert "verify" in run(tmp_path, installed, "-m", "weightwright", "--help")
