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
from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language import Program
from constructions.language.ridge import normal_equations
from constructions.parts.block import (
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    gate_size,
    own_heads,
)
from constructions.parts.links import Link, Values, grams, held, pick, read, tile
from constructions.parts.stream import Register, Stream
from constructions.primitives import newton, product
from constructions.rounding import outward, schedules
from constructions.thompson import posterior
from constructions.thompson.spec import Spec

SOURCE = "theorem ours, in place of steps 1 to 3 of Theorem approx_thompson_linear"


@dataclass(frozen=True)
class Plan:
    """The choices behind the linear algebra.

    Attributes:
        steps: k.
        relative: ε_w, bound on ‖E‖.
        residual: 2ε_w + ε_w².
    """

    steps: int
    relative: float
    residual: float


def plan(spec: Spec, relative: float, residual: float) -> Plan:
    """The fewest steps with ε_w ≤ relative and 2ε_w + ε_w² ≤ residual."""
    return chosen(spec, least_steps(spec, lambda error, both: error <= relative and both <= residual)[0])


def chosen(spec: Spec, steps: int) -> Plan:
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
        return Plan(steps, error, outward.above((2 + arb(error)) * error))


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


def registers(spec: Spec, chosen: Plan | None = None, difference: bool = False) -> dict[str, int]:
    """Names and sizes of the scratch registers; the difference of two arms may be whitened instead of both."""
    dim, arms = spec.dim, spec.dim * spec.actions
    matrices = dict.fromkeys(("gram", "gram_times", "root", "partner"), dim * dim)
    vectors = {"moment": dim, "moment_times": dim, "arms_times": arms, "half": dim}
    return matrices | vectors | {"white": dim if difference else arms}


def solve(p: Program, spec: Spec, chosen: Plan) -> None:
    """The blocks that fill the registers `white`, with all arms or the difference of two, and `half`."""
    at, largest, high = p.stream.registers, largest_eigenvalue(spec), admitted_norms(spec)[1]
    limits.hold("thompson by Newton", weights=12.0 * spec.dim**2 * (spec.dim * chosen.steps + spec.actions))
    action, reward = p.input("action", high), p.input("reward", admitted_reward(spec))
    normal_equations(p, action, reward, p.input("arms", high, spec.actions), spec.ridge, largest)
    root = newton.inverse_root(
        "Σ⁻¹ᐟ² by Newton",
        SOURCE,
        gram=at["gram"],
        gram_times=at["gram_times"],
        position=p.position,
        to=at["root"],
        partner=at["partner"],
        ridge=spec.ridge,
        largest=largest,
        steps=chosen.steps,
        tokens=p.tokens,
        action=at["action"],
    )
    middle = schedules.inverse_root(spec.ridge, largest, chosen.steps).middle
    ours, theirs = scales(spec, middle)
    p.then(root)
    p.then(_white(spec, p.stream, chosen, ours), _half(spec, p.stream, chosen, theirs))


def _times_root(
    to: Register,
    factors: list[Link],
    root: Register,
    position: Register,
    scale: float,
    bound: float,
    count: int,
) -> tuple[Head, ...]:
    """Heads that add scale · Z v for `count` vectors v: for each m, the m-th entry of i·v times row m of Z."""
    dim, heads = math.isqrt(root.size), []
    one = Position.of(position).one
    for m, entries in enumerate(factors):
        values = scale * tile(read(root.part(m, of=dim)), count)
        role, ones, gate = f"{to.name} {m}", tile(one, count), gate_size(bound)
        heads += own_heads(role, entries, ones, to, position, gate, value=values, count=count)
    return tuple(heads)


def _white(spec: Spec, stream: Stream, chosen: Plan, scale: float) -> Block:
    """x_k, or x_1 − x_2 for two arms whose register has room for no more."""
    at, dim, arms, high = stream.registers, spec.dim, spec.actions, admitted_norms(spec)[1]
    alone = at["white"].size == dim
    count, norm = (1, 2 * high) if alone else (arms, high)

    def entries(m: int) -> Link:
        times = at["arms_times"]
        first, second = (pick(times, np.array([n * dim + m])) for n in (0, 1))
        return first - second if alone else pick(times, np.arange(arms) * dim + m)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        vectors = held(values, at["arms"])
        return posterior.powers(spec, values, -0.5, vectors[:, :dim] - vectors[:, dim:] if alone else vectors)

    factors, bound = [entries(m) for m in range(dim)], 2 * spec.horizon * norm
    heads = _times_root(at["white"], factors, at["root"], at["position"], scale, bound, count)
    reach = outward.above(arb(spec.prior_variance).sqrt() * norm)
    condition = largest_eigenvalue(spec) / spec.ridge
    bound = Bound(
        outward.product(chosen.relative, reach), UNIT * 256 * dim * condition * reach * math.sqrt(dim)
    )
    promise = Promise("norm bounds", bound, bound, 2 * math.sqrt(count) * reach)
    name = f"√r Σ^-0.5 {'(a_1 − a_2)' if alone else 'a_k'}"
    return Block(name, SOURCE, (Step(heads),), at["white"], truth, promise, groups=count)


def _half(spec: Spec, stream: Stream, chosen: Plan, scale: float) -> Block:
    """Σ⁻¹ᐟ² b/√r."""
    at, dim = stream.registers, spec.dim
    largest = largest_eigenvalue(spec)
    factors = [pick(at["moment_times"], np.array([m])) for m in range(dim)]
    size = math.sqrt(spec.horizon * largest) * admitted_reward(spec)
    heads = _times_root(
        at["half"],
        factors,
        at["root"],
        at["position"],
        scale,
        2 * spec.horizon * size,
        1,
    )

    def truth(values: Values) -> Float[np.ndarray, "tokens dim"]:
        a = held(values, at["action"])
        eigenvalues, basis = np.linalg.eigh(grams(a, spec.ridge))
        b = np.cumsum(a * held(values, at["reward"]), axis=0)
        turned = np.einsum("tde,td->te", basis, b) / np.sqrt(spec.noise_variance * eigenvalues)
        return np.einsum("tde,te->td", basis, turned)

    theta = posterior.largest_ratio(spec)
    condition = largest / spec.ridge
    rounding = UNIT * 64 * dim * (condition + 2 * spec.horizon) * math.sqrt(condition) * theta
    bound = Bound(outward.product(chosen.relative, theta), rounding)
    return Block(
        "Σ^-0.5 b/√r",
        SOURCE,
        (Step(heads),),
        at["half"],
        truth,
        Promise("norm bounds", bound, bound, 2 * theta),
    )


def mean_product(p: Program, spec: Spec) -> Block:
    """y_k = ⟨x_k, v⟩."""
    theta, reach = posterior.largest_ratio(spec), posterior.reach(spec)
    white, half = (p.written(name).promise.total for name in ("white", "half"))
    error = arb(white.error) / reach
    proved = outward.above((2 + error) * error * reach * theta / 2)
    return product.own_token(
        "mean ⟨a_k, μ⟩",
        SOURCE,
        left=p.stream["half"],
        right=p.stream["white"],
        to=p.stream["mean"],
        position=p.position,
        tokens=p.tokens,
        bound=2 * theta * 2 * reach,
        inherited=Bound(proved, theta * white.rounding + reach * half.rounding),
    )
