"""Everything that is claimed of Bernoulli Thompson sampling, measured.

policy      A = 5, T = 200, and A = 3, T = 40: searched histories, one-sided errors, divergence, total variation
blocks      A = 5, T = 200: every block's promise
sizes       against the formulas of constructions/thompson/bernoulli.py; exponents of nodes and knots
regret      the transformer acts, beside true Thompson sampling with the same random numbers
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from constructions import thompson
from constructions.construction import Construction
from constructions.thompson.bernoulli_plan import BernoulliPlan, plan
from verify import algorithms
from verify.audit import Outline, Verdict, about, climb, enclosed, kept, search, slack, words
from verify.audit.plan import Found, Part
from verify.balls import counts
from verify.catalog import CATALOG
from verify.claims.general import counted, exponent
from verify.environments import bernoulli_bandit
from verify.histories import bernoulli as bernoulli_strategies
from verify.play.rollout import SideBySide, rollouts
from verify.sweeps import records
from verify.sweeps.records import fit_power

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
        outline: the history of the worst ratio, if it has an outline.
        step: the decision (from 0) of the worst ratio.
    """

    histories: int = 0
    ratio: float = 0.0
    divergence: float = 0.0
    distance: float = 0.0
    surplus: float = 0.0
    outline: Outline | None = None
    step: int = 0

    def merge(self, other: "Excess") -> "Excess":
        """Both together."""
        names = ("ratio", "divergence", "distance", "surplus")
        worst = {name: max(getattr(self, name), getattr(other, name)) for name in names}
        larger = self if self.histories and self.ratio > other.ratio else other
        return replace(larger, histories=self.histories + other.histories, **worst)


