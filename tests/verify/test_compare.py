"""Shipped models and comparisons: against exact recursions, enumeration and formulas written out again."""

import json
import math
import shlex
from dataclasses import asdict, replace
from functools import cache
from io import StringIO
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from typer.testing import CliRunner

from constructions import ucbvi
from constructions.history import BanditHistory
from verify import algorithms
from verify.catalog import CATALOG
from verify.cli import commands as cli
from verify.cli import models as cli_models
from verify.cli import specs
from verify.comparison import compare, pretraining_bound, ratio
from verify.comparison import panels as compare_panels
from verify.play import many_bandits as tasks
from verify.play import players, seats
from verify.play.lockstep import ByDecoder, play
from verify.play.rollout import SideBySide
from verify.show import plots
from verify.training import recipes, ship, train
from verify.training.kinds import seated
from verify.training.policy import HELD_OUT, Trained

SMALL = {"layers": 1, "heads": 2, "width": 8, "batch": 4}


def untrained(name, horizon=8, **changes):
    """A small model as it was drawn."""
    run = train.named(name, horizon=horizon, **SMALL)
    recipe = replace(run.recipe, **changes)
    return Trained(recipe, replace(run, recipe=recipe).model())


def episodic(**changes):
    """The same for decision processes."""
    recipe = recipes.EpisodeRecipe(**({"states": 2, "actions": 3, "episode": 2, "episodes": 4} | changes))
    return Trained(recipe, train.Run(recipe, **SMALL).model())


@pytest.fixture
def checkpointed(tmp_path):
    """The checkpoint of a short run, and the run."""
    run = train.named("ad-linucb", horizon=5, steps=4, rate=1e-2, **SMALL)
    train.train(run, tmp_path / "run", every=2)
    return run, tmp_path / "run"


def plays_as_recorded(trained, recorded):
    """Whether regret on 30 fresh problems is within 3.5 standard errors of the recorded mean."""
    found = ship.measured(trained, 30, first=1000)["trained"]
    error = math.hypot(found["half"], recorded["half"]) / 1.96
    return abs(found["mean"] - recorded["mean"]) <= 3.5 * error


def loses_as_recorded(trained, recorded):
    """Whether the loss of 30 held-out trajectories, others than the card's, is within 3.5 standard errors of its mean."""
    found = ship.held_out_loss(trained, 30, first=1000)
    return abs(found["mean"] - recorded["mean"]) <= 3.5 * math.hypot(found["half"], recorded["half"]) / 1.96


@pytest.mark.parametrize("name", train.shipped())
def test_a_shipped_model_plays_as_its_card_says(name):
    trained, path = train.load(name), train.locate(name)
    recorded = ship.checkpoint.told(path, "regret")["trained"]
    assert recorded["runs"] >= 500
    assert plays_as_recorded(trained, recorded)
    loss = ship.checkpoint.told(path, "loss", None)
    assert loss is None or loses_as_recorded(trained, loss)
    with torch.no_grad():  # the check can fail: the answers of a model that names the arms wrongly
        for parameter in (trained.model.read_out.weight, trained.model.read_out.bias):
            parameter.copy_(parameter.roll(1, 0))
    assert not plays_as_recorded(trained, recorded)
    assert loss is None or not loses_as_recorded(trained, loss)


def test_shipped_models_are_small_and_hold_no_optimiser():
    assert {"ad-linucb", "dpt-bernoulli"} <= set(train.shipped())
    paths = [train.locate(name) for name in train.shipped()]
    assert sum(path.stat().st_size for path in paths) < 3e6
    for path in paths:
        with safe_open(path, "pt") as file:
            assert all(key.startswith("weights.") for key in file.keys())  # noqa: SIM118
        assert path.with_suffix(".md").read_text() == ship.card(path)


