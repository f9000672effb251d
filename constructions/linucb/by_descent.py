"""Soft LinUCB as a transformer: Theorem approx_smooth_linucb of arXiv 2310.08566 (Theorem 8), with weights.

    layers 1 … n      ridge estimate ŵ and A⁻¹a_k for every arm, by in-context descent
    layer n+1         heads: ⟨a_k, ŵ⟩ and a_kᵀA⁻¹a_k;  MLP: √ of the latter by interpolation
    layer n+2         MLP: logits_k = (⟨a_k, ŵ⟩ + α√(a_kᵀA⁻¹a_k))/τ

**The certificate.** Let ε_n and ε'_n be the descent's residuals (rates.py), ρ = B_aB_w + σ, and ε_√ the interpolant's
error. Then

    |⟨a_k, ŵ − w⟩|    ≤ B_a ε'_n √(T−1) ρ/(2√λ)
    |√x̂_k − √x_k|     ≤ (B_a/√λ)(1 − √(1 − ε_n))                          (x̂_k within a factor 1 ± ε_n of x_k ≤ B_a²/λ)
    |logit error|     ≤ (first + α(second + ε_√))/τ
    |log-probability error| ≤ 2 · |logit error|                            (log-softmax is 2-Lipschitz in ‖·‖_∞)

for every history within the norm bounds. With depth="certified" the depth is the least that leaves ε_√ the share root_share
of the requested error, and the interpolant uses up the rest. With depth="stated" depth and error split are those of the
paper's proof: the ridge estimate first, A⁻¹a_k after it.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from flint import arb

from constructions import checks
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_norms, reward_bound
from constructions.language import Program, Value, bandits
from constructions.linucb import widths
from constructions.linucb.spec import Spec
from constructions.linucb.widths import SLACK, root_share
from constructions.parts.guarantee import Guarantee
from constructions.primitives import descent
from constructions.rounding import rates
from constructions.rounding.outward import nearest


@dataclass(frozen=True)
class DescentPlan:
    """The choices behind the weights.

    Attributes:
        loops: (depth, names of the registers solved for side by side), in order.
        root_error: the error left to the square root.
    """

    loops: tuple[tuple[int, *tuple[str, ...]], ...]
    root_error: float

    @property
    def depths(self) -> dict[str, int]:
        """The depth of each register."""
        return {name: depth for depth, *names in self.loops for name in names}


def plan(spec: Spec) -> "DescentPlan":
    """The depths and the error of the square root that a spec asks for."""
    method = descent_method(spec)
    return certified_plan(spec, method) if spec.depth == "certified" else stated_plan(spec, method)


def estimator(spec: Spec, depth: int) -> Construction:
    """The transformer of the ridge lemma alone: `depth` descent layers, the estimate in the register `ridge`.

    It gives the estimate, no policy: its certificate is a bound on ‖ŵ − w‖.

    >>> estimator(Spec(dim=2, actions=1, horizon=5, solver="gd"), depth=10).size().heads
    3
    """
    ahead = spec.dim * (spec.solver != "gd")
    p = bandits.program("Lemma approx_ridge", spec, logits=0, ridge=spec.dim, ridge_ahead=ahead)
    estimate = Guarantee("values", output="ridge")
    w = bandits.descent(p, spec, descent_method(spec), depth)
    return bandits.complete(p, spec, w.error.error, promised=estimate)


def descent_method(spec: Spec) -> rates.Descent:
    """Descent on the ridge problems of a spec."""
    return rates.Descent(spec.solver, spec.ridge, admitted_norms(spec)[1], spec.horizon)  # type: ignore[arg-type]


def inherited_error(spec: Spec, method: rates.Descent, depth: int) -> float:
    """What both solves, stopped at a depth, and rounded weights add to τ times a logit: all but the root."""
    return widths.inherited(spec, method.reward_residual(depth), method.residual(depth))


def certified_plan(spec: Spec, method: rates.Descent) -> DescentPlan:
    """The least depth that leaves the square root its share of the error, both solves side by side."""
    budget = spec.error * spec.temperature / 2 * (1 - SLACK)
    share = (1 - root_share(spec)) * budget if spec.exploration else budget

    def enough(depth: int) -> bool:  # a residual of at most 1/2 keeps x̂ away from 0
        return inherited_error(spec, method, depth) <= share and method.residual(depth) <= 0.5

    high = 1
    while not enough(high):
        high *= 2
        if high > rates.DEEP + 16 * method.condition:
            checks.carried(spec.error, inherited_error(spec, method, high) * spec.error / share)
    depth = bisect.bisect_left(range(high), True, lo=high // 2, key=enough)
    rest = budget - inherited_error(spec, method, depth)
    return DescentPlan(
        ((depth, "ridge", "inverse"),), rest / spec.exploration if spec.exploration else math.inf
    )


def stated_plan(spec: Spec, method: rates.Descent) -> DescentPlan:
    """Depths and error split as printed in the proof of Theorem approx_smooth_linucb."""
    low, high = spec.action_norm  # the paper's own bounds
    smooth, horizon, ridge = high * high + spec.ridge, spec.horizon, spec.ridge
    ridge_error = spec.error * spec.temperature / (12 * high)
    inverse_error = low * low / (2 * smooth * horizon * high)
    if spec.exploration:
        share = 12 * math.sqrt(horizon * smooth) * spec.exploration * high
        inverse_error = min(inverse_error, low * spec.temperature * spec.error / share)

    def depth(start: float, error: float) -> int:
        rate, gain = method.condition, 1.0
        if spec.solver == "agd":
            rate, gain = math.sqrt(method.condition), 1 + method.condition
        return max(1, math.ceil(2 * rate * nearest(arb.log, gain * start / error)))

    loops = (
        (depth(horizon * high * reward_bound(spec) / ridge, ridge_error), "ridge"),
        (depth(high / ridge, inverse_error), "inverse"),
    )
    share = spec.error * spec.temperature
    return DescentPlan(loops, share / (12 * spec.exploration) if spec.exploration else math.inf)


def assemble_plan(spec: Spec, plan: DescentPlan) -> Construction:
    """The transformer for a plan."""
    d, A, two = spec.dim, spec.actions, int(spec.solver != "gd")  # accelerated: a register more
    solved = {"ridge": d, "ridge_ahead": two * d, "inverse": d * A, "inverse_ahead": two * d * A}
    scratch = solved | dict.fromkeys(("mean", "square", "width"), A) | widths.registers(spec)
    p = bandits.program("Theorem approx_smooth_linucb, step 3", spec, **scratch)
    depths, (_, _, arms) = plan.depths, bandits.tokens(p, spec)
    w = bandits.descent(p, spec, descent_method(spec), depths["ridge"])
    inverse = _inverse(p, spec, depths["inverse"], after=["ridge"][: len(plan.loops) - 1])
    mean = p.product("mean", "mean ⟨a_k, w⟩", w, arms)
    square = p.product("square", "square a_kᵀA⁻¹a_k", inverse, arms)
    residual = descent_method(spec).residual(depths["inverse"])
    width = widths.root(p, spec, square, residual, plan.root_error)
    score = (mean + spec.exploration * width) / spec.temperature
    logits = p.total("logits", score, rounded=widths.rounded_weights(spec))
    return bandits.complete(p, spec, (2 * logits.error).error)


def _inverse(p: Program, spec: Spec, depth: int, after: Sequence[str] = ()) -> Value:
    """A⁻¹a_k for every arm by so many steps of descent, after what other registers hold."""
    registers, method = p.at(action="action", vectors="arms", point="inverse"), descent_method(spec)
    registers["ahead"] = p.stream.registers.get("inverse_ahead")
    p.put(descent.inverse(method, depth, **registers), after=after)
    return p.value("inverse", method.action_max / spec.ridge * (1 + method.residual(depth)))
