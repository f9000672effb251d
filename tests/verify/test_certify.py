"""Histories as files, and the command that encloses errors on them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_cases import CASES
from typer.testing import CliRunner

from constructions.history import BanditHistory, EpisodeHistory, load_history
from verify import audit
from verify.balls import linear
from verify.catalog import CATALOG
from verify.cli import commands as cli

NAMES = ["linucb newton", "thompson sampling", "thompson bernoulli", "ucbvi narrow"]


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_history_comes_back(name, tmp_path):
    history = CASES[name].history(1)
    history.save(tmp_path / "new" / "one.npz")
    again = load_history(tmp_path / "new" / "one.npz")
    assert type(again) is type(history)
    for field, value in vars(history).items():
        np.testing.assert_array_equal(vars(again)[field], value)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.npz"]


@pytest.mark.parametrize(
    "history",
    [
        BanditHistory(np.ones((2, 2, 1)), [0], [0.5]),
        EpisodeHistory([0, 1], actions=[0], rewards=[0.5], horizon=2),
    ],
)
def test_a_damaged_file_is_one_short_line(history, tmp_path):
    path = tmp_path / "history.npz"
    history.save(path)
    whole, generator = path.read_bytes(), np.random.default_rng(0)
    damaged = [b"", b"nothing of ours", whole[:-9], whole[: len(whole) // 2]]
    for place in generator.integers(len(whole), size=150):
        damaged.append(
            whole[:place] + bytes([whole[place] ^ 1 << int(generator.integers(8))]) + whole[place + 1 :]
        )
    messages = []
    for data in damaged:
        path.write_bytes(data)
        try:
            load_history(path)  # a bit of a date or a name may not matter
        except ValueError as error:
            messages.append(str(error))
    assert all("wanted a history written by `save`, got" in message for message in messages)
    assert max(map(len, messages)) <= 300
    assert "\n" not in "".join(messages)
    assert len(messages) > 50


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"states": [0]}, "got ValueError: format 'None'"),
        ({"format": "weightwright history 1", "contexts": [[[np.nan]]]}, "got TypeError"),
        (
            {"format": "weightwright history 1", "contexts": [[[np.nan]]], "actions": [], "rewards": []},
            "got ValueError: contexts: wanted finite numbers",
        ),
        (
            {"format": "weightwright history 1", "states": [0], "actions": [], "rewards": [], "horizon": 1.5},
            "got ValueError: horizon: wanted an integer",
        ),
        ({"format": np.array([{}], dtype=object)}, "allow_pickle=False"),
    ],
)
def test_a_file_that_holds_no_history_is_refused(fields, said, tmp_path):
    np.savez(tmp_path / "odd.npz", **fields)
    with pytest.raises(ValueError, match="wanted a history written by `save`, got") as refused:
        load_history(tmp_path / "odd.npz")
    assert said in str(refused.value)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two histories and a construction as files; the name linucb stands for a small one."""
    case = CASES["linucb newton"]
    monkeypatch.setitem(CATALOG, "linucb", replace(CATALOG["linucb"], main=case.spec))
    for seed in range(2):
        case.history(seed).save(tmp_path / f"{seed}.npz")
    case.built().save(tmp_path / "built.safetensors")
    return tmp_path


def certify(*words):
    return CliRunner().invoke(cli.app, ["certify", *map(str, words)])


def test_it_prints_what_is_enclosed(files):
    case = CASES["linucb newton"]
    shown = certify(files / "0.npz", files / "1.npz", "--of", "linucb", "--json", "--out", files / "out")
    assert shown.exit_code == 0
    records = json.loads(shown.stdout)
    assert records == json.loads((files / "out" / "certify.json").read_text())
    for seed, record in enumerate(records):
        found = audit.enclose(case.built(), linear.linucb, case.history(seed))
        assert record == {"file": str(files / f"{seed}.npz"), "steps": 5, "stated": 0.1} | found.record()
    table = certify(files / "0.npz", "--of", files / "built.safetensors", "--last", "2")
    assert table.exit_code == 0
    assert "enclosed" in table.stdout
    assert "holds" in table.stdout


def test_a_certificate_that_is_exceeded_fails(files, monkeypatch):
    wrong = lambda *asked: linear.linucb(*asked)[:, ::-1]  # noqa: E731
    monkeypatch.setitem(CATALOG, "linucb", replace(CATALOG["linucb"], balls=wrong))
    shown = certify(files / "0.npz", "--of", "linucb")
    assert shown.exit_code == 1
    assert "FAILS" in shown.stdout


def test_what_cannot_be_certified_is_told(files):
    EpisodeHistory([0], [], [], 1).save(files / "episodes.npz")
    BanditHistory(np.ones((2, 2, 1)), [0], [0.5]).save(files / "other.npz")
    for words, said in (
        ((files / "0.npz", "--of", "ucbvi"), "wanted EpisodeHistory, got BanditHistory"),
        ((files / "episodes.npz", "--of", "linucb"), "wanted BanditHistory, got EpisodeHistory"),
        ((files / "other.npz", "--of", "linucb"), "contexts: wanted 3 actions of dimension 2"),
        (
            (files / "0.npz", "--of", "nobody"),
            f"construction: wanted one of {', '.join(CATALOG)}, FILE.py or module:ENTRY, got nobody",
        ),
        ((files / "built.safetensors", "--of", "linucb"), "wanted a history written by `save`, got"),
    ):
        shown = certify(*words)
        assert shown.exit_code
        assert said in str(shown.exception)


def test_help_fits_a_screen_and_has_an_example():
    shown = CliRunner().invoke(cli.app, ["certify", "--help"], env={"COLUMNS": "80"})
    assert "Example: weightwright certify history.npz --of linucb" in shown.stdout
    assert shown.stdout.count("\n") <= 25


def test_a_row_of_a_stranger_is_certified_if_it_has_balls(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    row = """
from verify.balls import linear
from verify.catalog import CATALOG
from dataclasses import replace
ENTRY = replace(CATALOG["linucb"], name="mine", main=CATALOG["linucb"].spec(2, 3, 5, 0.1, "newton"))
NONE = replace(ENTRY, balls=None)
"""
    (tmp_path / "mine_to_certify.py").write_text(row)
    CASES["linucb newton"].history(0).save(tmp_path / "0.npz")
    of = str(tmp_path / "mine_to_certify.py")
    assert certify(tmp_path / "0.npz", "--of", of).exit_code == 0
    refused = certify(tmp_path / "0.npz", "--of", f"{of}:NONE")
    assert (
        str(refused.exception)
        == "certify: wanted balls in the row mine, the true algorithm in ball arithmetic, got none"
    )
