"""The audit itself: verdicts, the search, shrinking, mutants."""

import copy
import math
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from effort import PROFILE
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from constructions import linucb, thompson, ucbvi
from constructions.parts.block import EXACT, Bound
from constructions.parts.guarantee import Guarantee
from verify import algorithms, audit
from verify.audit import Verdict, mutation, shrinking
from verify.balls import linear
from verify.histories import episodes as episode_strategies
from verify.histories import linear as strategies
from verify.histories import told

SPEC = linucb.Spec(dim=2, actions=3, horizon=6, error=1e-2)
BUILT = linucb.build(SPEC)
MUTANTS = 20 if PROFILE == "nightly" else 4


def broken(parameter: str, factor: float):
    transformer = copy.deepcopy(BUILT.transformer)
    transformer.get_parameter(parameter).mul_(factor)
    return replace(BUILT, transformer=transformer)


@pytest.mark.parametrize(
    ("kind", "measured", "certified", "stated", "holds"),
    [
        ("bound", 1.0, 2.0, 3.0, True),
        ("bound", 2.5, 2.0, 3.0, False),
        ("bound", 1.0, 4.0, 3.0, False),
        ("bound", 1.0, 2.0, None, True),
        ("bound", math.inf, 2.0, 3.0, False),
        ("bound", math.nan, 2.0, 3.0, False),
        ("bound", 1.0, math.inf, None, False),
        ("bound", 1.0, math.nan, None, False),
        ("size", 3.0, None, 3.0, True),
        ("size", 4.0, None, 3.0, False),
        ("least", 0.95, None, 0.9, True),
        ("least", 0.85, None, 0.9, False),
        ("order", 0.46, None, 0.5, True),
        ("order", 0.44, None, 0.5, False),
        ("order", math.nan, None, 0.5, False),
    ],
)
def test_a_verdict_is_the_chain_of_inequalities(kind, measured, certified, stated, holds):
    verdict = Verdict("claim", "source", kind, measured, stated, certified)
    assert verdict.holds is holds
    assert verdict.record()["holds"] is holds


def test_rounding_is_allowed_for_and_no_more():
    assert Verdict("c", "s", "bound", 1.05, 3.0, 1.0, rounding=0.1).holds
    assert not Verdict("c", "s", "bound", 1.15, 3.0, 1.0, rounding=0.1).holds


@pytest.mark.parametrize(
    ("measured", "certified", "rounding", "enclosed", "holds"),
    [
        (1.5, 1.0, 1.0, None, True),  # as large as the certificate, and no larger
        (1.5, 1.0, 1.01, None, False),
        (0.5, 1.0, 1.01, None, False),  # by chance: float64 cannot tell
        (0.5, 1.0, 1.01, 1.0, True),
        (0.5, 1.0, 1.01, 1.1, False),
        (0.5, 1.0, 0.1, 1.1, False),  # what is enclosed is never overruled
        (0.0, 0.0, 0.1, 1e-83, True),  # balls never show two logarithms to be equal
        (0.0, 0.0, 0.1, 1e-29, False),
        (0.0, 1e-40, 0.1, 1e-39, False),
        (2.1, 1.0, 1.01, 0.9, False),  # nor does it excuse more than rounding
        (0.5, 1.0, 1.01, math.nan, False),
        (0.5, 1.0, math.nan, None, False),
        (1e-12, 0.0, 1e-9, None, False),
        (1e-12, 0.0, 1e-9, 0.0, True),
        (0.0, 0.0, 0.0, None, True),
    ],
)
def test_no_allowance_is_larger_than_the_certificate_unless_the_error_is_enclosed(
    measured, certified, rounding, enclosed, holds
):
    verdict = Verdict("c", "s", "bound", measured, 3.0, certified, rounding=rounding, enclosed=enclosed)
    assert verdict.holds is holds
    assert verdict.record()["enclosed"] is enclosed


@pytest.mark.nightly
def test_a_tiny_certificate_counts_the_error_of_the_policy():
    """The witness: arms reversed, an error of 22.4 was a score of 0.014."""
    spec = ucbvi.Spec(states=2, actions=3, horizon=2, episodes=3, exploration=0.02)
    built = ucbvi.build(spec)

    def reversed_arms(spec, history):
        return algorithms.ucbvi(spec, history)[:, ::-1]

    assert 0 < built.certificate < 1e-12 < built.allowed < 2e-9 < built.rounding < 1e-5
    right, wrong = (
        audit.search(built, truth, 40, source=episode_strategies)
        for truth in (algorithms.ucbvi, reversed_arms)
    )
    assert right.error > 0
    assert right.score <= 1 < wrong.score
    assert wrong.score == wrong.error / built.allowed
    exact = replace(built, sealed_certificate=0.0)  # as it is with look-up values in exact arithmetic
    assert audit.search(exact, reversed_arms, 40, source=episode_strategies).score > 1
    assert audit.shrink(built, algorithms.ucbvi, episode_strategies) is None
    shortest = audit.shrink(built, reversed_arms, episode_strategies)
    assert audit.measure(built, reversed_arms, [shortest]).score > 1
    mutated = mutation.mutants(built, reversed_arms, 2, seed=0, factors=(1.0,), source=episode_strategies)
    assert all(mutant.caught for mutant in mutated)


