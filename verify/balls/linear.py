"""The true algorithms for linear bandits in balls, straight from their definitions.

Σ_t = λ̃I + Σ_{j<t} a_j a_jᵀ and b_t = Σ_{j<t} r_j a_j throughout; LinUCB's λ̃ is λ, that of Thompson sampling r/λ.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import mpmath
import numpy as np
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from constructions.history import BanditHistory
from constructions.thompson.nodes import NodeRule
from constructions.thompson.spec import FLOOR
from verify.balls.arrays import Balls, ImpreciseError, balls, log_softmax, relu


def linucb(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Log-probabilities of soft LinUCB, the softmax of (⟨a_k, Σ⁻¹b⟩ + α √(a_kᵀΣ⁻¹a_k))/τ."""
    scores = partial(_scores, spec)
    return log_softmax(_at(history, arb(spec.ridge), steps, scores))


def _scores(spec: Any, gram: arb_mat, moment: arb_mat, arms: arb_mat) -> list[arb]:
    """Scores over the temperature."""
    mean, spread = arms * gram.solve(moment), arms * gram.solve(arms.transpose())
    return [
        (mean[k, 0] + arb(spec.exploration) * spread[k, k].sqrt()) / arb(spec.temperature)
        for k in range(arms.nrows())
    ]


