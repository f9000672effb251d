"""What true algorithms know at each decision: the registers of the constructions, those of all arms side by side."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.history import BanditHistory
from verify import algorithms
from verify.play.seats import GREEDY


def linear(recipe: Any, history: BanditHistory) -> dict[str, Float[np.ndarray, "steps _"]]:
    """w_t, A_t⁻¹a_k, √(a_kᵀA_t⁻¹a_k) and ⟨a_k, w_t⟩ at the ridge of the recipe's algorithm.

    Of Thompson sampling that is the variance of its noise over that of its prior, else LinUCB's.
    """
    thompson = (recipe.noise**2 or GREEDY) / recipe.prior_variance
    ridge = thompson if recipe.algorithm == "thompson" else recipe.ridge
    spec: Any = SimpleNamespace(ridge=ridge, exploration=1.0, temperature=1.0)
    values = algorithms.linucb_values(spec, history)
    inverse = values.inverse_actions.reshape(history.steps, -1)
    return {
        "ridge estimate": values.ridge_estimate,
        "A⁻¹a": inverse,
        "width": values.width,
        "mean": values.mean,
    }


def counted(recipe: Any, history: BanditHistory) -> dict[str, Float[np.ndarray, "steps _"]]:
    """Successes s, failures f and plays of each Bernoulli arm, the mean (s + 1)/(s + f + 2) of the posterior, and (s, f)."""
    arms = history.contexts.shape[1]
    plays = np.eye(arms)[history.actions]
    won, lost = (
        np.concatenate([np.zeros((1, arms)), np.cumsum(plays * paid[:, None], axis=0)])
        for paid in (history.rewards, 1 - history.rewards)
    )
    mean = (won + 1) / (won + lost + 2)
    both = np.stack([won, lost], axis=2).reshape(len(won), -1)
    found = {"successes": won, "failures": lost, "plays": won + lost}
    return found | {"posterior mean": mean, "posterior": both}


Known = Mapping[str, Float[np.ndarray, "pairs steps _"]]
Arms = Float[np.ndarray, "pairs arms dim"]
Scores = Float[np.ndarray, "pairs steps arms"]
Exchanged = Mapping[str, Float[np.ndarray, "pairs steps _ arms"]]
"""Scores by register and by whose part of it is exchanged: each arm's, or all of it, which is one row."""


@dataclass(frozen=True)
class Exchange:
    """What an algorithm does if it takes one register for that of another history with the same arms.

    Attributes:
        scores: from recipe, arms and the registers of a base and of its source to the scores of the base, of which the
            algorithm takes the largest or the softmax, and what becomes of them register by register.
        stands: where built transformers hold registers: in the results of which blocks, and of how many equal parts, with a
            number for each arm, such a result consists; 0 if it is the register as it stands.
        fields: of the specification of a built transformer in which they are.
    """

    scores: Callable[[Any, Arms, Known, Known], tuple[Scores, Exchanged]]
    stands: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


def _one_by_one(
    own: Float[np.ndarray, "pairs steps arms"], other: Float[np.ndarray, "pairs steps arms"]
) -> Float[np.ndarray, "pairs steps arms arms"]:
    """A row for each arm, in which that arm's number is the other's."""
    return np.where(np.eye(own.shape[-1], dtype=bool), other[:, :, None], own[:, :, None])


def linear_scores(recipe: Any, arms: Arms, own: Known, other: Known) -> tuple[Scores, Exchanged]:
    """LinUCB: mean + α · width; the ridge estimate makes the means, and A⁻¹a_k the width of arm k."""
    mean, width = own["mean"], recipe.bonus * own["width"]
    inverse = other["A⁻¹a"].reshape(*mean.shape, -1)
    of_inverse = recipe.bonus * np.sqrt(np.maximum(np.einsum("pkd,ptkd->ptk", arms, inverse), 0))
    estimated = np.einsum("pkd,ptd->ptk", arms, other["ridge estimate"])
    return mean + width, {
        "ridge estimate": (estimated + width)[:, :, None],
        "A⁻¹a": mean[:, :, None] + _one_by_one(width, of_inverse),
        "width": mean[:, :, None] + _one_by_one(width, recipe.bonus * other["width"]),
        "mean": _one_by_one(mean, other["mean"]) + width[:, :, None],
    }


def counted_scores(recipe: Any, arms: Arms, own: Known, other: Known) -> tuple[Scores, Exchanged]:
    """Thompson sampling: log P(the draw of arm k is the largest).

    With other plays the posterior mean stays, and with another mean the plays: Beta(m(n + 2), (1 − m)(n + 2)).
    """
    won, lost, plays, mean = (own[name] for name in ("successes", "failures", "plays", "posterior mean"))
    many = _one_by_one(plays, other["plays"]) + 2, plays[:, :, None] + 2
    average = mean[:, :, None], _one_by_one(mean, other["posterior mean"])
    still = [np.broadcast_to(one[:, :, None], many[0].shape) for one in (won, lost)]
    counts = {
        "successes": (_one_by_one(won, other["successes"]), still[1]),
        "failures": (still[0], _one_by_one(lost, other["failures"])),
        "plays": (average[0] * many[0] - 1, (1 - average[0]) * many[0] - 1),
        "posterior mean": (average[1] * many[1] - 1, (1 - average[1]) * many[1] - 1),
        "posterior": (_one_by_one(won, other["successes"]), _one_by_one(lost, other["failures"])),
    }
    exchanged = {name: _thompson(np.stack(pair, axis=-1)) for name, pair in counts.items()}
    return _thompson(np.stack([won, lost], axis=-1)), exchanged


def _thompson(counts: Float[np.ndarray, "*some arms 2"]) -> Float[np.ndarray, "*some arms"]:
    """Log-probabilities after so many successes and failures."""
    return algorithms.bernoulli_thompson_at(counts.reshape(-1, *counts.shape[-2:])).reshape(counts.shape[:-1])


LINEAR = Exchange(
    linear_scores,
    {
        "ridge estimate": {"ridge estimate": 0},
        "A⁻¹a": {"inverse times arms": 0},
        "width": {"width √(a_kᵀA⁻¹a_k)": 0},
        "mean": {"mean ⟨a_k, w⟩": 0},
    },
    {"solver": "agd", "root": "interpolation"},
)
COUNTED = Exchange(counted_scores, {"posterior": {"counts n, s, b": 3, "log (n+1)!/(s! b!)": 1}})
"""The built transformer looks up the factorials of counts where it counts, so that no count changes alone."""
