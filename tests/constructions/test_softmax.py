"""The transformer with softmax attention: its definition, three times, and what does not know of it."""

import copy
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from random_transformers import Blueprint, assert_equal_up_to_rounding, blueprints, random_tokens, seeds
from torch.nn.functional import scaled_dot_product_attention

from constructions import ucbvi
from constructions.fast.chunks import State
from constructions.fast.rewrite import compile_weights
from constructions.history import EpisodeHistory
from constructions.parts.assemble import assemble
from constructions.parts.block import EXACT, Block, Head, Promise, Step
from constructions.parts.links import read
from constructions.parts.stream import Stream
from constructions.seal import digest
from constructions.softmax.attention import softmax_shares
from constructions.transformer import Transformer
from verify.audit import exact

BUILT = ucbvi.build(ucbvi.SoftmaxSpec(states=2, actions=2, horizon=2, episodes=3))
HISTORY = EpisodeHistory([0, 1, 1, 0, 1], [1, 0, 1, 1], [0.25, 1.0, 0.5, 0.0], horizon=2)


def by_softmax(model: Transformer) -> Transformer:
    """The same weights under softmax attention."""
    model = copy.deepcopy(model)
    for layer in model.stored_layers:
        layer.attention.shares = softmax_shares
    return model


def by_definition(model: Transformer, tokens: np.ndarray) -> np.ndarray:
    """The definition in loops, from the literal matrices, for one sequence that no ball clips."""
    now = tokens
    for matrices, layer in zip(model.dense().matrices, model.stored_layers, strict=True):
        queries, keys, values, first, second = (part.numpy() for part in matrices)
        for _ in range(layer.repeat):
            after = []
            for i, h in enumerate(now):
                for q, k, v in zip(queries, keys, values, strict=True):
                    scores = np.array([(q @ now[i]) @ (k @ now[j]) for j in range(i + 1)])
                    weights = np.exp(scores - scores.max())
                    h = h + sum(w * (v @ now[j]) for j, w in enumerate(weights)) / weights.sum()
                after.append(h + second @ np.maximum(first @ h, 0.0))
            now = np.array(after)
    return now


@given(blueprints, seeds)
def test_factored_and_literal_weights_and_the_definition_agree(blueprint: Blueprint, seed: int):
    model = by_softmax(blueprint.build())
    tokens = random_tokens(seed, model.width, 5)[0]
    wanted = torch.as_tensor(by_definition(model, tokens.numpy()))
    assert_equal_up_to_rounding(model(tokens), wanted)
    assert_equal_up_to_rounding(model.dense()(tokens), wanted)


def test_a_head_is_torch_s_attention_without_a_scale():
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 4, 9, 5, dtype=torch.float64, generator=generator)
    wanted = scaled_dot_product_attention(query, key, value, is_causal=True, scale=1.0)
    torch.testing.assert_close(softmax_shares(query @ key.mT) @ value, wanted, rtol=0, atol=1e-14)
    assert (
        softmax_shares(1e4 * query @ key.mT).sum(-1) - 1
    ).abs().max() < 1e-12  # large scores do not overflow


def test_which_attention_it_is_belongs_to_the_seal():
    model = by_softmax(BUILT.transformer)
    assert digest(model) == digest(BUILT.transformer)
    for layer in model.stored_layers[:1]:
        layer.attention.shares = torch.zeros_like
    assert digest(model) != digest(BUILT.transformer)
    assert replace(BUILT, transformer=model).certificate == np.inf


def test_a_head_of_the_other_attention_is_refused():
    stream = Stream.of(x=1, y=1)
    x, y = read(stream["x"]), stream["y"]
    for made, wanted in (("relu", "softmax"), ("softmax", "relu")):
        head = Head("sum", x, x, x, y, attention=made)
        block = Block(
            "sum", "", (Step((head,)),), y, lambda values: values["y"], Promise("", EXACT, EXACT, 1.0)
        )
        with pytest.raises(
            ValueError, match=f"head sum: wanted one for {wanted} attention, got one for {made}"
        ):
            assemble(stream, frozenset({"x"}), [[block]], 1.0, wanted)
        assert assemble(stream, frozenset({"x"}), [[block]], 1.0, made).as_printed == (made == "relu")


