"""Models of one's own beside true and built ones: a stranger's torch module, wrapped in a few lines."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from shape_types import unenforced
from typer.testing import CliRunner

from constructions import linucb, ucbvi
from verify import algorithms
from verify.cli import commands as cli
from verify.comparison import compare, guests, stand_ins
from verify.play.lockstep import play
from verify.probes import probe
from verify.training.kinds import BanditRecipe, EpisodeRecipe
from verify.training.recipes import RECIPES

LINEAR = BanditRecipe("linear", "linucb", "expert", dim=2, actions=3, horizon=6)
COINS = BanditRecipe("bernoulli", "thompson", "expert", dim=3, actions=3, horizon=6)
RUNS = EpisodeRecipe(2, 2, 2, 3)
EFFORT = compare.Effort(runs=6, built=3, histories=4, particles=2)


class Stranger(torch.nn.Module):
    """A module with tokens of its own: the reward of every arm played, and which it was."""

    def __init__(self, recipe):
        super().__init__()
        torch.manual_seed(0)
        self.recipe, self.read_out = recipe, torch.nn.Linear(recipe.actions, recipe.actions)

    def forward(self, pay):
        return self.read_out(pay.cumsum(0)).log_softmax(1)

    def log_probabilities(self, history):
        pay = torch.zeros(history.steps, self.recipe.actions)
        for step, (action, reward) in enumerate(zip(history.actions, history.rewards, strict=True), 1):
            pay[step, action] = reward
        return self(pay)  # with its gradient: a tensor is an array here


class Wrapped:
    """A construction, of which nothing but log-probabilities is known."""

    def __init__(self, built, recipe):
        self.recipe, self.log_probabilities = recipe, built.log_probabilities


@pytest.mark.parametrize("recipe", [LINEAR, COINS, RUNS], ids=lambda recipe: recipe.problem)
def test_a_stranger_s_module_is_compared_and_probed(recipe):
    found = compare.compare(Stranger(recipe), EFFORT)
    assert found["model"] == "Stranger"
    assert {"trained", "greedy", recipe.algorithm} <= found["regret"].keys()
    pairs = found["pairs"]
    assert pairs["built ↔ true"]["log_error_worst"] <= 0.05 + 1e-6
    assert pairs["trained ↔ true"]["variation_mean"] > 0.02
    assert (found["bound"], found["ratio"], found["steps"]) == (None, [], None)
    json.dumps(found)
    parts = probe.probe(Stranger(recipe), probe.Effort(histories=5, runs=2, registers=10, shifts=3))
    assert "registers" not in parts
    assert max(row["worst"]["total_variation"] for row in parts["symmetries"]) > 1e-3
    assert "horizon × 2" not in [row["shift"] for row in parts["shifts"]]
    assert len(parts["shifts"]) >= 4


@pytest.mark.parametrize("recipe", [LINEAR, COINS, RUNS], ids=lambda recipe: recipe.problem)
def test_what_is_wrapped_is_what_is_measured(recipe):
    """A built transformer behind the wrapper: no distance from itself, and the same decisions as by its decoder."""
    built = stand_ins.stand_in(recipe)
    found = compare.compare(Wrapped(built, recipe), EFFORT)
    assert found["pairs"]["trained ↔ built"]["variation_mean"] < 1e-9
    problems = recipe.draw(np.random.default_rng(0), 4)
    slow, quick = (
        play(problems, guests.Guest(recipe, model).player(problems))
        for model in (Wrapped(built, recipe), built)
    )
    np.testing.assert_array_equal(slow.actions, quick.actions)
    np.testing.assert_array_equal(slow.rewards, quick.rewards)
    for history, policy in zip(
        problems.histories(slow), guests.Guest(recipe, built).policies(problems, slow), strict=True
    ):
        np.testing.assert_allclose(np.exp(built.log_probabilities(history)), policy, atol=1e-12)


def test_fields_of_what_is_built_are_one_s_own():
    fields = {"temperature": 0.5, "solver": "agd", "error": 0.05}
    found = compare.compare(Stranger(LINEAR), EFFORT, fields=fields)
    assert {name: found["spec"][name] for name in fields} == fields
    spec = replace(stand_ins.bounds(LINEAR), **fields)
    policies = compare.policies_on(guests.Guest(LINEAR, Stranger(LINEAR)), 2, built=linucb.build(spec))
    problems = LINEAR.draw(np.random.default_rng([compare.HELD_OUT, 0, 1]), 2)
    seen = play(problems, LINEAR.seats["linucb"].take(problems, LINEAR, np.random.default_rng(0)))
    for history, true in zip(problems.histories(seen), policies["true"], strict=True):
        np.testing.assert_allclose(algorithms.linucb(spec, history), true, atol=1e-9)


class Wrong(Stranger):
    """A module whose answer is changed."""

    def __init__(self, change):
        super().__init__(LINEAR)
        self.change = change

    def log_probabilities(self, history):
        return self.change(super().log_probabilities(history).detach())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (3, r"model: wanted an object with log_probabilities\(history\), got 3"),
        ("nobody", "model: wanted one of ad-linucb, .*, got 'nobody'"),
        ("math:pi", r"model: wanted an object with log_probabilities\(history\), got 3.14"),
        ("nowhere.py", "model: wanted a file, got nowhere.py"),
        (
            Wrapped(Stranger(LINEAR), None),
            "recipe: wanted the problems that the model is for: one of ad-linucb, .*, got none",
        ),
        (Wrapped(Stranger(LINEAR), "ad"), "recipe: wanted 'ad-linucb' or .*, got 'ad'"),
        (Wrapped(Stranger(LINEAR), 3), "recipe: wanted BanditRecipe or EpisodeRecipe, got 3"),
        (
            Wrong(lambda found: found[1:]),
            r"log_probabilities: wanted shape \(1, 3\) from the model, got \(0, 3\)",
        ),
        (
            Wrong(torch.exp),
            "log_probabilities: wanted logarithms of probabilities that sum to 1 from the model",
        ),
        (
            Wrong(lambda found: found * float("nan")),
            "log_probabilities: wanted logarithms .*, got nan in row 0",
        ),
    ],
)
@pytest.mark.parametrize("ask", [compare.compare, probe.probe])
def test_what_is_no_model_is_refused_in_a_line(ask, model, message):
    if ask is probe.probe:
        message = message.replace(r"\(1, 3\)", r"\(\d, 3\)").replace(r"\(0, 3\)", r"\(\d, 3\)")
    with pytest.raises(ValueError, match=message):
        ask(model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"colour": 3}, "linucb: wanted fields of dim, .*, got colour"),
        ({"horizon": 7}, "horizon: wanted 6, that of the model's problems, got 7"),
        ({"temperature": 0}, "temperature: wanted a finite number > 0, got 0"),
    ],
)
def test_a_specification_for_other_problems_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        compare.compare(Stranger(LINEAR), EFFORT, fields=fields)


def test_nothing_can_be_set_where_nothing_is_built():
    with pytest.raises(ValueError, match="error: wanted none, as nothing is built for ucb, got one"):
        stand_ins.stand_in(RECIPES["ad-ucb-bernoulli"], fields={"error": 0.1})


FILE = """
import numpy as np
from verify.training.kinds import EpisodeRecipe


