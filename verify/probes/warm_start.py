"""Is what is built a good place to begin pretraining? Whether it is stationary, how sharp, and whether it can be compressed.

The loss, its floor and the excess above it are those of lessons.py. Weights are those that are stored, none of them 0; noise
makes each w(1 + σz), z ~ N(0, 1). What is run is the literal transformer, layer by layer, as it would be trained. Intervals
[middle, low, high] are a mean with its 95 % interval by Student's t, or the median, least and largest of n draws, which
enclose the median of all with probability 1 − 2^(1 − n).
"""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from constructions import checks
from verify.probes.lessons import Lesson, Subject
from verify.sweeps.records import Record, curve, fit_power, panel, plain
from verify.training.kinds import Recipe
from verify.training.run import Run
from verify.training.train import train

Tell = Callable[..., None]
"""Told what, how much of it is done, and how much is wanted."""
SIGMAS = tuple(10.0 ** (half / 2) for half in range(-16, -1))
"""Sizes of the noise, two to a decade."""
NEAR = 0.01
"""An excess of this part of the floor is near it."""
NOISES = (0.0, 1e-6, 1e-4)
"""Sizes of the noise from which weights are trained."""
DESCENTS: Mapping[str, Callable[[Any], torch.optim.Optimizer]] = {
    f"{kind.__name__}, rate {rate:g}": partial(kind, lr=rate, weight_decay=0.0)
    for kind, rates in ((torch.optim.SGD, (1e-10, 1e-6)), (torch.optim.AdamW, (1e-7, 1e-3)))
    for rate in rates
}
"""How they are trained, by name."""


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        trajectories: in a batch; a quarter as many in those of descents.
        draws: of noise and of batches, for each size of the noise and of gradients' batches.
        steps: of descents.
        distilled: steps of the small transformers that learn the policy.
        seeds: of these, and of the noise from which weights are trained.
    """

    trajectories: int = 32
    draws: int = 6
    steps: int = 100
    distilled: int = 500
    seeds: int = 3

    def __post_init__(self):
        checks.settle(self, checks.whole, *(one.name for one in fields(self)), least=2)


QUICK = Effort(trajectories=4, draws=2, steps=2, distilled=2, seeds=2)


def warm_start(
    recipe: Recipe,
    row: str | None = None,
    given: Mapping[str, Any] | None = None,
    effort: Effort = Effort(),
    tell: Tell = lambda what, done, whole: None,
) -> Record:
    """What was found, as JSON; `records` has the panels, for plots.draw.

    Args:
        recipe: the problems.
        row: what is built, if not what stands in for the recipe's algorithm.
        given: fields of its specification.
        effort: how much is tried.
        tell: told what, how much of it is done and wanted.

    Raises:
        ValueError: as for `Subject.of` and `Subject.lesson`.
    """
    subject = Subject.of(recipe, row, given)
    held, built, weights = subject.lesson(0, 8 * effort.trajectories), subject.built, subject.noised(0.0, 0)
    with torch.no_grad():
        logs = subject.logs(weights, held)
        single = held.excess(subject.logs({name: one.float() for name, one in weights.items()}, held))
    floor = mean(held.floor)
    found = noises(subject, effort, partial(tell, "noise"))
    paths = descents(subject, effort, partial(tell, "descents"))
    return {
        "model": subject.entry.name,
        "problems": recipe.problem,
        "spec": plain(built.spec),
        "layers": built.size().layers,
        "weights": sum(one.numel() for one in weights.values()),
        "certificate": built.certificate,
        "floor": floor,
        "uniform": math.log(recipe.actions) - floor[0],
        "drawn": {"expert": mean(held.drawn(held.policy)), "built": mean(held.drawn(logs))},
        "excess": mean(held.excess(logs)),
        "float32": mean(single),
        "noise": found,
        "near": {part: near(found, part, NEAR * floor[0]) for part in subject.parts},
        "gradients": gradients(subject, effort, partial(tell, "gradients")),
        "descents": paths,
        "distilled": distilled(subject, held, effort, partial(tell, "distillation")),
        "records": {"warm-start": panels(found, paths)},
    }


def mean(values: Any) -> list[float]:
    """A mean and its interval."""
    values = np.asarray(values)
    middle, spread = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * spread
    return [middle, middle - half, middle + half]


def median(values: Sequence[float]) -> list[float]:
    """A median, the least and the largest."""
    return [float(np.median(values)), float(min(values)), float(max(values))]


def noises(subject: Subject, effort: Effort, tell: Tell) -> list[Record]:
    """The excess by part and size of the noise."""
    lessons = [subject.lesson(1 + number, effort.trajectories) for number in range(effort.draws)]
    rows, cases = [], [(part, sigma) for part in subject.parts for sigma in SIGMAS]
    for part, sigma in cases:
        found = [subject.excess(subject.noised(sigma, n, part), one) for n, one in enumerate(lessons)]
        rows.append({"part": part, "sigma": sigma, "excess": median(found)})
        tell(len(rows), len(cases))
    return rows


def near(rows: Sequence[Record], part: str, most: float) -> float | None:
    """The largest noise up to which no draw's excess is above `most`; None if there is none."""
    mine = [row for row in rows if row["part"] == part]
    kept = [row["sigma"] for row in takewhile(lambda row: row["excess"][2] <= most, mine)]
    return kept[-1] if kept else None


