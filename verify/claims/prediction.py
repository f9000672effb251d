"""Everything that is claimed of prediction from a past of pairs, measured.

ridge       searched histories, by Newton and by descent; layers beside those of another theorem
validated   the loss of what is chosen on held-out pairs, above the least; layers beside those of another theorem
lasso       what proximal gradient descent leaves of the objective, beside its bound
binary      the test of responses in rational arithmetic, and what it says of them; sizes beside those of another lemma
exact       searched histories: values of batch TD(0), SARSA and TD(λ), every block; sizes
impostors   wrong algorithms: does the audit object?
mutants     does it notice when one weight is wrong?
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from constructions.history import BanditHistory
from constructions.prediction import binary, lasso, ridge, td, validated
from verify import algorithms
from verify.audit import Verdict, exact, kept, search, words
from verify.audit.plan import Found, Part, Plan
from verify.catalog import CATALOG
from verify.claims import general
from verify.claims.citing import cited
from verify.histories import linear
from verify.theorems import Statement
from verify.theorems import prediction as theorem

ROW, LASSO, RIDGE, VALIDATED, BINARY = (
    CATALOG[name] for name in ("td", "lasso", "ridge", "validated-ridge", "binary-test")
)
MAIN = ROW.main
SARSA = replace(MAIN, actions=3)
TRACES = replace(MAIN, trace=0.5)
ALL = (
    ("TD(0)", MAIN, theorem.TD),
    ("semi-gradient SARSA", SARSA, theorem.TD),
    ("TD(λ)", TRACES, theorem.TRACES),
)


def plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The whole audit.

    Args:
        histories: how many histories the search for an error tries at least, for each algorithm.
        trials: how many single-weight mutants are audited.
    """
    whole = general.plan(ROW, MAIN, histories, trials)
    _, *broken = whole.parts
    searched = [
        Part(f"{row[0]}: searching {histories} histories", lambda row=row: _searched(*row, histories))
        for row in ALL
    ]
    return replace(whole, parts=[*searched, *broken])


