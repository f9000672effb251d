"""Linear probes: which registers of the construction stand in the layers of a trained transformer, as linear functions.

At every level, the input of the first block and the output of each, ridge regression from what a state token holds to what
the true algorithm knows there. The ridge is chosen by cross-validation over whole problems, and R² is taken on problems that
the probe has not seen. Two controls: the same model with random weights, and targets that were dealt to other problems, step
by step in place, so that what is left is what the number of the step tells. R² ≤ 0 is possible, and means nothing was found.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from verify.catalog import Entry
from verify.comparison.stand_ins import home
from verify.play.lockstep import Problems, Seen, play
from verify.sweeps.records import curve, panel
from verify.training.kinds import seated
from verify.training.model import TrainedTransformer
from verify.training.policy import Trained

Record = dict[str, Any]
PENALTIES = tuple(10.0**power for power in range(-8, 3))
"""Ridges to choose from, relative to the mean variance of a feature."""

FOLDS = 5
CHUNK = 32
"""Problems whose activations are computed at a time."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear map with a constant: features ↦ features @ weights + constant."""

    weights: Float[np.ndarray, "features targets"]
    constant: Float[np.ndarray, " targets"]

    def r_squared(
        self, features: Float[np.ndarray, "samples features"], targets: Float[np.ndarray, "samples targets"]
    ) -> float:
        """1 − Σ(error²)/Σ(deviation from the mean)², over all targets together."""
        left = targets - features @ self.weights - self.constant
        return float(1 - (left**2).sum() / ((targets - targets.mean(axis=0)) ** 2).sum())


def ridge(
    features: Float[np.ndarray, "samples features"],
    targets: Float[np.ndarray, "samples targets"],
    penalty: float,
) -> Probe:
    """The least of Σ‖target − wᵀfeature − c‖² + p‖w‖², p = penalty · samples · (mean variance of a feature).

    >>> probe = ridge(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]), 0.0)
    >>> probe.weights.round(9).tolist(), probe.constant.round(9).tolist()
    ([[2.0]], [1.0])
    """
    [found] = _ridges(features, targets, [penalty])
    return found


def _ridges(
    features: Float[np.ndarray, "samples features"],
    targets: Float[np.ndarray, "samples targets"],
    penalties: Sequence[float],
) -> list[Probe]:
    """As `ridge`, for several penalties: products of features are formed once."""
    middle, mean = features.mean(axis=0), targets.mean(axis=0)
    centred = features - middle
    gram, moments = centred.T @ centred, centred.T @ (targets - mean)
    size = np.trace(gram) / len(gram)
    fitted = [np.linalg.solve(gram + penalty * size * np.eye(len(gram)), moments) for penalty in penalties]
    return [Probe(weights, mean - middle @ weights) for weights in fitted]


def cross_validated(
    features: Float[np.ndarray, "problems steps features"],
    targets: Float[np.ndarray, "problems steps targets"],
) -> Probe:
    """The probe with the penalty whose mean R² on left-out problems is largest, fitted to all."""
    folds, scores = np.arange(len(features)) % FOLDS, np.zeros(len(PENALTIES))
    for fold in range(FOLDS):
        kept, left = folds != fold, folds == fold
        asked, wanted = _rows(features[left]), _rows(targets[left])
        tried = _ridges(_rows(features[kept]), _rows(targets[kept]), PENALTIES)
        scores += [probe.r_squared(asked, wanted) for probe in tried]
    return ridge(_rows(features), _rows(targets), PENALTIES[int(scores.argmax())])


def _rows(array: Float[np.ndarray, "problems steps size"]) -> Float[np.ndarray, "samples size"]:
    return array.reshape(-1, array.shape[-1])


def exchanged(
    probe: Probe,
    own: Float[np.ndarray, "pairs width"],
    other: Float[np.ndarray, "pairs width"],
    columns: Int[np.ndarray, "pairs some"],
) -> Float[np.ndarray, "pairs width"]:
    """The least change after which the probe reads of each row what it reads of the other, in these columns.

    >>> probe = Probe(np.array([[3.0], [4.0]]), np.zeros(1))
    >>> change = exchanged(probe, np.zeros((1, 2)), np.array([[1.0, 0.5]]), np.zeros((1, 1), int))
    >>> change.round(9).tolist(), (change @ probe.weights).round(9).tolist()
    ([[0.6, 0.8]], [[5.0]])
    """
    maps = probe.weights[:, columns].transpose(1, 2, 0)  # pairs, some, width
    read = np.einsum("psw,pw->ps", maps, other - own)
    return np.einsum("pws,ps->pw", np.linalg.pinv(maps), read)


