"""Counting what has happened.

A counter m wants some entries of one-hot registers to be 1, and the step before the token to be of stage g_m. relu(score) is
1 on tokens j that match and 0 on the others, and the attention sums it up.

**By ramps**, as printed: with h̄ the stage of token j, so that the transition it ends is of stage h̄ − 1,

    [h̄ − 1 = g] = 1 − relu(g + 1 − h̄) + relu(g − h̄) − relu(h̄ − 1 − g) + relu(h̄ − 2 − g),

five heads a counter, each with B(matches − wanted) added, B = 2H. The same heads once more, with B(k_j − k_i) added to the
score, see the present episode only; their difference counts the earlier episodes:

    (1/i) Σ_{j≤i} [match_j] (1 − [k_j = k_i]) value_j

The constant of the fifth head is printed as −B·wanted, which makes its score 0 instead of 1 on a match, and the values of
the five more as V = −V, which only V = 0 satisfies (verify/errata/printed_ucbvi.py builds both).

**By a one-hot stage** one head does, matches + stage[g + 1] − wanted, and the present episode stays in:

    (1/i) Σ_{j≤i} [match_j] value_j
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step
from constructions.parts.links import Link, Values, held, pick, read, side_by_side, stack, tile
from constructions.parts.stream import Register


@dataclass(frozen=True, eq=False)
class Counters:
    """What is counted.

    Attributes:
        wanted: pairs (one-hot register, the entry that each counter wants to be 1).
        stages: the stage g_m of each counter, from 1.
        moved: what is summed up over the matches, registers of one entry within [0, 1].
        to: where each sum goes, registers with an entry for each counter.
    """

    wanted: tuple[tuple[Register, Int[np.ndarray, " counters"]], ...]
    stages: Int[np.ndarray, " counters"]
    moved: tuple[Register, ...]
    to: tuple[Register, ...]

    @classmethod
    def every(
        cls,
        stages: Sequence[int],
        kinds: Sequence[Register],
        moved: tuple[Register, ...],
        to: tuple[Register, ...],
    ) -> "Counters":
        """A counter for each of some stages and, within it, all combinations of entries of one-hot registers."""
        sizes = len(stages), *(kind.size for kind in kinds)
        stage, *entries = (axis.ravel() for axis in np.indices(sizes))
        return cls(tuple(zip(kinds, entries, strict=True)), np.array(stages)[stage], moved, to)

    @property
    def count(self) -> int:
        """Number of counters."""
        return len(self.stages)

    def matches(self) -> Link:
        """How many of its entries each counter finds."""
        links = [pick(register, entries) for register, entries in self.wanted]
        return sum(links[1:], links[0])

    def heads(self, role: str, query: list[Link], key: list[Link], sign: float) -> Head:
        """A head for each counter from its rows of query and key."""
        value = tile(sign * stack(*(read(register) for register in self.moved)), self.count)
        rows, columns = (side_by_side(self.count, *part) for part in (query, key))
        return Head(f"{self.to[0].name} {role}", rows, columns, value, self.to, self.count)

    def found(self, values: Values) -> Bool[np.ndarray, "tokens counters"]:
        """Where all entries are 1."""
        return np.all([held(values, register)[:, entries] > 0.5 for register, entries in self.wanted], axis=0)

    def sums(
        self, match: Bool[np.ndarray, "tokens counters"], values: Values
    ) -> Float[np.ndarray, "tokens size"]:
        """What each token adds to the sums, one register of `to` after the other."""
        return np.concatenate([match * held(values, register) for register in self.moved], axis=1)


def by_ramps(
    name: str,
    source: str,
    counters: Counters,
    *,
    clock: Register,
    position: Register,
    horizon: int,
    tokens: int,
) -> Block:
    """Counts over earlier episodes, divided by i, as the paper computes them.

    Claim: entry m of to_n is (1/i) Σ_j moved_n over the tokens j of earlier episodes that match counter m, on tokens i
    without an action; 0 on the others. Source: proof of Theorem approx_ucbvi, step 1b (heads 1 to 10), arXiv 2310.08566,
    with the constant of head 5 repaired. Reads: the one-hot registers, moved, clock (k, h, v), position.  Writes: to.
    Error: none; `tokens` is the largest number of tokens. Cost: 1 layer of 10 heads a counter; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(kind=3, n=2, clock=3, position=3)
    >>> moved, entries = (s["position"].part(2, of=3),), np.array([0, 2])
    >>> two = Counters(((s["kind"], entries),), np.array([1, 1]), moved, (s["n"],))
    >>> block = by_ramps("n", "", two, horizon=4, tokens=9, clock=s["clock"], position=s["position"])
    >>> sum(head.count for head in block.steps[0].heads)
    20
    """
    place, gate, count = Position.of(position), 2.0 * horizon, counters.count
    episode, stage, idle = (read(clock.part(n, of=3)) for n in range(3))
    one, goal = tile(place.one, count), tile(place.one, count).scale_rows(counters.stages.astype(float))
    here, closed = tile(stage, count), gate * (counters.matches() - len(counters.wanted) * one)
    scores = goal + one - here, goal - here, here - one - goal, here - 2 * one - goal, one
    heads = []
    for number, (score, sign) in enumerate(zip(scores, (-1.0, 1.0, -1.0, 1.0, 1.0), strict=True), start=1):
        query, key = [one, tile(gate * (idle - place.one), count)], [closed + score, one]
        heads.append(counters.heads(f"all {number}", query, key, sign))
        query, key = (
            [*query, tile(-gate * episode, count), gate * one],
            [*key, one, tile(episode, count)],
        )
        heads.append(counters.heads(f"present {number}", query, key, -sign))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        number, now, free = values[clock.name].T
        match = counters.found(values) & (now[:, None] - 1 == counters.stages)
        before = np.cumsum(counters.sums(match, values), axis=0)
        first = np.searchsorted(number, number)  # the first token of each token's episode
        earlier = np.concatenate([np.zeros((1, before.shape[1])), before])[first]
        return earlier / values[position.name][:, :1] * free[:, None]

    return _block(name, source, counters, heads, tokens, 4.0 * horizon, truth)


def by_stage(
    name: str, source: str, counters: Counters, *, stage: Register, position: Register, tokens: int
) -> Block:
    """Counts over all tokens so far, divided by i, with the stage of tokens one-hot.

    Claim: entry m of to_n is (1/i) Σ_{j≤i} moved_n over the tokens j that match counter m, of the present episode too.
    Source: theorem ours (constructions/ucbvi/loop.py), after the proof of Theorem approx_ucbvi, step 1b, arXiv 2310.08566.
    Reads: the one-hot registers, moved, stage (entry h − 1 is 1 at stage h), position.  Writes: to.
    Error: none; `tokens` is the largest number of tokens.
    Cost: 1 layer of 1 head a counter; no neurons.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(kind=3, n=2, stage=5, position=3)
    >>> moved, entries = (s["position"].part(2, of=3),), np.array([0, 2])
    >>> two = Counters(((s["kind"], entries),), np.array([1, 1]), moved, (s["n"],))
    >>> block = by_stage("n", "", two, tokens=9, stage=s["stage"], position=s["position"])
    >>> sum(head.count for head in block.steps[0].heads)
    2
    """
    one = tile(Position.of(position).one, counters.count)
    score = counters.matches() + pick(stage, counters.stages) - len(counters.wanted) * one

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        match = counters.found(values) & (held(values, stage)[:, counters.stages] > 0.5)
        return np.cumsum(counters.sums(match, values), axis=0) / values[position.name][:, :1]

    return _block(name, source, counters, [counters.heads("counts", [one], [score], 1.0)], tokens, 1.0, truth)


def _block(
    name: str,
    source: str,
    counters: Counters,
    heads: list[Head],
    tokens: int,
    scores: float,
    truth: Callable[[Values], Float[np.ndarray, "tokens size"]],
) -> Block:
    """The block of heads whose scores for any one token sum up to `scores` at most."""
    own = Bound(0.0, UNIT * (tokens + 12) * scores)  # sums of so many terms, which may then cancel
    groups = len(counters.to) * counters.count
    promise = Promise("one-hot registers, moved within [0, 1]", own, own, float(np.sqrt(groups)))
    return Block(name, source, (Step(tuple(heads)),), counters.to, truth, promise, groups=groups)
