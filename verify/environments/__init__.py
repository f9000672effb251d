"""Environments to play: bandits, labelled data read as a bandit, losses set beforehand, and tabular decision processes.

Steps, stages, states and actions are array indices from 0; every random number comes from a generator that the
caller passes.
"""

from verify.environments.bandits import (
    NOISES,
    LinearBandit,
    gaussian_linear_bandit,
    paper_linear_bandit,
    piecewise_linear_bandit,
)
from verify.environments.bernoulli import BernoulliBandit, bernoulli_bandit
from verify.environments.classification import DATASETS, ClassificationBandit, classification_bandit
from verify.environments.losses import FixedLosses, HiddenLosses, hidden_losses, random_losses
from verify.environments.mdps import TABLES, TabularMDP, gymnasium_mdp, random_mdp

__all__ = [
    "DATASETS",
    "NOISES",
    "TABLES",
    "BernoulliBandit",
    "ClassificationBandit",
    "FixedLosses",
    "HiddenLosses",
    "LinearBandit",
    "TabularMDP",
    "bernoulli_bandit",
    "classification_bandit",
    "gaussian_linear_bandit",
    "gymnasium_mdp",
    "hidden_losses",
    "paper_linear_bandit",
    "piecewise_linear_bandit",
    "random_losses",
    "random_mdp",
]