def test_rounding_is_no_excuse_beyond_the_certificate():
    """Two arms whose bound on rounding is thousands of times the certificate: 1 % off is still caught."""
    spec = thompson.Spec(dim=2, actions=2, horizon=12, error=1e-3)
    built = thompson.build(spec)

    def off(spec, history):
        return algorithms.thompson(replace(spec, noise_variance=1.01 * spec.noise_variance), history)

    assert built.rounding > 100 * built.certificate > 0
    assert built.allowed == 2 * built.certificate
    right, wrong = (
        audit.measure(built, truth, strategies.battery(spec)[:40]) for truth in (algorithms.thompson, off)
    )
    assert right.ratio <= 0.5 < 1 < wrong.ratio == wrong.error / built.allowed
    assert BUILT.allowed == BUILT.certificate + BUILT.rounding < 2 * BUILT.certificate


def test_an_error_where_nothing_at_all_is_allowed_is_infinitely_bad():
    exact = replace(
        BUILT,
        promised=Guarantee("scores"),
        sealed_certificate=0.0,
        sealed_blocks=tuple(
            replace(block, promise=replace(block.promise, own=EXACT, total=EXACT)) for block in BUILT.blocks
        ),
    )
    assert exact.rounding == 0
    assert audit.measure(exact, algorithms.linucb, strategies.battery(SPEC)[:1]).score == math.inf


def test_what_promises_nothing_passes_no_audit_by_itself():
    wrong = broken("layers.1.mlp.second.weight", 1 + 2**-50)
    tried = strategies.battery(SPEC)[:20]
    assert audit.measure(wrong, algorithms.linucb, tried).score == math.inf
    assert audit.measure(wrong, None, tried).score == math.inf
    assert audit.measure(wrong, algorithms.linucb, tried, held_to=BUILT).score <= 1


def test_an_error_of_one_side_is_no_error_on_the_other():
    def larger(spec, history):
        return algorithms.linucb(spec, history) + 1

    def smaller(spec, history):
        return algorithms.linucb(spec, history) - 1

    @dataclass(frozen=True)
    class OneSided(linucb.Spec):
        guarantee: ClassVar[Guarantee] = Guarantee(one_sided=True)

    tried = strategies.battery(SPEC)[:20]
    half = replace(BUILT, spec=OneSided(**vars(SPEC)))
    assert audit.measure(half, larger, tried).error == pytest.approx(1, abs=0.02)
    assert audit.measure(half, smaller, tried).error == 0
    assert audit.measure(BUILT, smaller, tried).error == pytest.approx(1, abs=0.02)


def test_the_search_tries_as_many_histories_as_asked_and_every_promise_is_kept():
    findings = audit.search(BUILT, algorithms.linucb, 300)
    assert findings.histories >= 300
    assert 0 < findings.error <= BUILT.certificate
    assert 0 < findings.score <= 1
    assert set(findings.blocks) == {block.name for block in BUILT.blocks}


def test_the_search_is_the_same_for_everyone():
    assert (
        audit.search(BUILT, algorithms.linucb, 160).error == audit.search(BUILT, algorithms.linucb, 160).error
    )


def test_the_worst_history_is_a_witness():
    findings = audit.search(BUILT, algorithms.linucb, 160)
    again = audit.measure(BUILT, algorithms.linucb, [findings.outline])
    assert again.error == pytest.approx(
        findings.error, rel=1e-9
    )  # batches of other sizes add in another order


@pytest.mark.parametrize(
    "parameter", ["layers.1.attention.groups.0.value.weight", "layers.1.mlp.second.weight"]
)
def test_wrong_weights_fail_and_the_witness_shrinks(parameter):
    wrong = broken(parameter, 1.1)
    findings = audit.measure(wrong, algorithms.linucb, strategies.battery(SPEC), held_to=BUILT)
    assert findings.score > 1
    smallest = audit.shrink(wrong, algorithms.linucb, held_to=BUILT)
    assert smallest is not None
    assert audit.measure(wrong, algorithms.linucb, [smallest], held_to=BUILT).score > 1
    assert smallest.steps <= 3


