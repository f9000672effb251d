"""The frontier depth × parameters × error: every solver, for many horizons and errors.

A configuration is one point of the grid; `evaluate` builds it and returns a record, JSON and the same at every call, so that
a grid can be worked off anywhere and in any order (sweeping.py). Solver "theorem" is what the paper's proof asks for: layers
and heads by its formulas, nothing built. The others are built: tied layers are stored once, so that 10⁸ layers are small;
those of "chebyshev" are not tied, and are built while they are few.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, TypedDict

import numpy as np
import torch

from constructions import checks
from constructions.construction import Construction
from verify.catalog import CATALOG, Entry, named
from verify.sweeps.linucb import hard_histories
from verify.sweeps.records import Grid, Record, curve, panel

SWEPT = tuple(entry.name for entry in CATALOG.values() if entry.grid)
"""The constructions that are swept; Thompson sampling in its sampling form."""
ROUTES = {
    "theorem": ("theorem",),
    "repaired": ("gd", "agd", "pade"),
    "ours": ("newton", "chebyshev", "zolotarev"),
}
"""The paper's formulas, its route at the least certified depth, and other routes."""
HORIZONS = tuple(round(10 ** (n / 2)) for n in range(2, 13))
ERRORS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
TABLE_ERROR, ERROR_HORIZON = 1e-3, 100
"""The error of the table and of the curves against T; the horizon of the curves against the error."""
LONGEST, MOST_WORK = 200, 3e6
"""Errors are measured up to this horizon, and up to this many layers × steps."""
MOST_STORED = 2_000
"""Of more layers than this that are not tied, only the number is recorded."""


class Row(TypedDict):
    """What `evaluate` finds, as JSON."""

    algorithm: str
    solver: str
    horizon: int
    error: float
    dim: int
    actions: int
    more: dict[str, Any]
    depth: str
    layers: int
    heads: int | None
    width: int | None
    hidden: int | None
    stored: int | None
    dense: int | None
    certificate: float | None
    rounding: float | None
    measured: float | None
    histories: int
    holds: bool | None
    note: str


@dataclass(frozen=True)
class Configuration:
    """One point of the grid.

    Attributes:
        algorithm: one of SWEPT, or the name of any row that says how it is swept.
        solver: one of `solvers(algorithm)`.
        horizon: T.
        error: ε, on log-probabilities for LinUCB, on the sampled scores for Thompson sampling.
        dim: d.
        actions: A.
        more: further fields of the specification, with their values.

    Raises:
        ValueError: for an algorithm that is not swept, or a solver that it has not.
    """

    algorithm: str
    solver: str
    horizon: int
    error: float
    dim: int = 5
    actions: int = 10
    more: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self):
        checks.choice("solver", self.solver, solvers(self.algorithm))

    @property
    def key(self) -> str:
        """Its name in a file of results.

        >>> Configuration("linucb", "newton", 1000, 1e-3).key
        'linucb newton dim=5 actions=10 horizon=1000 error=0.001'
        """
        numbers = {name: getattr(self, name) for name in ("dim", "actions", "horizon", "error")} | dict(
            self.more
        )
        return " ".join([self.algorithm, self.solver, *(f"{name}={x!r}" for name, x in numbers.items())])

    @property
    def depth(self) -> str:
        """Whether layers are those of the paper's proof or the least certified ones."""
        return "stated" if self.solver == "theorem" else "certified"

    @property
    def grid(self) -> Grid:
        """How its algorithm is swept."""
        return _grid(self.algorithm)

    def spec(self) -> Any:
        """What is built; for "theorem", what its formulas are taken at."""
        common = {name: getattr(self, name) for name in ("dim", "actions", "horizon", "error")}
        return self.grid.spec(
            **common, **dict(self.more), **({} if self.solver == "theorem" else {"solver": self.solver})
        )


def _grid(algorithm: str) -> Grid:
    if (found := named(algorithm).found("grid")) is None:
        raise ValueError(f"sweep: wanted a row with a grid, as {', '.join(SWEPT)} have, got {algorithm}")
    return found


def solvers(algorithm: str) -> tuple[str, ...]:
    """What the paper's proof asks for, and every way to build it."""
    return "theorem", *_grid(algorithm).solvers


def configurations(
    algorithms: Sequence[str] = SWEPT, quick: bool = False, given: Mapping[str, Any] = MappingProxyType({})
) -> list[Configuration]:
    """The grid, cheapest first: T = 10 … 10⁶ in half decades, ε = 10⁻² … 10⁻⁶; `quick`: decades to 10⁴, ε = 10⁻³.

    >>> len(configurations(["linucb"], quick=True)), len(configurations(["linucb"]))
    (20, 275)
    """
    for name in ("horizon", "error", "solver"):
        if name in given:
            raise ValueError(f"sweep: wanted fields that it does not vary itself, got {name}")
    sizes = {name: given[name] for name in ("dim", "actions") if name in given}
    more = tuple((name, value) for name, value in given.items() if name not in sizes)
    horizons, errors = (HORIZONS[:7:2], (TABLE_ERROR,)) if quick else (HORIZONS, ERRORS)
    return [
        Configuration(algorithm, solver, horizon, error, **sizes, more=more)
        for horizon in horizons
        for error in errors
        for algorithm in algorithms
        for solver in solvers(algorithm)
    ]


