"""The frontier depth × parameters × error: every solver, for many horizons and errors.

A configuration is one point of the grid; `evaluate` builds it and returns a record, JSON and the same at every call, so that
a grid can be worked off anywhere and in any order (sweeping.py). Solver "theorem" is what the paper's proof asks for: layers
and heads by its formulas, nothing built. The others are built: tied layers are stored once, so that 10⁸ layers are small;
those of "chebyshev" are not tied, and are built while they are few.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict, get_args

import numpy as np
import torch

from constructions import checks, linucb, thompson
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.thompson import sampling
from constructions.thompson import spec as thompson_spec
from verify import algorithms, theorems
from verify.sweeps import linucb as sweeps
from verify.sweeps.records import curve, panel
from verify.theorems import linucb as linucb_theorem
from verify.theorems import thompson as thompson_theorem
from verify.theorems import thompson_whole

Record = dict[str, Any]

SOLVERS = {
    "linucb": ("theorem", *get_args(linucb.Solver)),
    "thompson": ("theorem", *get_args(thompson_spec.Solver)),
}
"""By algorithm; Thompson sampling in its sampling form."""
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
        algorithm: "linucb" or "thompson".
        solver: one of SOLVERS[algorithm].
        horizon: T.
        error: ε, on log-probabilities for LinUCB, on the sampled scores for Thompson sampling.
        dim: d.
        actions: A.

    Raises:
        ValueError: for an algorithm or a solver of another name.
    """

    algorithm: str
    solver: str
    horizon: int
    error: float
    dim: int = 5
    actions: int = 10

    def __post_init__(self):
        checks.choice("algorithm", self.algorithm, tuple(SOLVERS))
        checks.choice("solver", self.solver, SOLVERS[self.algorithm])

    @property
    def key(self) -> str:
        """Its name in a file of results.

        >>> Configuration("linucb", "newton", 1000, 1e-3).key
        'linucb newton dim=5 actions=10 horizon=1000 error=0.001'
        """
        numbers = {name: x for name, x in asdict(self).items() if not isinstance(x, str)}
        order = sorted(numbers, key=("dim", "actions", "horizon", "error").index)
        return " ".join([self.algorithm, self.solver, *(f"{name}={numbers[name]!r}" for name in order)])

    @property
    def depth(self) -> str:
        """Whether layers are those of the paper's proof or the least certified ones."""
        return "stated" if self.solver == "theorem" else "certified"

    def spec(self) -> linucb.Spec | thompson.Spec:
        """What is built; for "theorem", what its formulas are taken at."""
        common = {name: getattr(self, name) for name in ("dim", "actions", "horizon", "error")}
        common |= {} if self.solver == "theorem" else {"solver": self.solver}
        return (
            linucb.Spec(**common) if self.algorithm == "linucb" else thompson.Spec(**common, form="sampling")
        )


def configurations(algorithms: Sequence[str] = tuple(SOLVERS), quick: bool = False) -> list[Configuration]:
    """The grid, cheapest first: T = 10 … 10⁶ in half decades, ε = 10⁻² … 10⁻⁶; `quick`: decades to 10⁴, ε = 10⁻³.

    >>> len(configurations(["linucb"], quick=True)), len(configurations(["linucb"]))
    (20, 275)
    """
    horizons, errors = (HORIZONS[:7:2], (TABLE_ERROR,)) if quick else (HORIZONS, ERRORS)
    return [
        Configuration(algorithm, solver, horizon, error)
        for horizon in horizons
        for error in errors
        for algorithm in algorithms
        for solver in SOLVERS[algorithm]
    ]


def evaluate(configuration: Configuration) -> Record:
    """One record, a JSON object; None stands for what is not known, and `note` says why.

    Fields: those of the configuration, depth; layers, heads, width, hidden; stored and dense, numbers of weights;
    certificate, in exact arithmetic, and rounding, what float64 may add to it; measured, the worst error on `histories`
    adversarial ones; holds, whether measured ≤ certificate + rounding, None where nothing was measured.
    """
    torch.set_num_threads(1)  # workers are many, layers are small
    record = asdict(configuration) | {"depth": configuration.depth}
    if configuration.solver == "theorem":
        return record | _theorem(configuration)
    spec = configuration.spec()
    if configuration.solver == "chebyshev" and (layers := _planned(spec)) > MOST_STORED:
        unknown = dict.fromkeys(("heads", *UNKNOWN))
        note = f"layers by the plan, as those that are not tied are built up to {MOST_STORED:,}"
        return record | {"layers": layers, **unknown, "histories": 0, "holds": None, "note": note}
    built = linucb.build(spec) if isinstance(spec, linucb.Spec) else thompson.build(spec)
    size, bound = built.size(), built.blocks[-1].promise.total
    sizes = {
        name: int(getattr(size, name)) for name in ("layers", "heads", "width", "hidden", "stored", "dense")
    }
    certificate, rounding = float(built.certificate), float(_gain(configuration) * bound.rounding)
    record |= sizes | {"certificate": certificate, "rounding": rounding}
    if configuration.horizon > LONGEST or size.layers * configuration.horizon > MOST_WORK:
        note = f"measured for T ≤ {LONGEST} and layers × T ≤ {MOST_WORK:.0e} only"
        return record | {"measured": None, "histories": 0, "holds": None, "note": note}
    measured, histories = _measured(configuration, built)
    holds = measured <= certificate + rounding <= configuration.error + rounding
    return record | {"measured": measured, "histories": histories, "holds": holds, "note": ""}


