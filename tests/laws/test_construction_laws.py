"""The laws of whole constructions, `verify.audit.laws`, each on every row of the table in construction_cases.py."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from construction_cases import CASES

from constructions import linucb, thompson
from verify import algorithms
from verify.audit import impostors, laws
from verify.catalog import CATALOG, line_policy

test_every_law_is_kept = laws.every(*CASES)

NEWTON = linucb.Spec(2, 2, 3, 0.1, "newton")


class Broken(laws.Case):
    """What is built is changed before it is held to the laws."""

    def __init__(self, change, **fields):
        super().__init__(CATALOG["linucb"], NEWTON, **fields)
        self.__dict__["built"] = change(self.entry.build(self.spec))


def other(built, *, radius=None, scale=None):
    """The same promises of other weights: they are made anew."""
    transformer = copy.deepcopy(built.transformer)
    if radius is not None:
        transformer.clip_radius = radius
    if scale is not None:
        transformer.get_parameter(scale).mul_(1.5)
    return replace(built, transformer=transformer, seal="")


def smaller(built):
    """Promises of magnitudes that are not kept."""
    blocks = [replace(block, promise=replace(block.promise, magnitude=1e-3)) for block in built.sealed_blocks]
    return replace(built, sealed_blocks=tuple(blocks))


def leaking(built):
    """Every token is moved by the mean of all, later ones too."""
    built.transformer.register_forward_hook(lambda _, tokens, output: output + 1e-9 * tokens[0].mean())
    return built


def decoded_otherwise(built):
    """Step by step, another temperature's policy."""
    object.__setattr__(built, "decoder", linucb.build(replace(NEWTON, temperature=0.101)).decoder)
    return built


WRONG = {
    "error": Broken(lambda built: other(built, scale="layers.0.attention.groups.0.value.weight")),
    "certificate": Broken(lambda built: replace(built, sealed_certificate=0.2)),
    "size": Broken(lambda built: built, size={"heads": 1}),
    "frame": Broken(leaking),
    "decoder": Broken(decoded_otherwise),
    "magnitudes": Broken(smaller),
    "clipping": Broken(lambda built: other(built, radius=3.0)),
    "refusals": Broken(lambda built: built, refused=(({"dim": 3}, "dim: wanted"),)),
}


@pytest.mark.parametrize("law", WRONG)
def test_a_wrong_construction_breaks_its_law(law):
    assert not laws.LAWS[law](WRONG[law], 6).holds


def test_a_wrong_truth_breaks_the_laws_of_errors_and_impostors():
    entry = replace(CATALOG["linucb"], truth=lambda spec, history: algorithms.linucb(spec, history)[:, ::-1])
    broken = {law: not laws.LAWS[law](laws.Case(entry, NEWTON), 6).holds for law in ("error", "impostors")}
    assert broken == {"error": True, "impostors": True}


@pytest.mark.nightly
def test_wrong_algorithms_are_caught_along_lines():
    """Held to the mean over the same lines, where that is at least 0.01."""
    spec = thompson.Spec(2, 3, 4, nodes=8, error=0.02, separation=0.05, solver="zolotarev")
    found = impostors.unmasked(thompson.build(spec), line_policy)
    assert [one.outcome for one in found] == ["passed", *["caught"] * 6], "\n".join(map(str, found))


def test_what_no_audit_can_tell_apart_is_said_with_its_numbers():
    [coarse] = [case for case in CASES if case.name == "linucb one step"]
    found = impostors.unmasked(coarse.built, coarse.entry.truth, source=coarse.entry.histories)
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
