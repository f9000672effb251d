"""A program fed a few tokens at a time, each time as a tape where there is one for it."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from constructions.fast.chunks import State
from constructions.fast.program import Program
from constructions.tapes.playing import Past, Player
from constructions.tapes.writing import flatten


def _unpacked(tokens: Any) -> Float[Tensor, "batch tokens width"]:
    """Tokens as they came, or of which there is only what they hold, and where."""
    if isinstance(tokens, Tensor):
        return tokens
    given, filled = tokens
    whole = np.zeros((given.size // max(int(filled.sum()), 1), *filled.shape))
    whole[:, filled] = given.reshape(-1, len(whole)).T
    return torch.as_tensor(whole)


def _machine() -> ModuleType:
    """What compiles tapes; wanted: numba."""
    if find_spec("numba") is None:
        raise ValueError("compiled: wanted numba, got none: pip install 'weightwright[compiled]'")
    return import_module("constructions.tapes.compiled")


class Steps:
    """A program and what it remembers, fed a few tokens at a time; results are asked for at the last one.

    The first chunk goes by the program itself, and so does everything once what a tape presumes of the tokens has failed.

    Attributes:
        program: the weights, rewritten.
        state: what the tokens so far have left behind; it may be replaced by a copy.
    """

    def __init__(
        self,
        program: Program,
        registers: Sequence[slice],
        dtype: torch.dtype,
        device: torch.device,
        compiled: bool = False,
    ):
        self._machine = _machine() if compiled else None
        self._registers = registers
        self.program, self.state, self._kind = program, State(), {"dtype": dtype, "device": device}
        self._taped = dtype == torch.float64 and device.type == "cpu"
        self._players: dict[tuple[int, ...], Player] = {}  # by histories and tokens

    def take_in(self, tokens: Float[np.ndarray, "batch tokens width"]) -> None:
        """The next tokens, many or few, of which no result is asked for."""
        self._slow(tokens, slice(0))

    def advance(self, tokens: Float[np.ndarray, "batch tokens width"]) -> Float[np.ndarray, "batch width"]:
        """The output at the last of the next few tokens."""
        state = self.state
        if self._taped and state.count and not (state.literal or state.untaped):
            found = self._play(tokens)
            if found is not None:
                return found
        return self._slow(tokens, slice(-1, None))[:, 0]

    def _slow(
        self, tokens: Float[np.ndarray, "batch tokens width"], wanted: slice
    ) -> Float[np.ndarray, "batch wanted width"]:
        """The same by the program itself."""
        if self.state.past is not None:
            self._go_back(untaped=False)
        chunk = torch.as_tensor(tokens).to(**self._kind)
        return self.program.advance(chunk, self.state, wanted).numpy(force=True)

    def _play(
        self, tokens: Float[np.ndarray, "batch tokens width"]
    ) -> Float[np.ndarray, "batch width"] | None:
        """The same by a tape; None if there is none, or if it does not hold, now or ever again."""
        state, player = self.state, self._player(tokens)
        if player is not None:
            if state.past is None:
                state.past = Past.of(state, player.flat, player.deck.tail)
            found = player(tokens, state.count, state.past)
            if found is not None:
                output, state.past = found
                state.count += tokens.shape[1]
                state.inputs.append((player.given.copy(), player.flat.filled))
                return output
        self._go_back(untaped=True)
        return None

    def _player(self, tokens: Float[np.ndarray, "batch tokens width"]) -> Player | None:
        """One that looks for numbers where these tokens hold some, and has taken them over."""
        kind = tokens.shape[:2]
        player = self._players.get(kind)
        if player is not None and player.fits(tokens):
            return player
        filled = (tokens != 0).any(0)
        for register in self._registers:
            filled[:, register] = filled[:, register].any(1, keepdims=True)
        if player is not None:
            filled |= player.flat.filled
        program, name = self.program, (len(filled), filled.tobytes())
        if name not in program.tapes:
            program.tapes[name] = flatten(program, filled)
        flat = program.tapes[name]
        if flat is not None and flat.crowds and len(tokens) > 1:
            return None  # what is kept of tokens one by one is that of one history
        if flat is not None:
            self._players[kind] = player = Player(flat, len(tokens), program, self._machine)
            player.fits(tokens)
        return player if flat is not None else None

    def _go_back(self, *, untaped: bool) -> None:
        """Without tapes, now or from here on: the program has to know what they have remembered."""
        state = self.state
        if state.past is not None:
            fresh = State()
            self.program.advance(torch.cat([_unpacked(part) for part in state.inputs], 1), fresh, slice(0))
            vars(state).update(vars(fresh))
        state.untaped = untaped
