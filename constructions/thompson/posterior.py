"""Steps 1 to 3: the posterior mean and the whitened arms x_k = √r Σ⁻¹ᐟ² a_k, by sums over poles.

    pade        layers 1 … n      the estimate μ̂ = Σ⁻¹ Σ a_j r_j, and (shift_j I + G)⁻¹ a_k for every pole and arm
                layer n+1         MLP: √r √Σ a_k as a sum over poles
                layers … 2n+1     Σ⁻¹ of it
    zolotarev   layers 1 … n      the same with other, fewer poles
                layer n+1         MLP: x_k as a sum over poles
    chebyshev   the same as zolotarev with n halved: Chebyshev's semi-iteration in place of accelerated descent

All poles are ridge problems with ridges shift_j ≥ λ̃ = r/λ, solved side by side (descent.py). The paper has them as systems
M_j with one step size 1/(B_a² + λ̃) for all, with which descent diverges; here each has its own, 1/(B_a² + shift_j), and its
condition number is then at most that of the estimate: the depth stands.

**The certificate.** Whatever is computed is a function of Σ, the same for all arms: x̂_k = (I + E) x_k with ‖E‖ ≤ ε_w, so
that differences of arms carry *relative* errors, however small they have become. With the rule's relative error ε_p, the
descent's residual ε and the gain Σ_j |weight_j|/shift_j/√λ̃ of the poles' errors (at most 1 for zolotarev, whose weights are
positive)

    ε_w = √σ (1 + ε_p)(1 + gain·ε)(1 + ε) − 1,    the last factor not for zolotarev,

σ ≥ 1 being what the rounding of λ̃ makes of an eigenvalue of Σ (spec.stretch); descent's own 4u have room for it in ε.

The estimate's error is −e(Σ)Σ⁻¹b with |e| ≤ ε, and ‖Σ⁻¹ᐟ²b‖ ≤ √(T−1) ρ, ρ = B_aB_w + σ, so that

    |⟨a_j − a_k, μ̂ − μ⟩| ≤ ‖x_j − x_k‖ ε Θ,    Θ = √((T−1)/r) ρ,

and |⟨a_j − a_k, μ⟩| ≤ ‖x_j − x_k‖ Θ: in units of ‖x_j − x_k‖ nothing grows as the posterior contracts.
"""

import bisect
import math
from dataclasses import dataclass, replace

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language import Program, Value, bandits
from constructions.parts.block import UNIT, Block, Bound, Promise
from constructions.parts.links import Values, grams
from constructions.parts.stream import Stream
from constructions.primitives import copying, descent, rational
from constructions.rounding import rates
from constructions.rounding.outward import above, balls, product
from constructions.thompson.spec import SoftmaxSpec, Spec

SOURCE = "Theorem approx_thompson_linear, step {}"


@dataclass(frozen=True)
class PosteriorPlan:
    """The choices behind the linear algebra.

    Attributes:
        depth: layers of each descent.
        rule: the poles.
        relative: ε_w, bound on ‖E‖.
        residual: ε of the descent.
    """

    depth: int
    rule: rational.Rational
    relative: float
    residual: float


def method(spec: Spec, ridge: float | None = None) -> rates.Descent:
    """Descent on the problem with a ridge, λ̃ if left out."""
    solver = "chebyshev" if spec.solver == "chebyshev" else "agd"
    return rates.Descent(solver, ridge or spec.ridge, admitted_norms(spec)[1], spec.horizon)


def largest_ratio(spec: Spec | SoftmaxSpec) -> float:
    """Θ = √((T−1)/r) ρ: bound on |⟨u, μ⟩|/‖√r Σ⁻¹ᐟ²u‖ for every u."""
    return above((arb(max(spec.horizon - 1, 1)) / spec.noise_variance).sqrt() * admitted_reward(spec))


def reach(spec: Spec | SoftmaxSpec) -> float:
    """√λ B_a: bound on ‖x_k‖."""
    return above(arb(spec.prior_variance).sqrt() * admitted_norms(spec)[1])