def test_what_is_shipped_is_the_checkpoint_and_its_command_trains_it_again(checkpointed, tmp_path):
    folder = checkpointed[1]
    command = ["ship", "tiny", str(folder), "--out", str(tmp_path), "--runs", "6", "--json"]
    outcome = CliRunner().invoke(cli.app, command)
    assert outcome.exit_code == 0, outcome.output
    path = tmp_path / "tiny.safetensors"
    assert json.loads(outcome.stdout) == [str(path), str(tmp_path / "tiny.md")]
    assert path.stat().st_mode & 0o777 == 0o644
    words = shlex.split(ship.checkpoint.told(path, "command"))
    assert words[0] == "weightwright"
    again = CliRunner().invoke(cli.app, [*words[1:], "--out", str(tmp_path / "again")])
    assert again.exit_code == 0, again.output
    shipped, trained = train.load(path), train.load(tmp_path / "again" / "model.safetensors")
    for one, other in zip(shipped.model.parameters(), trained.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    card = (tmp_path / "tiny.md").read_text()
    for fact in (*words, "**Data**: linear bandits, 10 arms in 5 dimensions", "4 of 4 trajectories", "T = 5"):
        assert fact in card
    assert ship.checkpoint.told(path, "seconds") > 0


def test_a_run_that_went_on_says_so_on_its_card(tmp_path):
    settings = {"horizon": 5, "rate": 1e-2, "lengths": ((0.5, 0.25),), **SMALL}
    for steps in (4, 6):
        train.train(train.named("ad-linucb", steps=steps, **settings), tmp_path, resume=True, every=2)
    card = ship.ship(tmp_path, "tiny", to=tmp_path, runs=4).with_suffix(".md").read_text()
    assert "`--steps 4` up to step 4, then `--steps 6` up to step 6, by the same command with" in card
    assert (
        "; 2 decisions of each trajectory up to step 2, 5 decisions of each trajectory up to step 6" in card
    )


def test_damaged_and_missing_models_are_one_clear_error(checkpointed, tmp_path):
    path = ship.ship(checkpointed[1], "tiny", to=tmp_path, runs=4)
    whole = path.read_bytes()
    for damaged in (b"", whole[:50], whole[:-1]):
        path.write_bytes(damaged)
        for read in (train.load, ship.card, compare.compare):
            with pytest.raises(ValueError, match="wanted a checkpoint written by"):
                read(path)
    _, step, settings, curve = ship.checkpoint.load(checkpointed[1] / "checkpoint.safetensors")
    for wrong in (
        {},
        settings | {"moon": "full"},
        settings | {"recipe": {"episodes": 3, "problem": "linear"}},
    ):
        ship.checkpoint.save(path, checkpointed[0].model(), None, step, wrong, curve)
        with pytest.raises(ValueError, match="wanted settings of a run"):
            train.load(path)
    with pytest.raises(ValueError, match="'regret' in its metadata"):
        ship.checkpoint.told(checkpointed[1] / "checkpoint.safetensors", "regret")
    with pytest.raises(ValueError, match=r"model: wanted one of ad-linucb, .*, got 'nothing'"):
        train.load("nothing")
    with pytest.raises(ValueError, match=r"name: wanted one without folders, got '\.\./tiny'"):
        ship.ship(checkpointed[1], "../tiny", to=tmp_path / "in")
    with pytest.raises(ValueError, match="runs: wanted 2 or more"):
        ship.ship(checkpointed[1], "tiny", to=tmp_path, runs=1)


def test_a_command_tells_settings_that_it_has_no_option_for():
    run = train.named("ad-linucb", horizon=7, seed=3, decay=0.0, attention="softmax")
    command = "weightwright train ad-linucb --seed 3 --softmax --set horizon=7 --set decay=0.0"
    assert ship.command(run) == command
    run = replace(run, recipe=replace(run.recipe, noise=2.0), lengths=((0.5, 0.25),))
    words = shlex.split(ship.command(run))
    sets = specs.asked(words[words.index("--set") + 1 :: 2], None)
    assert train.named("ad-linucb", seed=3, attention="softmax", **sets) == run


# --- policies, distances, regret ---


def test_distances_by_their_definitions():
    generator = np.random.default_rng(0)
    odds = {name: generator.dirichlet(np.ones(4) / 3, (3, 2)) for name in ("built", "true", "trained")}
    found = compare.distances({name: np.log(values) for name, values in odds.items()})
    assert set(found) == {"built ↔ true", "trained ↔ true", "trained ↔ built"}
    for pair, row in found.items():
        p, q = (odds[name] for name in pair.split(" ↔ "))
        for t in range(2):
            apart = [sum(max(a - b, 0) for a, b in zip(p[n, t], q[n, t], strict=True)) for n in range(3)]
            logs = [
                max(abs(math.log(a / b)) for a, b in zip(p[n, t], q[n, t], strict=True) if b >= 0.01)
                for n in range(3)
            ]
            assert row["variation"][t] == pytest.approx(np.mean(apart))
            assert row["variation_half"][t] == pytest.approx(1.96 * np.std(apart, ddof=1) / math.sqrt(3))
            assert row["log_error"][t] == pytest.approx(np.mean(logs))
            assert row["log_error_worst"] >= max(logs)


@pytest.mark.parametrize("name", ["ad-linucb", "dpt-bernoulli", "ad-ucb-bernoulli", "ad-ucbvi"])
def test_policies_on_held_out_histories(name):
    """Built within its certificate of true; the soft stand-in prefers what the expert does; all are distributions."""
    trained = episodic() if name == "ad-ucbvi" else untrained(name)
    policies = compare.policies_on(trained, 4)
    built = compare.stand_in(trained.recipe)
    for one in policies.values():
        np.testing.assert_allclose(np.exp(one).sum(axis=-1), 1, atol=1e-9)
        assert one.shape == (4, 8, trained.recipe.actions)
    if name == "dpt-bernoulli":
        wrong = policies["true"] - policies["built"]
        assert wrong.max() <= built.certificate
        assert "expert" not in policies
        assert np.ptp(policies["true"][:, -1], axis=1).min() > 0.05
    elif name == "ad-ucbvi":
        assert np.abs(policies["true"] - policies["built"]).max() <= 1e-10 / trained.recipe.spec.tau
        assert np.ptp(policies["true"][:, -1], axis=1).max() > 0.1
        assert "expert" not in policies
    elif name == "ad-linucb":
        assert np.abs(policies["true"] - policies["built"]).max() <= built.certificate
        assert (policies["true"].argmax(axis=-1) == policies["expert"].argmax(axis=-1)).all()
        logarithm = math.log(4 * 8 * 10 * math.sqrt(5) * (math.sqrt(5) + 4))
        assert built.spec.temperature == pytest.approx(1 / (math.sqrt(32) * logarithm))
    else:
        assert built is None
        assert "built" not in policies
        assert (policies["true"] == policies["expert"]).all()


def test_regret_of_a_model_that_does_not_care():
    """With a read-out of zeros it plays arm ⌊5u⌋: mean, deviation and interval by hand, over two batches."""
    trained = untrained("dpt-bernoulli", horizon=6)
    with torch.no_grad():
        for parameter in trained.model.read_out.parameters():
            parameter.zero_()
    played, totals = compare.regrets(trained, 130), []
    found = {name: compare.summary(regret) for name, regret in played.items()}
    assert list(found) == ["trained", "greedy", "thompson", "empirical", "ucb"]
    for number, size in enumerate((100, 30)):
        problems = trained.recipe.draw(np.random.default_rng([HELD_OUT, number]), size)
        for means, uniforms in zip(problems.means, problems.uniforms, strict=True):
            totals.append([sum(max(means) - means[int(5 * u)] for u in uniforms[:t]) for t in range(1, 7)])
    np.testing.assert_allclose(found["trained"]["mean"], np.mean(totals, axis=0))
    np.testing.assert_allclose(found["trained"]["deviation"], np.std(totals, axis=0, ddof=1))
    half = 1.96 * np.std(totals, axis=0, ddof=1)[-1] / math.sqrt(130)
    assert found["trained"]["half"] == pytest.approx(half)
    shown = compare_panels.suboptimality_panel(played)["curves"]
    assert [one["label"] for one in shown] == [seats.TITLES.get(name, name) for name in played]
    steps = np.diff(totals, axis=1, prepend=0.0)
    np.testing.assert_allclose(shown[0]["y"], steps.mean(axis=0))
    spread = 1.96 * steps.std(axis=0, ddof=1) / math.sqrt(130)
    np.testing.assert_allclose(shown[0]["high"], steps.mean(axis=0) + spread)
    np.testing.assert_allclose(shown[0]["low"], steps.mean(axis=0) - spread)


def test_no_band_of_a_suboptimality_goes_below_0():
    [drawn] = compare_panels.suboptimality_panel({"trained": np.array([[0.0, 0.5], [0.1, 0.5]])})["curves"]
    assert drawn["low"] == [0.0, 0.5]
    assert drawn["high"] == pytest.approx([0.05 + 1.96 * 0.05, 0.5])


def test_baselines_in_decision_processes_by_other_players():
    """Uniform play by hand; empirical values by the other author's UCB-VI, without bonus and nearly without temperature."""
    trained, size = episodic(), 6
    recipe = trained.recipe
    found = compare.regrets(trained, size)
    assert list(found) == ["trained", "greedy", "ucbvi", "values", "uniform"]
    problems = recipe.draw(np.random.default_rng([HELD_OUT, 0]), size)
    spec = ucbvi.Spec(2, 3, 2, 4, temperature=seats.GREEDY, exploration=0.0)
    greedy = ByDecoder(SideBySide([algorithms.ucbvi_decoder(spec) for _ in range(size)]), problems)
    np.testing.assert_allclose(problems.regret(play(problems, greedy)), found["values"])
    assert (found["values"] != found["ucbvi"]).any()
    losses, state = problems.losses()[0], None
    for step, u in enumerate(problems.uniforms[0]):
        odds = problems.initial[0] if step % 2 == 0 else problems.transitions[0, 0, state, action]
        state = int(np.searchsorted(odds.cumsum(), problems.moves[0, step], side="right"))
        action = int(3 * u)
        assert found["uniform"][0, step] == pytest.approx(losses[step % 2, state, action])
    with pytest.raises(ValueError, match="player: wanted 'ucbvi' or 'uniform' or 'values', got 'linucb'"):
        seated(recipe, "linucb", problems, np.random.default_rng(0))


def test_an_algorithm_that_is_neither_built_nor_certain_is_one_clear_error():
    trained = untrained("ad-linucb", player="thompson")
    with pytest.raises(ValueError, match="recipe: wanted the algorithm of the row linucb, got thompson"):
        compare.policies_on(trained, 2)


class Indifferent:
    """A decoder that does not care."""

    def __init__(self, actions):
        self._actions = actions

    def observe(self, context):
        return np.full(self._actions, -math.log(self._actions))

    def record(self, action, reward):
        pass


@pytest.mark.parametrize("name", ["ad-linucb", "dpt-bernoulli", "ad-ucbvi"])
def test_built_plays_as_true_on_the_same_problems(name, monkeypatch):
    trained = episodic() if name == "ad-ucbvi" else untrained(name)
    recipe, who = trained.recipe, trained.recipe.algorithm
    played = compare.regrets(trained, 12)
    found = compare.side_by_side(recipe, played, 5)
    assert (found["problems"], found["differing"], found["parted"], found["excess"]) == (5, 0, 0, [0, 0])
    assert found["regret"]["built"] == found["regret"]["true"]
    np.testing.assert_allclose(found["regret"]["trained"]["mean"], played["trained"][:5].cumsum(1).mean(0))
    if (
        name == "ad-ucbvi"
    ):  # among the players it uses the uniforms too; LinUCB is hard there, Thompson sampling draws
        np.testing.assert_allclose(found["regret"]["true"]["mean"], played[who][:5].cumsum(1).mean(0))
    careless = replace(CATALOG[recipe.row], decoder=lambda spec, chance: Indifferent(recipe.actions))
    monkeypatch.setitem(CATALOG, recipe.row, careless)
    found = compare.side_by_side(recipe, played, 5)
    assert found["differing"] > 0.1
    assert 3 <= found["parted"] <= 5
    means = [found["regret"][one]["mean"][-1] for one in ("built", "true")]
    assert found["excess"][0] == pytest.approx(means[0] - means[1])
    assert abs(found["excess"][0]) > 0.01


def test_linear_thompson_draws_arms_as_often_as_the_true_probabilities_say():
    generator, count = np.random.default_rng(1), 20_000
    arms = generator.uniform(-1, 1, (4, 3))
    played, pay = generator.integers(4, size=6), generator.normal(size=6)
    problems = tasks.Tasks(
        np.repeat(arms[None], count, 0), np.zeros((count, 4)), *np.zeros((2, count, 7)), False
    )
    player = players.LinearThompson(problems, generator, variance=0.7, noise=0.4)
    for arm, reward in zip(played, pay, strict=True):
        player.record(np.full(count, arm), np.full(count, reward))
    shares = np.bincount(player.choose(6), minlength=4) / count
    spec = SimpleNamespace(prior_variance=0.7, noise_variance=0.4)
    history = BanditHistory(np.repeat(arms[None], 7, 0), played, pay)
    odds = np.exp(algorithms.thompson(spec, history)[-1])
    assert (np.abs(shares - odds) < 4 * np.sqrt(odds * (1 - odds) / count) + 1e-3).all()


# --- the distribution ratio ---


@cache
def first_wins(s, b, other_s, other_b):
    """P(X > Y) for X ~ Beta(s+1, b+1), Y ~ Beta(other_s+1, other_b+1): a finite sum, of integer parameters."""
    beta = lambda x, y: math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)  # noqa: E731
    a, c, d, e = other_s + 1, other_b + 1, s + 1, b + 1
    terms = (beta(a + i, c + e) - math.log(e + i) - beta(1 + i, e) - beta(a, c) for i in range(d))
    return math.fsum(map(math.exp, terms))


