"""Along fixed lines: the choices behind the weights of lines.py, and the certificate.

Say that e tells the arms apart if |⟨x_k − x_j, e⟩| ≥ ζ‖x_k − x_j‖ and ≥ δ for every pair. Then, with
ε_w, ε and Θ of posterior.py, Z ≥ ‖n‖ for all nodes and ε_c the relative error of 1/x,

    |b̂ − b| ≤ |b| r + h,   r = (1 + ε_c)/(1 − ε_w/ζ) − 1,   h = (1 + r)(ε_w Z + εΘ)/ζ,
    |p̂_k − P̄_k| ≤ ε_p = 2[ε_Φ + Φ(−C) + r/4 + 2h/5],

as |x|φ(x) ≤ 1/4 and φ ≤ 2/5; max and min are 1-Lipschitz. For every arm with P̄_k ≥ floor, both ways,

    |log TF_k − log P̄_k| ≤ −log(1 − ε_p/floor) + 2ε_log + max(log(1 + A(ε_p + η₁)), −log(1 − Aε_p)).

So much is deterministic. What holds with a probability over direction and nodes, for a history fixed before they are drawn,
is in nodes.py.
"""

import math
from dataclasses import dataclass

import numpy as np
from flint import arb

from constructions import checks, limits
from constructions.primitives import interpolation, stored
from constructions.primitives.interpolation import Interpolant
from constructions.rounding.outward import above, balls, below, nearest, power_of_two
from constructions.thompson import by_newton, posterior
from constructions.thompson.algebra import route
from constructions.thompson.nodes import APART, NEARLY, NodeRule, normal_quantile, resolution
from constructions.thompson.spec import FLOOR, Spec


@dataclass(frozen=True, eq=False)
class LinesPlan:
    """The choices behind the weights.

    Attributes:
        rule: direction and nodes.
        algebra: the linear algebra.
        cut: C.
        inverse: interpolant of 1/x from δ(1 − ε_w/ζ) on.
        normal: interpolant of Φ(x − C)/N on [0, 2C], level beyond.
        logarithm: interpolant of log from η₁ on.
        probability: ε_p.
        error: the certificate.
    """

    rule: NodeRule
    algebra: posterior.PosteriorPlan | by_newton.NewtonPlan
    cut: float
    inverse: Interpolant
    normal: Interpolant
    logarithm: Interpolant
    probability: float
    error: float


def plan(spec: Spec) -> LinesPlan:
    """Shares of the error that leave most of it to Φ, which has neurons for each arm and node."""
    pairs = 2.0 * spec.actions * (spec.actions - 1)  # ends of intervals for each node, from d numbers each
    limits.hold("thompson by lines", weights=(pairs * spec.nodes + spec.dim) * spec.dim)
    rule, arms, wanted = NodeRule.of(spec), spec.actions, float(spec.error or 0) * (1 - 1e-6)
    log_error, cut_off = wanted / 20, float(spec.truncation or 0)

    def whole(probability: float) -> float:
        p, above_one, below_one = map(
            arb, (probability, arms * (arb(probability) + cut_off), arms * arb(probability))
        )
        total = above_one.log1p().max(-(-below_one).log1p())
        return above(-(-p / arb(FLOOR)).log1p() + 2 * arb(log_error) + total)

    if whole(0.0) >= wanted:
        raise ValueError(
            f"truncation: wanted one that leaves room within error = {wanted:g}, got {cut_off:g}"
        )
    low, high = 0.0, min(FLOOR, 0.5 / arms)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if whole(middle) <= wanted else (low, middle)
    budget = low / 2  # for one end of the interval
    cut = -nearest(normal_quantile, 0.02 * budget)
    spread, shift = 0.4 * budget, 0.05 * budget
    theta = posterior.largest_ratio(spec)
    algebra = route(spec).plan(spec, APART * shift / 4 / max(rule.longest, 1.0), APART * shift / 4 / theta)
    apart, nodes = NEARLY * arb(algebra.relative) / APART, len(rule.nodes)
    least = below(resolution(spec) * (1 - apart))  # of slopes as they are computed
    inverse, _ = stored.within(
        lambda aim: interpolation.power(1.0, least, reach(spec), aim), stored.power(1.0), spread
    )
    relative = (1 + arb(spread)) / (1 - apart) - 1
    drift = (1 + relative) * (apart * rule.longest + arb(algebra.residual) * theta / APART)
    normal_error = below(arb(budget) - (cut / arb(2).sqrt()).erfc() / 2 - relative / 4 - 2 * drift / 5)
    share, _ = stored.within(
        lambda aim: interpolation.scaled(normal_interpolant(cut, aim * nodes), 1 / nodes),
        normal(cut).scaled(1 / arb(nodes)),
        below(normal_error / arb(nodes)),
    )
    logarithm, _ = stored.within(
        lambda aim: interpolation.walk(
            lambda x: nearest(arb.log, x), lambda x: -1 / (x * x), cut_off, 1.5, aim
        ),
        stored.LOGARITHM,
        log_error,
    )
    error = whole(low)
    checks.carried(float(spec.error or 0), error)
    return LinesPlan(rule, algebra, cut, inverse, share, logarithm, low, error)


