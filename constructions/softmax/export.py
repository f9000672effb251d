"""A construction as a plain PyTorch module of ordinary softmax layers, and as files that need no import of ours."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from constructions import files
from constructions.softmax import plain_model
from constructions.softmax.attention import softmax_shares
from constructions.softmax.plain_model import Model
from constructions.transformer import Heads, Layer, SparseMap, Transformer


def to_torch(built: Any, folder: str | Path | None = None, history: Any = None) -> Model:
    """The plain module of a construction, from tokens (batch, tokens, D) to outputs.

    Into a folder go its weights, what is told of them, and a file that loads them with torch alone; with a history also an
    example: its tokens, and the log-probabilities at its states.

    Raises:
        ValueError: if the attention is not softmax.
    """
    model = plain(built.transformer)
    if folder is not None:
        write(folder, built, model, history)
    return model


def plain(transformer: Transformer) -> Model:
    """The plain module with these weights; clipping is left out, as it never acts.

    Raises:
        ValueError: if its attention is not softmax.
    """
    layers = list(transformer.run())
    if not all(layer.attention.shares is softmax_shares for layer in layers):
        raise ValueError("to_torch: wanted softmax attention, got the paper's")
    groups = [group for layer in layers for group in layer.attention.stored_groups]
    rows = [_rows(part, group) for group in groups for part in (group.query, group.value)]
    sizes = [[layer.attention.heads, layer.mlp.first.outputs] for layer in layers]
    model = Model(transformer.width, max(rows, default=1), sizes)
    with torch.no_grad():
        for number, layer in enumerate(layers):
            _fill(model.get_submodule(f"layers.{number}"), layer)
    return model.eval()


def write(folder: str | Path, built: Any, model: Model, history: Any = None) -> None:
    """Write model.py, model.json and weights.pt into a folder, and example.pt if there is a history to show."""
    place, registers = Path(folder), built.tokens.stream.registers.values()
    place.mkdir(parents=True, exist_ok=True)
    d_head = next(iter(model.layers)).get_parameter("W_Q").shape[2]
    sizes = [
        [layer.get_parameter("W_Q").shape[0], layer.get_parameter("W_in").shape[1]] for layer in model.layers
    ]
    told = {
        "width": built.transformer.width,
        "d_head": d_head,
        "sizes": sizes,
        "logits": built.output.tolist(),
    }
    told |= {"registers": {one.name: [one.start, one.size] for one in registers}, **built.record()}
    files.write(place / "model.py", Path(plain_model.__file__).read_text(encoding="utf-8"))
    files.write(place / "model.json", json.dumps(told, indent=1, ensure_ascii=False))
    files.write(place / "weights.pt", _bytes(model.state_dict()))
    if history is not None:
        seen = {"tokens": built.tokens.encode(history), "states": built.tokens.states(history.steps)}
        seen["log_probabilities"] = built.log_probabilities(history)
        files.write(place / "example.pt", _bytes({name: torch.as_tensor(x) for name, x in seen.items()}))


def _bytes(tensors: dict[str, torch.Tensor]) -> bytes:
    held = io.BytesIO()
    torch.save(tensors, held)
    return held.getvalue()


def _rows(part: SparseMap, group: Heads) -> int:
    """Rows of a map for each head."""
    return part.outputs // group.count


def _fill(module: nn.Module, layer: Layer) -> None:
    """The weights of one layer."""
    to, head = dict(module.named_parameters()), 0
    for group in layer.attention.stored_groups:
        heads = slice(head, head := head + group.count)
        for name, part in (("W_Q", group.query), ("W_K", group.key), ("W_V", group.value)):
            rows = part.matrix().toarray().reshape(group.count, -1, part.inputs)
            to[name][heads, :, : rows.shape[1]] = torch.as_tensor(rows).mT
        targets = group.targets.reshape(group.count, -1)
        number, span = torch.meshgrid(*map(torch.arange, targets.shape), indexing="ij")
        to["W_O"][number + heads.start, span, targets] = 1.0
    to["W_in"][:] = torch.as_tensor(layer.mlp.first.matrix().toarray()).T
    to["W_out"][:] = torch.as_tensor(layer.mlp.second.matrix().toarray()).T
