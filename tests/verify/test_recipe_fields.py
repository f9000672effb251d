"""What can be trained on: sizes, norms and the algorithms' own parameters, by --set too."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from verify import algorithms
from verify.cli import commands as cli
from verify.comparison import stand_ins
from verify.play.lockstep import play
from verify.training import checkpoint, train
from verify.training.kinds import BanditRecipe, EpisodeRecipe, seated

OWN = {
    "dim": 2,
    "actions": 3,
    "horizon": 12,
    "ridge": 0.25,
    "bonus": 0.5,
    "action_norm": (2.0, 3.0),
    "noise": 0.5,
}


@pytest.mark.parametrize("norms", [(1.0, 1.0), (2.0, 3.0), (0.5, 0.8)])
def test_arms_keep_to_the_norms_asked_for(norms):
    recipe = train.named("ad-linucb", **OWN | {"action_norm": norms}).recipe
    lengths = np.linalg.norm(recipe.draw(np.random.default_rng(0), 20).arms, axis=2)
    assert norms[0] - 1e-9 <= lengths.min()
    assert lengths.max() <= norms[1] + 1e-9
    assert stand_ins.stand_in(recipe).spec.action_norm == norms


def test_linucb_plays_with_the_recipe_s_parameters():
    recipe = train.named("ad-linucb", **OWN).recipe
    problems = recipe.draw(np.random.default_rng(0), 5)
    seen = play(problems, seated(recipe, "linucb", problems, np.random.default_rng(0)))
    scores = {}
    for name, spec in (("own", (0.25, 0.5)), ("usual", (1.0, 2.0))):
        values = SimpleNamespace(ridge=spec[0], exploration=spec[1], temperature=1.0)
        found = [algorithms.linucb_values(values, history).score for history in problems.histories(seen)]
        scores[name] = np.array(found).argmax(axis=2)
    np.testing.assert_array_equal(seen.actions, scores["own"])
    assert (seen.actions != scores["usual"]).any()
    spec = stand_ins.stand_in(recipe).spec
    assert (spec.ridge, spec.exploration) == (0.25, 0.5)


def test_thompson_sampling_starts_from_the_recipe_s_prior():
    """Before anything is seen, Σ = (r/λ)I, r the variance of the rewards' noise."""
    recipe = train.named("ad-linucb", **OWN | {"prior_variance": 4.0}).recipe
    problems = recipe.draw(np.random.default_rng(0), 2)
    player = seated(recipe, "thompson", problems, np.random.default_rng(0))
    np.testing.assert_allclose(player._gram, np.broadcast_to(0.25 / 4.0 * np.eye(2), (2, 2, 2)))
    assert player._noise == 0.25


def test_ucb_vi_plays_at_the_recipe_s_temperature():
    sizes = {"states": 2, "actions": 2, "episode": 2, "episodes": 40, "exploration": 0.0}
    lost = {}
    for name, tau in (("hot", 1e6), ("cold", 1e-6)):
        recipe = EpisodeRecipe(**sizes, temperature=tau)
        assert recipe.spec.tau == tau
        problems = recipe.draw(np.random.default_rng(0), 20)
        seen = play(problems, seated(recipe, "ucbvi", problems, np.random.default_rng(0)))
        lost[name] = problems.regret(seen)[:, 40:].mean()
    assert lost["cold"] < 0.5 * lost["hot"]
    assert EpisodeRecipe(**sizes).spec.tau == 1 / 40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ridge": 0}, "ridge: wanted a finite number > 0, got 0"),
        ({"bonus": -1}, "bonus: wanted a finite number >= 0, got -1"),
        ({"prior_variance": -1.0}, "prior_variance: wanted a finite number > 0, got -1.0"),
        ({"action_norm": (2, 1)}, "action_norm: wanted smallest <= largest, got"),
    ],
)
def test_what_nothing_can_be_trained_on_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        train.named("ad-linucb", **changes)


def test_bernoulli_arms_have_no_norms_and_no_ridge():
    with pytest.raises(
        ValueError, match="ridge, bonus, prior_variance, action_norm: wanted none for Bernoulli arms"
    ):
        BanditRecipe("bernoulli", "thompson", "expert", dim=2, actions=2, ridge=0.5)


def test_every_field_is_set_from_the_command_line_and_kept(tmp_path):
    sets = [
        word
        for name, value in OWN.items()
        for word in ("--set", f"{name}={list(value) if name == 'action_norm' else value}")
    ]
    small = ["--steps", "1", "--batch", "2", "--layers", "1", "--heads", "1", "--width", "4"]
    shown = CliRunner().invoke(
        cli.app, ["train", "ad-linucb", *small, *sets, "--out", str(tmp_path), "--json"]
    )
    assert shown.exit_code == 0, shown.output
    path = json.loads(shown.stdout)["model"]
    recipe = train.load(path).recipe
    assert {name: getattr(recipe, name) for name in OWN} == OWN
    assert checkpoint.load(tmp_path / "model.safetensors")[2]["recipe"]["ridge"] == 0.25