def odds_of(counts):
    """Thompson sampling of two arms."""
    (s, b), (other_s, other_b) = counts
    first = first_wins(s, b, other_s, other_b)
    return first, 1 - first


def after(counts, arm):
    """The two ways on, with the probabilities of a win and of a loss."""
    s, b = counts[arm]
    for won, chance in ((1, (s + 1) / (s + b + 2)), (0, (b + 1) / (s + b + 2))):
        yield (*counts[:arm], (s + won, b + 1 - won), *counts[arm + 1 :]), chance


def exact_by_step(share, steps, counts=((0, 0), (0, 0))):
    """R by recursion over all histories that two arms can have, equal counts taken once."""

    @cache
    def value(counts, left):
        if not left:
            return 1.0
        return sum(
            p * p / (share * p + (1 - share) / 2) * sum(c * value(n, left - 1) for n, c in after(counts, arm))
            for arm, p in enumerate(odds_of(counts))
        )

    return value(counts, steps)


def exact_by_trajectory(share, steps):
    """R = Σ_h P(h)²/(αP(h) + (1 − α)U(h)), every history written out."""
    total = 0.0
    for path in product(range(2), repeat=2 * steps):
        counts, chosen, paid = ((0, 0), (0, 0)), 1.0, 1.0
        for arm, lost in zip(path[::2], path[1::2], strict=True):
            chosen *= odds_of(counts)[arm]
            counts, chance = list(after(counts, arm))[lost]
            paid *= chance
        total += paid * chosen**2 / (share * chosen + (1 - share) * 0.5**steps)
    return total


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_particles_estimate_the_exact_ratio_without_bias(share):
    """At every horizon to 14, beyond where particles are drawn again; four standard errors."""
    chains = ratio.by_step(share, 2, 14, groups=300, particles=16, generator=np.random.default_rng(3))
    assert chains.resampled > 0
    for steps in (1, 2, 5, 14):
        groups = np.exp(chains.groups[:, steps - 1])
        wanted = exact_by_step(share, steps)
        assert groups.mean() == pytest.approx(wanted, abs=4 * groups.std() / math.sqrt(300) + 1e-9)
        assert groups.std() / math.sqrt(300) < 0.05 * wanted
    found = ratio.step_ratio(share, chains, ratio.of_expert(2, 14, 50, np.random.default_rng(4)), 2)
    assert (found.low <= found.estimate + 1e-12).all()
    assert (found.estimate <= found.high + 1e-12).all()
    assert found.low[-1] - 0.05 < math.log(exact_by_step(share, 14)) < found.high[-1] + 0.05
    assert 1 <= found.effective[0] < found.effective[1] == 50


