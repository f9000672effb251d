"""How likely each arm is the best one under a Gaussian: P(k = argmax_j ⟨x_j, z⟩ + y_j), with an error bar.

Along a line in R^d the arms are straight lines in one variable: arm k is the best on an interval, and the normal
measure of the interval is known in closed form. So one direction is integrated out exactly, and only the others
are sampled: by scrambled Sobol points, in several independent replicates, each in a random rotation of its own.
The spread of the replicates gives the error bar.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import ortho_group, qmc, t

from verify.algorithms.common import whole

CONFIDENCE = 0.999
_CELL = 2.0**-30  # Sobol numbers of 30 bits; half a cell more keeps them off 0
_BLOCK = 2**17  # numbers held at a time


@dataclass(frozen=True, eq=False)
class ChoiceProbabilities:
    """Probabilities of every arm, and how far off they may be.

    Attributes:
        log_probabilities: natural logarithm of `probabilities`, −∞ where no line finds the arm; in the exact cases
            computed on its own, and right far below the range of float64.
        probabilities: they sum to 1 over the arms, shape (*batch, arms).
        half_width: of a confidence interval of level 99.9 % around each probability, from Student's t over the
            replicates; 0 in the exact cases, and where all replicates agree.
    """

    log_probabilities: Float[np.ndarray, "*batch arms"]
    probabilities: Float[np.ndarray, "*batch arms"]
    half_width: Float[np.ndarray, "*batch arms"]


def choice_probabilities(
    whitened, mean, *, replicates: int = 32, points: int = 8192, seed: int | np.random.Generator = 0
) -> ChoiceProbabilities:
    """P(k = argmax_j ⟨x_j, z⟩ + y_j) for z ~ N(0, I), for every arm k; equal arms share equally.

    Exact if the differences of the arms lie on one line for reasons of size, that is with two arms or in one
    dimension. Otherwise an estimate, whose error bar speaks of the randomness of the replicates: of a
    probability so small that only a few of the lines find it, both may be too low. With the defaults, ten arms in
    five dimensions take 0.1 seconds a batch member, for half-widths of about 10⁻⁴, rarely more than 5·10⁻⁴.

    Args:
        whitened: x_k, shape (*batch, arms, dim).
        mean: y_k, shape (*batch, arms).
        replicates: independent estimates, at least 2.
        points: lines in each of them, a power of 2.
        seed: of the generator for rotations and scrambling, or the generator.

    Raises:
        ValueError: if the shapes disagree, a number is not finite, or one of the last three is out of range.

    >>> exact = choice_probabilities([[3.0, 4.0], [0.0, 0.0]], [0.0, 1000.0])
    >>> exact.log_probabilities.round(3).tolist(), exact.half_width.tolist()
    ([-20006.217, 0.0], [0.0, 0.0])
    """
    whitened, mean = _checked(whitened, mean)
    whole("replicates", replicates)
    whole("points", points)
    if replicates < 2:
        raise ValueError(f"replicates: wanted at least 2, got {replicates}")
    if points & (points - 1):
        raise ValueError(f"points: wanted a power of 2, got {points}")
    batch, arms = mean.shape[:-1], mean.shape[-1]
    slopes, heights = whitened.reshape(-1, *whitened.shape[-2:]), mean.reshape(-1, arms)
    same = (slopes[:, :, None] == slopes[:, None]).all(-1) & (heights[:, :, None] == heights[:, None])
    heights = np.where(same.argmax(-1) == np.arange(arms), heights, -np.inf)  # one arm stands for its equals
    slopes = _coordinates(slopes)
    if slopes.shape[-1] == 1:
        logs = _log_measure(*_intervals(slopes[..., None, 0], heights[..., None]))[..., 0]
        odds, half = np.exp(logs), np.zeros_like(logs)
    else:
        odds, half = _sampled(slopes, heights, replicates, points, np.random.default_rng(seed))
        with np.errstate(divide="ignore"):
            logs = np.log(odds)
    logs, odds, half = _shared(same, logs, odds, half)
    return ChoiceProbabilities(*(array.reshape(*batch, arms) for array in (logs, odds, half)))


def along_lines(
    whitened: Float[np.ndarray, "batch arms dim"],
    mean: Float[np.ndarray, "batch arms"],
    direction: Float[np.ndarray, " dim"],
    points: Float[np.ndarray, "points dim"],
) -> Float[np.ndarray, "batch arms"]:
    """The mean over points of P(k = argmax_j ⟨x_j, point + s·direction⟩ + y_j) for s ~ N(0, 1): a fixed set of lines.

    >>> x, y = np.array([[[1.0, 0.0], [0.0, 0.0]]]), np.zeros((1, 2))
    >>> along_lines(x, y, np.array([1.0, 0.0]), np.array([[0.0, 5.0]])).tolist()
    [[0.5, 0.5]]
    """
    heights = mean[..., None] + whitened @ points.T
    return _measure(*_intervals((whitened @ direction)[..., None], heights)).mean(axis=-1)


def _checked(whitened, mean) -> tuple[np.ndarray, np.ndarray]:
    whitened, mean = np.asarray(whitened, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    if whitened.ndim < 2 or 0 in whitened.shape:
        raise ValueError(f"whitened: wanted shape (…, arms, dim), none of them 0, got {whitened.shape}")
    if mean.shape != whitened.shape[:-1]:
        raise ValueError(f"mean: wanted shape {whitened.shape[:-1]}, got {mean.shape}")
    for name, array in (("whitened", whitened), ("mean", mean)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: wanted finite numbers, got {array[~np.isfinite(array)][0]}")
    return whitened, mean


def _coordinates(slopes: Float[np.ndarray, "batch arms dim"]) -> Float[np.ndarray, "batch arms rank"]:
    """Arms less the first one, in coordinates of the space that they span: at most arms − 1 of them.

    The policy depends on differences only, and z has the same law in any orthonormal coordinates.
    """
    differences = slopes - slopes[:, :1]
    if 1 < slopes.shape[1] <= slopes.shape[2]:
        _, triangle = np.linalg.qr(differences[:, 1:].mT)
        return np.pad(triangle.mT, ((0, 0), (1, 0), (0, 0)))
    return differences


def _intervals(
    slopes: Float[np.ndarray, "batch arms #points"], heights: Float[np.ndarray, "batch arms points"]
) -> tuple[Float[np.ndarray, "batch arms points"], Float[np.ndarray, "batch arms points"]]:
    """Ends of the interval of s on which each arm's line, height + slope·s, is the highest; empty if low > high.

    Arms go by slope, so of a pair the second is above to the right of their crossing and the first to the left.
    Of parallel lines the crossing is ±∞ and the lower one loses everywhere. It is NaN for two arms whose equals
    have been kept in their place: no interval has such an end.
    """
    order = slopes[..., :1].argsort(axis=1)
    slopes, heights = np.take_along_axis(slopes, order, 1), np.take_along_axis(heights, order, 1)
    slopes, heights = slopes.swapaxes(0, 1), heights.swapaxes(0, 1).copy()
    low, high = np.full_like(heights, -np.inf), np.full_like(heights, np.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for right in range(1, len(heights)):
            crossing = (heights[:right] - heights[right]) / (slopes[right] - slopes[:right])
            np.minimum(high[:right], crossing, out=high[:right])
            crossing.max(axis=0, out=low[right])
    back = order.argsort(axis=1)
    return np.take_along_axis(low.swapaxes(0, 1), back, 1), np.take_along_axis(high.swapaxes(0, 1), back, 1)


def _left(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same intervals, those right of 0 reflected: there the normal distribution function keeps its digits."""
    right = low > 0
    return np.where(right, -high, low), np.where(right, -low, high)


