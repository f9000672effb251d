"""The table of whole constructions that every law is tried on: a new construction is a new row."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import soft_ucb1

from constructions import linucb, thompson, ucbvi
from constructions.construction import Construction
from constructions.inputs.bandits import History
from constructions.linucb import by_newton
from constructions.thompson import two_arms
from verify import algorithms
from verify.histories import (
    bernoulli as bernoulli_strategies,
)
from verify.histories import (
    episodes as episode_strategies,
)
from verify.histories import (
    linear as strategies,
)


@dataclass(frozen=True, eq=False)
class Case:
    """One construction with all that the laws need to know.

    Attributes:
        name: what is built, and what is special about this row.
        spec: the specification.
        build: from the specification to the construction.
        truth: the algorithm, from specification and history to log-probabilities.
        source: where histories come from: a module with `outlines(spec, steps)`.
        size: sizes that the docstring gives, by name.
        most: sizes that it bounds.
        bad: values that the specification has to reject, and what is said of them.
        sharper: the error of a spec that sees what is 1 % off, where that of this one is too large.
    """

    name: str
    spec: Any
    build: Callable[[Any], Construction]
    truth: Callable[[Any, Any], np.ndarray]
    source: ModuleType
    size: Mapping[str, int]
    bad: tuple[tuple[dict[str, Any], str], ...]
    most: Mapping[str, float] | None = None
    sharper: float | None = None

    @cached_property
    def built(self) -> Construction:
        return self.build(self.spec)

    @property
    def decisions(self) -> int:
        """The most that the specification allows: tokens may not say otherwise."""
        return self.spec.horizon * getattr(self.spec, "episodes", 1)

    @property
    def rounding(self) -> float:
        """What float64 may add to a log-probability."""
        return self.built.rounding

    def error(self, history: History) -> float:
        """The worst error of a log-probability; NaN is infinitely far."""
        true, built = self.truth(self.spec, history), self.built.log_probabilities(history)
        return float(self.built.guarantee.errors(true, built).max())

    def rejects(self, change: dict[str, Any]) -> None:
        """A specification made without the types that tests enforce: what a user meets."""
        spec = object.__new__(type(self.spec))
        for name, value in {f.name: getattr(self.spec, f.name) for f in fields(self.spec)}.items():
            object.__setattr__(spec, name, change.get(name, value))
        inspect.unwrap(type(spec).__post_init__)(spec)


# ---------------------------------------------------------------- LinUCB

LINUCB = linucb.Spec(
    2, 3, 4, 0.01, "gd", ridge=2.0, exploration=3.0, temperature=0.5, action_norm=(0.5, 1.0), noise_bound=1.0
)
NOT_LINUCB = (
    ({"dim": 0}, "dim: wanted an integer >= 1, got 0"),
    ({"error": float("nan")}, "error: wanted a finite number > 0, got nan"),
    ({"solver": "adam"}, "solver: wanted 'gd' or 'agd' or 'chebyshev' or 'newton', got 'adam'"),
)


def linucb_case(name: str, spec: linucb.Spec, size: Mapping[str, int]) -> Case:
    sharper = 1e-3 if spec.error > 0.01 else None
    truth = algorithms.linucb
    return Case(f"linucb {name}", spec, linucb.build, truth, strategies, size, NOT_LINUCB, sharper=sharper)


def descent_case(name: str, **change) -> Case:
    spec = replace(LINUCB, **change)
    size = {"layers": linucb.plan(spec).loops[0][0] + 2, "heads": max(2 * spec.actions + 4, 4 * spec.actions)}
    return linucb_case(name, spec, size)


def newton_case(**change) -> Case:
    """Sizes of Theorem A; with products the width is had elsewhere, and only heads are as they were."""
    spec = replace(LINUCB, solver="newton", **change)
    d, A = spec.dim, spec.actions
    size = {"heads": max(4 * (d + 1) + 1, 2 * d**2 + 1, 2 * d * (A + 1))}
    if spec.root == "interpolation":
        size |= {"layers": by_newton.plan(spec)[0] + 2, "width": 3 * d**2 + 3 * d + 2 * A * d + 3 * A + 4}
    return linucb_case(f"newton {spec.root}", spec, size)


# ---------------------------------------------------------------- Thompson sampling


def two_arms_case(solver: str) -> Case:
    spec = thompson.Spec(dim=2, actions=2, horizon=4, error=0.05, separation=0.05, solver=solver)
    d, newton = spec.dim, solver == "newton"
    return Case(
        f"thompson two arms {solver}",
        spec,
        thompson.build,
        algorithms.thompson,
        strategies,
        {
            "layers": two_arms.plan(spec).depth + 5 + newton,
            "heads": max(4 * d + 5, 4 * d**2 + 2) if newton else 6,
            "width": 4 * d**2 + 9 * d + 14 if newton else 8 * d + 14,
        },
        (({"horizon": 0}, "horizon: wanted an integer >= 1, got 0"),),
    )


BERNOULLI = Case(
    "thompson bernoulli",
    thompson.BernoulliSpec(3, 12, 0.1),
    thompson.build,
    algorithms.bernoulli_thompson,
    bernoulli_strategies,
    {"layers": 6, "heads": 3},
    (
        ({"actions": 1}, "actions: wanted at least 2, got 1"),
        ({"error": 0.6}, "error: wanted at most 0.5, got 0.6"),
    ),
)

# ---------------------------------------------------------------- UCB-VI


def ucbvi_case(form: str) -> Case:
    spec = ucbvi.Spec(states=2, actions=3, horizon=2, episodes=3, exploration=0.02, form=form)
    S, A, H = spec.states, spec.actions, spec.horizon
    heads = {
        "theorem": {},
        "slim": {"heads": S**2 * A + 2 * S * A},
        "narrow": {"heads": 2 * S * A + 2 * A + 1},
    }
    return Case(
        f"ucbvi {form}",
        spec,
        ucbvi.build,
        algorithms.ucbvi,
        episode_strategies,
        {"layers": 2 * H + (8 if form == "theorem" else 4)},
        (({"form": "wide"}, "form: wanted 'theorem' or 'slim' or 'narrow', got 'wide'"),),
        most=heads[form],
    )


# ---------------------------------------------------------------- the worked example of docs/adding.md


def soft_ucb1_case(**change) -> Case:
    spec = soft_ucb1.Spec(**({"actions": 3, "horizon": 20} | change))
    A = spec.actions
    pieces = np.log(max(spec.horizon, 2)) / np.sqrt(spec.spread)
    return Case(
        f"soft UCB1 {A} arms {spec.horizon} steps",
        spec,
        soft_ucb1.build,
        soft_ucb1.true_log_probabilities,
        bernoulli_strategies,
        {"layers": 2, "heads": 2 * A, "width": A**2 + 7 * A + 4},
        (
            ({"horizon": 2.0}, "horizon: wanted an integer >= 1, got 2.0"),
            ({"exploration": -1.0}, "exploration: wanted a finite number >= 0, got -1.0"),
        ),
        most={"hidden": 2 * A * (2 + pieces) + 2},
    )


CASES = (
    descent_case("gd", horizon=2, error=0.1),
    descent_case("agd without exploration", solver="agd", exploration=0.0, error=1e-3),
    descent_case("chebyshev", solver="chebyshev"),
    descent_case("one step", solver="agd", horizon=1, error=0.1, exploration=1.0),
    newton_case(),
    newton_case(root="products"),
    two_arms_case("zolotarev"),
    two_arms_case("newton"),
    BERNOULLI,
    ucbvi_case("theorem"),
    ucbvi_case("slim"),
    ucbvi_case("narrow"),
    soft_ucb1_case(),
    soft_ucb1_case(actions=2, horizon=1, error=30.0, exploration=0.0),
)
