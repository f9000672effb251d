"""How much may be made: refused by formulas, before anything is made, is what would take more.

Four limits, each moved by a variable of the environment:

    WEIGHTWRIGHT_MEMORY    GiB for weights and arrays, 8 if unset
    WEIGHTWRIGHT_LAYERS    layers that run one after another, tied ones counted as often as they repeat: 10⁷
    WEIGHTWRIGHT_STORED    layers that are stored apart, each of which takes some hundredths of a second to make: 5,000
    WEIGHTWRIGHT_SEARCHED  layers, counted likewise, that an audit goes through history by history: 10,000

Memory is told by its leading terms: what is near the limit may be refused or made.
"""

import math
import os

from constructions import plain

WEIGHT = 100
"""Bytes of a stored weight while a construction is put together: places, number, and what is computed from them."""

NUMBER = 8
"""Bytes of a number in an array."""


def hold(
    what: str,
    *,
    weights: float = 0.0,
    numbers: float = 0.0,
    layers: float = 0.0,
    stored: float = 0.0,
    searched: float = 0.0,
) -> None:
    """Wanted: something that is within the limits.

    Args:
        what: it is, for the message.
        weights: in sparse maps.
        numbers: in arrays.
        layers: that run one after another.
        stored: layers that are stored apart.
        searched: layers that many histories go through.

    Raises:
        ValueError: if it is not.

    >>> hold("linucb", weights=1e12)
    Traceback (most recent call last):
    ValueError: linucb: wanted at most 8 GiB (WEIGHTWRIGHT_MEMORY), got about 9.3e+04
    """
    memory = (weights * WEIGHT + numbers * NUMBER) / 2**30
    for name, otherwise, unit, got in (
        ("LAYERS", 1e7, "layers", layers),
        ("STORED", 5e3, "layers stored apart", stored),
        ("SEARCHED", 1e4, "layers for an audit", searched),
        ("MEMORY", 8.0, "GiB", memory),
    ):
        if got > (most := limit(f"WEIGHTWRIGHT_{name}", otherwise)):
            raise ValueError(
                f"{what}: wanted at most {most:g} {unit} (WEIGHTWRIGHT_{name}), got about {got:.2g}"
            )


def limit(name: str, otherwise: float) -> float:
    """What a variable of the environment says, or else what is said otherwise.

    Raises:
        ValueError: if that is no number > 0.
    """
    text = os.environ.get(name, "")
    if not text:
        return otherwise
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not found > 0:
        raise ValueError(f"{name}: wanted a number > 0, got {plain.shown(text)}")
    return found
