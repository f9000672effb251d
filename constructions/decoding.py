"""A construction's policy, one step at a time."""

import copy
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from constructions import checks
from constructions.chunks import State
from constructions.tokens import History


class Decoder:
    """Incremental decoding: observe a context or state, get log-probabilities, record what was done and received.

    With a batch, contexts have shape (batch, arms, dim) and states (batch,), actions and rewards (batch,), log-probabilities
    (batch, actions).
    """

    def __init__(self, construction: Any, batch: int | None, dtype: torch.dtype, device: str):
        if batch is not None:
            checks.whole("batch", batch)
        self._construction, self._batch, self._state = construction, batch, State()
        self._program = construction.policy_program
        self._placement = {"dtype": dtype, "device": device}
        self._decisions, self._contexts, self._recorded = 0, None, None

    def observe(self, context, draw=None) -> Float[np.ndarray, "*batch actions"]:
        """Log-probabilities of the actions of the next step; `draw` is for constructions that are handed randomness."""
        tokens = self._construction.tokens
        if self._contexts is not None:
            raise ValueError("decoder: wanted record(action, reward) before the next context, got observe")
        if self._decisions >= tokens.decisions:
            raise ValueError(f"decoder: wanted at most {tokens.decisions} decisions, got one more")
        if draw is not None and not getattr(tokens, "drawn", 0):
            raise ValueError("observe: wanted no draw for this form, got one")
        draws = None if draw is None else self._members("draw", draw)
        contexts = tokens.observed(self._members("context", context), draws)
        chunk = tokens.state_chunk(self._decisions + 1, contexts)
        if (
            self._recorded is not None
        ):  # what was recorded last is taken in with it: nobody has asked for its results
            chunk = np.concatenate([self._recorded, chunk], axis=1)
        output = self._advance(chunk, slice(-1, None))
        self._contexts, self._decisions, self._recorded = contexts, self._decisions + 1, None
        policy = self._construction.policy(output[:, 0])
        return policy[0] if self._batch is None else policy

    def record(
        self, action: int | Int[np.ndarray, " batch"], reward: float | Float[np.ndarray, " batch"]
    ) -> None:
        """Take down the action that was taken and its reward."""
        if self._contexts is None:
            raise ValueError("decoder: wanted observe(context) first, got record")
        actions, rewards = self._members("action", action), self._members("reward", reward)
        self._recorded = self._construction.tokens.action_chunk(
            self._decisions, self._contexts, actions, rewards
        )
        self._contexts = None

    def _members(self, name: str, values) -> Any:
        """One value for each history of the batch."""
        members = [values] if self._batch is None else np.asarray(values)
        if self._batch is not None and len(members) != self._batch:
            raise ValueError(
                f"decoder: wanted one {name} for each of {self._batch} histories, got {len(members)}"
            )
        return members

    def _advance(
        self, tokens: Float[np.ndarray, "batch tokens width"], wanted: slice
    ) -> Float[np.ndarray, "batch wanted width"]:
        chunk = torch.as_tensor(tokens).to(**self._placement)
        return self._program.advance(chunk, self._state, wanted).numpy(force=True)

    def replay(self, history: History) -> None:
        """Take in a whole past at once, in one pass: all its steps but the pending one, which is for `observe`."""
        if self._batch is not None or self._decisions:
            raise ValueError(
                "decoder: wanted replay first and without a batch, got a decoder that has begun or has one"
            )
        tokens = self._construction.tokens
        past = tokens.encode(history)[: tokens.before(history.steps)]
        if len(past):
            self._advance(past[None], slice(0))
        self._decisions = history.steps - 1

    def state(self) -> tuple:
        """A copy of all that the decoder remembers; hand it to `restore` of a decoder of the same construction."""
        return copy.deepcopy((self._state, self._decisions, self._contexts, self._recorded))

    def restore(self, saved: tuple) -> None:
        """Go on from a saved state, which stays usable."""
        self._state, self._decisions, self._contexts, self._recorded = copy.deepcopy(saved)
