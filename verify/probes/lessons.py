"""Built weights as a model that is trained: its lessons, its loss, and noise on its weights.

The expert is the true algorithm of a row of the catalog, as soft as its specification says: soft LinUCB at a temperature,
not the recipe's own LinUCB, which takes the largest score and which nothing here is built for. The recipe gives the
problems. The built transformer plays them; at each decision the expert has probabilities p, by the row's own NumPy code,
and a label k is drawn from them. With q for the policy of weights θ the pretraining loss is, in nats per decision,

    L(θ) = E[−log q(k)] = E[H(p)] + E[KL(p ‖ q)],        ∇L = E Σ_k (q(k) − p(k)) ∂logit_k/∂θ.

The first term is the floor, the second the excess, ≥ 0. Where log p − log q ≤ ε, the certificate, the excess is at most ε:
built weights minimise L up to ε, and where q = p the gradient is 0, or at a kink the slopes to all sides. That of a batch
is not: drawn labels leave a random part, which shrinks like 1/√n with the number n of trajectories. Exact labels, p itself,
have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call

from constructions.activations import asked
from constructions.construction import Construction
from verify.catalog import Entry, named
from verify.comparison.stand_ins import bounds, home, stand_in
from verify.play.lockstep import ByDecoder, inverse, play
from verify.training.kinds import Recipe
from verify.training.policy import HELD_OUT
from verify.training.recipes import Batch

Weights = dict[str, Tensor]
"""By the names that they have in a transformer."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "all weights": ("",),
    "queries and keys": (".query.", ".key."),
    "values": (".value.",),
    "neurons": (".mlp.",),
}
"""Weights that noise is added to, by what their names contain."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Trajectories of the built transformer, with what the expert would do.

    Attributes:
        tokens: as the built transformer reads them, in float64.
        states: where decisions are read.
        policy: the expert's log-probabilities.
        learnt: the same for training: tokens of the recipe, and labels drawn from the policy.
    """

    tokens: Float[Tensor, "batch tokens width"]
    states: Int[np.ndarray, " steps"]
    policy: Float[Tensor, "batch steps actions"]
    learnt: Batch

    @property
    def floor(self) -> Float[Tensor, " batch"]:
        """H(p), by trajectory."""
        return _mixed(self.policy, -self.policy)

    def drawn(self, logs: Float[Tensor, "batch steps actions"]) -> Float[Tensor, " batch"]:
        """The loss with drawn labels, by trajectory."""
        labels = torch.as_tensor(self.learnt.labels)
        return -logs.gather(2, labels[:, :, None])[:, :, 0].mean(dim=1)

    def excess(self, logs: Float[Tensor, "batch steps actions"]) -> Float[Tensor, " batch"]:
        """KL(p ‖ q), by trajectory: the loss with exact labels, less the floor."""
        return _mixed(self.policy, self.policy - logs)


def _mixed(policy: Tensor, values: Tensor) -> Tensor:
    """Σ_k p(k) of values, the mean over decisions; what has probability 0 counts for nothing."""
    odds = policy.exp()
    return torch.where(odds > 0, odds * values, 0.0).sum(dim=2).mean(dim=1)


@dataclass(frozen=True, eq=False)
class Subject:
    """A built transformer, the row that it is of, and a recipe's problems."""

    recipe: Recipe
    entry: Entry
    built: Construction

    @classmethod
    def of(cls, recipe: Recipe, row: str | None = None, given: Mapping[str, Any] | None = None) -> "Subject":
        """What stands in for a recipe's algorithm, or is built of a row that is named, with the fields that the two share.

        Args:
            recipe: the problems.
            row: a name for `catalog.named`.
            given: fields of the specification, where they are to be others.

        Raises:
            ValueError: if nothing is built for the recipe's algorithm and no row is named, there is no such row or
                specification, or it gives anything but log-probabilities.
        """
        entry, given = home(recipe) if row is None else named(row), given or {}
        entry.hold(given)
        if row is None:
            built = stand_in(recipe, fields=given)
        else:
            own = {one.name for one in fields(entry.spec)}
            shared = {name: value for name, value in vars(bounds(recipe)).items() if name in own}
            built = entry.build(entry.spec(**{**entry.example, **shared, **given}))
        if built is None or not built.guarantee.normalised:
            got = f"{built.guarantee.of} of {entry.name}" if built else f"none for {recipe.algorithm}"
            raise ValueError(f"of: wanted a row that gives log-probabilities, got {got}")
        return cls(recipe, entry, built)

    @property
    def parts(self) -> list[str]:
        """Those of PARTS that there are weights of."""
        names = [name for name, weight in self.built.transformer.named_parameters() if weight.numel()]
        return [
            part for part, words in PARTS.items() if any(word in name for word in words for name in names)
        ]

    def lesson(self, number: int, size: int) -> Lesson:
        """A batch, a function of its number and size.

        Raises:
            ValueError: if what is built does not admit the problems.
        """
        generator = np.random.default_rng([HELD_OUT, 3, number, size])
        problems: Any = self.recipe.draw(generator, size)
        seen = play(problems, ByDecoder(self.built.decoder(batch=size), problems))
        runs = problems.histories(seen)
        policy = np.stack([self.entry.truth(self.built.spec, run) for run in runs])
        flat = np.exp(policy).reshape(-1, policy.shape[-1])
        labels = inverse(flat, generator.random(len(flat))).reshape(policy.shape[:2])
        tokens, states = asked(self.built.tokens, runs, None)
        learnt = Batch(self.recipe.encode(problems, seen), labels)
        return Lesson(torch.as_tensor(tokens), states, torch.as_tensor(policy), learnt)

    def noised(self, sigma: float, seed: int, part: str = "all weights", keep: float = 1.0) -> Weights:
        """Weights to be trained, those of a part made w(keep + σz); what is built stays as it is."""
        generator, found = torch.Generator().manual_seed(seed), {}
        for name, weight in self.built.transformer.named_parameters():
            draws = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            moved = any(word in name for word in PARTS[part])
            found[name] = (weight.detach() * (keep + sigma * draws if moved else 1.0)).requires_grad_()
        return found

    def logs(self, weights: Weights, lesson: Lesson) -> Float[Tensor, "batch steps actions"]:
        """Log-probabilities by such weights, in their precision."""
        kind = next(iter(weights.values())).dtype
        tokens = functional_call(self.built.transformer, weights, lesson.tokens.to(kind))
        return tokens[:, lesson.states][:, :, self.built.output].double().log_softmax(dim=2)

    def gradient(self, weights: Weights, lesson: Lesson, exact: bool) -> float:
        """The norm of the gradient of the loss, with exact labels or drawn ones; at a kink, PyTorch's choice."""
        logs = self.logs(weights, lesson)
        loss = (lesson.excess(logs) if exact else lesson.drawn(logs)).mean()
        found = torch.autograd.grad(loss, list(weights.values()))
        return float(torch.cat([one.flatten() for one in found]).norm())

    @torch.no_grad()
    def excess(self, weights: Weights, lesson: Lesson) -> float:
        """Nats per decision above the floor."""
        return float(lesson.excess(self.logs(weights, lesson)).mean())
