"""A tape played on tokens, and the gates that it takes for closed looked at."""

from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from constructions.fast.chunks import State
from constructions.fast.program import ROOM, Program
from constructions.fast.sparsity import TINY
from constructions.tapes.crowds import CLOSE, Table
from constructions.tapes.deck import Deck, added
from constructions.tapes.flat import Flat, Keys
from constructions.tapes.tape import run

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
        sizes = tuple(one.of(memory, tail) for one in sizes_of(flat))
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
        norms, self.sizes = Norms(flat, self.deck), sizes_of(flat)
        self.norms = machine.looked(norms, self.deck.slots) if machine and batch == 1 else norms
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


def sizes_of(flat: Flat) -> list["Sizes"]:
    """One for each shape of crowds that keep sizes of keys entry by entry."""
    shapes = dict.fromkeys((keys.heads, _height(keys)) for keys in flat.keys.values() if keys.heads)
    return [Sizes(flat, *shape) for shape in shapes]


class Sizes:
    """Gates of crowds of heads of one shape, that sizes of their keys entry by entry tell to be closed."""

    def __init__(self, flat: Flat, heads: int, rank: int):
        self.shape = heads, rank
        places = [name for name, keys in flat.keys.items() if (keys.heads, _height(keys)) == (heads, rank)]
        gates = [gate for gate in flat.closed if gate.heads and gate.place in places]
        keys = np.array([[run(at) for at in flat.keys[place].at] for place in places], np.int64)
        self.places, self.keys = places, keys.reshape(len(places), flat.tokens, heads, rank)
        self.queries = np.array([run(gate.queries) for gate in gates], np.int64).reshape(-1, heads, rank)
        self.at = [places.index(gate.place) for gate in gates], [gate.token for gate in gates]
        self.gates = np.array([gate.factor for gate in gates], np.int64)

    def __call__(
        self,
        slots: Float[np.ndarray, "slots *batch"],
        factors: Float[np.ndarray, " factors"],
        past: Float[np.ndarray, "places heads sizes *batch"],
    ) -> Float[np.ndarray, "places heads sizes *batch"] | None:
        """The largest sizes of keys; None if a gate may be open."""
        rank, now = self.shape[1], np.abs(slots.take(self.keys, 0))  # (places, tokens, heads, rank)
        trail = np.empty((len(now), now.shape[1] + 1, now.shape[2], rank + 2, *now.shape[4:]))
        trail[:, 0], trail[:, 1:, :, :rank] = past, now
        trail[:, 1:, :, rank] = np.sqrt(np.square(now).sum(3)) + TINY
        trail[:, 1:, :, rank + 1] = now.sum(3)
        np.maximum.accumulate(trail, 1, None, trail)
        most, query = trail[self.at], np.abs(slots.take(self.queries, 0))  # (gates, heads, rank)
        reach = query.max(2, initial=0.0) * most[:, :, rank + 1]
        gates = factors.take(self.gates).reshape(-1, *[1] * (reach.ndim - 1))
        if not (reach * CLOSE + gates <= 0).all():
            euclidean = (np.sqrt(np.square(query).sum(2)) + TINY) * most[:, :, rank]
            reach = np.minimum(np.minimum(reach, euclidean), (query * most[:, :, :rank]).sum(2))
            if not (reach * CLOSE + gates <= 0).all():
                return None
        return trail[:, -1].copy()

    def of(self, memory: dict[str, np.ndarray], tail: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        """The same as a program's own state has them."""
        heads, rank = self.shape
        return np.stack([memory[place].reshape(heads, rank + 2, *tail) for place in self.places])


def _height(keys: Keys) -> int:
    """How many entries a head's key has."""
    return (keys.at[0].stop - keys.at[0].start) // keys.heads if keys.heads else -1


class Norms:
    """The largest squared norm of the stream, and gates that one norm of all queries and one of all keys tell to be closed.

    Attributes:
        where: slots that are squared, span by span: those of the stream, then keys and queries.
        starts: where each span begins.
        often: how often each of them is counted.
        keys: which span each token's key is, place by place.
        queries: which span each gate's query is.
        before: which of the largest norms so far, of all places and times, each gate is held to.
        gates: the factor that each gate is.
        weights: by what the product is multiplied.
        scale: the same of keys, place by place.
    """

    def __init__(self, flat: Flat, deck: Deck):
        places = [place for place, keys in flat.keys.items() if not keys.heads]
        gates = [gate for gate in flat.closed if not gate.heads]
        keys, steps = [at for place in places for at in flat.keys[place].at], flat.tokens + 1
        spans = sorted({(at.start, at.stop) for at in [*keys, *(gate.queries for gate in gates)]})
        number, runs = {at: n for n, at in enumerate(spans)}, [np.arange(*at) for at in spans]
        stream = np.flatnonzero(flat.often)
        self.where = np.concatenate([stream, *runs])
        self.starts = np.cumsum([0, len(stream), *map(len, runs)])[:-1]
        self.often = np.concatenate([flat.often[stream], np.ones(len(self.where) - len(stream))])
        self.keys = _numbers(number[at.start, at.stop] for at in keys).reshape(-1, flat.tokens)
        self.queries = _numbers(number[gate.queries.start, gate.queries.stop] for gate in gates)
        self.before = _numbers(places.index(gate.place) * steps + gate.token for gate in gates)
        self.gates = _numbers(gate.factor for gate in gates)
        self.weights = np.array([gate.weight for gate in gates]) * CLOSE
        self.scale = np.array([flat.keys[place].weight for place in places])
        self._take_over(deck, steps)

    def _take_over(self, deck: Deck, steps: int) -> None:
        """Arrays to work on."""
        self._wide, self._slots, count = deck.wide, deck.slots, len(self.keys)
        self._looked, where = np.unique(self.where, return_inverse=True)
        self._squares = np.empty((len(self._looked), *deck.tail))
        self._totals = np.empty((len(self.starts), *deck.tail))
        self._add_up = added(self.starts, where, self.often, self._squares, self._totals)
        self._reach, self._trail = (
            np.zeros((len(self.gates), *deck.tail)),
            np.empty((count, steps, *deck.tail)),
        )
        self._row = self._trail.reshape(count * steps, *deck.tail)
        self._weights, self._scale = deck.wide(self.weights), deck.wide(self.scale[:, None])

    def __call__(
        self, factors: Float[np.ndarray, " factors"], past: Float[np.ndarray, "keys *batch"]
    ) -> tuple[float, Float[np.ndarray, "keys *batch"] | None]:
        """The stream's largest squared norm, and the largest norms of keys: none if a gate may be open."""
        squares, trail, reach = self._squares, self._trail, self._reach
        self._slots.take(self._looked, 0, squares, "clip")
        np.multiply(squares, squares, squares)
        for call, arguments in self._add_up:
            call(*arguments)
        most, norms = float(np.maximum.reduce(self._totals[0], None)), self._totals[1:]
        if not len(self.keys):
            return most, past
        np.sqrt(norms, norms)
        np.add(norms, TINY, norms)
        trail[:, 0] = past
        np.multiply(norms.take(self.keys, 0), self._scale, trail[:, 1:])
        np.maximum.accumulate(trail, 1, None, trail)
        np.multiply(norms.take(self.queries, 0), self._row.take(self.before, 0), reach)
        np.multiply(reach, self._weights, reach)
        np.add(reach, self._wide(factors.take(self.gates)), reach)
        return most, trail[:, -1].copy() if np.maximum.reduce(reach, None) <= 0 else None


def _numbers(values: Iterable[int]) -> Int[np.ndarray, " _"]:
    return np.array(list(values), np.int64)


def _filled(numbers: Float[np.ndarray, "..."]) -> int:
    """How many are not +0; as integers they are counted sooner."""
    return int(np.count_nonzero(numbers.view(np.int64)))


def _positions(program: Program) -> Float[np.ndarray, "longest 3"]:
    """(i, i², 1), token by token."""
    index = np.arange(1.0, program.places.longest + 1)
    return np.stack([index, index**2, np.ones_like(index)], 1)
