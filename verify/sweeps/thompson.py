"""Thompson sampling swept: along real runs, the choice of nodes, poles, depth, regret, and a picture of a posterior."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import get_args

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import qmc

from constructions import thompson
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.inputs.ridge import largest_eigenvalue
from constructions.primitives import rational
from constructions.thompson import nodes, posterior, sampling
from constructions.thompson.spec import Solver
from verify import algorithms, theorems
from verify.play.rollout import SideBySide, rollouts
from verify.sweeps import records
from verify.sweeps.posteriors import FLOOR, Posteriors, bandit, runs
from verify.sweeps.records import Grid, Record, curve, panel
from verify.theorems import symbols, thompson_whole
from verify.theorems import thompson as stated

NAMES = {"pade": "Padé", "zolotarev": "Zolotarev"}


def error_against_nodes(
    spec: thompson.Spec, counts: Sequence[int], posteriors: Posteriors, seeds: Sequence[int] = range(3)
) -> list[Record]:
    """Total variation and one-sided error of rules with so many nodes: lines and points, Sobol' and independent.

    Plain NumPy, no transformer: what is left of the error when everything but the nodes is exact. Means over seeds.
    """
    rules = {
        "lines, Sobol’": partial(_lines, spec, posteriors, "sobol"),
        "lines, independent": partial(_lines, spec, posteriors, "random"),
        "points, Sobol’": partial(_points, spec, posteriors, "sobol"),
        "points, independent": partial(_points, spec, posteriors, "random"),
    }
    means, shortfalls = [], []
    for name, rule in rules.items():
        found = [[rule(count, seed) for seed in seeds] for count in counts]
        mean = [float(np.mean([posteriors.distance(each).mean() for each in row])) for row in found]
        worst = [float(np.mean([posteriors.shortfall(each).max() for each in row])) for row in found]
        look = "measured" if rule.func is _lines else "stated"
        means.append(curve(name, counts, mean, name, look))
        shortfalls.append(curve(name, counts, np.minimum(worst, 10.0).tolist(), name, look))
    setting = f"d = {spec.dim}, A = {spec.actions}, {len(posteriors.mean)} posteriors"
    return [
        panel(setting, ("nodes", "total variation, mean"), means),
        panel(f"actions of P ≥ {FLOOR:g}", ("nodes", "worst log P/P̄"), shortfalls),
    ]


def _lines(spec: thompson.Spec, posteriors: Posteriors, rule: str, count: int, seed: int) -> np.ndarray:
    chosen = nodes.NodeRule.of(replace(spec, nodes=count, seed=seed, rule=rule))
    points = chosen.nodes @ chosen.basis.T
    white, mean, direction = posteriors.white, posteriors.mean, chosen.direction
    pieces = np.array_split(np.arange(len(mean)), max(1, len(mean) * count // 50_000))
    return np.concatenate([algorithms.along_lines(white[n], mean[n], direction, points) for n in pieces])


def _points(spec: thompson.Spec, posteriors: Posteriors, rule: str, count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng([seed, 11])
    if rule == "random":
        points = generator.normal(size=(count, spec.dim))
    else:
        uniform = qmc.Sobol(spec.dim, rng=generator).random(count)
        points = ndtri(np.clip(uniform, 2.0**-33, 1 - 2.0**-33))
    best = [
        (x @ points.T + y[:, None]).argmax(0) for x, y in zip(posteriors.white, posteriors.mean, strict=True)
    ]
    return np.array([np.bincount(row, minlength=spec.actions) / count for row in best])


def error_against_poles(spec: thompson.Spec, counts: Sequence[int]) -> Record:
    """Relative error of sums over poles: the worst on the spectrum, as certified, and Padé's as the paper states it."""
    low, high = spec.ridge, largest_eigenvalue(spec)
    spectrum = np.geomspace(low, high, 20_001)
    curves: dict[str, dict[str, list]] = {}
    for name, power in (("pade", 0.5), ("zolotarev", -0.5)):
        rows = []
        for count in counts:
            rule = rational.with_poles(name, low, high, int(count))
            rows.append((float(np.abs(rule(spectrum - low) * spectrum**-power - 1).max()), rule.error))
        curves[name] = {"measured": [row[0] for row in rows], "certified": [row[1] for row in rows]}
    values = symbols(spec)
    printed = [stated.PADE_LAST.evaluate("error", poles=count, **values) for count in counts]
    curves["pade"]["stated"] = [bound / math.sqrt(low) for bound in printed]  # relative to the least √s
    return panel(
        f"√ on a condition number of {high / low:.0f}",
        ("poles", "relative error"),
        [
            curve(f"{NAMES[name]}, {look}", counts, values, group=name, look=look)
            for name, looks in curves.items()
            for look, values in looks.items()
        ],
        scales=("linear", "log"),
    )


