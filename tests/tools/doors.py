"""The doors of the library: small things to knock at, and what may come back."""

import warnings
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
from shape_types import unenforced

from constructions import linucb, thompson, ucbvi
from constructions.history import BanditHistory, EpisodeHistory
from verify.training.policy import Trained
from verify.training.recipes import BanditRecipe, EpisodeRecipe
from verify.training.train import Run

LINUCB = linucb.build(linucb.Spec(2, 3, 4, 0.01, "newton", action_norm=(0.5, 2.0), noise_bound=1.0))
SAMPLING = thompson.build(thompson.Spec(2, 3, 4, 1e-3, "newton", "sampling", action_norm=(0.5, 2.0)))
TWO_ARMS = thompson.build(thompson.Spec(2, 2, 4, 0.05, "newton", separation=0.05, action_norm=(0.5, 2.0)))
BERNOULLI = thompson.build(thompson.BernoulliSpec(3, 4, 0.1))
UCBVI = ucbvi.build(ucbvi.Spec(2, 3, 2, 3, exploration=0.02, form="narrow"))

CONTEXTS = [[[1.0, 0.5], [0.0, -1.0], [0.25, 1.5]], [[0.5, 0.5], [1.0, 0.0], [-1.0, 1.0]]]
BANDIT = BanditHistory(CONTEXTS, [1], [0.5])
DRAWS = BanditHistory(CONTEXTS, [1], [0.5], [[0.5, -1.0], [1.0, 0.25]])
PAIR = BanditHistory(np.array(CONTEXTS)[:, :2], [1], [0.5])
COINS = BanditHistory([np.eye(3)] * 2, [1], [1.0])
EPISODES = EpisodeHistory([0, 1, 1], [2, 0], [0.5, 1.0], 2)

BUILT = {
    "linucb": (LINUCB, BANDIT),
    "sampling": (SAMPLING, DRAWS),
    "two arms": (TWO_ARMS, PAIR),
    "bernoulli": (BERNOULLI, COINS),
    "ucbvi": (UCBVI, EPISODES),
}

SMALL = {"layers": 1, "heads": 1, "width": 4, "steps": 1, "batch": 1}
BANDITS = BanditRecipe("linear", "linucb", "expert", dim=2, actions=3, horizon=4, numbered=True)
PROCESSES = EpisodeRecipe(2, 3, 2, 3, placed=True)
TRAINED = {
    "bandits": (Trained(BANDITS, Run(BANDITS, **SMALL).model()), BANDIT),
    "episodes": (Trained(PROCESSES, Run(PROCESSES, **SMALL).model()), EPISODES),
}

REFUSED = "refused"
"""The outcome of a call that was answered with one clear line."""


def knock(door: Callable[..., Any], *values: Any, **named: Any) -> Any:
    """What a door answers, as a user meets it, without the types that tests enforce: a result, or REFUSED.

    A warning, another error, or a message of more than one line or 300 characters, fails.
    """
    try:
        with unenforced(), warnings.catch_warnings():
            warnings.simplefilter("error")
            return door(*values, **named)
    except (ValueError, OSError) as error:
        message = str(error)
        assert 0 < len(message) <= 300, message
        assert "\n" not in message, message
        assert "wanted" in message, message
        assert "got" in message, message
        return REFUSED


def same(one: Any, other: Any) -> bool:
    """Whether two answers are the same, types and all."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if is_dataclass(one) and type(one).__eq__ is object.__eq__:
        return same(vars(one), vars(other))
    if is_dataclass(one):
        return one == other and same(asdict(one), asdict(other)) and repr(one) == repr(other)
    return one == other


def finite(answer: Any) -> bool:
    """Whether a policy is one: finite, and its probabilities sum to 1."""
    return bool(np.isfinite(answer).all()) and np.allclose(np.exp(answer).sum(-1), 1)
