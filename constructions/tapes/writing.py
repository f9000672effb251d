"""A program on a few tokens at a time as a tape: what each layer adds to which stream entry, in slots.

Only the last token's results are asked for. Keys of all tokens are: their prefix sums and largest sizes go on to the next
tokens. What the identities presume of the tokens at hand is gathered, and looked at when all has been computed.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from constructions.fast.chunks import PositionScore
from constructions.fast.heads import Gated, General, Linear
from constructions.fast.neurons import Neurons
from constructions.fast.own_token import OwnMatrix, OwnProduct, OwnToken
from constructions.fast.program import Program
from constructions.fast.sparsity import Rows, Sparse, columns
from constructions.tapes.flat import NONE, Closed, Flat, Keys, Terms
from constructions.tapes.folding import fold
from constructions.tapes.tape import ONE, Crowd, Slots, Tape, span

MOST = 10_000
"""So many runs of layers, over tokens all told, make a tape; above that it is long to write."""


def flatten(program: Program, filled: Bool[np.ndarray, "tokens width"]) -> Flat | None:
    """Write the tape; None if the program has too many layers, or another attention than the paper's."""
    runs = sum(layer.repeat for layer in program.layers) * len(filled)
    if program.front or runs > MOST:
        return None
    return _Writer(program, filled).write()


