"""Checkpoints: safetensors only, whole or not at all.

A file holds the weights, both moments of AdamW and, as JSON in its metadata, the settings of the run, the number of steps
done and the curves so far. There is no state of random numbers to keep: initial weights and every batch are functions of
the seed and the step.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from constructions.saving import read_tensors, write_tensors

FORMAT = "weightwright training 1"
MOMENTS = ("exp_avg", "exp_avg_sq")
WANTED = "wanted a checkpoint written by `weightwright train`"


def save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    step: int,
    settings: dict,
    curve: list,
    more: dict[str, Any] | None = None,
) -> None:
    """Write beside the final name and move there, so that a kill leaves the checkpoint before; makes folders if need be."""
    tensors = {f"weights.{name}": value.detach() for name, value in model.named_parameters()}
    for name, parameter in model.named_parameters() if optimizer else ():
        for moment in MOMENTS:
            tensors[f"{moment}.{name}"] = optimizer.state[parameter][moment]  # type: ignore[union-attr]
    metadata = {
        "format": FORMAT,
        "step": str(step),
        "settings": json.dumps(settings),
        "curve": json.dumps(curve),
        **{name: json.dumps(value) for name, value in (more or {}).items()},
    }
    write_tensors(path, tensors, metadata)


def load(path: Path) -> tuple[dict[str, Tensor], int, dict[str, Any], list]:
    """Tensors by name, steps done, settings and curve.

    Raises:
        ValueError: if the file is missing, torn, or none of ours.
    """
    wanted = f"{path}: {WANTED}"
    tensors, metadata = read_tensors(path, FORMAT, wanted)
    try:
        parts = (json.loads(metadata[name]) for name in ("step", "settings", "curve"))
        return tensors, *parts  # type: ignore[return-value]
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{wanted}, got {type(error).__name__}: {error}") from error


def told(path: Path, name: str) -> Any:
    """One more entry of a checkpoint's metadata, from JSON.

    Raises:
        ValueError: if the file is damaged, or has no such entry.
    """
    _, metadata = read_tensors(path, FORMAT, f"{path}: {WANTED}")
    try:
        return json.loads(metadata[name])
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: wanted {name!r} in its metadata, as `weightwright ship` writes it"
        ) from error


def restore(
    path: Path,
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    step: int,
) -> None:
    """Put weights, and moments if there is an optimizer, where they belong.

    Raises:
        ValueError: if a tensor is missing, has another shape, or is not finite.
    """
    for name, parameter in model.named_parameters():
        found = {}
        for kind in ("weights", *(MOMENTS if optimizer else ())):
            value = tensors.get(f"{kind}.{name}")
            shaped = value is not None and value.shape == parameter.shape
            if value is None or not shaped or not bool(value.isfinite().all()):
                got = None if value is None else "other values" if shaped else tuple(value.shape)
                shape = tuple(parameter.shape)
                raise ValueError(f"{path}: wanted {kind}.{name}, finite, of shape {shape}, got {got}")
            found[kind] = value.to(parameter.device)
        with torch.no_grad():
            parameter.copy_(found.pop("weights"))
        if optimizer is not None:
            optimizer.state[parameter] = {"step": torch.tensor(float(step)), **found}
