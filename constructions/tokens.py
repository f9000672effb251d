"""Histories as tokens, and back: the embedding and extraction of arXiv 2310.08566, Appendix C.1.

Step t becomes two tokens. The state token 2t−1 holds the action vectors on offer, the action token 2t the vector that was
chosen and its reward; both hold the position (i, i², 1). Everything else starts at zero.

    state   [ 0 ; 0 ; a_{t,1} … a_{t,A} ; 0 … ; i, i², 1 ]      action   [ a_t ; r_t ; 0 … ; i, i², 1 ]
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from constructions.history import BanditHistory
from constructions.stream import Stream

ROUNDING = 1e-9
"""Relative room left for rounding when norms are compared with their bounds."""


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
    """The paper's token layout with named scratch registers."""
    return Stream.of(action=dim, reward=1, arms=actions * dim, logits=actions, **scratch, position=3)


BANDIT_INPUTS = frozenset({"action", "reward", "arms", "position"})
"""The registers that tokens fill."""


@dataclass(frozen=True)
class BanditTokens:
    """One input contract for every linear-bandit transformer.

    Attributes:
        stream: a stream made by `bandit_stream`.
        spec: the dimensions and norm bounds that histories are held to.
    """

    stream: Stream
    spec: BanditSpec

    states = slice(0, None, 2)
    """Which tokens of a history hold states; policies are read there, from the register `logits`."""

    def encode(self, history: BanditHistory) -> Float[np.ndarray, "tokens width"]:
        """The token matrix of a history of t steps: 2t − 1 tokens, the pending state last.

        Raises:
            ValueError: if the history is not admissible for the spec.
        """
        self.check(history)
        tokens = np.zeros((2 * history.steps - 1, self.stream.width))
        tokens[self.states, self.stream["arms"].slice] = history.contexts.reshape(history.steps, -1)
        tokens[1::2, self.stream["action"].slice] = history.chosen
        tokens[1::2, self.stream["reward"].slice] = history.rewards[:, None]
        tokens[:, self.stream["position"].slice] = position(np.arange(1, len(tokens) + 1))
        return tokens

    def state_token(self, index: int, context: Float[np.ndarray, "arms dim"]) -> Float[np.ndarray, " width"]:
        """The token number `index` (from 1) that offers a context."""
        token = np.zeros(self.stream.width)
        token[self.stream["arms"].slice] = np.ravel(context)
        token[self.stream["position"].slice] = position(np.array([index]))[0]
        return token

    def action_token(
        self, index: int, action: Float[np.ndarray, " dim"], reward: float
    ) -> Float[np.ndarray, " width"]:
        """The token number `index` (from 1) that records an action vector and its reward."""
        token = np.zeros(self.stream.width)
        token[self.stream["action"].slice] = action
        token[self.stream["reward"].slice] = reward
        token[self.stream["position"].slice] = position(np.array([index]))[0]
        return token

    def check(self, history: BanditHistory) -> None:
        """Hold a history to the assumptions of the theorem; the error names the first one that fails."""
        spec = self.spec
        if history.steps > spec.horizon:
            raise ValueError(f"history: wanted at most horizon = {spec.horizon} steps, got {history.steps}")
        self.check_context(history.contexts)
        self.check_rewards(history.rewards)

    def check_context(self, contexts: Float[np.ndarray, "*steps arms dim"]) -> None:
        """Wanted: A finite vectors of dimension d with b_a ≤ ‖a‖ ≤ B_a."""
        spec, (low, high) = self.spec, self.spec.action_norm
        if contexts.shape[-2:] != (spec.actions, spec.dim):
            got = " × ".join(map(str, contexts.shape[-2:]))
            raise ValueError(f"contexts: wanted {spec.actions} actions of dimension {spec.dim}, got {got}")
        norms = np.linalg.norm(contexts, axis=-1)
        bad = ~((norms >= low * (1 - ROUNDING)) & (norms <= high * (1 + ROUNDING)))
        if bad.any():
            raise ValueError(
                f"contexts: wanted action norms in [{low:g}, {high:g}], got {norms[bad][0]:g} at "
                f"index {tuple(int(i) for i in np.argwhere(bad)[0])}"
            )

    def check_rewards(self, rewards: Float[np.ndarray, "*any"]) -> None:
        """Wanted: finite rewards with |r| ≤ B_a B_w + σ."""
        bound = reward_bound(self.spec)
        bad = ~(np.abs(rewards) <= bound * (1 + ROUNDING))
        if np.any(bad):
            raise ValueError(
                f"rewards: wanted |reward| <= B_a·B_w + σ = {bound:g}, got {np.asarray(rewards)[bad][0]:g}"
            )


def position(index: np.ndarray) -> Float[np.ndarray, "tokens 3"]:
    """pos_i = (i, i², 1)."""
    index = index.astype(np.float64)
    return np.stack([index, index**2, np.ones_like(index)], axis=-1)


def reward_bound(spec: BanditSpec) -> float:
    """B_a B_w + σ: the largest reward that the assumptions allow."""
    return spec.action_norm[1] * spec.weight_norm + spec.noise_bound