def forgetting_linucb(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Log-probabilities of soft LinUCB on a past that is forgotten by a window, or weighted by a discount."""
    dim, root = history.contexts.shape[2], arb(1 if spec.discount is None else spec.discount).sqrt()
    found = np.empty((len(steps), history.contexts.shape[1]), dtype=object)
    for n, step in enumerate(steps):
        past = range(max(0, step - (spec.window or step)), step)
        scales = [root ** (step - 1 - s) for s in past]  # √f, on actions and on rewards
        played, paid = history.chosen[past.start : step], history.rewards[past.start : step]
        scaled = [x * scale for row, scale in zip(played.tolist(), scales, strict=True) for x in row]
        rows = arb_mat(len(past), dim, scaled)
        right = arb_mat(len(past), 1, [x * scale for x, scale in zip(paid.tolist(), scales, strict=True)])
        gram = _diagonal(arb(spec.ridge), dim) + rows.transpose() * rows
        found[n] = _scores(spec, gram, rows.transpose() * right, arb_mat(history.contexts[step].tolist()))
    return log_softmax(found)


def ridge(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """The ridge estimate Σ⁻¹b, shape (steps, dim)."""
    sums = _sums(history, arb(spec.ridge), steps)
    return np.array([gram.solve(moment).entries() for gram, moment in sums], dtype=object)


def ridge_predictions(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Predictions ⟨Σ⁻¹b, x_k⟩ of what is on offer."""
    sums = _sums(history, arb(spec.ridge), steps)
    solved = (gram.solve(moment) for gram, moment in sums)
    asked = (arb_mat(history.contexts[step].tolist()) for step in steps)
    return np.array([(x * w).entries() for x, w in zip(asked, solved, strict=True)], dtype=object)


def validated(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Ridge predictions with the penalty that is chosen on held-out pairs, from the weights of the selection one by one."""
    found, zero, one = [], arb(0), arb(1)
    for now in steps:
        trained = min(now, spec.training)
        sums = [next(_sums(history, arb(penalty), [trained])) for penalty in spec.penalties]
        seen = [gram.solve(moment) for gram, moment in sums]
        losses = [zero] * len(seen)
        for j in range(trained, now):
            x = arb_mat([history.chosen[j].tolist()])
            off = [(x * weights)[0, 0] - arb(float(history.rewards[j])) for weights in seen]
            losses = [loss + one_off**2 for loss, one_off in zip(losses, off, strict=True)]
        excess = [sum((_positive(a - b) for b in losses), zero) for a in losses]
        rest, left, chosen = one, one, seen[0] * 0
        for weights, over in zip(seen, excess, strict=True):
            rest = rest - _positive(1 - spec.slope * over)
            chosen, left = chosen + weights * (left - _positive(rest)), _positive(rest)
        found.append((arb_mat(history.contexts[now].tolist()) * chosen).entries())
    return np.array(found, dtype=object)


def binary(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """The sum of the distances of responses from {0, 1}, and 1 − slope times that, if it is > 0."""
    away = [abs(y).min(abs(y - 1)) for y in map(arb, history.rewards.tolist())]
    sums = [sum(away[:step], arb(0)) for step in steps]
    return np.array([[total, _positive(1 - spec.slope * total)] for total in sums], dtype=object)


def _positive(x: arb) -> arb:
    """relu(x)."""
    return x.max(arb(0))


def thompson(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Log-probabilities of linear Thompson sampling with two arms; along the spec's own lines with more.

    Of form "sampling", the scores ⟨a_k, Σ⁻¹b + √r Σ⁻¹ᐟ² z⟩ for the draws z of the history. Along lines a probability that
    balls cannot tell from 0 counts as 0 if it is below FLOOR: one that is 0 never can be told.
    """
    ridge, noise = arb(spec.noise_variance) / arb(spec.prior_variance), arb(spec.noise_variance)
    if spec.form == "sampling":
        if history.draws is None:
            raise ValueError("draws: wanted a standard normal vector at each step, got None")
        draws = iter([arb_mat([[x] for x in history.draws[step].tolist()]) for step in steps])

        def rows(gram: arb_mat, moment: arb_mat, arms: arb_mat) -> list[arb]:
            sample = gram.solve(moment) + inverse_root(gram, ridge) * next(draws) * noise.sqrt()
            return (arms * sample).entries()

    elif spec.actions == 2:

        def rows(gram: arb_mat, moment: arb_mat, arms: arb_mat) -> list[arb]:
            apart = arb_mat([[arms[0, n] - arms[1, n] for n in range(arms.ncols())]])
            gap = (apart * gram.solve(moment))[0, 0]
            spread = (apart * gram.solve(apart.transpose()))[0, 0]
            if not spread > 0:
                raise ValueError("contexts: wanted two different arms, got the same vector twice")
            ratio = gap / (noise * spread).sqrt()
            return [log_normal(ratio), log_normal(-ratio)]

    else:
        along = _Lines(NodeRule.of(spec))

        def rows(gram: arb_mat, moment: arb_mat, arms: arb_mat) -> list[arb]:
            white = arms * inverse_root(gram, ridge) * noise.sqrt()
            odds = along(white, arms * gram.solve(moment))
            return [p.log() if p > 0 else arb.neg_inf() if p < FLOOR else arb.nan() for p in odds]

    return _at(history, ridge, steps, rows)


def lasso(spec: Any, history: BanditHistory, steps: Sequence[int]) -> Balls:
    """Predictions of proximal gradient steps on the Lasso, one past pair after the other."""
    played, rewards, asked = balls(history.chosen), balls(history.rewards), balls(history.contexts)
    step, found = arb(spec.step), []
    threshold = step * arb(spec.penalty)
    for now in steps:
        weights = balls(np.zeros(history.contexts.shape[2]))
        for _ in range(spec.iterations):
            moved = sum(((rewards[j] - played[j] @ weights) * played[j] for j in range(now)), 0 * weights)
            ahead = weights + moved * (step / (2 * now + 1))
            weights = relu(ahead - threshold) - relu(-ahead - threshold)
        found.append(asked[now] @ weights)
    return np.array(found, dtype=object)


def log_normal(x: arb) -> arb:
    """Log Φ(x), with all digits however far out."""
    return (-_normal(-x)).log1p() if x > 0 else _normal(x).log()


def inverse_root(matrix: arb_mat, least: arb) -> arb_mat:
    """Σ⁻¹ᐟ² of a symmetric matrix with no eigenvalue below `least`.

    X = Q Λ⁻¹ᐟ² Qᵀ by mpmath's eigenvectors of the midpoint, made symmetric, is the root of the inverse of Y = X⁻², if it is
    positive definite; and ‖Σ⁻¹ᐟ² − Y⁻¹ᐟ²‖ ≤ ½ m⁻³ᐟ² ‖Σ − Y‖ if neither has an eigenvalue below m, as

        Σ⁻¹ᐟ² − Y⁻¹ᐟ² = (1/π) ∫₀^∞ s⁻¹ᐟ² (Σ + s)⁻¹ (Y − Σ) (Y + s)⁻¹ ds.
    """
    dim = matrix.nrows()
    with mpmath.workprec(ctx.prec + 32):
        entries = [[mpmath.mpf(matrix[i, j]._mpf_) for j in range(dim)] for i in range(dim)]
        values, vectors = mpmath.eigsy(mpmath.matrix(entries))
        if min(values) <= 0:
            raise ImpreciseError("inverse root: wanted positive eigenvalues, got others")
        found = vectors * mpmath.diag([1 / mpmath.sqrt(value) for value in values]) * vectors.T
        root = arb_mat([[arb(found[max(i, j), min(i, j)]) for j in range(dim)] for i in range(dim)]).mid()
    minors = [arb_mat([[root[i, j] for j in range(n)] for i in range(n)]).det() for n in range(1, dim + 1)]
    other = (root * root).inv()
    apart = _norm(matrix - other)
    smallest = least - apart
    if not (all(minor > 0 for minor in minors) and smallest > 0):
        raise ImpreciseError("inverse root: wanted a positive definite root close enough, got another")
    room = apart * smallest ** arb(-1.5) / 2
    error = arb(0, room.upper())
    return arb_mat([[root[i, j] + error for j in range(dim)] for i in range(dim)])


def _norm(matrix: arb_mat) -> arb:
    """Frobenius norm."""
    return sum((x * x for x in matrix.entries()), start=arb(0)).nonnegative_part().sqrt()


def _at(
    history: BanditHistory,
    ridge: arb,
    steps: Sequence[int],
    rows: Callable[[arb_mat, arb_mat, arb_mat], list[arb]],
) -> Balls:
    """What `rows` makes of Σ_t, b_t and the arms on offer, at some steps."""
    found = np.empty((len(steps), history.contexts.shape[1]), dtype=object)
    for n, (step, (gram, moment)) in enumerate(zip(steps, _sums(history, ridge, steps), strict=True)):
        found[n] = rows(gram, moment, arb_mat(history.contexts[step].tolist()))
    return found


def _sums(history: BanditHistory, ridge: arb, steps: Sequence[int]) -> Iterator[tuple[arb_mat, arb_mat]]:
    """Σ_t and b_t at some steps."""
    dim = history.contexts.shape[2]
    gram, moment = _diagonal(ridge, dim), arb_mat(dim, 1)
    taken, kept = 0, {}
    for step in sorted(set(steps)):
        if step > taken:
            played = arb_mat(history.chosen[taken:step].tolist()).transpose()
            rewards = arb_mat([[x] for x in history.rewards[taken:step].tolist()])
            gram, moment, taken = gram + played * played.transpose(), moment + played * rewards, step
        kept[step] = gram, moment
    return (kept[step] for step in steps)


def _diagonal(ridge: arb, dim: int) -> arb_mat:
    """λI."""
    return arb_mat([[ridge * (i == j) for j in range(dim)] for i in range(dim)])


class _Lines:
    """The mean over lines of the exact probabilities along them."""

    def __init__(self, rule: NodeRule):
        self.direction = arb_mat([[x] for x in rule.direction.tolist()])
        self.basis, self.nodes = _matrix(rule.basis), _matrix(rule.nodes).transpose()

    def __call__(self, white: arb_mat, mean: arb_mat) -> list[arb]:
        """From the whitened arms x_k and their means y_k: for each arm the mean of [Φ(high) − Φ(low)]₊."""
        arms, nodes = white.nrows(), self.nodes.ncols()
        slopes = (white * self.direction).entries()
        across = white * self.basis * self.nodes
        heights = np.array(across.entries(), dtype=object).reshape(arms, nodes)
        heights = heights + np.array(mean.entries(), dtype=object)[:, None]
        found = []
        for k in range(arms):
            low, high = [], []
            for j in range(arms):
                if j == k:
                    continue
                gap = slopes[k] - slopes[j]
                if not (gap > 0 or gap < 0):
                    raise ImpreciseError("lines: wanted arms whose order along the direction is certain")
                (low if gap > 0 else high).append((heights[j] - heights[k]) / gap)
            ends = [_extreme(low, arb.max, nodes), _extreme(high, arb.min, nodes)]
            found.append(sum(map(_measure, *ends), start=arb(0)) / nodes)
        return found


def _extreme(rows: list[Balls], pick: Callable[[arb, arb], arb], nodes: int) -> list[arb | None]:
    """The largest or smallest of some rows, entry by entry; None if there are no rows."""
    if not rows:
        return [None] * nodes
    found = rows[0]
    for row in rows[1:]:
        found = np.frompyfunc(pick, 2, 1)(found, row)
    return list(found)


def _measure(low: arb | None, high: arb | None) -> arb:
    """[Φ(high) − Φ(low)]₊, with None for −∞ and ∞; right of 0 by the other tail, which keeps its digits."""
    if low is None or high is None:
        return _normal(high) if high is not None else _normal(-low) if low is not None else arb(1)
    gap = _normal(-low) - _normal(-high) if low > 0 else _normal(high) - _normal(low)
    return gap.nonnegative_part()


def _normal(x: arb) -> arb:
    """Φ(x)."""
    return (-x / arb(2).sqrt()).erfc() / 2


def _matrix(values: Float[np.ndarray, "rows columns"]) -> arb_mat:
    """Numbers of float64 as a matrix; it may have no column."""
    rows, columns = values.shape
    return arb_mat(rows, columns, values.ravel().tolist())
