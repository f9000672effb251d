"""Errors believed to be in the paper, each with the smallest input that shows it and the repaired form.

These are claims about published work. Each is demonstrated by running the literal construction and the repaired one side by
side; if the literal one were right, the demonstration would say so.
"""

from verify.errata import linucb, thompson, ucbvi
from verify.errata.entry import Demonstration, Erratum

__all__ = ["ERRATA", "Demonstration", "Erratum"]

ERRATA: tuple[Erratum, ...] = (*linucb.ERRATA, *ucbvi.ERRATA, *thompson.ERRATA)
