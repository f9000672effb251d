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
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ellipj, ellipkm1

MOST_POLES = 1000


@dataclass(frozen=True, eq=False)
class Rational:
    """constant + Σ_j weights_j/(shifts_j + g), close to a root of λ̃ + g.

    Attributes:
        constant: 0 where there is none.
        weights, shifts: one a pole.
        error: bound on the relative error for 0 ≤ g ≤ S − λ̃.
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
    if not 0 < ridge < largest or count < 1:
        raise ValueError(
            f"poles: wanted 0 < ridge < largest and at least one, got {ridge:g}, {largest:g}, {count}"
        )
    return {"pade": _pade, "zolotarev": _zolotarev}[kind](ridge, largest, count)


def _fewest(kind: str, ridge: float, largest: float, error: float) -> Rational:
    if not 1e-13 <= error < 1:
        raise ValueError(f"{kind}: wanted 1e-13 <= error < 1, got {error:g}")
    for count in range(1, MOST_POLES):
        rule = with_poles(kind, ridge, largest, count)
        if rule.error <= error:
            return rule
    raise ValueError(
        f"{kind}: wanted an error within reach of {MOST_POLES} poles, got {error:g} at κ = {largest / ridge:g}"
    )


def _pade(ridge: float, largest: float, count: int) -> Rational:
    ratio = (largest / ridge) ** 0.25
    power = ((ratio - 1) / (ratio + 1)) ** (2 * count + 1)
    middle, angle = math.sqrt(ridge * largest), np.arange(1, count + 1) * math.pi / (2 * count + 1)
    a, b = 2 / (2 * count + 1) * np.sin(angle) ** 2, np.cos(angle) ** 2
    root, shifts = math.sqrt(middle), ridge + middle * (1 - b) / b
    return Rational(root * (1 + 2 * count), -root * a * middle / b**2, shifts, 2 * power / (1 - power))


def _zolotarev(ridge: float, largest: float, count: int) -> Rational:
    points = np.arange(2 * count + 1) * ellipkm1(ridge / largest) / (2 * count)
    sn, cn, dn, _ = ellipj(points, 1 - ridge / largest)
    dn[-1] = math.sqrt(ridge / largest)  # at K, where cn is 0
    c = (sn[1:-1] / cn[1:-1]) ** 2  # c_1 … c_{2m−1}: the odd ones are poles
    poles, zeros, at = c[0::2], c[1::2], 1 / dn**2
    weights = np.array([np.prod(zeros - p) / np.prod(np.delete(poles, n) - p) for n, p in enumerate(poles)])
    sizes = np.sqrt(at) * (weights / (at[:, None] + poles)).sum(-1)
    high, low = float(sizes.max()), float(sizes.min())
    weights *= 2 / (high + low) * math.sqrt(ridge)
    room = 1 + 1e-6  # for rounding in the points
    return Rational(0.0, weights, ridge * (1 + poles), (high - low) / (high + low) * room + 1e-14)
