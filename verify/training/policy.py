"""A trained transformer as a policy: on whole histories, one decision at a time, and playing many problems at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from constructions import checks
from constructions.activations import pairs
from constructions.history import finite_policy
from constructions.inputs.bandits import History
from constructions.plain import integer, reals, shown
from verify.play.lockstep import Pay, Problems, Seen, Whole, inverse, play
from verify.training.kinds import Recipe, seated
from verify.training.model import Memory, TrainedTransformer

Hook = tuple[int, Callable[[np.ndarray, int], np.ndarray | None]]
"""A layer, and what is to be made of what stands after it."""

CHUNK = 32
"""Trajectories that are evaluated at a time."""

TOGETHER = 100
"""Problems that are played at once."""

HELD_OUT = 2**32
"""Seed of the problems that regret is measured on; training seeds are below."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained transformer with what it was trained on; it answers as built constructions do."""

    recipe: Recipe
    model: TrainedTransformer

    def log_probabilities(self, history: History) -> Float[np.ndarray, "steps actions"]:
        """The policy at every step of a history, in one pass.

        Raises:
            ValueError: if the history is not one of the recipe's problems, or longer than its horizon, or holds numbers so
                large that the policy is not finite in float32.
        """
        tokens = self.recipe.tokens
        encoded = torch.as_tensor(tokens.encode(history)[None], dtype=torch.float32)  # type: ignore[arg-type]
        places = torch.as_tensor(tokens.states(history.steps))
        with torch.no_grad():
            logits = self.model(encoded.to(self.model.device), places.to(self.model.device))[0].double()
        return finite_policy(logits.log_softmax(dim=1).numpy(force=True))

    @torch.no_grad()
    def run_with_cache(
        self, history: History, hooks: Sequence[Hook] = ()
    ) -> tuple[Float[np.ndarray, "steps actions"], list[Float[np.ndarray, "tokens width"]]]:
        """The policy at every step, and what all tokens hold: `cache[0]` as the first layer reads them, `cache[ℓ]` after ℓ.

        Args:
            history: what has been seen.
            hooks: pairs (layer, function). The function is handed what is there, and the number of the layer; the array
                that it returns takes its place, and None changes nothing.

        Raises:
            ValueError: as `log_probabilities`, and for a layer that there is not, no function, or what it returns if that
                is no array of finite numbers or one of another shape.
        """
        layers, tokens, hooks = self.model.shape.layers, self.recipe.tokens, pairs(hooks)
        for layer, _ in hooks:
            if (found := integer(layer)) is None or not 0 <= found <= layers:
                raise ValueError(f"layer: wanted 0..{layers}, got {shown(layer)}")
        encoded = torch.as_tensor(tokens.encode(history)[None], dtype=torch.float32)  # type: ignore[arg-type]
        hidden, cache = self.model.embed(encoded.to(self.model.device)), []
        for layer in range(layers + 1):
            hidden = self.model.stored_blocks[layer - 1](hidden) if layer else hidden
            for _, change in (hook for hook in hooks if hook[0] == layer):
                hidden = _changed(hidden, layer, change)
            cache.append(hidden[0].numpy(force=True).copy())
        return self._policy(hidden, history), cache

    def _policy(self, hidden: Tensor, history: History) -> Float[np.ndarray, "steps actions"]:
        """What is read where decisions are, of what the tokens of a history hold at last."""
        states = torch.as_tensor(self.recipe.tokens.states(history.steps), device=hidden.device)
        logits = self.model.read_out(hidden[0, states]).double()
        return finite_policy(logits.log_softmax(dim=1).numpy(force=True))

    def run_with_hooks(self, history: History, hooks: Sequence[Hook]) -> Float[np.ndarray, "steps actions"]:
        """The policy at every step if hooks, as for `run_with_cache`, replace what tokens hold."""
        return self.run_with_cache(history, hooks)[0]

    @torch.no_grad()
    def run_with_patterns(
        self, history: History, hook: Callable[[np.ndarray, int], np.ndarray | None] | None = None
    ) -> tuple[Float[np.ndarray, "steps actions"], list[Float[np.ndarray, "heads tokens tokens"]]]:
        """The policy at every step, and what each token takes of each, layer by layer.

        Of softmax attention that adds up to 1, of ReLU it need not.

        Args:
            history: what has been seen.
            hook: handed a pattern and the number of its layer, from 1; the array that it returns takes its place, and None
                changes nothing.

        Raises:
            ValueError: as `run_with_cache`.
        """
        encoded = torch.as_tensor(self.recipe.tokens.encode(history)[None], dtype=torch.float32)  # type: ignore[arg-type]
        hidden, found = self.model.embed(encoded.to(self.model.device)), []
        for layer, block in enumerate(self.model.stored_blocks, 1):
            pattern = block.pattern(hidden)
            pattern = pattern if hook is None else _changed(pattern, layer, hook)
            hidden = block.looking(hidden, pattern)
            found.append(pattern[0].numpy(force=True))
        return self._policy(hidden, history), found

    def patterns(self, history: History) -> list[Float[np.ndarray, "heads tokens tokens"]]:
        """What each token takes of each, layer by layer."""
        return self.run_with_patterns(history)[1]

    def player(self, problems: Problems, greedy: bool = False) -> "Player":
        """Plays many problems in lockstep: by its probabilities, or the likeliest action."""
        return Player(self, problems, greedy)

    def policies(self, problems: Any, seen: Seen) -> Float[np.ndarray, "batch steps actions"]:
        """The probabilities at every decision of a batch of trajectories."""
        places, found = torch.as_tensor(self.recipe.places, device=self.model.device), []
        with torch.no_grad():
            for tokens in torch.as_tensor(self.recipe.encode(problems, seen)).split(CHUNK):
                odds = self.model(tokens.to(self.model.device), places).double().softmax(dim=2)
                found.append(odds.numpy(force=True))
        return np.concatenate(found)

    def __repr__(self) -> str:
        of = self.model.shape
        sizes = f"{of.layers} layers, {of.heads} heads, width {of.width}, {of.attention} attention"
        return f"<Trained({self.recipe}): {sizes}>"

    def decoder(self, batch: int | None = None) -> "Decoder":
        """A policy that is fed one step at a time; with `batch`, so many independent histories in lockstep."""
        return Decoder(self, batch)


