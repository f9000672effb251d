"""The laws that every primitive obeys, on a transformer that does nothing else, and the token matrices to try them on.

    error       the output is the claim's, within the promise
    spill       nothing but what it writes changes
    leak        nothing but what it reads matters
    foresight   later tokens do not matter
    reach       what it writes stays within its magnitude, at every layer

`audit` tries them all; tests/laws/test_laws.py holds every primitive to them, beside an oracle in rational arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
import torch
from hypothesis import Phase
from hypothesis import strategies as st
from jaxtyping import Float

from constructions.parts.assemble import assemble
from constructions.parts.block import Block
from constructions.parts.stream import Stream
from constructions.transformer import Transformer
from verify.audit import SEARCH

RADIUS = 2.0**60
"""So large that clipping never acts."""

Matrix = Float[np.ndarray, "tokens width"]


@dataclass(frozen=True, eq=False)
class Alone:
    """A block and the transformer that runs it and nothing else.

    Attributes:
        stream: its registers; those that the block does not write are filled by tokens.
        block: what is held to the laws.
        model: the weights, those of the block or others.
    """

    stream: Stream
    block: Block
    model: Transformer

    @classmethod
    def of(cls, stream: Stream, block: Block) -> "Alone":
        """With the block's own weights."""
        inputs = frozenset(stream.registers) - block.writes
        return cls(stream, block, assemble(stream, inputs, [[block]], RADIUS))

    def run(self, tokens: Matrix) -> Matrix:
        """The output tokens."""
        return self.model(torch.as_tensor(tokens)).numpy(force=True)

    def output(self, tokens: Matrix) -> np.ndarray:
        """What the block's output registers hold, side by side."""
        return np.concatenate([tokens[:, register.slice] for register in self.block.outputs], axis=1)

    def truth(self, tokens: Matrix) -> np.ndarray:
        """The claim itself."""
        registers = self.stream.registers.items()
        return self.block.truth({name: tokens[:, register.slice] for name, register in registers})

    def worst(self, left: np.ndarray, right: np.ndarray) -> float:
        """Largest ℓ2 distance between output vectors; NaN is infinitely far."""
        size = sum(register.size for register in self.block.outputs) // self.block.groups
        distances = np.linalg.norm((left - right).reshape(-1, size), axis=1)
        return float(np.nan_to_num(distances, nan=np.inf).max(initial=0.0))

    def columns(self, names) -> np.ndarray:
        """Stream indices of registers."""
        return np.concatenate(
            [np.zeros(0, int), *(np.arange(self.stream.width)[self.stream[name].slice] for name in names)]
        )

    @property
    def written(self) -> np.ndarray:
        """Stream indices of what it writes."""
        return self.columns(self.block.writes)

    # ------------------------------------------------------------ the laws

    def error(self, tokens: Matrix) -> float:
        """Distance from the claim, whose float64 evaluation rounds too."""
        return self.worst(self.output(self.run(tokens)), self.truth(tokens))

    def spill(self, tokens: Matrix) -> float:
        """By how much entries change that the block does not write."""
        kept = self.columns(self.stream.registers.keys() - self.block.writes)
        return _largest(self.run(tokens)[:, kept] - tokens[:, kept])

    def leak(self, tokens: Matrix) -> float:
        """By how much the output changes with registers that the block does not read."""
        unread = self.columns(self.stream.registers.keys() - self.block.reads - self.block.writes)
        other = tokens.copy()
        other[:, unread] = 1e3 - other[::-1, unread]
        return _largest((self.run(other) - self.run(tokens))[:, self.written])

    def foresight(self, tokens: Matrix, cut: int) -> float:
        """By how much the first `cut` tokens change with those that follow them."""
        cut = min(cut, len(tokens))
        inputs = self.columns(self.stream.registers.keys() - self.block.writes - {"position"})
        changed = tokens.copy()
        changed[cut:, inputs] = 3 - 10 * changed[::-1][cut:, inputs]
        return _largest(self.run(changed)[:cut] - self.run(tokens)[:cut])

    def reach(self, tokens: Matrix) -> float:
        """The largest norm of what the block writes, at any token and layer."""
        now, largest = torch.as_tensor(tokens), 0.0
        for layer in self.model.run():
            now = layer(now)
            largest = max(largest, float(now[:, self.written].norm(dim=-1).nan_to_num(np.inf).max()))
        return largest


