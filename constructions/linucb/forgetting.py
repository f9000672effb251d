"""Soft LinUCB that forgets: for bandits whose weights drift, by a sliding window or by a discount.

With f(s) = 1 for the last W decisions and else 0, or f(s) = γ^{s−1} for the decision of s steps before,

    A_t = λI + Σ_{s≥1} f(s) a_{t−s} a_{t−s}ᵀ,   b_t = Σ f(s) r_{t−s} a_{t−s},   score_k = ⟨a_k, A⁻¹b⟩ + α √(a_kᵀA⁻¹a_k).

    layer 1            a aᵀ and r a at each action token, arms × i
    layer 2            A and b, a head for each knot of f, a piecewise linear function of the lag (linucb/lagged.py)
    layer 3            both times i
    layers 4 … k+3     X ← c(2X − XAX)
    layer k+4          logits_k = (⟨a_k, Xb⟩ + α√(a_kᵀXa_k))/τ

**Theorem.** A window is exact: the error is that of LinUCB by Newton with n = W + 1 decisions in place of T − 1, so that the
depth is O(log W), whatever T. A discount has n = Σ f ≤ 1/(1 − γ) + 1; a head for each lag at which it is above η leaves f
off by at most η, and log-probabilities off by (2/τ) times the sum of the first and α times the second of these, if
ζ = η (T − 1) B_a²/λ ≤ ½:

    |⟨a, Â⁻¹b̂⟩ − ⟨a, w⟩| ≤ (B_a/λ) η (T − 1) B_a (ρ + B_a ‖w‖)      |√(aᵀÂ⁻¹a) − √(aᵀA⁻¹a)| ≤ (B_a/√λ)((1 − ζ)^{-1/2} − 1)

Proofs, sizes, and what forgetting is good for: docs/drift.md.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from flint import arb

from constructions import checks, limits
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language import Program, Value, bandits
from constructions.linucb import by_newton, lagged
from constructions.linucb.spec import Spec as Plain
from constructions.parts.block import EXACT
from constructions.primitives import product
from constructions.rounding.outward import above, balls, below

SOURCE = "theorem ours, docs/drift.md"
SHARE = 0.1
"""Part of the error left to what is forgotten altogether of a discount."""

SHARED = ("dim", "actions", "error", "ridge", "exploration", "temperature")
SHARED += ("action_norm", "weight_norm", "noise_bound")
"""The fields that it has in common with LinUCB, but for the horizon."""


@dataclass(frozen=True)
class Spec:
    """What to build: a window or a discount, one of the two.

    Attributes:
        dim: d, dimension of the action vectors.
        actions: A, actions on offer at each step.
        horizon: T, the largest number of steps.
        window: W, decisions that are remembered.
        discount: γ, between 0 and 1: what a decision weighs falls by this factor a step.
        error: ε, bound on |log-probability error| of every action at every step.
        ridge: λ.
        exploration: α, weight of the confidence width.
        temperature: τ of the softmax.
        action_norm: (b_a, B_a), bounds on ‖a‖.
        weight_norm: B_w, bound on ‖w*‖ at every step.
        noise_bound: σ, bound on |noise|.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    dim: int
    actions: int
    horizon: int
    window: int | None = None
    discount: float | None = None
    error: float = 1e-3
    ridge: float = 1.0
    exploration: float = 1.0
    temperature: float = 0.1
    action_norm: tuple[float, float] = (0.5, math.sqrt(5))
    weight_norm: float = math.sqrt(5)
    noise_bound: float = 6.0

    def __post_init__(self):
        if (self.window is None) == (self.discount is None):
            raise ValueError(
                f"window, discount: wanted one of them, got {self.window!r} and {self.discount!r}"
            )
        checks.settle(self, checks.whole, "horizon", *(("window",) if self.discount is None else ()))
        if self.discount is not None:
            checks.settle(self, checks.number, "discount", positive=True)
            if self.discount >= 1:
                raise ValueError(f"discount: wanted one below 1, got {self.discount!r}")
        plain = self.remembering(self.horizon - 1, self.error)
        for name in SHARED:
            object.__setattr__(self, name, getattr(plain, name))

    def remembering(self, decisions: float, error: float) -> Plain:
        """LinUCB by Newton that has seen so many decisions at most, rounded up."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in SHARED}
        fields |= {"error": error, "horizon": 1 + math.ceil(decisions), "solver": "newton"}
        return Plain(**fields)

    @property
    def offers(self) -> str:
        """Scores of arms are their own: `constructions.offers`."""
        return "scores"


def lags(spec: Spec) -> tuple[lagged.Lags, float]:
    """The weights f as heads have it, and what it costs a log-probability that it is not quite the discount."""
    if spec.window is not None:
        return lagged.window(spec.window, spec.horizon), 0.0
    most = 1 / (2 * arb(max(spec.horizon - 1, 1)) * arb(admitted_norms(spec)[1]) ** 2 / spec.ridge)
    allowed = min(below(SHARE * spec.error / cost(spec)), below(most))
    chosen, off = lagged.discount(float(spec.discount or 0), spec.horizon, allowed)
    if off > below(most):
        raise ValueError(f"ridge: wanted one that rounding of the discount leaves alone, got {spec.ridge!r}")
    return chosen, above(off * cost(spec))


def cost(spec: Spec) -> arb:
    """What a log-probability may be off for each unit that f is off, as long as ζ ≤ ½, where (1 − ζ)^{-1/2} − 1 ≤ ζ."""
    high, decisions = arb(admitted_norms(spec)[1]), 1 / (1 - arb(spec.discount or 0))
    reward, root = arb(admitted_reward(spec)), arb(spec.ridge).sqrt()
    estimate = decisions.sqrt() * reward / (2 * root)
    past = max(spec.horizon - 1, 1) * high**2 / spec.ridge
    return 2 / arb(spec.temperature) * past * (reward + high * estimate + spec.exploration * high / root)


@balls(53)  # flint's precision is that of all threads: nobody else's while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> built = build(Spec(dim=2, actions=3, horizon=50, window=8))
    >>> built.certificate <= 1e-3, built.size().layers, build(Spec(dim=2, actions=3, horizon=500, window=8)).size().layers
    (True, 10, 10)
    """
    checks.instance("spec", spec, Spec)
    weights, apart = lags(spec)
    plain = spec.remembering(weights.total, spec.error - apart)
    (steps, e, root_error), d = by_newton.plan(plain), spec.dim
    limits.hold("forgetting linucb", weights=6.0 * d**2 * (d * steps + spec.actions + len(weights.knots)))
    registers = by_newton.registers(plain) | {"outer": d * d, "paid": d}
    p = bandits.program(SOURCE, spec, **registers)
    A, b, arms = _equations(p, spec, plain, weights)
    X = bandits.inverse(p, plain, "inverse", A, steps)
    logits = by_newton.scores(p, plain, X, b, arms, e, root_error)
    certificate = above(arb((2 * logits.error).error) + apart)
    checks.carried(spec.error, certificate)
    return bandits.complete(p, spec, certificate)


