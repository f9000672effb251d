"""Histories as tokens, and back: the embedding and extraction of arXiv 2310.08566, Appendix C.1.

Step t becomes two tokens. The state token 2t−1 holds the action vectors on offer, the action token 2t the vector that was
chosen and its reward; both hold the position (i, i², 1). Everything else starts at zero.

    state   [ 0 ; 0 ; a_{t,1} … a_{t,A} ; 0 … ; i, i², 1 ]      action   [ a_t ; r_t ; 0 … ; i, i², 1 ]

A stream with a register `draw` is for a policy that is handed its randomness: state tokens hold a standard normal vector.
With a register `number` action tokens also say which arm it was, as a one-hot vector: so did the paper's experiments.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from constructions import checks
from constructions.checks import DOOR
from constructions.history import BanditHistory, EpisodeHistory, drawn, taken
from constructions.parts.stream import Stream
from constructions.plain import extremes, reals

NO_ZERO = (
    ": the theorem assumes b_a > 0; with action_norm=(1e-06, …) a vector of length 1e-06 can stand for 0"
)
"""What is said of the zero vector."""

COVERED = DOOR * (1 + 1e-3)
"""By how much they may do so in proofs: by more than the door lets in, as norms are measured in float64."""


@runtime_checkable
class BanditSpec(Protocol):
    """What the tokens of a linear bandit need to know of a specification: dimensions and norm bounds."""

    @property
    def dim(self) -> int: ...  # noqa: D102
    @property
    def actions(self) -> int: ...  # noqa: D102
    @property
    def horizon(self) -> int: ...  # noqa: D102
    @property
    def action_norm(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def weight_norm(self) -> float: ...  # noqa: D102
    @property
    def noise_bound(self) -> float: ...  # noqa: D102


def bandit_stream(dim: int, actions: int, **scratch: int) -> Stream:
    """The paper's token layout with named scratch registers; `logits=0` leaves the logits out."""
    sizes = {"action": dim, "reward": 1, "arms": actions * dim, "logits": actions}
    return Stream.of(**(sizes | scratch), position=3)


BANDIT_INPUTS = frozenset({"action", "reward", "arms", "position"})
"""The registers that tokens fill."""


History = BanditHistory | EpisodeHistory
"""What a policy may have seen."""


