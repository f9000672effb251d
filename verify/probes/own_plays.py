"""How near a head's attention is to the average over an arm's own plays.

Let a head at one token give the play s the weight q_s, and p = q/Σq over the n plays before it. Let m of these be plays of
the arm in question, 2 ≤ m < n. Their average has the weights u_s = 1/m, and shares with the head

    o = Σ_s min(p_s, u_s) = 1 − (total variation of p and u).

If it were known which plays are the arm's, but not which are which, that is, on average over all ways to permute the arms of
the plays, o would be c = (m/n) Σ_s min(p_s, 1/m). Over many tokens

    agreement = Σ(o − c) / Σ(1 − c):

1 for the average over own plays, 0 for what has nothing to do with the arm, as attention to all plays alike, and between the
two for own plays unevenly, as attention to the last of them. In the same way `selection` is what own plays have of p beyond
m/n: 1 if no others are looked at, evenly or not. `reach` is the part of all attention that goes to plays; where it is below
LEAST, as in heads that look elsewhere, p says nothing and is not counted.

A play stands in the token that records it, or in the one after, where an earlier layer may have put it. Which tokens look at
whose plays is a question:

    same    the token that records a play, at earlier plays of its arm
    next    the token of a decision, at earlier plays of the arm that is played there
    fixed   the token of a decision, at earlier plays of one arm, the head's own
    all     the token of a decision, at all earlier plays alike; there is no arm, and c = 0

Where plays stand, which arm is a head's own, and the order of heads are settled on every other history. All numbers are
those of the rest, with 95 % intervals by the bootstrap over histories.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

Pattern = Float[np.ndarray, "heads tokens tokens"]
"""What each token takes of each, in one layer; not negative, and 0 after a query's own token."""
Record = dict[str, Any]
QUESTIONS = ("same", "next", "fixed", "all")
PLACES = {"its own token": 1, "the token after": 2}
"""Where a play may stand, counted from the token of its decision."""
LEAST = 0.01
RESAMPLED = 1000


@dataclass(frozen=True, eq=False)
class Plays:
    """Where the plays of a history stand among its tokens.

    Attributes:
        states: the tokens of its decisions, the pending one last.
        arms: what was played before that: numbers in 0..choices−1, of arms, or of stage, state and action together.
        choices: how many there are.
    """

    states: Int[np.ndarray, " steps"]
    arms: Int[np.ndarray, " plays"]
    choices: int

    def shuffled(self, generator: np.random.Generator) -> "Plays":
        """The same, with the arms of the plays permuted: a control."""
        return replace(self, arms=generator.permutation(self.arms))


@dataclass(frozen=True)
class Target:
    """Which plays are a head's own: a question of QUESTIONS, a place of PLACES, and the arm if the question is "fixed"."""

    question: str
    place: str
    arm: int | None = None

    def view(self, plays: Plays, every: int = 1) -> "View":
        """What that is in a history; one query in `every` is looked at."""
        began, arms = plays.states[:-1], plays.arms
        queries = (began + (self.question == "same"))[::every]
        wanted = arms[::every] if self.arm is None else np.full(len(queries), self.arm)
        placed = began + PLACES[self.place]
        seen, alike = placed < queries[:, None], self.question == "all"
        return View(queries, placed, seen & ((arms == wanted[:, None]) | alike), seen, alike)


