"""What docs/depth.md claims of constructions by Newton's iteration: sizes, and how far their depth is above what is needed.

linucb      the error at one horizon, block by block; sizes against Theorem A, T = 10² … 10⁶
thompson    the sample itself: sizes against Theorem B, the same horizons; along lines: sizes at one horizon
rounding    what float64 and float32 add along the iteration, and where problems are too ill-conditioned
outside     what tied and untied layers leave along an eigenvalue beyond their interval, against Theorem E
both        layers per factor of 10 in T, and over the least that a polynomial method can have (Theorem C)
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from constructions import linucb, thompson
from constructions.construction import Construction
from constructions.sizes import Size
from constructions.thompson import nodes
from verify import algorithms
from verify.audit import Findings, Verdict, measure
from verify.audit.plan import Found
from verify.catalog import CATALOG
from verify.claims.citing import cited
from verify.claims.general import certified
from verify.histories.linear import LinearOutline, battery
from verify.sweeps import outside as beyond
from verify.sweeps import rounding as numerics
from verify.sweeps.linucb import hard_histories
from verify.theorems import SIZES, Statement, evaluate, newton, symbols
from verify.theorems import linucb as printed

HORIZONS = [10**n for n in range(2, 7)]
ERRORS = (1e-3, 1e-6)
PER_DECADE = 2
"""Layers that a factor of 10 in T may cost."""
LONG = 10_000
ROUNDED = (200, 10_000)
RIDGES = [10.0**-n for n in (0, 2, 4, 5, 7, 9)]
CORNER = 1e8
"""Condition numbers up to which float64 is claimed to be enough."""
MOST = 3
"""Depth may be so many times the least of a polynomial method."""


@dataclass(frozen=True)
class Built:
    """The size of one construction, and what is stated for its spec: the theorem's size, the least layers."""

    horizon: int
    size: Size
    stated: Mapping[str, float]
    least: float
    excess: float


def linucb_verdicts(spec: linucb.Spec) -> Iterator[Verdict]:
    """Soft LinUCB: the error at the spec's horizon, then sizes over HORIZONS and ERRORS."""
    title = f"LinUCB by Newton, d={spec.dim}, A={spec.actions}, T={spec.horizon}, ε={spec.error:g}"
    yield from searched(title, linucb.build(spec), newton.THEOREM_A.source, battery(spec)[::3])
    for error in ERRORS:
        long = replace(spec, horizon=LONG, error=error)
        title = f"LinUCB by Newton, d={spec.dim}, A={spec.actions}, T={LONG:,}, ε={error:g}"
        yield from searched(title, linucb.build(long), newton.THEOREM_A.source, battery(long)[::40], 1)
    for error in ERRORS:
        built = [_linucb(replace(spec, error=error, horizon=horizon)) for horizon in HORIZONS]
        title = f"LinUCB by Newton, d={spec.dim}, A={spec.actions}, ε={error:g}"
        yield from _held(title, built, newton.THEOREM_A, newton.THEOREM_C)
        yield _corollary(title, built)
        last = replace(spec, error=error, horizon=HORIZONS[-1])
        layers = printed.THEOREM_8_EXPLICIT.evaluate("layers", **symbols(last))
        claim = f"{title}, T={last.horizon:,}: layers"
        shown = error == ERRORS[0]
        told: dict[str, Any] = {"rank": "counted", "statement": cited(printed.THEOREM_8_EXPLICIT)}
        yield Verdict(claim, "Theorem 8, proof", "size", built[-1].size.layers, layers, main=shown, **told)


