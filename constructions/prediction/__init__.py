"""Prediction from a past of pairs: what states are worth, and regression.

td.py      policy evaluation: batch TD(0), TD(λ) and semi-gradient SARSA
lasso.py   least squares with an ℓ1 penalty, by proximal gradient descent
ridge.py   least squares with an ℓ2 penalty, by Newton's iteration or by descent
validated.py  the same with a penalty chosen on held-out pairs
binary.py  whether all responses are 0 or 1
choice.py  the blocks by which it is chosen
"""

from constructions.prediction import binary as binary
from constructions.prediction import lasso as lasso
from constructions.prediction import ridge as ridge
from constructions.prediction import td as td
from constructions.prediction import validated as validated
