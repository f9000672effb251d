"""Policy evaluation by temporal differences: batch TD(0), TD(λ) and semi-gradient SARSA, exactly, one layer a sweep.

A transition is (φ, φ′, r): features of a state in ℝᵈ, those of the state that followed, 0 at an end, and the reward. Of the
n transitions before it, token i = 2n + 1 makes values ⟨w, φ_k⟩ of the features φ_k that are asked about:

    w ← w + (α/i) Σ_{j≤n} (r_j + γ⟨φ′_j, w⟩ − ⟨φ_j, w⟩) e_j,    e_j = φ_j + c e_{j−1},    m times from w = 0

An arm is the pair (φ, φ′), as in the prompts of arXiv 2405.13861: what is played is a transition, what is on offer is asked
about, and φ′ of an offer is not read. With features of states and c = 0 this is batch TD(0); with those of states and
actions, φ′ = φ(s′, a′), semi-gradient SARSA; with c = γλ TD(λ), over one trajectory (that paper's traces have c = λ). The
step size of the mean over n transitions is α n/i, between α/3 and α/2: for β at just n of them, α = β(2n + 1)/n.

    c ≠ 0     ⌈log₂ T⌉ layers, one at least, double what e_j has of the past
    sweep     two heads: score ±(⟨γφ′_j − φ_j, w_i⟩ + r_j), value ±α e_j
    output    two heads a feature vector: ⟨w_i, φ_k⟩, of the token itself

**Theorem 1.** For pairs of norm at most B and rewards of size at most R the register `values` holds the values exactly, at
every decision, if float64 holds the powers c^(2ⁿ), 2ⁿ < T, as for c = 0 and c = 1/2. There are m + 1 layers, and those above
if c ≠ 0, of at most max(2, 2A) heads; no neurons. *Proof.* relu(z) − relu(−z) = z, attention divides by i, and tokens that
record no transition have φ_j = 0 and e_j = 0, which is summed over tokens 2, 4, … before: two heads add a sweep. e_j:
`primitives.repetition.discounted`. ‖e_j‖ ≤ E = B Σ_{m<T} c^m, and ‖γφ′ − φ‖ ≤ K = B√(1 + γ²) by Cauchy and Schwarz. Less
than half of i tokens record a transition: a sweep takes w − v to (I − M)(w − v), ‖M‖ ≤ αKE/2. So no distance grows by more
than g = 1 + αKE/2, and ‖w‖ ≤ W = (αRE/2)(1 + g + … + g^(m−1)); the clip radius is above all of this.  ∎ Other c:
docs/policy-evaluation.md.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from flint import arb

from constructions import checks
from constructions.construction import Construction
from constructions.language import bandits, repeat, trace
from constructions.parts.guarantee import Guarantee
from constructions.rounding.outward import above, balls


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        features: d, of a state, or of a state and an action.
        horizon: T, the largest number of decisions: one more than transitions.
        actions: A, so many feature vectors are asked about at a time.
        sweeps: m.
        step: α.
        discount: γ.
        trace: c, what a trace keeps from step to step: γλ, or 0.
        bound: B, on the norm of a pair (φ, φ′).
        reward: R, on the size of rewards.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    features: int
    horizon: int
    actions: int = 1
    sweeps: int = 8
    step: float = 1.0
    discount: float = 0.9
    trace: float = 0.0
    bound: float = 1.0
    reward: float = 1.0
    guarantee: ClassVar[Guarantee] = Guarantee("values", output="values")
    weight_norm: ClassVar[float] = 0.0

    def __post_init__(self):
        checks.settle(self, checks.whole, "features", "horizon", "actions", "sweeps")
        checks.settle(self, checks.number, "step", "bound", "reward", positive=True)
        checks.settle(self, checks.number, "discount", "trace", positive=False)

    @property
    def dim(self) -> int:
        """Entries of a pair."""
        return 2 * self.features

    @property
    def action_norm(self) -> tuple[float, float]:
        """Bounds on the norm of a pair."""
        return 0.0, self.bound

    @property
    def noise_bound(self) -> float:
        """Bound on the size of a reward."""
        return self.reward


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    Raises:
        ValueError: if float64 cannot carry bounds on what so many sweeps can make of w.

    >>> built = build(Spec(features=3, horizon=10))
    >>> built.certificate, built.size().layers, built.size().heads, built.size().hidden
    (0.0, 9, 2, 0)
    """
    checks.instance("spec", spec, Spec)
    sizes = {"trace": spec.features * bool(spec.trace), "weights": spec.features, "values": spec.actions}
    p = bandits.program("Theorem 1 of constructions/prediction/td.py", spec, **sizes)
    pair, reward, asked = bandits.tokens(p, spec)
    now, after = (replace(pair, register=pair.register.part(n, of=2)) for n in (0, 1))
    moved = trace(p, "trace", "Σ c^m φ", now, spec.trace) if spec.trace else now
    key = pair.size * (1 + arb(spec.discount) ** 2).sqrt()
    growth, errors = 1 + spec.step * key * moved.size / 2, arb(0)
    for _ in range(spec.sweeps):
        errors = 1 + growth * errors
    largest = above(spec.step * reward.size * moved.size / 2 * errors)
    if not largest < 1e100:  # squares are to be far from the end of float64
        raise ValueError(f"sweeps: wanted a bound on weights below 1e+100, got {largest:.3g}")
    most = {"weight": spec.step, "largest": largest, "gain": above(errors * arb(spec.features).sqrt())}
    w = repeat(p, "weights", "sweeps", spec.sweeps, spec.discount * after - now, reward, moved, **most)
    values = p.product("values", "⟨w, φ_k⟩", w, asked)
    return bandits.complete(p, spec, values.error.error)
