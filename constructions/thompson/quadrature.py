"""Integrals over [0, 1] from values at Gauss–Legendre nodes, of densities and products of distribution functions.

**Rule.** With nodes u_g and weights w_g, Σ_g w_g h(u_g) = ∫ h for polynomials of degree up to 2G − 1. The matrix D takes
values at the nodes to ∫_0^{u_g} of the polynomial of degree G − 1 through them. D_gh/w_h is the value at u_h of the
projection of [u ≤ u_g] on such polynomials: in about [−0.09, 1.09], after Gibbs, and

    Σ_h |D_gh| ≤ √(Σ_h D_gh²/w_h) ≤ √u_g ≤ 1.

**Higher degrees.** The density f of Beta(s + 1, n − s + 1) has degree n, but hardly any part of degree far beyond √n. On the
Bernstein ellipse E_ρ, image of Im θ = log ρ under u = (1 + cos θ)/2, |u| + |1 − u| = cosh(log ρ) =: c, so that

    |f| ≤ (n + 1) cⁿ,      |F| ≤ (1 + c)/2 · (n + 1) cⁿ      for F(u) = ∫_0^u f, along a straight line.

A polynomial that is at most M on E_ρ has Chebyshev coefficients |c_m| ≤ 2Mρ^{−m}; those beyond degree m sum up to at most
2Mρ^{−m}/(ρ − 1) =: tail. Then Gauss errs by at most 2·tail with m = 2G − 1, and D by 2·tail with m = G − 1. Where m² ≫ n the
tail is about exp(−m²/(2n)): G = O(√(n log(1/error))) nodes.

Nodes, weights and D are computed in float64, to some 10⁻¹⁴; bounds take them as exact.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.polynomial import legendre


@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes, and what integrates values at them.

    Attributes:
        nodes: u_g in (0, 1).
        weights: w_g > 0.
        partial: D, row g integrates from 0 to u_g.
        partial_error: bound on |Σ_h D_gh f(u_h) − F(u_g)| for every posterior density f.
        whole_error: bound on the Gauss error for f_k Π_{j≠k} (F_j + η), 0 ≤ η ≤ 1, whatever the posteriors.
    """

    nodes: Float[np.ndarray, " nodes"]
    weights: Float[np.ndarray, " nodes"]
    partial: Float[np.ndarray, "nodes nodes"]
    partial_error: float
    whole_error: float

    def spread(self, sign: float, relative: float, absolute: float) -> float:
        """Largest increase (sign 1) or decrease (−1) of D f by values up to (1 + relative)f + absolute instead of f."""
        part = np.maximum(sign * self.partial, 0.0)
        mass = 1 + self.whole_error  # Σ_g w_g f(u_g)
        return float((relative * mass * (part / self.weights).max(1) + absolute * part.sum(1)).max())


def rule(actions: int, horizon: int, error: float) -> Rule:
    """The rule with the fewest nodes that errs by at most `error` in either way, for all counts of less than `horizon`.

    >>> rule(5, 200, 1e-6).nodes.size, rule(2, 4, 1e-6).nodes.size, rule(2, 4, 1e-6).whole_error
    (91, 4, 0.0)
    """
    count = next(n for n in range(1, horizon + actions) if max(defects(actions, horizon, n)) <= error)
    nodes, weights, partial = _gauss(count)
    return Rule(nodes, weights, partial, *defects(actions, horizon, count))


def defects(actions: int, horizon: int, nodes: int) -> tuple[float, float]:
    """The bounds `partial_error` and `whole_error` for so many nodes."""
    degree, log_rho = horizon - 1, np.linspace(0, 3, 601)[1:]
    swell = np.log(np.cosh(log_rho))

    def tail(degree: int, kept: int, growth: Float[np.ndarray, " grid"]) -> float:
        if degree <= kept:
            return 0.0
        return float(2 * np.exp(np.min(growth - kept * log_rho - np.log(np.expm1(log_rho)))))

    density = np.log(horizon) + degree * swell
    product = actions * np.log(degree / actions + 1) + degree * swell  # Π (n_j + 1) is largest for equal n_j
    product = product + (actions - 1) * np.log((3 + np.exp(swell)) / 2)
    inner = tail(degree, nodes - 1, density)
    return 2 * inner, 2 * tail(degree + actions - 1, 2 * nodes - 1, product)


def _gauss(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1], and D by Legendre polynomials: (2m + 1) ∫ P_m = P_{m+1} − P_{m−1}."""
    x, weights = legendre.leggauss(count)
    values, degrees = legendre.legvander(x, count), np.arange(count)
    integrals = np.empty((count, count))
    integrals[:, 0] = x + 1
    integrals[:, 1:] = (values[:, 2:] - values[:, :-2]) / (2 * degrees[1:] + 1)
    partial = integrals @ ((degrees + 0.5)[:, None] * values[:, :-1].T) * weights / 2
    return (1 + x) / 2, weights / 2, partial
