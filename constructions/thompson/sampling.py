"""Sampling form: the state token supplies a standard normal z, and the action is that of Thompson sampling with the same z.

    last two layers    heads: ⟨x_k, z⟩ and ⟨a_k, μ̂⟩;    MLP: logits = their sum, ⟨a_k, w̃⟩ for w̃ = μ + √r Σ⁻¹ᐟ² z

**The certificate.** With ε_w and ε of posterior.py and ‖z‖ ≤ Z, |score error| ≤ √λ B_a (ε_w Z + ½ εΘ). Twice that bounds the
error of a difference of two scores: the action differs from the true one only where two scores are as close as that.
"""

from constructions.inputs.bandits import COVERED
from constructions.language import Program
from constructions.parts.block import Bound
from constructions.thompson import by_newton, posterior
from constructions.thompson.algebra import route
from constructions.thompson.spec import SoftmaxSpec, Spec

SOURCE = "Theorem approx_thompson_linear, sampling form (ours)"


def admitted_draw(spec: Spec | SoftmaxSpec) -> float:
    """Z as wide as the door is."""
    return spec.draw_norm * (1 + COVERED)


def plan(spec: Spec) -> posterior.PosteriorPlan | by_newton.NewtonPlan:
    """Half of the error for either term."""
    half, reach = float(spec.error or 0) / 2 * (1 - 1e-6), posterior.reach(spec)
    relative = min(half / (reach * admitted_draw(spec)), 0.5)
    residual = min(2 * half / (reach * posterior.largest_ratio(spec)), 0.5)
    return route(spec).plan(spec, relative, residual)


def registers(spec: Spec) -> dict[str, int]:
    """Names and sizes of the scratch registers."""
    return {"mean": spec.actions, "noise": spec.actions}


def write(p: Program, spec: Spec) -> Bound:
    """The last two layers, after steps 1 to 3; what they promise of a score."""
    p = p.citing(SOURCE)
    route(spec).mean(p, spec)
    draw, white = p.input("draw", admitted_draw(spec)), p.value("white", 2 * posterior.reach(spec))
    p.product("noise", "noise ⟨x_k, z⟩", draw, white)
    return p.total("logits", p.value("mean") + p.value("noise"), name="scores ⟨a_k, w̃⟩").error