def test_one_coin_for_the_whole_history():
    expert = ratio.of_expert(2, 5, 5_000, np.random.default_rng(5))
    for share in (0.1, 0.5):
        found = ratio.trajectory_ratio(share, expert, 2)
        for steps in (1, 3, 5):
            wanted = exact_by_trajectory(share, steps)
            spread = (found.high[steps - 1] - found.low[steps - 1]) / 4
            assert math.exp(found.estimate[steps - 1]) == pytest.approx(
                wanted, abs=4 * wanted * spread + 1e-9
            )
            assert spread < 0.01
        assert (np.exp(found.estimate) <= 1 / share).all()


def test_ratios_that_are_one_and_shares_that_are_refused():
    generator = np.random.default_rng(6)
    expert = ratio.of_expert(3, 6, 10, generator)
    assert np.abs(ratio.trajectory_ratio(1.0, expert, 3).estimate).max() < 1e-12
    assert np.abs(ratio.by_step(1.0, 3, 6, groups=2, particles=4, generator=generator).groups).max() < 1e-9
    for refused in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"share: wanted a number in \(0, 1\]"):
            ratio.trajectory_ratio(refused, expert, 3)
    with pytest.raises(ValueError, match="particles: wanted an integer"):
        ratio.by_step(0.5, 3, 6, groups=2, particles=0, generator=generator)


