"""What a transformer is trained on: problems, who plays them, and the two kinds of labels.

Algorithm distillation labels every step with the action that the expert took there, the expert being who plays. Decision
pretraining labels every step with the optimal arm, whoever plays; approximate decision pretraining, with the arm that looks
best at the end of the trajectory. Batch number n of a seed is a function of (recipe, seed, n) alone: it needs no state, so
a run that is resumed goes on with the very batches that it would have had.

Source: arXiv 2310.08566, sections 3.3, 5 and Proposition 7.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from constructions import checks, limits, ucbvi
from constructions.inputs.bandits import BanditTokens, bandit_stream, position
from constructions.inputs.episodes import EpisodeTokens, episode_stream
from verify.algorithms import ucbvi_bonus
from verify.play import many_bandits as tasks
from verify.play import many_mdps as mdps
from verify.play.many_bandits import Player, Tasks, Trajectories, play
from verify.play.many_mdps import MDPs, Visits
from verify.play.players import UCB, EmpiricalMean, LinearThompson, LinUCB, Mixed, Thompson, Uniform

Labels = Literal["expert", "optimal", "estimate"]
Problem = Literal["linear", "bernoulli"]


@dataclass(frozen=True)
class BanditRecipe:
    """Bandits to train on.

    Attributes:
        problem: "linear", the paper's linear bandits, or "bernoulli".
        player: who makes the trajectories: "linucb", "ucb", "thompson", or "mixed", some Thompson and the rest uniform.
        labels: "expert", "optimal" or "estimate".
        dim: d; for Bernoulli arms, A.
        actions: A.
        horizon: T, decisions in a trajectory.
        noise: standard deviation of the rewards of linear bandits.
        numbered: whether action tokens hold the arm's number too, one-hot, as in the paper's experiments; built
            transformers do without. The number of an arm is learnt from far sooner than its vector.
        share: α, of "mixed" trajectories how many are Thompson's; of each batch, rounded down.

    Raises:
        ValueError: for values that nothing can be trained on.
    """

    problem: Problem
    player: str
    labels: Labels
    dim: int
    actions: int
    horizon: int = 200
    noise: float = 1.5
    numbered: bool = False
    share: float = 0.5

    def __post_init__(self):
        checks.settle(self, checks.whole, "dim", "actions", "horizon")
        checks.settle(self, checks.choice, "problem", among=("linear", "bernoulli"))
        checks.settle(self, checks.choice, "player", among=("linucb", "ucb", "thompson", "mixed"))
        checks.settle(self, checks.choice, "labels", among=("expert", "optimal", "estimate"))
        checks.settle(self, checks.number, "noise", positive=False)
        checks.settle(self, checks.flag, "numbered")
        checks.settle(self, checks.share, "share")
        if self.player != "mixed" and self.share != 0.5:
            raise ValueError(
                f"share: wanted none for {self.player}, as no players are mixed, got {self.share}"
            )
        if self.problem == "bernoulli" and self.dim != self.actions:
            raise ValueError(f"dim: wanted {self.actions}, one for each Bernoulli arm, got {self.dim}")

    @property
    def tokens(self) -> BanditTokens:
        """How histories become tokens: the contract of built transformers, with no bound on norms."""
        free = {"action_norm": (0.0, np.inf), "weight_norm": np.inf, "noise_bound": np.inf}
        spec: Any = SimpleNamespace(dim=self.dim, actions=self.actions, horizon=self.horizon, **free)
        stream = bandit_stream(self.dim, self.actions, number=self.numbered * self.actions)
        return BanditTokens(stream, spec, bernoulli=self.problem == "bernoulli")

    @property
    def longest(self) -> int:
        """Tokens of a trajectory, 2T − 1: nobody reads what followed the last decision."""
        return 2 * self.horizon - 1

    @property
    def places(self) -> Int[np.ndarray, " steps"]:
        """Where decisions are read."""
        return self.tokens.states(self.horizon)


@dataclass(frozen=True)
class EpisodeRecipe:
    """Algorithm distillation of UCB-VI on decision processes drawn at random.

    Attributes:
        states: S.
        actions: A.
        episode: H, decisions in an episode.
        episodes: K.
        exploration: factor on UCB-VI's bonus; at this size the paper's bonus would hide all that is learnt.
        placed: whether state and action tokens hold stage and state together too, one-hot; built transformers do
            without. A head that looks for the same place is then learnt at once.

    Raises:
        ValueError: for values that nothing can be trained on.
    """

    states: int = 3
    actions: int = 3
    episode: int = 3
    episodes: int = 30
    exploration: float = 0.02
    placed: bool = False

    def __post_init__(self):
        checks.settle(self, checks.whole, "states", "actions", "episode", "episodes")
        checks.settle(self, checks.number, "exploration", positive=False)
        checks.settle(self, checks.flag, "placed")
        _ = self.spec

    @property
    def spec(self) -> ucbvi.Spec:
        """UCB-VI at temperature 1/K."""
        sizes = (self.states, self.actions, self.episode, self.episodes)
        return ucbvi.Spec(*sizes, exploration=self.exploration)

    @property
    def horizon(self) -> int:
        """T = KH."""
        return self.episode * self.episodes

    @property
    def tokens(self) -> EpisodeTokens:
        """How histories become tokens: the contract of built transformers."""
        place = self.placed * self.episode * self.states
        return EpisodeTokens(episode_stream(self.spec, place=place), self.spec)

    @property
    def places(self) -> Int[np.ndarray, " steps"]:
        """Where decisions are read."""
        return self.tokens.states(self.horizon)

    @property
    def longest(self) -> int:
        """Tokens of a trajectory, up to the last state."""
        return 2 * (self.horizon - 1) + self.episodes


Recipe = BanditRecipe | EpisodeRecipe


def units(recipe: Recipe) -> tuple[float, ...]:
    """What models divide the entries of a token by, so that all are of order 1: positions by N, episodes by K and so on."""
    stream = recipe.tokens.stream
    found = np.ones(stream.width)
    found[stream["position"].slice] = position(np.array([recipe.longest]))
    if isinstance(recipe, EpisodeRecipe):
        found[stream["clock"].slice] = (recipe.episodes, recipe.episode, 1)
    return tuple(found.tolist())


RECIPES: dict[str, Recipe] = {
    "ad-linucb": BanditRecipe("linear", "linucb", "expert", dim=5, actions=10, numbered=True),
    "ad-linucb-small": BanditRecipe(
        "linear", "linucb", "expert", dim=3, actions=5, horizon=100, numbered=True
    ),
    "dpt-bernoulli": BanditRecipe("bernoulli", "mixed", "optimal", dim=5, actions=5),
    "ad-ucb-bernoulli": BanditRecipe("bernoulli", "ucb", "expert", dim=5, actions=5),
    "ad-thompson-bernoulli": BanditRecipe("bernoulli", "thompson", "expert", dim=5, actions=5),
    "dpt-approximate": BanditRecipe("linear", "linucb", "estimate", dim=5, actions=10, numbered=True),
    "ad-ucbvi": EpisodeRecipe(placed=True),
}


@dataclass(frozen=True, eq=False)
class Batch:
    """Training data: tokens as float32, shape (batch, 2T − 1, entries), and a label for every decision."""

    tokens: Float[np.ndarray, "batch tokens entries"]
    labels: Int[np.ndarray, "batch steps"]

    def first(self, recipe: "Recipe", steps: int) -> "Batch":
        """The first decisions only."""
        return Batch(self.tokens[:, : recipe.places[steps - 1] + 1], self.labels[:, :steps])


def draw_tasks(recipe: BanditRecipe, generator: np.random.Generator, size: int) -> Tasks:
    """Fresh problems of a recipe."""
    if recipe.problem == "linear":
        sizes = (recipe.horizon, recipe.dim, recipe.actions)
        return tasks.linear_tasks(generator, size, *sizes, recipe.noise)
    return tasks.bernoulli_tasks(generator, size, recipe.horizon, recipe.actions)


def player(name: str, problems: Tasks, generator: np.random.Generator, share: float = 0.5) -> Player:
    """A player by name; "mixed" is Thompson in a share of the bandits, evenly spread, and uniform in the rest."""
    if name == "thompson":
        kind = Thompson if problems.bernoulli else LinearThompson
        return kind(problems, generator)
    if name == "mixed":
        spread = np.floor(share * np.arange(len(problems.means) + 1))
        return Mixed(spread[1:] == spread[:-1], Uniform(problems), Thompson(problems, generator))
    known = {"linucb": LinUCB, "ucb": UCB, "empirical": EmpiricalMean, "uniform": Uniform}
    if name not in known:
        raise ValueError(f"player: wanted one of {', '.join((*known, 'thompson', 'mixed'))}, got {name!r}")
    return known[name](problems)


def labels(
    recipe: BanditRecipe,
    problems: Tasks,
    seen: Trajectories,
    final: Float[np.ndarray, "batch arms"] | None = None,
) -> Int[np.ndarray, "batch steps"]:
    """What each decision should have been; `final` are the means as estimated at the end, for "estimate"."""
    if recipe.labels == "expert":
        return seen.actions
    best = problems.best if recipe.labels == "optimal" or final is None else final.argmax(axis=1)
    return np.repeat(best[:, None], recipe.horizon, axis=1)


def encode(
    recipe: BanditRecipe, problems: Tasks, seen: Trajectories
) -> Float[np.ndarray, "batch tokens entries"]:
    """The token matrices of a batch of trajectories, in float32."""
    stream = recipe.tokens.stream
    tokens = np.zeros((len(seen.actions), recipe.longest, stream.width), np.float32)
    tokens[:, ::2, stream["arms"].slice] = problems.arms.reshape(len(tokens), 1, -1)
    rows, done = np.arange(len(tokens))[:, None], seen.actions[:, :-1]
    tokens[:, 1::2, stream["action"].slice] = problems.arms[rows, done]
    tokens[:, 1::2, stream["reward"].start] = seen.rewards[:, :-1]
    if recipe.numbered:
        tokens[rows, np.arange(1, recipe.longest, 2), stream["number"].start + done] = 1
    tokens[:, :, stream["position"].slice] = position(np.arange(1, recipe.longest + 1))
    return tokens


def draw_mdps(recipe: EpisodeRecipe, generator: np.random.Generator, size: int) -> MDPs:
    """Fresh processes of a recipe."""
    sizes = (recipe.states, recipe.actions, recipe.episode, recipe.episodes)
    return mdps.random_mdps(generator, size, *sizes)


def expert(recipe: EpisodeRecipe, processes: MDPs) -> mdps.UCBVI:
    """Soft UCB-VI."""
    return mdps.UCBVI(processes, ucbvi_bonus(recipe.spec), recipe.spec.tau)


def encode_episodes(recipe: EpisodeRecipe, seen: Visits) -> Float[np.ndarray, "batch tokens entries"]:
    """The token matrices of a batch of episodes, in float32."""
    stream, places = recipe.tokens.stream, recipe.places
    tokens = np.repeat(recipe.tokens.blank(np.arange(1, recipe.longest + 1))[None], len(seen.states), axis=0)
    rows, done = np.arange(len(tokens))[:, None], places[:-1] + 1
    tokens[rows, places, stream["state"].start + seen.states] = 1
    tokens[rows, done, stream["action"].start + seen.actions[:, :-1]] = 1
    tokens[:, done, stream["reward"].start] = seen.rewards[:, :-1]
    if recipe.placed:
        place = recipe.tokens.place(np.arange(recipe.horizon), seen.states)
        tokens[rows, places, place] = 1
        tokens[rows, done, place[:, :-1]] = 1
    return tokens.astype(np.float32)


def hold(recipe: Recipe, size: int) -> None:
    """Wanted: a batch of trajectories that fits into memory."""
    numbers = float(recipe.longest) * recipe.tokens.stream.width
    if isinstance(recipe, EpisodeRecipe):  # transitions and counts of every stage
        numbers += 3.0 * recipe.episode * recipe.spec.pairs * recipe.states
    limits.hold("batch", numbers=size * numbers)


def batch(recipe: Recipe, seed: int, number: int, size: int) -> Batch:
    """Batch `number` of a seed.

    >>> one = batch(RECIPES["dpt-bernoulli"], seed=0, number=7, size=4)
    >>> one.tokens.shape, one.labels.shape
    ((4, 399, 39), (4, 200))
    """
    checks.instance("recipe", recipe, BanditRecipe, EpisodeRecipe)
    seed = checks.whole("seed", seed, least=0, most=2**32 - 1)
    number = checks.whole("number", number, least=0)
    hold(recipe, size := checks.whole("size", size))
    generator = np.random.default_rng([seed, number])
    if isinstance(recipe, EpisodeRecipe):
        processes = draw_mdps(recipe, generator, size)
        visits = mdps.play_episodes(processes, expert(recipe, processes))
        return Batch(encode_episodes(recipe, visits), visits.actions)
    problems = draw_tasks(recipe, generator, size)
    playing = player(recipe.player, problems, generator, recipe.share)
    seen = play(problems, playing)
    wanted = labels(recipe, problems, seen, getattr(playing, "mean", None))
    return Batch(encode(recipe, problems, seen), wanted)
