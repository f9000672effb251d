"""True soft LinUCB that forgets, by a sliding window or by a discount: ridge regression on a weighted past.

A spec is one of LinUCB with `window` W, so many decisions that count, or `discount` γ, the factor by which what a decision
weighs falls with each later one; the other is None.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks
from constructions.history import BanditHistory
from verify.algorithms.common import Turns
from verify.algorithms.linear_bandits import checked, values_of


def weights(spec: Any, past: int) -> Float[np.ndarray, " past"]:
    """What the last decision, the one before it, … weighs.

    >>> from types import SimpleNamespace
    >>> weights(SimpleNamespace(window=2, discount=None), 3).tolist()
    [1.0, 1.0, 0.0]
    >>> weights(SimpleNamespace(window=None, discount=0.5), 3).tolist()
    [1.0, 0.5, 0.25]
    """
    ages = np.arange(past)
    return (
        (ages < spec.window).astype(float) if spec.discount is None else spec.discount ** ages.astype(float)
    )


def forgetting_linucb(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Log-probabilities of soft LinUCB that forgets, at every step of a history.

    Before decision t, A = λI + Σ_s f(t − s) a_s a_sᵀ and b = Σ_s f(t − s) r_s a_s over s < t; the rest is `linucb`.

    Source: the window of Cheung, Simchi-Levi and Zhu (arXiv 1810.03024), with LinUCB's scores; a discount as in Russac,
    Vernade and Cappé (arXiv 1909.09146), but for the width, which here is that of A alone.

    Raises:
        ValueError: as for `linucb_values`.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(ridge=1.0, exploration=0.0, temperature=1.0, window=1, discount=None)
    >>> history = BanditHistory([[[1.0], [0.0]]] * 3, actions=[0, 1], rewards=[1.0, 0.0])
    >>> np.exp(forgetting_linucb(spec, history)).round(3).tolist()  # at step 3 the reward of step 1 is forgotten
    [[0.5, 0.5], [0.622, 0.378], [0.5, 0.5]]
    """
    checked(spec)
    checks.instance("history", history, BanditHistory)
    chosen, steps = history.chosen, history.steps
    falling = np.zeros((steps, len(chosen)))
    for step in range(1, steps):
        falling[step, :step] = weights(spec, step)[::-1]
    gram = np.einsum("ts,sd,se->tde", falling, chosen, chosen, optimize=True)
    moment = falling @ (chosen * history.rewards[:, None])
    return values_of(spec, gram, moment, history.contexts).log_probabilities


class ForgettingDecoder(Turns):
    """The same one decision at a time: observe a context, record what was played, and so on."""

    def __init__(self, spec: Any):
        checked(spec)
        self._spec, self._past = spec, []

    def observe(self, context) -> Float[np.ndarray, " arms"]:
        """Log-probabilities over the arms, whose vectors are the rows of `context`, shape (arms, dim).

        Raises:
            ValueError: if the context is not a finite matrix of the first one's dimension, or a decision waits.
        """
        context = self._come(context).contexts[0]
        dim = context.shape[1]
        if self._past and len(self._past[0][0]) != dim:
            raise ValueError(
                f"observe: wanted action vectors of dimension {len(self._past[0][0])}, got {dim}"
            )
        gram, moment = np.zeros((dim, dim)), np.zeros(dim)
        for weight, (chosen, reward) in zip(
            weights(self._spec, len(self._past))[::-1], self._past, strict=True
        ):
            gram += weight * np.outer(chosen, chosen)
            moment += weight * reward * chosen
        self._context = context
        return values_of(self._spec, gram[None], moment[None], context[None]).log_probabilities[0]

    def record(self, action: Any, reward: Any) -> None:
        """Take in the arm played on the observed context, and its reward.

        Raises:
            ValueError: if no context is pending, the arm is out of range or the reward is not finite.
        """
        pair = self._play(action, reward)
        self._past.append((pair.chosen[0], float(pair.rewards[0])))
        self._context = None


def forgetting_decoder(spec: Any) -> ForgettingDecoder:
    """A fresh incremental one: `.observe(context)` → log-probabilities, `.record(action, reward)`.

    Raises:
        ValueError: if a parameter is out of range, as for `linucb_values`.
    """
    return ForgettingDecoder(spec)