def lasso_plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The audit of Lasso; arguments are those of `plan`."""
    whole = general.plan(LASSO, LASSO.main, histories, trials)
    first, *broken = whole.parts
    left = Part("what proximal gradient descent leaves", lambda: [remaining(LASSO.main, histories)])
    return replace(whole, parts=[first, left, *broken])


def remaining(spec: lasso.Spec, histories: int) -> Verdict:
    """The largest F(w) − min F of the transformer's w, over a battery: min F is bounded from below by duality."""
    built, worst, told = lasso.build(spec), -math.inf, None
    seen: Any = spec
    battery = linear.battery(seen, 1 + histories // 300)
    for outline in battery:
        history = outline.history(seen)
        weights = built.outputs([history])[0, -1, built.tokens.stream["weights"].slice]
        least = algorithms.lasso_minimum(spec, history)[1]
        left = algorithms.lasso_objective(spec, history, weights) - least
        worst, told = (left, outline) if left > worst else (worst, told)
    numbers = {
        "depth": spec.iterations,
        "ridge": spec.penalty,
        "action_max": spec.bound,
        "noise_bound": spec.response,
    }
    return Verdict(
        f"Lasso, {spec.iterations} steps: F(w) − min F, {len(battery)} histories",
        theorem.LASSO_GAP.source,
        "bound",
        worst,
        theorem.LASSO_GAP.evaluate("error", **numbers),
        lasso.gap(spec),
        built.rounding,
        witness=words(told),
        main=True,
        statement=cited(theorem.LASSO_GAP),
    )


def ridge_plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The audit of ridge regression; arguments are those of `plan`."""
    main = RIDGE.main
    whole = general.plan(RIDGE, main, histories, trials)
    first, *broken = whole.parts
    sizes = Part("layers, beside those of another theorem", lambda: layers(main))
    descent = Part(f"descent: searching {histories} histories", lambda: [descended(main, histories)])
    return replace(whole, parts=[first, sizes, descent, *broken])


def layers(spec: ridge.Spec) -> Iterator[Verdict]:
    """Sizes by Newton's iteration; its layers beside those of gradient descent in arXiv 2306.04637."""
    built, title = ridge.build(spec), f"ridge, d={spec.dim}, T={spec.horizon}"
    numbers = {"dim": spec.dim, "actions": spec.actions, "depth": built.size().layers - 2}
    yield from general.sizes(title, built, theorem.RIDGE, numbers, main="")
    statement = theorem.RIDGE_PAPER
    yield Verdict(
        f"{title}: layers, beside gradient descent of arXiv 2306.04637 at T − 1 pairs",
        statement.source,
        "size",
        built.size().layers,
        statement.evaluate("layers", **theirs(spec)),
        main=True,
        note=f"κ = {theirs(spec)['condition']:.4g}; theirs knows how many pairs there are, and predicts once",
        **general.counted(built, statement),
    )


def theirs(spec: ridge.Spec) -> dict[str, float]:
    """The numbers of Theorem 4 of arXiv 2306.04637 for T − 1 pairs of which only bounds are known: α = 0, β = B²."""
    return _of_pairs(spec, spec.horizon - 1) | {"error": spec.error}


def _of_pairs(spec: ridge.Spec | validated.Spec, pairs: int) -> dict[str, float]:
    """The numbers of so many pairs of which only bounds are known, with the least penalty."""
    return {
        "condition": 1 + pairs * spec.bound**2 / spec.ridge,
        "action_max": spec.bound,
        "weight_norm": spec.response * math.sqrt(pairs / spec.ridge),
    }


def validated_plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The audit of ridge regression with a penalty chosen on held-out pairs; arguments are those of `plan`."""
    main = VALIDATED.main
    whole = general.plan(VALIDATED, main, histories, trials)
    first, *broken = whole.parts
    return replace(
        whole, parts=[first, Part("what the chosen loses", lambda: chosen(main, histories)), *broken]
    )


def binary_plan(histories: int = 2000, trials: int = 100) -> Plan:
    """The audit of the test whether all responses are 0 or 1; arguments are those of `plan`."""
    whole = general.plan(BINARY, BINARY.main, histories, trials)
    first, *broken = whole.parts
    sizes = Part("sizes, beside those of another lemma", lambda: tested(BINARY.main))
    return replace(
        whole, parts=[first, Part("rational arithmetic", lambda: told(BINARY.main)), sizes, *broken]
    )


def told(spec: binary.Spec) -> Iterator[Verdict]:
    """All sequences of three out of six responses: both registers against fractions, and what the test says of each."""
    built, source, title = binary.build(spec), theorem.BINARY.source, "binary test, rational arithmetic"
    responses = (0.0, 1.0, 0.5, spec.margin / 2, -spec.margin, spec.response)
    worst, wrong, count = Fraction(0), 0, 0
    for past in product(responses, repeat=3):
        history = BanditHistory(np.zeros((4, 1, 1)), [0] * 3, past)
        for n, (distance, says) in enumerate(exact.logits(built, history)):
            away = [min(abs(y), abs(y - 1)) for y in map(Fraction, past[:n])]
            true = max(1 - Fraction(spec.slope) * sum(away), Fraction(0))
            worst = max(worst, abs(distance - sum(away)), abs(says - true))
            wrong += (says == 1) != (not any(away)) or (max(away, default=0) >= spec.margin and says != 0)
        count += 1
    claim = f"{title}: |error| of distance and test, {count} sequences of responses"
    yield Verdict(
        claim, source, "bound", float(worst), theorem.BINARY.evaluate("error"), built.certificate, main=True
    )
    claim = (
        f"{title}: tests that are not 1 for 0 and 1 alone, or not 0 for one that is {spec.margin:g} from both"
    )
    yield Verdict(claim, source, "size", wrong, 0, main=True)


def tested(spec: binary.Spec) -> Iterator[Verdict]:
    """Sizes of the test; its heads and layers beside those of a lemma that has no threshold."""
    built, theirs = binary.build(spec), theorem.BINARY_PAPER
    yield from general.sizes("binary test", built, theorem.BINARY, {}, main="")
    for what in theirs.size:
        claim = f"binary test: {what}, beside the distance alone in arXiv 2306.04637"
        measured = getattr(built.size(), what)
        yield Verdict(claim, theirs.source, "size", measured, theirs.evaluate(what), main=what == "heads")


def chosen(spec: validated.Spec, histories: int) -> Iterator[Verdict]:
    """The largest loss of the chosen predictor above the least, over a battery; sizes; both beside the other theorem's."""
    built, numbers = validated.build(replace(spec, actions=spec.dim)), chosen_theirs(spec)
    seen: Any = built.spec
    worst, told, battery = -math.inf, None, linear.battery(seen, 1 + histories // 300)
    for outline in battery:
        history = outline.history(seen)
        history.contexts[-1] = spec.bound * np.eye(spec.dim)  # the weights, times the bound
        weights = built.values(history)[-1] / spec.bound
        residuals = (history.chosen @ weights - history.rewards)[spec.training :]
        above = residuals @ residuals - algorithms.candidates(seen, history)[1][-1].min()
        worst, told = (above, outline) if above > worst else (worst, told)
    title, source = f"ridge, K={len(spec.penalties)}, T={spec.horizon}", theorem.VALIDATED_PAPER.source
    fields = {"rounding": 2 * spec.horizon * built.rounding, "witness": words(told), "main": True}
    fields["statement"] = cited(theorem.VALIDATED_PAPER)
    stated = theorem.VALIDATED_PAPER.evaluate("error", **numbers)
    claim = f"{title}: loss of the chosen above the least, {len(battery)} histories"
    yield Verdict(claim, source, "bound", float(worst), stated, validated.gap(spec), **fields)
    size = {"dim": spec.dim, "actions": spec.dim, "penalties": len(spec.penalties)}
    yield from general.sizes(
        title, built, theorem.VALIDATED, size | {"depth": built.size().layers - 8}, main=""
    )
    stated = theorem.VALIDATED_PAPER.evaluate("layers", **numbers)
    more = general.counted(built, theorem.VALIDATED_PAPER, main=True)
    yield Verdict(f"{title}: layers, beside theirs", source, "size", built.size().layers, stated, **more)


def chosen_theirs(spec: validated.Spec) -> dict[str, float]:
    """The numbers of Theorem 16 of arXiv 2306.04637 for pairs of which only bounds are known."""
    return _of_pairs(spec, spec.training) | {
        "noise_bound": spec.response,
        "error": spec.error / spec.bound,
        "margin": spec.margin,
        "horizon": spec.horizon - 1 - spec.training,
    }


def descended(spec: ridge.Spec, histories: int) -> Verdict:
    """Predictions by Chebyshev's semi-iteration, the shallowest descent, over searched histories."""
    built = ridge.build(replace(spec, solver="chebyshev"))
    findings = search(built, RIDGE.truth, histories, source=RIDGE.histories)
    title = f"ridge by descent, {built.size().layers} layers: |prediction error|"
    return general.certified(title, theorem.RIDGE.source, built, RIDGE, findings)


def _searched(name: str, spec: td.Spec, statement: Statement, histories: int) -> Found:
    """The values over searched histories; sizes."""
    built = td.build(spec)
    findings = search(built, ROW.truth, histories, source=ROW.histories)
    title = f"{name}, d={spec.features}, T={spec.horizon}, {spec.sweeps} sweeps"
    verdicts = [
        general.certified(
            f"{title}: |value error|",
            statement.source,
            built,
            ROW,
            findings,
            stated=statement.evaluate("error"),
            statement=cited(statement),
        ),
        *(kept(f"{name}: {block.name}", built, block, findings.blocks[block.name]) for block in built.blocks),
    ]
    numbers = {"dim": spec.features, "depth": spec.sweeps, "actions": spec.actions}
    verdicts += general.sizes(title, built, statement, numbers, main="")
    return general.subject(built, findings, verdicts) if spec == MAIN else Found(verdicts)
