"""The page of a folder of reports as HTML: verdict, claims with their numbers, figures, errata, limits.

One file, without scripts and without references to anything outside it; page.html is its frame, limits.html what only the
paper's constructions need said.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from constructions.showing import typeset
from verify.audit import Report, Verdict
from verify.errata.entry import KINDS, SOURCE
from verify.show.cards import alone, card

FRAME, LIMITS = (Path(__file__).with_name(name) for name in ("page.html", "limits.html"))
SHOWN = 5
"""How many explicit claims stand open where a report marks none as its main ones."""
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


def page(
    reports: Mapping[str, Report], drawings: Mapping[str, Mapping[str, str]], errata: Sequence[Mapping]
) -> str:
    """The page; `drawings` are SVG texts by construction and figure."""
    links = {name: report.words.short or report.title for name, report in reports.items()}
    sources = dict.fromkeys(filter(None, (report.words.source for report in reports.values())))
    of_paper = SOURCE in sources
    word, verdict = _verdict(reports.values(), errata if of_paper else ())
    links |= {"errata": "Errata"} if of_paper else {}
    links |= {"limits": "What the numbers do not say", "reproduce": "Reproduce"}
    return Template(FRAME.read_text(encoding="utf-8")).substitute(
        nav=" ".join(f"<a href='#{escape(name)}'>{escape(text)}</a>" for name, text in links.items()),
        sources="; ".join(map(escape, sources)) or "not recorded",
        word=word,
        verdict=verdict,
        summary=_summary(reports),
        sections="\n".join(_section(name, report, drawings[name]) for name, report in reports.items()),
        errata=_errata(errata) if of_paper else "",
        limits=LIMITS.read_text(encoding="utf-8") if of_paper else "",
        commands=escape(_commands(reports, of_paper)),
    )


def _verdict(reports: Iterable[Report], errata: Sequence[Mapping]) -> tuple[str, str]:
    """A class and a sentence; claims that fail are named."""
    verdicts = [verdict for report in reports for verdict in report.verdicts]
    failed = [verdict.claim for verdict in verdicts if not verdict.holds]
    doubtful = [record["name"] for record in errata if not record["confirmed"]]
    if not verdicts:
        return "fails", "No claim was checked."
    if failed:
        names = "".join(f"<br>{escape(claim)}" for claim in failed)
        return "fails", f"{len(failed)} of {len(verdicts)} claims fail:{names}"
    if doubtful:
        return "fails", f"Errata not confirmed: {escape(', '.join(doubtful))}"
    fits = sum(verdict.fitted for verdict in verdicts)
    text = f"{len(verdicts)} of {len(verdicts)} claims hold: {len(verdicts) - fits} explicit ones, {fits} fits of orders."
    return "holds", text + (f" {len(errata)} of {len(errata)} errata are confirmed." if errata else "")


def _summary(reports: Mapping[str, Report]) -> str:
    """One row a construction: what holds, and when, with what and where it was audited."""
    rows = []
    for name, report in reports.items():
        parts = [[v for v in report.verdicts if v.fitted is fitted] for fitted in (False, True)]
        link = f"<td><a href='#{escape(name)}'>{escape(report.title)}</a></td>"
        counts = "".join(f"<td>{_count(part)}</td>" for part in parts)
        made = report.made
        took = f"{made['seconds'] / 60:.1f} min" if "seconds" in made else None
        names = ("weightwright", "commit", "Python", "torch", "numpy")
        used = ", ".join(f"{what} {made[what.lower()]}" for what in names if made.get(what.lower()))
        cores = f"{made['machine']}, {made['cores']} cores" if {"machine", "cores"} <= made.keys() else None
        texts = (made.get("date"), took, used, cores)
        rows.append(link + counts + "".join(f"<td>{escape(text or 'not recorded')}</td>" for text in texts))
    heads = ("construction", "explicit claims", "fits of orders", "audited", "in", "with", "on")
    return _table(heads, rows)


def _count(verdicts: Sequence[Verdict]) -> str:
    held = sum(verdict.holds for verdict in verdicts)
    word = "holds" if held == len(verdicts) else "fails"
    return f"<b class='{word}'>{held} of {len(verdicts)}</b>" if verdicts else "none"


def _commands(reports: Mapping[str, Report], of_paper: bool) -> str:
    """What to type, with the commands that were typed here where they are known."""
    typed = dict.fromkeys(report.made.get("command") for report in reports.values())
    lines = [command for command in typed if command] or ["weightwright verify all --out reports"]
    commits = dict.fromkeys(report.made.get("commit") for report in reports.values())
    lines = [
        *[f"git checkout {commit.split(',')[0]}" for commit in commits if commit][:1],
        "make .venv/.ready   # the locked versions, in .venv; `make verify` does this and the audit",
        *lines,
        "weightwright plot reports   # this page and its figures again, from the saved report.json files: seconds",
        *(["weightwright errata         # the table of errata: seconds"] if of_paper else []),
    ]
    return "\n".join(lines)


def _section(name: str, report: Report, drawings: Mapping[str, str]) -> str:
    explicit = [verdict for verdict in report.verdicts if not verdict.fitted]
    fits = [verdict for verdict in report.verdicts if verdict.fitted]
    chosen = [verdict for verdict in explicit if verdict.main] or explicit[:SHOWN]
    broken = [verdict for verdict in explicit if not verdict.holds and verdict not in chosen]
    first = broken + chosen  # what fails is never folded away
    rest = [verdict for verdict in explicit if verdict not in first]
    size = ", ".join(
        f"{typeset(report.size[key])} {what}" for key, what in SIZES.items() if key in report.size
    )
    shown = {figure: _figure(name, report, figure, svg) for figure, svg in drawings.items()}
    blocks = [figure for figure in shown if report.records[figure][0]["kind"] == "slack"]
    parts = [
        f"<section id='{escape(name)}'><h2>{escape(report.title)}</h2><p>{escape(report.words.claim)}</p>",
        f"<p class='small'>{escape(' '.join(filter(None, (_origin(report), report.words.code))))}</p>",
        f"<p class='small'>The main setting, {escape(_line(report.spec))}: {escape(size)}.</p>",
        f"<h3>Explicit claims: {_count(explicit)}</h3>",
        *(card(name, verdict) for verdict in first),
        _rest([card(name, verdict) for verdict in rest]),
        _orders(name, fits),
        _slack(report.blocks, "".join(shown[figure] for figure in blocks)),
        _mutants(report.mutants),
        "<h3>Figures</h3>" if len(blocks) < len(shown) else "",
        *(text for figure, text in shown.items() if figure not in blocks),
        "</section>",
    ]
    return "\n".join(filter(None, parts))


def _origin(report: Report) -> str:
    return f"Source: {report.words.source.rstrip('.')}." if report.words.source else ""


def _rest(cards: Sequence[str]) -> str:
    title = f"The other {len(cards)} explicit claims"
    return f"<details><summary>{title}</summary>{''.join(cards)}</details>" if cards else ""


def _orders(name: str, fits: Sequence[Verdict]) -> str:
    """Fitted exponents, beside the stated ones: within the window, or at most."""
    if not fits:
        return ""
    rows = []
    for verdict in fits:
        word = "holds" if verdict.holds else "fails"
        stated = verdict.held_to(verdict.stated, typeset(verdict.stated))
        rows.append(
            f"<td>{escape(verdict.claim)}<br><small>{escape(verdict.source)}. <code>{alone(name)}</code>"
            f"</small></td><td class='number measured'>{typeset(verdict.measured)}</td><td class='number'>{stated}</td>"
            f"<td><small>{escape(verdict.note)}</small></td><td class='{word}'>{word}</td>"
        )
    heads = ("claim", "fitted exponent", "stated", "fit", "")
    text = "<p class='small'>Exponents fitted to sweeps: evidence, not proof.</p>"
    return f"<h3>Orders: {_count(fits)} agree</h3>{text}" + _folded("All fitted exponents", rows, heads)


def _slack(blocks: Sequence[dict], drawn: str) -> str:
    """How much of its promise every block uses up, drawn and in numbers."""
    rows = []
    for row in blocks:
        note = f"<br><small>{escape(row['note'])}</small>" if row.get("note") else ""
        names = ("error", "promise", "slack", "own_error", "own_promise", "own_slack")
        cells = "".join(f"<td class='number'>{typeset(row[name])}</td>" for name in names)
        rows.append(f"<td>{escape(row['block'])}<br><small>{escape(row['domain'])}</small>{note}</td>{cells}")
    heads = ("block", "worst error", "promise", "slack", "own error", "own promise", "own slack")
    return _folded(f"Slack, block by block ({len(rows)} blocks)", rows, heads, drawn) if rows else drawn


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
    return _folded(f"Does the audit notice a wrong weight? {len(rows)} trials", rows, heads)


def _figure(name: str, report: Report, figure: str, svg: str) -> str:
    caption = report.words.captions.get(figure, "")
    legend = LEGENDS.get(report.records[figure][0]["kind"], "")
    text = escape(" ".join(filter(None, (caption, legend))))
    return (
        f"<figure id='{escape(name)}-{escape(figure)}'>{inline(svg, f'{name}-{figure}-')}"
        f"<figcaption><b>{escape(figure)}.</b> {text}</figcaption></figure>"
    )


def inline(svg: str, prefix: str) -> str:
    """An SVG for use inside a page: no preamble, no metadata, ids of its own."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}", svg)
    width = float(match[1]) if (match := re.search(r'width="([\d.]+)pt"', svg)) else 0.0
    return svg.replace("<svg", "<svg class='broad'", 1) if width > 300 else svg


