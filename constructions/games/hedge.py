"""Hedge, exponential weights with full information: a transformer of one layer and one head.

Before round t the losses of all N arms in rounds 1 … t − 1 are known: P(k) ∝ exp(−η L_k), L_k = Σ_{s<t} ℓ_{s,k}.

    layer 1   one head: score i, value −η · losses, hence logits_k = −η L_k;   the softmax of the output is the exponential

Arms are numbers: a state token holds of each what has become known since the decision before, its loss in the last round
(`BanditHistory` with contexts of shape (rounds, N, 1); zeros in round 1). What was played, and what it paid, is not read.

**Theorem 1.** The policy is that of Hedge exactly, for any losses in [−1, 1] and any η > 0 of float64. There are 1 layer,
1 head, no neurons, and 2N + 5 registers. *Proof.* relu(i · 1)/i = 1, and token j ≤ i holds ℓ_j if it is a state token, else
0: the head adds Σ_{j≤i} −ηℓ_j.  ∎

**Theorem 2.** Let losses be in [0, 1] and c = 1 − e^{−η}. Whoever sets them, and however, for every arm k

    Σ_t ⟨p_t, ℓ_t⟩ − Σ_t ℓ_{t,k} ≤ (log N)/η + T δ(η),     δ(η) = 1/c − 1/η + log(c/η)/η ≤ η/8.

With η/8 for δ this is Theorem 2.2 of Cesa-Bianchi and Lugosi, *Prediction, Learning, and Games* (2006), and √(T log N / 2)
for η = √(8 log N / T); that δ may stand there is worked out here. *Proof.* Let W_t = Σ_k exp(−η Σ_{s≤t} ℓ_{s,k}). Then
W_0 = N, W_T ≥ exp(−η Σ_t ℓ_{t,k}), and W_t/W_{t−1} = Σ_k p_{t,k} exp(−ηℓ_{t,k}) ≤ 1 − cq_t with q_t = ⟨p_t, ℓ_t⟩, for
exp(−ηx) ≤ 1 − cx on [0, 1] by convexity. Logarithms add up: −η Σ_t ℓ_{t,k} − log N ≤ Σ_t log(1 − cq_t). So the regret is at
most (log N)/η + Σ_t f(q_t), f(q) = q + log(1 − cq)/η. f is concave, and f′ = 0 where 1 − cq = c/η: there it is δ(η). By
Hoeffding's lemma log(1 − q + qe^{−η}) ≤ −ηq + η²/8, so that f ≤ η/8 everywhere.  ∎

docs/games.md has two players who meet in a matrix game.
"""

from dataclasses import dataclass
from typing import ClassVar

from flint import arb

from constructions import checks
from constructions.construction import Construction
from constructions.language import bandits
from constructions.rounding.outward import above, balls, nearest


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        actions: N, arms, two or more.
        horizon: T, the largest number of rounds.
        rate: η; None stands for √(8 log N / T).

    Raises:
        ValueError: for values no transformer can be built for.

    >>> Spec(actions=2, horizon=100).rate
    0.23548200450309495
    """

    actions: int
    horizon: int
    rate: float | None = None
    dim: ClassVar[int] = 1  # of an arm its loss is known
    offers: ClassVar[str] = "scores"
    action_norm: ClassVar[tuple[float, float]] = (0.0, 1.0)
    weight_norm: ClassVar[float] = 1.0
    noise_bound: ClassVar[float] = 0.0

    def __post_init__(self):
        checks.settle(self, checks.whole, "actions", least=2)
        checks.settle(self, checks.whole, "horizon")
        if self.rate is None:
            tuned = nearest(lambda arms: (8 * arms.log() / self.horizon).sqrt(), float(self.actions))
            object.__setattr__(self, "rate", tuned)
        checks.settle(self, checks.number, "rate", positive=True)


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> built = build(Spec(actions=3, horizon=50))
    >>> built.certificate, built.size().layers, built.size().heads, built.size().hidden
    (0.0, 1, 1, 0)
    """
    checks.instance("spec", spec, Spec)
    p = bandits.program("Theorem 1 of constructions/games/hedge.py", spec)
    _, _, losses = bandits.tokens(p, spec)
    logits = p.sum("logits", -float(spec.rate or 0) * losses.entries, name="−η Σ losses")
    return bandits.complete(p, spec, 2 * logits.error.error)


def regret(spec: Spec) -> float:
    """Theorem 2's bound for T rounds with losses in [0, 1], rounded up.

    >>> regret(Spec(actions=2, horizon=100)) < (100 * 0.6931471805599453 / 2) ** 0.5
    True
    """
    with balls(1000):
        eta = arb(spec.rate)
        c = 1 - (-eta).exp()
        gap = 1 / c - 1 / eta + (c / eta).log() / eta
        return above(arb(spec.actions).log() / eta + spec.horizon * gap)
