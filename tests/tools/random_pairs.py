"""Random pairs of a specification and a history at the edge of what the door admits, for laws about certificates.

λ, B_a², τ, noise and separations are drawn over many decades, errors from what float64 just carries up to 1. Pairs that take
long are passed over before anything is built: layers and neurons are bounded, nothing else.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import soft_ucb1
from flint import arb

from constructions import linucb, thompson, ucbvi
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.inputs.bandits import DOOR, History, reward_bound
from constructions.rounding import rates
from constructions.thompson import nodes
from verify.balls import counts, linear
from verify.histories import (
    bernoulli as bernoulli_strategies,
)
from verify.histories import (
    episodes as episode_strategies,
)
from verify.histories import (
    linear as strategies,
)

EDGE = 0.99 * DOOR
"""By how much histories miss their bounds, as a part of them."""
LAYERS = 400
"""Tied layers at most; untied ones a sixteenth of it."""
Generator = np.random.Generator


class PassedOver(Exception):  # a draw that is not wanted, no error
    """A specification too deep or too wide to be enclosed in a second, or a history of which nothing is claimed."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A construction, its true algorithm, and a history."""

    built: Construction
    truth: Callable[..., Any]
    history: History


def decades(generator: Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform between two powers of ten."""
    return float(10.0 ** generator.uniform(low, high))


def digits(generator: Generator, most: float) -> float:
    """Part of the largest score that an error is: 10^-most to 1, in a third of all cases about the least there is."""
    return (
        decades(generator, -most, 0)
        if generator.random() < 2 / 3
        else decades(generator, -most - 2, 1 - most)
    )


# ---------------------------------------------------------------- linear bandits


def norms(generator: Generator) -> tuple[float, float]:
    """(b_a, B_a), B_a² over twelve decades; one norm for all in a third of all cases."""
    high = decades(generator, -3, 3)
    return high * float(generator.choice([1.0, 0.5, decades(generator, -3, 0)])), high


def sizes(generator: Generator) -> dict[str, Any]:
    """Dimension, horizon and norms."""
    return {
        "dim": int(generator.integers(1, 3)),
        "horizon": int(generator.integers(2, 6)),
        "action_norm": norms(generator),
    }


def edge(spec: Any, generator: Generator) -> BanditHistory:
    """An outline's history with norms, rewards, draws and distances as far out as the door lets in."""
    low, high = spec.action_norm
    wide = SimpleNamespace(
        dim=spec.dim,
        actions=spec.actions,
        horizon=spec.horizon,
        ridge=spec.ridge,
        action_norm=(low * (1 - EDGE), high * (1 + EDGE)),
        weight_norm=spec.weight_norm,
        noise_bound=spec.noise_bound,
    )
    condition = 1 + spec.horizon * high**2 / spec.ridge
    outline = strategies.LinearOutline(
        family=str(generator.choice(strategies.FAMILIES)),
        rewards=str(generator.choice(strategies.REWARDS)),
        norms=str(generator.choice(strategies.NORMS)),
        steps=int(generator.choice([spec.horizon, spec.horizon, generator.integers(1, spec.horizon + 1)])),
        weakness=float(generator.uniform(-3, math.log10(condition) + 1)),
        seed=int(generator.integers(2**32)),
    )
    history = outline.history(wide)
    contexts, draws = history.contexts, None
    if generator.random() < 0.25:  # one length for all, anywhere between the two
        length = decades(generator, *np.log10(wide.action_norm))
        contexts = contexts * (length / np.linalg.norm(contexts, axis=-1, keepdims=True))
    if separation := getattr(spec, "separation", 0.0):
        separation *= 1 - EDGE
        contexts = np.stack([beside(arms, separation, generator) for arms in contexts])
        try:
            contexts = np.stack([strategies.apart(arms, separation, wide.action_norm) for arms in contexts])
        except ValueError as error:
            raise PassedOver("no room") from error
    if getattr(spec, "form", "") == "sampling":
        draws = generator.normal(size=(outline.steps, spec.dim))
        longest = spec.draw_norm * (1 + EDGE)
        draws *= longest / np.linalg.norm(draws, axis=1, keepdims=True)
    rewards = history.rewards * (reward_bound(spec) * (1 + EDGE) / reward_bound(wide))
    return BanditHistory(contexts, history.actions, rewards, draws)


def beside(arms: np.ndarray, distance: float, generator: Generator) -> np.ndarray:
    """In half of all cases the second arm is turned, or moved on a line, to a given distance from the first."""
    first, norm, dim = arms[0], np.linalg.norm(arms[0]), arms.shape[1]
    if generator.random() < 0.5 or distance > 2 * norm:
        return arms
    if dim == 1:
        second = first - np.sign(first) * distance
    else:
        turn = 2 * math.asin(distance / (2 * norm))
        second = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ first
    return np.vstack([first, second, arms[2:]]) if norm_within(second, arms) else arms


def norm_within(vector: np.ndarray, arms: np.ndarray) -> bool:
    """Whether a vector is as long as other arms may be: between the shortest and the longest of these."""
    lengths = np.linalg.norm(arms, axis=1)
    return bool(lengths.min() <= np.linalg.norm(vector) <= lengths.max())


def shallow(method: rates.Descent, depth: int) -> None:
    """Pass over what is too deep."""
    if depth > (LAYERS // 16 if method.solver == "chebyshev" else LAYERS):
        raise PassedOver("deep")


def soft_linucb(generator: Generator, solver: str, root: str, depth: str = "certified") -> Pair:
    """λ, B_a² and τ over twelve decades; the error over as many digits of the largest score."""
    ridge, temperature, common = decades(generator, -6, 6), decades(generator, -6, 6), sizes(generator)
    if solver != "newton":  # or nearly all would be too deep
        high = math.sqrt(ridge * decades(generator, -6, 2.5))
        low, highest = common["action_norm"]
        common["action_norm"] = (min(high, high * low / highest), high)
    exploration = float(generator.choice([0.0, 1.0, decades(generator, -3, 3)]))
    high, rewards = common["action_norm"][1], decades(generator, -3, 3)
    width = high / math.sqrt(ridge) * exploration / temperature
    score = high / math.sqrt(ridge) * rewards * math.sqrt(common["horizon"]) / temperature + width
    error = score * digits(generator, 15)
    if root == "interpolation":
        error = max(error, width * 1e-6)  # of thousands of neurons at most
    if error > 1:
        error = 1.0
    if root == "interpolation" and error < width * 1e-6:
        raise PassedOver("wide")
    bounds = {"weight_norm": rewards / high / 2, "noise_bound": rewards / 2}
    spec = linucb.Spec(
        actions=int(generator.integers(2, 4)),
        error=error,
        solver=solver,
        root=root,
        ridge=ridge,
        exploration=exploration,
        temperature=temperature,
        depth=depth,
        **common,
        **bounds,
    )
    if solver != "newton":
        plan = linucb.plan(spec)
        shallow(linucb.descent_method(spec), max(deep for deep, *_ in plan.loops))
    return Pair(linucb.build(spec), linear.linucb, edge(spec, generator))


def posterior(generator: Generator, solver: str, **changes: Any) -> thompson.Spec:
    """Prior and noise variance, norms and separation over many decades."""
    common, prior = sizes(generator), decades(generator, -6, 6)
    snr = decades(generator, -6, 6 if solver == "newton" else 2)
    low, high = common["action_norm"]
    apart = low * decades(generator, -4, 0)
    spec = partial(
        thompson.Spec,
        solver=solver,
        prior_variance=prior,
        noise_variance=float(np.clip(prior * high**2 / snr, 1e-28, 1e28)),
        separation=apart,
        seed=int(generator.integers(100)),
        **(common | changes),
    )
    return spec


def two_arms(generator: Generator, solver: str) -> Pair:
    make = posterior(generator, solver, actions=2)
    first = make(error=1.0)
    theta = thompson.posterior.largest_ratio(first)
    least = max((theta / 1000) ** 2, 1e-13 * (1 + theta**2))  # of thousands of neurons at most
    if least > 1:
        raise PassedOver("wide")
    spec = make(error=max(least, decades(generator, math.log10(least), 0)))
    if solver != "newton":
        method, wanted = thompson.posterior.method(spec), spec.error / 40 / (1 + theta**2)
        shallow(method, depth_of(method, wanted))
    return Pair(thompson.build(spec), linear.thompson, edge(spec, generator))


def depth_of(method: rates.Descent, residual: float) -> int:
    """About so many layers lead to a residual."""
    rate = math.sqrt(method.condition) / (2 if method.solver == "chebyshev" else 1)
    return math.ceil(rate * math.log(4 / residual))


def sampled(generator: Generator, solver: str) -> Pair:
    make = posterior(generator, solver, actions=int(generator.integers(2, 4)), form="sampling")
    first = make(error=1.0)
    reach = thompson.posterior.reach(first)
    score = reach * (first.draw_norm + thompson.posterior.largest_ratio(first))
    spec = make(error=min(1.0, score * digits(generator, 15 if solver == "newton" else 9)))
    if solver != "newton":
        method = thompson.posterior.method(spec)
        shallow(method, depth_of(method, spec.error / score / 10))
    return Pair(thompson.build(spec), linear.thompson, edge(spec, generator))


def lines(generator: Generator, solver: str) -> Pair:
    """Three arms; pairs that the direction does not tell apart are passed over: of these nothing is claimed."""
    count = int(generator.choice([1, 2, 4]))
    spec = posterior(generator, solver, actions=3, nodes=count, error=decades(generator, -0.8, 0))()
    spec = replace(
        spec, horizon=min(spec.horizon, 3), separation=spec.action_norm[0] * decades(generator, -1.5, 0)
    )
    theta = thompson.posterior.largest_ratio(spec)
    if solver != "newton":
        method = thompson.posterior.method(spec)
        shallow(method, depth_of(method, 1e-8 / theta))
    history = edge(spec, generator)
    if not told_apart(spec, history):
        raise PassedOver("not told apart")
    return Pair(thompson.build(spec), linear.thompson, history)


def told_apart(spec: thompson.Spec, history: BanditHistory) -> bool:
    """Whether |⟨x_j − x_k, e⟩| ≥ ζ‖x_j − x_k‖ and ≥ δ for every pair of arms at every decision, with room for rounding."""
    rule, chosen = nodes.NodeRule.of(spec), history.chosen
    for step, arms in enumerate(history.contexts):
        gram = spec.ridge * np.eye(spec.dim) + chosen[:step].T @ chosen[:step]
        values, basis = np.linalg.eigh(gram)
        white = arms @ (basis / np.sqrt(values)) @ basis.T * math.sqrt(spec.noise_variance)
        first, second = np.triu_indices(spec.actions, 1)
        gaps = white[first] - white[second]
        least = np.maximum(nodes.APART * np.linalg.norm(gaps, axis=1), nodes.resolution(spec))
        if not (np.abs(gaps @ rule.direction) >= 1.01 * least).all():
            return False
    return True


# ---------------------------------------------------------------- what counts


def tossed(spec: Any, generator: Generator) -> History:
    """A history of Bernoulli arms."""
    return bernoulli_strategies.BernoulliOutline(
        str(generator.choice(bernoulli_strategies.PATHS)),
        str(generator.choice(bernoulli_strategies.REWARDS)),
        int(generator.choice([spec.horizon, generator.integers(1, spec.horizon + 1)])),
        int(generator.integers(2**32)),
    ).history(spec)


def bernoulli(generator: Generator) -> Pair:
    arms, horizon = int(generator.integers(2, 4)), int(generator.integers(1, 6))
    spec = thompson.BernoulliSpec(arms, horizon, decades(generator, -3, math.log10(0.5)))
    return Pair(thompson.build(spec), counts.bernoulli_thompson, tossed(spec, generator))


def episodes(generator: Generator, form: str) -> Pair:
    sizes = {name: int(generator.integers(1, 3)) for name in ("states", "actions", "horizon")}
    spec = ucbvi.Spec(
        **sizes,
        episodes=int(generator.integers(1, 5)),
        temperature=decades(generator, -6, 6),
        exploration=float(generator.choice([0.0, 1.0, decades(generator, -6, 6)])),
        form=form,
    )
    history = episode_strategies.EpisodeOutline(
        str(generator.choice(episode_strategies.PATHS)),
        str(generator.choice(episode_strategies.REWARDS)),
        int(generator.integers(1, spec.horizon * spec.episodes + 1)),
        int(generator.integers(2**32)),
    ).history(spec)
    return Pair(ucbvi.build(spec), counts.ucbvi, history)


def soft_ucb(generator: Generator) -> Pair:
    temperature, exploration = (
        decades(generator, -6, 6),
        float(generator.choice([0.0, decades(generator, -3, 3)])),
    )
    score = (1 + exploration) / temperature
    spec = soft_ucb1.Spec(
        actions=int(generator.integers(2, 4)),
        horizon=int(generator.integers(1, 6)),
        error=min(1.0, score * decades(generator, -7, 0)),
        exploration=exploration,
        temperature=temperature,
    )
    if spec.spread < 1e-8:
        raise PassedOver("wide")
    return Pair(soft_ucb1.build(spec), soft_ucb1_in_balls, tossed(spec, generator))


def soft_ucb1_in_balls(spec: Any, history: BanditHistory, steps: Any) -> np.ndarray:
    """Soft UCB1, straight from its definition."""
    found = np.empty((len(steps), spec.actions), dtype=object)
    for row, step in enumerate(steps):
        scores = []
        for arm in range(spec.actions):
            mine = history.actions[:step] == arm
            n, wins = max(int(mine.sum()), 1), int(history.rewards[:step][mine].sum())
            scores.append((arb(wins) / n + arb(spec.exploration) / arb(n).sqrt()) / arb(spec.temperature))
        highest = max(scores, key=lambda score: float(score.mid()))
        whole = sum(((score - highest).exp() for score in scores), arb(0)).log()
        found[row] = [score - highest - whole for score in scores]
    return found


# ---------------------------------------------------------------- the table

KINDS: dict[str, Callable[[Generator], Pair]] = {
    **{
        f"linucb {solver} {root}": partial(soft_linucb, solver=solver, root=root)
        for solver in ("gd", "agd", "chebyshev", "newton")
        for root in ("interpolation", "products")
    },
    **{
        f"linucb {solver} stated": partial(soft_linucb, solver=solver, root="interpolation", depth="stated")
        for solver in ("gd", "agd")
    },
    **{
        f"thompson {form} {solver}": partial(make, solver=solver)
        for form, make in (("two arms", two_arms), ("sampling", sampled), ("lines", lines))
        for solver in ("pade", "zolotarev", "chebyshev", "newton")
    },
    "thompson bernoulli": bernoulli,
    **{f"ucbvi {form}": partial(episodes, form=form) for form in ("theorem", "slim", "narrow")},
    "soft UCB1": soft_ucb,
}
"""Every solver, form and root, with what draws a pair of it."""
