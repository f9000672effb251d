"""Built weights as a place to begin training: the loss, its gradient, noise, distillation and the command."""

import json
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from verify.cli import commands as cli
from verify.cli import warm_starts
from verify.probes import warm_start
from verify.probes.lessons import Subject
from verify.training import train
from verify.training.recipes import RECIPES, batch
from verify.training.run import Run

OWN = str(Path(__file__).parents[2] / "docs/examples/soft_ucb1.py")
LINEAR = replace(RECIPES["ad-linucb-small"], dim=2, actions=2, horizon=4, noise=0.5, action_norm=(0.3, 1.4))
ARMS = replace(RECIPES["ad-thompson-bernoulli"], dim=2, actions=2, horizon=4)
EPISODES = replace(RECIPES["ad-ucbvi"], states=2, actions=2, episode=2, episodes=3)
WARM = {"temperature": 0.5, "error": 1e-2, "root": "interpolation"}
CASES = {
    "newton": (LINEAR, None, WARM),
    "descent": (replace(LINEAR, horizon=2), None, WARM | {"solver": "agd", "error": 0.1}),
    "softmax": (LINEAR, "softmax-linucb", {"temperature": 0.5}),
    "bernoulli": (ARMS, None, {}),
    "episodes": (EPISODES, None, {}),
    "one's own": (replace(ARMS, player="ucb"), OWN, {}),
}


@pytest.fixture(scope="module")
def subject():
    return Subject.of(*CASES["newton"])


@pytest.mark.parametrize("name", CASES)
def test_the_loss_begins_at_the_experts_own(name):
    subject = Subject.of(*CASES[name])
    lesson, most = subject.lesson(0, 6), subject.built.allowed
    with torch.no_grad():
        logs = subject.logs(subject.noised(0.0, 0), lesson)
    assert lesson.excess(logs).min() > -1e-12
    assert lesson.excess(logs).max() <= most
    assert (lesson.policy - logs).max() <= most
    assert (lesson.drawn(logs) - lesson.drawn(lesson.policy)).max() <= most
    entropies = -(lesson.policy.exp() * lesson.policy).nan_to_num().sum(dim=2).mean(dim=1)
    assert torch.allclose(lesson.floor, entropies)
    assert lesson.floor.mean() > 0.05  # there is something to be lost


def test_labels_are_drawn_from_the_soft_policy(subject):
    """And not the largest score, which the recipe's own expert takes."""
    lesson = subject.lesson(0, 400)
    odds = lesson.policy.exp().numpy()
    drawn = np.eye(2)[lesson.learnt.labels]
    gap, spread = (drawn - odds)[:, :, 0], np.sqrt(odds[:, :, 0] * odds[:, :, 1])
    assert abs(gap.sum()) < 4 * np.sqrt((spread**2).sum())
    assert 0.05 < (odds.argmax(axis=2) != lesson.learnt.labels).mean() < 0.5


def test_the_gradient_of_exact_labels_goes_with_the_error_and_that_of_drawn_ones_does_not(subject):
    finer = Subject.of(LINEAR, None, WARM | {"error": 1e-4})
    lessons = [one.lesson(0, 8) for one in (subject, finer)]
    for exact, least, most in ((True, 10, np.inf), (False, 0.5, 2)):
        coarse, fine = (
            one.gradient(one.noised(0.0, 0), lesson, exact)
            for one, lesson in zip((subject, finer), lessons, strict=True)
        )
        assert least < coarse / fine < most


def test_the_gradient_of_drawn_labels_shrinks_with_the_root_of_the_batch(subject, monkeypatch):
    monkeypatch.setattr(warm_start, "NOISES", (0.0,))
    effort = warm_start.Effort(trajectories=16, draws=12)
    built, random = warm_start.gradients(subject, effort, lambda *told: None)
    assert (built["weights"], random["weights"]) == ("σ = 0", "random")
    assert built["exponent"][1] < -0.5 < built["exponent"][2]
    assert built["exponent"][0] < -0.25
    assert random["exact"][0] > 10 * built["exact"][0]


@pytest.mark.parametrize("exact", [True, False])
def test_a_gradient_is_a_slope(exact):
    """The loss along it, by differences, where there are no kinks: Thompson sampling's scores are never 0."""
    subject = Subject.of(*CASES["bernoulli"])
    lesson, weights = subject.lesson(0, 4), subject.noised(1e-2, 0)
    norm = subject.gradient(weights, lesson, exact)
    loss = lesson.excess if exact else lesson.drawn
    slopes = torch.autograd.grad(loss(subject.logs(weights, lesson)).mean(), list(weights.values()))
    ends = []
    for step in (1e-7, -1e-7):
        moved = {
            name: one + step * slope / norm
            for (name, one), slope in zip(weights.items(), slopes, strict=True)
        }
        ends.append(float(loss(subject.logs(moved, lesson)).mean().detach()))
    assert (ends[0] - ends[1]) / 2e-7 == pytest.approx(norm, rel=1e-6)