def least_depth(spec: Spec, enough) -> int:
    """The least depth whose residual is enough.

    Raises:
        ValueError: if weights of float64 leave more, however deep.
    """
    solver, high = method(spec), 1
    while not enough(solver.residual(high)):
        high *= 2
        if high > rates.DEEP + 16 * solver.condition:
            raise ValueError(
                f"error: wanted one that weights of float64 can carry, got {spec.error!r}: "
                f"descent within {solver.residual(high):.3g} is not enough"
            )
    return bisect.bisect_left(range(high), True, lo=high // 2, key=lambda n: enough(solver.residual(n)))


def plan(spec: Spec, relative: float, residual: float) -> PosteriorPlan:
    """The least depth and the fewest poles with ε_w ≤ relative and ε ≤ residual."""
    poles = rational.pade if spec.solver == "pade" else rational.zolotarev
    rule = poles(spec.ridge, largest_eigenvalue(spec), relative / 4)
    depth = least_depth(spec, lambda epsilon: epsilon <= residual and _whole(spec, rule, epsilon) <= relative)
    return with_depth(spec, depth, rule)


def with_depth(spec: Spec, depth: int, rule: rational.Rational) -> PosteriorPlan:
    """The plan of a depth and a rule."""
    ridges = {spec.ridge, *map(float, rule.shifts)}
    residual = max(method(spec, ridge).residual(depth) for ridge in ridges)
    return PosteriorPlan(depth, rule, _whole(spec, rule, residual), residual)


def _gain(spec: Spec, rule: rational.Rational) -> arb:
    """What the poles make of the residual; 1 where their weights are positive."""
    if not rule.constant:
        return arb(1)
    sizes = sum(
        (abs(arb(w)) / s for w, s in zip(rule.weights.tolist(), rule.shifts.tolist(), strict=True)), arb(0)
    )
    return sizes / arb(spec.ridge).sqrt()


def _root_error(spec: Spec, rule: rational.Rational, residual: float) -> arb:
    """Relative error of the sum over poles, times √r: rule, descent, λ̃, and weights rounded by at most 4 units each."""
    gain = _gain(spec, rule)
    rounded = 4 * UNIT * (gain + arb(rule.constant) / arb(spec.ridge).sqrt())
    with balls():
        return (1 + arb(rule.error) + rounded) * (1 + gain * residual) * spec.stretch.sqrt() - 1


def _whole(spec: Spec, rule: rational.Rational, residual: float) -> float:
    """ε_w."""
    whole = _root_error(spec, rule, residual)
    return above((1 + whole) * (1 + arb(residual)) - 1 if rule.constant else whole)


def registers(spec: Spec, chosen: PosteriorPlan) -> dict[str, int]:
    """Names and sizes of the scratch registers."""
    arms = spec.dim * spec.actions
    names = ["white", "white_ahead", "root"] if spec.solver == "pade" else ["white"]
    for n in range(1, len(chosen.rule.shifts) + 1):
        names += [f"pole_{n}", f"pole_{n}_ahead"]
    return {"estimate": spec.dim, "estimate_ahead": spec.dim} | dict.fromkeys(names, arms)


def solve(p: Program, spec: Spec, chosen: PosteriorPlan) -> None:
    """The blocks that fill the registers `estimate` and `white`.

    Blocks, not sums of the language: what they claim is a power of Σ, relative to which errors stay small.
    """
    poles = [
        inverse(spec, p.stream, f"pole_{n}", chosen.depth, ridge=float(shift))
        for n, shift in enumerate(chosen.rule.shifts, 1)
    ]
    p.put(estimate(spec, p.stream, chosen.depth), *poles)
    if spec.solver != "pade":
        p.put(_combined(spec, p.stream, chosen, poles, "white", -0.5))
        return
    [root] = p.put(_combined(spec, p.stream, chosen, poles, "root", 0.5))
    p.put(_whitened_by_descent(spec, p.stream, chosen, root))


def estimate(spec: Spec, stream: Stream, depth: int) -> Block:
    """Step 1: the posterior mean."""
    block = descent.ridge(
        method(spec),
        depth,
        action=stream["action"],
        reward=stream["reward"],
        position=stream["position"],
        point=stream["estimate"],
        ahead=stream["estimate_ahead"],
        reward_max=admitted_reward(spec),
    )
    return replace(block, name="posterior mean", source=SOURCE.format(1))


def inverse(
    spec: Spec,
    stream: Stream,
    name: str,
    depth: int,
    *,
    vectors: str = "arms",
    ridge: float | None = None,
    norm: float | None = None,
    source: str = "2b",
) -> Block:
    """(ridge·I + G)⁻¹ times the vectors in a register."""
    return descent.inverse(
        method(spec, ridge),
        depth,
        action=stream["action"],
        vectors=stream[vectors],
        position=stream["position"],
        point=stream[name],
        ahead=stream[f"{name}_ahead"],
        norm=norm,
        name=name.replace("_", " "),
        source=SOURCE.format(source),
    )


def powers(
    spec: Spec | SoftmaxSpec, values: Values, power: float, vectors: Float[np.ndarray, "tokens size"]
) -> Float[np.ndarray, "tokens size"]:
    """√r Σ^power times vectors, from eigenvalues: what steps 2 and 3 claim of the arms."""
    eigenvalues, basis = np.linalg.eigh(grams(values["action"], 0.0))
    scales = math.sqrt(spec.noise_variance) * (spec.ridge + np.maximum(eigenvalues, 0.0)) ** power
    turned = vectors.reshape(len(vectors), -1, spec.dim) @ basis
    return ((turned * scales[:, None]) @ basis.mT).reshape(vectors.shape)


def _combined(
    spec: Spec, stream: Stream, chosen: PosteriorPlan, poles: list[Block], to: str, power: float
) -> Block:
    """Step 2c: √r times the sum over poles, which is close to Σ^power a_k."""
    scale, high, rule = math.sqrt(spec.noise_variance), admitted_norms(spec)[1], chosen.rule
    terms = [(scale * float(w), block.outputs[0]) for w, block in zip(rule.weights, poles, strict=True)]
    if rule.constant:
        terms.insert(0, (scale * rule.constant, stream["arms"]))
    sizes = scale * high * (rule.constant + float(np.abs(rule.weights / rule.shifts).sum()))
    carried = [abs(w) * block.promise.total.rounding for w, block in zip(rule.weights, poles, strict=True)]
    block = copying.combine(
        f"√r Σ^{power:g} a_k", SOURCE.format("2c"), terms=tuple(terms), to=stream[to], bound=2 * sizes
    )
    error, most = _root_error(spec, rule, chosen.residual), largest_eigenvalue(spec)
    largest = above(high * (arb(spec.noise_variance) * (most if power > 0 else 1 / arb(spec.ridge))).sqrt())
    bound = Bound(
        above(error * largest), scale * sum(carried) + block.promise.own.rounding * math.sqrt(spec.dim)
    )
    promise = Promise("all arms within B_a", bound, bound, math.sqrt(spec.actions) * 2 * largest)
    return replace(
        block,
        truth=lambda values: powers(spec, values, power, values["arms"]),
        promise=promise,
        groups=spec.actions,
    )


def _whitened_by_descent(spec: Spec, stream: Stream, chosen: PosteriorPlan, root: Block) -> Block:
    """Step 3: x_k = Σ⁻¹ of the root."""
    norm = math.sqrt(spec.noise_variance * largest_eigenvalue(spec)) * admitted_norms(spec)[1] * 2
    block = inverse(spec, stream, "white", chosen.depth, vectors="root", norm=norm, source="3")
    rounding = block.promise.own.rounding + root.promise.total.rounding / spec.ridge
    bound = Bound(product(chosen.relative, reach(spec)), rounding)
    return replace(
        block,
        name="√r Σ^-0.5 a_k",
        truth=lambda values: powers(spec, values, -0.5, values["arms"]),
        promise=replace(block.promise, own=bound, total=bound),
    )


def mean(p: Program, spec: Spec) -> Value:
    """⟨a_k, μ̂⟩."""
    largest = math.sqrt(spec.prior_variance) * largest_ratio(spec)
    (_, _, arms), estimate = bandits.tokens(p, spec), p.value("estimate", 2 * largest)
    return p.citing(SOURCE.format(3)).product("mean", "mean ⟨a_k, μ⟩", estimate, arms)
