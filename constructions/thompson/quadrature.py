"""Integrals over [0, 1] from values at Gauss–Legendre nodes, of densities and products of distribution functions.

**Rule.** With nodes u_g and weights w_g, Σ_g w_g h(u_g) = ∫ h for polynomials of degree up to 2G − 1. The matrix D takes
values at the nodes to ∫_0^{u_g} of the polynomial of degree G − 1 through them. D_gh/w_h is the value at u_h of the
projection of [u ≤ u_g] on such polynomials: in about [−0.09, 1.09], after Gibbs, and

    Σ_h |D_gh| ≤ √(Σ_h D_gh²/w_h) ≤ √u_g ≤ 1.

**Higher degrees.** The density f of Beta(s + 1, n − s + 1) has degree n, but hardly any part of degree far beyond √n. On the
Bernstein ellipse E_ρ, image of Im θ = log ρ under u = (1 + cos θ)/2, |u| + |1 − u| = cosh(log ρ) =: c, so that

    |f| ≤ (n + 1) cⁿ,      |F| ≤ (1 + c)/2 · (n + 1) cⁿ      for F(u) = ∫_0^u f, along a straight line,

and |(1 + ρ')F + η| ≤ (1 + c)(n + 1) cⁿ where ρ' + η ≤ 1.

A polynomial that is at most M on E_ρ has Chebyshev coefficients |c_m| ≤ 2Mρ^{−m}; those beyond degree m sum up to at most
2Mρ^{−m}/(ρ − 1) =: tail. Then Gauss errs by at most 2·tail with m = 2G − 1, and D by 2·tail with m = G − 1. Where m² ≫ n the
tail is about exp(−m²/(2n)): G = O(√(n log(1/error))) nodes.

**In float64.** Nodes, weights and D are had in balls and rounded once. What that leaves is measured against the balls.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from flint import arb, arb_mat
from jaxtyping import Float

from constructions.parts.block import UNIT
from constructions.rounding.outward import above, balls, nearest

MOST_NODES = 1000
"""Nodes are had in balls, in the third power of their number: so many take half a minute."""

GRID = np.linspace(0, 3, 601)[1:]
"""log ρ of the ellipses that are tried."""


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Nodes, and what integrates values at them.

    Attributes:
        nodes: u_g in (0, 1).
        logs: log u_g. Those of 1 − u_g are the same ones in reverse order.
        weights: w_g > 0.
        partial: D, row g integrates from 0 to u_g.
        log_error: bound on what rounding leaves of a log u_g.
        weight_error: bound on what it leaves of a w_g, relatively.
        partial_error: bound on |Σ_h D_gh f(u_h) − F(u_g)| for every posterior density f, with D as it is stored.
        whole_error: bound on the Gauss error for f_k Π_{j≠k} ((1 + ρ')F_j + η), ρ' + η ≤ 1, whatever the posteriors.
    """

    nodes: Float[np.ndarray, " nodes"]
    logs: Float[np.ndarray, " nodes"]
    weights: Float[np.ndarray, " nodes"]
    partial: Float[np.ndarray, "nodes nodes"]
    log_error: float
    weight_error: float
    partial_error: float
    whole_error: float

    def spread(self, sign: float, relative: float, absolute: float, shortfall: float = 0.0) -> float:
        """Bound on the increase (sign 1) or decrease (−1) of D f by values other than f.

        They may be anything from (1 − shortfall)f to (1 + relative)f + absolute.
        """
        part, rest = np.maximum(sign * self.partial, 0.0), np.maximum(-sign * self.partial, 0.0)
        mass = 1 + self.whole_error  # Σ_g w_g f(u_g)
        steepest = ((relative * part + shortfall * rest) / self.weights).max(1)
        found = (mass * steepest + absolute * part.sum(1)).max()
        return above(arb(float(found)) * (1 + 2 * UNIT * (len(self.nodes) + 16) + self.weight_error))


