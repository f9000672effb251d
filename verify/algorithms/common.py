"""What all true algorithms share: the softmax policy, and checks on their parameters."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int


def log_softmax(
    score: Float[np.ndarray, "*shape arms"], temperature: float
) -> Float[np.ndarray, "*shape arms"]:
    """Log of softmax(score/τ): subtract the maximum before dividing, so that a tiny τ gives −∞, never NaN.

    >>> log_softmax(np.array([1.0, 0.0]), 1e-320).tolist()
    [0.0, -inf]
    """
    with np.errstate(over="ignore"):
        gaps = (score - score.max(axis=-1, keepdims=True)) / temperature
    return gaps - np.log(np.exp(gaps).sum(axis=-1, keepdims=True))


def finite(name: str, value: Any, *, positive: bool) -> None:
    """Wanted: a finite number, > 0 or ≥ 0."""
    number = isinstance(value, int | float | np.integer | np.floating) and np.isfinite(value)
    if not (number and (value > 0 if positive else value >= 0)):
        raise ValueError(f"{name}: wanted a finite number {'> 0' if positive else '≥ 0'}, got {value!r}")


def whole(name: str, value: object) -> None:
    """Wanted: an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: wanted an integer ≥ 1, got {value!r}")


def within(name: str, values: Int[np.ndarray, " steps"], size: int) -> None:
    """Wanted: numbers in 0..size−1."""
    if values.size and not 0 <= values.min() <= values.max() < size:
        raise ValueError(f"{name}: wanted numbers in 0..{size - 1}, got {values.min()}..{values.max()}")
