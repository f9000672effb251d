"""UCB-VI on toy-text environments, the narrow transformer acting: time, memory, and what the theorem's form would hold.

Each environment is played in a fresh process, so that its peak memory is its own; `make bench` runs it and writes
episodes.json. The bonus is the paper's times a factor below 1, so that the policy is not uniform throughout.
"""

import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from constructions import files, ucbvi
from constructions.sizes import measured
from verify import algorithms, environments
from verify.play.episodes import play

CASES = {
    "FrozenLake 8×8": ("FrozenLake", {"map_name": "8x8"}, 20, 100, 0.05),
    "Taxi": ("Taxi", {}, 20, 20, 0.05),
}
"""Environment, its options, H, K, factor on the bonus."""


def measure(case: str) -> dict[str, float]:
    """Play all episodes by the transformer and by true UCB-VI from the same seed."""
    torch.set_num_threads(1)
    name, options, horizon, episodes, factor = CASES[case]
    environment = environments.gymnasium_mdp(name, horizon, **options)
    sizes = {"states": environment.states, "actions": environment.actions}
    spec = ucbvi.Spec(**sizes, horizon=horizon, episodes=episodes, exploration=factor, form="narrow")
    start = time.perf_counter()
    built = ucbvi.build(spec)
    built_at = time.perf_counter()
    _ = built.policy_program
    rewritten_at = time.perf_counter()
    run = play(environment, built.decoder(), np.random.default_rng(0), episodes)
    played_at = time.perf_counter()
    play(environment, built.decoder(compiled=True), np.random.default_rng(0), episodes)
    compiled_at = time.perf_counter()
    true = play(environment, algorithms.ucbvi_decoder(spec), np.random.default_rng(0), episodes)
    true_at = time.perf_counter()
    wanted = algorithms.ucbvi(spec, run.history)
    transformer = built.transformer
    return {
        "build, s": built_at - start,
        "rewrite, s": rewritten_at - built_at,
        "play, s": played_at - rewritten_at,
        "play compiled, s": compiled_at - played_at,
        "play by true UCB-VI, s": true_at - compiled_at,
        "decision / decision of true UCB-VI": (played_at - rewritten_at) / (true_at - compiled_at),
        "decision, compiled / decision of true UCB-VI": (compiled_at - played_at) / (true_at - compiled_at),
        "decision / episode of true UCB-VI, which plans once": (played_at - rewritten_at)
        / horizon
        / (true_at - compiled_at),
        "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        "worst |log-probability error|": float(np.abs(run.log_probabilities - wanted).max()),
        "decisions": len(run.actions),
        "decisions that differ": int((run.actions != true.actions).sum()),
        "decisions that are not uniform": int((np.ptp(wanted, axis=1) > 1e-9).sum()),
        "weights stored": sum(parameter.numel() for parameter in transformer.parameters()),
        "weights of its dense form": measured(transformer).dense,
        "weights of the theorem's dense form": ucbvi.theorem.dense_weights(replace(spec, form="theorem")),
    }


def main(
    out: Annotated[Path, typer.Option(help="Folder for episodes.json.")] = Path("reports"),
    only: Annotated[str | None, typer.Option(help="One environment by name; all if left out.")] = None,
) -> None:
    """Measure, print a table, write the record."""
    chosen, record = [only] if only else list(CASES), {}
    for case in chosen:
        code = f"import json; from benchmarks.episodes import measure; print(json.dumps(measure({case!r})))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        record[case] = json.loads(done.stdout.splitlines()[-1])
    table = Table("", *chosen)
    for name in record[chosen[0]]:
        table.add_row(name, *(f"{record[case][name]:,.4g}" for case in chosen))
    Console().print(table)
    files.write(out / "episodes.json", json.dumps(record, indent=1))


if __name__ == "__main__":
    typer.run(main)
