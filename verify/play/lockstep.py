"""Many problems of one kind, bandits or decision processes, played in lockstep.

A player is asked for an action in every problem, `choose(step, states)`, and told what it got, `record(actions, rewards)`.
The randomness of rewards and states is drawn before the first step and belongs to step and problem, so that all players meet
the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

Whole = Int[np.ndarray, " batch"]
Pay = Float[np.ndarray, " batch"]


@dataclass(frozen=True, eq=False)
class Seen:
    """What happened in every problem at every step; bandits have no states."""

    actions: Int[np.ndarray, "batch steps"]
    rewards: Float[np.ndarray, "batch steps"]
    states: Int[np.ndarray, "batch steps"] | None = None


@runtime_checkable
class Problems(Protocol):
    """Problems of equal size; a frozen dataclass, whose arrays have a row for each."""

    @property
    def steps(self) -> int:
        """T."""
        ...

    @property
    def choices(self) -> int:
        """A, the number of actions."""
        ...

    @property
    def uniforms(self) -> Float[np.ndarray, "batch steps"]:
        """In [0, 1), for players that choose at random."""
        ...

    def arrive(self, step: int, states: Any, actions: Any) -> Any:
        """The states at a step in 0..T−1, from where and how the one before was left; None if there are none."""
        ...

    def context(self, states: Any) -> np.ndarray:
        """What a decoder observes there."""
        ...

    def pay(self, step: int, states: Any, actions: Any) -> Pay:
        """The rewards of actions at a step."""
        ...

    def regret(self, seen: Seen) -> Float[np.ndarray, "batch steps"]:
        """What each action lost."""
        ...

    def histories(self, seen: Seen) -> Sequence[Any]:
        """Each problem's part as a history of its own, its last decision pending."""
        ...


@runtime_checkable
class Player(Protocol):
    """Who plays them."""

    def choose(self, step: int, states: Any = None) -> Whole:
        """The action in each problem at a step in 0..T−1."""
        ...

    def record(self, actions: Whole, rewards: Pay) -> None:
        """What was done, and what it paid."""
        ...


def play(problems: Problems, player: Player) -> Seen:
    """Play to the horizon."""
    shape = problems.uniforms.shape
    actions, rewards, states, here, did = np.empty(shape, np.int64), np.empty(shape), [], None, None
    for step in range(problems.steps):
        here = problems.arrive(step, here, did)
        did = actions[:, step] = player.choose(step, here)
        rewards[:, step] = problems.pay(step, here, did)
        player.record(did, rewards[:, step])
        states.append(here)
    return Seen(actions, rewards, None if here is None else np.stack(states, axis=1))


Some = TypeVar("Some", bound=Problems)


def first(problems: Some, count: int) -> Some:
    """The first of them, with their random numbers."""
    values = {field.name: getattr(problems, field.name) for field in fields(problems)}  # type: ignore[arg-type]
    rows = {name: value[:count] for name, value in values.items() if isinstance(value, np.ndarray)}
    return replace(problems, **rows)  # type: ignore[type-var]


def inverse(odds: Float[np.ndarray, "batch outcomes"], uniforms: Float[np.ndarray, " batch"]) -> Whole:
    """The outcome at which each distribution function first exceeds its uniform.

    >>> inverse(np.array([[0.0, 0.5, 0.5], [0.2, 0.8, 0.0]]), np.array([0.0, 0.9])).tolist()
    [1, 1]
    """
    cumulated = odds.cumsum(axis=1)
    return (cumulated <= (uniforms * cumulated[:, -1])[:, None]).sum(axis=1)


class ByDecoder:
    """Plays by a decoder's probabilities, built or true, and the problems' uniforms."""

    def __init__(self, decoder: Any, problems: Problems):
        self._decoder, self._problems = decoder, problems

    def choose(self, step: int, states: Whole | None = None) -> Whole:
        """One action for each problem."""
        odds = np.exp(self._decoder.observe(self._problems.context(states)))
        return inverse(odds, self._problems.uniforms[:, step])

    def record(self, actions: Whole, rewards: Pay) -> None:
        """Taken in."""
        self._decoder.record(actions, rewards)
