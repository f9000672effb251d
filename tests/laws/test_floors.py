"""A file imports only from its own room or from rooms above it in the table of rooms.py; docs/code.md shows that table."""

import ast
import sys

import pytest
from rooms import FILES, MAP, MODULES, PACKAGES, ROOMS, ROOT, allowed, drawn, imports, room


@pytest.mark.parametrize("name", MODULES)
def test_files_import_from_rooms_below(name):
    for used in imports(MODULES[name]):
        assert room(used) in allowed(room(name)), f"{name} imports {used}"


def test_a_room_uses_only_rooms_above_it_in_the_table():
    rows = list(ROOMS)
    for ours in ROOMS:
        for used in allowed(ours) - {ours}:
            assert rows.index(used) < rows.index(ours), f"{ours} may use {used}"


def test_the_map_of_the_docs_is_that_of_the_code():
    """To draw it anew: python tests/tools/rooms.py."""
    assert MAP.findall((ROOT / "docs" / "code.md").read_text(encoding="utf-8")) == [drawn()]


def test_no_two_files_import_one_another():
    """Neither directly nor by way of others: every room has an order too."""
    uses = {name: imports(path) - set(PACKAGES) for name, path in MODULES.items()}
    while uses:
        ready = {name for name, used in uses.items() if not used & set(uses)}
        assert ready, f"in circles: {sorted(uses)}"
        uses = {name: used for name, used in uses.items() if name not in ready}


MEASURES = ("interpolation", "stored")
"""What weights in float64 leave of a curve; each may use those before it, and all primitives them."""


def test_primitives_do_not_import_one_another():
    inside = "constructions.primitives."
    for path in (ROOT / "constructions" / "primitives").glob("*.py"):
        before = MEASURES[: MEASURES.index(path.stem)] if path.stem in MEASURES else MEASURES
        others = {name.removeprefix(inside) for name in imports(path) if name.startswith(inside)}
        assert others <= set(before), path.name


def test_the_true_algorithms_know_of_constructions_only_what_a_history_is():
    """So that the two sides of every comparison stay independent."""
    for path in (ROOT / "verify" / "algorithms").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "constructions.history":
                assert {alias.name for alias in node.names} <= {"BanditHistory", "EpisodeHistory", "within"}


@pytest.mark.parametrize(
    "folder", [f for p in PACKAGES for f in [ROOT / p, *(ROOT / p).rglob("*/")]], ids=str
)
def test_no_folder_has_more_than_fifteen_files(folder):
    assert len(list(folder.glob("*.py"))) <= 15


def test_no_module_is_named_like_one_of_the_standard_library():
    for path in [*FILES, *(ROOT / "tests").rglob("*.py")]:
        names = {path.stem, *path.relative_to(ROOT).parent.parts}
        assert not names & sys.stdlib_module_names, path
