"""Wrong weights: which of them count, how many of these the promises notice, and how many the seal."""

from collections import Counter
from dataclasses import replace

import pytest
from construction_cases import CASES, Case

from constructions.construction import Construction
from verify.audit import mutation

SHARP = {
    "linucb gd": {"error": 1e-4},
    "linucb chebyshev": {"error": 1e-4},
    "linucb one step": {"error": 1e-5},
    "linucb newton interpolation": {"error": 1e-5},
    "linucb newton products": {"error": 1e-5},
    "thompson bernoulli": {"actions": 2, "horizon": 4, "error": 1e-3},
}
"""Specs whose error leaves wrong weights less room than those of the table."""

WANTED = 0.99
"""The least share that the promises catch by themselves. The seal refuses all."""


def sharp(case: Case) -> Construction:
    """A construction to make wrong."""
    return case.entry.build(replace(case.spec, **SHARP.get(case.name, {})))


def audited(case: Case, trials: int) -> list[mutation.Mutant]:
    """A tenth off, the other sign, or left out."""
    return mutation.mutants(
        sharp(case), case.entry.truth, trials, 1, mutation.EVERY, source=case.entry.histories
    )


def named(name: str) -> Case:
    [case] = [case for case in CASES if case.name == name]
    return case


@pytest.mark.parametrize("name", ["linucb newton interpolation", "ucbvi narrow"])
def test_wrong_weights_that_change_the_policy_are_caught(name):
    found = audited(named(name), 6)
    assert [mutant for mutant in found if mutant.effective and not mutant.caught] == []
    assert any(mutant.caught for mutant in found)
    assert all(mutant.refused for mutant in found)


def test_a_weight_that_is_not_changed_is_equivalent_whatever_the_audit_says():
    case = named("ucbvi narrow")

    def reversed_arms(spec, history):
        return case.entry.truth(spec, history)[:, ::-1]

    for truth, caught in ((case.entry.truth, False), (reversed_arms, True)):
        for mutant in mutation.mutants(case.built, truth, 2, 0, (1.0,), source=case.entry.histories):
            assert (mutant.kind, mutant.effective, mutant.caught) == ("equivalent", False, caught)
            assert mutant.reason.startswith("changes no log-probability by more than ")
            assert not mutant.refused


@pytest.mark.nightly
def test_a_wrong_weight_within_the_certificate_is_caught_by_what_the_neurons_stand_for():
    """The certificate of Bernoulli arms is far above the error, and of its 613 neurons many may be a tenth off.

    A block's surrogate says what they add up to. Without it such weights keep every promise.
    """
    case = named("thompson bernoulli")
    blind = replace(
        case.built, sealed_blocks=tuple(replace(block, surrogate=None) for block in case.built.sealed_blocks)
    )
    within, seen = (
        mutation.mutants(built, case.entry.truth, 8, 1, source=case.entry.histories)
        for built in (blind, case.built)
    )
    slack = [n for n, mutant in enumerate(within) if mutant.kind == "within slack"]
    assert slack
    assert all(within[n].score <= 1 and "nearest" in within[n].reason for n in slack)
    assert mutation.share(within) < 1
    assert all(seen[n].caught for n in slack)
    assert mutation.share(seen) == 1
    assert mutation.share([]) == 1


@pytest.mark.nightly
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_of_many_wrong_weights_nearly_all_that_change_the_policy_are_caught(case):
    found = audited(case, 60)
    print(
        case.name,
        dict(Counter(mutant.kind for mutant in found)),
        *(m for m in found if m.reason),
        sep="\n    ",
    )
    assert mutation.share(found) >= WANTED
    assert all(mutant.refused for mutant in found)
