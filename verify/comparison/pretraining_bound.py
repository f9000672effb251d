"""The theorem on pretraining beside what was measured: how far it is from saying anything about a model of this size.

The theorem is about transformers without LayerNorm; every number that it asks for is read off the trained weights all the
same, its constant is set to 1 and ε_real to 0, all in its favour.
"""

import math

import numpy as np
import torch
from jaxtyping import Float

from verify import theorems
from verify.theorems import pretraining
from verify.training.model import TrainedTransformer

FAILURE = 0.05
"""δ: the bound holds with probability at least 1 − δ."""
LARGEST = 600.0
"""log R is taken for no more than this, so that R is a float64."""


def norm(model: TrainedTransformer) -> float:
    """The norm of the paper: max over layers of max_m max(‖Q_m‖, ‖K_m‖) + Σ_m ‖V_m‖ + ‖W1‖ + ‖W2‖."""
    return max(_norms(block) for block in model.stored_blocks)


def _norms(block) -> float:
    width, heads = block.query_key_value.shape[1], block.heads
    query, key, value = block.query_key_value.detach().reshape(3, heads, width // heads, width)
    outward = block.output.weight.detach().reshape(width, heads, -1).permute(1, 0, 2)
    sizes = [torch.linalg.matrix_norm(part, 2) for part in (query, key, outward @ value)]
    rest = sum(torch.linalg.matrix_norm(layer.weight.detach(), 2) for layer in (block.first, block.second))
    return float(torch.maximum(sizes[0], sizes[1]).max() + sizes[2].sum() + rest)


def radius(model: TrainedTransformer) -> float:
    """No token is longer after a layer: LayerNorm leaves at most √D · max|gain| + ‖bias‖."""
    norms = [norm for block in model.stored_blocks for norm in (block.after_attention, block.after_mlp)]
    root = math.sqrt(model.shape.width)
    return max(float((root * one.weight.abs().max() + one.bias.norm()).detach()) for one in norms)


def bound(model: TrainedTransformer, horizon: int, trajectories: int, log_ratio: float) -> dict[str, float]:
    """Both sides of the theorem's inequality that do not depend on data, and by which factor it is vacuous.

    Fields: log_covering; distance, the bound on Σ_t E D_H, and distance_trivial, √2·T, which holds of any two policies;
    reward_gap and reward_gap_trivial, T; distance_vacuous and reward_gap_vacuous, the factors of the bounds over the
    trivial ones; trajectories_needed, n at which the bound on the distance were the trivial one, log 𝒩 being kept.
    """
    shape = model.shape
    values = {
        "horizon": horizon,
        "trajectories": trajectories,
        "layers": shape.layers,
        "heads": shape.heads,
        "width": shape.width,
        "hidden": shape.width,
        "norm": norm(model),
        "radius": radius(model),
        "failure": FAILURE,
        "error": 0.0,
        "distribution_ratio": math.exp(min(log_ratio, LARGEST)),
    }
    values["covering_radius"] = theorems.evaluate(pretraining.COVERING_RADIUS, **values)
    values["log_covering"] = theorems.evaluate(pretraining.LOG_COVERING, **values)
    formulas = {
        "distance": pretraining.DISTANCE,
        "distance_trivial": pretraining.TRIVIAL_DISTANCE,
        "reward_gap": pretraining.REWARD_GAP,
        "reward_gap_trivial": pretraining.TRIVIAL_REWARD_GAP,
    }
    found = {name: theorems.evaluate(formula, **values) for name, formula in formulas.items()}
    over = {f"{name}_vacuous": found[name] / found[f"{name}_trivial"] for name in ("distance", "reward_gap")}
    return {
        **{name: values[name] for name in ("log_covering", "norm", "radius", "trajectories", "failure")},
        "log_ratio": log_ratio,
        **found,
        **over,
        "trajectories_needed": trajectories * over["distance_vacuous"] ** 2,
    }


def hellinger(
    one: Float[np.ndarray, "*batch arms"], other: Float[np.ndarray, "*batch arms"]
) -> Float[np.ndarray, "*batch"]:
    """D_H = √(Σ_a (√p − √q)²) of two policies, given by log-probabilities.

    >>> hellinger(np.array([[0.0, -np.inf]]), np.array([[-np.inf, 0.0]])).round(3).tolist()
    [1.414]
    """
    return np.sqrt(((np.exp(one / 2) - np.exp(other / 2)) ** 2).sum(axis=-1))
