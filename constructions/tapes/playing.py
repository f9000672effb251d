"""A tape played on tokens, and the gates that it takes for closed looked at."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from constructions.fast.chunks import State
from constructions.fast.program import ROOM, Program
from constructions.fast.sparsity import TINY
from constructions.tapes.deck import Deck
from constructions.tapes.flat import Flat

CLOSE = 1 + 1e-9
"""More than rounding takes off a norm."""

Sums = tuple[Float[np.ndarray, "..."], ...]


class Past(NamedTuple):
    """What the tokens so far leave behind for tapes: prefix sums, and the largest size of a key, all told or by entry."""

    sums: Sums
    norms: Float[np.ndarray, "keys *batch"]
    sizes: Sums

    @classmethod
    def of(cls, state: State, flat: Flat, tail: tuple[int, ...]) -> "Past":
        """The same as a program's own state has it."""
        memory = {place: value.numpy(force=True) for place, value in state.memory.items()}
        sums = tuple(memory[place].reshape(-1, *tail) for place in flat.sums)
        norms = [memory[place].reshape(1, *tail) for place, keys in flat.keys.items() if not keys.heads]
        sizes = (memory[place] for place, keys in flat.keys.items() if keys.heads)
        ordered = tuple(size.reshape(*size.shape[:2], *tail) for size in sizes)
        return cls(sums, np.concatenate(norms) if norms else np.zeros((0, *tail)), ordered)


class Player:
    """A flat program on arrays of its own, for so many histories in lockstep."""

    def __init__(self, flat: Flat, batch: int, program: Program):
        self.flat, self.batch, self.limit = flat, batch, program.transformer.clip_radius**2 * (1 - ROOM)
        self.factors = np.ones(len(flat.factors))
        self.deck = Deck(flat.tape.operations, flat.tape.size, self.factors, batch)
        self.given, self.filled = self.deck.view(flat.inputs), np.flatnonzero(flat.filled)
        self.position, self.true = program.position, _positions(program)
        self.norms = Norms(flat, self.deck)
        looked = np.union1d(np.flatnonzero(flat.often), self.norms.slots)
        self.looked = np.append(looked, looked[-1:])  # where the last run ends
        self.often = np.append(flat.often[looked], 0.0)
        self.squares = np.empty((len(self.looked), *self.deck.tail))
        self.norms.look(looked)
        self.columns = [(number, *factor) for number, factor in enumerate(flat.factors) if number]

    def fits(self, tokens: Float[np.ndarray, "batch tokens width"]) -> bool:
        """Whether the tokens hold nothing but where it is looked for; they are taken over."""
        if self.deck.tail:
            np.copyto(self.given, tokens.reshape(self.batch, -1).take(self.filled, 1).T)
        else:
            tokens.ravel().take(self.filled, 0, self.given, "clip")
        return bool(np.count_nonzero(tokens) == np.count_nonzero(self.given))

    def __call__(
        self, tokens: Float[np.ndarray, "batch tokens width"], first: int, past: Past
    ) -> tuple[Float[np.ndarray, "batch width"], Past] | None:
        """The last token's output and what is left behind; None if what the tape presumes of tokens does not hold."""
        deck, flat, factors = self.deck, self.flat, self.factors
        slots, squares = deck.slots, self.squares
        true = self.true[first : first + len(flat.filled)].tobytes() * self.batch
        if tokens[..., self.position].tobytes() != true:
            return None
        for number, token, column in self.columns:
            factors[number] = column[first + token]
        for (to, _), sums in zip(flat.sums.values(), past.sums, strict=True):
            slots[to] = sums
        deck.play()
        slots.take(self.looked, 0, squares, "clip")
        np.multiply(squares, squares, squares)
        most = float(
            np.einsum("nz,n->z", squares, self.often).max() if deck.tail else squares.dot(self.often)
        )
        if not (most <= self.limit and most < np.inf):
            return None
        norms = self.norms(squares, factors, past.norms)
        sizes = self._sizes(past.sizes) if past.sizes else ()
        if norms is None or sizes is None:
            return None
        sums = tuple([slots.take(to, 0) for _, to in flat.sums.values()])
        output = slots.take(flat.output, 0)
        return output.T if deck.tail else output[None], Past(sums, norms, sizes)

    def _sizes(self, past: Sums) -> Sums | None:
        """The largest sizes of keys entry by entry; None if a gate that goes by them may be open."""
        flat, trails = self.flat, {}
        places = [(place, keys) for place, keys in flat.keys.items() if keys.heads]
        for (place, keys), before in zip(places, past, strict=True):
            now = np.stack([abs(self.deck.view(at, keys.heads, -1)) for at in keys.at])
            norms = [np.sqrt(np.square(now).sum(2, keepdims=True)) + TINY, now.sum(2, keepdims=True)]
            now = np.concatenate([before[None], np.concatenate([now, *norms], 2)])
            trails[place] = np.maximum.accumulate(now)
        for gate in flat.closed:
            if gate.heads:
                query = abs(self.deck.view(gate.queries, gate.heads, -1))
                most = trails[gate.place][gate.token]
                euclidean = (np.sqrt(np.square(query).sum(1)) + TINY) * most[:, -2]
                reach = np.minimum((query * most[:, :-2]).sum(1), euclidean)
                reach = np.minimum(reach, query.max(1, initial=0.0) * most[:, -1])
                if not (reach * CLOSE + self.factors[gate.factor] <= 0).all():
                    return None
        return tuple(trail[-1] for trail in trails.values())


