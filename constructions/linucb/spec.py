"""What a soft LinUCB transformer is built for."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from constructions import checks
from constructions.inputs.bandits import reward_bound
from constructions.inputs.begun import Placed
from constructions.inputs.ridge import largest_eigenvalue

Solver = Literal["gd", "agd", "chebyshev", "newton"]


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        dim: d, dimension of the action vectors.
        actions: A, actions on offer at each step; the set may change from step to step.
        horizon: T, the largest number of steps.
        error: ε, bound on |log-probability error| of every action at every step.
        solver: "gd" or "agd", in-context gradient descent, plain or accelerated; "chebyshev", Chebyshev's semi-iteration,
            whose depth is the least of all first-order methods, half that of "agd", in layers that are not tied; "newton",
            Newton's iteration, whose depth grows with log T.
        ridge: λ.
        exploration: α, weight of the confidence width.
        temperature: τ of the softmax.
        action_norm: (b_a, B_a), bounds on ‖a‖; b_a > 0, so that the zero vector is refused. A tiny b_a admits nearly all.
        weight_norm: B_w, bound on ‖w*‖.
        noise_bound: σ, bound on |noise|; rewards are at most B_a B_w + σ in size.
        depth: "certified", the least depth whose certificate meets `error`, or "stated", that of the paper's proof.
        root: how the square root of the confidence width is had: "interpolation", by an MLP of about error^{-1/2} neurons;
            "products", by a few neurons and some layers of attention, whose number grows with log log 1/error.

    The defaults are the setting of the paper's experiments: actions and weights in the cube [−1, 1]^5, noise within four
    standard deviations of 1.5.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    dim: int
    actions: int
    horizon: int
    error: float = 1e-3
    solver: Solver = "agd"
    ridge: float = 1.0
    exploration: float = 1.0
    temperature: float = 0.1
    action_norm: tuple[float, float] = (0.5, math.sqrt(5))
    weight_norm: float = math.sqrt(5)
    noise_bound: float = 6.0
    depth: Literal["certified", "stated"] = "certified"
    root: Literal["interpolation", "products"] = "interpolation"

    def __post_init__(self):
        checks.settle(self, checks.whole, "dim", "actions", "horizon")
        checks.settle(self, checks.number, "error", "ridge", "temperature", positive=True)
        checks.settle(self, checks.number, "exploration", "weight_norm", "noise_bound", positive=False)
        checks.settle(self, checks.interval, "action_norm")
        checks.settle(self, checks.choice, "solver", among=get_args(Solver))
        checks.settle(self, checks.choice, "depth", among=("certified", "stated"))
        checks.settle(self, checks.choice, "root", among=("interpolation", "products"))
        if self.depth == "stated" and self.root != "interpolation":
            raise ValueError(
                f"root: wanted 'interpolation' at the depth of the paper's proof, got {self.root!r}"
            )
        if self.depth == "stated" and self.solver not in ("gd", "agd"):
            raise ValueError(
                f"depth: wanted 'certified' for {self.solver}, of which the paper does not speak, got 'stated'"
            )
        checks.condition(self.ridge, largest_eigenvalue(self))
        mean = math.sqrt(max(self.horizon - 1, 1)) * reward_bound(self) / 2
        score = self.action_norm[1] * (mean + self.exploration) / math.sqrt(self.ridge) / self.temperature
        if self.error < checks.UNIT * score:
            raise ValueError(
                f"error: wanted at least {checks.UNIT * score:.3g}, one rounding of the largest score, got {self.error!r}"
            )
        if reward_bound(self) <= 0:
            raise ValueError(
                "weight_norm, noise_bound: wanted at least one > 0, got 0 and 0: every reward would be 0"
            )

    @property
    def offers(self) -> str:
        """Scores of arms are their own: `constructions.offers`."""
        return "scores"


@dataclass(frozen=True)
class SoftmaxSpec(Placed):
    """What to build with softmax attention: soft LinUCB by Newton's iteration.

    Attributes:
        dim, actions, horizon, error, ridge, exploration, temperature, action_norm, weight_norm, noise_bound: as for `Spec`.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    dim: int
    actions: int
    horizon: int
    error: float = 1e-3
    ridge: float = 1.0
    exploration: float = 1.0
    temperature: float = 0.1
    action_norm: tuple[float, float] = (0.5, math.sqrt(5))
    weight_norm: float = math.sqrt(5)
    noise_bound: float = 6.0

    @property
    def plain(self) -> Spec:
        """The same for the paper's attention."""
        return Spec(**vars(self), solver="newton")

    @property
    def offers(self) -> str:
        """Scores of arms are their own: `constructions.offers`."""
        return "scores"
