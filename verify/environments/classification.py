"""Labelled data read as a bandit.

Steps are array indices 0..horizon−1; every random number comes from a generator that the caller passes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from constructions import checks
from verify.environments.common import index, random

DATASETS = ("iris", "wine", "digits", "breast_cancer")


@dataclass(frozen=True, eq=False)
class ClassificationBandit:
    """Labelled data as a bandit: guess the class, earn 1 if right and 0 if wrong.

    Arm k's action vector is e_k ⊗ x, of norm ‖x‖ = 1. No w* makes this exactly linear; but read with w* = 0
    the rewards are "noise" within [0, 1], so they obey the theorem's assumptions with any B_w and σ = 1.

    Attributes:
        features: x at each step, each of norm 1, shape (steps, features).
        labels: the right class at each step, in 0..classes−1, shape (steps,).
        classes: the number of arms.
    """

    features: Float[np.ndarray, "steps features"]
    labels: Int[np.ndarray, " steps"]
    classes: int

    @property
    def dim(self) -> int:
        """Length of an action vector: classes × features."""
        return self.classes * self.features.shape[1]

    @property
    def actions(self) -> int:
        """Number of arms, one a class."""
        return self.classes

    @property
    def horizon(self) -> int:
        """Number of decisions."""
        return len(self.labels)

    def context(self, step: int) -> Float[np.ndarray, "arms dim"]:
        """Row k is e_k ⊗ x."""
        return np.kron(np.eye(self.classes), self.features[index("step", step, self.horizon)])

    def reward(self, step: int, arm: int, generator: np.random.Generator) -> float:
        """1 if the arm is the label, else 0; the generator is not used."""
        return 1.0 - self.regret(step, arm)

    def regret(self, step: int, arm: int) -> float:
        """0 if the arm is the label, else 1."""
        return float(index("arm", arm, self.actions) != self.labels[index("step", step, self.horizon)])


def classification_bandit(
    name: str, generator: np.random.Generator, horizon: int, components: int | None = None
) -> ClassificationBandit:
    """A data set that scikit-learn carries, as a bandit: "iris", "wine", "digits" or "breast_cancer".

    Features are standardised over the whole set, optionally projected on their first principal components,
    given a constant 1 and scaled to norm 1. The generator picks `horizon` examples without replacement.

    Raises:
        ValueError: if the name, the horizon or the number of components is out of range.
        ImportError: if scikit-learn is missing.

    >>> classification_bandit("iris", np.random.default_rng(0), horizon=20, components=2).context(0).shape
    (3, 9)
    """
    name, horizon = checks.choice("name", name, DATASETS), checks.whole("horizon", horizon)
    random(generator)
    try:
        from sklearn import datasets
    except ImportError as error:
        message = "scikit-learn is missing: install the extra `data` (pip install 'weightwright[data]')"
        raise ImportError(message) from error
    raw, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    if not 1 <= horizon <= len(raw):
        raise ValueError(f"horizon: wanted 1 to {len(raw)}, the examples of {name}, got {horizon}")
    components = None if components is None else checks.whole("components", components)
    if components is not None and not 1 <= components <= raw.shape[1]:
        raise ValueError(f"components: wanted 1 to {raw.shape[1]}, the features of {name}, got {components}")
    spread = raw.std(axis=0)
    table = (raw - raw.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    if components is not None:
        axes = np.linalg.svd(table, full_matrices=False)[2][:components]
        axes *= np.sign(axes[np.arange(components), np.abs(axes).argmax(axis=1)])[:, None]  # fixes each sign
        table = table @ axes.T
    table = np.column_stack([table, np.ones(len(table))])
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    order = generator.permutation(len(raw))[:horizon]
    return ClassificationBandit(table[order], labels[order].astype(np.int64), int(labels.max()) + 1)
