"""The claims of soft UCB-VI at small sizes: nothing hides behind rounding, and each fails on something broken."""

from dataclasses import replace

import numpy as np
import pytest

from constructions import ucbvi
from verify import algorithms, audit, environments
from verify.claims import ucbvi as claims
from verify.histories import episodes as episode_strategies
from verify.sweeps import ucbvi as episode_sweeps

SMALL = ucbvi.Spec(states=2, actions=2, horizon=2, episodes=9, exploration=0.03)
every_form = pytest.mark.parametrize("form", claims.FORMS)
no_head = pytest.mark.parametrize(
    ("form", "role"), [("slim", "transitions_raw"), ("narrow", "visits_raw"), ("narrow", "ahead_raw")]
)


def without(spec: ucbvi.Spec, name: str) -> ucbvi.Construction:
    """The heads that write a register taken away, by values of 0."""
    built = ucbvi.build(spec)
    register, found = built.tokens.stream[name], 0
    inside = range(register.start, register.start + register.size)
    for layer in built.transformer.stored_layers:
        for group in layer.attention.stored_groups:
            if np.isin(group.targets.numpy(), inside).any():
                group.value.weight.data.mul_(0)
                found += 1
    assert found
    return built


def in_float64(built, tried: int = 20) -> list[audit.Verdict]:
    found = audit.search(built, algorithms.ucbvi, tried, source=episode_strategies)
    return list(claims._main(built, found))


@every_form
def test_what_float64_adds_is_a_claim_of_its_own(form):
    """No verdict has an allowance for rounding that is larger than its certificate, but where the error is enclosed."""
    spec = replace(SMALL, form=form)
    exact, rounded, stored, *blocks = [claims.exactness(spec, 10, seed=0), *in_float64(ucbvi.build(spec))]
    assert all(verdict.holds for verdict in (exact, rounded, stored, *blocks))
    assert (exact.kind, exact.rounding, exact.measured, exact.stated) == ("bound", 0, 0, 0)
    assert (rounded.kind, rounded.rounding) == ("size", 0)
    assert 0 <= stored.enclosed <= stored.certified < stored.rounding
    assert not replace(stored, enclosed=None).holds
    assert all(verdict.kind == "size" for verdict in blocks if verdict.rounding > 0)


@no_head
def test_heads_that_are_needed_are_missed(monkeypatch, form, role):
    """In rationals, in float64, and by the promise of the loop."""
    spec = replace(SMALL, form=form)
    broken = without(spec, role)
    policy, stored, *_, loop = in_float64(broken)
    assert not policy.holds
    assert not stored.holds
    assert not loop.holds
    monkeypatch.setattr(ucbvi, "build", lambda _: broken)
    assert not claims.exactness(spec, 25, seed=0).holds


def test_a_transformer_that_acts_is_held_to_what_is_stated_of_float64(monkeypatch):
    def drawn(generator):
        return environments.random_mdp(generator, states=2, actions=2, horizon=2)

    spec = replace(SMALL, form="narrow")
    verdict = claims._stream(episode_sweeps.regret(drawn, spec, range(2), "small"))
    assert verdict.holds
    assert (verdict.kind, verdict.rounding, verdict.stated) == ("size", 0, pytest.approx(1e-10 * 9))
    broken = without(spec, "visits_raw")
    monkeypatch.setattr(ucbvi, "build", lambda _: broken)
    assert not claims._stream(episode_sweeps.regret(drawn, spec, range(2), "small")).holds


def test_our_sizes_are_those_of_our_theorems():
    """S=8, A=4, H=20: 320 and 73 heads."""
    found = list(claims._our_sizes())
    assert all(verdict.holds for verdict in found)
    heads = [verdict for verdict in found if verdict.claim.endswith("heads")]
    assert [verdict.measured for verdict in heads] == [verdict.stated for verdict in heads] == [320, 73]
