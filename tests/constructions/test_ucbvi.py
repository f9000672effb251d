"""UCB-VI's transformers, three forms of one algorithm: exact on every history, every block within its promise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, target
from hypothesis import strategies as st
from ucbvi_outlines import (
    BOLD,
    BUSY,
    FEW,
    FORMS,
    KNOWN,
    MOVES,
    REWARDS,
    THOROUGH,
    TOLERANCE,
    Outline,
    built,
    difference,
    every_form,
    outlines,
    specs,
    uneven,
)

from constructions import ucbvi
from constructions.history import EpisodeHistory
from constructions.ucbvi import Spec
from verify import algorithms, audit
from verify.balls import counts
from verify.histories import episodes as episode_strategies

# ---------------------------------------------------------------- exact


@every_form
@FEW
@example(BOLD, BUSY)
@example(KNOWN, THOROUGH)
@example(replace(BOLD, actions=6), BUSY)
@example(
    replace(BOLD, actions=5, horizon=4, temperature=0.01, exploration=0.0),
    Outline("one state", "0 or 1", 24, 1),
)
@given(spec=specs, outline=st.data())
def test_policies_are_those_of_the_algorithm(form, spec, outline):
    spec = replace(spec, form=form)
    wanted = st.lists(
        outlines(spec), min_size=3, max_size=3
    )  # a spec takes longer to build than a history to run
    errors = []
    for one in [outline] if isinstance(outline, Outline) else outline.draw(wanted):
        history = one.history(spec)
        errors.append(difference(spec, built(spec).log_probabilities(history), history))
        assert errors[-1] <= TOLERANCE
    target(max(errors))
    assert 0 <= built(spec).certificate <= 1e-13 * spec.horizon**2 * spec.episodes / spec.tau


def test_the_histories_that_are_tried_tell_right_from_wrong():
    """Policies are not uniform there, nor is one of them that of an algorithm that has forgotten something."""
    wrong = 0
    for moves in MOVES:
        for rewards in REWARDS:
            history = Outline(moves, rewards, 18, 3).history(BOLD)
            assert uneven(BOLD, history), (moves, rewards)
            learnt = algorithms.ucbvi(BOLD, history)
            without = EpisodeHistory(history.states, history.actions, 0 * history.rewards, history.horizon)
            wrong += np.abs(algorithms.ucbvi(BOLD, without) - learnt).max() > 1e-3
            later = algorithms.ucbvi(replace(BOLD, exploration=0.1), history)
            assert np.abs(later - learnt).max() > 1e-3, (moves, rewards)
    values = algorithms.ucbvi_values(KNOWN, THOROUGH.history(KNOWN)).state_values[-1]
    assert (values[1:-1] < KNOWN.horizon - 0.1).all()  # or else what lies ahead would be H whatever it is
    assert wrong >= 15  # rewards count: at least four kinds of them in three of the families


LEARNING = (Outline("random", "real", 0, 1), Outline("one state", "of the pair", 0, 2))
IDLING = (Outline("random", "nothing", 0, 1), Outline("one pair", "nothing", 0, 2))
LONG = {
    "many visits": (Spec(states=2, actions=2, horizon=2, episodes=60, exploration=0.1), LEARNING),
    "many actions": (Spec(states=4, actions=17, horizon=3, episodes=12, exploration=0.01), LEARNING),
    "the paper's bonus, small enough at last": (
        Spec(1, 2, horizon=1, episodes=150, temperature=0.05),
        IDLING,
    ),
}


@every_form
@pytest.mark.parametrize(("spec", "tried"), LONG.values(), ids=LONG)
def test_long_histories(form, spec, tried):
    if form == "theorem":  # its look-ups have K² neurons
        spec = replace(spec, episodes=min(spec.episodes, 30), exploration=spec.exploration / 8)
    spec = replace(spec, form=form)
    for outline in tried:
        history = replace(outline, steps=spec.episodes * spec.horizon).history(spec)
        assert uneven(spec, history)
        assert difference(spec, built(spec).log_probabilities(history), history) <= TOLERANCE


@every_form
def test_the_literal_transformer_and_its_dense_matrices_agree(form):
    """The paper's Definitions 1 and 2 with nothing rewritten; a batch of two."""
    spec = Spec(states=2, actions=2, horizon=2, episodes=8, exploration=0.01, form=form)
    construction = built(spec)
    histories = [Outline(moves, "real", 16, 6).history(spec) for moves in ("random", "one state")]
    assert all(uneven(spec, history) for history in histories)
    tokens = torch.as_tensor(np.stack([construction.tokens.encode(history) for history in histories]))
    for model in (construction.transformer, construction.transformer.dense()):
        outputs = model(tokens).numpy()[:, construction.tokens.states(16)]
        for history, output in zip(histories, outputs, strict=True):
            assert difference(spec, construction.policy(output), history) <= TOLERANCE


