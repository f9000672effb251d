"""Formulas and words as plain LaTeX, for engines that know no Unicode too."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby

MATHS = {
    "·": r" \cdot ",
    "×": r"\times ",
    "±": r"\pm ",
    "−": "-",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
    "√": r"\surd ",
    "‖": r"\Vert ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "→": r"\to ",
    "\\": r"\backslash ",
    "~": r"\sim ",
    "^": r"\wedge ",
    "relu": r"\mathrm{relu}",
    "softmax": r"\mathrm{softmax}",
    "(1/i)": r"\frac{1}{i}",
    "Σⱼ": r"\sum_{j \le i}",
    "+=": r"\mathrel{+}=",
    ",  ": r", \quad ",
}
"""Signs of formulas; letters of Greek, and what is raised or lowered, follow from Unicode."""

PLAIN = {sign: f"\\{sign}" for sign in "#$%&_{}"} | {"–": "--"}
"""Signs that words have outside of formulas."""

ACCENTS = {"\N{COMBINING CIRCUMFLEX ACCENT}": r"\hat", "\N{COMBINING TILDE}": r"\tilde"}
SIGN = re.compile(r"(.)([\u0302\u0303])|[#$%&_{}–\\~^]|[^ -~]+?(?=.[\u0302\u0303]|[ -~–]|$)")
PLACED = {"<super>": "^{%s}", "<sub>": "_{%s}", "": "%s"}


def formula(text: str, names: Iterable[str]) -> str:
    r"""A formula of `formulas`, in which these names are registers.

    >>> formula("sum += (1/i) Σⱼ relu(i²·oneⱼ) · 2²⁰", ["sum", "one"])
    '\\mathrm{sum} \\mathrel{+}= \\frac{1}{i} \\sum_{j \\le i} \\mathrm{relu}(i^{2} \\cdot \\mathrm{one}_{j}) \\cdot 2^{20}'
    >>> formula("1.5e-07·one", ["one"])
    '1.5 \\cdot 10^{-7} \\cdot \\mathrm{one}'
    """
    known = "|".join(map(re.escape, names))
    pattern = (
        rf"(?P<name>(?<!\w)(?:{known})(?:\[[\d:]+\])?(?![A-Za-z0-9_]))|(?P<power>e[+-]\d+)|"
        r"relu|softmax|\(1/i\)|\+=|Σⱼ|,  |[^ -~]+"
    )

    def said(found: re.Match) -> str:
        if found["name"]:
            return name(found[0])
        if found["power"]:
            return rf" \cdot 10^{{{int(found[0][1:])}}}"
        return MATHS.get(found[0]) or _signs(found[0])

    return re.sub(" +", " ", re.sub(pattern, said, text))


def name(text: str) -> str:
    r"""The name of a register, or of an entry of one, within a formula.

    >>> name("arms_times[3]")
    '\\mathrm{arms\\_times}[3]'
    """
    word, bracket, entry = text.partition("[")
    return rf"\mathrm{{{words(word, around='')}}}{bracket}{entry}"


def words(text: str, around: str = "$") -> str:
    r"""Words with signs among them; `around` is what stands around a sign.

    >>> words("width √(a_kᵀA⁻¹)"), words("P̂")
    ('width $\\surd $(a\\_k$^{T}$A$^{-1}$)', '$\\hat{P}$')
    """

    def said(found: re.Match) -> str:
        if found[0] in PLAIN:
            return PLAIN[found[0]]
        inside = f"{ACCENTS[found[2]]}{{{found[1]}}}" if found[2] else _signs(found[0])
        return f"{around}{inside}{around}"

    return SIGN.sub(said, text)


def array(rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A matrix of formulas, with names at its rows and columns."""
    body = [" & ".join((row, *own)) for row, own in zip(rows, cells, strict=True)]
    lines = [" & ".join(("", *columns)) + r" \\ \hline", *(rf"{line} \\" for line in body)]
    return "\n".join([rf"\begin{{array}}{{l|{'r' * len(columns)}}}", *lines, r"\end{array}"])


def _signs(text: str) -> str:
    """Signs in a row; what is raised or lowered together."""
    parts = []
    for placed, run in groupby(text, _placed):
        plain = (chr(int(unicodedata.decomposition(one).split()[1], 16)) if placed else one for one in run)
        parts.append(PLACED[placed] % "".join(MATHS.get(one) or _greek(one) for one in plain))
    return "".join(parts)


def _placed(sign: str) -> str:
    """Whether a sign is raised or lowered: one of PLACED."""
    first = unicodedata.decomposition(sign).partition(" ")[0]
    return first if first in PLACED else ""


def _greek(sign: str) -> str:
    """A letter of Greek by its name; anything else as it is."""
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(sign, ""))
    return sign if found is None else f"\\{found[2].lower() if found[1] == 'SMALL' else found[2].title()} "
