"""What is left of soft LinUCB by softmax attention, and how many steps and which factors it takes.

Theorem 2 of docs/softmax.md, with the weights as float64 holds them. The fewest steps are taken that leave the square root
its share of the error, with factors b at which rounding is least, and with smaller ones where the certificate wants them.
"""

import math

from flint import arb

from constructions import checks
from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.language.averages_plan import Plan, Vectors, plans
from constructions.linucb import widths
from constructions.linucb.spec import SoftmaxSpec
from constructions.rounding.outward import above


def vectors(spec: SoftmaxSpec) -> Vectors:
    """The arms, of which forms are taken."""
    return Vectors(*admitted_norms(spec))


def reached(found: Plan) -> float:
    """What τ times a logit is off, the square root apart."""
    spec = found.spec
    carried = spec.exploration * widths.width_error(spec.plain, above(found.square))
    rounded = spec.temperature * arb(widths.rounded_weights(spec.plain))
    return above(found.mean + found.form(found.products.mean) + carried + rounded)


def plan(spec: SoftmaxSpec) -> tuple[Plan, float]:
    """Products and the fewest steps that leave the square root its share, and what is left to that.

    Raises:
        ValueError: if weights of float64 do not lead so far.
    """
    high, paid = admitted_norms(spec)[1], math.sqrt(max(spec.horizon - 1, 1)) * admitted_reward(spec)
    enough = spec.error * spec.temperature * math.sqrt(spec.ridge) / (7 * high * (paid + spec.exploration))
    budget = spec.error * spec.temperature / 2 * (1 - widths.SLACK)
    share = (1 - widths.root_share(spec.plain)) * budget if spec.exploration else budget
    best = math.inf
    for found in plans(spec, vectors(spec), min(0.5, enough)):
        best = min(best, reached(found))
        if reached(found) <= share:
            left = (budget - reached(found)) / spec.exploration if spec.exploration else math.inf
            return found, left
    checks.carried(spec.error, best * spec.error / share)
    raise ValueError(f"ridge: wanted a problem that weights of float64 can solve, got {spec.ridge!r}")
