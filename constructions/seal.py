"""A digest of all that a transformer computes with, by which a construction knows its own weights again."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from constructions.transformer import Layer, SparseMap, Transformer


def structure(transformer: Transformer) -> str:
    """All that is not an array: width, clip radius, and by layer repeats, attention, heads and the sizes of every map."""
    layers = [
        (
            layer.repeat,
            layer.attention.shares.__name__,
            [group.count for group in layer.attention.stored_groups],
            list(map(_kind, _maps(layer))),
        )
        for layer in transformer.stored_layers
    ]
    return repr((transformer.width, transformer.clip_radius, layers))


def digest(transformer: Transformer, about: str = "") -> str:
    """The SHA-256 of structure, weights and places, to the last bit, and of what else `about` says.

    Weights count in the precision that they are held in, and the same model on another device has the same digest. Of exact
    numbers only whether they are kept is told: none is ever used that does not round to the weight beside it.
    """
    held = [group.targets for layer in transformer.stored_layers for group in layer.attention.stored_groups]
    for layer in transformer.stored_layers:
        for part in _maps(layer):
            held += (part.rows, part.columns, part.weight)
    sizes = [(array.dtype, array.numel()) for array in held]
    found = hashlib.sha256(f"{structure(transformer)}{sizes}{about}".encode())
    for array in held:
        found.update(array.contiguous().numpy(force=True).data)
    return found.hexdigest()


class Made:
    """What was made from weights, by name, and made anew where they are others than when it was."""

    def __init__(self):
        self._made: dict[str, tuple[str, Any]] = {}

    def of(self, now: str, name: str, make: Callable[[], Any]) -> Any:
        """What has this name, of weights with the digest `now`."""
        if self._made.get(name, ("",))[0] != now:
            self._made[name] = now, make()
        return self._made[name][1]


def _maps(layer: Layer) -> Iterator[SparseMap]:
    """Every sparse map of a layer, in order."""
    for group in layer.attention.stored_groups:
        yield from (group.query, group.key, group.value)
    yield from (layer.mlp.first, layer.mlp.second)


def _kind(part: SparseMap) -> tuple[int, int, bool]:
    """A map's shape, and whether it keeps the exact numbers that its weights were rounded from."""
    return part.outputs, part.inputs, part.exact is not None
