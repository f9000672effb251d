"""Kinds of records: how each is drawn, and what it has to have."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from verify.show import panels
from verify.show.panels import Record


@dataclass(frozen=True)
class Kind:
    """How one kind of record is drawn, and which fields it has to have: lists of one length, and others."""

    draw: Callable[[Axes, Record], None]
    lists: str
    others: str


SIZES = "horizons certified stated log_stated"
BANDS = "steps built true built_deviation true_deviation"
KINDS: Mapping[str, Kind] = {
    kind.draw.__name__: kind
    for kind in (
        Kind(
            panels.error_against_depth,
            "depths measured certified stated rounding",
            "spec.horizon spec.solver",
        ),
        Kind(
            panels.error_against_width,
            "errors measured certified neurons",
            "fit.exponent fit.constant domain",
        ),
        Kind(panels.size_against_horizon, SIZES, "fits.certified fits.stated spec source"),
        Kind(panels.regret, BANDS, "decisions differing label layers seeds spec"),
        Kind(panels.slack, "error promise own_error own_promise", "block"),
        Kind(panels.size_of_forms, "values", "variable forms.theorem forms.slim forms.narrow fits spec"),
        Kind(panels.stream_at_token, "", "registers spec steps"),
        Kind(panels.curves, "x y", "label look group"),
        Kind(panels.posterior, "probabilities", "center root points direction arms step"),
        Kind(panels.heat_map, "values", "words columns title"),
    )
}


def check(records: Sequence[Record]) -> None:
    """Hold records to be some, each to its kind."""
    if not records:
        raise ValueError("draw: wanted one or more records, got none")
    for record in records:
        _check(record)


def _check(record: Record) -> None:
    """Hold a record to its kind: fields present, curves of equal length, of finite numbers >= 0 if there is a logarithm."""
    kind = record.get("kind", "")
    if kind not in KINDS:
        raise ValueError(f"record: wanted a kind among {', '.join(KINDS)}, got {kind!r}")
    names, others = KINDS[kind].lists.split(), KINDS[kind].others.split()
    if kind == "slack":  # rows instead of curves
        rows = _field(record, "rows", kind) or [{}]
        record = {name: [_field(row, name, kind) for row in rows] for name in (*names, *others)}
    rows, least = [record], 0.0
    if kind == "curves":
        for name in ("title", "x_label", "y_label", "x_scale", "y_scale", "legend"):
            _field(record, name, kind)
        rows, least = _field(record, "curves", kind) or [{}], 0.0 if record["y_scale"] == "log" else -math.inf
    for row in rows:
        banded = [*names, "low", "high"] if kind == "curves" and "low" in row else names
        _check_lists(kind, {name: _field(row, name, kind) for name in (*banded, *others)}, banded, least)


def _check_lists(kind: str, fields: Mapping[str, Any], names: Sequence[str], least: float) -> None:
    """Hold the named fields to be lists of one length, of finite numbers that are not below `least`."""
    lists = {name: fields[name] if isinstance(fields[name], list) else [] for name in names}
    lengths = {name: len(values) for name, values in lists.items()}
    if names and (len(set(lengths.values())) != 1 or 0 in lengths.values()):
        raise ValueError(f"{kind}: wanted lists of one length >= 1, got lengths {lengths}")
    for name, values in lists.items():
        for x in values:
            number = (
                isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) and x >= least
            )
            if not number or (not x and "promise" in name):
                raise ValueError(f"{kind}: wanted finite {name} >= {least:g}, promises > 0, got {x!r}")


def _field(record: Record, path: str, kind: str) -> Any:
    """A field, or the field of a field, of a record."""
    value: Any = record
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise ValueError(f"{kind}: wanted a field {path}, got none")
        value = value[name]
    return value
