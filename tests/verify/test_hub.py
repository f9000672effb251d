"""Folders in Hugging Face's layout: what is written comes back, and what was changed is told."""

import json

import numpy as np
import pytest
import torch
from tiny_cases import CASES

from verify import hub
from verify.training import train

BUILT = ("linucb newton", "ucbvi narrow")
NEEDED = "needs the extra `hub`, huggingface_hub, which is not installed here"


@pytest.mark.parametrize("name", BUILT)
def test_a_construction_comes_back(name, tmp_path):
    built, history = CASES[name].built(), CASES[name].history()
    assert hub.save(built, tmp_path / "new" / "model") == tmp_path / "new" / "model"
    files = {path.name for path in (tmp_path / "new" / "model").iterdir()}
    assert files == {"config.json", "model.safetensors", "README.md"}
    again = hub.load(tmp_path / "new" / "model")
    assert (again.spec, again.certificate) == (built.spec, built.certificate)
    np.testing.assert_array_equal(again.log_probabilities(history), built.log_probabilities(history))
    config = json.loads((tmp_path / "new" / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["size"]["layers"] == built.size().layers
    card = (tmp_path / "new" / "model" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: mit\n")
    assert "| horizon |" in card


def test_a_trained_model_comes_back(tmp_path):
    hub.save("dpt-bernoulli", tmp_path)
    ours, again = train.load("dpt-bernoulli"), hub.load(tmp_path)
    assert again.recipe == ours.recipe
    for one, other in zip(ours.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert "## Regret" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_changed_weights_promise_nothing(tmp_path):
    built = CASES["linucb newton"].built()
    changed = built.__deepcopy__({})
    next(iter(changed.transformer.parameters())).data[0] *= 2
    hub.save(changed, tmp_path)
    assert hub.load(tmp_path).certificate == float("inf")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["spec"].update(dim=3),
        lambda config: config.update(kind="ucbvi.Spec"),
        lambda config: config["size"].update(layers=1),
        lambda config: config.update(model_type="weightwright-trained"),
        lambda config: config.update(more=1),
        lambda config: config.pop("spec"),
        lambda config: config.clear(),
    ],
)
def test_a_config_of_another_model_is_refused(change, tmp_path):
    hub.save(CASES["linucb newton"].built(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    change(config)
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="wanted"):
        hub.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_config_is_one_line(text, tmp_path):
    hub.save(CASES["linucb newton"].built(), tmp_path)
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"wanted a folder written by `hub\.save`"):
        hub.load(tmp_path)
    with pytest.raises(ValueError, match=r"wanted a folder written by `hub\.save`"):
        hub.load(tmp_path / "nowhere")


def test_an_unknown_model_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="wanted"):
        hub.save("nobody", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    hub._model.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'weightwright\[hub\]'"):
        _ = hub.Model
    hub._model.cache_clear()


@pytest.mark.parametrize("name", BUILT)
def test_from_pretrained_reads_the_folder_offline(name, tmp_path):
    pytest.importorskip("huggingface_hub", reason=NEEDED)
    built, history = CASES[name].built(), CASES[name].history()
    hub.save(built, tmp_path / "a")
    model = hub.Model.from_pretrained(tmp_path / "a")
    np.testing.assert_array_equal(model.log_probabilities(history), built.log_probabilities(history))
    tokens = torch.as_tensor(built.tokens.encode(history))
    assert torch.equal(model(tokens), built.transformer(tokens))
    model.save_pretrained(tmp_path / "b")
    assert hub.load(tmp_path / "b").certificate == built.certificate
    for name in ("config.json", "README.md"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_from_pretrained_reads_trained_models(tmp_path):
    pytest.importorskip("huggingface_hub", reason=NEEDED)
    hub.save("dpt-bernoulli", tmp_path)
    model, ours = hub.Model.from_pretrained(tmp_path), train.load("dpt-bernoulli")
    assert model.loaded.recipe == ours.recipe
    with pytest.raises(ValueError, match="wanted a construction, got a trained model"):
        model.save_pretrained(tmp_path / "b")
