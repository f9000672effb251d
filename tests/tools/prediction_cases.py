"""The rows of construction_cases that predict values: policy evaluation, regression, a test of what was given."""

from dataclasses import replace

from constructions.prediction import binary, lasso, ridge, td, validated
from verify.audit.cases import Case
from verify.catalog import CATALOG


def td_case(**change) -> Case:
    spec = replace(td.Spec(features=2, horizon=5, actions=2, sweeps=3, step=0.5), **change)
    more = 3 if spec.trace else 0  # layers that double a trace of five steps
    return Case(
        CATALOG["td"],
        spec,
        {"layers": 4 + more, "heads": 4, "hidden": 0, "width": 20 + 2 * bool(more)},
        refused=(
            ({"sweeps": 0}, "sweeps: wanted an integer >= 1, got 0"),
            ({"trace": -0.5}, "trace: wanted a finite number >= 0, got -0.5"),
        ),
        asked=0.0,
        same=frozenset() if spec.trace else frozenset({"trace 1 % off"}),
        name="td traces" if spec.trace else "td",
    )


LASSO = Case(
    CATALOG["lasso"],
    lasso.Spec(dim=2, horizon=5, actions=2, iterations=4, penalty=0.02),
    {"layers": 5, "heads": 4, "hidden": 5, "width": 14},
    refused=(
        ({"iterations": 0}, "iterations: wanted an integer >= 1, got 0"),
        ({"penalty": 0.0}, "penalty: wanted a finite number > 0, got 0.0"),
        ({"response": 1e40}, "response: wanted a number between 1e-30 and 1e+30, got 1e+40"),
    ),
    asked=0.0,
    same=frozenset(),
)


def ridge_case(solver: ridge.Solver, error: float, **size) -> Case:
    return Case(
        CATALOG["ridge"],
        ridge.Spec(dim=2, horizon=4, actions=2, error=error, solver=solver),
        size,
        refused=(
            ({"ridge": 0.0}, "ridge: wanted a finite number > 0, got 0.0"),
            ({"solver": "adam"}, "solver: wanted 'newton' or 'gd' or 'agd' or 'chebyshev', got 'adam'"),
            ({"error": 1e-20}, "error: wanted one that weights of float64 can carry"),
        ),
        same=frozenset(),
        sharper=1e-3 if error > 0.01 else None,
        name=f"ridge {solver}",
    )


VALIDATED = Case(
    CATALOG["validated-ridge"],
    validated.Spec(dim=2, horizon=5, training=2, penalties=(0.5, 2.0), margin=0.5, actions=2),
    {"heads": 24, "hidden": 12, "width": 68},
    refused=(
        ({"penalties": (1.0,)}, "penalties: wanted two numbers or more, got (1.0,)"),
        ({"penalties": (1.0, 0.0)}, "penalties: wanted a finite number > 0, got 0.0"),
        ({"training": 0}, "training: wanted an integer >= 1, got 0"),
    ),
    same=frozenset(),
)

BINARY = Case(
    CATALOG["binary-test"],
    binary.Spec(horizon=5),
    {"layers": 1, "heads": 4, "hidden": 1, "width": 8},
    refused=(
        ({"margin": 0.0}, "margin: wanted a finite number > 0, got 0.0"),
        ({"horizon": 0}, "horizon: wanted an integer >= 1, got 0"),
    ),
    asked=0.0,
    same=frozenset(),
)
