"""The scales of Newton's iterations, and what is left of the error by weights as float64 holds them.

**Scales** are those of exact arithmetic. For the inverse, e_k = 1/T_{2^k}(1/e₀) = 1/cosh(2^k · 2 artanh κ^{-1/2}), and the
scale of step k is 1 + e_k. (The recursion e ← e²/(2 − e²) from e₀ = (S − λ)/(S + λ) is the same number, but loses its digits
where κ = S/λ is large.)

**What is left** is worked out in balls from the weights themselves. A step with weights p, q takes an eigenvalue y to
py − qy²; the largest value on an interval is at p/(2q), the least at an end. So an interval that held all eigenvalues before
the step becomes one that holds all of them after it, whatever rounding has done to p and q. For the inverse root, x ↦
x(p − qx²) in the same way, with the largest value at √(p/(3q)).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from flint import arb

from constructions.rounding.outward import above, balls


@dataclass(frozen=True)
class Inverse:
    """Weights of the iteration for A⁻¹, and bounds on ‖E‖, X = A^{-1/2}(I + E)A^{-1/2}.

    Attributes:
        constant, slope: X_1 = constant · I − slope · A.
        scales: c of each later step, X ← 2cX − cXAX.
        errors: bounds on ‖E‖ after each step, for every spectrum in [λ, S].
    """

    constant: float
    slope: float
    scales: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def error(self) -> float:
        """After the last step."""
        return self.errors[-1]


@dataclass(frozen=True)
class Root:
    """Weights of the coupled iteration for A^{-1/2}, and a bound on ‖E‖, Z = middle · √S A^{-1/2}(I + E).

    Attributes:
        steps: (p, q) of each step, Z ← pZ − qZYZ; in the first, Y = A/S and Z = I.
        middle: what Z tends to, in units of √S A^{-1/2}.
        error: bound on ‖E‖ for every spectrum in [λ, S].
    """

    steps: tuple[tuple[float, float], ...]
    middle: float
    error: float


def inverse_errors(ridge: float, largest: float, steps: int) -> list[float]:
    """e_0, …, e_steps in exact arithmetic, rounded up.

    >>> [round(e, 6) for e in inverse_errors(1.0, 9.0, 3)]
    [0.8, 0.470588, 0.124514, 0.007812]
    """
    with balls():
        angle = 2 * (arb(ridge) / largest).sqrt().atanh() if ridge < largest else arb("inf")
        return [above(1 / (2**step * angle).cosh()) for step in range(steps + 1)]


def inverse(ridge: float, largest: float, steps: int, scaled: bool = True) -> Inverse:
    """The iteration for A⁻¹ with so many steps; without scales it starts at I/S, and all later steps are alike.

    >>> chosen = inverse(1.0, 9.0, 3)
    >>> [round(error, 6) for error in chosen.errors], chosen.error >= 0.0078
    ([0.470588, 0.124514, 0.007812], True)
    >>> [round(error, 6) for error in inverse(1.0, 9.0, 3, scaled=False).errors]  # (1 − 1/9)^{2^k}
    [0.790123, 0.624295, 0.389744]
    """
    scales = [1 + error for error in inverse_errors(ridge, largest, steps)[1:]] if scaled else [1.0] * steps
    start = 2 / (ridge + largest) if scaled else 1 / largest
    constant, slope = 2 * scales[0] * start, scales[0] * start * start
    errors = []
    with balls():
        ends = arb(ridge), arb(largest)
        low, high = _image(ends, [constant * a - slope * a * a for a in ends], arb(constant), arb(slope), 2)
        for scale in scales[1:]:
            errors.append(above((1 - low).max(high - 1)))
            values = [2 * arb(scale) * y - scale * y * y for y in (low, high)]
            low, high = _image((low, high), values, 2 * arb(scale), arb(scale), 2)
        errors.append(above((1 - low).max(high - 1)))
    return Inverse(constant, slope, tuple(scales[1:]), tuple(errors))


def inverses(ridge: float, largest: float) -> Iterator[Inverse]:
    """The iterations of 1, 2, … steps, as long as another one helps: weights in float64 reach no further."""
    last = math.inf
    for steps in count(1):
        chosen = inverse(ridge, largest, steps)
        if steps > 1 and chosen.error >= last and chosen.error < 0.5:
            return
        if steps > most(ridge, largest):
            return
        yield chosen
        last = chosen.error


def most(ridge: float, largest: float) -> int:
    """So many steps bring ‖E‖ down to one rounding in exact arithmetic, and a few more."""
    return 10 + math.ceil(max(0, math.frexp(largest / ridge)[1]) / 2)


def root_scales(ridge: float, largest: float, steps: int) -> list[tuple[float, float, float]]:
    """(a, l, h) after each step in exact arithmetic: its scale, and bounds on the eigenvalues of (ZY)^{1/2}.

    >>> [(round(low, 4), round(high, 4)) for _, low, high in root_scales(1.0, 9.0, 3)]
    [(0.6651, 1.0), (0.9405, 1.0), (0.9986, 1.0)]
    """
    low, high, found = math.sqrt(ridge / largest), 1.0, []
    for _ in range(steps):
        scale = math.sqrt(3 / (high * high + high * low + low * low))
        ends = [x / 2 * (3 - x * x) for x in (scale * low, scale * high)]
        low, high = min(ends), 1.0  # the largest value of x(3 − x²)/2 is 1, at x = 1
        found.append((scale, low, high))
    return found


def root_start(steps: tuple[tuple[float, float], ...], largest: float) -> tuple[float, float, float, float]:
    """Weights of the first step: Z = z₀I − z₁A and Y = y₀A − y₁A²."""
    p, q = steps[0]
    return p, q / largest, p / largest, q / largest / largest


def inverse_root(ridge: float, largest: float, steps: int) -> Root:
    """The coupled iteration for A^{-1/2} with so many steps.

    With Y = (1 + δ(a))ZA/S after the first step, where δ is what rounding leaves, both are multiplied by the same factor in
    every later one: √(ZY) goes to x(p − qx²), and Z √(a/S) = √(ZY)/√(1 + δ).

    >>> f"{inverse_root(1.0, 9.0, 5).error:.1e}"
    '1.0e-13'
    """
    scales = root_scales(ridge, largest, steps)
    weights = tuple((1.5 * a, 0.5 * (a * a * a)) for a, _, _ in scales)
    middle = (1 + scales[-1][1]) / 2
    with balls():
        z0, z1, y0, y1 = map(arb, root_start(weights, largest))
        ends = tuple((arb(x) / largest).sqrt() for x in (ridge, largest))
        low, high = _image(ends, [z0 * x - z1 * largest * x**3 for x in ends], z0, z1 * largest, 3)
        drifts = [((y0 - y1 * a) * largest / (z0 - z1 * a)).sqrt() for a in (arb(ridge), arb(largest))]
        least, most = drifts[0].min(drifts[1]), drifts[0].max(drifts[1])  # √(1 + δ) is monotone in a
        low, high = cubic_steps((low * least, high * most), weights[1:])
        low, high = low / most, high / least
        error = above((1 - low / middle).max(high / middle - 1))
    return Root(weights, middle, error)


def cubic_steps(ends: tuple[arb, arb], weights: Iterable[tuple[float, float]]) -> tuple[arb, arb]:
    """Bounds on what becomes of numbers x between two ends > 0 by steps x ↦ px − qx³."""
    low, high = ends
    for p, q in weights:
        low, high = _image((low, high), [p * x - q * x**3 for x in (low, high)], arb(p), arb(q), 3)
    return low, high


def _image(ends, values, p: arb, q: arb, degree: int) -> tuple[arb, arb]:
    """Bounds on px − qx^degree between two ends, from its values there: concave, so that the least is one of them."""
    at = p / (2 * q) if degree == 2 else (p / (3 * q)).sqrt()
    top = values[0].max(values[1])
    if not (at < ends[0] or at > ends[1]):
        top = top.max(p * at / 2 if degree == 2 else 2 * p * at / 3)
    return values[0].min(values[1]), top
