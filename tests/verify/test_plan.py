"""An audit in parts: the same report wherever its parts are carried out."""

from dataclasses import asdict

import pytest

from verify.audit import Verdict
from verify.audit.mutation import mutants
from verify.audit.plan import Found, Part, Plan, together
from verify.catalog import CATALOG
from verify.claims import general

ROW = CATALOG["bernoulli"]
SMALL = ROW.spec(actions=2, horizon=4)


def small() -> Plan:
    """The audit of a small specification, which another process makes again."""
    return general.plan(ROW, SMALL, histories=4, trials=2)


def test_processes_side_by_side_find_what_one_finds():
    told = []
    [beside] = together([small], 2, lambda *what: told.append(what))
    [alone] = together([small], 1)
    assert beside.record() == alone.record()
    assert len(beside.mutants) == 2
    assert len(told) == len(small().parts)
    assert all(which == 0 and parts == len(small().parts) for which, parts, *_ in told)


def test_halves_of_wrong_weights_are_the_whole():
    built = ROW.build(SMALL)
    whole, *halves = (
        mutants(built, ROW.truth, 5, seed=3, source=ROW.histories, part=part)
        for part in ((0, 1), (0, 2), (1, 2))
    )
    assert [asdict(one) for half in halves for one in half] == [asdict(one) for one in whole]
    assert [len(half) for half in halves] == [2, 3]


def fails() -> Plan:
    """A part of it cannot be carried out."""

    def part():
        raise ValueError("part: wanted one that can be carried out")

    return Plan("fails", SMALL, [Part("one", lambda: []), Part("other", part)])


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_fails_in_a_part_is_told(jobs):
    with pytest.raises(ValueError, match="part: wanted one that can be carried out"):
        together([fails], jobs)


def test_reports_have_the_order_of_the_parts():
    one, other = (Verdict(name, "here", "size", 1.0, 2.0) for name in ("one", "other"))
    parts = [
        Part(
            "",
            lambda: Found(
                [one],
                {"slack": [{"block": "b", "promise": 1.0}, {"block": "c", "promise": 0.0}]},
                {"f": [{"n": 1}]},
                size={"layers": 3},
            ),
        ),
        Part("", lambda: other, long=True),
        Part("", lambda: Found(records={"f": [{"n": 2}]})),
    ]
    report = Plan("three", SMALL, parts).report()
    assert report.verdicts == [one, other]
    assert report.records == {
        "f": [{"n": 1}, {"n": 2}],
        "slack": [{"kind": "slack", "rows": [{"block": "b", "promise": 1.0}]}],
    }
    assert (report.blocks, report.size, report.mutants) == (
        [{"block": "b", "promise": 1.0}],
        {"layers": 3},
        [],
    )
