"""The commands on trained models: weightwright compare | contexts | probe."""

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from constructions import files
from constructions.showing import number
from verify.cli import specs
from verify.cli.options import Json, Out, Runs, bars, narrow
from verify.comparison import compare as comparing
from verify.comparison import training_mixtures
from verify.play.seats import TITLES
from verify.probes import probe as probing
from verify.probes.effects import MEASURES
from verify.show import plots

Model = Annotated[str, typer.Argument(help="Shipped, a file, or FILE.py:NAME.")]
OfRecipe = Annotated[
    str | None, typer.Option("--recipe", metavar="RECIPE", help="Problems of one's own model.")
]


def compare(
    model: Model,
    runs: Runs = comparing.Effort.runs,
    quick: Annotated[bool, typer.Option("--quick", help="100 runs, few histories and particles.")] = False,
    recipe: OfRecipe = None,
    sets: specs.Set = None,
    spec: specs.Spec = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Built, true and trained: distances by step, regret, theorem.

    --set is for what is built. --out, which is reports/compare/MODEL, gets JSON and figures. Seconds with --quick.
    """
    files.writable(out or Path("reports/compare"))
    effort = comparing.QUICK if quick else comparing.Effort(runs=runs)
    with bars() as tell:
        found = comparing.compare(model, effort, tell, recipe, specs.asked(sets, spec))
    path, found = write_report(found, out or Path("reports/compare") / found["model"], "compare.json")
    if as_json:
        print(json.dumps(found))
    else:
        Console().print(*comparison_tables(found), f"{path} and figures")


def contexts(
    models: Annotated[
        list[str] | None, typer.Argument(help="Models that differ in α; the shipped ones.")
    ] = None,
    runs: Runs = 500,
    quick: Annotated[bool, typer.Option("--quick", help="100 problems, few particles.")] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """What the training context does to regret, by distribution ratio.

    --out, which is reports/contexts, gets contexts.json and the figure. A minute; seconds with --quick.
    """
    files.writable(out := out or Path("reports/contexts"))
    effort = {"runs": 100, "particles": 8} if quick else {"runs": runs}
    with bars() as tell:
        found = training_mixtures.mixtures(models or training_mixtures.MODELS, **effort, tell=tell)
    path, found = write_report(found, out, "contexts.json")
    if as_json:
        print(json.dumps(found))
    else:
        Console().print(contexts_table(found), f"{path} and figure")


class Part(StrEnum):
    """What can be asked of a model."""

    symmetries = "symmetries"
    registers = "registers"
    interchange = "interchange"
    attention = "attention"
    shifts = "shifts"


def probe(
    model: Model,
    only: Annotated[Part | None, typer.Option(help="One question alone.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few histories and problems.")] = False,
    recipe: OfRecipe = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Amortised or algorithmic? Symmetries, registers, attention, shifts.

    --out, which is reports/probe/MODEL, gets probe.json and figures. Some minutes; seconds with --quick.
    """
    files.writable(out or Path("reports/probe"))
    parts = None if only is None else (only.value,)
    with bars() as tell:
        found = probing.probe(model, probing.QUICK if quick else probing.Effort(), parts, tell, recipe)
    path, found = write_report(found, out or Path("reports/probe") / found["model"], "probe.json")
    if as_json:
        print(json.dumps(found))
    else:
        Console().print(*probe_tables(found), f"{path}")


def write_report(found: dict, into: Path, name: str) -> tuple[Path, dict]:
    """A report as JSON, and a figure for each entry of its records; returns the path of the former, and what it holds."""
    files.write_json(into / name, found)
    for figure, panels in found["records"].items():
        plots.save(plots.draw(*panels), into, figure)
    return into / name, files.sealed(found)


def comparison_tables(found: dict) -> Iterator[Table]:
    """Regret, distances, and the theorem on pretraining, for the terminal."""
    regret = narrow(f"{found['model']}: regret, {found['runs']} runs", "", "mean", "± 95 %", "s.d.")
    for name, row in found["regret"].items():
        values = (row["mean"][-1], row["half"], row["deviation"][-1])
        regret.add_row(TITLES.get(name, name), *map(number, values))
    yield regret
    if (beside := found["built"]) is not None:
        yield built_table(beside)
    steps = len(next(iter(found["pairs"].values()))["variation"])
    chosen = sorted({1, 10, steps // 2, steps} & set(range(1, steps + 1)))
    title = f"total variation along {found['histories']} histories of {found['true']}"
    pairs = narrow(title, "", "mean", *(f"t = {step}" for step in chosen), "log error")
    for name, row in found["pairs"].items():
        values = (row["variation"][step - 1] for step in chosen)
        pairs.add_row(name, *map(number, (row["variation_mean"], *values, row["log_error_worst"])))
    yield pairs
    if found["bound"] is None:
        return
    title = f"pretraining theorem, c = 1; measured: Σ D_H = {number(found['bound']['measured'])}"
    bounds = narrow(title, "context", "log R", "95 %", "Σ D_H ≤", "at most", "vacuous by")
    for row in [*found["ratio"], {"bound": found["bound"]}]:
        name = f"α = {row['share']:g} by {row['mixing']}" if "share" in row else "the model's own"
        spread = f"{number(row['low'][-1])}–{number(row['high'][-1])}" if "share" in row else ""
        one = row["bound"]
        values = (one["distance"], one["distance_trivial"], one["distance_vacuous"])
        bounds.add_row(name, number(one["log_ratio"]), spread, *map(number, values))
    yield bounds


def contexts_table(found: dict) -> Table:
    """One row for each context."""
    title = f"regret after {found['horizon']} steps, {found['runs']} problems; pretraining theorem with c = 1"
    table = narrow(title, "context", "regret", "beyond Thompson", "log R", "95 %", "Σ D_H ≤", "vacuous by")
    for row in found["rows"]:
        beyond = f"{number(row['excess'])} ± {number(row['excess_half'])}"
        spread = f"{number(row['log_ratio_low'])}–{number(row['log_ratio_high'])}"
        last = map(number, (row["bound"]["distance"], row["bound"]["distance_vacuous"]))
        table.add_row(
            f"α = {row['share']:g}", number(row["regret"]), beyond, number(row["log_ratio"]), spread, *last
        )
    return table


def probe_tables(found: dict) -> Iterator[Table]:
    """What was found out about a model, for the terminal: as far as it was asked."""
    if "symmetries" in found:
        title = f"{found['model']}: total variation where {found['true']} has a symmetry"
        table = narrow(title, "", "mean", "true", "worst", "at step", "≥ 0.1 after")
        for row in found["symmetries"]:
            case, worst = row["smallest"], row["worst"]
            least = "none found" if case is None else f"{len(case['past'])} steps"
            values = (row["typical"], row["true"], worst["total_variation"], worst["step"])
            table.add_row(row["symmetry"], *map(number, values), least)
        yield table
    if "registers" in found:
        levels = len(found["registers"][0]["trained"])
        title = "R² of linear probes, by layer (0: what blocks read)"
        table = narrow(title, "", *map(str, range(levels)))
        for row in found["registers"]:
            for name in ("trained", "random weights", "shuffled"):
                label = row["register"] if name == "trained" else f"  {name.split()[0]}"
                table.add_row(label, *(f"{value:.2f}" for value in row[name]))
        yield table
    if "interchange" in found:
        yield from interchange_tables(found["interchange"])
    if "attention" in found:
        yield from attention_tables(found["attention"])
    if "shifts" in found:
        players = [name for name in ("true", "built", "trained") if name in found["shifts"][0]["regret"]]
        table = narrow("regret of shifted problems", "", *players, "± s.e.", "distance", "built error")
        for row in found["shifts"]:
            regret = row["regret"]
            values = [regret[name][0] if name in regret else None for name in players]
            rest = (regret["trained"][1], row["distance"][0], row["built error"])
            table.add_row(row["shift"], *map(number, (*values, *rest)))
        yield table


QUESTIONS = {
    "same": "tokens of plays, at earlier plays of the same arm",
    "next": "decisions, at plays of the arm played there",
    "fixed": "decisions, at plays of one arm",
    "all": "decisions, at all plays alike",
}


def attention_tables(found: dict) -> Iterator[Table]:
    """For each question the best head of each model, then what such attention is worth."""
    for question, models in found["heads"].items():
        heads = "head", "agreement", "95 %", "selection", "reach", "> ½"
        table = narrow(QUESTIONS[question], "", *heads)
        for name, rows in models.items():
            best, above = rows[0], sum(row["low"] > 0.5 for row in rows)
            arm = "" if best["arm"] is None else f" arm {best['arm']}"
            spread = f"{best['low']:.2f}–{best['high']:.2f}".replace("-", "−")
            values = (f"{best[key]:.2f}".replace("-", "−") for key in ("agreement", "selection", "reach"))
            agreement, *rest = values
            table.add_row(
                name,
                f"{best['layer']}.{best['head']}{arm}",
                agreement,
                spread,
                *rest,
                f"{above}/{len(rows)}",
            )
        yield table
    if "replaced" in found:
        table = narrow(
            "total variation if the best heads look at",
            "heads",
            "own plays",
            "as many of any",
            "all plays",
            "± 95 %",
        )
        for question, rows in found["replaced"].items():
            for row in rows:
                means = [row[name]["mean"] for name in row if name != "heads"]
                half = max(row[name]["half"] for name in row if name != "heads")
                table.add_row(f"{question}, {row['heads']}", *(f"{value:.3f}" for value in (*means, half)))
        yield table


def interchange_tables(found: dict) -> Iterator[Table]:
    """For each register and model the layer of the largest agreement, and what is built."""
    title = f"registers exchanged in {found['bases']} histories: does the policy follow?"
    table = narrow(title, "", "layer", "agree", "95 %", "follow", "log-odds", "ranks")
    ordered = sorted(
        found["rows"], key=lambda row: [one["register"] for one in found["rows"]].index(row["register"])
    )
    for row in ordered:
        best = max(row["levels"], key=lambda level: (level["agreement"] or [-1])[0])
        name = row["register"] if row["model"] == "trained" else f"  {row['model']}"
        table.add_row(name, str(best["level"]), *_effects(best))
    for row in found.get("built", ()):
        table.add_row(f"built, {row['register']}", "", *_effects(row))
    yield table


def _effects(row: dict) -> list[str]:
    """Agreement, its interval, and the other measures; a dash where no pair was counted."""
    agreement, *others = (row[name] for name in MEASURES)
    spread = "–" if agreement is None else f"{agreement[1]:.2f}–{agreement[2]:.2f}"
    first, *rest = ("–" if one is None else f"{one[0]:.2f}".replace("-", "−") for one in (agreement, *others))
    return [first, spread, *rest]


def built_table(beside: dict) -> Table:
    """Built beside true on the same problems, with the same random numbers."""
    title = f"first {beside['problems']} of them; built ≠ true in {beside['differing']:.2%} of decisions"
    table = narrow(title, "", "mean", "± 95 %", "s.d.")
    for name, row in beside["regret"].items():
        table.add_row(name, *map(number, (row["mean"][-1], row["half"], row["deviation"][-1])))
    table.add_row("built less true", *map(number, beside["excess"]), "")
    return table
