"""What a head computes, as a formula, read off its weights.

A score ⟨query h_i, key h_j⟩ is a polynomial in the registers of two tokens. Runs of products with one coefficient are
written as inner products, entries of the position register as i, i², j and j².
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from constructions.parts.stream import Register, Stream

KINDS = {
    "own token": "moves registers of the token itself",
    "own-token product": "multiplies registers of the token itself: a gate B(j − i) silences earlier tokens",
    "sum over tokens": "sums over all tokens so far",
    "by position": "weighs tokens by where they stand",
    "matched sum": "sums over the tokens that match",
    "average": "averages over tokens, each weighed by the exponential of its score",
}
"""What heads do, by the form of their score; "average" is what all heads of softmax attention do."""

OWN = ("own token", "own-token product")
"""Heads that look at no token but their own."""

Entries = Sequence[tuple[int, int, float]]
"""A sparse matrix: row, column and weight of each entry."""

Terms = dict[tuple[int, int], float]
"""Coefficients of products: (entry of token i, entry of token j)."""


@dataclass(frozen=True)
class Form:
    """A stream as formulas name it.

    Attributes:
        stream: its registers.
        position: where the position register (i, i², 1) begins.
        longest: the largest number of tokens.
    """

    stream: Stream
    position: int
    longest: int

    @classmethod
    def of(cls, stream: Stream, longest: int) -> "Form":
        """The names of a stream."""
        return cls(stream, stream["position"].start, longest)

    @property
    def registers(self) -> tuple[Register, ...]:
        """All registers, in order."""
        return tuple(self.stream.registers.values())

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The name of every stream entry."""
        return tuple(map(self.stream.label, range(self.stream.width)))

    def names(self, entries: np.ndarray) -> tuple[str, ...]:
        """Registers to which stream entries belong."""
        own = [(r.name, (entries >= r.start) & (entries < r.start + r.size)) for r in self.registers]
        return tuple(name for name, inside in own if inside.any())

    def power(self, entry: int) -> int | None:
        """Which power of the token's index an entry holds; None if it is none."""
        return {0: 1, 1: 2, 2: 0}.get(entry - self.position)

    def register(self, entry: int) -> Register:
        """The register to which a stream entry belongs."""
        return next(r for r in self.registers if r.start <= entry < r.start + r.size)

    def rest(self, entry: int) -> int:
        """How many entries of its register there are from this one on."""
        register = self.register(entry)
        return register.start + register.size - entry

    def name(self, start: int, length: int = 1) -> str:
        """Name of `length` entries of a register in a row."""
        register = self.register(start)
        offset = start - register.start
        if length == register.size:
            return register.name
        return f"{register.name}[{offset}]" if length == 1 else f"{register.name}[{offset}:{offset + length}]"


def score(form: Form, query: Entries, key: Entries) -> "Score":
    """The score of one head, multiplied out."""
    content, powers = {}, {}
    rows: dict[int, list[tuple[int, float]]] = {}
    for row, j, weight in key:
        rows.setdefault(row, []).append((j, weight))
    for row, i, weight in query:
        for j, other in rows.get(row, ()):
            left, right = form.power(i), form.power(j)
            terms, at = (content, (i, j)) if left is None or right is None else (powers, (left, right))
            terms[at] = terms.get(at, 0.0) + weight * other
    return Score(*({at: weight for at, weight in terms.items() if weight} for terms in (content, powers)))


@dataclass(frozen=True)
class Score:
    """A score: products that involve registers, and a polynomial in the positions alone, by powers of i and j."""

    content: Terms
    powers: Terms


def kind_of(terms: Score, tokens: int) -> str:
    """What a head with this score does, one of KINDS; `tokens` is the largest number of tokens."""
    if not terms.content:
        i, j = np.mgrid[1 : min(tokens, 64) + 1, 1 : min(tokens, 64) + 1]
        values = sum(
            (weight * 1.0 * i**a * j**b for (a, b), weight in terms.powers.items()), np.zeros(i.shape)
        )
        silent = not (values[j < i] > 0).any()
        return "own token" if silent else "by position"
    if not terms.powers:
        return "sum over tokens"
    gate, constant = terms.powers.get((0, 1), 0.0), abs(terms.powers.get((0, 0), 0.0))
    shape = {at: weight for at, weight in terms.powers.items() if at != (0, 0)}
    gated = shape == {(0, 1): gate, (1, 0): -gate} and gate >= max(4.0, constant)
    return "own-token product" if gated else "matched sum"