def test_noise_is_relative_and_of_a_part_alone(subject):
    built = dict(subject.built.transformer.named_parameters())
    moved = subject.noised(1e-3, 0, "values")
    for name, weight in built.items():
        assert (".value." in name and weight.numel() > 0) == bool((moved[name] != weight).any())
        assert ((moved[name] - weight).abs() <= 6e-3 * weight.abs()).all()
    assert all((one == built[name]).all() for name, one in subject.noised(0.0, 1).items())
    assert subject.parts == ["all weights", "queries and keys", "values", "neurons"]


def test_the_largest_noise_near_the_floor():
    rows = [
        {"part": "a", "sigma": s, "excess": [0, 0, x]} for s, x in ((1, 0.1), (2, 0.2), (3, 0.4), (4, 0.1))
    ]
    rows.insert(0, {"part": "b", "sigma": 9, "excess": [0, 0, 1]})
    assert warm_start.near(rows, "a", 0.2) == 2
    assert warm_start.near(rows, "b", 0.2) is None


def test_odds_as_labels_are_labels_where_one_is_certain():
    recipe = replace(ARMS, player="ucb", horizon=3)
    hard = batch(recipe, 0, 0, 4)
    odds = np.eye(2, dtype=np.float32)[hard.labels]
    run = Run(recipe, batch=4, layers=1, heads=1, width=4)
    losses, slopes = [], []
    for labels in (hard.labels, odds, odds / 2 + 0.25):
        model = run.model()
        losses.append(train._gradients(model, replace(hard, labels=labels), run, 0, 1))
        slopes.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert torch.allclose(slopes[0], slopes[1], atol=1e-6)
    with torch.no_grad():
        logs = model(torch.as_tensor(hard.tokens), torch.as_tensor(recipe.places)).log_softmax(dim=2).numpy()
    assert losses[2] == pytest.approx(-((odds / 2 + 0.25) * logs).sum(axis=2).mean(), rel=1e-5)


def test_small_steps_stay_and_large_ones_leave(subject, monkeypatch):
    monkeypatch.setattr(warm_start, "NOISES", (0.0, 1e-5))
    kept = ("AdamW, rate 1e-07", "AdamW, rate 0.001")
    monkeypatch.setattr(warm_start, "DESCENTS", {name: warm_start.DESCENTS[name] for name in kept})
    effort = warm_start.Effort(trajectories=8, steps=10, seeds=2)
    rows = warm_start.descents(subject, effort, lambda *told: None)
    found = {(row["descent"], row["sigma"]): row["excess"] for row in rows}
    assert set(found) == {(name, sigma) for name in kept for sigma in (0.0, 1e-5)}
    assert found[kept[1], 0.0][-1][0] > 0.01 > 1e-4 > found[kept[0], 0.0][-1][0]
    for name in kept:  # before the first step nothing but noise has moved them
        assert found[name, 1e-5][0] == found[kept[0], 1e-5][0] != found[name, 0.0][0]


@pytest.mark.parametrize(
    ("recipe", "row", "given", "told"),
    [
        (
            RECIPES["ad-ucb-bernoulli"],
            None,
            {},
            "wanted a row that gives log-probabilities, got none for ucb",
        ),
        (LINEAR, "ridge", {}, "wanted a row that gives log-probabilities, got values of ridge"),
        (LINEAR, None, {"horizon": 5}, "horizon: wanted 4"),
        (LINEAR, None, {"colour": 5}, "linucb: wanted fields of dim"),
        (LINEAR, "nobody", {}, "construction: wanted one of"),
    ],
)
def test_what_cannot_be_asked_is_refused(recipe, row, given, told):
    with pytest.raises(ValueError, match=told):
        Subject.of(recipe, row, given)


def test_problems_that_are_not_admitted_are_refused():
    with pytest.raises(ValueError, match="reward"):
        Subject.of(LINEAR, None, WARM | {"noise_bound": 0.01, "weight_norm": 0.01}).lesson(0, 4)


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(warm_start, "SIGMAS", (1e-6, 1e-3))
    kept = {name: one for name, one in warm_start.DESCENTS.items() if "AdamW" in name}
    monkeypatch.setattr(warm_start, "DESCENTS", kept)
    fields = asdict(LINEAR) | WARM
    kept = [
        f"--set={name}={json.dumps(fields[name])}"
        for name in ("dim", "actions", "noise", "action_norm", *WARM)
    ]
    told = ["warm-start", "ad-linucb-small", "--quick", "--set=horizon=3", *kept, "--out", str(tmp_path)]
    outcome = CliRunner().invoke(cli.app, [*told, "--json"])
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert found == json.loads((tmp_path / "warm-start.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {
        "warm-start.json",
        "warm-start.svg",
        "warm-start.png",
    }
    assert found["spec"]["temperature"] == 0.5
    assert -1e-12 < found["excess"][0] <= found["certificate"]
    assert [row["labels"] for row in found["distilled"]] == ["soft", "hard"]
    console = Console(width=80, record=True, file=StringIO())
    console.print(*warm_starts.warm_tables(found))
    text = console.export_text()
    for shown in ("floor", "σ = 1e-06", "queries and keys", "AdamW, rate 0.001"):
        assert shown in text
    assert "…" not in text
