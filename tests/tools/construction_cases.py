"""The table of whole constructions that every law is tried on: a new construction is a new row."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import soft_ucb1
from prediction_cases import BINARY, LASSO, VALIDATED, ridge_case, td_case

from constructions import linucb, thompson, ucbvi
from constructions.games import exp3, hedge
from constructions.linucb import by_newton, forgetting, softmax_plan
from constructions.thompson import two_arms
from constructions.thompson.softmax import plan as thompson_by_softmax
from constructions.thompson.softmax import sampling
from verify.audit.cases import Case
from verify.catalog import CATALOG

ALIKE = {
    "agd without exploration": {"exploration 1 % off"},
    "one step": {"one reward dropped", "counts one off"},
}
"""What is no wrong algorithm: without exploration, without a past."""

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
    return Case(
        CATALOG["linucb"],
        spec,
        size,
        refused=NOT_LINUCB,
        same=frozenset(ALIKE.get(name, ())),
        sharper=1e-3 if spec.error > 0.01 else None,
        name=f"linucb {name}",
    )


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


def forgetting_case(name: str, **change) -> Case:
    """Sizes of docs/drift.md."""
    shared = {"dim": 2, "actions": 3, "horizon": 6, "error": 0.01, "ridge": 2.0, "exploration": 3.0}
    spec = forgetting.Spec(**shared, temperature=0.5, action_norm=(0.5, 1.0), noise_bound=1.0, **change)
    d, A, knots = spec.dim, spec.actions, len(forgetting.lags(spec)[0].knots)
    heads = max(2 * (d + 1) + 1, 2 * d**2 + 1, 2 * d * (A + 1), knots)
    return Case(
        CATALOG["forgetting"],
        spec,
        {"heads": heads, "width": 4 * d**2 + 4 * d + 2 * A * d + 3 * A + 4},
        refused=(
            ({"window": None, "discount": None}, "window, discount: wanted one of them, got None and None"),
            ({"window": None, "discount": 1.0}, "discount: wanted one below 1, got 1.0"),
        ),
        same=frozenset(),
        name=f"forgetting {name}",
    )


# ---------------------------------------------------------------- Thompson sampling


def two_arms_case(solver: str) -> Case:
    spec = thompson.Spec(dim=2, actions=2, horizon=4, error=0.05, separation=0.05, solver=solver)
    d, newton = spec.dim, solver == "newton"
    return Case(
        CATALOG["thompson"],
        spec,
        {
            "layers": two_arms.plan(spec).depth + 5 + newton,
            "heads": max(4 * d + 5, 4 * d**2 + 2) if newton else 6,
            "width": 4 * d**2 + 9 * d + 14 if newton else 8 * d + 14,
        },
        refused=(({"horizon": 0}, "horizon: wanted an integer >= 1, got 0"),),
        same=frozenset(),
        name=f"thompson two arms {solver}",
    )


def softmax_thompson_case() -> Case:
    """Sizes of Theorem 3 of docs/softmax.md."""
    spec = thompson.SoftmaxSpec(dim=2, actions=2, horizon=4, error=0.05, separation=0.05)
    d, digits = spec.dim, math.ceil(math.log2(2 * spec.horizon + 1))
    return Case(
        CATALOG["softmax-thompson"],
        spec,
        {
            "layers": len(thompson_by_softmax.plan(spec).found.chosen.errors) + 3,
            "heads": max(4 * d * d, 8 * d),
            "width": 3 * d**2 + 9 * d + 14 + digits,
        },
        refused=(
            ({"horizon": 0}, "horizon: wanted an integer >= 1, got 0"),
            ({"actions": 3}, "actions: wanted 2 for the policy with softmax attention, got 3"),
        ),
        same=frozenset(),
        name="softmax thompson",
    )


def softmax_sampling_case() -> Case:
    """Sizes of Theorem 4 of docs/softmax.md."""
    bounds = {"action_norm": (0.5, 1.0), "weight_norm": 1.0, "noise_bound": 1.0}
    spec = thompson.SoftmaxSpec(2, 3, 4, 0.01, "sampling", separation=0.05, **bounds)
    plan, d, A = sampling.plan(spec), spec.dim, spec.actions
    m, digits = len(plan.poles), math.ceil(math.log2(2 * spec.horizon + 1))
    return Case(
        CATALOG["softmax-thompson"],
        spec,
        {
            "layers": len(plan.mean.chosen.errors) + 2,
            "heads": max(4 * d * d, 4 * d) * (m + 1),
            "width": (2 * m + 3) * d**2 + 5 * d + A * (d + 3) + 6 + digits,
        },
        refused=(({"form": "both"}, "form: wanted 'policy' or 'sampling', got 'both'"),),
        same=frozenset(),
        name="softmax sampling",
    )


BERNOULLI = Case(
    CATALOG["bernoulli"],
    thompson.BernoulliSpec(3, 12, 0.1),
    {"layers": 6, "heads": 3},
    refused=(
        ({"actions": 1}, "actions: wanted at least 2, got 1"),
        ({"error": 0.6}, "error: wanted at most 0.5, got 0.6"),
    ),
    same=frozenset(),
    name="thompson bernoulli",
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
        CATALOG["ucbvi"],
        spec,
        {"layers": 2 * H + (8 if form == "theorem" else 4)},
        most=heads[form],
        refused=(({"form": "wide"}, "form: wanted 'theorem' or 'slim' or 'narrow', got 'wide'"),),
        asked=1e-13 / spec.tau,  # no error is asked for: that of weights like 1/3 in float64
        same=frozenset(),
        name=f"ucbvi {form}",
    )


def softmax_case(**change) -> Case:
    """Sizes of Theorem 1 of docs/softmax.md."""
    spec = ucbvi.SoftmaxSpec(
        **({"states": 2, "actions": 3, "horizon": 2, "episodes": 3, "exploration": 0.02} | change)
    )
    S, A, H, K = spec.states, spec.actions, spec.horizon, spec.episodes
    halvings = max(1, math.ceil(math.log2(A)))
    return Case(
        CATALOG["softmax-ucbvi"],
        spec,
        {"layers": 4 + (H - 1) * (S + halvings), "heads": max(4 * S * A if H > 1 else 2 * S * A, 2)},
        most={
            "width": 8 * S * A + S * (3 + math.log2(A)) + 3 * A + H + 10,
            "hidden": S * A * (3 * K + 10) + H + 3,
        },
        refused=(
            ({"error": 0.0}, "error: wanted a finite number > 0, got 0.0"),
            ({"states": 0}, "states: wanted an integer >= 1, got 0"),
        ),
        same=frozenset(),
        name=f"softmax ucbvi {A} actions",
    )


def softmax_linucb_case() -> Case:
    """Sizes of Theorem 2 of docs/softmax.md."""
    shared = {name: getattr(LINUCB, name) for name in ("horizon", *forgetting.SHARED)}
    spec, d, A = linucb.SoftmaxSpec(**shared), LINUCB.dim, LINUCB.actions
    digits = math.ceil(math.log2(2 * spec.horizon + 1))
    return Case(
        CATALOG["softmax-linucb"],
        spec,
        {
            "layers": len(softmax_plan.plan(spec)[0].chosen.errors) + 2,
            "heads": max(4 * d * d, 4 * d * (A + 1)),
            "width": 3 * d**2 + 3 * d + 2 * A * d + 3 * A + 6 + digits,
        },
        refused=(({"dim": 0}, "dim: wanted an integer >= 1, got 0"),),
        same=frozenset(),
        name="softmax linucb",
    )


# ---------------------------------------------------------------- games

HEDGE = Case(
    CATALOG["hedge"],
    hedge.Spec(3, 12),
    {"layers": 1, "heads": 1, "hidden": 0, "width": 11},
    refused=(
        ({"actions": 1}, "actions: wanted an integer >= 2, got 1"),
        ({"rate": 0.0}, "rate: wanted a finite number > 0, got 0.0"),
    ),
    asked=0.0,
    same=frozenset(
        {"one reward dropped", "counts one off"}
    ),  # of rewards and of a first round's losses nothing is read
)

EXP3 = Case(
    CATALOG["exp3"],
    exp3.Spec(3, 12),
    {"layers": 1, "heads": 1, "hidden": 0, "width": 15},
    refused=(
        ({"actions": 1}, "actions: wanted an integer >= 2, got 1"),
        ({"least": 0.5}, "least: wanted at most 1/actions = 0.333333333, got 0.5"),
    ),
    asked=0.0,
    same=HEDGE.same,
)

# ---------------------------------------------------------------- the worked example of docs/adding.md


def soft_ucb1_case(same: frozenset[str] = frozenset(), **change) -> Case:
    spec = soft_ucb1.Spec(**({"actions": 3, "horizon": 20} | change))
    A = spec.actions
    pieces = np.log(max(spec.horizon, 2)) / np.sqrt(spec.spread)
    return Case(
        soft_ucb1.ENTRY,
        spec,
        {"layers": 2, "heads": 2 * A, "width": A**2 + 7 * A + 4},
        most={"hidden": 2 * A * (2 + pieces) + 2},
        refused=(
            ({"horizon": 2.0}, "horizon: wanted an integer >= 1, got 2.0"),
            ({"exploration": -1.0}, "exploration: wanted a finite number >= 0, got -1.0"),
        ),
        same=same,
        name=f"soft UCB1 {A} arms {spec.horizon} steps",
    )


NOTHING_SEEN = frozenset(
    {"two arms exchanged", "arms reversed", "one reward dropped", "counts one off"}
    | {"exploration 1 % off", "temperature 1 % off"}
)
"""What is no wrong algorithm with two arms of which nothing is known."""


CASES = (
    descent_case("gd", horizon=2, error=0.1),
    descent_case("agd without exploration", solver="agd", exploration=0.0, error=1e-3),
    descent_case("chebyshev", solver="chebyshev"),
    descent_case("one step", solver="agd", horizon=1, error=0.1, exploration=1.0),
    newton_case(),
    newton_case(root="products"),
    forgetting_case("window", window=2),
    forgetting_case("discount", discount=0.5),
    two_arms_case("zolotarev"),
    two_arms_case("newton"),
    BERNOULLI,
    ucbvi_case("theorem"),
    ucbvi_case("slim"),
    ucbvi_case("narrow"),
    softmax_case(),
    softmax_linucb_case(),
    softmax_thompson_case(),
    softmax_sampling_case(),
    HEDGE,
    EXP3,
    td_case(),
    td_case(trace=0.5),
    LASSO,
    ridge_case("newton", 1e-3, layers=5, heads=12, hidden=2, width=28),
    ridge_case("gd", 0.1, heads=4, hidden=0, width=14),
    VALIDATED,
    BINARY,
    soft_ucb1_case(),
    soft_ucb1_case(NOTHING_SEEN, actions=2, horizon=1, error=30.0, exploration=0.0),
)
