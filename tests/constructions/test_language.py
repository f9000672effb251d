"""The language: where blocks go, what bounds follow, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from constructions import linucb
from constructions.inputs.bandits import BANDIT_INPUTS, bandit_stream
from constructions.language import Program, Sum, Value, bandits
from constructions.parts.block import EXACT, Bound
from constructions.primitives import stored

ARMS, STEPS = 3, 5


def program(**scratch):
    return Program("here", bandit_stream(ARMS, ARMS, **scratch), BANDIT_INPUTS, 2 * STEPS)


def test_each_block_goes_into_the_first_stage_in_which_all_that_it_reads_is_there():
    p = program(plays=ARMS, wins=ARMS, both=ARMS, inverse=ARMS)
    arm, reward = p.input("action", 1.0).entries, p.input("reward", 1.0)
    n = p.sum("plays", arm)
    shape = stored.power_of_counts(1.0, STEPS, 1e-2)
    p.function("inverse", "1/n", n, lambda n: 1 / np.maximum(n, 1), shape, size=1.0, slope=1.0)
    s = p.sum("wins", arm, by=reward)  # later in the program, beside the first sum in the transformer
    p.product("both", "n s", n, s, size=25.0)
    assert [[block.name for block in stage] for stage in p.stages] == [
        ["Σ plays", "Σ wins"],
        ["1/n"],
        ["n s"],
    ]
    assert p.written("inverse").name == "1/n"


def off(value, error):
    """The same value, known to be off by so much."""
    return replace(value, error=Bound(error))


def test_errors_of_all_that_is_read_are_carried_along():
    """Worked out by hand from |x̂ŷ − xy| ≤ |x̂||ŷ − y| + |y||x̂ − x|."""
    p = program(plays=ARMS, wins=ARMS, gram=9, form=ARMS, moment=ARMS, moment_times=ARMS, product=ARMS)
    arm, reward = off(p.input("action", 2.0).entries, 0.25), off(p.input("reward", 3.0), 0.5)
    assert p.sum("plays", arm).error.error == pytest.approx(STEPS * 0.25)
    assert p.sum("wins", arm, by=reward).error.error == pytest.approx(STEPS * (3 * 0.25 + 2 * 0.5))
    left, right = (
        Value(p.stream["plays"], 4.0, ARMS, Bound(0.1)),
        Value(p.stream["wins"], 5.0, ARMS, Bound(0.01)),
    )
    assert p.product("product", "x y", left, right, size=20.0).error.error == pytest.approx(
        4 * 0.01 + 5 * 0.1
    )
    matrix = Value(p.stream["gram"], 2.0, 1, Bound(1e-3))
    vector = Value(p.stream["moment"], 3.0, 1, Bound(1e-2), p.stream["moment_times"])
    found = p.form("form", "a M b", matrix, vector, Value(p.stream["arms"], 5.0, ARMS, Bound(0.1)))
    assert found.error.error == pytest.approx(3 * 5 * 1e-3 + 2 * 5 * 1e-2 + 2 * 3 * 0.1)


def test_a_sum_over_the_past_takes_weighted_values_in_one_head():
    p = program(plays=ARMS, wins=ARMS, inverse=ARMS)
    arm, reward = off(p.input("action", 2.0).entries, 0.25), off(p.input("reward", 3.0), 0.5)
    logits = Value(p.stream["logits"], 4.0, ARMS, Bound(0.125))
    found = p.sum("plays", 2.0 * logits - 0.5 * arm, by=reward, name="both")
    weighted, moved = 2 * 4 + 0.5 * 2, 2 * 0.125 + 0.5 * 0.25
    assert found.size == STEPS * weighted * 3
    assert found.error.error == pytest.approx(STEPS * (3 * moved + weighted * 0.5))
    block = p.written("plays")
    assert (block.name, len(block.steps[0].heads), block.steps[0].units) == ("both", 1, ())
    values = {name: np.ones((2, register.size)) for name, register in p.stream.registers.items()}
    values["reward"] = np.array([[2.0], [3.0]])
    assert block.truth(values).tolist() == [[3.0] * ARMS, [7.5] * ARMS]
    with pytest.raises(ValueError, match="Σ wins: wanted a sum of values, got one with curves or a divisor"):
        p.sum("wins", 1.0 * arm / 2.0)
    with pytest.raises(ValueError, match="sum of links: wanted equal heights"):
        p.sum("wins", arm + reward)


def test_what_is_proven_stands_beside_what_is_derived():
    p = program(plays=ARMS, wins=ARMS, product=ARMS)
    left, right = Value(p.stream["plays"], 4.0, ARMS, Bound(0.1)), Value(p.stream["wins"], 5.0, ARMS, EXACT)
    found = p.product("product", "x y", left, right, size=20.0, proved=(0.25, "x is y"))
    promise = p.written("product").promise
    assert found.error.error == promise.total.error == 0.25
    assert 0.5 <= promise.derived.error == pytest.approx(0.5)
    assert promise.proof == "x is y"
    assert promise.derived.rounding == promise.total.rounding


def test_a_sum_divides_and_weighs_what_it_adds():
    p = program(plays=ARMS, wins=ARMS)
    x, y = Value(p.stream["plays"], 4.0, ARMS, Bound(0.1)), Value(p.stream["wins"], 5.0, ARMS, Bound(0.01))
    found = p.total("logits", (x + 3.0 * y) / 2.0, rounded=0.0)
    assert found.size == pytest.approx((4 + 3 * 5) / 2)
    assert (0.1 + 3 * 0.01) / 2 <= found.error.error == pytest.approx((0.1 + 3 * 0.01) / 2)
    values = {name: np.ones((2, register.size)) for name, register in p.stream.registers.items()}
    assert p.written("logits").truth(values).tolist() == [[2.0] * ARMS] * 2
    with pytest.raises(ValueError, match="sum: wanted terms over one divisor, got 2 and 1"):
        Sum(((1.0, x),), 2.0) + y


def test_weights_being_rounded_count_where_nothing_is_said():
    p = program(plays=ARMS)
    found = p.total("logits", (1.0 * Value(p.stream["plays"], 4.0, ARMS)) / 3.0)
    assert 0 < found.error.error < 1e-15


def test_what_a_bound_would_not_cover_is_refused():
    p = program(gram=9, moment=3, form=ARMS, inverse=ARMS)
    matrix, vector = Value(p.stream["gram"], 2.0), Value(p.stream["moment"], 3.0)
    with pytest.raises(ValueError, match="form: wanted a vector with i times it beside, got moment alone"):
        p.form("form", "form", matrix, vector, p.input("arms", 1.0, ARMS))
    shape = stored.power_of_counts(1.0, STEPS, 1e-2)
    with pytest.raises(ValueError, match=r"1/n: wanted a slope or a proof, as action is off by 0.5"):
        p.function("inverse", "1/n", off(p.input("action", 1.0), 0.5), lambda n: n, shape)


def test_the_inverse_of_what_is_not_exact_is_refused():
    spec = linucb.Spec(dim=2, actions=2, horizon=3)
    squares = dict.fromkeys(("gram", "gram_times", "inverse"), 4)
    p = bandits.program("here", spec, **squares, moment=2, moment_times=2)
    gram, _ = bandits.normal_equations(p, spec)
    with pytest.raises(
        ValueError, match=r"inverse: wanted an exact matrix with i times it beside, got gram within 0.5"
    ):
        bandits.inverse(p, spec, "inverse", off(gram, 0.5), 4)
    assert bandits.inverse(p, spec, "inverse", gram, 4).error.error > 0
