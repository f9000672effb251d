"""Interchange interventions: the algorithm by plain loops, the model by hooks, models that follow and others that do not."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import beta
from typer.testing import CliRunner

from verify.cli import commands as cli
from verify.comparison.stand_ins import stand_in
from verify.probes import effects, interchange, pairs, registers
from verify.probes.linear_probes import Probe, activations, cross_validated, exchanged
from verify.training import checkpoint, recipes, train
from verify.training.policy import Trained

LINUCB = replace(recipes.RECIPES["ad-linucb"], horizon=12, dim=2, actions=3, bonus=6.0)
BERNOULLI = replace(recipes.RECIPES["dpt-bernoulli"], horizon=24, actions=3, dim=3)
SMALL: dict[str, Any] = {"layers": 2, "heads": 2, "width": 8}


def asked(recipe: Any, problems: int = 40) -> Any:
    """Fitting, bases, sources, decisions and questions, as `probe` has them."""
    fitting, bases, sources = pairs.drawn(recipe, problems, 0)
    steps = pairs.decisions(recipe.horizon)
    exchange = registers.LINEAR if recipe.problem == "linear" else registers.COUNTED
    own, other = ({name: one[:, steps] for name, one in run.known.items()} for run in (bases, sources))
    arms = np.stack([history.contexts[0] for history in bases.histories])
    before, after = exchange.scores(recipe, arms, own, other)
    generator = np.random.default_rng(0)
    found = {
        name: effects.question(before, one, own[name].shape[-1], generator) for name, one in after.items()
    }
    return fitting, bases, sources, steps, exchange, found


def test_the_least_change_after_which_a_probe_reads_something_else():
    generator = np.random.default_rng(0)
    probe_, (own, other) = Probe(generator.normal(size=(6, 4)), np.ones(4)), generator.normal(size=(2, 5, 6))
    columns = np.array([[0, 1], [2, 3], [1, 3], [0, 2], [3, 3]])
    change = exchanged(probe_, own, other, columns)
    for row, some in enumerate(columns):
        maps = probe_.weights[:, some].T
        least = np.linalg.lstsq(maps, maps @ (other - own)[row], rcond=None)[0]
        np.testing.assert_allclose(change[row], least, atol=1e-9)
        np.testing.assert_allclose(maps @ (own + change)[row], maps @ other[row], atol=1e-9)


@pytest.mark.parametrize("attention", ["relu", "softmax"])
def test_a_resumed_model_does_what_hooks_make_of_it(attention):
    trained = Trained(LINUCB, train.Run(LINUCB, **SMALL, attention=attention).model())
    _, bases, _ = pairs.drawn(LINUCB, 20, 0)
    levels, step = interchange.levels_of(trained.model, bases.tokens), 5
    place = int(LINUCB.places[step])
    change = np.random.default_rng(1).normal(size=(10, 8))
    for level in range(3):
        found = interchange.resumed(trained.model, levels, level, place, change)
        for pair in (0, 7):

            def hook(held, _, pair=pair):
                held[place] += change[pair]
                return held

            wanted = trained.run_with_hooks(bases.histories[pair], [(level, hook)])[step]
            np.testing.assert_allclose(found[pair], wanted, atol=1e-5)


def test_sources_have_the_arms_of_their_bases_and_another_past():
    _, bases, sources = pairs.drawn(LINUCB, 20, 0)
    for base, source in zip(bases.histories, sources.histories, strict=True):
        np.testing.assert_array_equal(base.contexts, source.contexts)
        assert not np.allclose(base.rewards, source.rewards)


def test_linucb_with_a_register_of_another_history_by_inverses():
    _, bases, sources, steps, _, _ = asked(LINUCB)
    for pair, at in ((0, 0), (3, 1), (11, 2)):
        step = int(steps[at])

        def known(history, step=step):
            arms, gram, moment = history.contexts[0], np.eye(2), np.zeros(2)
            for arm, pay in zip(history.actions[:step], history.rewards[:step], strict=True):
                gram, moment = gram + np.outer(arms[arm], arms[arm]), moment + pay * arms[arm]
            weights = np.linalg.solve(gram, moment)
            return arms, weights, [np.sqrt(arm @ np.linalg.solve(gram, arm)) for arm in arms]

        arms, own, width = known(bases.histories[pair])
        _, other, wide = known(sources.histories[pair])
        one, two = (
            {name: value[[pair]][:, [step]] for name, value in run.known.items()} for run in (bases, sources)
        )
        before, after = registers.linear_scores(LINUCB, arms[None], one, two)
        np.testing.assert_allclose(before[0, 0], arms @ own + 6 * np.array(width))
        np.testing.assert_allclose(after["ridge estimate"][0, 0, 0], arms @ other + 6 * np.array(width))
        for arm in range(3):
            mean, widths = arms @ own, np.array(width)
            mean[arm] = arms[arm] @ other
            np.testing.assert_allclose(after["mean"][0, 0, arm], mean + 6 * widths)
            widths[arm] = wide[arm]
            for name in ("width", "A⁻¹a"):
                np.testing.assert_allclose(after[name][0, 0, arm], arms @ own + 6 * widths)


def test_thompson_sampling_with_a_register_of_another_history_by_quadrature():
    def likeliest(shapes):
        laws: Any = [beta(*shape) for shape in shapes]
        rest = lambda arm, x: np.prod([one.cdf(x) for k, one in enumerate(laws) if k != arm])  # noqa: E731
        return [quad(lambda x, k=k: laws[k].pdf(x) * rest(k, x), 0, 1)[0] for k in range(len(laws))]

    one, two = np.array([[3.0, 0.0], [1.0, 2.0]]), np.array([[1.0, 4.0], [6.0, 0.0]])

    def known(counts):
        won, lost = counts.T[:, None, None]
        total = won + lost
        return {"successes": won, "failures": lost, "plays": total, "posterior mean": (won + 1) / (total + 2)}

    before, after = registers.counted_scores(BERNOULLI, np.eye(2)[None], known(one), known(two))
    np.testing.assert_allclose(np.exp(before[0, 0]), likeliest(one + 1), atol=1e-7)
    wanted = {  # of arm 0, and arm 1 as it was
        "successes": (2, 1),
        "failures": (4, 5),
        "plays": (0.8 * 7, 0.2 * 7),
        "posterior mean": (2 / 7 * 5, 5 / 7 * 5),
    }
    for name, shape in wanted.items():
        found = np.exp(after[name][0, 0, 0])
        np.testing.assert_allclose(found, likeliest([shape, one[1] + 1]), atol=1e-7, err_msg=name)


def test_arms_are_asked_about_that_change_the_decision():
    before = np.array([[[1.0, 0.5, 0.0]], [[1.0, 0.5, 0.0]]])
    after = np.repeat(before[:, :, None], 3, axis=2)
    after[0, 0, 2, 2] = 2.0  # arm 2 takes over
    after[1, 0, :, :] += np.diag([-0.1, 0.1, 0.1])  # nobody does
    found = effects.question(before, after, 6, np.random.default_rng(0))
    assert found.decisive.ravel().tolist() == [True, False]
    assert (found.above[0, 0], found.below[0, 0], found.shift[0, 0]) == (2, 0, 2.0)
    assert found.columns[0, 0].tolist() == [4, 5]
    assert found.below[1, 0] == (1 if found.above[1, 0] == 0 else 0)
    alike = effects.question(before, before[:, :, None], 4, np.random.default_rng(0))
    assert not alike.decisive.any()
    assert alike.columns[0, 0].tolist() == [0, 1, 2, 3]


def test_what_is_measured_of_two_policies():
    """The algorithm goes over in three of four pairs; the model does in one, leans to it in another, away from it in one."""
    before = np.log(np.array([[0.7, 0.3], [0.7, 0.3], [0.4, 0.6], [0.3, 0.7]]))[:, None]
    after = np.log(np.array([[0.2, 0.8], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7]]))[:, None]
    ones, decisive = np.ones((4, 1), int), np.array([[True], [True], [True], [False]])
    one = effects.Question(ones[..., None], ones, 0 * ones, np.array([[3.0], [2.0], [1.0], [1.5]]), decisive)
    found = effects.measures(one, before, after)
    assert (found["decisive"], found["held"]) == (3, 2)  # in one the model was with b before
    assert found["agreement"][0] == pytest.approx(2 / 3)
    assert found["followed"][0] == pytest.approx(1 / 2)
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    assert found["effect"][0] == pytest.approx(
        np.mean(logit(np.array([0.8, 0.4, 0.2])) - logit(np.array([0.3, 0.3, 0.6])))
    )
    assert found["correlation"][0] == pytest.approx(1.0)
    assert found["agreement"][1] < 2 / 3 < found["agreement"][2]
    none = effects.measures(replace(one, decisive=decisive & False), before, before)
    assert [none[name] for name in effects.MEASURES] == [None] * 4


def followed(recipe, monkeypatch, **spec):
    """What is measured of a transformer built by a specification, by register, and what the algorithm's scores do."""
    monkeypatch.setattr(interchange, "FEW", 3)
    _, bases, sources, steps, exchange, questions = asked(recipe)
    built = stand_in(recipe, fields={**exchange.fields, **spec})
    assert built is not None
    rows = interchange.follows(built, exchange.stands, questions, bases, sources, steps)
    soon = steps <= recipe.horizon // 2
    for row in rows:
        one = questions[row["register"]]
        row["shift"] = one.shift[:3, soon][one.decisive[:3, soon]].mean()
    return built, {row["register"]: row for row in rows}