class _Writer:
    """Goes through the layers; `home` says in which slot what a stream entry of a token holds stands."""

    def __init__(self, program: Program, filled: Bool[np.ndarray, "tokens width"]):
        self.program, self.tape, self.home = program, Tape(), np.zeros(filled.shape, np.int64)
        self.home[filled] = inputs = self.tape.new(int(filled.sum()))
        self.tape.positive.update(self.home[:, program.position].ravel().tolist())  # they are looked at first
        self.home[:, program.position.stop - 1] = ONE
        self.flat = Flat(filled, self.tape, span(inputs), [(0, np.ones(program.places.longest))])
        self.known: dict = {}
        self.counts: dict[int, int] = {}

    def write(self) -> Flat:
        """All layers."""
        flat, program = self.flat, self.program
        self._count()
        for number, layer in enumerate(program.layers):
            part = "first" if number < program.alone else "last"
            at = range(flat.tokens) if part == "first" else range(flat.tokens - 1, flat.tokens)
            for repetition in range(layer.repeat if layer.written.stop > layer.written.start else 1):
                added = [Terms() for _ in at]
                for n, group in enumerate(layer.groups):
                    place = f"{number}.{n}" if group.settled else f"{number}.{n}.{repetition}"
                    for token, terms in zip(at, added, strict=True):
                        self._group(group, token, place, part, terms)
                for token, terms in zip(at, added, strict=True):
                    self._take_in(token, terms)
                    terms = Terms()
                    self._neurons(layer.neurons, token, terms)
                    self._take_in(token, terms)
                self._count()
        flat.output = self.home[-1].copy()
        fold(self.tape, np.concatenate([flat.read, list(self.counts)]))
        return flat.ordered(self.counts)

    def _count(self) -> None:
        """How often slots stand in the stream."""
        for slot, count in zip(*np.unique(self.home, return_counts=True), strict=True):
            self.counts[int(slot)] = max(self.counts.get(int(slot), 0), int(count))

    def _take_in(self, token: int, terms: Terms) -> None:
        """Add to the stream what has been gathered."""
        if not terms.rows:
            return
        entries = np.unique(np.concatenate(terms.rows))
        terms.add(entries, self.home[token, entries], 1.0)
        rows, slots, weights, factors = terms.joined()
        place = np.searchsorted(entries, rows)
        self.home[token, entries] = self.tape.sum(place, slots, weights, factors, len(entries))

    def _factor(self, name, work, token: int) -> tuple[float, int]:
        """What stands at a token's position, as a number if it is the same at all of them, else as a factor."""
        values = self._everywhere(name, work)
        return (
            (float(values[0]), 0) if (values == values[0]).all() else (1.0, self._varying(name, work, token))
        )

    def _everywhere(self, name, work) -> Float[np.ndarray, " longest"]:
        return self.program.places(name, work, torch.empty(0, dtype=torch.float64)).numpy()

    def _varying(self, name, work, token: int) -> int:
        """The factor that goes by a token's position."""
        if (name, token) not in self.known:
            self.flat.factors.append((token, self._everywhere(name, work)))
            self.known[name, token] = len(self.flat.factors) - 1
        return self.known[name, token]

    def _share(self, token: int) -> tuple[float, int]:
        return self._factor("share", torch.reciprocal, token)

    def _before(self, score: PositionScore, token: int) -> int:
        """The largest score of earlier tokens."""
        return self._varying(("before", score.print), score.before, token)

    def _read(self, part: Sparse, token: int) -> tuple[Slots, float]:
        """What a matrix reads, but for a weight."""
        coo = part.matrix.tocoo()
        if part.weight != 1 or part.span is not None:
            return self.home[token, columns(part.matrix)], part.weight
        slots = self.home[token, coo.col]
        return self.tape.sum(coo.row, slots, coo.data, np.zeros(len(slots), np.int64), part.height), 1.0

    def _rows(self, part: Sparse, token: int) -> Slots:
        """What a matrix reads."""
        slots, weight = self._read(part, token)
        count = np.arange(len(slots))
        return (
            slots if weight == 1 else self.tape.sum(count, slots, 0 * count + weight, 0 * count, len(slots))
        )

    def _group(self, group, token: int, place: str, part: str, terms: Terms) -> None:
        if isinstance(group, OwnToken):
            self._own_token(group, token, terms)
        elif isinstance(group, Linear):
            self._linear(group, token, f"{part} {group.name}" if group.settled else place, terms)
        elif isinstance(group, OwnMatrix):
            self._own_matrix(group, token, f"{part} {group.name}" if group.settled else place, terms)
        elif isinstance(group, OwnProduct):
            self._own_product(group, token, place, part, terms)
        else:
            self._crowd(group, token, place, terms)

    def _own_token(self, group: OwnToken, token: int, terms: Terms) -> None:
        score = group.score
        weight, factor = self._factor(("alone", score.print), lambda i: torch.relu(score.own(i)) / i, token)
        self._move(group.value, token, terms, weight, factor)

    def _move(self, part: Rows, token: int, terms: Terms, weight: float = 1.0, factor: int = 0) -> None:
        """Add a matrix times the token."""
        coo = part.matrix.tocoo()
        if coo.nnz:
            terms.add(part.used[coo.row], self.home[token, coo.col], weight * coo.data, factor)

    def _linear(self, group: Linear, token: int, place: str, terms: Terms) -> None:
        """Prefix sums of value ⊗ key up to the token, times the query."""
        size, width = group.value.count * group.key.count, group.key.count
        if not size:
            return
        count = np.arange(size)

        def outer(earlier: int) -> Slots:
            key, value = self._rows(group.key, earlier), self._rows(group.value, earlier)
            return self.tape.products(count, value[count // width], key[count % width], size)

        self._from_sums(group, token, self._added_up(place, token, size, outer).reshape(-1, width), terms)

    def _added_up(self, place: str, token: int, size: int, what: Callable[[int], Slots]) -> Slots:
        """Prefix sums, up to a token, of what each token has."""
        flat, count = self.flat, np.arange(size)
        if place not in flat.sums:
            start = self.tape.new(size)
            flat.sums[place] = span(start), start
            self.known[place] = {-1: start}
        known = self.known[place]
        for earlier in range(token + 1):
            if earlier not in known:
                both, ones = np.concatenate([known[earlier - 1], what(earlier)]), np.ones(2 * size)
                none = np.zeros(2 * size, np.int64)
                known[earlier] = self.tape.sum(np.tile(count, 2), both, ones, none, size)
                flat.sums[place] = flat.sums[place][0], known[earlier]
        return known[token]

    def _crowd(self, group: Gated | General, token: int, place: str, terms: Terms) -> None:
        """Heads that look back at tokens one by one; without a product, what they move adds up."""
        if isinstance(group, Gated) and not group.query.height:
            moved = self._added_up(place, token, group.targets.entries.size, partial(self._alone, group))
        else:
            count, every = self.flat.tokens, range(self.flat.tokens)
            gates = self._block(group.gates, every) if isinstance(group, Gated) else NONE
            keys, values = self._block(group.key, every), self._block(group.value, every)
            common, cap = isinstance(group, Gated), group.cap if isinstance(group, Gated) else 0.0
            about = {"place": place, "token": token, "tokens": count, "heads": group.heads}
            query, size = self._rows(group.query, token), len(group.targets.entries)
            moved = self.tape.crowd(query, keys, gates, values, size, **about, common=common, cap=cap)
            one = self.tape.operations[-1]
            assert isinstance(one, Crowd)
            self.flat.crowds.setdefault(place, one)
        weight, factor = self._share(token)
        terms.add(group.targets.entries, moved, weight, factor)

    def _block(self, part: Sparse, tokens: range) -> Slots:
        """What a matrix reads at several tokens, one after the other."""
        coo = part.matrix.tocoo()
        rows = np.concatenate([coo.row + token * part.height for token in tokens])
        slots = np.concatenate([self.home[token, coo.col] for token in tokens])
        weights, none = np.tile(coo.data, len(tokens)), np.zeros(len(slots), np.int64)
        return self.tape.sum(rows, slots, weights, none, part.height * len(tokens))

    def _alone(self, group: Gated, token: int) -> Slots:
        """What heads without a product make of one token."""
        gates = self.tape.relu(self._rows(group.gates, token))
        value, size = self._rows(group.value, token), group.value.height // group.heads
        count = np.arange(len(value))
        return self.tape.products(count, np.repeat(gates, size), value, len(count))

    def _from_sums(
        self, group: Linear, token: int, sums: Int[np.ndarray, "values keys"], terms: Terms
    ) -> None:
        queries = self._rows(group.queries, token).reshape(group.heads // 2, -1)
        pair, value, key = (part.ravel() for part in np.indices((len(queries), *sums.shape)))
        moved = self.tape.products(
            pair * len(sums) + value, queries[pair, key], sums[value, key], len(queries) * len(sums)
        )
        weight, factor = self._share(token)
        terms.add(group.targets.entries, moved, weight, factor)

    def _own_matrix(self, group: OwnMatrix, token: int, place: str, terms: Terms) -> None:
        """Σ_b ⟨x_a, y_b⟩ v_ab: one or two products of matrices."""
        tape, rows, count = self.tape, group.rows, group.columns
        (left, one), (right, two), (value, three) = (
            self._read(part, token) for part in (group.left, group.right, group.value)
        )
        scores = tape.matrices(left, rows, right, count, turned=True)
        if group.common:
            moved = tape.matrices(scores, rows, value, count, turned=False)
        else:
            size = len(value) // (rows * count)
            row, entry, column = (part.ravel() for part in np.indices((rows, size, count)))
            score, values = scores[row * count + column], value[(row * count + column) * size + entry]
            moved = tape.products(row * size + entry, score, values, rows * size)
        weight, factor = self._share(token)
        terms.add(group.targets.entries, moved, weight * one * two * three, factor)
        keys, queries = (group.right, (left, one)) if group.keyed else (group.left, (right, two))
        place = self._keys(keys, place, 0)
        at = span(tape.together(queries[0]))
        self.flat.closed.append(Closed(place, token, at, abs(queries[1]), self._before(group.score, token)))

    def _own_product(self, group: OwnProduct, token: int, place: str, part: str, terms: Terms) -> None:
        """Relu(⟨x, y⟩ + p) v, head by head."""
        tape, heads = self.tape, group.heads
        query, key, value = (self._rows(part, token) for part in (group.query, group.key, group.value))
        rank, size = len(query) // heads, len(value) // heads
        scores = tape.products(np.repeat(np.arange(heads), rank), query, key, heads)
        weight, factor = self._factor(("own", group.score.print), group.score.own, token)
        if weight:
            scores = self._raised(scores, weight, factor)
        bent = tape.relu(scores)
        count = np.arange(heads * size)
        moved = tape.products(count, np.repeat(bent, size), value, len(count))
        weight, factor = self._share(token)
        terms.add(group.targets.entries, moved, weight, factor)
        place = self._keys(group.key, place, heads, group.settled and part)
        at, before = span(tape.together(query)), self._before(group.score, token)
        self.flat.closed.append(Closed(place, token, at, 1.0, before, heads))

    def _raised(self, slots: Slots, weight: float, factor: int) -> Slots:
        """Slots, and a number added to each."""
        count = np.arange(len(slots))
        both, factors = np.concatenate([slots, np.full(len(slots), ONE)]), np.repeat([0, factor], len(slots))
        weights = np.repeat([1.0, weight], len(slots))
        return self.tape.sum(np.tile(count, 2), both, weights, factors, len(slots))

    def _keys(self, part: Sparse, place: str, heads: int, settled: str | bool = False) -> str:
        """Remember keys of all tokens of the chunk; under which place, as settled keys that are the same share one."""
        if settled:
            matrix = part.matrix
            name = (
                settled,
                heads,
                *(array.tobytes() for array in (matrix.indptr, matrix.indices, matrix.data)),
            )
            place = self.known.setdefault(("keys", name), place)
        keys = self.flat.keys.setdefault(place, Keys([], 1.0 if heads else abs(part.weight), heads))
        for earlier in range(len(keys.at), self.flat.tokens):
            slots = self._rows(part, earlier) if heads else self._read(part, earlier)[0]
            keys.at.append(span(self.tape.together(slots)))
        return place

    def _neurons(self, neurons: Neurons, token: int, terms: Terms) -> None:
        """What the MLP adds."""
        paired, bands = neurons.paired, neurons.bands
        if paired.height and bands is not None:
            linear = self._rows(paired, token)
            for to, rows, weight in bands:
                terms.add(np.arange(to.start, to.stop), linear[rows], weight)
        elif paired.height and isinstance(paired, Rows):
            self._move(paired, token, terms)
        if neurons.lookups is not None:
            at = self._rows(neurons.lookups.directions, token)
            terms.add(neurons.lookups.targets.entries, self.tape.pieces(at, neurons.lookups), 1.0)
        if neurons.second.count:
            bent = self.tape.relu(self._rows(neurons.first, token))
            coo = neurons.second.matrix.tocoo()
            terms.add(neurons.second.used[coo.row], bent[coo.col], coo.data)
