"""Random transformers, and transformers with a few weights changed."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import reject
from hypothesis import strategies as st

from constructions.fast.rewrite import compile_weights
from constructions.inputs.bandits import position
from constructions.transformer import MLP, Attention, Heads, Layer, SparseMap, Transformer

LONGEST = 7
AGREE = (
    1e-9  # of the largest entry: a few thousand roundings of 1e-16, times the growth over a few cubic layers
)

seeds = st.integers(0, 2**32 - 1)


def sparse(generator, outputs: int, inputs: int, density: float) -> np.ndarray:
    return generator.normal(size=(outputs, inputs)) * (generator.random((outputs, inputs)) < density)


def sparse_map(matrix: np.ndarray) -> SparseMap:
    rows, columns = np.nonzero(matrix)
    return SparseMap(rows, columns, matrix[rows, columns], *matrix.shape)


def head(generator, kind: str, width: int, rank: int, span: int, density: float, free: int):
    """Query, key, value and targets of one head; the position (i, i², 1) sits in the last three entries."""
    query, key = (sparse(generator, rank, width, density) for _ in range(2))
    value = sparse(generator, span, width, density)
    targets = generator.permutation(width)[:span]
    if span and generator.random() < 0.5:  # entry 0 is the one that padding aims at
        targets[targets == 0], targets[0] = targets[0], 0
    padding = generator.integers(0, span + 1)
    value[span - padding :], targets[span - padding :] = 0, 0  # as assemble pads: such rows aim at entry 0
    if kind == "gate":  # relu(c(1 + j − i)): its own token, unless c < 0 or something else is read
        query[:, :], key[:, :] = 0, 0
        query[:3, -3:] = np.eye(3)[[2, 0, 2]][:rank] * generator.choice([1.0, 2.0, -1.0])
        key[:3, -3:] = (np.eye(3)[[2, 2, 0]] * [[1.0], [-1.0], [1.0]])[:rank]
    if kind == "product":  # ⟨x_i, y_j⟩ + B(j − i): its own token, unless B is small for these tokens
        gate = generator.choice([0.5, 4.0, 30.0])
        query[:, -3:], key[:, -3:] = 0, 0
        query[-2:, :], key[-2:, :], key[:, :free] = 0, 0, 0
        query[-2:, -3:] = np.eye(3)[[0, 2]][-rank:] if rank else 0
        key[-2:, -3:] = (np.eye(3)[[2, 0]] * [[-gate], [gate]])[-rank:] if rank else 0
    if kind == "position":
        query[:, :-3], key[:, :-3] = 0, 0
    return query, key, value, targets


def matrix(generator, width: int, rank: int, span: int, density: float, free: int):
    """Signed pairs of products with queries x_a, keys y_b and values v_b or v_ab, or with x and y exchanged; nearly."""
    left, right = (
        sparse(generator, 2 * (rank - 2), width, density).reshape(2, rank - 2, width) for _ in range(2)
    )
    left[..., -3:], right[..., -3:] = 0, 0
    values = sparse(generator, 4 * span, width, density).reshape(2, 2, span, width)
    if generator.random() < 0.5:
        values[1] = values[0]
    targets = generator.permutation(width)[: 2 * span].reshape(2, -1)[:, :span]
    gate, swap = generator.choice([0.5, 4.0, 30.0]), generator.random() < 0.5
    gates = np.zeros((2, 2, width))
    gates[0, :, -3:], gates[1, :, -3:] = np.eye(3)[[0, 2]], np.eye(3)[[2, 0]] * [[-gate], [gate]]
    if generator.random() < 0.3:  # not a matrix after all
        left[0] *= generator.choice([0.0, 1.0], size=left[0].shape)
        gates[1, 1] *= generator.choice([1.0, 1.1])
    for a, b, sign in np.ndindex(2, 2, 2):
        query, key = (right[b], left[a]) if swap else (left[a], right[b])
        weight = 1.0 - 2.0 * sign
        value = weight * values[a, b]
        value[targets[a] >= free] = 0
        yield np.concatenate([weight * query, gates[0]]), np.concatenate([key, gates[1]]), value, targets[a]


def attention(
    generator, kinds: list[str], width: int, rank: int, span: int, density: float, free: int
) -> Attention:
    heads = []
    for kind in kinds:
        if kind == "matrix" and rank > 2 and width >= 2 * span:
            heads += matrix(generator, width, rank, span, density, free)
        query, key, value, targets = head(generator, kind, width, rank, span, density, free)
        value[targets >= free] = 0
        heads.append((query, key, value, targets))
        if (
            kind == "crowd" and rank
        ):  # one product for all, and a gate each: closed for most tokens, or not quite
            query[-1], gates = 0, generator.choice([0.3, 3.0, 30.0])
            query[-1, -1] = 1
            for _ in range(5):
                own = key.copy()
                own[-1, :-1] = sparse(generator, 1, width - 1, density)
                own[-1, -1] = -gates * generator.integers(0, 2)
                move = sparse(generator, span, width, density)
                move[(targets >= free) | ~value.any(1)] = 0
                heads.append((query, own, move, targets))
        if kind == "pair":
            heads.append((-query, key, -value, targets))
        if kind == "twin":  # looks like a pair, and is not one
            heads.append((query, key, value, targets))
        if kind == "fold":  # nor is this: |z|, not z
            heads.append((-query, key, value, targets))
    generator.shuffle(heads)
    empty = [(np.zeros((0, width)),) * 3 + (np.zeros(0, int),)]
    query, key, value = (sparse_map(np.concatenate([h[n] for h in heads or empty])) for n in range(3))
    if not heads:
        return Attention([])
    return Attention([Heads(query, key, value, np.concatenate([h[3] for h in heads]), len(heads))])


def mlp(generator, neurons: int, pairs: int, width: int, density: float, free: int) -> MLP:
    first, second = sparse(generator, neurons, width, density), sparse(generator, width, neurons, density)
    second[free:] = 0
    pairs = min(pairs, neurons)
    knots = generator.integers(0, 6) if neurons else 0  # the first neuron's direction at other thresholds
    first = np.concatenate(
        [first, np.outer(generator.choice([1.0, -2.0, 0.5], size=knots), first[0])] if neurons else [first]
    )
    first[neurons:, -1] = generator.normal(size=knots) * (generator.random(knots) < 0.8)
    more = sparse(generator, width, knots, density)
    more[free:] = 0
    second = np.concatenate([second, more], axis=1)
    order = generator.permutation(neurons + knots + pairs)
    first, second = (
        np.concatenate([first, -first[:pairs]]),
        np.concatenate([second, -second[:, :pairs]], axis=1),
    )
    return MLP(sparse_map(first[order]), sparse_map(second[:, order]))


@dataclass(frozen=True)
class Blueprint:
    """A random transformer in a few words: heads of each kind, neurons, pairs of neurons and repeats of each layer.

    Nobody writes the last `frozen` entries, so that some reads are static; weights of size 1 would make values explode.
    """

    seed: int
    width: int
    rank: int
    span: int
    density: float
    frozen: int
    layers: list[tuple[list[str], int, int, int]]

    def build(self, radius: float = math.inf) -> Transformer:
        generator, layers = np.random.default_rng(self.seed), []
        for kinds, neurons, pairs, repeat in self.layers:
            free = self.width - self.frozen
            heads = attention(generator, kinds, self.width, self.rank, self.span, self.density, free)
            layers.append(
                Layer(heads, mlp(generator, neurons, pairs, self.width, self.density, free), repeat)
            )
        for weights in (weights for layer in layers for weights in layer.parameters()):
            weights.mul_(0.3)
        return Transformer(layers, self.width, radius)


kinds = st.lists(
    st.sampled_from(["general", "pair", "twin", "fold", "gate", "product", "matrix", "position", "crowd"]),
    max_size=3,
)
blueprints = st.integers(4, 8).flatmap(
    lambda width: st.builds(
        Blueprint,
        seeds,
        st.just(width),
        rank=st.sampled_from([3, 2, 1, 0]),
        span=st.sampled_from([3, 2, 1, 0]),
        density=st.sampled_from([0.3, 0.7, 1.0]),
        frozen=st.sampled_from([0, 3, width - 1]),  # none, the position, all but the first
        layers=st.lists(
            st.tuples(kinds, st.integers(0, 4), st.integers(0, 4), st.integers(1, 2)), max_size=3
        ),
    )
)


def random_tokens(seed: int, width: int, count: int, batch: int = 2) -> torch.Tensor:
    tokens = np.random.default_rng(seed).normal(size=(batch, count, width))
    tokens[..., -3:] = position(np.arange(1, count + 1))
    return torch.as_tensor(tokens)


def compiled(model: Transformer, longest: int = LONGEST):
    return compile_weights(model, slice(model.width - 3, model.width), longest)


def assert_equal_up_to_rounding(left, right, against=None):
    largest = float((right if against is None else against).abs().max()) if right.numel() else 0.0
    if not largest < 1e8:  # layer upon cubic layer multiplies values, and roundings more often still
        reject()
    error = float((left - right).abs().max()) if right.numel() else 0.0
    assert not math.isnan(error)
    assert error <= AGREE * largest


SCALES = {"nudge a bit": 1 + 1e-12, "nudge": 1 + 1e-6, "shrink": 0.7, "flip": -1.0, "zero": 0.0}
KINDS = (*SCALES, "swap", "column", "zero row", "zero column")
edits = st.lists(st.tuples(st.sampled_from(KINDS), *[st.integers(0, 999)] * 4), min_size=1, max_size=3)


def edited(model: Transformer, edits: list[tuple[str, int, int, int, int]]) -> Transformer:
    """The model with a few weights changed; the numbers choose layer, part and two of its weights."""
    model = copy.deepcopy(model)
    for kind, *choice, one, other in edits:
        layer = model.stored_layers[choice[0] % len(model.layers)]
        parts = [
            layer.mlp.first,
            layer.mlp.second,
            *(
                part
                for heads in layer.attention.stored_groups
                for part in (heads.query, heads.key, heads.value)
            ),
        ]
        parts = [part for part in parts if len(part.weight)]
        part = parts[choice[1] % len(parts)]
        weights, one, other = part.weight, one % len(part.weight), other % len(part.weight)
        if kind in SCALES:
            weights[one] *= SCALES[kind]
        elif kind == "swap":
            weights[[one, other]] = weights[[other, one]]
        elif kind == "column":
            part.columns[one] = part.columns[other]
        else:
            index = part.rows if kind == "zero row" else part.columns
            weights[index == index[one]] = 0
    return model
