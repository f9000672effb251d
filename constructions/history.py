"""What has been seen: contexts, actions and rewards, checked once, at the door."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class BanditHistory:
    """A linear-bandit history of `steps` decisions, the last of which is still to be taken.

    Attributes:
        contexts: the action vectors offered at each step, shape (steps, arms, dim).
        actions: index of the arm chosen at each step but the last, shape (steps - 1,).
        rewards: the reward received for each of them, shape (steps - 1,).

    Raises:
        ValueError: if shapes disagree, a number is NaN or infinite, or an arm index is out of range.

    Source: arXiv 2310.08566, section 3 (the data D_{t-1} and the state s_t = A_t).

    >>> BanditHistory(np.ones((3, 2, 4)), np.array([0, 1]), np.array([0.5, -0.5])).steps
    3
    """

    contexts: Float[np.ndarray, "steps arms dim"]
    actions: Int[np.ndarray, " taken"]
    rewards: Float[np.ndarray, " taken"]

    def __init__(self, contexts, actions, rewards):
        """Convert anything array-like, then check."""
        contexts, rewards = (_finite(name, x) for name, x in (("contexts", contexts), ("rewards", rewards)))
        actions = _indices(actions)
        if contexts.ndim != 3 or 0 in contexts.shape:
            raise ValueError(
                f"contexts: wanted shape (steps, arms, dim), none of them 0, got {contexts.shape}"
            )
        steps, arms, _ = contexts.shape
        for name, array in (("actions", actions), ("rewards", rewards)):
            if array.shape != (steps - 1,):
                raise ValueError(
                    f"{name}: wanted shape ({steps - 1},), one fewer than the {steps} contexts, got {array.shape}"
                )
        if actions.size and not (actions.min() >= 0 and actions.max() < arms):
            raise ValueError(
                f"actions: wanted arm indices in 0..{arms - 1}, got {actions.min()}..{actions.max()}"
            )
        for name, array in (("contexts", contexts), ("actions", actions), ("rewards", rewards)):
            object.__setattr__(self, name, array)

    @property
    def steps(self) -> int:
        """Number of decisions, the pending one included."""
        return self.contexts.shape[0]

    @property
    def chosen(self) -> Float[np.ndarray, "taken dim"]:
        """The action vectors a_1, …, a_{steps-1} that were played."""
        return self.contexts[np.arange(self.steps - 1), self.actions]

    def prefix(self, steps: int) -> "BanditHistory":
        """The history as it stood when decision number `steps` (counted from 1) was pending."""
        if not 1 <= steps <= self.steps:
            raise ValueError(f"prefix: wanted 1 to {self.steps} steps, got {steps}")
        return BanditHistory(self.contexts[:steps], self.actions[: steps - 1], self.rewards[: steps - 1])


def _finite(name, values) -> np.ndarray:
    try:
        array = np.array(
            values, dtype=np.float64
        )  # a copy: later changes to the caller's array do not reach it
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: wanted an array of real numbers, got {type(values).__name__}") from error
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: wanted finite numbers, got {array[where]} at index {where}")
    return array


def _indices(values) -> np.ndarray:
    array = np.asarray(values)
    if array.size == 0:
        return array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"actions: wanted integer arm indices, got an array of {array.dtype}")
    return array.astype(np.int64)
