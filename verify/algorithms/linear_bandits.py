"""True soft LinUCB: ridge regression and confidence widths, solved directly.

A spec is anything with `ridge` λ > 0, in squared units of an action vector, the weight `exploration` α ≥ 0 of the confidence
width, and the `temperature` τ > 0 of the softmax over scores, both in units of reward.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.history import BanditHistory
from verify.algorithms.common import RunningSums, finite, log_softmax, parameter, sums


@dataclass(frozen=True, eq=False)
class LinUCBValues:
    """Every quantity of soft LinUCB at every step; row t−1 belongs to decision t.

    Attributes:
        ridge_estimate: w_t = A_t⁻¹ Σ_{j<t} r_j a_j with A_t = λI + Σ_{j<t} a_j a_jᵀ, shape (steps, dim).
        inverse_actions: A_t⁻¹ a_{t,k}, shape (steps, arms, dim).
        mean: ⟨a_{t,k}, w_t⟩, shape (steps, arms), in units of reward.
        width: √(a_{t,k}ᵀ A_t⁻¹ a_{t,k}), shape (steps, arms), dimensionless, ≥ 0.
        score: mean + α·width, shape (steps, arms), in units of reward.
        log_probabilities: log-softmax of score/τ, shape (steps, arms), natural logarithm.
    """

    ridge_estimate: Float[np.ndarray, "steps dim"]
    inverse_actions: Float[np.ndarray, "steps arms dim"]
    mean: Float[np.ndarray, "steps arms"]
    width: Float[np.ndarray, "steps arms"]
    score: Float[np.ndarray, "steps arms"]
    log_probabilities: Float[np.ndarray, "steps arms"]


def linucb(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Log-probabilities of soft LinUCB at every step of a history.

    The policy at decision t (row t−1) has seen the contexts 1..t and the first t−1 actions and rewards.
    An entry is −∞ only where score/τ itself leaves the range of float64; none is NaN.

    Raises:
        ValueError: as for `linucb_values`.

    Source: arXiv 2310.08566, section 4.1 (soft LinUCB).

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(ridge=1.0, exploration=1.0, temperature=0.5)
    >>> history = BanditHistory([[[1.0], [0.0]], [[1.0], [0.0]]], actions=[0], rewards=[1.0])
    >>> np.exp(linucb(spec, history)).round(3).tolist()  # w_2 = 1/2, widths at step 2: √(1/2) and 0
    [[0.881, 0.119], [0.918, 0.082]]
    """
    return linucb_values(spec, history).log_probabilities


def linucb_values(spec: Any, history: BanditHistory) -> LinUCBValues:
    """The values of soft LinUCB on the way to its log-probabilities, at every step of a history.

    Cost: one Cholesky factorisation a step, all steps at once; memory O(steps·dim·(dim + arms)).
    Relative errors are about 10⁻¹⁶ times the condition number of A_t.

    Raises:
        ValueError: if ridge or temperature is not positive, exploration is negative, one of them is not a
            finite number, or A_t is not positive definite in float64 (ridge too small for these actions).
    """
    checked(spec)
    return values_of(spec, *sums(history), history.contexts)


class LinUCBDecoder:
    """Soft LinUCB one decision at a time: observe a context, record what was played, and so on.

    It keeps running sums; calls must alternate, and it agrees with `linucb` on the same history.
    """

    def __init__(self, spec: Any):
        checked(spec)
        self._past = RunningSums()
        self._spec = spec

    def observe(self, context) -> Float[np.ndarray, " arms"]:
        """Log-probabilities over the arms, whose vectors are the rows of `context`, shape (arms, dim).

        Raises:
            ValueError: if the context is not a finite matrix of the first one's dimension, or if the
                decision before it has not been recorded.
        """
        gram, moment, context = self._past.offered(context)
        values = values_of(self._spec, gram[None], moment[None], context[None])
        return values.log_probabilities[0]

    def record(self, action: Any, reward: Any) -> None:
        """Take in the arm played on the observed context, and its reward; errors as for `RunningSums.record`."""
        self._past.record(action, reward)


def decoder(spec: Any) -> LinUCBDecoder:
    """A fresh incremental soft LinUCB: `.observe(context)` → log-probabilities, `.record(action, reward)`.

    Raises:
        ValueError: if a parameter is out of range, as for `linucb_values`.

    >>> from types import SimpleNamespace
    >>> policy = decoder(SimpleNamespace(ridge=1.0, exploration=1.0, temperature=0.5))
    >>> np.exp(policy.observe(np.array([[1.0], [0.0]]))).round(3).tolist()
    [0.881, 0.119]
    >>> policy.record(0, 1.0)
    """
    return LinUCBDecoder(spec)


def values_of(
    spec: Any,
    gram: Float[np.ndarray, "steps dim dim"],
    moment: Float[np.ndarray, "steps dim"],
    contexts: Float[np.ndarray, "steps arms dim"],
) -> LinUCBValues:
    """All values, from the sums Σ a aᵀ and Σ r a of each step's past.

    With A = LLᵀ, the width is ‖L⁻¹a‖, which no rounding makes imaginary.
    """
    factor = _cholesky(gram + spec.ridge * np.eye(gram.shape[-1]), spec.ridge)
    half = np.linalg.solve(factor, np.concatenate([contexts.mT, moment[..., None]], axis=-1))
    solved = np.linalg.solve(factor.mT, half).mT
    inverse_actions, ridge_estimate = solved[:, :-1], solved[:, -1]
    mean = np.einsum("tkd,td->tk", contexts, ridge_estimate)
    width = np.linalg.norm(half[..., :-1], axis=-2)
    score = mean + spec.exploration * width
    log_probabilities = log_softmax(score, spec.temperature)
    return LinUCBValues(ridge_estimate, inverse_actions, mean, width, score, log_probabilities)


def _cholesky(
    matrices: Float[np.ndarray, "steps dim dim"], ridge: float
) -> Float[np.ndarray, "steps dim dim"]:
    try:
        factor = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        factor = np.full_like(matrices, np.nan)
    if not np.isfinite(factor).all():
        raise ValueError(
            "ridge: wanted one that keeps A_t positive definite in float64, "
            f"got {ridge} against actions whose Gram matrix has entries up to {np.abs(matrices).max():.3g}"
        )
    return factor


def checked(spec: Any) -> None:
    """Wanted: parameters in range."""
    for name in ("ridge", "exploration", "temperature"):
        finite(name, parameter(spec, name), positive=name != "exploration")
