"""Histories played by a policy that ignores them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from constructions.history import BanditHistory
from verify.environments.sampling import TOTAL_SLACK
from verify.play.rollout import Environment, rollout


def history_from(
    environment: Environment,
    generator: np.random.Generator,
    policy: str | Float[np.ndarray, " arms"] = "uniform",
) -> BanditHistory:
    """A history played by a policy that ignores it: "uniform", or fixed probabilities of shape (arms,).

    Raises:
        ValueError: if the policy is neither.
    """
    arms = environment.actions
    if isinstance(policy, str) and policy != "uniform":
        raise ValueError(f"policy: wanted 'uniform' or an array of probabilities, got {policy!r}")
    odds = np.full(arms, 1 / arms) if isinstance(policy, str) else np.asarray(policy, dtype=np.float64)
    if odds.shape != (arms,) or not (odds >= 0).all() or abs(odds.sum() - 1) > TOTAL_SLACK:
        raise ValueError(f"policy: wanted {arms} probabilities ≥ 0 that sum to 1, got {odds}")
    with np.errstate(divide="ignore"):
        return rollout(environment, _Fixed(np.log(odds)), generator).history


@dataclass(frozen=True, eq=False)
class _Fixed:
    """The decoder that always returns the same log-probabilities."""

    log_probabilities: Float[np.ndarray, " arms"]

    def observe(self, context: Float[np.ndarray, "arms dim"]) -> Float[np.ndarray, " arms"]:
        return self.log_probabilities

    def record(self, action: int, reward: float) -> None:
        pass
