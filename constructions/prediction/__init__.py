"""Prediction from a past of pairs: what states are worth, by temporal differences.

td.py   policy evaluation: batch TD(0), TD(λ) and semi-gradient SARSA
"""

from constructions.prediction import td as td
