"""The figure of distribution ratios: models that differ in the share of Thompson's trajectories."""

import json
from dataclasses import asdict, replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from constructions.showing import number
from verify.cli import commands as cli
from verify.cli import models as cli_models
from verify.comparison import compare, ratio, training_mixtures
from verify.play import players
from verify.play.lockstep import play
from verify.training import checkpoint, recipes, ship, train
from verify.training.kinds import seated
from verify.training.policy import HELD_OUT

SMALL = {"layers": 1, "heads": 2, "width": 8, "batch": 10, "horizon": 6}


def saved(folder, share, **changes):
    run = train.named("dpt-bernoulli", share=share, **{**SMALL, **changes})
    path = folder / f"dpt-share-{share:g}.safetensors"
    checkpoint.save(path, run.model(), None, 7, asdict(run), [])
    return path


@pytest.mark.parametrize(
    ("share", "thompson"), [(0, 0), (0.1, 4), (0.25, 10), (0.5, 20), (0.75, 30), (1, 40)]
)
def test_a_share_of_a_batch_is_thompson_sampling(share, thompson):
    recipe = replace(recipes.RECIPES["dpt-bernoulli"], horizon=3, share=share)
    problems = recipe.draw(np.random.default_rng(0), 40)
    playing = seated(recipe, "mixed", problems, np.random.default_rng(1))
    uniform = players.Uniform(problems)
    differs = (playing.choose(0) != uniform.choose(0)) | (playing.choose(1) != uniform.choose(1))
    assert (~playing._mask).sum() == thompson
    assert not differs[playing._mask].any()
    assert differs.any() == (thompson > 0)
    found = recipes.batch(recipe, 3, 4, 40)
    generator = np.random.default_rng([3, 4])
    problems = recipe.draw(generator, 40)
    seen = play(problems, seated(recipe, "mixed", problems, generator))
    assert (found.tokens == recipe.encode(problems, seen)).all()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(ValueError, match=r"share: wanted a number in \[0, 1\]"):
        train.named("dpt-bernoulli", share=share)


@pytest.mark.parametrize("name", ["ad-linucb", "ad-ucbvi", "ad-thompson-bernoulli"])
def test_only_mixed_contexts_have_a_share(name):
    with pytest.raises(ValueError, match="share"):
        train.named(name, share=0.1)


def test_the_command_on_a_card_has_the_share_and_trains_the_same():
    run = train.named("dpt-bernoulli", horizon=6, share=0.1)
    assert ship.command(run) == "weightwright train dpt-bernoulli --set horizon=6 --set share=0.1"
    assert "Thompson sampling (10%) and uniformly" in run.recipe.described


def test_rows_are_what_the_models_do_on_the_same_problems(tmp_path):
    paths = [saved(tmp_path, share) for share in (1.0, 0.0, 0.5)]
    found = training_mixtures.mixtures(paths, runs=20, particles=4)
    assert [row["share"] for row in found["rows"]] == [0, 0.5, 1]
    assert len({row["thompson"] for row in found["rows"]}) == 1
    for row in found["rows"]:
        trained = train.load(tmp_path / f"{row['model']}.safetensors")
        generator = np.random.default_rng([HELD_OUT, 0])
        problems = trained.recipe.draw(generator, 20)
        true = play(problems, players.Thompson(problems, generator))
        regret = problems.regret(true).sum(axis=1)
        assert row["thompson"] == pytest.approx(regret.mean())
        assert row["excess"] == pytest.approx(row["regret"] - row["thompson"])
        assert row["log_ratio_low"] <= row["log_ratio"] <= row["log_ratio_high"]
        assert row["bound"]["trajectories"] == 70
    logs = [row["log_ratio"] for row in found["rows"]]
    assert logs[2] == 0 < logs[1] <= np.log(2) < logs[0]
    [panels] = found["records"].values()
    assert [curve["label"] for curve in panels[1]["curves"]] == ["α = 0", "α = 0.5", "α = 1"]
    assert panels[1]["curves"][0]["y"][-1] == pytest.approx(found["rows"][0]["excess"])


def test_models_must_differ_in_their_share_alone(tmp_path):
    one = saved(tmp_path / "a", 0.5)
    for other in (saved(tmp_path / "b", 0.5), saved(tmp_path / "c", 0.1, horizon=7)):
        with pytest.raises(
            ValueError, match="models: wanted models of mixed contexts that differ in their share"
        ):
            training_mixtures.mixtures([one, other], runs=4, particles=2)


def test_every_share_of_the_paper_has_a_ratio():
    recipe = train.named("dpt-bernoulli", horizon=4).recipe
    found = {one.share: one for one in training_mixtures._ratios(recipe, 4, lambda what, done, whole: None)}
    assert tuple(found) == ratio.SHARES
    assert found[0.0].mixing == "step"
    assert all(found[share].mixing == "trajectory" for share in ratio.SHARES[1:])


def test_the_figure_from_the_command_line(tmp_path):
    paths = [str(saved(tmp_path, share)) for share in (0.0, 1.0)]
    out = tmp_path / "out"
    outcome = CliRunner().invoke(cli.app, ["contexts", *paths, "--quick", "--out", str(out), "--json"])
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert found == json.loads((out / "contexts.json").read_text())
    assert (out / "contexts.png").stat().st_size > 10_000
    console = Console(width=80, record=True, file=StringIO())
    console.print(cli_models.contexts_table(found))
    text = console.export_text()
    assert "…" not in text
    for row in found["rows"]:
        assert f"α = {row['share']:g}" in text
        assert number(row["excess"]) in text


@pytest.mark.parametrize(("share", "log_ratio"), [(0.1, np.log(10)), (1.0, 0.0), (0.0, None)])
def test_a_comparison_takes_the_ratio_of_the_models_own_context(share, log_ratio, tmp_path):
    found = compare.compare(saved(tmp_path, share), compare.Effort(runs=4, histories=2, particles=2))
    estimate = next(row["estimate"][-1] for row in found["ratio"] if row["share"] == 0)
    wanted = estimate if log_ratio is None else log_ratio
    assert found["bound"]["log_ratio"] == pytest.approx(wanted)
