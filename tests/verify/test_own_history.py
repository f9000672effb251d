"""A history and a truth of one's own, in the inspector and at the command line."""

import csv
import json
import re

import jaxtyping
import numpy as np
import pytest
from typer.testing import CliRunner

from constructions import linucb, thompson, ucbvi
from constructions.history import BanditHistory, EpisodeHistory
from verify import inspector
from verify.catalog import CATALOG
from verify.cli import commands as cli
from verify.inspector.page import read

GENERATOR = np.random.default_rng(0)
SPEC = linucb.Spec(2, 2, 4, 0.5, "newton")
HISTORY = BanditHistory(GENERATOR.uniform(0.5, 1, (3, 2, 2)), [1, 0], [0.5, -2.0])
SETS = [
    "--set",
    "dim=2",
    "--set",
    "actions=2",
    "--set",
    "horizon=4",
    "--set",
    "error=0.5",
    "--set",
    "solver=newton",
]
COINS = {"action": [1, 0, 1, None], "reward": [1, 0, 1, None]}
RUNS = EpisodeHistory([0, 1, 1, 0, 1], [1, 0, 1, 1], [0.5, 0, 1, 0.25], 2)


def uniform(spec, history):
    return np.log(np.full((history.steps, spec.actions), 1 / spec.actions))


def written(table, path):
    if path.suffix == ".json":
        path.write_text(json.dumps(table))
    else:
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([table, *zip(*table.values(), strict=True)])
    return str(path)


def invoke(*words):
    """As a user meets it: types are enforced in tests alone."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        return CliRunner().invoke(cli.app, [*words])
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_a_history_of_one_s_own_is_run_and_held_against_a_truth_of_one_s_own():
    built = linucb.build(SPEC)
    run = inspector.replay(built, history=HISTORY)
    np.testing.assert_allclose(run.built, built.log_probabilities(HISTORY), atol=1e-12)
    np.testing.assert_array_equal(run.true, CATALOG["linucb"].truth(SPEC, HISTORY))
    assert run.decisions.tolist() == [1, 2, 3]
    other = inspector.replay(built, history=HISTORY, truth=uniform)
    np.testing.assert_allclose(other.errors, abs(run.built + np.log(2)), atol=1e-12)
    assert inspector.record(built, "LinUCB", other)["history"]["worst"] == other.errors.max()


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (
            lambda spec, history: np.zeros((3, 1)),
            r"truth: wanted numbers of shape \(3, 2\), got shape \(3, 1\)",
        ),
        (lambda spec, history: np.full((3, 2), np.nan), r"truth: wanted numbers of shape \(3, 2\), got NaN"),
        (lambda spec, history: "what", "truth: wanted an array of real numbers, got str"),
    ],
)
def test_a_truth_that_is_none_is_refused(truth, message):
    with pytest.raises(ValueError, match=message):
        inspector.replay(linucb.build(SPEC), history=HISTORY, truth=truth)


@pytest.mark.parametrize("name", ["table.csv", "table.json", "arrays.json", "saved.npz"])
def test_the_page_steps_through_the_history_of_a_file(name, tmp_path):
    path = tmp_path / name
    if name == "saved.npz":
        HISTORY.save(path)
    elif name == "arrays.json":
        written({field: vars(HISTORY)[field].tolist() for field in ("contexts", "actions", "rewards")}, path)
    else:
        written(HISTORY.table(), path)
    shown = invoke("inspect", "linucb", *SETS, "--history", str(path), "--out", str(tmp_path / "page.html"))
    assert shown.exit_code == 0, shown.output
    history = read((tmp_path / "page.html").read_text())["history"]
    assert history["setting"] == str(path)
    assert history["before"] == [None, {"action": 1, "reward": 0.5}, {"action": 0, "reward": -2}]


def test_other_rows_and_truths_from_files(tmp_path):
    (tmp_path / "my_truth_of_coins.py").write_text(
        "import numpy as np\n\ndef truth(spec, history):\n    return np.log(np.full((history.steps, spec.actions), 0.5))\n"
    )
    words = ["--set", "actions=2", "--set", "horizon=4", "--set", "error=0.5", "--json"]
    words += ["--history", written(COINS, tmp_path / "coins.csv")]
    [own, usual] = (
        json.loads(invoke("inspect", "bernoulli", *words, *more).stdout)
        for more in (["--truth", str(tmp_path / "my_truth_of_coins.py")], [])
    )
    assert own["arrays"][own["history"]["true"]] == [np.log(0.5)] * 8
    built = thompson.build(thompson.BernoulliSpec(2, 4, 0.5))
    coins = BanditHistory([np.eye(2)] * 4, [1, 0, 1], [1, 0, 1])
    true = CATALOG["bernoulli"].truth(built.spec, coins)
    np.testing.assert_allclose(usual["arrays"][usual["history"]["true"]], true.ravel())
    sizes = [
        "--set",
        "states=2",
        "--set",
        "actions=2",
        "--set",
        "horizon=2",
        "--set",
        "form=narrow",
        "--json",
    ]
    shown = invoke("inspect", "ucbvi", *sizes, "--history", written(RUNS.table(), tmp_path / "runs.csv"))
    found = json.loads(shown.stdout)
    spec = ucbvi.Spec(
        **CATALOG["ucbvi"].example | {"states": 2, "actions": 2, "horizon": 2, "form": "narrow"}
    )
    true = CATALOG["ucbvi"].truth(spec, RUNS)
    np.testing.assert_allclose(found["arrays"][found["history"]["true"]], true.ravel(), atol=1e-12)


def test_a_table_is_certified_too(tmp_path):
    path = written(COINS, tmp_path / "coins.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("verify.cli.certification.found", lambda name: (CATALOG["bernoulli"], BUILT))
        shown = invoke("certify", path, "--of", "bernoulli", "--json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)[0]["steps"] == 4


BUILT = thompson.build(thompson.BernoulliSpec(2, 4, 0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("action,reward\n1,0.5\n,\n", "own.csv: table: wanted a column arm_0_0, got action, reward"),
        ("episode,state,action,reward\n", "own.csv: table: wanted at least one row"),
        ("action,reward,arm_0_0,arm_0_1\n,,1,0\n", "contexts: wanted 2 actions of dimension 2"),
        (
            "action,reward,arm_0_0,arm_0_1\n1,x,1,0\n,,1,0\n",
            "own.csv: reward: wanted a finite number, got 'x' in row 0",
        ),
    ],
)
def test_a_file_that_holds_no_history_is_refused_in_a_line(text, message, tmp_path):
    (tmp_path / "own.csv").write_text(text)
    shown = invoke("inspect", "linucb", *SETS, "--history", str(tmp_path / "own.csv"), "--json")
    assert shown.exit_code
    assert re.search(message, str(shown.exception)), shown.exception


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--history", "nowhere.npz"],
            "nowhere.npz: wanted a history written by `save`, got FileNotFoundError",
        ),
        (
            ["--history", "nowhere.json"],
            "nowhere.json: wanted a history as .csv, .json, .*, got FileNotFoundError",
        ),
        (["--truth", "math"], "truth: wanted FILE.py, FILE.py:NAME or module:NAME, got 'math'"),
        (["--truth", "math:pi"], "truth: wanted a function of specification and history, got float"),
        (["--truth", "nowhere.py"], "truth: wanted a file, got nowhere.py"),
    ],
)
def test_what_is_named_and_is_not_there_is_refused_in_a_line(words, message):
    shown = invoke("inspect", "linucb", *SETS, *words, "--json")
    assert shown.exit_code
    assert re.search(message, str(shown.exception)), shown.exception
