"""Ridge problems in the language: matrix and right-hand side of all past rewards, and the inverse by Newton's iteration."""

import math
from dataclasses import replace

from constructions.language.programs import Program
from constructions.language.values import Value
from constructions.parts.block import EXACT
from constructions.primitives import copying, newton


def normal_equations(
    p: Program, action: Value, reward: Value, arms: Value, ridge: float, largest: float
) -> tuple[Value, Value, Value]:
    """A = λI + Σ a aᵀ, with its spectrum in [λ, largest], b = Σ r a, and the arms, each with i times it beside.

    Registers: gram, gram_times, moment, moment_times, arms_times.

    Raises:
        ValueError: if a value is not exact, as what tokens bring is.
    """
    _exact("normal equations", action, reward, arms)
    names = {name: p.stream[name] for name in ("gram", "gram_times", "moment", "moment_times")}
    horizon = p.tokens // 2
    equations = newton.normal_equations(
        "normal equations",
        p.source,
        action=action.register,
        reward=reward.register,
        position=p.position,
        ridge=ridge,
        action_max=action.size,
        reward_max=reward.size,
        horizon=horizon,
        **names,
    )
    times = copying.times_index(
        "arms × i",
        p.source,
        what=(arms.register,),
        to=(p.stream["arms_times"],),
        position=p.position,
        bound=p.tokens * arms.size,
        tokens=p.tokens,
    )
    p.put(equations, times)
    right = math.sqrt(horizon * largest) * reward.size
    return (
        Value(names["gram"], largest, 1, EXACT, names["gram_times"]),
        Value(names["moment"], right, 1, EXACT, names["moment_times"]),
        replace(arms, times=p.stream["arms_times"]),
    )


def inverse(p: Program, to: str, matrix: Value, ridge: float, steps: int) -> Value:
    """A⁻¹ by so many steps of Newton's iteration, for a spectrum in [ridge, size of the matrix].

    Raises:
        ValueError: if the matrix is not exact, or has not i times it beside.
    """
    _exact("inverse", matrix)
    if matrix.times is None:
        raise ValueError(f"inverse: wanted a matrix with i times it beside, got {matrix.register.name} alone")
    block = newton.inverse(
        "A⁻¹ by Newton",
        p.source,
        gram=matrix.register,
        gram_times=matrix.times,
        position=p.position,
        to=p.stream[to],
        ridge=ridge,
        largest=matrix.size,
        steps=steps,
        tokens=p.tokens,
        action=p.stream["action"],
    )
    p.put(block)
    return Value(p.stream[to], 2 / ridge, 1, block.promise.total)


def _exact(what: str, *values: Value) -> None:
    """Hold values to an error of 0 in exact arithmetic."""
    for value in values:
        if value.error.error:
            raise ValueError(
                f"{what}: wanted exact values, got {value.register.name} within {value.error.error:g}"
            )
