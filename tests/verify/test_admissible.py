"""Whatever a row's class of specifications admits has histories: its player plays its problem within the bounds."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from constructions import linucb, thompson, ucbvi
from constructions.games import exp3, hedge
from constructions.history import EpisodeHistory
from constructions.inputs.bandits import BanditTokens, bandit_stream
from constructions.inputs.episodes import EpisodeTokens, episode_stream
from constructions.linucb import forgetting
from verify.catalog import CATALOG
from verify.environments.placing import arms
from verify.play.episodes import play
from verify.play.rollout import rollout

PLAYERS = [name for name in CATALOG if CATALOG[name].environment]
SIZES = st.integers(1, 6)
SCALES = st.floats(-3, 3).map(lambda power: 10**power)
LENGTHS = st.one_of(
    st.sampled_from([(1.0, 1.0), (2.0, 3.0), (0.5, 0.5)]), st.tuples(SCALES, SCALES).map(sorted).map(tuple)
)
BOUNDS = st.one_of(st.just(0.0), SCALES)


@st.composite
def linear(draw):
    weight, noise = draw(BOUNDS), draw(BOUNDS)
    assume(weight + noise)
    bounds = {"action_norm": draw(LENGTHS), "weight_norm": weight, "noise_bound": noise}
    return linucb.Spec(draw(SIZES), draw(SIZES), draw(SIZES), error=1e9, ridge=draw(SCALES), **bounds)


def farthest(actions, dim, norms):
    """The largest distance that so many arms can keep; of more than 2·dim in a plane or beyond, one that they can."""
    low, high = norms
    if actions <= 2:
        return 2 * high
    if dim == 1:  # half of them, rounded up, on one side; all of them from end to end
        return min((high - low) / ((actions + 1) // 2 - 1), 2 * high / (actions - 1))
    if actions <= dim + 1:
        return high * math.sqrt(2 * actions / (actions - 1))
    return high * math.sqrt(2) if actions <= 2 * dim else 2 * high * math.sin(math.pi / actions)


@st.composite
def gaussian(draw):
    dim, actions, norms = draw(SIZES), draw(st.integers(2, 6)), draw(LENGTHS)
    room = farthest(actions, dim, norms)
    assume(room > 1e-3 * norms[1])
    apart = room * draw(st.sampled_from([1.0, 0.9, 0.1, 1e-4]))
    return thompson.Spec(
        dim,
        actions,
        draw(SIZES),
        form=draw(st.sampled_from(["policy", "sampling"])),
        error=1e9,
        prior_variance=draw(SCALES),
        noise_variance=draw(SCALES),
        action_norm=norms,
        separation=apart,
        failure=draw(st.sampled_from([1e-6, 0.5, 0.99])),
        weight_norm=draw(st.one_of(st.none(), SCALES)),
        noise_bound=draw(st.one_of(st.none(), BOUNDS)),
    )


def forgets(spec):
    """One that forgets, with the bounds of a plain one."""
    shared = {name: getattr(spec, name) for name in forgetting.SHARED}
    return forgetting.Spec(horizon=spec.horizon, window=2, **shared)


def softened(spec):
    """One for softmax attention, with the bounds of a plain one."""
    shared = {name: getattr(spec, name) for name in forgetting.SHARED}
    return linucb.SoftmaxSpec(horizon=spec.horizon, **shared)


def softened_gaussian(spec):
    """One for softmax attention, with the bounds of a plain one; a policy has two arms."""
    fields = {
        name: value for name, value in vars(spec).items() if name in vars(thompson.SoftmaxSpec(1, 2, 1))
    }
    return thompson.SoftmaxSpec(**fields | ({"actions": 2} if spec.form == "policy" else {}))


ROWS = {
    "softmax-thompson": gaussian().map(softened_gaussian),
    "softmax-linucb": linear().map(softened),
    "forgetting": linear().map(forgets),
    "linucb": linear(),
    "thompson": gaussian(),
    "bernoulli": st.builds(thompson.BernoulliSpec, st.integers(2, 6), SIZES),
    "ucbvi": st.builds(ucbvi.Spec, SIZES, SIZES, SIZES, SIZES, BOUNDS.map(lambda tau: tau or None), BOUNDS),
    "softmax-ucbvi": st.builds(ucbvi.SoftmaxSpec, SIZES, SIZES, SIZES, SIZES, st.none(), BOUNDS),
    "exp3": st.builds(exp3.Spec, st.integers(2, 6), SIZES, BOUNDS.map(lambda rate: rate or None)),
    "hedge": st.builds(hedge.Spec, st.integers(2, 6), SIZES, BOUNDS.map(lambda rate: rate or None)),
}


def tokens(spec):
    """The door that histories of the spec go through."""
    if isinstance(spec, ucbvi.Spec | ucbvi.SoftmaxSpec):
        return EpisodeTokens(episode_stream(spec), spec)
    bernoulli = isinstance(spec, thompson.BernoulliSpec)
    apart = getattr(spec, "separation", 0.0)
    return BanditTokens(bandit_stream(spec.dim, spec.actions), spec, apart, bernoulli=bernoulli)


@pytest.mark.parametrize("name", PLAYERS)
@settings(deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_every_admissible_specification_has_an_admissible_history(name, data, seed):
    try:
        spec = data.draw(ROWS[name])
    except ValueError:  # of the numbers drawn, float64 cannot carry some together
        assume(False)
    environment, player = CATALOG[name].playable("history")
    chances = np.random.default_rng(seed).spawn(3)
    stage, decoder = environment(spec, chances[0]), player(spec, chances[1])
    episodes = (spec.episodes,) if CATALOG[name].seen is EpisodeHistory else ()
    run = (play if episodes else rollout)(stage, decoder, chances[2], *episodes)
    tokens(spec).check(run.history)
    assert run.history.steps == tokens(spec).decisions
    if name in ("linucb", "thompson"):
        assert np.linalg.norm(stage.weights) <= spec.weight_norm * (1 + 1e-9)
        assert stage.noise_bound <= spec.noise_bound


@given(st.integers(0, 2**32 - 1), SIZES, st.integers(2, 6), LENGTHS)
@example(0, 1, 3, (1.0, 1.0))
def test_arms_are_refused_only_where_there_is_no_room(seed, dim, actions, norms):
    """Of at most 2·dim arms, and on a line of any number, the largest distance is known."""
    assume(dim == 1 or actions <= 2 * dim)
    room = farthest(actions, dim, norms)
    found = arms(np.random.default_rng(seed), actions, dim, norms, room) if room else None
    if found is not None:
        lengths = np.linalg.norm(found, axis=1)
        assert norms[0] * (1 - 1e-9) <= lengths.min()
        assert lengths.max() <= norms[1] * (1 + 1e-9)
        gaps = np.linalg.norm(found[:, None] - found, axis=2)[~np.eye(actions, dtype=bool)]
        assert gaps.min() >= room * (1 - 1e-8)
    with pytest.raises(ValueError, match=r"separation: wanted a distance that .* can keep, got"):
        arms(np.random.default_rng(seed), actions, dim, norms, room * (1 + 1e-6) + 1e-12)
