"""Nothing is above its certificate: random specifications, histories at the edge of the door, errors enclosed."""

import math

import numpy as np
import pytest
from random_pairs import KINDS, Pair, PassedOver

from verify import audit

MANY = 112
"""Pairs of each kind that make more than 3,000 in all."""


def drawn(kind: str, seed: int) -> Pair:
    """The first pair of a seed that is neither passed over nor refused; a refusal says what was wanted in one line."""
    generator = np.random.default_rng([list(KINDS).index(kind), seed])
    while True:
        try:
            return KINDS[kind](generator)
        except PassedOver:
            continue
        except ValueError as error:
            message = str(error)
            assert ": wanted " in message
            assert "\n" not in message
            assert len(message) <= 300


def held(kind: str, seed: int) -> None:
    """One pair: what its history does is within the certificate, and an enclosure's width."""
    pair = drawn(kind, seed)
    found = audit.enclose(pair.built, pair.truth, pair.history)
    assert math.isfinite(found.certificate)
    assert found.exact_high <= found.certificate + found.width, f"{kind}, seed {seed}: {pair.built.spec}"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_above_its_certificate(kind):
    for seed in range(2):
        held(kind, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_many_is_above_its_certificate(kind):
    for seed in range(2, 2 + MANY):
        held(kind, seed)
