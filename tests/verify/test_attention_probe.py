"""Whose plays heads look at: models made by hand, controls, what is built, and models of one's own."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from constructions.history import BanditHistory, EpisodeHistory
from verify.comparison.guests import Guest
from verify.play.lockstep import play
from verify.probes import attention, probe
from verify.probes.own_plays import ranked, tally
from verify.show import plots
from verify.training import recipes, train
from verify.training.kinds import seated
from verify.training.policy import Trained

LINEAR = replace(recipes.RECIPES["ad-linucb"], horizon=12, dim=2, actions=3)
EPISODES = recipes.EpisodeRecipe(states=2, actions=2, episode=2, episodes=16)


def by_hand(kind, strength):
    """One layer, one head: tokens of plays ask for, and offer, the number of their arm."""
    run = train.Run(LINEAR, layers=1, heads=1, width=8, attention=kind)
    model, number = run.model(), LINEAR.tokens.stream["number"]
    with torch.no_grad():
        for weights in (model.read_in.weight, model.positions):
            weights.zero_()
        model.read_in.weight[:3, number.slice] = torch.eye(3)
        model.read_in.weight[3, LINEAR.tokens.stream["reward"].start] = 1
        block = model.stored_blocks[0]
        block.query_key_value[:16] = 0
        block.query_key_value[:3, :3] = block.query_key_value[8:11, :3] = strength * torch.eye(3)
        model.read_out.weight.mul_(10)
    return Trained(LINEAR, model)


@pytest.mark.parametrize("kind", ["softmax", "relu"])
def test_a_model_that_averages_is_told_from_one_that_does_not(kind):
    found = attention.probe(by_hand(kind, 10.0), 12, every=1)
    heads = {name: rows[0] for name, rows in found["heads"]["same"].items()}
    assert heads["trained"]["agreement"] > 1 - 1e-6
    assert heads["trained"]["low"] > 1 - 1e-6
    assert heads["shuffled"]["agreement"] < 0.3
    assert heads["random weights"]["agreement"] < 0.3
    for question in ("next", "fixed"):
        assert found["heads"][question]["trained"][0]["agreement"] < 0.6
    nothing = attention.probe(by_hand(kind, 0.0), 12, every=1)
    assert abs(nothing["heads"]["same"]["trained"][0]["agreement"]) < 1e-9
    assert nothing["heads"]["all"]["trained"][0]["agreement"] == pytest.approx(
        float(kind == "softmax"), abs=1e-6
    )


def test_changed_attention_changes_the_policy_unless_it_was_that_already():
    """What a play's token has averaged is read by no decision in one layer, and by the next one in two."""
    trained = by_hand("softmax", 10.0)
    wide = train.Run(LINEAR, layers=2, heads=1, width=8, attention="softmax").model()
    wide.load_state_dict(wide.state_dict() | trained.model.state_dict())
    found = attention.probe(Trained(LINEAR, wide), 12, every=1)
    [row] = [row for row in found["replaced"]["same"] if row["heads"] == 1]
    assert found["heads"]["same"]["trained"][0]["layer"] == 1
    assert row["own plays"]["mean"] < 1e-6 < 1e-3 < row["as many of any arm"]["mean"]
    assert row["all plays"]["mean"] > 1e-3


def seen(recipe: Any, size=4) -> Any:
    generator = np.random.default_rng(0)
    problems = recipe.draw(generator, size)
    return problems.histories(play(problems, seated(recipe, recipe.player, problems, generator)))


def test_plays_are_where_the_tokens_hold_them():
    recipe: Any
    for recipe in (LINEAR, EPISODES):
        history, tokens = seen(recipe)[0], recipe.tokens
        found, encoded = attention.plays(tokens, history), tokens.encode(history)
        stream = recipe.tokens.stream
        at = found.states[:-1] + 1
        np.testing.assert_allclose(encoded[at, stream["reward"].start], history.rewards)
        if recipe is LINEAR:
            assert (encoded[at][:, stream["number"].slice].argmax(axis=1) == found.arms).all()
            continue
        stage = np.arange(history.steps - 1) % 2
        wanted = [
            (h * 2 + s) * 2 + a for h, s, a in zip(stage, history.states, history.actions, strict=False)
        ]
        assert found.arms.tolist() == wanted
        assert found.choices == 8


def at_random(history, actions, seed):
    """The same with actions at random."""
    drawn = np.random.default_rng(seed).integers(actions, size=history.steps - 1)
    if isinstance(history, BanditHistory):
        return BanditHistory(history.contexts, drawn, history.rewards)
    return EpisodeHistory(history.states, drawn, history.rewards, history.horizon)


