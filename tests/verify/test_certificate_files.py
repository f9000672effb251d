"""Certificates as files: the checker accepts every construction, needs nothing of ours, and refuses what was tampered."""

import ast
import copy
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from construction_cases import CASES
from typer.testing import CliRunner

from verify.catalog import CATALOG
from verify.certificate import check_certificate as checker
from verify.certificate import export
from verify.cli.commands import app

BY_NAME = {case.name: case for case in CASES}
BY_DAY = ("linucb newton interpolation", "hedge", "ucbvi narrow")
CHECKER = Path(checker.__file__)
LARGE = ("ucbvi theorem",)
"""Where literal matrices take seconds a history."""
FACTORS = (-1.0, 0.5, 0.999, 1.001, 2.0)
SEEN = 1e-6
"""What changes by more is a change; the oracle here evaluates in float64."""


@cache
def written(name: str, histories: int = 2) -> str:
    case = BY_NAME[name]
    built = case.entry.build(case.spec)
    record = export.certificate(case.entry, built, export.chosen(case.entry, built, histories, 12))
    return json.dumps(record, default=float)


def cases(*day: str):
    return [name if name in day else pytest.param(name, marks=pytest.mark.nightly) for name in BY_NAME]


def test_every_row_of_the_catalog_is_tried():
    assert {case.entry.name for case in CASES} >= set(CATALOG)


@pytest.mark.parametrize("name", cases(*BY_DAY))
def test_the_checker_accepts_every_construction(name):
    record = json.loads(written(name))
    found, worst = checker.check(record)
    built = BY_NAME[name].entry.build(BY_NAME[name].spec)
    assert max(worst) <= built.certificate + 1e-25
    assert {key for key, (known, _) in found.items() if not known} == set(record["trusted"])
    size = built.size()
    assert record["sizes"] | {"norm": 0} == {
        "layers": size.layers,
        "heads": size.heads,
        "width": size.width,
        "hidden": size.hidden,
        "norm": 0,
    }


def test_errors_are_carried_by_weights_and_gates_by_sizes():
    """What is derived for LinUCB by descent: all but the lemmas' own errors, the square root, and sizes."""
    record = json.loads(written("linucb chebyshev"))
    trusted = {key.partition(": ")[2].split()[0] for key in record["trusted"]}
    assert trusted == {"own", "carried", "size"}
    assert [key for key in record["trusted"] if key.endswith(": carried")] == ["width √(a_kᵀA⁻¹a_k): carried"]


def test_the_checker_imports_numpy_and_flint_alone():
    imported = set()
    for node in ast.walk(ast.parse(CHECKER.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == {"numpy", "flint"}
    assert len(CHECKER.read_text(encoding="utf-8").splitlines()) <= 300


def test_it_runs_away_from_the_checkout(tmp_path):
    (tmp_path / "check.py").write_bytes(CHECKER.read_bytes())
    record = json.loads(written("hedge"))
    for name, layers in (("good.json", 1), ("bad.json", 2)):
        record["sizes"]["layers"] = layers
        (tmp_path / name).write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "none.json").write_text("[]", encoding="utf-8")

    def run(name: str):
        words = [sys.executable, "-I", "check.py", name]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env={})

    good, *others = (run(name) for name in ("good.json", "bad.json", "none.json", "nothing.json"))
    assert (good.returncode, good.stderr) == (0, "")
    assert "trusted" in good.stdout
    for refused in others:
        assert (refused.returncode, refused.stderr) == (1, "")
        assert refused.stdout.startswith("refused: ")
        assert refused.stdout.count("\n") == 1


# ---------------------------------------------------------------- tampering


def matrix(entries, rows: int, columns: int) -> np.ndarray:
    found = np.zeros((rows, columns))
    for row, column, weight in entries:
        found[row, column] = float.fromhex(weight)
    return found


def dense(record: dict) -> list[tuple]:
    width = record["sizes"]["width"]
    return [
        (
            [[matrix(part, width, width) for part in head] for head in layer["heads"]],
            matrix(layer["W1"], layer["neurons"], width),
            matrix(layer["W2"], width, layer["neurons"]),
        )
        for layer in record["layers"]
    ]


def said(record: dict) -> tuple[float, list[np.ndarray]]:
    """The norm, and what is computed on the histories: the definitions in float64, on literal matrices."""
    norm, layers = 0.0, dense(record)
    for heads, first, second in layers:
        norms = [[np.linalg.norm(part, 2) for part in head] for head in heads]
        scores = max((max(q, k) for q, k, _ in norms), default=0.0)
        own = [np.linalg.norm(part, 2) if part.size else 0.0 for part in (first, second)]
        norm = max(norm, scores + sum(v for *_, v in norms) + sum(own))
    found = []
    for told in record["histories"]:
        now = np.array([[float.fromhex(x) for x in row] for row in told["tokens"]])
        count = len(now)
        mask = np.tril(np.ones((count, count))) / np.arange(1, count + 1)[:, None]
        for (heads, first, second), layer in zip(layers, record["layers"], strict=True):
            for _ in range(layer["repeat"]):
                moved = now.copy()
                for q, k, v in heads:
                    scores = now @ q.T @ k @ now.T
                    shares = mask * np.maximum(scores, 0)
                    if layer["attention"] == "softmax":
                        seen = np.where(mask > 0, scores, -np.inf)
                        powers = np.exp(seen - seen.max(1, keepdims=True))
                        shares = powers / powers.sum(1, keepdims=True)
                    moved += shares @ now @ v.T
                now = moved + np.maximum(moved @ first.T, 0) @ second.T
        places = [record["registers"][name] for name in record["statement"]["output"]]
        entries = np.concatenate([np.arange(start, start + size) for start, size in places])
        output = now[np.ix_(told["states"], entries)]
        if record["statement"]["of"] == "log-probabilities":
            output = output - np.log(np.exp(output - output.max(1, keepdims=True)).sum(1, keepdims=True))
            output = output - output.max(1, keepdims=True)
        found.append(output)
    return norm, found


