"""The lemmas for softmax attention: a search for the worst error stays within each bound, and comes near it."""

from dataclasses import replace

import numpy as np
import pytest
from flint import arb
from hypothesis import example, given, settings, target
from hypothesis import strategies as st

from constructions.parts.assemble import assemble
from constructions.parts.block import EXACT, Block, Head, Promise, Step
from constructions.parts.links import read
from constructions.parts.stream import Stream
from constructions.primitives.softmax import averages, own_token
from constructions.primitives.softmax.products import CLOSED, Product
from constructions.rounding.outward import above
from verify.audit.block_laws import RADIUS, Alone

MANY = settings(max_examples=3 * settings.default.max_examples)
GATES = st.sampled_from([1.0, 2.0, 3.0, 6.0, 40.0])
ROUNDING = 1e-13
STREAM = Stream.of(thing=2, value=1, odds=1, to=1, start=1, position=3)
PLACES = {"position": STREAM["position"], "start": STREAM["start"]}
POSITION, START = (STREAM[name] for name in ("position", "start"))


def alone(head: Head) -> Alone:
    """A transformer of one head."""
    to = STREAM["to"]
    block = Block(
        "head", "", (Step((head,)),), to, lambda values: values["to"], Promise("", EXACT, EXACT, 1.0)
    )
    inputs = frozenset(STREAM.registers) - {"to"}
    return Alone(STREAM, block, assemble(STREAM, inputs, [[block]], RADIUS, "softmax"))


def tokens(first: float, **columns: np.ndarray) -> np.ndarray:
    """Token 0, whose value is `first`, and one token for each row of the columns."""
    count = len(next(iter(columns.values())))
    found = np.zeros((count + 1, STREAM.width))
    for name, column in columns.items():
        found[1:, STREAM[name].slice] = np.reshape(column, (count, -1))
    index = np.arange(1, count + 1)
    found[1:, POSITION.slice] = np.stack([index, index**2, index**0], axis=1)
    found[0, START.slice], found[0, STREAM["value"].slice] = 1.0, first
    return found


def moved(head: Head, matrix: np.ndarray) -> np.ndarray:
    """What each token gets, token 0 first."""
    return alone(head).output(alone(head).run(matrix))[:, 0]


def held(errors, bounds: list[arb]) -> None:
    """The law, which Hypothesis climbs."""
    limits = np.array([above(bound) for bound in bounds])
    target(float((np.array(errors) / limits).max()))
    assert (np.array(errors) <= limits + ROUNDING).all()


values = st.lists(st.sampled_from([0.0, 1.0]) | st.floats(0, 1), min_size=9, max_size=9).map(np.array)
things = st.lists(st.sampled_from([(0, 0), (1, 0), (0, 1), (1, 1)]), min_size=9, max_size=9).map(np.array)


def matching(gate: float, level: float, name: str = "value") -> Head:
    """Tokens that have both things."""
    thing, one = STREAM["thing"], read(POSITION.part(2, of=3))
    both = read(thing.part(0, of=2)) + read(thing.part(1, of=2))
    how = {"one": one, "start": read(START), "gate": gate, "level": level}
    return averages.matching("both", both, 2, read(STREAM[name]), STREAM["to"], **how)


@MANY
@given(things, values, st.sampled_from([0.0, 1.0]), GATES)
@example(np.ones((9, 2)), np.zeros(9), 1.0, 1.0)
@example(np.array([(1, 0)] * 9), np.zeros(9), 1.0, 1.0)
def test_an_average_or_its_fallback_is_as_near_as_is_said(thing, value, first, gate):
    got = moved(matching(gate, gate), tokens(first, thing=thing, value=value))
    both, index = thing.all(1), range(1, len(got))
    wanted = [value[:i][both[:i]].mean() if both[:i].any() else first for i in index]
    held(np.abs(got[1:] - wanted), [averages.average_error(i, gate, 1.0) for i in index])


@MANY
@given(things, GATES)
@example(np.array([(1, 0)] * 9), 1.0)
def test_a_count_is_as_near_as_is_said_and_never_above(thing, gate):
    got = moved(matching(gate, 0.0, "start"), tokens(0.0, thing=thing))
    below = 1 / (np.cumsum(thing.all(1)) + 1) - got[1:]
    assert (below >= -ROUNDING).all()
    held(below, [averages.count_error(i, gate) for i in range(1, len(got))])


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=12), st.floats(0, 1e-3))
def test_a_function_of_counts_by_its_neurons_is_as_near_as_is_said(numbers, missed):
    table = averages.of_counts(np.array(numbers))
    off, slope = averages.table_errors(table, [arb(x) for x in numbers])
    counts = np.arange(len(numbers))
    assert np.abs(table.made(1 / (counts + 1.0)) - numbers).max() <= above(off) + 1e-12
    assert (
        np.abs(table.made(1 / (counts + 1.0) - missed) - numbers).max() <= above(off + slope * missed) + 1e-12
    )
    wrong = [arb(x + 1) for x in numbers]  # numbers that are not meant
    assert above(averages.table_errors(table, wrong)[0]) > 0.5


