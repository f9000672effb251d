"""How a construction presents itself: one line, and a small table for notebooks; tables of any records."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from html import escape
from typing import Any

import numpy as np

from constructions.parts.block import Block

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | int | None) -> str:
    """A number as text: whole, or of three digits.

    >>> number(12345), number(1001.0), number(0.000123456), number(2 / 3), number(float("inf")), number(None)
    ('12,345', '1,001', '0.000123', '0.667', 'inf', '—')
    """
    if value is None:
        return "—"
    whole = (
        math.isfinite(value) and float(value).is_integer() and (isinstance(value, int) or abs(value) < 1e9)
    )
    return f"{int(value):,}" if whole else f"{value:.3g}"


def typeset(value: float | int | None) -> str:
    """A number as a page has it, with powers of ten.

    >>> typeset(1001), typeset(0.00123456), typeset(None), typeset(0.5), typeset(1e-3)
    ('1,001', '1.23 × 10⁻³', '—', '0.5', '10⁻³')
    """
    if value is None:
        return "—"
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{int(value):,}"
    if 1e-2 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return power_of_ten(int(exponent)) if mantissa == "1" else f"{mantissa} × {power_of_ten(int(exponent))}"


def power_of_ten(exponent: int) -> str:
    """10ⁿ as a page has it."""
    return "1" if exponent == 0 else "10" + str(exponent).translate(RAISED)


@dataclass(frozen=True)
class Table:
    """Records as a table, in notebooks and as text; a column for each name that the first record has.

    Raises:
        ValueError: if there is no record, or one lacks a name of the first.

    >>> Table([{"horizon": 100, "error": 1e-3}, {"horizon": 10_000, "error": 2 / 3}])
    horizon  error
        100  0.001
     10,000  0.667
    """

    records: Sequence[Mapping[str, Any]]

    def __post_init__(self):
        if not self.records:
            raise ValueError("table: wanted one or more records, got none")
        for record in self.records:
            if missing := [name for name in self.records[0] if name not in record]:
                raise ValueError(f"table: wanted {missing[0]} in every record, got {list(record)}")

    @property
    def columns(self) -> dict[str, list[Any]]:
        """A list for each name, those inside of others joined by dots: what pandas.DataFrame and polars.DataFrame take.

        >>> Table([{"kind": "linucb", "size": {"layers": 11}}, {"kind": "ucbvi", "size": {"layers": 44}}]).columns
        {'kind': ['linucb', 'ucbvi'], 'size.layers': [11, 44]}
        """
        rows = [dict(_flat(record)) for record in self.records]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    @property
    def cells(self) -> list[list[str]]:
        """What stands in each row, as text."""
        return [[_cell(record[name]) for name in self.records[0]] for record in self.records]

    def __repr__(self) -> str:
        rows = [list(self.records[0]), *self.cells]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.rjust, row, widths)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        return _table(self.records[0], self.cells)


def _flat(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values, those of mappings inside after the mapping's name and a dot."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _cell(value: Any) -> str:
    """Numbers of a few digits, yes and no, anything else as it is."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return number(int(value))
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)


def settings(spec: Any) -> dict[str, Any]:
    """The fields of a spec that are not what they would be if left out."""
    told = {}
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.default is MISSING or (value != field.default and not _filled_in(spec, field)):
            told[field.name] = value
    return told


def _filled_in(spec: Any, field: Any) -> bool:
    """Whether leaving the field out, for the spec to fill in, leads to the same spec."""
    try:
        return field.default is None and replace(spec, **{field.name: None}) == spec
    except ValueError:  # one of several that may not all be left out
        return False


def line(kind: str, spec: Any, sizes: Mapping[str, int], certificate: float) -> str:
    """Kind, spec, sizes and certificate in one line."""
    told = ", ".join(f"{name}={value!r}" for name, value in settings(spec).items())
    counted = ", ".join(f"{value:,} {_words(name, value)}" for name, value in sizes.items())
    return f"<{kind}({told}): {counted}; certificate {number(certificate)}>"


def _words(name: str, value: int) -> str:
    """A size's name as one counts it."""
    word = {"layers": "layer", "heads": "head", "width": "register entries", "hidden": "neuron"}[name]
    return word if value == 1 or word.endswith("s") else f"{word}s"


def html(kind: str, spec: Any, sizes: Mapping[str, int], certificate: float, blocks: Sequence[Block]) -> str:
    """Sizes, certificate and blocks as tables that take the colours of the page around them."""
    told = ", ".join(f"{name} = {value}" for name, value in settings(spec).items())
    whole = [("certificate", number(certificate)), *((name, number(value)) for name, value in sizes.items())]
    rows = [
        (
            block.name,
            number(len(block.steps) * block.repeat),
            number(max(sum(head.count for head in step.heads) for step in block.steps)),
            number(max(sum(units.reads.height for units in step.units) for step in block.steps)),
            number(block.promise.total.error),
        )
        for block in blocks
    ]
    names, values = zip(*whole, strict=True)
    heading = f"<p><b>{escape(kind)}</b> {escape(told)}</p>"
    return heading + _table(names, [values]) + _table(("block", "layers", "heads", "units", "promise"), rows)


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table without colours of its own."""
    style = ' style="border-collapse: collapse; background: none; color: inherit; margin-bottom: .5em"'
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table{style}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