def rule(actions: int, horizon: int, error: float) -> Quadrature:
    """The rule with the fewest nodes that errs by at most `error` in either way, for all counts of less than `horizon`.

    Rounding is left out of this; the bounds have it.

    >>> rule(5, 200, 1e-6).nodes.size, rule(2, 4, 1e-6).nodes.size, rule(2, 4, 1e-6).whole_error
    (91, 4, 0.0)
    """
    most = min(horizon + actions, MOST_NODES)
    count = bisect_left(range(most), True, lo=1, key=lambda n: max(defects(actions, horizon, n)) <= error)
    if count == most:
        raise ValueError(
            f"horizon: wanted an integral that {MOST_NODES:,} nodes can reach, got {horizon:,} steps of {actions:,} arms"
        )
    (inner, outer), gauss = defects(actions, horizon, count), _gauss(count)
    partial_error = above(arb(inner) + (1 + arb(outer)) * gauss.partial_error)
    return replace(gauss, partial_error=partial_error, whole_error=outer)


def defects(actions: int, horizon: int, nodes: int) -> tuple[float, float]:
    """The bounds `partial_error` and `whole_error` for so many nodes, in exact arithmetic."""
    density, product = _growths(actions, horizon)
    inner = _tail(horizon - 1, nodes - 1, density)
    return 2 * inner, 2 * _tail(horizon + actions - 2, 2 * nodes - 1, product)


@cache
def _growths(actions: int, horizon: int) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, " grid"]]:
    """Logarithms of bounds on |f| and on |f_k Π ((1 + ρ')F_j + η)| on each ellipse."""
    degree, rows = horizon - 1, []
    for log_rho in GRID.tolist():
        c = arb(log_rho).cosh()
        density = arb(horizon).log() + degree * c.log()
        product = actions * (arb(degree) / actions + 1).log()  # Π (n_j + 1) is largest for equal n_j
        product += degree * c.log() + (actions - 1) * (1 + c).log()
        rows.append((above(density), above(product)))
    density, product = np.array(rows).T
    return density, product


@cache
def _widths() -> Float[np.ndarray, " grid"]:
    """log(ρ − 1) of each ellipse."""
    return nearest(lambda x: x.expm1().log(), GRID)


def _tail(degree: int, kept: int, growth: Float[np.ndarray, " grid"]) -> float:
    """Bound on the coefficients beyond degree `kept`, by the best of the ellipses."""
    if degree <= kept:
        return 0.0
    best = int(np.argmin(growth - kept * GRID - _widths()))
    log_rho = arb(float(GRID[best]))
    return above(2 * (arb(float(growth[best])) - kept * log_rho).exp() / log_rho.expm1())


@cache
def _gauss(count: int) -> Quadrature:
    """Nodes, weights, and D by Legendre polynomials: (2m + 1) ∫ P_m = P_{m+1} − P_{m−1}.

    `partial_error` is what rounding of D makes of D f where Σ_g w_g f(u_g) ≤ 1.
    """
    with balls(128 + 2 * count):  # a recursion in balls loses 1.3 bits a degree
        places = [arb.legendre_p_root(count, k, weight=True) for k in reversed(range(count))]
        values = [_legendre(x, count) for x, _ in places]
    with balls(128):
        weights = [w / 2 for _, w in places]
        logs = [((1 + x) / 2).log() for x, _ in places]
        integrals = [
            [(1 + row[1]) / 2] + [(row[m + 1] - row[m - 1]) / 2 for m in range(1, count)] for row in values
        ]
        back = [[row[m] * w for row, w in zip(values, weights, strict=True)] for m in range(count)]
        partial = (arb_mat(integrals) * arb_mat(back)).entries()
        return Quadrature(
            nodes=np.array([float((1 + x) / 2) for x, _ in places]),
            logs=np.array(list(map(float, logs))),
            weights=np.array(list(map(float, weights))),
            partial=np.array(list(map(float, partial))).reshape(count, count),
            log_error=max(above(abs(float(x) - x)) for x in logs),
            weight_error=max(above(abs(float(w) - w) / w) for w in weights),
            partial_error=max(above(abs(float(d) - d) / weights[n % count]) for n, d in enumerate(partial)),
            whole_error=0.0,
        )


def _legendre(x: arb, count: int) -> list[arb]:
    """P_0(x), …, P_count(x)."""
    row = [arb(1), x]
    for m in range(1, count):
        row.append(((2 * m + 1) * x * row[m] - m * row[m - 1]) / (m + 1))
    return row
