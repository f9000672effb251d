"""Whom a model was trained on, Thompson sampling among uniform play, and what that does to its regret.

The paper's figure of distribution ratios.

Models that learn the optimal arm of Bernoulli bandits, alike but for α, the share of Thompson sampling's trajectories among
uniform ones. All play the same problems, which Thompson sampling plays too; beside regret stands the distribution ratio of
each context, and what the theorem on pretraining makes of it.

Source: arXiv 2310.08566, section 5 and the experiments' appendix (the figure on the effect of the distribution ratio).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from verify.comparison import pretraining_bound, ratio
from verify.comparison.panels import averaged
from verify.sweeps.records import Record, panel
from verify.training import checkpoint, train
from verify.training.kinds import BanditRecipe
from verify.training.policy import Trained, contests, half_interval

Tell = Callable[[str, int, int], None]
MODELS = tuple(f"dpt-share-{share:g}" for share in ratio.SHARES)
"""The shipped ones."""


def mixtures(
    models: Sequence[Path | str] = MODELS,
    runs: int = 500,
    particles: int = 64,
    tell: Tell = lambda what, done, whole: None,
) -> Record:
    """The figure, as JSON: `rows` by model, in order of α; `records` holds the panels, for plots.draw.

    A row has share, regret and excess over Thompson sampling at the horizon with half their 95 % intervals, log_ratio with
    its interval, and the theorem's bound.

    Args:
        models: by name or path, trained alike but for α.
        runs: problems to play, 100 at a time.
        particles: in each of 16 groups.
        tell: told what is being done, how far, and how far it goes.

    Raises:
        ValueError: if there are no models, or they differ in more than α.
    """
    loaded = {name: train.load(name) for name in models}
    recipes = _alike(loaded)
    recipe = next(iter(recipes.values()))
    ratios = {one.share: one for one in _ratios(recipe, particles, tell)}
    rows, regrets = [], {}
    for name, share in sorted(((name, one.share) for name, one in recipes.items()), key=lambda pair: pair[1]):
        trained = loaded[name]
        played = contests(
            trained, runs, (), tell=lambda done, whole, share=share: tell(_label(share), done, whole)
        )
        regrets[share] = {who: regret.cumsum(axis=1) for who, regret in played.items()}
        rows.append({"model": train.title(Path(name)), **_row(trained, name, regrets[share], ratios[share])})
    records = {"contexts": _panels(regrets)}
    return {"horizon": recipe.horizon, "runs": runs, "rows": rows, "records": records}


def _alike(loaded: Mapping[Path | str, Trained]) -> dict[Path | str, BanditRecipe]:
    """Their recipes, which differ in their share only."""
    recipes = {name: one.recipe for name, one in loaded.items() if isinstance(one.recipe, BanditRecipe)}
    kinds = {replace(one, share=0.5) for one in recipes.values()}
    shares = {one.share for one in recipes.values()}
    if len(shares) != len(loaded) or [one.player for one in kinds] != ["mixed"]:
        found = ", ".join(map(str, loaded)) or "none"
        raise ValueError(f"models: wanted models of mixed contexts that differ in their share, got {found}")
    return recipes


def _ratios(recipe: BanditRecipe, particles: int, tell: Tell) -> list[ratio.Ratio]:
    """One for each share, a coin being tossed for each trajectory; for α = 0 that is the same as one at each step."""
    found = ratio.experiment(recipe.actions, recipe.horizon, particles, tell)
    return [one for one in found if one.mixing == "trajectory" or one.share == 0]


def _row(trained: Trained, name: Path | str, regret: dict, one: ratio.Ratio) -> Record:
    """One model."""
    _, step, settings, _ = checkpoint.load(train.locate(name))
    trajectories = step * train.from_record(settings).batch
    excess = (regret["trained"] - regret["thompson"])[:, -1]
    last = {field: float(getattr(one, field)[-1]) for field in ("estimate", "low", "high")}
    return {
        "share": one.share,
        "regret": float(regret["trained"][:, -1].mean()),
        "regret_half": half_interval(regret["trained"][:, -1]),
        "thompson": float(regret["thompson"][:, -1].mean()),
        "excess": float(excess.mean()),
        "excess_half": half_interval(excess),
        "log_ratio": last["estimate"],
        "log_ratio_low": last["low"],
        "log_ratio_high": last["high"],
        "bound": pretraining_bound.bound(
            trained.model, trained.recipe.horizon, trajectories, last["estimate"]
        ),
    }


def _panels(regrets: dict[float, dict[str, Float[np.ndarray, "runs steps"]]]) -> list[Record]:
    """Cumulative regret, and how much of it Thompson sampling did not have."""
    whole = [averaged(_label(share), found["trained"]) for share, found in regrets.items()]
    whole.append(averaged("Thompson sampling", next(iter(regrets.values()))["thompson"], "certified"))
    excess = [
        averaged(_label(share), found["trained"] - found["thompson"]) for share, found in regrets.items()
    ]
    scales, runs = ("linear", "linear"), len(next(iter(regrets.values()))["trained"])
    return [
        panel(
            f"mean and 95 %, {runs} runs",
            ("step t", "cumulative regret (reward)"),
            whole,
            scales,
            "upper left",
        ),
        panel("the same problems", ("step t", "regret beyond Thompson's"), excess, scales, "upper left"),
    ]


def _label(share: float) -> str:
    return f"α = {share:g}"
