"""Training throughput beside the published experiment's network, same machine, same sizes, one after the other.

The other network is restated from its description (ReLU attention by einsum, one head of full width whatever M says,
LayerNorm after attention and MLP), not copied; its sizes are the paper's: 8 layers, width 32, T = 200. Each runs in a
process of its own with the allocator settings given, and both in turns, so that a busy machine slows both alike.

    python benchmarks/training.py --batch 32 --threads 2
"""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

RAISED = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
"""glibc hands large blocks back to the system at once unless these are raised."""
T, DIM, ARMS, WIDTH, LAYERS = 200, 5, 10, 32, 8


class Published(nn.Module):
    """The published network: the scores of all pairs of tokens, then a mask that holds 1/i."""

    def __init__(self):
        super().__init__()
        positions = 4 * (1 + T)
        self.read_in = nn.Linear(3 + DIM * ARMS + ARMS, WIDTH)
        self.positions = nn.Embedding(positions, WIDTH)
        self.maps = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3 * LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2 * LAYERS))
        hidden = (
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)) for _ in range(LAYERS)
        )
        self.mlps = nn.ModuleList(hidden)
        self.read_out = nn.Linear(WIDTH, ARMS)
        index = torch.arange(1, positions + 1)
        self.register_buffer("mask", torch.ones(positions, positions).tril() / index[:, None])

    def forward(self, tokens):
        """Logits at the state tokens."""
        count = tokens.shape[1]
        hidden = self.read_in(tokens) + self.positions(torch.arange(count))
        for layer, mlp in enumerate(self.mlps):
            query, key, value = (part(hidden) for part in self.maps[3 * layer : 3 * layer + 3])
            scores = functional.relu(torch.einsum("bid,bjd->bij", query, key)) * self.mask[:count, :count]
            hidden = self.norms[2 * layer](hidden + torch.einsum("bij,bjd->bid", scores, value))
            hidden = self.norms[2 * layer + 1](hidden + mlp(hidden))
        return self.read_out(hidden)[:, ::2]


def published(batch):
    """One step of the published network: summed cross-entropy, AdamW, the whole batch at once."""
    model = Published()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    tokens, labels = torch.randn(batch, 2 * T, 3 + DIM * ARMS + ARMS), torch.randint(ARMS, (batch * T,))

    def step():
        loss = functional.cross_entropy(model(tokens).flatten(0, 1), labels, reduction="sum")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def ours(batch):
    """One step of ours, four heads, its data made on the spot."""
    from verify import train
    from verify.training import recipes

    run = train.named("ad-linucb", batch=batch)
    model = run.model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    numbers = iter(range(10**9))

    def step():
        train._step(model, optimizer, recipes.batch(run.recipe, 0, next(numbers), batch), run, 0, 1)

    return step


def measure(name, batch, threads, seconds):
    """Steps a second, after one step to warm up."""
    torch.set_num_threads(threads)
    step = {"published": published, "ours": ours}[name](batch)
    step()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds or done < 2:
        step()
        done += 1
    return done / (time.perf_counter() - start)


def child(name, raised, options):
    """The same in a fresh process."""
    command = [sys.executable, __file__, "--one", name]
    for option in ("batch", "threads", "seconds"):
        command += [f"--{option}", str(getattr(options, option))]
    environment = os.environ | (RAISED if raised else {})
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main():
    """Print a line of JSON: the best of each network over allocator settings, medians of three turns, and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--one")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    if options.one:
        print(measure(options.one, options.batch, options.threads, options.seconds))
        return
    kinds = [(name, raised) for name in ("published", "ours") for raised in (False, True)]
    turns = [{kind: child(*kind, options) for kind in kinds} for _ in range(options.turns)]
    median = {kind: float(np.median([turn[kind] for turn in turns])) for kind in kinds}
    best = {name: max(median[name, raised] for raised in (False, True)) for name in ("published", "ours")}
    rates = {
        f"{name}, {'raised' if raised else 'default'} thresholds": rate
        for (name, raised), rate in median.items()
    }
    print(
        json.dumps(
            {
                "batch": options.batch,
                "threads": options.threads,
                "steps/s": rates,
                "ratio": best["ours"] / best["published"],
            }
        )
    )


if __name__ == "__main__":
    main()
