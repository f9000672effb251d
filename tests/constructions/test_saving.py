"""Constructions as files, as pickles, and as they show themselves."""

import copy
import json
import math
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_cases import CASES

import constructions
from constructions import linucb, thompson
from constructions.showing import Table
from verify.audit import exact

LINUCB = CASES["linucb newton"]
WEIGHT = "layers.6.mlp.second.weight"


def metadata(path) -> dict:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "built.safetensors"
    LINUCB.built().save(path)
    return path


def rewrite(path, tensors=None, **more):
    """The same file with other tensors or metadata."""
    told = {name: value for name, value in (metadata(path) | more).items() if value is not None}
    save_file(load_file(path) if tensors is None else tensors, path, told)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_loaded_is_what_was_saved(case, tmp_path):
    built, path = case.built(), tmp_path / "new" / "built.safetensors"
    built.save(str(path))
    loaded = constructions.load(str(path))
    assert (loaded.spec, loaded.certificate) == (built.spec, built.certificate)
    assert loaded.size() == built.size()
    for name, value in built.transformer.state_dict().items():
        assert torch.equal(loaded.transformer.state_dict()[name], value)
    np.testing.assert_array_equal(
        loaded.log_probabilities(case.history()), built.log_probabilities(case.history())
    )
    assert os.listdir(path.parent) == [path.name]


def test_the_metadata_says_what_it_is(saved):
    built, told = LINUCB.built(), metadata(saved)
    assert told["format"] == "weightwright construction 1"
    assert told["kind"] == "linucb.Spec"
    assert told["version"] == constructions.__version__
    assert float(told["certificate"]) == built.certificate
    record = {"spec": json.loads(told["spec"]), "size": json.loads(told["size"])}
    assert record == json.loads(json.dumps({name: built.record()[name] for name in record}))


def test_the_file_is_readable_as_other_new_files_are(saved, tmp_path):
    (tmp_path / "plain").touch()
    assert saved.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_changed_weight_is_loaded_and_nothing_is_promised(saved):
    tensors, history = load_file(saved), LINUCB.history()
    tensors[WEIGHT] *= 1.5
    rewrite(saved, tensors)
    loaded, built = constructions.load(saved), LINUCB.built()
    assert loaded.certificate == math.inf
    assert all(block.promise.own.error == block.promise.total.error == math.inf for block in loaded.blocks)
    tokens = torch.as_tensor(built.tokens.encode(history))
    output = loaded.transformer.dense()(tokens).numpy()[built.tokens.states(history.steps)]
    policy = loaded.log_probabilities(history)
    np.testing.assert_allclose(policy, loaded.policy(output), atol=1e-6)
    assert np.abs(policy - built.log_probabilities(history)).max() > 0.01
    loaded.save(saved)  # and again: it does not forget
    assert metadata(saved)["certificate"] == "inf"
    again = constructions.load(saved)
    assert again.certificate == math.inf
    np.testing.assert_array_equal(again.log_probabilities(history), policy)


def test_the_last_bit_of_a_weight_counts(saved):
    tensors = load_file(saved)
    tensors[WEIGHT][0] = np.nextafter(float(tensors[WEIGHT][0]), np.inf)
    rewrite(saved, tensors)
    assert constructions.load(saved).certificate == math.inf


def test_exact_arithmetic_goes_by_a_changed_weight_and_not_by_the_fraction_that_it_was(tmp_path):
    case = CASES["ucbvi slim"]
    built, history = copy.deepcopy(case.built()), case.history()
    parts = [part for part in built.transformer.modules() if getattr(part, "exact", None) is not None]
    for part in parts:
        part.weight.data *= 0.5
    built.save(tmp_path / "changed.safetensors")
    loaded = constructions.load(tmp_path / "changed.safetensors")
    assert (
        exact.logits(loaded, history) == exact.logits(built, history) != exact.logits(case.built(), history)
    )


def missing(tensors):
    del tensors[WEIGHT]


def foreign(tensors):
    tensors["more"] = torch.zeros(1)


