"""Bandits to play: linear ones, and labelled data read as a bandit.

Steps are array indices 0..horizon−1; every random number comes from a generator that the caller passes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

from verify.environments.common import finite, index

NOISES = ("gaussian", "uniform", "sign")
DATASETS = ("iris", "wine", "digits", "breast_cancer")
_REDRAWS = 10_000


@dataclass(frozen=True, eq=False)
class LinearBandit:
    """A linear bandit: the reward of action vector a is ⟨a, weights⟩ + noise.

    Attributes:
        weights: the unknown w*, shape (dim,).
        contexts: the action vectors of every step, shape (steps, arms, dim). The constructor also takes a
            fixed action set of shape (arms, dim) together with `horizon`, and offers it at every step.
        noise: "gaussian" N(0, scale²); "uniform" on [−scale, scale]; "sign", ±scale with equal odds.
        scale: size of the noise, in units of reward, ≥ 0; 0 is no noise.
        truncation: for gaussian noise only, condition it on |noise| ≤ truncation; None leaves it unbounded.

    Raises:
        ValueError: if shapes disagree, a number is not finite, or the noise is not one of the above.

    >>> bandit = LinearBandit([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], noise="uniform", scale=0.5, horizon=7)
    >>> bandit.horizon, bandit.regret(0, 1), bandit.noise_bound
    (7, 1.0, 0.5)
    """

    weights: Float[np.ndarray, " dim"]
    contexts: Float[np.ndarray, "steps arms dim"]
    noise: str
    scale: float
    truncation: float | None

    def __init__(self, weights, contexts, noise="gaussian", scale=1.0, truncation=None, horizon=None):
        """Convert anything array-like, then check."""
        weights, contexts = finite("weights", weights), finite("contexts", contexts)
        if contexts.ndim == 2 and isinstance(horizon, int | np.integer) and horizon >= 1:
            contexts = np.broadcast_to(contexts, (int(horizon), *contexts.shape))
        if contexts.ndim != 3 or 0 in contexts.shape:
            wanted = "shape (steps, arms, dim), or (arms, dim) and a horizon ≥ 1"
            raise ValueError(f"contexts: wanted {wanted}, got {contexts.shape} and horizon {horizon}")
        if horizon not in (None, len(contexts)):
            raise ValueError(f"horizon: wanted {len(contexts)}, the number of contexts, got {horizon}")
        if weights.shape != contexts.shape[2:]:
            raise ValueError(f"weights: wanted shape {contexts.shape[2:]}, got {weights.shape}")
        if noise not in NOISES:
            raise ValueError(f"noise: wanted one of {', '.join(NOISES)}, got {noise!r}")
        if not 0 <= scale < np.inf:
            raise ValueError(f"scale: wanted a finite number ≥ 0, got {scale}")
        if truncation is not None and not (noise == "gaussian" and 0 < truncation < np.inf):
            raise ValueError(f"truncation: wanted > 0 and gaussian noise, got {truncation} for {noise} noise")
        truncation = None if truncation is None else float(truncation)
        fields = (weights, contexts, noise, float(scale), truncation)
        for name, value in zip(("weights", "contexts", "noise", "scale", "truncation"), fields, strict=True):
            object.__setattr__(self, name, value)

    @property
    def dim(self) -> int:
        """Length of an action vector."""
        return self.contexts.shape[2]

    @property
    def actions(self) -> int:
        """Number of arms."""
        return self.contexts.shape[1]

    @property
    def horizon(self) -> int:
        """Number of decisions."""
        return self.contexts.shape[0]

    @property
    def noise_bound(self) -> float:
        """The least σ with |noise| ≤ σ always; infinite for gaussian noise that is not truncated."""
        if self.noise != "gaussian" or self.scale == 0:
            return self.scale
        return np.inf if self.truncation is None else self.truncation

    def context(self, step: int) -> Float[np.ndarray, "arms dim"]:
        """The action vectors offered at a step in 0..horizon−1."""
        return self.contexts[index("step", step, self.horizon)]

    def reward(self, step: int, arm: int, generator: np.random.Generator) -> float:
        """⟨a, w*⟩ plus noise from the generator; the noise depends on neither step nor arm."""
        return float(
            self.context(step)[index("arm", arm, self.actions)] @ self.weights + self._draw(generator)
        )

    def regret(self, step: int, arm: int) -> float:
        """Mean reward of the step's best arm less that of this arm, ≥ 0."""
        means = self.context(step) @ self.weights
        return float(means.max() - means[index("arm", arm, self.actions)])

    def _draw(self, generator: np.random.Generator) -> float:
        if self.noise == "uniform":
            return self.scale * (2 * generator.random() - 1)
        if self.noise == "sign":
            return self.scale * float(2 * generator.integers(2) - 1)
        if self.truncation is None or self.scale == 0:
            return self.scale * generator.standard_normal()
        tail = ndtr(-self.truncation / self.scale)
        draw = self.scale * ndtri(tail + generator.random() * (1 - 2 * tail))
        return float(np.clip(draw, -self.truncation, self.truncation))


def paper_linear_bandit(
    generator: np.random.Generator,
    dim: int = 5,
    actions: int = 10,
    noise: float = 1.5,
    horizon: int = 200,
    action_norm: tuple[float, float] | None = None,
    noise_bound: float | None = None,
) -> LinearBandit:
    """The linear bandit of the paper's experiments: w* ~ U[0,1]^dim, one fixed set of U[−1,1]^dim actions.

    The noise is N(0, noise²). Two options, both off by default, bring the set-up under the theorem, which
    covers neither arbitrarily short actions nor unbounded noise: each action is redrawn until its norm is in
    `action_norm` = (b_a, B_a), and the noise is conditioned on |noise| ≤ noise_bound.

    Raises:
        ValueError: if a size is not positive or (almost) no draw falls in `action_norm`.

    Source: arXiv 2310.08566, section 5 (experiments).

    >>> paper_linear_bandit(np.random.default_rng(0), action_norm=(0.5, 5**0.5)).contexts.shape
    (200, 10, 5)
    """
    for name, size in (("dim", dim), ("actions", actions), ("horizon", horizon)):
        if size < 1:
            raise ValueError(f"{name}: wanted an integer ≥ 1, got {size}")
    weights = generator.random(dim)
    arms = generator.uniform(-1, 1, (actions, dim))
    for _ in range(_REDRAWS):
        norms = np.linalg.norm(arms, axis=1)
        redraw = np.zeros(actions, bool) if action_norm is None else ~_within(norms, action_norm)
        if not redraw.any():
            return LinearBandit(weights, arms, "gaussian", noise, noise_bound, horizon)
        arms[redraw] = generator.uniform(-1, 1, (redraw.sum(), dim))
    raise ValueError(f"action_norm: wanted a range that U[−1,1]^{dim} meets, got {action_norm}")


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
    if name not in DATASETS:
        raise ValueError(f"name: wanted one of {', '.join(DATASETS)}, got {name!r}")
    try:
        from sklearn import datasets
    except ImportError as error:
        message = "scikit-learn is missing: install the extra `data` (pip install 'weightwright[data]')"
        raise ImportError(message) from error
    raw, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    if not 1 <= horizon <= len(raw):
        raise ValueError(f"horizon: wanted 1 to {len(raw)}, the examples of {name}, got {horizon}")
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


def _within(norms: Float[np.ndarray, " arms"], bounds: tuple[float, float]) -> np.ndarray:
    return (norms >= bounds[0]) & (norms <= bounds[1])