def counted(log):
    """The true algorithm, with a note of every history that it is asked for."""

    def truth(spec, history):
        log.append(history.steps)
        return algorithms.linucb(spec, history)

    return truth


WRONG = "layers.1.mlp.second.weight"


def test_intact_weights_end_soon_with_one_sentence():
    for start, wanted in (
        (None, "nothing to shrink: none of 120 histories of 6 decisions breaks a promise"),
        (strategies.battery(SPEC)[3], "nothing to shrink: none of 1 history of 6 decisions breaks a promise"),
        (
            audit.measure(BUILT, algorithms.linucb, strategies.battery(SPEC)[:20]),
            "nothing to shrink: none of 20 histories breaks a promise",
        ),
    ):
        log, said = [], []
        assert audit.shrink(BUILT, counted(log), start=start, progress=said.append) is None
        assert said[-1] == wanted
        assert len(log) == (120 if start is None else isinstance(start, strategies.LinearOutline))


def test_it_starts_from_what_a_search_found():
    wrong = broken(WRONG, 1.1)
    found = audit.measure(wrong, algorithms.linucb, strategies.battery(SPEC)[:40], held_to=BUILT)
    assert audit.measure(wrong, algorithms.linucb, [found.worst], held_to=BUILT).score == pytest.approx(
        found.score
    )
    said = []
    small = audit.shrink(wrong, algorithms.linucb, start=found, progress=said.append, held_to=BUILT)
    assert said[0] == "measuring 1 history of 6 decisions"
    assert said[-1] == f"a promise breaks within 1 decision: {small!r}"
    assert "looking for small whole numbers" in " ".join(said)


def test_the_worst_of_findings_is_a_blocks_where_a_block_is_worse():
    one, other = strategies.battery(SPEC)[:2]
    found = audit.measure(BUILT, algorithms.linucb, [one])
    block = replace(found.blocks["ridge estimate"], ratio=7.0, outline=other)
    assert replace(found, ratio=3.0, blocks={"ridge estimate": block}).worst is other
    assert replace(found, ratio=9.0, blocks={"ridge estimate": block}).worst is one


def late(spec, history):
    """Wrong once the first arm has been paid more than 1 twice."""
    paid = np.cumsum((history.actions == 0) & (history.rewards > 1))
    return algorithms.linucb(spec, history) + np.append([False], paid >= 2)[:, None]


def test_what_is_found_is_as_short_as_can_be_and_in_small_whole_numbers():
    small = audit.shrink(BUILT, late)
    assert small == told.Told(((0, 2.0), (0, 2.0)), 0, "verify.histories.linear")
    assert small.history(SPEC).rewards.tolist() == [2, 2]
    assert audit.measure(BUILT, late, [small]).score > 1
    again = audit.shrink(BUILT, late, start=small)
    assert again == small
    scope: dict = {}
    text = audit.replayed(BUILT, algorithms.linucb, small)
    exec(text.replace("print(", "found = ("), scope)
    assert scope["found"] == audit.measure(BUILT, algorithms.linucb, [small]).error


def test_numbers_of_an_outline_are_made_small_where_nothing_is_told_step_by_step():
    source = SimpleNamespace(battery=strategies.battery, batches=strategies.batches)
    start = strategies.LinearOutline("weak direction", "highest", "largest", 6, -1.7, 123_456)
    small = audit.shrink(
        BUILT, lambda spec, history: algorithms.linucb(spec, history) + 1, source, start=start
    )
    assert small == strategies.LinearOutline("weak direction", "highest", "largest", 1, 0.0, 0)


def test_draws_that_steps_do_not_tell_leave_the_outline():
    spec = thompson.Spec(dim=2, actions=3, horizon=4, error=0.5, form="sampling", solver="newton")
    built = thompson.build(spec)
    small = audit.shrink(built, lambda spec, history: algorithms.thompson_scores(spec, history) + 1)
    assert isinstance(small, strategies.LinearOutline)
    assert (small.steps, small.seed, small.weakness) == (1, 0, 0.0)


def test_a_terminal_shows_what_is_done_and_nothing_else_does(capsys, monkeypatch):
    assert audit.shrink(BUILT, algorithms.linucb, start=strategies.battery(SPEC)[0]) is None
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(
        shrinking, "Console", lambda stderr: Console(stderr=stderr, force_terminal=True, width=200)
    )
    assert audit.shrink(BUILT, algorithms.linucb, start=strategies.battery(SPEC)[0]) is None
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "nothing to shrink: none of 1 history of 6 decisions breaks a promise" in shown.err


