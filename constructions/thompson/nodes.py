"""Fixed lines along which a policy is integrated, and what their choice leaves to chance."""

import math
from dataclasses import dataclass

import numpy as np
from flint import arb
from jaxtyping import Float
from scipy.special import ndtr
from scipy.stats import qmc

from constructions.inputs.bandits import admitted_separation
from constructions.inputs.ridge import largest_eigenvalue
from constructions.rounding.outward import nearest
from constructions.thompson.spec import Spec

APART = 1e-4
"""ζ."""
RESOLUTION = 1e-4
"""δ as a part of b_a √(r/largest eigenvalue), a length that whitened arms reach."""
NEARLY = 1 + 1e-9
"""Direction and basis are orthonormal up to rounding, which is far below this."""


@dataclass(frozen=True, eq=False)
class NodeRule:
    """A direction, a basis of its complement, and nodes in it.

    >>> rule = NodeRule.of(Spec(dim=3, actions=3, horizon=9, nodes=8))
    >>> rule.nodes.shape, bool(np.allclose(rule.basis.T @ rule.direction, 0))
    ((8, 2), True)
    """

    direction: Float[np.ndarray, " dim"]
    basis: Float[np.ndarray, "dim rest"]
    nodes: Float[np.ndarray, "nodes rest"]

    @classmethod
    def of(cls, spec: Spec) -> "NodeRule":
        """The rule of a spec: a random rotation and random nodes, from its seed."""
        rotate, scatter = np.random.default_rng([spec.seed, 7]).spawn(2)
        basis = rotation(rotate.normal(size=(spec.dim, spec.dim)))
        rest = spec.dim - 1
        if not rest:
            return cls(basis[:, 0], basis[:, 1:], np.zeros((1, 0)))
        if spec.rule == "random":
            nodes = scatter.normal(size=(spec.nodes, rest))
        else:
            points = qmc.Sobol(rest, rng=scatter).random_base2((spec.nodes - 1).bit_length())
            nodes = nearest(normal_quantile, np.clip(points[: spec.nodes], 2.0**-33, 1 - 2.0**-33))
        return cls(basis[:, 0], basis[:, 1:], nodes)

    @property
    def longest(self) -> float:
        """Bound on the largest ‖n‖."""
        return float(np.linalg.norm(self.nodes, axis=1).max(initial=0.0)) * NEARLY

    def policy(
        self, white: Float[np.ndarray, "steps arms dim"], mean: Float[np.ndarray, "steps arms"]
    ) -> Float[np.ndarray, "steps arms"]:
        """P̄: the mean over nodes of the exact probabilities along their lines."""
        found = np.zeros(mean.shape)
        for step, (x, y) in enumerate(zip(white, mean, strict=True)):
            if not x.any():
                continue  # a token without arms
            score, slope = self.nodes @ self.basis.T @ x.T + y, x @ self.direction
            with np.errstate(divide="ignore", invalid="ignore"):
                crossing = (score[:, None, :] - score[:, :, None]) / (slope[:, None] - slope[None, :])
            steeper = np.greater.outer(slope, slope)  # [k, j]: k is steeper than j
            low = np.where(steeper, crossing, -np.inf).max(-1)
            high = np.where(steeper.T, crossing, np.inf).min(-1)
            found[step] = np.maximum(ndtr(high) - ndtr(low), 0.0).mean(0)
        return found


def rotation(matrix: Float[np.ndarray, "dim dim"]) -> Float[np.ndarray, "dim dim"]:
    """The orthogonal factor of a square matrix, by Householder's reflections.

    Sums are rounded once, so that it is the same on every processor, as no library's need be.

    >>> rotation(np.array([[3.0, 1.0], [4.0, 1.0]])).round(12).tolist()
    [[-0.6, -0.8], [-0.8, 0.6]]
    """
    rest, found = matrix.copy(), np.eye(len(matrix))
    for k in range(len(matrix) - 1):
        normal = rest[k:, k].copy()
        normal[0] += math.copysign(math.sqrt(math.fsum(normal * normal)), normal[0])
        scale = 2 / math.fsum(normal * normal)
        for line in (*rest.T, *found):
            line[k:] -= scale * math.fsum(line[k:] * normal) * normal
    return found


def normal_quantile(p: arb) -> arb:
    """Φ⁻¹(p)."""
    return -arb(2).sqrt() * (2 * p).erfcinv()


@dataclass(frozen=True)
class Chance:
    """What holds with a probability over direction and nodes, for a history fixed before they are drawn.

    Attributes:
        untold: bound on the probability that the direction fails to tell the arms of one decision apart.
        variance: bound on N times the variance of P̄_k, which is unbiased: 1/4 for independent nodes, that times the largest
            gain coefficient 2^{t+d−2} for scrambled Sobol' points (Pan and Owen 2023), a worst case far from what is seen;
            0 in one dimension.
        nodes: N.
        independent: whether nodes are independent, so that Hoeffding's inequality holds.
    """

    untold: float
    variance: float
    nodes: int
    independent: bool

    def distance(self, failure: float) -> float:
        """|P̄_k − P(k)| of one arm at one decision is at most this but with probability `failure`."""
        if not 0 < failure < 1:
            raise ValueError(f"failure: wanted a probability in (0, 1), got {failure!r}")
        if not self.variance:
            return 0.0
        chebyshev = math.sqrt(self.variance / (self.nodes * failure))
        hoeffding = math.sqrt(math.log(2 / failure) / (2 * self.nodes))
        return min(1.0, hoeffding if self.independent else chebyshev)


def chance(spec: Spec) -> Chance:
    """The part of the certificate that nodes leave to chance.

    |⟨v, e⟩|/‖v‖ is at most s with a probability of at most 2s√(d/2π), and arms are `separation` apart. In one dimension
    e = ±1, and there is nothing to sample.
    """
    pairs, density = spec.actions * (spec.actions - 1) / 2, math.sqrt(spec.dim / (2 * math.pi))
    share = max(APART, resolution(spec) / (admitted_separation(spec) * contraction(spec)))
    if spec.dim == 1:
        return Chance(float(share > 1), 0.0, 1, False)
    degrees = np.repeat(np.arange(9), [2, 0, 1, 2, 2, 6, 6, 18, 16])[
        : spec.dim - 1
    ]  # of Sobol's primitive polynomials
    gain = 2.0 ** float(np.maximum(degrees - 1, 0).sum() + spec.dim - 2)
    if spec.rule == "random":
        gain = 1.0
    elif spec.dim > 54 or spec.nodes & (spec.nodes - 1):
        gain = float(spec.nodes)  # no better than one node
    return Chance(min(1.0, pairs * 2 * density * share), gain / 4, spec.nodes, spec.rule == "random")


def contraction(spec: Spec) -> float:
    """‖x_j − x_k‖ is at least this times ‖a_j − a_k‖."""
    return math.sqrt(spec.noise_variance / largest_eigenvalue(spec))


def resolution(spec: Spec) -> float:
    """δ."""
    return RESOLUTION * spec.action_norm[0] * contraction(spec)
