"""How fast descent on ridge problems converges, plain, accelerated and Chebyshev's, with weights as float64 holds them.

The problem at token i is A_i x = y, A_i = λI + Σ a_j a_jᵀ over j ≤ i, and steps go along −∇ of (1/i)(½ xᵀA_i x − yᵀx) from
x = 0. The error after k steps is e_k(ηA_i/i) x* for the polynomial e_0 = 1, e_1 = 1 − x, e_{k+1} = (1 − x)(e_k +
β(e_k − e_{k−1})), and ηA_i/i has its eigenvalues in [1/κ, 1]. Write q = 1 − x.

- Plain descent (β = 0): |e_k| = q^k.
- Accelerated: the roots of z² − (1+β)q z + βq are ρe^{±iθ}, ρ = √(βq), cos θ = (1+β)√q/(2√β), real only at x ≤ 1/κ. So
  e_k = ρ^k (cos kθ + c sin kθ / sin θ) with c = (1−β)q/(2ρ), and |e_k| ≤ ρ^k (1 + c·min(k, 1/sin θ)).

Both bounds fall with x (ρ, c and 1/sin θ do), so the worst case is x = 1/κ, where they are exact: ε_k = (1 − 1/κ)^k, and
(1 − κ^{-1/2})^k (1 + k κ^{-1/2}) with momentum. The paper uses √(1+κ) e^{−k/(2√κ)}: half the rate.

- Chebyshev: with σ = (κ+1)/(κ−1), g = (√κ−1)/(√κ+1) and 2σ = g + 1/g, let e_k(x) = T_k(t)/T_k(σ), where t = σ − (σ+1)x runs
  through [−1, 1] as x does through [1/κ, 1], and t = σ at x = 0. From T_{k+1} = 2tT_k − T_{k−1},
  e_{k+1} = e_k − (1+β_k)(1+1/σ) x e_k + β_k(e_k − e_{k−1}), 1 + β_k = 2σT_k(σ)/T_{k+1}(σ). As T_k(σ) = (g^k + g^{−k})/2,
  β_k = (g² + g^{2k})/(1 + g^{2k+2}) and η_{k+1} = (1+β_k)(1+1/σ)η; the first step has β_0 = 0. |e_k| ≤ ε_k = 1/T_k(σ) =
  2g^k/(1 + g^{2k}), with equality at both ends and k − 1 times in between, signs alternating. No polynomial p of degree k
  with p(0) = 1 does better: if |p| < ε_k on [1/κ, 1], e_k − p would have a zero between any two of these k + 1 points and
  another at 0, k + 1 in all. So no method that moves along sums of earlier gradients, with steps chosen in advance, has a
  smaller worst case; and g^k ≈ e^{−2k/√κ} against e^{−k/√κ}: half the layers.

**Weights in float64.** Rounding leaves η and β, whatever they have become, and ηλ, which is η times another ridge λ'. η is
rounded down, so that x ≤ 1, and β up, so that the roots stay complex. The two bounds above hold for any such η and β, and
are taken in balls at x = 1/κ, κ = 2T/(ηλ'). Only the limit is another, (A + (λ' − λ)I)⁻¹y, whose relative distance from
A⁻¹y is at most |λ' − λ|/λ' ≤ 2u, u the unit roundoff. For Chebyshev all follows from g, rounded up, which makes the interval
longer; each layer rounds its η_k and β_k by at most 10u and 8u, so that a step is off by d ≤ 48u(|e_j| + |e_{j−1}|). n steps
later that is 2(n + 1)gⁿd at most, and with |e_j| ≤ 2Bg^j, B = 1 + 288u(k²/g)B: |e_k| ≤ ε_k + 2g^k p/(1 − p), p = 288uk²/g.
The ridge of each layer being off by u adds 4u · 2T/(iκ) a step, at token i, in all 8uT(1 + 1/κ).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from flint import arb

from constructions.checks import UNIT
from constructions.rounding.outward import above, balls, below, nearest

Solver = Literal["gd", "agd", "chebyshev"]

DEEP = 10_000
"""This many layers and 16κ leave no more than rounding does, whatever the method."""

ROUNDED = 4 * UNIT
"""Relative distance of the limit from the solution, as ηλ is rounded, and of its error with it."""

CELLS = 256
"""Of the grid on which rewards are bounded."""


@dataclass(frozen=True)
class Descent:
    """A descent method on every ridge problem that a history within the norm bounds can pose.

    Attributes:
        solver: "gd", "agd" or "chebyshev".
        ridge: λ.
        action_max: B_a.
        horizon: T; tokens run to 2T, of which at most T hold an action.

    >>> round(Descent("agd", ridge=1.0, action_max=2.0, horizon=10).residual(40), 6)
    0.073904
    """

    solver: Solver
    ridge: float
    action_max: float
    horizon: int

    @property
    def step_size(self) -> float:
        """η = 1/(B_a² + λ), rounded down."""
        return below(1 / (arb(self.action_max) ** 2 + self.ridge))

    @property
    def condition(self) -> float:
        """κ = 2T/(ηλ) = 2T(B_a² + λ)/λ, rounded up."""
        return above(2 * self.horizon / (arb(self.ridge) * self.step_size))

    @property
    def momentum(self) -> float:
        """β, rounded up, 0 for plain gradient descent; for Chebyshev g, the factor that a step gains in the long run."""
        if self.solver == "gd":
            return 0.0
        with balls():
            root = (1 / self.slowest).sqrt()
            return above((root - 1) / (root + 1))

    @property
    def slowest(self) -> arb:
        """1/κ, the least x, of the weights as they are stored."""
        if self.solver == "chebyshev":
            return 1 / arb(self.condition)
        return arb(self.step_size * self.ridge) / (2 * self.horizon)

    def layers(self, depth: int) -> list[tuple[float, float]]:
        """(step, momentum) of each layer.

        >>> method = Descent("chebyshev", ridge=1.0, action_max=1.0, horizon=1)  # κ = 4, g = 1/3
        >>> [(round(step, 4), round(momentum, 4)) for step, momentum in method.layers(3)]
        [(0.8, 0.2195), (0.9756, 0.1233), (0.8986, 0.1125)]
        """
        if self.solver != "chebyshev":
            return [(self.step_size, self.momentum)] * depth
        g, steps = arb(self.momentum), np.arange(1.0, depth + 1)
        momenta = nearest(lambda k: (g * g + g ** (2 * k)) / (1 + g ** (2 * k + 2)), steps).tolist()
        first = self.step_size * 2 / (1 + 1 / self.condition)
        return [(first * (1 + last), now) for last, now in zip([0.0, *momenta], momenta, strict=False)]

    def envelope(self, x: arb, depth: int) -> arb:
        """Bound on |e_depth(x)| for 1/κ ≤ x ≤ 1, falling in x and in depth."""
        q, beta = 1 - x, arb(self.momentum)
        if self.solver == "gd":
            return q**depth
        if self.solver == "chebyshev":
            part = 288 * UNIT * arb(depth) ** 2 / beta
            power = beta**depth
            if not part < 1:
                return arb("inf")
            shifted = 8 * UNIT * self.horizon * (1 + self.slowest)
            return 2 * power / (1 + power**2) + 2 * power * part / (1 - part) + shifted
        radius = (beta * q).sqrt()
        sine = (1 - (1 + beta) ** 2 * q / (4 * beta)).nonnegative_part().sqrt()
        turns = arb(depth) if not sine > 0 else (1 / sine).min(arb(depth))
        return radius**depth + radius ** (depth - 1) * (1 - beta) * q / 2 * turns

    def residual(self, depth: int) -> float:
        """ε_depth = sup |e_depth| over [1/κ, 1], and what rounding of λ adds."""
        with balls():
            return above(self.envelope(self.slowest, depth) + ROUNDED)

    def reward_residual(self, depth: int) -> float:
        """sup_y φ(y) |e_depth(y/κ)|, on a grid: φ rises and the envelope falls, so each cell is bounded by its corners."""
        with balls():
            steps = [1 + (arb(n) / CELLS) ** 2 for n in range(CELLS + 1)]
            bounds = [self.envelope(y * self.slowest, depth) for y in steps]
            worst = bounds[-1]
            for y, bound in zip(steps[1:], bounds[:-1], strict=True):
                worst = worst.max(2 * (y - 1).sqrt() / y * bound)
            return above(worst + ROUNDED)

    @property
    def amplification(self) -> float:
        """What the sum over all later steps makes of a unit error in one: κ, or 1/(1 − √β)² for "agd".

        For Chebyshev an error in the j-th iterate becomes T_j(σ)/T_k(σ) U_{k−j}(t) times itself, at most
        2(k − j + 1)g^{k−j}, in all 2/(1 − g)². Gradient steps are up to (1 + β_k)(1 + 1/σ) ≤ 4 times as long, and so is
        what they round.
        """
        if self.solver == "chebyshev":
            return 8 / (1 - self.momentum) / (1 - self.momentum)
        root = 1 - math.sqrt(self.momentum)
        return 1 / (root * root) if self.solver == "agd" else self.condition