def shorter(tensors):
    tensors[WEIGHT] = tensors[WEIGHT][1:].clone()


def single(tensors):
    tensors[WEIGHT] = tensors[WEIGHT].float()


def unending(tensors):
    tensors[WEIGHT][0] = torch.inf


def elsewhere(tensors):
    tensors["layers.6.mlp.second.rows"][0] += 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (missing, f"tensors, got .*, {WEIGHT} among them or missing"),
        (foreign, "tensors, got .*, more among them or missing"),
        (shorter, rf"{WEIGHT} of shape .*, got .*"),
        (single, r"float64, got .* of torch.float32"),
        (unending, f"{WEIGHT} finite, got inf"),
        (elsewhere, "rows as its spec has it, got entries in other places"),
    ],
)
def test_other_tensors_than_the_spec_s_are_refused(saved, change, message):
    tensors = load_file(saved)
    change(tensors)
    rewrite(saved, tensors)
    with pytest.raises(
        ValueError, match=f"built.safetensors: wanted a construction .* of this version: .*{message}"
    ):
        constructions.load(saved)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"format": "weightwright training 1"}, "got format 'weightwright training 1'"),
        ({"format": None}, "got format None"),
        ({"kind": "os.system"}, "kind: wanted a spec beside the function build .*, got os.system"),
        ({"kind": None}, "got KeyError: 'kind'"),
        ({"spec": "{"}, "got JSONDecodeError"),
        ({"spec": "[]"}, r"spec: wanted fields by name, got \[\]"),
        ({"spec": '{"dim": 2, "actions": 3, "horizon": 0}'}, "horizon: wanted an integer >= 1, got 0"),
        ({"spec": '{"dim": 2, "actions": 3, "horizon": 1, "colour": 3}'}, "got TypeError: "),
        ({"spec": '{"dim": 2, "actions": 3, "horizon": 5}'}, "another checksum than its content has"),
        ({"sha256": None}, "another checksum than its content has"),
    ],
)
def test_other_metadata_is_refused(saved, more, message):
    rewrite(saved, **more)
    with pytest.raises(
        ValueError, match=f"built.safetensors: wanted a construction written by `save`.*{message}"
    ):
        constructions.load(saved)


def test_torn_and_missing_files_are_refused(saved, tmp_path):
    whole = saved.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        saved.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="wanted a construction written by `save`, got SafetensorError"):
            constructions.load(saved)
    with pytest.raises(ValueError, match="got FileNotFoundError"):
        constructions.load(tmp_path / "none.safetensors")


def test_what_fails_while_it_is_written_leaves_the_file_before(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        LINUCB.built().save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_parts_of_constructions_are_not_saved(tmp_path):
    """Their spec alone would build the whole."""
    part = linucb.estimator(linucb.Spec(2, 3, 5), depth=3)
    with pytest.raises(ValueError, match=r"linucb.Spec: wanted what it builds, got a part of that"):
        part.save(tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"linucb.Spec: wanted what it builds, got a part of that"):
        pickle.dumps(part)
    assert not os.listdir(tmp_path)


def test_numbers_in_single_precision_are_saved_as_they_are(tmp_path):
    built = copy.deepcopy(LINUCB.built())
    built.transformer.float()
    built.save(tmp_path / "single.safetensors")
    loaded = constructions.load(tmp_path / "single.safetensors")
    assert loaded.certificate == math.inf
    assert loaded.transformer.get_parameter(WEIGHT).dtype == torch.float64
    assert torch.equal(
        loaded.transformer.get_parameter(WEIGHT).float(), built.transformer.get_parameter(WEIGHT)
    )


@pytest.mark.parametrize("name", ["linucb agd", "thompson lines", "ucbvi narrow"])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda built: pickle.loads(pickle.dumps(built))])
def test_copies_and_pickles_are_the_same(name, again):
    built, history = CASES[name].built(), CASES[name].history()
    other = again(built)
    assert other.transformer is not built.transformer
    assert (other.spec, other.certificate) == (built.spec, built.certificate)
    np.testing.assert_array_equal(other.log_probabilities(history), built.log_probabilities(history))
    assert other.explain() == built.explain()
    assert len(other.probe(history)) == len(built.blocks)


