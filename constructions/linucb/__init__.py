"""Soft LinUCB as a transformer: Theorem approx_smooth_linucb of arXiv 2310.08566 (Theorem 8), with weights, and shallower.

by_descent.py   the theorem's route: Õ(√T) layers of in-context gradient descent, plain or accelerated
by_newton.py    ours: O(log T) layers of Newton's iteration
widths.py       the square root of the confidence width, by interpolation or by products
"""

from constructions import checks
from constructions.construction import Construction
from constructions.linucb import by_newton
from constructions.linucb.by_descent import (
    Plan,
    assemble_plan,
    certified_plan,
    descent_method,
    estimator,
    inherited_error,
    plan,
    stated_plan,
)
from constructions.linucb.spec import Solver, Spec
from constructions.linucb.widths import SLACK, root_share, width_error
from constructions.rounding import outward

__all__ = [
    "SLACK",
    "Plan",
    "Solver",
    "Spec",
    "assemble_plan",
    "build",
    "certified_plan",
    "descent_method",
    "estimator",
    "inherited_error",
    "plan",
    "root_share",
    "stated_plan",
    "width_error",
]


@outward.balls(53)  # flint's precision is that of all threads: nobody else's while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> built = build(Spec(dim=2, actions=3, horizon=5, error=0.1))
    >>> built.certificate <= 0.1
    True
    >>> build(Spec(dim=2, actions=3, horizon=200, solver="newton")).size().layers
    11
    """
    checks.instance("spec", spec, Spec)
    built = by_newton.build(spec) if spec.solver == "newton" else assemble_plan(spec, plan(spec))
    checks.carried(spec.error, built.sealed_certificate)
    return built
