"""The transformer that is trained: the paper's, with its experiments' LayerNorm and learned read-in and read-out.

    h = W_in [token; positions scaled] + p_i
    h ← LN(h + Σ_m (1/i) Σ_{j≤i} relu(⟨Q_m h_i, K_m h_j⟩) V_m h_j),     h ← LN(h + W2 relu(W1 h)),      logits = A h

Tokens are those of `constructions.inputs`, the same that built transformers read. Heads
share the width, as in GPT-2: Q_m and K_m have width/heads rows, and V_m the rank width/heads. With attention="softmax" the
weights of a head are softmax_{j≤i}(⟨q_i, k_j⟩/√rank) instead.

Source: arXiv 2310.08566, section 5 and Definitions 1 to 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from constructions import checks, limits
from verify.training.attention import Attending, attention, few, pattern


@dataclass(frozen=True)
class Shape:
    """Sizes of a trained transformer; the defaults are the paper's.

    Attributes:
        inputs: entries of a token.
        actions: A, the logits of a state token.
        tokens: the most tokens that it can read.
        layers: L.
        heads: M, a divisor of the width.
        width: D, entries of a token inside.
        attention: "relu", as the paper defines it, or "softmax".
        units: what the entries of a token are divided by; nothing if left out.

    Raises:
        ValueError: if a size is not an integer ≥ 1, the heads do not divide the width, or there is no such attention.
    """

    inputs: int
    actions: int
    tokens: int
    layers: int = 8
    heads: int = 4
    width: int = 32
    attention: Attending = "relu"
    units: tuple[float, ...] = ()

    def __post_init__(self):
        checks.settle(self, checks.whole, "inputs", "actions", "tokens", "layers", "heads", "width")
        checks.settle(self, checks.choice, "attention", among=("relu", "softmax"))
        inside = self.inputs + self.actions + self.tokens + 6 * self.layers * (self.width + 2)
        limits.hold(
            "model", numbers=10.0 * inside * self.width, stored=self.layers
        )  # SOAP has eight and a gradient
        if self.width % self.heads:
            raise ValueError(f"heads: wanted a divisor of width = {self.width}, got {self.heads}")


class Memory:
    """Keys and values that one block has computed so far, for decoding one step at a time."""

    def __init__(self, tokens: int):
        self._tokens, self.count = tokens, 0
        self._keys = self._values = torch.empty(0)

    def extend(self, keys: Tensor, values: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Everything up to now, and where the new tokens stand in it."""
        if not self.count:
            self._keys, self._values = keys.new_empty(2, *keys.shape[:2], self._tokens)
        index, new = index + self.count, slice(self.count, self.count + keys.shape[2])
        self._keys[:, :, new], self._values[:, :, new] = keys, values
        self.count = new.stop
        return self._keys[:, :, : self.count], self._values[:, :, : self.count], index


