"""What constructions are made of: links, heads, units, and blocks that carry a promise.

    Link    a sparse matrix that reads registers
    Head    a score ⟨query, key⟩ between two tokens and a value that is moved from one to the other
    Units   MLP neurons: relu of a link, written to registers
    Block   heads and units that together carry out one lemma, with a Promise about the result

Everything here names registers, never stream indices; assemble.py turns it into weight matrices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from constructions.stream import Register

Values = Mapping[str, Float[np.ndarray, "tokens _"]]
"""Register contents by name, one row a token."""


def held(values: Values, register: Register) -> Float[np.ndarray, "tokens size"]:
    """What a register, or a part of one, holds."""
    return values[register.name][:, register.offset : register.offset + register.size]


@dataclass(frozen=True, eq=False)
class Link:
    """A sparse matrix from the stream to `height` rows: row `rows[n]` reads entry `columns[n]` times `weights[n]`."""

    rows: Int[np.ndarray, " entries"]
    columns: Int[np.ndarray, " entries"]
    weights: Float[np.ndarray, " entries"]
    height: int
    reads: frozenset[str]

    def __post_init__(self):
        for name in ("rows", "columns"):  # half the memory of 64 bits
            object.__setattr__(self, name, getattr(self, name).astype(np.int32, copy=False))

    def __mul__(self, scale: float) -> "Link":
        if scale == 0:
            return blank(self.height)
        return Link(self.rows, self.columns, self.weights * scale, self.height, self.reads)

    __rmul__ = __mul__

    def __neg__(self) -> "Link":
        return self * -1.0

    def scale_rows(self, scales: Float[np.ndarray, " height"]) -> "Link":
        """Each row times a number of its own."""
        return Link(self.rows, self.columns, self.weights * scales[self.rows], self.height, self.reads)

    def __add__(self, other: "Link") -> "Link":
        if self.height != other.height:
            raise ValueError(f"sum of links: wanted equal heights, got {self.height} and {other.height}")
        return Link(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.columns, other.columns]),
            np.concatenate([self.weights, other.weights]),
            self.height,
            self.reads | other.reads,
        )

    def __sub__(self, other: "Link") -> "Link":
        return self + -other


def read(register: Register) -> Link:
    """The link that reads a register as it is, one row an entry."""
    entries = np.arange(register.size)
    return Link(
        entries, register.start + entries, np.ones(register.size), register.size, frozenset({register.name})
    )


def pick(register: Register, entries: Int[np.ndarray, " entries"]) -> Link:
    """The link that reads some entries of a register, one row each."""
    rows = np.arange(len(entries))
    names = frozenset({register.name})
    return Link(rows, register.start + np.asarray(entries), np.ones(len(rows)), len(rows), names)


def blank(height: int) -> Link:
    """A link of `height` rows that reads nothing: all zero."""
    return Link(np.empty(0, int), np.empty(0, int), np.empty(0), height, frozenset())


def stack(*links: Link) -> Link:
    """The rows of several links, one link under the other."""
    links = (blank(0), *links)
    offsets = np.cumsum([0, *(link.height for link in links)])
    return Link(
        np.concatenate([link.rows + offset for link, offset in zip(links, offsets[:-1], strict=True)]),
        np.concatenate([link.columns for link in links]),
        np.concatenate([link.weights for link in links]),
        int(offsets[-1]),
        frozenset().union(*(link.reads for link in links)),
    )


def repeat_rows(link: Link, times: int) -> Link:
    """Each row of a link `times` times in succession."""
    copies = np.arange(times)
    return Link(
        (link.rows[:, None] * times + copies).ravel(),
        np.repeat(link.columns, times),
        np.repeat(link.weights, times),
        link.height * times,
        link.reads,
    )


def tile(link: Link, times: int) -> Link:
    """The whole link `times` times, one under the other."""
    shifts = np.repeat(np.arange(times) * link.height, len(link.rows))
    return Link(
        np.tile(link.rows, times) + shifts,
        np.tile(link.columns, times),
        np.tile(link.weights, times),
        link.height * times,
        link.reads,
    )


def side_by_side(count: int, *links: Link) -> Link:
    """The rows of `count` heads, one head after the other, from links that each hold their share of every head's rows."""
    heights = [link.height // count for link in links]
    if any(link.height != height * count for link, height in zip(links, heights, strict=True)):
        raise ValueError(
            f"heads: wanted links of a multiple of {count} rows, got {[link.height for link in links]}"
        )
    offsets, rank = np.cumsum([0, *heights]), sum(heights)
    moved = [
        Link(
            link.rows // height * rank + offset + link.rows % height,
            link.columns,
            link.weights,
            0,
            link.reads,
        )
        for link, height, offset in zip(links, heights, offsets[:-1], strict=True)
        if height
    ]
    whole = sum(moved[1:], moved[0]) if moved else blank(0)
    return Link(whole.rows, whole.columns, whole.weights, rank * count, whole.reads)


@dataclass(frozen=True)
class Head:
    """An attention head: adds (1/i) Σ_{j≤i} relu(⟨query h_i, key h_j⟩) value h_j to register `to` of token i.

    With `count` it stands for so many heads alike: query, key and value hold their rows one head after the other, and each
    adds its own value to its own part of `to`, or of every register in `to`.
    """

    role: str
    query: Link
    key: Link
    value: Link
    to: Register | tuple[Register, ...]
    count: int = 1

    def __post_init__(self):
        if self.query.height != self.key.height or self.query.height % self.count:
            raise ValueError(
                f"head {self.role}: wanted query and key of one height, a multiple of {self.count}, "
                f"got {self.query.height} and {self.key.height}"
            )
        size = sum(register.size for register in self.registers)
        if self.value.height != size or any(register.size % self.count for register in self.registers):
            names = ", ".join(register.name for register in self.registers)
            raise ValueError(
                f"head {self.role}: wanted a value of height {size} for {names}, got {self.value.height}"
            )

    @property
    def registers(self) -> tuple[Register, ...]:
        """The registers that are written."""
        return self.to if isinstance(self.to, tuple) else (self.to,)

    @property
    def targets(self) -> Int[np.ndarray, " rows"]:
        """The stream entry that each row of the value is added to, head by head."""
        places = [
            np.arange(register.start, register.start + register.size).reshape(self.count, -1)
            for register in self.registers
        ]
        return np.concatenate(places, axis=1).ravel()


def signed(role: str, query: Link, key: Link, value: Link, to: Register, count: int = 1) -> tuple[Head, Head]:
    """Two heads whose sum is linear in the score, since relu(z) − relu(−z) = z."""
    plus = Head(f"{role} +", query, key, value, to, count)
    return plus, Head(f"{role} −", -query, key, -value, to, count)


@dataclass(frozen=True, eq=False)
class Units:
    """MLP neurons relu(reads · h); `writes` says with which weights each is added to which register.

    Attributes:
        reads: one row a neuron.
        writes: (register, entry of the register, neuron, weight), the three last as arrays of equal length.
    """

    role: str
    reads: Link
    writes: tuple[tuple[Register, np.ndarray, np.ndarray, np.ndarray], ...]

    def __post_init__(self):
        for register, entries, neurons, weights in self.writes:
            if not len(entries) == len(neurons) == len(weights):
                raise ValueError(f"units {self.role}: wanted arrays of equal length for {register.name}")
            if len(entries) and (max(entries) >= register.size or max(neurons) >= self.reads.height):
                raise ValueError(f"units {self.role}: an index lies outside {register.name} or the neurons")


def signed_units(role: str, reads: Link, *targets: tuple[Register, float]) -> Units:
    """2n neurons that add `scale · reads` (n rows) to each target register of n entries."""
    entries = np.tile(np.arange(reads.height), 2)
    neurons = np.arange(2 * reads.height)
    signs = np.repeat([1.0, -1.0], reads.height)
    return Units(
        role,
        stack(reads, -reads),
        tuple((register, entries, neurons, scale * signs) for register, scale in targets),
    )


UNIT = 2.0**-53
"""Unit roundoff of float64."""


@dataclass(frozen=True)
class Bound:
    """A bound on an error.

    Attributes:
        error: for exact arithmetic. This is what certificates are made of.
        rounding: what float64 can add, to first order in the unit roundoff.

    >>> 2 * Bound(1.0, 0.5) + Bound(0.25)
    Bound(error=2.25, rounding=1.0)
    """

    error: float
    rounding: float = 0.0

    def __add__(self, other: "Bound") -> "Bound":
        return Bound(self.error + other.error, self.rounding + other.rounding)

    def __rmul__(self, gain: float) -> "Bound":
        return Bound(gain * self.error, gain * self.rounding)

    @property
    def whole(self) -> float:
        """Both together: what a float64 measurement is held to."""
        return self.error + self.rounding


EXACT = Bound(0.0)


@dataclass(frozen=True)
class Promise:
    """What a block guarantees for every admissible history.

    Attributes:
        domain: the inputs for which it holds, in words.
        own: bound on the block's error if its inputs were exact.
        total: bound on its error with the errors of its inputs carried along.
        magnitude: bound on the ℓ2 norm of everything the block writes, at every token and layer.
    """

    domain: str
    own: Bound
    total: Bound
    magnitude: float


@dataclass(frozen=True)
class Step:
    """One transformer layer's worth of a block: heads first, then units."""

    heads: tuple[Head, ...] = ()
    units: tuple[Units, ...] = ()


@dataclass(frozen=True)
class Block:
    """Heads and units that carry out one lemma.

    Attributes:
        name: what the block computes, in words.
        source: the lemma or equation it implements.
        steps: its layers in order; the whole sequence runs `repeat` times with tied weights.
        output: the register that holds the result, or several side by side.
        groups: the output consists of `groups` vectors of equal size; errors are ℓ2 norms of one vector.
        truth: the claim itself in plain NumPy: from the register contents of all tokens to the ideal output.
        promise: the guarantee on ‖output − truth‖.
    """

    name: str
    source: str
    steps: tuple[Step, ...]
    output: Register | tuple[Register, ...]
    truth: Callable[[Values], Float[np.ndarray, "tokens size"]]
    promise: Promise
    repeat: int = 1
    groups: int = 1

    @property
    def outputs(self) -> tuple[Register, ...]:
        """The registers that hold the result."""
        return self.output if isinstance(self.output, tuple) else (self.output,)

    @property
    def reads(self) -> frozenset[str]:
        """Names of all registers that heads or units read."""
        links = [
            link for step in self.steps for head in step.heads for link in (head.query, head.key, head.value)
        ]
        links += [units.reads for step in self.steps for units in step.units]
        return frozenset().union(*(link.reads for link in links))

    @property
    def writes(self) -> frozenset[str]:
        """Names of all registers that heads or units write."""
        heads = {to.name for step in self.steps for head in step.heads for to in head.registers}
        return frozenset(
            heads | {w[0].name for step in self.steps for units in step.units for w in units.writes}
        )


@dataclass(frozen=True)
class Position:
    """Links to the three numbers every token carries about its place: i, i² and 1."""

    index: Link
    square: Link
    one: Link

    @classmethod
    def of(cls, register: Register) -> "Position":
        """The parts of a position register (i, i², 1)."""
        return cls(*(read(register.part(n, of=3)) for n in range(3)))
