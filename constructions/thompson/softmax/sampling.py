"""The sampling form with softmax attention, in O(log T) layers: the score of each arm at the draw that its token brings.

    layer 1            a_p · (a, r) at action tokens, and z/(i + 1)
    layer 2            averages M = Σ/(i + 1), m = b/(i + 1); for every pole M_j, with a larger ridge;    MLP: the first X
    layers 3 … k+1     X ← 2c(X − ½XMX), and likewise X_j, side by side
    layer k+2          ⟨a_k, Xm⟩ and √r Σ_j w_j a_kᵀX_jz/(i + 1);    MLP: their sum, which is ⟨a_k, μ + √r Σ⁻¹ᐟ² z⟩

Σ⁻¹ᐟ² is near Σ_j w_j(Σ + (p_j − λ̃)I)⁻¹ by Zolotarev's rule (rational.py): each term is a ridge problem of ridge p_j.

**Theorem.** With the numbers of Theorem 2 of docs/softmax.md for each ridge, a rule within a factor 1 ± ε_p, ‖z‖ ≤ Z, and
but for what products of the last layer and shares leave,

    |score error| ≤ B_a(ω + (e_k + δ_k)(W + ω)) + √λ B_a Z(ε_p + (1 + ε_p) max_j (ζ_j + e_j + δ_j)/(1 − ζ_j)).

In all k + 2 layers, for m poles at most max(4d + 1, 4d²(m + 1), 4d(m + 1)) heads and D = (2m + 3)d² + 5d + A(d + 3) + 6 +
⌈log₂(2T + 1)⌉ registers. Proof, and every constant: docs/softmax.md, Theorem 4.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import checks, limits
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_norms
from constructions.inputs.begun import placing
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language import Program, averages, bandits
from constructions.language.averages_plan import (
    FINEST,
    Plan,
    Problem,
    Products,
    Vectors,
    bound,
    ends,
    rounding,
)
from constructions.parts.block import UNIT, Block, Bound, Head, Promise, Step
from constructions.parts.links import Values, entry, held, read
from constructions.primitives import rational
from constructions.rounding import schedules
from constructions.rounding.outward import above
from constructions.thompson import posterior
from constructions.thompson.sampling import admitted_draw
from constructions.thompson.spec import SoftmaxSpec

SOURCE = "theorem ours, docs/softmax.md"
SLACK = 1e-6
"""Part of the error kept back, so that rounding does not carry a bound that is met exactly over its edge."""


@dataclass(frozen=True, eq=False)
class SamplingPlan:
    """The choices behind the weights.

    Attributes:
        spec: what is built.
        rule: the poles.
        mean: products and steps for the posterior mean.
        poles: the same for each pole, of the draw.
    """

    spec: SoftmaxSpec
    rule: rational.Rational
    mean: Plan
    poles: tuple[Plan, ...]

    @property
    def marks(self) -> list[str]:
        """What the names of the poles' registers end with."""
        return [f"_{n}" for n in range(1, 1 + len(self.poles))]

    @property
    def stretched(self) -> arb:
        """How far ⟨a, μ⟩ is off as λ̃ is rounded."""
        off = self.spec.plain.stretch**2 - 1
        return off * posterior.largest_ratio(self.spec) * posterior.reach(self.spec)

    @cached_property
    def noise(self) -> Bound:
        """How far √r Σ_j w_j a_kᵀX_jz/(i + 1) is off."""
        return bound(self._noise(self.poles), self._noise(tuple(map(rounding, self.poles))))

    def _noise(self, poles: tuple[Plan, ...]) -> arb:
        spec, longest = self.spec, arb(admitted_draw(self.spec))
        near = (1 + arb(self.rule.error)) * spec.plain.stretch.sqrt() - 1
        found = near * posterior.reach(spec) * longest
        for weight, pole in zip(weights(spec, self.rule), poles, strict=True):
            found += weight * (form(pole, admitted_norms(spec)[1], longest) + 8 * UNIT * self._term(pole))
        return found

    def _term(self, pole: Plan) -> arb:
        return arb(admitted_norms(self.spec)[1]) * admitted_draw(self.spec) / pole.spec.ridge

    @property
    def error(self) -> float:
        """What is left of a score."""
        return above(
            self.mean.mean + self.stretched + self.mean.form(self.mean.products.mean) + self.noise.error
        )


def weights(spec: SoftmaxSpec, rule: rational.Rational) -> list[float]:
    """√r w_j."""
    return (math.sqrt(spec.noise_variance) * rule.weights).tolist()


def form(pole: Plan, high: float, longest: arb) -> arb:
    """How far aᵀX_jz/(i + 1) is off, with the products that it is made of; infinite where they are too large for these."""
    whole, ridge, product = pole.residual, pole.spec.ridge * (1 - pole.spoilt), pole.products.square
    if not (1 + whole) * (1 + pole.shares) * longest / ridge <= product.own:
        return arb("inf")
    shares = pole.shares + 8 * arb(pole.rounded)
    off = longest / ridge * (pole.spoilt + whole + shares * (1 + whole))
    return (off + pole.left(product) + pole.spec.dim * product.leak) * high


