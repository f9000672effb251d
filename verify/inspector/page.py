"""The record as one page that needs nothing else: markup, style and scripts lie beside this file."""

import json
from html import escape
from importlib.resources import files
from typing import Any

SCRIPTS = ("page.js", "history.js", "attention.js", "address.js")
"""In the order of the page: registers, blocks and layers; the history; heads on it; the address, keys and the start."""


def page(record: dict[str, Any]) -> str:
    """The page as HTML. Numbers are written so that they are read back exactly."""
    markup, style, *scripts = (
        files("verify.inspector").joinpath(name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", *SCRIPTS)
    )
    data = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    script = "\n".join(scripts)
    parts = {"TITLE": escape(record["title"]), "STYLE": style, "SCRIPT": script, "RECORD": harmless(data)}
    for name, text in parts.items():
        markup = markup.replace(f"@{name}@", text)
    return markup


def harmless(data: str) -> str:
    r"""JSON that cannot end the script element it stands in.

    >>> harmless('"</script>"')
    '"\\u003c/script>"'
    """
    return data.replace("<", "\\u003c")


def read(text: str) -> dict[str, Any]:
    """The record of a page."""
    start = text.index('<script type="application/json" id="record">') + len(
        '<script type="application/json" id="record">'
    )
    return json.loads(text[start : text.index("</script>", start)])
