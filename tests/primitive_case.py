"""What a row of the laws' table is, with the token matrices and rational helpers that rows are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from constructions.block import Block
from constructions.stream import Stream

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

    def exact(self, tokens: np.ndarray) -> np.ndarray:
        """The oracle at every token."""
        registers = self.stream.registers.items()
        past = [
            {name: [Fraction(x) for x in row[register.slice]] for name, register in registers}
            for row in tokens
        ]
        return np.array([[float(x) for x in self.oracle(past[: n + 1])] for n in range(len(past))])


# ---------------------------------------------------------------- what tokens hold


def numbers(bound: float = 1.0):
    """Numbers in [−bound, bound], the ends and 0 more often than chance."""
    return st.sampled_from([0.0, bound, -bound]) | st.floats(-bound, bound, allow_subnormal=False)


def entries(size: int, bound: float = 1.0):
    return st.lists(numbers(bound), min_size=size, max_size=size).map(np.array)


def vectors(size: int, norm: float):
    """Vectors of length at most `norm`; a corner of the cube gives one of exactly that length."""
    return entries(size).map(lambda v: v * norm / max(1.0, np.linalg.norm(v)))


def several(count: int, size: int, norm: float):
    return st.lists(vectors(size, norm), min_size=count, max_size=count).map(np.concatenate)


def matrix(stream: Stream, rows: list[dict]) -> np.ndarray:
    """Token matrix from register contents; (i, i², 1) is filled in, what is not given is 0."""
    tokens = np.zeros((len(rows), stream.width))
    for number, row in enumerate(rows):
        position = {"position": [number + 1, (number + 1) ** 2, 1]} if "position" in stream.registers else {}
        for name, values in (row | position).items():
            tokens[number, stream[name].slice] = values
    return tokens


def matrices(stream: Stream, longest: int, rule=lambda rows: rows, **registers):
    """Token matrices of up to `longest` tokens from a strategy for each register; `rule` repairs lists of rows."""
    row = st.fixed_dictionaries(registers | {"bystander": entries(stream["bystander"].size, 100.0)})
    return st.lists(row, min_size=1, max_size=longest).map(lambda rows: matrix(stream, rule(rows)))


# ---------------------------------------------------------------- for exact oracles


def dot(left: list, right: list):
    return sum((x * y for x, y in zip(left, right, strict=True)), Fraction(0))


def chunks(values: list, size: int) -> list[list]:
    return [values[start : start + size] for start in range(0, len(values), size)]
