"""Fast evaluation of softmax attention gives what the literal layers give, whatever the weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_transformers import Blueprint, blueprints, edited, edits, random_tokens, seeds, sparse_map

from constructions import linucb, ucbvi
from constructions.fast.chunks import State
from constructions.fast.program import Program
from constructions.fast.rewrite import compile_weights
from constructions.fast.softmax_every import Every
from constructions.history import EpisodeHistory
from constructions.inputs.bandits import position
from constructions.parts.assemble import assemble
from constructions.parts.block import EXACT, Block, Head, Position, Promise, Step
from constructions.parts.links import read, stack
from constructions.parts.stream import Stream
from constructions.primitives.softmax import averages, own_token
from constructions.primitives.softmax.products import Product
from constructions.softmax.attention import softmax_shares
from constructions.transformer import MLP, Attention, Heads, Layer, Transformer
from constructions.ucbvi import by_softmax
from constructions.ucbvi.tables import Tables
from verify.histories.linear import battery

FEW = settings(max_examples=settings.default.max_examples // 2)
LONGEST = 24
SPEC = ucbvi.SoftmaxSpec(states=2, actions=2, horizon=2, episodes=4, exploration=0.05)
GATES = {gate: by_softmax.written(Tables(SPEC, gate)) for gate in (3, 10, 40)}
"""A weak gate shows heads more of their neighbours than a strong one."""
LINUCB = linucb.build(linucb.SoftmaxSpec(2, 2, 6, 0.1, ridge=2.0, action_norm=(0.5, 1.0), weight_norm=1.0))


def frame(width: int, longest: int = LONGEST, digits: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The position in the last three entries, `start` in the one before, and before that so many digits."""
    table, index = np.zeros((longest, digits + 4)), np.arange(1, longest)
    table[0, digits], table[1:, digits + 1 :] = 1.0, position(index)
    table[1:, :digits] = 2 * (index[:, None] >> np.arange(digits) & 1) - 1
    return np.arange(width - digits - 4, width), table


def begun(seed: int, width: int, count: int) -> torch.Tensor:
    """Random tokens that hold a frame; token 0 holds numbers of its own too."""
    tokens = random_tokens(seed, width, count)
    entries, table = frame(width)
    tokens[..., entries] = torch.as_tensor(table[:count])
    return tokens


def compiled(model: Transformer, digits: int = 0) -> Program:
    place, held = slice(model.width - 3, model.width), frame(model.width, digits=digits)
    program = compile_weights(model, place, LONGEST, frame=held)
    assert program.front == bool(model.layers)
    return program


def soft(model: Transformer) -> Transformer:
    """Under softmax attention."""
    for layer in model.stored_layers:
        layer.attention.shares = softmax_shares
    return model


def silent(width: int) -> MLP:
    """No neurons."""
    return MLP(sparse_map(np.zeros((0, width))), sparse_map(np.zeros((width, 0))))


