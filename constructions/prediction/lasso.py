"""Lasso in context by proximal gradient descent (ISTA): one step a layer, soft thresholds by ReLU neurons.

Of the n pairs (x_j, y_j) before it, token i = 2n + 1 predicts ⟨w, x_k⟩ for the vectors x_k that are asked about:

    F(w) = (1/2i) Σ_{j≤n} (⟨x_j, w⟩ − y_j)² + λ‖w‖₁,    w ← S(w − (η/i) Σ_{j≤n} (⟨x_j, w⟩ − y_j) x_j),    m times from w = 0

S moves every entry towards 0 by ηλ, and no further. η is the largest power of two up to 2/B², so that ηλ is a number of
float64. scikit-learn's Lasso divides by n where F divides by i: with n pairs its alpha is λ(2n + 1)/n.

    step     heads: score ±(y_j − ⟨x_j, w_i⟩), value ±η x_j;   neurons: S(z) − z = relu(z − ηλ) − relu(z + ηλ) + ηλ
    output   two heads a vector: ⟨w_i, x_k⟩, of the token itself

**Theorem 1.** For ‖x‖ ≤ B and |y| ≤ R the register `predictions` holds those of m steps exactly, at every decision. There
are m + 1 layers of at most max(2, 2A) heads and 2d + 1 neurons, two a coordinate and one for all. *Proof.* relu(z) −
relu(−z) = z, attention divides by i, and a token that records no pair has x_j = 0. Less than half of i tokens record one: ∇
of the first part of F has a Lipschitz constant below B²/2 ≤ 1/η. So a step does not increase F (Beck and Teboulle 2009,
Lemma 2.3), λ‖w‖₁ ≤ F(w) ≤ F(0) ≤ R²/4, and two iterates do not part: neither I − ηH, 0 ≤ ηH ≤ I, nor S increases a distance.
∎

**Theorem 2.** F(w) − min F ≤ R⁴/(32 η λ² m) after m steps. *Proof.* F(w) − min F ≤ ‖w*‖²/(2ηm) for a minimiser w* (Theorem
3.1 there, for any step up to the inverse of a Lipschitz constant), and λ‖w*‖ ≤ λ‖w*‖₁ ≤ F(w*) ≤ F(0) ≤ R²/4.  ∎
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from flint import arb

from constructions import checks
from constructions.construction import Construction
from constructions.inputs.bandits import COVERED
from constructions.inputs.ridge import Pairs
from constructions.language import bandits, repeat
from constructions.parts.guarantee import Guarantee
from constructions.rounding.outward import above, balls, power_of_two


@dataclass(frozen=True)
class Spec(Pairs):
    """What to build.

    Attributes:
        dim: d, of a vector x.
        horizon: T, the largest number of decisions: one more than pairs.
        actions: A, so many vectors are asked about at a time.
        iterations: m.
        penalty: λ.
        bound: B, on the norm of a vector.
        response: R, on the size of y.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    dim: int
    horizon: int
    actions: int = 1
    iterations: int = 50
    penalty: float = 0.1
    bound: float = 1.0
    response: float = 1.0
    guarantee: ClassVar[Guarantee] = Guarantee("values", output="predictions")

    def __post_init__(self):
        checks.settle(self, checks.whole, "dim", "horizon", "actions", "iterations")
        checks.settle(self, checks.number, "penalty", "bound", "response", positive=True)

    @property
    def step(self) -> float:
        """η."""
        return power_of_two(2 / (self.bound * (1 + COVERED)) ** 2) / 2


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> built = build(Spec(dim=3, horizon=10))
    >>> built.certificate, built.size().layers, built.size().heads, built.size().hidden
    (0.0, 51, 2, 7)
    """
    checks.instance("spec", spec, Spec)
    p = bandits.program(
        "Theorem 1 of constructions/prediction/lasso.py", spec, weights=spec.dim, predictions=spec.actions
    )
    x, y, asked = bandits.tokens(p, spec)
    most = {
        "largest": above(arb(y.size) ** 2 / (4 * arb(spec.penalty))),
        "gain": spec.iterations * math.sqrt(spec.dim),
    }
    sizes = {"weight": spec.step, "threshold": spec.step * spec.penalty, **most}
    w = repeat(p, "weights", "proximal gradient", spec.iterations, -1.0 * x, y, x, **sizes)
    predictions = p.product("predictions", "⟨w, x_k⟩", w, asked)
    return bandits.complete(p, spec, predictions.error.error)


def gap(spec: Spec) -> float:
    """Theorem 2's bound on F(w) − min F, rounded up: for responses as the door admits them, and n/i in place of 1/2."""
    with balls():
        share = arb(spec.horizon - 1) / (2 * spec.horizon - 1)
        weights = share * (arb(spec.response) * (1 + COVERED)) ** 2 / (2 * arb(spec.penalty))
        return above(weights**2 / (2 * spec.step * spec.iterations))
