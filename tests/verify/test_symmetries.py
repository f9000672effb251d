"""Symmetries: true algorithms have them, built ones to within twice the certificate, and a policy without one is caught."""

from types import SimpleNamespace

import numpy as np
import pytest

from constructions import linucb, thompson, ucbvi
from constructions.history import BanditHistory, EpisodeHistory
from verify import algorithms
from verify.catalog import CATALOG, entry_of
from verify.play.lockstep import play
from verify.probes import symmetries
from verify.probes.episode_symmetries import episodic
from verify.training import recipes, train
from verify.training.kinds import seated
from verify.training.policy import Trained

LINUCB = linucb.Spec(dim=2, actions=3, horizon=8, error=1e-2, solver="newton")
TWO = thompson.Spec(dim=2, actions=2, horizon=8, error=1e-2, solver="newton")
SEED = 2  # of a numbering of four arms that is not its own inverse
EPISODES = ucbvi.Spec(2, 2, 2, 4, exploration=0.05, form="narrow")
ARMS = thompson.BernoulliSpec(actions=3, horizon=12)
LINEAR, BERNOULLI = symmetries.linear(LINUCB), symmetries.bernoulli(ARMS)


def history(steps=7, arms=4, dim=3, seed=0, draws=False):
    generator = np.random.default_rng(seed)
    contexts = generator.normal(size=(steps, arms, dim))
    played = generator.integers(arms, size=steps - 1), generator.normal(size=steps - 1)
    return BanditHistory(contexts, *played, generator.normal(size=(steps, dim)) if draws else None)


def test_arms_are_numbered_anew_and_nothing_else():
    old = history()
    image = symmetries.permute_arms(old, np.random.default_rng(SEED))
    new = image.history
    np.testing.assert_array_equal(new.chosen, old.chosen)
    np.testing.assert_array_equal(new.contexts[:, image.places], old.contexts)
    assert image.places[image.places].tolist() != [0, 1, 2, 3]  # not its own inverse


def test_bernoulli_arms_stay_the_unit_vectors():
    old = BanditHistory(np.tile(np.eye(4), (3, 1, 1)), [0, 3], [1.0, 0.0])
    image = symmetries.permute_arms(old, np.random.default_rng(SEED))
    np.testing.assert_array_equal(image.history.contexts, old.contexts)
    assert image.history.actions.tolist() == [image.places[0], image.places[3]]


def test_a_rotation_keeps_angles_and_moves_vectors():
    old, new = history(), symmetries.rotate_features(history(), np.random.default_rng(1)).history
    np.testing.assert_allclose(new.chosen @ new.chosen.T, old.chosen @ old.chosen.T, atol=1e-12)
    np.testing.assert_allclose(new.contexts @ new.contexts.mT, old.contexts @ old.contexts.mT, atol=1e-12)
    assert np.abs(new.contexts - old.contexts).max() > 0.1


def test_the_past_is_reordered_whole_step_by_whole_step():
    old = history(draws=True)
    image = symmetries.reorder_past(old, np.random.default_rng(1))
    new = image.history
    rows = [
        sorted(
            map(tuple, np.column_stack([h.contexts[:-1].reshape(6, -1), h.actions, h.rewards, h.draws[:-1]]))
        )
        for h in (old, new)
    ]
    assert rows[0] == rows[1]
    assert (new.rewards != old.rewards).any()
    np.testing.assert_array_equal(new.contexts[-1], old.contexts[-1])
    assert image.first == 6


def test_draws_go_with_the_features():
    spec, old = SimpleNamespace(prior_variance=1.0, noise_variance=1.0), history(draws=True)
    for name, symmetry in LINEAR.items():
        image = symmetry(old, np.random.default_rng(1))
        new = algorithms.thompson_scores(spec, image.history)[image.first :, image.places]
        np.testing.assert_allclose(
            new, algorithms.thompson_scores(spec, old)[image.first :], atol=1e-10, err_msg=name
        )


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize(("spec", "true"), [(LINUCB, algorithms.linucb), (TWO, algorithms.thompson)])
def test_true_algorithms_are_symmetric_and_built_ones_within_twice_the_certificate(spec, true, name):
    found = symmetries.worst(lambda past: true(spec, past), LINEAR[name], entry_of(spec), spec, 15)
    assert found.log_difference < 1e-9
    built = (linucb if spec is LINUCB else thompson).build(spec)
    found = symmetries.worst(built.log_probabilities, LINEAR[name], entry_of(spec), spec, 15)
    assert found.log_difference <= 2 * built.certificate + 1e-9