def changed(before: tuple, after: tuple) -> bool:
    """Whether a size or an output is another one, by the oracle here."""
    apart = max(float(abs(x - y).max()) for x, y in zip(before[1], after[1], strict=True))
    return not apart <= SEEN or not abs(before[0] - after[0]) <= SEEN * before[0]


def refused(record: dict) -> bool:
    try:
        checker.check(record)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return True
    return False


def weights(record: dict) -> list[list]:
    """Every weight, as the entry (row, column, weight) that it stands in."""
    parts = [part for layer in record["layers"] for head in layer["heads"] for part in head]
    parts += [layer[name] for layer in record["layers"] for name in ("W1", "W2")]
    return [entry for part in parts for entry in part]


def tampered(record: dict, number: int, factor: float) -> dict:
    other = copy.deepcopy(record)
    entry = weights(other)[number]
    entry[2] = (float.fromhex(entry[2]) * factor).hex()
    return other


@pytest.mark.parametrize("name", cases("linucb newton interpolation", "hedge"))
def test_every_change_of_a_weight_that_shows_is_refused(name, request):
    """By the oracle in float64: all that change a size, or what is computed on the file's histories."""
    record, generator = json.loads(written(name, 1 if name in LARGE else 3)), np.random.default_rng(0)
    nightly = request.node.get_closest_marker("nightly") is not None
    before, count, shown = said(record), len(weights(record)), 0
    for number in generator.permutation(count)[: 120 if nightly else 40]:
        other = tampered(record, int(number), float(generator.choice(FACTORS)))
        if changed(before, said(other)):
            shown += 1
            assert refused(other), (number, weights(record)[number], weights(other)[number])
    assert shown >= min(20, count // 3)


def bounds(record: dict):
    """Places of the numbers that the checker holds to one another: sizes, totals, the certificate where it is derived."""
    yield from (("sizes", name) for name in record["sizes"])
    for n, block in enumerate(record["blocks"]):
        for part in ("own", "carried", "total"):
            if float.fromhex(block[part]):
                yield ("blocks", n, part)
    if "certificate" not in record["trusted"]:
        yield ("statement", "certificate")


@pytest.mark.parametrize("name", cases(*BY_DAY))
@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_every_change_of_a_size_or_a_bound_is_refused(name, factor):
    record = json.loads(written(name, 1))
    for place in bounds(record):
        other = copy.deepcopy(record)
        *path, last = place
        inner = other
        for step in path:
            inner = inner[step]
        old = inner[last]
        changed = (float.fromhex(old) * factor).hex() if isinstance(old, str) else old + (factor > 1 or -1)
        inner[last] = changed
        if changed != old:
            assert refused(other), (place, old, changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["trusted"].pop(),
        lambda record: record["registers"].update(position=[0, 3]),
        lambda record: record["blocks"][-1]["reads"].clear(),
        lambda record: record["blocks"][1]["writes"].append(record["blocks"][0]["writes"][0]),
        lambda record: next(b for b in record["blocks"] if b["gates"])["gates"][0].__setitem__(2, "0x1p99"),
        lambda record: record["layers"][0].update(repeat=2),
        lambda record: record["layers"][0]["heads"].pop(),
        lambda record: record["histories"][0]["output"][0].__setitem__(0, "-1"),
        lambda record: record["histories"][0]["truth"][0].__setitem__(0, "-9"),
        lambda record: record["statement"].update(asked="0x0.1p-9"),
        lambda record: record.update(clip_radius="0x1p3"),
        lambda record: record["layers"][0].update(attention="softmax"),
        lambda record: record["blocks"][0].update(magnitude="0x1p200"),
        lambda record: record.update(format="another"),
    ],
)
def test_other_lies_are_refused(change):
    record = json.loads(written("linucb newton interpolation"))
    change(record)
    assert refused(record)


# ---------------------------------------------------------------- the command


def test_the_command_writes_what_the_checker_accepts(tmp_path):
    path = tmp_path / "new" / "hedge.json"
    words = ["export-certificate", "hedge", "--set", "actions=2", "--set", "horizon=3", "--out", str(path)]
    result = CliRunner().invoke(app, [*words, "--histories", "1"])
    assert result.exit_code == 0, result.output
    assert f"{CHECKER} {path}" in result.stdout.replace("\n", "")
    assert checker.main(path) == 0
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert told["certificate"] == str(path)
    assert told["trusted"] == json.loads(path.read_text(encoding="utf-8"))["trusted"]


def test_weights_that_promise_nothing_are_not_exported():
    case = BY_NAME["hedge"]
    built = case.entry.build(case.spec)
    next(iter(built.transformer.parameters())).data.mul_(2)
    with pytest.raises(ValueError, match="wanted the weights that the specification builds"):
        export.certificate(case.entry, built, [])
