"""Models of one's own, asked for nothing but log-probabilities: on histories of a recipe's problems, and to play them.

A model is any object with `log_probabilities(history)`, shape (steps, actions). If it has `decoder(batch)` too, as
constructions have, it plays by that, one pass for all problems; otherwise it is asked for a whole history at each step. If
it has `patterns(history)` its heads can be looked at: layer by layer what each token takes of each, shape (heads, tokens,
tokens), for the tokens of the recipe.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks
from constructions.inputs.bandits import History
from constructions.plain import reals, shown
from verify.environments.sampling import TOTAL_SLACK
from verify.imports import is_own, own
from verify.play.lockstep import Pay, Problems, Seen, Whole, inverse
from verify.training import train
from verify.training.kinds import BanditRecipe, EpisodeRecipe, Recipe
from verify.training.policy import Trained
from verify.training.recipes import RECIPES


@dataclass(frozen=True, eq=False)
class Guest:
    """A model of one's own, with the problems that it is for."""

    recipe: Recipe
    policy: Any

    def log_probabilities(self, history: History) -> Float[np.ndarray, "steps actions"]:
        """The policy at every step; in float32 it need not add up to 1 to the last digit.

        Raises:
            ValueError: if the model gives anything but the log-probabilities of every action at every step.
        """
        return self._held(self.policy.log_probabilities(history), history.steps)

    @property
    def looks(self) -> bool:
        """Whether it tells its attention."""
        return callable(getattr(self.policy, "patterns", None))

    def patterns(self, history: History) -> Iterator[Float[np.ndarray, "heads tokens tokens"]]:
        """What each token takes of each, layer by layer.

        Raises:
            ValueError: if the model gives anything but numbers ≥ 0 for every pair of the recipe's tokens.
        """
        tokens = len(self.recipe.tokens.encode(history))  # type: ignore[arg-type]
        for layer in self.policy.patterns(history):
            found = reals("patterns", layer)
            if found.shape != (len(found), tokens, tokens) or (found < 0).any():
                got = (
                    "some below 0" if found.shape == (len(found), tokens, tokens) else f"shape {found.shape}"
                )
                raise ValueError(
                    f"patterns: wanted numbers ≥ 0 of shape (heads, {tokens}, {tokens}), got {got}"
                )
            yield found

    def _held(self, found: Any, rows: int) -> Float[np.ndarray, "rows actions"]:
        """Wanted: a policy for each row."""
        policy, shape = reals("log_probabilities", found, finite=False), (rows, self.recipe.actions)
        if policy.shape != shape:
            raise ValueError(f"log_probabilities: wanted shape {shape} from the model, got {policy.shape}")
        with np.errstate(over="ignore"):
            totals = np.exp(policy).sum(axis=1)
        if not (wrong := ~(np.abs(totals - 1) <= TOTAL_SLACK)).any():  # neither NaN
            return policy - np.log(totals)[:, None]
        wanted, row = "logarithms of probabilities that sum to 1", int(wrong.argmax())
        raise ValueError(
            f"log_probabilities: wanted {wanted} from the model, got {totals[row]:g} in row {row}"
        )

    def player(self, problems: Any, greedy: bool = False) -> "GuestPlayer":
        """Plays many problems in lockstep: by its probabilities, or the likeliest action."""
        return GuestPlayer(self, problems, greedy)

    def policies(self, problems: Problems, seen: Seen) -> Float[np.ndarray, "batch steps actions"]:
        """The probabilities at every decision of a batch of trajectories."""
        return np.exp(np.stack([self.log_probabilities(history) for history in problems.histories(seen)]))


class GuestPlayer:
    """Plays by the model's decoder, or by its answers to the histories so far."""

    def __init__(self, guest: Guest, problems: Problems, greedy: bool):
        self._guest, self._problems, self._greedy = guest, problems, greedy
        make, count = getattr(guest.policy, "decoder", None), len(problems.uniforms)
        self._decoder = make(batch=count) if make else None
        self._rows: list[list] = [[], [], []]  # states, actions and rewards, step by step

    def choose(self, step: int, states: Whole | None = None) -> Whole:
        """One action for each problem."""
        if self._decoder is not None:
            observed = self._decoder.observe(self._problems.context(states))
            odds = np.exp(self._guest._held(observed, len(self._problems.uniforms)))
        else:
            self._rows[0].append(states)
            odds = np.exp([self._guest.log_probabilities(history)[-1] for history in self._histories()])
        return odds.argmax(axis=1) if self._greedy else inverse(odds, self._problems.uniforms[:, step])

    def _histories(self) -> Sequence[Any]:
        """What has been seen of each problem."""
        pending = np.zeros(len(self._problems.uniforms), np.int64)
        states, actions, rewards = self._rows
        done = np.stack([*actions, pending], axis=1), np.stack([*rewards, 1.0 * pending], axis=1)
        return self._problems.histories(Seen(*done, None if states[0] is None else np.stack(states, axis=1)))

    def record(self, actions: Whole, rewards: Pay) -> None:
        """Taken in."""
        if self._decoder is not None:
            return self._decoder.record(actions, rewards)
        self._rows[1].append(actions)
        self._rows[2].append(rewards)


def subject(model: Any, recipe: Recipe | str | None = None) -> tuple[Trained | Guest, str]:
    """A model and what it is called: a shipped or saved one by name or path, or one of one's own.

    Args:
        model: the name of a shipped model or the path of a .safetensors file; FILE.py, whose MODEL it is, FILE.py:NAME or
            module:NAME; or an object with `log_probabilities(history)`.
        recipe: the problems that a model of one's own is for, by name or as a recipe; its attribute `recipe` if left out.

    Raises:
        ValueError: if there is no such model, or it is not said what problems it is for.
    """
    named = isinstance(model, str | Path)
    if named and not is_own(str(model)):
        if recipe is not None:
            raise ValueError(
                f"recipe: wanted none for a trained model, which has its own, got {shown(recipe)}"
            )
        return train.load(path := train.locate(model)), train.title(path)
    found = own("model", str(model), "MODEL") if named else model
    if not callable(getattr(found, "log_probabilities", None)):
        raise ValueError(f"model: wanted an object with log_probabilities(history), got {shown(found)}")
    recipe = getattr(found, "recipe", None) if recipe is None else recipe
    if recipe is None:
        raise ValueError(
            f"recipe: wanted the problems that the model is for: one of {', '.join(RECIPES)}, got none"
        )
    if isinstance(recipe, str):
        recipe = RECIPES[checks.choice("recipe", recipe, tuple(RECIPES))]
    title = str(model).partition(":") if named else (type(found).__name__, "", "")
    return Guest(checks.instance("recipe", recipe, BanditRecipe, EpisodeRecipe), found), _title(
        title[0], title[2]
    )


def _title(place: str, name: str) -> str:
    """What reports call it: a word."""
    return name if name and name != "MODEL" else Path(place).stem.rpartition(".")[2] or "model"
