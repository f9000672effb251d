"""A construction as a certificate: weights, statement, blocks with what they take for granted, and a few histories."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from constructions import files, saving
from constructions.anatomy.formulas import Form
from constructions.anatomy.layers import View, layers
from constructions.construction import Construction
from constructions.inputs.bandits import History
from constructions.parts.block import Block
from constructions.softmax.attention import softmax_shares
from constructions.transformer import Layer, SparseMap, relu_shares
from verify.balls import forward
from verify.balls.arrays import Balls, precision
from verify.catalog import Entry
from verify.certificate import check_certificate as checker

OWN = ("own token", "own-token product")
"""Kinds of heads that see their own token alone."""
ATTENTION: dict[Any, str] = {relu_shares: "relu", softmax_shares: "softmax"}
DIGITS, LARGEST = 40, 1e300
"""Decimal digits of what is computed on histories, and what a gate of one token alone is told to keep out."""


def certificate(entry: Entry, built: Construction, histories: Sequence[History]) -> dict[str, Any]:
    """A certificate as plain values, numbers that are not whole as `float.hex` writes them.

    Args:
        entry: the row of the construction.
        built: the construction, with the weights that it was sealed with.
        histories: admissible histories on which what is computed is written down, with the truth where the row has it in
            balls.

    Raises:
        ValueError: if weights were changed, so that nothing is promised, attention is of another kind, or a history is not
            admissible.
    """
    if strange := {x.attention.shares for x in built.transformer.stored_layers} - set(ATTENTION):
        raise ValueError(f"certificate: wanted attention by relu or softmax, got {strange.pop().__name__}")
    if built.certificate == float("inf"):
        raise ValueError("certificate: wanted the weights that the specification builds, got others")
    form = Form.of(built.tokens.stream, built.tokens.longest)
    views = layers(built.transformer, form, built.sealed_blocks)
    guarantee, asked = built.guarantee, getattr(built.spec, "error", None)
    size = built.size().record()
    record = {
        "format": checker.FORMAT,
        "kind": saving.kind(built.spec),
        "spec": asdict(built.spec),
        "statement": {
            "of": guarantee.of,
            "output": list(guarantee.names),
            "one_sided": guarantee.one_sided,
            "floor": float(guarantee.floor).hex(),
            "certificate": built.certificate.hex(),
            "asked": None if asked is None or built.promised else float(asked).hex(),
        },
        "sizes": {name: size[name] for name in ("layers", "heads", "width", "hidden")}
        | {"norm": float(size["norm"]).hex()},
        "longest": built.tokens.longest,
        "clip_radius": float(built.transformer.clip_radius).hex(),
        "registers": {one.name: [one.start, one.size] for one in form.registers},
        "layers": [_layer(layer) for layer in built.transformer.stored_layers],
        "blocks": [_block(block, views, n) for n, block in enumerate(built.sealed_blocks)],
        "trusted": [],
        "histories": [_history(entry, built, history) for history in histories],
    }
    read = checker.Certificate(record)
    for block in record["blocks"]:
        block["gates"] = [[*place, _room(read, *place).hex()] for place in block["gates"]]
    found = checker.obligations(read)
    return record | {"trusted": [key for key, (derived, _) in found.items() if not derived]}


def _room(read: checker.Certificate, layer: int, head: int) -> float:
    """What the rest of a score may come to, as a number of float64 that is not above it."""
    terms = checker.score(read, *read.layers[layer].heads[head])
    return min(float(checker.silence(read.longest, terms)) * (1 - 1e-15), LARGEST)


def export(path: Path, record: dict[str, Any]) -> None:
    """Write a certificate, whole or not at all."""
    files.write(path, checker.json.dumps(record, default=float))


def chosen(entry: Entry, built: Construction, count: int, steps: int) -> list[History]:
    """So many histories of the row's own battery, from its first to its last, of so many decisions at most."""
    battery = entry.histories.battery(built.spec)
    places = np.unique(np.linspace(0, len(battery) - 1, count).astype(int)) if count else []
    short = (replace(battery[n], steps=min(battery[n].steps, steps)) for n in places)
    return [outline.history(built.spec) for outline in short]