def _errata(records: Sequence[Mapping]) -> str:
    """What was found wrong in the paper, with the smallest witness of each."""
    head = "<section id='errata'><h2>Errata</h2>"
    if not records:
        return f"{head}<p>They were not run for this page: <code>weightwright errata</code>.</p></section>"
    text = (
        "<p>Places where the paper as printed does not give what it says, each run on a smallest input as printed and as "
        "repaired. These are claims about published work; corrections to them are welcome.</p>"
    )
    parts = (
        f"<h3>{title}</h3>{_errata_table(chosen)}"
        for kind, title in KINDS.items()
        if (chosen := [record for record in records if record["kind"] == kind])
    )
    return f"{head}{text}{''.join(parts)}</section>"


def _errata_table(records: Sequence[Mapping]) -> str:
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
    return _table(heads, rows)


def _line(fields: Mapping) -> str:
    def shown(value) -> str:
        if isinstance(value, list | tuple):
            return "–".join(map(typeset, value))
        return typeset(value) if isinstance(value, float | int) else str(value)

    return ", ".join(f"{key.replace('_', ' ')} {shown(value)}" for key, value in fields.items())


def _folded(title: str, rows: Iterable[str], heads: Sequence[str], above: str = "") -> str:
    return f"<details><summary>{escape(title)}</summary>{above}{_table(heads, rows)}</details>"


def _table(heads: Sequence[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{_labelled(row, heads)}</tr>" for row in rows)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _labelled(row: str, heads: Sequence[str]) -> str:
    """Cells that know what stands above them, for narrow screens that show them one below the other."""
    first, *cells = row.split("<td")
    return first + "".join(
        f"<td data-label='{escape(head)}'{cell}" for head, cell in zip(heads, cells, strict=True)
    )