def zone(spec: Spec) -> float:
    """δ₀, a power of two, so that what is divided by it is exact: about a tenth of δ."""
    return power_of_two(resolution(spec) / 10) / 2


def reach(spec: Spec) -> float:
    """Bound on ‖x_j − x_k‖."""
    return 2 * (math.sqrt(spec.prior_variance) * spec.action_norm[1] * (1 + 1e-3))


def normal(cut: float) -> stored.Curve:
    """Φ(x − C) in balls. Its second derivative −tφ(t) is largest at t = ±1, and 0 is a knot."""

    def bend(left: arb, right: arb) -> arb:
        ends = left - cut, right - cut
        near, far = sorted(ends, key=lambda t: abs(t).mid())
        one = near / abs(near) if not near.contains(0) else far / abs(far)
        t = near if abs(near) > 1 else far if abs(far) < 1 else one
        return -t * (-(t**2) / 2).exp() / (2 * arb.pi()).sqrt()

    return stored.Curve(lambda x: ((cut - x) / arb(2).sqrt()).erfc() / 2, bend=bend)


def normal_interpolant(cut: float, error: float) -> Interpolant:
    """Φ(x − cut) on [0, 2 cut] within an error, level beyond: knots from the middle outwards.

    |Φ''(t)| = |t|φ(t) is largest at ±1. The chord leaves Φ by at most h² max |t|φ(t)/8: twice the error, of which the shift
    by ∓error takes half; in the two middle pieces, where the shift begins, by the error alone.

    >>> from scipy.special import ndtr
    >>> f = normal_interpolant(4.0, 1e-3)
    >>> x = np.linspace(0, 9, 9999)
    >>> len(f.slopes), bool(abs(f(x) - ndtr(np.minimum(x, 8) - 4)).max() <= 1e-3)
    (23, True)
    """
    half = [0.0]
    with balls():
        while half[-1] < cut:
            start, allowed = half[-1], error if len(half) == 1 else 2 * error
            low, high = 0.0, cut - start
            for _ in range(60):
                step = (low + high) / 2
                at = min(max(1.0, start), start + step)
                bend = at * nearest(arb.exp, -at * at / 2) / math.sqrt(2 * math.pi)
                low, high = (step, high) if step * step * bend / 8 <= allowed else (low, step)
            half.append(cut if high >= cut - start else start + low)
            if len(half) > interpolation.MOST_KNOTS:
                raise ValueError(
                    f"Φ: wanted an error that {interpolation.MOST_KNOTS:,} knots can reach, got {error:g}"
                )
    right = np.array(half)
    knots = np.concatenate([-right[:0:-1], right])
    values = nearest(normal(0.0).value, knots) + np.sign(knots) * error
    return Interpolant(np.append(knots + cut, 2 * cut + 1), np.append(values, values[-1]))