def registers(
    known: Callable[[Any, Any], Mapping[str, np.ndarray]], recipe: Any, problems: Problems, seen: Seen
) -> dict[str, Float[np.ndarray, "problems steps _"]]:
    """What the true algorithm of a recipe knows at each decision of each problem."""
    found = [known(recipe, history) for history in problems.histories(seen)]
    return {name: np.stack([each[name] for each in found]) for name in found[0]}


def activations(
    model: TrainedTransformer,
    tokens: Float[np.ndarray, "problems tokens entries"],
    places: Int[np.ndarray, " steps"],
) -> list[Float[np.ndarray, "problems steps width"]]:
    """What the state tokens hold at each level, in float64."""
    states, levels = torch.as_tensor(places, device=model.device), []
    with torch.no_grad():
        for some in torch.as_tensor(tokens).split(CHUNK):
            levels.append(
                [
                    level.double().numpy(force=True)
                    for level in model.activations(some.to(model.device), states)
                ]
            )
    return [np.concatenate(level) for level in zip(*levels, strict=True)]


def probes(
    trained: Trained,
    problems: int = 200,
    seed: int = 0,
    every: int = 4,
    tell: Callable[[int, int], None] = lambda done, whole: None,
    row: Entry | None = None,
) -> list[Record]:
    """R² by level for each register, of the model and of both controls; the problems are played as in training.

    Args:
        trained: a model.
        problems: half of them fit the probe, the other half measure it.
        seed: of problems and of random weights.
        every: one decision in so many is looked at.
        tell: told registers done and wanted.
        row: whose registers, a row of the catalog for the same problems; by default that of the model's recipe.

    Raises:
        ValueError: for a row that has none, or fewer than 2·FOLDS problems.
    """
    recipe, row = trained.recipe, row or home(trained.recipe)
    if row.registers is None:
        raise ValueError(f"registers: wanted some in the row {row.name}, got none")
    if problems < 2 * FOLDS:
        raise ValueError(f"problems: wanted at least {2 * FOLDS}, got {problems}")
    generator = np.random.default_rng([seed, 2**33])
    drawn: Any = recipe.draw(generator, problems)
    seen = play(drawn, seated(recipe, recipe.player, drawn, generator))
    tokens, known = recipe.encode(drawn, seen), registers(row.found("registers"), recipe, drawn, seen)
    fresh = TrainedTransformer(trained.model.shape, torch.Generator().manual_seed(seed))
    looked = slice(None, None, every)
    levels, random = (activations(model, tokens, recipe.places[looked]) for model in (trained.model, fresh))
    records = []
    for name, values in known.items():
        found = {
            "trained": by_level(levels, values[:, looked]),
            "random weights": by_level(random, values[:, looked]),
            "shuffled": by_level(levels, dealt(values[:, looked])),
        }
        records.append({"register": name} | found)
        tell(len(records), len(known))
    return records


def dealt(values: Float[np.ndarray, "problems steps size"]) -> Float[np.ndarray, "problems steps size"]:
    """The values of the problem after the next at the same steps, within each half; "mixed" players come by turns."""
    half = len(values) // 2
    return np.concatenate([np.roll(part, -2, axis=0) for part in (values[:half], values[half:])])


def by_level(
    levels: Sequence[Float[np.ndarray, "problems steps width"]],
    values: Float[np.ndarray, "problems steps size"],
) -> list[float]:
    """R² of one register at each level: the first half of the problems fits, the second measures."""
    half = len(values) // 2
    return [
        cross_validated(level[:half], values[:half]).r_squared(_rows(level[half:]), _rows(values[half:]))
        for level in levels
    ]


def panels(records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """A panel for each register, for plots.draw: the share of variance left unexplained, level by level."""
    looks = {"trained": "measured", "random weights": "certified", "shuffled": "stated"}
    return [
        panel(
            record["register"],
            ("layer", "variance unexplained, 1 − R²"),
            [
                curve(name, range(len(record[name])), [1 - value for value in record[name]], name, look)
                for name, look in looks.items()
            ],
            ("linear", "linear"),
        )
        for record in records
    ]