def test_the_first_block_that_broke_is_named():
    findings = audit.measure(
        broken("layers.1.mlp.second.weight", 1.1),
        algorithms.linucb,
        strategies.battery(SPEC),
        held_to=BUILT,
    )
    own = [name for name, worst in findings.blocks.items() if worst.own_error > worst.probe.own_promise]
    assert own == ["width √(a_kᵀA⁻¹a_k)"]


def test_nan_never_passes():
    findings = audit.measure(
        broken("layers.0.attention.groups.0.value.weight", math.nan),
        algorithms.linucb,
        strategies.battery(SPEC),
    )
    assert findings.error == math.inf


def test_mutants_are_caught_or_excused_with_a_measurement():
    found = mutation.mutants(BUILT, algorithms.linucb, MUTANTS, seed=3)
    assert sum(mutant.caught for mutant in found) >= 0.75 * MUTANTS
    assert all(mutant.caught or mutant.reason for mutant in found)
    still = mutation.mutants(BUILT, algorithms.linucb, 1, seed=3, factors=(1.0,))
    assert not any(mutant.caught for mutant in still)
    assert all(mutant.kind == "equivalent" for mutant in still)


@given(strategies.outlines(SPEC))
def test_outlines_make_admissible_histories(outline):
    history = outline.history(SPEC)
    BUILT.tokens.check(history)
    assert history.steps == outline.steps


@given(dim=st.integers(1, 3), actions=st.integers(1, 4), horizon=st.integers(1, 4), data=st.data())
def test_outlines_fit_every_spec(dim, actions, horizon, data):
    spec = linucb.Spec(dim, actions, horizon, action_norm=(1.0, 1.0), weight_norm=0.0)
    tried = data.draw(strategies.batches(spec, 3))
    built = linucb.build(replace(spec, error=0.1))
    assert len({outline.steps for outline in tried}) == 1
    assert audit.measure(built, algorithms.linucb, tried).score <= 1


def test_the_battery_has_every_combination():
    kinds = {(outline.family, outline.rewards, outline.norms) for outline in strategies.battery(SPEC)}
    assert len(kinds) == len(strategies.FAMILIES) * len(strategies.REWARDS) * len(strategies.NORMS)
    assert np.unique([outline.steps for outline in strategies.battery(SPEC)]).tolist() == [SPEC.horizon]


def test_the_decision_of_the_worst_error_is_remembered_and_enclosed():
    findings = audit.measure(BUILT, algorithms.linucb, strategies.battery(SPEC))
    history = findings.outline.history(SPEC)
    errors = np.abs(BUILT.log_probabilities(history) - algorithms.linucb(SPEC, history)).max(1)
    assert findings.step == errors.argmax()
    assert findings.error == pytest.approx(errors.max(), rel=1e-9)
    found = audit.enclosed(BUILT, linear.linucb, findings.outline, findings.step)
    assert found == pytest.approx(findings.error, rel=1e-9)
    whole = audit.enclose(BUILT, linear.linucb, history)
    assert whole.exact_low * (1 - 1e-9) <= found <= whole.exact_high <= BUILT.certificate
    assert audit.enclosed(BUILT, linear.linucb, history, findings.step) == found
    small = copy.deepcopy(BUILT.transformer)
    small.clip_radius = 1.0
    clipped = replace(BUILT, transformer=small)
    assert audit.enclosed(clipped, linear.linucb, findings.outline, findings.step) == math.inf


def test_a_block_whose_promise_float64_cannot_see_is_a_claim_of_float64():
    block = BUILT.blocks[0]
    findings = audit.measure(BUILT, algorithms.linucb, strategies.battery(SPEC)[:3])
    worst = findings.blocks[block.name]

    def kept(error, rounding, measured, stated=None):
        promise = replace(block.promise, total=Bound(error, rounding))
        return audit.kept("c", BUILT, replace(block, promise=promise), replace(worst, error=measured), stated)

    fine, coarse = kept(2.0, 1.0, 2.5), kept(1.0, 2.0, 2.5)
    assert (fine.kind, fine.claim, fine.certified, fine.rounding) == ("bound", "c", 2.0, 1.0)
    assert (coarse.kind, coarse.claim, coarse.certified, coarse.rounding) == (
        "size",
        "c, in float64",
        None,
        0,
    )
    assert (coarse.measured, coarse.stated, coarse.source) == (2.5, 3.0, audit.FLOAT64)
    assert f"{block.source}; in exact arithmetic the promise is 1, " in coarse.note
    assert fine.holds
    assert coarse.holds
    assert not kept(2.0, 1.0, 3.1).holds
    assert not kept(1.0, 2.0, 3.1).holds
    assert not kept(1.0, math.inf, 0.0).holds
    assert not kept(
        1.0, 2.0, 0.5, stated=4.0
    ).holds  # what is stated of exact arithmetic, float64 cannot show