def _changed(hidden: Float[Tensor, "1 *shape"], layer: int, change: Callable) -> Float[Tensor, "1 *shape"]:
    """What a hook makes of the tokens, or of a pattern."""
    after = change(hidden[0].numpy(force=True).copy(), layer)
    if after is None:
        return hidden
    after = torch.as_tensor(reals("hook", after)).to(hidden)[None]
    if after.shape != hidden.shape:
        wanted, got = tuple(hidden.shape[1:]), tuple(after.shape[1:])
        raise ValueError(f"hook: wanted an array of shape {wanted} after layer {layer}, got {got}")
    return after


class Decoder:
    """Incremental decoding: observe a context or state, get log-probabilities, record what was done and received."""

    def __init__(self, trained: Trained, batch: int | None = None):
        self._batch = None if batch is None else checks.whole("batch", batch)
        self._tokens, self._model = trained.recipe.tokens, trained.model
        self._memories = self._model.memories()
        self._decisions, self._contexts, self._recorded = 0, None, None

    def observe(self, context) -> Float[np.ndarray, "*batch actions"]:
        """Log-probabilities of the actions of the next step.

        Raises:
            ValueError: if the decision before it has not been recorded, there were as many as the recipe has, or the context
                is not one of the recipe's. Also if the policy is not finite.
        """
        if self._contexts is not None:
            raise ValueError("decoder: wanted record(action, reward) before the next context, got observe")
        if self._decisions >= (most := self._tokens.decisions):
            raise ValueError(f"decoder: wanted at most {most} decisions, got one more")
        contexts = self._tokens.observed(context if self._batch else [context])
        if self._batch not in (None, got := len(contexts)):
            raise ValueError(f"decoder: wanted one context for each of {self._batch} histories, got {got}")
        self._contexts, self._decisions = contexts, self._decisions + 1
        chunk = self._tokens.state_chunk(self._decisions, self._contexts)
        policy = advance(self._model, self._recorded, chunk, self._memories)
        return policy if self._batch else policy[0]

    def record(self, action, reward) -> None:
        """Take down what was done and received; the next step takes it in.

        Raises:
            ValueError: if nothing was observed, or the action or reward is out of range.
        """
        if self._contexts is None:
            raise ValueError("decoder: wanted observe(context) first, got record")
        actions, rewards = (action, reward) if self._batch else ([action], [reward])
        self._recorded = self._tokens.action_chunk(self._decisions, self._contexts, actions, rewards)
        self._contexts = None


