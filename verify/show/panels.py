"""What a panel of a figure shows, for each kind of record.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; line styles and markers tell the same
curves apart in grey. Records come from verify/sweeps; the rows of "slack" are probes of blocks.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

Record = Mapping[str, Any]
"""JSON values under a `kind`."""

BLACK, ORANGE, BLUE, VERMILLION, GREY, PALE = "#000000", "#E69F00", "#0072B2", "#D55E00", "#777777", "#E8E8E8"


@dataclass(frozen=True)
class Look:
    """How one kind of curve is drawn, everywhere: matplotlib's names, the marker's size in points."""

    color: str
    linestyle: str
    marker: str
    markersize: float
    markerfacecolor: str


LOOKS = {
    "measured": Look(BLUE, "-", "o", 2.8, BLUE),
    "certified": Look(VERMILLION, "--", "s", 5, "white"),
    "stated": Look(BLACK, ":", "^", 4, "white"),
}

SOLVERS = {"gd": "gradient descent", "agd": "accelerated descent"}


def error_against_depth(axes: Axes, record: Record) -> None:
    """Measured, certified and stated error of the ridge estimate; shaded, what float64 rounding may add to the second."""
    x, names = record["depths"], ("stated", "certified", "measured")
    for name in names:
        axes.semilogy(x, record[name], label=name, **vars(LOOKS[name]))
    seen = [y for y in (*record["measured"], *record["stated"]) if y > 0] or [1.0]
    bottom, floor = min(seen) / 300, max(record["rounding"])
    axes.set(xlim=(0, 1.02 * max(x)), ylim=(bottom, max(seen) * 10))
    if floor > bottom:
        axes.axhspan(bottom, floor, color=PALE, linewidth=0, zorder=0)
        axes.annotate("float64 rounding,\nbound", (0, floor), (4, -3), textcoords="offset points", va="top")
    taken = bottom
    for name in sorted(names, key=lambda name: record[name][-1]):
        last = max((n for n, y in enumerate(record[name]) if y >= bottom), default=0)
        y, whole = max(record[name][last], taken), last == len(x) - 1
        place, color = {"xytext": (7, 0), "textcoords": "offset points"}, LOOKS[name].color
        axes.annotate(name, (x[last], y), **place, va="center", color=color)
        taken = y * (max(seen) / bottom) ** 0.08 if whole else taken
    title = f"{SOLVERS[record['spec']['solver']]}, T = {record['spec']['horizon']}"
    axes.set(xlabel="depth (layers)", ylabel="worst ‖ŵ − w‖ (reward / action)", title=title)


def error_against_width(axes: Axes, record: Record) -> None:
    """Measured and certified error of √ by its neurons, and the fitted power law."""
    for name in ("certified", "measured"):
        axes.loglog(record["neurons"], record[name], label=name, **vars(LOOKS[name]) | {"linestyle": "none"})
    fit, (low, high) = record["fit"], record["domain"]
    law = [fit["constant"] * error ** -fit["exponent"] for error in record["errors"]]
    axes.loglog(law, record["errors"], color=GREY, label=f"neurons ∝ error⁻ᵖ,\n{_power(fit)}", zorder=1)
    axes.set(xlabel="neurons per arm", ylabel="error of √x (no unit)", title=f"√x on [{low:.2g}, {high:.2g}]")
    axes.legend(loc="lower left", handlelength=1.5)


def size_against_horizon(axes: Axes, record: Record) -> None:
    """Layers, stated and certified, with fitted powers of T times the logarithm in the stated formula."""
    x, logs = record["horizons"], record["log_stated"]
    for name, origin in (("stated", f" ({record['source']})"), ("certified", "")):
        look, fit = LOOKS[name], record["fits"][name]
        label = f"{name}{origin}, {_power(fit)}"
        axes.loglog(x, record[name], label=label, **vars(look) | {"linestyle": "none"})
        law = [fit["constant"] * t ** fit["exponent"] * log for t, log in zip(x, logs, strict=True)]
        axes.loglog(x, law, color=look.color, linestyle=look.linestyle, zorder=1, linewidth=0.9)
    axes.set(xlabel="horizon T (steps)", ylabel="layers", ylim=(None, max(record["stated"]) * 30))
    axes.set_title(f"{SOLVERS[record['spec']['solver']]}, error ≤ {record['spec']['error']:g}")
    place = {"loc": "upper left", "alignment": "left", "borderaxespad": 0, "handlelength": 1}
    axes.legend(title="layers ∝ Tᵖ × log", **place)


def regret(axes: Axes, record: Record) -> None:
    """Mean cumulative regret of the transformer and of true LinUCB, with bands of one standard deviation."""
    x, spec = record["steps"], record["spec"]
    (low, high), edges = (_band(record, name) for name in ("true", "built"))
    axes.plot(x, record["true"], color=ORANGE, linewidth=3, label=spec.get("name", "LinUCB"))
    band = f"mean ± s.d., {len(record['seeds'])} runs"
    axes.fill_between(x, low, high, color=ORANGE, alpha=0.2, linewidth=0, label=band)
    label = f"transformer, {record['layers']} layers"
    axes.plot(x, record["built"], "--", color=BLACK, linewidth=1, label=label)
    for edge in edges:
        axes.plot(x, edge, ":", color=BLACK, linewidth=0.7)
    top = max(*high, *edges[1], 1e-9)  # the legend has the upper 30 % for itself
    axes.set(xlabel="step t", ylabel="cumulative regret (reward)", xlim=(0, max(x)), ylim=(0, 1.45 * top))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=top > 5))
    setting = spec.get("setting") or f"d = {spec['dim']}, A = {spec['actions']}"
    note = f"{record['differing']:,} of {record['decisions']:,} decisions differ"
    axes.set_title(f"{record['label']}, {setting}\n{note}")
    axes.legend(loc="upper left", borderaxespad=0.2, handlelength=1.6, labelspacing=0.3)


def slack(axes: Axes, record: Record) -> None:
    """How much of its promise each block uses up: worst error over promise, own and with the errors of its inputs."""
    rows, shares = record["rows"][::-1], [1.0]
    for error, promise, label, name, lift in (
        ("error", "promise", "inputs’ errors included", "measured", 0.15),
        ("own_error", "own_promise", "its own", "certified", -0.15),
    ):
        used, places = [row[error] / row[promise] for row in rows], [n + lift for n in range(len(rows))]
        look: dict[str, Any] = vars(LOOKS[name]) | {"linestyle": "none"}
        axes.plot(used, places, label=label, **look)
        for place in (place for place, share in zip(places, used, strict=True) if not share):
            side = axes.get_yaxis_transform()
            axes.text(0.02, place, "0", va="center", color=LOOKS[name].color, transform=side)
        shares += filter(None, used)
    axes.axvline(1, color=BLACK, linewidth=0.8, zorder=0)
    bounds = {"xlim": (min(shares) / 5, max(shares) * 2), "ylim": (-0.6, len(rows) - 0.4)}
    axes.set(xlabel="worst error / promise (line: all of it)", **bounds)
    axes.set_xscale("log")  # once it has bounds: all shares may be 0
    axes.set_yticks(range(len(rows)), [_typeset(row["block"]) for row in rows])
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handletextpad=0.1, columnspacing=1)


FORMS = {"theorem": LOOKS["stated"], "slim": LOOKS["certified"], "narrow": LOOKS["measured"]}
RAISED = str.maketrans("-.0123456789", "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹")
LOWERED = {"_k": "ₖ", "_h": "ₕ", "^-0.5": "⁻¹ᐟ²", "^0.5": "¹ᐟ²"}
LETTERS = {"states": "S", "actions": "A", "horizon": "H", "episodes": "K"}


def size_of_forms(axes: Axes, record: Record) -> None:
    """Width of the three forms, with their fitted powers, and their neurons in pale."""
    x = record["values"]
    for form, look in FORMS.items():
        fit = record["fits"][form]["width"]
        power = f"{fit['exponent']:.2f}".translate(RAISED)
        label = f"{form}, D ∝ {LETTERS[record['variable']]}{power}"
        axes.loglog(x, record["forms"][form]["width"], label=label, **vars(look))
        pale = {"color": look.color, "linestyle": look.linestyle, "alpha": 0.35}
        axes.loglog(x, record["forms"][form]["hidden"], **pale)
    spec, variable = record["spec"], record["variable"]
    fixed = ", ".join(f"{sign} = {spec[name]}" for name, sign in LETTERS.items() if name != variable)
    axes.set(xlabel=f"{variable} {LETTERS[variable]}", ylabel="registers D, neurons D′ (pale)", title=fixed)
    axes.set_xticks(x, [str(value) for value in x])
    axes.minorticks_off()
    axes.set_ylim(None, 60 * max(record["forms"]["theorem"]["hidden"]))
    axes.legend(loc="upper left", handlelength=1.8, labelspacing=0.2, borderaxespad=0)


def stream_at_token(axes: Axes, record: Record) -> None:
    """Every register at one token, shaded by what it holds, with the layer and the heads or neurons that wrote it."""
    rows = registers(record)[::-1]
    longest = max(len(row["values"]) for row in rows)
    for place, row in enumerate(rows):
        values, top = row["values"], max(map(abs, row["values"])) or 1.0
        width = min(longest / len(values), 4.0)
        for n, value in enumerate(values):
            style = {"color": (1 - 0.85 * abs(value) / top,) * 3, "edgecolor": GREY, "linewidth": 0.3}
            axes.barh(place, width * 0.9, left=n * width, height=0.8, **style)
        what, count = ("head", row["heads"]) if row["heads"] else ("neuron", row["neurons"])
        writer = f"layer {row['layer']}: {count:,} {what}{'s' * (count != 1)}"
        text = writer if row["layer"] else "input"
        axes.annotate(text, (longest, place), (4, 0), textcoords="offset points", va="center")
    axes.set(xlim=(0, longest), ylim=(-0.7, len(rows) - 0.3))
    axes.set_yticks(range(len(rows)), [_typeset(row["name"]).replace("_", " ") for row in rows])
    axes.set_xticks([])
    for side in ("bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"{record['spec']['form']} form, decision {record['steps']}: dark is large")


def registers(record: Record) -> list[Mapping[str, Any]]:
    """The registers that are drawn: all but the levels of a maximum."""
    return [row for row in record["registers"] if not row["name"].startswith("level_")]


GROUPS = ((BLUE, "o"), (VERMILLION, "s"), ("#009E73", "^"), ("#CC79A7", "D"), (ORANGE, "v"), (GREY, "P"))
"""Colours and markers of groups of curves."""


def curves(axes: Axes, record: Record) -> None:
    """Named curves, some with a band; a group shares colour and marker, line and filling tell their kinds apart."""
    groups = list(dict.fromkeys(curve["group"] for curve in record["curves"]))
    for curve in record["curves"]:
        look, (color, marker) = LOOKS[curve["look"]], GROUPS[groups.index(curve["group"]) % len(GROUPS)]
        face = color if curve["look"] == "measured" else "white"
        often = {"markersize": 3, "markevery": max(1, len(curve["x"]) // 10), "markerfacecolor": face}
        style: dict[str, Any] = {"color": color, "linestyle": look.linestyle, "marker": marker, **often}
        axes.plot(curve["x"], curve["y"], label=curve["label"], **style)
        if "low" in curve:
            axes.fill_between(curve["x"], curve["low"], curve["high"], color=color, alpha=0.15, linewidth=0)
    axes.set_xscale(record["x_scale"])
    axes.set_yscale(record["y_scale"])
    places = sorted({x for curve in record["curves"] for x in curve["x"]})
    if record["x_scale"] == "log" and len(places) < 8 and all(x == int(x) for x in places):
        axes.set_xticks(places, [f"{int(x):,}" for x in places])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=record["x_label"], ylabel=record["y_label"], title=record["title"])
    axes.legend(loc=record["legend"], handlelength=1.8)


def posterior(axes: Axes, record: Record) -> None:
    """A posterior over weights in the plane: two ellipses, the arms, and the lines along which the policy is integrated."""
    center, root = np.array(record["center"]), np.array(record["root"])
    turns = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(turns), np.sin(turns)])
    reach = np.array([-4.0, 4.0])
    for point in np.array(record["points"]):
        line = center[:, None] + root @ (point[:, None] + np.outer(record["direction"], reach))
        axes.plot(*line, color=GREY, linewidth=0.4, zorder=1)
    for radius in (1, 2):
        axes.plot(*(center[:, None] + radius * root @ circle), color=BLUE, linewidth=1, zorder=2)
    axes.plot(*center, "o", color=BLUE, markersize=3)
    scale = 1.9 / max(np.linalg.norm(record["arms"], axis=1))
    turned = _apart([math.atan2(arm[1], arm[0]) for arm in record["arms"]])
    for arm, share, turn in zip(np.array(record["arms"]), record["probabilities"], turned, strict=True):
        arrow = {"arrowstyle": "->", "color": VERMILLION, "lw": 0.4 + 2 * share}
        axes.annotate("", scale * arm, (0, 0), arrowprops=arrow)
        x, y = 2.75 * math.cos(turn), 2.75 * math.sin(turn)
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(x, y, f"{share:.2f}", ha="center", va="center", color=VERMILLION, bbox=behind)
    axes.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), xlabel="w₁", ylabel="w₂", aspect="equal")
    axes.set_title(f"decision {record['step']}: P(arm is best)")


def _apart(angles: Sequence[float], least: float = 0.5) -> list[float]:
    """Angles moved so far that neighbours are `least` apart where there is room, each as little as a few rounds allow."""
    order, moved = np.argsort(angles), np.sort(angles)
    least = min(least, 2 * math.pi / len(moved))
    for _ in range(50):
        gaps = np.diff(moved, append=moved[0] + 2 * math.pi)
        push = np.maximum(least - gaps, 0) / 2
        moved = moved - push + np.roll(push, 1)
    placed = np.empty(len(moved))
    placed[order] = moved
    return placed.tolist()


def heat_map(axes: Axes, record: Record) -> None:
    """Numbers on a grid, row by row, each in its cell under a word of its own."""
    values = np.reshape(record["values"], (-1, record["columns"]))
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1.7 * (values.max() or 1.0))  # black can be read on it
    for (row, column), value in np.ndenumerate(values):
        text = f"{record['words'][row * record['columns'] + column]}\n{value:.2g}".strip()
        axes.text(column, row, text, ha="center", va="center")
    axes.set(xticks=[], yticks=[], title=record["title"])


def _typeset(name: str) -> str:
    """A block's name with small letters for indices and powers."""
    for plain, small in LOWERED.items():
        name = name.replace(plain, small)
    return re.sub(r"(?<=[a-z])_(\d)", lambda match: "₀₁₂₃₄₅₆₇₈₉"[int(match[1])], name)


def _power(fit: Mapping[str, float]) -> str:
    """A fitted exponent with half its interval, rounded up."""
    half = math.ceil((fit["high"] - fit["low"]) * 500) / 1000
    return f"p = {fit['exponent']:.3f} ± {half:.3f}"


def _band(record: Record, name: str) -> list[list[float]]:
    """A mean less and plus its standard deviation."""
    pairs = list(zip(record[name], record[f"{name}_deviation"], strict=True))
    return [[mean + sign * deviation for mean, deviation in pairs] for sign in (-1, 1)]
