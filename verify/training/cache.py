"""Batches kept on disk: one compressed file each, and a manifest of what they are and what they hash to.

`manifest.jsonl` begins with the settings that the batches depend on; a line for each batch follows, with its number and the
SHA-256 of its file. A batch that is there is read and checked, any other is made and kept.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec

from constructions import files
from verify.training.kinds import Recipe
from verify.training.recipes import Batch, batch

MANIFEST = "manifest.jsonl"


class Kept(msgspec.Struct, forbid_unknown_fields=True):
    """A line of the manifest: a batch that is there."""

    number: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


def cached(folder: Path, recipe: Recipe, seed: int, size: int) -> Callable[[int], Batch]:
    """`batch(recipe, seed, number, size)` as a function of the number, kept in a folder, which is made if need be.

    Raises:
        ValueError: if the folder's manifest is damaged or that of other settings; later, if a batch is not what the manifest
            says.
    """
    manifest, settings = folder / MANIFEST, {"recipe": asdict(recipe), "seed": seed, "batch": size}
    settings = json.loads(json.dumps(settings))
    if not manifest.exists():
        files.write(manifest, json.dumps(settings) + "\n")
    wanted = "lines of JSON written here"
    whole, _, torn = files.read(manifest, wanted).rpartition(b"\n")
    if torn:  # by a kill
        files.write(manifest, whole + b"\n")
    try:
        found, *lines = map(files.parsed, whole.split(b"\n"))
        known = {line.number: line.sha256 for line in files.typed(lines, list[Kept])}
    except ValueError as error:
        raise files.refusal(manifest, wanted, error) from None
    if found != settings:
        other = [
            name for name in settings if not isinstance(found, dict) or found.get(name) != settings[name]
        ]
        got = {name: found.get(name) for name in other} if isinstance(found, dict) else found
        raise files.refusal(manifest, f"batches of { {name: settings[name] for name in other} }", got)

    def get(number: int) -> Batch:
        path = folder / f"{number:08d}.npz"
        if number not in known:
            made = batch(recipe, seed, number, size)
            data = files.packed({"tokens": made.tokens, "labels": made.labels}, compressed=True)
            files.write(path, data)
            known[number] = hashlib.sha256(data).hexdigest()
            with manifest.open("ab") as file:
                files.add(file, json.dumps({"number": number, "sha256": known[number]}))
            return made
        wanted = f"the file of SHA-256 {known[number]}"
        data = files.read(path, wanted)
        if (got := hashlib.sha256(data).hexdigest()) != known[number]:
            raise files.refusal(path, wanted, got)
        try:
            arrays = files.unpacked(data)
            return _held(Batch(arrays["tokens"], arrays["labels"]), recipe, size)
        except Exception as error:  # whatever zip and NumPy make of what was never written here
            raise files.refusal(path, "a batch of tokens and labels", error) from error

    return get


def _held(found: Batch, recipe: Recipe, size: int) -> Batch:
    """Hold a batch to the shapes of a recipe's.

    Raises:
        ValueError: if they are others.
    """
    shapes = (size, recipe.longest, recipe.tokens.stream.width), (size, recipe.horizon)
    got = tuple((array.shape, array.dtype.kind) for array in (found.tokens, found.labels))
    if got != ((shapes[0], "f"), (shapes[1], "i")):
        raise ValueError(
            f"tokens and labels of shapes {got[0][0]} and {got[1][0]} instead of {shapes[0]} and {shapes[1]}"
        )
    return found
