"""Sequences that begin with token 0, for softmax attention: a head that finds nothing looks there.

Token 0 holds 1 in the register `start` and 0 everywhere else, its position (i, i², 1) included. The others are those of the
contract inside, with the positions that they have without it, and 0 in `start`.

Two more registers say where a token stands, in streams that have them: `digits` holds the binary digits of i as ±1, the
lowest first, and `log` the logarithm of i, to the nearest number. Both are 0 at token 0.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float, Int

from constructions.inputs.bandits import Tokens, position
from constructions.parts.stream import Stream
from constructions.rounding.outward import nearest

START = "start"
"""The register by which token 0 is known."""
DIGITS = "digits"
"""The register of a position's binary digits."""
LOG = "log"
"""The register of log i."""


def placing(tokens: int) -> dict[str, int]:
    """The two registers for so many tokens after token 0, and their sizes."""
    return {DIGITS: tokens.bit_length(), LOG: 1}


class Placed:
    """What a dataclass of a specification has if its tokens say where they stand, of so many decisions.

    `plain` is the same specification for the paper's attention, whose values are taken over.
    """

    horizon: int
    plain: Any

    def __post_init__(self):
        plain = self.plain
        for name in tuple(vars(self)):
            object.__setattr__(self, name, getattr(plain, name))

    @property
    def tokens(self) -> int:
        """The largest number of tokens after token 0."""
        return 2 * self.horizon

    @property
    def digits(self) -> int:
        """Binary digits that tell these apart."""
        return self.tokens.bit_length()


@cache
def logarithms(tokens: int) -> Float[np.ndarray, " tokens"]:
    """Log i for i = 1, 2, …, to the nearest number of float64, on every processor."""
    return nearest(arb.log, np.arange(1.0, tokens + 1))


@dataclass(frozen=True)
class Begun:
    """The input contract `inner` after token 0; its stream has a register `start`."""

    inner: Any

    @property
    def stream(self) -> Stream:
        """The registers."""
        return self.inner.stream

    @property
    def spec(self) -> Any:
        """What histories are held to."""
        return self.inner.spec

    @property
    def decisions(self) -> int:
        """The largest number of decisions."""
        return self.inner.decisions

    @property
    def longest(self) -> int:
        """The largest number of tokens, token 0 included."""
        return self.inner.longest + 1

    @property
    def drawn(self) -> int:
        """1 if state tokens hold a draw, else 0."""
        return getattr(self.inner, "drawn", 0)

    @property
    def frame(self) -> tuple[Int[np.ndarray, " entries"], Float[np.ndarray, "longest entries"]]:
        """The stream entries that tokens fill whatever the history, and what they hold: where they stand, and `start`."""
        entries, index = np.arange(self.stream.width), np.arange(1.0, self.longest)
        known = {"position": position(index), **self._places(index)}
        later = np.column_stack([*known.values(), np.zeros(len(index))])
        table = np.concatenate([np.zeros((1, later.shape[1])), later])
        table[0, -1] = 1.0
        return np.concatenate([entries[self.stream[name].slice] for name in (*known, START)]), table

    def states(self, steps: int) -> Int[np.ndarray, " steps"]:
        """Which tokens of a history hold states; policies are read there."""
        return self.inner.states(steps) + 1

    def before(self, steps: int) -> int:
        """The number of tokens before those that come with decision number `steps`; token 0 comes with the first."""
        return self.inner.before(steps) + (steps > 1)

    def encode(self, history: Any) -> Float[np.ndarray, "tokens width"]:
        """The token matrix of a history, token 0 first.

        Raises:
            ValueError: if the history is not admissible.
        """
        return self._begin(self._placed(self.inner.encode(history)[None]))[0]

    def observed(self, contexts: Any, draws: Any = None) -> np.ndarray:
        """Contexts or states that were handed over one by one, checked."""
        return self.inner.observed(contexts, draws)

    def state_chunk(self, decision: int, contexts: np.ndarray) -> Float[np.ndarray, "batch chunk width"]:
        """The tokens that come with decision number `decision` (from 1), the state token last."""
        chunk = self._placed(self.inner.state_chunk(decision, contexts))
        return chunk if decision > 1 else self._begin(chunk)

    def action_chunk(
        self, decision: int, contexts: np.ndarray, actions: Any, rewards: Any
    ) -> Float[np.ndarray, "batch 1 width"]:
        """The token that records what was done at that decision."""
        return self._placed(self.inner.action_chunk(decision, contexts, actions, rewards))

    def check(self, history: Any) -> None:
        """Hold a history to the spec."""
        self.inner.check(history)

    def _placed(
        self, tokens: Float[np.ndarray, "batch tokens width"]
    ) -> Float[np.ndarray, "batch tokens width"]:
        """Tokens after token 0, with digits and logarithms where the stream has registers for them."""
        for name, held in self._places(tokens[..., self.stream["position"].start]).items():
            tokens[..., self.stream[name].slice] = held
        return tokens

    def _places(self, index: Float[np.ndarray, "*any"]) -> dict[str, Float[np.ndarray, "*any size"]]:
        """What digits and logarithms of positions are, if the stream has registers for them."""
        known, found = self.stream.registers, {}
        if DIGITS in known:
            found[DIGITS] = 2 * (index[..., None] // 2 ** np.arange(known[DIGITS].size) % 2) - 1
        if LOG in known:
            most = 1 << int(index.max(initial=1)).bit_length()  # a table grows by doubling
            found[LOG] = logarithms(most)[index.astype(int) - 1, None]
        return found

    def _begin(
        self, tokens: Float[np.ndarray, "batch tokens width"]
    ) -> Float[np.ndarray, "batch more width"]:
        """Token 0 before them."""
        first = np.zeros((len(tokens), 1, tokens.shape[2]))
        first[:, :, self.stream[START].slice] = 1.0
        return np.concatenate([first, tokens], axis=1)


def begun(tokens: Tokens, attention: str) -> Tokens:
    """A contract as an attention wants it: with token 0 for softmax."""
    return Begun(tokens) if attention == "softmax" else tokens


def start(attention: str) -> dict[str, int]:
    """The register that this takes, and its size."""
    return {START: 1} if attention == "softmax" else {}
