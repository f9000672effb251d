"""The laws that every whole construction obeys, each on every row of the table in construction_cases.py."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from construction_cases import CASES, Case
from hypothesis import given, settings, target
from hypothesis import strategies as st

from constructions import thompson
from constructions.history import EpisodeHistory
from verify.audit import impostors
from verify.catalog import line_policy

FEW = settings.default.max_examples // 3

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def search(case: Case, law, *more, steps: int | None = None, examples: int = FEW) -> None:
    """A law on what Hypothesis finds among the case's histories; `more` strategies give it further arguments."""
    histories = case.source.outlines(case.spec, steps).map(lambda outline: outline.history(case.spec))
    settings(max_examples=examples)(given(histories, *more)(law))()


@every_case
def test_measured_error_is_at_most_the_certificate(case):
    """And every block keeps its promises."""
    bound = case.built.certificate + case.rounding

    def law(history):
        error = case.error(history)
        target(error / bound)
        assert error <= bound
        for probe in case.built.probe(history):
            assert probe.error <= probe.promise, probe.block
            assert probe.own_error <= probe.own_promise, probe.block
            assert probe.surrogate_error <= probe.surrogate_promise, probe.block

    search(case, law, examples=settings.default.max_examples)


@every_case
def test_the_certificate_is_at_most_the_requested_error(case):
    """And rounding is not what it hides behind. Where no error is asked for, it is that of weights like 1/3 in float64."""
    certificate, asked = case.built.certificate, getattr(case.spec, "error", None)
    assert 0 < certificate <= (1e-13 / case.spec.tau if asked is None else asked)
    assert asked is None or case.rounding <= 0.05 * certificate


@every_case
def test_size_is_that_of_the_docstring(case):
    size = case.built.size()
    assert {name: getattr(size, name) for name in case.size} == case.size
    for name, most in (case.most or {}).items():
        assert getattr(size, name) <= most, name
    assert size.width == case.built.tokens.stream.width


@every_case
def test_inputs_stay_as_they_are_and_later_tokens_do_not_matter(case):
    """The literal layers, bit by bit: what tokens bring is there at the end, and earlier rows cannot see later ones."""
    stream = case.built.tokens.stream
    written = {name for block in case.built.blocks for name in block.writes}
    kept = [stream[name].slice for name in stream.registers if name not in written]

    def law(history, other, cut):
        tokens = case.built.tokens.encode(history)
        rest = case.built.tokens.encode(other)
        cut = min(cut, len(tokens))
        output, changed = (
            case.built.transformer(torch.as_tensor(x)).numpy()
            for x in (tokens, np.concatenate([tokens[:cut], rest[cut:]]))
        )
        np.testing.assert_array_equal(output[:cut], changed[:cut])
        for place in kept:
            np.testing.assert_array_equal(output[:, place], tokens[:, place])

    steps = case.decisions
    others = case.source.outlines(case.spec, steps).map(lambda outline: outline.history(case.spec))
    search(case, law, others, st.integers(1, 2 * steps), steps=steps)


@every_case
def test_decoder_gives_the_same_as_the_whole_history(case):
    """Both are within the rounding of the logits."""

    def law(history):
        decoder, rows = case.built.decoder(), []
        seen = history.states if isinstance(history, EpisodeHistory) else history.contexts
        for step in range(history.steps):
            rows.append(decoder.observe(seen[step]))
            if step < history.steps - 1:
                decoder.record(int(history.actions[step]), float(history.rewards[step]))
        whole = case.built.log_probabilities(history)
        np.testing.assert_allclose(rows, whole, rtol=0, atol=2 * case.rounding)

    search(case, law)


@every_case
def test_what_blocks_hand_on_stays_within_their_magnitudes(case):
    """At every token, those included that nobody reads: clip radii are made of these."""

    def law(history):
        _, cache = case.built.run_with_cache(history)
        for block in case.built.blocks:
            largest, rounding = np.linalg.norm(cache[block.name], axis=1).max(), block.promise.total.rounding
            assert largest <= block.promise.magnitude + block.groups**0.5 * rounding, block.name

    search(case, law)