# --- the theorem ---


def test_the_bound_is_the_formula_at_the_sizes_of_the_weights():
    trained = untrained("dpt-bernoulli")
    model, block = trained.model, trained.model.stored_blocks[0]
    rows = block.query_key_value.detach().double().numpy().reshape(3, 2, 4, 8)
    outward = block.output.weight.detach().double().numpy()
    largest = lambda matrix: np.linalg.svd(matrix, compute_uv=False)[0]  # noqa: E731
    inner = max(largest(rows[kind, head]) for kind in (0, 1) for head in (0, 1))
    values = sum(largest(outward[:, 4 * head : 4 * head + 4] @ rows[2, head]) for head in (0, 1))
    mlp = sum(largest(layer.weight.detach().double().numpy()) for layer in (block.first, block.second))
    assert pretraining_bound.norm(model) == pytest.approx(inner + values + mlp, rel=1e-5)
    tokens = 100 * torch.randn(1, 500, 8, generator=torch.Generator().manual_seed(0))
    longest = float(block(tokens).detach().norm(dim=-1).max())
    assert 0.8 * pretraining_bound.radius(model) < longest <= pretraining_bound.radius(model) * (1 + 1e-5)

    n, horizon, size = 1000, 8, pretraining_bound.norm(model)
    found = pretraining_bound.bound(model, horizon, n, log_ratio=math.log(3))
    rho = (n * horizon) ** -2
    cover = 1 * 8 * (2 * 8 + 8) * math.log(2 + max(size, 1, pretraining_bound.radius(model)) / rho)
    distance = horizon * math.sqrt(3) * math.sqrt((cover + math.log(horizon / 0.05)) / n)
    assert found["log_covering"] == pytest.approx(cover)
    assert found["distance"] == pytest.approx(distance)
    assert found["distance_vacuous"] == pytest.approx(distance / (math.sqrt(2) * horizon))
    assert found["reward_gap_vacuous"] == pytest.approx(distance)
    enough = pretraining_bound.bound(model, horizon, n, 0.0) | {"n": n}
    assert enough["trajectories_needed"] == pytest.approx(n * enough["distance_vacuous"] ** 2)


