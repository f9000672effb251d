"""The bounds of Theorems 2 to 4 of docs/softmax.md for what they leave open: factors, gates, steps.

Transcribed from that page; nothing here looks at a construction.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsFloat

import sympy
from sympy import exp

from verify.theorems import evaluate
from verify.theorems.newton import REWARD_MAX, STEPS
from verify.theorems.softmax import RATIO

Values = Mapping[str, SupportsFloat]


@dataclass(frozen=True)
class Chosen:
    """What Theorems 2 and 3 leave open.

    Attributes:
        steps: k.
        factors: b_1, …, b_4; b_5 of Theorem 3.
        gates: B of these four, and of Lemma 6; then that of b_5.
        root: ε_√, or δ.
        tail: ε_Φ.
    """

    steps: int
    factors: tuple[float, ...]
    gates: tuple[float, ...]
    root: float
    tail: float = 0.0


@dataclass(frozen=True)
class Pole:
    """One pole of the rule of Theorem 4.

    Attributes:
        weight, shift: w_j and p_j.
        chosen: for this ridge, the fourth product that of the draw.
    """

    weight: float
    shift: float
    chosen: Chosen


def linucb_error(chosen: Chosen, **values: SupportsFloat) -> float:
    """The bound of Theorem 2 for a specification's numbers; infinite where its assumptions do not hold."""
    lam, top, least = (float(values[x]) for x in ("ridge", "action_max", "action_min"))
    found = _left(chosen, lam, top, 1.0, values)
    r = found.relative(lam + evaluate(STEPS, **values) * top**2, least)
    if not (found.holds and r <= 1 / 2):
        return math.inf
    width = top / math.sqrt(lam) * r / (1 + math.sqrt(1 - r)) + chosen.root
    return 2 / float(values["temperature"]) * (found.mean + float(values["exploration"]) * width)


def thompson_error(chosen: Chosen, **values: SupportsFloat) -> float:
    """The bound of Theorem 3 for a specification's numbers; infinite where its assumptions do not hold."""
    top, apart, noise = (float(values[x]) for x in ("action_max", "separation", "noise_variance"))
    lam, theta, digits = noise / float(values["prior_variance"]), evaluate(RATIO, **values), _digits(values)
    found = _left(chosen, lam, 5 / 4, 8 * top / apart, values)
    largest = lam + evaluate(STEPS, **values) * top**2
    r, b, gate, P = found.relative(largest, 4 / 5), chosen.factors[4], chosen.gates[5], 4 * top**2
    told = 2 / 45 * (b * P) ** 4 + _through(b, gate, P, P, digits) / apart**2
    if not (found.holds and r <= 1 / 2 and told <= 1 / 8 and found.share <= 1 / 8):
        return math.inf
    alpha, factor = 5 / 4 * math.sqrt(largest / noise) * found.mean, 1 / math.sqrt(1 - r)
    off = (theta + alpha) * factor * math.exp(chosen.root) - theta
    off += found.share / 2 * math.sqrt(largest / lam) * theta
    off += 25 / 4 * float(_others(chosen.gates[4], digits)) * math.sqrt(largest / noise) * factor * found.held
    return 2 * (chosen.tail + off * (theta + off + math.sqrt(2 / math.pi)))


def sampling_error(chosen: Chosen, rule: Sequence[Pole], near: float, **values: SupportsFloat) -> float:
    """The bound of Theorem 4 for a specification's numbers and a rule within 1 ± `near`; infinite where it says nothing."""
    top, noise, prior, Z = (
        float(values[x]) for x in ("action_max", "noise_variance", "prior_variance", "draw_norm")
    )
    found = _left(chosen, noise / prior, top, 1.0, values)
    if not found.holds:
        return math.inf
    off = found.mean + near * math.sqrt(prior) * top * Z
    for pole in rule:
        left = _left(pole.chosen, pole.shift, Z, 1.0, values)
        if not left.fits:
            return math.inf
        carried = left.spoilt + left.residual + left.share * (1 + left.residual)
        own = Z / (pole.shift * (1 - left.spoilt)) * carried + left.products
        off += math.sqrt(noise) * pole.weight * top * own
    return off


