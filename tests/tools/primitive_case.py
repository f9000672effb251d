"""What a row of the laws' table is, with the rational helpers that rows are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from constructions.parts.block import Block
from constructions.parts.stream import Stream
from verify.audit.block_laws import Alone, entries, matrices, matrix, numbers, several, vectors

__all__ = ["Case", "Token", "chunks", "dot", "entries", "matrices", "matrix", "numbers", "several", "vectors"]

Token = dict[str, list[Fraction]]


@dataclass(frozen=True, eq=False)
class Case:
    """One primitive with all that the laws need to know.

    Attributes:
        name: the primitive, and what is special about this row.
        stream: its registers; `bystander` is one that it neither reads nor writes.
        block: what is tested.
        tokens: strategy for token matrices (N, D) within the promise's domain.
        cost: layers, heads per layer and neurons per layer, from the docstring.
        oracle: from the registers of all tokens so far to the ideal output at the last of them.
        examples: token matrices that were or might be a counterexample; every law sees them first.
    """

    name: str
    stream: Stream
    block: Block
    tokens: st.SearchStrategy
    cost: tuple[int, int, int]
    oracle: Callable[[list[Token]], list]
    examples: tuple[np.ndarray, ...] = ()

    @property
    def inputs(self) -> frozenset[str]:
        return frozenset(self.stream.registers) - self.block.writes

    def alone(self) -> Alone:
        """The block by itself, in a transformer that holds nothing else."""
        return Alone.of(self.stream, self.block)

    def exact(self, tokens: np.ndarray) -> np.ndarray:
        """The oracle at every token."""
        registers = self.stream.registers.items()
        past = [
            {name: [Fraction(x) for x in row[register.slice]] for name, register in registers}
            for row in tokens
        ]
        return np.array([[float(x) for x in self.oracle(past[: n + 1])] for n in range(len(past))])


# ---------------------------------------------------------------- for exact oracles


def dot(left: list, right: list):
    return sum((x * y for x, y in zip(left, right, strict=True)), Fraction(0))


def chunks(values: list, size: int) -> list[list]:
    return [values[start : start + size] for start in range(0, len(values), size)]
