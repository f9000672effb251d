"""The command weightwright warm-start."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from constructions import checks, files
from constructions.showing import number
from verify.cli import specs
from verify.cli.models import write_report
from verify.cli.options import Json, Out, bars, narrow
from verify.probes import warm_start as starting
from verify.training.recipes import RECIPES


def warm_start(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help=f"Problems: {', '.join(RECIPES)}.")],
    of: Annotated[
        str | None, typer.Option("--of", metavar="NAME", help="What is built, if not the recipe's algorithm.")
    ] = None,
    sets: specs.Set = None,
    spec: specs.Spec = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few trajectories and steps.")] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Training from built weights: is it stationary, is it sharp.

    And a small transformer that learns their policy. --set is for the recipe, then for what is built. --out, which is
    reports/warm-start, gets JSON and a figure. Ten minutes at T = 20; one with --quick.
    """
    files.writable(out := out or Path("reports/warm-start"))
    chosen = RECIPES[checks.choice("recipe", recipe, tuple(RECIPES))]
    given = specs.asked(sets, spec)
    own = {one.name: given.pop(one.name) for one in fields(chosen) if one.name in given}
    with bars() as tell:
        effort = starting.QUICK if quick else starting.Effort()
        found = starting.warm_start(replace(chosen, **own), of, given, effort, tell)
    path, found = write_report(found, out, "warm-start.json")
    if as_json:
        print(json.dumps(found))
    else:
        Console().print(*warm_tables(found), f"{path} and figure")


def warm_tables(found: dict) -> Iterator[Table]:
    """What was found, for the terminal."""
    losses = narrow(f"{found['model']}, {found['weights']:,} weights: nats per decision", "", "", "95 %")
    for name in ("floor", "excess", "float32"):
        losses.add_row(name, *_spread(found[name]))
    for row in found["distilled"]:
        losses.add_row(f"excess, distilled by {row['labels']} labels", *_spread(row["excess"]))
    losses.add_row("excess of uniform play", number(found["uniform"]), "")
    losses.add_row("certificate", number(found["certificate"]), "")
    yield losses
    sizes = found["gradients"][0]["sizes"]
    slopes = narrow(
        "norm of the gradient", "weights", "exact labels", *(f"n = {n}" for n in sizes), "power of n"
    )
    for row in found["gradients"]:
        power = "—" if row["exponent"] is None else f"{row['exponent'][0]:.2f}".replace("-", "−")
        slopes.add_row(row["weights"], *(number(one[0]) for one in (row["exact"], *row["drawn"])), power)
    yield slopes
    sharp = narrow("noise within 1 % of the floor", "", "largest σ")
    for part, sigma in found["near"].items():
        sharp.add_row(part, number(sigma))
    yield sharp
    paths = narrow("excess when trained from noise", "", "σ", "before", "after", "draws")
    for row in found["descents"]:
        before, after = row["excess"][0], row["excess"][-1]
        paths.add_row(row["descent"], number(row["sigma"]), number(before[0]), *_spread(after))
    yield paths


def _spread(found: list[float]) -> tuple[str, str]:
    """A number, and from where to where."""
    return number(found[0]), "–".join(number(one).replace("-", "−") for one in found[1:])
