"""Everything that is claimed of prediction from a past of pairs, measured.

lasso       what proximal gradient descent leaves of the objective, beside its bound
exact       searched histories: values of batch TD(0), SARSA and TD(λ), every block; sizes
impostors   wrong algorithms: does the audit object?
mutants     does it notice when one weight is wrong?
"""

import math
from dataclasses import replace
from typing import Any

from constructions.prediction import lasso, td
from verify import algorithms
from verify.audit import Verdict, kept, search, words
from verify.audit.plan import Found, Part, Plan
from verify.catalog import CATALOG
from verify.claims import general
from verify.histories import linear
from verify.theorems import Statement
from verify.theorems import prediction as theorem

ROW, LASSO = CATALOG["td"], CATALOG["lasso"]
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
    )


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
        ),
        *(kept(f"{name}: {block.name}", block, findings.blocks[block.name]) for block in built.blocks),
    ]
    numbers = {"dim": spec.features, "depth": spec.sweeps, "actions": spec.actions}
    verdicts += general.sizes(title, built, statement, numbers, main="")
    return general.subject(built, findings, verdicts) if spec == MAIN else Found(verdicts)
