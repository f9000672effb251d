"""The type checker that enforces annotations under test: beartype, with an int accepted where a float is asked for.

jaxtyping keeps account of dimensions at every call, which takes several times as long as the calls themselves. So only
functions whose annotations have dimensions are handed to it, others to beartype alone; each is checked at its first calls in
every process and at some of the later ones. Functions made inside of functions are made anew: the first ones count.
"""

import contextlib
import functools
import inspect
import itertools
import typing
from collections import Counter
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

FIRST, THEN = 64, 16
"""So many calls are all checked, and then every so many-th."""
enforce = beartype(conf=BeartypeConf(is_pep484_tower=True))
_account = jaxtyping.jaxtyped
_made: Counter[CodeType] = Counter()


def sparingly(*, typechecker: Callable) -> Callable:
    """In place of `jaxtyping.jaxtyped`."""
    whole = _account(typechecker=typechecker)

    def decorate(found: Any) -> Any:
        if inspect.isclass(found):
            plain = found.__init__
            checked = whole(found)
            if checked.__init__ is not plain:
                checked.__init__ = _sparing(plain, checked.__init__)
            return checked
        _made[found.__code__] += 1
        if not found.__annotations__ or _made[found.__code__] > FIRST:
            return found
        return _sparing(found, whole(found) if has_dimensions(found) else typechecker(found))

    return decorate


def _sparing(plain: Callable, checked: Callable) -> Callable:
    """A function that is checked at its first calls and at some later ones, and never while jaxtyping is told not to."""
    calls = itertools.count()

    @functools.wraps(plain)
    def run(*given: Any, **named: Any) -> Any:
        number = next(calls)
        if (number < FIRST or number % THEN == 0) and not jaxtyping.config.jaxtyping_disable:
            return checked(*given, **named)
        return plain(*given, **named)

    return run


@contextlib.contextmanager
def unenforced() -> Iterator[None]:
    """Calls as a user makes them: in what is run here no types are enforced."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


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
