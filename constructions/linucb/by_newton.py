"""Soft LinUCB in O(log T) layers: Newton's iteration in place of descent.

    layer 1            A = λI + Σ a_j a_jᵀ and b = Σ r_j a_j, both also times i; arms times i
    layers 2 … k+1     X ← c(2X − XAX)
    layer k+2          heads: ⟨a_k, Xb⟩ and a_kᵀXa_k;  MLP: logits_k = (⟨a_k, Xb⟩ + α√(a_kᵀXa_k))/τ, √ by interpolation

**Theorem.** X = A^{-1/2}(I + E)A^{-1/2} with ‖E‖ ≤ e_k (newton.py). For every history within the norm bounds, with
ρ = B_aB_w + σ and ε_√ the error of the root,

    |⟨a, Xb⟩ − ⟨a, w⟩|     ≤ ‖a‖ ‖E‖ ‖A⁻¹Fᵀ‖ ‖r‖ ≤ e_k B_a √(T−1) ρ/(2√λ)
    |√(aᵀXa) − √(aᵀA⁻¹a)|  ≤ (B_a/√λ)(1 − √(1 − e_k))
    |log-probability error| ≤ (2/τ)(first + α(second + ε_√)).

The first: E is a function of A, b = Fᵀr with the actions as rows of F and the rewards as r, so that Xb − w = E A⁻¹Fᵀr, and
the singular values of A⁻¹Fᵀ are s/(s² + λ) ≤ 1/(2√λ).

1/e_k = T_{2^k}(1/e_0), e_0 = (S − λ)/(S + λ), S = λ + (T − 1)B_a²: e_k ≤ 2 exp(−2^{k+1}/√κ), κ = S/λ, so that
k = ⌈log₂(½√κ ln(2/e))⌉ steps reach e. In all k + 2 layers, at most max(4(d + 1) + 1, 2d² + 1, 2d(A + 1)) heads,
D = 3d² + 3d + 2Ad + 3A + 4 registers. The theorem has Õ(√T) layers. Every constant: docs/depth.md, Theorem A.

ε_√ takes what the iteration leaves of ε, at least root_share of it; an error that is squared at each step leaves nearly all.
"""

import math
from functools import partial

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import checks, limits
from constructions.construction import Construction
from constructions.inputs.bandits import (
    BANDIT_INPUTS,
    BanditTokens,
    admitted_norms,
    admitted_reward,
    bandit_stream,
)
from constructions.inputs.ridge import first_layer, largest_eigenvalue
from constructions.linucb import widths
from constructions.linucb.spec import Spec, clip_radius
from constructions.linucb.widths import SLACK, largest_mean, root_share, width_error
from constructions.parts.assemble import assemble
from constructions.parts.block import (
    UNIT,
    Block,
    Bound,
    Promise,
    Step,
    Surrogate,
    gate_size,
    own_heads,
    signed_units,
)
from constructions.parts.links import Values, held, pick, read, tile
from constructions.parts.stream import Register, Stream
from constructions.primitives import copying, newton
from constructions.rounding import schedules
from constructions.rounding.outward import above, balls, below

SOURCE = "theorem ours, in place of Theorem approx_smooth_linucb"


def mean_error(spec: Spec, error: float) -> float:
    """Bound on |⟨a, Xb⟩ − ⟨a, w⟩| where ‖E‖ ≤ error."""
    return above(error * largest_mean(spec))


def inherited(spec: Spec, error: float) -> float:
    """What ‖E‖ ≤ error, and weights that are rounded, add to τ times a logit."""
    rounded = spec.temperature * widths.rounded_weights(spec)
    return mean_error(spec, error) + spec.exploration * width_error(spec, error) + rounded


