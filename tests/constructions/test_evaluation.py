"""Transformers that the fast evaluation once got wrong, each beside its literal forward pass."""

import math

import numpy as np
import pytest
import torch

from constructions import linucb, thompson
from constructions.fast.rewrite import compile_weights
from constructions.inputs.bandits import position
from constructions.transformer import MLP, Attention, Heads, Layer, SparseMap, Transformer

WIDTH = 8
ENTRY = np.eye(WIDTH)
PLACE = slice(0, 3)


def sparse(rows) -> SparseMap:
    rows = np.atleast_2d(rows)
    entries = np.nonzero(rows)
    return SparseMap(*entries, rows[entries], *rows.shape)


def heads(*each) -> Heads:
    """From (query rows, key rows, value row, target)."""
    query, key, value = (sparse(np.concatenate([np.atleast_2d(one[n]) for one in each])) for n in range(3))
    return Heads(query, key, value, np.array([one[3] for one in each]), len(each))


def model(*layers) -> Transformer:
    nothing = MLP(sparse(np.zeros((1, WIDTH))), sparse(np.zeros((WIDTH, 1))))
    made = [
        Layer(one, nothing) if isinstance(one, Attention) else Layer(Attention([]), one) for one in layers
    ]
    return Transformer(made, WIDTH, math.inf)


def tokens(count=6, batch=1) -> torch.Tensor:
    found = np.zeros((batch, count, WIDTH))
    found[..., PLACE] = position(np.arange(1, count + 1))
    found[..., 3:5] = np.random.default_rng(0).normal(size=(batch, count, 2))
    return torch.as_tensor(found)


@pytest.mark.parametrize(
    "wanted",
    [torch.arange(5, -1, -1), slice(-1, None), slice(1, None), slice(0), slice(None), torch.tensor([2])],
)
def test_keys_that_serve_layers_before_and_after_tokens_part(wanted):
    """The same prefix sums are needed at all tokens first, then at the wanted ones only."""

    def pair(to):
        return [(sign * ENTRY[3], ENTRY[4], sign * ENTRY[3], to) for sign in (1, -1)]

    alone = (ENTRY[5], ENTRY[5], ENTRY[5], 7)
    whole = model(Attention([heads(*pair(5))]), Attention([heads(*pair(6), alone)]))
    program = compile_weights(whole, PLACE, 6)
    assert program.alone in (1, 2)
    torch.testing.assert_close(program.run(tokens(), wanted), whole(tokens())[:, wanted], rtol=0, atol=1e-14)


@pytest.mark.parametrize("far", [1e6, 1e12, 1e17])
def test_a_piece_that_begins_far_away_keeps_its_digits(far):
    knots = [-far, 5.0, 6.0]
    first = np.stack([-ENTRY[3] + knot * ENTRY[2] for knot in knots])  # relu(knot − u)
    whole, given = model(MLP(sparse(first), sparse(np.outer(ENTRY[6], np.ones(3))))), tokens()
    given[..., 3] = 3.0
    torch.testing.assert_close(compile_weights(whole, PLACE, 6).run(given), whole(given), rtol=1e-15, atol=0)


def product(count: int, gate: float, size: float):
    """Signed pairs of products ⟨q, y⟩ with one gate, q of the given size, that form a matrix of one row."""
    found = []
    for sign, column in np.ndindex(2, count):
        query = [(1 - 2 * sign) * size * ENTRY[3], ENTRY[0], ENTRY[2]]
        key = [ENTRY[4] * (column + 1), -gate * ENTRY[2], gate * ENTRY[0]]
        found.append((query, key, (1 - 2 * sign) * ENTRY[2] * (column + 1), 6))
    return Attention([heads(*found)])


@pytest.mark.parametrize(
    ("gate", "size", "keys"), [(1e-30, 1e-170, 1e150), (64.0, 1.0, 1.0), (0.01, 1.0, 1.0)]
)
def test_gates_that_look_closed_because_norms_underflow(gate, size, keys):
    whole, given = model(product(4, gate, size)), tokens()
    given[..., 4] *= keys
    found = compile_weights(whole, PLACE, 6).run(given)
    torch.testing.assert_close(found, whole(given), rtol=1e-12, atol=1e-300)


def test_no_tokens_and_one_token():
    whole = model(product(4, 64.0, 1.0))
    program = compile_weights(whole, PLACE, 1)
    torch.testing.assert_close(program.run(tokens(1)), whole(tokens(1)))
    assert program.run(tokens(1)[:, :0]).shape == (1, 0, WIDTH)


def test_weights_in_single_precision_are_rewritten_too():
    whole = model(product(4, 64.0, 1.0)).float()
    given = tokens().float()
    found = compile_weights(whole, PLACE, 6).run(given)
    cancelled = 2**-24 * 64 * 6 * 8  # the literal gate cancels 64·j against 64·i, for each of 8 heads
    torch.testing.assert_close(found, whole(given), rtol=1e-5, atol=cancelled)


BEYOND = [
    ({"ridge": 1e300}, "ridge: wanted a number between 1e-30 and 1e"),
    ({"ridge": 1e-20}, "ridge: wanted at least .* beside eigenvalues up to .*, got 1e-20"),
    ({"action_norm": (1e-200, 1e-200)}, "action_norm: wanted a number between"),
    ({"exploration": 1e300}, "exploration: wanted a number between"),
    ({"error": 1e-14, "root": "products"}, "error: wanted at least .*, one rounding of the largest score"),
]


@pytest.mark.parametrize(("change", "message"), BEYOND)
def test_numbers_beyond_float64_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        linucb.Spec(**{"dim": 2, "actions": 2, "horizon": 4, "solver": "newton"} | change)


@pytest.mark.parametrize("solver", ["newton", "pade"])
def test_two_arms_where_next_to_nothing_can_be_learnt(solver):
    """|t| ≤ Θ is tiny: log Φ(t) is −log 2, nearly, and a rough 1/√ is enough."""
    spec = thompson.Spec(dim=1, actions=2, horizon=3, weight_norm=0.0, noise_bound=1e-9, solver=solver)
    assert thompson.build(spec).certificate <= 1e-3
