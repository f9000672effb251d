"""Sums over the past with a weight for each lag: Σ_{j≤i} f(i − j) v_j.

A score relu(k + j − i) is a ramp in the lag n = i − j, from k down to 0, so P heads add any Σ_p c_p relu(k_p − n): every
function of lags that is piecewise linear, and 0 from the last knot on. The score is i times that, which undoes the 1/i of
attention: query (k i − i², i), key (1, j).

    window     f(n) = ½ relu(2W + 1 − n) − ½ relu(2W − 1 − n) is 1 up to n = 2W − 1 and 0 from 2W + 1 on: two heads, exact
    discount   γ^{(n−1)/2} at odd lags n, a knot each, until it is next to nothing: convex, so that c_p ≥ 0 and f(n) ≥ 0

In a token order of state, action, state, action … the action of s steps before a state token has the lag 2s − 1.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import arb
from jaxtyping import Float, Int

from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step, Units
from constructions.parts.links import Values, held, read, stack
from constructions.parts.stream import Register
from constructions.rounding.outward import above, balls, nearest


@dataclass(frozen=True, eq=False)
class Lags:
    """f(n) = Σ_p c_p relu(k_p − n), for whole lags n ≥ 0.

    Attributes:
        knots: k_p, whole numbers.
        weights: c_p.
        wanted: what f is to be at odd lags 1, 3, …
    """

    knots: Int[np.ndarray, " knots"]
    weights: Float[np.ndarray, " knots"]
    wanted: Float[np.ndarray, " steps"]

    @cached_property
    def exact(self) -> list[arb]:
        """The weight at each lag in balls: Σ c k less n Σ c over the knots k > n, the largest n first."""
        left = sorted(zip(self.knots.tolist(), self.weights.tolist(), strict=True))
        slope, level, found = arb(0), arb(0), []
        with balls():  # numbers cancel
            for lag in reversed(range(2 * len(self.wanted) + 1)):
                while left and left[-1][0] > lag:
                    knot, weight = left.pop()
                    slope, level = slope + weight, level + arb(weight) * knot
                found.append(level - lag * slope)
        return found[::-1]

    @cached_property
    def values(self) -> Float[np.ndarray, " lags"]:
        """The weight at lags 0, 1, … up to two for each of `wanted`, to the nearest number of float64."""
        return np.array([float(ball) for ball in self.exact])

    @cached_property
    def total(self) -> float:
        """Σ f over the past of any token, whose actions lie two lags apart: the larger sum, even lags or odd ones."""
        return max(above(sum(self.exact[start::2], start=arb(0))) for start in (0, 1))

    @property
    def size(self) -> float:
        """Σ |c_p| k_p, what all heads together move at most, of a vector of norm 1."""
        return float(np.abs(self.weights) @ self.knots)


def window(steps: int, horizon: int) -> Lags:
    """1 for the last so many steps, else 0.

    >>> window(2, 4).values
    array([1. , 1. , 1. , 1. , 0.5, 0. , 0. , 0. , 0. ])
    """
    wanted = (np.arange(horizon) < steps).astype(float)
    return Lags(np.array([2 * steps + 1, 2 * steps - 1]), np.array([0.5, -0.5]), wanted)


def discount(factor: float, horizon: int, error: float) -> tuple[Lags, float]:
    """γ^s for the action of s + 1 steps before, 0 < γ < 1, and a bound on what it is off, weights as float64 has them.

    Odd lags are knots until γ^s ≤ error; from there f falls to 0 along a line.

    >>> lags, error = discount(0.5, 100, 1e-3)
    >>> len(lags.knots), error <= 1e-3, lags.values[1::2].round(4)[:4].tolist()
    (11, True, [1.0, 0.5, 0.25, 0.125])
    """
    wanted = nearest(lambda steps: arb(factor) ** steps, np.arange(horizon, dtype=float))
    last = min(int(np.count_nonzero(wanted > error)), horizon - 1)
    tail = math.ceil(-1 / nearest(arb.log, factor)) + 1  # slower than the last chord, so that slopes fall
    places = np.append(np.arange(last + 1), last + tail)
    slopes = np.diff(np.append(wanted[: last + 1], 0.0)) / np.diff(2 * places)
    lags = Lags(2 * places[1:] + 1, np.append(np.diff(slopes), -slopes[-1]), wanted)
    off = [abs(lags.exact[2 * s + 1] - arb(factor) ** s) for s in range(horizon)]
    return lags, max(above(ball) for ball in off)


def equations(
    name: str,
    source: str,
    lags: Lags,
    *,
    outer: Register,
    paid: Register,
    position: Register,
    gram: Register,
    moment: Register,
    ridge: float,
    action_max: float,
    reward_max: float,
) -> Block:
    """The matrix and the right-hand side of the ridge problem whose past is weighted by lags.

    Claim: gram is λI + Σ_{j≤i} f(i − j) outer_j, moment Σ_{j≤i} f(i − j) paid_j.
    Source: theorem ours, docs/drift.md.
    Reads: outer (a aᵀ row by row) and paid (r a), both 0 on tokens without an action; position.  Writes: gram, moment.
    Error: none.
    Cost: 1 layer of a head for each knot, and 1 neuron.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(outer=4, paid=2, gram=4, moment=2, position=3)
    >>> registers = {role: s[role] for role in ("outer", "paid", "position", "gram", "moment")}
    >>> block = equations("A, b", "", window(3, 9), **registers, ridge=1.0, action_max=1.0, reward_max=1.0)
    >>> len(block.steps[0].heads)
    2
    """
    place, dim = Position.of(position), moment.size
    value, key = stack(read(outer), read(paid)), stack(place.one, place.index)
    heads = tuple(
        Head(
            f"lag {knot}",
            stack(float(knot) * place.index - place.square, place.index),
            key,
            weight * value,
            (gram, moment),
        )
        for knot, weight in zip(lags.knots.tolist(), lags.weights.tolist(), strict=True)
    )
    corners = np.arange(dim) * (dim + 1)
    diagonal = Units("diagonal", place.one, ((gram, corners, np.zeros(dim, int), np.full(dim, ridge)),))

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        index = np.rint(held(values, position)[:, 0]).astype(np.int64)
        behind = np.subtract.outer(index, index)
        weights = np.where(behind >= 0, lags.values.take(np.abs(behind)), 0.0)
        summed = weights @ np.concatenate([held(values, outer), held(values, paid)], axis=1)
        summed[:, corners] += ridge
        return summed

    largest = ridge + lags.total * action_max * action_max
    size = math.hypot(largest * math.sqrt(dim), math.sqrt(lags.total * largest) * reward_max)
    moved = lags.size * math.hypot(action_max, reward_max) * action_max * len(lags.wanted)
    own = Bound(0.0, UNIT * 8 * (len(lags.knots) + 2 * len(lags.wanted)) * moved)
    promise = Promise("norm bounds", own, own, 2 * max(size, moved))
    return Block(name, source, (Step(heads, (diagonal,)),), (gram, moment), truth, promise)
