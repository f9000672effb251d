"""The nightly search on a few histories: it counts what it says, passes what is right and objects to what is wrong."""

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import exhaustive
import numpy as np
import pytest
from exhaustive import FAMILIES

from constructions.history import EpisodeHistory
from verify.audit import impostors

PAGE = Path(__file__).parents[2] / "docs" / "nightly.md"
ROWS = {row.name: (family, row) for family, rows in FAMILIES.items() for row in rows}
MADE = dict(
    date="today", machine="here", cores=2, seconds=60.0, python="3", torch="2", numpy="2", commit="abc"
)


def look(name: str, histories: int = 30, truth=None) -> exhaustive.Outcome:
    family, row = ROWS[name]
    return exhaustive.look(family, row, row.specs[0], histories, np.random.default_rng(0), truth)


@pytest.mark.parametrize("name", [name for name in ROWS if "sampling" in name or "lines" in name])
def test_constructions_beside_the_laws_table_keep_their_certificates(name):
    found = look(name)
    assert found.histories >= 30
    assert found.holds
    assert found.ratio > 0


@pytest.mark.parametrize(
    "name", ["linucb newton products", "thompson sampling newton", "thompson bernoulli", "ucbvi narrow"]
)
def test_a_wrong_algorithm_is_objected_to(name):
    right = ROWS[name][1].truth
    assert look(name).holds
    assert not look(name, truth=partial(impostors.exchanged, right)).holds


def test_histories_differ_and_what_one_lacks_the_next_make_up_for():
    """One step and two arms of which nothing is known make one history."""
    found = exhaustive.family("soft UCB1", 60, seed=1)
    assert found[0].histories == 1
    assert sum(outcome.histories for outcome in found) >= 60


def test_narrow_is_the_same_in_rationals_and_another_bonus_is_not():
    found = exhaustive.rationals("narrow", 2, seed=0)
    assert (found.histories, found.different) == (2, 0)
    assert found.holds
    wrong = exhaustive.rationals("narrow", 2, seed=0, factor=Fraction(101, 100))
    assert wrong.different > 0
    assert not wrong.holds


def test_decisions_are_counted_by_what_their_state_has_seen():
    """Two episodes of one stage show one state two actions, which then tie below H; what is H is cut off."""
    spec = replace(exhaustive.LARGE, horizon=1, episodes=4)
    history = EpisodeHistory([5, 5, 5, 1], actions=[0, 1, 0], rewards=[0.0] * 3, horizon=1)
    half = [Fraction(1, 2)] * 4
    values = [half, half, half, half]
    assert exhaustive.kinds(spec, history, values) == Counter(
        {"decisions": 4, "states again": 2, "ties below H": 1, "cut off at H": 0, "below H": 2}
    )
    values = [[Fraction(1)] * 4] * 4
    assert exhaustive.kinds(spec, history, values)["cut off at H"] == 2


def test_the_page_tells_the_worst_and_its_history():
    good = look("ucbvi slim", 5)
    bad = replace(good, name="ucbvi narrow", error=3.0, ratio=2.0, outline="that one")
    exactly = exhaustive.Exactly("slim", 320, 7, 0, Counter(decisions=9))
    text = exhaustive.page([good, bad], [exactly], 5, MADE)
    count = good.histories + bad.histories
    assert f"| ucbvi | 2 | {count} | 3.00e+00 | {good.allowed:.2e} | 2 | " in text
    assert "that one" in text
    assert "| slim | 320 | 7 | 0 |" in text
    assert not bad.holds


def test_the_page_of_record_has_100_000_histories_of_every_family_and_1_000_in_rationals():
    """What `make nightly` last wrote, none above what is allowed."""
    text = PAGE.read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"^\|.*", text, re.M)]
    cells = {line[0]: line[1:] for line in lines}
    for family in FAMILIES:
        assert int(cells[family][1].replace(",", "")) >= 100_000
    for name in (*FAMILIES, *ROWS):
        assert float(cells[name][4]) <= 1
    for form, most in (("slim", 330), ("narrow", 75)):
        assert int(cells[form][0]) <= most
        assert int(cells[form][1].replace(",", "")) >= 1_000
        assert cells[form][2] == "0"
