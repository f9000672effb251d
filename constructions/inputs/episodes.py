"""Episodes as tokens: the embedding of arXiv 2310.08566, Appendix E.1 (Markov decision processes).

Step t, stage h of episode k, becomes two tokens, and every episode ends with an empty one:

    state   [ 0 ; 0 ; e_s ; 0 … ; k, h, 1 ; i, i², 1 ]            i = 2(t−1) + k
    action  [ e_a ; r ; 0 ; 0 … ; k, h, 0 ; i, i², 1 ]            i = 2t − 1 + k
    empty   [ 0 ; 0 ; 0 ; 0 … ; k, H+1, 1 ; i, i², 1 ]            i = (2H+1)k

With a register `place`, state and action tokens also hold stage and state together, as a one-hot vector.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from constructions import checks
from constructions.history import EpisodeHistory, in_unit_interval, taken, within
from constructions.inputs.bandits import position
from constructions.parts.stream import Stream
from constructions.plain import integers


@runtime_checkable
class TabularSpec(Protocol):
    """What the tokens need of a specification: S, A, H and K."""

    @property
    def states(self) -> int: ...  # noqa: D102
    @property
    def actions(self) -> int: ...  # noqa: D102
    @property
    def horizon(self) -> int: ...  # noqa: D102
    @property
    def episodes(self) -> int: ...  # noqa: D102


def episode_stream(spec: TabularSpec, **scratch: int) -> Stream:
    """The paper's token layout with named scratch registers; `clock` is (k, h, v), `position` is (i, i², 1).

    `logits=0` leaves the logits out.
    """
    sizes = {"action": spec.actions, "reward": 1, "state": spec.states, "logits": spec.actions}
    return Stream.of(**(sizes | scratch), clock=3, position=3)


EPISODE_INPUTS = frozenset({"action", "reward", "state", "clock", "position"})
"""The registers that tokens fill."""


def longest(spec: TabularSpec) -> int:
    """The largest number of tokens, K(2H + 1)."""
    return spec.episodes * (2 * spec.horizon + 1)


@dataclass(frozen=True)
class EpisodeTokens:
    """One input contract for every transformer that plays tabular decision processes.

    Attributes:
        stream: a stream made by `episode_stream`.
        spec: the sizes that histories are held to.
    """

    stream: Stream
    spec: TabularSpec

    @property
    def decisions(self) -> int:
        """The largest number of decisions, T = KH."""
        return self.spec.episodes * self.spec.horizon

    @property
    def longest(self) -> int:
        """The largest number of tokens."""
        return longest(self.spec)

    def states(self, steps: int) -> Int[np.ndarray, " steps"]:
        """Which tokens of a history hold states; policies are read there, from the register `logits`."""
        return 2 * np.arange(steps) + np.arange(steps) // self.spec.horizon

    def before(self, steps: int) -> int:
        """The number of tokens before those that come with decision number `steps`: an empty one may be among the latter."""
        ends = steps > 1 and (steps - 1) % self.spec.horizon == 0
        return int(self.states(steps)[-1]) - ends

    def encode(self, history: EpisodeHistory) -> Float[np.ndarray, "tokens width"]:
        """The token matrix of a history of t steps: 2(t − 1) + k tokens, the pending state last.

        Raises:
            ValueError: if the history does not fit the spec.
        """
        self.check(history)
        return self.laid_out(history.states[None], history.actions[None], history.rewards[None])[0]

    def laid_out(
        self,
        states: Int[np.ndarray, "batch steps"],
        actions: Int[np.ndarray, "batch taken"],
        rewards: Float[np.ndarray, "batch taken"],
        kind: type[np.floating] = np.float64,
    ) -> Float[np.ndarray, "batch tokens width"]:
        """The token matrices of many histories of equal length, unchecked."""
        steps = np.arange(states.shape[1])
        rows = self.states(len(steps))
        tokens = np.repeat(self.blank(1 + np.arange(rows[-1] + 1)).astype(kind)[None], len(states), axis=0)
        self._arrive(tokens, rows, steps, states)
        self._record(tokens, rows[:-1] + 1, steps[:-1], states[:, :-1], actions, rewards)
        return tokens

    def _arrive(self, tokens: np.ndarray, rows: Any, steps: Any, states: np.ndarray) -> None:
        """The states in which steps (from 0) begin, put into the tokens in these rows."""
        tokens[:, rows, self.stream["state"].slice] = np.eye(self.spec.states)[states]
        self._place(tokens, rows, steps, states)

    def _record(
        self,
        tokens: np.ndarray,
        rows: Any,
        steps: Any,
        states: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
    ) -> None:
        """What was done in steps (from 0) and received, put into the tokens in these rows."""
        tokens[:, rows, self.stream["action"].slice] = np.eye(self.spec.actions)[actions]
        tokens[:, rows, self.stream["reward"].start] = rewards
        self._place(tokens, rows, steps, states)

    def _place(self, tokens: np.ndarray, rows: Any, steps: Any, states: np.ndarray) -> None:
        """Where steps (from 0) began, if there is a register for it."""
        if "place" in self.stream.registers:
            place = steps % self.spec.horizon * self.spec.states + states
            tokens[:, rows, self.stream["place"].slice] = np.eye(self.stream["place"].size)[place]

    def blank(self, index: Int[np.ndarray, " tokens"]) -> Float[np.ndarray, "tokens width"]:
        """Tokens number `index` (from 1) with nothing but their place."""
        length = 2 * self.spec.horizon + 1
        episode, within = (index - 1) // length, (index - 1) % length
        clock = np.stack([episode + 1, within // 2 + 1, (within % 2 == 0)], axis=1)
        tokens = np.zeros((len(index), self.stream.width))
        tokens[:, self.stream["clock"].slice] = clock
        tokens[:, self.stream["position"].slice] = position(index)
        return tokens

    def observed(self, contexts: Any, draws: None = None) -> Int[np.ndarray, " batch"]:
        """States that were handed over one by one, checked; there are no draws."""
        states = integers("states", contexts)
        if states.ndim != 1:
            raise ValueError(f"states: wanted one number each, got shape {states.shape[1:]}")
        within("states", states, self.spec.states)
        return states

    def state_chunk(
        self, decision: int, contexts: Int[np.ndarray, " batch"]
    ) -> Float[np.ndarray, "batch chunk width"]:
        """The tokens that come with decision number `decision` (from 1), an empty one before it if an episode has ended."""
        index = np.arange(self.before(decision), self.states(decision)[-1] + 1) + 1
        chunk = np.repeat(self.blank(index)[None], len(contexts), axis=0)
        self._arrive(chunk, -1, decision - 1, contexts)
        return chunk

    def action_chunk(
        self, decision: int, contexts: Int[np.ndarray, " batch"], actions: Any, rewards: Any
    ) -> Float[np.ndarray, "batch 1 width"]:
        """The token that records what was done at that decision."""
        actions, rewards = taken(actions, rewards, len(contexts), self.spec.actions)
        chunk = np.repeat(self.blank(self.states(decision)[-1:] + 2)[None], len(contexts), axis=0)
        self._record(chunk, 0, decision - 1, contexts, actions, in_unit_interval(rewards))
        return chunk

    def check(self, history: EpisodeHistory) -> None:
        """Hold a history to the sizes of the spec; the error names the first one that fails."""
        checks.instance("history", history, EpisodeHistory)
        spec = self.spec
        if history.horizon != spec.horizon:
            raise ValueError(f"history: wanted episodes of horizon {spec.horizon}, got {history.horizon}")
        if history.episodes > spec.episodes:
            raise ValueError(f"history: wanted at most {spec.episodes} episodes, got {history.episodes}")
        within("states", history.states, spec.states)
        within("actions", history.actions, spec.actions)
