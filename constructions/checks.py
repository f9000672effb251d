"""Checks on the numbers of a specification: one clear error that names what was wanted and what was got."""

import math
from collections.abc import Sequence


def whole(name: str, value: object) -> None:
    """Wanted: an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: wanted an integer >= 1, got {value!r}")


def number(name: str, value: object, *, positive: bool) -> None:
    """Wanted: a finite number, > 0 or >= 0."""
    finite = _finite(value)
    if finite is None or finite < 0 or (positive and finite == 0):
        raise ValueError(f"{name}: wanted a finite number {'> 0' if positive else '>= 0'}, got {value!r}")


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
