"""How building, evaluation and memory grow with every size of a specification, beside the algorithm's own time.

Each point is measured in a fresh process on one thread, in seconds of the processor, as others may use the machine:
to build, to rewrite the weights, and to evaluate one history of full length (the least of three times), and the true
algorithm's on the same history (likewise); also the weights stored, and the peak of memory above that of the imports.
An exponent is that of a power law through the points of one size, by least squares of logarithms. `make growth` runs
it; it prints tables and writes growth.json. The smallest points of all sizes come first, until the time is over, five
minutes unless told otherwise; those that were not reached are left out.
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
    entry, before, start = named(row), peak(), time.process_time()
    spec = entry.spec(**fields)
    built = entry.build(spec)
    made = time.process_time()
    _ = built.policy_program
    ready = time.process_time()
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
        start = time.process_time()
        job()
        taken.append(time.process_time() - start)
    return min(taken)


def peak() -> float:
    """Peak resident megabytes of this process (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(row: str, fields: Fields, end: float) -> dict[str, float] | None:
    """`measure` in a fresh process; None if it has not done by then, of time.monotonic."""
    code = (
        f"import json; from benchmarks.growth import measure; print(json.dumps(measure({row!r}, {fields!r})))"
    )
    job, left = [sys.executable, "-c", code], end - time.monotonic()
    try:
        done = subprocess.run(job, capture_output=True, text=True, check=True, timeout=max(left, 0.0))
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout.splitlines()[-1])


def grown(size: str, points: dict[int, dict[str, float]]) -> dict[str, Any]:
    """The points of one size, and the exponent of every measure, if there are three."""
    values, found, exponents = list(points), list(points.values()), {}
    if len(points) > 2:
        exponents = {
            name: fit_power(values, [max(p[name], 1e-9) for p in found]).exponent for name in MEASURES
        }
    return {"size": size, "values": values, "points": found, "exponents": exponents}


def reached(titles: list[str], end: float) -> dict[str, dict[str, dict[int, dict[str, float]]]]:
    """By title, size and value, the points that are measured before a time of time.monotonic: the smallest of all first."""
    jobs = [
        (rank, title, size, value)
        for title in titles
        for size, values in GRIDS[title][2].items()
        for rank, value in enumerate(values)
    ]
    found = {title: {size: {} for size in GRIDS[title][2]} for title in titles}
    for _, title, size, value in sorted(jobs, key=lambda job: job[0]):
        row, fields, _ = GRIDS[title]
        if point := apart(row, fields | {size: value}, end):
            found[title][size][value] = point
    return found


def shown(title: str, axes: list[dict[str, Any]]) -> Table:
    """The points of all sizes, with their exponents."""
    _, fields, sizes = GRIDS[title]
    table = Table("size", *MEASURES, title=f"{title}: {', '.join(f'{k}={v}' for k, v in fields.items())}")
    for axis in axes:
        name, left_out = axis["size"], len(sizes[axis["size"]]) - len(axis["values"])
        for value, point in zip(axis["values"], axis["points"], strict=True):
            table.add_row(f"{name} = {value:,}", *(f"{point[one]:.3g}" for one in MEASURES))
        powers = [f"{axis['exponents'][one]:.2f}" for one in MEASURES if axis["exponents"]]
        note = f"exponent; {left_out} not reached" if left_out else "exponent"
        table.add_row(note, *powers, style="bold", end_section=True)
    return table


def main(
    out: Annotated[Path, typer.Option(help="Folder for growth.json.")] = Path("reports"),
    only: Annotated[str | None, typer.Option(help="One title; all if left out.")] = None,
    minutes: Annotated[float, typer.Option(help="When to stop.")] = 5.0,
) -> None:
    """Measure, print a table, write the record."""
    titles = [only] if only else list(GRIDS)
    found = reached(titles, time.monotonic() + 60 * minutes)
    record = {title: [grown(*axis) for axis in found[title].items()] for title in titles}
    for title, axes in record.items():
        Console(width=max(Console().width, 120)).print(shown(title, axes))
    files.write(out / "growth.json", json.dumps(record, indent=1))


if __name__ == "__main__":
    typer.run(main)
