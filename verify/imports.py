"""What a name stands for that is not ours: an object in a file or a module of one's own."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from constructions.plain import shown


def own(what: str, name: str, word: str) -> Any:
    """The object that FILE.py, FILE.py:NAME or module:NAME stands for; `word` is its name where none is given.

    Returns:
        The object, None if there is none of this name.

    Raises:
        ValueError: if the file or module is none, or `name` is neither; `what` was looked for.

    >>> own("function", "math:sqrt", "f")(4.0)
    2.0
    """
    path, _, given = name.partition(":")
    if path.endswith(".py"):
        return getattr(_file(what, Path(path)), given or word, None)
    if not is_own(name):
        raise ValueError(f"{what}: wanted FILE.py, FILE.py:NAME or module:NAME, got {shown(name)}")
    try:
        return getattr(import_module(path), given, None)
    except ModuleNotFoundError as error:
        raise ValueError(f"{name}: wanted a module that can be imported, got {error}") from error


def is_own(name: str) -> bool:
    """Whether a name is of this form."""
    path, _, given = name.partition(":")
    return path.endswith(".py") or bool(given and all(part.isidentifier() for part in path.split(".")))


def _file(what: str, path: Path) -> Any:
    """A file as a module under its own name, so that what it saves is found again."""
    loader = spec_from_file_location(path.stem, path.resolve())
    if loader is None or loader.loader is None or not path.is_file():
        raise ValueError(f"{what}: wanted a file, got {path}")
    if there := sys.modules.get(path.stem):
        if getattr(there, "__file__", None) != str(path.resolve()):
            raise ValueError(f"{what}: wanted a file whose name is no module's, got {path}")
        return there
    module = sys.modules[path.stem] = module_from_spec(loader)
    try:
        loader.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
