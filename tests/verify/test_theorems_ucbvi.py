"""What the paper states for UCB-VI: its numbers worked out by hand, and how its formulas hang together."""

import math

import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from verify import theorems
from verify.theorems import NOTATION, evaluate, ucbvi

# HS²A = 72, T = 40, 1/δ = 40, SAT/δ = 9600.
SETTING = dict(
    horizon=4, states=3, actions=2, episodes=10, temperature=0.1, visits=4, failure=0.05, trajectories=100,
    log_covering=5,
)  # fmt: skip
STEPS = [
    (ucbvi.STEP_1, ucbvi.STEP_1_ORDER), (ucbvi.STEP_2, ucbvi.STEP_2_ORDER),
    (ucbvi.STEP_3, ucbvi.STEP_3_ORDER), (ucbvi.STEP_4, ucbvi.STEP_4_ORDER),
]  # fmt: skip
LOOSE = [x for x in vars(ucbvi).values() if isinstance(x, sympy.Expr)]


@pytest.mark.parametrize(
    ("statement", "sizes"),
    [
        (ucbvi.STEP_1, {"layers": 4, "hidden": 0}),
        (ucbvi.STEP_1_ORDER, {"heads": 72, "norm": 40 + 72}),
        (ucbvi.STEP_2, {"layers": 1}),
        (ucbvi.STEP_2_ORDER, {"heads": 72, "hidden": 7200, "norm": 72 + 1000 + 40}),
        (ucbvi.STEP_3, {"layers": 8, "heads": 12, "hidden": 18}),
        (ucbvi.STEP_3_ORDER, {"norm": 4 + 6}),
        (ucbvi.STEP_4, {"layers": 3, "heads": 40, "hidden": 0}),
        (ucbvi.STEP_4_ORDER, {"heads": 8, "norm": 48 + 10}),
        (ucbvi.THEOREM_12_EXPLICIT, {"layers": 16}),
        (
            ucbvi.THEOREM_12,
            {"layers": 16, "heads": 72, "width": 72, "hidden": 7200, "norm": 7200 + 1000 + 10},
        ),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_sizes_by_hand(statement, sizes):
    assert statement.evaluate("error", **SETTING) == 0
    assert set(statement.size) == set(sizes)
    for what, value in sizes.items():
        assert statement.evaluate(what, **SETTING) == pytest.approx(value, rel=1e-12), what


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        (ucbvi.TRANSITION_COUNT_HEADS, 720),
        (ucbvi.BONUS_DELTA, 0.025),
        (ucbvi.BONUS, 4 * math.sqrt(math.log(9600))),
        (ucbvi.BONUS.subs(theorems.visits, 0), 8 * math.sqrt(math.log(9600))),
        (ucbvi.BONUS.subs(theorems.visits, 1), 8 * math.sqrt(math.log(9600))),
        (ucbvi.STEP_2_ORDER.logs["norm"], math.sqrt(math.log(9600))),
        (ucbvi.REGRET_TEMPERATURE, 0.1),
        (ucbvi.SOFTENING_LOSS, 0.2),
        (ucbvi.SOFTENING_REGRET, 8),
        (ucbvi.REGRET, 16 * math.sqrt(60) + 64 * 9 * 2),
        (ucbvi.LEARNING_REGRET, 160 * math.sqrt(5 + math.log(800))),
        (ucbvi.LOG_COVERING_BY_SIZES, 16 * 72 * (72 * 72 + 7200) * math.log(100)),
        (ucbvi.LOG_COVERING, 256 * 81 * 8 * (100 + 72) * math.log(100)),
    ],
)
def test_other_formulas_by_hand(formula, value):
    assert evaluate(formula, **SETTING) == pytest.approx(value, rel=1e-12)


def test_the_steps_add_up_to_the_layers_of_the_theorem():
    total = sum(step.size["layers"] for step, _ in STEPS)
    assert sympy.expand(total - ucbvi.THEOREM_12_EXPLICIT.size["layers"]) == 0


counts = st.fixed_dictionaries(
    {name: st.integers(1, 1000) for name in ("horizon", "states", "actions", "episodes")}
)


@settings(max_examples=50)
@given(counts, st.floats(1e-6, 1))
def test_no_step_is_larger_than_the_theorem(values, temperature):
    """The largest ratio allowed is the coefficient that the proof prints, or the number of terms added up."""
    for what, ratio in {"heads": 5, "hidden": 3, "norm": 3}.items():
        whole = ratio * ucbvi.THEOREM_12.evaluate(what, temperature=temperature, **values)
        for parts in STEPS:
            for part in parts:
                if what in part.size:
                    assert part.evaluate(what, temperature=temperature, **values) <= whole * (1 + 1e-12)


POWERS = [
    (ucbvi.THEOREM_12.size["norm"], "episodes", 3), (ucbvi.THEOREM_12.size["norm"], "temperature", -1),
    (ucbvi.THEOREM_12.size["hidden"], "episodes", 2), (ucbvi.THEOREM_12.size["width"], "states", 2),
    (ucbvi.REGRET, "episodes", 0.5), (ucbvi.REGRET, "horizon", 3), (ucbvi.REGRET, "states", 2),
    (ucbvi.LEARNING_REGRET, "trajectories", -0.5), (ucbvi.LEARNING_REGRET, "log_covering", 0.5),
    (ucbvi.LOG_COVERING, "actions", 4), (ucbvi.LOG_COVERING_BY_SIZES, "actions", 3),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "name", "power"), POWERS)
def test_orders_grow_as_printed(formula, name, power):
    start = 1e-16 if name == "temperature" else 1e12
    low, high = (evaluate(formula, **{**SETTING, name: start * f}) for f in (1, 4))
    assert math.log(high / low, 4) == pytest.approx(power, abs=0.01)


def test_the_printed_covering_number_has_one_action_factor_more_than_its_sizes_give():
    ratio = sympy.simplify(ucbvi.LOG_COVERING / ucbvi.LOG_COVERING_BY_SIZES)
    assert ratio == theorems.actions


@settings(max_examples=100)
@given(counts)
@example({"horizon": 1, "states": 1, "actions": 2, "episodes": 1})
def test_an_unvisited_pair_reaches_the_cap(values):
    """The proof sets an unvisited pair to H; so does the algorithm unless S = A = K = H = 1."""
    if max(values.values()) > 1:
        assert evaluate(ucbvi.BONUS, visits=0, **values) >= values["horizon"]


@given(st.lists(st.floats(0, 50), min_size=1, max_size=8), st.floats(1e-3, 2))
@example([1.0, 0.0], 0.78)
def test_acting_softly_loses_at_most_what_is_printed(scores, temperature):
    values = np.array(scores)
    weights = np.exp((values - values.max()) / temperature)
    loss = values.max() - values @ weights / weights.sum()
    stated = evaluate(ucbvi.SOFTENING_LOSS, actions=len(scores), temperature=temperature)
    assert loss <= stated + 1e-9


def test_at_the_printed_temperature_softening_is_hidden_in_the_regret():
    cost = ucbvi.SOFTENING_REGRET.subs(theorems.temperature, ucbvi.REGRET_TEMPERATURE)
    assert sympy.simplify(cost - theorems.horizon * theorems.actions) == 0
    assert all(evaluate(cost - ucbvi.REGRET, **{**SETTING, "horizon": h}) < 0 for h in (1, 2, 50))


def test_formulas_are_in_shared_symbols():
    assert set().union(*(f.free_symbols for f in LOOSE)) <= set(NOTATION)
