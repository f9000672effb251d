"""Linear probes: a planted signal is found and a shuffled one is not; registers against plain loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from verify.play.lockstep import play
from verify.probes import linear_probes, registers
from verify.show import plots
from verify.training import recipes, train
from verify.training.kinds import seated
from verify.training.model import TrainedTransformer
from verify.training.policy import Trained

LINUCB = replace(recipes.RECIPES["ad-linucb"], horizon=12, dim=2, actions=3)
BERNOULLI = replace(recipes.RECIPES["dpt-bernoulli"], horizon=12)
SMALL = {"layers": 2, "heads": 2, "width": 8}


def drawn(recipe, size=4):
    generator = np.random.default_rng(0)
    problems = recipe.draw(generator, size)
    return problems, play(problems, seated(recipe, recipe.player, problems, generator))


def test_ridge_regression_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    features, targets = (
        3 + generator.normal(size=(30, 4)) @ generator.normal(size=(4, 4)),
        generator.normal(size=(30, 2)),
    )
    for penalty in (1e-6, 0.1, 10.0):
        found = linear_probes.ridge(features, targets, penalty)
        wanted = Ridge(alpha=penalty * 30 * features.var(axis=0).mean()).fit(features, targets)
        np.testing.assert_allclose(found.weights, wanted.coef_.T, atol=1e-9)
        np.testing.assert_allclose(found.constant, wanted.intercept_, atol=1e-9)
        variances = ((targets - targets.mean(0)) ** 2).sum(0)
        each = 1 - ((targets - wanted.predict(features)) ** 2).sum(0) / variances
        assert found.r_squared(features, targets) == pytest.approx((each * variances).sum() / variances.sum())


def test_a_planted_signal_is_found_and_a_shuffled_one_is_not():
    """Signal of variance 1 under noise of variance ¼: R² = 4/5."""
    generator = np.random.default_rng(0)
    level = generator.normal(size=(100, 10, 6))
    direction = np.linalg.qr(generator.normal(size=(6, 2)))[0]
    values = level @ direction + 0.5 * generator.normal(size=(100, 10, 2))
    found, nothing = linear_probes.by_level([level, generator.normal(size=level.shape)], values)
    assert found == pytest.approx(0.8, abs=0.04)
    assert abs(nothing) < 0.05
    [shuffled] = linear_probes.by_level([level], linear_probes.dealt(values))
    assert abs(shuffled) < 0.05


def test_what_the_step_tells_survives_shuffling():
    steps = np.arange(10.0)[None, :, None]
    level = steps + np.zeros((20, 1, 1))
    [found] = linear_probes.by_level([level], linear_probes.dealt(2 * level + 1))
    assert found > 0.99


def test_r_squared_is_taken_where_the_probe_was_not_fitted():
    """What holds in the first half with one sign and in the second with the other: twice the deviation, squared."""
    level = np.random.default_rng(0).normal(size=(100, 10, 1))
    values = level * np.where(np.arange(100) < 50, 1, -1)[:, None, None]
    assert linear_probes.by_level([level], values)[0] == pytest.approx(-3, abs=0.1)


def test_no_problem_keeps_its_own_values():
    values = np.broadcast_to(np.arange(20.0)[:, None, None], (20, 3, 1)) + np.arange(3.0)[None, :, None] / 10
    moved = linear_probes.dealt(values)
    shift = moved - values
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape))  # steps stay
    assert (np.abs(shift[:, 0, 0]) >= 1).all()
    assert (shift[:, 0, 0] % 2 == 0).all()  # players that come by turns too
    assert sorted(moved[:10, 0, 0]) == list(range(10))


def test_the_penalty_is_chosen_on_whole_problems():
    """Every problem has its own features and targets, with nothing in common: left-out steps would not show that."""
    generator = np.random.default_rng(0)
    one = np.broadcast_to(generator.normal(size=(120, 1, 20)), (120, 5, 20)).copy()
    values = np.broadcast_to(generator.normal(size=(120, 1, 1)), (120, 5, 1)).copy()
    probe = linear_probes.cross_validated(one[:60], values[:60])
    careless = linear_probes.ridge(*(linear_probes._rows(part[:60]) for part in (one, values)), 1e-8)
    rest = [linear_probes._rows(part[60:]) for part in (one, values)]
    assert careless.r_squared(*rest) < -0.5
    assert probe.r_squared(*rest) > -0.1


@pytest.mark.parametrize(
    ("recipe", "ridge"),
    [
        (LINUCB, 1.0),
        (replace(LINUCB, ridge=0.3), 0.3),
        (replace(LINUCB, player="thompson", noise=0.5, prior_variance=2.0, ridge=7.0), 0.125),
    ],
)
def test_registers_of_linear_bandits_by_inverses_at_the_algorithm_s_own_ridge(recipe, ridge):
    problems, seen = drawn(recipe)
    found = linear_probes.registers(registers.linear, recipe, problems, seen)
    for number in range(4):
        arms, gram, moment = problems.arms[number], ridge * np.eye(2), np.zeros(2)
        for step in range(12):
            inverse = np.linalg.inv(gram)
            wanted = {
                "ridge estimate": inverse @ moment,
                "A⁻¹a": (arms @ inverse).ravel(),
                "width": [np.sqrt(arm @ inverse @ arm) for arm in arms],
                "mean": arms @ inverse @ moment,
            }
            for name, value in wanted.items():
                np.testing.assert_allclose(found[name][number, step], value, atol=1e-12, err_msg=name)
            arm = arms[seen.actions[number, step]]
            gram, moment = gram + np.outer(arm, arm), moment + seen.rewards[number, step] * arm


def test_registers_of_bernoulli_arms_by_counting():
    problems, seen = drawn(BERNOULLI)
    found = linear_probes.registers(registers.counted, BERNOULLI, problems, seen)
    for number in range(4):
        for step in range(12):
            past = list(zip(seen.actions[number, :step], seen.rewards[number, :step], strict=True))
            won, lost = ([past.count((arm, pay)) for arm in range(5)] for pay in (1.0, 0.0))
            assert found["successes"][number, step].tolist() == won
            assert found["failures"][number, step].tolist() == lost
            mean = [(s + 1) / (s + f + 2) for s, f in zip(won, lost, strict=True)]
            np.testing.assert_allclose(found["posterior mean"][number, step], mean)


def test_activations_are_what_the_model_reads_out():
    run = train.Run(LINUCB, **SMALL)
    model, tokens = run.model(), recipes.batch(LINUCB, 0, 0, 40).tokens
    levels = linear_probes.activations(model, tokens, LINUCB.places)
    assert [level.shape for level in levels] == [(40, 12, 8)] * 3
    with torch.no_grad():
        given = torch.as_tensor(tokens)
        logits = model(given, torch.as_tensor(LINUCB.places))
        first = model.stored_blocks[0](model.embed(given))[:, LINUCB.places]
        last = model.read_out(torch.as_tensor(levels[-1], dtype=torch.float32))
        wanted = model.embed(given)[:, LINUCB.places].numpy()
    np.testing.assert_allclose(levels[0], wanted, atol=1e-6)
    np.testing.assert_allclose(levels[1], first.numpy(), atol=1e-5)
    np.testing.assert_allclose(last.numpy(), logits.numpy(), atol=1e-5)


@pytest.mark.parametrize("recipe", [LINUCB, BERNOULLI], ids=["linear", "Bernoulli"])
def test_random_weights_are_their_own_control(recipe):
    run = train.Run(recipe, **SMALL)
    fresh = TrainedTransformer(run.shape, torch.Generator().manual_seed(3))
    records = linear_probes.probes(Trained(recipe, fresh), problems=20, seed=3)
    for record in records:
        assert record["trained"] == record["random weights"]
        assert len(record["trained"]) == 3
        assert record["trained"] != record["shuffled"]
    plots.draw(*linear_probes.panels(records))
    another = linear_probes.probes(Trained(recipe, run.model()), problems=20, seed=3)
    assert another[0]["trained"] != another[0]["random weights"]


def test_a_register_that_was_put_there_is_found():
    """Positions stand in the token, so that level 0 knows how much was played, but not what it paid."""
    run = train.Run(replace(BERNOULLI, player="thompson"), **SMALL)
    model = run.model()
    problems, seen = drawn(run.recipe, 40)
    plays = linear_probes.registers(registers.counted, BERNOULLI, problems, seen)
    total = (plays["successes"] + plays["failures"]).sum(axis=2, keepdims=True)
    levels = linear_probes.activations(model, run.recipe.encode(problems, seen), run.recipe.places)
    assert linear_probes.by_level(levels[:1], total)[0] > 0.99
    assert linear_probes.by_level(levels[:1], plays["successes"] - plays["failures"])[0] < 0.3


def test_what_cannot_be_probed_is_refused():
    episodes = recipes.EpisodeRecipe()
    with pytest.raises(ValueError, match="registers: wanted some in the row ucbvi, got none"):
        linear_probes.probes(Trained(episodes, train.Run(episodes, **SMALL).model()))
    with pytest.raises(ValueError, match="wanted at least 10, got 9"):
        linear_probes.probes(Trained(LINUCB, train.Run(LINUCB, **SMALL).model()), problems=9)
