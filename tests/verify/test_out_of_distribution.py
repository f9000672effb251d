"""Shifts do what they say; built and true agree on all of them; what knows nothing scores what chance scores."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from constructions import linucb, thompson
from verify import algorithms
from verify.comparison import stand_ins
from verify.play import many_bandits as tasks
from verify.play import players
from verify.play.lockstep import ByDecoder, Seen, play
from verify.probes import out_of_distribution
from verify.show import plots
from verify.training import recipes, shifts, train
from verify.training.policy import Trained

LINUCB = replace(recipes.RECIPES["ad-linucb"], horizon=15, dim=3, actions=4)
BERNOULLI = replace(recipes.RECIPES["dpt-bernoulli"], horizon=15, dim=3, actions=3)
EPISODES = recipes.EpisodeRecipe(states=3, actions=2, episode=2, episodes=6)
SMALL = {"layers": 2, "heads": 2, "width": 8}
SPEC = linucb.Spec(3, 4, 15, 1e-2, "newton", exploration=2.0, action_norm=(1e-3, 3**0.5), noise_bound=30.0)


def linear(size=5):
    """Problems of known weights."""
    generator = np.random.default_rng(0)
    weights, arms = generator.random((size, 3)), generator.uniform(-1, 1, (size, 4, 3))
    means = np.stack([each @ weight for each, weight in zip(arms, weights, strict=True)])
    noise, uniforms = generator.normal(size=(size, 15)), generator.random((size, 15))
    return weights, tasks.Tasks(arms, means, noise, uniforms, bernoulli=False)


def bernoulli(size=5):
    return tasks.bernoulli_tasks(np.random.default_rng(0), size, 15, 3)


def changed(before, after):
    """Names of the fields that differ."""
    pairs = ((f.name, getattr(before, f.name), getattr(after, f.name)) for f in fields(before))
    return {name for name, one, other in pairs if not np.array_equal(one, other)}


def shifted(name, problems, recipe):
    return shifts.shifts(recipe)[name](problems, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("as in training", set()),
        ("noise × 0.5", {"noise"}),
        ("noise × 4", {"noise"}),
        ("arms on the unit sphere", {"arms", "means"}),
        ("arms in a plane", {"arms", "means"}),
        ("arms close together", {"arms", "means"}),
        ("rewards + 1", {"means"}),
        ("arms permuted", {"arms", "means"}),
        ("best arm last", {"arms", "means"}),
        ("horizon × 2", {"noise", "uniforms"}),
    ],
)
def test_a_shift_changes_what_it_names_and_keeps_the_weights(name, wanted):
    weights, before = linear()
    after = shifted(name, before, LINUCB)
    assert changed(before, after) == wanted
    means = np.stack([arms @ weight for arms, weight in zip(after.arms, weights, strict=True)])
    np.testing.assert_allclose(after.means, means + (name == "rewards + 1"), atol=1e-10)


def test_shifts_of_linear_problems_by_what_they_say():
    _, before = linear()
    after = {name: shifted(name, before, LINUCB) for name in shifts.shifts(LINUCB)}
    np.testing.assert_allclose(after["noise × 4"].noise, 4 * before.noise)
    np.testing.assert_allclose(np.linalg.norm(after["arms on the unit sphere"].arms, axis=2), 1)
    cosine = np.einsum("bkd,bkd->bk", after["arms on the unit sphere"].arms, before.arms)
    np.testing.assert_allclose(cosine, np.linalg.norm(before.arms, axis=2))
    assert (np.linalg.matrix_rank(after["arms in a plane"].arms, tol=1e-9) == 2).all()
    gap = lambda problems: problems.arms[:, :, None] - problems.arms[:, None]  # noqa: E731
    np.testing.assert_allclose(gap(after["arms close together"]), gap(before) / 5, atol=1e-12)
    np.testing.assert_allclose(after["arms close together"].arms.mean(axis=1), before.arms.mean(axis=1))
    played = Seen(np.ones((5, 15), int), np.zeros((5, 15)))
    np.testing.assert_allclose(after["rewards + 1"].regret(played), before.regret(played))
    arms = np.ones(5, int)
    np.testing.assert_allclose(after["rewards + 1"].pay(3, None, arms), before.pay(3, None, arms) + 1)
    np.testing.assert_array_equal(np.sort(after["arms permuted"].means), np.sort(before.means))
    assert (after["best arm last"].best == 3).all()


def test_a_longer_horizon_begins_as_it_was():
    problems = LINUCB.draw(np.random.default_rng(0), 100)
    for before in (problems, tasks.bernoulli_tasks(np.random.default_rng(0), 100, 15, 3)):
        after = shifts.longer(before, np.random.default_rng(1))
        assert after.steps == 30
        np.testing.assert_array_equal(after.noise[:, :15], before.noise)
        np.testing.assert_array_equal(after.uniforms[:, :15], before.uniforms)
        assert after.noise[:, 15:].std() == pytest.approx(before.noise.std(), rel=0.05)
        assert after.noise[:, 15:].mean() == pytest.approx(before.noise.mean(), abs=0.1)


def test_shifts_of_bernoulli_problems():
    before = bernoulli()
    after = {name: shifted(name, before, BERNOULLI) for name in shifts.shifts(BERNOULLI)}
    for problems in after.values():
        np.testing.assert_array_equal(problems.arms, before.arms)
        assert ((problems.means >= 0) & (problems.means <= 1)).all()
    assert (after["means in the upper half"].means >= 0.5).all()
    assert (after["means in the upper half"].best == before.best).all()
    np.testing.assert_allclose(
        np.ptp(after["means close together"].means, axis=1), np.ptp(before.means, axis=1) / 5
    )
    assert (after["best arm last"].best == 2).all()


def test_a_lengthened_model_is_the_model_as_far_as_it_went():
    trained = Trained(LINUCB, train.Run(LINUCB, **SMALL).model())
    longer = out_of_distribution.lengthened(trained, 40)
    problems = shifts.longer(linear()[1], np.random.default_rng(1))
    seen = play(problems, players.Uniform(problems))
    [history, *_] = problems.histories(seen)
    np.testing.assert_array_equal(
        longer.log_probabilities(history)[:15], trained.log_probabilities(history.prefix(15))
    )
    with pytest.raises(ValueError, match="wanted at most"):
        trained.log_probabilities(history)
    old, new = trained.model.positions.detach(), longer.model.positions.detach()
    assert new.shape == (79, 8)
    for place in range(29, 79):  # states at even places, as the last of training; actions at odd ones
        assert torch.equal(new[place], old[28 - place % 2])
    with pytest.raises(ValueError, match="wanted at least 15, got 10"):
        out_of_distribution.lengthened(trained, 10)


@pytest.mark.parametrize(
    ("recipe", "make"), [(LINUCB, lambda: linear(40)[1]), (BERNOULLI, lambda: bernoulli(40))]
)
def test_policies_in_batches_are_the_policies_one_by_one(recipe, make):
    trained, problems = Trained(recipe, train.Run(recipe, **SMALL).model()), make()
    seen = play(problems, players.Uniform(problems))
    found = trained.policies(problems, seen)
    for row, history in zip(found, problems.histories(seen), strict=True):
        np.testing.assert_allclose(row, np.exp(trained.log_probabilities(history)), atol=1e-5)


def test_a_built_transformer_plays_by_the_probabilities_of_the_true_algorithm():
    built, problems = linucb.build(SPEC), linear()[1]
    seen = play(problems, ByDecoder(built.decoder(batch=5), problems))
    for number, history in enumerate(problems.histories(seen)):
        edges = np.exp(algorithms.linucb(SPEC, history)).cumsum(axis=1)
        uniforms = problems.uniforms[number]
        clear = np.abs(edges - uniforms[:, None]).min(axis=1) > 0.02  # more than the certificate can move
        wanted = (edges <= uniforms[:, None]).sum(axis=1)
        assert clear.mean() > 0.5
        np.testing.assert_array_equal(seen.actions[number][clear], wanted[clear])


def ignorant(recipe):
    """A model whose logits are all 0."""
    model = train.Run(recipe, **SMALL).model()
    torch.nn.init.zeros_(model.read_out.weight)
    return Trained(recipe, model)


def test_built_keeps_its_certificate_on_every_shift_and_ignorance_scores_what_chance_scores():
    built = linucb.build(SPEC)
    records = out_of_distribution.probe(ignorant(LINUCB), built, problems=12)
    assert [record["shift"] for record in records] == list(shifts.shifts(LINUCB))
    original = LINUCB.draw(np.random.default_rng([0, 2**33]), 12)
    for record, shift in zip(records, shifts.shifts(LINUCB).values(), strict=True):
        moved = shift(original, np.random.default_rng([0, 2**33 + 1]))
        regret = moved.regret(play(moved, players.Uniform(moved))).sum(axis=1)
        assert record["regret"]["trained"][0] == pytest.approx(regret.mean())
        assert record["regret"]["trained"][1] == pytest.approx(regret.std(ddof=1) / 12**0.5)
        np.testing.assert_allclose(record["distances"], 0.75)  # 1 − 1/A from an arm that is certain
        optimal = moved.regret(play(moved, players.LinUCB(moved))).sum(axis=1)
        assert record["excess"][0] == pytest.approx((regret - optimal).mean())
        longer = moved.steps == 30
        assert record["positions extrapolated"] == longer
        assert (record["built error"] is None) == longer
        if not longer:
            assert 0 < record["built error"] <= built.certificate + 1e-9
    noise, along = out_of_distribution.panels(records, smooth=5)
    plots.draw(noise, along)
    assert [one["x"] for one in noise["curves"]] == [[0.5, 1, 2, 4]] * 2
    wanted = [records[number]["regret"]["true"][0] for number in (1, 0, 2, 3)]
    np.testing.assert_allclose(noise["curves"][0]["y"], wanted)
    np.testing.assert_allclose(along["curves"][0]["y"], 0.75)
    assert along["curves"][0]["x"] == [2.5, 7.5, 12.5]


def test_bernoulli_problems_against_thompson_sampling():
    built = thompson.build(thompson.BernoulliSpec(3, 15, error=0.05))
    records = out_of_distribution.probe(ignorant(BERNOULLI), built, problems=12)
    for record in records:
        assert record["distances"][0] == pytest.approx(0, abs=1e-6)  # before any reward: uniform
        assert 0 < record["distance"][0] < 2 / 3
        assert record["built error"] is None or record["built error"] <= built.certificate + 1e-9
    one = out_of_distribution.probe(ignorant(BERNOULLI), problems=12, chosen={"same": shifts.unchanged})
    assert one[0]["regret"]["true"] == records[0]["regret"]["true"]
    assert one[0]["built error"] is None
    assert len(out_of_distribution.panels(records, smooth=5)) == 1


def processes(size=6):
    return EPISODES.draw(np.random.default_rng(0), size)


def test_shifts_of_decision_processes():
    before = processes()
    after = {name: shifted(name, before, EPISODES) for name in shifts.shifts(EPISODES)}
    names = {name: changed(before, one) for name, one in after.items()}
    assert names == {
        "as in training": set(),
        "rewards at the end only": {"rewards"},
        "deterministic transitions": {"transitions"},
        "states renumbered": {"initial", "transitions", "rewards"},
    }
    late = after["rewards at the end only"].rewards
    assert (late[:, :-1] == 0).all()
    np.testing.assert_array_equal(late[:, -1], before.rewards[:, -1])
    sure = after["deterministic transitions"].transitions
    np.testing.assert_array_equal(sure.max(axis=-1), 1)
    np.testing.assert_array_equal(sure.sum(axis=-1), 1)
    np.testing.assert_array_equal(sure.argmax(axis=-1), before.transitions.argmax(axis=-1))


def test_processes_whose_states_are_renumbered_are_the_same_processes():
    """An action loses, in a state, what it lost there under its old number."""
    before = processes()
    after = shifted("states renumbered", before, EPISODES)
    order = [
        [row.tolist().index(value) for value in new]
        for row, new in zip(before.initial, after.initial, strict=True)
    ]
    for number, places in enumerate(order):
        np.testing.assert_allclose(after.losses()[number], before.losses()[number][:, places])
    assert any(places != sorted(places) for places in order)


def test_episodes_are_probed_as_bandits_are():
    built = stand_ins.stand_in(EPISODES, shifted=True)
    records = out_of_distribution.probe(ignorant(EPISODES), built, problems=6)
    assert [record["shift"] for record in records] == list(shifts.shifts(EPISODES))
    original = EPISODES.draw(np.random.default_rng([0, 2**33]), 6)
    for record, shift in zip(records, shifts.shifts(EPISODES).values(), strict=True):
        moved = shift(original, np.random.default_rng([0, 2**33 + 1]))
        lost = moved.regret(play(moved, players.Uniform(moved))).sum(axis=1)
        assert record["regret"]["trained"][0] == pytest.approx(lost.mean())
        assert record["regret"]["built"] == record["regret"]["true"]
        assert record["distances"][0] == pytest.approx(0, abs=1e-6)  # nothing is known in the first episode
        assert record["distance"][0] > 0.05
        assert record["built error"] < 1e-10 / EPISODES.spec.tau
    assert len(out_of_distribution.panels(records, smooth=2)) == 1
