"""True regression from a past of pairs, solved directly.

A spec is anything with `ridge` λ > 0. What was played is x, its reward y.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.history import BanditHistory
from verify.algorithms.common import before, finite, parameter, sums


def ridge(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Ridge predictions ⟨w, x_k⟩ before every decision, w = (λI + Σ x xᵀ)⁻¹ Σ y x over the pairs before.

    Raises:
        ValueError: if λ is not a finite number > 0.

    >>> from types import SimpleNamespace
    >>> ridge(SimpleNamespace(ridge=1.0), BanditHistory([[[1.0]], [[2.0]]], [0], [3.0]))[:, 0].tolist()  # w = 3/(1 + 1)
    [0.0, 3.0]
    """
    finite("ridge", penalty := parameter(spec, "ridge"), positive=True)
    gram, moment = sums(history)
    weights = np.linalg.solve(gram + penalty * np.eye(gram.shape[-1]), moment[..., None])[..., 0]
    return np.einsum("td,tkd->tk", weights, history.contexts)


def validated(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Ridge predictions with a penalty chosen on held-out pairs, before every decision.

    A spec has `training` N, `penalties` λ_1 … λ_K, and the `slope` s of the selection: weights q_k, 0 where the loss L_k on
    the pairs after the first N is 1/s or more above the least; before there are any, all weight is on λ_1.

    Source: arXiv 2306.04637, section 4.1 and Appendix H.1.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(training=1, penalties=(1.0, 3.0), slope=1.0)
    >>> past = BanditHistory([[[1.0]], [[1.0]], [[1.0]]], [0, 0], [4.0, 1.0])     # w = 2 and 1, losses 1 and 0
    >>> validated(spec, past)[:, 0].tolist()
    [0.0, 2.0, 1.0]
    """
    weights, losses = candidates(spec, history)
    excess = np.maximum(losses[:, :, None] - losses[:, None, :], 0.0).sum(axis=2)
    shares = np.maximum(1 - spec.slope * excess, 0.0)
    left = np.maximum(1 - np.cumsum(shares, axis=1), 0.0)
    chosen = -np.diff(left, axis=1, prepend=1.0)
    return np.einsum("tk,tkd,tad->ta", chosen, weights, history.contexts)


def candidates(
    spec: Any, history: BanditHistory
) -> tuple[Float[np.ndarray, "steps penalties dim"], Float[np.ndarray, "steps penalties"]]:
    """Ridge estimates from the first N pairs for each penalty, and their losses on those after, before every decision."""
    gram, moment = sums(history)
    seen = np.minimum(np.arange(history.steps), parameter(spec, "training"))
    penalties = np.array(parameter(spec, "penalties"))
    systems = gram[seen, None] + penalties[:, None, None] * np.eye(gram.shape[-1])
    weights = np.linalg.solve(systems, moment[seen, None, :, None])[..., 0]
    residuals = np.einsum("tkd,td->tk", weights[:-1], history.chosen) - history.rewards[:, None]
    squares = np.where(np.arange(history.steps - 1)[:, None] >= spec.training, residuals**2, 0.0)
    return weights, before(squares)


def binary(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps 2"]:
    """Before every decision: the sum of the distances of responses from {0, 1}, and 1 − `slope` times that, if it is > 0.

    >>> from types import SimpleNamespace
    >>> binary(SimpleNamespace(slope=4.0), BanditHistory([[[0.0]]] * 3, [0, 0], [1.0, 0.125])).tolist()
    [[0.0, 1.0], [0.0, 1.0], [0.125, 0.5]]
    """
    finite("slope", slope := parameter(spec, "slope"), positive=True)
    away = before(np.minimum(np.abs(history.rewards), np.abs(history.rewards - 1)))
    return np.stack([away, np.maximum(1 - slope * away, 0.0)], axis=1)
