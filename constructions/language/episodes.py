"""Tabular episodes in the language: what tokens bring, and the step before."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from constructions.construction import Construction
from constructions.inputs.begun import begun, start
from constructions.inputs.episodes import EPISODE_INPUTS, EpisodeTokens, episode_stream, longest
from constructions.language.programs import Program
from constructions.language.values import Value
from constructions.parts.block import Block
from constructions.parts.guarantee import guaranteed
from constructions.primitives import copying

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