def audit(alone: Alone, tokens: st.SearchStrategy, examples: int = 100) -> list[dict[str, Any]]:
    """Every law on so many token matrices, Hypothesis climbing: a record for each, the worst found beside what is allowed.

    >>> from constructions.primitives import product
    >>> s = Stream.of(x=2, y=2, out=1, position=3)
    >>> registers = dict(left=s["x"], right=s["y"], to=s["out"], position=s["position"])
    >>> block = product.own_token("⟨x, y⟩", "", bound=1.0, tokens=8, **registers)
    >>> found = audit(Alone.of(s, block), matrices(s, 8, x=vectors(2, 1.0), y=vectors(2, 1.0)), examples=5)
    >>> [(one["law"], one["holds"]) for one in found]
    [('error', True), ('spill', True), ('leak', True), ('foresight', True), ('reach', True)]
    """
    promise = alone.block.promise
    laws: dict[str, tuple[Callable[[Matrix], float], float]] = {
        "error": (alone.error, promise.own.error + 2 * promise.own.rounding),  # both sides round
        "spill": (alone.spill, 0.0),
        "leak": (alone.leak, 0.0),
        "foresight": (lambda tokens: alone.foresight(tokens, (len(tokens) + 1) // 2), 0.0),
        "reach": (alone.reach, promise.magnitude + promise.own.rounding),
    }
    found = []
    for name, (law, allowed) in laws.items():
        worst = search(law, tokens, examples)
        found.append({"law": name, "worst": worst, "allowed": allowed, "holds": worst <= allowed})
    return found


def search(law: Callable[[Matrix], float], tokens: st.SearchStrategy, examples: int = 100) -> float:
    """The largest value that Hypothesis finds of a law, climbing it."""
    largest = 0.0

    @hypothesis.settings(SEARCH, max_examples=examples, phases=(Phase.generate, Phase.target))
    @hypothesis.given(tokens)
    def climb(tried: Matrix) -> None:
        nonlocal largest
        value = law(tried)
        hypothesis.target(min(value, 1e300))
        largest = max(largest, value)

    climb()
    return largest


def _largest(values: np.ndarray) -> float:
    """The largest size of an entry; NaN is infinite."""
    return float(np.nan_to_num(np.abs(values), nan=np.inf).max(initial=0.0))


# ---------------------------------------------------------------- what tokens hold


def numbers(bound: float = 1.0) -> st.SearchStrategy:
    """Numbers in [−bound, bound], the ends and 0 more often than chance."""
    return st.sampled_from([0.0, bound, -bound]) | st.floats(-bound, bound, allow_subnormal=False)


def entries(size: int, bound: float = 1.0) -> st.SearchStrategy:
    """Vectors of such numbers."""
    return st.lists(numbers(bound), min_size=size, max_size=size).map(np.array)


def vectors(size: int, norm: float) -> st.SearchStrategy:
    """Vectors of length at most `norm`; a corner of the cube gives one of exactly that length."""
    return entries(size).map(lambda v: v * norm / max(1.0, np.linalg.norm(v)))


def several(count: int, size: int, norm: float) -> st.SearchStrategy:
    """So many of them, side by side."""
    return st.lists(vectors(size, norm), min_size=count, max_size=count).map(np.concatenate)


def matrix(stream: Stream, rows: list) -> Matrix:
    """Token matrix from register contents, a dict by name for each token; (i, i², 1) is filled in, the rest is 0."""
    tokens = np.zeros((len(rows), stream.width))
    for number, row in enumerate(rows):
        position = {"position": [number + 1, (number + 1) ** 2, 1]} if "position" in stream.registers else {}
        for name, values in (row | position).items():
            tokens[number, stream[name].slice] = values
    return tokens


def matrices(
    stream: Stream, longest: int, rule: Callable[[list], list] = list, **registers: st.SearchStrategy
) -> st.SearchStrategy:
    """Token matrices of up to `longest` tokens from a strategy for each register; `rule` repairs lists of rows.

    A register `bystander`, if there is one, holds anything.
    """
    if "bystander" in stream.registers:
        registers |= {"bystander": entries(stream["bystander"].size, 100.0)}
    row = st.fixed_dictionaries(registers)
    return st.lists(row, min_size=1, max_size=longest).map(lambda rows: matrix(stream, rule(rows)))
