"""The catalog: every row is whole, and a row of one's own is found by file, module or installed package."""

import json
import re
import subprocess
import sys
import types
from dataclasses import fields, replace

import numpy as np
import pytest
from shape_types import unenforced
from typer.testing import CliRunner

import constructions
import weightwright
from verify import audit, catalog
from verify.catalog import CATALOG, Entry, entry_of, named
from verify.cli import commands as cli
from verify.inspector.replay import example

ROW = """
import soft_ucb1
from verify.catalog import Entry
from verify.histories import bernoulli

ENTRY = Entry(
    "soft ucb1", "Soft UCB1", soft_ucb1.Spec, soft_ucb1.build, soft_ucb1.true_log_probabilities, bernoulli,
    example={"actions": 2, "horizon": 5},
)
"""
SMALL = {
    "linucb": {"dim": 2, "actions": 3, "horizon": 4, "error": 0.1, "solver": "newton"},
    "thompson": {"dim": 2, "actions": 2, "horizon": 4, "error": 0.05, "solver": "newton", "separation": 0.05},
    "bernoulli": {"actions": 3, "horizon": 6, "error": 0.1},
    "ucbvi": {"states": 2, "actions": 2, "horizon": 2, "episodes": 3, "exploration": 0.03, "form": "narrow"},
    "softmax-ucbvi": {"states": 2, "actions": 2, "horizon": 2, "episodes": 3, "exploration": 0.03},
    "softmax-linucb": {"dim": 2, "actions": 2, "horizon": 5, "error": 0.05},
    "softmax-thompson": {"dim": 2, "actions": 2, "horizon": 5, "error": 0.05, "separation": 0.05},
    "hedge": {"actions": 3, "horizon": 6},
    "exp3": {"actions": 3, "horizon": 6},
    "forgetting": {"dim": 2, "actions": 3, "horizon": 6, "error": 0.1, "window": 2},
    "lasso": {"dim": 2, "horizon": 6, "iterations": 3},
    "ridge": {"dim": 2, "horizon": 6, "error": 1e-2},
    "validated-ridge": {"dim": 2, "horizon": 6, "training": 2, "penalties": (0.5, 2.0)},
    "binary-test": {"horizon": 6},
    "td": {"features": 2, "horizon": 6, "sweeps": 3},
}


@pytest.mark.parametrize("name", [name for name in CATALOG if CATALOG[name].environment])
def test_a_row_s_player_plays_its_environment_and_the_built_transformer_keeps_its_certificate(name):
    entry = CATALOG[name]
    assert entry.name == name
    assert {*entry.example} <= {field.name for field in fields(entry.spec)}
    built = entry.build(entry.spec(**SMALL[name]))
    history, where = example(built, entry)
    assert isinstance(history, entry.seen)
    assert history.steps == built.tokens.decisions
    assert where.startswith(entry.played)
    assert entry_of(built.spec) is entry
    error = built.guarantee.errors(entry.truth(built.spec, history), built.said(built.outputs([history])[0]))
    assert error.max() <= built.allowed
    enclosed = audit.enclose(built, entry.balls, history, [history.steps - 1])
    assert enclosed.holds
    found = audit.search(built, entry.truth, 10, source=entry.histories)
    assert found.score <= 1


def test_a_row_that_plays_nothing_keeps_its_certificate_on_the_search_s_histories():
    rows = [entry for entry in CATALOG.values() if entry.environment is None]
    for entry in rows:
        built = entry.build(entry.spec(**SMALL[entry.name]))
        assert built.guarantee.of == "values"
        assert entry_of(built.spec) is entry
        found = audit.search(built, entry.truth, 10, source=entry.histories)
        assert found.score <= 1
        assert audit.enclose(built, entry.balls, found.outline.history(built.spec)).holds
        history, where = example(built, entry)
        assert history.steps == built.tokens.decisions
        assert where.startswith("A history of the search: ")
        true = entry.truth(built.spec, history)
        others = [
            entry.truth(built.spec, one.history(built.spec)) for one in entry.histories.battery(built.spec)
        ]
        assert np.ptp(true) == max(np.ptp(one) for one in others) > 0
        assert built.guarantee.errors(true, built.said(built.outputs([history])[0])).max() <= built.allowed
    assert [entry.name for entry in rows] == ["td", "lasso", "ridge", "validated-ridge", "binary-test"]


def test_what_is_somewhere_else_is_there():
    for entry in CATALOG.values():
        for what in ("claims", "grid", "words"):
            assert getattr(entry, what) is None or entry.found(what) is not None
    assert sum(entry.claims is not None for entry in CATALOG.values()) == 14


def test_a_row_of_one_s_own_is_found_by_file_and_by_module(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(ROW)
    found = named(str(tmp_path / "theirs.py"))
    assert found.name == "soft ucb1"
    assert named("theirs:ENTRY") is found  # imported by now
    again = named(str(tmp_path / "theirs.py"))
    assert again is found
    shown = CliRunner().invoke(cli.app, ["inspect", str(tmp_path / "theirs.py")])
    assert shown.exit_code == 0
    assert "Soft UCB1" in shown.stdout
    point = types.SimpleNamespace(name="installed", load=lambda: found)
    monkeypatch.setattr(catalog, "entry_points", lambda group: [point])
    assert named("installed") is found


def test_its_construction_is_certified_from_a_file(tmp_path):
    (tmp_path / "ours.py").write_text(ROW)
    entry = named(str(tmp_path / "ours.py"))
    history, where = example(entry.build(entry.main), entry)
    assert history.steps == 5
    assert where.startswith("A history of the search: path ")
    assert audit.search(entry.build(entry.main), entry.truth, 10, source=entry.histories).score <= 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "construction: wanted one of linucb, .*, FILE.py or module:ENTRY, got nobody"),
        ("nowhere.py", "construction: wanted a file, got nowhere.py"),
        ("no_such_module:ENTRY", "wanted a module that can be imported, got No module named"),
        ("json:dumps", "json:dumps: wanted an Entry, .*, got function"),
        ("json:nothing", "json:nothing: wanted an Entry, .*, got none"),
    ],
)
def test_what_is_no_row_is_refused_in_a_line(name, message):
    with pytest.raises(ValueError, match=message):
        named(name)