@MANY
@given(values, st.sampled_from([0.0, 1.0]), GATES, st.integers(0, 3))
@example(np.zeros(9), 1.0, 1.0, 0)
@example(np.ones(9), 0.0, 1.0, 1)
def test_one_token_is_as_near_as_is_said(value, first, gate, back):
    head = own_token.one_token("back", back, read(STREAM["value"]), STREAM["to"], gate=gate, **PLACES)
    got = moved(head, tokens(first, value=value))
    wanted = np.concatenate([np.full(back, first), value])[: len(value)]
    held(np.abs(got[1:] - wanted), [own_token.one_token_error(gate, 1.0)] * len(value))


@MANY
@given(values, st.lists(st.floats(-30, 30), min_size=9, max_size=9), GATES)
@example(np.array([1.0] * 8 + [0.0]), [20.0] * 9, 1.0)
@example(np.array([0.0] * 8 + [1.0]), [0.0] * 9, 1.0)
def test_a_share_by_odds_is_as_near_as_is_said(value, odds, gate):
    head = own_token.by_odds(
        "odds", read(STREAM["odds"]), read(STREAM["value"]), STREAM["to"], gate=gate, **PLACES
    )
    got = moved(head, tokens(0.0, value=value, odds=np.array(odds)))
    wanted = value / (1 + np.exp(-np.array(odds)))
    held(np.abs(got[1:] - wanted), [own_token.by_odds_error(gate, 1.0)] * len(value))


def test_no_bound_is_loose_by_far():
    """What some tokens show of each, for a small gate."""
    gate = 3.0
    found = moved(matching(gate, gate), tokens(1.0, thing=np.array([(1, 0)] * 9), value=np.zeros(9)))[-1]
    assert 1 - found > float(averages.average_error(9, gate, 1.0) - (-arb(gate)).exp()) / 2  # nothing matches
    found = moved(matching(gate, gate), tokens(1.0, thing=np.ones((1, 2)), value=np.zeros(1)))[-1]
    assert found > float(averages.average_error(1, gate, 1.0)) / 2  # one does
    found = moved(matching(gate, 0.0, "start"), tokens(0.0, thing=np.array([(1, 0)] * 9)))[-1]
    assert 1 - found > float(averages.count_error(9, gate)) / 2
    one = own_token.one_token("back", 1, read(STREAM["value"]), STREAM["to"], gate=gate, **PLACES)
    assert 1 - moved(one, tokens(0.0, value=np.ones(9)))[5] > float(own_token.one_token_error(gate, 1.0)) / 3
    odds = own_token.by_odds(
        "odds", read(STREAM["odds"]), read(STREAM["value"]), STREAM["to"], gate=gate, **PLACES
    )
    found = moved(odds, tokens(0.0, value=np.array([1.0] * 8 + [0.0]), odds=np.full(9, 20.0)))[-1]
    assert found > float(own_token.by_odds_error(gate, 1.0)) / 3


pairs = st.lists(st.sampled_from([0.0, 0.7, -0.7]) | st.floats(-0.7, 0.7), min_size=18, max_size=18)


def multiplied(x, y, value, product: Product) -> np.ndarray:
    """What four heads make of ⟨x, y⟩ · value, token by token."""
    wide = Stream.of(x=2, y=2, value=1, to=1, digits=product.digits, position=3)
    found, count = np.zeros((len(value) + 1, wide.width)), len(value)
    rows = {
        "x": x,
        "y": y,
        "value": value,
        "position": np.ones((count, 3)),
        "digits": bits(count, product.digits),
    }
    for name, row in rows.items():
        found[1:, wide[name].slice] = np.reshape(row, (count, -1))
    x, y, v = (read(wide[name]) for name in ("x", "y", "value"))
    heads = product.heads("⟨x, y⟩v", x, y, v, wide["to"], wide["digits"], wide.one)
    block = Block("p", "", (Step(heads),), wide["to"], lambda v: v["to"], Promise("", EXACT, EXACT, 1.0))
    one = Alone(wide, block, assemble(wide, frozenset(wide.registers) - {"to"}, [[block]], RADIUS, "softmax"))
    return one.output(one.run(found))[1:, 0]


