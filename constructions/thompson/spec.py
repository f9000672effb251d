"""What a linear Thompson sampling transformer is built for."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from flint import arb

from constructions import checks
from constructions.inputs.bandits import reward_bound
from constructions.inputs.begun import Placed
from constructions.inputs.ridge import largest_eigenvalue
from constructions.parts.guarantee import Guarantee
from constructions.rounding.outward import balls, nearest

Solver = Literal["pade", "zolotarev", "chebyshev", "newton"]
Form = Literal["policy", "sampling"]

FLOOR = 0.01
"""With more than two arms, the certificate speaks of actions of at least this probability."""


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        dim: d, dimension of the action vectors.
        actions: A, actions on offer at each step; the set may change from step to step.
        horizon: T, the largest number of steps.
        error: ε. With two arms, bound on |log-probability error|. With more, on the one-sided log-probability error of
            every action of probability at least 0.01, apart from that of the nodes. For form "sampling", on the error of
            every sampled score, in units of reward. None stands for 10⁻³, and for 0.05 where there are nodes.
        solver: how A⁻¹ᐟ² is approached: "pade", the theorem's route, or "zolotarev", by fewer poles and in half the depth;
            "chebyshev", the same by Chebyshev's semi-iteration, in half the depth again, in layers that are not tied;
            "newton", by Newton's iteration, whose depth grows with log T.
        form: "policy", log-probabilities; "sampling", the scores ⟨a_k, w̃⟩ of the posterior sample that a standard normal
            draw in the state token stands for.
        prior_variance: λ; w* ~ N(0, λI).
        noise_variance: r; rewards are ⟨a, w*⟩ + N(0, r).
        nodes: N, lines in R^d along which the policy is integrated, for more than two arms.
        rule: "sobol", scrambled Sobol' points as nodes, best in powers of two, or "random", independent ones.
        seed: of direction and nodes.
        truncation: η₁, probabilities below are taken for it, at most 1/A, with nodes at most 0.01; None stands for 10⁻³/A.
        action_norm: (b_a, B_a), bounds on ‖a‖; b_a > 0, so that the zero vector is refused. A tiny b_a admits nearly all.
        separation: η, bound on ‖a_j − a_k‖ of any two actions on offer, j ≠ k: of different indices, so that equal vectors
            are refused. Between equal arms a probability is a matter of ties, of which the theorem does not speak.
        failure: δ₀, probability left to histories beyond the two next bounds.
        weight_norm: B_w, bound on ‖w*‖; None stands for √λ(√d + 2√log(2/δ₀)).
        noise_bound: σ, bound on |noise|; None stands for √(2r log(2T/δ₀)). Rewards are at most B_a B_w + σ in size.

    Raises:
        ValueError: for values no transformer can be built for.

    >>> spec = Spec(dim=5, actions=10, horizon=200)
    >>> spec.ridge, round(spec.weight_norm, 3), spec.truncation
    (2.25, 6.84, 0.0001)
    """

    dim: int
    actions: int
    horizon: int
    error: float | None = None
    solver: Solver = "pade"
    form: Form = "policy"
    prior_variance: float = 1.0
    noise_variance: float = 2.25
    nodes: int = 1024
    rule: Literal["sobol", "random"] = "sobol"
    seed: int = 0
    truncation: float | None = None
    action_norm: tuple[float, float] = (0.5, math.sqrt(5))
    separation: float = 1e-3
    failure: float = 0.01
    weight_norm: float | None = None
    noise_bound: float | None = None

    def __post_init__(self):
        checks.settle(self, checks.whole, "dim", "actions", "horizon", "nodes")
        if self.actions < 2:
            raise ValueError(f"actions: wanted at least 2, got {self.actions}")
        checks.settle(
            self, checks.number, "prior_variance", "noise_variance", "separation", "failure", positive=True
        )
        checks.settle(self, checks.interval, "action_norm")
        checks.settle(self, checks.choice, "solver", among=get_args(Solver))
        checks.settle(self, checks.choice, "form", among=get_args(Form))
        checks.settle(self, checks.choice, "rule", among=("sobol", "random"))
        checks.settle(self, checks.whole, "seed", least=0, most=2**64 - 1)
        high, fill = self.action_norm[1], dict[str, float]()
        if self.error is None:
            fill["error"] = 0.05 if self.lines else 1e-3
        if self.truncation is None:
            fill["truncation"] = 1e-3 / self.actions
        if self.failure >= 1:
            raise ValueError(f"failure: wanted a probability < 1, got {self.failure!r}")
        if self.separation > 2 * high:
            raise ValueError(f"separation: wanted at most 2 B_a = {2 * high:g}, got {self.separation!r}")
        scale = math.sqrt(self.prior_variance)
        if self.weight_norm is None:
            fill["weight_norm"] = scale * (
                math.sqrt(self.dim) + 2 * math.sqrt(nearest(arb.log, 2 / self.failure))
            )
        if self.noise_bound is None:
            tail = nearest(arb.log, 2 * self.horizon / self.failure)
            fill["noise_bound"] = math.sqrt(2 * self.noise_variance * tail)
        for name, value in fill.items():
            object.__setattr__(self, name, value)
        checks.settle(self, checks.number, "error", "truncation", positive=True)
        checks.settle(self, checks.number, "weight_norm", "noise_bound", positive=False)
        most = min(1 / self.actions, FLOOR) if self.lines else 1 / self.actions
        if not 0 < (self.truncation or 0) <= most:
            raise ValueError(f"truncation: wanted at most {most:g}, got {self.truncation!r}")
        checks.condition(self.ridge, largest_eigenvalue(self))
        if self.reward_max <= 0:
            raise ValueError(
                "weight_norm, noise_bound: wanted at least one > 0, got 0 and 0: every reward would be 0"
            )

    @property
    def reward_max(self) -> float:
        """B_a B_w + σ."""
        return reward_bound(self)  # type: ignore[arg-type]  # norms left out are filled in

    @property
    def guarantee(self) -> Guarantee:
        """Scores at the draw; along lines, log-probabilities of actions that are likely enough."""
        return (
            Guarantee("scores") if self.form == "sampling" else Guarantee(floor=FLOOR if self.lines else 0.0)
        )

    @property
    def drawn(self) -> bool:
        """Whether histories bring a standard normal draw for each decision."""
        return self.form == "sampling"

    @property
    def draw_norm(self) -> float:
        """Z: a bound on the norm of a draw that holds but with probability 10⁻¹⁴."""
        return math.sqrt(self.dim) + 8.0

    @property
    def offers(self) -> str:
        """Scores of arms are their own, probabilities to be the best are not: `constructions.offers`."""
        return "scores" if self.form == "sampling" else "fewer"

    @property
    def lines(self) -> bool:
        """Whether the policy is integrated over nodes."""
        return self.actions > 2 and self.form == "policy"

    @property
    def ridge(self) -> float:
        """λ̃ = r/λ, as float64 has it."""
        return self.noise_variance / self.prior_variance

    @property
    def stretch(self) -> arb:
        """Bound on what the rounding of λ̃ makes of an eigenvalue of Σ: at least 1, a factor or its inverse."""
        with balls():
            factor = arb(self.ridge) * self.prior_variance / self.noise_variance
            return factor.max(1 / factor)


