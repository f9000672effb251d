"""Built, true and trained, on the same histories and in the same bandits: the paper's figures 1 to 3 redone.

The true policy is that of the algorithm that the model was to learn: Thompson sampling for decision pretraining, the expert
for distillation. LinUCB as an expert takes the largest score, and no transformer of the paper does that exactly; what stands
in for it, true and built, is soft LinUCB at the temperature of Theorem 9, 0.003 at T = 200, at which the paper shows the
regret of LinUCB. How far that is from the expert itself is one more pair. UCB for Bernoulli arms has no built form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import linucb, thompson
from constructions.construction import Construction
from constructions.history import BanditHistory
from verify import algorithms, bound, ratio, theorems, train
from verify.posterior_sweeps import FLOOR, panel
from verify.sweeps import Record
from verify.theorems import pretraining
from verify.training import checkpoint
from verify.training.policy import HELD_OUT, Trained, contests, half_interval, true_algorithm
from verify.training.recipes import BanditRecipe, draw_tasks, player
from verify.training.tasks import play

Tell = Callable[[str, int, int], None]
Policies = dict[str, Float[np.ndarray, "histories steps arms"]]

NAMES = {"linucb": "LinUCB", "thompson": "Thompson sampling", "ucb": "UCB", "empirical": "empirical mean"}
OTHERS = {"linear": ("empirical", "thompson"), "bernoulli": ("empirical", "thompson", "ucb")}
"""The paper's baselines."""
LEAST = 1e-12
"""Smaller errors are drawn as this."""
LOWEST = 0.05
"""Arms of linear bandits are taken for no shorter; one in ten million is."""


@dataclass(frozen=True)
class Effort:
    """How much is played: runs for regret, 100 at a time; histories for distances; particles in each of 16 groups."""

    runs: int = 500
    histories: int = 100
    particles: int = 64

    def __post_init__(self):
        for name in ("runs", "histories", "particles"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name}: wanted 2 or more, got {getattr(self, name)}")


QUICK = Effort(runs=100, histories=20, particles=8)


def compare(
    model: Path | str, effort: Effort = Effort(), tell: Tell = lambda what, done, whole: None
) -> Record:
    """Everything about one model, as JSON; `records` holds the panels of each figure, for plots.draw.

    Raises:
        ValueError: if there is no such model, or it was not trained on bandits.
    """
    path = train.locate(model)
    trained = train.load(path)
    recipe = bandits(trained)
    _, step, settings, _ = checkpoint.load(path)
    name, trajectories = path.stem, step * train.from_record(settings).batch
    regret = regrets(trained, effort.runs, tell)
    policies = policies_on(trained, effort.histories, tell)
    pairs = distances(policies)
    found: Record = {
        "model": name,
        "recipe": recipe.problem,
        "steps": step,
        "true": NAMES[true_algorithm(recipe)],
        "runs": effort.runs,
        "histories": effort.histories,
        "regret": regret,
        "pairs": pairs,
        "records": {
            "regret": [regret_panel(name, regret, effort.runs)],
            "distances": distance_panels(pairs),
        },
    }
    target = policies.get("expert", policies["true"])
    apart = bound.hellinger(target, policies["trained"]).sum(axis=1).mean()
    log_ratio, found["ratio"] = 0.0, []
    if true_algorithm(recipe) == "thompson":
        ratios = ratio.experiment(recipe.actions, recipe.horizon, effort.particles, tell)
        found["ratio"] = [_ratio_row(one, trained, trajectories) for one in ratios]
        found["records"]["ratio"] = _ratio_panels(ratios)
        log_ratio = {"mixed": float(np.log(2)), "thompson": 0.0}[recipe.player]
    found["bound"] = {"measured": float(apart), **_bound(trained, trajectories, log_ratio)}
    return found


def bandits(trained: Trained) -> BanditRecipe:
    """The recipe of a model that was trained on bandits; of any other, a ValueError."""
    if not isinstance(trained.recipe, BanditRecipe):
        raise ValueError("model: wanted one trained on bandits, got one trained on episodes")
    return trained.recipe


