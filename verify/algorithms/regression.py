"""True regression from a past of pairs, solved directly.

A spec is anything with `ridge` λ > 0. What was played is x, its reward y.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.history import BanditHistory
from verify.algorithms.common import finite, parameter, sums


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
