"""A certificate belongs to its weights: whatever is changed, nothing is promised any more, until it is put back."""

import copy
import json
import math
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
import soft_ucb1
import torch
from safetensors import safe_open
from tiny_cases import CASES

import constructions
from constructions import linucb
from verify.inspector.record import record

CASE = CASES["linucb newton"]
HISTORY = CASE.history()
WEIGHT = "layers.6.mlp.second.weight"


def fresh():
    return copy.deepcopy(CASE.built())


def promises(built) -> set[float]:
    """Every certificate and every promise that is shown."""
    shown = {built.certificate, built.allowed, built.record()["certificate"]}
    shown |= {bound.error for block in built.blocks for bound in (block.promise.own, block.promise.total)}
    shown |= {block.promise.derived.error for block in built.blocks if block.promise.derived}
    return shown | {bound for probe in built.probe(HISTORY) for bound in (probe.promise, probe.own_promise)}


def assert_broken(built):
    assert promises(built) == {math.inf}
    assert repr(built).endswith("certificate inf>")
    assert built._repr_html_().count("<td>inf</td>") == 1 + len(built.blocks)


def weight(model):
    return model.get_parameter(WEIGHT)


def part(model):
    return model.layers[6].mlp.second


def in_place(built):
    weight(built.transformer)[3] *= 2


def through_data(built):
    weight(built.transformer).data[3] *= 2


def through_numpy(built):
    weight(built.transformer).numpy()[3] *= 2


def one_bit(built):
    values = weight(built.transformer).numpy()
    values[3] = np.nextafter(values[3], np.inf)


def another_parameter(built):
    part(built.transformer).weight = torch.nn.Parameter(
        2 * weight(built.transformer).data, requires_grad=False
    )


def loaded_state(built):
    state = built.transformer.state_dict()
    built.transformer.load_state_dict(state | {WEIGHT: 2 * state[WEIGHT]})


def another_row(built):
    part(built.transformer).rows[3] += 1


def another_column(built):
    part(built.transformer).columns[3] += 1


def another_target(built):
    built.transformer.layers[0].attention.groups[0].targets[0] += 1


def single(built):
    built.transformer.float()


def half_single(built):
    built.transformer.layers[6].float()


def other_radius(built):
    built.transformer.clip_radius /= 2


def other_repeat(built):
    built.transformer.layers[1].repeat += 1


def layer_removed(built):
    del built.transformer.layers[5]


def layers_exchanged(built):
    layers = built.transformer.layers
    layers[1], layers[2] = layers[2], layers[1]


def heads_removed(built):
    del built.transformer.layers[0].attention.groups[0]


IN_PLACE = (in_place, through_data, through_numpy, one_bit, another_parameter, loaded_state, single)
STRUCTURE = (
    *(another_row, another_column, another_target, half_single, other_radius, other_repeat),
    *(layer_removed, layers_exchanged, heads_removed),
)


@pytest.mark.parametrize("change", IN_PLACE + STRUCTURE)
def test_whatever_is_changed_nothing_is_promised_by_it_its_copy_or_its_pickle(change):
    built = fresh()
    change(built)
    try:
        assert_broken(built)
    except (ValueError, IndexError, RuntimeError):  # what can no longer be run or laid out says so
        assert change in STRUCTURE
    for other in (
        built,
        copy.deepcopy(built),
        pickle.loads(pickle.dumps(built)),
        replace(built, chance=None),
    ):
        assert other.certificate == math.inf
        assert all(block.promise.total.error == math.inf for block in other.blocks)
    whole = replace(built, transformer=CASE.built().transformer)
    assert whole.certificate == CASE.built().certificate
    assert promises(whole) == promises(CASE.built())


@pytest.mark.parametrize("change", IN_PLACE)
def test_what_is_damaged_comes_back_damaged_from_a_pickle_and_a_file(change, tmp_path):
    built = fresh()
    change(built)
    built.save(tmp_path / "damaged.safetensors")
    with safe_open(tmp_path / "damaged.safetensors", framework="pt") as file:
        assert file.metadata()["certificate"] == "inf"
    from_file = constructions.load(tmp_path / "damaged.safetensors")
    again = pickle.loads(pickle.dumps(built))
    for other in (from_file, again):
        assert_broken(other)
        for name, value in built.transformer.named_parameters():
            assert torch.equal(
                other.transformer.get_parameter(name), value.to(other.transformer.get_parameter(name))
            )
    assert torch.equal(weight(again.transformer), weight(built.transformer))
    assert again.transformer.get_parameter(WEIGHT).dtype == built.transformer.get_parameter(WEIGHT).dtype


@pytest.mark.parametrize("change", [one for one in STRUCTURE if one is not half_single])
def test_another_structure_is_not_saved(change, tmp_path):
    built = fresh()
    change(built)
    with pytest.raises(ValueError, match=r"save: wanted what linucb.Spec builds"):
        built.save(tmp_path / "damaged.safetensors")