@pytest.mark.parametrize("recipe", [LINUCB, BERNOULLI], ids=["linear", "Bernoulli"])
def test_the_built_transformer_follows(recipe, monkeypatch):
    linear = recipe is LINUCB
    built, found = followed(recipe, monkeypatch, **({"temperature": 1.0} if linear else {}))
    assert list(found) == (["ridge estimate", "A⁻¹a", "width", "mean"] if linear else ["posterior"])
    for row in found.values():
        assert row["agreement"][0] == row["followed"][0] == 1.0
        assert (
            abs(row["effect"][0] - row["shift"]) <= 4 * built.certificate
        )  # two log-odds, twice a log-probability each


def test_one_built_without_exploration_does_not_follow_widths(monkeypatch):
    _, found = followed(LINUCB, monkeypatch, temperature=1.0, exploration=0.0)
    for name in ("width", "A⁻¹a"):
        assert found[name]["agreement"][0] == found[name]["effect"][0] == 0.0
    assert found["mean"]["agreement"][0] == 1.0


def test_a_model_that_reads_out_what_a_probe_reads_follows_and_its_opposite_does_not():
    """More successes make an arm likelier."""
    model = train.Run(BERNOULLI, layers=1, heads=2, width=64).model()
    fitting, *_ = pairs.drawn(BERNOULLI, 60, 0)
    held = activations(model, fitting.tokens, BERNOULLI.places[:: interchange.EVERY])[-1]
    read = cross_validated(held, fitting.known["successes"][:, :: interchange.EVERY])
    found = {}
    for sign in (1, -1):
        with torch.no_grad():
            model.read_out.weight.copy_(torch.as_tensor(sign * read.weights.T))
        rows = interchange.probe(Trained(BERNOULLI, model), problems=60)["rows"]
        rows = [row for row in rows if row["register"] == "successes"]
        found[sign] = {row["model"]: row["levels"][0]["agreement"][0] for row in rows}
    assert found[1]["trained"] > 0.9
    assert found[-1]["trained"] < 0.1
    assert max(found[1][name] for name in ("random direction", "shuffled", "another arm")) < 0.8


