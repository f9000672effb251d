"""A softmax transformer in plain PyTorch: causal softmax attention without a scale, ReLU MLP, no LayerNorm, no biases.

It needs nothing but torch, and was written beside the weights that it loads:

    model, told = load("FOLDER")
    torch.log_softmax(model(tokens)[:, states][..., told["logits"]], -1)

`tokens` has the shape (batch, tokens, width) and is float64. `example.pt`, if there is one, holds a history as tokens, where
its states are, and the log-probabilities there. Weights have the names and shapes of TransformerLens: W_Q, W_K and W_V
(heads, width, d_head), W_O (heads, d_head, width), W_in (width, neurons), W_out (neurons, width).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Layer(nn.Module):
    """h + Σ_m softmax_{j≤i}(⟨W_Qᵀ h_i, W_Kᵀ h_j⟩) W_Oᵀ W_Vᵀ h_j, then h + W_outᵀ relu(W_inᵀ h)."""

    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    W_in: Tensor
    W_out: Tensor

    def __init__(self, width: int, d_head: int, heads: int, neurons: int):
        super().__init__()
        shapes = dict.fromkeys(("W_Q", "W_K", "W_V"), (heads, width, d_head))
        shapes |= {"W_O": (heads, d_head, width), "W_in": (width, neurons), "W_out": (neurons, width)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape, dtype=torch.float64)))

    def pattern(self, tokens: Tensor) -> Tensor:
        """What each token takes of each, shape (batch, heads, tokens, tokens)."""
        scores = (tokens[:, None] @ self.W_Q) @ (tokens[:, None] @ self.W_K).mT
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        return scores.masked_fill(later, -torch.inf).softmax(-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """One layer."""
        if len(self.W_Q):
            tokens = tokens + (self.pattern(tokens) @ (tokens[:, None] @ self.W_V) @ self.W_O).sum(1)
        return tokens + torch.relu(tokens @ self.W_in) @ self.W_out


class Model(nn.Module):
    """Layers in order; `sizes` are the (heads, neurons) of each."""

    def __init__(self, width: int, d_head: int, sizes: list[list[int]]):
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, d_head, *size) for size in sizes)

    def forward(self, tokens: Tensor) -> Tensor:
        """All of them."""
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens

    def patterns(self, tokens: Tensor) -> Iterator[Tensor]:
        """What each token takes of each, layer by layer, shape (batch, heads, tokens, tokens)."""
        for layer in self.layers:
            yield layer.pattern(tokens)  # type: ignore[operator]
            tokens = layer(tokens)


def load(folder: str) -> tuple[Model, dict[str, Any]]:
    """The model that was saved in a folder, and what is told of it."""
    told = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    model = Model(told["width"], told["d_head"], told["sizes"])
    model.load_state_dict(torch.load(Path(folder) / "weights.pt", weights_only=True))
    return model.eval(), told
