"""Incremental decoding, saved states, other precisions."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from constructions import linucb
from constructions.tapes import stepping
from verify import algorithms
from verify.histories.linear import LinearOutline, battery

SPEC = linucb.Spec(dim=3, actions=4, horizon=12, error=1e-2)
BUILT = linucb.build(SPEC)
HISTORY = LinearOutline("random", "random", "spread", 12, 0.0, 7).history(SPEC)
WHOLE = BUILT.log_probabilities(HISTORY)


def play(decoder, start: int, stop: int) -> np.ndarray:
    found = []
    for step in range(start, stop):
        found.append(decoder.observe(HISTORY.contexts[step]))
        if step < HISTORY.steps - 1:
            decoder.record(int(HISTORY.actions[step]), float(HISTORY.rewards[step]))
    return np.array(found)


def test_a_saved_state_goes_on_as_if_nothing_had_happened():
    first = BUILT.decoder()
    play(first, 0, 5)
    saved = pickle.loads(pickle.dumps(first.state()))
    play(first, 5, 12)  # the saved state must not move with it
    for _ in range(2):
        second = BUILT.decoder()
        second.restore(saved)
        np.testing.assert_allclose(play(second, 5, 12), WHOLE[5:], rtol=0, atol=1e-10)


def test_a_replayed_past_is_a_past_that_was_lived():
    decoder = BUILT.decoder()
    decoder.replay(HISTORY.prefix(9))
    np.testing.assert_allclose(play(decoder, 8, 12), WHOLE[8:], rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match="wanted replay first"):
        decoder.replay(HISTORY)


@pytest.mark.nightly
def test_a_batch_is_its_members():
    others = [LinearOutline("random", "random", "spread", 12, 0.0, seed).history(SPEC) for seed in (1, 2, 3)]
    decoder = BUILT.decoder(batch=3)
    for step in range(12):
        found = decoder.observe(np.stack([history.contexts[step] for history in others]))
        wanted = np.stack([BUILT.log_probabilities(history)[step] for history in others])
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)
        if step < 11:
            decoder.record(
                np.array([history.actions[step] for history in others]),
                np.array([history.rewards[step] for history in others]),
            )


def test_a_batch_of_another_size_is_named():
    with pytest.raises(ValueError, match="batch: wanted an integer"):
        BUILT.decoder(batch=0)
    with pytest.raises(ValueError, match="wanted one context for each of 3 histories, got 2"):
        BUILT.decoder(batch=3).observe(HISTORY.contexts[:2])


def test_what_a_step_leaves_behind_does_not_grow_but_for_the_tokens_themselves():
    """Prefix sums and norms have one size at every step; only the list of inputs gets longer."""
    decoder = BUILT.decoder()
    sizes = []
    for step in range(1, 12):
        play(decoder, step - 1, step)
        state, *_ = decoder.state()
        past = state.past and [part.size for part in (*state.past.sums, state.past.norms, *state.past.sizes)]
        sizes.append(past or [value.numel() for value in state.memory.values()])
    assert sizes[0]
    assert sizes[1]
    assert all(sorted(size) == sorted(sizes[1]) for size in sizes[2:])


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif("not torch.cuda.is_available()"))]
)
@pytest.mark.parametrize(("dtype", "units"), [(torch.float64, 2.0**-53), (torch.float32, 2.0**-24)])
def test_precision_and_device_are_arguments(dtype, units, device):
    """What rounding may add is the promise's, in units of the precision asked for."""
    rounding = 2 * BUILT.blocks[-1].promise.total.rounding * units / 2.0**-53
    found = BUILT.log_probabilities(HISTORY, dtype=dtype, device=device)
    assert np.abs(found - algorithms.linucb(SPEC, HISTORY)).max() <= BUILT.certificate + rounding
    stepwise = play(BUILT.decoder(dtype=dtype, device=device), 0, 12)
    assert np.abs(stepwise - found).max() <= 2 * rounding


def test_float32_is_really_computed_in_float32():
    found = BUILT.log_probabilities(HISTORY, dtype=torch.float32)
    assert np.abs(found - WHOLE).max() > 1e-9


def test_a_product_that_outgrows_its_gate_is_computed_by_the_definition_from_then_on():
    """Ridge estimates blown up a thousandfold open the gates towards earlier tokens: late in a decoding, all must agree."""
    model = copy.deepcopy(BUILT.transformer)
    weights = model.get_parameter("layers.1.attention.groups.0.query.weight")
    weights[weights.abs() == 1.0] *= (
        1000.0  # the vectors and the position parts: no longer a recognisable gate of this size
    )
    loud = replace(BUILT, transformer=model)
    tokens = torch.as_tensor(loud.tokens.encode(HISTORY))
    wanted = loud.policy(model(tokens).numpy()[loud.tokens.states(HISTORY.steps)])
    np.testing.assert_allclose(loud.log_probabilities(HISTORY), wanted, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(play(loud.decoder(), 0, 12), wanted, rtol=1e-9, atol=1e-6)


def test_an_error_beyond_float64_is_refused_at_once():
    with pytest.raises(ValueError, match=r"wanted an error that 100,000 knots can reach|wanted .* float64"):
        linucb.build(replace(SPEC, error=1e-12))


def test_a_construction_explains_its_layers():
    row = BUILT.explain()[1]
    assert row["heads"]["OwnProduct"] == 4 * SPEC.actions


@pytest.mark.nightly
def test_the_battery_is_decided_alike_one_by_one():
    for outline in battery(SPEC)[::30]:
        history = outline.history(SPEC)
        decoder = BUILT.decoder()
        whole = BUILT.log_probabilities(history)
        for step in range(history.steps):
            np.testing.assert_allclose(
                decoder.observe(history.contexts[step]), whole[step], rtol=0, atol=1e-9
            )
            if step < history.steps - 1:
                decoder.record(int(history.actions[step]), float(history.rewards[step]))


def test_a_compiled_decoder_wants_numba_and_decides_alike(monkeypatch):
    built = linucb.build(linucb.Spec(2, 3, 5, 0.1, "newton"))
    history = LinearOutline("random", "random", "spread", 5, 0.0, 7).history(built.spec)
    for batch in (None, 2):
        decoders = built.decoder(batch), built.decoder(batch, compiled=True)
        for step in range(5):
            context = history.contexts[step]
            given = context if batch is None else np.stack([context, context[::-1]])
            first, second = (decoder.observe(given) for decoder in decoders)
            np.testing.assert_allclose(first, second, rtol=0, atol=1e-12)
            if step < 4:
                done = int(history.actions[step]), float(history.rewards[step])
                for decoder in decoders:
                    decoder.record(*(done if batch is None else ([part] * 2 for part in done)))
    monkeypatch.setattr(stepping, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"compiled: wanted numba, got none: pip install 'weightwright\[compiled\]'"
    ):
        built.decoder(compiled=True)
