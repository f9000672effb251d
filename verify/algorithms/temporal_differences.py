"""True policy evaluation: batch temporal differences with linear features, TD(0), TD(λ) and semi-gradient SARSA.

A spec is anything with `features` d, `sweeps` m, a `step` α > 0, a `discount` γ ≥ 0 and a `trace` c ≥ 0. Each arm of a
context is a pair (φ, φ′) in ℝ²ᵈ: what was played is a transition from φ to φ′, and the φ of what is on offer are asked
about.

Source: the update of batch TD in section 4 of arXiv 2405.13861, as its own code has it (`verification/prompt.py` of
github.com/Sequential-Intelligence-Lab/InContextTD); with i = 2n + 1 for the number n of transitions, as attention divides.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks
from constructions.history import BanditHistory
from verify.algorithms.common import before, finite, parameter


def td(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """The values ⟨w, φ_k⟩ before every decision, w after so many sweeps w ← w + (α/i)(b − A w) from w = 0.

    A = Σ e_j (φ_j − γφ′_j)ᵀ and b = Σ r_j e_j over the transitions before, e_j = φ_j + c e_{j−1}.

    Raises:
        ValueError: if a number of the spec is not as above, or contexts do not hold pairs of d and d entries.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(features=1, sweeps=2, step=1.0, discount=0.5, trace=0.0)
    >>> history = BanditHistory([[[1.0, 1.0]], [[1.0, 0.0]]], actions=[0], rewards=[3.0])
    >>> td(spec, history)[:, 0].tolist()  # i = 3: w = 3/3, then 1 + (3 - 1/2)/3
    [0.0, 1.8333333333333333]
    """
    weights = td_weights(spec, history)
    return np.einsum("td,tkd->tk", weights, history.contexts[:, :, : weights.shape[1]])


def td_weights(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps features"]:
    """W before every decision; arguments and errors are those of `td`."""
    now, after = _pairs(spec, history)
    finite("step", step := parameter(spec, "step"), positive=True)
    for name in ("discount", "trace"):
        finite(name, parameter(spec, name), positive=False)
    traces = now.copy()
    for j in range(1, len(traces)):
        traces[j] += spec.trace * traces[j - 1]
    matrix = before(traces[:, :, None] * (now - spec.discount * after)[:, None, :])
    right = before(traces * history.rewards[:, None])
    share = (step / (2 * np.arange(history.steps) + 1))[:, None]
    weights = np.zeros_like(right)
    for _ in range(checks.whole("sweeps", parameter(spec, "sweeps"))):
        weights = weights + share * (right - np.einsum("tij,tj->ti", matrix, weights))
    return weights


def _pairs(spec: Any, history: BanditHistory) -> tuple[np.ndarray, np.ndarray]:
    """φ and φ′ of what was played."""
    checks.instance("history", history, BanditHistory)
    features, entries = checks.whole("features", parameter(spec, "features")), history.contexts.shape[2]
    if entries != 2 * features:
        raise ValueError(
            f"contexts: wanted pairs of {features} and {features} features, got vectors of {entries}"
        )
    return history.chosen[:, :features], history.chosen[:, features:]
