"""Linear bandits in the language: what tokens bring, the normal equations of all past rewards, and Newton's inverse."""

import math
from dataclasses import replace
from typing import Any

from constructions.construction import Construction
from constructions.inputs.bandits import (
    BANDIT_INPUTS,
    COVERED,
    BanditTokens,
    admitted_norms,
    admitted_reward,
    bandit_stream,
)
from constructions.inputs.begun import DIGITS, LOG, begun, start
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language.programs import Program
from constructions.language.values import Value
from constructions.parts.block import EXACT
from constructions.parts.guarantee import guaranteed
from constructions.primitives import newton


def program(source: str, spec: Any, attention: str = "relu", /, **scratch: int) -> Program:
    """An empty program with scratch registers of these sizes; `draw` and `number`, one-hot, are filled by tokens.

    There are logits where the spec's guarantee has them for its output.
    """
    first = start(attention)
    scratch = first | guaranteed(spec).scratch(scratch)
    inputs = BANDIT_INPUTS.union(first, {"draw", "number", DIGITS, LOG} & scratch.keys())
    stream = bandit_stream(spec.dim, spec.actions, **scratch)
    return Program(source, stream, inputs, 2 * spec.horizon, attention)


def tokens(p: Program, spec: Any) -> tuple[Value, Value, Value]:
    """The action of a step, its reward, and the arms on offer, as large as the door lets in."""
    high = admitted_norms(spec)[1]
    reward = p.input("reward", admitted_reward(spec))
    return p.input("action", high), reward, p.input("arms", high, spec.actions)


def complete(
    p: Program,
    spec: Any,
    certificate: float,
    separation: float = 0.0,
    draw: float | None = None,
    bernoulli: bool = False,
    **more: Any,
) -> Construction:
    """The construction that a program has written; `separation`, `draw` and `bernoulli` are as in BanditTokens."""
    action, reward, _ = tokens(p, spec)
    norms = [p.tokens, p.tokens**2, 1, math.sqrt(spec.actions + 1) * action.size, reward.size]
    norms += [] if draw is None else [draw * (1 + COVERED)]
    norms += [1] if "number" in p.inputs else []
    norms += start(p.attention).values()
    norms += [p.tokens.bit_length() ** 0.5, p.tokens.bit_length()] if {DIGITS, LOG} & p.inputs else []
    contract = BanditTokens(p.stream, spec, separation, math.inf if draw is None else draw, bernoulli)
    return p.construction(spec, begun(contract, p.attention), norms, certificate, **more)


def normal_equations(p: Program, spec: Any) -> tuple[Value, Value, Value]:
    """A = λI + Σ a aᵀ, with its spectrum in [λ, S], b = Σ r a, and the arms, each with i times it beside.

    Registers: gram, gram_times, moment, moment_times, arms_times.
    """
    to = p.at(gram="gram", gram_times="gram_times", moment="moment", moment_times="moment_times")
    (action, reward, arms), largest, horizon = tokens(p, spec), largest_eigenvalue(spec), p.tokens // 2
    equations = newton.normal_equations(
        "normal equations",
        p.source,
        action=action.register,
        reward=reward.register,
        ridge=spec.ridge,
        action_max=action.size,
        reward_max=reward.size,
        horizon=horizon,
        **to,
    )
    p.put(equations, p.times_index("arms × i", ["arms"], ["arms_times"], p.tokens * arms.size))
    right = math.sqrt(horizon * largest) * reward.size
    return (
        Value(to["gram"], largest, 1, EXACT, to["gram_times"]),
        Value(to["moment"], right, 1, EXACT, to["moment_times"]),
        replace(arms, times=p.stream["arms_times"]),
    )


def inverse(p: Program, spec: Any, to: str, matrix: Value, steps: int) -> Value:
    """A⁻¹ by so many steps of Newton's iteration, for a spectrum in [λ, size of the matrix].

    Raises:
        ValueError: if the matrix is not exact, or has not i times it beside.
    """
    if matrix.error.error or matrix.times is None:
        held = f"{matrix.register.name} within {matrix.error.error:g}"
        raise ValueError(f"inverse: wanted an exact matrix with i times it beside, got {held}")
    block = newton.inverse(
        "A⁻¹ by Newton",
        p.source,
        gram=matrix.register,
        gram_times=matrix.times,
        ridge=spec.ridge,
        largest=matrix.size,
        steps=steps,
        tokens=p.tokens,
        **p.at(to=to),
    )
    p.put(block)
    return p.value(to, 2 / spec.ridge)