def test_put_back_to_the_last_bit_all_is_promised_again():
    built = fresh()
    values = weight(built.transformer).numpy()
    before = values[3]
    values[3] = before * 3
    assert_broken(built)
    values[3] = np.nextafter(before, np.inf)
    assert_broken(built)
    values[3] = before
    assert promises(built) == promises(CASE.built())


def test_moved_and_still_the_same_weights_keep_their_promises():
    built = fresh()
    built.transformer.train().to("cpu").requires_grad_(True)
    assert built.certificate == CASE.built().certificate
    assert pickle.loads(pickle.dumps(built)).certificate == CASE.built().certificate


def test_another_spec_or_other_tokens_are_promised_nothing(tmp_path):
    built = fresh()
    assert_broken(replace(built, spec=replace(built.spec, temperature=1.0)))
    other = replace(built, tokens=replace(built.tokens, bernoulli=True))
    assert other.certificate == pickle.loads(pickle.dumps(other)).certificate == math.inf
    with pytest.raises(ValueError, match="got another structure, clip radius or tokens"):
        other.save(tmp_path / "other.safetensors")


def test_a_construction_of_strangers_is_sealed_as_it_is_made_and_saved(tmp_path, monkeypatch):
    built = soft_ucb1.build(soft_ucb1.Spec(actions=2, horizon=3))
    path = tmp_path / "built.safetensors"
    built.save(path)
    assert repr(constructions.load(path)) == repr(built)
    assert 0 < built.certificate <= 1e-2
    assert repr(built).startswith("<soft_ucb1.Spec(actions=2, horizon=3): 2 layers")
    next(built.transformer.parameters()).data[0] *= 2
    assert built.certificate == math.inf
    assert pickle.loads(pickle.dumps(built)).certificate == math.inf
    built.save(path)
    assert constructions.load(path).certificate == math.inf
    monkeypatch.delitem(sys.modules, "soft_ucb1")
    with pytest.raises(
        ValueError, match=r"kind: wanted a spec .* or of one that is imported, got soft_ucb1.Spec"
    ):
        constructions.load(path)


def test_the_inspector_s_page_promises_nothing_either():
    built = fresh()
    in_place(built)
    page = json.loads(json.dumps(record(built, "title")))
    assert page["certificate"] == "inf"
    assert {block[bound]["whole"] for block in page["blocks"] for bound in ("own", "total")} == {"inf"}


@pytest.mark.parametrize("change", [through_data, through_numpy, another_parameter, single, layer_removed])
def test_what_is_evaluated_are_the_weights_as_they_are(change):
    """Programs that were compiled before are not used any more, and are again when the weights are back."""
    built = fresh()
    before, cached = built.log_probabilities(HISTORY), built.run_with_cache(HISTORY)[0]
    probes = [probe.error for probe in built.probe(HISTORY)]
    change(built)
    tokens = torch.as_tensor(built.tokens.encode(HISTORY))
    literal = copy.deepcopy(built.transformer).double()(tokens).numpy()[built.tokens.states(HISTORY.steps)]
    wanted = built.policy(literal)
    assert np.abs(wanted - before).max() > 1e-9
    played = built.decoder()
    rows = []
    for step in range(HISTORY.steps):
        rows.append(played.observe(HISTORY.contexts[step]))
        if step < HISTORY.steps - 1:
            played.record(int(HISTORY.actions[step]), float(HISTORY.rewards[step]))
    for found in (built.log_probabilities(HISTORY), built.run_with_cache(HISTORY)[0], np.array(rows)):
        np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert [probe.error for probe in built.probe(HISTORY)] != probes
    whole = replace(built, transformer=copy.deepcopy(CASE.built().transformer))
    np.testing.assert_array_equal(whole.log_probabilities(HISTORY), before)
    np.testing.assert_array_equal(whole.run_with_cache(HISTORY)[0], cached)


def test_programs_are_compiled_once_for_the_same_weights():
    built = fresh()
    first = built.policy_program
    assert built.policy_program is first
    in_place(built)
    assert built.policy_program is not first


def test_a_decoder_goes_by_the_weights_of_its_beginning():
    built = fresh()
    steady, changed = built.decoder(), built.decoder()
    assert np.array_equal(steady.observe(HISTORY.contexts[0]), changed.observe(HISTORY.contexts[0]))
    for name, value in built.transformer.named_parameters():
        if "weight" in name:
            value.mul_(2)
    whole = fresh().log_probabilities(HISTORY)
    for step in range(1, HISTORY.steps):
        steady.record(int(HISTORY.actions[step - 1]), float(HISTORY.rewards[step - 1]))
        np.testing.assert_allclose(steady.observe(HISTORY.contexts[step]), whole[step], atol=1e-9)


def test_a_part_promises_for_its_own_weights():
    built = linucb.estimator(linucb.Spec(2, 3, 5), depth=3)
    assert built.certificate < math.inf
    built.transformer.layers[0].repeat = 2
    assert built.certificate == math.inf
