"""One transformer, three evaluators: the factored model, the literal matrices, and the rewritten program must agree."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_transformers import (
    AGREE,
    LONGEST,
    Blueprint,
    assert_equal_up_to_rounding,
    blueprints,
    compiled,
    edited,
    edits,
    mlp,
    random_tokens,
    seeds,
    sparse_map,
)

from constructions import linucb
from constructions.fast.chunks import State
from constructions.fast.rewrite import compile_weights
from constructions.sizes import measured
from constructions.transformer import MLP, Attention, Heads, Layer, Transformer, clip
from verify.histories.linear import battery, outlines

MANY = settings(max_examples=4 * settings.default.max_examples)  # random transformers are cheap
FEW = settings(max_examples=settings.default.max_examples // 2)  # for what runs every layer of a descent


# ---------------------------------------------------------------- the definitions, once more, in loops


def matrices(layer: Layer):
    """Q, K, V of each head as D×D matrices, and W1, W2, from the stored entries alone."""

    def full(part):
        matrix = np.zeros((part.outputs, part.inputs))
        for row, column, weight in zip(part.rows, part.columns, part.weight, strict=True):
            matrix[row, column] = weight
        return matrix

    heads = []
    for part in layer.attention.stored_groups:
        query, key, value = full(part.query), full(part.key), full(part.value)
        for m in range(part.count):
            q, k, v = (np.split(rows, part.count)[m] for rows in (query, key, value))
            literal = np.zeros((layer.mlp.first.inputs,) * 2)
            for row, to in zip(v, np.split(part.targets.numpy(), part.count)[m], strict=True):
                literal[to] += row
            heads.append((q, k, literal))
    return heads, full(layer.mlp.first), full(layer.mlp.second)


def by_definition(model: Transformer, tokens: np.ndarray) -> np.ndarray:
    """Definitions 1 to 3 for one sequence, token by token."""

    def project(h):
        norm = math.hypot(*h)
        return h if norm <= model.clip_radius else h / norm * model.clip_radius

    now = np.array([project(h) for h in tokens])
    for layer in model.run():
        heads, first, second = matrices(layer)
        after = []
        for i, h in enumerate(now, start=1):
            for query, key, value in heads:
                moved = [max((query @ now[i - 1]) @ (key @ past), 0.0) * (value @ past) for past in now[:i]]
                h = h + sum(moved) / i
            after.append(project(h + second @ np.maximum(first @ h, 0.0)))
        now = np.array(after)
    return now


@MANY
@given(blueprints, seeds, st.integers(1, LONGEST))
@example(
    Blueprint(0, 6, 3, 3, 1.0, 0, [(["gate", "position"], 2, 1, 2)]), 0, 6
)  # positions that layers write
@example(Blueprint(0, 6, 2, 2, 1.0, 3, [(["pair", "twin", "fold"], 2, 2, 2)]), 0, 6)
@example(Blueprint(0, 6, 2, 2, 1.0, 5, [(["pair"], 0, 0, 2), (["pair"], 0, 0, 2)]), 0, 6)
@example(Blueprint(0, 6, 3, 3, 1.0, 5, [(["product", "product"], 2, 0, 2)]), 0, 6)
@example(Blueprint(1, 5, 3, 3, 0.7, 4, [(["product"], 0, 0, 2)]), 1, 6)  # values that layers write
@example(Blueprint(0, 6, 3, 1, 1.0, 3, [(["crowd", "crowd"], 0, 0, 2), (["crowd"], 0, 0, 1)]), 0, 6)
@example(Blueprint(0, 6, 2, 1, 1.0, 3, [([], 4, 0, 1)]), 0, 3)  # look-ups
def test_all_evaluators_agree_with_the_definitions(blueprint, seed, count):
    model = blueprint.build()
    tokens = random_tokens(seed, model.width, count)
    expected = torch.as_tensor(np.array([by_definition(model, sequence.numpy()) for sequence in tokens]))
    for output in (model(tokens), model.dense()(tokens), compiled(model).run(tokens)):
        assert_equal_up_to_rounding(output, expected)


@MANY
@given(blueprints, seeds, st.integers(1, LONGEST), st.floats(0.01, 10))
@example(Blueprint(1, 4, 3, 3, 0.7, 0, [(["gate"], 0, 0, 1)]), 0, 1, 0.99)  # the input's position is clipped
def test_all_evaluators_clip_as_defined(blueprint, seed, count, share):
    """A radius that some tokens exceed, at the input or after some layer."""
    model = blueprint.build()
    tokens = random_tokens(seed, model.width, count)
    model.clip_radius = share * float(tokens.norm(dim=-1).max())
    expected = torch.as_tensor(np.array([by_definition(model, sequence.numpy()) for sequence in tokens]))
    assert expected.norm(dim=-1).max() <= model.clip_radius * (1 + 1e-12)
    for output in (model(tokens), model.dense()(tokens), compiled(model).run(tokens)):
        assert_equal_up_to_rounding(output, expected)


def test_many_histories_are_worked_on_a_few_at_a_time(monkeypatch):
    model = Blueprint(0, 6, 3, 3, 1.0, 5, [(["product", "product"], 2, 0, 2)]).build()
    tokens, program, sizes = random_tokens(0, model.width, 4, 5), compiled(model), []
    advance = type(program).advance
    monkeypatch.setattr(
        type(program),
        "advance",
        lambda self, part, *rest: sizes.append(len(part)) or advance(self, part, *rest),
    )
    monkeypatch.setattr("constructions.fast.program.AT_ONCE", 2 * tokens[0].numel() + 1)
    assert_equal_up_to_rounding(program.run(tokens), model(tokens))
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("radius", [math.inf, 5.0])
@MANY
@given(blueprints, seeds, st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(1, 3))
def test_chunk_by_chunk_is_the_same_as_at_once(radius, blueprint, seed, chunks, batch):
    model = blueprint.build(radius)
    tokens, program, state = (
        random_tokens(seed, model.width, sum(chunks), batch),
        compiled(model, 12),
        State(),
    )
    parts = [program.advance(part, state) for part in tokens.split(chunks, dim=1)]
    at_once = program.run(tokens)
    assert state.count == sum(chunks)
    assert_equal_up_to_rounding(torch.cat(parts, dim=1), at_once)
    if math.isinf(radius):
        for wanted in (slice(0, None, 2), slice(-1, None), slice(1, 3)):
            assert_equal_up_to_rounding(program.run(tokens, wanted), at_once[:, wanted], at_once)


@MANY
@given(blueprints, seeds, st.integers(0, 7), st.integers(1, 3))
def test_what_is_asked_for_does_not_need_what_is_left_out(blueprint, seed, start, size):
    """Programs for a few stream entries, some of which may not exist."""
    model = blueprint.build()
    tokens, asked = random_tokens(seed, model.width, 5), slice(start, min(start + size, model.width))
    program = compile_weights(model, slice(model.width - 3, model.width), LONGEST, asked)
    expected = model(tokens)
    assert_equal_up_to_rounding(program.run(tokens)[..., asked], expected[..., asked], expected)
    whole = compiled(model)
    for lean, full in zip(program.explain(), whole.explain(), strict=True):
        assert lean["multiplications"]["fast"] <= full["multiplications"]["fast"]


def test_registers_nobody_reads_are_not_computed():
    """Two neurons: one writes what is asked for, the other what nobody reads."""
    first = sparse_map(np.array([[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0]]))
    second = sparse_map(np.array([[0, 0], [0, 1.0], [0, 0], [0, 0], [0, 0]]))
    unread = sparse_map(np.array([[1.0, 1.0], [0, 0], [0, 0], [0, 0], [0, 0]]))
    layers = [Layer(Attention([]), MLP(first, second)), Layer(Attention([]), MLP(first, unread))]
    model = Transformer(layers, 5, math.inf)
    lean = compile_weights(model, slice(2, 5), LONGEST, slice(1, 2)).explain()
    assert [row["multiplications"]["fast"] for row in lean] == [2 * 100, 0]


@pytest.mark.parametrize("reader", ["query", "key", "value"])
def test_what_a_head_reads_is_needed(reader):
    """Entry 1 is written by the first layer and read by one part of a head of the second."""
    one, written = np.eye(5)[4:], np.eye(5)[1:2]
    parts = {name: sparse_map(written if name == reader else one) for name in ("query", "key", "value")}
    head = Heads(parts["query"], parts["key"], parts["value"], np.array([0]), 1)
    neurons = MLP(sparse_map(one), sparse_map(3 * written.T))
    nothing = MLP(sparse_map(np.zeros((0, 5))), sparse_map(np.zeros((5, 0))))
    model = Transformer([Layer(Attention([]), neurons), Layer(Attention([head]), nothing)], 5, math.inf)
    tokens = random_tokens(0, 5, 4)
    program = compile_weights(model, slice(2, 5), LONGEST, slice(0, 1))
    assert_equal_up_to_rounding(program.run(tokens)[..., 0], model(tokens)[..., 0])


@given(blueprints)
def test_every_head_is_filed_once(blueprint):
    model = blueprint.build()
    for layer, report in zip(model.stored_layers, compiled(model).explain(), strict=True):
        assert sum(report["heads"].values()) == layer.attention.heads
        assert sum(report["neurons"].values()) == layer.mlp.first.outputs
        assert report["repeat"] == layer.repeat


@given(blueprints)
def test_size_is_that_of_the_literal_matrices(blueprint):
    model = blueprint.build()
    norms, layers = [0.0], list(model.run())
    for layer in layers:
        heads, first, second = matrices(layer)
        norm = lambda matrix: np.linalg.norm(matrix, 2) if matrix.size else 0.0  # noqa: E731
        scores = [max(norm(query), norm(key)) for query, key, _ in heads]
        values = [norm(value) for *_, value in heads]
        norms.append(max(scores, default=0.0) + sum(values) + norm(first) + norm(second))
    size = measured(model)
    assert size.norm == pytest.approx(max(norms), rel=1e-9)  # an eigenvalue solver on squares of matrices
    assert (size.layers, size.width) == (len(layers), model.width)
    assert size.heads == max((layer.attention.heads for layer in layers), default=0)
    assert size.hidden == max((layer.mlp.first.outputs for layer in layers), default=0)
    stored = [weights for layer in model.stored_layers for weights in layer.parameters()]
    assert size.stored == sum(weights.numel() for weights in stored)
    width = model.width
    dense = [3 * n.attention.heads * width**2 + 2 * n.mlp.first.outputs * width for n in layers]
    assert size.dense == sum(dense)


# ---------------------------------------------------------------- what the rewriting must not do


@cache
def small(solver: str):
    bounds = {"action_norm": (0.5, 1.0), "weight_norm": 1.0, "noise_bound": 0.5}
    spec = linucb.Spec(2, 3, 4, 0.1, solver, ridge=2.0, temperature=1.0, **bounds)
    return linucb.build(spec)


def encoded(built, outline) -> torch.Tensor:
    return torch.as_tensor(built.tokens.encode(outline.history(built.spec)))[None]


both_solvers = pytest.mark.parametrize("solver", ["gd", "agd"])


@both_solvers
@FEW
@given(st.data())
def test_program_of_linucb_is_the_transformer(solver, data):
    built = small(solver)
    tokens = encoded(built, data.draw(outlines(built.spec)))
    states = slice(0, None, 2)
    expected = built.transformer(tokens)
    assert_equal_up_to_rounding(built.transformer.dense()(tokens), expected)
    assert_equal_up_to_rounding(built.program.run(tokens), expected)
    assert_equal_up_to_rounding(built.program.run(tokens, states), expected[:, states], expected)


@both_solvers
def test_program_of_linucb_recognises_what_there_is_to_recognise(solver):
    """Descent: a gate for w and one for A⁻¹a, signed pairs for both; then products in the own token; no heads after."""
    built = linucb.build(replace(small(solver).spec, error=1e-3))
    arms, none = (
        built.spec.actions,
        dict.fromkeys(("OwnToken", "OwnProduct", "OwnMatrix", "Linear", "Gated", "General"), 0),
    )
    descent, products, logits = built.explain()
    assert descent["repeat"] == built.size().layers - 2
    assert descent["heads"] == none | {"OwnToken": 2, "Linear": 2 + 2 * arms}
    assert products["heads"] == none | {"OwnProduct": 4 * arms}
    assert logits["heads"] == none
    for row in (descent, products):
        assert row["multiplications"]["fast"] < row["multiplications"]["dense"] / 10
    assert built.program.alone == 0
    assert products["neurons"]["look-up"] % arms == 0 < products["neurons"]["look-up"]  # √ of every arm
    assert products["neurons"]["other"] == 1  # its constant


@both_solvers
@FEW
@given(edits, st.data())
def test_a_changed_weight_never_misfires(solver, edits, data):
    """What loses its identity is computed by the definition: the result is that of the literal form."""
    built = small(solver)
    model = edited(built.transformer, edits)
    model.clip_radius = math.inf  # broken descent may diverge; clipping has its own test
    tokens = encoded(built, data.draw(outlines(built.spec, steps=4)))
    program = compile_weights(model, built.tokens.stream["position"].slice, 8)
    expected = model(tokens)
    assert_equal_up_to_rounding(model.dense()(tokens), expected)
    assert_equal_up_to_rounding(program.run(tokens), expected)
    state = State()
    steps = [program.advance(token, state) for token in tokens.split(1, dim=1)]
    assert_equal_up_to_rounding(torch.cat(steps, dim=1), expected)
    for layer, report in zip(model.stored_layers, program.explain(), strict=True):
        assert sum(report["heads"].values()) == layer.attention.heads
        assert sum(report["neurons"].values()) == layer.mlp.first.outputs


@both_solvers
@FEW
@given(st.data(), seeds)
def test_junk_on_other_tokens_is_invisible(solver, data, seed):
    """Noise in every register that tokens do not fill, on every token but the last: the last one's output is the same."""
    built = small(solver)
    tokens = encoded(built, data.draw(outlines(built.spec)))
    filled = ("action", "reward", "arms", "position")
    scratch = [name for name in built.tokens.stream.registers if name not in filled]
    noisy = tokens.clone()
    for name in scratch:
        columns = built.tokens.stream[name].slice
        noise = np.random.default_rng(seed).normal(scale=10.0, size=noisy[:, :-1, columns].shape)
        noisy[:, :-1, columns] += torch.as_tensor(noise)
    torch.testing.assert_close(
        built.transformer(noisy)[:, -1], built.transformer(tokens)[:, -1], rtol=0, atol=0
    )
    last = slice(-1, None)
    torch.testing.assert_close(
        built.program.run(noisy, last), built.program.run(tokens, last), rtol=0, atol=0
    )


