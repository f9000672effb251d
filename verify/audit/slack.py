"""Slack: how many times the worst error that a search found a block's promise is, errors of inputs included and without.

How sharp promises are where inputs are tried that no history makes: docs/slack.md.
"""

from typing import TypedDict

from constructions.construction import Construction
from verify.audit.search import Findings

NOTES = {
    "rounding": "the exact-arithmetic bound is far below float64; what is measured is rounding, and its bound takes "
    "every rounding error of every layer to have the same sign",
    "gate": "exact in exact arithmetic; the bound is the worst case of rounding in the literal form, whose gate cancels Bj "
    "against Bi, while the evaluation measured here adds the powers of i up first",
}


class Row(TypedDict):
    """A block in a report: its promises with rounding, what was measured, and how many times the one is the other."""

    block: str
    domain: str
    error: float
    promise: float
    slack: float | None
    own_error: float
    own_promise: float
    own_slack: float | None
    note: str


def rows(built: Construction, findings: Findings) -> list[dict]:
    """For reports: every block's promise with rounding over what was measured, with inherited errors and without."""
    found = []
    for block in built.blocks:
        worst, promise = findings.blocks[block.name], block.promise
        pairs = {"error": (worst.error, promise.total), "own_error": (worst.own_error, promise.own)}
        slacks = [bound.whole / error if error else None for error, bound in pairs.values()]
        large = any(slack is not None and slack > 100 for slack in slacks)
        found.append(
            {
                "block": block.name,
                "source": block.source,
                "domain": promise.domain,
                "error": worst.error,
                "relative": worst.relative,
                "promise": promise.total.whole,
                "slack": slacks[0],
                "own_error": worst.own_error,
                "own_promise": promise.own.whole,
                "own_slack": slacks[1],
                "note": NOTES["gate" if promise.own.error == 0 else "rounding"] if large else "",
            }
        )
    return found
