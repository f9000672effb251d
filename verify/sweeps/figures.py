"""Figures of any construction at any specification, as records: for rows of the catalog and of one's own, without more code.

depth     worst error, measured and certified, by layers, as the specification's `error` falls; a curve a way to build
width     the same by neurons
horizon   layers and neurons by the horizon, or by any other field that is a whole number
regret    cumulative regret of the transformer that acts, beside the true algorithm's
slack     how much of its promise each block uses up

Ways to build are the values of the field `solver`, or else `form`, where the specification's class names them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args, get_type_hints

import numpy as np

from constructions.construction import Construction
from constructions.history import EpisodeHistory
from constructions.parts.guarantee import guaranteed
from verify.audit import search, slack
from verify.catalog import Entry
from verify.play.episodes import play
from verify.play.rollout import SideBySide, rollouts
from verify.sweeps import records
from verify.sweeps.records import Record, curve, panel
from verify.sweeps.thompson import Acting

FACTORS = tuple(10 ** (n / 2) for n in (2, 1, 0, -1, -2, -3, -4))
"""What the error is multiplied by, for depth and width."""
SCALES = (1 / 4, 1 / 2, 1, 2, 4)
"""What the horizon is multiplied by."""


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        histories: searched for the worst error of each construction.
        seeds: runs for regret.
        over: the field that `horizon` varies.
        values: its values; left out, a quarter of the specification's to four times it.
        tell: told what is being built.
    """

    histories: int = 100
    seeds: int = 10
    over: str = "horizon"
    values: tuple[int, ...] = ()
    tell: Callable[[str], None] = lambda _: None


def ways(spec: Any) -> list[tuple[str, Any]]:
    """Every way to build what a specification asks for: its name and the specification.

    >>> from constructions import linucb
    >>> [name for name, _ in ways(linucb.Spec(dim=2, actions=2, horizon=3))]
    ['gd', 'agd', 'chebyshev', 'newton']
    """
    hints = get_type_hints(type(spec))
    for name in ("solver", "form"):
        values = [value for value in get_args(hints.get(name)) if isinstance(value, str)]
        if len(values) > 1:
            found = ((value, _changed(spec, name, value)) for value in values)
            return [(value, one) for value, one in found if one is not None]
    return [("", spec)]


def _changed(spec: Any, name: str, value: Any) -> Any:
    """The specification with another value of a field, or None where it refuses that."""
    try:
        return replace(spec, **{name: value})
    except ValueError:
        return None


def _built(
    entry: Entry, spec: Any, name: str, values: Sequence[Any], effort: Effort
) -> Iterator[tuple[str, Any, Construction]]:
    """Every way to build, at every value of a field; what is refused, being too deep or not to be had, is left out."""
    for way, chosen in ways(spec):
        for value in values:
            effort.tell(f"building {way} {name} = {value:g}")
            try:
                built = entry.build(replace(chosen, **{name: value}))
            except ValueError:
                continue
            yield way, value, built


def by_error(entry: Entry, spec: Any, effort: Effort) -> dict[str, list[dict[str, float]]]:
    """Sizes and errors of every way to build, as the error asked for falls: rows by way.

    Raises:
        ValueError: if the specification has no error to vary, or nothing can be built.
    """
    if not getattr(spec, "error", None):
        raise ValueError(f"figure: wanted a specification with a field error, got one of {entry.name}")
    found: dict[str, list[dict[str, float]]] = {}
    for way, _, built in _built(entry, spec, "error", [spec.error * factor for factor in FACTORS], effort):
        worst = search(built, entry.truth, effort.histories, source=entry.histories).error
        row = {"measured": worst, "certified": float(built.certificate), **built.transformer.counts()}
        found.setdefault(way, []).append(row)
    if not found:
        raise ValueError(f"figure: wanted a specification that can be built, got {spec}"[:300])
    return found


def depth(entry: Entry, spec: Any, effort: Effort = Effort()) -> list[Record]:
    """Error by layers."""
    return [_error_panel(entry, spec, effort, "layers", "layers L")]


def width(entry: Entry, spec: Any, effort: Effort = Effort()) -> list[Record]:
    """Error by neurons of the widest layer."""
    return [_error_panel(entry, spec, effort, "hidden", "neurons D′")]


