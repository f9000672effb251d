"""The two kinds of recipes: what problems are drawn, who plays them, how that becomes tokens, and what is learnt from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from constructions import checks, ucbvi
from constructions.inputs.bandits import BanditTokens, bandit_stream, position
from constructions.inputs.episodes import EpisodeTokens, episode_stream
from verify.play import seats
from verify.play.lockstep import Player, Seen
from verify.play.many_bandits import Tasks, bernoulli_tasks, linear_tasks
from verify.play.many_mdps import MDPs, random_mdps
from verify.play.seats import Seat

Labels = Literal["expert", "optimal", "estimate"]
Problem = Literal["linear", "bernoulli"]


@dataclass(frozen=True)
class BanditRecipe:
    """Bandits to train on.

    Attributes:
        problem: "linear", the paper's linear bandits, or "bernoulli".
        player: who makes the trajectories: one of `verify.play.seats.BANDITS`; "mixed" is some Thompson, the rest uniform.
        labels: "expert", "optimal" or "estimate".
        dim: d; for Bernoulli arms, A.
        actions: A.
        horizon: T, decisions in a trajectory.
        noise: standard deviation of the rewards of linear bandits.
        numbered: whether action tokens hold the arm's number too, one-hot, as in the paper's experiments; built
            transformers do without. The number of an arm is learnt from far sooner than its vector.
        share: α, of "mixed" trajectories how many are Thompson's; of each batch, rounded down.
        ridge: λ of LinUCB; the algorithms' own parameters, this and the next two, are for linear bandits.
        bonus: α of LinUCB, the weight of its confidence width.
        prior_variance: of Thompson sampling's weights; its noise is that of the rewards.
        action_norm: (b_a, B_a), bounds on the arms of linear bandits; those of the cube [−1, 1]^d if left out.

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
    ridge: float = 1.0
    bonus: float = 2.0
    prior_variance: float = 1.0
    action_norm: tuple[float, float] | None = None

    def __post_init__(self):
        checks.settle(self, checks.whole, "dim", "actions", "horizon")
        checks.settle(self, checks.choice, "problem", among=("linear", "bernoulli"))
        checks.settle(self, checks.choice, "player", among=tuple(seats.BANDITS))
        checks.settle(self, checks.choice, "labels", among=("expert", "optimal", "estimate"))
        checks.settle(self, checks.number, "noise", positive=False)
        checks.settle(self, checks.number, "ridge", "prior_variance", positive=True)
        checks.settle(self, checks.number, "bonus", positive=False)
        checks.settle(self, checks.flag, "numbered")
        checks.settle(self, checks.share, "share")
        if self.action_norm is not None:
            checks.settle(self, checks.interval, "action_norm")
        own = (self.ridge, self.bonus, self.prior_variance, self.action_norm)
        if self.problem == "bernoulli" and own != (1.0, 2.0, 1.0, None):
            raise ValueError(
                f"ridge, bonus, prior_variance, action_norm: wanted none for Bernoulli arms, got {own}"
            )
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

    @property
    def seats(self) -> Mapping[str, Seat]:
        """Who can play these problems, by name."""
        return seats.BANDITS

    @property
    def algorithm(self) -> str:
        """Whom a model should play like: the player, or Thompson sampling where it is mixed with others."""
        return "thompson" if self.player == "mixed" else self.player

    @property
    def row(self) -> str:
        """The row of the catalog whose problems, and whose symmetries, these are."""
        return {"linear": "linucb", "bernoulli": "bernoulli"}[self.problem]

    @property
    def baselines(self) -> tuple[str, ...]:
        """Who else plays in comparisons: the paper's."""
        return {"linear": ("empirical", "thompson"), "bernoulli": ("empirical", "thompson", "ucb")}[
            self.problem
        ]

    @property
    def beside(self) -> tuple[str, ...]:
        """Who else plays while a model is trained."""
        return ("empirical",)

    @property
    def units(self) -> dict[str, Any]:
        """What entries of registers are divided by, where not by 1, so that all are of order 1: positions by N."""
        return {"position": position(np.array([self.longest]))}

    @property
    def working(self) -> float:
        """Numbers that a trajectory takes while it is played, beside its tokens."""
        return 0.0

    @property
    def described(self) -> str:
        """In words, for a card."""
        labels = {
            "expert": "its own actions",
            "optimal": "the best arm",
            "estimate": "the arm that looks best at the end",
        }
        who = {"mixed": f"Thompson sampling ({self.share:.0%}) and uniformly"}.get(self.player, self.player)
        linear = self.problem == "linear"
        arms = f"{self.actions} arms" + (
            f" in {self.dim} dimensions, noise N(0, {self.noise}²)" if linear else ""
        )
        return f"{self.problem} bandits, {arms}, T = {self.horizon}; played by {who}; labels: {labels[self.labels]}"

    def draw(self, generator: np.random.Generator, size: int) -> Tasks:
        """Fresh problems."""
        if self.problem == "linear":
            sizes = (self.horizon, self.dim, self.actions)
            return linear_tasks(generator, size, *sizes, self.noise, self.action_norm)
        return bernoulli_tasks(generator, size, self.horizon, self.actions)

    def encode(self, problems: Tasks, seen: Seen) -> Float[np.ndarray, "batch tokens entries"]:
        """The token matrices of a batch of trajectories, in float32."""
        done = seen.actions[:, :-1], seen.rewards[:, :-1]
        return self.tokens.laid_out(problems.arms[:, None], *done, kind=np.float32)

    def wanted(self, problems: Tasks, seen: Seen, playing: Player) -> Int[np.ndarray, "batch steps"]:
        """What each decision should have been; for "estimate" by the means that who played has at the end."""
        if self.labels == "expert":
            return seen.actions
        means = problems.means if self.labels == "optimal" else getattr(playing, "mean", None)
        if means is None:
            raise ValueError(
                f"labels: wanted a player that estimates means for 'estimate', got {self.player}"
            )
        best = means.argmax(axis=1)
        return np.repeat(best[:, None], self.horizon, axis=1)