def regrets(trained: Trained, runs: int, tell: Tell = lambda what, done, whole: None) -> Record:
    """Cumulative regret by player: mean and standard deviation at each step, half the mean's 95 % interval at the last."""
    recipe = bandits(trained)
    others = [one for one in OTHERS[recipe.problem] if one != true_algorithm(recipe)]
    played = contests(trained, runs, others, tell=lambda done, whole: tell("regret", done, whole))
    return {
        name: {
            "mean": (totals := regret.cumsum(axis=1)).mean(axis=0).tolist(),
            "deviation": totals.std(axis=0, ddof=1).tolist(),
            "half": half_interval(totals[:, -1]),
        }
        for name, regret in played.items()
    }


def stand_in(recipe: BanditRecipe) -> Construction | None:
    """The built transformer for a recipe's true algorithm, if there is one; of LinUCB, the soft one of Theorem 9.

    >>> from verify.training.recipes import RECIPES
    >>> round(stand_in(RECIPES["ad-linucb"]).spec.temperature, 6)
    0.003042
    """
    if true_algorithm(recipe) == "thompson":
        return thompson.build(thompson.BernoulliSpec(recipe.actions, recipe.horizon))
    if true_algorithm(recipe) != "linucb":
        return None
    longest = float(np.sqrt(recipe.dim))
    shared = {"ridge": 1.0, "exploration": 2.0, "weight_norm": longest}  # the paper's
    sizes = {"horizon": recipe.horizon, "actions": recipe.actions, "action_max": longest}
    spec = linucb.Spec(
        recipe.dim,
        recipe.actions,
        recipe.horizon,
        solver="newton",
        root="products",
        ridge=shared["ridge"],
        exploration=shared["exploration"],
        weight_norm=longest,
        temperature=theorems.evaluate(pretraining.TEMPERATURE, **sizes, **shared),
        action_norm=(LOWEST, longest),
        noise_bound=max(4 * recipe.noise, 1.0),
    )
    return linucb.build(spec)


def policies_on(trained: Trained, count: int, tell: Tell = lambda what, done, whole: None) -> Policies:
    """Log-probabilities of all policies along histories that the true algorithm makes on held-out problems."""
    recipe, true = bandits(trained), true_algorithm(trained.recipe)
    generator = np.random.default_rng([HELD_OUT, 0, 1])
    problems = draw_tasks(recipe, generator, count)
    seen = play(problems, player(true, problems, generator))
    built, rows = stand_in(recipe), {}
    for n, (arms, actions, rewards) in enumerate(zip(problems.arms, seen.actions, seen.rewards, strict=True)):
        contexts = np.repeat(arms[None], recipe.horizon, axis=0)
        history = BanditHistory(contexts, actions[:-1], rewards[:-1])
        found = {"trained": trained.log_probabilities(history)}
        if true == "thompson":
            found["true"] = algorithms.bernoulli_thompson(recipe, history)
        else:
            with np.errstate(divide="ignore"):
                found["expert"] = np.log(np.arange(recipe.actions) == actions[:, None])
        if built is not None:
            found["built"] = built.log_probabilities(history)
        if "true" not in found:
            found["true"] = algorithms.linucb(built.spec, history) if built else found["expert"]
        for name, policy in found.items():
            rows.setdefault(name, []).append(policy)
        tell("histories", n + 1, count)
    return {name: np.array(found) for name, found in rows.items()}


