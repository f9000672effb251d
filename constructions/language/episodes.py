"""Tabular episodes in the language: what tokens bring, the step before, and averages over the past that are repeated."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from constructions.construction import Construction
from constructions.inputs.begun import begun, start
from constructions.inputs.episodes import EPISODE_INPUTS, EpisodeTokens, episode_stream, longest
from constructions.language.programs import Program
from constructions.language.values import Sum, Value
from constructions.parts.block import Block
from constructions.parts.guarantee import guaranteed
from constructions.primitives import copying, repetition

PARTS = ("state", "action", "reward")
"""What the step before can be asked for."""


def before(spec: Any, *parts: str) -> dict[str, int]:
    """Registers for parts of the step before, divided by i and as they are, and their sizes."""
    sizes = {"state": spec.states, "action": spec.actions, "reward": 1}
    return {f"previous_{part}{suffix}": sizes[part] for suffix in ("_raw", "") for part in parts}


def program(source: str, spec: Any, attention: str = "relu", /, **scratch: int) -> Program:
    """An empty program for S states, A actions, H stages, K episodes, with scratch registers of these sizes."""
    first = start(attention)
    stream = episode_stream(spec, **first, **guaranteed(spec).scratch(scratch))
    return Program(source, stream, EPISODE_INPUTS.union(first), longest(spec), attention)


def complete(p: Program, spec: Any, certificate: float) -> Construction:
    """The construction that a program has written."""
    norms = [p.tokens, p.tokens**2, spec.episodes, spec.horizon + 1, 2, *start(p.attention).values()]
    contract = begun(EpisodeTokens(p.stream, spec), p.attention)
    return p.construction(spec, contract, norms, certificate)


def step_before(p: Program, parts: Sequence[str] = PARTS, beside: Sequence[Block] = ()) -> tuple[Value, ...]:
    """Layers 1 and 2: parts of the step before, on tokens without an action; other blocks beside the first.

    The registers are those of `before`. The state and the action are one-hot, the reward in [0, 1]; all are 0 on tokens with
    an action, and where an episode begins.
    """
    raw, held = ([f"previous_{part}{suffix}" for part in parts] for suffix in ("_raw", ""))
    what, to = p.stream.several(parts), p.stream.several(raw)
    copy = copying.previous_step("previous step over i", p.source, what=what, to=to, **p.at(clock="clock"))
    p.then(copy, *beside)
    p.put(p.times_index("previous step", raw, held, 1.0, inherited=p.tokens * copy.promise.own))
    values = (p.value(name, 1.0) for name in held)
    return tuple(replace(one, groups=1, error=one.register.size**0.5 * one.error) for one in values)


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
) -> Value:
    """Turns of x ← x + (weight/i) Σ_{j≤i} (⟨key_j, x⟩ + by_j) · value_j from x = 0, in the register `to`.

    Args:
        p: the program.
        to: the register.
        name: of the block.
        turns: how many; a layer each.
        key: a sum of exact values without a divisor.
        by: a number at each token, exact.
        value: exact, with entries of size 1 at most.
        weight: the step size.
        largest: bound on the entries of x, at every token and turn; no turn is to increase max |x − y|.

    Raises:
        ValueError: if what is read is not exact, or the key has curves or a divisor.
    """
    terms = key.values(name)
    for one in (*(term for _, term in terms), by, value):
        if one.error.error:
            raise ValueError(
                f"{name}: wanted exact values, got {one.register.name} within {one.error.error:g}"
            )
    entries = p.stream[to].size
    size, off = (
        sum(abs(factor) * part(term) for factor, term in terms)
        for part in (lambda term: term.size, lambda term: term.error.rounding)
    )
    score = entries**0.5 * largest * size + by.size
    inherited = entries * largest * off + by.error.rounding + score * value.error.rounding
    places: dict[str, Any] = p.at(to=to) | {"by": by.register, "value": value.register}
    places["key"] = [(factor, term.register) for factor, term in terms]
    sizes = {"score": score, "largest": largest, "tokens": p.tokens, "inherited": inherited}
    p.put(repetition.averages(name, p.source, weight=weight, turns=turns, **places, **sizes))
    return p.value(to, largest)
