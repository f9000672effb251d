"""A construction's policy, one step at a time."""

import copy
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks
from constructions.fast.chunks import State
from constructions.fast.program import placement
from constructions.history import BanditHistory, finite_policy
from constructions.inputs.bandits import History
from constructions.offers import Offers
from constructions.plain import shown
from constructions.tapes.stepping import Steps


class Decoder:
    """Incremental decoding: observe a context or state, get log-probabilities, record what was done and received.

    With a batch, contexts have shape (batch, arms, dim) and states (batch,), actions and rewards (batch,), log-probabilities
    (batch, actions).

    Args:
        construction: whose policy it is.
        batch: so many independent histories in lockstep; one alone if None.
        dtype: torch.float64 or torch.float32.
        device: of torch.
        compiled: steps are machine code that numba makes of the same weights: seconds at the first step on a machine, fewer
            microseconds at every later one.

    Raises:
        ValueError: for a precision or device as `Construction.log_probabilities`, or if numba is wanted and is not there.
    """

    def __init__(self, construction: Any, batch: Any, dtype: Any, device: Any, compiled: bool = False):
        self._batch: int | None = None if batch is None else checks.whole("batch", batch)
        place = placement(dtype, device)
        self._construction = construction
        registers = [register.slice for register in construction.tokens.stream.registers.values()]
        self._steps = Steps(construction.policy_program, registers, **place, compiled=compiled)
        self._decisions, self._contexts, self._recorded = 0, None, None
        self._offers = Offers(construction, self._batch, dtype, device)

    def observe(self, context, draw=None, offered=None) -> Float[np.ndarray, "*batch actions"]:
        """Log-probabilities of the actions of the next step.

        Args:
            context: the context or state.
            draw: for constructions that are handed randomness.
            offered: which arms are on offer at this step, shape (arms,), or (batch, arms); all of them if left out. It is as
                for `Construction.log_probabilities`.

        Raises:
            ValueError: if the decision before it has not been recorded, or the context, draw or offer is not one that is
                admitted; the decoder is then as it was. Also if the policy is not finite.
        """
        tokens = self._construction.tokens
        if self._contexts is not None:
            raise ValueError("decoder: wanted record(action, reward) before the next context, got observe")
        if self._decisions >= tokens.decisions:
            raise ValueError(f"decoder: wanted at most {tokens.decisions} decisions, got one more")
        if draw is not None and not getattr(tokens, "drawn", 0):
            raise ValueError("observe: wanted no draw for this form, got one")
        draws = None if draw is None else self._members(draw)
        contexts = tokens.observed(self._members(context), draws)
        if self._batch not in (None, len(contexts)):
            raise ValueError(
                f"decoder: wanted one context for each of {self._batch} histories, got {len(contexts)}"
            )
        mask = self._offers.checked(offered, contexts)
        chunk = tokens.state_chunk(self._decisions + 1, contexts)
        if (
            self._recorded is not None
        ):  # what was recorded last is taken in with it: nobody has asked for its results
            chunk = np.concatenate([self._recorded, chunk], axis=1)
        output = self._steps.advance(chunk)
        self._contexts, self._decisions, self._recorded = contexts, self._decisions + 1, None
        self._offers.mask = mask
        policy = finite_policy(self._construction.policy(output))  # last: what it refuses has been taken in
        policy = self._offers.policy(policy, contexts)
        return policy[0] if self._batch is None else policy

    def record(self, action: Any, reward: Any) -> None:
        """Take down the action that was taken, counted from 0, and its reward; with a batch, one of each for each history.

        Raises:
            ValueError: if nothing was observed, or the action or reward is not one that the tokens admit, or the action was
                not on offer. Nothing is taken down then, and it can be tried again.
        """
        if self._contexts is None:
            raise ValueError("decoder: wanted observe(context) first, got record")
        done = self._members(action), self._members(reward)
        recorded = self._construction.tokens.action_chunk(self._decisions, self._contexts, *done)
        self._offers.record(self._contexts, *done)
        self._recorded, self._contexts = recorded, None

    def _members(self, values: Any) -> Any:
        """One value for each history of the batch."""
        return [values] if self._batch is None else values

    def replay(self, history: History) -> None:
        """Take in a whole past at once, in one pass: all its steps but the pending one, which is for `observe`."""
        if self._batch is not None or self._decisions:
            raise ValueError(
                "decoder: wanted replay first and without a batch, got a decoder that has begun or has one"
            )
        tokens = self._construction.tokens
        past = tokens.encode(history)[: tokens.before(history.steps)]
        if len(past):
            self._steps.take_in(past[None])
        self._decisions = history.steps - 1
        if isinstance(history, BanditHistory):
            for step in range(history.steps - 1):
                now = slice(step, step + 1)
                self._offers.record(history.contexts[now], history.actions[now], history.rewards[now])

    def follow(self, history: BanditHistory) -> Float[np.ndarray, " actions"]:
        """The policy at the pending step of a bandit's history, the beginning of which this has seen: its own or none."""
        if not self._decisions:
            self.replay(history)
        for step in range(self._decisions - (self._contexts is not None), history.steps - 1):
            if self._contexts is None:
                self.observe(history.contexts[step])
            self.record(int(history.actions[step]), float(history.rewards[step]))
        return self.observe(history.contexts[-1])

    def state(self) -> tuple:
        """A copy of all that the decoder remembers; hand it to `restore` of a decoder of the same construction."""
        offers = self._offers.past, self._offers.mask
        return copy.deepcopy((self._steps.state, self._decisions, self._contexts, self._recorded, offers))

    def restore(self, saved: tuple) -> None:
        """Go on from a saved state, which stays usable.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(saved, tuple) or len(saved) != 5 or not isinstance(saved[0], State):
            raise ValueError(f"restore: wanted what state() of a decoder gave, got {shown(saved)}")
        self._steps.state, self._decisions, self._contexts, self._recorded, offers = copy.deepcopy(saved)
        self._offers.go_on(*offers)