@pytest.mark.parametrize("name", BERNOULLI)
def test_true_thompson_sampling_of_bernoulli_arms_is_symmetric(name):
    policy = lambda past: algorithms.bernoulli_thompson(ARMS, past)  # noqa: E731
    assert symmetries.worst(policy, BERNOULLI[name], entry_of(ARMS), ARMS, 15).log_difference < 1e-9
    assert symmetries.smallest(policy, BERNOULLI[name], entry_of(ARMS), ARMS, 1e-6, 15) is None


def test_episodes_are_numbered_anew_and_reordered_whole():
    generator = np.random.default_rng(0)
    states, actions, rewards = (
        generator.integers(4, size=8),
        generator.integers(5, size=7),
        generator.random(7),
    )
    old, spec = EpisodeHistory(states, actions, rewards, 3), ucbvi.Spec(4, 5, 3, 4)
    swap = next(seed for seed in range(9) if np.random.default_rng(seed).permutation(2)[0])
    images = {name: symmetry(old, np.random.default_rng(swap)) for name, symmetry in episodic(spec).items()}
    image = images["states renumbered"]
    pairs = set(zip(states.tolist(), image.history.states.tolist(), strict=True))
    assert len(pairs) == len(set(states.tolist())) == len(set(image.history.states.tolist()))
    assert any(one != other for one, other in pairs)
    np.testing.assert_array_equal(image.history.actions, actions)
    image = images["actions renumbered"]
    np.testing.assert_array_equal(image.history.actions, image.places[actions])
    assert image.places.tolist() != list(range(5))
    np.testing.assert_array_equal(image.history.states, states)
    image = images["episodes reordered"]
    new = image.history
    assert (new.states[:3].tolist(), new.states[3:6].tolist()) == (states[3:6].tolist(), states[:3].tolist())
    assert (new.actions[:3].tolist(), new.actions[3:6].tolist()) == (
        actions[3:6].tolist(),
        actions[:3].tolist(),
    )
    np.testing.assert_array_equal(new.rewards, rewards[[3, 4, 5, 0, 1, 2, 6]])
    assert (new.states[6:].tolist(), image.first) == (states[6:].tolist(), 6)


@pytest.mark.parametrize("name", episodic(EPISODES))
def test_ucbvi_is_symmetric_true_and_built(name):
    """Up to rounding, which stays below 10⁻¹⁰/τ on either side of a built transformer."""
    for policy, least in (
        (lambda past: algorithms.ucbvi(EPISODES, past), 1e-9),
        (ucbvi.build(EPISODES).log_probabilities, 2e-10 / EPISODES.tau),
    ):
        assert (
            symmetries.worst(
                policy, episodic(EPISODES)[name], entry_of(EPISODES), EPISODES, 15
            ).log_difference
            < least
        )


@pytest.mark.parametrize(
    ("name", "past"), [("states renumbered", 0), ("actions renumbered", 0), ("episodes reordered", 4)]
)
def test_what_breaks_a_symmetry_of_episodes_is_found_and_shrunk(name, past):
    """One who goes by the number of the state, of the action, or by the first reward ever, in episodes of two steps."""

    def policy(history):
        step, first = np.arange(history.steps), np.append(history.rewards, 0.0)[0]
        odds = {
            "states renumbered": np.where(history.states == 0, 0.9, 0.1),
            "actions renumbered": np.full(history.steps, 0.9),
            "episodes reordered": np.where((step >= 1) & (first == 1), 0.9, 0.1),
        }[name]
        return np.log(np.stack([odds, 1 - odds], axis=1))

    symmetry = episodic(EPISODES)[name]
    found = symmetries.worst(policy, symmetry, entry_of(EPISODES), EPISODES, 300)
    assert found.violation.total_variation == pytest.approx(0.8)
    case = symmetries.smallest(policy, symmetry, entry_of(EPISODES), EPISODES, 0.5)
    assert len(case.past) == past
    assert case.violation(policy, symmetry, entry_of(EPISODES), EPISODES).total_variation == pytest.approx(
        0.8
    )
    for other in episodic(EPISODES):
        if other not in (name, "actions renumbered"):  # which none of the three has
            assert (
                symmetries.worst(
                    policy, episodic(EPISODES)[other], entry_of(EPISODES), EPISODES, 10
                ).log_difference
                == 0
            )


