"""A made-up report with a claim of every kind, and what a page of it is taken apart with."""

from html.parser import HTMLParser

from verify.audit import Report, Verdict, Words
from verify.errata import SOURCE

HOLDING = (
    Verdict(
        "policy <all> & t",
        "Theorem 8",
        "bound",
        0.25,
        1e-3 * 1e3,
        0.5,
        witness={"seed": 7},
        main=True,
        replay="print(1 < 2)",
    ),
    Verdict(
        "too coarse", "Theorem 8", "bound", 3e-9, 1e-6, 1e-9, rounding=2e-9, relative=1e-13, enclosed=7e-10
    ),
    Verdict("layers, T = 50", "Theorem 8", "size", 408, 2416.0),
    Verdict("share that is noticed", "this audit", "least", 0.95, 0.9, note="word " * 60),
    Verdict("depth in T", "Theorem 8, an order", "order", 0.467, 0.5, note="a fit, not a proof"),
    Verdict(
        "neurons in T", "Theorem 8, an order", "size", 0.9, 1.05, note="95 % interval [0.8, 1]", fit=True
    ),
)
CURVE = {"label": "one", "x": [1, 2], "y": [1.0, 0.5], "group": "one", "look": "measured"}
CURVES = {
    "kind": "curves",
    "title": "a figure",
    "x_label": "x",
    "y_label": "y",
    "x_scale": "linear",
    "y_scale": "linear",
    "legend": "best",
    "curves": [CURVE],
}
BLOCK = {"block": "logits", "domain": "any", "error": 0.1, "promise": 0.5, "slack": 5.0, "note": ""}
BLOCK |= {"own_error": 0.0, "own_promise": 0.25, "own_slack": None}
MUTANT = {"place": "layers.0", "row": "row 1", "column": "action[2]", "score": 11.0, "reason": "none"}
ERRATUM = {
    **{
        "name": "a sign",
        "kind": "error",
        "proof": "errata.md#a-sign",
        "where": "step 1",
        "printed": "−3B",
        "repair": "1 − 3B",
        "effect": "none",
        "witness": "S = 1",
    },
    **{"context": "in place", "wanted": 1.0, "literal": 0.0, "repaired": 1.0, "confirmed": True},
}


def made(*verdicts, title="Soft LinUCB", source=SOURCE):
    spec = {"dim": 5, "action_norm": [0.5, 2.0], "depth": "certified"}
    records = {"size": [CURVES], "slack": [{"kind": "slack", "rows": [BLOCK]}]}
    return Report(
        title, spec, {"layers": 408}, list(verdicts), [BLOCK], [MUTANT], records, Words(source=source)
    )


def rest(text):
    """What comes after the first page."""
    return text[text.index("<details class='part'>") :]


class Elements(HTMLParser):
    """Holds a page to closing what it opens, and collects ids and what may refer elsewhere."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.tags = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [value for key, value in attrs if key == "id"]
        self.references += [
            value for key, value in attrs if key in ("src", "href", "xlink:href", "srcset", "action")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
