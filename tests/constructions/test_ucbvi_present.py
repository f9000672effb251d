"""The lemma of constructions/ucbvi/loop.py: counts with the present episode in them, and logits as if it were not."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from ucbvi_outlines import BOLD, FEW, FORMS, KNOWN, THOROUGH, TOLERANCE, Outline, built, outlines, specs

from constructions.history import EpisodeHistory
from constructions.ucbvi import Spec
from verify import algorithms
from verify.audit import exact
from verify.claims.ucbvi import exactness
from verify.histories import episodes as episode_strategies

both_forms = pytest.mark.parametrize("form", FORMS[1:])


def first_stage(spec: Spec, history: EpisodeHistory, token: int) -> np.ndarray:
    """r̂ + b + H·[N = 0] + Σ P̂ V̂ of stage 1, from every step that tokens up to this one (from 0) close."""
    states, actions, rewards, H = history.states, history.actions, history.rewards, spec.horizon
    over = [
        n for n in range(history.steps - 1) if 2 * n + n // H + 2 <= token
    ]  # the step's state token is 2n + n // H
    values, found = np.zeros(spec.states), np.zeros((spec.states, spec.actions))
    for stage in reversed(range(H)):
        for s in range(spec.states):
            for a in range(spec.actions):
                same = [n for n in over if (n % H, states[n], actions[n]) == (stage, s, a)]
                earned = [rewards[n] + (values[states[n + 1]] if stage < H - 1 else 0.0) for n in same]
                found[s, a] = spec.bonus(len(same)) + (np.mean(earned) if same else H)
        values = np.minimum(found, H).max(1)
    return found


@both_forms
@FEW
@example(KNOWN, THOROUGH)
@example(BOLD, Outline("one pair", "everything", 18, 0))
@given(spec=specs.filter(lambda spec: spec.horizon > 1), outline=st.data())
def test_every_token_holds_the_numbers_of_all_steps_that_are_over(form, spec, outline):
    """Action and empty tokens too; N reaches K at the end of the last episode."""
    spec = replace(spec, form=form)
    outline = outline if isinstance(outline, Outline) else outline.draw(outlines(spec))
    history, stream = outline.history(spec), built(spec).tokens.stream
    tokens = built(spec).tokens.encode(history)
    whole = built(spec).transformer(torch.as_tensor(tokens)).numpy()
    held = whole[:, stream["base"].slice] + whole[:, stream["ahead"].slice]
    wanted = np.array([first_stage(spec, history, token).ravel() for token in range(len(tokens))])
    np.testing.assert_allclose(held, wanted, rtol=0, atol=TOLERANCE)


@both_forms
def test_what_the_present_episode_changes_is_not_asked_for(form):
    """In the last episode stage 1 looks other than at its first token, and the policy is right all the same."""
    spec, history = replace(KNOWN, form=form), THOROUGH.history(KNOWN)
    stream, first = built(spec).tokens.stream, built(spec).tokens.states(history.steps)[-spec.horizon]
    whole = built(spec).transformer(torch.as_tensor(built(spec).tokens.encode(history))).numpy()
    held = whole[first:, stream["base"].slice] + whole[first:, stream["ahead"].slice]
    assert np.abs(held - held[0]).max() > 0.1
    error = np.abs(built(spec).log_probabilities(history) - algorithms.ucbvi(spec, history)).max()
    assert error <= TOLERANCE / spec.tau


@both_forms
@FEW
@example(BOLD, Outline("one pair", "everything", 18, 0))
@example(KNOWN, THOROUGH)
@given(spec=specs, outline=st.data())
def test_no_token_leaves_the_domain_of_look_ups_and_gates(form, spec, outline):
    """Layer by layer, at every token."""
    spec = replace(spec, form=form)
    outline = outline if isinstance(outline, Outline) else outline.draw(outlines(spec))
    stream = built(spec).tokens.stream
    tokens = torch.as_tensor(built(spec).tokens.encode(outline.history(spec)))
    highest = {"visits": spec.episodes, "rewards": spec.episodes, "transitions": spec.episodes}
    highest |= {"visits_raw": 1.0, "rewards_raw": 1.0, "transitions_raw": 1.0, "model": 1.0}
    highest |= {"ahead": spec.horizon, "ahead_raw": spec.horizon, "share": spec.horizon}
    highest |= {"base": spec.largest, "value": spec.horizon if form == "slim" else spec.largest}
    sums = {"base + ahead": spec.largest, "Σ P̂": 1.0}
    for layer in built(spec).transformer.run():
        tokens = layer(tokens)
        found = {name: tokens[:, stream[name].slice].numpy() for name in highest if name in stream.registers}
        found |= {"base + ahead": found["base"] + (found["ahead"] if spec.horizon > 1 else 0.0)}
        if found.get("model", np.empty(0)).size:
            found |= {"Σ P̂": found["model"].reshape(len(tokens), -1, spec.states).sum(-1)}
        for name, numbers in found.items():
            most = (highest | sums)[name]
            assert numbers.min(initial=0) >= -TOLERANCE, name
            assert numbers.max(initial=0) <= most + TOLERANCE, name


CORNERS = [
    Spec(states=1, actions=1, horizon=1, episodes=1, exploration=0.0),
    Spec(states=2, actions=1, horizon=3, episodes=2, exploration=0.0),
    Spec(states=1, actions=5, horizon=2, episodes=2, exploration=0.01),
    Spec(states=2, actions=5, horizon=3, episodes=4, exploration=0.01),
    Spec(states=3, actions=2, horizon=1, episodes=9, exploration=0.02),
    Spec(states=2, actions=2, horizon=4, episodes=6, exploration=0.0),
]


@both_forms
@pytest.mark.parametrize(
    "spec", CORNERS, ids=lambda spec: f"S{spec.states}A{spec.actions}H{spec.horizon}K{spec.episodes}"
)
def test_no_difference_in_rationals_at_the_corners(form, spec):
    assert exactness(replace(spec, form=form), 25, seed=1).measured == 0.0


@both_forms
@FEW
@given(st.data())
def test_no_difference_when_the_present_episode_repeats_the_past(form, data):
    """One way through the stages again and again, but for slips: every count of the present episode is one too many."""
    spec = Spec(states=2, actions=3, horizon=3, episodes=5, exploration=0.01, form=form)
    rewards = st.sampled_from(episode_strategies.REWARDS)
    outline = episode_strategies.EpisodeOutline(
        "by stage", data.draw(rewards), 15, data.draw(st.integers(0, 999))
    )
    history, scale = outline.history(spec), Fraction(1 / spec.tau)
    true = algorithms.ucbvi_exact(spec, history, [Fraction(spec.bonus(n)) for n in range(6)])
    assert exact.logits(built(spec), history) == [[scale * q for q in row] for row in true]
