"""UCB-VI decided one step at a time, and what is refused, there and elsewhere."""

import inspect
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from ucbvi_outlines import (
    BOLD,
    BUSY,
    FEW,
    KNOWN,
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

from constructions.history import EpisodeHistory
from constructions.ucbvi import Spec
from verify import algorithms


def play(decoder, history: EpisodeHistory, start: int = 0, stop: int | None = None) -> np.ndarray:
    found = []
    for step in range(start, history.steps if stop is None else stop):
        found.append(decoder.observe(int(history.states[step])))
        if step < history.steps - 1:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))
    return np.array(found)


@every_form
@FEW
@example(KNOWN, THOROUGH)
@given(spec=specs, outline=st.data())
def test_the_decoder_is_the_whole_history(form, spec, outline):
    spec = replace(spec, form=form)
    outline = outline if isinstance(outline, Outline) else outline.draw(outlines(spec))
    history = outline.history(spec)
    assert difference(spec, play(built(spec).decoder(), history), history) <= TOLERANCE


@every_form
def test_a_batch_is_its_members(form):
    spec = replace(BOLD, form=form)
    histories = [Outline(moves, "real", 18, 2).history(spec) for moves in ("random", "one pair", "one state")]
    decoder, found = built(spec).decoder(batch=3), []
    for step in range(18):
        found.append(decoder.observe(np.array([history.states[step] for history in histories])))
        if step < 17:
            actions, rewards = (
                np.array([getattr(history, name)[step] for history in histories])
                for name in ("actions", "rewards")
            )
            decoder.record(actions, rewards)
    for member, history in enumerate(histories):
        assert uneven(spec, history)
        assert difference(spec, np.array(found)[:, member], history) <= TOLERANCE


@every_form
@pytest.mark.parametrize("cut", [1, 2, 3, 4, 9, 10, 11, 18])
def test_a_replayed_or_restored_past_is_a_past_that_was_lived(form, cut):
    """Cuts before, at and after the ends of episodes; a state is saved with the next state pending, and without."""
    spec = replace(BOLD, form=form)
    history, construction = BUSY.history(spec), built(spec)
    wanted = algorithms.ucbvi(spec, history)
    replayed, lived, restored = (construction.decoder() for _ in range(3))
    replayed.replay(history.prefix(cut))
    first = play(lived, history, 0, cut - 1)
    saved = lived.state()
    second = play(lived, history, cut - 1)
    restored.restore(saved)
    parts = [np.concatenate([first.reshape(-1, 3), second])[cut - 1 :], play(replayed, history, cut - 1)]
    for found in (*parts, play(restored, history, cut - 1)):
        np.testing.assert_allclose(found, wanted[cut - 1 :], rtol=0, atol=TOLERANCE / spec.tau)
    pending = construction.decoder()
    play(pending, history, 0, cut - 1)
    pending.observe(int(history.states[cut - 1]))
    again = construction.decoder()
    again.restore(pending.state())
    if cut < 18:
        again.record(int(history.actions[cut - 1]), float(history.rewards[cut - 1]))
        np.testing.assert_allclose(play(again, history, cut), wanted[cut:], rtol=0, atol=TOLERANCE / spec.tau)
    with pytest.raises(ValueError, match="wanted replay first"):
        lived.replay(history)


# ---------------------------------------------------------------- what is refused

STATE = ("observe", 0)
DONE = ("record", 0, 0.5)
BAD_CALLS = [
    ([DONE], r"wanted observe\(context\) first, got record"),
    ([STATE, STATE], r"wanted record\(action, reward\) before the next context, got observe"),
    ([STATE, DONE, DONE], r"wanted observe\(context\) first, got record"),
    ([*[STATE, DONE] * 18, STATE], "wanted at most 18 decisions, got one more"),
    ([("observe", 3)], r"states: wanted numbers in 0\.\.2, got 3"),
    ([STATE, DONE, ("observe", -1)], r"states: wanted numbers in 0\.\.2, got -1"),
    ([STATE, DONE, ("observe", 1.0)], "states: wanted integer states, got an array of float64"),
    ([STATE, ("record", 3, 0.5)], r"actions: wanted numbers in 0\.\.2, got 3"),
    ([STATE, ("record", -1, 0.5)], r"actions: wanted numbers in 0\.\.2, got -1"),
    ([STATE, ("record", True, 0.5)], "actions: wanted integer actions, got an array of bool"),
    ([STATE, ("record", 0, 1.5)], r"rewards: wanted numbers in \[0, 1\], got 1.5"),
    ([STATE, ("record", 0, -1e-5)], r"rewards: wanted numbers in \[0, 1\], got -1e-05"),
    ([STATE, ("record", 0, math.nan)], "rewards: wanted finite numbers, got nan"),
    ([STATE, ("record", 0, "much")], "rewards: wanted an array of real numbers, got list"),
]


def call(decoder, name, *arguments):
    """What a user meets, who has no types enforced."""
    return inspect.unwrap(getattr(type(decoder), name))(decoder, *arguments)


