"""Everything that is claimed of Bernoulli Thompson sampling, measured.

policy      A = 5, T = 200, and A = 3, T = 40: searched histories, one-sided errors, divergence, total variation
blocks      A = 5, T = 200: every block's promise
sizes       against the formulas of constructions/thompson/bernoulli.py; exponents of nodes and knots
regret      the transformer acts, beside true Thompson sampling with the same random numbers
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import hypothesis
import numpy as np
from hypothesis import Phase

from constructions import thompson
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.thompson.bernoulli_plan import Plan, plan
from verify import algorithms
from verify.audit import SEARCH, Findings, Recipe, Verdict, enclosed, kept, search, slack, words
from verify.catalog import CATALOG
from verify.environments import bernoulli_bandit
from verify.histories import bernoulli as bernoulli_strategies
from verify.play.rollout import SideBySide, rollouts
from verify.sweeps.records import fit_power, side_by_side

MAIN = CATALOG["bernoulli"].main
SMALL = thompson.BernoulliSpec(actions=3, horizon=40, error=0.01)
SWEPT = MAIN
"""What exponents are fitted around."""
HORIZONS = [25, 50, 100, 200, 400, 800, 1600]
ERRORS = [0.1, 0.03, 0.01, 0.003, 0.001]
ARMS = [4, 8, 16, 32, 64]
RUNS = range(30)
SOURCE = "ours, constructions/thompson/bernoulli.py"
LEAST = 1e-6
"""Shares of 1 − TS are taken where it is at least this, so that rounding does not show."""


@dataclass(frozen=True)
class Excess:
    """The worst of some histories.

    Attributes:
        histories: how many.
        ratio: log TS_k − log TF_k.
        divergence: KL(TS ‖ TF).
        distance: total variation.
        surplus: (TF_k − TS_k)/(1 − TS_k).
        recipe: the history of the worst ratio, if it has a recipe.
        step: the decision (from 0) of the worst ratio.
    """

    histories: int = 0
    ratio: float = 0.0
    divergence: float = 0.0
    distance: float = 0.0
    surplus: float = 0.0
    recipe: Recipe | None = None
    step: int = 0

    def merge(self, other: "Excess") -> "Excess":
        """Both together."""
        names = ("ratio", "divergence", "distance", "surplus")
        worst = {name: max(getattr(self, name), getattr(other, name)) for name in names}
        larger = self if self.histories and self.ratio > other.ratio else other
        return replace(larger, histories=self.histories + other.histories, **worst)


def verdicts(
    histories: int = 2000, progress: Callable[[str], None] = lambda _: None
) -> tuple[list[Verdict], list[dict], dict[str, list[dict]]]:
    """Run the whole audit: verdicts, rows of slack, and records to draw.

    Args:
        histories: how many histories the search with three arms tries at least; a quarter of them with five, and a
            twentieth block by block.
        progress: told what is being done.
    """
    found: list[Verdict] = []
    for spec, count in ((SMALL, histories), (MAIN, max(1, histories // 4))):
        progress(f"Bernoulli arms: searching {count} histories, {_title(spec)}")
        built = thompson.build(spec)
        found += _policy(built, climb(built, count))
    few = max(1, histories // 20)
    progress(f"Bernoulli arms: {few} histories, block by block")
    findings = search(built, None, few, source=bernoulli_strategies)
    found += [kept(f"Bernoulli arms: {b.name}", b, findings.blocks[b.name]) for b in built.blocks]
    found += [*_sizes(built), *_orders()]
    progress("Bernoulli arms: the transformer acts")
    record, played = regret(built, RUNS)
    found += _regret(built, record, played)
    return found, _slack(built, findings), {"regret": [record]}


def _slack(built: Construction, findings: Findings) -> list[dict]:
    """Rows of slack; where a promise is far off it is rounding that is measured."""
    return [
        row | {"note": slack.NOTES["rounding"] if row["note"] else ""} for row in slack.rows(built, findings)
    ]


def _title(spec: thompson.BernoulliSpec) -> str:
    return f"A={spec.actions}, T={spec.horizon}, ε={spec.error:g}"


def excess(built: Construction, tried: Sequence[BanditHistory], recipes: Sequence[Recipe | None]) -> Excess:
    """Hold the policy against the true one on histories of equal length."""
    ours, whole = built.policy(built.outputs(tried, logits_only=True)), Excess()
    for recipe, history, log_found in zip(recipes, tried, ours, strict=True):
        log_true = algorithms.bernoulli_thompson(built.spec, history)
        true, found = np.exp(log_true), np.exp(log_found)
        ratio = np.nan_to_num(log_true - log_found, nan=np.inf)
        others = np.maximum(1 - true, LEAST)
        one = Excess(
            1,
            float(ratio.max()),
            float((true * ratio).sum(-1).max()),
            float(np.abs(true - found).sum(-1).max() / 2),
            float(((found - true) / others).max()),
            recipe,
            int(ratio.max(-1).argmax()),
        )
        whole = whole.merge(one)
    return whole


def climb(built: Construction, histories: int, batch: int = 20) -> Excess:
    """Look for the worst over at least so many histories: the battery, then Hypothesis, climbing log TS − log TF."""
    spec, fixed, whole = built.spec, bernoulli_strategies.battery(built.spec), Excess()

    def measure(recipes: list[bernoulli_strategies.BernoulliRecipe]) -> Excess:
        return excess(built, [recipe.history(spec) for recipe in recipes], recipes)

    for start in range(0, min(len(fixed), histories), batch):
        whole = whole.merge(measure(fixed[start : start + batch]))

    @hypothesis.settings(
        SEARCH,
        max_examples=max(1, math.ceil((histories - whole.histories) / batch)),
        phases=(Phase.generate, Phase.target),
    )
    @hypothesis.given(bernoulli_strategies.batches(spec, batch))
    def ascend(recipes: list[bernoulli_strategies.BernoulliRecipe]) -> None:
        nonlocal whole
        found = measure(recipes)
        hypothesis.target(min(found.ratio / built.certificate, 1e300))
        whole = whole.merge(found)

    ascend()
    return whole


def _rounding(built: Construction) -> float:
    return 2 * built.blocks[-1].promise.total.rounding


def _policy(built: Construction, found: Excess) -> Iterator[Verdict]:
    """The docstring's theorem."""
    spec, rounding = built.spec, _rounding(built)
    title = f"Bernoulli arms, {_title(spec)}, {found.histories} histories"
    both = {"rounding": rounding, "witness": words(found.recipe)}
    distance, stated = -math.expm1(-built.certificate), -math.expm1(-spec.error)
    yield Verdict(
        f"{title}: log TS − log TF",
        SOURCE,
        "bound",
        found.ratio,
        spec.error,
        built.certificate,
        main=spec == MAIN,
        enclosed=enclosed(built, algorithms.bernoulli_thompson, found.recipe, found.step),
        **both,
    )
    yield Verdict(
        f"{title}: KL(TS ‖ TF)",
        SOURCE,
        "bound",
        found.divergence,
        spec.error,
        built.certificate,
        rounding=rounding,
    )
    yield Verdict(
        f"{title}: total variation", SOURCE, "bound", found.distance, stated, distance, rounding=rounding
    )
    yield Verdict(
        f"{title}: (TF_k − TS_k)/(1 − TS_k)",
        SOURCE,
        "bound",
        found.surplus,
        stated,
        distance,
        rounding=rounding,
        note=f"where 1 − TS_k ≥ {LEAST:g}",
    )