@pytest.mark.parametrize("recipe", [LINEAR, EPISODES], ids=["linear", "episodes"])
def test_built_heads_average_over_an_arm_s_own_plays_or_over_all(recipe):
    played = [at_random(history, recipe.actions, seed) for seed, history in enumerate(seen(recipe, 10))]
    for name, (placed, patterns) in attention._built(recipe, played).items():
        held, question = tally(placed, patterns), {"UCB-VI": "fixed", "LinUCB": "all"}[name]
        good = [row for row in ranked(held, question) if row["agreement"] > 1 - 1e-3]
        if question == "all":
            assert [(row["layer"], row["head"], row["place"]) for row in good] == [(2, 0, "its own token")]
            assert abs(ranked(held, "fixed")[0]["agreement"]) < 1e-3
        else:
            arms = {row["arm"] for row in good if row["place"] == "the token after"}
            assert arms == set(range(placed[0].choices))


def naive(block, hidden, kind):
    """What each token takes of each, with loops."""
    width, heads = hidden.shape[1], block.heads
    size = width // heads
    query, key = (hidden @ block.query_key_value[start : start + width].T for start in (0, width))
    found = torch.zeros(heads, len(hidden), len(hidden))
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        for i in range(len(hidden)):
            scores = torch.stack([query[i, own] @ key[j, own] for j in range(i + 1)])
            found[head, i, : i + 1] = (
                (scores / size**0.5).softmax(0) if kind == "softmax" else scores.relu() / (i + 1)
            )
    return found


@pytest.mark.parametrize("kind", ["softmax", "relu"])
def test_patterns_are_those_that_the_model_s_heads_follow(kind):
    run = train.Run(LINEAR, layers=2, heads=2, width=8, attention=kind)
    trained, history = Trained(LINEAR, run.model()), seen(LINEAR)[0]
    policy, patterns = trained.run_with_patterns(history)
    np.testing.assert_allclose(policy, trained.log_probabilities(history), atol=1e-5)
    _, cache = trained.run_with_cache(history)
    with torch.no_grad():
        for block, hidden, pattern in zip(trained.model.stored_blocks, cache, patterns, strict=False):
            wanted = naive(block, torch.as_tensor(hidden), kind)
            np.testing.assert_allclose(pattern, wanted.numpy(), atol=1e-5)
    told = []
    silent = lambda pattern, layer: told.append(layer) if layer == 1 else 0 * pattern  # noqa: E731
    changed, after = trained.run_with_patterns(history, silent)
    assert told == [1]
    assert (after[0] == patterns[0]).all()
    assert (after[1] == 0).all()
    assert abs(changed - policy).max() > 1e-3
    with pytest.raises(
        ValueError, match=r"hook: wanted an array of shape \(2, 23, 23\) after layer 1, got \(2, 23\)"
    ):
        trained.run_with_patterns(history, lambda pattern, layer: pattern[0, :2])


class Theirs:
    """A model of one's own that tells its attention."""

    def __init__(self, recipe, change=lambda pattern: pattern):
        self.recipe, self.change = recipe, change
        self.inner = by_hand("softmax", 10.0)

    def log_probabilities(self, history):
        return self.inner.log_probabilities(history)

    def patterns(self, history):
        return [self.change(torch.as_tensor(one)) for one in self.inner.patterns(history)]


def test_a_model_of_one_s_own_may_tell_its_attention():
    found = probe.probe(Theirs(LINEAR), probe.QUICK, ["attention"])
    assert found["attention"]["heads"]["same"]["trained"][0]["agreement"] > 1 - 1e-6
    assert "random weights" not in found["attention"]["heads"]["same"]
    assert "replaced" not in found["attention"]
    plots.draw(*found["records"]["attention"])
    history = seen(LINEAR)[0]
    for change, got in (
        (lambda one: one[:, :-1], r"shape \(1, 22, 23\)"),
        (lambda one: -one, "some below 0"),
    ):
        with pytest.raises(
            ValueError, match=rf"patterns: wanted numbers ≥ 0 of shape \(heads, 23, 23\), got {got}"
        ):
            list(Guest(LINEAR, Theirs(LINEAR, change)).patterns(history))
    deaf = SimpleNamespace(recipe=LINEAR, log_probabilities=Theirs(LINEAR).log_probabilities)
    with pytest.raises(
        ValueError,
        match="only: wanted symmetries or shifts for a model of one's own on linear, got attention",
    ):
        probe.probe(deaf, only=["attention"])


def test_too_few_histories_are_refused():
    with pytest.raises(ValueError, match="histories: wanted 4 or more, got 3"):
        attention.probe(by_hand("softmax", 1.0), 3)
    with pytest.raises(ValueError, match="patterns: wanted an integer >= 4, got 3"):
        probe.Effort(patterns=3)
