"""Exponential weights: Hedge, with full information, and EXP3, with bandit feedback.

A spec is anything with `rate` η > 0. Contexts say what has become known since the decision before. For Hedge they have one
number an arm, its loss. For EXP3 they have two, its loss and the inverse of the probability with which it was played, both 0
for arms that were not.

Sources: Cesa-Bianchi and Lugosi, Prediction, Learning, and Games (2006), section 2.2; Bubeck and Cesa-Bianchi, Regret
Analysis of Stochastic and Nonstochastic Multi-armed Bandit Problems (2012), section 3.1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.history import BanditHistory
from verify.algorithms.common import Turns, finite, log_softmax, parameter


def hedge(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Log-probabilities of Hedge at every round, log-softmax of −η times the losses known by then.

    Raises:
        ValueError: if the rate is not a finite number > 0, or contexts have not one number an arm.

    >>> from types import SimpleNamespace
    >>> history = BanditHistory([[[0.0], [0.0]], [[1.0], [0.0]]], actions=[0], rewards=[-1.0])
    >>> np.exp(hedge(SimpleNamespace(rate=1.0), history)).round(3).tolist()  # 1/(e + 1)
    [[0.5, 0.5], [0.269, 0.731]]
    """
    return log_softmax(-_rate(spec) * np.cumsum(_losses(history), axis=0), 1.0)


def exp3(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Log-probabilities of EXP3 at every round, log-softmax of −η times the importance-weighted losses known by then.

    Raises:
        ValueError: if the rate is not a finite number > 0, or contexts have not two numbers an arm.

    >>> from types import SimpleNamespace
    >>> history = BanditHistory([[[0, 0], [0, 0]], [[1, 2], [0, 0]]], actions=[0], rewards=[-1.0])
    >>> np.exp(exp3(SimpleNamespace(rate=0.5), history)).round(3).tolist()  # 1/(e + 1)
    [[0.5, 0.5], [0.269, 0.731]]
    """
    return log_softmax(-_rate(spec) * np.cumsum(_weighted(history), axis=0), 1.0)


class HedgeDecoder(Turns):
    """Exponential weights one round at a time: they are multiplied by exp(−η · loss), and normalised.

    `losses` reads those of all arms from contexts: as they are for Hedge, divided by probabilities for EXP3.
    """

    def __init__(self, spec: Any, losses: Callable[[BanditHistory], np.ndarray] | None = None):
        self._rate, self._policy, self._losses = _rate(spec), None, losses or _losses

    def observe(self, context: Any) -> Float[np.ndarray, " arms"]:
        """The log-probabilities, once the losses in this context are known.

        Raises:
            ValueError: if it is not a finite number for each arm, or the decision before it has not been recorded.
        """
        come = self._come(context)
        losses = self._losses(come)[0]
        policy = np.zeros(len(losses)) if self._policy is None else self._policy
        if len(policy) != len(losses):
            raise ValueError(f"observe: wanted {len(policy)} arms, got {len(losses)}")
        self._policy, self._context = log_softmax(policy - self._rate * losses, 1.0), come.contexts[0]
        return self._policy

    def record(self, action: Any, reward: Any) -> None:
        """Take down what was played; losses come with the next context.

        Raises:
            ValueError: if no context is pending, the arm is out of range or the reward is not finite.
        """
        self._play(action, reward)
        self._context = None


def hedge_decoder(spec: Any) -> HedgeDecoder:
    """Hedge that plays: `.observe(context)` → log-probabilities, `.record(action, reward)`.

    >>> from types import SimpleNamespace
    >>> policy = hedge_decoder(SimpleNamespace(rate=1.0))
    >>> policy.observe([[0.0], [0.0]]).round(3).tolist()
    [-0.693, -0.693]
    """
    return HedgeDecoder(spec)


def exp3_decoder(spec: Any) -> HedgeDecoder:
    """EXP3 that plays: `.observe(context)` → log-probabilities, `.record(action, reward)`.

    >>> from types import SimpleNamespace
    >>> policy = exp3_decoder(SimpleNamespace(rate=0.5))
    >>> policy.observe([[0, 0], [0, 0]]).round(3).tolist()
    [-0.693, -0.693]
    """
    return HedgeDecoder(spec, _weighted)


def _rate(spec: Any) -> float:
    finite("rate", rate := parameter(spec, "rate"), positive=True)
    return float(rate)


def _losses(history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    if history.contexts.shape[2] != 1:
        raise ValueError(
            f"contexts: wanted one number an arm, its loss, got vectors of {history.contexts.shape[2]}"
        )
    return history.contexts[:, :, 0]


def _weighted(history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    if history.contexts.shape[2] != 2:
        raise ValueError(
            f"contexts: wanted two numbers an arm, loss and weight, got vectors of {history.contexts.shape[2]}"
        )
    return history.contexts.prod(axis=2)
