"""Two constructions side by side, on the same history: their numbers in a table, and the page of each in a frame."""

import json
from html import escape
from importlib.resources import files
from typing import Any

from constructions.showing import typeset
from verify.inspector.page import filled, harmless, page

NUMBERS = {
    "layers, L": ("size", "layers"),
    "heads, M": ("size", "heads"),
    "registers, D": ("size", "width"),
    "neurons, D′": ("size", "hidden"),
    "norm, |||θ|||": ("size", "norm"),
    "weights stored": ("size", "stored"),
    "error promised": ("certificate",),
    "worst error on this history": ("history", "worst"),
}
"""Rows of the table, and where their numbers stand in a record."""


def beside(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Two records with the same history as one page that needs nothing else.

    Raises:
        ValueError: if a record has no history, or the two have different decisions.
    """
    decisions = [one["history"] and one["history"]["decisions"] for one in (first, second)]
    if None in decisions or decisions[0] != decisions[1]:
        told = " and ".join("no history" if one is None else f"{len(one)} decisions" for one in decisions)
        raise ValueError(f"beside: wanted two records of one history, got {told}")
    names = names_of(first, second)
    pages = [framed(page(one | {"title": name})) for one, name in zip((first, second), names, strict=True)]
    return filled(
        "beside.html",
        TITLE=escape(" beside ".join(names)),
        FIRST=escape(names[0]),
        SECOND=escape(names[1]),
        NUMBERS=_numbers(first, second, names),
        PAGES=harmless(json.dumps(pages, ensure_ascii=False)),
        STYLE=files("verify.inspector").joinpath("page.css").read_text(encoding="utf-8"),
    )


def names_of(first: dict[str, Any], second: dict[str, Any]) -> tuple[str, str]:
    """The titles of two records, with the fields in which they differ, if the titles are the same.

    >>> names_of({"title": "a", "spec": {"solver": "agd"}}, {"title": "a", "spec": {"solver": "newton"}})
    ('a, solver agd', 'a, solver newton')
    """
    if first["title"] != second["title"]:
        return first["title"], second["title"]
    differing = [name for name, value in first["spec"].items() if second["spec"].get(name) != value]
    one, other = (
        ", ".join([record["title"], *(f"{name} {record['spec'].get(name)}" for name in differing)])
        for record in (first, second)
    )
    return one, other


def framed(text: str) -> str:
    """A page for a frame, where links to its own sections are to lead within the frame."""
    return text.replace("<head>", '<head><base href="about:srcdoc">', 1)


def _numbers(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> str:
    heads = "".join(f"<th scope='col'>{escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><th scope='row'>{label}</th>{''.join(_cell(one, place) for one in (first, second))}</tr>"
        for label, place in NUMBERS.items()
    )
    return f"<thead><tr><th scope='col'>number</th>{heads}</tr></thead><tbody>{rows}</tbody>"


def _cell(record: Any, place: tuple[str, ...]) -> str:
    for name in place:
        record = record[name]
    return f"<td title='{record}'>{typeset(float(record))}</td>"