class Uniform:
    def log_probabilities(self, history):
        return np.log(np.full((history.steps, 3), 1 / 3))


MODEL = Uniform()
SMALL = Uniform()
SMALL.recipe = EpisodeRecipe(2, 3, 2, 3)
"""


def test_models_of_one_s_own_from_the_command_line(tmp_path):
    (tmp_path / "my_uniform_policy.py").write_text(FILE)
    name = str(tmp_path / "my_uniform_policy.py")
    words = ["--out", str(tmp_path / "out"), "--json", "--set", "form=slim"]
    shown = CliRunner().invoke(cli.app, ["compare", f"{name}:SMALL", "--runs", "3", "--quick", *words])
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert (found["model"], found["spec"]["form"], found["spec"]["states"]) == ("SMALL", "slim", 2)
    assert (tmp_path / "out" / "compare.json").exists()
    shown = CliRunner().invoke(
        cli.app, ["compare", f"{name}:SMALL", "--runs", "3", "--quick", "--out", words[1]]
    )
    assert "pretraining theorem" not in shown.output
    assert shown.exit_code == 0, shown.output
    asked = ["probe", "my_uniform_policy:SMALL", "--only", "symmetries", "--quick", "--json", *words[:2]]
    shown = CliRunner().invoke(cli.app, asked)
    assert shown.exit_code == 0, shown.output
    assert all(row["typical"] < 1e-12 for row in json.loads(shown.stdout)["symmetries"])
    for more, message in (
        ([], "recipe: wanted the problems that the model is for"),
        (["--recipe", "nothing"], "recipe: wanted 'ad-linucb' or"),
    ):
        with unenforced():
            shown = CliRunner().invoke(cli.app, ["compare", name, *more])
        assert re.search(message, str(shown.exception))


def test_a_trained_model_has_its_own_recipe():
    with pytest.raises(
        ValueError, match="recipe: wanted none for a trained model, which has its own, got 'ad-linucb'"
    ):
        compare.compare("ad-linucb", recipe="ad-linucb")
    assert ucbvi.Spec(2, 2, 2, 3).states == RUNS.states
