"""Square roots of matrices by sums over poles, each a ridge problem that descent can solve.

For Σ = λ̃I + G with eigenvalues s in [λ̃, S], both rules below have the form

    f(Σ) ≈ constant · I + Σ_j weight_j (shift_j I + G)⁻¹,      shift_j ≥ λ̃.

**Padé**, f = √ (the paper's, from Lu 1998). With μ = √(λ̃S), θ_j = jπ/(2m+1), a_j = 2 sin²θ_j/(2m+1), b_j = cos²θ_j, the
paper has √Σ ≈ √μ [I + Σ_j a_j M_j⁻¹(Σ − μI)], M_j = (1 − b_j)μI + b_jΣ. Since M_j = b_j(shift_j I + G) with
shift_j = λ̃ + μ(1 − b_j)/b_j, and b_j(Σ − μI) = M_j − μI, this is

    √μ [(1 + Σ a_j/b_j) I − Σ_j (a_jμ/b_j²)(shift_j I + G)⁻¹],

which needs no vector (Σ − μI)a; and Σ a_j/b_j = 2m. In closed form the sum is √s (1 − q^{2m+1})/(1 + q^{2m+1}) with
q = (√(s/μ) − 1)/(√(s/μ) + 1), so its relative error is at most 2q^{2m+1}/(1 − q^{2m+1}) at the ends, where
q = (κ^{1/4} − 1)/(κ^{1/4} + 1), κ = S/λ̃: m grows as κ^{1/4}.

**Zolotarev**, f = 1/√, the best of all such sums: with c_l = sn²/cn² at lK/(2m), modulus √(1 − 1/κ), the poles are −λ̃c_1,
−λ̃c_3, … and the zeros −λ̃c_2, −λ̃c_4, …; the relative error is largest at s = λ̃/dn² of the same points. m grows as log κ.

**Rounding.** Weights and poles are numbers of float64, and the errors are theirs. Padé: those of the formula, and the
distance of each stored number from it, in balls. Zolotarev: h(s) = √s Σ_j w_j/(s + p_j) has at most 2m − 1 stationary
points, as the numerator of h' has that degree; its derivative certainly changes sign between 2m points, so that there is one
in each gap, and h is enclosed there.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from flint import arb, fmpq
from jaxtyping import Float

from constructions.rounding.outward import above, balls, nearest

MOST_POLES = 1000
ROUNDED = 1e-3
"""Where the formula is so far below an error that is not reached, it is rounding that does not reach it."""
NARROW = 1e-8
"""Stationary points are known within this part of them: what h does there is less than any rounding."""


@dataclass(frozen=True, eq=False)
class Rational:
    """constant + Σ_j weights_j/(shifts_j + g), close to a root of λ̃ + g.

    Attributes:
        constant: 0 where there is none.
        weights, shifts: one a pole.
        error: bound on the relative error for 0 ≤ g ≤ S − λ̃, rounded up.
    """

    constant: float
    weights: Float[np.ndarray, " poles"]
    shifts: Float[np.ndarray, " poles"]
    error: float

    def __call__(self, g: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """The sum, at eigenvalues of G."""
        return self.constant + (self.weights / (self.shifts + np.asarray(g)[..., None])).sum(-1)


def pade(ridge: float, largest: float, error: float) -> Rational:
    """The fewest Padé poles that approach √s within a relative error on [ridge, largest].

    Source: proof of Theorem approx_thompson_linear, step 2, arXiv 2310.08566, written over the poles of the ridge problems.

    >>> rule = pade(2.0, 50.0, 1e-6)
    >>> len(rule.shifts), bool(abs(rule(np.array([14.0]))[0] / 4 - 1) <= rule.error <= 1e-6)
    (8, True)
    """
    return _fewest("pade", ridge, largest, error)


def zolotarev(ridge: float, largest: float, error: float) -> Rational:
    """The fewest poles that can approach 1/√s within a relative error on [ridge, largest].

    Source: ours, in place of step 2; the rule is Zolotarev's of 1877.

    >>> rule = zolotarev(2.0, 50.0, 1e-6)
    >>> len(rule.shifts), bool(abs(rule(np.array([14.0]))[0] * 4 - 1) <= rule.error <= 1e-6)
    (5, True)
    """
    return _fewest("zolotarev", ridge, largest, error)


def with_poles(kind: str, ridge: float, largest: float, count: int) -> Rational:
    """The rule of a kind, "pade" or "zolotarev", with so many poles."""
    _check(ridge, largest, count)
    with balls():
        if kind == "pade":
            rule = _pade(ridge, largest, count)
            return replace(rule, error=above(_pade_error(rule, arb(ridge), arb(largest))))
        rule, gaps = _zolotarev(ridge, largest, count)
        return replace(rule, error=_zolotarev_error(rule, ridge, largest, gaps))


def _check(ridge: float, largest: float, count: int) -> None:
    if not 0 < ridge < largest < math.inf or count < 1:
        raise ValueError(
            f"poles: wanted 0 < ridge < largest and at least one, got {ridge:g}, {largest:g}, {count}"
        )


def _fewest(kind: str, ridge: float, largest: float, error: float) -> Rational:
    if not 1e-13 <= error < 1:
        raise ValueError(f"{kind}: wanted 1e-13 <= error < 1, got {error:g}")
    _check(ridge, largest, 1)
    make = _pade if kind == "pade" else lambda *sizes: _zolotarev(*sizes)[0]
    for count in range(1, MOST_POLES):
        rough = make(ridge, largest, count).error  # by the formula, which costs less
        if rough <= error:
            rule = with_poles(kind, ridge, largest, count)
            if rule.error <= error:
                return rule
            if rough < ROUNDED * error:
                break
    raise ValueError(
        f"{kind}: wanted an error within reach of {MOST_POLES} poles in float64, got {error:g} at κ = {largest / ridge:g}"
    )


def _pade(ridge: float, largest: float, count: int) -> Rational:
    ratio = math.sqrt(math.sqrt(largest / ridge))
    power = nearest(lambda x: x ** (2 * count + 1), (ratio - 1) / (ratio + 1))
    middle, angle = math.sqrt(ridge * largest), np.arange(1, count + 1) * math.pi / (2 * count + 1)
    a, b = 2 / (2 * count + 1) * nearest(arb.sin, angle) ** 2, nearest(arb.cos, angle) ** 2
    root, shifts = math.sqrt(middle), ridge + middle * (1 - b) / b
    return Rational(root * (1 + 2 * count), -root * a * middle / b**2, shifts, 2 * power / (1 - power))


def _pade_error(rule: Rational, ridge: arb, largest: arb) -> arb:
    """Of the formula, at the ends; and Σ_j |stored − meant| of the terms, which are largest at g = 0, over √λ̃."""
    count, middle = len(rule.shifts), (ridge * largest).sqrt()
    ratio = (largest / ridge).root(4)
    power = ((ratio - 1) / (ratio + 1)) ** (2 * count + 1)
    off = abs(arb(rule.constant) - middle.sqrt() * (2 * count + 1))
    for n, (weight, shift) in enumerate(zip(rule.weights.tolist(), rule.shifts.tolist(), strict=True), 1):
        turn = fmpq(n, 2 * count + 1)
        b = arb.cos_pi_fmpq(turn) ** 2
        meant = -middle.sqrt() * 2 * arb.sin_pi_fmpq(turn) ** 2 / (2 * count + 1) * middle / b**2
        pole = ridge + middle * (1 - b) / b
        off += abs(weight - meant) / shift + abs(meant) * abs(pole - shift) / (pole * shift)
    return 2 * power / (1 - power) + off / ridge.sqrt()


def _zolotarev(ridge: float, largest: float, count: int) -> tuple[Rational, list[float]]:
    """The rule, and points between those where its error is largest."""
    cotangents, dn = _jacobi(np.arange(1, 2 * count) / (2 * count), ridge / largest)
    c = 1 / cotangents**2  # c_1 … c_{2m−1}: the odd ones are poles
    poles, zeros = c[0::2], c[1::2]
    at = np.concatenate([[1.0], 1 / dn**2, [largest / ridge]])
    weights = np.array([np.prod((zeros - p) / (np.delete(poles, n) - p)) for n, p in enumerate(poles)])
    sizes = np.sqrt(at) * (weights / (at[:, None] + poles)).sum(-1)
    high, low = float(sizes.max()), float(sizes.min())
    weights *= 2 / (high + low) * math.sqrt(ridge)
    rule = Rational(0.0, weights, ridge * (1 + poles), (high - low) / (high + low))
    return rule, (np.sqrt(at[1:] * at[:-1]) * ridge).tolist()


def _jacobi(parts: Float[np.ndarray, " points"], complement: float):
    """(cn/sn, dn) at parts of K, by Landen's transformation from the complementary parameter, which may be tiny."""
    a, g, means = 1.0, math.sqrt(complement), []
    while True:
        means.append((a, g))
        middle = (a + g) / 2
        if abs(a - g) <= 1e-9 * a:
            break
        a, g = middle, math.sqrt(a * g)
    angle = parts * (math.pi / 2)
    ratio, dn = nearest(arb.cot, angle), np.ones_like(parts)
    c = middle * ratio
    for a, g in reversed(means):
        ratio = ratio * c
        c = c * dn
        dn = (g + ratio) / (a + ratio)
        ratio = c / a
    return c, dn


