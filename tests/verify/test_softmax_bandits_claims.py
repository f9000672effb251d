"""What is claimed of the bandits by softmax attention alike: long horizons, searched and enclosed."""

import math
from dataclasses import replace

import pytest

from verify import audit
from verify.claims import softmax_linucb, softmax_thompson

BOTH = pytest.mark.parametrize("claims", [softmax_linucb, softmax_thompson], ids=["linucb", "thompson"])


@BOTH
def test_ten_thousand_steps_are_certified(claims):
    assert [verdict.claim for verdict in claims.long() if not verdict.holds] == []


@BOTH
def test_two_hundred_steps_are_searched(claims):
    verdict = claims.searched(3)
    assert verdict.holds
    assert verdict.measured > 0
    assert not replace(verdict, certified=verdict.measured / 2, rounding=0.0).holds


@BOTH
def test_claims_say_what_they_are_about(claims):
    """As cards of a report show it: a construction, and how a number came about."""
    certificate, layers = list(claims.long())[:2]
    assert certificate.construction == layers.construction == claims.searched(1).construction != ""
    assert (certificate.rank, layers.rank) == ("certified", "counted")
    assert layers.statement is not None


@BOTH
def test_an_error_is_that_of_exact_arithmetic(claims):
    built = claims.ROW.build(replace(claims.MAIN, horizon=4))
    history = claims.ROW.histories.battery(built.spec)[0].history(built.spec)
    found = audit.enclose(built, claims.ROW.balls, history)
    assert found.holds
    assert 0 < found.exact_low <= found.exact_high <= built.certificate
    assert math.isclose(found.exact_high, found.float64_high, rel_tol=1e-4)


@pytest.mark.nightly
@BOTH
def test_the_whole_audit_holds(claims):
    report = claims.plan(400, 40).report()
    assert [verdict.claim for verdict in report.verdicts if not verdict.holds] == []


@pytest.mark.nightly
@BOTH
def test_two_thousand_histories_of_two_hundred_steps_and_the_worst_enclosed(claims):
    built = claims.ROW.build(claims.LONG)
    found = audit.search(built, claims.ROW.truth, 2000, 20, claims.ROW.histories)
    assert found.error <= built.certificate + built.rounding
    assert audit.enclosed(built, claims.ROW.balls, found.outline, found.step) <= built.certificate
