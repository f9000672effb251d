"""What constructions are made of: heads, units, and blocks that carry a promise.

    Head    a score ⟨query, key⟩ between two tokens and a value that is moved from one to the other
    Units   MLP neurons: relu of a link, written to registers (units.py)
    Block   heads and units that together carry out one lemma, with a Promise about the result

Queries, keys and values are links (links.py): everything here names registers, never stream indices.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from constructions.checks import UNIT as UNIT
from constructions.parts.links import Link, Values, read, side_by_side, stack, tile
from constructions.parts.stream import Register
from constructions.parts.units import Units as Units
from constructions.rounding import outward


@dataclass(frozen=True)
class Head:
    """An attention head: adds (1/i) Σ_{j≤i} relu(⟨query h_i, key h_j⟩) value h_j to register `to` of token i.

    With the attention "softmax", made for that one, it adds Σ_{j≤i} softmax_{j≤i}(⟨query h_i, key h_j⟩) value h_j.
    With `count` it stands for so many heads alike: query, key and value hold their rows one head after the other, and each
    adds its own value to its own part of `to`, or of every register in `to`.
    """

    role: str
    query: Link
    key: Link
    value: Link
    to: Register | tuple[Register, ...]
    count: int = 1
    attention: str = "relu"

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
    def outline(self) -> "Head":
        """The same without the entries of its links."""
        links = {name: getattr(self, name).outline for name in ("query", "key", "value")}
        return replace(self, **links)

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


def signed(role: str, query: Link, key: Link, value: Link, to: Register) -> tuple[Head, Head]:
    """Two heads whose sum is linear in the score, since relu(z) − relu(−z) = z."""
    return Head(f"{role} +", query, key, value, to), Head(f"{role} −", -query, key, -value, to)


@dataclass(frozen=True)
class Bound:
    """A bound on an error.

    Attributes:
        error: for exact arithmetic with the weights as float64 holds them, rounded up. Certificates are made of this.
        rounding: what float64 can add, to first order in the unit roundoff.

    >>> 2 * Bound(1.0, 0.5) + Bound(0.25)
    Bound(error=2.25, rounding=1.0)
    """

    error: float
    rounding: float = 0.0

    def __add__(self, other: "Bound") -> "Bound":
        return Bound(outward.total(self.error, other.error), self.rounding + other.rounding)

    def __rmul__(self, gain: float) -> "Bound":
        return Bound(outward.product(gain, self.error), gain * self.rounding)

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
        proof: why `total` holds, where it is sharper than what follows from bounds on the inputs alone.
        derived: what follows from these alone, if that is not `total` itself.
    """

    domain: str
    own: Bound
    total: Bound
    magnitude: float
    proof: str = ""
    derived: Bound | None = None


@dataclass(frozen=True)
class Surrogate:
    """What weights compute where they can only come near the truth: an interpolant, say.

    How far it is from the truth is what a promise says. This says that it is what is computed, to the last digits: a weight
    that is wrong by less than the promise has room for shows here.

    Attributes:
        function: from the register contents of all tokens to it, in plain NumPy.
        bound: on the distance of the block's output from it, for inputs as they are: what float64 leaves of the weights, and
            rounding, that of `function` included.
    """

    function: Callable[[Values], Float[np.ndarray, "tokens size"]]
    bound: Bound


@dataclass(frozen=True)
class Step:
    """One transformer layer's worth of a block: heads first, then units."""

    heads: tuple[Head, ...] = ()
    units: tuple[Units, ...] = ()

    @property
    def outline(self) -> "Step":
        """The same without the entries of its links."""
        return Step(tuple(head.outline for head in self.heads), tuple(units.outline for units in self.units))


@dataclass(frozen=True)
class Input:
    """What a block takes for granted of vectors that it reads, `groups` of them side by side in a register or a part of one.

    Attributes:
        register: where they stand.
        groups: how many there are.
        size: bound on the ℓ2 norm of each, at every token.
        error: bound on the distance of each from what is meant, in exact arithmetic.
    """

    register: Register
    groups: int
    size: float
    error: float


@dataclass(frozen=True)
class Block:
    """Heads and units that carry out one lemma.

    Attributes:
        name: what the block computes, in words.
        source: the lemma or equation it implements.
        steps: its layers in order; the whole sequence runs `repeat` times with tied weights.
        output: the register that holds the result, or several side by side.
        groups: the output consists of `groups` vectors of equal size; errors are ℓ2 norms of one vector.
        surrogate: what the weights compute in place of the truth, if that can be said.
        truth: the claim itself in plain NumPy: from the register contents of all tokens to the ideal output.
        promise: the guarantee on ‖output − truth‖.
        inputs: of what its promise was derived, where it was: certificates derive it again from the weights.
    """

    name: str
    source: str
    steps: tuple[Step, ...]
    output: Register | tuple[Register, ...]
    truth: Callable[[Values], Float[np.ndarray, "tokens size"]]
    promise: Promise
    repeat: int = 1
    groups: int = 1
    surrogate: Surrogate | None = None
    inputs: tuple[Input, ...] = ()

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

    @property
    def outline(self) -> "Block":
        """What a construction keeps of a block, whose weights stand in its transformer: all but the entries of links."""
        return replace(self, steps=tuple(step.outline for step in self.steps))

    def promising(self, bound: Bound) -> "Block":
        """The same block, with one bound in place of all that it promises of errors."""
        promise = replace(self.promise, own=bound, total=bound, derived=None)
        surrogate = self.surrogate and replace(self.surrogate, bound=bound)
        return replace(self, promise=promise, surrogate=surrogate)


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


def gate_size(bound: float) -> float:
    """A power of two above a bound."""
    return outward.power_of_two(bound * (1 + 2**-20))


def own_heads(
    role: str,
    left: Link,
    right: Link,
    to: Register | tuple[Register, ...],
    position: Register,
    gate: float,
    *,
    signs: tuple[float, ...] = (1.0, -1.0),
    scale: float = 1.0,
    value: Link | None = None,
    count: int | None = None,
) -> tuple[Head, ...]:
    """Heads that add scale · ⟨left_k, right_k⟩ to part k of `to`, a family for each sign.

    Left and right hold `count` vectors one after the other, as many as `to` has entries if left out. One sign is enough
    for products ≥ 0. With a value, it is value_k · ⟨left_k, right_k⟩/i that is added, instead of the product itself; it may
    then go to several registers, each of which has `count` parts.
    """
    place, count = Position.of(position), count or (to if isinstance(to, Register) else to[0]).size
    value = tile(place.index, count) if value is None else value
    gates = tile(stack(place.index, place.one), count)
    key = side_by_side(count, right, tile(stack(-gate * place.one, gate * place.index), count))
    return tuple(
        Head(
            f"{role} {'+' if sign > 0 else '−'}",
            side_by_side(count, sign * left, gates),
            key,
            sign * scale * value,
            to,
            count,
        )
        for sign in signs
    )


def own_linear(role: str, value: Link, to: Register | tuple[Register, ...], position: Register) -> Head:
    """A head that adds a linear map of the token itself: score i(j − i + 1), which is i at j = i and ≤ 0 before."""
    place = Position.of(position)
    query = stack(place.index, place.index - place.square)
    return Head(role, query, stack(place.index, place.one), value, to)
