"""Ball arithmetic: transformers and true algorithms with every rounding enclosed.

arrays.py      arrays of balls, sparse matrices, precision
heads.py       attention; neurons.py the MLP; forward.py the whole pass
linear.py      true algorithms for linear bandits; counts.py those that count
enclosure.py   the distance of the two on a history
"""

from verify.balls.enclosure import BallTruth, Enclosure, enclose

__all__ = ["BallTruth", "Enclosure", "enclose"]
