"""The distribution ratio: how far the histories that a model was trained on are from those that it will make.

    R = E_{expert}[Π_t expert_t/context_t] = Σ_h P_expert(h)²/P_context(h)

The expert is Thompson sampling on Bernoulli arms with means U[0,1], the context α·Thompson + (1 − α)·uniform, mixed in one
of two ways. "trajectory": a coin is tossed before the first step, as in the paper's second experiment; then R ≤ 1/α, and
1/(α + (1 − α)Π_t uniform/expert), within [0, 1/α], is averaged over the expert's histories. "step": a coin at each step.
Then log R grows with T, and the plain average is worthless: the product is so heavy-tailed that all of it comes from
histories that hardly ever occur. But given the history, E[expert/context] is a finite sum, Z_t = Σ_a
expert_t(a)²/context_t(a), so

    R = E_tilted[Π_t Z_t],     tilted_t(a) = expert_t(a)²/(context_t(a) Z_t),

and the means integrated out, R is the normalising constant of a Markov chain on successes and failures, whose rewards are
won with probability (s + 1)/(n + 2). Particles with weights Z_t, drawn again whenever the weights have become uneven,
estimate it without bias, for every horizon at once. Independent groups of particles give the interval, which is somewhat
too narrow where groups differ by more than a factor of e or so.

Source: arXiv 2310.08566, Definition 5 and section 5; the estimator is sequential Monte Carlo as in Del Moral, Doucet and
Jasra (2006).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from verify.algorithms import bernoulli_thompson_at
from verify.environments.sampling import draw
from verify.play.lockstep import inverse

Tell = Callable[[int, int], None]

SHARES = (0.0, 0.1, 0.5, 1.0)
"""α of the paper's contexts."""
GROUPS = 16
"""Independent groups of particles."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """log R for the horizons 1..T.

    Attributes:
        share: α.
        mixing: "trajectory" or "step".
        estimate: log of the mean over groups, in nats, at least 0.
        low: lower ends of 95 % intervals, by the bootstrap over groups.
        high: upper ends.
        effective: of the expert's own histories, how many the plain average would effectively be of, and out of how many.
    """

    share: float
    mixing: str
    estimate: Float[np.ndarray, " steps"]
    low: Float[np.ndarray, " steps"]
    high: Float[np.ndarray, " steps"]
    effective: tuple[float, int]


def experiment(
    arms: int,
    horizon: int,
    particles: int,
    tell: Callable[[str, int, int], None] = lambda what, done, whole: None,
) -> list[Ratio]:
    """The ratios of the paper's contexts, mixed in both ways; for α = 1 they are 1."""
    generator = np.random.default_rng([2**32, 2])
    count = GROUPS * particles
    expert = of_expert(arms, horizon, count, generator, lambda done, whole: tell("expert", done, whole))
    found = []
    for share in SHARES[:-1]:
        chains = by_step(
            share,
            arms,
            horizon,
            groups=GROUPS,
            particles=particles,
            generator=generator,
            tell=lambda done, whole, share=share: tell(f"ratio, α = {share:g}", done, whole),
        )
        found.append(step_ratio(share, chains, expert, arms))
    return [*found, *(trajectory_ratio(share, expert, arms) for share in SHARES[1:])]


@dataclass(frozen=True, eq=False)
class Chains:
    """What each group of particles says of log R, and how often one had its particles drawn again."""

    groups: Float[np.ndarray, "groups steps"]
    resampled: int


def by_step(
    share: float,
    arms: int,
    horizon: int,
    *,
    groups: int,
    particles: int,
    generator: np.random.Generator,
    tell: Tell = lambda done, whole: None,
) -> Chains:
    """Particles of the tilted chain, `particles` in each group; a coin is tossed at each step.

    Raises:
        ValueError: for a share outside of [0, 1], or counts below 1.
    """
    _check(share, arms, horizon, groups, particles)
    counts = np.zeros((groups * particles, arms, 2))
    weights, settled = np.zeros((groups, particles)), np.zeros(groups)
    found, resampled = np.empty((groups, horizon)), 0
    for step in range(horizon):
        policy = np.exp(bernoulli_thompson_at(counts))
        tilted = policy**2 / (share * policy + (1 - share) / arms)
        weights += np.log(tilted.sum(axis=1)).reshape(groups, particles)
        found[:, step] = settled + logsumexp(weights, axis=1) - np.log(particles)
        _act(counts, inverse(tilted, generator.random(len(counts))), generator)
        for group in np.flatnonzero(_effective(weights) < particles / 2):
            chosen = _systematic(weights[group], generator)
            here = slice(group * particles, (group + 1) * particles)
            counts[here] = counts[here][chosen]
            settled[group], weights[group], resampled = found[group, step], 0.0, resampled + 1
        tell(step + 1, horizon)
    return Chains(found, resampled)


