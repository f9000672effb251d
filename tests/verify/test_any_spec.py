"""The commands at any specification: a report, or one clear line.

Specifications are drawn from the fields of a row's class, their types and their examples, admissible or not.
"""

import json
import types
import typing
from dataclasses import fields

import numpy as np
import pytest
from shape_types import unenforced
from typer.testing import CliRunner

from verify.catalog import CATALOG, Entry
from verify.cli.commands import app

LARGEST = {"horizon": 12, "nodes": 16, "seed": 9}
"""Integers that may be more than 4: to be tried in numbers, specifications are small."""


def drawn(entry: Entry, chance: np.random.Generator) -> list[str]:
    """--set FIELD=VALUE for all fields without a default and some of the others."""
    hints, words = typing.get_type_hints(entry.spec), []
    for field in fields(entry.spec):
        if field.name in entry.example or chance.random() < 0.4:
            words += ["--set", f"{field.name}={_value(field.name, hints[field.name], chance)}"]
    return words


def _value(name: str, hint: typing.Any, chance: np.random.Generator) -> str:
    """A value of a type as TOML, now and then one that no specification admits."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        return str(chance.choice(typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        return str(sorted((10 ** chance.uniform(-2, 1, len(typing.get_args(hint)))).tolist()))
    if chance.random() < 0.03:
        return str(chance.choice(["0", "-1", "nan", "many"]))
    if hint is int:
        return str(chance.integers(1, LARGEST.get(name, 4), endpoint=True))
    if hint is float:
        return str(10 ** chance.uniform(-3, 1))
    raise TypeError(f"{name}: no way to draw {hint}")


def outcome(name: str, words: list[str]) -> str:
    """`report`, or the line of a refusal; anything else fails."""
    command = ["verify", name, *words, "--quick", "--json", "--histories", "20", "--mutants", "1"]
    with unenforced():
        result = CliRunner().invoke(app, command)
    if isinstance(result.exception, ValueError):
        line = str(result.exception)
        assert "wanted" in line, (command, line)
        assert "\n" not in line
        assert len(line) < 400
        return line
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    [report] = json.loads(result.stdout).values()
    failed = [one["claim"] for one in report["verdicts"] if not one["holds"]]
    assert result.exit_code == bool(failed), command
    assert not failed, (command, failed)
    return "report"


@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(n, marks=pytest.mark.nightly) for n in range(2, 50))]
)
def test_a_random_specification_is_audited_or_refused_in_one_line(name, seed):
    outcome(name, drawn(CATALOG[name], np.random.default_rng([seed, *name.encode()])))
