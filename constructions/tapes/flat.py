"""What a tape of a program is about: where its tokens, keys, sums and results stand, and what it presumes of the tokens."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from constructions.tapes.levels import level, moved
from constructions.tapes.tape import Crowd, Slots, Tape, run

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
        crowds: by place, one of the operations by heads that look back at tokens one by one.
        often: how many stream entries a slot stands for at most, at one time.
    """

    filled: Bool[np.ndarray, "tokens width"]
    tape: Tape
    inputs: slice
    factors: list[tuple[int, Float[np.ndarray, " longest"]]]
    sums: dict[str, tuple[slice, Slots]] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)
    closed: list[Closed] = field(default_factory=list)
    crowds: dict[str, Crowd] = field(default_factory=dict)
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

    def ordered(self, counts: dict[int, int]) -> "Flat":
        """With all at its last place; `counts` says how often a slot stands in the stream."""
        place = level(self.tape)
        often = np.zeros(self.tape.size, np.int64)
        often[place[list(counts)]] = list(counts.values())
        often[0] = 0
        return replace(
            self,
            inputs=moved(self.inputs, place),
            sums={name: (moved(before, place), place[after]) for name, (before, after) in self.sums.items()},
            keys={
                name: replace(keys, at=[moved(at, place) for at in keys.at])
                for name, keys in self.keys.items()
            },
            closed=[replace(gate, queries=moved(gate.queries, place)) for gate in self.closed],
            output=place[self.output],
            often=often,
        )


@dataclass
class Terms:
    """What is to be added to stream entries: lists of rows, slots, weights and factors."""

    rows: list = field(default_factory=list)
    slots: list = field(default_factory=list)
    weights: list = field(default_factory=list)
    factors: list = field(default_factory=list)

    def add(self, rows: Slots, slots: Slots, weight, factor: int = 0) -> None:
        """Weight · factor · slots, added to these rows."""
        self.rows.append(np.asarray(rows))
        self.slots.append(np.asarray(slots))
        self.weights.append(np.broadcast_to(np.asarray(weight, float), np.shape(rows)))
        self.factors.append(np.full(np.shape(rows), factor))

    def joined(self) -> list[np.ndarray]:
        """All of them as arrays."""
        return [np.concatenate(part) for part in (self.rows, self.slots, self.weights, self.factors)]
