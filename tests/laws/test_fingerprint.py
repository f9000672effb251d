"""Every construction is what it was: its layout, sizes, promises and weights, held to a record.

No law stands here; the laws say whether a number is right, this says that it moved. After a change that was meant, write the
record anew (tools/fingerprint.py), and say in the commit why it moved.
"""

import json
import math

import pytest
from fingerprint import RECORD, SPECS, fingerprint

NEAR = 1e-12
"""What cosines of another processor may move a sum of this record by; what is built is the same everywhere."""


def differences(found, wanted, scale: float = 0.0, place: str = "") -> list[str]:
    """Where two records differ by more than what processors do; sums of a tensor to the scale of its entries."""
    if isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        return [
            text
            for name in found
            for text in differences(found[name], wanted[name], scale, f"{place}/{name}")
        ]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        if place.startswith("/weights/"):
            scale = wanted[3]
        return [
            text
            for number, (one, other) in enumerate(zip(found, wanted, strict=True))
            for text in differences(one, other, scale, f"{place}/{number}")
        ]
    if isinstance(found, float) and isinstance(wanted, float):
        same = math.isclose(found, wanted, rel_tol=NEAR, abs_tol=NEAR * scale)
    else:
        same = found == wanted and type(found) is type(wanted)
    return [] if same else [f"{place}: {wanted} was, {found} is"]


@pytest.mark.parametrize("name", SPECS)
def test_it_is_what_it_was(name):
    home, spec = SPECS[name]
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert not differences(fingerprint(spec, home.build), record[name])


def test_a_difference_is_seen():
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert sorted(record) == sorted(SPECS)
    one = record["ucbvi narrow 2"]
    assert differences(one, one) == []
    assert differences(one | {"certificate": one["certificate"] * (1 + 1e-11)}, one)
    assert differences(one | {"blocks": one["blocks"][1:]}, one)
    tensor = max(one["weights"], key=lambda key: one["weights"][key][3])
    for place, shift in ((1, 1), (2, 1e-10), (3, 1e-10)):
        changed = list(one["weights"][tensor])
        changed[place] += shift * (1 if place == 1 else changed[3])
        assert differences(one | {"weights": one["weights"] | {tensor: changed}}, one)
