"""What registers hold from layer to layer, and what follows if it is replaced."""

import numpy as np
import pytest
import torch
from tiny_cases import CASES

from constructions.history import BanditHistory
from verify.training import train

LINUCB, NEWTON = CASES["linucb agd"], CASES["linucb newton"]
ROUNDING = 1e-6
"""Gates of up to 2³⁰ cancel in the literal layers, to 2³⁰ roundings of float64; the rewritten ones leave them out."""


def softmax(logits):
    return torch.log_softmax(torch.as_tensor(logits), dim=-1).numpy()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_literal_layers_and_the_rewritten_ones_hold_the_same_everywhere(case):
    built, history = case.built(), case.history()
    policy, literal = built.run_with_cache(history, literal=True, layers=range(built.size().layers + 1))
    assert len(literal) == (built.size().layers + 1) * len(built.tokens.stream.registers)
    fast_policy, fast = built.run_with_cache(history, layers=range(built.size().layers + 1))
    assert list(fast) == list(literal)
    for place in literal:
        scale = 1 + np.abs(literal[place]).max()
        np.testing.assert_allclose(
            fast[place], literal[place], rtol=0, atol=ROUNDING * scale, err_msg=str(place)
        )
    states = built.tokens.states(history.steps)
    for given, cache in ((policy, literal), (fast_policy, fast)):  # two ways to round one log softmax
        np.testing.assert_allclose(given, softmax(cache[-1, "logits"][states]), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(fast_policy, built.log_probabilities(history), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_last_layer_kept_is_what_the_module_returns(case):
    built, tokens = case.built(), torch.as_tensor(case.built().tokens.encode(case.history()))
    _, cache = built.run_with_cache(case.history(), literal=True)
    with torch.no_grad():
        output = built.transformer(tokens).numpy()
    for name, register in built.tokens.stream.registers.items():
        np.testing.assert_array_equal(cache[-1, name], output[:, register.slice])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_block_s_result_is_what_the_probe_finds(case):
    built, history = case.built(), case.history()
    _, cache = built.run_with_cache(history)
    states = built.tokens.states(history.steps)
    for probe in built.probe(history):
        np.testing.assert_allclose(
            cache[probe.block][states].reshape(probe.computed.shape), probe.computed, rtol=1e-9, atol=ROUNDING
        )


def test_by_default_the_cache_is_about_two_layers_large():
    built, history = LINUCB.built(), LINUCB.history()
    _, cache = built.run_with_cache(history)
    held = sum(cache[place].size for place in cache)
    assert built.size().layers > 50
    assert held <= 2 * (2 * history.steps - 1) * built.size().width


def test_only_what_was_asked_for_is_kept():
    built, history = LINUCB.built(), LINUCB.history()
    _, cache = built.run_with_cache(history, layers=[0, 3, -1], registers=["ridge"])
    assert list(cache) == [(0, "ridge"), (3, "ridge"), (built.size().layers, "ridge")]
    assert (cache[0, "ridge"] == 0).all()
    assert (cache[3, "ridge"] != cache[-1, "ridge"]).any()
    assert (3, "ridge") in cache
    assert (2, "ridge") not in cache
    with pytest.raises(ValueError, match=r"wanted a layer and register that were kept, got \(2, 'ridge'\)"):
        cache[2, "ridge"]
    _, along = built.run_with_cache(history, registers="ridge")
    assert len(along) == built.size().layers + 1
    assert "Activations(3 arrays of 3 layers" in repr(cache)


def test_a_history_that_is_clipped_falls_back_on_the_literal_layers():
    built, history = LINUCB.built(), LINUCB.history()
    radius = built.transformer.clip_radius
    try:
        built.transformer.clip_radius = 8.0
        policy, cache = built.run_with_cache(history)
        whole = np.concatenate([cache[-1, name] for name in built.tokens.stream.registers], axis=1)
        assert np.linalg.norm(whole, axis=1).max() <= 8.0 * (1 + 1e-12)
        np.testing.assert_array_equal(policy, built.run_with_cache(history, literal=True)[0])
    finally:
        built.transformer.clip_radius = radius


@pytest.mark.parametrize("literal", [False, True])
def test_without_the_confidence_width_linucb_is_greedy(literal):
    built, history = LINUCB.built(), LINUCB.history()
    [block] = [block for block in built.blocks if [r.name for r in block.outputs] == ["width"]]
    hook = (block.name, lambda values, layer: np.zeros_like(values))
    policy, cache = built.run_with_cache(history, hooks=[hook], literal=literal)
    mean = cache["mean ⟨a_k, w⟩"][built.tokens.states(history.steps)]
    np.testing.assert_allclose(policy, softmax(mean / built.spec.temperature), atol=1e-9)
    assert np.abs(policy - built.log_probabilities(history)).max() > 0.1
    np.testing.assert_allclose(built.run_with_hooks(history, [hook]), policy, rtol=0, atol=ROUNDING)


def test_a_patch_changes_what_reads_it_and_nothing_else():
    """Patched after the layer of the products: the logits change, as the weights say; all else stays bit for bit."""
    built, history = LINUCB.built(), LINUCB.history()
    end = built.sites.results["mean ⟨a_k, w⟩"][0]
    everything = range(built.size().layers + 1)
    _, before = built.run_with_cache(history, everything, literal=True)
    shift = np.array([1.0, 0.0, -2.0])
    hook = ((end, "mean"), lambda values, layer: values + shift)
    _, after = built.run_with_cache(history, everything, hooks=[hook], literal=True)
    changed = {place for place in before if (before[place] != after[place]).any()}
    last = built.size().layers
    assert changed == {*((n, "mean") for n in range(end, last + 1)), (last, "logits")}
    np.testing.assert_allclose(
        after[-1, "mean"] - before[-1, "mean"], np.tile(shift, (len(after[-1, "mean"]), 1)), atol=1e-9
    )
    np.testing.assert_allclose(
        after[-1, "logits"] - before[-1, "logits"],
        np.tile(shift / built.spec.temperature, (len(after[-1, "mean"]), 1)),
        atol=1e-6,
    )


def test_the_true_estimate_put_in_leaves_no_error_of_the_descent():
    built, history = LINUCB.built(), LINUCB.history()
    [ridge] = [block for block in built.blocks if block.name == "ridge estimate"]
    tokens = built.tokens.encode(history)
    true = ridge.truth(
        {name: tokens[:, register.slice] for name, register in built.tokens.stream.registers.items()}
    )
    [mean] = [probe for probe in built.probe(history) if probe.block == "mean ⟨a_k, w⟩"]
    _, cache = built.run_with_cache(history, hooks=[("ridge estimate", lambda values, layer: true)])
    states = built.tokens.states(history.steps)
    np.testing.assert_allclose(cache["mean ⟨a_k, w⟩"][states], mean.true[..., 0], atol=1e-12)
    assert np.abs(mean.computed - mean.true).max() > 1e-6


def test_hooks_are_told_the_layer_though_it_is_tied():
    built, history, told = LINUCB.built(), LINUCB.history(), []
    assert built.transformer.stored_layers[0].repeat > 9

    def look(values, layer):
        told.append((layer, values.copy()))
        values[:] = np.nan  # a copy: nothing happens

    policy = built.run_with_hooks(history, [((range(3, 6), "ridge"), look), ((-1, "logits"), look)])
    assert [layer for layer, _ in told] == [3, 4, 5, built.size().layers]
    _, cache = built.run_with_cache(history, range(3, 6), ["ridge"], literal=True)
    for layer, values in told[:3]:
        np.testing.assert_allclose(values, cache[layer, "ridge"], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(policy, built.log_probabilities(history), rtol=0, atol=ROUNDING)


def test_hooks_on_the_input_act_before_the_first_layer():
    built, history = NEWTON.built(), NEWTON.history()
    policy = built.run_with_hooks(history, [((0, "reward"), lambda values, layer: 0 * values)])
    tokens = torch.as_tensor(built.tokens.encode(history))
    tokens[:, built.tokens.stream["reward"].slice] = 0
    output = built.transformer(tokens).numpy()[built.tokens.states(history.steps)]
    np.testing.assert_array_equal(policy, built.policy(output))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("ridge", "block: wanted one of ridge estimate, .* or a pair"),
        ((84, "ridge"), "layer: wanted 0..83, or −1 for the last and so on, got 84"),
        ((-85, "ridge"), "layer: wanted 0..83"),
        ((1, "rigde"), "register: wanted one of .*, got 'rigde'"),
        (3, r"place: wanted \(layer, register\) or a block's name, got 3"),
    ],
)
def test_unknown_places_are_refused(place, message):
    built = LINUCB.built()
    assert built.size().layers == 83
    with pytest.raises(ValueError, match=message):
        built.run_with_hooks(LINUCB.history(), [(place, lambda values, layer: None)])


def test_arrays_of_another_shape_are_refused():
    hook = ((2, "ridge"), lambda values, layer: values[:, :1])
    with pytest.raises(
        ValueError, match=r"hook: wanted an array of shape \(9, 2\) for ridge after layer 2, got \(9, 1\)"
    ):
        LINUCB.built().run_with_hooks(LINUCB.history(), [hook])


def test_torch_s_own_hooks_fire_on_the_literal_layers():
    """Once for every application of a tied layer."""
    built, history, count = LINUCB.built(), LINUCB.history(), []
    handle = built.transformer.layers[0].register_forward_hook(lambda *_: count.append(1))
    try:
        built.run_with_cache(history, literal=True)
    finally:
        handle.remove()
    assert len(count) == built.transformer.stored_layers[0].repeat


@pytest.fixture(scope="module")
def trained():
    return train.load("dpt-bernoulli")


BANDIT = BanditHistory(np.tile(np.eye(5), (4, 1, 1)), [0, 3, 3], [1, 0, 1])


def test_a_trained_model_s_cache_is_what_it_computes(trained):
    policy, cache = trained.run_with_cache(BANDIT)
    assert len(cache) == trained.model.shape.layers + 1
    np.testing.assert_allclose(policy, trained.log_probabilities(BANDIT), atol=1e-5)
    tokens = torch.as_tensor(trained.recipe.tokens.encode(BANDIT)[None], dtype=torch.float32)
    places = torch.as_tensor(trained.recipe.tokens.states(BANDIT.steps))
    with torch.no_grad():
        for kept, true in zip(cache, trained.model.activations(tokens, places), strict=True):
            np.testing.assert_allclose(kept[places], true[0], atol=1e-5)


def test_hooks_patch_a_trained_model(trained):
    """What one history's tokens hold, put in another's: from the last layer on they agree."""
    other = BanditHistory(BANDIT.contexts, [1, 1, 2], [0, 1, 1])
    policy, cache = trained.run_with_cache(other)
    patched, after = trained.run_with_cache(BANDIT, [(5, lambda values, layer: cache[layer])])
    np.testing.assert_array_equal(patched, policy)
    assert (after[4] != cache[4]).any()
    assert np.abs(trained.log_probabilities(BANDIT) - policy).max() > 0.1
    np.testing.assert_array_equal(
        trained.run_with_hooks(BANDIT, [(8, lambda *_: None)]), trained.run_with_cache(BANDIT)[0]
    )
    with pytest.raises(ValueError, match=r"layer: wanted 0..8, got 9"):
        trained.run_with_hooks(BANDIT, [(9, lambda *_: None)])
    with pytest.raises(
        ValueError, match=r"hook: wanted an array of shape \(7, 32\) after layer 1, got \(7, 31\)"
    ):
        trained.run_with_hooks(BANDIT, [(1, lambda values, layer: values[:, 1:])])
    assert repr(trained).endswith("8 layers, 4 heads, width 32, relu attention>")
