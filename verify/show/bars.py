"""The numbers of a claim as a small bar on a logarithmic scale."""

import math

from constructions.showing import power_of_ten, typeset
from verify.audit import Verdict

WIDTH, HEIGHT, LEFT, RIGHT, LINE = 300, 40, 40, 284, 14
"""The bar's box, the ends of its axis and its height, in pixels."""


def bar(verdict: Verdict) -> str:
    """The three numbers on a logarithmic axis that ends at powers of ten; zeros stand left of it. SVG.

    What rounding may add counts to the certificate where the measured error is beyond it.
    """
    certified = verdict.certified
    if certified is not None and verdict.measured > certified:
        certified += verdict.rounding
    values = {"measured": verdict.measured, "certified": certified, "stated": verdict.stated}
    shown = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    logs = [math.log10(value) for value in shown.values() if value > 0]
    if not logs or len(shown) < 2:
        return ""
    low = math.floor(min(logs) + 1e-9)
    high = max(math.ceil(max(logs) - 1e-9), low + 1)
    scale = (RIGHT - LEFT) / (high - low)
    places = {
        name: LEFT + scale * (math.log10(value) - low) if value > 0 else 8.0 for name, value in shown.items()
    }
    every = math.ceil((high - low) / 8)
    ticks = "".join(
        f"<path class='axis' d='M{LEFT + scale * (n - low):.1f} {LINE - 4}v8'/>"
        for n in range(low, high + 1)
        if (n - low) % every == 0 or n == high
    )
    ends = "".join(
        f"<text x='{x}' y='{LINE + 20}' text-anchor='middle'>{power_of_ten(n)}</text>"
        for x, n in ((LEFT, low), (RIGHT, high))
    )
    zero = f"<text x='8' y='{LINE + 20}' text-anchor='middle'>0</text>" if 8.0 in places.values() else ""
    label = ", ".join(f"{name} {typeset(value)}" for name, value in shown.items())
    return (
        f"<svg class='bar' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{label}'><title>{label}</title>"
        f"<path class='axis' d='M{LEFT} {LINE}H{RIGHT}'/>{ticks}{ends}{zero}{_spans(places)}{_marks(places)}</svg>"
    )


def _spans(places: dict[str, float]) -> str:
    """The slack: a broad line between each number and the next."""
    names = list(places)
    return "".join(
        f"<path class='{'slack' if names[n + 1] == 'certified' else 'margin'}' stroke-width='5' "
        f"d='M{places[names[n]]:.1f} {LINE}H{places[names[n + 1]]:.1f}'/>"
        for n in range(len(names) - 1)
        if places[names[n]] < places[names[n + 1]] or names == ["measured", "stated"]
    )


def _marks(places: dict[str, float]) -> str:
    """Triangle, square and dot, the smallest on top, so that all three show where they coincide."""
    marks = ""
    if (x := places.get("stated")) is not None:
        marks += f"<path class='stated' stroke-width='1.3' d='M{x:.1f} {LINE - 9}l8 15h-16Z'/>"
    if (x := places.get("certified")) is not None:
        marks += f"<rect class='certified' stroke-width='1.8' x='{x - 4.5:.1f}' y='{LINE - 4.5}' width='9' height='9'/>"
    return marks + f"<circle class='measured' cx='{places['measured']:.1f}' cy='{LINE}' r='3'/>"
