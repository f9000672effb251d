"""Two players who meet in matrix games, round after round, many games side by side.

The player of rows loses game[i, j], a number in [0, 1], and the player of columns 1 − game[i, j]. After each round both see
what each of their choices would have cost against the other's odds.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from verify.play.rollout import Decoder


@dataclass(frozen=True, eq=False)
class Meeting:
    """What became of it.

    Attributes:
        rows: the mean odds of the rows, shape (games, rows).
        columns: the mean odds of the columns, shape (games, columns).
        payment: the mean of what rows pay, by the odds of both, shape (games,).
    """

    rows: Float[np.ndarray, "games rows"]
    columns: Float[np.ndarray, "games columns"]
    payment: Float[np.ndarray, " games"]


def meet(
    rows: Decoder, columns: Decoder, games: Float[np.ndarray, "games rows columns"], rounds: int
) -> Meeting:
    """Let two fresh decoders meet, each of as many histories as there are games."""
    odds = [np.zeros(games.shape[:2]), np.zeros(games.shape[::2])]
    losses, played, paid = [np.zeros_like(one) for one in odds], [*odds], np.zeros(len(games))
    for _ in range(rounds):
        for side, player in enumerate((rows, columns)):
            odds[side] = np.exp(player.observe(losses[side][:, :, None]))
            played[side] = played[side] + odds[side]
        losses = [
            np.einsum("gij,gj->gi", games, odds[1]),
            1 - np.einsum("gij,gi->gj", games, odds[0]),
        ]
        paid += (losses[0] * odds[0]).sum(axis=1)
        for side, player in enumerate((rows, columns)):
            likeliest = odds[side].argmax(axis=1)  # full information: what was played makes no difference
            player.record(likeliest, -losses[side][np.arange(len(games)), likeliest])
    return Meeting(played[0] / rounds, played[1] / rounds, paid / rounds)
