"""What is handed in as plain numbers and arrays, whoever made it: Python, NumPy, torch, pandas, fractions.

The one place where numbers and arrays that are not Python's or NumPy's own are converted. Numbers become int or float,
arrays int64 or float64, always copies. What is no number is refused, and never quietly taken for one: text, dates, complex
numbers, masked entries. In arrays of numbers True and False count as 1 and 0; as a single number, as an integer and as an
index they are refused.
"""

import math
import operator
import reprlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float, Int

LONGEST = 60
"""So many characters of what was handed in are told in a message."""

FAR = 10**20
"""Integers of this size are told by their power of ten."""

FEW = 1000
"""Up to so many numbers are squared and added up in no time."""

HANDFUL = 50
"""Up to so many are compared sooner in Python."""

Problem = (Exception,)
"""What foreign objects may raise when they are asked for their numbers: anything."""


def integer(value: Any) -> int | None:
    """The value as an int, if it is a whole number: no float, no truth value, no span of time.

    >>> integer(np.int64(3)), integer(np.array(3)), integer(3.0), integer(True), integer(np.timedelta64(3))
    (3, 3, None, None, None)
    """
    if type(value) is int:
        return value
    try:
        value = _one(value)
        return None if isinstance(value, bool) else operator.index(value)
    except Problem:
        return None


def real(value: Any) -> float | None:
    """The value as a float, if it is a finite real number; not a truth value, not text.

    >>> from fractions import Fraction
    >>> real(np.float32(0.5)), real(Fraction(1, 4)), real(np.array(2)), real(1j), real("1"), real(10**400)
    (0.5, 0.25, 2.0, None, None, None)
    """
    if type(value) is not float:
        try:
            value = _one(value)
            if isinstance(value, bool) or not isinstance(value, Real | Decimal):
                return None
            value = float(value)
        except Problem:
            return None
    return value if math.isfinite(value) else None


def reals(name: str, values: Any, *, finite: bool = True) -> Float[np.ndarray, "..."]:
    """Anything array-like as a copy in float64; wanted: real numbers, finite ones unless said otherwise.

    >>> reals("x", [[True, 2]]).tolist()
    [[1.0, 2.0]]
    >>> reals("x", np.ma.masked_equal([1, 2], 2))
    Traceback (most recent call last):
    ValueError: x: wanted real numbers, none of them masked, got 1 masked
    """
    array = _array(name, values, "an array of real numbers")
    if array.dtype.kind == "O":
        array = np.asarray(np.frompyfunc(_entry(name), 1, 1)(array))
    elif array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: wanted an array of real numbers, got {_told(values, array)}")
    if array.dtype == np.float64:
        array = array.copy()
    else:
        with np.errstate(over="ignore"):  # what is too large for float64 is infinite, and refused
            array = array.astype(np.float64)
    if finite and not all_finite(array):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: wanted finite numbers, got {array[where]} at index {where}")
    return array


def all_finite(array: Float[np.ndarray, "..."]) -> bool:
    """Whether all numbers of an array are finite; quick for few."""
    return (array.size <= FEW and math.isfinite(np.vdot(array, array))) or bool(np.isfinite(array).all())


def extremes(array: Float[np.ndarray, "..."]) -> tuple[float, float]:
    """The least and the largest number of an array without NaN; of none 0. Python is quicker for few.

    >>> extremes(np.array([[2.0, -1.0]])), extremes(np.zeros(0))
    ((-1.0, 2.0), (0.0, 0.0))
    """
    if array.size <= HANDFUL:
        numbers = array.ravel().tolist() or [0.0]
        return min(numbers), max(numbers)
    return float(np.minimum.reduce(array, None)), float(np.maximum.reduce(array, None))