def test_what_was_found_is_drawn_and_fits_a_screen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train.Run(replace(BERNOULLI, horizon=6), steps=1, batch=4, **SMALL)
    checkpoint.save(path := tmp_path / "tiny.safetensors", run.model(), None, 1, asdict(run), [])
    monkeypatch.setattr(interchange, "FEW", 1)
    words = ["probe", str(path), "--quick", "--only", "interchange"]
    outcome = CliRunner().invoke(cli.app, words, env={"COLUMNS": "80"})
    assert outcome.exit_code == 0, outcome.output
    for said in ("built, posterior", "another arm", "agree"):
        assert said in outcome.stdout
    assert "…" not in outcome.stdout
    folder = tmp_path / "reports/probe/tiny"
    assert (folder / "interchange.svg").exists()
    found = json.loads((folder / "probe.json").read_text())
    assert {row["model"] for row in found["interchange"]["rows"]} == set(interchange.LOOKS)


def test_where_no_exchange_is_defined_one_line_says_so():
    without = replace(BERNOULLI, player="ucb")
    model = Trained(without, train.Run(without, **SMALL).model())
    with pytest.raises(ValueError, match=r"interchange: wanted models of thompson, .* got ucb"):
        interchange.probe(model)
    wanted = "an exchange of registers in the row ucbvi, got none"
    assert interchange.lacking(recipes.EpisodeRecipe()) == wanted
    with pytest.raises(ValueError, match="problems: wanted at least 20, got 19"):
        interchange.probe(Trained(LINUCB, train.Run(LINUCB, **SMALL).model()), problems=19)
