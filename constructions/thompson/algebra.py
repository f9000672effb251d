"""Which route steps 1 to 3 take: descent over poles, or Newton's iteration."""

from types import ModuleType

from constructions.thompson import by_newton, posterior
from constructions.thompson.spec import Spec


def route(spec: Spec) -> ModuleType:
    """The module that has plan, registers, solve and mean for a spec's solver."""
    return by_newton if spec.solver == "newton" else posterior
