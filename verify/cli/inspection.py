"""The command weightwright inspect: what stands in a construction, in the terminal, as JSON or as a page."""

import json
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from constructions import files
from constructions.anatomy.layers import Family, View, said, span
from constructions.construction import Construction
from constructions.showing import number
from verify import inspector
from verify.catalog import Entry, named
from verify.cli import histories, specs
from verify.training import train

OPTIONS = ("dim", "actions", "horizon", "error", "solver", "form")
"""Fields of specifications that have an option of their own."""

LARGEST = 1_000_000
"""So many stored weights at most go into a page: some ten megabytes."""


def inspect(
    construction: Annotated[str, typer.Argument(metavar="NAME|FILE.py|module:ENTRY", hidden=True)],
    dim: Annotated[int | None, typer.Option(hidden=True)] = None,
    actions: Annotated[int | None, typer.Option(help="A (10; thompson 2; bernoulli 5; ucbvi 3).")] = None,
    horizon: Annotated[int | None, typer.Option(help="T (200; bernoulli 50); ucbvi: H (3).")] = None,
    error: Annotated[float | None, typer.Option(hidden=True)] = None,
    solver: Annotated[str | None, typer.Option(help="agd, newton, …; thompson: pade, …")] = None,
    form: Annotated[str | None, typer.Option(hidden=True)] = None,
    sets: specs.Set = None,
    spec: specs.Spec = None,
    history: histories.Own = None,
    truth: histories.Truth = None,
    beside: specs.Beside = None,
    trained: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Its layers on the page: shipped, or a file.")
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Write a page that needs no network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    out: Annotated[
        Path | None, typer.Option(callback=files.writable, help="Folder or file (reports/inspect).")
    ] = None,
) -> None:
    """Layers, heads, registers and weights, and what each is for."""
    values = (dim, actions, horizon, error, solver, form)
    asked = specs.asked(sets, spec)
    asked |= {option: value for option, value in zip(OPTIONS, values, strict=True) if value is not None}
    entry, console, true = named(construction), Console(stderr=True), histories.truth(truth)
    name = entry.name
    page = _file(out or Path("reports/inspect"), name)
    html = (
        html
        or out is not None
        or beside is not None
        or (not as_json and not (history is None and truth is None and trained is None))
    )
    wanted = html or as_json
    if html:
        files.placed(page)
    learnt = None if trained is None else (train.load(trained), train.title(train.locate(trained)))
    with console.status(f"{name}: building"):
        built = entry.build(specs.made(entry, asked))
        seen = None if history is None else histories.read(history, entry, built)
        read = {} if learnt is None else {"trained": inspector.readouts(*learnt, built, entry)}
        run = _replayed(built, entry, seen, true, str(history)) if wanted else None
        found: Any = run and inspector.record(built, entry.title, run, entry.said().source) | read
    if beside and run:
        with console.status(f"{name}: building what is beside it"):
            found = [found, _beside(beside, entry, built.spec, run)]
    if html:
        files.write(page, inspector.beside(*found) if beside else inspector.page(found))
        console.print(f"page: {page}")
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    elif not wanted:
        Console().print(*tables(built, entry.title))


def _replayed(built: Construction, entry: Entry, seen: Any, true: Any, where: str) -> inspector.Replay:
    """A history run through it, of constructions that a page can hold."""
    if (stored := built.size().stored) > LARGEST:
        raise ValueError(f"page: wanted at most {LARGEST:,} stored weights, got {stored:,}")
    return inspector.replay(built, entry, history=seen, truth=true, setting=where)


def _beside(asked: Sequence[str], entry: Entry, spec: Any, run: inspector.Replay) -> dict[str, Any]:
    """The record of another construction on the same history."""
    other, fields = specs.beside(asked, entry, spec)
    if other.seen is not entry.seen:
        raise ValueError(
            f"--beside: wanted a construction that sees a {entry.seen.__name__}, got {other.name}"
        )
    built = other.build(specs.made(other, fields))
    again = _replayed(built, other, run.history, None, run.setting)
    return inspector.record(built, other.title, again, other.said().source)


def _file(out: Path, name: str) -> Path:
    return out if out.suffix == ".html" else out / f"{name}.html"


