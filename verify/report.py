"""A report folder: one self-contained page with figures, the same as JSON, and the figures as SVG and PNG."""

import json
import math
from html import escape
from pathlib import Path

from verify import plots
from verify.audit import Report

READING = (
    "measured ≤ certified ≤ stated: the worst error that a search finds on the real weights, the bound that the "
    "construction promises for every admissible history, and the theorem's own formula. Orders are fits, not proofs."
)
STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #00704f; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --good: #4ecb9c; --bad: #ff8a80; } figure { background: #fff; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; white-space: nowrap; }
.holds { color: var(--good); font-weight: 600; } .fails { color: var(--bad); font-weight: 600; }
small { opacity: .8; } code { font-size: .85em; overflow-wrap: anywhere; }
figure { margin: 1rem 0; padding: .5rem; } figure svg { max-width: 100%; height: auto; }
"""


def number(value: float | int | None) -> str:
    """A number as a reader wants it.

    >>> number(1001), number(0.00123456), number(None), number(0.5)
    ('1,001', '1.23e-03', '—', '0.5')
    """
    if value is None:
        return "—"
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.3g}" if 1e-2 <= abs(value) < 1e5 else f"{value:.2e}"


def figures(report: Report, folder: Path) -> dict[str, Path]:
    """Draw every figure of a report; returns the SVG of each."""
    return {
        name: plots.save(plots.draw(*records), folder, name)[0] for name, records in report.records.items()
    }


def write(report: Report, folder: Path) -> Path:
    """Write index.html, report.json, records and figures; returns the page."""
    drawn = figures(report, folder)
    write_whole(folder / "report.json", json.dumps(report.record(), indent=1, default=float))
    write_whole(folder / "index.html", page(report, {name: path.read_text() for name, path in drawn.items()}))
    return folder / "index.html"


def write_whole(path: Path, text: str) -> None:
    """Write beside the final name and move there, so that a reader never finds half a file; folders are made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".part")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def page(report: Report, drawings: dict[str, str]) -> str:
    """The page as HTML; `drawings` are SVG texts by name."""
    verdict = "every claim holds" if report.holds else "some claims fail"
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f"<p class='{'holds' if report.holds else 'fails'}'>{len(report.verdicts)} claims: {verdict}.</p>",
        f"<p>{READING}</p>",
        f"<p><small>{escape(_line(report.spec))}<br>{escape(_line(report.size))}</small></p>",
        "<h2>Claims</h2>",
        _table(
            ["claim", "measured", "certified", "stated", "relative", "verdict"], map(_claim, report.verdicts)
        ),
        "<h2>Slack, block by block</h2>",
        _table(
            ["block", "worst error", "promise", "slack", "own error", "own promise", "own slack"],
            map(_block, report.blocks),
        ),
        "<h2>Figures</h2>",
        *(f"<figure id='{escape(name)}'>{_inline(svg)}</figure>" for name, svg in drawings.items()),
        "<h2>Reproduce</h2><p><code>make verify</code>, or <code>weightwright verify --out FOLDER</code>. "
        "Numbers of every figure and table are in <code>report.json</code> beside this page.</p>",
    ]
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{escape(report.title)}</title>"
    return f"<!doctype html><html lang='en'><head>{head}<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"


def _line(fields: dict) -> str:
    shown = {key: number(value) if isinstance(value, float | int) else value for key, value in fields.items()}
    return ", ".join(f"{key} = {value}" for key, value in shown.items())


def _exactly(fields: dict) -> str:
    return ", ".join(f"{key} = {value!r}" for key, value in fields.items())


def _table(heads: list[str], rows) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return (
        f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _claim(verdict) -> str:
    text = f"{escape(verdict.claim)}<br><small>{escape(verdict.source)}"
    text += f"<br>{escape(verdict.note)}" if verdict.note else ""
    text += f"<br>worst at <code>{escape(_exactly(verdict.witness))}</code>" if verdict.witness else ""
    numbers = (verdict.measured, verdict.certified, verdict.stated, verdict.relative)
    word = "holds" if verdict.holds else "fails"
    return _row(f"{text}</small>", numbers, f"<td class='{word}'>{word}</td>")


def _block(row: dict) -> str:
    text = f"{escape(row['block'])}<br><small>{escape(row['domain'])}"
    text += f"<br>{escape(row['note'])}" if row["note"] else ""
    names = ("error", "promise", "slack", "own_error", "own_promise", "own_slack")
    return _row(f"{text}</small>", [row[name] for name in names], "")


def _row(text: str, numbers, tail: str) -> str:
    cells = "".join(f"<td class='number'>{number(value)}</td>" for value in numbers)
    return f"<tr><td>{text}</td>{cells}{tail}</tr>"


def _inline(svg: str) -> str:
    """An SVG without its XML preamble, for use inside a page."""
    return svg[svg.index("<svg") :]