def evaluate(configuration: Configuration) -> Record:
    """One record, a JSON object; None stands for what is not known, and `note` says why.

    Fields: those of the configuration, depth; layers, heads, width, hidden; stored and dense, numbers of weights;
    certificate, in exact arithmetic, and rounding, what float64 may add to it; measured, the worst error on `histories`
    adversarial ones; holds, whether measured ≤ certificate + rounding, None where nothing was measured.
    """
    torch.set_num_threads(1)  # workers are many, layers are small
    more = {name: list(x) if isinstance(x, tuple) else x for name, x in configuration.more}
    record = asdict(configuration) | {"more": more, "depth": configuration.depth}
    if configuration.solver == "theorem":
        return record | _theorem(configuration.grid, configuration.spec())
    entry, spec = named(configuration.algorithm), configuration.spec()
    if configuration.solver == "chebyshev" and (layers := configuration.grid.planned(spec)) > MOST_STORED:
        unknown = dict.fromkeys(("heads", *UNKNOWN))
        note = f"layers by the plan, as those that are not tied are built up to {MOST_STORED:,}"
        return record | {"layers": layers, **unknown, "histories": 0, "holds": None, "note": note}
    built = entry.build(spec)
    size = built.size()
    sizes = {
        name: int(getattr(size, name)) for name in ("layers", "heads", "width", "hidden", "stored", "dense")
    }
    certificate, rounding = float(built.certificate), float(built.rounding)
    record |= sizes | {"certificate": certificate, "rounding": rounding}
    if configuration.horizon > LONGEST or size.layers * configuration.horizon > MOST_WORK:
        note = f"measured for T ≤ {LONGEST} and layers × T ≤ {MOST_WORK:.0e} only"
        return record | {"measured": None, "histories": 0, "holds": None, "note": note}
    measured, histories = _measured(entry, built)
    holds = measured <= certificate + rounding <= configuration.error + rounding
    return record | {"measured": measured, "histories": histories, "holds": holds, "note": ""}


UNKNOWN = ("width", "hidden", "stored", "dense", "certificate", "rounding", "measured")
"""Fields of what is not built."""


def _theorem(grid: Grid, spec: Any) -> Record:
    """Layers and heads as the paper's proof states them."""
    layers, heads = map(math.ceil, grid.stated(spec))
    unknown = dict.fromkeys(UNKNOWN)
    note = f"{grid.source}; nothing built"
    return {"layers": layers, "heads": heads, **unknown, "histories": 0, "holds": None, "note": note}


def _measured(entry: Entry, built: Construction) -> tuple[float, int]:
    """The worst error on histories that are hard for descent, and how many they were."""
    histories = hard_histories(built.spec)
    found = built.said(built.outputs(histories, logits_only=True))
    true = np.stack([entry.truth(built.spec, one) for one in histories])
    return float(built.guarantee.errors(true, found).max()), len(histories)


def layers_by_horizon(records: Iterable[Record], error: float = TABLE_ERROR) -> list[Record]:
    """A row for each algorithm, route and solver: layers by T at one error."""
    rows: dict[tuple[str, str], Record] = {}
    for record in records:
        if record["error"] == error:
            known = (name for name, solvers in ROUTES.items() if record["solver"] in solvers)
            route = next(known, "ours")
            named = {
                "algorithm": record["algorithm"],
                "route": route,
                "solver": record["solver"],
                "layers": {},
            }
            row = rows.setdefault((record["algorithm"], record["solver"]), named)
            row["layers"][record["horizon"]] = record["layers"]
    order = list(ROUTES)
    return sorted(rows.values(), key=lambda row: (row["algorithm"], order.index(row["route"])))


def panels(records: Sequence[Record]) -> dict[str, list[Record]]:
    """A figure for each algorithm, for plots.draw: layers against T, and error against weights, every layer written out."""
    figures: dict[str, list[Record]] = {}
    for algorithm in dict.fromkeys(record["algorithm"] for record in records):
        own = [record for record in records if record["algorithm"] == algorithm]
        depth = [
            curve(solver, _column(rows, "horizon"), _column(rows, "layers"), solver, _look(solver))
            for solver, rows in _by_solver(one for one in own if one["error"] == TABLE_ERROR)
        ]
        at_one = [one for one in own if one["horizon"] == ERROR_HORIZON and one["stored"]]
        errors, named = [], set()
        for solver, rows in _by_solver(at_one):
            for name, look in (("certificate", "certified"), ("measured", "measured")):
                if len(rows) > 1 and all(row[name] for row in rows):
                    label = "" if look in named else look  # the panel beside names the solvers
                    errors.append(curve(label, _column(rows, "dense"), _column(rows, name), solver, look))
                    named.add(look)
        labels = ("horizon T (steps)", "layers"), ("weights of all layers, dense", "worst error")
        titles = f"{algorithm}, ε = {TABLE_ERROR:g}", f"T = {ERROR_HORIZON}"
        drawn = zip(titles, labels, (depth, errors), strict=True)
        figures[algorithm] = [panel(title, names, curves) for title, names, curves in drawn if curves]
    return {name: found for name, found in figures.items() if found}


def _look(solver: str) -> str:
    return "stated" if solver == "theorem" else "measured"


def _column(rows: Sequence[Record], name: str) -> list:
    return [row[name] for row in rows]


def _by_solver(records: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """The theorem last, so that the others have the same colours where it is left out."""
    rows: dict[str, list[Record]] = {}
    for record in records:
        rows.setdefault(record["solver"], []).append(record)
    return sorted(rows.items(), key=lambda pair: pair[0] == "theorem")
