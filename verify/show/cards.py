"""A claim as HTML: its numbers side by side and as a small bar on a logarithmic scale, its slack, where it stands."""

import math
from html import escape

from constructions.showing import power_of_ten, typeset
from verify.audit import Verdict

WIDTH, HEIGHT, LEFT, RIGHT, LINE = 300, 40, 40, 284, 14
"""The bar's box, the ends of its axis and its height, in pixels."""
LONG = 150
"""Letters of a note that stand open."""


def card(name: str, verdict: Verdict) -> str:
    """A claim with its numbers side by side."""
    word = "holds" if verdict.holds else "fails"
    note = f"<p class='small'>{_note(verdict.note)}</p>" if verdict.note else ""
    return (
        f"<article><div><h4>{escape(verdict.claim)}: <b class='{word}'>{word}</b></h4>{note}{_origin(name, verdict)}</div>"
        f"<div>{_numbers(verdict)}{_rounding(verdict)}{bar(verdict)}<p class='small'>{_gaps(verdict)}</p></div></article>"
    )


def _origin(name: str, verdict: Verdict) -> str:
    """Where a claim stands, the worst history, and how to measure it alone."""
    text = f"<p class='small'>{escape(verdict.source)}. <code>{alone(name)}</code></p>"
    if verdict.replay:
        text += (
            "<details class='small'><summary>alone, on the worst history, in Python</summary>"
            f"<pre>{escape(verdict.replay)}</pre></details>"
        )
    elif verdict.witness:
        seen = escape(verdict.history)
        text += f"<details class='small'><summary>the worst history</summary><code>{seen}</code></details>"
    return text


def alone(name: str) -> str:
    """The command that measures a construction alone."""
    return escape(f"weightwright verify {name}")


def _numbers(verdict: Verdict) -> str:
    pairs = [
        (key, value)
        for key in ("measured", "enclosed", "certified", "stated")
        if (value := getattr(verdict, key)) is not None
    ]
    cells = [
        (f"<span>{'·' if key == 'enclosed' else verdict.sign}</span>" if number else "")
        + f"<div class='{key}'><dt>{key}</dt><dd>{typeset(value)}</dd></div>"
        for number, (key, value) in enumerate(pairs)
    ]
    return f"<dl class='numbers'>{''.join(cells)}</dl>"


def _rounding(verdict: Verdict) -> str:
    """What float64 may add, where it can be seen beside the certificate; where it is above, that is no evidence."""
    large = verdict.rounding > 0.01 * (verdict.certified or 0.0)
    coarse = ", which is more than is certified: what is measured shows nothing" if verdict.coarse else ""
    return f"<small>and {typeset(verdict.rounding)} for rounding{coarse}</small>" if large else ""


def _note(note: str) -> str:
    """A note; a long one is folded after its first words."""
    if len(note) <= LONG:
        return escape(note)
    head = note[:LONG].rsplit(" ", 1)[0]
    return f"<details class='small'><summary>{escape(head)} …</summary>{escape(note[len(head) :])}</details>"


def _gaps(verdict: Verdict) -> str:
    """The slack in words, from one number to the next; what rounding may add counts to the certificate."""
    ladder = [("measured", verdict.measured)] * 2
    if verdict.certified is not None:
        allowed = "certified with rounding" if _rounding(verdict) else "certified"
        ladder[1:] = (allowed, verdict.certified + verdict.rounding), ("certified", verdict.certified)
        if verdict.enclosed is not None:
            ladder[:2] = ("enclosed", verdict.enclosed), ("certified", verdict.certified)
    if verdict.stated is not None:
        ladder = ladder[:-1] if verdict.certified is None else ladder
        ladder.append(("stated", verdict.stated))
    if verdict.kind == "least":
        ladder.reverse()
    texts = []
    for (low, small), (high, large) in zip(ladder[::2], ladder[1::2], strict=False):
        if small > 0 and large > 0:
            ratio = large / small
            texts.append(
                f"{high} equals {low}" if abs(ratio - 1) < 5e-3 else f"{high} is {typeset(ratio)} × {low}"
            )
    if verdict.relative is not None:
        texts.append(f"relative error {typeset(verdict.relative)}")
    return "; ".join(texts)


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
