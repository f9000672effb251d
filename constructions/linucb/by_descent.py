"""Soft LinUCB as a transformer: Theorem approx_smooth_linucb of arXiv 2310.08566 (Theorem 8), with weights.

    layers 1 … n      ridge estimate ŵ and A⁻¹a_k for every arm, by in-context descent
    layer n+1         heads: ⟨a_k, ŵ⟩ and a_kᵀA⁻¹a_k;  MLP: √ of the latter by interpolation
    layer n+2         MLP: logits_k = (⟨a_k, ŵ⟩ + α√(a_kᵀA⁻¹a_k))/τ

**The certificate.** Let ε_n and ε'_n be the descent's residuals (descent.py), ρ = B_aB_w + σ, and ε_√ the interpolant's
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
from dataclasses import dataclass
from typing import Any

from flint import arb

from constructions import checks
from constructions.construction import Construction
from constructions.inputs.bandits import (
    BANDIT_INPUTS,
    BanditTokens,
    admitted_norms,
    admitted_reward,
    bandit_stream,
    reward_bound,
)
from constructions.inputs.ridge import largest_eigenvalue
from constructions.linucb import widths
from constructions.linucb.spec import Spec, clip_radius
from constructions.linucb.widths import SLACK, largest_mean, root_share, width_error
from constructions.parts.assemble import assemble
from constructions.parts.block import Block
from constructions.parts.stream import Stream
from constructions.primitives import copying, descent, product
from constructions.rounding.outward import above, below, nearest


@dataclass(frozen=True)
class Plan:
    """The choices behind the weights.

    Attributes:
        loops: (depth, names of the registers solved for side by side), in order.
        root_error: the error left to the square root.
    """

    loops: tuple[tuple[int, *tuple[str, ...]], ...]
    root_error: float


def plan(spec: Spec) -> "Plan":
    """The depths and the error of the square root that a spec asks for."""
    method = descent_method(spec)
    return certified_plan(spec, method) if spec.depth == "certified" else stated_plan(spec, method)


def estimator(spec: Spec, depth: int) -> Construction:
    """The transformer of the ridge lemma alone: `depth` descent layers, the estimate in the register `ridge`.

    Its certificate is a bound on ‖ŵ − w‖; the logits stay zero.

    >>> estimator(Spec(dim=2, actions=1, horizon=5, solver="gd"), depth=10).size().heads
    3
    """
    ahead = spec.dim * (spec.solver != "gd")
    stream = bandit_stream(spec.dim, spec.actions, ridge=spec.dim, ridge_ahead=ahead)
    block = _solve(spec, descent_method(spec), stream, "ridge", depth)
    transformer = assemble(stream, BANDIT_INPUTS, [[block]], clip_radius(spec, (block,)))
    return Construction(spec, BanditTokens(stream, spec), (block,), transformer, block.promise.total.error)


def descent_method(spec: Spec) -> descent.Descent:
    """Descent on the ridge problems of a spec."""
    return descent.Descent(spec.solver, spec.ridge, admitted_norms(spec)[1], spec.horizon)  # type: ignore[arg-type]


def inherited_error(spec: Spec, method: descent.Descent, depth: int) -> float:
    """What both solves, stopped at a depth, and rounded weights add to τ times a logit: all but the root."""
    residual = method.reward_residual(depth)
    rounded = spec.temperature * widths.rounded_weights(spec)
    mean = above(residual * largest_mean(spec))
    return mean + spec.exploration * width_error(spec, method.residual(depth)) + rounded


def certified_plan(spec: Spec, method: descent.Descent) -> Plan:
    """The least depth that leaves the square root its share of the error, both solves side by side."""
    budget = spec.error * spec.temperature / 2 * (1 - SLACK)
    share = (1 - root_share(spec)) * budget if spec.exploration else budget

    def enough(depth: int) -> bool:  # a residual of at most 1/2 keeps x̂ away from 0
        return inherited_error(spec, method, depth) <= share and method.residual(depth) <= 0.5

    high = 1
    while not enough(high):
        high *= 2
        if high > descent.DEEP + 16 * method.condition:
            checks.carried(spec.error, inherited_error(spec, method, high) * spec.error / share)
    depth = bisect.bisect_left(range(high), True, lo=high // 2, key=enough)
    rest = budget - inherited_error(spec, method, depth)
    return Plan(((depth, "ridge", "inverse"),), rest / spec.exploration if spec.exploration else math.inf)


def stated_plan(spec: Spec, method: descent.Descent) -> Plan:
    """Depths and error split as printed in the proof of Theorem approx_smooth_linucb."""
    low, high = spec.action_norm  # the paper's own bounds
    smooth, horizon, ridge = high * high + spec.ridge, spec.horizon, spec.ridge
    ridge_error = spec.error * spec.temperature / (12 * high)
    inverse_error = low * low / (2 * smooth * horizon * high)
    if spec.exploration:
        split = (
            low * spec.temperature * spec.error / (12 * math.sqrt(horizon * smooth) * spec.exploration * high)
        )
        inverse_error = min(inverse_error, split)

    def depth(start: float, error: float) -> int:
        if spec.solver == "gd":
            return max(1, math.ceil(2 * method.condition * nearest(arb.log, start / error)))
        return max(
            1,
            math.ceil(
                2 * math.sqrt(method.condition) * nearest(arb.log, (1 + method.condition) * start / error)
            ),
        )

    loops = (
        (depth(horizon * high * reward_bound(spec) / ridge, ridge_error), "ridge"),
        (depth(high / ridge, inverse_error), "inverse"),
    )
    return Plan(
        loops, spec.error * spec.temperature / (12 * spec.exploration) if spec.exploration else math.inf
    )


def assemble_plan(spec: Spec, plan: Plan, changes: bool = True) -> Construction:
    """The transformer for a plan; `changes=False` builds the square root with the coefficients the paper prints."""
    dim, arms, accelerated = spec.dim, spec.actions, spec.solver != "gd"
    stream = bandit_stream(
        dim,
        arms,
        ridge=dim,
        ridge_ahead=dim * accelerated,
        inverse=dim * arms,
        inverse_ahead=dim * arms * accelerated,
        mean=arms,
        square=arms,
        width=arms,
        **widths.registers(spec),
    )
    solves = [
        [_solve(spec, descent_method(spec), stream, name, depth) for name in names]
        for depth, *names in plan.loops
    ]
    scores = _scores(spec, stream, [block for stage in solves for block in stage], plan, changes)
    stages = [*solves, *scores]
    blocks = tuple(block for stage in stages for block in stage)
    transformer = assemble(stream, BANDIT_INPUTS, stages, clip_radius(spec, blocks))
    certificate = (2 * blocks[-1].promise.total).error
    return Construction(spec, BanditTokens(stream, spec), blocks, transformer, certificate)


def _solve(spec: Spec, method: descent.Descent, stream: Stream, name: str, depth: int) -> Block:
    registers: dict[str, Any] = {
        "action": stream["action"],
        "position": stream["position"],
        "point": stream[name],
    }
    ahead = stream.registers.get(f"{name}_ahead")
    if name == "inverse":
        return descent.inverse(method, depth, vectors=stream["arms"], ahead=ahead, **registers)
    rewards = admitted_reward(spec)
    return descent.ridge(method, depth, reward=stream["reward"], reward_max=rewards, ahead=ahead, **registers)


def _scores(spec: Spec, stream: Stream, solves: list[Block], plan: Plan, changes: bool) -> list[list[Block]]:
    """The two last layers: products, square root, logits."""
    (low, high), source = admitted_norms(spec), "Theorem approx_smooth_linucb, step 3"
    solved = {block.outputs[0].name: block.promise for block in solves}
    [depth] = [depth for depth, *names in plan.loops if "inverse" in names]
    spread = descent_method(spec).residual(depth)  # x̂ is within a factor 1 ± spread of x
    smallest, largest = arb(low) ** 2 / largest_eigenvalue(spec), arb(high) ** 2 / spec.ridge
    estimate = above(descent.largest_estimate(spec.ridge, spec.horizon, admitted_reward(spec)))
    estimate += solved["ridge"].total.error
    common = {"right": stream["arms"], "position": stream["position"], "tokens": 2 * spec.horizon}
    mean = product.own_token(
        "mean ⟨a_k, w⟩",
        source,
        left=stream["ridge"],
        to=stream["mean"],
        bound=high * estimate,
        inherited=high * solved["ridge"].total,
        **common,
    )
    square = product.own_token(
        "square a_kᵀA⁻¹a_k",
        source,
        left=stream["inverse"],
        to=stream["square"],
        bound=float(largest) * (1 + spread),
        inherited=high * solved["inverse"].total,
        **common,
    )
    bounds = (below(smallest * (1 - arb(spread))), above(largest * (1 + arb(spread))))
    roots = widths.stages(spec, stream, square, bounds, spread, plan.root_error, changes)
    root = roots[-1][0]
    tau, alpha = spec.temperature, spec.exploration
    logits = copying.combine(
        "logits",
        source,
        terms=((1 / tau, stream["mean"]), (alpha / tau, stream["width"])),
        to=stream["logits"],
        inherited=above(1 / arb(tau)) * (mean.promise.total + alpha * root.promise.total),
        bound=(high * estimate + alpha * (math.sqrt(bounds[1]) + root.promise.total.error)) / tau,
        error=widths.rounded_weights(spec),
    )
    return [[mean, square], *roots, [logits]]
