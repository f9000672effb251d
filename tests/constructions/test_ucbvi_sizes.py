"""How large UCB-VI's transformers are: the formulas of their docstrings against the weights as they stand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from ucbvi_outlines import BOLD, BUSY, FEW, FORMS, built, specs

from constructions.inputs.episodes import episode_stream
from constructions.ucbvi import Spec, narrow, slim, theorem


def levels(actions: int) -> int:
    """⌈log₄ A⌉, and 1 for one action."""
    return next(n for n in range(1, 20) if 4**n >= actions)


def neurons(spec: Spec, form: str) -> int:
    if form == "theorem":  # as `test_theorem` finds it in the weights
        return max(hidden for _, hidden in theorem.layer_sizes(spec))
    return built(replace(spec, form=form)).size().hidden


@FEW
@example(BOLD)
@example(replace(BOLD, actions=6))
@given(specs)
def test_theorem(spec):
    """Layer by layer what `layer_sizes` says without building; the stated 2H + 8 layers for two to four actions."""
    model, size, form = built(spec).transformer, built(spec).size(), theorem.layer_sizes(spec)
    layers = [(layer.attention.heads, layer.mlp.first.outputs) for layer in model.run()]
    assert layers == form
    assert size.layers == len(form) == spec.horizon * (1 + levels(spec.actions)) + 8
    assert spec.actions > 4 or size.layers == 2 * spec.horizon + 8
    assert (size.heads, size.hidden) == tuple(map(max, zip(*form, strict=True)))
    assert size.width == sum(theorem.registers(spec).values()) + 2 * spec.actions + spec.states + 7
    assert size.dense == theorem.dense_weights(spec)
    quadruples = spec.horizon * spec.states**2 * spec.actions
    assert size.heads >= 10 * quadruples
    assert size.hidden >= (spec.episodes + 1) ** 2 * quadruples


@pytest.mark.parametrize("form", FORMS[1:])
@FEW
@example(BOLD)
@example(replace(BOLD, actions=17))
@given(specs)
def test_layers_of_the_loops(form, spec):
    extra = (spec.horizon - 1) * (levels(spec.actions) - 1)
    assert built(replace(spec, form=form)).size().layers == 2 * spec.horizon + 4 + extra


@FEW
@example(BOLD)
@given(specs)
def test_slim(spec):
    S, A, H = spec.states, spec.actions, spec.horizon
    size = built(replace(spec, form="slim")).size()
    most = S**2 * A + 2 * S * A
    assert size.heads == most if H > 2 else size.heads <= most
    assert size.width == episode_stream(spec, **slim.registers(spec)).width
    assert size.width <= 3 * S**2 * A + 12 * S * A + 4 * (S + A + H) + 64


@FEW
@example(BOLD)
@given(specs)
def test_narrow(spec):
    S, A, H = spec.states, spec.actions, spec.horizon
    size = built(replace(spec, form="narrow")).size()
    most = 2 * S * A + 2 * A + 1
    assert size.heads == most if H > 1 else size.heads <= most
    assert size.width == episode_stream(spec, **narrow.registers(spec)).width
    halves, count = 0, A  # registers of the maximum: after heads ⌊n/2⌋, after neurons ⌈n/4⌉ until one is left
    while count > 1:
        halves, count = halves + count // 2 + (-(-count // 4) if count > 4 else 0), -(-count // 4)
    several = H > 1
    scratch = (5 + 3 * several) * S * A + several * S + 2 * (S + A + 1) + (H + 1) + S * halves
    assert size.width == scratch + 2 * A + S + 7
    assert size.width <= 12 * S * A + 4 * (S + A + H) + 64


def test_registers_that_are_saved():
    """Eight states, four actions, twenty stages: five times fewer registers, fifteen times fewer."""
    spec = Spec(states=8, actions=4, horizon=20, episodes=4)
    printed, reused, least = (
        episode_stream(spec, **form.registers(spec)).width for form in (theorem, slim, narrow)
    )
    assert printed >= 5 * reused
    assert printed >= 15 * least


@pytest.mark.parametrize(("form", "degree"), [("theorem", 2), ("slim", 1), ("narrow", 1)])
def test_neurons_grow_with_episodes_as_stated(form, degree):
    """A polynomial of the stated degree from ten episodes on: its next difference vanishes, its own does not."""
    found = [neurons(replace(BOLD, episodes=episodes), form) for episodes in (10, 20, 30, 40)]
    assert (np.diff(found, degree) > 0).all()
    assert (np.diff(found, degree + 1) == 0).all()


def test_neurons_grow_with_states_as_stated():
    """O(K·SA) for the narrow form: linear in S; quadratic for the others."""
    for form, degree in (("theorem", 2), ("slim", 2), ("narrow", 1)):
        found = [neurons(replace(BOLD, states=states), form) for states in (3, 4, 5, 6)]
        assert (np.diff(found, degree) > 0).all()
        assert (np.diff(found, degree + 1) == 0).all()


@pytest.mark.parametrize("form", FORMS[1:])
@pytest.mark.parametrize("actions", [1, 2, 5, 17])
def test_registers_that_were_used_are_empty_again(form, actions):
    """At the end only what the last selection reads is left, on every token: stage 1's values and the steps before."""
    spec = replace(BOLD, form=form, actions=actions)
    tokens = torch.as_tensor(built(spec).tokens.encode(BUSY.history(spec)))
    after = built(spec).transformer(tokens).numpy()
    registers = built(spec).tokens.stream.registers
    left = {name for name, register in registers.items() if np.abs(after[:, register.slice]).max() > 1e-9}
    inputs = {"state", "action", "reward", "clock", "position", "logits", "stage"}
    before = {name for name in registers if name.startswith("previous_")}
    assert left <= inputs | before | {"base", "ahead", "model", "value"}
    assert {"base", "ahead"} <= left
