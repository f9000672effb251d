"""Training throughput beside the published experiment's network, same machine, same sizes, one after the other.

The other network is restated from its description (ReLU attention by einsum, one head of full width whatever M says,
LayerNorm after attention and MLP), not copied; its sizes are the paper's: 8 layers, width 32, T = 200. Each runs in
processes of its own with the allocator settings given, and both in turns, so that a busy machine slows both alike: the
published network on as many threads as there are cores, ours in as many processes under torchrun. With --heads 1 both
compute the same function; the paper has four heads. Training has oneDNN multiply where that computes in float32; the
published code does not ask for it (PyTorch's "medium" precision), and its network is measured with and without. Neither is
charged for its data, unless --made is given.

    python -m benchmarks.training --batch 128 --heads 1
"""

import argparse
import json
import os
import subprocess
import sys
import time
from itertools import count, repeat

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from verify.training import recipes, train

RAISED = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
"""glibc hands large blocks back to the system at once unless these are raised."""
PUBLISHED = {"published": "highest", "published, medium": "medium"}
"""The published network's names, by the precision of its products."""
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


def ours(run, made, rank, world):
    """One step of ours, its data made on the spot or, as the other's, before; of a few processes, each takes its share."""
    model = run.model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    fresh = (recipes.batch(run.recipe, 0, number, run.batch) for number in count())
    batches = fresh if made else repeat(next(fresh))
    return lambda: train._step(model, optimizer, next(batches), run, rank, world)


def rate(step, steps):
    """Steps a second, after one step to warm up."""
    step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return steps / (time.perf_counter() - start)


def measure(options):
    """In a process of its own, or one of a few under torchrun."""
    if options.one in PUBLISHED:
        torch.set_num_threads(options.cores)
        torch.set_float32_matmul_precision(PUBLISHED[options.one])
        print(rate(published(options.batch), options.steps))
        return
    torch.set_num_threads(1)
    run = train.named("ad-linucb", batch=options.batch, heads=options.heads)
    with train._processes() as (rank, world, device), train._products(run, rank, world, device):
        found = rate(ours(run, options.made, rank, world), options.steps)
        time.sleep(0.2)  # gloo's thread drops the last message, for which it needs the interpreter
    if rank == 0:
        print(found)


def child(name, raised, options):
    """The same in fresh processes: threads for the published network, torchrun for ours."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(options.cores)]
    command = [sys.executable, *(launch if name == "ours" else []), __file__, "--one", name]
    for option in ("batch", "cores", "steps", "heads"):
        command += [f"--{option}", str(getattr(options, option))]
    command += ["--made"] if options.made else []
    environment = os.environ | {"OMP_NUM_THREADS": str(options.cores)} | (RAISED if raised else {})
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main():
    """Print a line of JSON: medians of the turns, and ratios of the best of each network over allocator settings."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--one")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--heads", type=int, default=1, help="of ours; the published network computes one")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--made", action="store_true", help="ours makes its data on the spot")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    if options.one:
        measure(options)
        return
    names = [*PUBLISHED, "ours"]
    kinds = [(name, raised) for name in names for raised in (False, True)]
    turns = [{kind: child(*kind, options) for kind in kinds} for _ in range(options.turns)]
    median = {kind: float(np.median([turn[kind] for turn in turns])) for kind in kinds}
    best = {name: max(median[name, raised] for raised in (False, True)) for name in names}
    rates = {
        f"{name}, {'raised' if raised else 'default'} thresholds": round(median[name, raised], 3)
        for name, raised in kinds
    }
    settings = {name: getattr(options, name) for name in ("batch", "heads", "made", "cores")}
    ratios = {f"ours over {name}": round(best["ours"] / best[name], 2) for name in PUBLISHED}
    print(json.dumps({**settings, "steps/s": rates, **ratios}))


if __name__ == "__main__":
    main()
