"""Everything that a trained model depends on: what is learnt, the schedule, the optimiser, the sizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch

from constructions import checks, files
from constructions.plain import shown
from verify.training.kinds import BanditRecipe, EpisodeRecipe, Recipe
from verify.training.model import Attending, Shape, TrainedTransformer
from verify.training.optimisers import Kind, Optimiser
from verify.training.policy import HELD_OUT
from verify.training.recipes import hold, units


@dataclass(frozen=True)
class Run:
    """Everything that a trained model depends on.

    Attributes:
        recipe: what is learnt.
        steps: optimiser steps.
        batch: trajectories in each.
        seed: of initial weights and data, in 0..2³²−1.
        optimizer: "adamw", or "soap" or "muon" for the hidden matrices with AdamW for the rest.
        rate: the largest learning rate of AdamW.
        matrix_rate: the largest learning rate of SOAP or Muon.
        warmup: the share of the steps in which the rates rise.
        descent: the share of the steps, the last ones, in which they fall to 0.
        lengths: pairs (until, share): until that share of the steps, the first decisions of each trajectory only, so
            large a share of them; after the last pair, all. Short trajectories are cheap, and most is learnt there.
        decay: AdamW's weight decay.
        momentum: AdamW's averaging of gradients.
        memory: AdamW's averaging of their squares.
        clip: gradients are scaled to this norm at most.
        average: γ in [0, 1]. The weights that are played are an average over about this share of the steps done, the last
            ones; 0 plays those of the last step. See `optimisers.Average`.
        layers: L.
        heads: M.
        width: D.
        attention: "relu" or "softmax".

    Raises:
        ValueError: for values that nothing can be trained with.
    """

    recipe: Recipe
    steps: int = 10_000
    batch: int = 64
    seed: int = 0
    optimizer: Kind = "adamw"
    rate: float = 2e-3
    matrix_rate: float = 3e-3
    warmup: float = 0.02
    descent: float = 0.3
    lengths: Sequence[Sequence[float]] = ()
    decay: float = 1e-4
    momentum: float = 0.9
    memory: float = 0.99
    clip: float = 1.0
    average: float = 0.0
    layers: int = 8
    heads: int = 4
    width: int = 32
    attention: Attending = "relu"

    def __post_init__(self):
        checks.instance("recipe", self.recipe, BanditRecipe, EpisodeRecipe)
        checks.settle(self, checks.whole, "steps", "batch", "layers", "heads", "width")
        checks.settle(self, checks.choice, "optimizer", among=get_args(Kind))
        checks.settle(self, checks.number, "rate", "matrix_rate", "clip", positive=True)
        checks.settle(self, checks.number, "decay", positive=False)
        checks.settle(self, checks.share, "warmup", "descent", "momentum", "memory", "average")
        checks.settle(self, checks.whole, "seed", least=0, most=HELD_OUT - 1)
        object.__setattr__(self, "lengths", _lengths(self.lengths))
        hold(self.recipe, self.batch)
        object.__setattr__(self, "attention", self.shape.attention)

    @property
    def shape(self) -> Shape:
        """Sizes of the model."""
        inputs = self.recipe.tokens.stream.width
        sizes = (self.layers, self.heads, self.width, self.attention, units(self.recipe))
        return Shape(inputs, self.recipe.actions, self.recipe.longest, *sizes)

    def rate_at(self, step: int) -> float:
        """The share of the largest learning rates that a step in 0..steps−1 has."""
        rise = (step + 1) / max(self.warmup * self.steps, 1)
        fall = (self.steps - step) / max(self.descent * self.steps, 1)
        return min(rise, fall, 1.0)

    def length_at(self, step: int) -> int:
        """The number of decisions that a step in 0..steps−1 sees of each trajectory."""
        return self._decisions(
            next((share for until, share in self.lengths if step < until * self.steps), 1.0)
        )

    @property
    def all_lengths(self) -> set[int]:
        """Every `length_at`."""
        return {self._decisions(share) for share in (1.0, *(share for _, share in self.lengths))}

    def _decisions(self, share: float) -> int:
        """So large a share of a trajectory, rounded up."""
        return math.ceil(share * self.recipe.horizon)

    def model(self) -> TrainedTransformer:
        """The model before the first step."""
        return TrainedTransformer(self.shape, torch.Generator().manual_seed(self.seed))

    def optimiser(self, model: TrainedTransformer) -> Optimiser:
        """The optimiser of such a model, before the first step."""
        rates = (self.rate, self.matrix_rate)
        return Optimiser(model, self.optimizer, *rates, self.decay, self.momentum, self.memory)


def _lengths(pairs: Any) -> tuple[tuple[float, float], ...]:
    """Held to be pairs of a share of the steps, which rises, and a share of each trajectory."""
    try:
        found = tuple((float(until), float(share)) for until, share in pairs)
    except (TypeError, ValueError):
        found = ((0.0, 0.0),)
    before = (0.0, *(until for until, _ in found))
    if not all(
        last < until <= 1 and 0 < share <= 1 for last, (until, share) in zip(before, found, strict=False)
    ):
        wanted = "pairs (until, share) in (0, 1], each until larger than the one before"
        raise ValueError(f"lengths: wanted {wanted}, got {shown(pairs)}")
    return found


def from_record(settings: dict[str, Any], place: object = "checkpoint") -> Run:
    """A run from the settings in a checkpoint, the path of which is for the error.

    Raises:
        ValueError: if they are not those of a run.
    """
    try:
        kind = EpisodeRecipe if "episodes" in settings["recipe"] else BanditRecipe
        files.typed(settings["recipe"], kind)  # of which unknown fields are no error
        fields: dict[str, Any] = settings["recipe"]
        pairs: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in fields.items()}
        return Run(**{**settings, "recipe": kind(**pairs)})
    except (TypeError, KeyError, ValueError) as error:
        raise files.refusal(place, "settings of a run", error) from error