def distances(policies: Policies) -> Record:
    """Of each pair, step by step: total variation, and |log-probability error| where the second gives at least FLOOR."""
    pairs = [("built", "true"), ("trained", "true"), ("trained", "built")]
    if "built" in policies and "expert" in policies:
        pairs += [("true", "expert"), ("trained", "expert")]
    found = {}
    for one, other in pairs:
        if one in policies and other in policies:
            p, q = policies[one], policies[other]
            apart = np.abs(np.exp(p) - np.exp(q)).sum(axis=-1) / 2
            with np.errstate(invalid="ignore"):  # −∞ less −∞, both below the floor
                errors = np.where(q >= np.log(FLOOR), np.abs(p - q), 0.0).max(axis=-1)
            found[f"{one} ↔ {other}"] = {
                "variation": apart.mean(axis=0).tolist(),
                "variation_half": (1.96 * apart.std(axis=0, ddof=1) / np.sqrt(len(apart))).tolist(),
                "variation_mean": float(apart.mean()),
                "log_error": errors.mean(axis=0).tolist(),
                "log_error_worst": float(errors.max()),
            }
    return found


def _bound(trained: Trained, trajectories: int, log_ratio: float) -> Record:
    return bound.bound(trained.model, trained.recipe.horizon, trajectories, log_ratio)


def _ratio_row(one: ratio.Ratio, trained: Trained, trajectories: int) -> Record:
    """One context, as JSON."""
    ends = {name: getattr(one, name) for name in ("estimate", "low", "high")}
    return {
        "share": one.share,
        "mixing": one.mixing,
        **{name: values.tolist() for name, values in ends.items()},
        "effective": list(one.effective),
        "bound": _bound(trained, trajectories, float(one.estimate[-1])),
    }


def _curve(label: str, y: Any, low: Any = None, high: Any = None, look: str = "measured") -> Record:
    """One curve over the steps; a band's lower edge is cut off at 0."""
    curve = {"label": label, "x": list(range(1, len(y) + 1)), "y": list(y), "group": label, "look": look}
    return curve if low is None else curve | {"low": np.maximum(low, 0).tolist(), "high": list(high)}


def regret_panel(name: str, regret: Record, runs: int) -> Record:
    """What `regrets` found, for plots.draw."""
    curves = []
    for who, found in regret.items():
        mean, spread = np.array(found["mean"]), np.array(found["deviation"])
        look = "measured" if who in ("trained", "greedy") else "certified"
        curves.append(
            _curve(NAMES.get(who, who), mean.tolist(), mean - spread, (mean + spread).tolist(), look)
        )
    labels = ("step t", "cumulative regret (reward)")
    return panel(f"{name}: mean ± s.d., {runs} runs", labels, curves, ("linear", "linear"), "upper left")


def distance_panels(pairs: Record) -> list[Record]:
    """What `distances` found, for plots.draw: total variation and log-probability errors, step by step."""
    variation, errors = [], []
    for name, found in pairs.items():
        mean, half = np.array(found["variation"]), np.array(found["variation_half"])
        look = "certified" if name == "trained ↔ built" else "measured"
        variation.append(_curve(name, mean.tolist(), mean - half, (mean + half).tolist(), look))
        errors.append(_curve(name, np.maximum(found["log_error"], LEAST).tolist(), look=look))
    labels = ("step t", f"max |log p − log q|, or {LEAST:g}")
    scales = ("linear", "linear")
    return [
        panel("total variation, mean and 95 %", ("step t", "½ Σ |p − q|"), variation, scales, "upper right"),
        panel(f"arms of probability ≥ {FLOOR}", labels, errors, ("linear", "log"), "center right"),
    ]


def _ratio_panels(ratios: list[ratio.Ratio]) -> list[Record]:
    steps, whole = [], []
    for one in ratios:
        by_step = one.mixing == "step"
        values = (one.estimate, one.low, one.high) if by_step else np.exp([one.estimate, one.low, one.high])
        curve = _curve(f"α = {one.share:g}", *(row.tolist() for row in values))
        (steps if by_step else whole).append(curve)
    scales = ("linear", "linear")
    return [
        panel("a coin at each step, 95 %", ("step t", "log R (nats)"), steps, scales, "upper left"),
        panel("a coin for each trajectory, 95 %", ("step t", "R"), whole, scales, "center right"),
    ]