@every_form
@pytest.mark.parametrize("actions", [1, 2, 5, 6])
def test_the_literal_transformer_computes_what_the_program_computes(form, actions):
    """Every register at every state token, not the logits alone."""
    spec = replace(BOLD, form=form, actions=actions)
    construction, history = built(spec), BUSY.history(spec)
    whole = construction.transformer(torch.as_tensor(construction.tokens.encode(history))).numpy()
    np.testing.assert_allclose(
        construction.outputs([history])[0], whole[construction.tokens.states(18)], rtol=1e-9, atol=TOLERANCE
    )


@every_form
@FEW
@given(st.data())
def test_what_is_yet_to_come_does_not_matter(form, data):
    spec = replace(BOLD, form=form)
    history = data.draw(outlines(spec)).history(spec)
    cut = data.draw(st.integers(1, history.steps))
    found = built(spec).log_probabilities(history)[:cut]
    np.testing.assert_allclose(
        built(spec).log_probabilities(history.prefix(cut)), found, rtol=0, atol=TOLERANCE / spec.tau
    )


# ---------------------------------------------------------------- promises


@FEW
@example(BOLD, BUSY)
@example(KNOWN, THOROUGH)
@given(spec=specs, outline=st.data())
def test_every_block_of_the_theorem_keeps_its_promise(spec, outline):
    outline = outline if isinstance(outline, Outline) else outline.draw(outlines(spec))
    history = outline.history(spec)
    probes = built(spec).probe(history)
    assert len(probes) == len(built(spec).blocks)
    for probe in probes:
        target(probe.error / probe.promise, label=probe.block)
        assert probe.error <= probe.promise, probe.block
        assert probe.own_error <= probe.own_promise, probe.block
        assert np.linalg.norm(probe.computed - probe.true, axis=-1).max() == pytest.approx(probe.error)


@pytest.mark.parametrize("form", FORMS[1:])
@FEW
@example(BOLD, BUSY)
@example(KNOWN, THOROUGH)
@given(spec=specs, outline=st.data())
def test_the_loop_keeps_its_promise(form, spec, outline):
    spec = replace(spec, form=form)
    outline = outline if isinstance(outline, Outline) else outline.draw(outlines(spec))
    last = built(spec).probe(outline.history(spec))[-1]
    target(last.error / last.promise)
    assert last.error <= last.promise


def test_probes_of_the_theorem_show_the_algorithms_values():
    """True values at the state tokens against the plain algorithm's tables."""
    spec, history = BOLD, BUSY.history(BOLD)
    values = algorithms.ucbvi_values(spec, history)
    found = {probe.block: probe.true.reshape(18, -1) for probe in built(spec).probe(history)}
    episode, pairs = np.arange(history.steps) // spec.horizon, spec.states * spec.actions
    visits = values.counts.reshape(len(values.counts), -1)[episode]
    rewards = values.rewards.reshape(len(values.counts), -1)[episode]
    transitions = 3 * 3 * 3 * 3
    np.testing.assert_allclose(found["counts"][:, transitions : transitions + 27], visits, atol=1e-12)
    np.testing.assert_allclose(found["reward estimate"], rewards, atol=1e-12)
    for stage in (1, 2, 3):
        q = values.action_values[episode, stage - 1].reshape(18, pairs)
        np.testing.assert_allclose(found[f"q_{stage}"], q, atol=1e-12)
        np.testing.assert_allclose(found[f"v_{stage}"], values.state_values[episode, stage - 1], atol=1e-12)
    np.testing.assert_allclose(found["logits"], values.score / spec.tau, atol=1e-12)


@every_form
@FEW
@example(BOLD, BUSY)
@example(KNOWN, THOROUGH)
@given(spec=specs, outline=st.data())
def test_clipping_never_acts(form, spec, outline):
    """Half the radius is more than any token's norm at any layer, action and empty tokens included."""
    spec = replace(spec, form=form)
    outline = outline if isinstance(outline, Outline) else outline.draw(outlines(spec))
    tokens = torch.as_tensor(built(spec).tokens.encode(outline.history(spec)))
    largest = float(tokens.norm(dim=-1).max())
    for layer in built(spec).transformer.run():
        tokens = layer(tokens)
        largest = max(largest, float(tokens.norm(dim=-1).max()))
    target(largest / built(spec).transformer.clip_radius)
    assert largest <= built(spec).transformer.clip_radius / 2


def test_the_theorems_certificate_holds_in_balls_and_is_near():
    """Quotients by 3, 5, 7, … are rounded, and 1/τ is not; bonuses are numbers of float64, and b(0) + H is cut off."""
    built = ucbvi.build(ucbvi.Spec(1, 2, 1, 12, temperature=1 / 16, exploration=0.02))
    histories = [outline.history(built.spec) for outline in episode_strategies.battery(built.spec)]
    worst = max(audit.enclose(built, counts.ucbvi, history).exact_high for history in histories)
    assert built.certificate / 10 <= worst <= built.certificate