class Block(nn.Module):
    """One attention and one MLP layer, each with its residual and LayerNorm."""

    def __init__(self, shape: Shape):
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.attention: Attending = shape.attention
        self.query_key_value = nn.Parameter(torch.empty(3 * width, width))
        self.output = nn.Linear(width, width, bias=False)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.after_attention, self.after_mlp = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        places: Int[Tensor, " queries"] | None = None,
        memory: "Memory | None" = None,
    ) -> Float[Tensor, "batch queries width"]:
        """The block at the tokens in `places`, or at all; with a memory, at tokens that follow those remembered."""
        count, (query, key, value) = tokens.shape[1], self._projected(tokens)
        index = torch.arange(count, device=tokens.device) if places is None else places
        if places is not None:
            tokens, query = tokens[:, places], query[:, :, places]
        if memory is not None:
            key, value, index = memory.extend(key, value, index)
        attend = attention if memory is None else few
        return self._moved(tokens, attend(self.attention, query, key, value, index))

    def pattern(
        self, tokens: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch heads tokens tokens"]:
        """What each token takes of each, by head."""
        query, key, _ = self._projected(tokens)
        return pattern(self.attention, query, key).unflatten(0, (-1, self.heads))

    def looking(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        pattern: Float[Tensor, "batch heads tokens tokens"],
    ) -> Float[Tensor, "batch tokens width"]:
        """The block if this is what each token takes of each."""
        _, _, value = self._projected(tokens)
        return self._moved(tokens, torch.bmm(value, pattern.flatten(0, 1).mT))

    def _moved(self, tokens: Tensor, moved: Tensor) -> Tensor:
        """The tokens after what the heads have moved, (batch · heads, channels, tokens), and after the MLP."""
        batch, _, width = tokens.shape
        output = self.output.weight.mT.expand(batch, -1, -1)
        tokens = self.after_attention(torch.baddbmm(tokens, moved.reshape(batch, width, -1).mT, output))
        return self.after_mlp(tokens + self.second(self.first(tokens).relu_()))

    def _projected(self, tokens: Tensor) -> Iterator[Tensor]:
        """Queries, keys and values, each (batch · heads, channels, tokens): three products that need not be copied."""
        batch, count, width = tokens.shape
        for part in self.query_key_value.split(width):
            yield torch.bmm(part.expand(batch, -1, -1), tokens.mT).view(-1, width // self.heads, count)


class TrainedTransformer(nn.Module):
    """Tokens to logits. Weights are drawn from the generator; parameters are in float32.

    >>> model = TrainedTransformer(Shape(inputs=12, actions=2, tokens=9), torch.Generator().manual_seed(0))
    >>> model(torch.zeros(3, 9, 12), torch.arange(0, 9, 2)).shape
    torch.Size([3, 5, 2])
    """

    scale: Tensor

    def __init__(self, shape: Shape, generator: torch.Generator):
        super().__init__()
        self.shape = shape
        self.read_in = nn.Linear(shape.inputs, shape.width, bias=False)
        self.positions = nn.Parameter(torch.empty(shape.tokens, shape.width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.read_out = nn.Linear(shape.width, shape.actions)
        scale = 1 / torch.tensor(shape.units or (1.0,) * shape.inputs, dtype=torch.float64)
        self.register_buffer("scale", scale.float(), persistent=False)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() == 2:
                    spread = 0.02 if name == "positions" else weight.shape[1] ** -0.5
                    weight.normal_(0, spread, generator=generator)
                elif name.endswith("bias"):
                    weight.zero_()

    @property
    def stored_blocks(self) -> list[Block]:
        """The blocks as a list."""
        return list(self.blocks)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.read_in.weight.device

    def embed(self, tokens: Float[Tensor, "*batch tokens inputs"], first: int = 0) -> Tensor:
        """Tokens as the first block reads them; `first` is the place of the first of them."""
        count = tokens.shape[-2]
        if tokens.shape[-1] != self.shape.inputs or first + count > self.shape.tokens:
            wanted = f"at most {self.shape.tokens} tokens of {self.shape.inputs} entries"
            raise ValueError(f"tokens: wanted {wanted}, got shape {tuple(tokens.shape)} from {first} on")
        return self.read_in(tokens * self.scale) + self.positions[first : first + count]

    def forward(
        self, tokens: Float[Tensor, "batch tokens inputs"], states: Int[Tensor, " steps"]
    ) -> Float[Tensor, "batch steps actions"]:
        """Logits at the state tokens, whose places are `states`, ascending; only these are queried in the last layer."""
        hidden = self.embed(tokens)
        for number, block in enumerate(self.stored_blocks, 1):
            hidden = block(hidden, states if number == self.shape.layers else None)
        return self.read_out(hidden)

    def activations(
        self, tokens: Float[Tensor, "batch tokens inputs"], states: Int[Tensor, " steps"]
    ) -> list[Float[Tensor, "batch steps width"]]:
        """What the state tokens hold: as the first block reads them, and after each block."""
        hidden = self.embed(tokens)
        found = [hidden[:, states]]
        for block in self.stored_blocks:
            hidden = block(hidden)
            found.append(hidden[:, states])
        return found

    def memories(self) -> list[Memory]:
        """Nothing remembered yet, for each block."""
        return [Memory(self.shape.tokens) for _ in self.blocks]

    def advance(
        self, tokens: Float[Tensor, "batch chunk inputs"], memories: list[Memory]
    ) -> Float[Tensor, "batch actions"]:
        """Logits at the last of a few tokens that follow those which `memories`, one a block, have taken in.

        The same as `forward` on all tokens, but for rounding.
        """
        hidden = self.embed(tokens, memories[0].count)
        for block, memory in zip(self.stored_blocks, memories, strict=True):
            hidden = block(hidden, memory=memory)
        return self.read_out(hidden[:, -1])
