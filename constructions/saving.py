"""Constructions as files: safetensors only, whole or not at all.

A file holds every tensor of the transformer and, in its metadata, the format, the kind of construction and its spec as JSON,
the certificate, the sizes and the version that wrote it. Reading builds the construction afresh from the spec and puts the
file's weights in it. The seal is that of the spec's own weights: where one of the file's differs, in a single bit, it is
broken, and nothing is promised.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from constructions import __version__
from constructions.seal import structure
from constructions.transformer import Transformer

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
    return f"{_home(spec).rpartition('.')[2]}.{type(spec).__name__}"


def _home(spec: Any) -> str:
    """The package of constructions that a spec is of, or the module where strangers defined it."""
    module = type(spec).__module__
    return ".".join(module.split(".")[:2]) if module.startswith("constructions.") else module


def home(spec: Any) -> Any:
    """The module that builds from a spec.

    Raises:
        ValueError: if it has no function `build`.
    """
    module = import_module(_home(spec))
    if not hasattr(module, "build"):
        raise ValueError(f"{module.__name__}: wanted a function build beside {type(spec).__name__}, got none")
    return module


def sealed(construction: Any) -> Any:
    """What a construction's spec builds, as it was sealed.

    Raises:
        ValueError: if it was sealed as something else: a part of that, one by a plan of its own, or one of another spec.
    """
    built = home(construction.spec).build(construction.spec)
    if built.seal != construction.seal:
        name = kind(construction.spec)
        raise ValueError(f"{name}: wanted what it builds, got a part of that or what another plan builds")
    return built


def rejoined(spec: Any, tokens: Any, transformer: Transformer) -> Any:
    """What a spec builds, with tokens and a transformer in place of its own; if they are others, nothing is promised."""
    return replace(home(spec).build(spec), tokens=tokens, transformer=transformer)


def weights(transformer: Transformer) -> dict[str, Tensor]:
    """A transformer's tensors by name, numbers in float64."""
    state = {name: value.cpu() for name, value in transformer.state_dict().items()}
    return {name: value.double() if value.is_floating_point() else value for name, value in state.items()}


def save(path: str | Path, construction: Any) -> None:
    """Write a construction's file.

    Raises:
        ValueError: if it is not what its spec builds, other weights apart: reading it would build something else.
    """
    spec, transformer = construction.spec, construction.transformer
    _known(kind(spec))
    built, wanted = sealed(construction), f"save: wanted what {kind(spec)} builds"
    tensors = weights(transformer)
    put(built.transformer, tensors, wanted)
    if structure(transformer) != structure(built.transformer) or construction.tokens != built.tokens:
        raise ValueError(f"{wanted}, weights apart, got another structure, clip radius or tokens")
    metadata = {
        "format": FORMAT,
        "kind": kind(spec),
        "spec": json.dumps(asdict(spec)),
        "certificate": repr(built.certificate),
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
    built = home(spec).build(spec)
    put(built.transformer, tensors, f"{wanted} of this version")
    return built


def put(transformer: Transformer, tensors: Mapping[str, Tensor], wanted: str) -> None:
    """Put weights where they belong.

    Raises:
        ValueError: if a tensor is missing, has another shape or is not finite, or an entry stands elsewhere.
    """
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
    transformer.load_state_dict(dict(tensors))


def _spec(name: str, fields: Any) -> Any:
    """A spec from its kind and its record."""
    _known(name)
    if not isinstance(fields, dict):
        raise ValueError(f"spec: wanted fields by name, got {fields!r}")
    package, _, word = name.partition(".")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return getattr(import_module(f"constructions.{package}"), word)(**values)


def _known(name: str) -> None:
    """Whether files of this kind can be read."""
    if name not in KINDS:
        raise ValueError(f"kind: wanted one of {', '.join(KINDS)}, got {name}")