def numbers(part):
    """A decoder's memory, or a part of it, as lists that can be compared."""
    if isinstance(part, np.ndarray | torch.Tensor):
        return part.tolist()
    if isinstance(part, dict):
        return {name: numbers(value) for name, value in part.items()}
    return [numbers(value) for value in part] if isinstance(part, tuple | list) else part


def snapshot(decoder) -> list:
    """All that a decoder remembers."""
    state, *rest = decoder.state()
    return [numbers(vars(state)), *map(numbers, rest)]


@pytest.mark.parametrize(("calls", "message"), BAD_CALLS, ids=[message for _, message in BAD_CALLS])
def test_bad_decoder_calls_are_named_and_change_nothing(calls, message):
    decoder = built(replace(BOLD, form="narrow")).decoder()
    for good in calls[:-1]:
        call(decoder, *good)
    before = snapshot(decoder)
    with pytest.raises(ValueError, match=message):
        call(decoder, *calls[-1])
    assert snapshot(decoder) == before


@every_form
def test_a_decoder_goes_on_after_what_it_refused(form):
    """As if nothing had happened, at every step."""
    spec = replace(BOLD, form=form)
    history, decoder, found = BUSY.history(spec), built(spec).decoder(), []
    for step in range(18):
        with pytest.raises(ValueError, match="states"):
            decoder.observe(7)
        found.append(decoder.observe(int(history.states[step])))
        for action, reward in ((0, 1.5), (3, 0.5), (0, math.nan)):
            with pytest.raises(ValueError, match="wanted"):
                decoder.record(action, reward)
        decoder.record(
            *((int(history.actions[step]), float(history.rewards[step])) if step < 17 else (0, 0.0))
        )
    assert difference(spec, np.array(found), history) <= TOLERANCE


def test_one_bad_member_of_a_batch_is_named_and_nothing_is_half_done():
    decoder = built(BOLD).decoder(batch=2)
    for states, message in (
        ([0, 3], "states: wanted"),
        ([0, 1, 2], "wanted one context for each of 2 histories, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            decoder.observe(np.array(states))
    decoder.observe(np.array([0, 1]))
    before = snapshot(decoder)
    bad = [
        ([0, 1], [0.5, 1.5], r"rewards: wanted numbers in \[0, 1\], got 1.5"),
        ([0, 3], [0.5, 0.5], r"actions: wanted numbers in 0\.\.2, got 3"),
        ([0], [0.5, 0.5], "actions: wanted one for each of 2 decisions"),
        ([0, 1], [0.5], "rewards: wanted one for each of 2 decisions"),
    ]
    for actions, rewards, message in bad:
        with pytest.raises(ValueError, match=message):
            call(decoder, "record", np.array(actions), np.array(rewards))
        assert snapshot(decoder) == before


BAD_HISTORIES = [
    (EpisodeHistory([0, 3], [0], [0.5], 3), r"states: wanted numbers in 0\.\.2, got 3"),
    (EpisodeHistory([0, 1], [3], [0.5], 3), r"actions: wanted numbers in 0\.\.2, got 3"),
    (EpisodeHistory([0] * 19, [0] * 18, [0.5] * 18, 3), "wanted at most 6 episodes, got 7"),
    (EpisodeHistory([0, 1], [0], [0.5], 2), "wanted episodes of horizon 3, got 2"),
]


@pytest.mark.parametrize(("history", "message"), BAD_HISTORIES, ids=[message for _, message in BAD_HISTORIES])
def test_histories_beyond_the_spec_are_named(history, message):
    construction = built(BOLD)
    decoder = construction.decoder()
    for refuse in (construction.log_probabilities, construction.probe, decoder.replay):
        with pytest.raises(ValueError, match=message):
            refuse(history)
    assert snapshot(decoder) == snapshot(construction.decoder())


BAD_SPECS = [
    ({"states": 0}, "states: wanted an integer >= 1, got 0"),
    ({"actions": 2.0}, "actions: wanted an integer >= 1, got 2.0"),
    ({"horizon": True}, "horizon: wanted an integer >= 1, got True"),
    ({"episodes": "6"}, "episodes: wanted an integer >= 1, got '6'"),
    ({"temperature": 0.0}, "temperature: wanted a finite number > 0, got 0.0"),
    ({"temperature": math.nan}, "temperature: wanted a finite number > 0, got nan"),
    ({"exploration": -0.1}, "exploration: wanted a finite number >= 0, got -0.1"),
    ({"exploration": math.inf}, "exploration: wanted a finite number >= 0, got inf"),
    ({"form": "wide"}, "form: wanted 'theorem' or 'slim' or 'narrow', got 'wide'"),
]


@pytest.mark.parametrize(("change", "message"), BAD_SPECS, ids=[str(change) for change, _ in BAD_SPECS])
def test_bad_specs_are_named(change, message):
    spec = object.__new__(Spec)
    for name, value in ({field.name: getattr(BOLD, field.name) for field in fields(BOLD)} | change).items():
        object.__setattr__(spec, name, value)
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(Spec.__post_init__)(spec)


def test_the_temperature_is_that_of_the_regret_bound_if_left_out():
    assert Spec(states=2, actions=2, horizon=3, episodes=8).temperature == 1 / 8
