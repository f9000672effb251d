"""Checks on the numbers of a specification: one clear error that names what was wanted and what was got."""

import math
from collections.abc import Sequence

LARGEST = 1e30
"""Numbers beyond it, or below its inverse, are not of this world: their powers would leave float64."""


UNIT = 2.0**-53
"""Unit roundoff of float64."""


def whole(name: str, value: object) -> None:
    """Wanted: an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: wanted an integer >= 1, got {value!r}")


def number(name: str, value: object, *, positive: bool) -> None:
    """Wanted: a finite number, > 0 or >= 0."""
    finite = _finite(value)
    if finite is None or finite < 0 or (positive and finite == 0):
        raise ValueError(f"{name}: wanted a finite number {'> 0' if positive else '>= 0'}, got {value!r}")
    if finite and not 1 / LARGEST <= finite <= LARGEST:
        raise ValueError(f"{name}: wanted a number between {1 / LARGEST:g} and {LARGEST:g}, got {value!r}")


def condition(ridge: float, largest: float) -> None:
    """Wanted: a matrix with eigenvalues from `ridge` to `largest` that float64 can tell from a singular one."""
    if not largest * UNIT <= ridge:
        raise ValueError(
            f"ridge: wanted at least {largest * UNIT:.3g} beside eigenvalues up to {largest:.3g}, got {ridge!r}: "
            "float64 could not tell the matrix from a singular one"
        )


def carried(error: float, certificate: float) -> None:
    """Wanted: an error that weights in float64 can be held to."""
    if not certificate <= error:
        raise ValueError(
            f"error: wanted one that weights of float64 can carry, {certificate:.3g} or more here, got {error!r}"
        )


def interval(name: str, value: object) -> None:
    """Wanted: a pair of positive numbers, the smaller first."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name}: wanted a pair (smallest, largest), got {value!r}")
    for end in value:
        number(name, end, positive=True)
    if value[0] > value[1]:
        raise ValueError(f"{name}: wanted smallest <= largest, got {value!r}")


def choice(name: str, value: object, among: Sequence[str]) -> None:
    """Wanted: one of a few words."""
    if value not in among:
        raise ValueError(f"{name}: wanted {' or '.join(map(repr, among))}, got {value!r}")


def _finite(value: object) -> float | None:
    """The value as a float, if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