def bits(count: int, digits: int) -> np.ndarray:
    """The binary digits of 1 … count as ±1."""
    return np.array([[1.0 if i >> n & 1 else -1.0 for n in range(digits)] for i in range(1, count + 1)])


def said(product: Product) -> float:
    """All that a product of values of size 1 may be off, rounding included."""
    return float(product.series + product.leak) + product.rounding


@MANY
@given(pairs, pairs, values, st.sampled_from([1.0, 0.5, 0.125, 2.0**-7]), st.sampled_from([3.0, 8.0, 40.0]))
@example([0.7] * 18, [0.7] * 18, np.ones(9), 0.5, 40.0)
@example([0.0] * 18, [0.0] * 18, np.array([1.0] * 7 + [0.0, 1.0]), 1.0, 3.0)
def test_a_product_is_as_near_as_is_said(x, y, value, b, gate):
    x, y = (np.reshape(part, (9, 2)) for part in (x, y))
    gaps = np.abs(multiplied(x, y, value, product := around(x, y, b, gate)) - (x * y).sum(1) * value)
    held(np.maximum(gaps - product.rounding, 0.0), [product.series + product.leak + 1e-300] * 9)


def around(x, y, b: float, gate: float) -> Product:
    """The product of these vectors, of four digits."""
    norms = [float(np.linalg.norm(part, axis=1).max()) for part in (x, y)]
    return Product(b, gate, 4, float(np.abs((x * y).sum(1)).max()), norms[0] * norms[1], 2)


def test_what_the_gate_lets_through_falls_as_the_bound_says():
    """Token 15 has the value 0 and scores −b/2, where all others have 1 and score b/2; a larger gate promises less."""
    x, y, value = np.full((15, 2), -0.5), np.full((15, 2), -0.5), np.array([1.0] * 14 + [0.0])
    y[-1] = 0.5
    for gate in (3.0, 5.0):
        product = Product(1.0, gate, 4, 0.5, 0.5, 2)
        apart = np.abs(multiplied(x, y, value, product))[-1]
        assert float(replace(product, gate=2 * gate).leak) < apart < float(product.leak) < 200 * apart


def test_its_error_is_that_of_the_series_and_b_has_a_best_value():
    """At s = 1 it is b⁴/30 to leading order; at the best b float64 is as near as is said, at far larger ones it is not."""
    x, value = np.full((60, 2), 0.5**0.5), np.ones(60)
    for b in (0.25, 0.125, 0.0625):
        product = Product(b, 40.0, 6, 1.0 + 1e-9, 1.0 + 1e-9, 2)
        apart = np.abs(multiplied(x, x, value, product) - 1).max()
        assert 0.9 < apart / (b**4 / 30) < 1.0
        assert apart < float(product.series + product.leak) < 1.4 * apart
    best = Product.best(1.0 + 1e-9, 1.0 + 1e-9, 6, 2)
    assert said(best) < min(said(replace(best, b=best.b / 4)), said(replace(best, b=4 * best.b)))
    assert np.abs(multiplied(x, x, value, best) - 1).max() <= said(best) < 1e-9
    assert np.abs(multiplied(x, x, value, replace(best, b=16 * best.b)) - 1).max() > 100 * said(best)


def test_a_gate_of_digits_loses_nothing_in_long_sequences():
    """With (i, i²) a gate's terms are of size 2Bi²: 2,000 tokens would leave 1e-5 of a product."""
    x, value = np.full((2000, 2), 0.5**0.5), np.ones(2000)
    best = Product.best(1.0 + 1e-9, 1.0 + 1e-9, 11, 2)
    apart = np.abs(multiplied(x, x, value, best) - 1).max()
    assert apart <= said(best) < 1e-9


@pytest.mark.parametrize("across", [1.0, 1e4, 1e12])
@pytest.mark.parametrize("spread", [1.0, 1e6])
def test_the_gate_keeps_out_what_other_tokens_hold_whatever_their_size(across, spread):
    product = Product.best(1.0, across, 15, 5, spread=spread)
    assert spread * float(product.leak) <= float(product.series) / 50
    assert product.gate == int(product.gate) >= CLOSED
    assert (product.gate > CLOSED) == (across > 1)
    if product.gate > CLOSED:
        assert spread * float(replace(product, gate=product.gate - 3).leak) > float(product.series) / 500