def _measure(
    low: Float[np.ndarray, "*shape"], high: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Φ(high) − Φ(low); 0 for empty intervals, and where rounding would make it less."""
    found = high > low
    left, right = _left(low[found], high[found])
    measure = np.zeros_like(low)
    measure[found] = np.maximum(ndtr(right) - ndtr(left), 0.0)
    return measure


def _log_measure(
    low: Float[np.ndarray, "*shape"], high: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """log(Φ(high) − Φ(low)), −∞ for empty intervals."""
    low, high = _left(low, np.maximum(low, high))
    upper, lower = log_ndtr(high), log_ndtr(low)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = upper + np.log(-np.expm1(lower - upper))
    return np.where(high > low, logs, -np.inf)


def _sampled(
    slopes: Float[np.ndarray, "batch arms rank"],
    heights: Float[np.ndarray, "batch arms"],
    replicates: int,
    points: int,
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, "batch arms"], Float[np.ndarray, "batch arms"]]:
    """Mean over the replicates, and half-width."""
    rank = slopes.shape[-1]
    estimates = np.empty((replicates, *heights.shape))
    block = max(1, _BLOCK // (points * heights.shape[1]))
    for replicate in range(replicates):
        rotated = slopes @ ortho_group.rvs(rank, random_state=generator)
        uniform = qmc.Sobol(rank - 1, bits=30, rng=generator).random(points) + _CELL / 2
        across = ndtri(uniform).T
        for start in range(0, len(heights), block):
            rows = slice(start, start + block)
            lines = heights[rows, :, None] + rotated[rows, :, 1:] @ across
            estimates[replicate, rows] = _measure(*_intervals(rotated[rows, :, :1], lines)).mean(axis=-1)
    spread = estimates.std(axis=0, ddof=1) / np.sqrt(replicates)
    return estimates.mean(axis=0), t.isf((1 - CONFIDENCE) / 2, replicates - 1) * spread


def _shared(same: Bool[np.ndarray, "batch arms arms"], logs, odds, half) -> tuple[np.ndarray, ...]:
    """What belongs to the arm kept for several equal ones, divided among them."""
    kept, count = same.argmax(-1), same.sum(-1)
    logs, odds, half = (np.take_along_axis(array, kept, axis=1) for array in (logs, odds, half))
    return logs - np.log(count), odds / count, half / count
