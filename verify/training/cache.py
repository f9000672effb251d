"""Batches kept on disk: one compressed file each, and a manifest of what they are and what they hash to.

`manifest.jsonl` begins with the settings that the batches depend on; a line for each batch follows, with its number and the
SHA-256 of its file. A batch that is there is read and checked, any other is made and kept.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np

from verify.report import write_whole
from verify.training.recipes import Batch, Recipe, batch

MANIFEST = "manifest.jsonl"


def cached(folder: Path, recipe: Recipe, seed: int, size: int) -> Callable[[int], Batch]:
    """`batch(recipe, seed, number, size)` as a function of the number, kept in a folder, which is made if need be.

    Raises:
        ValueError: if the folder's manifest is damaged or that of other settings; later, if a batch is not what the manifest
            says.
    """
    manifest, settings = folder / MANIFEST, {"recipe": asdict(recipe), "seed": seed, "batch": size}
    settings = json.loads(json.dumps(settings))
    if not manifest.exists():
        write_whole(manifest, json.dumps(settings) + "\n")
    whole, _, torn = manifest.read_text(encoding="utf-8").rpartition("\n")
    if torn:  # by a kill
        write_whole(manifest, whole + "\n")
    try:
        found, *lines = map(json.loads, whole.split("\n"))
        known = {line["number"]: line["sha256"] for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{manifest}: wanted lines of JSON written here, got {error}") from error
    if found != settings:
        raise ValueError(f"{manifest}: wanted batches of {settings}, got {found}")

    def get(number: int) -> Batch:
        path = folder / f"{number:08d}.npz"
        if number not in known:
            made = batch(recipe, seed, number, size)
            buffer = BytesIO()
            np.savez_compressed(buffer, tokens=made.tokens, labels=made.labels)
            scratch = path.with_suffix(".part")
            scratch.write_bytes(buffer.getvalue())
            scratch.replace(path)
            known[number] = hashlib.sha256(buffer.getvalue()).hexdigest()
            with manifest.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"number": number, "sha256": known[number]}) + "\n")
            return made
        data = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(data).hexdigest() != known[number]:
            raise ValueError(f"{path}: wanted the file of SHA-256 {known[number]}, got another or none")
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            return Batch(arrays["tokens"], arrays["labels"])

    return get
