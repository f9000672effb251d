"""The command weightwright new: a first file of one's own, which builds, verifies and has a test."""

import json
import keyword
from pathlib import Path
from typing import Annotated

import typer

from constructions import files
from verify.cli.options import Json

TEMPLATE = Path(__file__).with_name("first.txt")
TEST = '''"""The laws of every construction, a test a law; run by: python -m pytest test_NAME.py."""

from NAME import ENTRY

from verify.audit import laws

test_laws = laws.every(ENTRY)
'''


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the construction: a word of Python.")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.py and test_NAME.py.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a first file of one's own, which builds, and its test.

    Then: weightwright verify NAME.py, inspect NAME.py, plot NAME.py --figure horizon.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"name: wanted a word that Python can import, got {name!r}")
    written = {
        out / f"{name}.py": TEMPLATE.read_text(encoding="utf-8"),
        out / f"test_{name}.py": TEST,
    }
    for path in written:
        if path.exists():
            raise files.refusal(path, "no such file yet", "one")
    for path, text in written.items():
        files.write(path, text.replace("NAME", name))
    print(json.dumps(list(map(str, written))) if as_json else "\n".join(map(str, written)))
