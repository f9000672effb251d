"""Optimisers side by side: CPU seconds to the same loss on the same held-out trajectories.

All begin with the same weights and are given the same batches, those of the run's seed, in turns within one process, so that
a busy machine slows all alike. Each has the same budget of CPU time, batches included, evaluation not. The schedule, of
rates and of lengths, goes by the share of the budget that is spent. By default rates are constant after a warm-up, and
evaluated is the average of the weights (`Run.average`), so that every point of a curve is a result, not only its end; each
optimiser has the package's rates, which `--set rate=…` and `--set matrix_rate=…` change.

    python -m benchmarks.optimisers ad-linucb-small --minutes 5 --out reports/optimisers.json
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from math import ceil
from pathlib import Path

import torch

from verify.cli import specs
from verify.training import ship, train
from verify.training.optimisers import Average
from verify.training.policy import Trained
from verify.training.recipes import batch

KINDS = ("adamw", "soap", "muon")


class Contestant:
    """One optimiser with its model, the CPU seconds that it has spent, and the losses at which it was looked at."""

    def __init__(self, run, seconds):
        self.run, self.seconds = run, seconds
        self.model = run.model()
        self.optimizer, self.average = run.optimiser(self.model), Average(self.model, run.average)
        self.spent, self.steps, self.curve = 0.0, 0, []

    def until(self, seconds):
        """Go on until so many have been spent."""
        while self.spent < seconds:
            begun = time.process_time()
            planned = min(int(self.spent / self.seconds * self.run.steps), self.run.steps - 1)
            data = batch(self.run.recipe, self.run.seed, self.steps, self.run.batch)
            data = data.first(self.run.recipe, self.run.length_at(planned))
            train._gradients(self.model, data, self.run, 0, 1)
            self.optimizer.step(self.run.rate_at(planned))
            self.steps += 1
            self.average.step(self.steps)
            self.spent += time.process_time() - begun

    def look(self, trajectories):
        """The held-out loss by now."""
        loss = ship.held_out_loss(Trained(self.run.recipe, self.average.model), trajectories)
        self.curve.append(
            {"seconds": self.spent, "steps": self.steps, "loss": loss["mean"], "half": loss["half"]}
        )


def race(run, kinds, seconds, looks, trajectories, tell=lambda found: None):
    """Curves by optimiser; `tell` is given them after every round."""
    found = {kind: Contestant(replace(run, optimizer=kind), seconds) for kind in kinds}
    with train._products(replace(run, optimizer=kinds[-1]), 0, 1, torch.device("cpu")):
        for look in range(1, looks + 1):
            for one in found.values():
                one.until(seconds * look / looks)
                one.look(trajectories)
            tell({kind: one.curve for kind, one in found.items()})
    return {kind: one.curve for kind, one in found.items()}


def reached(curve, target):
    """CPU seconds at which a curve is first at the target or below, by straight lines between its points; None if never."""
    times, losses = ([row[name] for row in curve] for name in ("seconds", "loss"))
    for at, (when, loss) in enumerate(zip(times, losses, strict=True)):
        if loss <= target:
            share = (losses[at - 1] - target) / (losses[at - 1] - loss) if at else 1.0
            return when if not at else times[at - 1] + share * (when - times[at - 1])
    return None


def ratios(curves, targets=()):
    """For each target the seconds of each optimiser, and how many times the quickest one's.

    Without targets there is one: the best loss of the one whose best is worst.
    """
    targets = list(targets) or [max(min(row["loss"] for row in curve) for curve in curves.values())]
    rows = []
    for target in targets:
        seconds = {kind: reached(curve, target) for kind, curve in curves.items()}
        least = min((value for value in seconds.values() if value), default=None)
        times = {kind: value and value / least for kind, value in seconds.items()}
        rows.append({"loss": target, "seconds": seconds, "times the quickest": times})
    return rows


def main(arguments=None):
    """Print the ratios; curves and ratios go to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--minutes", type=float, default=5.0, help="CPU time of each optimiser")
    parser.add_argument("--optimizers", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--targets", nargs="*", type=float, default=[], help="losses; that which the slowest reaches"
    )
    parser.add_argument("--looks", type=int, default=20, help="at the held-out loss, evenly over the budget")
    parser.add_argument("--trajectories", type=int, default=200, help="held out")
    parser.add_argument("--set", action="append", metavar="FIELD=VALUE", help="of the recipe or of the run")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    own = {"batch": 32, "descent": 0.0, "average": 0.2}
    run = train.named(options.recipe, **own | specs.asked(options.set, None))
    told = {"run": asdict(run), "trajectories": options.trajectories}

    def keep(curves):
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            rows = ratios(curves, options.targets)
            options.out.write_text(json.dumps({**told, "curves": curves, "ratios": rows}, indent=1))

    curves = race(run, options.optimizers, 60 * options.minutes, options.looks, options.trajectories, keep)
    for kind, curve in curves.items():
        quarters = [curve[ceil(len(curve) * share / 4) - 1] for share in range(1, 5)]
        told_losses = ", ".join(f"{row['loss']:.3f} after {row['seconds'] / 60:.1f}" for row in quarters)
        print(f"{kind}: {curve[-1]['steps']} steps; loss by CPU minutes: {told_losses}")
    for row in ratios(curves, options.targets):
        print(f"to {row['loss']:.3f}: {', '.join(phrase(row, kind) for kind in curves)}")


def phrase(row, kind):
    """An optimiser's part in a row of `ratios`, in words."""
    seconds, times = row["seconds"][kind], row["times the quickest"][kind]
    return f"{kind} never" if seconds is None else f"{kind} {seconds:.0f} s ({times:.2f} ×)"


if __name__ == "__main__":
    main()
