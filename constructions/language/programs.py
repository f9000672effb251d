"""Programs: from an algorithm, written value by value, to the transformer with its certificate.

A program hands out what stands in registers, puts each block into the first layer in which all that it reads is there, and
derives gates, promises, clip radius and certificate from the sizes and errors of values. `proved=` is a bound of one's own
in place of a derived one; it says why it holds, and the block's promise keeps both.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

from constructions.construction import Construction
from constructions.inputs.bandits import Tokens
from constructions.language.values import Curve, Sum, Value
from constructions.parts.assemble import assemble, clip_radius
from constructions.parts.block import (
    EXACT,
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    Surrogate,
    gate_size,
    own_heads,
    signed_units,
)
from constructions.parts.links import Values, pick, read, tile
from constructions.parts.stream import Register, Stream
from constructions.primitives import copying, interpolation, product
from constructions.primitives.interpolation import Interpolant
from constructions.rounding.outward import above

Proved = tuple[float, str]
"""A bound in exact arithmetic, and why it holds."""


class Program:
    """A construction while it is being written."""

    def __init__(self, source: str, stream: Stream, inputs: frozenset[str], tokens: int):
        """Of registers, those that tokens fill, and the largest number of tokens; `source` is where its steps are proven."""
        self.source, self.stream, self.inputs, self.tokens = source, stream, inputs, tokens
        self.stages: list[list[Block]] = []
        self.position = stream["position"]

    def input(self, name: str, size: float, groups: int = 1) -> Value:
        """What tokens bring: `size` bounds each of its vectors."""
        return Value(self.stream[name], size, groups)

    def put(self, *blocks: Block, after: Iterable[str] = ()) -> tuple[Block, ...]:
        """Each into the first stage after all that it reads, and after these registers, beside blocks of as many layers."""
        for block in blocks:
            written = {name: n for n, stage in enumerate(self.stages) for one in stage for name in one.writes}
            before = block.reads.union(after)
            stage = 1 + max((written[name] for name in before if name in written), default=-1)
            while stage < len(self.stages) and _kind(self.stages[stage][0]) != _kind(block):
                stage += 1
            self.stages[stage : stage + 1] = [
                [*(self.stages[stage] if stage < len(self.stages) else ()), block]
            ]
        return blocks

    def then(self, *blocks: Block) -> tuple[Block, ...]:
        """All of them side by side, after all that has been put."""
        self.stages.append([*blocks])
        return blocks

    def written(self, name: str) -> Block:
        """The block that has written a register."""
        return next(block for block in self.blocks if name in block.writes)

    def held(self, block: Block, size: float) -> Value:
        """The value that a block has written: `size` bounds each of its vectors."""
        return Value(block.outputs[0], size, block.groups, block.promise.total)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that has been put, in the order in which it runs."""
        return tuple(block for stage in self.stages for block in stage)

    def construction(
        self, spec: Any, contract: Tokens, norms: Sequence[float], certificate: float, **more: Any
    ) -> Construction:
        """The transformer, sealed with its certificate; `norms` bound the registers that tokens fill."""
        radius = clip_radius(norms, self.blocks)
        transformer = assemble(self.stream, self.inputs, self.stages, radius)
        return Construction(spec, contract, self.blocks, transformer, certificate, **more)

    # ---- what values are made of -------------------------------------------------------------------------------------

    def sum(self, to: str, value: Value, by: Value | None = None) -> Value:
        """Σ_{j≤i} by_j value_j, in one head: the score i·by_j undoes the 1/i. `by` is a number ≥ 0, 1 if left out."""
        place, register, steps = Position.of(self.position), self.stream[to], self.tokens // 2
        head = Head(
            to, place.index, place.one if by is None else read(by.register), read(value.register), register
        )
        size = steps * value.size * (1.0 if by is None else by.size)

        def truth(values: Values) -> np.ndarray:
            terms = value.of(values) if by is None else by.of(values) * value.of(values)
            return np.cumsum(terms.reshape(len(terms), -1), axis=0)

        weight = (1.0, EXACT) if by is None else (by.size, by.error)
        inherited = steps * (weight[0] * value.error + value.size * weight[1])
        own = Bound(0.0, 4 * UNIT * size)
        promise = Promise("norm bounds", own, own + inherited, math.sqrt(value.groups) * size)
        [block] = self.put(
            Block(f"Σ {to}", self.source, (Step((head,)),), register, truth, promise, groups=value.groups)
        )
        return Value(register, size, value.groups, block.promise.total)

    def function(
        self,
        to: str,
        name: str,
        of: Value,
        truth: Callable[[np.ndarray], np.ndarray],
        shape: tuple[Interpolant, float],
        *,
        size: float,
        slope: float,
    ) -> Value:
        """A function of each entry, by neurons.

        Args:
            to: the register.
            name: of the block.
            of: the argument.
            truth: the function in NumPy.
            shape: an interpolant, and how near its neurons are.
            size: bound on the function and the interpolant.
            slope: bound on the function's derivative, which errors of the argument are multiplied by.
        """
        register, one = self.stream[to], self.position.part(2, of=3)
        block = interpolation.function(
            name,
            self.source,
            shape[0],
            of=truth,
            error=shape[1],
            source=of.register,
            one=one,
            to=register,
            inherited=slope * of.error,
        )
        self.put(block)
        return Value(register, size, register.size, block.promise.total)

    def product(
        self, to: str, name: str, left: Value, right: Value, *, size: float, proved: Proved | None = None
    ) -> Value:
        """⟨left_k, right_k⟩ of the token itself: two heads an entry. `size` bounds the product."""
        derived = left.size * right.error + right.size * left.error
        block = product.own_token(
            name,
            self.source,
            left=left.register,
            right=right.register,
            to=self.stream[to],
            position=self.position,
            bound=left.size * right.size,
            tokens=self.tokens,
            inherited=_carried(derived, proved),
        )
        [block] = self.put(_beside(block, derived, proved))
        return Value(self.stream[to], size, right.groups, block.promise.total)

    def form(
        self, to: str, name: str, matrix: Value, vector: Value, left: Value, proved: Proved | None = None
    ) -> Value:
        """left_kᵀ · matrix · vector_k of the token itself: for each m the score ⟨row m, i·vector_k⟩, and entry m of left_k.

        The vector may be one for all k, and has i times it beside.
        """
        if vector.times is None:
            raise ValueError(
                f"{name}: wanted a vector with i times it beside, got {vector.register.name} alone"
            )
        dim, arms, register = math.isqrt(matrix.register.size), left.groups, self.stream[to]
        gate = gate_size(matrix.size * self.tokens * vector.size)
        heads = []
        for m in range(dim):
            row, entries = (
                read(matrix.register.part(m, of=dim)),
                pick(left.register, np.arange(arms) * dim + m),
            )
            query = row if vector.groups == 1 else tile(row, arms)
            key, role = read(vector.times), f"{to} {m}"
            heads += own_heads(
                role, query, key, register, self.position, gate, value=entries, count=vector.groups
            )

        def truth(values: Values) -> np.ndarray:
            square = matrix.of(values).reshape(-1, dim, dim)
            return np.einsum(
                "tkm,tmn,tkn->tk", left.of(values), square, vector.of(values) + 0 * left.of(values)
            )

        size = matrix.size * vector.size * left.size
        own, derived = (
            Bound(0.0, UNIT * 64 * dim * self.tokens * size),
            vector.size * left.size * matrix.error,
        )
        derived += matrix.size * left.size * vector.error + matrix.size * vector.size * left.error
        total = own + _carried(derived, proved)
        promise = Promise("norm bounds", own, total, 2 * math.sqrt(arms) * size)
        block = Block(name, self.source, (Step(tuple(heads)),), register, truth, promise, groups=arms)
        self.put(_beside(block, derived, proved))
        return Value(register, size, arms, total)

    def total(self, to: str, terms: Sum, *, rounded: float | None = None) -> Value:
        """A sum of values and curves, in one MLP.

        `rounded` bounds what weights being rounded adds: if left out, two roundings of each.
        """
        register, over = self.stream[to], terms.over
        values = [(weight, term) for weight, term in terms.terms if isinstance(term, Value)]
        curves = [(weight, term) for weight, term in terms.terms if isinstance(term, Curve)]
        size = sum(abs(weight) * term.size for weight, term in terms.terms) / over
        if rounded is None:
            rounded = 2 * UNIT * size
        carried = EXACT
        for weight, term in values:
            carried = carried + (term.error if weight == 1 else abs(weight) * term.error)
        carried = above(1 / arb(over)) * carried
        linear = [(weight / over, term.register) for weight, term in values]
        if not curves and len(linear) > 1:
            block = copying.combine(
                to,
                self.source,
                terms=tuple(linear),
                to=register,
                bound=size,
                inherited=carried,
                error=rounded,
            )
        else:
            made = [curve.make(register, weight, over) for weight, curve in curves]
            block = _with_curves(to, self.source, linear, made, register, Bound(rounded), carried, size)
        self.put(block, after=[term.register.name for _, term in values])
        return Value(register, size, register.size, block.promise.total)


def _kind(block: Block) -> tuple[int, int, bool]:
    """What blocks of one stage have in common: layers, turns, and whether they begin with heads."""
    return len(block.steps), block.repeat, bool(block.steps[0].heads)


def _carried(derived: Bound, proved: Proved | None) -> Bound:
    """What is inherited: the derived bound, or the proven one with the derived rounding."""
    return derived if proved is None else Bound(proved[0], derived.rounding)


def _beside(block: Block, derived: Bound, proved: Proved | None) -> Block:
    """A block whose promise keeps what was derived beside what was proven, and why that holds."""
    if proved is None:
        return block
    whole = block.promise.own + derived
    return replace(block, promise=replace(block.promise, proof=proved[1], derived=whole))


def _with_curves(
    name: str,
    source: str,
    linear: Sequence[tuple[float, Register]],
    curves: Sequence[Block],
    to: Register,
    own: Bound,
    carried: Bound,
    size: float,
) -> Block:
    """Σ weight · register + curves, each with its own neurons, in one MLP."""
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
    truth = summed([block.truth for block in curves])
    return Block(
        name, source, (Step((), tuple(units)),), to, truth, promise, groups=to.size, surrogate=surrogate
    )
