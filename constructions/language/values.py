"""Values: what registers hold, how large it can be, and how far it can be from what is meant.

Value    `groups` vectors in a register, with bounds on the norm of each and on its error
Curve    a function of a value by neurons that has no register yet: a sum takes it into its own layer
Sum      Σ weight · term over a common divisor, not yet in a register: w * x, x + y, x - y, x / t
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.parts.block import EXACT, UNIT, Block, Bound, Input, Promise, Step, Surrogate
from constructions.parts.links import Values, held, read
from constructions.parts.stream import Register
from constructions.parts.units import signed_units
from constructions.rounding.outward import above

Proved = tuple[float | Bound, str]
"""A bound in exact arithmetic, or one that speaks of rounding too, and why it holds."""


@dataclass(frozen=True, eq=False)
class Value:
    """What a register holds.

    Attributes:
        register: where it stands.
        size: bound on the ℓ2 norm of each vector, as it is meant and as it is held, for every admissible history.
        groups: so many vectors of equal length stand in the register, one after the other.
        error: bound on the distance of a vector from what is meant, errors of all that it was made of included.
        times: the register that holds i times it, if one does: products of three read that.
    """

    register: Register
    size: float
    groups: int = 1
    error: Bound = EXACT
    times: Register | None = None

    @property
    def entries(self) -> "Value":
        """The same register as so many numbers."""
        return replace(self, groups=self.register.size)

    @property
    def vectors(self) -> tuple["Value", ...]:
        """Its vectors, one by one."""
        return self.split(self.groups)

    def split(self, count: int) -> tuple["Value", ...]:
        """So many equal parts, each of as many vectors."""
        return tuple(
            Value(
                self.register.part(n, of=count),
                self.size,
                self.groups // count,
                self.error,
                self.times and self.times.part(n, of=count),
            )
            for n in range(count)
        )

    @property
    def given(self) -> Input:
        """What a block that reads it takes for granted."""
        return Input(self.register, self.groups, self.size, self.error.error)

    def multiplied(self, tokens: int) -> "Value":
        """Its product with i ≤ tokens, in the register that holds that.

        Raises:
            ValueError: if there is none.
        """
        if self.times is None:
            raise ValueError(f"{self.register.name}: wanted i times it beside, got it alone")
        return replace(self, register=self.times, size=tokens * self.size, error=tokens * self.error)

    def of(self, values: Values) -> Float[np.ndarray, "tokens groups size"]:
        """Its vectors, from the contents of all registers."""
        rows = held(values, self.register)
        return rows.reshape(len(rows), self.groups, -1)

    def __rmul__(self, weight: float) -> "Sum":
        return Sum(((weight, self),))

    def __add__(self, other: "Value | Curve | Sum") -> "Sum":
        return 1.0 * self + other

    def __sub__(self, other: "Value | Curve | Sum") -> "Sum":
        return 1.0 * self - other


@dataclass(frozen=True, eq=False)
class Curve:
    """A function of each entry of a value, by neurons.

    Attributes:
        make: from the register to write, and the factor that the function is multiplied by, to the block of neurons.
        size: bound on the function's size.
        of: the value, where the sum's certificate is to tell it.
    """

    make: Callable[[Register, float, float], Block]
    size: float
    of: Value | None = None

    def __rmul__(self, weight: float) -> "Sum":
        return Sum(((weight, self),))


@dataclass(frozen=True, eq=False)
class Sum:
    """Σ weight · term, divided by `over`."""

    terms: tuple[tuple[float, Value | Curve], ...]
    over: float = 1.0

    def __add__(self, other: "Value | Curve | Sum") -> "Sum":
        more = other if isinstance(other, Sum) else 1.0 * other
        if self.over != more.over:
            raise ValueError(f"sum: wanted terms over one divisor, got {self.over:g} and {more.over:g}")
        return Sum(self.terms + more.terms, self.over)

    def __sub__(self, other: "Value | Curve | Sum") -> "Sum":
        return self + -1.0 * other

    def __rmul__(self, weight: float) -> "Sum":
        return Sum(tuple((weight * own, term) for own, term in self.terms), self.over)

    def __truediv__(self, divisor: float) -> "Sum":
        return Sum(self.terms, self.over * divisor)

    @property
    def size(self) -> float:
        """Bound on its size."""
        return sum(abs(weight) * term.size for weight, term in self.terms) / self.over

    @property
    def error(self) -> Bound:
        """What errors of its values cause; what curves add is their blocks' own."""
        found = EXACT
        for weight, term in self.terms:
            if isinstance(term, Value):
                found = found + (term.error if weight == 1 else abs(weight) * term.error)
        return above(1 / arb(self.over)) * found

    @property
    def read(self) -> tuple[Value, ...]:
        """What stands in registers already, of its terms and under its curves, as far as these tell."""
        read = (term if isinstance(term, Value) else term.of for _, term in self.terms)
        return tuple(value for value in read if value)

    def values(self, name: str) -> list[tuple[float, Value]]:
        """Its terms, for a block of this name that can read values alone.

        Raises:
            ValueError: if there are curves or a divisor.
        """
        found = [(weight, term) for weight, term in self.terms if isinstance(term, Value)]
        if self.over != 1 or len(found) < len(self.terms):
            raise ValueError(f"{name}: wanted a sum of values, got one with curves or a divisor")
        return found


def added(
    name: str,
    source: str,
    linear: Sequence[tuple[float, Register]],
    curves: Sequence[Block],
    to: Register,
    own: Bound,
    carried: Bound,
    size: float,
) -> Block:
    """The block of Σ weight · register + curves, each with its own neurons, in one MLP."""
    units = [signed_units(register.name, read(register), (to, weight)) for weight, register in linear]
    units += [group for block in curves for step in block.steps for group in step.units]
    rounding = Bound(0.0, UNIT * 8 * size)
    carried = own + carried

    def summed(functions: Sequence[Callable[[Values], np.ndarray]]) -> Callable[[Values], np.ndarray]:
        def made(values: Values) -> np.ndarray:
            parts = [weight * values[register.name] for weight, register in linear]
            return sum((function(values) for function in functions), np.add.reduce(parts))

        return made

    near = Bound(own.error) + rounding
    for block in curves:
        own, carried = own + block.promise.own, carried + block.promise.total
        near = near + (block.surrogate.bound if block.surrogate else EXACT)
    surrogates = [block.surrogate.function for block in curves if block.surrogate]
    surrogate = Surrogate(summed(surrogates), near) if len(surrogates) == len(curves) else None
    promise = Promise("norm bounds", own + rounding, carried + rounding, math.sqrt(to.size) * size)
    truth, steps = summed([block.truth for block in curves]), (Step((), tuple(units)),)
    return Block(name, source, steps, to, truth, promise, groups=to.size, surrogate=surrogate)


def inherited(derived: Bound | None, proved: Proved | None) -> Bound:
    """What is inherited: the derived bound, or the proven one, with the derived rounding if it does not speak of that."""
    if proved is None:
        return derived or EXACT
    return (
        proved[0] if isinstance(proved[0], Bound) else Bound(proved[0], derived.rounding if derived else 0.0)
    )


def beside(block: Block, derived: Bound | None, proved: Proved | None, *of: Value) -> Block:
    """A block that tells what it was derived `of`; its promise keeps that beside what was proven, and why that holds."""
    block = replace(block, inputs=tuple(value.given for value in of))
    if proved is None:
        return block
    whole = derived and block.promise.own + derived
    return replace(block, promise=replace(block.promise, proof=proved[1], derived=whole))
