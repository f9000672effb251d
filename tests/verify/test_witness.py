"""The Python beside a claim measures the same number again, on damaged weights too."""

import copy
import math
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import soft_ucb1
import torch
from tiny_cases import CASES

from constructions import linucb
from constructions.games import hedge
from verify import algorithms, audit
from verify.audit import witness
from verify.catalog import line_policy
from verify.histories import bernoulli as bernoulli_strategies
from verify.histories import linear as strategies

SPEC = linucb.Spec(dim=2, actions=3, horizon=5, error=1e-1)
TRIED = strategies.battery(SPEC)[:20]
WEIGHT = "layers.1.mlp.second.weight"


def fresh():
    return linucb.build(SPEC)


def run(text: str, capsys) -> float:
    exec(text, {})
    return float(capsys.readouterr().out)


def nothing(built):
    pass


def one_entry(built):
    built.transformer.get_parameter(WEIGHT).data[3] *= 1.7


def last_bit(built):
    values = built.transformer.get_parameter(WEIGHT).numpy()
    values[3] = np.nextafter(values[3], np.inf)


def not_a_number(built):
    built.transformer.get_parameter(WEIGHT)[3] = math.nan


def every_entry(built):
    for value in built.transformer.parameters():
        value.mul_(1 + 1e-4)


def single(built):
    built.transformer.float()


def single_and_one_entry(built):
    built.transformer.float()
    one_entry(built)


def another_target(built):
    """Two entries of the stream exchanged."""
    targets = built.transformer.layers[1].attention.groups[0].targets
    targets[:2] = targets[:2].flip(0)


@pytest.mark.parametrize("block", ["", "ridge estimate"])
@pytest.mark.parametrize(
    "change",
    [nothing, one_entry, last_bit, not_a_number, every_entry, single, single_and_one_entry, another_target],
)
def test_the_python_beside_a_claim_measures_it_again(change, block, capsys):
    built = fresh()
    change(built)
    found = audit.measure(built, algorithms.linucb, TRIED)
    worst = found.blocks[block] if block else found
    text = audit.replayed(built, algorithms.linucb, worst.outline, block)
    outline = worst.outline
    alone = audit.measure(built, algorithms.linucb, [outline])
    assert run(text, capsys) == (alone.blocks[block] if block else alone).error
    assert alone.error == pytest.approx(found.error, rel=1e-9) or block
    if change in (one_entry, not_a_number, every_entry, single_and_one_entry, another_target) and not block:
        assert not np.isclose(alone.error, audit.measure(fresh(), algorithms.linucb, [outline]).error)
    assert len(text.splitlines()) <= 6 + 2 + 4 + witness.FEW
    assert ("b85decode" in text) is (change is every_entry)
    assert ("changes" in text) is (change not in (nothing, single))


def test_few_changes_are_readable():
    built = fresh()
    built.transformer.get_parameter(WEIGHT).data[3] = 1.5
    assert f"    ('{WEIGHT}', 3, '0x1.8000000000000p+0'),\n" in audit.replayed(
        built, algorithms.linucb, TRIED[0]
    )


def test_a_damaged_construction_of_episodes_or_of_strangers_is_told_as_well(capsys):
    stranger = soft_ucb1.build(soft_ucb1.Spec(actions=2, horizon=4))
    cases = [
        (copy.deepcopy(CASES["ucbvi narrow"].built()), algorithms.ucbvi, "episodes"),
        (stranger, soft_ucb1.true_log_probabilities, "bernoulli"),
        (hedge.build(hedge.Spec(3, 6)), algorithms.hedge, "losses"),
        (copy.deepcopy(CASES["thompson lines"].built()), line_policy, "linear"),
    ]
    for built, truth, name in cases:
        source = import_module(f"verify.histories.{name}")
        outline = source.battery(built.spec)[1]
        for value in list(built.transformer.parameters())[:3]:
            value.mul_(1.125)
        found = audit.measure(built, truth, [outline])
        assert run(audit.replayed(built, truth, outline), capsys) == found.error


def test_nothing_to_replay_is_no_text():
    assert audit.replayed(fresh(), algorithms.linucb, None) == ""


def removed(built):
    del built.transformer.layers[0]


def radius(built):
    built.transformer.clip_radius *= 2


def half_single(built):
    built.transformer.layers[0].float()


def shorter(built):
    part = built.transformer.layers[1].mlp.second
    part.weight = torch.nn.Parameter(part.weight[1:].clone(), requires_grad=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (removed, "replayed: wanted weights in the places of the spec's, got another structure or tokens"),
        (radius, "replayed: wanted weights in the places of the spec's, got another structure or tokens"),
        (half_single, "replayed: wanted weights of one precision, got several"),
        (shorter, rf"replayed: wanted {WEIGHT} of shape .*, got "),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_line(change, message):
    built = fresh()
    change(built)
    with pytest.raises(ValueError, match=message):
        audit.replayed(built, algorithms.linucb, TRIED[0])


def test_parts_other_tokens_and_nameless_truths_are_refused_in_a_line():
    built = fresh()
    with pytest.raises(ValueError, match="wanted a truth that can be imported"):
        audit.replayed(built, lambda spec, history: None, TRIED[0])
    with pytest.raises(ValueError, match="another structure or tokens"):
        audit.replayed(
            replace(built, tokens=replace(built.tokens, bernoulli=True)), algorithms.linucb, TRIED[0]
        )
    with pytest.raises(ValueError, match="wanted what it builds, got a part of that"):
        audit.replayed(linucb.estimator(SPEC, depth=3), algorithms.linucb, TRIED[0])


def test_recipes_of_bernoulli_arms_are_imported_from_their_own_module():
    built = CASES["thompson bernoulli"].built()
    outline = bernoulli_strategies.battery(built.spec)[0]
    text = audit.replayed(built, algorithms.bernoulli_thompson, outline)
    assert "from verify import audit\nfrom verify.histories import bernoulli\n" in text
    assert "thompson.build(thompson.BernoulliSpec(" in text
