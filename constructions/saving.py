"""Constructions as files: safetensors only, whole or not at all.

A file holds every tensor of the transformer and, in its metadata, the format, the kind of construction and its spec as JSON,
the certificate, the sizes and the version that wrote it. Reading builds the construction afresh from the spec and puts the
file's weights in it. A certificate speaks of the spec's own weights: where one of the file's differs, in a single bit,
nothing is promised, and the certificate is infinite.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from constructions import __version__
from constructions.transformer import SparseMap, Transformer

FORMAT = "weightwright construction 1"
KINDS = ("linucb.Spec", "thompson.Spec", "thompson.BernoulliSpec", "ucbvi.Spec")
"""What can be built from a spec: a package of constructions, which has `build`, and a class in it."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write beside the final name and move there, so that a kill leaves what was there; makes folders if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    try:
        scratch.touch()
        mode = scratch.stat().st_mode  # what the user's mask leaves; safetensors would let nobody else read
        ready = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
        save_file(ready, scratch, dict(metadata))
        scratch.chmod(mode)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def read_tensors(path: str | Path, form: str, wanted: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file of this format; an error begins with what was wanted.

    Raises:
        ValueError: if the file is missing, damaged, or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != form:
                raise ValueError(f"{wanted}, got format {metadata.get('format')!r}")
            return {name: file.get_tensor(name).clone() for name in file.keys()}, metadata  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{wanted}, got {type(error).__name__}: {error}") from error


def kind(spec: Any) -> str:
    """Package and class of a spec: `linucb.Spec`."""
    return f"{type(spec).__module__.split('.')[1]}.{type(spec).__name__}"


def build(spec: Any) -> Any:
    """The construction for a spec, by the package that the spec is of."""
    return import_module(f"constructions.{kind(spec).split('.')[0]}").build(spec)


def weights(transformer: Transformer) -> dict[str, Tensor]:
    """A transformer's tensors by name, numbers in float64."""
    state = {name: value.cpu() for name, value in transformer.state_dict().items()}
    return {name: value.double() if value.is_floating_point() else value for name, value in state.items()}


def save(path: str | Path, spec: Any, transformer: Transformer) -> None:
    """Write a construction's file.

    Raises:
        ValueError: if it is not what its spec builds, other weights apart: reading it would build something else.
    """
    tensors = weights(transformer)
    built = build(spec)
    changed = put(built.transformer, tensors, f"save: wanted what {kind(spec)} builds")
    metadata = {
        "format": FORMAT,
        "kind": kind(spec),
        "spec": json.dumps(asdict(spec)),
        "certificate": repr(math.inf if changed else built.certificate),
        "size": json.dumps(asdict(transformer.size())),
        "version": __version__,
    }
    write_tensors(Path(path), tensors, metadata)


def load(path: str | Path) -> Any:
    """The construction in a file.

    Raises:
        ValueError: if the file is missing, damaged, none of ours, or holds other tensors than its spec asks for.
    """
    wanted = f"{path}: wanted a construction written by `save`"
    tensors, metadata = read_tensors(path, FORMAT, wanted)
    try:
        spec = _spec(metadata["kind"], json.loads(metadata["spec"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{wanted}, got {type(error).__name__}: {error}") from error
    return restored(spec, tensors, f"{wanted} of this version")


def restored(
    spec: Any, tensors: Mapping[str, Tensor], wanted: str = "weights: wanted those of a spec"
) -> Any:
    """The construction that a spec builds with the weights given; its certificate is infinite if they are others.

    Raises:
        ValueError: if a tensor is missing, has another shape or is not finite, or an entry stands elsewhere.
    """
    built = build(spec)
    return built.altered() if put(built.transformer, tensors, wanted) else built


def put(transformer: Transformer, tensors: Mapping[str, Tensor], wanted: str) -> bool:
    """Put weights where they belong; whether any of them is another than before."""
    own = weights(transformer)
    if strange := set(own) ^ set(tensors):
        raise ValueError(
            f"{wanted}: {len(own)} tensors, got {len(tensors)}, {min(strange)} among them or missing"
        )
    for name, value in own.items():
        got = tensors[name]
        if got.shape != value.shape or got.dtype != value.dtype:
            shapes = (f"{tuple(one.shape)} of {one.dtype}" for one in (value, got))
            raise ValueError("{}: {} of shape {}, got {}".format(wanted, name, *shapes))
        if not value.is_floating_point() and not torch.equal(got, value):
            raise ValueError(f"{wanted}: {name} as its spec has it, got entries in other places")
        if not bool(got.isfinite().all()):
            raise ValueError(f"{wanted}: {name} finite, got {got[~got.isfinite()][0]:g}")
    changed = [name for name, value in own.items() if not torch.equal(tensors[name], value)]
    for name in changed:
        part = transformer.get_submodule(name.rpartition(".")[0])
        if isinstance(part, SparseMap):
            part.exact = None
        with torch.no_grad():
            transformer.get_parameter(name).copy_(tensors[name])
    return bool(changed)


def _spec(name: str, fields: Any) -> Any:
    """A spec from its kind and its record."""
    if name not in KINDS:
        raise ValueError(f"kind: wanted one of {', '.join(KINDS)}, got {name}")
    if not isinstance(fields, dict):
        raise ValueError(f"spec: wanted fields by name, got {fields!r}")
    package, _, word = name.partition(".")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return getattr(import_module(f"constructions.{package}"), word)(**values)
