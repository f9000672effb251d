"""How building, evaluation and memory grow with every size of a specification, beside the algorithm's own time.

Each point is measured in a fresh process on one thread: seconds to build, to rewrite the weights, and to evaluate one
history of full length (the least of three times), the true algorithm's seconds on the same history (likewise), the weights
stored, and the peak of memory above that of the imports. An exponent is that of a power law through the points of one size,
by least squares of logarithms. `make growth` runs it, in some ten minutes; it prints a table and writes growth.json.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from constructions import files
from verify.catalog import named
from verify.sweeps.records import fit_power

Fields = dict[str, Any]

GRIDS: dict[str, tuple[str, Fields, dict[str, list[int]]]] = {
    "LinUCB, Newton": (
        "linucb",
        {"dim": 4, "actions": 8, "horizon": 400, "error": 1e-3, "solver": "newton"},
        {"horizon": [200, 800, 3200, 12800], "dim": [4, 8, 16, 32], "actions": [8, 32, 128, 512]},
    ),
    "LinUCB, accelerated descent": (
        "linucb",
        {"dim": 4, "actions": 8, "horizon": 50, "error": 1e-3, "solver": "agd"},
        {"horizon": [50, 100, 200, 400], "dim": [4, 8, 16, 32], "actions": [8, 16, 32, 64]},
    ),
    "Thompson, scores, Newton": (
        "thompson",
        {"dim": 4, "actions": 8, "horizon": 400, "error": 1e-3, "solver": "newton", "form": "sampling"},
        {"horizon": [200, 800, 3200, 12800], "dim": [4, 8, 16, 32], "actions": [8, 32, 128, 512]},
    ),
    "UCB-VI, narrow": (
        "ucbvi",
        {"states": 8, "actions": 4, "horizon": 4, "episodes": 20, "exploration": 0.03, "form": "narrow"},
        {
            "states": [8, 16, 32, 64],
            "actions": [2, 4, 8, 16],
            "horizon": [4, 8, 16, 32],
            "episodes": [20, 40, 80, 160],
        },
    ),
}
"""By title: the row of the catalog, the fields of its specification, and the sizes tried in place of one of them."""

MEASURES = ("layers", "build, s", "rewrite, s", "evaluate, s", "algorithm, s", "weights", "peak MB")
RUNS = 3


def measure(row: str, fields: Fields) -> dict[str, float]:
    """One point, in a process of its own."""
    torch.set_num_threads(1)
    entry, before, start = named(row), peak(), time.perf_counter()
    spec = entry.spec(**fields)
    built = entry.build(spec)
    made = time.perf_counter()
    _ = built.policy_program
    ready = time.perf_counter()
    history = max(entry.histories.battery(spec), key=lambda outline: outline.steps).history(spec)
    found: dict[str, float] = {"layers": built.transformer.counts()["layers"], "build, s": made - start}
    found["rewrite, s"] = ready - made
    found["evaluate, s"] = least(lambda: built.log_probabilities(history))
    memory = peak() - before
    found["algorithm, s"] = least(lambda: entry.truth(spec, history))
    found["weights"] = sum(part.numel() for part in built.transformer.parameters())
    return found | {"peak MB": memory}


def least(job: Callable[[], object]) -> float:
    """Least seconds of a few runs."""
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        job()
        taken.append(time.perf_counter() - start)
    return min(taken)


def peak() -> float:
    """Peak resident megabytes of this process (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(row: str, fields: Fields) -> dict[str, float]:
    """`measure` in a fresh process."""
    code = (
        f"import json; from benchmarks.growth import measure; print(json.dumps(measure({row!r}, {fields!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def grown(row: str, fields: Fields, size: str, values: list[int]) -> dict[str, Any]:
    """The points of one size, and the exponent of every measure."""
    points = [apart(row, fields | {size: value}) for value in values]
    exponents = {name: fit_power(values, [max(p[name], 1e-9) for p in points]).exponent for name in MEASURES}
    return {"size": size, "values": values, "points": points, "exponents": exponents}


def main(
    out: Annotated[Path, typer.Option(help="Folder for growth.json.")] = Path("reports"),
    only: Annotated[str | None, typer.Option(help="One title; all if left out.")] = None,
) -> None:
    """Measure, print a table, write the record."""
    record: dict[str, list[dict[str, Any]]] = {}
    for title in [only] if only else GRIDS:
        row, fields, sizes = GRIDS[title]
        record[title] = [grown(row, fields, size, values) for size, values in sizes.items()]
        table = Table(f"{title}: {', '.join(f'{k}={v}' for k, v in fields.items())}", *MEASURES)
        for axis in record[title]:
            for value, point in zip(axis["values"], axis["points"], strict=True):
                table.add_row(f"{axis['size']} = {value:,}", *(f"{point[name]:.3g}" for name in MEASURES))
            powers = [f"{axis['size']}^{axis['exponents'][name]:.2f}" for name in MEASURES]
            table.add_row("exponents", *powers, style="bold", end_section=True)
        Console(width=max(Console().width, 120)).print(table)
    files.write(out / "growth.json", json.dumps(record, indent=1))


if __name__ == "__main__":
    typer.run(main)
