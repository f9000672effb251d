"""What a run plays and tells: averages of weights, clocks, held-out loss, and optimisers side by side."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks import optimisers as race
from verify.play.lockstep import play
from verify.training import checkpoint, curves, recipes, ship, train
from verify.training.kinds import seated
from verify.training.policy import TOGETHER, Trained, contest

SMALL = {"horizon": 5, "layers": 1, "heads": 2, "width": 8, "batch": 4}
EPISODES = recipes.EpisodeRecipe(states=2, actions=3, episode=2, episodes=3)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """A picture at every step takes longer than the steps."""
    monkeypatch.setattr(curves, "picture", lambda curve: b"")


def followed(folder, **settings):
    """A short run, the model that it returns, and its weights after every step."""
    run, weights = train.named("ad-linucb", steps=4, rate=2e-2, **SMALL, **settings), []

    def tell(progress):
        tensors = checkpoint.load(folder / "checkpoint.safetensors")[0]
        weights.append({name: x for name, x in tensors.items() if name.startswith("weights.")})

    return run, train.train(run, folder, every=1, tell=tell), weights


@pytest.mark.parametrize(("share", "counts"), [(1, [1] * 4), (0.5, [1, 2, 3, 4]), (0.25, [1, 4, 10, 20])])
def test_an_average_is_that_of_its_formula(share, counts, tmp_path):
    """γ = 1, 1/2, 1/4, for which step s counts in proportion to 1, s and s(s + 1)(s + 2)."""
    run, played, weights = followed(tmp_path, average=share)
    kept = load_file(tmp_path / "model.safetensors")
    again = train.load(tmp_path / "checkpoint.safetensors").model
    for (name, value), loaded in zip(played.named_parameters(), again.parameters(), strict=True):
        steps = [one[f"weights.{name}"].double() * count for one, count in zip(weights, counts, strict=True)]
        torch.testing.assert_close(value.double(), sum(steps) / sum(counts), rtol=1e-5, atol=1e-6)
        assert torch.equal(value, kept[f"weights.{name}"])
        assert torch.equal(value, loaded)
        assert not torch.equal(value, weights[-1][f"weights.{name}"])
    row = checkpoint.load(tmp_path / "checkpoint.safetensors")[3][-1]
    regret = contest(Trained(run.recipe, again), TOGETHER)
    assert row["trained"] == regret["trained"].sum(axis=1).mean()
    assert row["greedy"] == regret["greedy"].sum(axis=1).mean()


def test_without_an_average_the_last_step_is_played(tmp_path):
    run, played, weights = followed(tmp_path)
    assert run.average == 0
    kept = load_file(tmp_path / "model.safetensors")
    assert kept.keys() == weights[-1].keys()
    assert all(torch.equal(kept[name], value) for name, value in weights[-1].items())
    assert all(torch.equal(kept[f"weights.{name}"], value) for name, value in played.named_parameters())
    names = checkpoint.load(tmp_path / "checkpoint.safetensors")[0]
    assert not [name for name in names if name.startswith("average")]


def test_an_average_changes_no_step(tmp_path):
    without, with_one = (followed(tmp_path / str(share), average=share)[2] for share in (0, 0.5))
    for one, other in zip(without, with_one, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_an_average_cannot_be_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"average: wanted a number in \[0, 1\], got 1.5"):
        train.named("ad-linucb", average=1.5)
    run, _, _ = followed(tmp_path)
    with pytest.raises(ValueError, match=r"wanted a checkpoint of average = 0\.5, got one of 0"):
        train.train(replace(run, average=0.5), tmp_path, resume=True)


def test_a_checkpoint_from_before_averages_is_one_without(tmp_path):
    run, _, _ = followed(tmp_path)
    settings = asdict(run)
    del settings["average"]
    assert train.from_record(settings) == run


@pytest.fixture
def watch(monkeypatch):
    """Clocks that are set by hand."""
    now = SimpleNamespace(clock=100.0, cpu=7.0)
    clocks = SimpleNamespace(monotonic=lambda: now.clock, process_time=lambda: now.cpu)
    monkeypatch.setattr(train, "time", clocks)
    return now


def test_clocks_go_on_where_a_curve_ends(watch):
    first, later = train._Clocks([], 1), train._Clocks([{"seconds": 50.0, "cpu": 20.0}], 1)
    old = train._Clocks([{"seconds": 50.0}], 1)
    watch.clock, watch.cpu = 110.0, 10.0
    assert first.read() == {"seconds": 10.0, "cpu": 3.0}
    assert later.read() == {"seconds": 60.0, "cpu": 23.0}
    assert old.read() == {"seconds": 60.0}


def test_cpu_time_is_that_of_all_processes(watch, monkeypatch):
    monkeypatch.setattr(train.processes, "get_backend", lambda: "gloo")
    monkeypatch.setattr(train.processes, "all_reduce", lambda spent: spent.add_(5.0))  # the other's
    clocks = train._Clocks([], 2)
    watch.cpu = 10.0
    assert clocks.read()["cpu"] == 8.0


def test_a_card_says_which_time_it_tells(tmp_path):
    followed(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    tensors, step, settings, curve = checkpoint.load(path)
    assert all(row["cpu"] > 0 for row in curve)
    curve[-1] |= {"cpu": 240.0, "seconds": 600.0}

    def told(curve):
        run = train.from_record(settings)
        model = run.model()
        checkpoint.restore(path, tensors, model, None, step)
        checkpoint.save(path, model, None, step, settings, curve)
        return ship.ship(tmp_path, "tiny", to=tmp_path, runs=2).with_suffix(".md").read_text()

    assert "**Time**: 4 CPU minutes, all processes together; 10 minutes by the clock\n" in told(curve)
    old = [{name: value for name, value in row.items() if name != "cpu"} for row in curve]
    assert "**Time**: 10 minutes by the clock; CPU time was not recorded\n" in told(old)


@pytest.mark.parametrize(
    "recipe", [train.named("ad-linucb", horizon=5).recipe, EPISODES], ids=["bandits", "episodes"]
)
def test_held_out_loss_is_that_of_the_labels(recipe):
    """Trajectory by trajectory, as histories, of problems whose seeds no training has."""
    sizes = {name: value for name, value in SMALL.items() if name != "horizon"}
    trained = Trained(recipe, train.Run(recipe, **sizes).model())
    rows = []
    for number, size in enumerate((100, 30)):
        generator = np.random.default_rng([2**32, number])
        problems = recipe.draw(generator, size)
        seen = play(problems, seated(recipe, recipe.player, problems, generator))
        for history, actions in zip(problems.histories(seen), seen.actions, strict=True):
            odds = trained.log_probabilities(history)
            rows.append(-odds[np.arange(len(actions)), actions].mean())
    found = ship.held_out_loss(trained, 130)
    assert found["trajectories"] == len(rows) == 130
    assert found["mean"] == pytest.approx(np.mean(rows), rel=1e-5)
    assert found["half"] == pytest.approx(1.96 * np.std(rows, ddof=1) / 130**0.5, rel=1e-3)
    assert ship.held_out_loss(trained, 30, first=1)["mean"] == pytest.approx(np.mean(rows[100:]), rel=1e-5)
    with pytest.raises(ValueError, match="trajectories: wanted an integer >= 2, got 1"):
        ship.held_out_loss(trained, 1)


def test_a_card_has_the_held_out_loss(tmp_path):
    run, played, _ = followed(tmp_path)
    path = ship.ship(tmp_path, "tiny", to=tmp_path, runs=2)
    found = ship.held_out_loss(Trained(run.recipe, played))
    assert checkpoint.told(path, "loss") == found
    said = f"{found['mean']:.4f} ± {found['half']:.4f} nats a decision: mean and its 95 % interval over 500 held-out"
    assert said in path.with_suffix(".md").read_text()


def test_a_file_without_a_loss_has_a_card_without_one(tmp_path):
    run, played, _ = followed(tmp_path)
    facts = {"command": "", "seconds": None, "regret": {"trained": {"mean": 1.0, "half": 0.1, "runs": 2}}}
    checkpoint.save(tmp_path / "old.safetensors", played, None, 4, asdict(run), [], facts)
    card = ship.card(tmp_path / "old.safetensors")
    assert "## Loss" not in card
    assert "**Time**: not recorded\n" in card


def test_optimisers_that_race_take_the_steps_of_training(tmp_path, monkeypatch):
    """With a clock by which a step takes half a second: to 3 seconds, and the same batches for all."""
    run, ticks, made = (
        train.named("ad-linucb", steps=6, descent=0.0, average=0.5, **SMALL),
        iter(range(10**6)),
        [],
    )
    monkeypatch.setattr(race, "time", SimpleNamespace(process_time=lambda: next(ticks) / 2))
    original = race.batch

    def batch(recipe, seed, number, size):
        made.append((seed, number, size))
        return original(recipe, seed, number, size)

    monkeypatch.setattr(race, "batch", batch)
    one = race.Contestant(
        replace(run, steps=12), 3.0
    )  # the schedule goes by time: two of its steps for each that is taken
    one.until(1.5)
    one.until(3.0)
    assert made == [(0, number, 4) for number in range(6)]
    wanted = train.train(run, tmp_path / "adamw")
    for value, other in zip(one.average.model.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-6)
    made.clear()
    curves = race.race(run, ("adamw", "soap"), 3.0, 2, 4)
    assert made == [(0, number, 4) for turn in ((0, 1, 2), (3, 4, 5)) for _ in range(2) for number in turn]
    assert [[row["steps"] for row in curve] for curve in curves.values()] == [[3, 6]] * 2
    assert curves["adamw"][-1]["loss"] == pytest.approx(
        ship.held_out_loss(Trained(run.recipe, wanted), 4)["mean"]
    )
    assert curves["soap"][-1]["loss"] != pytest.approx(curves["adamw"][-1]["loss"], rel=1e-3)


def test_time_to_a_loss_by_hand():
    rows = {"slow": [2.0, 1.5, 1.6, 1.0], "fast": [1.0, 0.5, 0.4, 0.3]}
    curves = {
        name: [{"seconds": 10.0 * (n + 1), "loss": loss} for n, loss in enumerate(losses)]
        for name, losses in rows.items()
    }
    [row] = race.ratios(curves)
    assert row == {
        "loss": 1.0,
        "seconds": {"slow": 40.0, "fast": 10.0},
        "times the quickest": {"slow": 4.0, "fast": 1.0},
    }
    first, second = race.ratios(curves, [1.75, 0.45])
    assert first["seconds"] == {"slow": 15.0, "fast": 10.0}
    assert second["seconds"] == {"slow": None, "fast": pytest.approx(25.0)}
    assert race.phrase(second, "slow") == "slow never"
    assert race.phrase(first, "slow") == "slow 15 s (1.50 ×)"


def test_a_race_from_the_command_line(tmp_path, capsys):
    sets = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    options = ["--minutes", "0.001", "--looks", "2", "--trajectories", "4", "--optimizers", "adamw", "muon"]
    race.main(["ad-linucb", *options, *sets, "--out", str(tmp_path / "in" / "race.json")])
    found = json.loads((tmp_path / "in" / "race.json").read_text())
    assert list(found["curves"]) == ["adamw", "muon"]
    assert found["run"]["average"] == 0.2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["adamw", "muon"]
    assert lines[2].startswith(f"to {found['ratios'][0]['loss']:.3f}: adamw ")
