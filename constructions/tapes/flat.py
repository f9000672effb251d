"""What a tape of a program is about: where its tokens, keys, sums and results stand, and what it presumes of the tokens."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from constructions.tapes.tape import Slots, Tape, run

NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Closed:
    """A gate that is taken for closed: `weight` ‖queries‖ · (the largest key before) + factor ≤ 0.

    Attributes:
        place: of the keys.
        token: at which token of the chunk.
        queries: x; of `heads` heads, if the sizes of keys are kept entry by entry.
        weight: what the product is multiplied by.
        factor: the largest that the gate is at an earlier token.
        heads: how many there are, or 0 where one norm stands for all.
    """

    place: str
    token: int
    queries: slice
    weight: float
    factor: int
    heads: int = 0


@dataclass(frozen=True, eq=False)
class Keys:
    """Keys at every token of the chunk, of which the largest sizes are remembered; `heads` as in Closed."""

    at: list[slice]
    weight: float
    heads: int = 0


@dataclass(eq=False)
class Flat:
    """A program on chunks of so many tokens.

    Attributes:
        filled: which entries of which tokens hold anything, shape (tokens, D); the others are taken for 0.
        tape: what is to be done.
        inputs: the slots that hold those entries, token by token.
        factors: of each factor, the token of the chunk, and its values at all positions.
        sums: by place, where prefix sums stand, before and after.
        keys: by place.
        closed: the gates that are taken for closed.
        output: the last token's stream.
        often: how many stream entries a slot stands for at most, at one time.
    """

    filled: Bool[np.ndarray, "tokens width"]
    tape: Tape
    inputs: slice
    factors: list[tuple[int, Float[np.ndarray, " longest"]]]
    sums: dict[str, tuple[slice, Slots]] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)
    closed: list[Closed] = field(default_factory=list)
    output: Slots = field(default_factory=lambda: NONE)
    often: Int[np.ndarray, " slots"] = field(default_factory=lambda: NONE)

    @property
    def tokens(self) -> int:
        """How many there are in a chunk."""
        return len(self.filled)

    @property
    def read(self) -> Slots:
        """The slots that are looked at when all has been computed."""
        spans = [at for keys in self.keys.values() for at in keys.at] + [gate.queries for gate in self.closed]
        sums = [after for _, after in self.sums.values()]
        return np.concatenate([self.output, *sums, *map(run, spans)])
