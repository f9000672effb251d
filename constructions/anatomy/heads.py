"""Every head of a construction, as `built.heads()` has it: role, layer, block, and Q, K, V under the names of registers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from scipy import sparse

from constructions.anatomy import latex
from constructions.anatomy.formulas import KINDS, Form
from constructions.anatomy.layers import Family, Neurons, View, layers
from constructions.anatomy.matrices import NamedMatrix, frame
from constructions.parts.block import Block
from constructions.parts.stream import Stream
from constructions.transformer import Transformer

SHOWN = 40
"""So many heads are shown in one line each."""


@dataclass(frozen=True)
class Place:
    """Where a head or some neurons stand.

    Attributes:
        block: the block that wrote them, in its words.
        source: the lemma or equation that the block carries out.
        layer: the first layer that they are in, from 1; 0 is the input.
        repeat: how many layers in succession hold them, with these weights.
        stored: the number of the stored layer, from 0, as in `transformer.dense().matrices`.
        number: the number within the layer, from 0, of the head or of the first neuron, as there.
    """

    block: str
    source: str
    layer: int
    repeat: int
    stored: int
    number: int

    def __str__(self) -> str:
        last = self.layer + self.repeat - 1
        return f"layers {self.layer}–{last}" if self.repeat > 1 else f"layer {self.layer}"


@dataclass(frozen=True, eq=False, repr=False)
class NamedHead:
    """An attention head: token i gets (1/i) Σ_{j≤i} relu(⟨Q h_i, K h_j⟩) V h_j, or softmax in place of relu and 1/i.

    Attributes:
        at: where it stands, and the block that wrote it.
        family: the heads alike that it is one of, with their weights.
        number: which of them, from 0.
    """

    at: Place
    family: Family
    number: int

    @property
    def role(self) -> str:
        """What it is for, in the block's words."""
        return self.family.role

    @property
    def kind(self) -> str:
        """What its score does: one of `formulas.KINDS`."""
        return self.family.kind

    @property
    def formula(self) -> str:
        """What it adds to what."""
        return self.family.formula(self.number)

    @property
    def writes(self) -> tuple[str, ...]:
        """The registers that it adds to."""
        return self.family.form.names(np.array([to for to, *_ in self.family.added(self.number)]))

    @cached_property
    def query(self) -> NamedMatrix:
        """Q: a row a term of the score, columns the entries of token i that it reads."""
        return self._terms(self.family.query)

    @cached_property
    def key(self) -> NamedMatrix:
        """K: a row a term of the score, columns the entries of token j that it reads."""
        return self._terms(self.family.key)

    @cached_property
    def score(self) -> NamedMatrix:
        """QᵀK: the coefficient of every product of an entry of token i, at the rows, and one of token j, at the columns."""
        query, key = self._own(self.family.query), self._own(self.family.key)
        return NamedMatrix.of(query.T @ key, self._names, self._names)

    @cached_property
    def value(self) -> NamedMatrix:
        """V: rows are the entries that are written, columns those of token j that are read."""
        added = self.family.added(self.number)
        to, source, weights = zip(*added, strict=True) if added else ((), (), ())
        shape = (len(self._names), len(self._names))
        return NamedMatrix.of(
            sparse.coo_array((weights, (to, source)), shape=shape), self._names, self._names
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return self.family.form.labels

    def _own(self, stacked: sparse.csr_array) -> sparse.csr_array:
        return stacked[self.number * self.family.rank : (self.number + 1) * self.family.rank]

    def _terms(self, stacked: sparse.csr_array) -> NamedMatrix:
        return NamedMatrix.of(self._own(stacked), [f"term {n}" for n in range(self.family.rank)], self._names)

    def record(self) -> dict[str, Any]:
        """Where it stands and what it says, as plain values."""
        return _record(self.at, 1, self.role, self.kind, self.formula)

    def frame(self) -> Any:
        """A DataFrame with a row for each weight of Q, K and V. ImportError if pandas is missing."""
        parts = {"Q": self.query, "K": self.key, "V": self.value}
        return frame(
            [
                {"matrix": name, "row": row, "column": column, "weight": part[row, column]}
                for name, part in parts.items()
                for row in part.rows
                for column in part.columns
                if part[row, column]
            ]
        )

    def to_latex(self) -> str:
        """A paragraph: where it stands, its formula, and Q, K and V with names at their rows and columns."""
        parts = {"Q": self.query, "K": self.key, "V": self.value}
        matrices = ", \\quad\n".join(f"{name} = {part.to_latex()}" for name, part in parts.items())
        words = (
            f"{self.at}, head {self.at.number}, of {self.at.block} ({self.at.source}): {KINDS[self.kind]}."
        )
        return (
            f"\\paragraph{{{latex.words(self.role)}}} {latex.words(words)}\n"
            f"\\[ {latex.formula(self.formula, self.family.form.stream.registers)} \\]\n\\[ {matrices} \\]\n"
        )

    def __repr__(self) -> str:
        return f"<{self.at}, head {self.at.number}, {self.at.block}: {self.role}: {self.formula}>"


@dataclass(frozen=True, eq=False, repr=False)
class NamedNeurons:
    """Neurons alike: token i gets W₂ relu(W₁ h_i).

    Attributes:
        at: where they stand, and the block that wrote them.
        group: their weights.
        form: the stream, as formulas name it.
    """

    at: Place
    group: Neurons
    form: Form

    @property
    def role(self) -> str:
        """What they are for, in the block's words."""
        return self.group.role

    @property
    def count(self) -> int:
        """How many there are."""
        return self.group.count

    @property
    def formula(self) -> str:
        """What they add to what."""
        reads, writes = (
            ", ".join(self.form.names(np.array(places)))
            for places in (self.group.first.tocoo().col, self.group.second.tocoo().row)
        )
        return f"{writes or 'nothing'} += W₂ relu(W₁ ({reads}))"

    @cached_property
    def first(self) -> NamedMatrix:
        """W₁: a row a neuron, columns the entries that they read."""
        return NamedMatrix.of(self.group.first, self._neurons, self.form.labels)

    @cached_property
    def second(self) -> NamedMatrix:
        """W₂: rows are the entries that are written, a column a neuron."""
        return NamedMatrix.of(self.group.second, self.form.labels, self._neurons)

    @property
    def _neurons(self) -> list[str]:
        return [f"neuron {self.at.number + n}" for n in range(self.count)]

    def record(self) -> dict[str, Any]:
        """Where they stand and what they say, as plain values."""
        return _record(self.at, self.count, self.role, "neurons", self.formula)

    def __repr__(self) -> str:
        return f"<{self.at}, {self.count:,} neurons, {self.at.block}: {self.role}: {self.formula}>"


@dataclass(frozen=True, eq=False, repr=False)
class NamedHeads(Sequence[NamedHead]):
    """All heads, layer by layer; `neurons` are those of the MLPs.

    Attributes:
        views: the stored layers, with their families of heads and neurons.
        form: the stream, as formulas name it.
        blocks: the blocks that wrote them.
    """

    views: tuple[View, ...]
    form: Form
    blocks: tuple[Block, ...]

    @classmethod
    def of(
        cls, transformer: Transformer, stream: Stream, longest: int, blocks: tuple[Block, ...]
    ) -> "NamedHeads":
        """Of a transformer, its registers, the largest number of tokens and its blocks, or their outlines.

        Raises:
            ValueError: if the blocks do not account for every head and neuron.
        """
        form = Form.of(stream, longest)
        return cls(layers(transformer, form, blocks), form, blocks)

    @cached_property
    def _heads(self) -> tuple[NamedHead, ...]:
        return tuple(
            NamedHead(self._place(stored, family.block, family.place + n), family, n)
            for stored, view in enumerate(self.views)
            for family in view.families
            for n in range(family.count)
        )

    @cached_property
    def neurons(self) -> tuple[NamedNeurons, ...]:
        """The neurons of all MLPs, those alike together, layer by layer."""
        return tuple(
            NamedNeurons(self._place(stored, group.block, group.place), group, self.form)
            for stored, view in enumerate(self.views)
            for group in view.neurons
        )

    def _place(self, stored: int, block: int, number: int) -> Place:
        view, wrote = self.views[stored], self.blocks[block]
        return Place(wrote.name, wrote.source, view.first, view.repeat, stored, number)

    @overload
    def __getitem__(self, index: int) -> NamedHead: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[NamedHead, ...]: ...
    def __getitem__(self, index: int | slice) -> NamedHead | tuple[NamedHead, ...]:
        return self._heads[index]

    def __len__(self) -> int:
        return len(self._heads)

    def records(self) -> list[dict[str, Any]]:
        """A row a head, and a row for neurons alike, layer by layer, as plain values."""
        parts = sorted((*self._heads, *self.neurons), key=lambda part: part.at.stored)
        return [part.record() for part in parts]

    def frame(self) -> Any:
        """The records as a DataFrame. ImportError if pandas is missing."""
        return frame(self.records())

    def to_latex(self) -> str:
        """A `longtable` of all heads and neurons: layers, block, role, and what each adds to what."""
        names = self.form.stream.registers
        rows = [
            " & ".join((latex.words(row["layers"]), latex.words(row["block"]), latex.words(row["role"])))
            + f" & ${latex.formula(row['formula'], names)}$ \\\\"
            for row in self.records()
        ]
        head = [
            r"\begin{longtable}{llp{.2\textwidth}p{.5\textwidth}}",
            r"layers & block & role & formula \\ \hline",
        ]
        return "\n".join([*head, *rows, r"\end{longtable}"])

    def __repr__(self) -> str:
        lines = [repr(head) for head in self._heads[:SHOWN]]
        left = [f"… and {len(self) - SHOWN:,} more"] if len(self) > SHOWN else []
        return "\n".join([f"{len(self):,} heads", *lines, *left])


def _record(at: Place, count: int, role: str, kind: str, formula: str) -> dict[str, Any]:
    where = {"layers": str(at).partition(" ")[2], "number": at.number, "count": count, "block": at.block}
    return {**where, "role": role, "kind": kind, "formula": formula}