@every_case
def test_clipping_never_acts(case):
    """The radius is at least twice as large as any token at any layer, tokens without a decision included."""

    def law(history):
        tokens = torch.as_tensor(case.built.tokens.encode(history))
        largest = float(tokens.norm(dim=-1).max())
        for layer in case.built.transformer.run():
            tokens = layer(tokens)
            largest = max(largest, float(tokens.norm(dim=-1).max()))
        target(largest)
        assert largest <= case.built.transformer.clip_radius / 2

    search(case, law)


SAME = {
    "linucb agd without exploration": {"exploration 1 % off"},
    "linucb one step": {"one reward dropped", "counts one off"},
    "soft UCB1 2 arms 1 steps": {
        "two arms exchanged",
        "arms reversed",
        "one reward dropped",
        "counts one off",
        "exploration 1 % off",
        "temperature 1 % off",
    },
}
"""What is no wrong algorithm: without exploration, without a past, with two arms of which nothing is known."""


@every_case
def test_wrong_algorithms_are_caught(case):
    """The true one passes; every other is caught, unless it is the same to the last digit on all that was tried."""
    built = case.built if case.sharper is None else case.build(replace(case.spec, error=case.sharper))
    found = impostors.unmasked(built, case.truth, source=case.source)
    print(case.name, *found, sep="\n    ")
    assert found[0].outcome == "passed"
    same = {one.impostor for one in found if one.outcome == "the same"}
    assert same == SAME.get(case.name, set())
    assert [str(one) for one in found[1:] if one.outcome not in ("caught", "the same")] == []


@pytest.mark.nightly
def test_wrong_algorithms_are_caught_along_lines():
    """Held to the mean over the same lines, where that is at least 0.01."""
    spec = thompson.Spec(2, 3, 4, nodes=8, error=0.02, separation=0.05, solver="zolotarev")
    found = impostors.unmasked(thompson.build(spec), line_policy)
    assert [one.outcome for one in found] == ["passed", *["caught"] * 6], "\n".join(map(str, found))


def test_what_no_audit_can_tell_apart_is_said_with_its_numbers():
    [coarse] = [case for case in CASES if case.name == "linucb one step"]
    found = impostors.unmasked(coarse.built, coarse.truth, source=coarse.source)
    close = {one.impostor: one for one in found if one.outcome == "too close"}
    assert set(close) == {"exploration 1 % off", "ridge 1 % off", "temperature 1 % off"}
    assert all(0 < one.distance < one.allowed == coarse.built.allowed for one in close.values())
    assert str(close["ridge 1 % off"]).startswith("ridge 1 % off: too close, distance 2.81e-03, error ")


@pytest.mark.parametrize(
    ("impostor", "score", "distance", "outcome"),
    [
        (impostors.TRUE, 1.0, 0.0, "passed"),
        (impostors.TRUE, 1.01, 0.0, "refused"),
        ("arms reversed", 1.01, 1e-9, "caught"),
        ("arms reversed", 1.0, 0.1, "too close"),
        ("arms reversed", 1.0, 0.11, "missed"),
        ("arms reversed", 9.0, 0.0, "the same"),
    ],
)
def test_what_became_of_an_impostor_follows_from_its_numbers(impostor, score, distance, outcome):
    assert impostors.Unmasked(impostor, score, 1.0, distance, 0.1).outcome == outcome


@every_case
def test_bad_input_is_named(case):
    """Specifications that cannot be built, and a history of one step too many."""
    for change, message in case.bad:
        with pytest.raises(ValueError, match=message):
            case.rejects(change)

    def law(history):
        with pytest.raises(ValueError, match=r"history: wanted at most .*, got"):
            case.built.log_probabilities(history)

    search(case, law, steps=case.decisions + 1, examples=1)


@pytest.mark.parametrize(
    "case", [c for c in CASES if "bernoulli" in c.name or "UCB1" in c.name], ids=lambda c: c.name
)
def test_arms_and_rewards_of_another_kind_are_named(case):
    """Where arms are one-hot vectors and rewards 0 or 1."""
    arms = np.eye(case.spec.actions)
    decoder = case.built.decoder()
    with pytest.raises(ValueError, match="contexts: wanted the identity"):
        decoder.observe(arms[::-1])
    decoder.observe(arms)
    with pytest.raises(ValueError, match=r"rewards: wanted 0 or 1, got 0\.5"):
        decoder.record(0, 0.5)
