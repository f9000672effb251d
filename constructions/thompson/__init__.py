"""Thompson sampling as a transformer: Theorem approx_thompson_linear of arXiv 2310.08566 (Theorem 10), with weights.

    posterior.py   steps 1 to 3: the posterior mean and √r Σ⁻¹ᐟ² a_k, by descent over poles
    by_newton.py   the same in O(log T) layers, by Newton's iteration
    two_arms.py    step 4 for two arms: log Φ of one ratio, certified
    lines.py       step 4 for more: integrated along fixed lines, certified but for their choice (lines_plan.py)
    softmax/       two arms, and the sampling form, with softmax attention, in O(log T) layers
    sampling.py    the posterior sample itself, for a draw supplied in the state token
    bernoulli.py   Bernoulli arms with Beta posteriors, certified for every arm

**Sizes**, with n the depth of a descent, m poles, P = A(A − 1), and I and F the pieces of the interpolants of 1/x and Φ:

    two arms    layers n + 5;  heads 6;  registers 8d + 14
    sampling    layers n + 2, pade 2n + 2;  heads 3 + m(2A + 1);  registers D₀ + d + 2A
    lines       layers n + 6 + ⌈log₂(A − 1)⌉, pade another n;  heads max(3 + m(2A + 1), P);
                registers D₀ + (d + 4)P + 2A(A − 1)N + 2A;  neurons max(P(I + 2) + 2, 2ANF + 2), or those of log or the poles

with D₀ = 3d + 4 + A(d + 1) + (2m + 1)Ad, pade another 2Ad. m grows as T^{1/4} (pade) or log T, n as √T; for
"chebyshev" n is half of that for "zolotarev".
For "newton" with k steps: layers k + 6 (two arms), k + 3 (sampling), k + 6 + ⌈log₂(A − 1)⌉ (lines); k grows with log T.
"""

from collections.abc import Mapping

from constructions import checks
from constructions.construction import Construction
from constructions.language import Program, bandits
from constructions.parts.guarantee import Guarantee
from constructions.rounding import outward
from constructions.thompson import (
    bernoulli,
    by_newton,
    lines,
    lines_plan,
    nodes,
    posterior,
    sampling,
    two_arms,
)
from constructions.thompson.algebra import route
from constructions.thompson.bernoulli_plan import BernoulliSpec
from constructions.thompson.softmax import sampling as softmax_sampling
from constructions.thompson.softmax import two_arms as softmax_two_arms
from constructions.thompson.spec import SoftmaxSpec, Spec

__all__ = ["WHITE", "BernoulliSpec", "SoftmaxSpec", "Spec", "build", "complete", "program", "whitener"]

WHITE = Guarantee("values", output="white")
"""What steps 1 to 3 give by themselves."""


@outward.balls(53)  # flint's precision is that of all threads: nobody else's while promises are worked out
def build(spec: Spec | BernoulliSpec | SoftmaxSpec) -> Construction:
    """The transformer for a spec, with its certificate: for linear bandits, or for Bernoulli arms.

    >>> built = build(Spec(dim=2, actions=2, horizon=5))
    >>> built.certificate <= 1e-3
    True
    """
    checks.instance("spec", spec, Spec, BernoulliSpec, SoftmaxSpec)
    if isinstance(spec, SoftmaxSpec):
        form = softmax_sampling if spec.form == "sampling" else softmax_two_arms
        built = form.build(spec)
        checks.carried(spec.error, built.sealed_certificate)
        return built
    if isinstance(spec, BernoulliSpec):
        return bernoulli.build(spec)
    if spec.form == "sampling":
        return _sampling(spec)
    if spec.actions == 2:
        return _two_arms(spec)
    return _lines(spec)


def whitener(spec: Spec, plan: posterior.PosteriorPlan | by_newton.NewtonPlan) -> Construction:
    """Steps 1 to 3 alone, which give the whitened arms, in the register `white`.

    Its certificate is a bound on ‖x̂_k − x_k‖.
    """
    p = program(spec, {"logits": 0} | route(spec).registers(spec, plan))
    route(spec).solve(p, spec, plan)
    return complete(p, spec, p.written("white").promise.total.error, promised=WHITE)


def _two_arms(spec: Spec) -> Construction:
    plan = two_arms.plan(spec)
    p = program(spec, two_arms.registers(spec, plan))
    two_arms.write(p, spec, plan)
    return complete(p, spec, plan.error)


def _sampling(spec: Spec) -> Construction:
    plan = sampling.plan(spec)
    p = program(spec, {"draw": spec.dim} | route(spec).registers(spec, plan) | sampling.registers(spec))
    route(spec).solve(p, spec, plan)
    certificate = sampling.write(p, spec).error
    checks.carried(float(spec.error or 0), certificate)
    return complete(p, spec, certificate)


def _lines(spec: Spec) -> Construction:
    plan = lines_plan.plan(spec)
    p = program(spec, route(spec).registers(spec, plan.algebra) | lines.registers(spec, plan))
    route(spec).solve(p, spec, plan.algebra)
    lines.write(p, spec, plan)
    return complete(p, spec, plan.error, nodes.chance(spec))


def program(spec: Spec, scratch: Mapping[str, int]) -> Program:
    """An empty program with these registers; a register `draw` is filled by tokens."""
    return bandits.program(by_newton.SOURCE, spec, **scratch)


def complete(
    p: Program,
    spec: Spec,
    certificate: float,
    chance: nodes.Chance | None = None,
    promised: Guarantee | None = None,
) -> Construction:
    """The construction that a program has written; `promised` says what it gives, if that is not what the spec says."""
    more = {"chance": chance, "promised": promised}
    return bandits.complete(p, spec, certificate, spec.separation, spec.draw_norm, **more)
