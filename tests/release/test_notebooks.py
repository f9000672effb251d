"""The notebooks as they are stored: run, without a trace of where, and importing only. `make test` runs them again."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 200_000
PLACES = re.compile(
    r"(?<![\w.:/])/(?:tmp|home|root|usr|opt|work|var|Users|private)/|[A-Z]:\\\\|site-packages"
)
"""Absolute paths of some machine."""
LONGEST = 2
"""Lines of a function; more belongs into the package."""


def problems(notebook: dict) -> list[str]:
    """All that is wrong with a notebook as it is stored."""
    found, code = [], [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    numbers = [cell["execution_count"] for cell in code]
    if numbers != list(range(1, len(code) + 1)):
        found.append(f"not run from top to bottom: {numbers}")
    outputs = [output for cell in code for output in cell["outputs"]]
    if not any(
        "image/png" in output.get("data", {}) or "text/html" in output.get("data", {}) for output in outputs
    ):
        found.append("shows nothing")
    for output in outputs:
        if output["output_type"] == "error":
            found.append(f"an error is stored: {output['ename']}")
        if output.get("name") == "stderr":
            found.append(f"a warning is stored: {''.join(output['text'])[:80]}")
    if place := PLACES.search(without_images(notebook)):
        found.append(f"an absolute path is stored: {place.group()}")
    if set(notebook["metadata"]) - {"kernelspec", "language_info"}:
        found.append(f"metadata: {sorted(notebook['metadata'])}")
    if notebook["metadata"]["kernelspec"]["name"] != "python3":
        found.append(f"a kernel of one's own: {notebook['metadata']['kernelspec']['name']}")
    return found + [each for cell in code for each in logic("".join(cell["source"]))]


def logic(source: str) -> list[str]:
    """Functions of more than a line or two, classes and loops: what belongs into the package."""
    lines = [line for line in source.splitlines() if not line.startswith("%")]
    found = []
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (node.end_lineno or 0) - node.lineno + 1 > LONGEST:
                found.append(f"defines the function {node.name}")
        elif isinstance(node, ast.ClassDef):
            found.append(f"defines the class {node.name}")
        elif isinstance(node, ast.For | ast.While | ast.Try | ast.If):
            found.append(f"has logic of its own: {type(node).__name__} in {lines[node.lineno - 1]!r}")
    return found


def without_images(notebook: dict) -> str:
    """All text of a notebook; what is left out is base64, where anything may stand."""
    cells = [
        cell | {"outputs": [_text(output) for output in cell["outputs"]]} if "outputs" in cell else cell
        for cell in notebook["cells"]
    ]
    return json.dumps(notebook | {"cells": cells})


def _text(output: dict) -> dict:
    data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
    return output | {"data": data}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_is_stored_as_it_should_be(path):
    assert not problems(json.loads(path.read_text(encoding="utf-8")))
    assert path.stat().st_size <= MOST_BYTES


def test_the_readme_names_every_notebook():
    named = re.findall(r"\]\((notebooks/\S+\.ipynb)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert named == [path.relative_to(ROOT).as_posix() for path in PATHS]


FINE = {
    "cells": [
        {"cell_type": "markdown", "source": ["As in a/tmp/b, see https://example.org/home/x"]},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "1 + 1"],
            "execution_count": 1,
            "outputs": [
                {"output_type": "execute_result", "data": {"text/html": ["2"], "image/png": "/tmp/"}}
            ],
        },
    ],
    "metadata": {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}},
}


def test_nothing_is_wrong_with_a_fine_one():
    assert not problems(FINE)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"execution_count": None}, "not run"),
        ({"execution_count": 7}, "not run"),
        ({"outputs": []}, "shows nothing"),
        (
            {"outputs": [*FINE["cells"][1]["outputs"], {"output_type": "error", "ename": "KeyError"}]},
            "an error",
        ),
        (
            {
                "outputs": [
                    *FINE["cells"][1]["outputs"],
                    {"output_type": "stream", "name": "stderr", "text": "x"},
                ]
            },
            "a warning",
        ),
        (
            {"outputs": [{"output_type": "stream", "name": "stdout", "text": ["/home/a/b.py"]}]},
            "absolute path",
        ),
        ({"source": ["open('/tmp/x')"]}, "absolute path"),
        ({"source": ["def f(x):\n", "    y = x\n", "    return y"]}, "the function f"),
        ({"source": ["class A:\n", "    x = 1"]}, "the class A"),
        ({"source": ["for x in range(3):\n", "    print(x)"]}, "logic of its own: For"),
    ],
)
def test_what_is_wrong_is_told(change, told):
    cells = [FINE["cells"][0], FINE["cells"][1] | change]
    assert any(told in each for each in problems(FINE | {"cells": cells}))


def test_metadata_of_a_machine_are_told():
    for metadata in ({"kernelspec": {"name": "mine"}}, FINE["metadata"] | {"widgets": {}}):
        assert problems(FINE | {"metadata": metadata})
