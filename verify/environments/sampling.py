"""Drawing through the inverse of a distribution function, so that equal random numbers serve different policies."""

import numpy as np
from jaxtyping import Float

TOTAL_SLACK = 1e-4  # how far from 1 probabilities may sum: float32 log-softmax passes, raw logits do not


def draw(odds: Float[np.ndarray, " outcomes"], uniform: float) -> int:
    """The outcome at which the distribution function first exceeds `uniform` in [0, 1); never one of odds 0.

    >>> draw(np.array([0.0, 0.5, 0.0, 0.5]), 0.0), draw(np.array([0.0, 0.5, 0.0, 0.5]), 0.5)
    (1, 3)
    """
    cumulated = np.cumsum(odds)
    return int(np.searchsorted(cumulated, uniform * cumulated[-1], side="right"))


def pick(log_probabilities: Float[np.ndarray, " arms"], uniform: float) -> int:
    """The arm drawn by `uniform` in [0, 1) from a policy's log-probabilities."""
    return draw(np.exp(log_probabilities), uniform)


def streams(
    generator: np.random.Generator, steps: int
) -> tuple[Float[np.ndarray, " steps"], list[np.random.Generator]]:
    """A uniform and a generator for every step; those of the first steps do not depend on how many follow."""
    arm_stream, reward_stream = generator.spawn(2)
    return arm_stream.random(steps), reward_stream.spawn(steps)


def checked(log_probabilities, step: int, arms: int) -> np.ndarray:
    """What a decoder returned at a step, as an array.

    Raises:
        ValueError: if it is anything but the log-probabilities of the arms.
    """
    array = np.asarray(log_probabilities, dtype=np.float64)
    with np.errstate(over="ignore"):
        total = np.exp(array).sum()
    if array.shape != (arms,) or not abs(total - 1) <= TOTAL_SLACK:
        wanted = f"wanted {arms} log-probabilities from the decoder"
        raise ValueError(f"step {step}: {wanted}, got shape {array.shape}, probabilities summing to {total}")
    return array
