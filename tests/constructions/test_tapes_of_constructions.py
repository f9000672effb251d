"""Tapes of constructions beside their literal layers, with weights changed and with the tapes broken."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_transformers import AGREE, edits
from taped import AGREED, SPECS, built, case, chunks_of, held, how, longest, pieces, steps

from constructions.fast.program import Program
from constructions.tapes.tape import Crowd, Matrices, Operation, Pieces, Products, Relu, Sum

UNTAPED = ("theorem",)  # its crowds' products are not told from their gates by the largest sizes of keys


@pytest.mark.parametrize("name", SPECS)
@given(st.data())
def test_constructions_are_played_by_tapes(name, data):
    """As they are built, nothing falls back; what is asked for is right."""
    construction, (_, output, registers) = built(name), pieces(name)
    history = data.draw(case(name).histories()).history(SPECS[name])
    tokens = torch.as_tensor(construction.tokens.encode(history))[None]
    expected = construction.program.run(tokens)[0].numpy()
    played, agree = steps(construction.policy_program, registers), AGREED.get(name, AGREE)
    for start, stop in pairwise([0, *np.cumsum(chunks_of(construction, history))]):
        found = played.advance(tokens[:, start:stop].numpy().copy())[0, output]
        np.testing.assert_allclose(found, expected[stop - 1, output], rtol=0, atol=agree)
    if history.steps > 1:
        assert how(played) == ("untaped" if name in UNTAPED else "taped")


@pytest.mark.parametrize("name", SPECS)
@given(edits, st.data())
def test_a_changed_weight_changes_decisions_as_it_changes_the_literal_form(name, edits, data):
    held(name, edits, data.draw(case(name).histories()).history(SPECS[name]))


@pytest.mark.parametrize("name", [name for name in SPECS if name not in UNTAPED])
def test_changed_weights_are_played_by_tapes_too(name):
    """Not all of them: where two weights must be equal, or keep a gate closed, the definition takes over."""
    generator, heard = np.random.default_rng(0), Counter()
    for kind in ["nudge", "shrink", "flip"] * 5:
        change = (kind, *generator.integers(1000, size=4).tolist())
        heard[held(name, [change], longest(name))] += 1
    assert heard["taped"] >= 3, heard


def table(one: Pieces) -> Pieces:
    return replace(one, functions=replace(one.functions, values=one.functions.values + 0.01))


def one_back(slots: slice) -> slice:
    return slice(slots.start - 1, slots.stop - 1)


BREAKS: dict[str, tuple[str, type[Operation], Callable]] = {
    "a sum's weights": ("newton", Sum, lambda one: replace(one, weights=one.weights * 1.001)),
    "a sum's slots": ("bernoulli", Sum, lambda one: replace(one, slots=np.roll(one.slots, 1))),
    "a factor left out": ("agd", Sum, lambda one: replace(one, factors=0 * one.factors)),
    "products' slots": ("two arms", Products, lambda one: replace(one, left=np.roll(one.left, 1))),
    "another matrix": (
        "newton",
        Matrices,
        lambda one: replace(one, left=(one_back(one.left[0]), one.left[1])),
    ),
    "no shift": ("newton", Matrices, lambda one: replace(one, shift=None)),
    "a bend elsewhere": ("narrow", Relu, lambda one: replace(one, at=one_back(one.at))),
    "a table": ("bernoulli", Pieces, table),
    "a crowd's query": ("narrow", Crowd, lambda one: replace(one, query=one_back(one.query))),
    "a crowd's keys": ("soft UCB1", Crowd, lambda one: replace(one, keys=one_back(one.keys))),
    "a crowd's values": ("narrow", Crowd, lambda one: replace(one, values=one_back(one.values))),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_tape_is_caught(fault):
    name, kind, change = BREAKS[fault]
    found = []

    def broken(program: Program) -> None:
        for flat in program.tapes.values():
            flat.tape.operations[:] = [
                change(one) if isinstance(one, kind) else one for one in flat.tape.operations
            ]
            found.extend(one for one in flat.tape.operations if isinstance(one, kind))

    assert held(name, [], longest(name)) == "taped"
    with pytest.raises(AssertionError, match="not the literal form"):
        held(name, [], longest(name), broken)
    assert found