def rounding(spec: linucb.Spec) -> Found:
    """What float64 and float32 do to the iteration, and to the policy as the ridge falls; and a figure of it."""
    verdicts, source = [], "theorem ours (numerics.py)"
    title = f"LinUCB by Newton, d={spec.dim}, A={spec.actions}"
    longest = [replace(spec, horizon=horizon) for horizon in ROUNDED]
    found = [numerics.along_the_iteration(one, hard_histories(one)[:2]) for one in longest]
    for along in found:
        ratio = max(x / y for x, y in zip(along["float64"], along["bounds"], strict=True))
        claim = f"{title}, T={along['horizon']:,}: rounding of X_k over its bound, float64, worst step"
        note = ", ".join(f"{x:.1e}" for x in along["float64"])
        verdicts.append(Verdict(claim, source, "size", ratio, 1.0, note=f"k = 1, 2, …: {note}"))
    chosen = replace(spec, root="products")
    worst = LinearOutline(
        "random", "highest", "largest", spec.horizon, 0.0, 0
    )  # little seen, and already contracted
    policy = numerics.by_condition(chosen, RIDGES, [hard_histories(chosen)[0], worst.history(chosen)])
    conditions = np.array(policy["conditions"])
    ratios = {name: np.divide(policy[name], policy["certified"]) for name in numerics.PRECISIONS}
    claim = f"{title}, T={spec.horizon}, κ ≤ {CORNER:.0e}: error over certificate, float64"
    beyond = {name: conditions[~(ratio <= 1)] for name, ratio in ratios.items()}
    note = ", ".join(
        f"{name} beyond it from κ = {min(lost):.0e}" for name, lost in beyond.items() if len(lost)
    )
    most = float(ratios["float64"][conditions <= CORNER].max())
    verdicts.append(Verdict(claim, source, "size", most, 1.0, note=note))
    return Found(verdicts, records={"rounding": numerics.panels(found[-1], policy)})


def outside() -> Found:
    """Tied and untied layers when the spectrum leaves its interval, and a figure of it."""
    ridge, action_max, steps = 1.0, 1.0, 50
    excesses = np.geomspace(1e-4, 2, 24).tolist()
    found = beyond.outside(ridge, action_max, steps, excesses)
    verdicts = []
    for one in found["solvers"]:
        stated, measured = (np.array(one[name]) for name in ("stated", "measured"))
        near = stated < beyond.FAR
        apart = float((abs(measured - stated) / np.maximum(1, stated))[near].max())
        title = f"{one['name']}, {one['layers']} layers, λ={ridge:g}, n={steps}"
        claim = f"{title}: what is left beyond the interval, off the formula"
        note = f"more is left than there was from δ = {one['harmful']:.3g} on"
        verdicts.append(Verdict(claim, newton.SOURCE_OUTSIDE, "size", apart, beyond.ROUNDED, note=note))
    return Found(verdicts, records={"outside": [found]})


def thompson_verdicts(drawn: thompson.Spec, lines: thompson.Spec) -> Iterator[Verdict]:
    """Thompson sampling: a spec of the sampling form, and one that integrates along lines."""
    spec = replace(drawn, solver="newton", weight_norm=None, noise_bound=None)
    built = [_thompson(replace(spec, horizon=horizon)) for horizon in HORIZONS]
    title = f"sampling form by Newton, d={spec.dim}, A={spec.actions}, ε={spec.error:g}"
    yield from _held(title, built, newton.THEOREM_B, newton.THEOREM_C_THOMPSON)
    spec = replace(lines, solver="newton")
    longest = float(np.linalg.norm(nodes.NodeRule.of(spec).nodes, axis=1).max(initial=0.0))
    values = symbols(spec) | {"node_norm": longest, "nodes": spec.nodes}
    size, stated = thompson.build(spec).size(), newton.THEOREM_B_LINES
    title = f"{spec.nodes} lines by Newton, d={spec.dim}, A={spec.actions}, T={spec.horizon}"
    for what in stated.size:
        yield Verdict(
            f"{title}: {what}",
            stated.source,
            "size",
            getattr(size, what),
            stated.evaluate(what, **values),
            rank="counted",
            statement=cited(stated),
        )


