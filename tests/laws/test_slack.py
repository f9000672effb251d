"""Slack: no promise is more than ten times what is found, or it is said why."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sharpness
from construction_cases import CASES
from effort import PROFILE
from slack_table import EXPLAINED, HIGH, LARGE, SMALL, median, unexplained

from constructions import linucb

PAGE = Path(__file__).parents[2] / "docs" / "slack.md"
FEWER = 120 if PROFILE == "nightly" else 50
FEW = (
    "linucb one step",
    "thompson two arms zolotarev",
    "thompson bernoulli",
    "ucbvi slim",
    "soft UCB1 2 arms 1 steps",
)


@pytest.fixture(scope="module")
def few() -> dict[str, list[sharpness.Row]]:
    return {entry.name: replace(entry, histories=FEWER).rows() for entry in SMALL if entry.name in FEW}


def test_what_is_promised_is_near_what_is_found(few):
    assert set(few) == set(FEW)
    assert median(few) <= HIGH
    assert unexplained(few) == []


def test_only_inputs_that_no_history_makes_show_that_descent_is_sharp(few):
    """The bound is attained at token 2T; a state is at token 2T − 1 at most."""
    row = {row.block: row for row in few["linucb one step"]}["inverse times arms"]
    assert row.slack_by_history > HIGH
    assert 1 <= row.slack < 1.01


def test_every_kind_of_promise_is_told_apart(few):
    kinds = {row.block: row.kind for row in few["thompson bernoulli"]}
    assert kinds["counts n, s, b"] == "exact"
    assert kinds["log (n+1)!/(s! b!)"] == "rounding"
    assert kinds["probabilities p_k"] == kinds[sharpness.POLICY] == "measured"
    exact = sharpness.Row("x", "exact", 0.0, 1e-16, 1e-16)
    assert exact.slack is None
    assert sharpness.Row("x", "measured", 1.0, 0.1, 0.5).slack == 2
    assert sharpness.Row("x", "measured", 1.0, 0.1, 0.5).slack_by_history == 10
    assert sharpness.Row("x", "measured", 1.0, 0.0, 0.0).slack == np.inf


def test_a_decision_one_token_later_is_at_an_even_token():
    [case] = [case for case in CASES if case.name == "linucb gd"]
    history = case.entry.histories.battery(case.spec)[0].history(case.spec)
    tokens = case.built.tokens.encode(history)
    late, place = sharpness.later(case.built, tokens), case.built.tokens.stream["position"].slice
    assert len(late) == len(tokens) + 1 == 2 * case.spec.horizon
    assert late[-1, place].tolist() == [4, 16, 1]
    inputs = np.delete(np.arange(tokens.shape[1]), np.arange(tokens.shape[1])[place])
    np.testing.assert_array_equal(late[-1, inputs], tokens[-1, inputs])
    assert not late[-2, inputs].any()


def test_a_promise_too_large_is_seen():
    """The same weights under ten times the promise."""
    built = linucb.build(linucb.Spec(2, 3, 4, 0.01, "newton"))
    wide = tuple(
        replace(block, promise=replace(block.promise, total=20 * block.promise.total))
        for block in built.sealed_blocks
    )
    few = {"wide": sharpness.table(replace(built, sealed_blocks=wide), None, 30)}
    assert {block for _, block, _ in unexplained(few)} == {
        row.block for row in few["wide"] if row.slack is not None
    }
    assert median(few) > HIGH


def test_the_page_has_a_row_for_every_promise():
    text = PAGE.read_text(encoding="utf-8")
    for case in CASES:
        _, _, section = text.partition(f"## {case.name}\n")
        section, _, _ = section.partition("\n## ")
        assert [block.name for block in case.built.blocks if block.name not in section] == [], case.name
    for name, block in EXPLAINED:
        assert f"| {name} | {block} |" in text


@pytest.mark.nightly
@pytest.mark.parametrize("entry", [*SMALL, *LARGE], ids=lambda entry: entry.name)
def test_every_promise_is_near_what_is_found_or_it_is_said_why(entry):
    assert unexplained({entry.name: entry.rows()}) == []