class Player:
    """Plays many problems in lockstep: by its probabilities, which uniforms turn into actions, or the likeliest action."""

    def __init__(self, trained: Trained, problems: Problems, greedy: bool = False):
        self._tokens, self._model = trained.recipe.tokens, trained.model
        self._memories, self._problems, self._greedy = trained.model.memories(), problems, greedy
        self._decision, self._contexts, self._recorded = 0, None, None

    def choose(self, step: int, states: Whole | None = None) -> Whole:
        """One action for each problem."""
        self._decision, self._contexts = step + 1, self._problems.context(states)
        chunk = self._tokens.state_chunk(self._decision, self._contexts)
        policy = np.exp(advance(self._model, self._recorded, chunk, self._memories))
        return policy.argmax(axis=1) if self._greedy else inverse(policy, self._problems.uniforms[:, step])

    def record(self, actions: Whole, rewards: Pay) -> None:
        """Kept for the next step, which takes it in."""
        self._recorded = self._tokens.action_chunk(self._decision, self._contexts, actions, rewards)  # type: ignore[arg-type]


def advance(
    model: TrainedTransformer, recorded: np.ndarray | None, chunk: np.ndarray, memories: list[Memory]
) -> Float[np.ndarray, "batch actions"]:
    """Log-probabilities at the last of the tokens recorded and then those of the chunk."""
    chunk = chunk if recorded is None else np.concatenate([recorded, chunk], axis=1)
    with torch.no_grad():
        logits = model.advance(torch.as_tensor(chunk, dtype=torch.float32).to(model.device), memories)
    return finite_policy(logits.double().log_softmax(dim=1).numpy(force=True))


def contests(
    trained: Any,
    runs: int,
    others: Sequence[str] | None = None,
    first: int = 0,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> dict[str, Float[np.ndarray, "runs steps"]]:
    """Step-by-step regret as `contest` has it, over as many batches as so many problems take, from a batch on."""
    found: dict[str, list] = {}
    for done in range(0, runs, TOGETHER):
        size = min(TOGETHER, runs - done)
        for name, steps in contest(trained, size, first + done // TOGETHER, others).items():
            found.setdefault(name, []).append(steps)
        tell(done + size, runs)
    return {name: np.concatenate(batches) for name, batches in found.items()}


def half_interval(totals: Float[np.ndarray, " runs"]) -> float:
    """Half the 95 % interval of a mean."""
    return float(1.96 * np.std(totals, ddof=1) / np.sqrt(len(totals)))


def contest(
    trained: Any, size: int, number: int = 0, others: Sequence[str] | None = None
) -> dict[str, Float[np.ndarray, "batch steps"]]:
    """Step-by-step regret on a batch of held-out problems: of the model, of the true algorithm, and of others.

    "trained" draws from the model's probabilities, "greedy" takes their largest; all meet the same problems and rewards.
    The batch is a function of its number and size. Others are `recipe.beside`, if not told.
    """
    recipe, generator = trained.recipe, np.random.default_rng([HELD_OUT, number])
    problems = recipe.draw(generator, size)
    players: dict[str, Any] = {
        "trained": trained.player(problems),
        "greedy": trained.player(problems, greedy=True),
    }
    for name in (recipe.algorithm, *(recipe.beside if others is None else others)):
        players[name] = seated(recipe, name, problems, generator)
    return {name: problems.regret(play(problems, one)) for name, one in players.items()}