def plan(spec: SoftmaxSpec) -> SamplingPlan:
    """The fewest poles and steps that meet the error.

    Raises:
        ValueError: if weights of float64 do not lead so far.
    """
    budget, reach = spec.error * (1 - SLACK), posterior.reach(spec)
    noise, best = reach * admitted_draw(spec), math.inf
    largest = max(largest_eigenvalue(spec), 2 * spec.ridge)  # of less, rules differ by less than rounding
    rule = rational.zolotarev(spec.ridge, largest, min(budget / (4 * noise), 0.5))
    needed = min(0.5, budget / (8 * (2 * noise + reach * posterior.largest_ratio(spec))))
    for found in candidates(spec, rule, needed):
        best = min(best, found.error)
        if found.error <= budget:
            return found
    checks.carried(spec.error, best)
    raise ValueError(f"ridge: wanted a problem that weights of float64 can solve, got r/λ = {spec.ridge!r}")


def candidates(spec: SoftmaxSpec, rule: rational.Rational, needed: float) -> Iterator[SamplingPlan]:
    """Plans with one step more each, up to an error `needed` of the inverse; and the same with smaller b."""
    (low, high), draws = admitted_norms(spec), Vectors(1.0, admitted_draw(spec))
    problems = [Problem.of(spec, ridge) for ridge in (spec.ridge, *rule.shifts.tolist())]
    vectors = [Vectors(low, high), *[draws] * len(rule.shifts)]
    for halvings in range(FINEST):
        made = [Products.of(*pair, 0.5**halvings) for pair in zip(problems, vectors, strict=True)]
        spectra = [ends(*pair) for pair in zip(problems, made, strict=True)]
        for steps in range(1, 1 + schedules.most(*spectra[0]) if spectra[0][0] > 0 else 1):
            chosen = [schedules.inverse(*spectrum, steps) for spectrum in spectra]
            every = [Plan(*parts) for parts in zip(problems, vectors, made, chosen, strict=True)]
            if every[0].small:
                yield SamplingPlan(spec, rule, every[0], tuple(every[1:]))
            if chosen[0].error <= needed:
                break


def registers(plan: SamplingPlan) -> dict[str, int]:
    """Registers beside those of the tokens, and their sizes."""
    spec, d = plan.spec, plan.spec.dim
    sizes = placing(spec.tokens) | {"draw": d, "outer": d * (d + 1), "shares": d, "moment": d}
    for mark in ("", *plan.marks):
        sizes |= {f"gram{mark}": d * d, f"inverse{mark}": d * d}
    return sizes | dict.fromkeys(("mean", "noise"), spec.actions)


def build(spec: SoftmaxSpec) -> Construction:
    """The transformer for a spec, with its certificate."""
    limits.hold("thompson by softmax", numbers=spec.tokens * (spec.digits + 6.0))
    found, d = plan(spec), spec.dim
    heads = 12.0 * d * (d * d * len(found.mean.chosen.errors) + spec.actions) * (1 + len(found.poles))
    limits.hold("thompson by softmax", weights=heads)
    return written(found)


def written(plan: SamplingPlan) -> Construction:
    """The transformer for a plan, whatever error that leaves."""
    spec = plan.spec
    p = bandits.program(SOURCE, spec, "softmax", **registers(plan))
    averages.outer(p, plan.mean)
    averages.shares(p, plan.mean, "draw", admitted_draw(spec))
    every = [("", plan.mean), *zip(plan.marks, plan.poles, strict=True)]
    for mark, found in every:
        averages.equations(p, found, mark)
    for mark, found in every:
        averages.inverse(p, found, mark)
    averages.means(p, plan.mean, "mean", "mean ⟨a_k, μ⟩", "arms", Bound(above(plan.stretched)))
    _noise(p, plan)
    logits = p.total("logits", p.value("mean") + p.value("noise"), name="scores ⟨a_k, w̃⟩")
    return bandits.complete(p, spec, logits.error.error, spec.separation, spec.draw_norm)


def _noise(p: Program, plan: SamplingPlan) -> None:
    """Layer k + 2: √r Σ_j w_j a_kᵀX_jz/(i + 1), which is near √r a_kᵀΣ⁻¹ᐟ²z."""
    spec, heads, at = plan.spec, list[Head](), averages.placed(p, vector="shares", to="noise")
    for mark, pole, weight in zip(plan.marks, plan.poles, weights(spec, plan.rule), strict=True):
        for q in range(spec.dim):
            row, value = (
                read(p.stream[f"inverse{mark}"].part(q, of=spec.dim)),
                entry(read(p.stream["arms"]), q, of=spec.dim),
            )
            by = read(at["vector"]), row, weight * value, at["to"], at["digits"], at["one"]
            heads += pole.products.square.heads(f"noise{mark} {q}", *by)

    def truth(values: Values) -> Float[np.ndarray, "tokens arms"]:
        white = posterior.powers(spec, values, -0.5, held(values, p.stream["arms"]))
        return np.einsum(
            "tad,td->ta", white.reshape(len(white), spec.actions, -1), held(values, p.stream["draw"])
        )

    size = posterior.reach(spec) * admitted_draw(spec) + plan.noise.whole
    promise = Promise("norm bounds", plan.noise, plan.noise, 2 * math.sqrt(spec.actions) * size)
    name = "noise √r a_kᵀΣ^-0.5 z"
    p.put(Block(name, p.source, (Step(tuple(heads)),), at["to"], truth, promise, groups=spec.actions))
