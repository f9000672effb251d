"""Checkpoints: safetensors only, whole or not at all.

A file holds the weights, what the optimiser remembers, the average of the weights if there is one and, as JSON in its
metadata, the settings of the run, the number of steps done, the curves so far, and checksums of all. There is no state of
random numbers to keep: initial weights and every batch are functions of the seed and the step.
"""

import json
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
from torch import Tensor, nn

from constructions import files
from constructions.saving import intact, read_tensors, write_tensors
from verify.training.optimisers import Average, Optimiser

FORMAT = "weightwright training 1"
WANTED = "a checkpoint written by `weightwright train`"
CURVE = list[dict[str, int | float]]
"""Rows of losses and regrets by name."""


def save(
    path: Path,
    model: nn.Module,
    optimizer: Optimiser | None,
    step: int,
    settings: dict,
    curve: list,
    more: dict[str, Any] | None = None,
    average: Average | None = None,
) -> None:
    """Write beside the final name and move there, so that a kill leaves the checkpoint before; makes folders if need be."""
    tensors = {f"weights.{name}": value.detach() for name, value in model.named_parameters()}
    tensors |= optimizer.tensors() if optimizer else {}
    tensors |= average.tensors() if average else {}
    told = {"step": step, "settings": settings, "curve": curve, "tensors": digest(tensors), **(more or {})}
    words = {name: json.dumps(value, allow_nan=False) for name, value in told.items()}
    write_tensors(path, tensors, {"format": FORMAT, **words})


def load(path: Path) -> tuple[dict[str, Tensor], int, dict[str, Any], list]:
    """Tensors by name, steps done, settings and curve.

    Raises:
        ValueError: if the file is missing, torn, damaged, or none of ours.
    """
    tensors, told = _read(path)
    return tensors, told["step"], told["settings"], told["curve"]


def played(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights to play with: their average, where a checkpoint has one."""
    averages = {name: value for name, value in tensors.items() if name.startswith("average.")}
    return {name.replace("average", "weights", 1): value for name, value in averages.items()} or tensors


def told(path: Path, name: str, absent: Any = ...) -> Any:
    """One more entry of a checkpoint's metadata, from JSON; where there is none, `absent`, if that is given.

    Raises:
        ValueError: if the file is damaged, or has no such entry and none is given.
    """
    _, found = _read(path)
    if name not in found and absent is not ...:
        return absent
    if name not in found:
        raise files.refusal(path, f"{name!r} in its metadata, as `weightwright ship` writes it", "none")
    return found[name]


class _Told(TypedDict):
    """What every checkpoint says."""

    step: Annotated[int, msgspec.Meta(ge=0)]
    settings: dict[str, Any]
    curve: CURVE


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, and metadata from JSON, both held to their checksums."""
    tensors, words = read_tensors(path, FORMAT, WANTED)
    try:
        names = words.keys() - {"format", files.SUM}
        told = {name: files.parsed(words[name].encode()) for name in names}
        files.typed(told, _Told)
        intact(words)
        if told.get("tensors") != digest(tensors):
            raise ValueError("weights that their checksum does not fit")
    except Exception as error:  # tensors may be of kinds that NumPy does not know
        raise files.refusal(path, WANTED, error) from error
    return tensors, told


def digest(tensors: dict[str, Tensor]) -> str:
    """The checksum of the tensors of a checkpoint."""
    return files.digest({name: value.numpy(force=True) for name, value in tensors.items()})


def restore(
    path: Path,
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizer: Optimiser | None,
    step: int,
    average: Average | None = None,
) -> None:
    """Put weights, and what the optimiser remembers and the average if there are such, where they belong.

    Raises:
        ValueError: if a tensor is missing, has another shape, or is not finite.
    """
    places = {f"weights.{name}": value.detach() for name, value in model.named_parameters()}
    places |= optimizer.put(step) if optimizer else {}
    places |= average.tensors() if average else {}
    for name, place in places.items():
        value = tensors.get(name)
        like = value is not None and (value.shape, value.dtype) == (place.shape, place.dtype)
        if value is None or not like or not bool(value.isfinite().all()):
            kind = (
                "other values" if like else value if value is None else f"{tuple(value.shape)}, {value.dtype}"
            )
            wanted = f"{name}, finite, of shape {tuple(place.shape)} and {place.dtype}"
            raise files.refusal(path, wanted, kind)
        place.copy_(value)