def _zolotarev_error(rule: Rational, ridge: float, largest: float, gaps: list[float]) -> float:
    """Bound on |h − 1| from λ̃ to S; the 2m − 1 stationary points are sought between the points of `gaps`."""
    terms = [
        (arb(w), arb(p) - ridge) for w, p in zip(rule.weights.tolist(), rule.shifts.tolist(), strict=True)
    ]

    def value(s: arb) -> arb:
        return s.sqrt() * sum((w / (s + p) for w, p in terms), arb(0))

    def slope(s: arb) -> arb:
        """Of h, times s."""
        return s.sqrt() * sum((w / (s + p) / 2 - w * s / (s + p) ** 2 for w, p in terms), arb(0))

    worst = abs(value(arb(ridge)) - 1).max(abs(value(arb(largest)) - 1))
    for low, high in pairwise(gaps):
        first, last = slope(arb(low)), slope(arb(high))
        if not (first > 0 and last < 0) and not (first < 0 and last > 0):
            return math.inf  # as near to 1 as float64 can tell
        while high > low * (1 + NARROW):
            middle = math.sqrt(low * high)
            here = slope(arb(middle))
            if not (here > 0 or here < 0):
                return math.inf
            low, high = (middle, high) if (here > 0) == (first > 0) else (low, middle)
        gap = arb(low).union(arb(high))
        worst = worst.max(abs(value(arb(low)) - 1) + (arb(high) / low).log() * abs(slope(gap)).upper())
    return above(worst)
