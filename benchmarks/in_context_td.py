"""Policy evaluation in context beside InContextTD, the code of arXiv 2405.13861: same prompts, same sweeps, one run.

    git clone https://github.com/Sequential-Intelligence-Lab/InContextTD FOLDER
    python -m benchmarks.in_context_td FOLDER

A process in that folder runs their own verification, `verify_one_trial` of verify.py with its own prompts, sizes and seed,
all but the plot, and hands over prompts, values and times. Every value, theirs and ours, after each of 40 sweeps is held to
the algorithm in balls: TD(0), and TD(λ) with traces that decay by 1/2. Theirs are linear attention that knows the number n
of transitions; ours attend by ReLU over the position, and α = (2n + 1)/n makes the same step. Theirs write the value of the
query, ours w, of which ⟨w, φ⟩ is taken in NumPy sweep by sweep and by the last layer at the end.

Times are those of one thread in float64, least ones of several: to build 40 sweeps, and a prompt's values after all sweeps.
Their build fills masks entry by entry, and their runs keep every layer's value; ours gives the values at each of the 101
decisions.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from flint import arb
from jaxtyping import Float
from rich.console import Console
from rich.table import Table

from constructions import files
from constructions.history import BanditHistory
from constructions.prediction import td
from constructions.rounding.outward import balls
from verify.balls.arrays import balls as in_balls

FEATURES, LENGTH, SWEEPS, TRIALS, SEED, ROUNDS = 3, 100, 40, 30, 42, 3
"""Of their command line, as it stands."""
TRACES = {"TD(0)": 0.0, "TD(λ)": 0.5}
THEIRS = """
import sys, time, types
try:
    import tqdm
except ImportError:
    sys.modules["tqdm"] = types.SimpleNamespace(tqdm=lambda trials: trials)  # a bar of progress
import numpy as np, torch
import verify
from utils import set_seed
path, d, n, l, trials, seed, rounds = sys.argv[1], *map(int, sys.argv[2:8])
torch.set_num_threads(1)
made = []
class Noted(verify.Prompt):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        made.append(self)
verify.Prompt = Noted
set_seed(seed)
errors = [verify.verify_one_trial(d, n, l) for _ in range(trials)]
prompts, found = made[::2], {}  # the others are for average rewards
for name, decay in (("TD(0)", 0.0), ("TD(λ)", 0.5)):
    taken = [[], []]
    for _ in range(rounds):
        start = time.perf_counter()
        model = verify.DiscountedTDTransformer(l, d, n, decay)
        taken[0].append(time.perf_counter() - start)
    for _ in range(rounds):
        start = time.perf_counter()
        values = [model(prompt.z()).numpy() for prompt in prompts]
        taken[1].append((time.perf_counter() - start) / trials)
    found["values " + name], found["times " + name] = np.array(values), np.array([min(one) for one in taken])
    found["errors " + name] = np.array([one["td0" if not decay else "tdlambda"] for one in errors])
