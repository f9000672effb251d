"""True Hedge: exponential weights with full information.

A spec is anything with `rate` η > 0. Contexts have one number an arm: its loss that has become known since the decision
before.

Source: Cesa-Bianchi and Lugosi, Prediction, Learning, and Games (2006), section 2.2.
"""

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


class HedgeDecoder(Turns):
    """Hedge one round at a time: weights are multiplied by exp(−η · loss), and normalised."""

    def __init__(self, spec: Any):
        self._rate, self._policy = _rate(spec), None

    def observe(self, context: Any) -> Float[np.ndarray, " arms"]:
        """The log-probabilities, once the losses in this context are known.

        Raises:
            ValueError: if it is not a finite number for each arm, or the decision before it has not been recorded.
        """
        come = self._come(context)
        losses = _losses(come)[0]
        policy = np.zeros(len(losses)) if self._policy is None else self._policy
        if len(policy) != len(losses):
            raise ValueError(f"observe: wanted {len(policy)} arms, got {len(losses)}")
        self._policy, self._context = log_softmax(policy - self._rate * losses, 1.0), come.contexts[0]
        return self._policy

    def record(self, action: Any, reward: Any) -> None:
        """Take down what was played; the losses of all arms come with the next context.

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


def _rate(spec: Any) -> float:
    finite("rate", rate := parameter(spec, "rate"), positive=True)
    return float(rate)


def _losses(history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    if history.contexts.shape[2] != 1:
        raise ValueError(
            f"contexts: wanted one number an arm, its loss, got vectors of {history.contexts.shape[2]}"
        )
    return history.contexts[:, :, 0]
