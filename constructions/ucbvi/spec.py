"""What a UCB-VI transformer is built for, and the numbers that its look-ups hold."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

from flint import arb

from constructions import checks
from constructions.inputs.episodes import longest
from constructions.primitives import lookup
from constructions.rounding.outward import above, balls, nearest, rational

Form = Literal["theorem", "slim", "narrow"]


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        states: S.
        actions: A.
        horizon: H, steps in an episode.
        episodes: K, the largest number of episodes.
        temperature: τ of the softmax over action values, in units of reward; None stands for 1/K, as in Theorem 13.
        exploration: factor on the bonus b(n) = 2H√(log(SAT/δ)/max(n, 1)), T = KH, δ = 1/(KH); 1 in the paper, where Q̂ is H
            wherever n ≤ 4 log(SAT/δ), so that short runs are uniform.
        form: "theorem", all stages' registers side by side, as printed and repaired; "slim", registers reused from stage to
            stage; "narrow", expected values taken straight from the context.

    Raises:
        ValueError: for values no transformer can be built for.

    >>> Spec(states=4, actions=3, horizon=4, episodes=20).temperature
    0.05
    """

    states: int
    actions: int
    horizon: int
    episodes: int
    temperature: float | None = None
    exploration: float = 1.0
    form: Form = "theorem"

    def __post_init__(self):
        checks.settle(self, checks.whole, "states", "actions", "horizon", "episodes")
        if self.temperature is None:
            object.__setattr__(self, "temperature", 1 / self.episodes)
        checks.settle(self, checks.number, "temperature", positive=True)
        checks.settle(self, checks.number, "exploration", positive=False)
        checks.settle(self, checks.choice, "form", among=("theorem", "slim", "narrow"))

    @property
    def tau(self) -> float:
        """The paper's letter for the temperature."""
        return float(self.temperature or math.nan)

    @property
    def pairs(self) -> int:
        """SA."""
        return self.states * self.actions

    @property
    def most(self) -> int:
        """The most visits that earlier episodes can have made to one (h, s, a)."""
        return self.episodes - 1

    @property
    def tokens(self) -> int:
        """The largest number of tokens, K(2H + 1)."""
        return longest(self)

    @property
    def largest(self) -> float:
        """A bound on r̂ + b + H·[n = 0] + Σ P̂V: what an action value is before it is cut off at H."""
        return 1.0 + self.bonus(0) + 2.0 * self.horizon

    def bonus(self, visits: int) -> float:
        """b(n), in units of reward."""
        confidence = _confidence(self.pairs, self.episodes * self.horizon)
        return self.exploration * 2 * self.horizon * math.sqrt(confidence / max(visits, 1))

    @property
    def look_ups(self) -> tuple[float, float]:
        """What weights rounded in float64 leave of b(n) + H·[n = 0], and of quotients whose largest is 1.

        In the theorem's form each look-up is one weight: b is a number of float64 already, b + H rounds to the nearest one,
        and a quotient is off by a rounding. Elsewhere rewards add up to at most K and values ahead to KH.
        """
        hopes = self.hopes(self.episodes + 1)
        with balls():
            if self.form == "theorem":
                off = max(abs(Fraction(float(hope)) - hope) for hope in hopes)
                return above(rational(off)), checks.UNIT
            part = self.episodes * lookup.quotient_error(self.episodes)
            return above(lookup.table_error(hopes)), above(part)

    @property
    def rounded(self) -> float:
        """What they leave of an action value at the first stage, r̂ ≤ 1 and Σ P̂V ≤ H.

        The values of the stage after are weighted by P̂, which may add up to a little more than 1.
        """
        table, part = map(arb, self.look_ups)
        with balls():
            stage, whole = table + part * (1 + self.horizon), arb(0)
            for _ in range(self.horizon):
                whole = stage + whole * (1 + part)
            return above(whole)

    @property
    def rounded_scale(self) -> float:
        """By how much 1/τ is off, times H."""
        with balls():
            return above(self.horizon * abs(arb(1 / self.tau) - 1 / arb(self.tau)))

    def hopes(self, count: int) -> list[Fraction]:
        """b(n) + H·[n = 0] for n = 0 … count − 1, exactly as float64 holds b: look-up values."""
        return [Fraction(self.bonus(n)) + self.horizon * (n == 0) for n in range(count)]


@dataclass(frozen=True)
class SoftmaxSpec:
    """What to build with softmax attention, which takes averages by itself, and is not exact.

    Attributes:
        states, actions, horizon, episodes, temperature, exploration: as for `Spec`.
        error: ε, bound on |log-probability error|; the gates of attention are as large as it wants.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    states: int
    actions: int
    horizon: int
    episodes: int
    temperature: float | None = None
    exploration: float = 1.0
    error: float = 1e-6

    def __post_init__(self):
        plain = self.plain
        for name in ("states", "actions", "horizon", "episodes", "temperature", "exploration"):
            object.__setattr__(self, name, getattr(plain, name))
        checks.settle(self, checks.number, "error", positive=True)

    @property
    def plain(self) -> Spec:
        """The same for the paper's attention."""
        sizes = self.states, self.actions, self.horizon, self.episodes
        return Spec(*sizes, self.temperature, self.exploration, "narrow")

    def bonus(self, visits: int) -> float:
        """b(n), in units of reward."""
        return self.plain.bonus(visits)


@cache
def _confidence(pairs: int, steps: int) -> float:
    """log(SAT/δ), δ = 1/T."""
    return nearest(arb.log, float(pairs)) + 2 * nearest(arb.log, float(steps))