def _equations(p: Program, spec: Spec, plain: Plain, weights: lagged.Lags) -> tuple[Value, Value, Value]:
    """A, b and the arms, each with i times it beside."""
    (action, reward, arms), largest = bandits.tokens(p, spec), largest_eigenvalue(plain)
    for to, name, left in (("outer", "a aᵀ", action), ("paid", "r a", reward)):
        at, sizes = p.at(to=to) | {"left": left.register, "right": action.register}, (left.size, action.size)
        p.put(product.outer(name, SOURCE, bound=sizes, tokens=p.tokens, **at))
    names = {role: role for role in ("outer", "paid", "gram", "moment")}
    equations = lagged.equations(
        "A, b by lags",
        SOURCE,
        weights,
        ridge=spec.ridge,
        action_max=action.size,
        reward_max=reward.size,
        **p.at(**names),
    )
    p.put(equations)
    right = math.sqrt(plain.horizon * largest) * reward.size
    most = p.tokens * max(largest, right)
    p.put(p.times_index("A, b × i", ["gram", "moment"], ["gram_times", "moment_times"], most))
    p.put(p.times_index("arms × i", ["arms"], ["arms_times"], p.tokens * arms.size))
    return (
        Value(p.stream["gram"], largest, 1, EXACT, p.stream["gram_times"]),
        Value(p.stream["moment"], right, 1, EXACT, p.stream["moment_times"]),
        replace(arms, times=p.stream["arms_times"]),
    )