@dataclass(frozen=True)
class EpisodeRecipe:
    """Algorithm distillation of UCB-VI on decision processes drawn at random.

    Attributes:
        states: S.
        actions: A.
        episode: H, decisions in an episode.
        episodes: K.
        exploration: factor on UCB-VI's bonus; at this size the paper's bonus would hide all that is learnt.
        temperature: τ of the softmax over action values; None stands for 1/K.
        placed: whether state and action tokens hold stage and state together too, one-hot; built transformers do
            without. A head that looks for the same place is then learnt at once.

    Raises:
        ValueError: for values that nothing can be trained on.
    """

    problem: ClassVar[str] = "episodes"
    player: ClassVar[str] = "ucbvi"
    algorithm: ClassVar[str] = "ucbvi"
    row: ClassVar[str] = "ucbvi"
    seats: ClassVar[Mapping[str, Seat]] = seats.EPISODES
    baselines: ClassVar[tuple[str, ...]] = ("values", "uniform")
    beside: ClassVar[tuple[str, ...]] = ()

    states: int = 3
    actions: int = 3
    episode: int = 3
    episodes: int = 30
    exploration: float = 0.02
    placed: bool = False
    temperature: float | None = None

    def __post_init__(self):
        checks.settle(self, checks.whole, "states", "actions", "episode", "episodes")
        checks.settle(self, checks.number, "exploration", positive=False)
        if self.temperature is not None:
            checks.settle(self, checks.number, "temperature", positive=True)
        checks.settle(self, checks.flag, "placed")
        _ = self.spec

    @property
    def spec(self) -> ucbvi.Spec:
        """UCB-VI with these sizes."""
        sizes = (self.states, self.actions, self.episode, self.episodes)
        return ucbvi.Spec(*sizes, self.temperature, self.exploration)

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

    @property
    def units(self) -> dict[str, Any]:
        """What entries of registers are divided by, where not by 1: positions by N, episodes by K and stages by H."""
        last = position(np.array([self.longest]))
        return {"position": last, "clock": (self.episodes, self.episode, 1)}

    @property
    def working(self) -> float:
        """Numbers that a trajectory takes while it is played, beside its tokens: transitions and counts of every stage."""
        return 3.0 * self.episode * self.spec.pairs * self.states

    @property
    def described(self) -> str:
        """In words, for a card."""
        return (
            f"soft UCB-VI in decision processes of {self.states} states, {self.actions} actions and "
            f"{self.episode} steps, {self.episodes} episodes; labels: its own actions"
        )

    def draw(self, generator: np.random.Generator, size: int) -> MDPs:
        """Fresh processes."""
        return random_mdps(generator, size, self.states, self.actions, self.episode, self.episodes)

    def encode(self, problems: MDPs, seen: Seen) -> Float[np.ndarray, "batch tokens entries"]:
        """The token matrices of a batch of trajectories, in float32."""
        done: Any = seen.states, seen.actions[:, :-1], seen.rewards[:, :-1]
        return self.tokens.laid_out(*done, kind=np.float32)

    def wanted(self, problems: MDPs, seen: Seen, playing: Player) -> Int[np.ndarray, "batch steps"]:
        """What each decision should have been: what was done."""
        return seen.actions


Recipe = BanditRecipe | EpisodeRecipe


def seated(recipe: Recipe, name: str, problems: Any, generator: np.random.Generator) -> Player:
    """A player of a recipe's problems by its name.

    Raises:
        ValueError: if there is none of this name.
    """
    return recipe.seats[checks.choice("player", name, tuple(recipe.seats))].take(problems, recipe, generator)
