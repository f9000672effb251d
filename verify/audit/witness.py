"""A worst history as a few words, and as Python that measures the same number on it again."""

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from constructions import saving
from constructions.construction import Construction
from constructions.seal import structure
from verify import algorithms

FEW = 8
"""So many changed entries are written out, one a line."""

Change = tuple[str, int, str]
"""A tensor's name, the number of its entry, and what stands there, as `float.hex` writes it."""


def words(outline: Any) -> dict | None:
    """An outline as a record, if there is one."""
    return None if outline is None else asdict(outline)


def replayed(built: Construction, truth: Callable | None, outline: Any, block: str = "") -> str:
    """Python that builds the weights and measures the error, of the policy or of a block, on one history alone.

    Weights that are not those of the spec are told entry by entry, so that a damaged model is measured damaged. Empty if
    there is no outline.

    Args:
        built: what is measured.
        truth: the true algorithm, a function that can be imported; None if only blocks are.
        outline: the history.
        block: the block whose error it is; the policy's if left out.

    Raises:
        ValueError: if text cannot tell the weights or the truth: another structure, a part, a function without a name.
    """
    if outline is None:
        return ""
    package, (room, _, module) = saving.home(built.spec), type(outline).__module__.rpartition(".")
    around, _, name = package.__name__.rpartition(".")
    wanted, true = _imported(truth)
    lines = [
        f"from {around} import {name}" if around else f"import {name}",
        *wanted,
        "from verify import audit",
        f"from {room} import {module}" if room else f"import {module}",
        f"built = {name}.build({name}.{built.spec!r})",
        *_damage(built),
        f"tried = [{module}.{outline!r}]",
        f"print(audit.measure(built, {true}, tried){f'.blocks[{block!r}]' if block else ''}.error)",
    ]
    return "\n".join(lines)


def _imported(truth: Callable | None) -> tuple[list[str], str]:
    """What to import for the true algorithm, and its name then."""
    if truth is None:
        return [], "None"
    name, module = getattr(truth, "__qualname__", ""), getattr(truth, "__module__", "")
    if getattr(algorithms, name, None) is truth:
        return ["from verify import algorithms"], f"algorithms.{name}"
    if not name.isidentifier():
        raise ValueError(f"replayed: wanted a truth that can be imported, got {truth!r}")
    return [f"from {module} import {name}"], name


def _damage(built: Construction) -> Iterator[str]:
    """Python that makes the spec's weights those of `built`."""
    fresh, own = saving.sealed(built), built.transformer
    if structure(own) != structure(fresh.transformer) or built.tokens != fresh.tokens:
        raise ValueError(
            "replayed: wanted weights in the places of the spec's, got another structure or tokens"
        )
    kinds = {value.dtype for value in own.parameters()}
    if kinds - {value.dtype for value in fresh.transformer.parameters()}:
        if len(kinds) > 1:
            raise ValueError("replayed: wanted weights of one precision, got several")
        fresh.transformer.to(*kinds)
        yield "import torch"
        yield f"built.transformer.to({kinds.pop()})"
    changes = list(_changes(fresh, built))
    if not changes:
        return
    if len(changes) <= FEW:
        yield from ("changes = [", *(f"    {change!r}," for change in changes), "]")
    else:
        packed = base64.b85encode(zlib.compress(json.dumps(changes).encode(), 9))
        yield "import base64, json, zlib"
        yield f"changes = json.loads(zlib.decompress(base64.b85decode({packed!r})))"
    yield "weights = built.transformer.state_dict()"
    yield "for name, place, value in changes:"
    yield "    weights[name][place] = float.fromhex(value)"


def _changes(fresh: Construction, built: Construction) -> Iterator[Change]:
    """The entries that differ."""
    before, after = (one.transformer.state_dict() for one in (fresh, built))
    for name, value in after.items():
        old, new = before[name].numpy(force=True), value.numpy(force=True)
        if old.shape != new.shape:
            raise ValueError(f"replayed: wanted {name} of shape {old.shape}, got {new.shape}")
        for place in np.flatnonzero(old != new).tolist():
            yield name, place, float(new[place]).hex()