@runtime_checkable
class Tokens(Protocol):
    """What a construction needs of its input contract; `states`, `before` and chunks as in BanditTokens."""

    @property
    def stream(self) -> Stream: ...  # noqa: D102
    @property
    def spec(self) -> Any: ...  # noqa: D102
    @property
    def decisions(self) -> int: ...  # noqa: D102
    @property
    def longest(self) -> int: ...  # noqa: D102
    def states(self, steps: int) -> Int[np.ndarray, " steps"]: ...  # noqa: D102
    def before(self, steps: int) -> int: ...  # noqa: D102
    def encode(self, history: Any) -> Float[np.ndarray, "tokens width"]: ...  # noqa: D102
    def observed(self, contexts: Any, draws: Any = None) -> np.ndarray: ...  # noqa: D102
    def state_chunk(self, decision: int, contexts: np.ndarray) -> np.ndarray: ...  # noqa: D102
    def action_chunk(  # noqa: D102
        self, decision: int, contexts: np.ndarray, actions: Any, rewards: Any
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class BanditTokens:
    """One input contract for every linear-bandit transformer.

    Attributes:
        stream: a stream made by `bandit_stream`.
        spec: the dimensions and norm bounds that histories are held to; where these do not say all that is assumed of
            contexts, a method `admit(contexts)` that raises a ValueError.
        separation: the least distance between any two actions on offer, of different indices.
        draw_norm: the largest norm of a draw, for streams with a register `draw`.
        bernoulli: whether contexts must be the identity (an arm is a one-hot vector) and rewards 0 or 1.
    """

    stream: Stream
    spec: BanditSpec
    separation: float = 0.0
    draw_norm: float = math.inf
    bernoulli: bool = False

    @property
    def decisions(self) -> int:
        """The largest number of decisions."""
        return self.spec.horizon

    @property
    def longest(self) -> int:
        """The largest number of tokens."""
        return 2 * self.spec.horizon

    def states(self, steps: int) -> Int[np.ndarray, " steps"]:
        """Which tokens of a history hold states; policies are read there, from the register `logits`."""
        return 2 * np.arange(steps)

    def encode(self, history: BanditHistory) -> Float[np.ndarray, "tokens width"]:
        """The token matrix of a history of t steps: 2t − 1 tokens, the pending state last.

        Raises:
            ValueError: if the history is not admissible for the spec.
        """
        self.check(history)
        draws = None if history.draws is None else history.draws[None]
        seen = history.contexts[None], history.actions[None], history.rewards[None]
        return self.laid_out(*seen, draws)[0]

    def laid_out(
        self,
        contexts: Float[np.ndarray, "batch offered arms dim"],
        actions: Int[np.ndarray, "batch taken"],
        rewards: Float[np.ndarray, "batch taken"],
        draws: Float[np.ndarray, "batch steps dim"] | None = None,
        kind: type[np.floating] = np.float64,
    ) -> Float[np.ndarray, "batch tokens width"]:
        """The token matrices of many histories of equal length, unchecked; contexts of one step stand for every step."""
        count, taken = actions.shape
        tokens = np.zeros((count, 2 * taken + 1, self.stream.width), kind)
        self._offer(tokens[:, ::2], contexts, draws)
        every = np.broadcast_to(contexts, (count, taken + 1, *contexts.shape[2:]))[:, :-1]
        played = np.take_along_axis(every, actions[:, :, None, None], axis=2)[:, :, 0]
        self._record(tokens[:, 1::2], actions, played, rewards)
        tokens[:, :, self.stream["position"].slice] = position(np.arange(1, tokens.shape[1] + 1))
        return tokens

    def before(self, steps: int) -> int:
        """The number of tokens before those that come with decision number `steps`."""
        return 2 * steps - 2

    @property
    def drawn(self) -> int:
        """1 if state tokens hold a draw, else 0."""
        return int("draw" in self.stream.registers)

    def observed(self, contexts: Any, draws: Any = None) -> Float[np.ndarray, "batch rows dim"]:
        """Contexts that were handed over one by one, checked; with draws, each as the last row of its context."""
        if self.drawn and draws is None:
            raise ValueError("observe: wanted a context and a draw, got no draw")
        contexts = reals("contexts", contexts)
        if contexts.ndim != 3:
            raise ValueError(f"contexts: wanted shape (arms, dim) each, got {contexts.shape[1:]}")
        self.check_context(contexts)
        if draws is None:
            return contexts
        draws = drawn(draws, contexts)
        self._check_draws(draws)
        return np.concatenate([contexts, draws[:, None]], axis=1)

    def state_chunk(
        self, decision: int, contexts: Float[np.ndarray, "batch rows dim"]
    ) -> Float[np.ndarray, "batch 1 width"]:
        """The tokens that come with decision number `decision` (from 1), the state token last."""
        chunk = np.zeros((len(contexts), 1, self.stream.width))
        arms = self.spec.actions
        self._offer(chunk[:, 0], contexts[:, :arms], contexts[:, arms] if self.drawn else None)
        chunk[:, 0, self.stream["position"].slice] = placed(2 * decision - 1)
        return chunk

    def action_chunk(
        self, decision: int, contexts: Float[np.ndarray, "batch rows dim"], actions: Any, rewards: Any
    ) -> Float[np.ndarray, "batch 1 width"]:
        """The token that records what was done at that decision."""
        arms = contexts[:, : self.spec.actions]
        actions, rewards = taken(actions, rewards, len(arms), self.spec.actions)
        self.check_rewards(rewards)
        chunk = np.zeros((len(arms), 1, self.stream.width))
        played = arms[:, int(actions[0])] if len(arms) == 1 else arms[np.arange(len(arms)), actions]
        self._record(chunk[:, 0], actions, played, rewards)
        chunk[:, 0, self.stream["position"].slice] = placed(2 * decision)
        return chunk

    def _offer(self, tokens: np.ndarray, contexts: np.ndarray, draws: np.ndarray | None) -> None:
        """What is on offer, put into state tokens, and the draws."""
        tokens[..., self.stream["arms"].slice] = contexts.reshape(*contexts.shape[:-2], -1)
        if draws is not None:
            tokens[..., self.stream["draw"].slice] = draws

    def _record(
        self, tokens: np.ndarray, actions: np.ndarray, played: np.ndarray, rewards: np.ndarray
    ) -> None:
        """What was done and received, put into action tokens."""
        tokens[..., self.stream["action"].slice] = played
        tokens[..., self.stream["reward"].start] = rewards
        if "number" in self.stream.registers:
            tokens[..., self.stream["number"].slice] = np.eye(self.spec.actions)[actions]

    def check(self, history: BanditHistory) -> None:
        """Hold a history to the assumptions of the theorem; the error names the first one that fails."""
        checks.instance("history", history, BanditHistory)
        if history.steps > (most := self.spec.horizon):
            raise ValueError(f"history: wanted at most horizon = {most} steps, got {history.steps}")
        self.check_context(history.contexts)
        self.check_rewards(history.rewards)
        if (history.draws is not None) != bool(self.drawn):
            wanted, got = ("draws", "none") if self.drawn else ("no draws", "some")
            raise ValueError(f"history: wanted {wanted} for this form, got {got}")
        if history.draws is not None:
            self._check_draws(history.draws)

    def _check_draws(self, draws: Float[np.ndarray, "batch dim"]) -> None:
        """Wanted: norms within the bound."""
        norms = np.linalg.norm(draws, axis=1)
        if not norms.max() <= self.draw_norm * (1 + DOOR):
            raise ValueError(f"draws: wanted norms <= {self.draw_norm:.9g}, got {norms.max():.9g}")

    def check_context(self, contexts: Float[np.ndarray, "*steps arms dim"]) -> None:
        """Wanted: A finite vectors of dimension d with b_a ≤ ‖a‖ ≤ B_a."""
        spec, (low, high) = self.spec, self.spec.action_norm
        if contexts.shape[-2:] != (spec.actions, spec.dim):
            got = " × ".join(map(str, contexts.shape[-2:]))
            raise ValueError(f"contexts: wanted {spec.actions} actions of dimension {spec.dim}, got {got}")
        norms = np.sqrt(np.einsum("...d,...d->...", contexts, contexts))  # infinite, of numbers so large
        least, most = extremes(norms)
        if not (least >= low * (1 - DOOR) and most <= high * (1 + DOOR)):
            bad = ~((norms >= low * (1 - DOOR)) & (norms <= high * (1 + DOOR)))
            got = f"{norms[bad][0]:.9g} at index {tuple(int(i) for i in np.argwhere(bad)[0])}"
            hint = "" if norms[bad][0] else NO_ZERO
            raise ValueError(f"contexts: wanted action norms in [{low:.9g}, {high:.9g}], got {got}{hint}")
        if self.separation:
            apart = np.linalg.norm(contexts[..., :, None, :] - contexts[..., None, :, :], axis=-1)
            apart[..., range(spec.actions), range(spec.actions)] = math.inf
            if apart.min() < self.separation * (1 - DOOR):
                index = tuple(int(i) for i in np.argwhere(apart == apart.min())[0])
                raise ValueError(
                    f"contexts: wanted actions at least {self.separation:.9g} apart, got {apart.min():.9g} at index {index}"
                )
        if self.bernoulli and (contexts != np.eye(spec.dim)).any():
            raise ValueError(
                "contexts: wanted the identity, arm k as the k-th one-hot vector, got other vectors"
            )

        if hasattr(spec, "admit"):
            spec.admit(contexts)  # type: ignore[attr-defined]  # of specifications that assume more

    def check_rewards(self, rewards: Float[np.ndarray, "*any"]) -> None:
        """Wanted: finite rewards with |r| ≤ B_a B_w + σ."""
        if self.bernoulli and not (one_of := np.isin(rewards, (0, 1))).all():
            raise ValueError(f"rewards: wanted 0 or 1, got {float(rewards[~one_of][0])!r}")
        bound = reward_bound(self.spec)
        if not max(map(abs, extremes(rewards))) <= bound * (1 + DOOR):
            got = rewards[~(np.abs(rewards) <= bound * (1 + DOOR))][0]
            raise ValueError(f"rewards: wanted |reward| <= B_a·B_w + σ = {bound:.9g}, got {got:.9g}")


def position(index: np.ndarray) -> Float[np.ndarray, "tokens 3"]:
    """pos_i = (i, i², 1)."""
    index = index.astype(np.float64)
    return np.stack([index, index**2, np.ones_like(index)], axis=-1)


def placed(index: int) -> tuple[float, float, float]:
    """The same for one token."""
    return float(index), float(index * index), 1.0


def reward_bound(spec: BanditSpec) -> float:
    """B_a B_w + σ: the largest reward that the assumptions allow."""
    return spec.action_norm[1] * spec.weight_norm + spec.noise_bound


def admitted_norms(spec: Any) -> tuple[float, float]:
    """(b_a, B_a) as wide as the door is: what proofs are about."""
    low, high = spec.action_norm
    return low * (1 - COVERED), high * (1 + COVERED)


def admitted_separation(spec: Any) -> float:
    """The least distance between different actions, as wide as the door is."""
    return spec.separation * (1 - COVERED)


def admitted_reward(spec: Any) -> float:
    """B_a B_w + σ as wide as the door is."""
    return reward_bound(spec) * (1 + COVERED)
