"""What UCB-VI by softmax holds in its neurons, functions of counts; the gate that an error wants, and what is left of it."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import arb

from constructions import checks
from constructions.inputs.episodes import longest
from constructions.parts.block import UNIT, Bound
from constructions.primitives.interpolation import Interpolant
from constructions.primitives.softmax import averages, own_token
from constructions.rounding.outward import above, nearest
from constructions.ucbvi.spec import SoftmaxSpec

GATES = range(3, 400)
"""Gates that are tried: e^{−400} is below what float64 adds to anything."""


@dataclass(frozen=True)
class Tables:
    """The two functions of counts that neurons hold, for a gate: b(N), and log N with −2B for log 0."""

    spec: SoftmaxSpec
    gate: int

    @cached_property
    def counts(self) -> range:
        """What is counted is one of these: an episode visits (h, s, a) once at most."""
        return range(self.spec.episodes + 1)

    @cached_property
    def bonus(self) -> Interpolant:
        """b(N) at 1/(N + 1)."""
        return averages.of_counts(np.array([self.spec.bonus(n) for n in self.counts]))

    @cached_property
    def logs(self) -> Interpolant:
        """Log N at 1/(N + 1)."""
        found = [nearest(arb.log, float(n)) for n in self.counts[1:]]
        return averages.of_counts(np.array([-2.0 * self.gate, *found]))

    @cached_property
    def error(self) -> arb:
        """How far an action value of the first stage is off, in exact arithmetic: the theorem's bound, before 2/τ."""
        spec, gate, n = self.spec, self.gate, longest(self.spec)
        missed = averages.count_error(n, gate)
        off, slope = averages.table_errors(self.bonus, [arb(spec.bonus(k)) for k in self.counts])
        reward = averages.average_error(n, gate, spec.horizon) + own_token.one_token_error(gate, 1.0)
        stage = reward + off + slope * missed
        off, slope = averages.table_errors(
            self.logs, [arb(-2 * gate), *(arb(k).log() for k in self.counts[1:])]
        )
        odds = (off + slope * missed) / 2 + (
            -2 * arb(gate)
        ).exp()  # of P̂: σ grows by 1/4 at most, for two logs
        ahead = spec.horizon * odds + own_token.by_odds_error(gate, spec.horizon)
        return spec.horizon * stage + (spec.horizon - 1) * spec.states * ahead

    @property
    def logit(self) -> Bound:
        """How far a logit is off, and what float64 adds."""
        spec, plain = self.spec, self.spec.plain
        exact = above(self.error * (1 + UNIT) / plain.tau + plain.rounded_scale)
        n, pieces, top = longest(spec) + 16, spec.episodes + 12, spec.horizon
        stage = n * top + pieces * self.bonus.size + spec.states * top * (pieces * self.logs.size + n)
        return Bound(exact, UNIT * top * stage / plain.tau)


def tables(spec: SoftmaxSpec) -> Tables:
    """Those of the least gate that meets the error.

    Raises:
        ValueError: if weights of float64 cannot be held to it.
    """
    least = math.inf
    for gate in GATES:
        found = Tables(spec, gate)
        least = min(least, (2 * found.logit).error)
        if (2 * found.logit).error <= spec.error:
            return found
    checks.carried(spec.error, least)
    raise ValueError(f"error: wanted a number, got {spec.error!r}")
