"""EXP3, exponential weights with bandit feedback: a transformer of one layer and one head.

Of a round only the loss ℓ_s of the arm a_s that was played is seen, and p_s, the probability with which it was played. With
w_s = min(1/p_s, 1/π) the policy is P(k) ∝ exp(−η L̂_k), L̂_k = Σ_{s<t} 1[a_s = k] w_s ℓ_s.

    layer 1   one head: score i w, value −η ℓ, hence logits_k = −η L̂_k;   the softmax of the output is the exponential

A state token holds the pair (ℓ, w) for the arm played in the round before, and (0, 0) for all others: `BanditHistory` with
contexts of shape (rounds, N, 2), zeros in round 1. `verify.play.rollout` hands p over. Action tokens are not read.

**Theorem 1.** The policy is that of EXP3 exactly, for any losses in [−1, 1], weights w in [1, 1/π] and η > 0 of float64.
There are 1 layer, 1 head, no neurons, and 3N + 6 registers. *Proof.* The key adds up what all arms have for w, one of them
not 0 at most: relu(i w)/i = w, as w ≥ 0, and 0 on action tokens. The head adds Σ_{j≤i} −η w_j ℓ_{j,k} to logit k.  ∎

**Theorem 2.** Let losses be in [0, 1], set by anyone who knows what was played before, and π ≤ 1/N. For every arm k

    E Σ_t (ℓ_{t,a_t} − ℓ_{t,k}) ≤ (log N)/η + T δ,     δ = (η/2) (N − 1 + (e^η − 1)/2) + (N − 1) π.

For η ≤ log 2 and π ≤ η/(4N) δ is at most ηN/2, and this is Theorem 3.1 of Bubeck and Cesa-Bianchi, *Regret Analysis of
Stochastic and Nonstochastic Multi-armed Bandit Problems* (2012): √(2TN log N) for η = √(2 log N/(TN)). Nothing is mixed
with even odds. That N − 1 may stand for N, and what π costs, is worked out here. Proof: docs/games.md.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import checks
from constructions.checks import DOOR
from constructions.construction import Construction
from constructions.inputs.bandits import COVERED
from constructions.language import bandits
from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step
from constructions.parts.links import Values, entry, held, mapped, read
from constructions.rounding.outward import above, balls, nearest


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        actions: N, arms, two or more.
        horizon: T, the largest number of rounds.
        rate: η; None stands for √(2 log N/(TN)).
        least: π ≤ 1/N, what smaller probabilities are taken for; None stands for η/(4N), or 1/N for η > 4.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    actions: int
    horizon: int
    rate: float | None = None
    least: float | None = None
    dim: ClassVar[int] = 2  # of an arm its loss and its weight
    offers: ClassVar[str] = "scores"
    weight_norm: ClassVar[float] = 1.0
    noise_bound: ClassVar[float] = 0.0

    def __post_init__(self):
        checks.settle(self, checks.whole, "actions", least=2)
        checks.settle(self, checks.whole, "horizon")
        tuned = nearest(lambda arms: (2 * arms.log() / (arms * self.horizon)).sqrt(), float(self.actions))
        rate = checks.number("rate", tuned if self.rate is None else self.rate, positive=True)
        least = min(rate / 4, 1.0) / self.actions if self.least is None else self.least
        object.__setattr__(self, "rate", rate)
        object.__setattr__(self, "least", checks.number("least", least, positive=True))
        if 1 / self.actions < (self.least or 1):
            raise ValueError(f"least: wanted at most 1/actions = {1 / self.actions:.9g}, got {self.least!r}")

    @property
    def weight(self) -> float:
        """1/π, the largest weight."""
        return 1 / float(self.least or 1)

    @property
    def action_norm(self) -> tuple[float, float]:
        """Bounds on the norm of a pair (loss, weight)."""
        return 0.0, above((1 + arb(self.weight) ** 2).sqrt())

    def admit(self, contexts: Float[np.ndarray, "*steps arms 2"]) -> None:
        """Wanted: one pair (loss, weight) at most that is not (0, 0), of a loss in [−1, 1] and a weight in [1, 1/π]."""
        loss, weight, told = abs(contexts[..., 0]), contexts[..., 1], (contexts != 0).any(axis=-1)
        right = (loss <= 1 + DOOR) & (weight >= 1 - DOOR) & (weight <= self.weight * (1 + DOOR))
        if (wrong := told & (~right | (told.sum(axis=-1, keepdims=True) > 1))).any():
            wanted = f"one (loss, weight) in [-1, 1] × [1, {self.weight:.9g}], (0, 0) for other arms"
            raise ValueError(f"contexts: wanted {wanted}, got {contexts[wrong][0].tolist()}")


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate."""
    checks.instance("spec", spec, Spec)
    p = bandits.program(source := "Theorem 1 of constructions/games/exp3.py", spec)
    arms, rate, pairs, logits = spec.actions, float(spec.rate or 0), p.stream["arms"], p.stream["logits"]
    losses, weights = (entry(read(pairs), n, of=2) for n in (0, 1))
    score = Position.of(p.position).index, mapped(weights, np.ones((1, arms)))

    def truth(values: Values) -> Float[np.ndarray, "tokens arms"]:
        told = held(values, pairs).reshape(-1, arms, 2)
        return np.cumsum(-rate * told[:, :, 0] * told[:, :, 1], axis=0)

    size = spec.horizon * rate * spec.weight * (1 + COVERED) ** 2
    own, head = Bound(0.0, UNIT * (spec.horizon + 8) * size), Head("w ℓ", *score, -rate * losses, logits)
    promise = Promise("one arm a round, bounds on losses and weights", own, own, size)
    p.put(Block("−η Σ w ℓ", source, (Step((head,)),), logits, truth, promise, groups=arms))
    return bandits.complete(p, spec, 0.0)


def regret(spec: Spec) -> float:
    """Theorem 2's bound for T rounds with losses in [0, 1], rounded up."""
    with balls(1000):
        eta, others = arb(spec.rate), spec.actions - 1
        gap = eta / 2 * (others + eta.expm1() / 2) + others * arb(spec.least)
        return above(arb(spec.actions).log() / eta + spec.horizon * gap)
