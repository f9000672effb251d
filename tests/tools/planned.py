"""Claims whose audit finds what a report says, without any work."""

from collections.abc import Callable

from verify.audit import Report
from verify.audit.plan import Found, Part, Plan
from verify.catalog import CATALOG

SPEC = CATALOG["bernoulli"].main
"""Any."""


def planned(found: Report) -> Callable[..., Plan]:
    """What a row's `claims` may be."""
    part = Part("nothing", lambda: Found(found.verdicts, records=found.records, size=found.size))
    return lambda *_: Plan(found.title, SPEC, [part], words=found.words)