def formula(form: Form, terms: Score, value: Entries, average: bool = False) -> str:
    """What one head adds to what, a sum of the paper's or an average; rows of the value are entries of the stream."""
    parts: dict[str, list[str]] = {}
    for (to, source), length, weight in _runs(form, {(row, column): weight for row, column, weight in value}):
        parts.setdefault(form.name(to, length), []).append(times(weight, _one(form, source, length, "j")))
    by_value: dict[str, list[str]] = {}
    for to, texts in parts.items():
        by_value.setdefault(_wrap(_sum(texts)), []).append(to)
    share, over = ("softmax", "Σⱼ") if average else ("relu", "(1/i) Σⱼ")
    whole = f"{share}({_sum([*_products(form, terms.content), *_polynomial(terms.powers)])})"
    short = "s" if len(by_value) > 1 else whole
    added = [f"{', '.join(names)} += {over} {short} · {text}" for text, names in by_value.items()]
    return ",  ".join([*added, f"s = {whole}"] if len(by_value) > 1 else added) or "nothing"


def _products(form: Form, content: Terms) -> list[str]:
    """Products of registers, runs of them as inner products."""
    texts = []
    for (i, j), length, weight in _runs(form, content):
        left, right = _one(form, i, length, "i"), _one(form, j, length, "j")
        text = f"⟨{left}, {right}⟩" if length > 1 else "·".join(part for part in (left, right) if part != "1")
        texts.append(times(weight, text))
    return texts


def _one(form: Form, start: int, length: int, token: str) -> str:
    """Entries of one token; the position's are i, i² and 1."""
    power = form.power(start) if length == 1 else None
    if power is not None:
        return ("1", token, f"{token}²")[power]
    return form.name(start, length) + {"i": "ᵢ", "j": "ⱼ"}[token]


def _runs(form: Form, terms: Terms) -> list[tuple[tuple[int, int], int, float]]:
    """Terms (a, b), (a+1, b+1), … of one coefficient, as (first pair, length, coefficient), in the order of the pairs.

    A run stays within one register on either side, and holds no position.
    """
    left, runs = dict(terms), []
    for pair in sorted(terms):
        if pair not in left:
            continue
        weight, length = left.pop(pair), 1
        room = min(0 if form.power(entry) is not None else form.rest(entry) for entry in pair)
        while length < room and left.get((pair[0] + length, pair[1] + length)) == weight:
            del left[pair[0] + length, pair[1] + length]
            length += 1
        runs.append((pair, length, weight))
    return runs


def _polynomial(powers: Terms) -> list[str]:
    """A polynomial in i and j; a gate stays in one piece."""
    gate = powers.get((0, 1), 0.0)
    if gate > 1 and powers.get((1, 0)) == -gate:
        rest = {at: weight for at, weight in powers.items() if at not in ((0, 1), (1, 0))}
        return [times(gate, "(j − i)"), *_polynomial(rest)]
    names = ("", "i", "i²"), ("", "j", "j²")
    ordered = sorted(powers.items(), key=lambda term: (-sum(term[0]), term[0]))
    return [times(w, "·".join(x for x in (names[0][a], names[1][b]) if x) or "1") for (a, b), w in ordered]


def times(weight: float, text: str) -> str:
    """A coefficient before a text.

    >>> times(-1.0, "x"), times(0.5, "x"), times(3.0, "1")
    ('−x', '0.5·x', '3')
    """
    sign, size = "−" if weight < 0 else "", abs(weight)
    if text == "1":
        return f"{sign}{_size(size)}"
    return f"{sign}{text}" if size == 1 else f"{sign}{_size(size)}·{text}"


def _size(size: float) -> str:
    """A number > 0, large powers of two as such.

    >>> _size(2.0**20), _size(1 / 6)
    ('2²⁰', '0.16667')
    """
    mantissa, exponent = math.frexp(size)
    if mantissa == 0.5 and exponent > 10:
        return "2" + str(exponent - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{size:.5g}"


def _sum(texts: list[str]) -> str:
    """Terms one after the other.

    >>> _sum(["x", "−y"])
    'x − y'
    """
    return " + ".join(texts).replace("+ −", "− ") or "0"


def _wrap(text: str) -> str:
    return f"({text})" if " " in text or text.startswith("−") else text
