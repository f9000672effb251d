"""Sums over the past in the language that are not taken once: those that decay, and those that move what they read."""

import math
from typing import Any

from constructions.language.programs import Program
from constructions.language.values import Sum, Value
from constructions.parts.block import Bound
from constructions.primitives import repetition


def trace(p: Program, to: str, name: str, what: Value, keep: float) -> Value:
    """Σ_m keep^m · what_{i−2m}, in as many layers as the number of steps has binary digits.

    Raises:
        ValueError: if keep is not a finite number ≥ 0, or makes more than float64 can hold.
    """
    steps = p.tokens // 2
    places = p.at(to=to) | {"what": what.register}
    bounds = {"largest": what.size, "inherited": what.error}
    p.put(repetition.discounted(name, p.source, keep=keep, steps=steps, tokens=p.tokens, **places, **bounds))
    return p.value(to)


def repeat(
    p: Program,
    to: str,
    name: str,
    turns: int,
    key: Sum,
    by: Value,
    value: Value,
    *,
    weight: float,
    largest: float,
    gain: float | None = None,
    threshold: float = 0.0,
) -> Value:
    """Turns of x ← S(x + (weight/i) Σ_{j≤i} (⟨key_j, x⟩ + by_j) · value_j) from x = 0, in the register `to`.

    S moves every entry towards 0 by `threshold`, and no further.

    Args:
        p: the program.
        to: the register.
        name: of the block.
        turns: how many; a layer each.
        key: a sum of exact values without a divisor.
        by: a number at each token, exact.
        value: what is moved.
        weight: the step size.
        largest: bound on the norm of x, or on its entries if these are at most 1 in the value, at every token and turn.
        gain: what all turns together can make of an error of at most 1 that each adds to every entry; left out, no turn
            increases max |x − y|.
        threshold: of S; without it, S is the identity.

    Raises:
        ValueError: if key or by are not exact, or the key has curves or a divisor.
    """
    terms = key.values(name)
    for one in (*(term for _, term in terms), by):
        if one.error.error:
            raise ValueError(
                f"{name}: wanted exact values, got {one.register.name} within {one.error.error:g}"
            )
    register = p.stream[to]
    size, off = (
        sum(abs(factor) * part(term) for factor, term in terms)
        for part in (lambda term: term.size, lambda term: term.error.rounding)
    )
    score = math.sqrt(register.size) * largest * size + by.size
    inherited = score * value.error + Bound(
        0.0, value.size * (register.size * largest * off + by.error.rounding)
    )
    places: dict[str, Any] = p.at() | {"to": register, "by": by.register, "value": value.register}
    places["key"] = [(factor, term.register) for factor, term in terms]
    sizes = {"score": score * value.size, "largest": largest, "tokens": p.tokens, "inherited": inherited}
    sizes |= {"gain": float(turns) if gain is None else gain, "threshold": threshold}
    block = repetition.averages(
        name, p.source, weight=weight, turns=turns, one=p.stream.one, **places, **sizes
    )
    p.put(block)
    return Value(register, largest, 1, block.promise.total)
