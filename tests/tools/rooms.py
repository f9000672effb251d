"""The house: which room may use which, one table for both packages, and its map, which docs/code.md shows.

python tests/tools/rooms.py      writes the map into docs/code.md
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("constructions", "verify")
DOORS = "constructions.plain constructions.checks constructions.limits"
"""What converts and refuses input; it knows no algorithm."""

ROOMS = {  # a room: the rooms that it may use; * for all above it in this table
    "constructions.plain": "",
    "constructions.files": "constructions.plain",
    "constructions.limits": "constructions.plain",
    "constructions.checks": "constructions.plain",
    "constructions.transformer": "",
    "constructions.softmax": "constructions.transformer constructions.files",
    "constructions.sizes": "constructions.transformer",
    "constructions.history": "constructions.checks constructions.files constructions.plain",
    "constructions.fast": "constructions.plain constructions.transformer constructions.softmax",
    "constructions.tapes": "constructions.transformer constructions.fast",
    "constructions.rounding": "constructions.checks",
    "constructions.parts": f"{DOORS} constructions.transformer constructions.softmax constructions.rounding",
    "constructions.anatomy": "constructions.transformer constructions.sizes constructions.parts",
    "constructions.primitives": f"{DOORS} constructions.rounding constructions.parts",
    "constructions.inputs": f"{DOORS} constructions.history constructions.rounding constructions.parts "
    "constructions.primitives",
    "constructions": "*",  # files of the root that have no row: what is built, how it runs, is kept and shown
    "constructions.language": "*",
    "constructions.linucb": "*",
    "constructions.thompson": "*",
    "constructions.ucbvi": "*",
    "constructions.games": "*",
    "constructions.prediction": "*",
    "verify.theorems": "",
    "verify.environments": DOORS,
    "verify.algorithms": f"{DOORS} constructions.history",
    "verify.histories": "constructions*",
    "verify.play": "constructions* verify.environments verify.algorithms",
    "verify.balls": "constructions* verify.algorithms",
    "verify.audit": "constructions* verify.algorithms verify.histories verify.balls",
    "verify.imports": "constructions.plain",
    "verify.lines": "constructions* verify.algorithms",
    "verify.entry": "*",
    "verify.catalog": "*",
    "verify.certificate": "*",
    "verify.sweeps": "*",
    "verify.errata": "*",
    "verify.training": "*",
    "verify.comparison": "*",
    "verify.probes": "*",
    "verify.claims": "*",
    "verify.show": "*",
    "verify.inspector": "*",
    "verify.cli": "*",
    "verify": "*",
}
NEVER = {  # of what a * would allow
    "constructions.linucb": "constructions.thompson constructions.ucbvi",
    "constructions.thompson": "constructions.linucb constructions.ucbvi",
    "constructions.ucbvi": "constructions.linucb constructions.thompson",
    "constructions.games": "constructions.linucb constructions.thompson constructions.ucbvi",
    "constructions.prediction": "constructions.linucb constructions.thompson constructions.ucbvi constructions.games",
    "verify.training": "verify.audit verify.balls verify.errata verify.sweeps",
}

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path): path for path in FILES}


def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports by dots"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] in PACKAGES and name != "constructions.__version__":
                found.add(name if name in MODULES else name.rpartition(".")[0])
    return found - {module(path)}


def room(name: str) -> str:
    """The row of the table with the longest name that a module lies in."""
    if name in ROOMS:
        return name
    parent = ".".join(name.split(".")[:2])
    return parent if parent in ROOMS else name.split(".")[0]


def allowed(ours: str) -> set[str]:
    """The rooms that one room may use."""
    rows = list(ROOMS)
    words = ROOMS[ours].split()
    everything = (
        {row for row in rows if row.startswith("constructions")} if "constructions*" in words else set()
    )
    above = set(rows[: rows.index(ours)]) if "*" in words else set()
    return (everything | above | set(words) - {"*", "constructions*"} | {ours}) - set(
        NEVER.get(ours, "").split()
    )


def files(ours: str) -> list[str]:
    """The files of a room, without the rooms inside it."""
    names = [name for name in MODULES if room(name) == ours and name not in (ours, *PACKAGES)]
    return [name.rpartition(".")[2] for name in names if not name.endswith("__main__")]


def drawn() -> str:
    """A row a room: its files, and the first line of what its package says of itself."""
    rows = []
    for package in PACKAGES:
        ours = [name for name in ROOMS if name.startswith(package)]
        alone = [name for name in ours if MODULES[name].name != "__init__.py"]
        rows += (
            [f"{package}/", f"    {', '.join(name.rpartition('.')[2] for name in alone)}"]
            if alone
            else [f"{package}/"]
        )
        for name in ours:
            if name in alone or not (inside := ", ".join(files(name))):
                continue
            if name == package:
                rows.append(f"    {inside}")
                continue
            says = ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8"))).split("\n")[0]
            rows += [f"    {name.rpartition('.')[2] + '/':<15}{says.rstrip('.')}", f"    {'':<15}{inside}"]
    return "\n".join(rows)


MAP = re.compile(r"(?<=<!-- tests/tools/rooms.py draws this map -->\n```\n).*?(?=\n```\n)", re.DOTALL)

if __name__ == "__main__":
    page = ROOT / "docs" / "code.md"
    page.write_text(MAP.sub(lambda _: drawn(), page.read_text(encoding="utf-8")), encoding="utf-8")
