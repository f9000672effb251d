"""Everything that a trained model depends on: what is learnt, the schedule, the optimiser, the sizes."""

from dataclasses import dataclass
from typing import Any

import torch

from constructions import checks, files
from verify.training.model import Attending, Shape, TrainedTransformer
from verify.training.policy import HELD_OUT
from verify.training.recipes import BanditRecipe, EpisodeRecipe, Recipe, hold, units


@dataclass(frozen=True)
class Run:
    """Everything that a trained model depends on.

    Attributes:
        recipe: what is learnt.
        steps: optimiser steps.
        batch: trajectories in each.
        seed: of initial weights and data, in 0..2³²−1.
        rate: the largest learning rate.
        warmup: the share of the steps in which the rate rises.
        descent: the share of the steps, the last ones, in which it falls to 0.
        short: the share of the steps, the first ones, that see the first quarter of each trajectory only: cheap, and
            what is to be learnt is learnt there.
        decay: AdamW's weight decay.
        momentum: AdamW's averaging of gradients.
        memory: AdamW's averaging of their squares.
        clip: gradients are scaled to this norm at most.
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
    rate: float = 2e-3
    warmup: float = 0.02
    descent: float = 0.3
    short: float = 0.0
    decay: float = 1e-4
    momentum: float = 0.9
    memory: float = 0.99
    clip: float = 1.0
    layers: int = 8
    heads: int = 4
    width: int = 32
    attention: Attending = "relu"

    def __post_init__(self):
        checks.instance("recipe", self.recipe, BanditRecipe, EpisodeRecipe)
        checks.settle(self, checks.whole, "steps", "batch", "layers", "heads", "width")
        checks.settle(self, checks.number, "rate", "clip", positive=True)
        checks.settle(self, checks.number, "decay", positive=False)
        checks.settle(self, checks.share, "warmup", "descent", "short", "momentum", "memory")
        checks.settle(self, checks.whole, "seed", least=0, most=HELD_OUT - 1)
        hold(self.recipe, self.batch)
        object.__setattr__(self, "attention", self.shape.attention)

    @property
    def shape(self) -> Shape:
        """Sizes of the model."""
        inputs = self.recipe.tokens.stream.width
        sizes = (self.layers, self.heads, self.width, self.attention, units(self.recipe))
        return Shape(inputs, self.recipe.actions, self.recipe.longest, *sizes)

    def rate_at(self, step: int) -> float:
        """The learning rate of a step in 0..steps−1."""
        rise = (step + 1) / max(self.warmup * self.steps, 1)
        fall = (self.steps - step) / max(self.descent * self.steps, 1)
        return self.rate * min(rise, fall, 1.0)

    def length_at(self, step: int) -> int:
        """The number of decisions that a step in 0..steps−1 sees of each trajectory."""
        return -(-self.recipe.horizon // 4) if step < self.short * self.steps else self.recipe.horizon

    def model(self) -> TrainedTransformer:
        """The model before the first step."""
        return TrainedTransformer(self.shape, torch.Generator().manual_seed(self.seed))


def from_record(settings: dict[str, Any], place: object = "checkpoint") -> Run:
    """A run from the settings in a checkpoint, the path of which is for the error.

    Raises:
        ValueError: if they are not those of a run.
    """
    try:
        kind = EpisodeRecipe if "episodes" in settings["recipe"] else BanditRecipe
        files.typed(settings["recipe"], kind)  # of which unknown fields are no error
        return Run(**{**settings, "recipe": kind(**settings["recipe"])})
    except (TypeError, KeyError, ValueError) as error:
        raise files.refusal(place, "settings of a run", error) from error
