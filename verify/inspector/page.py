"""The record as one page that needs nothing else: markup, style and scripts lie beside this file."""

import json
from html import escape
from importlib.resources import files
from typing import Any

from verify.inspector.trained import table

SCRIPTS = ("page.js", "history.js", "attention.js", "address.js")
"""In the order of the page: registers, blocks and layers; the history; heads on it; the address, keys and the start."""


def page(record: dict[str, Any]) -> str:
    """The page as HTML. Numbers are written so that they are read back exactly.

    A record with `trained`, which is what `trained.readouts` gives, has a section more.
    """
    data = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    script = "\n".join(map(_text, SCRIPTS))
    learnt = record.get("trained")
    return filled(
        "page.html",
        TITLE=escape(record["title"]),
        STYLE=_text("page.css") + (_text("trained.css") if learnt else ""),
        LINK='<a href="#trained">Trained</a>' if learnt else "",
        TRAINED=_learnt(learnt) if learnt else "",
        SCRIPT=script,
        RECORD=harmless(data),
    )


def _learnt(found: dict[str, Any]) -> str:
    """The section on a trained model."""
    return filled(
        "trained.html",
        MODEL=escape(found["model"]),
        PROBLEMS=str(found["problems"]),
        DECISIONS=str(found["decisions"]),
        TABLE=table(found),
    )


def filled(name: str, **parts: str) -> str:
    """A page of this folder with texts in their places, which are named @LIKE@ this, in this order."""
    markup = _text(name)
    for place, text in parts.items():
        markup = markup.replace(f"@{place}@", text)
    return markup


def _text(name: str) -> str:
    return files("verify.inspector").joinpath(name).read_text(encoding="utf-8")


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
