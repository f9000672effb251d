"""A file imports only from floors below its own, as CONTRIBUTING and the architecture have it."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("constructions", "verify")
FLOORS = (
    {"plain", "files"},
    {"limits", "transformer", "history", "checks", "outward", "sparsity"},
    {"stream"},
    {"links"},
    {"block"},
    {"primitives"},
    {
        "assemble",
        "tokens",
        "ridge_problem",
        "episode_tokens",
        "chunks",
        "own_token",
        "matrices",
        "identities",
        "neurons",
        "pruning",
        "evaluate",
        "rewrite",
        "activations",
        "seal",
        "saving",
        "showing",
        "decoding",
        "construction",
    },
    {"linucb", "thompson", "ucbvi"},
)
WITHIN = [
    "plain",
    "limits",
    "checks",
    "history",
    "chunks",
    "own_token",
    "pruning",
    "matrices",
    "identities",
    "neurons",
    "evaluate",
    "rewrite",
    "activations",
    "seal",
    "saving",
    "showing",
    "decoding",
    "construction",
]  # two floors, each in this order
STAIRS = {  # within one floor
    "linucb": ({"spec"}, {"widths"}, {"by_descent"}, {"by_newton"}, {"__init__"}),
    "ucbvi": ({"spec"}, {"theorem"}, {"loop"}, {"slim", "narrow"}, {"__init__"}),
    "thompson": (
        {"spec", "quadrature"},
        {"posterior", "bernoulli_plan"},
        {"by_newton", "nodes", "bernoulli", "printed"},
        {"two_arms", "algebra"},
        {"lines", "sampling"},
        {"__init__"},
    ),
}
DOORS = ("constructions.checks", "constructions.limits", "constructions.plain")
"""What converts and refuses input; it knows no algorithm."""
HISTORIES = tuple(f"constructions.history.{name}" for name in ("BanditHistory", "EpisodeHistory", "within"))
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names of everything of ours that a file imports, wherever in the file."""
    found, package = set(), path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(
                [*package[: len(package) - node.level + 1], node.module or ""]
                if node.level
                else [node.module]
            )
            found |= {f"{base.rstrip('.')}.{alias.name}" for alias in node.names}
    found -= {f"{package}.__version__" for package in PACKAGES}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def part(name: str) -> str:
    """The file or folder of constructions that a dotted name belongs to: the second word."""
    return name.split(".")[1]


def stair(package: str, name: str) -> int:
    """Where a file of a construction's package stands in it."""
    found = [number for number, names in enumerate(STAIRS[package]) if name in names]
    assert found, f"{package}.{name} has no stair"
    return found[0]


@pytest.mark.parametrize(
    "path", [f for f in FILES if f.is_relative_to(ROOT / "constructions")], ids=lambda f: f.stem
)
def test_constructions_import_from_floors_below(path):
    ours, inside = path.relative_to(ROOT / "constructions").with_suffix("").parts, imports(path)
    assert not {name for name in inside if name.startswith("verify")}
    if ours == ("__init__",):
        assert inside <= {"constructions.saving"}
        return
    assert ours[0] in FLOOR, f"{path.name} has no floor"
    for name in inside:
        below = FLOOR[part(name)] < FLOOR[ours[0]]
        beside = ours[0] in WITHIN and part(name) in WITHIN[: WITHIN.index(ours[0])]
        beside |= ours[0] in ("construction", "decoding") and part(name) in ("assemble", "tokens")
        beside |= ours[0] in ("episode_tokens", "ridge_problem") and part(name) == "tokens"
        beside |= ours[0] == part(name) == "primitives"  # the next test says which
        if ours[0] == part(name) in STAIRS:
            beside |= stair(ours[0], name.split(".")[2]) < stair(*ours)
        assert below or beside, f"{path.name} imports {name}"


MEASURES = ("schedules", "interpolation", "stored")
"""What weights in float64 leave of an iteration, or of a curve; each may use those before it, and all primitives them."""


def test_primitives_do_not_import_one_another():
    for path in (ROOT / "constructions" / "primitives").glob("*.py"):
        before = MEASURES[: MEASURES.index(path.stem)] if path.stem in MEASURES else MEASURES
        others = {name.split(".")[2] for name in imports(path) if part(name) == "primitives"}
        assert others <= set(before), path.name


def test_theorems_import_nothing_of_ours():
    for path in (ROOT / "verify" / "theorems").glob("*.py"):
        foreign = {name for name in imports(path) if not name.startswith("verify.theorems")}
        assert not foreign, f"{path.name} imports {foreign}"


def test_environments_stand_on_the_ground():
    """They and the drawing of random numbers know nothing of constructions but their doors, of algorithms or audits."""
    assert not imports(ROOT / "verify" / "sampling.py")
    for path in (ROOT / "verify" / "environments").glob("*.py"):
        allowed = ("verify.environments.", "verify.sampling.", *DOORS)
        foreign = {name for name in imports(path) if not name.startswith(allowed)}
        assert not foreign, f"{path.name} imports {foreign}"


def test_the_true_algorithms_know_nothing_of_the_constructions():
    """Only the history and the doors, so that the two sides of every comparison stay independent."""
    for path in (ROOT / "verify" / "algorithms").glob("*.py"):
        allowed = ("verify.algorithms.", *HISTORIES, *DOORS)
        foreign = {name for name in imports(path) if not name.startswith(allowed)}
        assert not foreign, f"{path.name} imports {foreign}"


def test_no_module_is_named_like_one_of_the_standard_library():
    for path in [*FILES, *(ROOT / "tests").glob("*.py")]:
        names = {path.stem, *path.relative_to(ROOT).parent.parts}
        assert not names & sys.stdlib_module_names, path