def plan(spec: Spec) -> tuple[int, float, float]:
    """The fewest steps that leave the square root its share; their e_k, and ε_√.

    Raises:
        ValueError: if weights of float64 do not lead so far.
    """
    budget = spec.error * spec.temperature / 2 * (1 - SLACK)
    share = (1 - root_share(spec)) * budget if spec.exploration else budget
    reached = math.inf
    for chosen in schedules.inverses(spec.ridge, largest_eigenvalue(spec)):
        error, reached = chosen.error, inherited(spec, chosen.error)
        if error <= 0.5 and reached <= share:
            root = (budget - reached) / spec.exploration if spec.exploration else math.inf
            return len(chosen.errors), error, root
    checks.carried(spec.error, reached * spec.error / share)
    raise ValueError(f"ridge: wanted a problem that weights of float64 can solve, got {spec.ridge!r}")


def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate."""
    steps, error, root_error = plan(spec)
    dim, arms, tokens = spec.dim, spec.actions, 2 * spec.horizon
    limits.hold("linucb by Newton", weights=6.0 * dim**2 * (dim * steps + arms))
    matrices = dict.fromkeys(("gram", "gram_times", "inverse"), dim * dim)
    vectors = {"moment": dim, "moment_times": dim, "arms_times": arms * dim, "mean": arms, "square": arms}
    if by_products := bool(spec.exploration) and spec.root == "products":
        vectors |= {"width": arms} | widths.registers(spec)
    stream = bandit_stream(dim, arms, **matrices, **vectors)
    at, largest = stream.registers, largest_eigenvalue(spec)
    solved = newton.inverse(
        "A⁻¹ by Newton",
        SOURCE,
        gram=at["gram"],
        gram_times=at["gram_times"],
        position=at["position"],
        to=at["inverse"],
        ridge=spec.ridge,
        largest=largest,
        steps=steps,
        tokens=tokens,
        action=at["action"],
    )
    mean, square = _scores(spec, stream, error, solved.promise.own.rounding)
    roots: list[list[Block]] = []
    if by_products:
        roots = widths.stages(spec, stream, square, _extremes(spec, error), error, root_error)
        logits = _sum(spec, stream, mean, roots[-1][0])
    else:
        logits = _logits(spec, stream, error, root_error, mean, square)
    stages = [
        first_layer(spec, stream, SOURCE, admitted_reward(spec)),
        [solved],
        [mean, square],
        *roots,
        [logits],
    ]
    blocks = tuple(block for stage in stages for block in stage)
    transformer = assemble(stream, BANDIT_INPUTS, stages, clip_radius(spec, blocks))
    certificate = (2 * logits.promise.total).error
    return Construction(spec, BanditTokens(stream, spec), blocks, transformer, certificate)


def _scores(spec: Spec, stream: Stream, error: float, rounding: float) -> tuple[Block, Block]:
    """⟨a_k, Xb⟩ and a_kᵀXa_k: for each m, the m-th entry of Xb or Xa_k times that of a_k."""
    at, dim, arms, high = stream.registers, spec.dim, spec.actions, admitted_norms(spec)[1]
    tokens, rewards = 2 * spec.horizon, admitted_reward(spec)
    right = math.sqrt(spec.horizon * largest_eigenvalue(spec)) * rewards
    means, squares = [], []
    for m in range(dim):
        row, entries = read(at["inverse"].part(m, of=dim)), pick(at["arms"], np.arange(arms) * dim + m)
        means += own_heads(
            f"mean {m}",
            row,
            read(at["moment_times"]),
            at["mean"],
            at["position"],
            gate_size(2 / spec.ridge * tokens * right),
            value=entries,
            count=1,
        )
        squares += own_heads(
            f"square {m}",
            tile(row, arms),
            read(at["arms_times"]),
            at["square"],
            at["position"],
            gate_size(2 / spec.ridge * tokens * high),
            value=entries,
        )

    def mean_truth(values: Values):
        x, b, a = (held(values, at[name]) for name in ("inverse", "moment", "arms"))
        solved = np.einsum("tmn,tn->tm", x.reshape(-1, dim, dim), b)
        return np.einsum("tkm,tm->tk", a.reshape(-1, arms, dim), solved)

    def square_truth(values: Values):
        x, a = (
            held(values, at["inverse"]).reshape(-1, dim, dim),
            held(values, at["arms"]).reshape(-1, arms, dim),
        )
        return np.einsum("tkm,tmn,tkn->tk", a, x, a)

    blocks = []
    for name, heads, to, truth, size, total, gain in (
        (
            "mean ⟨a_k, w⟩",
            means,
            "mean",
            mean_truth,
            2 / spec.ridge * right * high,
            mean_error(spec, error),
            right * high,
        ),
        (
            "square a_kᵀA⁻¹a_k",
            squares,
            "square",
            square_truth,
            2 / spec.ridge * high * high,
            above(error * arb(high) ** 2 / spec.ridge),
            high * high,
        ),
    ):
        own = Bound(0.0, UNIT * 64 * dim * tokens * size)
        promise = Promise("norm bounds", own, own + Bound(total, gain * rounding), 2 * math.sqrt(arms) * size)
        blocks.append(Block(name, SOURCE, (Step(tuple(heads)),), at[to], truth, promise, groups=arms))
    return blocks[0], blocks[1]


def _extremes(spec: Spec, error: float) -> tuple[float, float]:
    """Bounds on aᵀXa."""
    low, high = map(arb, admitted_norms(spec))
    largest = largest_eigenvalue(spec)
    return below(low**2 / largest * (1 - arb(error))), above(high**2 / spec.ridge * (1 + arb(error)))


def _sum(spec: Spec, stream: Stream, mean: Block, width: Block) -> Block:
    """(mean + α width)/τ."""
    tau, alpha = spec.temperature, spec.exploration
    return copying.combine(
        "logits",
        SOURCE,
        terms=((1 / tau, stream["mean"]), (alpha / tau, stream["width"])),
        to=stream["logits"],
        inherited=above(1 / arb(tau)) * (mean.promise.total + alpha * width.promise.total),
        bound=(mean.promise.magnitude + alpha * width.promise.magnitude) / tau,
        error=widths.rounded_weights(spec),
    )


def _logits(spec: Spec, stream: Stream, error: float, root_error: float, mean: Block, square: Block) -> Block:
    """(mean + α √square)/τ, in one MLP."""
    at, tau, alpha = stream.registers, spec.temperature, spec.exploration
    smallest, largest = _extremes(spec, error)
    units = [signed_units("mean", read(at["mean"]), (at["logits"], 1 / tau))]
    own = Bound(widths.rounded_weights(spec))
    carried = own + above(1 / arb(tau)) * mean.promise.total
    size = (mean.promise.magnitude + alpha * math.sqrt(largest) * 2) / tau * math.sqrt(spec.actions)
    rounding, surrogate = Bound(0.0, UNIT * 8 * size), None
    if alpha:
        with balls():
            times = arb(alpha) / tau
        inherited = widths.carried(spec, square, smallest, error)
        root = widths.interpolated(
            stream,
            (smallest, largest),
            min(root_error, below(arb(largest).sqrt())),
            inherited,
            SOURCE,
            at["logits"],
            times=times,
        )
        units += root.steps[0].units
        if near := root.surrogate:
            made = partial(_beside, at["mean"], tau, near)
            surrogate = Surrogate(made, near.bound + own + rounding)
        own, carried = own + root.promise.own, carried + root.promise.total

    def truth(values: Values):
        return (held(values, at["mean"]) + alpha * np.sqrt(np.maximum(held(values, at["square"]), 0.0))) / tau

    promise = Promise(f"{smallest:.3g} ≤ square ≤ {largest:.3g}", own + rounding, carried + rounding, size)
    steps, to = (Step((), tuple(units)),), at["logits"]
    return Block("logits", SOURCE, steps, to, truth, promise, groups=spec.actions, surrogate=surrogate)


def _beside(mean: Register, tau: float, root: Surrogate, values: Values) -> Float[np.ndarray, "tokens size"]:
    """Mean/τ + what stands for α√square/τ."""
    return held(values, mean) / tau + root.function(values)