def _layer(layer: Layer) -> dict[str, Any]:
    """One stored layer; rows of values are named by the stream entries that they are added to."""
    heads = [head for group in layer.attention.stored_groups for head in _heads(group)]
    first, second = (_entries(part.matrix()) for part in (layer.mlp.first, layer.mlp.second))
    neurons = layer.mlp.first.outputs
    weights = {"heads": heads, "neurons": neurons, "W1": first, "W2": second}
    return {"repeat": layer.repeat, "attention": ATTENTION[layer.attention.shares], **weights}


def _heads(group: Any) -> Iterator[list[list]]:
    """The heads of a group one by one: query, key and value."""
    parts: list[SparseMap] = [group.query, group.key, group.value]
    matrices, targets = [part.matrix() for part in parts], group.targets.numpy(force=True)
    for n in range(group.count):
        query, key, value = (
            _entries(matrix[n * height : (n + 1) * height])
            for matrix, height in zip(matrices, (part.outputs // group.count for part in parts), strict=True)
        )
        start = n * (parts[2].outputs // group.count)
        yield [query, key, [[int(targets[start + row]), column, weight] for row, column, weight in value]]


def _entries(matrix: sparse.csr_array) -> list[list]:
    """Rows, columns and weights of a matrix."""
    entries = matrix.tocoo()
    return [
        [int(row), int(column), float(weight).hex()]
        for row, column, weight in zip(entries.row, entries.col, entries.data, strict=True)
    ]


def _block(block: Block, views: Sequence[View], number: int) -> dict[str, Any]:
    """One block: where it is at work, what it promises, and of what inputs that was derived."""
    promise, (first, last) = block.promise, _steps(views, number)
    own, total = promise.own.error, promise.total.error
    return {
        "name": block.name,
        "source": block.source,
        "proof": promise.proof,
        "first": first,
        "last": last,
        "reads": sorted(block.reads),
        "writes": sorted(block.writes),
        "output": [register.name for register in block.outputs],
        "groups": block.groups,
        "own": own.hex(),
        "carried": max(total - own, 0.0).hex(),
        "total": total.hex(),
        "magnitude": float(promise.magnitude).hex(),
        "inputs": [
            {
                "entries": [one.register.start, one.register.size],
                "groups": one.groups,
                "size": float(one.size).hex(),
                "error": float(one.error).hex(),
            }
            for one in block.inputs
        ],
        "gates": _gates(views, number),
    }


def _steps(views: Sequence[View], number: int) -> tuple[int, int]:
    """The first and last step of a block: 2ℓ − 1 is the attention of layer ℓ, 2ℓ its MLP."""
    found = []
    for view in views:
        for kind, parts in ((1, view.families), (0, view.neurons)):
            if any(part.block == number for part in parts):
                found += [2 * layer - kind for layer in (view.first, view.first + view.repeat - 1)]
    return min(found), max(found)


def _gates(views: Sequence[View], number: int) -> list[list]:
    """The heads of a block that see their own token alone: stored layer and head."""
    return [
        [layer, family.place + n]
        for layer, view in enumerate(views)
        for family in view.families
        if family.block == number and family.kind in OWN and view.layer.attention.shares is relu_shares
        for n in range(family.count)
    ]


def _history(entry: Entry, built: Construction, history: History) -> dict[str, Any]:
    """Tokens, and what is said at each decision by the weights and by the true algorithm, in decimal digits."""
    tokens, steps = built.tokens.encode(history), np.arange(history.steps)
    compiled = forward.compile_layers(built)
    with precision(256 + 4 * sum(layer.repeat for layer in compiled)):
        found = forward.said(built, forward.logits(built, history, steps, compiled, everywhere=True))
        truth = None if entry.balls is None else _digits(entry.balls(built.spec, history, steps.tolist()))
        output = _digits(found)
    return {
        "tokens": [[float(x).hex() for x in row] for row in tokens],
        "states": built.tokens.states(history.steps).tolist(),
        "output": output,
        "truth": truth,
    }


def _digits(found: Balls | Iterable) -> list[list[str]]:
    """Balls as decimal digits; the logarithm of a probability of 0 is told too."""
    return [["-inf" if x < -LARGEST else x.str(DIGITS, radius=False) for x in row] for row in found]