np.savez(path, prompts=np.array([prompt.z().numpy() for prompt in prompts]), **found)
"""


def theirs(folder: Path) -> dict[str, np.ndarray]:
    """What their verification makes, in a process of its own.

    Raises:
        ValueError: if the folder holds no checkout, or their code fails.
    """
    if not (folder / "verification" / "prompt.py").is_file() or not (folder / "verify.py").is_file():
        clone = "git clone https://github.com/Sequential-Intelligence-Lab/InContextTD FOLDER"
        raise ValueError(f"checkout: wanted the folder of InContextTD, got {folder}; {clone} makes one")
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "theirs.npz"
        sizes = map(str, (FEATURES, LENGTH, SWEEPS, TRIALS, SEED, ROUNDS))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        run = [sys.executable, "-c", THEIRS, str(path), *sizes]
        done = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(f"checkout: wanted a verification that runs, got {done.stderr.strip()[-300:]}")
        with np.load(path) as found:
            return dict(found)


def history(prompt: Float[np.ndarray, "rows columns"]) -> BanditHistory:
    """A prompt of columns (φ, γφ′, r), the query last, as transitions with discount 1."""
    pairs, rewards = prompt[:-1].T[:, None], prompt[-1, :-1]
    return BanditHistory(pairs, np.zeros(len(rewards), int), rewards)


@balls(200)
def exact(prompt: Float[np.ndarray, "rows columns"], keep: float) -> list[arb]:
    """The value of the query after each sweep w ← w + (1/n) Σ δ_j e_j, in balls."""
    columns, count = in_balls(prompt.T), prompt.shape[1] - 1
    now, after, rewards = columns[:, :FEATURES], columns[:, FEATURES:-1], columns[:, -1]
    weights, values = in_balls(np.zeros(FEATURES)), []
    for _ in range(SWEEPS):
        moved, trace = in_balls(np.zeros(FEATURES)), in_balls(np.zeros(FEATURES))
        for j in range(count):
            trace = now[j] + arb(keep) * trace
            moved = moved + (rewards[j] + after[j] @ weights - now[j] @ weights) * trace
        weights = weights + moved * (arb(1) / count)
        values.append(now[-1] @ weights)
    return values


def least(job: Callable[[], Any]) -> tuple[float, Any]:
    """Least seconds of several runs, and what the last one made."""
    taken, made = [], None
    for _ in range(ROUNDS):
        start = time.perf_counter()
        made = job()
        taken.append(time.perf_counter() - start)
    return min(taken), made


def compared(name: str, peer: dict[str, np.ndarray]) -> dict[str, Any]:
    """One algorithm: worst errors sweep by sweep, and times."""
    prompts, keep = peer["prompts"], TRACES[name]
    seen = [history(prompt) for prompt in prompts]
    largest = max(np.linalg.norm(one.contexts, axis=2).max() for one in seen)
    spec = td.Spec(
        FEATURES,
        LENGTH + 1,
        sweeps=SWEEPS,
        step=(2 * LENGTH + 1) / LENGTH,
        discount=1.0,
        trace=keep,
        bound=float(largest),
        reward=float(max(np.abs(one.rewards).max() for one in seen)),
    )
    build, built = least(lambda: td.build(spec))
    first = built.size().layers - 1 - SWEEPS
    built.outputs(seen[:1], logits_only=True)
    run, values = least(lambda: [built.values(one) for one in seen])
    wanted = [exact(prompt, keep) for prompt in prompts]
    ours = []
    for one in seen:
        _, cache = built.run_with_cache(one, range(first + 1, first + 1 + SWEEPS), ["weights"])
        query = one.contexts[-1, 0, :FEATURES]
        ours.append([float(cache[first + 1 + n, "weights"][-1, :FEATURES] @ query) for n in range(SWEEPS)])

    def worst(found: Any) -> list[float]:
        rows = [
            [abs(float(arb(x) - y)) for x, y in zip(*pair, strict=True)]
            for pair in zip(found, wanted, strict=True)
        ]
        return np.max(rows, axis=0).tolist()

    output = [abs(float(arb(float(one[-1, 0])) - row[-1])) for one, row in zip(values, wanted, strict=True)]
    errors = {"theirs": worst(peer[f"values {name}"].tolist()), "ours": worst(ours)}
    their_build, their_run = peer[f"times {name}"].tolist()
    return {
        "algorithm": name,
        "worst error, ours": max(errors["ours"]),
        "worst error, theirs": max(errors["theirs"]),
        "as they measure it": float(peer[f"errors {name}"].max()),
        "our output": max(output),
        "build, s": build,
        "their build, s": their_build,
        "times faster": their_build / build,
        "run, s": run / len(seen),
        "their run, s": their_run,
        "layers": built.size().layers,
        "by sweep": errors,
    }


def main(
    checkout: Annotated[Path, typer.Argument(help="Folder of a checkout of InContextTD.")],
    out: Annotated[Path, typer.Option(help="Folder for in_context_td.json.")] = Path("reports"),
) -> None:
    """Measure, print a table, write the record."""
    torch.set_num_threads(1)
    try:
        peer = theirs(checkout)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    found = [compared(name, peer) for name in TRACES]
    table = Table("", *(row["algorithm"] for row in found))
    for what in list(found[0])[1:-1]:
        table.add_row(what, *(f"{row[what]:.3g}" for row in found))
    Console(markup=False, width=max(Console().width, 80)).print(table)
    files.write(out / "in_context_td.json", json.dumps(found, indent=1))


if __name__ == "__main__":
    typer.run(main)
