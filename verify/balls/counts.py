"""True algorithms that count or add up, in rationals up to the last logarithm: arms, episodes, losses, transitions."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_poly

from constructions.history import BanditHistory, EpisodeHistory
from verify.algorithms import ucbvi_exact
from verify.balls.arrays import Balls, balls, log_softmax


def bernoulli_thompson(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Log-probabilities of Thompson sampling for Bernoulli arms: ∫ f_k Π_{j≠k} F_j, integrals of polynomials."""
    if not np.isin(history.rewards, (0, 1)).all() or history.contexts.shape[1] != spec.actions:
        raise ValueError(f"history: wanted {spec.actions} arms and rewards 0 or 1, got others")
    found, known = np.empty((len(steps), spec.actions), dtype=object), {}
    for n, step in enumerate(steps):
        played, won = history.actions[:step], history.rewards[:step] == 1
        wins, plays = (np.bincount(part, minlength=spec.actions) for part in (played[won], played))
        pairs = tuple(zip(wins.tolist(), (plays - wins).tolist(), strict=True))
        if pairs not in known:
            known[pairs] = [arb(odds).log() for odds in _odds(pairs)]
        found[n] = known[pairs]
    return found


def _odds(pairs: Sequence[tuple[int, int]]) -> list[fmpq]:
    """The probability of each arm, after so many successes and failures of each."""
    x = fmpq_poly([0, 1])
    densities, shares = [], []
    for wins, losses in pairs:
        kernel = x**wins * (1 - x) ** losses
        whole = kernel.integral()
        densities.append(kernel / whole(1))
        shares.append(whole / whole(1))
    before, after = [fmpq_poly([1])], [fmpq_poly([1])]
    for share in shares[:-1]:
        before.append(before[-1] * share)
    for share in shares[:0:-1]:
        after.append(after[-1] * share)
    products = zip(densities, before, reversed(after), strict=True)
    return [(density * left * right).integral()(1) for density, left, right in products]


def ucbvi(spec: Any, history: EpisodeHistory, steps: Sequence[int]) -> Balls:
    """Log-probabilities of soft UCB-VI, its bonus as float64 holds it."""
    bonus = [Fraction(spec.bonus(n)) for n in range(spec.episodes + 1)]
    values = ucbvi_exact(spec, history, bonus)
    tau = arb(spec.temperature)
    rows = [[arb(fmpq(q.numerator, q.denominator)) / tau for q in values[step]] for step in steps]
    return log_softmax(np.array(rows, dtype=object).reshape(len(steps), -1))


def hedge(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Log-probabilities of Hedge, the softmax of −η Σ losses, its rate as float64 holds it."""
    losses = balls(history.contexts[:, :, 0])
    return log_softmax(np.array([-arb(spec.rate) * losses[: step + 1].sum(axis=0) for step in steps]))


def exp3(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Log-probabilities of EXP3, the softmax of −η Σ loss · weight, all numbers as float64 holds them."""
    losses = balls(history.contexts[:, :, 0]) * balls(history.contexts[:, :, 1])
    return log_softmax(np.array([-arb(spec.rate) * losses[: step + 1].sum(axis=0) for step in steps]))


def td(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Values of batch temporal differences, sweep by sweep and transition by transition; numbers as float64 holds them."""
    played, asked = balls(history.chosen), balls(history.contexts[:, :, : spec.features])
    now, after = played[:, : spec.features], arb(spec.discount) * played[:, spec.features :]
    rewards, found = balls(history.rewards), []
    for step in steps:
        weights = balls(np.zeros(spec.features))
        for _ in range(spec.sweeps):
            moved, trace = balls(np.zeros(spec.features)), balls(np.zeros(spec.features))
            for j in range(step):
                trace = now[j] + arb(spec.trace) * trace
                moved = moved + (rewards[j] + after[j] @ weights - now[j] @ weights) * trace
            weights = weights + moved * (arb(spec.step) / (2 * step + 1))
        found.append(asked[step] @ weights)
    return np.array(found, dtype=object)
