"""The audit of a construction: search, enclosures, verdicts."""

from verify.audit.measuring import Findings as Findings
from verify.audit.measuring import Outline as Outline
from verify.audit.measuring import Truth as Truth
from verify.audit.measuring import Worst as Worst
from verify.audit.measuring import about as about
from verify.audit.measuring import enclosed as enclosed
from verify.audit.measuring import kept as kept
from verify.audit.measuring import measure as measure
from verify.audit.measuring import over as over
from verify.audit.search import SEARCH as SEARCH
from verify.audit.search import Stepwise as Stepwise
from verify.audit.search import Strategies as Strategies
from verify.audit.search import climb as climb
from verify.audit.search import search as search
from verify.audit.shrinking import shrink as shrink
from verify.audit.verdicts import FLOAT64 as FLOAT64
from verify.audit.verdicts import ORDER_WINDOW as ORDER_WINDOW
from verify.audit.verdicts import Cited as Cited
from verify.audit.verdicts import Report as Report
from verify.audit.verdicts import Verdict as Verdict
from verify.audit.verdicts import Words as Words
from verify.audit.witness import replayed as replayed
from verify.audit.witness import words as words
from verify.balls import enclose as enclose