def test_copies_do_not_share_weights():
    built = LINUCB.built()
    other = copy.deepcopy(built)
    before = built.transformer.get_parameter(WEIGHT).clone()
    other.transformer.get_parameter(WEIGHT).mul_(2)
    assert torch.equal(built.transformer.get_parameter(WEIGHT), before)
    assert pickle.loads(pickle.dumps(other)).certificate == math.inf


def test_one_line_says_what_was_built():
    built = LINUCB.built()
    assert repr(built) == (
        "<linucb.Spec(dim=2, actions=3, horizon=5, error=0.1, solver='newton'): 7 layers, 16 heads, "
        f"43 register entries, 34 neurons; certificate {built.certificate:.3g}>"
    )
    assert "\n" not in repr(CASES["thompson lines"].built())
    assert "error" not in repr(thompson.build(thompson.Spec(2, 2, 3)))  # filled in by the spec
    assert len(repr(built.probe(LINUCB.history())[0])) < 120


def test_the_table_names_every_block_and_escapes():
    built = CASES["linucb agd"].built()
    page = built._repr_html_()
    for block in built.blocks:
        assert f"<td>{block.name}</td><td>{len(block.steps) * block.repeat}</td>" in page
    assert page.count("<tr>") == len(built.blocks) + 3
    odd = replace(built, sealed_blocks=(replace(built.blocks[0], name="a<b"),))
    assert "<td>a&lt;b</td>" in odd._repr_html_()
    assert "http" not in page


def test_a_table_of_records_names_columns_escapes_and_rounds():
    table = Table(
        [{"name": "a<b", "holds": np.bool_(True), "error": 2 / 3}, {"name": "c", "holds": False, "error": 1}]
    )
    page = table._repr_html_()
    assert "<th>name</th><th>holds</th><th>error</th>" in page
    assert "<td>a&lt;b</td><td>yes</td><td>0.667</td>" in page
    assert "<td>c</td><td>no</td><td>1</td>" in page
    assert repr(table).split() == ["name", "holds", "error", "a<b", "yes", "0.667", "c", "no", "1"]
    for records, told in (
        ([], "one or more records"),
        ([{"name": 1}, {"error": 2}], "wanted name in every record"),
    ):
        with pytest.raises(ValueError, match=told):
            Table(records)


def test_records_are_columns_for_frames():
    """A mapping of columns of one length is what pandas.DataFrame and polars.DataFrame take."""
    built = LINUCB.built()
    columns = Table([built.record(), built.record()]).columns
    assert columns["size.layers"] == [built.size().layers] * 2
    assert columns["certificate"] == [built.certificate] * 2
    assert {len(values) for values in columns.values()} == {2}
    assert not any(isinstance(value, dict) for values in columns.values() for value in values)
    assert Table([{"a": {"b": {"c": 1}}}]).columns == {"a.b.c": [1]}
    assert Table([{"a": {"b": 1}}, {"a": {"c": 2}}]).columns == {"a.b": [1, None], "a.c": [None, 2]}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_made_of_columns(library):
    frames = pytest.importorskip(library, reason=f"{library} is not installed here")
    frame = frames.DataFrame(Table([LINUCB.built().record()] * 2).columns)
    assert frame["size.layers"].to_list() == [LINUCB.built().size().layers] * 2


def test_records_are_plain_numbers():
    built = LINUCB.built()
    told = json.loads(json.dumps(built.record()))
    assert told["size"]["layers"] == built.size().layers
    probe = built.probe(LINUCB.history())[0].record()
    kinds = [f"{kind}{what}" for kind in ("", "own_", "surrogate_") for what in ("error", "promise")]
    assert set(probe) == {"block", "relative", *kinds}
    assert json.loads(json.dumps(probe)) == probe


def test_counts_are_the_sizes():
    for case in CASES.values():
        size = case.built().size().record()
        assert case.built().transformer.counts() == {
            name: size[name] for name in ("layers", "heads", "width", "hidden")
        }
