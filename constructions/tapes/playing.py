"""A tape played on tokens, and the gates that it takes for closed looked at."""

from types import ModuleType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from constructions.fast.chunks import State
from constructions.fast.program import ROOM, Program
from constructions.tapes.crowds import Table
from constructions.tapes.deck import Deck
from constructions.tapes.flat import Flat
from constructions.tapes.norms import Looking, Sizes, sizes_of

Sums = tuple[Float[np.ndarray, "..."], ...]


class Past(NamedTuple):
    """What the tokens so far leave behind for tapes: prefix sums, and the largest size of a key, all told or by entry."""

    sums: Sums
    norms: Float[np.ndarray, "keys *batch"]
    sizes: Sums
    tables: dict[str, Table]

    @classmethod
    def of(cls, state: State, flat: Flat, tail: tuple[int, ...]) -> "Past":
        """The same as a program's own state has it."""
        places = [*flat.sums, *flat.keys]
        memory = {place: state.memory[place].numpy(force=True) for place in places}
        sums = tuple(memory[place].reshape(-1, *tail) for place in flat.sums)
        norms = [memory[place].reshape(1, *tail) for place, keys in flat.keys.items() if not keys.heads]
        sizes = tuple(one.of(memory, tail) for one in _sizes(flat))
        tables = {place: Table.of(one, state.memory[place]) for place, one in flat.crowds.items()}
        return cls(sums, np.concatenate(norms) if norms else np.zeros((0, *tail)), sizes, tables)


class Player:
    """A flat program on arrays of its own, for so many histories in lockstep; `machine` as for `Deck`."""

    def __init__(self, flat: Flat, batch: int, program: Program, machine: ModuleType | None = None):
        self.flat, self.batch, self.limit = flat, batch, program.transformer.clip_radius**2 * (1 - ROOM)
        self.factors = np.ones(len(flat.factors))
        self.deck = Deck(flat.tape.operations, flat.tape.size, self.factors, batch, machine)
        self.given, self.filled = self.deck.view(flat.inputs), np.flatnonzero(flat.filled)
        self.position, self.true = program.position, _positions(program)
        self.norms, self.sizes = Looking(flat.norms, self.deck, flat.tokens), _sizes(flat)
        if machine and batch == 1:
            self.norms = machine.looked(flat.norms, self.deck.slots)
            self.sizes = [machine.sized(one) for one in self.sizes]
        self.columns = np.stack([np.roll(column, -token) for token, column in flat.factors], 1)
        """By the position of the first token."""

    def fits(self, tokens: Float[np.ndarray, "batch tokens width"]) -> bool:
        """Whether the tokens hold nothing but where it is looked for; they are taken over."""
        if self.deck.tail:
            np.copyto(self.given, tokens.reshape(self.batch, -1).take(self.filled, 1).T)
        else:
            tokens.ravel().take(self.filled, 0, self.given, "clip")
        return _filled(tokens) == _filled(self.given)

    def __call__(
        self, tokens: Float[np.ndarray, "batch tokens width"], first: int, past: Past
    ) -> tuple[Float[np.ndarray, "batch width"], Past] | None:
        """The last token's output and what is left behind; None if what the tape presumes of tokens does not hold."""
        deck, flat, factors = self.deck, self.flat, self.factors
        slots = deck.slots
        true = self.true[first : first + len(flat.filled)].tobytes() * self.batch
        if tokens[..., self.position].tobytes() != true:
            return None
        factors[:] = self.columns[first]
        for (to, _), sums in zip(flat.sums.values(), past.sums, strict=True):
            slots[to] = sums
        deck.crowds.begin(past.tables)
        deck.play()
        most, norms = self.norms(factors, past.norms)
        if not (most <= self.limit and most < np.inf):
            return None
        sizes = []
        for look, before in zip(self.sizes, past.sizes, strict=True):
            sizes.append(look(slots, factors, before))
        if norms is None or deck.crowds.open or any(size is None for size in sizes):
            return None
        sums = tuple([slots.take(to, 0) for _, to in flat.sums.values()])
        output = slots.take(flat.output, 0)
        return output.T if deck.tail else output[None], Past(sums, norms, tuple(sizes), deck.crowds.tables)


def _sizes(flat: Flat) -> list[Sizes]:
    return sizes_of(flat.keys, flat.closed, flat.tokens)


def _filled(numbers: Float[np.ndarray, "..."]) -> int:
    """How many are not +0; as integers they are counted sooner."""
    return int(np.count_nonzero(numbers.view(np.int64)))


def _positions(program: Program) -> Float[np.ndarray, "longest 3"]:
    """(i, i², 1), token by token."""
    index = np.arange(1.0, program.places.longest + 1)
    return np.stack([index, index**2, np.ones_like(index)], 1)
