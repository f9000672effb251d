"""Soft LinUCB as a transformer: Theorem approx_smooth_linucb of arXiv 2310.08566 (Theorem 8), with weights, and shallower.

by_descent.py   the theorem's route: Õ(√T) layers of in-context gradient descent, plain or accelerated
by_newton.py    ours: O(log T) layers of Newton's iteration
by_softmax.py   ours: O(log T) layers of softmax attention, by Newton's iteration on averages
widths.py       the square root of the confidence width, by interpolation or by products
"""

from constructions import checks
from constructions.construction import Construction
from constructions.linucb import by_newton, by_softmax
from constructions.linucb.by_descent import DescentPlan as DescentPlan
from constructions.linucb.by_descent import assemble_plan, plan
from constructions.linucb.by_descent import descent_method as descent_method
from constructions.linucb.by_descent import estimator as estimator
from constructions.linucb.by_descent import inherited_error as inherited_error
from constructions.linucb.spec import SoftmaxSpec as SoftmaxSpec
from constructions.linucb.spec import Solver as Solver
from constructions.linucb.spec import Spec
from constructions.linucb.widths import SLACK as SLACK
from constructions.linucb.widths import root_share as root_share
from constructions.linucb.widths import width_error as width_error
from constructions.rounding import outward


@outward.balls(53)  # flint's precision is that of all threads: nobody else's while promises are worked out
def build(spec: Spec | SoftmaxSpec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> built = build(Spec(dim=2, actions=3, horizon=5, error=0.1))
    >>> built.certificate <= 0.1
    True
    >>> build(Spec(dim=2, actions=3, horizon=200, solver="newton")).size().layers
    11
    """
    checks.instance("spec", spec, Spec, SoftmaxSpec)
    if isinstance(spec, SoftmaxSpec):
        built = by_softmax.build(spec)
    else:
        built = by_newton.build(spec) if spec.solver == "newton" else assemble_plan(spec, plan(spec))
    checks.carried(spec.error, built.sealed_certificate)
    return built
