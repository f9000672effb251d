"""Ridge regression whose penalty is chosen in context, on held-out pairs.

The first N pairs are for training, those after them are held out. For each of K penalties λ_k

    w_k = (λ_k I + Σ_{j≤N} x_j x_jᵀ)⁻¹ Σ_{j≤N} y_j x_j,      L_k = Σ_{j>N} (⟨w_k, x_j⟩ − y_j)²,

and the prediction is ⟨Σ q_k w_k, x⟩, with weights q_k ≥ 0 that add up to 1 and are 0 where L_k ≥ min L + 1/s (choice.py).
s is the least power of two with 1/s ≤ γ.

    layers 1, 2        the halves of the past
    layer 3            A_k, b_k, times i too, of the first half, for every k
    layers 4 … m+3     X_k ← c(2X_k − X_kA_kX_k)
    layer m+4          ⟨x, X_kb_k⟩ for held-out x and for x asked about; ⟨x, X_kb_k⟩ − y
    layer m+5          its square
    layer m+6          L_k, and Σ_l relu(L_k − L_l)
    layers m+7, m+8    relu(1 − s c_k); Σ q_k ⟨x, X_kb_k⟩

**Theorem.** Let ‖x‖ ≤ B, |y| ≤ R, P_k = B √N R/(2√λ_k), e_k what m steps leave of A_k⁻¹ (newton.py), and
δ = max_k T e_kP_k (2(P_k + R) + e_kP_k). Predictions are within max e_kP_k + 2s(K − 1)²Kδ max_k (P_k + e_kP_k) of the true
ones, and m is the least for which this is at most ε. The predictor Σ q_k X_kb_k has a loss of at most min_k L_k + 1/s + δ.
*Proof.* ridge.py has |⟨x, X_kb_k⟩ − ⟨x, w_k⟩| ≤ e_kP_k and |⟨x, w_k⟩| ≤ P_k; so squares of residuals are off by
(P_k + R + e_kP_k)² − (P_k + R)², and losses by δ. choice.py has the rest of the first claim. The losses that the weights see
are those of the predictors X_kb_k themselves; so where q_k > 0, L(X_kb_k) < min_l L(X_lb_l) + 1/s ≤ min_l L_l + δ + 1/s, and
L is convex.  ∎

**Beside** Theorem 16 of arXiv 2306.04637: docs/ridge.md.
"""

from dataclasses import dataclass
from typing import ClassVar

from flint import arb

from constructions import checks, limits
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.ridge import Pairs
from constructions.language import Program, Value, bandits
from constructions.parts.guarantee import Guarantee
from constructions.plain import shown
from constructions.prediction import choice
from constructions.prediction.ridge import PROOF
from constructions.primitives import descent
from constructions.rounding import schedules
from constructions.rounding.outward import above, balls, power_of_two

SOURCE = "Theorem of constructions/prediction/validated.py"
SLACK = 1e-6
"""Part of the error kept back for the rounding of bounds."""


@dataclass(frozen=True)
class Spec(Pairs):
    """What to build.

    Attributes:
        dim: d, of a vector x.
        horizon: T, the largest number of decisions: one more than pairs.
        training: N, the first so many pairs are trained on.
        penalties: λ_1 … λ_K.
        margin: γ, by how much a loss may be above the least.
        actions: A, so many vectors are asked about at a time.
        error: ε, bound on the error of a prediction.
        bound: B, on the norm of a vector.
        response: R, on the size of y.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    dim: int
    horizon: int
    training: int
    penalties: tuple[float, ...] = (0.1, 1.0, 10.0)
    margin: float = 0.25
    actions: int = 1
    error: float = 1e-3
    bound: float = 1.0
    response: float = 1.0
    guarantee: ClassVar[Guarantee] = Guarantee("values", output="predictions")

    def __post_init__(self):
        checks.settle(self, checks.whole, "dim", "horizon", "training", "actions")
        checks.settle(self, checks.number, "margin", "error", "bound", "response", positive=True)
        if not isinstance(self.penalties, tuple | list) or len(self.penalties) < 2:
            raise ValueError(f"penalties: wanted two numbers or more, got {shown(self.penalties)}")
        known = tuple(checks.number("penalties", penalty, positive=True) for penalty in self.penalties)
        object.__setattr__(self, "penalties", known)
        checks.condition(min(known), spectrum(self, min(known)))
        checks.carried(self.error, checks.UNIT * above(largest(self, min(known))))

    @property
    def slope(self) -> float:
        """The slope s of the selection."""
        return power_of_two(1 / self.margin)

    @property
    def ridge(self) -> float:
        """The least penalty."""
        return min(self.penalties)


def spectrum(spec: Spec, penalty: float) -> float:
    """Bound on the eigenvalues of λI + Σ x xᵀ over the training pairs."""
    high = admitted_norms(spec)[1]
    return penalty + spec.training * (high * high)


def largest(spec: Spec, penalty: float) -> arb:
    """P_k, bound on the size of a prediction."""
    estimate = descent.largest_estimate(penalty, spec.training, admitted_reward(spec))
    return admitted_norms(spec)[1] * estimate


def errors(spec: Spec, steps: int) -> tuple[list[arb], arb, arb]:
    """What so many steps leave: e_kP_k of each prediction, δ of the losses, and the theorem's bound."""
    sizes = [largest(spec, penalty) for penalty in spec.penalties]
    lefts = [schedules.inverse(one, spectrum(spec, one), steps).error for one in spec.penalties]
    off = [left * size for left, size in zip(lefts, sizes, strict=True)]
    losses, total, worst, count = arb(0), arb(0), arb(0), len(sizes)
    for size, one in zip(sizes, off, strict=True):
        residual = size + admitted_reward(spec)
        losses = losses.max(spec.horizon * one * (2 * residual + one))
        total, worst = total.max(one), worst.max(size + one)
    return off, losses, total + 2 * spec.slope * (count - 1) ** 2 * count * losses * worst


