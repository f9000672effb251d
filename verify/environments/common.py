"""Checks that all environments share."""

from typing import Any

import numpy as np

from constructions import checks, plain


def index(name: str, number: Any, size: int) -> int:
    """Wanted: an index in 0..size−1."""
    found = plain.integer(number)
    if found is None or not 0 <= found < size:
        raise ValueError(f"{name}: wanted an index in 0..{size - 1}, got {plain.shown(number)}")
    return found


def random(generator: Any) -> np.random.Generator:
    """Wanted: what random numbers come from."""
    return checks.instance("generator", generator, np.random.Generator)
