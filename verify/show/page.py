"""The page of a folder of reports as HTML: first what is read in five minutes, then everything else, folded.

One file, without scripts and without references to anything outside it; page.html is its frame, limits.html what only the
paper's constructions need said. What is folded has addresses that open it, and is printed.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from constructions.showing import typeset
from verify.audit import Report, Verdict
from verify.errata.entry import SOURCE
from verify.show import sections
from verify.show.cards import NUMBERS, card, gaps, rounding
from verify.show.links import Links, slug
from verify.show.tables import table

FRAME, LIMITS = (Path(__file__).with_name(name) for name in ("page.html", "limits.html"))


def page(
    reports: Mapping[str, Report], drawings: Mapping[str, Mapping[str, str]], errata: Sequence[Mapping]
) -> str:
    """The page; `drawings` are SVG texts by construction and figure."""
    names = {slug(name): report.words.short or report.title for name, report in reports.items()}
    sources = dict.fromkeys(filter(None, (report.words.source for report in reports.values())))
    of_paper = SOURCE in sources
    word, verdict = _verdict(reports.values(), errata if of_paper else ())
    names |= {"errata": "Errata"} if of_paper else {}
    names |= {"limits": "What the numbers do not say", "reproduce": "Reproduce"}
    links = {
        name: Links(name, report.verdicts, report.made.get("command")) for name, report in reports.items()
    }
    return Template(FRAME.read_text(encoding="utf-8")).substitute(
        nav=" ".join(f"<a href='#{place}'>{escape(text)}</a>" for place, text in names.items()),
        sources="; ".join(map(escape, sources)) or "not recorded",
        word=word,
        verdict=verdict,
        failed=_failed(reports, links),
        checked=_checked(reports.values(), errata if of_paper else ()),
        summary=_summary(reports, links),
        sections="\n".join(
            sections.section(links[name], report, drawings[name]) for name, report in reports.items()
        ),
        errata=sections.errata(errata) if of_paper else "",
        limits=LIMITS.read_text(encoding="utf-8") if of_paper else "",
        made=_made(reports),
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


def _failed(reports: Mapping[str, Report], links: Mapping[str, Links]) -> str:
    """The cards of claims that fail, which are never folded."""
    cards = [
        card(links[name], verdict)
        for name, report in reports.items()
        for verdict in report.verdicts
        if not verdict.holds
    ]
    return f"<h2>What fails</h2>{''.join(cards)}" if cards else ""


def _checked(reports: Iterable[Report], errata: Sequence[Mapping]) -> str:
    """How much was checked, of what kinds: items of a list."""
    reports = list(reports)
    verdicts = [verdict for report in reports for verdict in report.verdicts]
    explicit = [verdict for verdict in verdicts if not verdict.fitted]
    certified = [verdict for verdict in explicit if verdict.certified is not None]
    enclosed = sum(verdict.enclosed is not None for verdict in certified)
    told = f"{len(certified)} with a certificate, {enclosed} of them enclosed too"
    found = {
        f"explicit claims, comparisons of numbers: {told}": len(explicit),
        "exponents fitted to sweeps, as evidence of orders": len(verdicts) - len(explicit),
        "blocks, each on every history of a search": sum(len(report.blocks) for report in reports),
        "wrong weights, to see whether the audit notices": sum(len(report.mutants) for report in reports),
        "errata of the paper, each on a smallest witness": len(errata),
    }
    return "".join(f"<li>{number:,} {what}.</li>" for what, number in found.items() if number)


def _summary(reports: Mapping[str, Report], links: Mapping[str, Links]) -> str:
    """One row a construction: its size, what holds, and its main claim with its numbers and the gaps between them."""
    heads = ("construction", "claims hold", "its main claim", *NUMBERS)
    rows = []
    for name, report in reports.items():
        title, main = escape(report.words.short or report.title), _main(report.verdicts)
        row = (
            f"<td><a href='#{slug(name)}'>{title}</a><br><small>{escape(sections.sizes(report))}</small></td>"
        )
        row += f"<td>{sections.count(report.verdicts)}</td>"
        if main is None:
            rows.append(row + "<td>none</td>" * (1 + len(NUMBERS)))
            continue
        apart = gaps(main) and f"<small>{escape(gaps(main))}</small>"
        told = "<br>".join(filter(None, (apart, rounding(main))))
        row += f"<td><a href='#{links[name].place(main)}'>{escape(main.claim)}</a><br>{told}</td>"
        values = ((key, getattr(main, key)) for key in NUMBERS)
        rows.append(row + "".join(f"<td class='number {key}'>{typeset(x)}</td>" for key, x in values))
    return table(heads, rows)


def _main(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The claim that stands for a report: the first main one with a certificate, or the first main one, or the first."""
    main = [verdict for verdict in verdicts if verdict.main] or list(verdicts)
    return next((one for one in main if one.certified is not None), main[0] if main else None)


def _made(reports: Mapping[str, Report]) -> str:
    """When, with what and where each report was made."""
    rows = []
    for report in reports.values():
        made = report.made
        took = f"{made['seconds'] / 60:.1f} min" if "seconds" in made else None
        names = ("weightwright", "commit", "Python", "torch", "numpy")
        used = ", ".join(f"{what} {made[what.lower()]}" for what in names if made.get(what.lower()))
        cores = f"{made['machine']}, {made['cores']} cores" if {"machine", "cores"} <= made.keys() else None
        texts = (report.title, made.get("date"), took, used, cores)
        rows.append("".join(f"<td>{escape(text or 'not recorded')}</td>" for text in texts))
    return table(("construction", "audited", "in", "with", "on"), rows)


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
