"""What a history may hold, checked once, at the door."""

import math

import numpy as np
from jaxtyping import Float, Int

from constructions.checks import DOOR
from constructions.plain import all_finite, integer, integers, reals, shown


def up_to(steps, most: int) -> int:
    """Wanted: as many steps as there are, or fewer."""
    found = integer(steps)
    if found is None or not 1 <= found <= most:
        raise ValueError(f"prefix: wanted 1 to {most} steps, got {shown(steps)}")
    return found


def drawn(draws, contexts: Float[np.ndarray, "batch arms dim"]) -> Float[np.ndarray, "batch dim"]:
    """One draw for each context, checked."""
    draws, wanted = reals("draws", draws), contexts.shape[::2]
    if draws.shape != wanted:
        raise ValueError(f"draws: wanted shape {wanted}, a vector for each context, got {draws.shape}")
    return draws


def taken(
    actions, rewards, count: int, choices: int
) -> tuple[Int[np.ndarray, " _"], Float[np.ndarray, " _"]]:
    """One action and one reward for each of `count` decisions between so many choices, checked as in a history."""
    if type(actions) is type(rewards) is list and len(actions) == len(rewards) == count == 1:
        (action,), (reward,) = actions, rewards  # the usual case, without arrays' overhead
        if type(action) is int and type(reward) is float and 0 <= action < choices and math.isfinite(reward):
            return np.array(actions, np.int64), np.array(rewards)
    actions, rewards = integers("actions", actions), reals("rewards", rewards)
    for name, array in (("actions", actions), ("rewards", rewards)):
        if array.shape != (count,):
            raise ValueError(f"{name}: wanted one for each of {count} decisions, got shape {array.shape}")
    within("actions", actions, choices)
    return actions, rewards


def within(name: str, values: Int[np.ndarray, "..."], count: int) -> None:
    """Wanted: numbers in 0..count−1, which are counted from 0."""
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if not 0 <= low <= high < max(count, 1):
        beyond = high >= count
        hint = f" (counted from 0: there is no {count})" if beyond else ""
        got = high if beyond else low
        raise ValueError(f"{name}: wanted numbers in 0..{count - 1}, got {got}{hint}")


def finite_policy(policy: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """A policy, or values in its place, as it is; wanted: finite numbers."""
    if not all_finite(policy):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(policy))[0])
        raise ValueError(
            f"policy: wanted finite log-probabilities or values, got {policy[where]} at index {where}"
        )
    return policy


def in_unit_interval(rewards: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Rewards in [0, 1]; those that miss it by DOOR at most, as rounded ones do, are cut off there.

    The one place where a reward is changed, so that the true algorithm and the transformer are given the same number, and
    what is proved of rewards in [0, 1] holds for it.
    """
    wrong = (rewards < -DOOR) | (rewards > 1 + DOOR)
    if wrong.any():
        where = int(wrong.argmax())
        raise ValueError(f"rewards: wanted numbers in [0, 1], got {rewards[where]} at index {where}")
    return np.clip(rewards, 0.0, 1.0)