def of_expert(
    arms: int, horizon: int, count: int, generator: np.random.Generator, tell: Tell = lambda done, whole: None
) -> Float[np.ndarray, "count steps"]:
    """The terms log expert_t(a_t) along histories of the expert."""
    counts, found = np.zeros((count, arms, 2)), np.empty((count, horizon))
    for step in range(horizon):
        policy = np.exp(bernoulli_thompson_at(counts))
        actions = inverse(policy, generator.random(count))
        found[:, step] = np.log(policy[np.arange(count), actions])
        _act(counts, actions, generator)
        tell(step + 1, horizon)
    return found


def step_ratio(share: float, chains: Chains, expert: Float[np.ndarray, "count steps"], arms: int) -> Ratio:
    """The ratio when a coin is tossed at each step; `expert` tells what the plain average would have been worth."""
    plain = -np.log(share + (1 - share) / arms * np.exp(-expert)).sum(axis=1)
    return _ratio(share, "step", chains.groups, (float(_effective(plain[None])[0]), len(plain)))


def trajectory_ratio(share: float, expert: Float[np.ndarray, "count steps"], arms: int) -> Ratio:
    """The ratio when one coin is tossed for the whole history, from the expert's own histories.

    Raises:
        ValueError: for a share outside of (0, 1]: for 0, both kinds of mixing are the same, and this average worthless.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: wanted a number in (0, 1], got {share}")
    against = np.cumsum(-np.log(arms) - expert, axis=1)  # log of uniform/expert
    with np.errstate(divide="ignore"):
        terms = -np.logaddexp(np.log(share), np.log(1 - share) + against)
    return _ratio(share, "trajectory", terms, (float(_effective(terms[:, -1][None])[0]), len(terms)))


def _ratio(
    share: float, mixing: str, terms: Float[np.ndarray, "samples steps"], effective: tuple[float, int]
) -> Ratio:
    """Mean and bootstrap interval of equally good, independent, unbiased estimates, given by their logarithms."""
    generator, count = np.random.default_rng(0), len(terms)
    top = terms.max(axis=0, keepdims=True)
    shares = generator.multinomial(count, np.full(count, 1 / count), size=2000) / count
    again = np.log(shares @ np.exp(terms - top)) + top
    low, high = np.maximum(np.quantile(again, (0.025, 0.975), axis=0), 0)  # R ≥ 1
    estimate = np.maximum(np.asarray(logsumexp(terms, axis=0)) - np.log(count), 0)
    return Ratio(share, mixing, estimate, low, high, effective)


def _act(counts: Float[np.ndarray, "n arms 2"], actions: Int[np.ndarray, " n"], generator) -> None:
    """Play the actions; arms win with the probability that their past gives them."""
    every = np.arange(len(actions))
    wins, losses = counts[every, actions].T
    won = generator.random(len(actions)) < (wins + 1) / (wins + losses + 2)
    counts[every, actions, np.where(won, 0, 1)] += 1


def _effective(weights: Float[np.ndarray, "groups particles"]) -> Float[np.ndarray, " groups"]:
    """(ΣW)²/ΣW², of log-weights."""
    once, twice = (np.asarray(logsumexp(power * weights, axis=1)) for power in (1, 2))
    return np.exp(2 * once - twice)


def _systematic(weights: Float[np.ndarray, " n"], generator: np.random.Generator) -> Int[np.ndarray, " n"]:
    """As many members, each about as often as its weight says: one uniform, spread evenly."""
    odds = np.exp(weights - weights.max())
    places = (generator.random() + np.arange(len(odds))) / len(odds)
    return np.array([draw(odds, place) for place in places])


def _check(share: float, arms: int, horizon: int, groups: int, particles: int) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"share: wanted a number in [0, 1], got {share}")
    for name, value in (("arms", arms), ("horizon", horizon), ("groups", groups), ("particles", particles)):
        if value < 1:
            raise ValueError(f"{name}: wanted an integer ≥ 1, got {value}")
