"""A claim as HTML: kind, source, numbers with ranks and the gaps between them, what it uses and what uses it, replay."""

from html import escape

from constructions.showing import typeset
from verify.audit import Verdict
from verify.show.bars import bar
from verify.show.links import Links

LONG = 150
"""Letters of a note that stand open."""
KINDS = {
    "bound": "a bound on an error, explicit",
    "size": "at most, explicit",
    "least": "at least, explicit",
    "order": "an order: an exponent, fitted",
}
"""What each kind of claim compares."""
NUMBERS = ("measured", "enclosed", "certified", "stated")
"""The numbers of a claim, in their order."""
RANKS = {"enclosed": "in balls", "certified": "proven"}
"""What stands behind a number, where it is always the same."""


def card(links: Links, verdict: Verdict) -> str:
    """A claim with its numbers side by side, under its address."""
    word, place = "holds" if verdict.holds else "fails", links.place(verdict)
    note = f"<p class='small'>{_note(verdict.note)}</p>" if verdict.note else ""
    number = f"<a class='place' href='#{place}'>{links.number(verdict)}</a>"
    return (
        f"<article id='{place}'><div><h4>{number} {escape(verdict.claim)}: <b class='{word}'>{word}</b></h4>"
        f"{note}{_facts(links, verdict)}{_replay(verdict)}</div>"
        f"<div>{_numbers(verdict)}{rounding(verdict)}{bar(verdict)}<p class='small'>{gaps(verdict)}</p></div></article>"
    )


def kind(verdict: Verdict) -> str:
    """What kind of claim it is, in words."""
    return f"{KINDS['order']}, at most" if verdict.fit else KINDS[verdict.kind]


def _facts(links: Links, verdict: Verdict) -> str:
    """Kind, source, statement, uses and used by, and how to measure it alone; what there is none of is left out."""
    rows = {
        "kind": kind(verdict),
        "source": escape(verdict.source),
        "stated by": links.stated_by(verdict),
        "uses": links.uses(verdict),
        "used by": links.used_by(verdict),
        "measure again": f"<code>{escape(links.command)}</code>",
    }
    return facts(rows)


def facts(rows: dict[str, str]) -> str:
    """Names and HTML side by side; what is empty is left out."""
    cells = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in rows.items() if text)
    return f"<dl class='facts'>{cells}</dl>"


def _replay(verdict: Verdict) -> str:
    """The worst history, and how to measure there alone."""
    if verdict.replay:
        return (
            "<details class='small'><summary>alone, on the worst history, in Python</summary>"
            f"<pre>{escape(verdict.replay)}</pre></details>"
        )
    if verdict.witness:
        seen = escape(verdict.history)
        return f"<details class='small'><summary>the worst history</summary><code>{seen}</code></details>"
    return ""


def ranked(verdict: Verdict) -> list[tuple[str, str, float]]:
    """The numbers of a claim in their order: name, what stands behind it, value."""
    ranks = RANKS | {
        "measured": "fitted" if verdict.fitted else verdict.rank,
        "stated": "a formula" if verdict.statement else "",
    }
    return [(name, ranks[name], value) for name in NUMBERS if (value := getattr(verdict, name)) is not None]


def _numbers(verdict: Verdict) -> str:
    cells, before = [], verdict.measured
    for number, (key, rank, value) in enumerate(ranked(verdict)):
        between = "·" if key == "enclosed" else _sign(verdict, before, value)
        before = before if key == "enclosed" else value
        told = f"<dt>{key}{f', {rank}' if rank else ''}</dt><dd>{typeset(value)}</dd>"
        cells.append((f"<span>{between}</span>" if number else "") + f"<div class='{key}'>{told}</div>")
    return f"<dl class='numbers'>{''.join(cells)}</dl>"


def _sign(verdict: Verdict, before: float, value: float) -> str:
    """How a number is to stand to the one before; struck out where a claim fails and it does not stand so."""
    wrong = before < value if verdict.sign == "≥" else before > value
    return verdict.sign if verdict.holds or not wrong else {"≤": "≰", "≥": "≱"}.get(verdict.sign, "≠")


def rounding(verdict: Verdict) -> str:
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


def gaps(verdict: Verdict) -> str:
    """The slack in words, from one number to the next; what rounding may add counts to the certificate."""
    ladder = [("measured", verdict.measured)] * 2
    if verdict.certified is not None:
        allowed = "certified with rounding" if rounding(verdict) else "certified"
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