@dataclass(frozen=True, eq=False)
class View:
    """A target in a history.

    Attributes:
        queries: tokens that look.
        placed: tokens in which plays stand.
        own: which of these are own plays of a query, all before it.
        seen: which of them come before it.
        alike: whether all plays are own ones by the question, so that there is no arm that they are told apart by.
    """

    queries: Int[np.ndarray, " queries"]
    placed: Int[np.ndarray, " plays"]
    own: Bool[np.ndarray, "queries plays"]
    seen: Bool[np.ndarray, "queries plays"]
    alike: bool = False

    def shuffled(self, generator: np.random.Generator) -> "View":
        """As many own plays, but any of those that come before."""
        own = self.own.copy()
        for row, seen in zip(own, self.seen, strict=True):
            row[seen] = generator.permutation(row[seen])
        return replace(self, own=own)

    def spread(self) -> "View":
        """All plays that come before as own ones, where there are two own ones or more."""
        return replace(self, own=self.seen & (self.own.sum(axis=1, keepdims=True) >= 2))

    def averaged(self, pattern: Pattern, head: int) -> Pattern:
        """The pattern if a head gave what it gives to plays to own plays alone, alike, wherever there are two or more."""
        found, rows = pattern.copy(), np.flatnonzero(self.own.sum(axis=1) >= 2)
        at = np.ix_(np.array([head]), self.queries[rows], self.placed)
        own, seen = self.own[rows], self.seen[rows]
        weights = found[at]
        given = (weights * seen).sum(axis=2, keepdims=True)
        found[at] = np.where(seen, given * own / own.sum(axis=1)[:, None], weights)
        return found

    def sums(self, pattern: Pattern) -> Float[np.ndarray, "heads 6"]:
        """Of each head o − c, 1 − c, the share of own plays less m/n, 1 − m/n, reach and 1, each summed over the queries.

        If plays are not told apart by their arm, c and m/n are taken for 0.

        >>> pattern = np.array([[[0.0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0], [2, 0, 2, 0]]])
        >>> seen = np.array([[True, True, True]])
        >>> view = View(np.array([3]), np.array([0, 1, 2]), np.array([[True, False, True]]), seen)
        >>> view.sums(pattern).round(9).tolist()
        [[0.333333333, 0.333333333, 0.333333333, 0.333333333, 1.0, 1.0]]
        """
        rows = pattern[:, self.queries]
        weights, whole = rows[:, :, self.placed] * self.seen, rows.sum(axis=2)
        given, few, many = weights.sum(axis=2), self.own.sum(axis=1), self.seen.sum(axis=1)
        counted = (few >= 2) & ((few < many) | self.alike) & (given > LEAST * whole)
        parts = weights / np.where(counted, given, 1)[:, :, None]
        capped = np.minimum(parts, 1 / np.maximum(few, 1)[:, None])
        chance = 0 * few if self.alike else few / np.maximum(many, 1)
        expected = capped.sum(axis=2) * chance
        shared, kept = ((part * self.own).sum(axis=2) for part in (capped, parts))
        sums = (shared - expected, 1 - expected, kept - chance, np.broadcast_to(1 - chance, kept.shape))
        reach = given / np.where(whole > 0, whole, 1)
        return np.stack(
            [*((one * counted).sum(axis=1) for one in sums), reach.sum(axis=1), (0 * reach + 1).sum(axis=1)],
            axis=1,
        )


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over the queries of each history.

    Attributes:
        heads: layer, from 1, and number in it, from 0.
        targets: what they are held against.
        sums: as `View.sums`.
    """

    heads: Sequence[tuple[int, int]]
    targets: Sequence[Target]
    sums: Float[np.ndarray, "histories targets heads 6"]


def targets(choices: int) -> list[Target]:
    """All that heads are held against where there are so many arms.

    >>> len(targets(5))
    16
    """
    return [
        Target(question, place, arm)
        for question in QUESTIONS
        for place in PLACES
        for arm in (range(choices) if question == "fixed" else (None,))
    ]


def tally(
    histories: Sequence[Plays],
    patterns: Callable[[int], Iterable[Pattern]],
    every: int = 1,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> Tally:
    """Hold the heads of a model against every target.

    Args:
        histories: where plays stand in them; all have the same choices.
        patterns: of the history of a number, layer by layer.
        every: one query in so many is looked at.
        tell: told histories done and wanted.

    Raises:
        ValueError: for fewer than 4 histories, as half of them settle what the others measure.
    """
    if len(histories) < 4:
        raise ValueError(f"histories: wanted 4 or more, got {len(histories)}")
    found, heads, wanted = [], [], targets(histories[0].choices)
    for number, plays in enumerate(histories):
        views = [target.view(plays, every) for target in wanted]
        layers = [np.stack([view.sums(pattern) for view in views]) for pattern in patterns(number)]
        heads = [(at, head) for at, layer in enumerate(layers, 1) for head in range(layer.shape[1])]
        found.append(np.concatenate(layers, axis=1))
        tell(number + 1, len(histories))
    return Tally(heads, wanted, np.stack(found))


def ranked(found: Tally, question: str, seed: int = 0) -> list[Record]:
    """The heads as answers to a question, best first by the histories that settle; numbers are those of the others.

    Fields: layer, head, place, arm (None but for "fixed"), agreement, low and high, selection, reach.
    """
    mine = [number for number, target in enumerate(found.targets) if target.question == question]
    score = _ratio(found.sums[::2, mine].sum(axis=0), 0)  # targets, heads
    chosen, order = score.argmax(axis=0), (-score.max(axis=0)).argsort(kind="stable")
    values = found.sums[1::2, mine][:, chosen, np.arange(len(found.heads))]  # histories, heads, 6
    whole, count = values.sum(axis=0), len(values)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLED)
    low, high = np.quantile(_ratio(np.einsum("rn,nhp->rhp", drawn, values), 0), (0.025, 0.975), axis=0)
    numbers = {"agreement": _ratio(whole, 0), "low": low, "high": high}
    numbers |= {"selection": _ratio(whole, 2), "reach": _ratio(whole, 4)}
    rows = []
    for at in order.tolist():
        (layer, head), target = found.heads[at], found.targets[mine[chosen[at]]]
        row = {"layer": layer, "head": head, "place": target.place, "arm": target.arm}
        rows.append(row | {name: float(values[at]) for name, values in numbers.items()})
    return rows


def _ratio(parts: Float[np.ndarray, "*some 6"], first: int) -> Float[np.ndarray, "*some"]:
    """A sum by the one after it; 0 if nothing was counted, as of heads that give plays no weight."""
    above, below = parts[..., first], parts[..., first + 1]
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