class Norms:
    """Gates that one norm of all queries and one of all keys tell to be closed."""

    def __init__(self, flat: Flat, deck: Deck):
        places = [place for place, keys in flat.keys.items() if not keys.heads]
        gates = [gate for gate in flat.closed if not gate.heads]
        keys, steps = [at for place in places for at in flat.keys[place].at], flat.tokens + 1
        spans = sorted({(at.start, at.stop) for at in [*keys, *(gate.queries for gate in gates)]})
        number = {at: 2 * n for n, at in enumerate(spans)}
        self.count, self.spans = len(places), np.array(spans, np.int64).ravel()
        self.slots = np.unique([slot for start, stop in spans for slot in range(start, stop)]).astype(
            np.int64
        )
        self.keys = _numbers(number[at.start, at.stop] for at in keys).reshape(-1, flat.tokens)
        self.queries = _numbers(number[gate.queries.start, gate.queries.stop] for gate in gates)
        self.before = _numbers(places.index(gate.place) * steps + gate.token for gate in gates)
        self.gates = _numbers(gate.factor for gate in gates)
        self.weights = deck.wide(np.array([gate.weight for gate in gates]) * CLOSE)
        self.scale = deck.wide(np.array([[flat.keys[place].weight] for place in places]))
        self.found, self.reach = (np.zeros((n, *deck.tail)) for n in (len(self.spans), len(gates)))
        self.trail, self.wide = np.empty((self.count, steps, *deck.tail)), deck.wide
        self.now, self.row = self.trail[:, 1:], self.trail.reshape(self.count * steps, *deck.tail)

    def look(self, looked: Int[np.ndarray, " looked"]) -> None:
        """Be told which slots there will be squares of."""
        self.edges = np.searchsorted(looked, self.spans)
        self.runs = self.edges.reshape(-1, 2).tolist()

    def __call__(
        self,
        squares: Float[np.ndarray, "slots *batch"],
        factors: Float[np.ndarray, " factors"],
        past: Float[np.ndarray, "keys *batch"],
    ) -> Float[np.ndarray, "keys *batch"] | None:
        """The largest norms of keys; None if a gate may be open."""
        if not self.count:
            return past
        norms, trail, reach = self.found, self.trail, self.reach
        if squares.ndim == 1:
            np.add.reduceat(squares, self.edges, 0, None, norms)
        else:  # many histories: one run of slots after the other is quicker
            for number, (start, stop) in enumerate(self.runs):
                np.add.reduce(squares[start:stop], 0, None, norms[2 * number])
        np.sqrt(norms, norms)
        np.add(norms, TINY, norms)
        trail[:, 0] = past
        np.multiply(norms.take(self.keys, 0), self.scale, self.now)
        np.maximum.accumulate(trail, 1, None, trail)
        np.multiply(norms.take(self.queries, 0), self.row.take(self.before, 0), reach)
        np.multiply(reach, self.weights, reach)
        np.add(reach, self.wide(factors.take(self.gates)), reach)
        return trail[:, -1].copy() if np.maximum.reduce(reach, None) <= 0 else None


def _numbers(values: Iterable[int]) -> Int[np.ndarray, " _"]:
    return np.array(list(values), np.int64)


def _positions(program: Program) -> Float[np.ndarray, "longest 3"]:
    """(i, i², 1), token by token."""
    index = np.arange(1.0, program.places.longest + 1)
    return np.stack([index, index**2, np.ones_like(index)], 1)