def gradients(subject: Subject, effort: Effort, tell: Tell) -> list[Record]:
    """Norms at built, noised and random weights w·z: by exact labels, and by drawn ones for each size of the batch.

    "exponent" is that of a power law through the latter, with its 95 % interval; None if one of them is 0.
    """
    least = max(1, effort.trajectories // 8)
    sizes, draws = (least, 4 * least, 16 * least), range(effort.draws)
    batches = {size: [subject.lesson(1 + draw, size) for draw in draws] for size in sizes}
    rows, cases = [], [*((1.0, sigma) for sigma in NOISES), (0.0, 1.0)]
    for keep, sigma in cases:
        noised = [subject.noised(sigma, draw, keep=keep) for draw in draws]
        drawn = [[subject.gradient(noised[n], batches[size][n], False) for n in draws] for size in sizes]
        exact = [subject.gradient(noised[n], batches[sizes[-1]][n], True) for n in draws]
        row = {"weights": f"σ = {sigma:g}" if keep else "random", "exact": median(exact), "sizes": sizes}
        rows.append(row | {"drawn": [median(one) for one in drawn], "exponent": exponent(sizes, drawn)})
        tell(len(rows), len(cases))
    return rows


def exponent(sizes: Sequence[int], norms: Sequence[Sequence[float]]) -> list[float] | None:
    """How norms go with the size of the batch, by several for each."""
    if not min(map(min, norms)) > 0:
        return None
    law = fit_power(np.repeat(sizes, len(norms[0])), np.concatenate(norms))
    return [law.exponent, law.low, law.high]


def descents(subject: Subject, effort: Effort, tell: Tell) -> list[Record]:
    """The excess along descents on drawn labels, every batch a new one."""
    held, size = subject.lesson(0, effort.trajectories), max(1, effort.trajectories // 4)
    lessons = [subject.lesson(1000 + step, size) for step in range(effort.steps)]
    seen = sorted({round(effort.steps * tenth / 10) for tenth in range(11)})
    rows, cases = [], [(name, sigma) for sigma in NOISES for name in DESCENTS]
    for name, sigma in cases:
        paths = []
        for seed in range(effort.seeds):
            weights = subject.noised(sigma, seed)
            optimiser, path = DESCENTS[name](weights.values()), [subject.excess(weights, held)]
            for step, lesson in enumerate(lessons, 1):
                optimiser.zero_grad()
                lesson.drawn(subject.logs(weights, lesson)).mean().backward()
                optimiser.step()
                path += [subject.excess(weights, held)] if step in seen else []
            paths.append(path)
        along = [median(values) for values in zip(*paths, strict=True)]
        rows.append({"descent": name, "sigma": sigma, "steps": seen, "excess": along})
        tell(len(rows), len(cases))
    return rows


def distilled(subject: Subject, held: Lesson, effort: Effort, tell: Tell) -> list[Record]:
    """The excess of small transformers that learnt the built one's probabilities, or drawn labels, on equal trajectories."""
    lessons = [subject.lesson(10**6 + step, effort.trajectories) for step in range(effort.distilled)]
    with torch.no_grad():
        built = subject.noised(0.0, 0)
        odds = [subject.logs(built, one).exp().float().numpy() for one in lessons]
    hard = [one.learnt for one in lessons]
    soft = [replace(batch, labels=labels) for batch, labels in zip(hard, odds, strict=True)]
    rows, done = [], 0
    for kind, batches in {"soft": soft, "hard": hard}.items():
        found = []
        for seed in range(effort.seeds):
            run = Run(subject.recipe, effort.distilled, effort.trajectories, seed)
            with tempfile.TemporaryDirectory() as folder, torch.no_grad():
                with torch.enable_grad():
                    model = train(run, Path(folder), every=run.steps, source=batches.__getitem__).cpu()
                logs = model(torch.as_tensor(held.learnt.tokens), torch.as_tensor(subject.recipe.places))
            found.append(float(held.excess(logs.double().log_softmax(dim=2)).mean()))
            tell(done := done + 1, 2 * effort.seeds)
        rows.append({"labels": kind, "excess": mean(found)})
    return rows


def panels(noise: Sequence[Record], paths: Sequence[Record]) -> list[Record]:
    """The excess against the noise, by part, and along the descents from noise; what is 0 throughout is left out."""
    label, parts = "nats per decision above the floor", dict.fromkeys(row["part"] for row in noise)
    mine = {part: [row for row in noise if row["part"] == part] for part in parts}
    sharp = [
        _curve(part, [row["sigma"] for row in rows], [row["excess"] for row in rows])
        for part, rows in mine.items()
    ]
    along = [
        _curve(row["descent"], row["steps"], row["excess"]) for row in paths if row["sigma"] == NOISES[1]
    ]
    drawn = [
        panel("noise on built weights", ("relative noise σ", label), [one for one in sharp if one["y"]]),
        panel(
            f"trained from σ = {NOISES[1]:g}",
            ("step", label),
            [one for one in along if one["y"]],
            ("linear", "log"),
        ),
    ]
    return [one for one in drawn if one["curves"]]


def _curve(name: str, x: Sequence[float], found: Sequence[Sequence[float]]) -> Record:
    return curve(name, x, [middle for middle, _, _ in found], name)
