"""Every construction at its smallest, with a history of it."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from constructions import linucb, thompson, ucbvi
from constructions.construction import Construction
from constructions.history import BanditHistory
from verify.histories import (
    bernoulli as bernoulli_strategies,
)
from verify.histories import (
    episodes as episode_strategies,
)
from verify.histories import (
    linear as strategies,
)

PACKAGES = {"linucb": linucb, "thompson": thompson, "ucbvi": ucbvi}


@dataclass(frozen=True)
class Case:
    """A package by name and a spec of it."""

    package: str
    spec: Any

    @cache  # noqa: B019  # a few, for the whole run
    def built(self) -> Construction:
        return PACKAGES[self.package].build(self.spec)

    def history(self, seed: int = 0):
        """The longest history, of an outline drawn by the seed."""
        if self.package == "ucbvi":
            source = episode_strategies
        elif isinstance(self.spec, thompson.BernoulliSpec):
            source = bernoulli_strategies
        else:
            source = strategies
        outlines = source.battery(self.spec)
        outline = outlines[seed % len(outlines)]
        history = replace(outline, steps=self.built().tokens.decisions).history(self.spec)
        if getattr(self.spec, "form", "") != "sampling":
            return history
        draws = np.random.default_rng(seed).normal(size=(history.steps, self.spec.dim))
        return BanditHistory(history.contexts, history.actions, history.rewards, draws)


TABULAR = dict(states=2, actions=2, horizon=2, episodes=3, exploration=0.05)
CASES = {
    "linucb agd": Case("linucb", linucb.Spec(2, 3, 5, error=0.1)),
    "linucb newton": Case("linucb", linucb.Spec(2, 3, 5, error=0.1, solver="newton")),
    "thompson two arms": Case("thompson", thompson.Spec(2, 2, 5, error=0.1, separation=0.05)),
    "thompson lines": Case("thompson", thompson.Spec(2, 3, 4, nodes=8, error=0.2, separation=0.05)),
    "thompson sampling": Case(
        "thompson", thompson.Spec(2, 3, 4, error=0.2, separation=0.05, form="sampling")
    ),
    "thompson bernoulli": Case("thompson", thompson.BernoulliSpec(actions=3, horizon=5, error=0.1)),
    **{
        f"ucbvi {form}": Case("ucbvi", ucbvi.Spec(**TABULAR, form=form))
        for form in ("theorem", "slim", "narrow")
    },
}
