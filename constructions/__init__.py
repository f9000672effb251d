"""Explicit transformer weights for decision-making algorithms."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

try:
    __version__ = version("weightwright")
except PackageNotFoundError:  # a checkout that was not installed
    __version__ = "0+unknown"


def load(path: str | Path) -> Any:
    """The construction in a file that `built.save(path)` wrote.

    Its certificate is infinite where a weight is not what the spec asks for.

    Raises:
        ValueError: if the file is missing, damaged, none of ours, or holds other tensors than its spec asks for.
    """
    from constructions import saving  # not with the package: it brings torch along

    return saving.load(path)