def test_gates_that_open_within_reach_are_not_taken_for_closed():
    """relu(j − i + 3) is 0 for most earlier tokens, not for all: the head must go the general way."""
    width, place = 5, np.zeros((3, 5))
    place[:, 2:] = np.eye(3)[[2, 0, 2]]
    key = np.zeros((3, 5))
    key[:, 2:] = [[0, 0, 3], [0, 0, -1], [1, 0, 0]]
    value = np.eye(5)[:1]
    heads = Attention([Heads(sparse_map(place), sparse_map(key), sparse_map(value), np.array([1]), 1)])
    model = Transformer([Layer(heads, mlp(np.random.default_rng(0), 0, 0, width, 1.0, 0))], width, math.inf)
    tokens = random_tokens(0, width, 6)
    program = compiled(model)
    assert program.explain()[0]["heads"]["General"] == 1
    assert_equal_up_to_rounding(program.run(tokens), model(tokens))


def test_a_gate_that_was_too_weak_once_is_remembered():
    """⟨x_i, x_j⟩ + j − i: the second token outweighs the gate, and the third still sees the first, in a later chunk."""
    query, key = np.zeros((3, 5)), np.zeros((3, 5))
    query[:, 1:] = np.eye(4)[[0, 1, 3]]
    key[:, 1:] = np.diag([1.0, -1.0, 1.0]) @ np.eye(4)[[0, 3, 1]]
    value = sparse_map(np.eye(5)[1:2])
    heads = Attention([Heads(sparse_map(query), sparse_map(key), value, np.array([0]), 1)])
    model = Transformer([Layer(heads, mlp(np.random.default_rng(0), 0, 0, 5, 1.0, 0))], 5, math.inf)
    tokens = random_tokens(0, 5, 3, batch=1)
    tokens[0, :, 1] = torch.tensor([10.0, 10.0, 0.5])
    program, state = compiled(model), State()
    parts = [program.advance(part, state) for part in tokens.split([2, 1], dim=1)]
    assert_equal_up_to_rounding(torch.cat(parts, dim=1), model(tokens))


