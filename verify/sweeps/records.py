"""Records: what a sweep found, as numbers that can be saved and drawn, and power laws through them.

A record is a dict of strings, numbers, lists and such dicts, so JSON carries it unchanged. `kind` says what was swept,
`spec` holds the fields of the specification; plots.py draws records and never sees the objects they came from.
Where the paper states an order only, an exponent is fitted and the constant it implies reported: a measurement, not a proof.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Real
from scipy import stats

from constructions.construction import Construction
from verify.play.rollout import Rollout

Record = dict[str, Any]
"""JSON values under a `kind`."""


@dataclass(frozen=True)
class Fit:
    """A power law y ≈ constant · x^exponent, by least squares on logarithms.

    Attributes:
        exponent: its estimate.
        low: lower end of its 95 % interval, by Student's t.
        high: upper end.
        constant: the implied constant, in units of y.
        r_squared: the share of the variance of log y that the law explains; 1 if there is none.
    """

    exponent: float
    low: float
    high: float
    constant: float
    r_squared: float


def fit_power(x: Real[np.ndarray, " points"] | Sequence, y: Real[np.ndarray, " points"] | Sequence) -> Fit:
    """The power law through points with positive coordinates.

    Raises:
        ValueError: for fewer than 3 points, unequal lengths, a coordinate that is not finite and positive, or x all equal.

    >>> fit = fit_power([1, 10, 100, 1000], [2, 20, 200, 2000])
    >>> round(fit.exponent, 9), round(fit.constant, 9)
    (1.0, 2.0)
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 3 or len(np.unique(x)) < 2:
        raise ValueError(f"fit_power: wanted 3 or more points at different x, got x = {x}, y = {y}")
    if not all(np.isfinite(values).all() and values.min() > 0 for values in (x, y)):
        raise ValueError(f"fit_power: wanted x and y finite and > 0, got x = {x}, y = {y}")
    across, up = np.log(x) - np.log(x).mean(), np.log(y) - np.log(y).mean()
    exponent, total = across @ up / (across @ across), up @ up
    left, free = ((up - exponent * across) ** 2).sum(), len(x) - 2
    half = stats.t.ppf(0.975, free) * np.sqrt(left / free / (across @ across))
    constant = np.exp(np.log(y).mean() - exponent * np.log(x).mean())
    numbers = (exponent, exponent - half, exponent + half, constant, 1 - left / total if total else 1)
    return Fit(*map(float, numbers))


Runs = Sequence[Rollout]


def regret(
    built: Construction, runs: tuple[Runs, Runs], seeds: Sequence[int], label: str, spec: Record, **more: Any
) -> Record:
    """Cumulative regret of a transformer that acts and of the true algorithm, with the same random numbers.

    Fields: steps; built and true, means over runs, and built_deviation and true_deviation, standard deviations, in units of
    reward; differing, the decisions on which the two differ, out of `decisions`; seeds; layers; label; spec; and more.

    Args:
        built: the transformer.
        runs: its own, and those of the true algorithm, one a seed.
        seeds: of the runs, two or more.
        label: where they were played.
        spec: what a figure says of the spec besides its fields.
        more: further fields.
    """
    totals = np.cumsum([[one.regret, other.regret] for one, other in zip(*runs, strict=True)], axis=-1)
    (own, other), (spread, other_spread) = totals.mean(axis=0).tolist(), totals.std(axis=0, ddof=1).tolist()
    differ = [one.actions != two.actions for one, two in zip(*runs, strict=True)]
    curves = {"built": own, "true": other, "built_deviation": spread, "true_deviation": other_spread}
    counts = {"differing": int(np.sum(differ)), "decisions": int(np.size(differ))}
    played = {"steps": list(range(1, len(own) + 1)), "seeds": list(map(int, seeds)), **curves, **counts}
    what = {"kind": "regret", "spec": plain(built.spec) | spec, "label": label, "layers": built.size().layers}
    return what | played | more


def plain(spec: Any) -> Record:
    """The fields of a specification as JSON values."""
    return {name: list(x) if isinstance(x, tuple) else x for name, x in asdict(spec).items()}


def curve(label: str, x: Sequence, y: Sequence, group: str, look: str = "measured") -> Record:
    """One curve of a panel; points that are 0 or beyond float64 are left out."""
    kept = [(float(a), float(b)) for a, b in zip(x, y, strict=True) if 0 < b < math.inf]
    return {
        "label": label,
        "x": [a for a, _ in kept],
        "y": [b for _, b in kept],
        "group": group,
        "look": look,
    }


def panel(
    title: str, labels: tuple[str, str], curves: list[Record], scales=("log", "log"), legend="best"
) -> Record:
    """A panel of named curves, for plots.curves."""
    places = {"x_label": labels[0], "y_label": labels[1], "x_scale": scales[0], "y_scale": scales[1]}
    return {"kind": "curves", "title": title, **places, "legend": legend, "curves": curves}


@dataclass(frozen=True)
class Grid:
    """How a construction is swept over horizons and errors (grid.py).

    Attributes:
        solvers: the ways to build it.
        spec: from dim, actions, horizon, error and perhaps a solver to a specification.
        planned: layers by the plan of a specification, nothing built.
        stated: layers and heads as the paper's proof counts them.
        source: where they are stated.
    """

    solvers: tuple[str, ...]
    spec: Callable[..., Any]
    planned: Callable[[Any], int]
    stated: Callable[[Any], tuple[float, float]]
    source: str
