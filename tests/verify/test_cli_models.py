"""What can be asked of a trained model from the command line: weightwright probe, and the help of its neighbours."""

import json
from dataclasses import asdict, replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from verify.cli import commands as cli
from verify.cli import models as cli_models
from verify.comparison import stand_ins
from verify.probes import probe
from verify.training import checkpoint, recipes, shifts, train
from verify.training.policy import Trained

SMALL = {"layers": 1, "heads": 2, "width": 8, "batch": 4}
LINUCB = replace(recipes.RECIPES["ad-linucb"], horizon=6, dim=2, actions=3)
BERNOULLI = replace(recipes.RECIPES["dpt-bernoulli"], horizon=6, dim=3, actions=3)
EPISODES = recipes.EpisodeRecipe(states=2, actions=2, episode=2, episodes=4)


def saved(recipe, folder):
    """An untrained model in a file, as if it had been trained."""
    run = train.Run(recipe, steps=1, **SMALL)
    checkpoint.save(folder / "tiny.safetensors", run.model(), None, 1, asdict(run), [])
    return folder / "tiny.safetensors", Trained(recipe, run.model())


def screen(found):
    """The tables as they stand in a terminal of 80 columns."""
    console = Console(width=80, record=True, file=StringIO())
    console.print(*cli_models.probe_tables(found))
    return console.export_text()


def built_keeps_its_certificate(recipe, records):
    """On every shift that is not longer than what is built."""
    built = stand_ins.stand_in(recipe, shifted=True)
    assert [row["shift"] for row in records] == list(shifts.shifts(recipe))
    for row in records:
        assert (row["built error"] is None) == (row["steps"] > recipe.horizon)
        assert row["built error"] is None or row["built error"] <= built.certificate + 1e-9
        assert row["certificate"] in (None, built.certificate)


@pytest.mark.nightly
def test_probe_from_the_command_line(tmp_path):
    path, out = saved(BERNOULLI, tmp_path)[0], tmp_path / "out"
    outcome = CliRunner().invoke(cli.app, ["probe", str(path), "--quick", "--out", str(out), "--json"])
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert found == json.loads((out / "probe.json").read_text())
    assert [row["symmetry"] for row in found["symmetries"]] == ["arms permuted", "past reordered"]
    for row in found["symmetries"]:
        assert row["true"] < 1e-9
        assert row["worst"]["total_variation"] > 1e-4  # nothing was learnt
    assert [row["register"] for row in found["registers"]] == [
        "successes",
        "failures",
        "plays",
        "posterior mean",
        "posterior",
    ]
    built_keeps_its_certificate(BERNOULLI, found["shifts"])
    assert {figure.name for figure in out.iterdir()} >= {"registers.svg", "shifts.png"}
    text = screen(found)
    for shown in ("arms permuted", "random", "as in training", "horizon × 2"):
        assert shown in text
    assert "…" not in text


def test_registers_of_many_layers_fit_a_screen():
    row = {name: [-0.125] * 9 for name in ("trained", "random weights", "shuffled")}
    text = screen({"registers": [row | {"register": "ridge estimate"}]})
    assert text.count("-0.12") == 27
    assert "…" not in text


def test_attention_fits_a_screen():
    row = {
        "layer": 10,
        "head": 31,
        "arm": 26,
        "agreement": -0.5,
        "low": -0.6,
        "high": 0.9,
        "selection": -1.5,
        "reach": 0.5,
    }
    models = {name: [row] * 338 for name in ("random weights", "built, LinUCB")}
    half = {"mean": 0.1, "half": 0.01}
    worth = {"fixed": [{"heads": 32, "own plays": half, "as many of any arm": half, "all plays": half}]}
    text = screen({"attention": {"heads": dict.fromkeys(cli_models.QUESTIONS, models), "replaced": worth}})
    assert text.count("−0.60–0.90") == 8
    assert text.count("0/338") == 8
    assert "fixed, 32" in text
    assert "…" not in text


