"""Ridge regression in context: by Newton's iteration in O(log) layers, or by descent in O(κ log) or O(√κ log).

Of the n pairs (x_j, y_j) before it, every state token predicts ⟨w, x_k⟩ for the vectors x_k that are asked about:

    w = A⁻¹b,   A = λI + Σ_{j≤n} x_j x_jᵀ,   b = Σ_{j≤n} y_j x_j

λ is scikit-learn's alpha. Where a mean over n pairs stands in place of the sum, as in arXiv 2306.04637, it is λ/n.

    newton    1 layer for A, b and both times i; k layers X ← c(2X − XAX); 1 layer: ⟨x_k, Xb⟩
    others    k layers of descent on the ridge problem (primitives/descent.py); 1 layer: ⟨x_k, ŵ⟩

**Theorem.** Let ‖x‖ ≤ B, |y| ≤ R, S = λ + (T − 1)B², κ = S/λ, and e_k = 1/cosh(2^{k+1} artanh κ^{-1/2}). For every past
within the bounds and every decision the register `predictions` is within

    e_k B √(T−1) R/(2√λ)                          newton: k ≥ log₂(½√κ ln(2/e)) steps leave e_k ≤ e
    B √(T−1) R/(2√λ) · reward_residual(k)         descent: rates.py

of the predictions, and k is the least for which that is at most ε. There are k + 2 layers of at most max(4(d + 1), 2d² + 1,
2dA) heads by Newton, and k + 1 of at most max(3, 2A) by descent. *Proof.* X = A^{-1/2}(I + E)A^{-1/2}, ‖E‖ ≤ e_k, E a
function of A (newton.py). With the x_j as rows of F, Xb − w = E A⁻¹Fᵀy; the singular values of A⁻¹Fᵀ are s/(s² + λ) ≤
1/(2√λ), and ‖y‖ ≤ √(T−1) R. By descent: primitives/descent.py.  ∎

**Beside** Theorem 4 of arXiv 2306.04637: docs/ridge.md.
"""

import bisect
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from flint import arb

from constructions import checks, limits
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.ridge import Pairs, largest_eigenvalue
from constructions.language import bandits
from constructions.parts.guarantee import Guarantee
from constructions.primitives import descent
from constructions.rounding import rates, schedules
from constructions.rounding.outward import above, balls

SOURCE = "Theorem of constructions/prediction/ridge.py"
PROOF = "X = A^{-1/2}(I + E)A^{-1/2}, ‖E‖ ≤ e_k (newton.py)"
Solver = Literal["newton", "gd", "agd", "chebyshev"]


@dataclass(frozen=True)
class Spec(Pairs):
    """What to build.

    Attributes:
        dim: d, of a vector x.
        horizon: T, the largest number of decisions: one more than pairs.
        actions: A, so many vectors are asked about at a time.
        error: ε, bound on the error of a prediction.
        ridge: λ.
        bound: B, on the norm of a vector.
        response: R, on the size of y.
        solver: "newton", or a method of descent: "gd", "agd" or "chebyshev".

    Raises:
        ValueError: for values no transformer can be built for.
    """

    dim: int
    horizon: int
    actions: int = 1
    error: float = 1e-3
    ridge: float = 1.0
    bound: float = 1.0
    response: float = 1.0
    solver: Solver = "newton"
    guarantee: ClassVar[Guarantee] = Guarantee("values", output="predictions")

    def __post_init__(self):
        checks.settle(self, checks.whole, "dim", "horizon", "actions")
        checks.settle(self, checks.number, "error", "ridge", "bound", "response", positive=True)
        checks.settle(self, checks.choice, "solver", among=get_args(Solver))
        checks.condition(self.ridge, largest_eigenvalue(self))
        checks.carried(self.error, checks.UNIT * above(largest(self)))


def largest(spec: Spec) -> arb:
    """B √(T−1) R/(2√λ): bound on the size of a prediction."""
    estimate = descent.largest_estimate(spec.ridge, max(spec.horizon - 1, 1), admitted_reward(spec))
    return admitted_norms(spec)[1] * estimate


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    Raises:
        ValueError: if weights of float64 do not lead to the error.

    >>> built = build(Spec(dim=3, horizon=20))
    >>> built.certificate <= 1e-3, built.size().layers, build(Spec(dim=3, horizon=20, solver="gd")).size().layers
    (True, 7, 521)
    """
    checks.instance("spec", spec, Spec)
    return by_newton(spec) if spec.solver == "newton" else by_descent(spec)


def by_newton(spec: Spec) -> Construction:
    """The fewest steps of Newton's iteration that leave the error."""
    d, e, steps = spec.dim, 1.0, 0
    for chosen in schedules.inverses(spec.ridge, largest_eigenvalue(spec)):
        e, steps = chosen.error, len(chosen.errors)
        if above(e * largest(spec)) <= spec.error:
            break
    checks.carried(spec.error, above(e * largest(spec)))
    limits.hold("ridge by Newton", weights=6.0 * d**2 * (d * steps + spec.actions))
    sizes = dict.fromkeys(("gram", "gram_times", "inverse"), d * d)
    sizes |= dict.fromkeys(("moment", "moment_times"), d)
    p = bandits.program(SOURCE, spec, **sizes, predictions=spec.actions)
    A, b = bandits.normal_equations(p, spec)
    X = bandits.inverse(p, spec, "inverse", A, steps)
    asked = bandits.tokens(p, spec)[2]
    predictions = p.form("predictions", "⟨x_k, A⁻¹b⟩", X, b, asked, (above(e * largest(spec)), PROOF))
    return bandits.complete(p, spec, predictions.error.error)


def by_descent(spec: Spec) -> Construction:
    """The fewest steps of descent that leave the error."""
    high, two = admitted_norms(spec)[1], spec.dim * (spec.solver != "gd")
    method = rates.Descent(spec.solver, spec.ridge, high, spec.horizon)  # type: ignore[arg-type]  # not newton
    p = bandits.program(SOURCE, spec, ridge=spec.dim, ridge_ahead=two, predictions=spec.actions)
    w = bandits.descent(p, spec, method, steps(spec, method))
    predictions = p.product("predictions", "⟨x_k, w⟩", w, bandits.tokens(p, spec)[2])
    return bandits.complete(p, spec, predictions.error.error)


def steps(spec: Spec, method: rates.Descent) -> int:
    """The fewest steps of descent.

    Raises:
        ValueError: if none are enough: weights are rounded to float64.
    """

    def left(depth: int) -> float:
        return above(method.reward_residual(depth) * largest(spec) * (1 + 1e-9))

    high = 1
    while left(high) > spec.error:
        high *= 2
        if high > rates.DEEP + 16 * method.condition:
            checks.carried(spec.error, left(high))
    return bisect.bisect_left(range(high), True, lo=high // 2, key=lambda depth: left(depth) <= spec.error)
