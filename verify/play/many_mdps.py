"""Many tabular decision processes at once, and UCB-VI playing them in lockstep.

Letters: B processes, H stages, S states, A actions, K episodes, T = KH steps. Stages are indices 0..H−1, step t is stage
t mod H. The planning is that of `verify.algorithms.tabular`, over all processes at once and from running counts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.history import EpisodeHistory
from verify.play.lockstep import Pay, Seen, Whole, inverse


@dataclass(frozen=True, eq=False)
class MDPs:
    """Processes of equal size, with the random numbers of every step.

    Attributes:
        initial: distribution of the first state of an episode.
        transitions: P_h(s'|s,a).
        rewards: r_h(s,a) in [0, 1].
        moves: uniform in [0, 1); they decide the state at each step.
        uniforms: the same for players that choose at random.
    """

    initial: Float[np.ndarray, "batch states"]
    transitions: Float[np.ndarray, "batch horizon states actions states"]
    rewards: Float[np.ndarray, "batch horizon states actions"]
    moves: Float[np.ndarray, "batch steps"]
    uniforms: Float[np.ndarray, "batch steps"]

    @property
    def steps(self) -> int:
        """T."""
        return self.moves.shape[1]

    @property
    def horizon(self) -> int:
        """H."""
        return self.rewards.shape[1]

    @property
    def choices(self) -> int:
        """A."""
        return self.rewards.shape[3]

    def arrive(self, step: int, states: Whole | None, actions: Whole | None) -> Whole:
        """The state at a step, from where and how the one before was left."""
        stage = step % self.horizon
        odds = self.initial
        if stage and states is not None and actions is not None:
            odds = self.transitions[np.arange(len(states)), stage - 1, states, actions]
        return inverse(odds, self.moves[:, step])

    def context(self, states: Whole) -> Whole:
        """The states."""
        return states

    def pay(self, step: int, states: Whole, actions: Whole) -> Pay:
        """r_h(s,a)."""
        return self.rewards[np.arange(len(states)), step % self.horizon, states, actions]

    def losses(self) -> Float[np.ndarray, "batch horizon states actions"]:
        """V*_h(s) − Q*_h(s,a) ≥ 0, by backward induction."""
        ahead, losses = np.zeros_like(self.initial), np.empty_like(self.rewards)
        for stage in reversed(range(self.horizon)):
            values = self.rewards[:, stage] + np.einsum("bsat,bt->bsa", self.transitions[:, stage], ahead)
            ahead = values.max(axis=2)
            losses[:, stage] = ahead[:, :, None] - values
        return losses

    def regret(self, seen: Seen) -> Float[np.ndarray, "batch steps"]:
        """What each action lost, all that follows being optimal."""
        rows = np.arange(len(seen.actions))[:, None]
        return self.losses()[rows, np.arange(self.steps) % self.horizon, seen.states, seen.actions]

    def histories(self, seen: Seen) -> list[EpisodeHistory]:
        """Each process's part as a history of its own, its last decision pending."""
        parts = zip(seen.states, seen.actions, seen.rewards, strict=True)  # type: ignore[arg-type]
        return [
            EpisodeHistory(states, actions[:-1], rewards[:-1], self.horizon)
            for states, actions, rewards in parts
        ]


def random_mdps(
    generator: np.random.Generator, batch: int, states: int, actions: int, horizon: int, episodes: int
) -> MDPs:
    """Transitions and first state uniform on the simplex, rewards U[0,1], fresh at each stage."""
    initial = generator.dirichlet(np.ones(states), batch)
    transitions = generator.dirichlet(np.ones(states), (batch, horizon, states, actions))
    rewards = generator.random((batch, horizon, states, actions))
    moves, uniforms = generator.random((2, batch, episodes * horizon))
    return MDPs(initial, transitions, rewards, moves, uniforms)


class UCBVI:
    """Soft UCB-VI: actions by softmax(Q_h(s,·)/τ), through the processes' uniforms; it plans when an episode begins."""

    def __init__(self, processes: MDPs, bonus: Float[np.ndarray, " visits"], temperature: float):
        self._processes, self._bonus, self._temperature = processes, bonus, temperature
        self._every = np.arange(len(processes.initial))
        self._moves = np.zeros_like(processes.transitions)
        self._counts, self._earned = (np.zeros_like(processes.rewards) for _ in range(2))
        self._last: tuple | None = None

    def choose(self, step: int, states: Any = None) -> Whole:
        """One action for each process."""
        stage = step % self._processes.horizon
        if stage == 0:
            self._values = self._plan()
        elif self._last is not None:
            self._moves[(*self._last, states)] += 1
        self._here = (self._every, np.full(len(states), stage), states)
        scores = self._values[self._here]
        odds = np.exp((scores - scores.max(axis=1, keepdims=True)) / self._temperature)
        return inverse(odds, self._processes.uniforms[:, step])

    def record(self, actions: Whole, rewards: Pay) -> None:
        """Count."""
        self._last = (*self._here, actions)
        self._counts[self._last] += 1
        self._earned[self._last] += rewards

    def _plan(self) -> Float[np.ndarray, "batch horizon states actions"]:
        """Q_h(s,a) = min(H, r + b(N) + Σ P̂V), and H where N = 0."""
        often, top = np.maximum(self._counts, 1), self._processes.horizon
        values = self._earned / often + self._bonus[self._counts.astype(np.int64)]
        ahead = np.zeros_like(self._processes.initial)
        for stage in reversed(range(top)):
            values[:, stage] += np.einsum("bsat,bt->bsa", self._moves[:, stage], ahead) / often[:, stage]
            hopeful = np.minimum(values[:, stage], top)
            values[:, stage] = np.where(self._counts[:, stage] == 0, top, hopeful)
            ahead = values[:, stage].max(axis=2)
        return values