def least_steps(spec: Spec) -> int:
    """The steps m of Newton's iteration.

    Raises:
        ValueError: if weights of float64 do not lead to the error.
    """
    least = float("inf")
    for steps in range(1, 100):
        reached = above(errors(spec, steps)[2])
        if reached <= spec.error * (1 - SLACK):
            return steps
        if reached >= least and steps > 60:
            break
        least = min(least, reached)
    checks.carried(spec.error, least)
    raise ValueError(f"error: wanted a millionth more than {least!r}, got {spec.error!r}")


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    Raises:
        ValueError: if weights of float64 do not lead to the error.

    >>> built = build(Spec(dim=2, horizon=20, training=10))
    >>> built.certificate <= 1e-3, built.size().layers
    (True, 15)
    """
    checks.instance("spec", spec, Spec)
    steps, d, count = least_steps(spec), spec.dim, len(spec.penalties)
    limits.hold("ridge on held-out pairs", weights=6.0 * d**2 * (d * steps + spec.actions) * count)
    sizes = {"late": 1, "early": 1, "train_x": d, "train_y": 1, "held_x": d, "held_y": 1}
    for k in range(count):
        sizes |= {f"{name}_{k}": d * d for name in ("gram", "gram_times", "inverse")}
        sizes |= {f"moment_{k}": d, f"moment_times_{k}": d, f"each_{k}": spec.actions}
        sizes |= {f"{name}_{k}": 1 for name in ("fit", "residual", "square", "loss")}
    sizes |= {"excess": count, "share": count, "predictions": spec.actions}
    p = bandits.program(SOURCE, spec, **sizes)
    x, y, asked = bandits.tokens(p, spec)
    train, held = choice.halves(p, x, y, 2 * spec.training)
    off, _, _ = errors(spec, steps)
    both = [_ridge(p, spec, k, steps, train, held, asked, above(one)) for k, one in enumerate(off)]
    losses, predictions = zip(*both, strict=True)
    chosen = choice.chosen(p, losses, predictions, spec.slope)
    return bandits.complete(p, spec, chosen.error.error)


def _ridge(
    p: Program,
    spec: Spec,
    k: int,
    steps: int,
    train: tuple[Value, Value],
    held: tuple[Value, Value],
    asked: Value,
    off: float,
) -> tuple[Value, Value]:
    """The loss of penalty k on held-out pairs, and the predictions of what is asked about."""
    penalty, most = spec.penalties[k], above(largest(spec, spec.penalties[k]) + off)
    A, b = bandits.normal_equations(p, spec, train, penalty, spec.training, f"_{k}")
    X = bandits.inverse(p, spec, f"inverse_{k}", A, steps, penalty)
    proved = (off, PROOF)

    def sized(value: Value) -> Value:
        return Value(value.register, most, value.groups, value.error)

    fit = sized(p.form(f"fit_{k}", f"⟨x, w_{k}⟩ held out", X, b, held[0], proved))
    each = sized(p.form(f"each_{k}", f"⟨x, w_{k}⟩ asked about", X, b, asked, proved))
    residual = p.total(f"residual_{k}", fit - held[1], name=f"residual_{k}")
    square = p.product(f"square_{k}", f"residual_{k}²", residual, residual)
    return p.sum(f"loss_{k}", square, name=f"loss_{k}"), each


def gap(spec: Spec) -> float:
    """Bound on the loss of the chosen predictor above the least of all K, rounded up."""
    with balls():
        return above(1 / arb(spec.slope) + errors(spec, least_steps(spec))[1])