def parts(histories: int = 2000) -> list[Part]:
    """The whole audit.

    Args:
        histories: how many histories the search with three arms tries at least; a quarter of them with five, and a
            twentieth block by block.
    """

    def searched(spec: thompson.BernoulliSpec, count: int) -> Part:
        def work() -> Iterator[Verdict]:
            built = thompson.build(spec)
            return _policy(built, _searched(built, count))

        return Part(f"Bernoulli arms: searching {count} histories, {_title(spec)}", work)

    few = max(1, histories // 20)
    return [
        searched(SMALL, histories),
        searched(MAIN, max(1, histories // 4)),
        Part(f"Bernoulli arms: {few} histories, block by block", lambda: _blocks(few)),
        Part("Bernoulli arms: the transformer acts", _acting),
    ]


def _blocks(histories: int) -> Found:
    """Every block's promise; sizes and their orders."""
    built = thompson.build(MAIN)
    findings = search(built, None, histories, source=bernoulli_strategies)
    found = [kept(f"Bernoulli arms: {b.name}", built, b, findings.blocks[b.name]) for b in built.blocks]
    rows = [  # where a promise is far off it is rounding that is measured
        row | {"note": slack.NOTES["rounding"] if row["note"] else ""} for row in slack.rows(built, findings)
    ]
    return Found([*found, *_sizes(built), *_orders()], {"slack_bernoulli": rows})


def _acting() -> Found:
    built = thompson.build(MAIN)
    record, played = regret(built, RUNS)
    return Found(list(_regret(built, record, played)), records={"regret": [record]})


def _title(spec: thompson.BernoulliSpec) -> str:
    return f"A={spec.actions}, T={spec.horizon}, ε={spec.error:g}"


def excess(built: Construction, tried: Sequence[Any], outlines: Sequence[Outline | None]) -> Excess:
    """Hold the policy against the true one on histories of equal length."""
    ours, whole = built.policy(built.outputs(tried, logits_only=True)), Excess()
    for outline, history, log_found in zip(outlines, tried, ours, strict=True):
        log_true = algorithms.bernoulli_thompson(built.spec, history)
        true, found = np.exp(log_true), np.exp(log_found)
        ratio = np.nan_to_num(log_true - log_found, nan=np.inf)
        others = np.maximum(1 - true, LEAST)
        apart, surplus = np.abs(true - found).sum(-1) / 2, (found - true) / others
        each = (ratio, (true * ratio).sum(-1), apart, surplus)
        worst, divergence, distance, largest = (float(values.max()) for values in each)
        step = int(ratio.max(-1).argmax())
        whole = whole.merge(Excess(1, worst, divergence, distance, largest, outline, step))
    return whole


def _searched(built: Construction, histories: int) -> Excess:
    """The worst over at least so many histories, climbing log TS − log TF."""

    def measure(outlines: Sequence[Outline]) -> Excess:
        return excess(built, [outline.history(built.spec) for outline in outlines], outlines)

    def score(found: Excess) -> float:
        return found.ratio / built.certificate

    return climb(Excess(), measure, score, built.spec, histories, source=bernoulli_strategies)


def _rounding(built: Construction) -> float:
    return 2 * built.blocks[-1].promise.total.rounding


def _policy(built: Construction, found: Excess) -> Iterator[Verdict]:
    """The docstring's theorem."""
    spec, rounding = built.spec, _rounding(built)
    title = f"Bernoulli arms, {_title(spec)}, {found.histories} histories"
    both = {"rounding": rounding, "witness": words(found.outline)}
    distance, stated = -math.expm1(-built.certificate), -math.expm1(-spec.error)
    yield Verdict(
        f"{title}: log TS − log TF",
        SOURCE,
        "bound",
        found.ratio,
        spec.error,
        built.certificate,
        main=spec == MAIN,
        enclosed=enclosed(built, counts.bernoulli_thompson, found.outline, found.step),
        **both,
        **about(built),
    )
    for what, worst, bound, promised, note in (
        ("KL(TS ‖ TF)", found.divergence, spec.error, built.certificate, ""),
        ("total variation", found.distance, stated, distance, ""),
        ("(TF_k − TS_k)/(1 − TS_k)", found.surplus, stated, distance, f"where 1 − TS_k ≥ {LEAST:g}"),
    ):
        yield Verdict(f"{title}: {what}", SOURCE, "bound", worst, bound, promised, rounding, note=note)


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
        claim, note = f"Bernoulli arms, {_title(spec)}: {what}", f"{formula}; G = {count} nodes"
        yield Verdict(claim, SOURCE, "size", found, stated, note=note, **counted(built))


def _orders() -> Iterator[Verdict]:
    """Fitted exponents of G, its logarithm divided out, and of knots, of which there are D'/(AG)."""
    logs = [math.sqrt(SWEPT.actions * math.log(horizon) + math.log(1 / SWEPT.error)) for horizon in HORIZONS]
    long = [plan(replace(SWEPT, horizon=horizon)) for horizon in HORIZONS]
    nodes = [chosen.rule.nodes.size / log for chosen, log in zip(long, logs, strict=True)]
    by_error = [_knots(plan(replace(SWEPT, error=error))) for error in ERRORS]
    by_arms = [_knots(plan(replace(SWEPT, actions=arms))) for arms in ARMS]
    rows = (
        ("nodes over √(A log T + log(1/ε)), in T", HORIZONS, nodes, 0.5),
        ("knots in 1/ε", [1 / error for error in ERRORS], by_error, 0.5),
        ("knots in A", ARMS, by_arms, 0.5),
    )
    for what, over, found, stated in rows:
        yield exponent(f"Bernoulli arms: {what}", SOURCE, fit_power(over, found), stated, _span(over))
    fit = fit_power(np.log(HORIZONS), [_knots(chosen) for chosen in long])
    note = f"{_span(HORIZONS)}, at most linear"
    yield exponent("Bernoulli arms: knots in log T", SOURCE, fit, 1.0, note, most=True)


def _knots(chosen: BernoulliPlan) -> int:
    """The most neurons for one arm and node."""
    return max(len(curve.knots) for curve in (chosen.density, chosen.log_cdf, chosen.share))


def _span(over: list) -> str:
    return f"{min(over):g} … {max(over):g}"


def regret(built: Construction, seeds: Sequence[int]) -> tuple[dict, Excess]:
    """Cumulative regret of the transformer and of true Thompson sampling, with the same random numbers.

    Fields of `records.regret`; means of the arms are drawn from the prior. Beside it the errors along the histories of both.
    """
    spec = built.spec
    stages = [
        bernoulli_bandit(np.random.default_rng([23, seed]), spec.actions, spec.horizon) for seed in seeds
    ]
    true = SideBySide([algorithms.bernoulli_thompson_decoder(spec) for _ in seeds])
    ours, others = (
        rollouts(stages, each, [np.random.default_rng([23, seed, 1]) for seed in seeds])
        for each in (built.decoder(len(seeds)), true)
    )
    apart = np.array([one.regret.sum() - two.regret.sum() for one, two in zip(ours, others, strict=True)])
    told = {"name": "Thompson sampling", "dim": spec.dim, "setting": f"A = {spec.actions}"}
    found = {
        "difference": float(apart.mean()),
        "difference_error": float(apart.std(ddof=1) / math.sqrt(len(seeds))),
        "bound": math.sqrt(spec.actions * spec.horizon * math.log(spec.actions) / 2),
    }
    histories = [run.history for pair in zip(ours, others, strict=True) for run in pair]
    record = records.regret(built, (ours, others), seeds, "Bernoulli arms", told, **found)
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