def test_the_decoder_goes_on_where_it_left_off():
    """Its tapes know the paper's attention alone."""
    whole, decoder = BUILT.log_probabilities(HISTORY), BUILT.decoder()
    for step in range(HISTORY.steps):
        np.testing.assert_allclose(decoder.observe(HISTORY.states[step]), whole[step], rtol=0, atol=1e-10)
        if step < HISTORY.steps - 1:
            decoder.record(int(HISTORY.actions[step]), float(HISTORY.rewards[step]))
    late = BUILT.decoder()
    late.replay(HISTORY)
    np.testing.assert_allclose(late.observe(HISTORY.states[-1]), whole[-1], rtol=0, atol=1e-10)
    assert not late.state()[0].literal


def test_the_literal_layers_run_where_nothing_is_rewritten():
    """Whole or token by token: nothing is known of what tokens hold, or of the attention."""
    tokens = torch.as_tensor(BUILT.tokens.encode(HISTORY))[None]
    other = copy.deepcopy(BUILT.transformer)
    for layer in other.stored_layers[1:2]:
        layer.attention.shares = torch.zeros_like
    place, frame = BUILT.tokens.stream["position"].slice, BUILT.tokens.frame
    for model, known in ((BUILT.transformer, None), (other, frame)):
        wanted, program = model(tokens), compile_weights(model, place, 9, frame=known)
        assert program.literal
        assert not program.watch(tokens, lambda *_: None)
        torch.testing.assert_close(program.run(tokens), wanted, rtol=0, atol=1e-9)
        state = State()
        alone = [program.advance(tokens[:, n : n + 1], state)[0, 0] for n in range(tokens.shape[1])]
        torch.testing.assert_close(torch.stack(alone), wanted[0], rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="explain: wanted attention that is rewritten, got another"):
        program.explain()


def test_what_knows_the_paper_s_attention_alone_says_so():
    with pytest.raises(ValueError, match="exact evaluation: wanted the paper's attention, got another"):
        exact.logits(BUILT, HISTORY)


def test_sequences_begin_with_token_0():
    encoded, stream = BUILT.tokens.encode(HISTORY), BUILT.tokens.stream
    start = stream["start"].slice
    assert encoded[0, start] == encoded[0].sum() == 1
    assert not encoded[1:, start].any()
    assert encoded[1:, stream["position"].slice][:, 0].tolist() == list(range(1, len(encoded)))
    assert len(encoded) == BUILT.tokens.inner.encode(HISTORY).shape[0] + 1
    states = BUILT.tokens.states(HISTORY.steps)
    assert encoded[states][:, stream["state"].slice].argmax(1).tolist() == HISTORY.states.tolist()
    assert [BUILT.tokens.before(step) for step in (1, 2, 3)] == [0, 3, 5]


ALONE = """
import sys, torch
from model import load
model, told = load(".")
seen = torch.load("example.pt")
with torch.no_grad():
    found = model(seen["tokens"][None])[0][seen["states"]][:, told["logits"]].log_softmax(-1)
assert not {"constructions", "verify", "weightwright", "numpy.testing"} & set(sys.modules)
shares = model.layers[1].pattern(seen["tokens"][None]).sum(-1)
print(float((found - seen["log_probabilities"]).abs().max()), float(shares.max()))
"""


def test_a_process_without_this_package_gives_the_same_log_probabilities(tmp_path):
    model = BUILT.to_torch(tmp_path / "out", HISTORY)
    tokens = torch.as_tensor(BUILT.tokens.encode(HISTORY))[None]
    assert_equal_up_to_rounding(model(tokens).detach(), BUILT.transformer(tokens))
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{ALONE}"]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path / "out", check=True)
    error, most = map(float, shown.stdout.split())
    assert error <= 1e-12
    assert abs(most - 1) <= 1e-12
    told = json.loads((tmp_path / "out" / "model.json").read_text())
    assert told["certificate"] == BUILT.certificate
    assert told["registers"]["start"][1] == 1
    assert len((tmp_path / "out" / "model.py").read_text().splitlines()) <= 90


def test_an_exported_weight_that_is_wrong_is_seen(tmp_path):
    model = BUILT.to_torch()
    tokens = torch.as_tensor(BUILT.tokens.encode(HISTORY))[None]
    with torch.no_grad():
        model.layers[3].get_parameter("W_out").mul_(1.01)
        assert (model(tokens) - BUILT.transformer(tokens)).abs().max() > 1e-3


def test_the_paper_s_attention_is_not_exported():
    with pytest.raises(ValueError, match="to_torch: wanted softmax attention, got the paper's"):
        ucbvi.build(BUILT.spec.plain).to_torch()
