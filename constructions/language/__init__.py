"""The language in which a construction reads as its algorithm: values, and programs that place what makes them."""

from constructions.language import bandits as bandits
from constructions.language import episodes as episodes
from constructions.language.programs import Program as Program
from constructions.language.turns import repeat as repeat
from constructions.language.turns import trace as trace
from constructions.language.values import Curve as Curve
from constructions.language.values import Sum as Sum
from constructions.language.values import Value as Value
