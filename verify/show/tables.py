"""Tables of a page, which narrow screens show as lists, and what is folded."""

from collections.abc import Iterable, Sequence
from html import escape


def folded(title: str, inside: str) -> str:
    """Under a title: opened by a click, by an address inside it, and when the page is printed."""
    return f"<details><summary>{escape(title)}</summary>{inside}</details>"


def part(title: str, place: str, inside: str, told: str = "") -> str:
    """A part of the page with a heading, folded; its address opens it. `told` is HTML beside the heading."""
    return (
        f"<details class='part'><summary><h2>{escape(title)}</h2> <span class='small'>{told}</span></summary>"
        f"<section id='{place}'>{inside}</section></details>"
    )


def table(heads: Sequence[str], rows: Iterable[str]) -> str:
    """Rows of <td> under their heads."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{_labelled(row, heads)}</tr>" for row in rows)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _labelled(row: str, heads: Sequence[str]) -> str:
    """Cells that know what stands above them, for narrow screens that show them one below the other."""
    first, *cells = row.split("<td")
    return first + "".join(
        f"<td data-label='{escape(head)}'{cell}" for head, cell in zip(heads, cells, strict=True)
    )
