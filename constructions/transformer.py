"""The transformer exactly as the paper defines it (arXiv 2310.08566, Definitions 1 to 3).

    attention   h̄_i = h_i + Σ_m (1/i) Σ_{j≤i} relu(⟨Q_m h_i, K_m h_j⟩) V_m h_j
    MLP         h̄_i = h_i + W2 relu(W1 h_i)
    TF^R        H⁰ = clip_R(H),  H^ℓ = clip_R(MLP(Attn(H^{ℓ-1}))),  clip_R projects each token on the ball of radius R

Weights are stored factored and sparse: Q_m and K_m as their few nonzero rows, V_m and W likewise. `dense()` writes them
out as the paper's literal D×D matrices. Layers that repeat are stored once and counted as often as they run.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor, nn


class SparseMap(nn.Module):
    """A sparse linear map (inputs → outputs): `weight[n]` at (rows[n], columns[n]), the rest is 0.

    Weights may be given as exact numbers (`fractions.Fraction`), which float64 rounds: `exact` then keeps them, and is None
    otherwise.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, rows, columns, weights, outputs: int, inputs: int):
        super().__init__()
        places = np.asarray(rows, dtype=np.int64) * inputs + np.asarray(columns, dtype=np.int64)
        order = np.argsort(places, kind="stable")
        places, weights = places[order], np.asarray(weights)[order]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        weights = np.add.reduceat(weights, starts) if len(starts) else weights[:0]
        keep = weights != 0
        places, weights = places[starts][keep], weights[keep]
        self.outputs, self.inputs = outputs, inputs
        self.exact = weights if weights.dtype == object else None
        self.register_buffer("rows", torch.as_tensor((places // inputs).astype(np.int32)))
        self.register_buffer("columns", torch.as_tensor((places % inputs).astype(np.int32)))
        self.weight = nn.Parameter(torch.as_tensor(weights.astype(np.float64)), requires_grad=False)

    def forward(self, tokens: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Apply the map to the last axis."""
        terms = tokens[..., self.columns] * self.weight
        return tokens.new_zeros(*tokens.shape[:-1], self.outputs).index_add_(-1, self.rows, terms)

    def matrix(self) -> sparse.csr_array:
        """The map as a SciPy matrix of shape (outputs, inputs), rows and columns in order."""
        entries = (self.rows.numpy(force=True), self.columns.numpy(force=True))
        return sparse.csr_array((self.weight.numpy(force=True), entries), shape=(self.outputs, self.inputs))


Shares = Callable[[Tensor], Tensor]
"""From scores ⟨Q h_i, K h_j⟩, tokens i by tokens j, to what token i takes of the value of token j: 0 for j > i."""


def relu_shares(scores: Float[Tensor, "*heads tokens tokens"]) -> Float[Tensor, "*heads tokens tokens"]:
    """The paper's: relu(score)/i."""
    index = torch.arange(1, scores.shape[-1] + 1, dtype=scores.dtype, device=scores.device)
    return torch.relu(scores).tril() / index[:, None]


SCORES = 2**24
"""So many scores are held at a time."""


class Heads(nn.Module):
    """Attention heads of equal rank and span.

    Query and key maps hold the heads' rows one head after the other, `rank` rows each; the value map holds `span` rows a
    head, row n of which is added to stream entry `targets[n]`.
    """

    targets: Tensor

    def __init__(
        self,
        query: SparseMap,
        key: SparseMap,
        value: SparseMap,
        targets: Int[np.ndarray, " rows"],
        count: int,
    ):
        super().__init__()
        self.query, self.key, self.value, self.count = query, key, value, count
        self.register_buffer("targets", torch.as_tensor(targets, dtype=torch.int64))

    def forward(
        self, tokens: Float[Tensor, "*batch tokens width"], shares: Shares = relu_shares
    ) -> Float[Tensor, "*batch tokens rows"]:
        """What the heads move to each token, one entry for each target."""
        query, key, value = (
            part(tokens).unflatten(-1, (self.count, -1)).transpose(-3, -2)
            for part in (self.query, self.key, self.value)
        )
        some = max(1, SCORES // max(math.prod(tokens.shape[:-1]) * tokens.shape[-2], 1))  # heads at a time
        moved = [
            shares(q @ k.mT) @ v  # (..., heads, tokens i, tokens j) @ values
            for q, k, v in zip(*(part.split(some, dim=-3) for part in (query, key, value)), strict=True)
        ]
        return torch.cat(moved, dim=-3).transpose(-3, -2).flatten(-2)  # (..., tokens, heads · span)


class Attention(nn.Module):
    """Masked attention; `groups` hold its heads, `shares` says which attention it is, the paper's if left out."""

    def __init__(self, groups: Sequence[Heads], shares: Shares = relu_shares):
        super().__init__()
        self.groups, self.shares = nn.ModuleList(groups), shares
        self.heads = sum(group.count for group in groups)

    @property
    def stored_groups(self) -> list[Heads]:
        """The groups as a list."""
        return list(self.groups)  # type: ignore[arg-type]

    def forward(self, tokens: Float[Tensor, "*batch tokens width"]) -> Float[Tensor, "*batch tokens width"]:
        """The attention layer of Definition 1, residual included."""
        attended = tokens
        for group in self.stored_groups:
            attended = attended.index_add(-1, group.targets, group(tokens, self.shares))
        return attended


class MLP(nn.Module):
    """h + W2 relu(W1 h), no biases."""

    def __init__(self, first: SparseMap, second: SparseMap):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, tokens: Float[Tensor, "*batch tokens width"]) -> Float[Tensor, "*batch tokens width"]:
        """The MLP layer of Definition 2, residual included."""
        return tokens + self.second(torch.relu(self.first(tokens)))


class Layer(nn.Module):
    """One attention layer and one MLP layer, run `repeat` times with the same weights."""

    def __init__(self, attention: Attention, mlp: MLP, repeat: int = 1):
        super().__init__()
        self.attention, self.mlp, self.repeat = attention, mlp, repeat

    def forward(self, tokens: Float[Tensor, "*batch tokens width"]) -> Float[Tensor, "*batch tokens width"]:
        """Attention, then MLP, once."""
        return self.mlp(self.attention(tokens))


def clip(tokens: Float[Tensor, "*batch tokens width"], radius: float) -> Float[Tensor, "*batch tokens width"]:
    """Project each token onto the ℓ2 ball of the given radius."""
    norms = torch.linalg.vector_norm(tokens, dim=-1, keepdim=True)
    return torch.where(norms > radius, tokens * (radius / norms), tokens)


class Transformer(nn.Module):
    """TF^R: layers in order, each followed by clipping to `clip_radius`."""

    def __init__(self, layers: list[Layer], width: int, clip_radius: float):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.width, self.clip_radius = width, clip_radius

    def run(self) -> Iterator[Layer]:
        """The layers as they run, tied ones as often as they repeat."""
        for layer in self.stored_layers:
            for _ in range(layer.repeat):
                yield layer

    @property
    def stored_layers(self) -> list[Layer]:
        """The layers as they are stored, tied ones once."""
        return list(self.layers)  # type: ignore[arg-type]

    def forward(
        self,
        tokens: Float[Tensor, "*batch tokens width"],
        after: Callable[[int, Tensor], Tensor] = lambda layer, tokens: tokens,
        first: int = 0,
    ) -> Float[Tensor, "*batch tokens width"]:
        """Definition 3, layer by layer, on the factored weights.

        What `after` makes of the tokens after layer ℓ = 1 … L, or of the input at ℓ = 0, goes on in their place. With
        `first`, the tokens are those after so many layers, and the others follow.
        """
        if tokens.shape[-1] != self.width:
            raise ValueError(
                f"tokens: wanted a last axis of size {self.width}, got shape {tuple(tokens.shape)}"
            )
        tokens = after(first, clip(tokens, self.clip_radius))
        for number, layer in enumerate(islice(self.run(), first, None), first + 1):
            tokens = after(number, clip(layer(tokens), self.clip_radius))
        return tokens

    @property
    def as_printed(self) -> bool:
        """Whether all attention is the paper's: rewriting, tapes, rationals and balls know that alone."""
        return all(layer.attention.shares is relu_shares for layer in self.stored_layers)

    def dense(self) -> "DenseTransformer":
        """The paper's literal form: every Q, K, V a D×D matrix, W1 of shape (D', D), W2 of shape (D, D')."""
        return DenseTransformer(self)

    def counts(self) -> dict[str, int]:
        """L, M, D and D' by the names that they have in sizes.py: those sizes that cost nothing to know."""
        layers = self.stored_layers
        return {
            "layers": sum(layer.repeat for layer in layers),
            "heads": max((layer.attention.heads for layer in layers), default=0),
            "width": self.width,
            "hidden": max((layer.mlp.first.outputs for layer in layers), default=0),
        }


class DenseTransformer(nn.Module):
    """The same transformer with every matrix written out, evaluated by the definitions and nothing else.

    `matrices[n]` is (Q (M, D, D), K (M, D, D), V (M, D, D), W1 (D', D), W2 (D, D')) of stored layer n.
    """

    def __init__(self, source: Transformer):
        super().__init__()
        self.clip_radius = source.clip_radius
        self.repeats = [layer.repeat for layer in source.stored_layers]
        self.shares = [layer.attention.shares for layer in source.stored_layers]
        self.matrices = [_dense_matrices(layer) for layer in source.stored_layers]

    def forward(self, tokens: Float[Tensor, "*batch tokens width"]) -> Float[Tensor, "*batch tokens width"]:
        """Definition 3 on the literal matrices."""
        tokens = clip(tokens, self.clip_radius)
        for matrices, repeat, shares in zip(self.matrices, self.repeats, self.shares, strict=True):
            for _ in range(repeat):
                tokens = clip(self.layer(tokens, *matrices, shares=shares), self.clip_radius)
        return tokens

    @staticmethod
    def layer(
        tokens: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        first: Tensor,
        second: Tensor,
        shares: Shares = relu_shares,
    ) -> Tensor:
        """Definitions 1 and 2, one head at a time."""
        attended = tokens
        for q, k, v in zip(query, key, value, strict=True):
            attended = attended + shares((tokens @ q.T) @ (tokens @ k.T).mT) @ (tokens @ v.T)
        return attended + torch.relu(attended @ first.T) @ second.T


def _dense_matrices(layer: Layer) -> tuple[Tensor, ...]:
    """Write a layer's weights out as the literal Q, K, V, W1, W2."""
    width, head = layer.mlp.first.inputs, 0
    query, key, value = np.zeros((3, layer.attention.heads, width, width))
    for group in layer.attention.stored_groups:
        heads = np.arange(head, head := head + group.count)[:, None]
        parts = (part.matrix().toarray() for part in (group.query, group.key, group.value))
        q, k, v = (part.reshape(group.count, -1, width) for part in parts)
        rank = np.arange(q.shape[1])
        if len(rank) > width:
            raise ValueError(f"dense form: wanted heads of rank at most D = {width}, got {len(rank)}")
        query[heads, rank], key[heads, rank] = q, k
        np.add.at(value, (heads, group.targets.numpy(force=True).reshape(group.count, -1)), v)
    first, second = (part.matrix().toarray() for part in (layer.mlp.first, layer.mlp.second))
    dtype = layer.mlp.first.weight.dtype
    return tuple(torch.as_tensor(x, dtype=dtype) for x in (query, key, value, first, second))