def hold(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal up to rounding, what tokens bring left aside: a few thousand roundings of the largest number."""
    assert found.shape == wanted.shape
    moved = wanted[..., :-4]
    most = max(1.0, float(moved.abs().max())) if moved.numel() else 1.0
    if most < 1e8:  # layers may multiply values, and roundings more often still
        torch.testing.assert_close(found[..., :-4], moved, rtol=0, atol=1e-9 * most)
        torch.testing.assert_close(found[..., -4:], wanted[..., -4:], rtol=1e-9, atol=1e-9 * most)


def in_parts(program: Program, tokens: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """The same, some tokens at a time."""
    state = State()
    return torch.cat([program.advance(part, state) for part in tokens.split(sizes, 1)], 1)


def split(count: int) -> st.SearchStrategy[list[int]]:
    """Ways of taking so many tokens in."""
    cuts = st.sets(st.integers(1, count - 1)).map(sorted)
    return cuts.map(lambda at: np.diff([0, *at, count]).tolist())


TOY = Stream.of(thing=2, value=1, mean=1, before=1, product=1, same=1, twice=1, digits=5, start=1, position=3)
"""Digits, `start` and position last."""
PLACES = {"position": TOY["position"], "start": TOY["start"]}


def toy(gate: float = 24.0) -> Transformer:
    """A mean, the token before, a product of three registers, the mean over tokens that hold the same; then one of those."""
    at = TOY
    thing, value, one = read(at["thing"]), read(at["value"]), read(at.one)
    same = stack(gate * thing, -gate * one)
    heads = (
        averages.matching(
            "mean", one, 1, value, at["mean"], one=one, start=read(at["start"]), gate=gate, level=0.0
        ),
        own_token.one_token("before", 1, value, at["before"], gate=gate, **PLACES),
        *Product(0.1, gate, at["digits"].size, 1.0, 1.0, 2).heads(
            "product", thing, thing, value, at["product"], at["digits"], at.one
        ),
        Head("same", stack(thing, one), same, value, at["same"], 1, "softmax"),
    )
    again = own_token.one_token("twice", 2, read(at["product"]), at["twice"], gate=gate, **PLACES)
    return stacked(heads, (again,))


def stacked(*layers: tuple[Head, ...]) -> Transformer:
    """Layers of heads."""
    promise = Promise("", EXACT, EXACT, 1.0)
    blocks = [
        Block(str(n), "", (Step(part),), TOY["twice"], lambda values: values["twice"], promise)
        for n, part in enumerate(layers)
    ]
    inputs = frozenset({"thing", "value", "digits", "start", "position"})
    return assemble(TOY, inputs, [[block] for block in blocks], 1e4, "softmax")


def alone(head: Head) -> Layer:
    """A layer of one head."""
    promise = Promise("", EXACT, EXACT, 1.0)
    block = Block("", "", (Step((head,)),), TOY["before"], lambda values: values["before"], promise)
    inputs = frozenset(TOY.registers) - {"before"}
    return assemble(TOY, inputs, [[block]], 1e3, "softmax").stored_layers[0]


def writing(reads: str, writes: str) -> MLP:
    """A neuron that adds relu of one entry to another."""
    first, second = (np.eye(TOY.width)[[TOY[name].start]] for name in (reads, writes))
    return MLP(sparse_map(first), sparse_map(second.T))


def toy_tokens(seed: int, count: int, size: float = 1.0) -> torch.Tensor:
    """One of two things, and a value of this size, at each token; token 0 has neither."""
    draw, found = np.random.default_rng(seed), np.zeros((2, count, TOY.width))
    found[:, 1:, TOY["thing"].slice] = size * np.eye(2)[draw.integers(2, size=(2, count - 1))]
    found[:, 1:, TOY["value"].slice] = size * draw.normal(size=(2, count - 1, 1))
    entries, table = frame(TOY.width, digits=TOY["digits"].size)
    found[..., entries] = table[:count]
    return torch.as_tensor(found)


@FEW
@given(edits, seeds, split(20))
def test_a_changed_weight_of_a_toy(edits: list, seed: int, parts: list[int]):
    model, tokens = edited(toy(), edits), toy_tokens(seed, 20)
    program, expected = compiled(model, TOY["digits"].size), model(tokens)
    hold(program.run(tokens), expected)
    hold(in_parts(program, tokens, parts), expected)


@pytest.mark.parametrize("heads", [1, 3])
def test_tokens_of_equal_keys_are_looked_at_once(heads: int, monkeypatch):
    """Two things and token 0 are three kinds of keys; a number of its own at each token is as many kinds."""
    asked = []
    monkeypatch.setattr(
        Every, "_by_kind", staticmethod(lambda *parts, _by=Every._by_kind: asked.append(1) or _by(*parts))
    )
    for size, few in ((0.0, True), (0.1, False)):
        asked.clear()
        one, tokens = np.eye(TOY.width), toy_tokens(3, 20)
        tokens[:, 1:, 0] += size * torch.arange(19) / 19
        query, key = (np.tile(part, (heads, 1)) for part in (800 * one[[1, 0]], one[:2]))  # the other thing
        query *= np.arange(1.0, heads + 1).repeat(2)[:, None]
        value = np.tile(one[[2, 1]], (heads, 1))
        group = Heads(*map(sparse_map, (query, key, value)), np.tile([3, 4], heads), heads)
        model = soft(Transformer([Layer(Attention([group]), silent(TOY.width))], TOY.width, 1e4))
        assert compiled(model).explain()[0]["heads"]["Every"] == heads
        state = State()
        hold(compiled(model).advance(tokens, state), model(tokens))
        hold(in_parts(compiled(model), tokens, [17, 1, 2]), model(tokens))
        assert bool(asked) == few
        assert not state.literal


def test_every_head_of_a_toy_is_recognised():
    first, second = compiled(toy(), TOY["digits"].size).explain()
    assert first["heads"] == {"Tally": 1, "Near": 5, "Every": 1}
    assert second["heads"] == {"Tally": 0, "Near": 1, "Every": 0}


@pytest.mark.parametrize("gate", [1.0, 3.0, 8.0, 12.0, 16.0, 20.0, 24.0, 30.0])
def test_what_a_gate_leaves_of_neighbours_is_moved_too(gate: float):
    """Of a token before whose value is 1, where the others have 0; what is left out is below 2⁻⁶⁴."""
    head = own_token.one_token("own", 0, read(TOY["value"]), TOY["before"], gate=gate, **PLACES)
    model = Transformer([alone(head)], TOY.width, 1e3)
    tokens, state, at = toy_tokens(0, 20), State(), TOY["before"].slice
    tokens[..., TOY["value"].start] = torch.eye(20)[10]
    found = compiled(model).advance(tokens, state)[..., at]
    assert not state.literal
    torch.testing.assert_close(found, model(tokens)[..., at], rtol=1e-12, atol=2.0**-64)


def test_token_0_is_seen_as_it_is_in_each_repetition():
    """Each of them adds 1 to its value."""
    head = own_token.by_odds("", read(TOY["mean"]), read(TOY["value"]), TOY["before"], gate=40.0, **PLACES)
    layer = Layer(alone(head).attention, writing("start", "value"), 2)
    model, tokens = Transformer([layer], TOY.width, 1e3), toy_tokens(0, 20)
    assert compiled(model).alone == 0
    hold(in_parts(compiled(model), tokens, [2, 8, 10]), model(tokens))


def test_a_position_that_is_written_is_not_known():
    head = own_token.one_token("", 0, read(TOY["value"]), TOY["before"], gate=9.0, **PLACES)
    layers = [Layer(Attention([]), writing("thing", "position")), alone(head)]
    model, tokens = soft(Transformer(layers, TOY.width, 1e3)), toy_tokens(0, 20)
    assert compiled(model).explain()[1]["heads"]["Every"] == 1
    hold(compiled(model).run(tokens), model(tokens))


def test_a_query_that_leans_to_earlier_tokens_is_seen():
    """−2B(i − j)² − 100j: tokens before outweigh the token itself."""
    place, gate = Position.of(TOY["position"]), 40.0
    query = stack(place.index, place.one, place.square, -100 * read(TOY["thing"].part(0, of=2)))
    key = stack(4 * gate * place.index, -2 * gate * place.square, -2 * gate * place.one, place.index)
    head = Head("", query, key, read(TOY["value"]), TOY["before"], 1, "softmax")
    model, tokens, state = Transformer([alone(head)], TOY.width, 1e3), toy_tokens(0, 20), State()
    assert compiled(model).explain()[0]["heads"]["Near"] == 1
    hold(compiled(model).advance(tokens, state), model(tokens))
    assert state.literal


def test_products_that_outweigh_their_gate_are_seen():
    """The literal layers take over, for good; small ones do not."""
    for size, literal in ((1.0, False), (20.0, True)):
        tokens, state, model = toy_tokens(0, 20, size), State(), toy()
        found = compiled(model, TOY["digits"].size).advance(tokens, state)
        assert state.literal == literal
        hold(found, model(tokens))


def test_products_with_what_a_layer_has_written_are_seen():
    """The keys are 0 on the tokens as they come."""
    value, copied, gate = read(TOY["value"]), read(TOY["before"]), 40.0
    first = own_token.one_token("before", 1, value, TOY["before"], gate=gate, **PLACES)
    late = Product(0.1, gate, TOY["digits"].size, 1.0, 1.0, 1).heads(
        "late", value, copied, value, TOY["twice"], TOY["digits"], TOY.one
    )
    for size, literal in ((1.0, False), (40.0, True)):
        for wanted in (slice(None), slice(10, None, 2)):
            tokens, state, model = toy_tokens(0, 20, size), State(), stacked((first,), late)
            program = compiled(model, TOY["digits"].size)
            assert program.explain()[1]["heads"]["Near"] == 4
            found = program.advance(tokens, state, wanted)
            assert state.literal == literal
            hold(found, model(tokens)[:, wanted])


def test_running_sums_that_underflow_are_seen():
    """The ninth token's score is 735 higher than those before: their weights have few digits beside its own."""
    tokens, one = toy_tokens(0, 20), np.eye(TOY.width)
    tokens[:, :9, 0], tokens[:, 9, 0] = 0.0, 1.0
    parts = (sparse_map(part) for part in (one[-1:], 735 * one[:1], one[2:3]))
    heads = Heads(*parts, np.array([3]), 1)
    model = soft(Transformer([Layer(Attention([heads]), silent(TOY.width))], TOY.width, 1e4))
    program, state = compiled(model), State()
    assert program.explain()[0]["heads"]["Tally"] == 1
    found = program.advance(tokens, state)
    assert state.literal
    hold(found, model(tokens))


@given(blueprints, seeds, st.data())
def test_random_weights(blueprint: Blueprint, seed: int, data: st.DataObject):
    """Heads of all kinds, none of them made for softmax; whole, in parts, and some tokens only."""
    model = soft(blueprint.build(1e6))
    tokens, wanted = begun(seed, model.width, 9), data.draw(st.integers(0, 8))
    program, expected = compiled(model), model(begun(seed, model.width, 9))
    hold(program.run(tokens), expected)
    hold(in_parts(program, tokens, data.draw(split(9))), expected)
    hold(program.run(tokens, slice(wanted, None)), expected[:, wanted:])


def histories(spec: ucbvi.SoftmaxSpec, seed: int, batch: int = 2) -> list[EpisodeHistory]:
    """Random ones of full length."""
    draw, steps = np.random.default_rng(seed), spec.horizon * spec.episodes
    return [
        EpisodeHistory(
            draw.integers(spec.states, size=steps),
            draw.integers(spec.actions, size=steps - 1),
            draw.random(steps - 1),
            spec.horizon,
        )
        for _ in range(batch)
    ]


def held_with_edits(built, given_: list, edits: list, data: st.DataObject) -> None:
    """Whole, in parts, and at the states: with any weight changed the result is that of the literal layers."""
    model = edited(built.transformer, edits)
    tokens = torch.as_tensor(np.stack([built.tokens.encode(one) for one in given_]))
    expected, states = model(tokens), torch.as_tensor(built.tokens.states(given_[0].steps))
    entries = built.tokens.stream["position"].slice, built.tokens.longest
    program = compile_weights(model, *entries, frame=built.tokens.frame)
    hold(program.run(tokens), expected)
    hold(in_parts(program, tokens, data.draw(split(tokens.shape[1]))), expected)
    lean = compile_weights(model, *entries, built.output, built.tokens.frame)
    hold(lean.run(tokens, states)[..., built.output], expected[:, states][..., built.output])


@FEW
@given(st.sampled_from(sorted(GATES)), edits, seeds, st.data())
def test_a_changed_weight_of_ucb_vi(gate: int, edits: list, seed: int, data: st.DataObject):
    held_with_edits(GATES[gate], histories(SPEC, seed), edits, data)


@FEW
@given(edits, st.integers(0, 5), st.data())
def test_a_changed_weight_of_linucb(edits: list, number: int, data: st.DataObject):
    longest = [one for one in battery(LINUCB.spec) if one.steps == LINUCB.spec.horizon]
    outlines = longest[number % len(longest)], longest[0]
    held_with_edits(LINUCB, [one.history(LINUCB.spec) for one in outlines], edits, data)


def test_every_head_of_linucb_is_recognised():
    """One average over all tokens; the rest are of a token itself."""
    heads = [row["heads"] for row in LINUCB.explain()]
    assert not any(row["Every"] for row in heads)
    assert sum(row["Tally"] for row in heads) == 1


@pytest.mark.parametrize("gate", sorted(GATES))
def test_every_head_of_ucb_vi_is_recognised(gate: int):
    """None goes by the definition; a strong gate leaves tokens alone but for token 0."""
    built, count = GATES[gate], 0
    for row, layer in zip(built.explain(), built.transformer.stored_layers, strict=True):
        assert row["heads"]["Every"] == 0
        assert sum(row["heads"].values()) == layer.attention.heads
        assert row["multiplications"]["fast"] < row["multiplications"]["dense"]
        count += row["heads"]["Near"]
    assert count == 2 + (SPEC.horizon - 1) * SPEC.states * SPEC.states * SPEC.actions
    assert built.policy_program.alone == (1 if gate == 40 else len(built.transformer.layers) - 3)
    assert any(row["neurons"]["look-up"] for row in built.explain())
