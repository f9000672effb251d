"""The map from the paper to the code, drawn from the catalog: theorem, function, test, claim; docs/map.md shows it.

PYTHONPATH=tests/tools:docs/examples python tests/tools/paper_map.py      writes the page anew
"""

import inspect
import re
from pathlib import Path
from typing import Any

import construction_cases
import tiny_cases

from constructions.parts.block import Block
from verify.catalog import CATALOG, Entry, entry_of
from verify.errata import ERRATA, SOURCE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "map.md"

MARKS = {  # how a function stands to the paper, by what its docstring and the errata say; and the errata that it repairs
    "descent.ridge": ("exact",),
    "descent.inverse": ("exact",),
    "product.own_token": ("exact",),
    "copying.combine": ("exact",),
    "copying.times_index": ("exact",),
    "copying.previous_step": ("exact",),
    "interpolation.function": ("repaired", "square-root interpolant"),
    "counting.by_ramps": ("repaired", "constant of count head 5", "values of heads 6 to 10"),
    "theorem.squares": ("repaired", "gate of the squares"),
    "theorem._lookups": ("repaired", "look-up of the rewards"),
    "theorem._selection": ("adapted",),
    "theorem._present": ("repaired", "values of heads 6 to 10"),
    "clipping.between": ("adapted",),
    "maximum.over_groups": ("ours", "maximum over actions"),
    "posterior._combined": ("adapted",),
    "posterior._whitened_by_descent": ("exact",),
    "lines._slopes": ("ours",),
    "lines._lines": ("ours",),
    "bernoulli._counts": ("adapted",),
}
MEANING = """- **exact**: what the paper's proof builds, head by head
- **adapted**: the same idea for other registers, another function or in other layers
- **repaired**: the paper's with an erratum repaired, which is named
- **ours**: another proof, in the docstring of the function or its module"""
HEAD = """# From the paper to the code

Each block of each construction in the catalog: where the paper has it, the function that makes its weights, tests that name
that function, and where its claims are measured. Every block is also probed on every history of an audit, and held to the
laws of `tests/laws/test_construction_laws.py`. `tests/tools/paper_map.py` draws this page.

"""


def maker(block: Block) -> tuple[str, str]:
    """Module and name of the function that made a block."""
    name = block.truth.__qualname__.partition(".<locals>")[0]
    module: Any = inspect.getmodule(block.truth)
    return module.__name__, name


def mark(entry: Entry, block: Block) -> tuple[str, ...]:
    """How a block stands to the paper, and the errata that it repairs.

    Raises:
        KeyError: if nobody has said so of its function: give it a row in MARKS.
    """
    module, name = maker(block)
    short = f"{module.rpartition('.')[2]}.{name}"
    if "ours" in block.source or entry.said().source != SOURCE:
        return ("ours",)
    return MARKS[short]


def tests(module: str, name: str) -> list[str]:
    """Tests that name a function, or its primitive's laws."""
    word = re.compile(rf"\b{module.rpartition('.')[2]}\.{name.rpartition('.')[2]}\b")
    found = [path for path in sorted((ROOT / "tests").rglob("*.py")) if word.search(path.read_text("utf-8"))]
    names = [path.relative_to(ROOT).as_posix() for path in found]
    laws = ["tests/laws/test_laws.py"] * ("tests/tools/primitive_cases.py" in names)
    return [*dict.fromkeys([*laws, *(name for name in names if "/tools/" not in name)])]


def rows(entry: Entry) -> list[str]:
    """The table's rows of one row of the catalog."""
    cases = [case for case in construction_cases.CASES if case.entry is entry]
    built = [case.built for case in cases]
    built += [case.built() for case in tiny_cases.CASES.values() if entry_of(case.spec) is entry]
    blocks: dict[tuple, list[str]] = {}
    for block in (block for one in built for block in one.blocks):
        blocks.setdefault((block.source, *maker(block), mark(entry, block)), []).append(block.name)
    errata = {erratum.name: erratum.name[0].upper() + erratum.name[1:] for erratum in ERRATA}
    claims = entry.claims.partition(":")[0] if isinstance(entry.claims, str) else "verify.claims.general"
    found = []
    for (source, module, name, (kind, *names)), own in sorted(blocks.items()):
        link = [f"[{errata[one]}](errata.md#{one.replace(' ', '-')})" for one in names]
        shown = ", ".join(f"`{test}`" for test in tests(module, name)[:2]) or "by the construction's laws"
        cells = (source, ", ".join(dict.fromkeys(own)), f"`{_file(module)}`: {name.lstrip('_')}", shown)
        found.append(
            " | ".join(("", *map(_cell, cells), f"`{_file(claims)}`", ", ".join([kind, *link]), "")).strip()
        )
    return found


def _file(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def drawn() -> str:
    """The page."""
    parts = [HEAD + MEANING]
    for entry in CATALOG.values():
        table = ["| where | blocks | weights | tests | claims | |", "|---" * 6 + "|", *rows(entry)]
        parts.append("\n".join([f"## {entry.title}", "", *table]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(drawn(), encoding="utf-8")
