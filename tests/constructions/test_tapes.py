"""Decisions by tapes, a few tokens at a time, beside the literal forward pass on all tokens so far."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_transformers import AGREE, Blueprint, blueprints, compiled, random_tokens, seeds, sparse_map
from taped import built, held_to_literal, how, pieces, steps

from constructions.fast.rewrite import compile_weights
from constructions.tapes import compiled as compiled_tapes
from constructions.tapes.deck import Deck
from constructions.tapes.levels import level
from constructions.tapes.tape import Tape
from constructions.transformer import MLP, Attention, Heads, Layer, Transformer
from verify.histories.linear import LinearOutline

MANY = settings(max_examples=3 * settings.default.max_examples)  # type: ignore[union-attr]


@pytest.mark.parametrize("radius", [math.inf, 50.0, 5.0])
@MANY
@given(blueprints, seeds, st.lists(st.integers(1, 3), min_size=2, max_size=5), st.integers(1, 3))
@example(Blueprint(0, 6, 2, 2, 1.0, 5, [(["pair"], 0, 0, 2), (["pair"], 0, 0, 2)]), 0, [1, 2, 2], 2)
@example(Blueprint(0, 6, 3, 3, 1.0, 5, [(["product", "product"], 2, 0, 2)]), 0, [1, 2, 2], 1)
@example(Blueprint(0, 8, 3, 1, 1.0, 3, [(["matrix"], 0, 0, 2), (["gate"], 0, 0, 1)]), 0, [1, 2, 2], 2)
@example(Blueprint(0, 6, 2, 1, 1.0, 3, [([], 4, 3, 1)]), 0, [1, 2], 1)
def test_tapes_are_the_transformer(radius, blueprint, seed, chunks, batch):
    model = blueprint.build(radius)
    tokens = random_tokens(seed, model.width, sum(chunks), batch)
    held_to_literal(model, compiled(model, 16), tokens, chunks, [slice(n, n + 1) for n in range(model.width)])


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(("name", "loud"), [("newton", "action"), ("agd", "reward")])
def test_a_gate_that_opens_late_is_noticed_by_what_was_remembered(name, loud, size):
    """A product outweighs its gate first at token 7; what came before was played by tapes."""
    construction, (position, _, registers) = built(name), pieces(name)
    spec = construction.spec
    history = LinearOutline("random", "random", "spread", 5, 0.0, 7).history(spec)
    tokens = np.repeat(construction.tokens.encode(history)[None], size, 0)
    tokens[:, 5, construction.tokens.stream[loud].slice] *= 1e4
    tokens = torch.as_tensor(tokens)
    model = copy.deepcopy(construction.transformer)
    model.clip_radius = math.inf
    program, expected = compile_weights(model, position, 10), model(tokens)
    played, seen = steps(program, registers), []
    for part in tokens.split([1, 2, 2, 2, 2], dim=1):
        found = played.advance(part.numpy().copy())
        seen.append(how(played))
        at = played.state.count - 1
        np.testing.assert_allclose(found, expected[:, at], rtol=0, atol=AGREE * float(expected.abs().max()))
    assert seen[:3] == ["not begun", "taped", "taped"]
    assert seen[-1] in ("untaped", "literal")


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_clipping_is_noticed(share):
    construction, (position, _, registers) = built("newton"), pieces("newton")
    history = LinearOutline("random", "random", "spread", 5, 0.0, 7).history(construction.spec)
    tokens = torch.as_tensor(construction.tokens.encode(history))[None]
    model = copy.deepcopy(construction.transformer)
    model.clip_radius = math.inf
    norms = []
    model(tokens, lambda layer, now: norms.append(float(now.norm(dim=-1)[:, 7:].max())) or now)
    model.clip_radius = share * max(norms)
    program = compile_weights(model, position, 10)
    found = held_to_literal(model, program, tokens, [1, 2, 2, 2, 2], registers)
    assert found in (("literal",) if share < 1 else ("taped", "untaped"))


def test_what_stands_in_several_entries_is_clipped_as_often():
    """A number of 100 is copied to four entries: its square is 1e4 once, and 5e4 in all."""
    first, second = np.zeros((8, 8)), np.zeros((8, 8))
    for target in range(4):
        first[2 * target : 2 * target + 2, 0] = -1.0, 1.0
        second[target + 1, 2 * target : 2 * target + 2] = -1.0, 1.0
    model = Transformer([Layer(Attention([]), MLP(sparse_map(first), sparse_map(second)))], 8, math.sqrt(3e4))
    tokens = random_tokens(1, 8, 5, 1)
    tokens[0, :, :5] = 0.0
    tokens[0, :, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
    registers = [slice(n, n + 1) for n in range(8)]
    assert held_to_literal(model, compiled(model, 16), tokens[:, :4], [1, 2, 1], registers) == "taped"
    assert held_to_literal(model, compiled(model, 16), tokens, [1, 2, 2], registers) == "literal"


def test_what_is_new_in_a_register_is_looked_for_from_then_on():
    """Where tokens hold nothing, nothing is computed; a noise in scratch comes late."""
    construction, (position, _, registers) = built("newton"), pieces("newton")
    history = LinearOutline("random", "random", "spread", 5, 0.0, 7).history(construction.spec)
    tokens = construction.tokens.encode(history)[None]
    tokens[:, 6:, construction.tokens.stream["inverse"].slice] += 0.1
    program, given_ = compile_weights(construction.transformer, position, 10), torch.as_tensor(tokens)
    assert held_to_literal(construction.transformer, program, given_, [1, 2, 2, 2, 2], registers) == "taped"


def test_wrong_positions_are_noticed():
    construction, (position, _, registers) = built("newton"), pieces("newton")
    history = LinearOutline("random", "random", "spread", 5, 0.0, 7).history(construction.spec)
    tokens = construction.tokens.encode(history)[None]
    tokens[:, 6:, position.start] += 1
    program, given_ = compile_weights(construction.transformer, position, 10), torch.as_tensor(tokens)
    assert held_to_literal(construction.transformer, program, given_, [1, 2, 2, 2, 2], registers) == "literal"


def test_states_of_tapes_are_kept_and_taken_up_again():
    construction = built("newton")
    history = LinearOutline("random", "random", "spread", 5, 0.0, 7).history(construction.spec)
    whole, decoder, saved = construction.log_probabilities(history), construction.decoder(), []
    for step in range(5):
        saved.append(pickle.loads(pickle.dumps(decoder.state())))
        decoder.observe(history.contexts[step])
        if step < 4:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))
    for step, state in enumerate(saved):
        other = construction.decoder()
        other.restore(state)
        np.testing.assert_allclose(other.observe(history.contexts[step]), whole[step], rtol=0, atol=1e-10)


def by_heads(rows) -> Transformer:
    """A layer of heads, given as (query rows, key rows, value row, target)."""
    query, key, value = (
        sparse_map(np.concatenate([np.atleast_2d(row[n]) for row in rows])) for n in range(3)
    )
    nothing = MLP(sparse_map(np.zeros((0, 8))), sparse_map(np.zeros((8, 0))))
    heads = Heads(query, key, value, np.array([row[3] for row in rows]), len(rows))
    return Transformer([Layer(Attention([heads]), nothing)], 8, math.inf)


ENTRY = np.eye(8)


def test_slots_that_were_made_one_after_the_other_may_come_apart():
    """The second of three sums waits for the first, and is worked out after the third."""
    tape = Tape()
    given_, none = tape.new(2), np.zeros(1, np.int64)
    first = tape.sum(none, given_[[0]], [3.0], none, 1)
    second = tape.sum(none, first, [5.0], none, 1)
    third = tape.sum(none, given_[[1]], [7.0], none, 1)
    out = tape.relu(np.concatenate([second, third]))
    place = level(tape)
    deck = Deck(tape.operations, tape.size, np.ones(1), 1)
    deck.slots[place[given_]] = [1.0, 2.0]
    deck.play()
    assert deck.slots[place[out]].tolist() == [15.0, 14.0]


@pytest.mark.parametrize("machine", [None, compiled_tapes])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_matrices_that_are_neither_square_nor_symmetric(turned, batch, machine):
    tape, draw = Tape(), np.random.default_rng(0)
    left, right = tape.new(2 * 3), tape.new(3 * 4)
    out = tape.matrices(left, 2, right, 4 if turned else 3, turned)
    place = level(tape)
    deck = Deck(tape.operations, tape.size, np.ones(1), batch, machine)
    x, y = draw.normal(size=(batch, 2, 3)), draw.normal(size=(batch, *((4, 3) if turned else (3, 4))))
    for slots, value in ((left, x), (right, y)):
        deck.slots[place[slots]] = value.reshape(batch, -1).T.reshape(len(slots), *deck.tail)
    deck.play()
    wanted = x @ (y.mT if turned else y)
    np.testing.assert_allclose(
        deck.slots[place[out]].reshape(-1, batch).T, wanted.reshape(batch, -1), atol=1e-14
    )


def test_prefix_sums_take_in_every_token_of_a_chunk():
    pair = [(sign * ENTRY[0], ENTRY[1], sign * ENTRY[2], 3) for sign in (1, -1)]
    model, program = by_heads(pair), compiled(by_heads(pair), 16)
    assert program.explain()[0]["heads"]["Linear"] == 2
    for batch in (1, 2):
        assert held_to_literal(model, program, random_tokens(1, 8, 9, batch), [1, 2, 3, 1, 2]) == "taped"


@pytest.mark.parametrize("far", [1, 2, 3, 4])
def test_a_large_key_is_remembered(far):
    """The key of token `far` alone is large; so is the query of token 7, and outweighs the gate between them."""
    rows, position = [], ENTRY[5:]
    for sign, column in np.ndindex(2, 4):
        weight = 1 - 2 * sign
        query = [weight * ENTRY[0], position[0], position[2]]
        key = [ENTRY[1] * (column + 1), -30 * position[2], 30 * position[0]]
        rows.append((query, key, weight * position[2] * (column + 1), 3))
    model, program = by_heads(rows), compiled(by_heads(rows), 16)
    assert program.explain()[0]["heads"]["OwnMatrix"] == 8
    tokens = random_tokens(1, 8, 7, 1)
    tokens[0, :, :2], tokens[0, far, 1], tokens[0, 6, 0] = 0.1, 5.0, 30.0
    assert held_to_literal(model, program, tokens[:, :6], [1, 2, 1, 2]) == "taped"
    assert held_to_literal(model, program, tokens, [1, 2, 1, 2, 1]) == "literal"


@pytest.mark.parametrize("far", [2, 3, 4])
def test_a_crowd_that_is_opened_by_a_product_is_noticed(far):
    """One product is common to four heads whose gates are closed but at token 2; the last query opens them."""
    rows, position = [], ENTRY[5:]
    for number in range(4):
        gate = 50 * ENTRY[4] - (30 + number) * position[2]
        query, key = [ENTRY[0], position[2]], [ENTRY[1], gate]
        rows.append((query, key, position[2] * (number + 1), 3))
    model, program = by_heads(rows), compiled(by_heads(rows), 16)
    assert program.explain()[0]["heads"]["Gated"] == 4
    tokens = random_tokens(1, 8, 7, 1)
    tokens[0, :, :2], tokens[0, :, 4] = 0.1, -1.0
    tokens[0, 1, 4], tokens[0, far, 4] = 1.0, 0.0  # open; closed, though less so than at all others
    tokens[0, far, 1], tokens[0, 6, 0] = 1.5, 30.0
    assert held_to_literal(model, program, tokens[:, :6], [1, 2, 1, 2]) == "taped"
    assert held_to_literal(model, program, tokens, [1, 2, 1, 2, 1]) == "literal"


def test_look_ups_in_several_tables():
    """Three functions of two directions, whose knots differ; tokens on both sides of all of them."""
    width, generator = 6, np.random.default_rng(0)
    first, second = np.zeros((12, width)), np.zeros((width, 12))
    for number in range(12):
        first[number, number % 2], first[number, -1] = 1.0, generator.normal()
        second[[2, number % 2 * 2], number] = generator.normal(size=2)
    model = Transformer([Layer(Attention([]), MLP(sparse_map(first), sparse_map(second)))], width, math.inf)
    program = compiled(model, 16)
    assert program.explain()[0]["neurons"]["look-up"] == 12
    for batch in (1, 3):
        assert held_to_literal(model, program, random_tokens(1, width, 9, batch), [1, 2, 2, 2, 2]) == "taped"
