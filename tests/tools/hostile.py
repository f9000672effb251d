"""What comes to a door: numbers and arrays in all their forms, each beside what it is in plain Python, and what is none."""

import enum
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from constructions import ucbvi
from constructions.history import BanditHistory, EpisodeHistory

Two = enum.IntEnum("Two", {"two": 2})

WHOLE = {
    "np.int64": np.int64(2),
    "np.uint8": np.uint8(2),
    "0-d array": np.array(2),
    "0-d objects": np.array(2, object),
    "tensor": torch.tensor(2),
    "enum": Two.two,
}
"""Forms of the integer 2."""

REAL = {
    "np.float32": np.float32(0.5),
    "np.float16": np.float16(0.5),
    "longdouble": np.longdouble(0.5),
    "fraction": Fraction(1, 2),
    "decimal": Decimal("0.5"),
    "0-d array": np.array(0.5),
    "0-d fractions": np.array(Fraction(1, 2)),
    "tensor": torch.tensor(0.5),
    "gradient": torch.tensor(0.5, requires_grad=True),
    "bfloat16": torch.tensor(0.5, dtype=torch.bfloat16),
}
"""Forms of the number 1/2."""

NO_NUMBER: dict[str, Any] = {
    "None": None,
    "text": "2",
    "np.str_": np.str_("2"),
    "bytes": b"2",
    "True": True,
    "np.True_": np.True_,
    "true tensor": torch.tensor(True),
    "complex": 2 + 0j,
    "np.complex128": np.complex128(2),
    "complex tensor": torch.tensor(2 + 0j),
    "timedelta": np.timedelta64(2),
    "nanoseconds": np.timedelta64(2, "ns"),
    "datetime": np.datetime64(2, "ns"),
    "masked": np.ma.masked,
    "nan": float("nan"),
    "np.nan": np.float32("nan"),
    "infinite": float("inf"),
    "huge": 10**400,
    "huge, negative": -(10**5000),
    "huge fraction": Fraction(10**400),
    "list": [2],
    "array": np.array([2]),
    "tensor of one": torch.tensor([2]),
    "meta": torch.tensor(2, device="meta"),
    "set": {2},
    "dict": {2: 2},
    "object": object(),
    "class": int,
}
"""Neither a finite real number nor an integer, whatever they look like."""

NO_WHOLE = NO_NUMBER | {
    "float": 2.0,
    "np.float64": np.float64(2),
    "whole fraction": Fraction(2),
    "decimal": Decimal(2),
    "0-d floats": np.array(2.0),
    "float tensor": torch.tensor(2.0),
}


def forms(values: list) -> dict[str, Any]:
    """An array of multiples of 1/16, given as lists, in other forms."""
    array = np.array(values)
    tensor = torch.tensor(values)
    found = {
        "array": array,
        "read-only": np.broadcast_to(array, (1, *array.shape))[0],
        "fortran": np.asfortranarray(array),
        "objects": array.astype(object),
        "masked nowhere": np.ma.array(array),
        "tuple": tuple(values),
        "tensor": tensor,
        "list of arrays": list(array),
        "list of tensors": list(tensor),
        "narrow": array.astype(np.float32 if array.dtype.kind == "f" else np.int8),
    }
    if array.dtype.kind != "f":
        return found
    return found | {
        "fractions": np.frompyfunc(Fraction, 1, 1)(array),
        "gradient": torch.tensor(values, requires_grad=True),
        "list with gradients": list(torch.tensor(values, requires_grad=True)),
        "bfloat16": tensor.bfloat16(),
        "sparse": tensor.to_sparse(),
        "float16": array.astype(np.float16),
        "longdouble": array.astype(np.longdouble),
    }


def no_arrays(values: list) -> dict[str, Any]:
    """What looks like these values and is no array of finite real numbers."""
    array = np.array(values, float)
    holed = np.where(np.arange(array.size).reshape(array.shape) == 0, np.nan, array)
    return {
        "complex": array.astype(complex),
        "complex tensor": torch.tensor(array).cfloat(),
        "list of complex": list(array.astype(complex)),
        "timedelta": array.astype("m8[s]"),
        "datetime": array.astype("M8[s]"),
        "masked": np.ma.masked_array(array, array == array.flat[0]),
        "list of masked": list(np.ma.masked_array(array, array == array.flat[0])),
        "text": array.astype(str),
        "list of text": array.astype(str).tolist(),
        "text as objects": array.astype(str).astype(object),
        "ragged": [[1.0], [1.0, 2.0]],
        "nan": holed,
        "infinite": np.where(np.isnan(holed), np.inf, array),
        "huge": np.where(np.isnan(holed), 10**400, array.astype(object)),
        "meta": torch.tensor(values, device="meta"),
        "structured": np.zeros(array.shape, "f8,f8"),
        "generator": (value for value in values),
        "None": None,
        "dict": {},
        "set": {1.0},
        "object": object(),
        "one": 1.0,
        "empty": [],
        "another shape": np.zeros((7, *array.shape)),
    }


OBJECTS: dict[str, Any] = {
    "ragged": ((-2, 4), []),
    "None": None,
    "number": 3,
    "nan": float("nan"),
    "text": "x",
    "bytes": b"x",
    "list": [],
    "list of None": [None],
    "dict": {},
    "array": np.zeros((5, 7)),
    "tensor": torch.zeros(5, 7),
    "object": object(),
    "class": int,
    "function": lambda *_: None,
    "generator": np.random.default_rng(0),
    "spec": ucbvi.Spec(1, 2, 3, 4),
    "bandit history": BanditHistory([[[9.0]]], [], []),
    "episodes": EpisodeHistory([9], [], [], 1),
    "long text": "x" * 10_000,
    "huge": 10**5000,
}
"""Things that a door may be handed in place of what it wants."""

SIZES = (10**9, 10**12, 2**63, 2**64, 10**400, 10**5000)
"""Sizes that nothing can be made of, or hardly anything."""
