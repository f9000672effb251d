"""A trained model's layers on the inspector's page: its numbers are those of the probes, and it fits the construction."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from typer.testing import CliRunner

from verify import inspector
from verify.catalog import CATALOG
from verify.cli import commands as cli
from verify.inspector.page import page, read
from verify.probes import linear_probes
from verify.training import checkpoint, recipes, train

LINUCB = replace(recipes.RECIPES["ad-linucb"], horizon=8, dim=2, actions=3)
BERNOULLI = replace(recipes.RECIPES["dpt-bernoulli"], horizon=8, dim=3, actions=3)
EPISODES = recipes.EpisodeRecipe(states=2, actions=2, episode=2, episodes=4)
SIZES = ["--dim", "2", "--actions", "3", "--horizon", "4", "--error", "0.5"]
CELL = re.compile(r"<td [^>]*--heat:(\d+)%[^>]*><b>([^<]*)</b><small>([^<]*)</small></td>")


def saved(recipe, folder):
    """An untrained model in the file that a run leaves in its folder."""
    run = train.Run(recipe, steps=1, layers=2, heads=2, width=8, batch=4)
    folder.mkdir()
    checkpoint.save(folder / "model.safetensors", run.model(), None, 1, asdict(run), [])
    return folder


def asked(name, *words):
    return CliRunner().invoke(cli.app, ["inspect", name, *words])


@pytest.mark.parametrize("name", ["linucb", "softmax-linucb"])
def test_the_table_of_the_page_is_what_the_probes_give(name, tmp_path):
    folder = saved(LINUCB, tmp_path / "tiny")
    done = asked(name, *SIZES, "--trained", str(folder), "--json", "--out", str(tmp_path / "page.html"))
    assert done.exit_code == 0, done.output
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    found = json.loads(done.stdout)["trained"]
    assert found == read(text)["trained"]
    assert (found["model"], found["decisions"]) == ("tiny", 8)
    wanted = linear_probes.probes(train.load(folder), found["problems"])
    assert found["registers"] == wanted
    assert [one["register"] for one in wanted] == ["ridge estimate", "A⁻¹a", "width", "mean"]
    table = text.partition('<table id="readouts">')[2].partition("</table>")[0]
    rows = table.split("<tr>")[2:]
    for row, one in zip(rows, wanted, strict=True):
        assert f"<th scope='row'>{one['register']}</th>" in row
        cells = CELL.findall(row)
        assert len(cells) == 3  # the input and two layers
        for (heat, held, control), value, other in zip(cells, one["trained"], one["shuffled"], strict=True):
            assert float(held.replace("−", "-")) == pytest.approx(value, abs=0.00501)
            assert float(control.replace("−", "-")) == pytest.approx(other, abs=0.00501)
            assert int(heat) == pytest.approx(100 * max(value, 0), abs=0.501)
    assert any(value > 0.05 for one in wanted for value in one["trained"])


def test_registers_are_those_of_the_row_that_is_inspected(tmp_path):
    """The number of the step, which the position in each token of the input tells: the control finds it too."""
    row = replace(
        CATALOG["linucb"],
        name="mine",
        registers=lambda recipe, history: {"step": np.arange(float(history.steps))[:, None]},
    )
    spec = row.spec(dim=2, actions=3, horizon=4, error=0.5)
    trained = train.load(saved(LINUCB, tmp_path / "tiny"))
    told = []
    found = inspector.readouts(
        trained, "tiny", row.build(spec), row, 20, lambda done, whole: told.append((done, whole))
    )
    [one] = found["registers"]
    assert one["register"] == "step"
    assert one["trained"][0] > 0.99
    assert one["shuffled"][0] > 0.99
    assert told == [(1, 1)]


@pytest.mark.parametrize(
    ("name", "words", "recipe", "told"),
    [
        (
            "linucb",
            ["--dim", "2", "--actions", "4"],
            LINUCB,
            "trained: wanted a model for linear bandits, dim 2, actions 4, as linucb is, "
            "got tiny for linear bandits, dim 2, actions 3",
        ),
        (
            "linucb",
            ["--dim", "3", "--actions", "3"],
            BERNOULLI,
            "got tiny for Bernoulli arms, dim 3, actions 3",
        ),
        (
            "bernoulli",
            ["--actions", "3"],
            LINUCB,
            "wanted a model for Bernoulli arms, dim 3, actions 3, .* got",
        ),
        ("linucb", SIZES, EPISODES, "got tiny for episodes, states 2, actions 2, horizon 2"),
        ("hedge", [], LINUCB, "registers: wanted some in the row hedge, got none"),
        ("linucb", SIZES, None, "model: wanted one of ad-linucb, .* or its folder, got '.*tiny'"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_anything_is_written(name, words, recipe, told, tmp_path):
    folder = tmp_path / "tiny" if recipe is None else saved(recipe, tmp_path / "tiny")
    if name != "hedge" and "--horizon" not in words:
        words = [*words, "--horizon", "4", "--error", "0.5"]
    done = asked(name, *words, "--trained", str(folder), "--out", str(tmp_path / "page.html"))
    assert isinstance(done.exception, ValueError)
    assert re.search(told, str(done.exception))
    assert not (tmp_path / "page.html").exists()


def test_a_page_without_a_model_has_nothing_of_it():
    entry = CATALOG["linucb"]
    built = entry.build(entry.spec(dim=2, actions=2, horizon=4, error=0.5, solver="newton"))
    text = page(inspector.record(built, "LinUCB", inspector.replay(built)))
    assert not re.findall("trained|readouts|@[A-Z]+@", text)
    assert "</section>\n</main>" in text
