"""Linear bandits in the language: what tokens bring, the normal equations of a past, its ridge estimates."""

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
from constructions.language.programs import Program
from constructions.language.values import Value
from constructions.parts.block import EXACT
from constructions.parts.guarantee import guaranteed
from constructions.primitives import descent as steps_of_descent
from constructions.primitives import newton
from constructions.rounding.outward import above
from constructions.rounding.rates import Descent


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


def normal_equations(
    p: Program,
    spec: Any,
    pair: tuple[Value, Value] | None = None,
    ridge: float | None = None,
    pairs: int | None = None,
    mark: str = "",
) -> tuple[Value, Value]:
    """A = λI + Σ x xᵀ, with its spectrum in [λ, S], and b = Σ y x, each with i times it beside.

    Args:
        p: the program; its registers are gram, gram_times, moment and moment_times.
        spec: bounds on what tokens bring, and λ.
        pair: x and y, 0 on tokens without one; left out, actions and rewards.
        ridge: λ, in place of the spec's.
        pairs: so many are not 0 at most; left out, one less than decisions.
        mark: what the names of the registers, and of the block, end with.
    """
    names = ("gram", "gram_times", "moment", "moment_times")
    to = p.at(**{name: name + mark for name in names})
    (x, y), horizon = pair or tokens(p, spec)[:2], p.tokens // 2
    ridge = float(spec.ridge if ridge is None else ridge)
    largest = ridge + max(horizon - 1 if pairs is None else pairs, 1) * (x.size * x.size)
    equations = newton.normal_equations(
        f"normal equations{mark}",
        p.source,
        action=x.register,
        reward=y.register,
        ridge=ridge,
        action_max=x.size,
        reward_max=y.size,
        horizon=horizon,
        **to,
    )
    p.put(equations)
    right = math.sqrt(horizon * largest) * y.size
    return (
        Value(to["gram"], largest, 1, EXACT, to["gram_times"]),
        Value(to["moment"], right, 1, EXACT, to["moment_times"]),
    )


def arms_times(p: Program, spec: Any) -> Value:
    """The arms, with i times them beside, in the register arms_times."""
    arms = tokens(p, spec)[2]
    p.put(p.times_index("arms × i", ["arms"], ["arms_times"], p.tokens * arms.size))
    return replace(arms, times=p.stream["arms_times"])


def inverse(p: Program, spec: Any, to: str, matrix: Value, steps: int, ridge: float | None = None) -> Value:
    """A⁻¹ by so many steps of Newton's iteration, for a spectrum in [λ, size of the matrix]; λ is the spec's if left out.

    Raises:
        ValueError: if the matrix is not exact, or has not i times it beside.
    """
    if matrix.error.error or matrix.times is None:
        held = f"{matrix.register.name} within {matrix.error.error:g}"
        raise ValueError(f"inverse: wanted an exact matrix with i times it beside, got {held}")
    ridge = float(spec.ridge if ridge is None else ridge)
    block = newton.inverse(
        "A⁻¹ by Newton" + to.removeprefix("inverse"),
        p.source,
        gram=matrix.register,
        gram_times=matrix.times,
        ridge=ridge,
        largest=matrix.size,
        steps=steps,
        tokens=p.tokens,
        **p.at(to=to),
    )
    p.put(block)
    return p.value(to, 2 / ridge)


def descent(p: Program, spec: Any, method: Descent, depth: int) -> Value:
    """The ridge estimate by so many steps of a method of descent, in the registers ridge and, but for "gd", ridge_ahead."""
    registers = p.at(action="action", reward="reward", point="ridge")
    registers["ahead"], reward_max = p.stream.registers.get("ridge_ahead"), admitted_reward(spec)
    p.put(steps_of_descent.ridge(method, depth, reward_max=reward_max, **registers))
    largest = above(steps_of_descent.largest_estimate(method.ridge, spec.horizon, reward_max))
    return p.value("ridge", largest + p.written("ridge").promise.total.error)