def _linucb(spec: linucb.Spec) -> Built:
    values = symbols(spec)
    excess = evaluate(newton.EXCESS, **values)
    return _built(spec, linucb.build, values, newton.THEOREM_A, newton.THEOREM_C, excess)


def _thompson(spec: thompson.Spec) -> Built:
    values = symbols(spec) | {"draw_norm": spec.draw_norm}
    return _built(spec, thompson.build, values, newton.THEOREM_B, newton.THEOREM_C_THOMPSON)


def _built(
    spec: Any,
    build: Callable[[Any], Any],
    values: Mapping[str, float],
    theorem: Statement,
    lower: Statement,
    excess: float = math.nan,
) -> Built:
    stated = {what: theorem.evaluate(what, **values) for what in SIZES}
    return Built(spec.horizon, build(spec).size(), stated, lower.evaluate("layers", **values), excess)


def _held(title: str, built: list[Built], theorem: Statement, lower: Statement) -> Iterator[Verdict]:
    """Sizes against the theorem, layers per decade, and layers over the least ones."""
    held, least = (dict[str, Any](rank="counted", statement=cited(one)) for one in (theorem, lower))
    for one in built:
        yield Verdict(
            f"{title}, T={one.horizon:,}: layers",
            theorem.source,
            "size",
            one.size.layers,
            one.stated["layers"],
            note=f"{one.size.layers / one.least:.2f} times the least of a polynomial method, {one.least:.2f}",
            **held,
        )
    over = f"T = {built[0].horizon:,} … {built[-1].horizon:,}"
    for what in SIZES[1:]:
        ratio = max(getattr(one.size, what) / one.stated[what] for one in built)
        yield Verdict(
            f"{title}, {over}: {what} over stated, worst", theorem.source, "size", ratio, 1.0, **held
        )
    layers = [one.size.layers for one in built]
    growth = max(later - earlier for earlier, later in pairwise(layers))
    claim = f"{title}, {over}: layers per factor of 10 in T, most"
    note = ", ".join(map(str, layers))
    yield Verdict(claim, newton.COROLLARY, "size", growth, PER_DECADE, note=note, rank="counted")
    ratios = [one.size.layers / one.least for one in built]
    claim = f"{title}, {over}: layers over the least of a polynomial method"
    yield Verdict(f"{claim}, most", lower.source, "size", max(ratios), MOST, **least)
    yield Verdict(f"{claim}, least", lower.source, "least", min(ratios), 1.0, **least)


def _corollary(title: str, built: list[Built]) -> Verdict:
    """Layers less those that are not Newton's, over the least layers: at most log₂3."""
    extra = [evaluate(newton.EXTRA) + max(0.0, math.log2(one.excess)) for one in built]
    multiples = [(one.size.layers - more) / one.least for one, more in zip(built, extra, strict=True)]
    return Verdict(
        f"{title}: multiple of the least layers, {extra[0]:.3g} layers aside",
        "this project, docs/depth.md, Corollary D",
        "size",
        max(multiples),
        evaluate(newton.MULTIPLE),
        note="degree used over degree needed: " + ", ".join(f"{one.excess:.2f}" for one in built),
        rank="counted",
    )


def searched(
    title: str, built: Construction, source: str, histories: list[LinearOutline], together: int = 20
) -> Iterator[Verdict]:
    """The error of a LinUCB construction, and its worst block, over some histories, so many of them at a time."""
    findings = Findings()
    for start in range(0, len(histories), together):
        findings = findings.merge(measure(built, algorithms.linucb, histories[start : start + together]))
    spec = built.spec
    main = (spec.solver, spec.horizon, spec.root) == ("newton", 200, "interpolation")
    claim = f"{title}: |log-probability error|"
    yield certified(claim, source, built, CATALOG["linucb"], findings, main=main)
    worst = max(findings.blocks.values(), key=lambda block: block.ratio)
    claim = f"{title}: worst error over promise of a block"
    yield Verdict(claim, source, "size", worst.ratio, 1.0, note=worst.probe.block)
