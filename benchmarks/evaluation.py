"""Ratios of evaluation times, measured side by side in one run: fast and dense, incremental and full, built and true.

Every ratio is of medians of interleaved runs on one thread, so that a slow moment of the machine hits both sides; single
decisions, which are short, are told by the least time of several interleaved rounds. The
command `make bench` runs it; it prints a table and writes evaluation.json.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.decisions import batches
from benchmarks.ratios import Ratio, interleaved
from constructions import files, linucb, ucbvi
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.transformer import DenseTransformer, Layer, Transformer
from verify import algorithms
from verify.catalog import CATALOG
from verify.histories.linear import LinearOutline, battery

THEOREM = linucb.Spec(dim=5, actions=10, horizon=200, error=1e-3, depth="stated")
PLAIN = replace(THEOREM, horizon=50, depth="certified")
LONG = replace(THEOREM, horizon=10_001, error=1.0, depth="certified")
SHALLOW = replace(THEOREM, horizon=10_000, depth="certified", solver="newton")
TABULAR = ucbvi.Spec(states=150, actions=6, horizon=20, episodes=20, exploration=0.05, form="narrow")
SOFT = ucbvi.SoftmaxSpec(states=4, actions=3, horizon=4, episodes=24, exploration=0.05)
DENSE_LAYERS = 20


def a_history(spec: linucb.Spec) -> BanditHistory:
    """A random history of full length."""
    return LinearOutline("random", "linear", "spread", spec.horizon, 0.0, 0).history(spec)


def against_dense(built: Construction, history: BanditHistory) -> Ratio:
    """Full-history evaluation and the literal dense form, timed on 20 of its layers and scaled to all."""
    layers, shape = built.transformer.stored_layers[:2], built.transformer
    half = [Layer(layer.attention, layer.mlp, DENSE_LAYERS // 2) for layer in layers]
    dense = DenseTransformer(Transformer(half, shape.width, shape.clip_radius))
    tokens = torch.as_tensor(built.tokens.encode(history))
    slow, fast = interleaved(lambda: dense(tokens), lambda: built.log_probabilities(history), runs=2)
    depth = built.size().layers
    note = f"{depth} layers, T = {history.steps}; dense timed on {DENSE_LAYERS} layers ({slow:.1f} s), scaled"
    return Ratio("dense / fast, full history", slow * depth / DENSE_LAYERS, fast, note)


def numpy_descent(history: BanditHistory, spec: linucb.Spec, depths: tuple[int, int]) -> np.ndarray:
    """Accelerated steps for the same systems at every step of a history, straight in NumPy: (steps, dim, 1 + arms)."""
    index = (2.0 * np.arange(1, history.steps + 1) - 1)[:, None, None]
    step_size = 1 / (spec.action_norm[1] ** 2 + spec.ridge)
    root = np.sqrt(2 * spec.horizon / (spec.ridge * step_size))
    momentum = (root - 1) / (root + 1)
    chosen = np.concatenate([np.zeros((1, spec.dim)), history.chosen])
    moments = np.cumsum(chosen * np.concatenate([[0.0], history.rewards])[:, None], 0)[:, :, None]
    gram = spec.ridge * np.eye(spec.dim) + np.cumsum(chosen[:, :, None] * chosen[:, None, :], 0)
    gram *= step_size / index
    solved = []
    for depth, target in zip(depths, (moments, history.contexts.transpose(0, 2, 1)), strict=True):
        push, ahead = target * step_size / index, np.zeros(target.shape)
        point = np.zeros_like(ahead)
        for _ in range(depth):
            new = ahead - gram @ ahead + push
            ahead, point = new + momentum * (new - point), new
        solved.append(point)
    return np.concatenate(solved, axis=-1)


def against_numpy(built: Construction, history: BanditHistory) -> Ratio:
    """The theorem-sized transformer and the same accelerated steps written directly in NumPy."""
    ridge, inverse = (layer.repeat for layer in built.transformer.stored_layers[:2])
    ours, theirs = interleaved(
        lambda: built.log_probabilities(history),
        lambda: numpy_descent(history, built.spec, (ridge, inverse)),
        runs=3,
    )
    wanted = algorithms.linucb_values(built.spec, history).ridge_estimate
    wrong = np.abs(numpy_descent(history, built.spec, (ridge, inverse))[:, :, 0] - wanted).max()
    note = f"{ridge} + {inverse} steps; NumPy's own error {wrong:.0e}"
    return Ratio("fast / accelerated descent in NumPy, full history", ours, theirs, note)


def incremental(built: Construction, history: BanditHistory) -> Ratio:
    """All decisions of a history one by one, and in one pass."""

    def one_by_one() -> None:
        play(built.decoder(), history, history.steps)

    slow, fast = interleaved(one_by_one, lambda: built.log_probabilities(history), runs=1)
    return Ratio(
        "incremental / full history", slow, fast, f"{built.size().layers} layers, T = {history.steps}"
    )


def play(decoder, history: BanditHistory, steps: int) -> None:
    """Feed a decoder the first steps of a history."""
    for step in range(steps):
        decoder.observe(history.contexts[step])
        if step < history.steps - 1:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))


def late_and_early(built: Construction, history: BanditHistory) -> Ratio:
    """One decision late and early in a long history; the past is taken in at once."""
    decoders = []
    for steps in (history.steps - 1, 100):
        decoders.append(built.decoder())
        decoders[-1].replay(history.prefix(steps))
    states = [decoder.state() for decoder in decoders]

    def decide(which: int) -> Callable[[], float]:
        def once() -> float:
            decoders[which].restore(states[which])
            start = time.perf_counter()
            decoders[which].observe(history.contexts[-1])
            return time.perf_counter() - start

        return once

    late, early = decide(0), decide(1)
    times = [(late(), early()) for _ in range(8)][1:]
    note = f"{built.size().layers} layers, median of {len(times)}"
    name = f"one decision at t = {history.steps - 1:,} / at t = 100"
    slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
    return Ratio(name, slow, fast, note)


def by_softmax(spec: ucbvi.SoftmaxSpec) -> list[Ratio]:
    """The literal layers of softmax attention and what is made of them: a whole history, and its last decision alone."""
    built, row = ucbvi.build(spec), CATALOG["softmax-ucbvi"]
    histories = [outline.history(spec) for outline in row.histories.battery(spec)]
    history = max(histories, key=lambda one: one.steps)
    tokens, decoder = torch.as_tensor(built.tokens.encode(history)), built.decoder()
    decoder.replay(history)
    state = decoder.state()

    def decide() -> None:
        decoder.restore(state)
        decoder.observe(int(history.states[-1]))

    jobs = {"full history": lambda: built.log_probabilities(history), "one decision more": decide}
    note = f"{built.size().layers} layers, {len(tokens)} tokens"
    return [
        Ratio(
            f"literal softmax / fast, {name}", *interleaved(lambda: built.transformer(tokens), job, 3), note
        )
        for name, job in jobs.items()
    ]


def precision(built: Construction) -> dict[str, float]:
    """Worst |log-probability error| over part of the battery, by dtype and, where there is one, on the GPU."""
    spec = built.spec
    histories = [outline.history(spec) for outline in battery(spec)[::4]]
    worst = {}
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for dtype in (torch.float64, torch.float32):
            policies = built.policy(built.outputs(histories, dtype, device))
            errors = [
                abs(p - algorithms.linucb(spec, h)).max() for p, h in zip(policies, histories, strict=True)
            ]
            worst[f"{dtype} on {device}".removeprefix("torch.")] = float(max(errors))
    return worst | {"certified": built.certificate}


def memory() -> dict[str, float]:
    """Peak resident memory of fresh processes, libraries included, in MB."""
    jobs = {
        "imports only": "pass",
        "build at T = 10,000, by Newton": "linucb.build(SHALLOW)",
        "build UCB-VI, 150 states": "ucbvi.build(TABULAR)",
        "build and rewrite UCB-VI, 150 states": "ucbvi.build(TABULAR).policy_program",
        "build at theorem size": "linucb.build(THEOREM)",
        "build and evaluate at theorem size": "linucb.build(THEOREM).log_probabilities(a_history(THEOREM))",
    }
    peaks = {}
    for name, job in jobs.items():
        code = f"from benchmarks.evaluation import *; torch.set_num_threads(1); {job}; print(peak())"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks[name] = float(done.stdout)
    return peaks


def peak() -> float:
    """Peak resident megabytes of this process (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(out: Annotated[Path, typer.Option(help="Folder for evaluation.json.")] = Path("reports")) -> None:
    """Measure, print a table, write the record."""
    torch.set_num_threads(1)
    theorem, plain, long, shallow = (linucb.build(spec) for spec in (THEOREM, PLAIN, LONG, SHALLOW))
    ratios = [
        against_dense(theorem, a_history(THEOREM)),
        against_numpy(theorem, a_history(THEOREM)),
        incremental(plain, a_history(PLAIN)),
        late_and_early(long, a_history(LONG)),
        *batches(plain, a_history(PLAIN)),
        *batches(shallow, a_history(SHALLOW), steps=100),
        *by_softmax(SOFT),
        *by_softmax(replace(SOFT, episodes=50)),
    ]
    record = {
        "ratios": [asdict(ratio) | {"ratio": ratio.ratio} for ratio in ratios],
        "worst |log-probability error|": precision(plain),
        "peak megabytes": memory(),
    }
    table = Table("ratio", "numerator, s", "denominator, s", "ratio", "note")
    for ratio in ratios:
        table.add_row(
            ratio.name, f"{ratio.numerator:.4g}", f"{ratio.denominator:.4g}", f"{ratio.ratio:.3g}", ratio.note
        )
    Console(width=max(Console().width, 120)).print(table)
    for name in ("worst |log-probability error|", "peak megabytes"):
        Console().print(name, *(f"{key}: {value:.4g}" for key, value in record[name].items()), sep="\n  ")
    files.write(out / "evaluation.json", json.dumps(record, indent=1))


if __name__ == "__main__":
    typer.run(main)
