"""Weightwright in one module: what builds, what loads, and what holds a construction to its promises.

    import weightwright
    built = weightwright.linucb.build(weightwright.linucb.Spec(dim=2, actions=3, horizon=20))

`python -m weightwright` is the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from constructions import games, linucb, load, thompson, ucbvi
    from verify import audit, hub
    from verify.catalog import Entry

__all__ = ["Entry", "audit", "games", "hub", "linucb", "load", "thompson", "ucbvi"]

HOMES = {"load": "constructions", "Entry": "verify.catalog"}
MODULES = {"audit": "verify.audit", "hub": "verify.hub"}


def __getattr__(name: str) -> Any:
    """Imported when it is first asked for, as torch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"weightwright has {', '.join(__all__)}, not {name}")
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    return import_module(MODULES.get(name, f"constructions.{name}"))


if __name__ == "__main__":
    from verify.__main__ import main

    main()