def _error_panel(entry: Entry, spec: Any, effort: Effort, size: str, label: str) -> Record:
    rows = by_error(entry, spec, effort)
    curves = [
        curve(f"{way} {look}".strip(), [row[size] for row in own], [row[look] for row in own], way, look)
        for way, own in rows.items()
        for look in ("certified", "measured")
    ]
    kept = [one for one in curves if one["x"]]  # errors of 0 have no place on a logarithmic axis
    of = guaranteed(spec).of
    return panel(entry.title, (label, f"worst error of {of}"), kept)


def horizon(entry: Entry, spec: Any, effort: Effort = Effort()) -> list[Record]:
    """Layers, and neurons of the widest layer, by a field.

    Raises:
        ValueError: if the specification has no such field, or fewer than two of its values can be built.
    """
    names = [field.name for field in fields(spec) if type(getattr(spec, field.name)) is int]
    if effort.over not in names:
        raise ValueError(f"over: wanted one of {', '.join(names)}, got {effort.over}")
    here = getattr(spec, effort.over)
    values = effort.values or tuple(sorted({max(1, round(scale * here)) for scale in SCALES}))
    found: dict[str, list[tuple[int, dict[str, int]]]] = {}
    for way, value, built in _built(entry, spec, effort.over, values, effort):
        found.setdefault(way, []).append((value, built.transformer.counts()))
    if max(map(len, found.values()), default=0) < 2:
        raise ValueError(f"{effort.over}: wanted two values or more that can be built, of {values}")
    panels = []
    for size, label in (("layers", "layers L"), ("hidden", "neurons D′")):
        curves = (
            curve(way or entry.name, [n for n, _ in own], [counts[size] for _, counts in own], way)
            for way, own in found.items()
        )
        if drawn := [one for one in curves if one["x"]]:  # none of neurons, where there are none
            panels.append(panel(entry.title, (effort.over, label), drawn))
    return panels


def regret(entry: Entry, spec: Any, effort: Effort = Effort()) -> list[Record]:
    """Cumulative regret beside the true algorithm's, on the row's problems, with the same random numbers.

    An algorithm that draws for itself, as Thompson sampling does where the transformer has its probabilities, draws others.

    Raises:
        ValueError: if the row has no problem or no player, or what is built gives values.
    """
    environment, decoder = entry.playable("regret")
    effort.tell("building")
    built, seeds = entry.build(spec), range(effort.seeds)
    built.guarantee.hold_policy("regret")
    stages = [environment(spec, np.random.default_rng([n, 0])) for n in seeds]
    true = [decoder(spec, np.random.default_rng([n, 2])) for n in seeds]
    effort.tell(f"{effort.seeds} runs of each")
    if entry.seen is EpisodeHistory:
        runs = tuple(
            [
                play(stage, player, np.random.default_rng([n, 1]), spec.episodes)
                for n, stage, player in zip(seeds, stages, players, strict=True)
            ]
            for players in ([built.decoder() for _ in seeds], true)
        )
    else:
        draws = [np.random.default_rng([n, 2]) for n in seeds]
        own = Acting(built, draws) if built.guarantee.of == "scores" else built.decoder(len(seeds))
        runs = tuple(
            rollouts(stages, players, [np.random.default_rng([n, 1]) for n in seeds])
            for players in (own, SideBySide(true))
        )
    told = {"name": entry.found("words").short or entry.title, "setting": f"{effort.seeds} runs"}
    return [records.regret(built, runs, list(seeds), entry.played or entry.title, told)]  # type: ignore[arg-type]


def slacks(entry: Entry, spec: Any, effort: Effort = Effort()) -> list[Record]:
    """Every block's worst error over its promise, with the errors of its inputs and without."""
    effort.tell("building")
    built = entry.build(spec)
    effort.tell(f"searching {effort.histories} histories")
    findings = search(built, entry.truth, effort.histories, source=entry.histories)
    return [{"kind": "slack", "rows": [row for row in slack.rows(built, findings) if row["promise"]]}]


FIGURES: dict[str, Callable[[Entry, Any, Effort], Sequence[Record]]] = {
    "depth": depth,
    "width": width,
    "horizon": horizon,
    "regret": regret,
    "slack": slacks,
}
"""By name."""