def biased(past):
    """Arm 0 with probability ½, whatever happens."""
    return np.log(np.tile([0.5, 0.25, 0.25], (past.steps, 1)))


def axis_bound(past):
    """Arm 0 for certain if its first coordinate is positive, else arm 1."""
    positive = past.contexts[:, :1, 0] > 0
    with np.errstate(divide="ignore"):
        return np.log(np.concatenate([positive, ~positive, np.zeros_like(positive)], axis=1))


def forgetful(past):
    """Arm 0 with probability 0.9 after a reward of at least 1, else with 0.1."""
    first = np.where(np.append(0.0, past.rewards) >= 1, 0.9, 0.1)[:, None]
    return np.log(np.concatenate([first, (1 - first) / 2, (1 - first) / 2], axis=1))


def test_policies_without_a_symmetry_are_caught_with_the_size_of_the_fault():
    found = symmetries.worst(biased, LINEAR["arms permuted"], entry_of(LINUCB), LINUCB, 20)
    assert found.violation.total_variation == pytest.approx(0.25)
    assert found.log_difference == pytest.approx(np.log(2))
    found = symmetries.worst(axis_bound, LINEAR["features rotated"], entry_of(LINUCB), LINUCB, 20)
    assert found.violation.total_variation == 1
    assert found.log_difference == np.inf
    found = symmetries.worst(forgetful, LINEAR["past reordered"], entry_of(LINUCB), LINUCB, 60)
    assert found.violation.total_variation == pytest.approx(0.8)
    assert found.violation.step == found.outline.steps
    for policy, name in ((biased, "features rotated"), (axis_bound, "past reordered")):
        assert symmetries.worst(policy, LINEAR[name], entry_of(LINUCB), LINUCB, 20).log_difference == 0


@pytest.mark.parametrize("spec", [LINUCB, ARMS], ids=["linear", "Bernoulli"])
def test_the_smallest_history_is_as_small_as_can_be(spec):
    """One reward of 1 and one below it, in the two orders."""
    case = symmetries.smallest(forgetful, LINEAR["past reordered"], entry_of(spec), spec, 0.5)
    assert sorted(case.past) == [(0, 0.0), (0, 1.0)]
    assert case.violation(
        forgetful, LINEAR["past reordered"], entry_of(spec), spec
    ).total_variation == pytest.approx(0.8)
    assert symmetries.smallest(forgetful, LINEAR["past reordered"], entry_of(spec), spec, 0.81, 50) is None
    assert symmetries.smallest(biased, LINEAR["arms permuted"], entry_of(spec), spec, 0.25 - 1e-9).past == ()


def test_records_of_a_transformer_that_has_learnt_nothing():
    recipe = recipes.BanditRecipe("linear", "linucb", "expert", dim=2, actions=3, horizon=12)
    trained = Trained(recipe, train.Run(recipe, layers=1, heads=2, width=8).model())
    problems = recipe.draw(np.random.default_rng(0), 3)
    seen = play(problems, seated(recipe, "linucb", problems, np.random.default_rng()))
    runs = problems.histories(seen)
    one = {"arms permuted": symmetries.permute_arms}
    [arms] = symmetries.measured(trained.log_probabilities, one, CATALOG["linucb"], LINUCB, runs, 0.05, 10)
    assert arms["symmetry"] == "arms permuted"
    assert 0 < arms["typical"] < 1
    assert arms["smallest"]["past"] == ()
    assert arms["smallest_violation"]["total_variation"] >= 0.05
    assert arms["worst"]["total_variation"] >= arms["smallest_violation"]["total_variation"] / 2
