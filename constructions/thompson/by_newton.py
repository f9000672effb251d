"""Steps 1 to 3 in O(log T) layers: the coupled Newton iteration for Σ⁻¹ᐟ², and products.

    layer 1            Σ = λ̃I + Σ a_j a_jᵀ and b = Σ r_j a_j, both also times i; arms times i
    layers 2 … k+1     Z → √S Σ⁻¹ᐟ²
    layer k+2          x_k = √(r/S) Z a_k,   v = Z b/√(rS)
    then               y_k = ⟨x_k, v⟩

**The certificate.** Z is a function of Σ (newton.py): x̂_k = (I + E) x_k and v̂ = (I + E) Σ⁻¹ᐟ²b/√r with one and the same E,
‖E‖ ≤ ε_w. Differences of arms carry relative errors as in posterior.py, and with D = (I + E)² − I

    |⟨x̂_j − x̂_k, v̂⟩ − ⟨a_j − a_k, μ⟩| = |⟨x_j − x_k, D Σ⁻¹ᐟ²b⟩|/√r ≤ ‖x_j − x_k‖ (2ε_w + ε_w²) Θ:

ε of posterior.py is 2ε_w + ε_w². The weights' λ̃ = r/λ is rounded, by which eigenvalues of Σ are off by a factor σ at most
(spec.stretch), and Σ⁻¹ᐟ² by √σ: that too is a function of Σ, and ε_w holds it.

For one arm alone, with the actions as rows of F and the rewards as ρ, b = Fᵀρ and

    |⟨x̂_k, v̂⟩ − ⟨a_k, μ⟩| = |a_kᵀ D Σ⁻¹Fᵀρ| ≤ B_a (2ε_w + ε_w²) √(T−1) ρ/(2√λ̃) = ½ √λ B_a Θ (2ε_w + ε_w²).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import limits
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language import Program, Value, bandits
from constructions.parts.block import UNIT, Block, Bound, Promise, Step
from constructions.parts.links import Values, grams, read
from constructions.primitives import newton
from constructions.rounding import outward, schedules
from constructions.thompson import posterior
from constructions.thompson.spec import Spec

SOURCE = "theorem ours, in place of steps 1 to 3 of Theorem approx_thompson_linear"


@dataclass(frozen=True)
class NewtonPlan:
    """The choices behind the linear algebra.

    Attributes:
        steps: k.
        relative: ε_w, bound on ‖E‖.
        residual: 2ε_w + ε_w².
    """

    steps: int
    relative: float
    residual: float


def plan(spec: Spec, relative: float, residual: float) -> NewtonPlan:
    """The fewest steps with ε_w ≤ relative and 2ε_w + ε_w² ≤ residual."""
    return chosen(spec, least_steps(spec, lambda error, both: error <= relative and both <= residual)[0])


def chosen(spec: Spec, steps: int) -> NewtonPlan:
    """The plan of so many steps."""
    largest, root = (
        largest_eigenvalue(spec),
        schedules.inverse_root(spec.ridge, largest_eigenvalue(spec), steps),
    )
    with outward.balls():
        wanted = (arb(spec.noise_variance) / largest).sqrt() / root.middle
        ours, theirs = scales(spec, root.middle)
        off = abs(ours / wanted - 1).max(abs(theirs * arb(spec.noise_variance) / wanted - 1))
        error = outward.above((1 + arb(root.error)) * (1 + off) * spec.stretch.sqrt() - 1)
        return NewtonPlan(steps, error, outward.above((2 + arb(error)) * error))


def scales(spec: Spec, middle: float) -> tuple[float, float]:
    """What Z is multiplied by for x_k, and for v, as weights hold it."""
    scale = math.sqrt(spec.noise_variance / largest_eigenvalue(spec)) / middle
    return scale, scale / spec.noise_variance


def least_steps(spec: Spec, enough: Callable[[float, float], bool]) -> tuple[int, float]:
    """The fewest steps whose ε_w and 2ε_w + ε_w² are enough, and the latter.

    Raises:
        ValueError: if weights of float64 do not lead so far.
    """
    plan, condition = chosen(spec, 1), largest_eigenvalue(spec) / spec.ridge
    while not enough(plan.relative, plan.residual):
        further = chosen(spec, plan.steps + 1)
        if plan.relative < 0.5 and not further.relative < plan.relative:
            raise ValueError(
                f"error: wanted one that weights of float64 can carry at κ = {condition:.3g}, got {spec.error!r}: "
                f"A⁻¹ᐟ² within {plan.relative:.3g} is not enough"
            )
        plan = further
    return plan.steps, plan.residual


def registers(spec: Spec, chosen: NewtonPlan | None = None, difference: bool = False) -> dict[str, int]:
    """Names and sizes of the scratch registers; the difference of two arms may be whitened instead of both."""
    dim, arms = spec.dim, spec.dim * spec.actions
    matrices = dict.fromkeys(("gram", "gram_times", "root", "partner"), dim * dim)
    vectors = {"moment": dim, "moment_times": dim, "arms_times": arms, "half": dim}
    return matrices | vectors | {"white": dim if difference else arms}


def solve(p: Program, spec: Spec, chosen: NewtonPlan) -> None:
    """The blocks that fill the registers `white`, with all arms or the difference of two, and `half`.

    Blocks, not products of the language: that their errors are one and the same E, no bound on each could say.
    """
    limits.hold("thompson by Newton", weights=12.0 * spec.dim**2 * (spec.dim * chosen.steps + spec.actions))
    p, largest = p.citing(SOURCE), largest_eigenvalue(spec)
    (_, b), arms = bandits.normal_equations(p, spec), bandits.arms_times(p, spec)
    root = newton.inverse_root(
        "Σ⁻¹ᐟ² by Newton",
        SOURCE,
        ridge=spec.ridge,
        largest=largest,
        steps=chosen.steps,
        tokens=p.tokens,
        **p.at(gram="gram", gram_times="gram_times", to="root", partner="partner", action="action"),
    )
    p.put(root)
    ours, theirs = scales(spec, schedules.inverse_root(spec.ridge, largest, chosen.steps).middle)
    p.put(_white(p, spec, chosen, arms, ours), _half(p, spec, chosen, b, theirs))


def _white(p: Program, spec: Spec, chosen: NewtonPlan, arms: Value, scale: float) -> Block:
    """x_k, or x_1 − x_2 for two arms whose register has room for no more."""
    to, dim = p.stream["white"], spec.dim
    alone = to.size == dim
    count, norm, name = (1, 2 * arms.size, "(a_1 − a_2)") if alone else (arms.groups, arms.size, "a_k")
    vectors = read(p.stream["arms_times"])
    if alone:
        first, second = (read(arm.times) for arm in arms.vectors if arm.times)
        vectors = first - second

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        each = arms.of(values)
        vectors = each[:, 0] - each[:, 1] if alone else each.reshape(len(each), -1)
        return posterior.powers(spec, values, -0.5, vectors)

    heads = newton.times("white", p.stream["root"], vectors, to, p.position, scale, p.tokens * norm)
    reach = outward.above(arb(spec.prior_variance).sqrt() * norm)
    condition = largest_eigenvalue(spec) / spec.ridge
    rounding = UNIT * 256 * dim * condition * reach * math.sqrt(dim)
    bound = Bound(outward.product(chosen.relative, reach), rounding)
    promise = Promise("norm bounds", bound, bound, 2 * math.sqrt(count) * reach)
    return Block(f"√r Σ^-0.5 {name}", SOURCE, (Step(heads),), to, truth, promise, groups=count)


def _half(p: Program, spec: Spec, chosen: NewtonPlan, b: Value, scale: float) -> Block:
    """Σ⁻¹ᐟ² b/√r."""
    to, times, largest = p.stream["half"], read(p.stream["moment_times"]), largest_eigenvalue(spec)
    heads = newton.times("half", p.stream["root"], times, to, p.position, scale, p.tokens * b.size)

    def truth(values: Values) -> Float[np.ndarray, "tokens dim"]:
        a = values["action"]
        eigenvalues, basis = np.linalg.eigh(grams(a, spec.ridge))
        b = np.cumsum(a * values["reward"], axis=0)
        turned = np.einsum("tde,td->te", basis, b) / np.sqrt(spec.noise_variance * eigenvalues)
        return np.einsum("tde,te->td", basis, turned)

    theta, condition = posterior.largest_ratio(spec), largest / spec.ridge
    rounding = UNIT * 64 * spec.dim * (condition + 2 * spec.horizon) * math.sqrt(condition) * theta
    bound = Bound(outward.product(chosen.relative, theta), rounding)
    promise = Promise("norm bounds", bound, bound, 2 * theta)
    return Block("Σ^-0.5 b/√r", SOURCE, (Step(heads),), to, truth, promise)


def mean(p: Program, spec: Spec) -> Value:
    """y_k = ⟨x_k, v⟩."""
    theta, reach = posterior.largest_ratio(spec), posterior.reach(spec)
    v, white = p.value("half", 2 * theta), p.value("white", 2 * reach)
    relative = arb(white.error.error) / reach
    error = outward.above((2 + relative) * relative * reach * theta / 2)
    proved = Bound(error, theta * white.error.rounding + reach * v.error.rounding), "one E for both"
    return p.citing(SOURCE).product("mean", "mean ⟨a_k, μ⟩", v, white, proved=proved)
