"""Programs: from an algorithm, written value by value, to the transformer with its certificate.

A program hands out what stands in registers, puts each block into the first layer in which all that it reads is there, and
derives gates, promises, clip radius and certificate from the sizes and errors of values. `proved=` is a bound of one's own
in place of a derived one; it says why it holds, and the block's promise keeps both.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from constructions.construction import Construction
from constructions.inputs.bandits import Tokens
from constructions.language.values import Curve, Proved, Sum, Value, added, beside, inherited
from constructions.parts.assemble import arranged, clip_radius, transformer
from constructions.parts.block import (
    EXACT,
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    gate_size,
    own_heads,
)
from constructions.parts.links import Values, blank, entry, held, read, tile
from constructions.parts.stream import Stream
from constructions.primitives import copying, interpolation, product
from constructions.primitives.interpolation import Interpolant


class Program:
    """A construction while it is being written."""

    def __init__(self, source: str, stream: Stream, inputs: frozenset[str], tokens: int, attention="relu"):
        """Of registers, those that tokens fill, and the largest number of tokens; `source` is where its steps are proven."""
        self.source, self.stream, self.inputs, self.tokens = source, stream, inputs, tokens
        self.attention, self.stages = attention, list[list[Block]]()
        self.position = stream["position"]
        self.one = Value(stream.one, 1.0)

    def citing(self, source: str) -> "Program":
        """The same program, its next steps proven elsewhere."""
        other = copy(self)
        other.source = source
        return other

    # ---- values ------------------------------------------------------------------------------------------------------

    def input(self, name: str, size: float, groups: int = 1) -> Value:
        """What tokens bring: `size` bounds each of its vectors."""
        return Value(self.stream[name], size, groups)

    def value(self, name: str, size: float | None = None) -> Value:
        """What a block has written: `size` bounds each of its vectors; left out, all that the block writes."""
        block = self.written(name)
        size = block.promise.magnitude if size is None else size
        return Value(self.stream[name], size, block.groups, block.promise.total)

    def sum(self, to: str, what: Value | Sum, by: Value | None = None, *, name: str = "") -> Value:
        """Σ_{j≤i} by_j what_j, in one head: the score i·by_j undoes the 1/i, and weights of a sum are those of the value.

        `what`, 0 in half of the tokens, has no curves and no divisor; errors of what is read count as its own; `by` is ≥ 0.
        """
        name, register, steps = name or f"Σ {to}", self.stream[to], self.tokens // 2
        what = 1.0 * what if isinstance(what, Value) else what
        terms = what.values(name)
        link = sum((weight * read(term.register) for weight, term in terms), blank(register.size))
        place = Position.of(self.position)
        head = Head(to, place.index, place.one if by is None else read(by.register), link, register)

        def truth(values: Values) -> np.ndarray:
            weighted = sum(weight * held(values, term.register) for weight, term in terms)
            return np.cumsum(weighted if by is None else held(values, by.register) * weighted, axis=0)

        weight, off = (1.0, EXACT) if by is None else (by.size, by.error)
        groups, size = max(term.groups for _, term in terms), steps * what.size * weight
        whole = Bound(0.0, (steps + 4) * UNIT * size) + steps * (weight * what.error + what.size * off)
        promise = Promise("norm bounds", whole, whole, math.sqrt(groups) * size)
        self.put(Block(name, self.source, (Step((head,)),), register, truth, promise, groups=groups))
        return self.value(to, size)

    def function(
        self,
        to: str,
        name: str,
        of: Value,
        truth: Callable[[np.ndarray], np.ndarray],
        shape: tuple[Interpolant, float],
        *,
        size: float | None = None,
        slope: float | None = None,
        proved: Proved | None = None,
        signs: tuple[float, ...] = (1.0,),
    ) -> Value:
        """A function of each entry, by neurons.

        Args:
            to: the register.
            name: of the block.
            of: the argument.
            truth: the function in NumPy.
            shape: an interpolant, and how near its neurons are.
            size: bound on the function and the interpolant; left out, all that the block writes.
            slope: bound on the function's derivative, which errors of the argument are multiplied by.
            proved: what they cause, in place of that.
            signs: of the argument: the function of sign · argument for each, one after the other.
        """
        if slope is None and proved is None and of.error.whole:
            raise ValueError(
                f"{name}: wanted a slope or a proof, as {of.register.name} is off by {of.error.whole:g}"
            )
        derived = None if slope is None else slope * of.error
        block = interpolation.function(
            name,
            self.source,
            shape[0],
            of=truth,
            error=shape[1],
            inherited=inherited(derived, proved),
            signs=signs,
            source=of.register,
            one=self.stream.one,
            to=self.stream[to],
        )
        self.put(beside(block, derived, proved, of))
        return self.value(to, size)

    def product(
        self,
        to: str,
        name: str,
        left: Value,
        right: Value,
        *,
        size: float | None = None,
        across: float | None = None,
        proved: Proved | None = None,
    ) -> Value:
        """⟨left_k, right_k⟩ of the token itself: two heads an entry. The left may be one for all k, and shorter then.

        Args:
            to: the register.
            name: of the block.
            left: of one token.
            right: of the same token.
            size: bound on each product; left out, the product of their sizes.
            across: the same of ⟨left_k at i, right_k at j⟩ for all tokens j ≤ i.
            proved: what errors of both cause, in place of what follows from their sizes.
        """
        most, derived = left.size * right.size, left.size * right.error + right.size * left.error
        block = product.own_token(
            name,
            self.source,
            left=left.register,
            right=right.register,
            to=self.stream[to],
            position=self.position,
            bound=most if across is None else across,
            tokens=self.tokens,
            inherited=inherited(derived, proved),
        )
        self.put(beside(block, derived, proved, left, right))
        return self.value(to, most if size is None else size)

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
        gate, heads = gate_size(matrix.size * self.tokens * vector.size), []
        for m in range(dim):
            row = read(matrix.register.part(m, of=dim))
            query = row if vector.groups == 1 else tile(row, arms)
            key, entries = read(vector.times), entry(read(left.register), m, of=dim)
            more = {"value": entries, "count": vector.groups}
            heads += own_heads(f"{to} {m}", query, key, register, self.position, gate, **more)

        def truth(values: Values) -> np.ndarray:
            square, each = matrix.of(values).reshape(-1, dim, dim), left.of(values)
            return np.einsum("tkm,tmn,tkn->tk", each, square, vector.of(values) + 0 * each)

        size = matrix.size * vector.size * left.size
        own, derived = (
            Bound(0.0, UNIT * 64 * dim * self.tokens * size),
            vector.size * left.size * matrix.error,
        )
        derived += matrix.size * left.size * vector.error + matrix.size * vector.size * left.error
        promise = Promise("norm bounds", own, own + inherited(derived, proved), 2 * math.sqrt(arms) * size)
        block = Block(name, self.source, (Step(tuple(heads)),), register, truth, promise, groups=arms)
        self.put(beside(block, derived, proved, matrix, vector.multiplied(self.tokens), left))
        return self.value(to, size)

    def total(self, to: str, terms: Sum, *, name: str = "", rounded: float | None = None) -> Value:
        """A sum of values and curves, in one MLP.

        `rounded` bounds what it adds that weights are rounded: left out, two roundings of each, none without a divisor.
        """
        register, over = self.stream[to], terms.over
        values = [(weight, term) for weight, term in terms.terms if isinstance(term, Value)]
        curves = [(weight, term) for weight, term in terms.terms if isinstance(term, Curve)]
        size = terms.size
        if rounded is None:
            rounded = 2 * UNIT * size if over != 1 else 0.0
        carried = terms.error
        linear = tuple((weight / over, term.register) for weight, term in values)
        if not curves and len(linear) > 1:
            bounds = {"bound": size, "inherited": carried, "error": rounded}
            block = copying.combine(name or to, self.source, terms=linear, to=register, **bounds)
        else:
            made, own = [curve.make(register, weight, over) for weight, curve in curves], Bound(rounded)
            block = added(name or to, self.source, linear, made, register, own, carried, size)
        self.put(beside(block, None, None, *terms.read), after=[term.register.name for _, term in values])
        groups = register.size if curves else max(term.groups for _, term in values)
        return replace(self.value(to, size), groups=groups)  # entry by entry as near as the terms' vectors

    def at(self, **names: str) -> dict[str, Any]:
        """Registers by the roles that they play in a primitive, role=name; `position` plays its own."""
        return {"position": self.position} | {role: self.stream[name] for role, name in names.items()}

    # ---- blocks ------------------------------------------------------------------------------------------------------

    def times_index(
        self,
        name: str,
        what: Iterable[str],
        to: Iterable[str],
        bound: float,
        *,
        scale: float = 1.0,
        inherited: Bound = EXACT,
    ) -> Block:
        """The block that has scale · i times some registers in others, of entries up to the bound, to be put."""
        sources, targets = self.stream.several(what), self.stream.several(to)
        places = {"what": sources, "to": targets, "position": self.position, "tokens": self.tokens}
        return copying.times_index(name, self.source, bound=bound, scale=scale, inherited=inherited, **places)

    def put(self, *blocks: Block, after: Iterable[str] = ()) -> tuple[Block, ...]:
        """Each into the first stage after all that it reads, and after these registers, beside blocks of as many layers."""
        for block in blocks:
            written = {name: n for n, stage in enumerate(self.stages) for one in stage for name in one.writes}
            before = block.reads.union(after)
            stage = 1 + max((written[name] for name in before if name in written), default=-1)
            while stage < len(self.stages) and _kind(self.stages[stage][0]) != _kind(block):
                stage += 1
            there = self.stages[stage] if stage < len(self.stages) else []
            self.stages[stage : stage + 1] = [[*there, block]]
        return blocks

    def then(self, *blocks: Block) -> tuple[Block, ...]:
        """All of them side by side, after all that has been put."""
        self.stages.append([*blocks])
        return blocks

    def written(self, name: str) -> Block:
        """The block that has written a register."""
        return next(block for block in self.blocks if name in block.writes)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that has been put, in the order in which it runs."""
        return tuple(block for stage in self.stages for block in stage)

    def construction(
        self,
        spec: Any,
        contract: Tokens,
        norms: Sequence[float],
        certificate: float,
        *,
        room: float = 2.0,
        **more: Any,
    ) -> Construction:
        """The transformer, sealed with its certificate; `norms` bound all that tokens bring, register by register.

        The clip radius is `room` times the least power of two above all that stands in a token. Blocks are outlines then.
        """
        radius, width = clip_radius(norms, self.blocks, room), self.stream.width
        runs = arranged(self.stream, self.inputs, self.stages)
        self.stages = [[block.outline for block in stage] for stage in self.stages]
        weights = transformer(runs, width, radius, self.attention)
        return Construction(spec, contract, self.blocks, weights, certificate, **more)


def _kind(block: Block) -> tuple[int, int, bool]:
    """What blocks of one stage have in common: layers, turns, and whether they begin with heads."""
    return len(block.steps), block.repeat, bool(block.steps[0].heads)
