"""Linear bandits to play.

Steps are array indices 0..horizon−1; every random number comes from a generator that the caller passes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from constructions import checks, limits
from constructions.plain import reals, shown
from verify.environments.common import index, random
from verify.environments.placing import arms, within_ball

NOISES = ("gaussian", "uniform", "sign")


@dataclass(frozen=True, eq=False)
class LinearBandit:
    """A linear bandit: the reward of action vector a is ⟨a, weights⟩ + noise.

    Attributes:
        weights: the unknown w*, shape (dim,), or one for each step, shape (steps, dim).
        contexts: the action vectors of every step, shape (steps, arms, dim). The constructor also takes a
            fixed action set of shape (arms, dim) together with `horizon`, and offers it at every step.
        noise: "gaussian" N(0, scale²); "uniform" on [−scale, scale]; "sign", ±scale with equal odds.
        scale: size of the noise, in units of reward, ≥ 0; 0 is no noise.
        truncation: for gaussian noise only, condition it on |noise| ≤ truncation; 0 is no noise, None leaves it unbounded.

    Raises:
        ValueError: if shapes disagree, a number is not finite, or the noise is not one of the above.

    >>> bandit = LinearBandit([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], noise="uniform", scale=0.5, horizon=7)
    >>> bandit.horizon, bandit.regret(0, 1), bandit.noise_bound
    (7, 1.0, 0.5)
    """

    weights: Float[np.ndarray, "*steps dim"]
    contexts: Float[np.ndarray, "steps arms dim"]
    noise: str
    scale: float
    truncation: float | None

    def __init__(self, weights, contexts, noise="gaussian", scale=1.0, truncation=None, horizon=None):
        """Convert anything array-like, then check."""
        weights, contexts = reals("weights", weights), reals("contexts", contexts)
        if horizon is not None:
            horizon = checks.whole("horizon", horizon)
        if contexts.ndim == 2 and horizon is not None:
            contexts = np.broadcast_to(contexts, (horizon, *contexts.shape))
        if contexts.ndim != 3 or 0 in contexts.shape:
            wanted = "shape (steps, arms, dim), or (arms, dim) and a horizon ≥ 1"
            raise ValueError(f"contexts: wanted {wanted}, got {contexts.shape} and horizon {shown(horizon)}")
        if horizon not in (None, len(contexts)):
            raise ValueError(f"horizon: wanted {len(contexts)}, the number of contexts, got {horizon}")
        if weights.shape not in (contexts.shape[2:], (len(contexts), contexts.shape[2])):
            raise ValueError(f"weights: wanted shape {contexts.shape[2:]}, got {weights.shape}")
        noise, scale = checks.choice("noise", noise, NOISES), checks.number("scale", scale, positive=False)
        if truncation is not None:
            truncation = checks.number("truncation", truncation, positive=False)
            if noise != "gaussian":
                raise ValueError(f"truncation: wanted gaussian noise, got {truncation} for {noise} noise")
        fields = (weights, contexts, noise, scale, truncation)
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
        return float(self._means(step)[index("arm", arm, self.actions)] + self._draw(generator))

    def regret(self, step: int, arm: int) -> float:
        """Mean reward of the step's best arm less that of this arm, ≥ 0."""
        means = self._means(step)
        return float(means.max() - means[index("arm", arm, self.actions)])

    def _means(self, step: int) -> Float[np.ndarray, " arms"]:
        return self.context(step) @ (self.weights if self.weights.ndim == 1 else self.weights[step])

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
    weight_norm: float | None = None,
    noise_bound: float | None = None,
) -> LinearBandit:
    """The linear bandit of the paper's experiments: w* ~ U[0,1]^dim, one fixed set of U[−1,1]^dim actions.

    The noise is N(0, noise²). Three options, all off by default, bring the set-up under the theorem, which covers neither
    arbitrarily short actions nor unbounded noise: each action is redrawn until its norm is in `action_norm` = (b_a, B_a), w*
    until ‖w*‖ ≤ weight_norm, and the noise is conditioned on |noise| ≤ noise_bound. Bounds that hardly any draw meets are
    met all the same (`verify.environments.placing`).

    Raises:
        ValueError: if a size is not positive, or a bound is none.

    Source: arXiv 2310.08566, section 5 (experiments).

    >>> paper_linear_bandit(np.random.default_rng(0), action_norm=(0.5, 5**0.5)).contexts.shape
    (200, 10, 5)
    """
    dim, actions, horizon = _sizes(dim, actions, horizon)
    weights = within_ball(lambda: random(generator).random(dim), generator, weight_norm)
    offered = arms(generator, actions, dim, action_norm, None)
    return LinearBandit(weights, offered, "gaussian", noise, noise_bound, horizon)