def test_a_file_that_is_named_like_a_module_is_refused(tmp_path):
    (tmp_path / "json.py").write_text(ROW)
    with pytest.raises(ValueError, match="wanted a file whose name is no module's"):
        named(str(tmp_path / "json.py"))


def test_a_spec_of_no_row_is_refused():
    with pytest.raises(ValueError, match=r"spec: wanted one of constructions.linucb.spec.Spec, .*, got int"):
        entry_of(3)


def test_a_wrong_truth_in_a_row_is_seen():
    entry = CATALOG["ucbvi"]
    built = entry.build(entry.spec(**SMALL["ucbvi"]))
    wrong = replace(entry, truth=lambda spec, history: entry.truth(spec, history)[:, ::-1])
    assert audit.search(built, wrong.truth, 10, source=wrong.histories).score > 1


def test_the_module_weightwright_has_what_it_says_and_brings_no_torch():
    assert weightwright.linucb.Spec is CATALOG["linucb"].spec
    assert weightwright.Entry is Entry
    assert weightwright.audit is audit
    assert weightwright.load is constructions.load
    with pytest.raises(AttributeError, match=r"weightwright has Entry, .*, not nothing"):
        weightwright.nothing  # noqa: B018
    code = "import sys, weightwright; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
    shown = subprocess.run(
        [sys.executable, "-m", "weightwright", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("weightwright ")
    assert np.isfinite(CATALOG["linucb"].main.error)


def test_any_specification_is_audited_from_the_command_line(tmp_path):
    (tmp_path / "spec.toml").write_text('dim = 2\nactions = 3\nhorizon = 4\nsolver = "gd"\n')
    words = ["verify", "linucb", "--spec", str(tmp_path / "spec.toml"), "--set", "solver=newton"]
    words += [
        "--set",
        "error=0.1",
        "--histories",
        "40",
        "--mutants",
        "2",
        "--json",
        "--out",
        str(tmp_path / "out"),
    ]
    shown = CliRunner().invoke(cli.app, words)
    assert shown.exit_code == 0, shown.output
    [record] = json.loads(shown.stdout).values()
    assert (record["spec"]["solver"], record["spec"]["horizon"], record["spec"]["error"]) == (
        "newton",
        4,
        0.1,
    )
    [main, *_] = record["verdicts"]
    assert 0 < main["measured"] <= main["certified"] <= main["stated"] == 0.1
    assert 0 < main["enclosed"] <= main["certified"]
    objected = [
        one for one in record["verdicts"] if one["claim"].endswith("worst error over what is allowed")
    ]
    assert len(objected) >= 4
    assert {block["block"] for block in record["blocks"]} >= {"A⁻¹ by Newton", "logits"}
    assert "--set solver=newton" in record["made"]["command"]
    assert "Soft LinUCB" in (tmp_path / "out" / "index.html").read_text()


def test_a_stranger_s_row_is_audited_from_the_command_line_and_a_wrong_one_fails(tmp_path):
    told = 'Words("UCB1", "It is said to hold.", captions={"slack": "There is room."})'
    more = f"from dataclasses import replace\nfrom verify.audit import Words\nENTRY = replace(ENTRY, words={told})\n"
    (tmp_path / "right.py").write_text(ROW + more)
    (tmp_path / "wrong.py").write_text(
        ROW + "from dataclasses import replace\n"
        "def backwards(spec, history):\n    return soft_ucb1.true_log_probabilities(spec, history)[:, ::-1]\n"
        "ENTRY = replace(ENTRY, truth=backwards)\n"
    )
    words = ["--set", "horizon=8", "--histories", "20", "--mutants", "0"]
    out = ["--out", str(tmp_path / "out")]
    assert CliRunner().invoke(cli.app, ["verify", str(tmp_path / "right.py"), *words, *out]).exit_code == 0
    page = (tmp_path / "out" / "index.html").read_text()
    for text in (">UCB1</a>", "It is said to hold.", "There is room."):
        assert text in page
    assert CliRunner().invoke(cli.app, ["verify", str(tmp_path / "wrong.py"), *words]).exit_code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "colour=3"], "linucb: wanted fields of dim, actions, .*, got colour"),
        (["--set", "colour"], "--set: wanted FIELD=VALUE, got colour"),
        (["--set", "dim=0"], "dim: wanted an integer >= 1, got 0"),
        (["--set", "solver=adam"], "solver: wanted 'gd' or .*, got 'adam'"),
        (["--spec", "nowhere.toml"], "nowhere.toml: wanted a specification in TOML"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_what_is_no_specification_is_refused_in_a_line(command, words, message):
    with unenforced():
        shown = CliRunner().invoke(cli.app, [command, "linucb", *words])
    assert shown.exit_code
    assert re.search(message, str(shown.exception))
