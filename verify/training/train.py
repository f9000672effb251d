"""Training: one loop for algorithm distillation and decision pretraining, which differ in their labels only.

    loss = mean over trajectories and decisions of −log TF(label | D_{t−1}, s_t)

AdamW or another optimiser, a linear warm-up, a plateau and a linear descent to 0. A step adds up the gradients of small
parts of its batch, which stay in the cache: the same gradient, sooner than from the whole batch at once. Under `torchrun`
every process takes its share of each batch.

Source: arXiv 2310.08566, section 3 (the pretraining loss) and section 5; the optimiser is that of the paper's code, its
schedule ours.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as processes
from torch.nn import functional

from constructions import checks, files
from verify.training import checkpoint, curves
from verify.training.model import TrainedTransformer
from verify.training.optimisers import CYCLE, Average, Optimiser
from verify.training.policy import TOGETHER, Trained, contest
from verify.training.products import quick
from verify.training.recipes import RECIPES, Batch, batch
from verify.training.run import Run, from_record

MODELS = Path(__file__).parents[1] / "models"
"""Where the models that come with the package lie."""

SCHEDULE = ("steps", "lengths", "warmup", "descent")
"""Settings that a run may go on with others of."""

PART = 6400
"""Tokens whose gradients are computed at a time on a CPU."""


@dataclass(frozen=True)
class Progress:
    """What is told after each step: steps done, the loss, and the curve so far."""

    step: int
    loss: float
    curve: list[dict[str, float]] = field(default_factory=list)


def train(
    run: Run,
    folder: Path,
    *,
    resume: bool = False,
    every: int = 200,
    tell: Callable[[Progress], None] = lambda progress: None,
    source: Callable[[int], Batch] | None = None,
) -> TrainedTransformer:
    """Train, from the start or from the folder's checkpoint; returns the model that is played after the last step.

    Args:
        run: what to train.
        folder: gets `checkpoint.safetensors`, `curve.json` and `curve.png`, and at the end `model.safetensors`, the
            weights that are played alone.
        resume: go on from the checkpoint in the folder, if there is one; the outcome is that of an uninterrupted run. With
            other steps, lengths, warm-up or descent than before it goes on by these.
        every: steps between checkpoints, at which regret is measured too.
        tell: told after every step.
        source: the batch of a step, whose labels may be probabilities; by default it is made on the spot.

    Raises:
        ValueError: if the folder cannot be written, the checkpoint is damaged or of another run, there is one and `resume`
            is not set, or a loss is not finite.
    """
    files.writable(folder)
    path = folder / "checkpoint.safetensors"
    with _processes() as (rank, world, device), _products(run, rank, world, device):
        model = run.model().to(device)
        optimizer, average = run.optimiser(model), Average(model, run.average)
        done, curve = _begin(run, path, model, optimizer, average, resume)
        losses: list[float] = []
        clocks = _Clocks(curve, world)
        for step in range(done, run.steps):
            data = source(step) if source else batch(run.recipe, run.seed, step, run.batch)
            data = data.first(run.recipe, run.length_at(step))
            loss = _gradients(model, data, run, rank, world)
            if not math.isfinite(loss):
                got = f"got {loss}; a smaller rate may help"
                raise ValueError(f"step {step + 1}: wanted a finite loss, {got}")
            optimizer.step(run.rate_at(step))
            average.step(step + 1)
            losses.append(loss)
            if (step + 1) % every == 0 or step + 1 == run.steps:
                row = {"step": step + 1, "steps": run.steps, "loss": float(np.mean(losses))}
                row |= {**clocks.read(), "length": run.length_at(step)}
                played = contest(Trained(run.recipe, average.model), TOGETHER)
                row |= {name: float(regret.sum(axis=1).mean()) for name, regret in played.items()}
                curve, losses = [*curve, row], []
                if rank == 0:
                    checkpoint.save(path, model, optimizer, step + 1, asdict(run), curve, average=average)
                    curves.write(folder, curve)
            tell(Progress(step + 1, loss, curve))
        if rank == 0:
            checkpoint.save(folder / "model.safetensors", average.model, None, run.steps, asdict(run), curve)
    return average.model


def load(model: Path | str) -> Trained:
    """A trained model: a shipped one by its name, or a checkpoint by its path, with or without its optimiser.

    Raises:
        ValueError: if there is no such model, or the file is damaged or none of ours.
    """
    path = locate(model)
    tensors, step, settings, _ = checkpoint.load(path)
    run = from_record(settings, path)
    least = (
        run.layers * run.width**2 + run.recipe.longest * run.width
    )  # of the blocks and the positions alone
    if (got := sum(value.numel() for value in tensors.values())) < least:
        raise files.refusal(path, f"{least:,} weights or more, as its settings say", f"{got:,}")
    network = run.model()
    checkpoint.restore(path, checkpoint.played(tensors), network, None, step)
    return Trained(run.recipe, network)


def shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in MODELS.glob("*.safetensors"))


def locate(model: Path | str) -> Path:
    """The file of a shipped model, by its name, or of any other, by its path or that of the folder that a run wrote.

    >>> locate("dpt-bernoulli").name
    'dpt-bernoulli.safetensors'
    """
    path = Path(model)
    if path.suffix == ".safetensors":
        return path
    if str(model) not in shipped() and (path / "model.safetensors").is_file():
        return path / "model.safetensors"
    if str(model) not in shipped():
        wanted = f"one of {', '.join(shipped())}, or the path of a .safetensors file or its folder"
        raise files.refusal("model", wanted, repr(str(model)))
    return MODELS / f"{model}.safetensors"


def title(path: Path) -> str:
    """What a model is called: as its file, or as its folder where the file has the name that every run gives it.

    >>> title(Path("models/dpt/model.safetensors")), title(locate("ad-linucb"))
    ('dpt', 'ad-linucb')
    """
    return path.absolute().parent.name if path.stem in ("model", "checkpoint") else path.stem


def _begin(
    run: Run, path: Path, model: TrainedTransformer, optimizer: Optimiser, average: Average, resume: bool
) -> tuple[int, list]:
    """Steps done and the curve of the checkpoint, whose tensors are put in place; 0 and nothing if there is none."""
    if not path.exists():
        return 0, []
    if not resume:
        raise files.refusal(path, "no checkpoint there, or --resume to go on from it", "one")
    tensors, done, settings, curve = checkpoint.load(path)
    kept = from_record(settings, path)
    for name in (one.name for one in fields(run) if one.name not in SCHEDULE):
        wanted, got = getattr(run, name), getattr(kept, name)
        if wanted != got:
            raise files.refusal(path, f"a checkpoint of {name} = {wanted}", f"one of {got}")
    if done > run.steps:
        raise files.refusal(path, f"a checkpoint of at most {run.steps} steps", f"one of {done}")
    checkpoint.restore(path, tensors, model, optimizer, done, average)
    return done, curve


class _Clocks:
    """Seconds of training: by the clock, and CPU time of all processes; they go on where a curve ends.

    Where a curve has no CPU time, what goes on from it has none either.
    """

    def __init__(self, curve: list[dict[str, float]], world: int):
        last = curve[-1] if curve else {"seconds": 0.0, "cpu": 0.0}
        self._world, self._before = world, last.get("cpu")
        self._begun = time.monotonic() - last.get("seconds", 0.0)
        self._spent = time.process_time()

    def read(self) -> dict[str, float]:
        """`seconds`, and `cpu`; under `torchrun` to be called by every process."""
        found = {"seconds": time.monotonic() - self._begun}
        spent = torch.tensor(time.process_time() - self._spent, dtype=torch.float64)
        if self._world > 1:
            spent = spent.cuda() if processes.get_backend() == "nccl" else spent
            processes.all_reduce(spent)
        return found if self._before is None else found | {"cpu": self._before + float(spent)}


def _gradients(model: nn.Module, data: Batch, run: Run, rank: int, world: int) -> float:
    """Gradients of the loss, clipped; returns the loss, of the whole batch."""
    device = next(model.parameters()).device
    states = torch.as_tensor(run.recipe.places[: data.labels.shape[1]], device=device)
    mine = slice(rank, None, world)
    tokens, labels = (torch.as_tensor(array[mine], device=device) for array in (data.tokens, data.labels))
    part = _part(tokens.shape[1]) if device.type == "cpu" else max(len(tokens), 1)
    model.zero_grad(set_to_none=False)
    total = torch.zeros((), device=device)
    for some, wanted in zip(tokens.split(part), labels.split(part), strict=True):
        logits = model(some, states).flatten(0, 1)
        whole = functional.cross_entropy(logits, wanted.flatten(0, 1), reduction="sum")
        loss = whole / math.prod(data.labels.shape[:2])
        loss.backward()
        total += loss.detach()
    _add_up(model, total, world)
    nn.utils.clip_grad_norm_(model.parameters(), run.clip)
    return float(total)


def _part(tokens: int) -> int:
    """Trajectories of so many tokens whose gradients are computed at a time on a CPU."""
    return max(1, PART // tokens)


def _add_up(model: nn.Module, total: Tensor, world: int) -> None:
    """Gradients and loss of all processes, in one message."""
    if world > 1:
        values = [total, *(parameter.grad for parameter in model.parameters())]
        message = torch.cat([value.flatten() for value in values])  # type: ignore[union-attr]
        processes.all_reduce(message)
        for value, part in zip(values, message.split([value.numel() for value in values]), strict=True):  # type: ignore[union-attr]
            value.copy_(part.view_as(value))  # type: ignore[union-attr,arg-type]


@contextmanager
def _processes() -> Iterator[tuple[int, int, torch.device]]:
    """Rank, number of processes and device: those of `torchrun`, or one process and the GPU if there is one."""
    gpu = torch.cuda.is_available()
    if not processes.is_torchelastic_launched():
        yield 0, 1, torch.device("cuda" if gpu else "cpu")
        return
    processes.init_process_group("nccl" if gpu else "gloo")
    rank = processes.get_rank()
    device = torch.device("cuda", rank % torch.cuda.device_count()) if gpu else torch.device("cpu")
    try:
        yield rank, processes.get_world_size(), device
    finally:
        processes.destroy_process_group()


def _products(run: Run, rank: int, world: int, device: torch.device) -> AbstractContextManager[None]:
    """Products in float32, by the quicker library that gives them in the steps of this run and process.

    Measured are parts of every size that its share of a batch is split into, of every length, and the optimiser's own. On
    a GPU nothing is asked for: PyTorch computes in float32 there unless it is told otherwise.
    """

    def steps() -> None:
        model = run.model()
        share = len(range(rank, run.batch, world))
        for length in run.all_lengths:
            part = _part(int(run.recipe.places[length - 1]) + 1)
            data = batch(run.recipe, run.seed, 0, min(share, part + share % part))
            _gradients(model, data.first(run.recipe, length), run, 0, 1)
        optimizer = run.optimiser(model)
        for _ in range(CYCLE + 1):
            optimizer.step(0.0)

    return quick(steps) if device.type == "cpu" else nullcontext()


def named(recipe: str, **settings) -> Run:
    """A run of a recipe by name; settings are fields of the recipe or of the run.

    >>> named("ad-linucb", horizon=50, steps=10).recipe.longest
    99

    Raises:
        ValueError: for a field that neither has, or a value that they refuse.
    """
    chosen = RECIPES[checks.choice("recipe", recipe, tuple(RECIPES))]
    of_recipe, of_run = ([one.name for one in fields(kind) if one.name != "recipe"] for kind in (chosen, Run))
    for name in settings:
        if name not in (*of_recipe, *of_run):
            raise ValueError(f"{recipe}: wanted fields of {', '.join((*of_recipe, *of_run))}, got {name}")
    own = {name: value for name, value in settings.items() if name in of_recipe}
    return Run(replace(chosen, **own), **{name: settings[name] for name in settings.keys() - own.keys()})
