"""How large the stream, keys and queries are: sums of squares, at the end of a tape, and the gates that they close."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from constructions.fast.sparsity import TINY
from constructions.tapes.crowds import CLOSE
from constructions.tapes.deck import Deck
from constructions.tapes.tape import Slots, Tape, run

BLOCK = 256
"""So many squares are added up at a time: where little has changed, most of these sums stay what they were."""


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


class Norms:
    """The largest squared norm of the stream, and gates that one norm of all queries and one of all keys tell to be closed.

    Attributes:
        totals: slots of the sums of squares: of the stream, then of keys and queries, span by span.
        keys: which span each token's key is, place by place.
        queries: which span each gate's query is.
        before: which of the largest norms so far, of all places and times, each gate is held to.
        gates: the factor that each gate is.
        weights: by what the product is multiplied.
        scale: the same of keys, place by place.
    """

    def __init__(
        self,
        tape: Tape,
        keys_of: dict[str, Keys],
        closed: list[Closed],
        often: Int[np.ndarray, " slots"],
        tokens: int,
    ):
        places = [place for place, keys in keys_of.items() if not keys.heads]
        gates = [gate for gate in closed if not gate.heads]
        keys, steps = [at for place in places for at in keys_of[place].at], tokens + 1
        spans = sorted({(at.start, at.stop) for at in [*keys, *(gate.queries for gate in gates)]})
        number, stream = {at: n for n, at in enumerate(spans)}, np.flatnonzero(often)
        parts = [stream, *(np.arange(*at) for at in spans)]
        counted = [often[stream] * 1.0, *(np.ones(len(part)) for part in parts[1:])]
        self.totals = _squares(tape, parts, counted)
        self.keys = _numbers(number[at.start, at.stop] for at in keys).reshape(-1, tokens)
        self.queries = _numbers(number[gate.queries.start, gate.queries.stop] for gate in gates)
        self.before = _numbers(places.index(gate.place) * steps + gate.token for gate in gates)
        self.gates = _numbers(gate.factor for gate in gates)
        self.weights = np.array([gate.weight for gate in gates]) * CLOSE
        self.scale = np.array([keys_of[place].weight for place in places])


def _squares(tape: Tape, parts: list[Slots], often: list[Float[np.ndarray, " _"]]) -> Slots:
    """For each part, Σ often · slot², in blocks."""
    looked, where = np.unique(np.concatenate(parts), return_inverse=True)
    squares = tape.products(run(slice(0, len(looked))), looked, looked, len(looked))[where]
    sizes = np.array([len(part) for part in parts])
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    blocks = (np.arange(len(where)) - first) // BLOCK
    rows = np.repeat(np.cumsum(-(-sizes // BLOCK)) - -(-sizes // BLOCK), sizes) + blocks
    count, none = int(rows[-1]) + 1 if len(rows) else 0, np.zeros(len(where), np.int64)
    sums = tape.sum(rows, squares, np.concatenate(often), none, count)
    spans = np.repeat(np.arange(len(parts)), -(-sizes // BLOCK))
    return tape.sum(spans, sums, np.ones(count), np.zeros(count, np.int64), len(parts))


class Looking:
    """Norms that are looked at when a deck has been played."""

    def __init__(self, norms: Norms, deck: Deck, tokens: int):
        self._wide, self._slots, self.norms = deck.wide, deck.slots, norms
        self._reach = np.zeros((len(norms.gates), *deck.tail))
        self._trail = np.empty((len(norms.keys), tokens + 1, *deck.tail))
        self._row = self._trail.reshape(len(norms.keys) * (tokens + 1), *deck.tail)
        self._weights, self._scale = deck.wide(norms.weights), deck.wide(norms.scale[:, None])

    def __call__(
        self, factors: Float[np.ndarray, " factors"], past: Float[np.ndarray, "keys *batch"]
    ) -> tuple[float, Float[np.ndarray, "keys *batch"] | None]:
        """The stream's largest squared norm, and the largest norms of keys: none if a gate may be open."""
        known, trail, reach = self.norms, self._trail, self._reach
        norms = self._slots.take(known.totals, 0)
        most = float(np.maximum.reduce(norms[0], None))
        if not len(known.keys):
            return most, past
        norms = norms[1:]
        np.sqrt(norms, norms)
        np.add(norms, TINY, norms)
        trail[:, 0] = past
        np.multiply(norms.take(known.keys, 0), self._scale, trail[:, 1:])
        np.maximum.accumulate(trail, 1, None, trail)
        np.multiply(norms.take(known.queries, 0), self._row.take(known.before, 0), reach)
        np.multiply(reach, self._weights, reach)
        np.add(reach, self._wide(factors.take(known.gates)), reach)
        return most, trail[:, -1].copy() if np.maximum.reduce(reach, None) <= 0 else None


def sizes_of(keys_of: dict[str, Keys], closed: list[Closed], tokens: int) -> list["Sizes"]:
    """One for each shape of crowds that keep sizes of keys entry by entry."""
    shapes = dict.fromkeys((keys.heads, _height(keys)) for keys in keys_of.values() if keys.heads)
    return [Sizes(keys_of, closed, tokens, *shape) for shape in shapes]


class Sizes:
    """Gates of crowds of heads of one shape, that sizes of their keys entry by entry tell to be closed."""

    def __init__(self, keys_of: dict[str, Keys], closed: list[Closed], tokens: int, heads: int, rank: int):
        self.shape = heads, rank
        places = [name for name, keys in keys_of.items() if (keys.heads, _height(keys)) == (heads, rank)]
        gates = [gate for gate in closed if gate.heads and gate.place in places]
        keys = np.array([[run(at) for at in keys_of[place].at] for place in places], np.int64)
        self.places, self.keys = places, keys.reshape(len(places), tokens, heads, rank)
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


def _numbers(values: Iterable[int]) -> Int[np.ndarray, " _"]:
    return np.array(list(values), np.int64)
