"""True Lasso: proximal gradient steps as they are written, and the minimum by coordinate descent, with its duality gap.

A spec is anything with a `penalty` λ > 0, and for the steps `iterations` m and a `step` η. What was played is x, its reward
y; at token i = 2n + 1, after n pairs, F(w) = (1/2i) Σ (⟨x_j, w⟩ − y_j)² + λ‖w‖₁.

Source: A. Beck and M. Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sciences 2 (2009), (1.4).
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks
from constructions.history import BanditHistory
from verify.algorithms.common import finite, parameter, sums


def lasso(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Predictions ⟨w, x_k⟩ before every decision, after m steps from w = 0.

    Raises:
        ValueError: if a number of the spec is not as above.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(penalty=0.25, iterations=2, step=1.0)
    >>> lasso(spec, BanditHistory([[[1.0]], [[2.0]]], [0], [3.0]))[:, 0].tolist()  # 3/3 - 1/4, then w + (3 - w)/3 - 1/4
    [0.0, 2.5]
    """
    return np.einsum("td,tkd->tk", lasso_weights(spec, history), history.contexts)


def lasso_weights(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps dim"]:
    """The weights w before every decision; arguments and errors are those of `lasso`."""
    finite("penalty", penalty := parameter(spec, "penalty"), positive=True)
    finite("step", step := parameter(spec, "step"), positive=True)
    gram, moment = sums(history)
    index = (2 * np.arange(history.steps) + 1)[:, None]
    weights = np.zeros_like(moment)
    for _ in range(checks.whole("iterations", parameter(spec, "iterations"))):
        ahead = weights - step / index * (np.einsum("tij,tj->ti", gram, weights) - moment)
        weights = np.sign(ahead) * np.maximum(np.abs(ahead) - step * penalty, 0.0)
    return weights


def lasso_objective(spec: Any, history: BanditHistory, weights: Float[np.ndarray, " dim"]) -> float:
    """F before the last decision."""
    residual = history.chosen @ weights - history.rewards
    return float(residual @ residual / (4 * history.steps - 2) + spec.penalty * np.abs(weights).sum())


def lasso_minimum(
    spec: Any, history: BanditHistory, rounds: int = 2000
) -> tuple[Float[np.ndarray, " dim"], float]:
    """A minimiser of F before the last decision, coordinate by coordinate, and a number that no F(w) is below.

    The latter is the dual objective (1/2i)(‖y‖² − ‖y − θ‖²) at θ, a multiple of y − Xw with |⟨x, θ⟩| ≤ λi for every column.
    """
    x, y, index = history.chosen, history.rewards, 2 * history.steps - 1
    weights, squares = np.zeros(x.shape[1]), (x * x).sum(0)
    for _ in range(rounds):
        before = weights.copy()
        for k in np.flatnonzero(squares):
            correlation = x[:, k] @ (y - x @ weights) + squares[k] * weights[k]
            weights[k] = np.sign(correlation) * max(abs(correlation) - spec.penalty * index, 0.0) / squares[k]
        if (weights == before).all():
            break
    residual = y - x @ weights
    theta = residual * min(1.0, spec.penalty * index / max(np.abs(x.T @ residual).max(initial=0.0), 1e-300))
    return weights, float((y @ y - (y - theta) @ (y - theta)) / (2 * index))
