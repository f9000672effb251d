"""Sequences of losses that try to break a construction, or to cost it much, as outlines from which one follows.

Losses are in [0, 1]. Those of a round are the context of the next: a history has seen those of all its rounds but the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float

from constructions.history import BanditHistory
from verify.histories import grid

KINDS = (
    "coins",  # 0 or 1, evenly: no arm is better, and one is luckier
    "half",  # half of the arms lose, drawn anew
    "uniform",
    "means",  # 0 or 1, each arm with a mean of its own
    "one best",  # one arm never loses, all others always do: the smallest probabilities
    "late",  # one arm never loses in the first half, another in the second
    "leader",  # whichever arm Hedge thinks most likely loses
    "mass",  # the likeliest arms lose, as few as make half of the probability
    "in turn",  # arms lose one after the other
    "zero",
    "one",
)


@dataclass(frozen=True)
class LossOutline:
    """One sequence in words.

    Attributes:
        kind: one of KINDS.
        steps: number of decisions.
        seed: of the generator for everything random.
    """

    kind: str
    steps: int
    seed: int

    def losses(self, spec: Any) -> Float[np.ndarray, "steps arms"]:
        """The losses of all rounds, the last included."""
        generator, shape = np.random.default_rng(self.seed), (self.steps, spec.actions)
        order, rounds = generator.permutation(spec.actions), np.arange(self.steps)
        if self.kind in ("leader", "mass"):
            return self._against(spec, generator)
        best = np.where((2 * rounds >= self.steps) & (self.kind == "late"), order[-1], order[0])
        ranks = generator.random(shape).argsort(axis=1)
        return {
            "coins": lambda: generator.integers(2, size=shape).astype(float),
            "half": lambda: (ranks < spec.actions // 2).astype(float),
            "uniform": lambda: generator.random(shape),
            "means": lambda: (generator.random(shape) < generator.random(spec.actions)).astype(float),
            "one best": lambda: 1 - np.eye(spec.actions)[best],
            "late": lambda: 1 - np.eye(spec.actions)[best],
            "in turn": lambda: np.eye(spec.actions)[order[rounds % spec.actions]],
            "zero": lambda: np.zeros(shape),
            "one": lambda: np.ones(shape),
        }[self.kind]()

    def _against(self, spec: Any, generator: np.random.Generator) -> Float[np.ndarray, "steps arms"]:
        """Losses of those that true Hedge is about to play; ties are broken at random."""
        totals, losses = np.zeros(spec.actions), np.zeros((self.steps, spec.actions))
        for row in losses:
            odds = np.exp(-spec.rate * (totals - totals.min()))
            order = np.lexsort((generator.random(spec.actions), -odds))
            half = np.searchsorted(np.cumsum(odds[order]), odds.sum() / 2)
            row[order[: 1 if self.kind == "leader" else 1 + half]] = 1.0
            totals += row
        return losses

    def history(self, spec: Any) -> BanditHistory:
        """The history: each arm's loss in the round before, and arms played at random for minus their loss."""
        losses = self.losses(spec)
        actions = np.random.default_rng([self.seed, 1]).integers(spec.actions, size=self.steps - 1)
        return seen(losses[:-1], actions)


def seen(losses: Float[np.ndarray, "taken arms"], actions: Any) -> BanditHistory:
    """The history after such rounds: contexts are the losses of the round before, rewards minus those of what was played."""
    contexts = np.concatenate([np.zeros((1, losses.shape[1])), losses])[:, :, None]
    return BanditHistory(contexts, actions, -losses[np.arange(len(losses)), actions])


def outlines(spec: Any, steps: int | None = None) -> st.SearchStrategy[LossOutline]:
    """Outlines for a spec, of any length or of the given one."""
    lengths = st.integers(1, spec.horizon) if steps is None else st.just(steps)
    return st.builds(LossOutline, st.sampled_from(KINDS), lengths, st.integers(0, 2**32 - 1))


def batches(spec: Any, size: int) -> st.SearchStrategy[list[LossOutline]]:
    """Lists of `size` outlines of equal length; half the lists are of full length."""
    return grid.batches(outlines, spec, spec.horizon, size)


def battery(spec: Any, repeats: int = 1) -> list[LossOutline]:
    """Every kind, at full length: the same for everyone."""
    return grid.battery(LossOutline, zip(KINDS), spec.horizon, repeats)


def decisions(spec: Any) -> int:
    """The most decisions that a history can hold."""
    return spec.horizon


def step(spec: Any) -> st.SearchStrategy[tuple[int, ...]]:
    """The arm that was played, and the loss of every arm, 0 or 1."""
    return st.tuples(st.integers(0, spec.actions - 1), *[st.integers(0, 1)] * spec.actions)


def told(spec: Any, past: Sequence[tuple], seed: int) -> BanditHistory:
    """The history of such rounds; there is nothing left for the seed."""
    losses = np.array([row for _, *row in past], dtype=float).reshape(len(past), spec.actions)
    return seen(losses, np.array([arm for arm, *_ in past], dtype=int))