def _gain(configuration: Configuration) -> int:
    """From logits to what is certified: log-probabilities, or the logits themselves."""
    return 2 if configuration.algorithm == "linucb" else 1


UNKNOWN = ("width", "hidden", "stored", "dense", "certificate", "rounding", "measured")
"""Fields of what is not built."""


def _planned(spec: linucb.Spec | thompson.Spec) -> int:
    """Layers of a descent at its least certified depth."""
    if isinstance(spec, linucb.Spec):
        return sum(depth for depth, *_ in linucb.plan(spec).loops) + 2
    return sampling.plan(spec).depth + 2  # type: ignore[union-attr]  # Newton has steps instead


def _theorem(configuration: Configuration) -> Record:
    """Layers and heads as the paper's proof states them."""
    spec = configuration.spec()
    if isinstance(spec, linucb.Spec):
        formulas = [linucb_theorem.THEOREM_8_EXPLICIT.size[name] for name in ("layers", "heads")]
        values, note = theorems.symbols(spec), "Theorem 8 and its proof; nothing built"
    else:
        formulas = [
            thompson_theorem.at_event(formula)
            for formula in (thompson_whole.STATED_LAYERS, thompson_whole.STATED_HEADS)
        ]
        vectors = float(spec.error or 0) / (2 * sampling.draw_norm(spec))  # half of ε at the largest draw
        values, note = (
            theorems.symbols(spec) | {"error_3": vectors},
            "Theorem 10, proof; nothing built",
        )
    layers, heads = (math.ceil(theorems.evaluate(formula, **values)) for formula in formulas)
    return {
        "layers": layers,
        "heads": heads,
        **dict.fromkeys(UNKNOWN),
        "histories": 0,
        "holds": None,
        "note": note,
    }


def _measured(configuration: Configuration, built: Construction) -> tuple[float, int]:
    """The worst error on histories that are hard for descent, and how many they were."""
    spec, place = built.spec, built.tokens.stream["logits"].slice
    histories = hard_histories(spec)
    outputs = built.outputs(histories, logits_only=True)
    if configuration.algorithm == "linucb":
        found, true = built.policy(outputs), [algorithms.linucb(spec, one) for one in histories]
    else:
        found, true = outputs[..., place], [algorithms.thompson_scores(spec, one) for one in histories]
    return float(np.abs(found - np.stack(true)).max()), len(histories)


def hard_histories(spec: linucb.Spec | thompson.Spec) -> list[BanditHistory]:
    """Some of `sweeps.adversarial_histories`, with arms that are never played near ± the direction that descent is slow in.

    For Thompson sampling with draws in random directions, nearly as large as any that is admitted.
    """
    names = ("dim", "actions", "horizon", "ridge", "action_norm", "weight_norm", "noise_bound")
    plain = sweeps.adversarial_histories(linucb.Spec(**{name: getattr(spec, name) for name in names}))
    generator = np.random.default_rng(0)
    others = 0.1 * generator.normal(size=(spec.actions - 1, spec.dim))
    others[:, min(1, spec.dim - 1)] += (-1.0) ** np.arange(spec.actions - 1)
    others *= (1 - 1e-9) * spec.action_norm[1] / np.linalg.norm(others, axis=1, keepdims=True)
    draws = generator.normal(size=(spec.horizon, spec.dim))
    if isinstance(spec, thompson.Spec):
        draws *= (1 - 1e-9) * sampling.draw_norm(spec) / np.linalg.norm(draws, axis=1, keepdims=True)
    found = []
    for one in plain[1::4]:
        contexts = one.contexts.copy()
        contexts[:, 1:] = others
        drawn = draws if isinstance(spec, thompson.Spec) else None
        found.append(BanditHistory(contexts, one.actions, one.rewards, drawn))
    return found


def layers_by_horizon(records: Iterable[Record], error: float = TABLE_ERROR) -> list[Record]:
    """A row for each algorithm, route and solver: layers by T at one error."""
    rows: dict[tuple[str, str], Record] = {}
    for record in records:
        if record["error"] == error:
            [route] = [name for name, solvers in ROUTES.items() if record["solver"] in solvers]
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