def error_against_depth(
    spec: thompson.Spec, depths: Sequence[int], histories: Sequence[BanditHistory]
) -> Record:
    """Relative error of whitened differences x_j − x_k by the depth of each descent; certified is ε_w."""
    curves: dict[str, dict[str, list]] = {}
    true = np.stack([algorithms.thompson_values(spec, history).whitened for history in histories])
    gaps = _gaps(true)
    for solver in ("pade", "zolotarev"):
        chosen = replace(spec, solver=solver)
        rule = getattr(rational, solver)(spec.ridge, largest_eigenvalue(spec), 1e-10)
        rows = []
        for depth in depths:
            plan = posterior.with_depth(chosen, int(depth), rule)
            built = thompson.whitener(chosen, plan)
            found = built.outputs(histories)[..., built.tokens.stream["white"].slice].reshape(true.shape)
            worst = np.linalg.norm(_gaps(found) - gaps, axis=-1) / np.linalg.norm(gaps, axis=-1)
            rows.append((built.size().layers, float(worst.max()), plan.relative))
        layers, measured, certified = (list(column) for column in zip(*rows, strict=True))
        curves[solver] = {"layers": layers, "measured": measured, "certified": certified}
    return panel(
        f"d = {spec.dim}, T = {spec.horizon}, {len(histories)} histories",
        ("layers of steps 1 to 3", "worst relative error of x_j − x_k"),
        [
            curve(f"{NAMES[solver]}, {look}", rows["layers"], rows[look], group=solver, look=look)
            for solver, rows in curves.items()
            for look in ("certified", "measured")
        ],
        scales=("linear", "log"),
    )


def _gaps(white: np.ndarray) -> np.ndarray:
    """Differences of successive arms."""
    return np.diff(white, axis=-2)


def sizes(spec: thompson.Spec, horizons: Sequence[int]) -> dict[str, dict[str, list]]:
    """Poles, layers, heads, width and neurons of steps 1 to 3 by the horizon, for both solvers, where ‖E‖ ≤ 10⁻⁶."""
    curves: dict[str, dict[str, list]] = {}
    for solver in ("pade", "zolotarev"):
        rows = []
        for horizon in horizons:
            chosen = replace(spec, horizon=int(horizon), solver=solver, weight_norm=None, noise_bound=None)
            plan = posterior.plan(chosen, 1e-6, 1e-6)
            size = thompson.whitener(chosen, plan).size()
            rows.append((len(plan.rule.shifts), size.layers, size.heads, size.width, size.hidden))
        names = ("poles", "layers", "heads", "width", "hidden")
        curves[solver] = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    return curves


def size_panels(horizons: Sequence[int], found: dict[str, dict[str, list]]) -> list[Record]:
    """Layers and heads by the horizon."""
    return [
        panel(
            "steps 1 to 3, ‖E‖ ≤ 10⁻⁶",
            ("horizon T (steps)", what),
            [curve(NAMES[solver], horizons, rows[what], group=solver) for solver, rows in found.items()],
        )
        for what in ("layers", "heads")
    ]


