"""A trained transformer as a policy: on whole histories, one decision at a time, and playing many bandits at once."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from constructions.history import BanditHistory
from constructions.tokens import position
from verify.training.model import Memory, TrainedTransformer
from verify.training.recipes import Recipe
from verify.training.tasks import Tasks


class Player:
    """Plays a batch of bandits by its probabilities, which the tasks' uniforms turn into arms; or the likeliest arm."""

    def __init__(self, model: TrainedTransformer, recipe: Recipe, tasks: Tasks, greedy: bool = False):
        self._model, self._stream, self._tasks, self._greedy = model, recipe.tokens.stream, tasks, greedy
        self._memories = [Memory() for _ in model.stored_blocks]
        self._recorded: np.ndarray | None = None

    def choose(self, step: int) -> Int[np.ndarray, " batch"]:
        """One arm for each bandit."""
        chunk = self._blank(2 * step + 1)
        chunk[:, 0, self._stream["arms"].slice] = self._tasks.arms.reshape(len(chunk), -1)
        if self._recorded is not None:
            chunk = np.concatenate([self._recorded, chunk], axis=1)
        device = self._model.read_in.weight.device
        with torch.no_grad():
            logits = self._model.advance(torch.as_tensor(chunk, device=device), self._memories)
        if self._greedy:
            return logits.argmax(dim=1).numpy(force=True)
        cumulated = logits.double().softmax(dim=1).cumsum(dim=1).numpy(force=True)
        level = self._tasks.uniforms[:, step, None] * cumulated[:, -1:]
        return (cumulated <= level).sum(axis=1)

    def record(self, arms: Int[np.ndarray, " batch"], rewards: Float[np.ndarray, " batch"]) -> None:
        """Kept for the next step, which takes it in."""
        past = self._memories[0].keys
        chunk = self._blank(1 if past is None else past.shape[2] + 1)
        chunk[:, 0, self._stream["action"].slice] = self._tasks.arms[np.arange(len(arms)), arms]
        chunk[:, 0, self._stream["reward"].start] = rewards
        self._recorded = chunk

    def _blank(self, index: int) -> Float[np.ndarray, "batch 1 entries"]:
        chunk = np.zeros((len(self._tasks.means), 1, self._stream.width), np.float32)
        chunk[:, 0, self._stream["position"].slice] = position(np.array([index]))
        return chunk


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained transformer with what it was trained on; the interface of built constructions."""

    recipe: Recipe
    model: TrainedTransformer

    def log_probabilities(self, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
        """The policy at every step of a history, in one pass.

        Raises:
            ValueError: if the history is not one of the recipe's problems, or longer than its horizon.
        """
        tokens = torch.as_tensor(self.recipe.tokens.encode(history)[None], dtype=torch.float32)
        states = torch.as_tensor(self.recipe.tokens.states(history.steps))
        device = self.model.read_in.weight.device
        with torch.no_grad():
            logits = self.model(tokens.to(device), states.to(device))[0].double()
        return logits.log_softmax(dim=1).numpy(force=True)