def tables(built: Construction, title: str) -> Iterator[Table]:
    """Sizes, blocks, layers and registers, for the terminal."""
    size, views = built.size(), built.heads().views
    sizes = _table(
        title, "layers L", "heads M", "registers D", "neurons D′", "norm |||θ|||", "error promised"
    )
    values = (size.layers, size.heads, size.width, size.hidden, size.norm, built.certificate)
    sizes.add_row(*map(number, values))
    yield sizes
    blocks = _table("blocks, and what each carries out", "layers", "block", "error ≤")
    for index, block in enumerate(built.blocks):
        first = said(block).partition("\n")[0]
        text = (
            f"{escape(block.name)}\n[dim]{escape(f'{block.source}: {first}' if first else block.source)}[/]"
        )
        if block.promise.derived:
            text += f"\n[dim]from its inputs alone {number(block.promise.derived.whole)}; {escape(block.promise.proof)}[/]"
        blocks.add_row(_range(*span(views, index)), text, number(block.promise.total.whole))
    yield blocks
    yield _layers(built, views)
    registers = _table("registers", "name", "size", "written in layers", "read in layers")
    for register in built.tokens.stream.registers.values():
        written, read = (
            _ranges([view for view in views if register.name in getattr(view, names)])
            for names in ("writes", "reads")
        )
        registers.add_row(register.name, str(register.size), written or "[dim]input[/]", read)
    yield registers


def _layers(built: Construction, views: Sequence[View]) -> Table:
    """Layers by what they hold; successive ones that hold the same are one row."""
    table, blocks = _table("layers: heads by role, neurons", "layers", "block", "holds", "norm"), built.blocks
    for _, same in groupby(views, lambda view: [(block, *_held(view, block)) for block in view.blocks]):
        alike = list(same)
        view, last = alike[0], alike[-1]
        where = _range(view.first, last.first + last.repeat - 1)
        times = f"\n[dim]× {view.repeat:,}[/]" if view.repeat > 1 else ""
        for position, block in enumerate(view.blocks):
            first = (where + times, number(sum(view.norms))) if position == 0 else ("", "")
            kinds, example = _held(view, block), _example(view, block)
            text = "\n".join(kinds) + (f"\n[dim]{escape(example)}[/]" if example else "")
            table.add_row(first[0], escape(blocks[block].name), text, first[1])
    return table


def _held(view: View, block: int) -> tuple[str, ...]:
    """A block's heads in a layer by kind, and its neurons, in words."""
    families = [family for family in view.families if family.block == block]
    lines = []
    for kind in dict.fromkeys(family.kind for family in families):
        own = [family for family in families if family.kind == kind]
        pairs = _pairs(own)
        signed = f" in {pairs:,} signed pair{'s' * (pairs > 1)}" if pairs else ""
        heads = sum(family.count for family in own)
        lines.append(f"{heads:,} head{'s' * (heads > 1)}{signed}: {kind}")
    neurons = sum(one.count for one in view.neurons if one.block == block)
    return (*lines, f"{neurons:,} neurons") if neurons else tuple(lines)


def _pairs(families: Sequence[Family]) -> int:
    """How many heads have a twin of the other sign."""
    return sum(one.count for one, other in combinations(families, 2) if _twins(one, other))


def _twins(one: Family, other: Family) -> bool:
    """Whether two add opposite values by scores that are opposite but for their gates."""
    parts = [(getattr(one, name), getattr(other, name)) for name in ("query", "key", "value")]
    if any(mine.shape != theirs.shape for mine, theirs in parts):
        return False
    (query, against), (key, same), (value, opposite) = parts
    apart = abs(abs(query) - abs(against)).max(), abs(key - same).max(), abs(value + opposite).max()
    return not any(apart) and np.array_equal(one.targets, other.targets)


def _example(view: View, block: int) -> str:
    """What the block's first head computes."""
    return next((family.formulas[0] for family in view.families if family.block == block), "")


def _range(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"


def _ranges(views: Sequence[View]) -> str:
    """Layers of some views, successive ones in one."""
    found: list[list[int]] = []
    for view in views:
        last = view.first + view.repeat - 1
        if found and found[-1][1] == view.first - 1:
            found[-1][1] = last
        else:
            found.append([view.first, last])
    return ", ".join(_range(*pair) for pair in found)


def _table(title: str, *heads: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    for head in heads:
        words = head in ("block", "holds", "name", "layers", "written in layers", "read in layers")
        table.add_column(head, justify="left" if words else "right", no_wrap=head in ("layers", "name"))
    return table
