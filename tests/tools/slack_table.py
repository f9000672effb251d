"""The table of docs/slack.md: `python tests/tools/slack_table.py docs/slack.md` writes it."""

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import sharpness
from construction_cases import CASES

from constructions import files, linucb, thompson, ucbvi
from constructions.construction import Construction
from verify import algorithms
from verify.claims import bernoulli
from verify.claims import linucb as linucb_claims
from verify.claims import thompson as thompson_claims
from verify.histories import bernoulli as bernoulli_strategies
from verify.histories import episodes as episode_strategies

HIGH = 10.0
"""Slack above this is explained, and the median is below."""


@dataclass(frozen=True)
class Entry:
    """One construction of the table."""

    name: str
    build: Callable[[], Construction]
    truth: Callable
    histories: int = 400
    held: Mapping[str, Any] = field(default_factory=dict)

    def rows(self) -> list[sharpness.Row]:
        """Measured."""
        return sharpness.table(self.build(), self.truth, self.histories, **self.held)


SMALL = [
    Entry(
        case.name,
        lambda case=case: case.built,
        case.entry.truth,
        400,
        {"source": case.entry.histories},
    )
    for case in CASES
]
"""The rows of construction_cases.py."""

COUNTS = {"source": bernoulli_strategies}
NEWTON = replace(linucb_claims.MAIN, horizon=200, solver="newton")
REPEATED = ucbvi.Spec(states=1, actions=2, horizon=1, episodes=12, exploration=0.02)

LARGE = [
    Entry("LinUCB d=5 A=10 T=50", lambda: linucb.build(linucb_claims.MAIN), algorithms.linucb, 120),
    Entry("LinUCB d=5 A=10 T=200, Newton", lambda: linucb.build(NEWTON), algorithms.linucb, 120),
    Entry("two arms d=5 T=50", lambda: thompson.build(thompson_claims.TWO), algorithms.thompson, 120),
    Entry(
        "lines d=3 A=4 T=30, 64 nodes",
        lambda: thompson.build(thompson_claims.SEARCHED),
        thompson_claims.line_policy,
        120,
    ),
    Entry(
        "Bernoulli A=3 T=40",
        lambda: thompson.build(bernoulli.SMALL),
        algorithms.bernoulli_thompson,
        400,
        COUNTS,
    ),
    Entry(
        "Bernoulli A=5 T=200",
        lambda: thompson.build(bernoulli.MAIN),
        algorithms.bernoulli_thompson,
        60,
        COUNTS,
    ),
    Entry(
        "UCB-VI theorem S=1 A=2 H=1 K=12",
        lambda: ucbvi.build(REPEATED),
        algorithms.ucbvi,
        60,
        {"source": episode_strategies},
    ),
]
"""Main specs of the claims."""

UNPLAYED = "nothing has been played where T = 1, and s ≤ n is all that the bound knows; the block at T = 20 uses all of it"
HELD_OUT = "of a held-out pair, which state tokens do not hold: it is 0 there"
PLAYED = "of an action, which state tokens do not hold: it is 0 there"
STEEPEST = (
    "all losses would have to be off as much as they can, each against the others, where shares are steepest"
)
EXPLAINED = {
    ("softmax sampling", "a aᵀ and r a"): PLAYED,
    **{("validated-ridge", block): HELD_OUT for block in ("⟨x, w_0⟩ held out", "residual_0", "residual_0²")},
    **{
        ("validated-ridge", block): STEEPEST
        for block in (sharpness.POLICY, "excess Σ relu(L_k − L_l)", "share relu(1 − s c_k)", "Σ q_k f_k")
    },
    ("soft UCB1 2 arms 1 steps", sharpness.POLICY): UNPLAYED,
    ("soft UCB1 2 arms 1 steps", "mean s/n"): UNPLAYED,
    ("soft UCB1 2 arms 1 steps", "logits"): UNPLAYED,
    (
        "ucbvi theorem",
        sharpness.POLICY,
    ): "with K = 3 all quotients are halves, which float64 holds, and what is left is 1/τ; "
    "the bound holds for every n, see K = 12",
}
"""Where neither histories nor other inputs come near, and why."""


def measured(table: Mapping[str, list[sharpness.Row]]) -> list[tuple[str, sharpness.Row, float]]:
    """Construction, row and slack, of all rows that have one."""
    return [(name, row, row.slack) for name, rows in table.items() for row in rows if row.slack is not None]


def unexplained(table: Mapping[str, list[sharpness.Row]]) -> list[tuple[str, str, float]]:
    """Rows of a slack above HIGH without an explanation."""
    return [
        (name, row.block, over)
        for name, row, over in measured(table)
        if over > HIGH and (name, row.block) not in EXPLAINED
    ]


def median(table: Mapping[str, list[sharpness.Row]], by_history: bool = False) -> float:
    """Of all slacks."""
    return statistics.median(row.slack_by_history if by_history else over for _, row, over in measured(table))


def page(table: Mapping[str, list[sharpness.Row]]) -> str:
    """The page, with its date."""
    high = [(name, row) for name, row, _ in measured(table) if not row.slack_by_history <= HIGH]
    counts = {kind: sum(row.kind == kind for rows in table.values() for row in rows) for kind in KINDS}
    lines = [
        "# Slack, block by block",
        "",
        "How many times the worst error that is found a promise is, errors of inputs included, in the constructions that",
        "the tests build and in some larger ones.",
        "A slack of 1 means that the promise is attained.",
        f"Made by `python tests/tools/slack_table.py docs/slack.md` on {date.today().isoformat()}.",
        "",
        f"**Median {median(table):.3g}** over {counts['measured']} promises,",
        f"{median(table, by_history=True):.3g} where only",
        f"histories are tried. {counts['exact']} more promise nothing but rounding (*exact*), and {counts['rounding']} what",
        "is too small for float64 to show (*rounding*: what is left by rounded weights, say).",
        "",
        f"**Over histories {len(high)} are above {HIGH:g}.** Most of them are attained by an input that no history makes",
        "and that the lemma admits: a decision at token 2T, where descent is slowest, with arms along the direction",
        "least or most played. Such a promise is sharp, and histories do not use all of it.",
        "",
        "| construction | promise | slack over histories | over inputs | why |",
        "|---|---|---|---|---|",
    ]
    for name, row in high:
        told = EXPLAINED.get((name, row.block), "such an input comes near")
        lines.append(f"| {name} | {row.block} | {row.slack_by_history:.3g} | {row.slack:.3g} | {told} |")
    for name, rows in table.items():
        lines += [
            "",
            f"## {name}",
            "",
            "| promise | in exact arithmetic | worst, histories | worst, inputs | slack |",
        ]
        lines += ["|---|---|---|---|---|"]
        for row in rows:
            if row.slack is not None:
                numbers = (row.promise, row.by_history, row.worst)
                told = " | ".join(f"{number:.3g}" for number in numbers)
                lines.append(f"| {row.block} | {told} | {row.slack:.3g} |")
        for kind in KINDS[1:]:
            if names := [row.block for row in rows if row.kind == kind]:
                lines += ["", f"*{kind}*: " + "; ".join(names) + "."]
    return "\n".join(lines) + "\n"


KINDS = ("measured", "exact", "rounding")


def main(path: str) -> None:
    """Measure everything and write the page."""
    table = {}
    for entry in (*SMALL, *LARGE):
        table[entry.name] = entry.rows()
        print(entry.name, f"{median(table):.3g}", unexplained(table), flush=True)
    files.write(path, page(table))


if __name__ == "__main__":
    main(sys.argv[1])
