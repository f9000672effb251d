"""Checks that return what they were given as a plain number or word: one clear error names what was wanted and got."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from constructions import plain
from constructions.plain import shown

LARGEST = 1e30
"""Numbers beyond it, or below its inverse, are not of this world: their powers would leave float64."""

MOST = 10**9
"""Sizes beyond it are not of this world either."""

DOOR = 1e-6
"""Norms, rewards, draws and distances may miss their bounds by this part of them: what was made in float32 does."""

UNIT = 2.0**-53
"""Unit roundoff of float64."""


def settle(spec: Any, check: Callable[..., Any], *names: str, **how: Any) -> None:
    """Hold fields of a frozen dataclass to a check, and leave there what it returns."""
    for name in names:
        object.__setattr__(spec, name, check(name, getattr(spec, name), **how))


def whole(name: str, value: object, *, least: int = 1, most: int = MOST) -> int:
    """Wanted: an integer of at least 1, or what is named instead.

    >>> import numpy as np
    >>> whole("dim", np.int64(2))
    2
    """
    found = plain.integer(value)
    if found is None or found < least:
        raise ValueError(f"{name}: wanted an integer >= {least}, got {shown(value)}")
    if found > most:
        raise ValueError(f"{name}: wanted at most {most:,}, got {shown(value)}")
    return found


def number(name: str, value: object, *, positive: bool) -> float:
    """Wanted: a finite number, > 0 or >= 0, neither huge nor tiny."""
    found = plain.real(value)
    if found is None or found < 0 or (positive and found == 0):
        raise ValueError(
            f"{name}: wanted a finite number {'> 0' if positive else '>= 0'}, got {shown(value)}"
        )
    if found and not 1 / LARGEST <= found <= LARGEST:
        raise ValueError(
            f"{name}: wanted a number between {1 / LARGEST:g} and {LARGEST:g}, got {shown(value)}"
        )
    return abs(found)  # −0.0 is 0.0


def share(name: str, value: object) -> float:
    """Wanted: a number in [0, 1]."""
    found = plain.real(value)
    if found is None or not 0 <= found <= 1:
        raise ValueError(f"{name}: wanted a number in [0, 1], got {shown(value)}")
    return abs(found)


def flag(name: str, value: object) -> bool:
    """Wanted: True or False."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise ValueError(f"{name}: wanted True or False, got {shown(value)}")


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


def interval(name: str, value: Any) -> tuple[float, float]:
    """Wanted: a pair of positive numbers, the smaller first."""
    pair = isinstance(value, tuple | list) or getattr(value, "ndim", 0) == 1  # a set has no order
    if not pair or len(value) != 2:
        raise ValueError(f"{name}: wanted a pair (smallest, largest), got {shown(value)}")
    pair = number(name, value[0], positive=True), number(name, value[1], positive=True)
    if pair[0] > pair[1]:
        raise ValueError(f"{name}: wanted smallest <= largest, got {shown(pair)}")
    return pair


def choice(name: str, value: object, among: Sequence[str]) -> str:
    """Wanted: one of a few words."""
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"{name}: wanted {' or '.join(map(repr, among))}, got {shown(value)}")
    return next(word for word in among if word == value)


def instance(name: str, value: object, *kinds: type) -> Any:
    """Wanted: an object of one of these classes."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{name}: wanted {wanted}, got {shown(value)} of type {type(value).__name__}"[:300])
    return value
