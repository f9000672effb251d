"""The panels of a comparison, for plots.draw: regret, suboptimality, distances step by step, and the distribution ratio."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from verify.comparison import ratio
from verify.play.seats import TITLES
from verify.sweeps.records import Record, panel
from verify.sweeps.thompson import FLOOR

LEAST = 1e-12
"""Smaller errors are drawn as this."""


def curve(
    label: str, y: Any, low: Any = None, high: Any = None, look: str = "measured", least: float = 0.0
) -> Record:
    """One curve over the steps; a band's lower edge is cut off at `least`."""
    drawn = {"label": label, "x": list(range(1, len(y) + 1)), "y": list(y), "group": label, "look": look}
    return drawn if low is None else drawn | {"low": np.maximum(low, least).tolist(), "high": list(high)}


def averaged(
    label: str, values: Float[np.ndarray, "runs steps"], look: str = "measured", least: float = -np.inf
) -> Record:
    """The mean over runs with its 95 % band, the lower edge of which is cut off at `least`."""
    mean, half = values.mean(axis=0), 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return curve(label, mean.tolist(), mean - half, (mean + half).tolist(), look, least)


def suboptimality_panel(played: Mapping[str, Float[np.ndarray, "runs steps"]]) -> Record:
    """What each step costs some players, ⟨a* − a_t, w*⟩, on the same problems: the mean over these, with 95 % bands."""
    curves = [averaged(TITLES.get(who, who), regret, _look(who), least=0.0) for who, regret in played.items()]
    title = f"mean and 95 %, {len(next(iter(played.values())))} runs"
    return panel(title, ("step t", "suboptimality (reward)"), curves, ("linear", "linear"), "upper right")


def _look(who: str) -> str:
    """How a player's curve is drawn."""
    return "measured" if who in ("trained", "greedy") else "certified"


def regret_panel(title: str, regret: Mapping[str, Record]) -> Record:
    """Cumulative regret of some players, with bands of one standard deviation."""
    curves = []
    for who, found in regret.items():
        mean, spread = np.array(found["mean"]), np.array(found["deviation"])
        edges = mean - spread, (mean + spread).tolist()
        curves.append(curve(TITLES.get(who, who), mean.tolist(), *edges, _look(who)))
    return panel(title, ("step t", "cumulative regret (reward)"), curves, ("linear", "linear"), "upper left")


def distance_panels(pairs: Mapping[str, Record]) -> list[Record]:
    """Total variation with 95 % bands, and errors of log-probabilities."""
    variation, errors = [], []
    for name, found in pairs.items():
        mean, half = np.array(found["variation"]), np.array(found["variation_half"])
        look = "certified" if name == "trained ↔ built" else "measured"
        variation.append(curve(name, mean.tolist(), mean - half, (mean + half).tolist(), look))
        errors.append(curve(name, np.maximum(found["log_error"], LEAST).tolist(), look=look))
    labels = ("step t", f"max |log p − log q|, or {LEAST:g}")
    scales = ("linear", "linear")
    return [
        panel("total variation, mean and 95 %", ("step t", "½ Σ |p − q|"), variation, scales, "upper right"),
        panel(f"actions of probability ≥ {FLOOR}", labels, errors, ("linear", "log"), "center right"),
    ]


def ratio_panels(ratios: list[ratio.Ratio]) -> list[Record]:
    """The distribution ratio by both ways of mixing."""
    steps, whole = [], []
    for one in ratios:
        by_step = one.mixing == "step"
        values = (one.estimate, one.low, one.high) if by_step else np.exp([one.estimate, one.low, one.high])
        drawn = curve(f"α = {one.share:g}", *(row.tolist() for row in values))
        (steps if by_step else whole).append(drawn)
    scales = ("linear", "linear")
    return [
        panel("a coin at each step, 95 %", ("step t", "log R (nats)"), steps, scales, "upper left"),
        panel("a coin for each trajectory, 95 %", ("step t", "R"), whole, scales, "center right"),
    ]