def _digits(values: Mapping[str, SupportsFloat]) -> int:
    return math.ceil(math.log2(2 * float(values["horizon"]) + 1))


def _others(gate: float, digits: int) -> sympy.Expr:
    """θ = (1 + e^{−2B})^m − 1, which no float64 may be small enough for."""
    return sum(math.comb(digits, k) * exp(sympy.Float(-2 * k * gate)) for k in range(1, digits + 1))  # type: ignore


def _through(b: float, gate: float, own: float, across: float, digits: int) -> float:
    """Λ(b, P, P')."""
    return float(12 / b * exp(sympy.Float(2 * b * (own + across))) * _others(gate, digits))


@dataclass(frozen=True)
class _Left:
    """What Theorem 2 leaves for a ridge, of forms of vectors of norm up to `high`.

    Attributes:
        ridge, high: λ, and the norm.
        spoilt: ζ.
        error, residual: e_k, and that with δ_k.
        mean: μ.
        held: a bound on ‖Xm‖, with what products leave.
        share: what shares are off.
        products: what products leave of forms with shares, over the norm.
        fits, small: whether all that the theorem takes for granted holds, but for the mean; and for that.
    """

    ridge: float
    high: float
    spoilt: float = math.nan
    error: float = math.nan
    residual: float = math.nan
    mean: float = math.nan
    held: float = math.nan
    share: float = math.nan
    products: float = math.nan
    fits: bool = False
    small: bool = False

    @property
    def holds(self) -> bool:
        """Whether both hold."""
        return self.fits and self.small

    def relative(self, largest: float, least: float) -> float:
        """What vᵀXv/(i + 1) is off, as a part of it."""
        carried = self.residual - self.error + self.share * (1 + self.residual)
        absolute = self.high**2 / (self.ridge * (1 - self.spoilt)) * carried + self.high * self.products
        return (1 + self.error) / (1 - self.spoilt) - 1 + largest / least**2 * absolute


def _left(chosen: Chosen, lam: float, high: float, times: float, values: Values) -> _Left:
    """The factor of Lemma 6 is `times` as large for vectors of norm `high` as for arms."""
    T, d, top = (float(values[x]) for x in ("horizon", "dim", "action_max"))
    rho, n, N = evaluate(REWARD_MAX, **values), evaluate(STEPS, **values), 2 * T
    digits, W = _digits(values), math.sqrt(n / lam) * rho / 2
    low, upper = lam / (N + 1), (lam + top**2) / 2
    own = (top, 2.0, 2 * W, 2 * high / lam)
    across = (top, 2 * N * (1 + top**2 / lam), 4 * N * top * rho / lam, 4 * high / lam)
    four = list(zip(chosen.factors, chosen.gates, own, across, strict=False))[:4]
    left = [2 / 45 * b**4 * P**5 for b, _, P, _ in four]
    through = [_through(b, gate, P, Q, digits) for b, gate, P, Q in four]
    share = times * float(2 * (N + 1) * _others(chosen.gates[4], digits))
    eta = left[0] / 2 + math.sqrt(d) * through[0]
    zeta = top * eta / low
    if not (zeta <= 1 / 8 and eta <= top / 8):
        return _Left(lam, high)
    omega = (rho + top * W) * eta / (low * (1 - zeta))
    low, upper = low - top * eta, upper + top * eta
    angle = 2 * math.atanh(math.sqrt(low / upper))
    e = [1 / math.cosh(2**j * angle) for j in range(chosen.steps + 1)]
    both, delta, fits = math.sqrt(d) * left[1] + d**1.5 * upper / low * through[1], 0.0, True
    for j in range(1, chosen.steps):
        fits = fits and e[j] + delta <= 1
        delta = (1 + e[j + 1]) * ((2 * e[j] + delta) * delta + (1 + e[j] + delta) * both)
    residual, first = e[-1] + delta, left[2] + d * through[2]
    return _Left(
        lam,
        high,
        spoilt=zeta,
        error=e[-1],
        residual=residual,
        mean=high * (omega + residual * (W + omega) + first),
        held=2 * W + first,
        share=share,
        products=left[3] + d * through[3],
        fits=fits and (1 + residual) * (1 + share) <= 2 * (1 - zeta),
        small=(1 + residual) * (W + omega) <= 2 * W,
    )