def regret(spec: thompson.Spec, seeds: Sequence[int], label: str) -> Record:
    """Cumulative regret of the sampling form and of true Thompson sampling, with the same draws.

    Fields of `records.regret`; bound: Theorem 11's, with the constants of its proof.
    """
    built = thompson.build(spec)
    stages = [bandit(np.random.default_rng([17, seed]), spec, fixed=False) for seed in seeds]
    acting = Acting(built, [np.random.default_rng([17, seed, 1]) for seed in seeds])
    draws = [np.random.default_rng([17, seed, 1]) for seed in seeds]
    true = SideBySide([algorithms.thompson_decoder(spec, each) for each in draws])
    own, other = (
        rollouts(stages, each, [np.random.default_rng([17, seed, 2]) for seed in seeds])
        for each in (acting, true)
    )
    bound = theorems.evaluate(thompson_whole.REGRET, **symbols(spec))
    return records.regret(built, (own, other), seeds, label, {"name": "Thompson sampling"}, bound=bound)


@dataclass(frozen=True, eq=False)
class Acting:
    """The sampling form as a policy: it is handed draws and takes the action of the largest score."""

    built: Construction
    generators: Sequence[np.random.Generator]

    def __post_init__(self):
        object.__setattr__(self, "decoder", self.built.decoder(len(self.generators)))

    def observe(self, contexts: Float[np.ndarray, "batch arms dim"]) -> Float[np.ndarray, "batch arms"]:
        """Log-probabilities: 0 for the action, −∞ for the others."""
        draws = np.stack([generator.standard_normal(contexts.shape[-1]) for generator in self.generators])
        scores = self.decoder.observe(contexts, draws)  # type: ignore[attr-defined]
        return np.where(np.arange(scores.shape[1]) == scores.argmax(1)[:, None], 0.0, -np.inf)

    def record(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        """What was played, and its reward."""
        self.decoder.record(actions, rewards)  # type: ignore[attr-defined]


def picture(spec: thompson.Spec, steps: Sequence[int], seed: int = 0) -> list[Record]:
    """Posteriors over weights in the plane after some steps of one run, with the lines of the nodes drawn in."""
    [history] = runs(spec, 1, seed, fixed=True)
    values, rule, found = algorithms.thompson_values(spec, history), nodes.NodeRule.of(spec), []
    true = algorithms.choice_probabilities(values.whitened, values.mean)
    for step in steps:
        chosen = history.chosen[: step - 1]
        gram = spec.ridge * np.eye(2) + chosen.T @ chosen
        eigenvalues, basis = np.linalg.eigh(gram)
        root = math.sqrt(spec.noise_variance) * (basis / np.sqrt(eigenvalues)) @ basis.T
        arrays = {
            "center": values.posterior_mean[step - 1],
            "root": root,
            "arms": history.contexts[step - 1],
            "probabilities": true.probabilities[step - 1],
            "direction": rule.direction,
            "points": rule.nodes @ rule.basis.T,
        }
        lists = {name: array.tolist() for name, array in arrays.items()}
        found.append({"kind": "posterior", "spec": asdict(spec), "step": int(step), **lists})
    return found


def _planned(spec: thompson.Spec) -> int:
    """Layers of a descent at its least certified depth."""
    return sampling.plan(spec).depth + 2  # type: ignore[union-attr]  # Newton has steps instead


def _counted(spec: thompson.Spec) -> tuple[float, float]:
    """Layers and heads of Theorem 10, the vectors being held to half of ε at the largest draw."""
    values = symbols(spec) | {"error_3": float(spec.error or 0) / (2 * spec.draw_norm)}
    formulas = (thompson_whole.STATED_LAYERS, thompson_whole.STATED_HEADS)
    layers, heads = (theorems.evaluate(stated.at_event(formula), **values) for formula in formulas)
    return layers, heads


GRID = Grid(
    get_args(Solver), partial(thompson.Spec, form="sampling"), _planned, _counted, "Theorem 10, proof"
)
"""In the sampling form."""
