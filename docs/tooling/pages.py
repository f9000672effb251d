"""What the site adds to docs/*.md: pages that live elsewhere, code that is shown from its file, and formulas as MathML.

MkDocs calls the functions named `on_…`. Nothing here imports MkDocs before it is called, so that tests can use the rest.
"""

import ast
import re
from html import unescape
from pathlib import Path

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages of the site and the files that hold them; the cards of the models come on top."""

CODE = re.compile(r"^<!-- code: (\S+) (.+) -->$", re.MULTILINE)
"""Stands for the source of some functions and classes of a file: `<!-- code: docs/examples/x.py build Spec -->`."""

FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL
)  # as pymdownx.arithmatex leaves them

FUNCTION = re.compile(r"\\(log|ln)\s*(?=[A-Za-z]|\\(?!,|big|Big|left))")
"""A logarithm without brackets, after which MathML leaves no room of its own."""


def elsewhere() -> dict[str, Path]:
    """Every page that is not a file of docs/."""
    cards = sorted((ROOT / "verify" / "models").glob("*.md"))
    return {page: ROOT / name for page, name in ELSEWHERE.items()} | {f"models/{x.name}": x for x in cards}


def source(path: str, names: list[str]) -> str:
    """The source of some top-level functions and classes of a file; `imports` stands for its imports.

    Raises:
        ValueError: for a name that the file does not define.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    found: dict[str, list[str]] = {"imports": []}
    for node in ast.parse(text).body:
        first = min([node.lineno, *(part.lineno for part in getattr(node, "decorator_list", []))])
        lines = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
        if isinstance(node, ast.Import | ast.ImportFrom):
            found["imports"].append(lines)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = [lines]
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{path}: wanted one of {', '.join(found)}, got {', '.join(missing)}")
    return "\n\n\n".join("\n".join(found[name]) for name in names)


def with_code(markdown: str) -> str:
    """A page with the code it stands for."""
    return CODE.sub(lambda match: f"```python\n{source(match[1], match[2].split())}\n```", markdown)


def mathml(page: str) -> str:
    """A page's formulas as MathML, which browsers show without scripts or fonts."""
    from latex2mathml.converter import convert

    def one(match: re.Match) -> str:
        display = "block" if match[1] == "div" else "inline"
        return convert(FUNCTION.sub(r"\\\1\\,", unescape(match[2])), display=display)

    return FORMULA.sub(one, page)


def on_files(files, config):
    """Add the pages that live elsewhere."""
    from mkdocs.structure.files import File

    for page, path in elsewhere().items():
        files.append(File.generated(config, page, content=path.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown, page, config, files):
    """Put in the code."""
    return with_code(markdown)


def on_page_content(html, page, config, files):
    """Turn formulas into MathML."""
    return mathml(html)
