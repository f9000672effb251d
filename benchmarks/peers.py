"""One decision of LinUCB by everyone who takes one: the built transformer, NumPy, coba 8.1 and MABWiser 2.7, in one run.

The bandit has d = 5 and ten arms with vectors of their own, new at every step; ridge 1, which is coba's. All are
played along the same history, one decision and its record at a time, by turns; times are least ones of several
rounds, of the processor, on one thread. `differ` counts decisions at which the largest score is another arm's than
in `algorithms.linucb`. MABWiser keeps one ridge for each arm and one context for all: it is handed the first arm's
vector, and decides something else. A package that is not there is named: `pip install coba mabwiser`. Compilers,
Tracr and torchwright, have jobs that they can do in compilers.py; the transformers of InContextTD (arXiv
2405.13861) are trained or set by hand for policy evaluation, in a repository that is no package.
"""

import json
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.decisions import BEGUN, bare_scores
from constructions import files, linucb
from constructions.history import BanditHistory
from verify import algorithms
from verify.histories.linear import LinearOutline

SPEC = linucb.Spec(dim=5, actions=10, horizon=1_000, error=1e-3, solver="newton", ridge=1.0)
STEPS, ROUNDS = 200, 7

Player = tuple[Callable[[np.ndarray], int], Callable[[np.ndarray, int, float], object]]
"""Decides, and takes in what was done."""

CANNOT = {
    "weightwright, built": "",
    "weightwright, algorithms.decoder": "no weights: the algorithm, its input checked",
    "NumPy": "no weights: the algorithm, its input unchecked",
    "coba": "no weights; no softmax, no other ridge than 1",
    "MABWiser": "no weights; no softmax, no arms with vectors of their own",
}


def decoded(decoder: Any) -> Player:
    """One of ours."""
    return (
        lambda arms: int(decoder.observe(arms).argmax()),
        lambda _, action, reward: decoder.record(action, reward),
    )


def in_numpy() -> Player:
    """A few lines."""
    gram, moment = SPEC.ridge * np.eye(SPEC.dim), np.zeros(SPEC.dim)

    def learn(arms: np.ndarray, action: int, reward: float) -> None:
        gram[:] += np.outer(arms[action], arms[action])
        moment[:] += reward * arms[action]

    return lambda arms: int(bare_scores(SPEC, arms, gram, moment).argmax()), learn


def coba() -> Player:
    """LinUCBLearner on features of actions alone."""
    learner = import_module("coba.learners").LinUCBLearner(alpha=SPEC.exploration, features=["a"])

    def decide(arms: np.ndarray) -> int:
        offered = [tuple(arm) for arm in arms.tolist()]
        return offered.index(learner.predict(None, offered)[0])

    return decide, lambda arms, action, reward: learner.learn(None, tuple(arms[action].tolist()), reward, 1.0)


def mabwiser() -> Player:
    """LinUCB with a ridge of its own for each arm."""
    package = import_module("mabwiser.mab")
    policy = package.LearningPolicy.LinUCB(alpha=SPEC.exploration, l2_lambda=SPEC.ridge)
    learner = package.MAB(list(range(SPEC.actions)), policy)
    nothing = np.zeros((SPEC.actions, SPEC.dim))
    learner.fit(list(range(SPEC.actions)), [0.0] * SPEC.actions, nothing)
    return (
        lambda arms: learner.predict(arms[:1]),
        lambda arms, action, reward: learner.partial_fit([action], [reward], arms[:1]),
    )


def played(player: Player, history: BanditHistory, wanted: np.ndarray) -> tuple[float, int]:
    """Seconds a decision, the first few left out, and how many decisions differ."""
    (decide, learn), start, differ = player, 0.0, 0
    rows = zip(history.contexts, history.actions.tolist(), history.rewards.tolist(), strict=False)
    for step, (arms, action, reward) in enumerate(rows):
        if step == BEGUN:
            start = time.process_time()
        differ += int(decide(arms) != wanted[step])
        learn(arms, action, reward)
    return (time.process_time() - start) / (history.steps - 1 - BEGUN), differ


def measure() -> list[dict[str, Any]]:
    """One record a package; of one that is not there, its name alone."""
    torch.set_num_threads(1)
    built = linucb.build(SPEC)
    history = LinearOutline("random", "linear", "spread", STEPS, 0.0, 0).history(SPEC)
    wanted = algorithms.linucb(SPEC, history).argmax(1)
    makers: dict[str, Callable[[], Player]] = {
        "weightwright, built": lambda: decoded(built.decoder()),
        "weightwright, algorithms.decoder": lambda: decoded(algorithms.decoder(SPEC)),
        "NumPy": in_numpy,
        "coba": coba,
        "MABWiser": mabwiser,
    }
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in makers}
    for _ in range(ROUNDS):
        for name, make in makers.items():
            try:
                player = make()
            except ImportError:
                continue
            found[name].append(played(player, history, wanted))
    rows = []
    for name, rounds in found.items():
        told = {"decision, s": min(rounds)[0], "differ": rounds[0][1]} if rounds else {}
        rows.append({"package": name, **told, "cannot": CANNOT[name] if rounds else "not installed"})
    return rows


def main(out: Annotated[Path, typer.Option(help="Folder for peers.json.")] = Path("reports")) -> None:
    """Measure, print a table, write the record."""
    rows = measure()
    ours, table = rows[0]["decision, s"], Table("package", "µs a decision", "ours ×", "differ", "cannot")
    for row in rows:
        taken = row.get("decision, s")
        told = [f"{1e6 * taken:.1f}", f"{ours / taken:.2f}", f"{row['differ']}"] if taken else ["—"] * 3
        table.add_row(row["package"], *told, row["cannot"])
    Console(width=max(Console().width, 120)).print(table)
    files.write(out / "peers.json", json.dumps(rows, indent=1))


if __name__ == "__main__":
    typer.run(main)
