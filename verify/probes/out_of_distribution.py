"""Amortised or algorithmic? Problems unlike those of training, met by the true algorithm, a trained and a built transformer.

Built and true agree on all of them by proof, as far as the norm bounds of the spec reach: their difference stands beside the
certificate. A trained transformer need not agree with anything; its regret stands beside that of the true algorithm on the
same problems, and its total variation from it on the histories that the true algorithm makes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from constructions.construction import Construction
from verify.comparison.guests import Guest
from verify.comparison.stand_ins import bounds, truth
from verify.play.lockstep import ByDecoder, Problems, Seen, play
from verify.sweeps.records import Record, curve, panel
from verify.training.kinds import Recipe, seated
from verify.training.model import TrainedTransformer
from verify.training.policy import Trained
from verify.training.shifts import NOISES, Shift, shifts

PROBED = 4
"""Histories on which a built transformer is held against its certificate."""


def lengthened(trained: Trained, horizon: int) -> Trained:
    """The model for a longer horizon: the learned vectors of the last two places, action and state, serve for all beyond.

    Training says nothing about places that it never had, so that some such choice has to be made.

    Raises:
        ValueError: if the horizon is shorter than that of training.
    """
    old, tokens = trained.model, 2 * horizon - 1
    last = old.shape.tokens - 1
    if tokens <= last:
        raise ValueError(f"horizon: wanted at least {trained.recipe.horizon}, got {horizon}")
    recipe, shape = replace(trained.recipe, horizon=horizon), replace(old.shape, tokens=tokens)  # type: ignore[call-arg]
    model = TrainedTransformer(shape, torch.Generator().manual_seed(0)).to(old.device)
    places = np.arange(tokens)
    kept = np.where(places <= last, places, last - (places - last) % 2)
    model.load_state_dict(old.state_dict() | {"positions": old.positions.detach()[kept]})
    return Trained(recipe, model)


def true_policies(recipe: Recipe, problems: Problems, seen: Seen) -> Float[np.ndarray, "batch steps arms"]:
    """The true algorithm's probabilities along its own runs: 1 for what it took, if it is certain."""
    if recipe.seats[recipe.algorithm].certain:
        return np.eye(recipe.actions)[seen.actions]
    spec, true = bounds(recipe), truth(recipe)
    return np.exp(np.stack([true(spec, history) for history in problems.histories(seen)]))


def built_error(recipe: Recipe, built: Construction, problems: Problems, seen: Seen) -> float:
    """The worst error on a few runs, of those that the certificate bounds."""
    true, worst = truth(recipe), -np.inf
    for history in problems.histories(seen)[:PROBED]:
        gaps = built.guarantee.errors(true(built.spec, history), built.log_probabilities(history))
        worst = max(worst, float(gaps.max()))
    return worst


def probe(
    trained: Trained | Guest,
    built: Construction | None = None,
    problems: int = 64,
    seed: int = 0,
    chosen: Mapping[str, Shift] | None = None,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> list[Record]:
    """One record a shift: regret at the horizon, and total variation from the true algorithm step by step.

    Args:
        trained: the model; one of one's own is not asked for more steps than its recipe has, and such shifts are left out.
        built: a transformer built for the same problems, whose spec admits all shifts; a shift with more steps than its
            horizon leaves it out.
        problems: how many; the same ones are shifted every time.
        seed: of the problems.
        chosen: the shifts; by default all those of the recipe.
        tell: told shifts done and wanted.

    Raises:
        ValueError: for a shift that leaves the norm bounds of `built`.
    """
    original = trained.recipe.draw(np.random.default_rng([seed, 2**33]), problems)
    records, chosen = [], shifts(trained.recipe) if chosen is None else chosen
    for name, shift in chosen.items():
        moved = shift(original, np.random.default_rng([seed, 2**33 + 1]))
        if isinstance(trained, Guest) and moved.steps > trained.recipe.horizon:
            continue
        records.append({"shift": name} | _one(trained, built, moved, seed))
        tell(len(records), len(chosen))
    return records


def _one(trained: Trained | Guest, built: Construction | None, moved: Problems, seed: int) -> Record:
    """What becomes of one batch of problems."""
    past_training = moved.steps > trained.recipe.horizon
    model: Any = lengthened(trained, moved.steps) if past_training else trained  # type: ignore[arg-type]
    recipe: Any = model.recipe
    players = {
        "true": seated(recipe, recipe.algorithm, moved, np.random.default_rng([seed, 2**33 + 2])),
        "trained": model.player(moved),
        "greedy": model.player(moved, greedy=True),
    }
    use = built if built is not None and built.tokens.decisions >= moved.steps else None
    if use is not None:
        players["built"] = ByDecoder(use.decoder(batch=len(moved.uniforms)), moved)
    runs = {name: play(moved, one) for name, one in players.items()}
    totals = {name: moved.regret(run).sum(axis=1) for name, run in runs.items()}
    seen = runs["true"]
    apart = np.abs(model.policies(moved, seen) - true_policies(recipe, moved, seen)).sum(axis=2) / 2
    return {
        "steps": moved.steps,
        "positions extrapolated": past_training,
        "regret": {name: mean_and_error(total) for name, total in totals.items()},
        "excess": mean_and_error(totals["trained"] - totals["true"]),
        "distance": mean_and_error(apart.mean(axis=1)),
        "distances": apart.mean(axis=0).tolist(),
        "built error": None if use is None else built_error(recipe, use, moved, seen),
        "certificate": None if use is None else use.certificate,
    }


def mean_and_error(values: Float[np.ndarray, " problems"]) -> list[float]:
    """The mean over problems and its standard error."""
    return [float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))]


def panels(records: Sequence[Mapping[str, Any]], smooth: int = 10) -> list[Record]:
    """For plots.draw: regret against the noise, where it was varied, and total variation along the steps.

    The latter for the first record and the two of the largest distance, in means over `smooth` steps.
    """
    ordered = sorted(records[1:], key=lambda record: -record["distance"][0])
    lines = []
    for record in [records[0], *ordered[:2]]:
        count = record["steps"] // smooth
        means = np.reshape(record["distances"][: count * smooth], (count, smooth)).mean(axis=1)
        middles = [(number + 0.5) * smooth for number in range(count)]
        lines.append(curve(record["shift"], middles, means.tolist(), record["shift"]))
    found = [
        panel("distance from the true algorithm", ("step", "total variation"), lines, ("linear", "linear"))
    ]
    at = {"as in training": 1.0} | {f"noise × {factor:g}": factor for factor in NOISES}
    noisy = sorted((at[record["shift"]], record) for record in records if record["shift"] in at)
    if len(noisy) > 1:
        factors = [factor for factor, _ in noisy]
        curves = [
            curve(name, factors, [record["regret"][name][0] for _, record in noisy], name, look)
            for name, look in (("true", "certified"), ("trained", "measured"))
        ]
        labels = ("noise, in units of that of training", "regret at the horizon")
        found.insert(0, panel("noise", labels, curves, ("linear", "linear")))
    return found