def integers(name: str, values: Any, meaning: str = "") -> Int[np.ndarray, "..."]:
    """Anything array-like as a copy in int64; wanted: integers, which are `meaning`.

    >>> integers("arms", (np.uint8(3), 4)).tolist()
    [3, 4]
    """
    meaning = meaning or name
    array = _array(name, values, f"integer {meaning}")
    kind, most = array.dtype.kind, np.iinfo(np.int64).max
    if array.size == 0 and kind in "iufO":
        return array.astype(np.int64)
    if kind == "O":
        found = [integer(value) for value in array.ravel()]
        if any(value is None for value in found):
            wrong = array.ravel()[found.index(None)]
            raise ValueError(f"{name}: wanted integer {meaning}, got {shown(wrong)}")
        if max(map(abs, found)) > most:  # type: ignore[arg-type]
            raise ValueError(f"{name}: wanted integers below 2^63, got {shown(max(found, key=abs))}")  # type: ignore[type-var, arg-type]
        return np.array(found, np.int64).reshape(array.shape)
    if kind not in "iu":
        raise ValueError(f"{name}: wanted integer {meaning}, got {_told(values, array)}")
    if kind == "u" and array.max() > most:
        raise ValueError(f"{name}: wanted integers below 2^63, got {array.max()}")
    return array.astype(np.int64)


def shown(value: Any) -> str:
    """What was handed in, for a message: one line of at most LONGEST characters.

    >>> shown(10**400), shown("a" * 99), shown(np.float64(0.5))
    ('about 1e+400', "'aaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaa'", '0.5')
    """
    if isinstance(value, int) and abs(value) >= FAR:
        return f"about {'-' if value < 0 else ''}1e+{math.floor(math.log10(abs(value)))}"
    try:
        number = value.item() if isinstance(value, np.generic) else value
        text = " ".join(_BRIEF.repr(number).split())
    except Problem:
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def several(values: Any) -> list[Any]:
    """Several things as a list, or one thing alone in a list; text is one thing, and so is an array of no axes.

    >>> several((1, 2)), several("ab"), several(np.array(3))
    ([1, 2], ['ab'], [array(3)])
    """
    try:
        return [values] if isinstance(values, str | bytes | Mapping) else list(values)
    except TypeError:
        return [values]


def listed(names: Iterable[str]) -> str:
    """Names for a message, as many as there is room for.

    >>> listed(["ridge", "inverse"]), len(listed(["register"] * 99))
    ('ridge, inverse', 120)
    """
    text = ", ".join(names)
    return text if len(text) <= 2 * LONGEST else f"{text[: 2 * LONGEST - 1]}…"


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = LONGEST


def _one(value: Any) -> Any:
    """What an array of no axes or a number of NumPy or torch holds."""
    if getattr(value, "dtype", None) is None:
        return value
    array = _dense(value)
    return array[()] if array.ndim == 0 and array.dtype.kind in "iufO" else None


def _entry(name: str):
    def entry(value: Any) -> float:
        found = float(value) if isinstance(value, bool | np.bool_) else real(value)
        if found is None:
            raise ValueError(f"{name}: wanted finite real numbers, got {shown(value)}")
        return found

    return entry


def _array(name: str, values: Any, wanted: str) -> np.ndarray:
    """Anything array-like as an array of NumPy, not yet a copy."""
    if type(values) is np.ndarray:
        return values
    if type(values) is list and len(values) == 1 and type(values[0]) in (int, float, np.ndarray):
        return np.array(values)
    try:
        return np.asarray(_dense(values))
    except _Masked as masked:
        raise ValueError(f"{name}: wanted real numbers, none of them masked, got {masked} masked") from masked
    except Problem as error:
        raise ValueError(f"{name}: wanted {wanted}, got {type(values).__name__}") from error


class _Masked(Exception):
    """So many entries are masked."""


def _dense(values: Any) -> Any:
    """Tensors and masked arrays, alone or in lists, as arrays of NumPy."""
    if isinstance(values, list | tuple):
        strange = (list, tuple, np.ma.MaskedArray)
        return [_dense(x) if isinstance(x, strange) or hasattr(x, "detach") else x for x in values]
    if isinstance(values, np.ma.MaskedArray):
        if count := int(np.ma.count_masked(values)):
            raise _Masked(count)
        return np.asarray(values.data)
    if hasattr(
        values, "detach"
    ):  # a tensor of torch, with or without a gradient, on any device, sparse or not
        values = values.detach().to_dense()
        values = values.double() if values.is_floating_point() else values
        return values.numpy(force=True)
    return np.asarray(values)


def _told(values: Any, array: np.ndarray) -> str:
    """What was handed in, by its kind."""
    return type(values).__name__ if array.dtype.kind in "USOV" else f"an array of {array.dtype}"