def _sizes(built: Construction) -> Iterator[Verdict]:
    """Against the docstring's formulas; the constants of registers and neurons, orders there, are what is built."""
    spec, size, chosen = built.spec, built.size(), plan(built.spec)
    arms, count = spec.actions, chosen.rule.nodes.size
    neurons = arms * count * (2 * math.sqrt(arms / spec.error) * math.log(spec.horizon) + 20) + 1
    for what, found, stated, formula in (
        ("layers", size.layers, 6, "6"),
        ("heads", size.heads, 3, "3"),
        ("registers", size.width, arms**2 + 7 * arms + 3 * arms * count + 4, "A² + 7A + 3AG + 4"),
        ("neurons", size.hidden, neurons, "AG(2√(A/ε) log T + 20) + 1"),
    ):
        yield Verdict(
            f"Bernoulli arms, {_title(spec)}: {what}",
            SOURCE,
            "size",
            found,
            stated,
            note=f"{formula}; G = {count} nodes",
        )


def _orders() -> Iterator[Verdict]:
    """Fitted exponents of G, its logarithm divided out, and of knots, of which there are D'/(AG)."""
    logs = [math.sqrt(SWEPT.actions * math.log(horizon) + math.log(1 / SWEPT.error)) for horizon in HORIZONS]
    long = [plan(replace(SWEPT, horizon=horizon)) for horizon in HORIZONS]
    nodes = [chosen.rule.nodes.size / log for chosen, log in zip(long, logs, strict=True)]
    rows = (
        ("nodes over √(A log T + log(1/ε)), in T", HORIZONS, nodes, 0.5),
        (
            "knots in 1/ε",
            [1 / error for error in ERRORS],
            [_knots(plan(replace(SWEPT, error=error))) for error in ERRORS],
            0.5,
        ),
        ("knots in A", ARMS, [_knots(plan(replace(SWEPT, actions=arms))) for arms in ARMS], 0.5),
    )
    for what, over, found, stated in rows:
        fit = fit_power(over, found)
        yield Verdict(
            f"Bernoulli arms: {what}", SOURCE, "order", fit.exponent, stated, note=_fitted(fit, over)
        )
    fit = fit_power(np.log(HORIZONS), [_knots(chosen) for chosen in long])
    note = f"at most linear; {_fitted(fit, HORIZONS)}"
    yield Verdict("Bernoulli arms: knots in log T", SOURCE, "size", fit.exponent, 1.0, note=note, fit=True)


