"""What is claimed of UCB-VI by softmax: small by day, the whole of it by night; its formula is that of its page."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from constructions import ucbvi
from constructions.history import EpisodeHistory
from constructions.ucbvi import by_softmax
from constructions.ucbvi.tables import GATES, Tables, tables
from verify import algorithms, audit
from verify.balls import counts
from verify.claims import softmax as claims
from verify.theorems import evaluate, symbols
from verify.theorems import softmax as theorem

PAGE = Path(__file__).parents[2] / "docs" / "softmax.md"
SMALL, MAIN = claims.SMALL, claims.MAIN


def test_the_error_falls_with_the_gate_as_the_theorem_says():
    found = list(claims.by_gate(8))
    assert [verdict.holds for verdict in found] == [True] * len(claims.GATES)
    for verdict, gate in zip(found, claims.GATES, strict=True):
        assert verdict.enclosed is not None
        assert verdict.enclosed <= verdict.certified <= verdict.stated
        assert math.exp(-gate) < verdict.measured  # not exact, and the bound not loose by far
        assert verdict.stated < 30 * verdict.enclosed + math.exp(-1.5 * gate)


def test_a_certificate_below_the_theorem_s_formula_needs_all_its_terms():
    """Each slope and count that the formula bounds is that of the neurons, for many specifications."""
    for sizes in ((1, 1, 1, 1), (2, 5, 1, 3), (3, 2, 4, 60), (7, 3, 2, 9)):
        for exploration in (0.0, 0.1, 1.0):
            spec = ucbvi.SoftmaxSpec(*sizes, exploration=exploration, temperature=0.5)
            for gate in (3, 9, 14):
                stated = theorem.UCBVI_BY_GATE.evaluate("error", gate=gate, **symbols(spec))
                assert (2 * Tables(spec, gate).logit).error <= stated


def test_the_page_has_the_formula():
    """Its display, read as Python, gives what the statement gives."""
    [display] = re.findall(r"\$\$(\\frac\{2H\}\{\\tau\}.*?),\$\$", PAGE.read_text(encoding="utf-8"), re.S)
    for old, new in (
        (r"\frac{2H}{\tau}", "2*H/tau*"),
        (r"\tfrac12SH\Lambda", "S*H*L/2"),
        (r"n\big(\Lambda_b", "n*(Lb"),
        (r"\Big", ""),
        (r"\big", ""),
        ("(n + 4S)H", "(n + 4*S)*H"),
        ("e^{-2B}", "*E(2)"),
        ("e^{-3B}", "*E(3)"),
        ("e^{-B}", "*E(1)"),
        (r"\,", ""),
    ):
        assert old in display, old
        display = display.replace(old, new)
    spec, B = ucbvi.SoftmaxSpec(3, 2, 4, 5, exploration=0.5), 4
    S, H, K, tau = spec.states, spec.horizon, spec.episodes, spec.temperature
    known = {"H": H, "S": S, "tau": tau, "n": K * (2 * H + 1), "E": lambda m: math.exp(-m * B)}
    known |= {"Lb": 3 * spec.bonus(1) * math.sqrt(K), "L": max(4 * B, 2 * K + 4)}
    stated = theorem.UCBVI_BY_GATE.evaluate("error", gate=B, **symbols(spec))
    assert math.isclose(eval(display, {}, known), stated, rel_tol=1e-12)
    assert math.isclose(evaluate(theorem.TOKENS, horizon=H, episodes=K), K * (2 * H + 1))


def test_the_least_gate_that_meets_the_error_is_taken():
    for error in (1e-2, 1e-6, 1e-9):
        spec = ucbvi.SoftmaxSpec(2, 2, 2, 3, error=error)
        gate = tables(spec).gate
        assert (2 * Tables(spec, gate).logit).error <= error
        assert gate == GATES[0] or (2 * Tables(spec, gate - 1).logit).error > error
    with pytest.raises(
        ValueError, match=r"error: wanted one that weights of float64 can carry, .* got 1e-16"
    ):
        ucbvi.build(ucbvi.SoftmaxSpec(2, 2, 2, 3, error=1e-16))


def test_registers_and_heads_are_those_of_the_theorem_and_linear_in_sa():
    built = ucbvi.build(SMALL)
    assert all(verdict.holds for verdict in claims.sizes(built))
    large = [ucbvi.build(ucbvi.SoftmaxSpec(S, 3, 3, 4, error=1e-3)).size() for S in (4, 8)]
    assert large[1].heads == 2 * large[0].heads
    assert large[1].width < 2 * large[0].width


def test_an_average_of_what_old_tokens_know_is_not_what_ucb_vi_wants():
    """The page's witness: one state, two stages, and a reward that was seen after the visit that is averaged over."""
    spec = ucbvi.SoftmaxSpec(1, 2, 2, 3, exploration=0.0, error=1e-8)
    history = EpisodeHistory([0] * 5, [0, 0, 0, 1], [0.0, 0.25, 0.0, 0.5], horizon=2)
    values = algorithms.ucbvi_values(spec, history)
    assert values.state_values[:3, 1, 0].tolist() == [2.0, 2.0, 0.5]  # what is known when each episode begins
    assert values.action_values[2, 0, 0, 0] == 0.5  # the value as it is now
    then = [2.0, 2.0]  # what the tokens that closed the two visits could know
    assert np.mean(then) != values.action_values[2, 0, 0, 0]
    built = ucbvi.build(spec)
    assert np.abs(built.log_probabilities(history) - algorithms.ucbvi(spec, history)).max() <= 1e-8


def test_a_construction_s_error_is_that_of_exact_arithmetic():
    """With a small gate float64 measures what balls enclose."""
    built = by_softmax.written(Tables(SMALL, 6))
    history = claims.ROW.histories.battery(SMALL)[0].history(SMALL)
    found = audit.enclose(built, counts.ucbvi, history)
    assert found.holds
    assert 0 < found.exact_low <= found.exact_high < found.exact_low * (1 + 1e-12)
    assert math.isclose(found.exact_high, found.float64_high, rel_tol=1e-9)


def test_some_histories_of_the_main_specification_are_within_1e_10_over_tau():
    built = ucbvi.build(MAIN)
    for outline in claims.ROW.histories.battery(MAIN)[::7]:
        history = outline.history(MAIN)
        error = np.abs(built.log_probabilities(history) - algorithms.ucbvi(MAIN, history)).max()
        assert error <= 1e-10 / MAIN.temperature


@pytest.mark.nightly
def test_a_thousand_histories_of_the_main_specification_are_within_1e_10_over_tau():
    built = ucbvi.build(MAIN)
    findings = audit.search(built, claims.ROW.truth, 1000, 8, claims.ROW.histories)
    assert findings.error <= built.certificate <= MAIN.error == 1e-10 / MAIN.temperature


@pytest.mark.nightly
def test_the_whole_audit_holds():
    report = claims.plan(400, 40).report()
    assert [verdict.claim for verdict in report.verdicts if not verdict.holds] == []