# --- figures and the command ---


def test_a_band_is_drawn_and_held_to_its_curve():
    curve = compare_panels.curve("a", [1.0, 2.0, 3.0], np.array([-1.0, 1.0, 2.0]), [2.0, 3.0, 4.0])
    assert curve["low"] == [0.0, 1.0, 2.0]
    record = compare_panels.panel("title", ("x", "y"), [curve], ("linear", "linear"))
    [band] = plots.draw(record).axes[0].collections
    vertices = {tuple(vertex) for vertex in band.get_paths()[0].vertices.tolist()}
    assert {(1.0, 0.0), (1.0, 2.0), (3.0, 2.0), (3.0, 4.0)} <= vertices
    for wrong in ([2.0, 3.0], [2.0, 3.0, math.inf]):
        with pytest.raises(ValueError, match="curves: wanted"):
            plots.draw(record | {"curves": [curve | {"high": wrong}]})


@pytest.mark.parametrize("name", ["dpt-bernoulli", "ad-linucb"])
def test_compare_from_the_command_line(name, tmp_path):
    run = train.named(name, horizon=6, steps=2, **SMALL)
    train.train(run, tmp_path / "run", every=2)
    model, out = str(tmp_path / "run" / "model.safetensors"), tmp_path / "out"
    outcome = CliRunner().invoke(cli.app, ["compare", model, "--quick", "--out", str(out), "--json"])
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert found == json.loads((out / "compare.json").read_text())
    assert found["runs"] == 100
    assert found["bound"]["trajectories"] == 8
    assert found["bound"]["measured"] > 0
    if name == "dpt-bernoulli":
        assert {(row["share"], row["mixing"]) for row in found["ratio"]} == {
            *((share, "step") for share in (0.0, 0.1, 0.5)),
            *((share, "trajectory") for share in (0.1, 0.5, 1.0)),
        }
        assert found["bound"]["log_ratio"] == pytest.approx(math.log(2))
    else:
        assert found["ratio"] == []
        assert "trained ↔ expert" in found["pairs"]
    for figure in found["records"]:
        assert (out / f"{figure}.svg").stat().st_size > 1000
    console = Console(width=80, record=True, file=StringIO())
    console.print(*cli_models.comparison_tables(found))
    text = console.export_text()
    assert "trained ↔ built" in text
    assert "…" not in text


