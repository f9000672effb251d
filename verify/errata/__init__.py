"""Errors believed to be in the paper, each with the smallest input that shows it and the repaired form.

These are claims about published work. Each is demonstrated by running the literal construction and the repaired one side by
side; if the literal one were right, the demonstration would say so. Mathematical errors come first, then misprints.
"""

from verify.errata import linucb, regret, thompson, ucbvi
from verify.errata.entry import KINDS, SOURCE, Demonstration, Erratum, Record

__all__ = ["ERRATA", "KINDS", "SOURCE", "Demonstration", "Erratum", "Record"]

_BY_THEOREM = (*linucb.ERRATA, *ucbvi.ERRATA, *thompson.ERRATA, *regret.ERRATA)
ERRATA: tuple[Erratum, ...] = tuple(
    erratum for kind in KINDS for erratum in _BY_THEOREM if erratum.kind == kind
)
