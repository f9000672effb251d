"""What an algorithm does when one of its registers is exchanged, and how far a model does the same.

Of a register that there is of every arm, one arm's is exchanged: one with which the algorithm decides otherwise than before,
if there is any, drawn at random among these.

    agreement    of the pairs in which the algorithm goes over from arm a to arm b, the share in which the model's log-odds
                 of b against a rise: ½ for a change that has nothing to do with it
    followed     of those in which the model's likeliest arm was a, the share in which it is b afterwards
    effect       by how much the log-odds of b against a rise, in nats
    correlation  over all pairs, of the ranks of the changes of the algorithm and of the model; where the algorithm stays
                 with its arm, in the score of the arm in question less the best of the others

Intervals are 95 %, by the bootstrap over bases.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from verify.sweeps.records import Record

RESAMPLED = 1000
MEASURES = ("agreement", "followed", "effect", "correlation")
TIE = 1e-9
"""Scores nearer than this are alike."""


@dataclass(frozen=True, eq=False)
class Question:
    """What the algorithm does when one register is exchanged, pair by pair and decision by decision.

    Attributes:
        columns: of the register, those that are exchanged.
        above, below: the arms b and a, or what stands for them.
        shift: by how much the score of b less that of a rises.
        decisive: whether the algorithm goes over from a to b.
    """

    columns: Int[np.ndarray, "pairs steps some"]
    above: Int[np.ndarray, "pairs steps"]
    below: Int[np.ndarray, "pairs steps"]
    shift: Float[np.ndarray, "pairs steps"]
    decisive: Bool[np.ndarray, "pairs steps"]


def question(
    before: Float[np.ndarray, "pairs steps actions"],
    after: Float[np.ndarray, "pairs steps choices actions"],
    size: int,
    generator: np.random.Generator,
) -> Question:
    """What there is to ask, of the scores before, and of those after the exchange of each arm's part or of the whole."""
    best = before.argmax(axis=-1)
    turned = (after.argmax(axis=-1) != best[..., None]) & (_lead(after) > TIE)
    turned &= (_lead(before) > TIE)[..., None]
    chosen = (turned + generator.random(turned.shape)).argmax(axis=-1)
    moved = np.take_along_axis(after, chosen[..., None, None], axis=2)[:, :, 0]
    decisive = np.take_along_axis(turned, chosen[..., None], axis=2)[..., 0]
    arm = chosen if after.shape[2] > 1 else (moved - before).argmax(axis=-1)
    others = np.where(np.arange(before.shape[-1]) == arm[..., None], -np.inf, before).argmax(axis=-1)
    above, below = np.where(decisive, moved.argmax(axis=-1), arm), np.where(decisive, best, others)
    shift = odds(moved, above, below) - odds(before, above, below)
    return Question(np.arange(size).reshape(after.shape[2], -1)[chosen], above, below, shift, decisive)


def _lead(scores: Float[np.ndarray, "*some actions"]) -> Float[np.ndarray, "*some"]:
    """The largest score less the next."""
    return np.diff(np.sort(scores, axis=-1)[..., -2:], axis=-1)[..., 0]


def odds(
    scores: Float[np.ndarray, "*some actions"],
    above: Int[np.ndarray, "*some"],
    below: Int[np.ndarray, "*some"],
) -> Float[np.ndarray, "*some"]:
    """Of each row the score of one arm less that of another."""
    of_one, of_other = (np.take_along_axis(scores, arm[..., None], axis=-1) for arm in (above, below))
    return (of_one - of_other)[..., 0]


def measures(
    asked: Question,
    before: Float[np.ndarray, "pairs steps actions"],
    after: Float[np.ndarray, "pairs steps actions"],
    seed: int = 0,
) -> Record:
    """The numbers of MEASURES, each with its 95 % interval, and the pairs that agreement and `followed` are shares of.

    A share of no pairs is None, and so is the correlation of what does not vary.
    """
    moved = odds(after, asked.above, asked.below) - odds(before, asked.above, asked.below)
    moved = moved.round(9)  # what rounding does is no change
    held = asked.decisive & (before.argmax(axis=-1) == asked.below)
    over = after.argmax(axis=-1) == asked.above
    ranks = [rankdata(one).reshape(one.shape) - (one.size + 1) / 2 for one in (asked.shift, moved)]
    products = ranks[0] * ranks[1], ranks[0] ** 2, ranks[1] ** 2
    parts = (
        asked.decisive & (moved > 0),
        asked.decisive,
        held & over,
        held,
        asked.decisive * moved,
        *products,
    )
    sums = np.stack([np.asarray(part, float).sum(axis=1) for part in parts], axis=1)  # pairs, 8
    count = len(sums)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLED)
    whole, tried = _ratios(sums.sum(axis=0)), _ratios(drawn @ sums)
    found: Record = {"decisive": int(sums[:, 1].sum()), "held": int(sums[:, 3].sum())}
    for name, value, many in zip(MEASURES, whole, tried.T, strict=True):
        many = many[np.isfinite(many)]
        low, high = np.quantile(many, (0.025, 0.975)) if len(many) else (np.nan, np.nan)
        found[name] = [float(value), float(low), float(high)] if np.isfinite(value) else None
    return found


def _ratios(sums: Float[np.ndarray, "*some 8"]) -> Float[np.ndarray, "*some 4"]:
    """The measures, of sums over pairs; NaN where nothing was counted."""
    above = np.stack([sums[..., 0], sums[..., 2], sums[..., 4], sums[..., 5]], axis=-1)
    spread = np.sqrt(sums[..., 6] * sums[..., 7])
    below = np.stack([sums[..., 1], sums[..., 3], sums[..., 1], spread], axis=-1)
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
