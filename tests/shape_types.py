"""The type checker that enforces annotations under test: beartype, with an int accepted where a float is asked for.

jaxtyping keeps account of dimensions at every call, which takes four times as long as the calls themselves. Only functions
whose annotations have dimensions need that; `sparingly` hands all others to beartype alone.
"""

import functools
import inspect
import typing
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

enforce = beartype(conf=BeartypeConf(is_pep484_tower=True))
_account = jaxtyping.jaxtyped


def sparingly(*, typechecker):
    """In place of `jaxtyping.jaxtyped`."""
    whole = _account(typechecker=typechecker)

    def checked(found):
        return (
            whole(found) if inspect.isclass(found) or has_dimensions(found) else _by_types(found, typechecker)
        )

    return checked


def _by_types(function, typechecker):
    """Checked without an account of dimensions, unless jaxtyping is told to check nothing."""
    checked = typechecker(function)
    if checked is function:
        return function

    @functools.wraps(function)
    def run(*given, **named):
        return (function if jaxtyping.config.jaxtyping_disable else checked)(*given, **named)

    return run


def has_dimensions(function: Any) -> bool:
    """Whether any annotation of a function says a shape."""
    return any(map(_dimensions, getattr(function, "__annotations__", {}).values()))


def _dimensions(annotation: Any) -> bool:
    if isinstance(annotation, str | typing.TypeVar):  # what is not known here may have some
        return True
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    parts = typing.get_args(annotation)
    return any(any(map(_dimensions, part)) if isinstance(part, list) else _dimensions(part) for part in parts)
