"""Constructions as files: safetensors only, whole or not at all.

A file holds every tensor of the transformer and, in its metadata, the format, the kind of construction and its spec as JSON,
the certificate, the sizes, the version that wrote it, and a checksum of all these. Reading builds the construction afresh
from the spec and puts the file's weights in it. The seal is that of the spec's own weights: where one of the file's differs,
in a single bit, it is broken, and nothing is promised.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
from torch import Tensor

from constructions import __version__, files
from constructions.seal import structure
from constructions.sizes import measured
from constructions.transformer import Transformer

FORMAT = "weightwright construction 1"
OURS = "constructions."
"""What stands before the names of modules that need not be imported before a file of theirs is read."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> None:
    """Write tensors and words, the checksum of the words among them; whole or not at all."""
    ready = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    files.write(path, safetensors.save(ready, {**words, files.SUM: files.digest({}, words)}))


def read_tensors(path: str | Path, form: str, wanted: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and words of a file of this format, the checksum, to be held to by `intact`, among them.

    Raises:
        ValueError: if the file is missing, damaged, or of another format.
    """
    data = files.read(path, wanted)
    try:
        tensors = safetensors.load(data)
        words = files.parsed(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    except Exception as error:  # whatever a damaged file makes of safetensors and torch
        raise files.refusal(path, wanted, error) from None
    if words.get("format") != form:
        raise files.refusal(path, wanted, f"format {words.get('format')!r}")
    return tensors, words


def intact(words: Mapping[str, str]) -> None:
    """Hold words to their checksum.

    Raises:
        ValueError: if they have none, or another.
    """
    rest = {name: text for name, text in words.items() if name != files.SUM}
    if words.get(files.SUM) != files.digest({}, rest):
        raise ValueError(files.CHANGED)


def kind(spec: Any) -> str:
    """Module and class of a spec, ours without the name of the package: `linucb.Spec`, or `soft_ucb1.Spec`."""
    return f"{_module(spec).removeprefix(OURS)}.{type(spec).__name__}"


def _module(spec: Any) -> str:
    """The module that builds from a spec: the nearest around its class that has `build`, or that of the class."""
    module = type(spec).__module__
    parts = module.split(".")
    around = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((name for name in around if hasattr(sys.modules.get(name), "build")), module)


def home(spec: Any) -> Any:
    """The module that builds from a spec.

    Raises:
        ValueError: if it has no function `build`.
    """
    module = import_module(_module(spec))
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
        ValueError: if something is in the way, or it is not what its spec builds, other weights apart: reading it would
            build something else.
    """
    files.placed(path)
    spec, transformer = construction.spec, construction.transformer
    if _class(kind(spec)) is not type(spec):
        raise ValueError(f"spec: wanted {kind(spec)}, got another class of this name")
    built, wanted = sealed(construction), f"what {kind(spec)} builds"
    tensors = weights(transformer)
    put(built.transformer, tensors, "save", wanted)
    if structure(transformer) != structure(built.transformer) or construction.tokens != built.tokens:
        raise files.refusal("save", f"{wanted}, weights apart", "another structure, clip radius or tokens")
    metadata = {
        "format": FORMAT,
        "kind": kind(spec),
        "spec": json.dumps(asdict(spec)),
        "certificate": repr(built.certificate),
        "size": json.dumps(asdict(measured(transformer))),
        "version": __version__,
    }
    write_tensors(Path(path), tensors, metadata)


def load(path: str | Path) -> Any:
    """The construction in a file.

    Raises:
        ValueError: if the file is missing, damaged, none of ours, or holds other tensors than its spec asks for.
    """
    wanted = "a construction written by `save`"
    tensors, words = read_tensors(path, FORMAT, wanted)
    try:
        spec = _spec(words["kind"], files.parsed(words["spec"].encode()))
        intact(words)  # before anything is built: a damaged size would take long
        built = home(spec).build(spec)
    except Exception as error:  # whatever a spec that was never built makes of its package
        raise files.refusal(path, wanted, error) from error
    put(built.transformer, tensors, path, f"{wanted} of this version")
    return built


def put(transformer: Transformer, tensors: Mapping[str, Tensor], place: object, wanted: str) -> None:
    """Put weights where they belong; the place, and what was wanted there, are for the error.

    Raises:
        ValueError: if a tensor is missing, has another shape or is not finite, or an entry stands elsewhere.
    """
    own = weights(transformer)
    if strange := set(own) ^ set(tensors):
        got = f"{len(tensors)}, {min(strange)} among them or missing"
        raise files.refusal(place, f"{wanted}: {len(own)} tensors", got)
    for name, value in own.items():
        got, named = tensors[name], f"{wanted}: {name}"
        if got.shape != value.shape or got.dtype != value.dtype:
            shape, other = (f"{tuple(one.shape)} of {one.dtype}" for one in (value, got))
            raise files.refusal(place, f"{named} of shape {shape}", other)
        if not value.is_floating_point() and not torch.equal(got, value):
            raise files.refusal(place, f"{named} as its spec has it", "entries in other places")
        if not bool(got.isfinite().all()):
            raise files.refusal(place, f"{named} finite", f"{got[~got.isfinite()][0]:g}")
    transformer.load_state_dict(dict(tensors))


def _spec(name: str, fields: Any) -> Any:
    """A spec from its kind and its record."""
    made = _class(name)
    if not isinstance(fields, dict):
        raise ValueError(f"spec: wanted fields by name, got {fields!r}")
    return made(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


def _class(name: str) -> type:
    """The class of a spec by its kind: one of ours, or one in a module that was imported already.

    No file makes anything else be imported or called.

    Raises:
        ValueError: if it is none of these.
    """
    module, _, word = name.rpartition(".")
    ours = f"{OURS}{module}"
    known = module.isidentifier() and find_spec(ours) is not None
    place = import_module(ours) if known else sys.modules.get(module)
    found = getattr(place, word, None)
    if not (hasattr(place, "build") and isinstance(found, type) and is_dataclass(found)):
        wanted = (
            f"a spec beside the function build of a module in {OURS.rstrip('.')}, or of one that is imported"
        )
        raise ValueError(f"kind: wanted {wanted}, got {name}")
    return found