def _knots(chosen: Plan) -> int:
    """The most neurons for one arm and node."""
    return max(len(curve.knots) for curve in (chosen.density, chosen.log_cdf, chosen.share))


def _fitted(fit, over: list) -> str:
    interval = f"95 % interval [{fit.low:.3f}, {fit.high:.3f}]"
    return f"{interval}, {min(over):g} … {max(over):g}; a fit, not a proof"


def regret(built: Construction, seeds: Sequence[int]) -> tuple[dict, Excess]:
    """Cumulative regret of the transformer and of true Thompson sampling, with the same random numbers.

    Fields as in sweeps.regret; means of the arms are drawn from the prior. Beside it the errors along the histories of
    both.
    """
    spec = built.spec
    stages = [
        bernoulli_bandit(np.random.default_rng([23, seed]), spec.actions, spec.horizon) for seed in seeds
    ]
    true = SideBySide([algorithms.bernoulli_thompson_decoder(spec) for _ in seeds])
    played = [
        rollouts(stages, each, [np.random.default_rng([23, seed, 1]) for seed in seeds])
        for each in (built.decoder(len(seeds)), true)
    ]
    ours, others = played
    apart = np.array([one.regret.sum() - two.regret.sum() for one, two in zip(ours, others, strict=True)])
    record = {
        "kind": "regret",
        "spec": asdict(spec)
        | {"name": "Thompson sampling", "dim": spec.dim, "setting": f"A = {spec.actions}"},
        "label": "Bernoulli arms",
        **side_by_side(ours, others),
        "seeds": list(map(int, seeds)),
        "layers": built.size().layers,
        "difference": float(apart.mean()),
        "difference_error": float(apart.std(ddof=1) / math.sqrt(len(seeds))),
        "bound": math.sqrt(spec.actions * spec.horizon * math.log(spec.actions) / 2),
    }
    histories = [run.history for pair in zip(ours, others, strict=True) for run in pair]
    return record, excess(built, histories, [None] * len(histories))


def _regret(built: Construction, record: dict, found: Excess) -> Iterator[Verdict]:
    spec, runs = built.spec, len(record["seeds"])
    title = f"Bernoulli arms, {_title(spec)}, the transformer acts, {runs} runs"
    yield Verdict(
        f"{title}, as true Thompson sampling does: log TS − log TF, {found.histories} histories",
        SOURCE,
        "bound",
        found.ratio,
        spec.error,
        built.certificate,
        rounding=_rounding(built),
        note=f"total variation {found.distance:.2g}",
    )
    yield Verdict(
        f"{title}: mean regret",
        "√(AT log(A)/2), of true Thompson sampling: Russo and Van Roy 2016",
        "size",
        record["built"][-1],
        record["bound"],
        note=f"true Thompson sampling {record['true'][-1]:.2f}; difference {record['difference']:.2f} ± "
        f"{record['difference_error']:.2f} (s.e.); {record['differing']} of {record['decisions']:,} actions differ",
    )