@dataclass(frozen=True)
class SoftmaxSpec(Placed):
    """What to build with softmax attention: Thompson sampling by Newton's iteration, with two arms or in sampling form.

    Attributes:
        dim, actions, horizon, error, form, prior_variance, noise_variance, action_norm, separation, failure, weight_norm,
            noise_bound: as for `Spec`, with two actions unless the form is "sampling".

    Raises:
        ValueError: for values no transformer can be built for.

    >>> SoftmaxSpec(dim=5, actions=2, horizon=200).ridge
    2.25
    """

    dim: int
    actions: int
    horizon: int
    error: float = 1e-3
    form: Form = "policy"
    prior_variance: float = 1.0
    noise_variance: float = 2.25
    action_norm: tuple[float, float] = (0.5, math.sqrt(5))
    separation: float = 1e-3
    failure: float = 0.01
    weight_norm: float | None = None
    noise_bound: float | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.actions != 2 and self.form == "policy":
            raise ValueError(f"actions: wanted 2 for the policy with softmax attention, got {self.actions}")

    @property
    def plain(self) -> Spec:
        """The same for the paper's attention."""
        return Spec(**vars(self), solver="newton")

    @property
    def ridge(self) -> float:
        """λ̃ = r/λ, as float64 has it."""
        return self.noise_variance / self.prior_variance

    @property
    def guarantee(self) -> Guarantee:
        """Scores at the draw, or log-probabilities."""
        return self.plain.guarantee

    @property
    def drawn(self) -> bool:
        """Whether histories bring a standard normal draw for each decision."""
        return self.plain.drawn

    @property
    def draw_norm(self) -> float:
        """Z: a bound on the norm of a draw that holds but with probability 10⁻¹⁴."""
        return self.plain.draw_norm

    @property
    def offers(self) -> str:
        """Scores of arms are their own, probabilities to be the best are not: `constructions.offers`."""
        return self.plain.offers