def test_one_question_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(LINUCB, tmp_path)[0]
    told = []
    tell = lambda what, done, whole: told.append((what, done, whole))  # noqa: E731
    found = probe.probe(path, probe.QUICK, ["shifts"], tell)
    assert told == [("shifts", done, 11) for done in range(1, 12)]
    assert set(found) == {"model", "true", "records", "shifts"}
    built_keeps_its_certificate(LINUCB, found["shifts"])
    assert "…" not in screen(found)
    outcome = CliRunner().invoke(cli.app, ["probe", str(path), "--quick", "--only", "registers"])
    assert outcome.exit_code == 0, outcome.output
    assert "shuffled" in outcome.stdout
    assert "symmetr" not in outcome.stdout
    assert "shifts" not in json.loads((tmp_path / "reports/probe/tiny/probe.json").read_text())


@pytest.mark.nightly
def test_what_applies_is_asked_of_a_model_of_episodes(tmp_path):
    path = saved(EPISODES, tmp_path)[0]
    found = probe.probe(path, probe.Effort(histories=5, runs=2, patterns=4, shifts=2))
    names = [row["symmetry"] for row in found["symmetries"]]
    assert names == ["states renumbered", "actions renumbered", "episodes reordered"]
    assert set(found) == {"model", "true", "records", "symmetries", "attention", "shifts"}
    assert len(found["shifts"]) == 4
    for row in found["symmetries"]:
        assert row["true"] < 1e-9
        assert row["worst"]["total_variation"] > 1e-4
    assert "episodes reordered" in screen(found)


def test_shifts_of_a_built_transformer_admit_what_they_do():
    """The bounds for shifted problems are wide enough for noise × 4, and for arms next to nothing."""
    spec = stand_ins.soft_linucb(LINUCB, shifted=True)
    assert spec.noise_bound > 7 * 4 * LINUCB.noise
    assert stand_ins.soft_linucb(LINUCB).noise_bound == 4 * LINUCB.noise
    assert spec.action_norm[0] < 1e-3 < stand_ins.soft_linucb(LINUCB).action_norm[0]
    np.testing.assert_allclose(spec.temperature, stand_ins.soft_linucb(LINUCB).temperature)


def test_what_cannot_be_probed_is_one_clear_error(tmp_path):
    path = saved(EPISODES, tmp_path)[0]
    wanted = "only: wanted symmetries or attention or shifts for a model trained on episodes, got registers"
    with pytest.raises(ValueError, match=wanted):
        probe.probe(path, only=["registers"])
    with pytest.raises(
        ValueError,
        match="only: wanted one of symmetries, registers, interchange, attention, shifts, got 'luck'",
    ):
        probe.probe(path, only=["luck"])
    with pytest.raises(ValueError, match="registers: wanted an integer >= 10, got 9"):
        probe.Effort(registers=9)
    with pytest.raises(ValueError, match="shifts: wanted an integer >= 2, got 1"):
        probe.Effort(shifts=1)


def words(command):
    """The help of a command on a screen of 80 columns, its lines joined, without frames; and how many lines it fills."""
    shown = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    return " ".join(shown.stdout.replace("│", " ").split()), shown.stdout.rstrip().count("\n") + 1


@pytest.mark.parametrize("command", ["compare", "contexts", "probe", "ship"])
def test_help_of_commands_on_models_fits_a_small_screen(command):
    text, lines = words(command)
    assert f"Example: weightwright {command}" in text
    assert lines < 24  # and the prompt


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("train", "Folder for checkpoints, model and curves."),
        ("verify", "Folder for page, JSON, figures."),
        ("plot", "A folder, or one figure as .pdf, .svg, .png, .csv or .json."),
        ("errata", "Folder for JSON."),
        ("sweep", "Folder for results, JSON and figures."),
        ("compare", "Folder for JSON and figures."),
        ("probe", "Folder for JSON and figures."),
    ],
)
def test_help_says_what_goes_into_the_folder(command, wanted):
    assert wanted in words(command)[0]
