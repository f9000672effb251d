"""Checks that all environments share."""

import numpy as np


def index(name: str, number: int, size: int) -> int:
    """Wanted: an index in 0..size−1."""
    if not 0 <= number < size:
        raise ValueError(f"{name}: wanted an index in 0..{size - 1}, got {number}")
    return int(number)


def finite(name: str, values) -> np.ndarray:
    """Wanted: finite numbers; as an array of float64."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: wanted finite numbers, got {array}")
    return array
