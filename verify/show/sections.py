"""The folded parts of a page: one a construction, with cards, orders, statements, slack, wrong weights, figures; errata."""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from constructions.showing import typeset
from verify.audit import Report, Verdict
from verify.errata.entry import KINDS
from verify.show.cards import card, facts
from verify.show.links import Links, slug
from verify.show.tables import folded, part, table

SHOWN = 5
"""How many explicit claims stand first where a report marks none as its main ones."""
SIZES = dict(layers="layers", heads="heads", width="registers", hidden="neurons", norm="as the norm |||θ|||")
LEGENDS = {
    "regret": ("Bands are one standard deviation of true runs; dotted lines, the same of the transformer's."),
    "slack": (
        "Worst error of each block over its promise, with the errors of its inputs and without: left of the "
        "line is kept, and the distance to it is slack."
    ),
    "size_against_horizon": "Exponents are fitted with the stated formula's logarithm divided out.",
}
"""By kind of record, after the caption."""


def section(links: Links, report: Report, drawings: Mapping[str, str]) -> str:
    """All of one report, folded; claims that fail stand elsewhere, open."""
    name, held = links.name, [verdict for verdict in report.verdicts if verdict.holds]
    explicit = [verdict for verdict in report.verdicts if not verdict.fitted]
    chosen = [verdict for verdict in explicit if verdict.main] or explicit[:SHOWN]
    rest = [verdict for verdict in held if verdict in explicit and verdict not in chosen]
    shown = {figure: _figure(name, report, figure, svg) for figure, svg in drawings.items()}
    blocks = [figure for figure in shown if report.records[figure][0]["kind"] == "slack"]
    source = f"Source: {report.words.source.rstrip('.')}." if report.words.source else ""
    parts = [
        f"<p>{escape(report.words.claim)}</p>",
        f"<p class='small'>{escape(' '.join(filter(None, (source, report.words.code))))}</p>",
        f"<p class='small'>The main setting, {escape(_line(report.spec))}: {escape(sizes(report))}.</p>",
        f"<h3>Explicit claims: {count(explicit)}</h3>",
        *(card(links, verdict) for verdict in chosen if verdict.holds),
        folded(f"The other {len(rest)} explicit claims", "".join(card(links, one) for one in rest))
        if rest
        else "",
        _orders(links, [verdict for verdict in report.verdicts if verdict.fitted]),
        _statements(links),
        _slack(report.blocks, "".join(shown[figure] for figure in blocks)),
        _mutants(report.mutants),
        "<h3>Figures</h3>" if len(blocks) < len(shown) else "",
        *(text for figure, text in shown.items() if figure not in blocks),
    ]
    inside = "\n".join(filter(None, parts))
    return part(report.title, slug(name), inside, f"{count(report.verdicts)} claims hold")


def sizes(report: Report) -> str:
    """The measured sizes in words."""
    return ", ".join(
        f"{typeset(report.size[key])} {what}" for key, what in SIZES.items() if key in report.size
    )


def count(verdicts: Sequence[Verdict]) -> str:
    """How many hold, of how many. HTML."""
    held = sum(verdict.holds for verdict in verdicts)
    word = "holds" if held == len(verdicts) else "fails"
    return f"<b class='{word}'>{held} of {len(verdicts)}</b>" if verdicts else "none"


def _orders(links: Links, fits: Sequence[Verdict]) -> str:
    """Fitted exponents, beside the stated ones: within the window, or at most."""
    if not fits:
        return ""
    rows = []
    for verdict in (one for one in fits if one.holds):
        stated = verdict.held_to(verdict.stated, typeset(verdict.stated))
        rows.append(
            f"<td id='{links.place(verdict)}'>{escape(verdict.claim)}<br><small>{escape(verdict.source)}. "
            f"<code>{escape(links.command)}</code></small></td><td class='number measured'>{typeset(verdict.measured)}</td>"
            f"<td class='number'>{stated}</td><td><small>{escape(verdict.note)}</small></td><td class='holds'>holds</td>"
        )
    heads = ("claim", "fitted exponent", "stated", "fit", "")
    text = "<p class='small'>Exponents fitted to sweeps: evidence, not proof.</p>"
    return f"<h3>Orders: {count(fits)} agree</h3>{text}" + folded("All fitted exponents", table(heads, rows))


def _statements(links: Links) -> str:
    """The statements that claims are held to, and those that these are made of."""
    if not links.statements:
        return ""
    cards = [
        f"<article class='statement' id='{links.statement_place(one)}'><h4>{escape(one.name)}</h4>"
        + facts(
            {
                "kind": one.kind,
                "source": escape(one.source),
                "assumes": escape("; ".join(one.assumptions)),
                "uses": links.made_of(one),
                "used by": links.held_to(one),
            }
        )
        + "</article>"
        for one in links.statements.values()
    ]
    return folded(f"The {len(cards)} statements that these claims are held to", "".join(cards))