def piecewise_linear_bandit(generator: np.random.Generator, pieces: int = 4, **settings: Any) -> LinearBandit:
    """The bandit of `paper_linear_bandit`, whose w* turns round: so many pieces of equal length, ±w* by turns.

    Args:
        generator: where all numbers come from.
        pieces: how many, 1 or more.
        settings: those of `paper_linear_bandit`.

    >>> bandit = piecewise_linear_bandit(np.random.default_rng(0), pieces=2, horizon=10)
    >>> bool((bandit.weights[4] == -bandit.weights[5]).all())
    True
    """
    whole = paper_linear_bandit(generator, **settings)
    piece = np.arange(whole.horizon) * checks.whole("pieces", pieces) // whole.horizon
    weights = np.where(piece % 2 == 0, 1.0, -1.0)[:, None] * whole.weights
    return LinearBandit(weights, whole.contexts, whole.noise, whole.scale, whole.truncation)


def gaussian_linear_bandit(
    generator: np.random.Generator,
    dim: int = 5,
    actions: int = 10,
    horizon: int = 200,
    prior_variance: float = 1.0,
    noise_variance: float = 2.25,
    fixed: bool = True,
    action_norm: tuple[float, float] | None = None,
    separation: float | None = None,
    weight_norm: float | None = None,
    noise_bound: float | None = None,
) -> LinearBandit:
    """The linear bandit of Thompson sampling: w* ~ N(0, λI), noise N(0, r), U[−1,1]^dim actions.

    The actions are one set for all steps, or drawn afresh at each step if not `fixed`. Four options, all off by
    default, bring it under the theorem's assumptions and its event: actions are redrawn until each has its norm
    in `action_norm` = (b_a, B_a) and lies at least `separation` = η from all those before it, w* is redrawn until
    ‖w*‖ ≤ weight_norm, and the noise is conditioned on |noise| ≤ noise_bound. Bounds that hardly any draw meets are met
    all the same (`verify.environments.placing`).

    Raises:
        ValueError: if a size or a variance is not positive, a bound is none, or arms cannot be so far apart.

    Source: arXiv 2310.08566, section 4.2 (law of w* and noise), section 5 (actions).

    >>> bandit = gaussian_linear_bandit(np.random.default_rng(0), fixed=False, separation=0.5, weight_norm=3.0)
    >>> bandit.contexts.shape, bandit.scale
    ((200, 10, 5), 1.5)
    """
    fixed = checks.flag("fixed", fixed)
    dim, actions, horizon = _sizes(dim, actions, horizon, sets=not fixed)
    prior_variance = checks.number("prior_variance", prior_variance, positive=True)
    noise_variance = checks.number("noise_variance", noise_variance, positive=True)
    scale = np.sqrt(prior_variance)
    weights = within_ball(lambda: scale * random(generator).standard_normal(dim), generator, weight_norm)
    sets = [arms(generator, actions, dim, action_norm, separation) for _ in range(1 if fixed else horizon)]
    contexts = sets[0] if fixed else np.array(sets)
    return LinearBandit(weights, contexts, "gaussian", np.sqrt(noise_variance), noise_bound, horizon)


def _sizes(dim: Any, actions: Any, horizon: Any, *, sets: bool = False) -> tuple[int, int, int]:
    """Wanted: integers of at least 1, and a bandit that fits into memory; `sets`, with a set of arms for each step."""
    dim, actions, horizon = (
        checks.whole(name, size) for name, size in (("dim", dim), ("actions", actions), ("horizon", horizon))
    )
    limits.hold("bandit", numbers=float(dim) * actions * (horizon if sets else 1))
    return dim, actions, horizon