def test_compare_of_a_model_trained_on_episodes(tmp_path):
    run = train.Run(episodic().recipe, steps=3, **SMALL)
    path, out = tmp_path / "tiny.safetensors", tmp_path / "out"
    ship.checkpoint.save(path, run.model(), None, 3, asdict(run), [])
    command = ["compare", str(path), "--quick", "--runs", "30", "--out", str(out), "--json"]
    outcome = CliRunner().invoke(cli.app, command)
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert (found["recipe"], found["true"], found["ratio"]) == ("episodes", "UCB-VI", [])
    assert found["runs"] == 100  # those of --quick
    assert found["built"]["problems"] == 20
    assert found["bound"]["log_ratio"] == 0
    policies = compare.policies_on(Trained(run.recipe, run.model()), 20)
    roots = [np.exp(policies[name] / 2) for name in ("true", "trained")]
    measured = np.linalg.norm(roots[0] - roots[1], axis=2).sum(axis=1).mean()
    assert found["bound"]["measured"] == pytest.approx(measured)
    assert set(found["pairs"]) == {"built ↔ true", "trained ↔ true", "trained ↔ built"}
    assert {path.name for path in out.iterdir()} > {"regret.svg", "distances.png", "compare.json"}
    console = Console(width=80, record=True, file=StringIO())
    console.print(*cli_models.comparison_tables(found))
    text = console.export_text()
    for shown in ("UCB-VI", "empirical values", "uniform", "built less true", "trained ↔ built"):
        assert shown in text
    assert "…" not in text


def test_an_effort_of_nothing_is_refused():
    with pytest.raises(ValueError, match="histories: wanted an integer >= 2"):
        compare.Effort(histories=1)