def _slack(blocks: Sequence[dict], drawn: str) -> str:
    """How much of its promise every block uses up, drawn and in numbers."""
    rows = []
    for row in blocks:
        note = f"<br><small>{escape(row['note'])}</small>" if row.get("note") else ""
        names = ("error", "promise", "slack", "own_error", "own_promise", "own_slack")
        cells = "".join(f"<td class='number'>{typeset(row[name])}</td>" for name in names)
        rows.append(f"<td>{escape(row['block'])}<br><small>{escape(row['domain'])}</small>{note}</td>{cells}")
    heads = ("block", "worst error", "promise", "slack", "own error", "own promise", "own slack")
    return (
        folded(f"Slack, block by block ({len(rows)} blocks)", drawn + table(heads, rows)) if rows else drawn
    )


def _mutants(mutants: Sequence[dict]) -> str:
    """Wrong weights that were tried, and what became of them."""
    if not mutants:
        return ""
    rows = [
        f"<td>{escape(one['place'])}</td><td>{escape(one['row'])}</td><td>{escape(one['column'])}</td>"
        f"<td class='number'>{typeset(one['score'])}</td><td><small>{escape(one['reason'])}</small></td>"
        for one in mutants
    ]
    heads = ("matrix", "row", "column", "worst error / promise", "why not noticed")
    return folded(f"Does the audit notice a wrong weight? {len(rows)} trials", table(heads, rows))


def _figure(name: str, report: Report, figure: str, svg: str) -> str:
    caption = report.words.captions.get(figure, "")
    legend = LEGENDS.get(report.records[figure][0]["kind"], "")
    text, place = escape(" ".join(filter(None, (caption, legend)))), slug(f"{name}-{figure}")
    return (
        f"<figure id='{place}'>{inline(svg, f'{place}-')}"
        f"<figcaption><b>{escape(figure)}.</b> {text}</figcaption></figure>"
    )


def inline(svg: str, prefix: str) -> str:
    """An SVG for use inside a page: no preamble, no metadata, ids of its own."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}", svg)
    width = float(match[1]) if (match := re.search(r'width="([\d.]+)pt"', svg)) else 0.0
    return svg.replace("<svg", "<svg class='broad'", 1) if width > 300 else svg


def errata(records: Sequence[Mapping]) -> str:
    """What was found wrong in the paper, with the smallest witness of each."""
    if not records:
        return part(
            "Errata", "errata", "<p>They were not run for this page: <code>weightwright errata</code>.</p>"
        )
    text = (
        "<p>Places where the paper as printed does not give what it says, each run on a smallest input as printed and as "
        "repaired. These are claims about published work; corrections to them are welcome.</p>"
    )
    parts = (
        f"<h3>{title}</h3>{_errata_table(chosen)}"
        for kind, title in KINDS.items()
        if (chosen := [record for record in records if record["kind"] == kind])
    )
    told = f"{sum(record['confirmed'] for record in records)} of {len(records)} confirmed"
    return part("Errata", "errata", f"{text}{''.join(parts)}", told)


def _errata_table(records: Iterable[Mapping]) -> str:
    rows = []
    for record in records:
        word, shown = ("holds", "confirmed") if record["confirmed"] else ("fails", "not confirmed")
        cells = "".join(
            f"<td class='number'>{typeset(record[key])}</td>" for key in ("wanted", "literal", "repaired")
        )
        proof = f"Proof: docs/{record['proof']}." if record["proof"] else "The repair is not proven."
        rows.append(
            f"<td><b>{escape(record['name'])}</b><br><small>{escape(record['where'])}</small></td>"
            f"<td>{escape(record['printed'])}<br><b>Repair:</b> {escape(record['repair'])}<br>"
            f"<b>Effect:</b> {escape(record['effect'])}. {escape(proof)}<details class='small'><summary>witness</summary>"
            f"{escape(record['witness'])}. {escape(record['context'])}</details></td>{cells}"
            f"<td class='{word}'>{shown}</td>"
        )
    heads = ("erratum", "as printed, repair, effect", "wanted", "as printed", "repaired", "")
    return table(heads, rows)


def _line(fields: Mapping) -> str:
    def shown(value) -> str:
        if isinstance(value, list | tuple):
            return "–".join(map(typeset, value))
        return typeset(value) if isinstance(value, float | int) else str(value)

    return ", ".join(f"{key.replace('_', ' ')} {shown(value)}" for key, value in fields.items())