# ---------------------------------------------------------------- clipping and the door


@given(seeds, st.floats(0.1, 10))
def test_clip_projects_on_the_ball(seed, radius):
    tokens = 5 * torch.as_tensor(np.random.default_rng(seed).normal(size=(4, 3)))
    tokens[0] = 0
    clipped = clip(tokens, radius)
    for before, after in zip(tokens.numpy(), clipped.numpy(), strict=True):
        norm = np.linalg.norm(before)
        if norm <= radius:
            np.testing.assert_array_equal(after, before)
        else:
            np.testing.assert_allclose(
                after, before / norm * radius, rtol=1e-15 * 8
            )  # a norm and two roundings


def test_tokens_of_the_wrong_width_are_rejected():
    model = small("gd").transformer
    with pytest.raises(ValueError, match=rf"wanted a last axis of size {model.width}, got shape \(2, 3\)"):
        model(torch.zeros(2, 3, dtype=torch.float64))


def test_every_batch_shape_gives_the_same_rows():
    built = small("agd")
    tokens = torch.cat([encoded(built, outline) for outline in battery(built.spec)[:6]])
    together = built.transformer(tokens)
    torch.testing.assert_close(built.transformer(tokens.unflatten(0, (2, 3))).flatten(0, 1), together)
    for alone, row in zip(tokens, together, strict=True):
        torch.testing.assert_close(built.transformer(alone), row, rtol=AGREE, atol=AGREE)
        torch.testing.assert_close(built.program.run(alone[None])[0], row, rtol=AGREE, atol=AGREE)
