"""What has been seen: contexts or states, actions and rewards, checked once, at the door; and as files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from constructions import files

FORMAT = "weightwright history 1"


@dataclass(frozen=True, eq=False)
class BanditHistory:
    """A linear-bandit history of `steps` decisions, the last of which is still to be taken.

    Attributes:
        contexts: the action vectors offered at each step, shape (steps, arms, dim).
        actions: index of the arm chosen at each step but the last, shape (steps - 1,).
        rewards: the reward received for each of them, shape (steps - 1,).
        draws: for policies that are handed their randomness, a standard normal vector at each step, shape (steps, dim);
            None for all others.

    Raises:
        ValueError: if shapes disagree, a number is NaN or infinite, or an arm index is out of range.

    Source: arXiv 2310.08566, section 3 (the data D_{t-1} and the state s_t = A_t); the draws are ours.

    >>> BanditHistory(np.ones((3, 2, 4)), np.array([0, 1]), np.array([0.5, -0.5])).steps
    3
    """

    contexts: Float[np.ndarray, "steps arms dim"]
    actions: Int[np.ndarray, " taken"]
    rewards: Float[np.ndarray, " taken"]
    draws: Float[np.ndarray, "steps dim"] | None = None

    def __init__(self, contexts, actions, rewards, draws=None):
        """Convert anything array-like, then check."""
        contexts, rewards = (finite(name, x) for name, x in (("contexts", contexts), ("rewards", rewards)))
        actions = _indices("actions", "arm indices", actions)
        if contexts.ndim != 3 or 0 in contexts.shape:
            raise ValueError(
                f"contexts: wanted shape (steps, arms, dim), none of them 0, got {contexts.shape}"
            )
        steps, arms, _ = contexts.shape
        for name, array in (("actions", actions), ("rewards", rewards)):
            if array.shape != (steps - 1,):
                raise ValueError(
                    f"{name}: wanted shape ({steps - 1},), one fewer than the {steps} contexts, got {array.shape}"
                )
        _within(actions, arms)
        if draws is not None:
            draws = drawn(draws, contexts)
        fields = (("contexts", contexts), ("actions", actions), ("rewards", rewards), ("draws", draws))
        for name, array in fields:
            object.__setattr__(self, name, array)

    @property
    def steps(self) -> int:
        """Number of decisions, the pending one included."""
        return self.contexts.shape[0]

    @property
    def chosen(self) -> Float[np.ndarray, "taken dim"]:
        """The action vectors a_1, …, a_{steps-1} that were played."""
        return self.contexts[np.arange(self.steps - 1), self.actions]

    def prefix(self, steps: int) -> "BanditHistory":
        """The history as it stood when decision number `steps` (counted from 1) was pending."""
        if not 1 <= steps <= self.steps:
            raise ValueError(f"prefix: wanted 1 to {self.steps} steps, got {steps}")
        draws = None if self.draws is None else self.draws[:steps]
        return BanditHistory(
            self.contexts[:steps], self.actions[: steps - 1], self.rewards[: steps - 1], draws
        )

    def save(self, path: str | Path) -> None:
        """Write an .npz file for `load_history`, whole or not at all."""
        _write(path, self)


@dataclass(frozen=True, eq=False)
class EpisodeHistory:
    """Tabular episodes of `horizon` steps, one after another; the last decision is still to be taken.

    Step t = horizon·(k−1) + h is stage h of episode k, all counted from 1; states and actions are numbered
    from 0. How many of each there are, and how many episodes, is checked by whoever knows the specification.

    Attributes:
        states: the state at each step, shape (steps,).
        actions: the action taken at each step but the last, shape (steps - 1,).
        rewards: the reward in [0, 1] received for each of them, shape (steps - 1,).
        horizon: number of steps in an episode.

    Raises:
        ValueError: if shapes disagree, a state or action is not an integer ≥ 0, a reward is not in [0, 1], or the
            horizon is not an integer ≥ 1.

    Source: arXiv 2310.08566, section 4.3 (the data of episodes 1, …, k−1 and of the present one).

    >>> history = EpisodeHistory([0, 1, 1, 0], actions=[0, 0, 1], rewards=[0.5, 0.0, 1.0], horizon=3)
    >>> history.steps, history.episodes, history.stages.tolist(), history.episode_numbers.tolist()
    (4, 2, [1, 2, 3, 1], [1, 1, 1, 2])
    """

    states: Int[np.ndarray, " steps"]
    actions: Int[np.ndarray, " taken"]
    rewards: Float[np.ndarray, " taken"]
    horizon: int

    def __init__(self, states, actions, rewards, horizon):
        """Convert anything array-like, then check."""
        whole = isinstance(horizon, int | np.integer) and not isinstance(horizon, bool)
        if not whole or horizon < 1:
            raise ValueError(f"horizon: wanted an integer ≥ 1, got {horizon!r}")
        states, actions = (_indices(name, name, x) for name, x in (("states", states), ("actions", actions)))
        rewards = finite("rewards", rewards)
        if states.ndim != 1 or not states.size:
            raise ValueError(f"states: wanted shape (steps,) with at least one step, got {states.shape}")
        for name, array in (("actions", actions), ("rewards", rewards)):
            if array.shape != (states.size - 1,):
                raise ValueError(
                    f"{name}: wanted shape ({states.size - 1},), one fewer than the {states.size} states, "
                    f"got {array.shape}"
                )
        for name, array, wanted in (
            ("states", states, "≥ 0"),
            ("actions", actions, "≥ 0"),
            ("rewards", rewards, "in [0, 1]"),
        ):
            wrong = (array < 0) | (array > 1) if name == "rewards" else array < 0
            if wrong.any():
                where = int(wrong.argmax())
                raise ValueError(f"{name}: wanted numbers {wanted}, got {array[where]} at index {where}")
        fields = (("states", states), ("actions", actions), ("rewards", rewards), ("horizon", int(horizon)))
        for name, value in fields:
            object.__setattr__(self, name, value)

    @property
    def steps(self) -> int:
        """Number of decisions, the pending one included."""
        return self.states.size

    @property
    def episodes(self) -> int:
        """Number of episodes begun, the present one included."""
        return (self.steps - 1) // self.horizon + 1

    @property
    def stages(self) -> Int[np.ndarray, " steps"]:
        """The stage h of each step, in 1..horizon."""
        return np.arange(self.steps) % self.horizon + 1

    @property
    def episode_numbers(self) -> Int[np.ndarray, " steps"]:
        """The episode k of each step, from 1."""
        return np.arange(self.steps) // self.horizon + 1

    def prefix(self, steps: int) -> "EpisodeHistory":
        """The history as it stood when decision number `steps` (counted from 1) was pending."""
        if not 1 <= steps <= self.steps:
            raise ValueError(f"prefix: wanted 1 to {self.steps} steps, got {steps}")
        past = slice(steps - 1)
        return EpisodeHistory(self.states[:steps], self.actions[past], self.rewards[past], self.horizon)

    def save(self, path: str | Path) -> None:
        """Write an .npz file for `load_history`, whole or not at all."""
        _write(path, self)


def load_history(path: str | Path) -> BanditHistory | EpisodeHistory:
    """The history in a file that `save` wrote.

    Raises:
        ValueError: if the file is missing, damaged, none of ours, or holds no history.
    """
    wanted = "a history written by `save`"
    data = files.read(path, wanted)
    try:
        fields = files.unpacked(data)
        told, form = fields.pop(files.SUM, None), str(fields.pop("format", None))
        if form != FORMAT:
            raise ValueError(f"format {form[:40]!r}")
        if "horizon" in fields:
            history = EpisodeHistory(**fields | {"horizon": fields["horizon"][()]})
        else:
            history = BanditHistory(**fields)
        if str(told) != files.digest(fields):
            raise ValueError(files.CHANGED)
        return history
    except Exception as error:  # whatever a damaged file makes of zip, NumPy and the checks above
        raise files.refusal(path, wanted, error) from error


def _write(path: str | Path, history: BanditHistory | EpisodeHistory) -> None:
    """Whole or not at all."""
    fields = {name: np.asarray(value) for name, value in vars(history).items() if value is not None}
    about = {"format": np.array(FORMAT), files.SUM: np.array(files.digest(fields))}
    files.write(path, files.packed(about | fields))


def finite(name: str, values) -> Float[np.ndarray, "..."]:
    """Anything array-like as a copy in float64; wanted: finite numbers."""
    try:
        array = np.array(
            values, dtype=np.float64
        )  # a copy: later changes to the caller's array do not reach it
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: wanted an array of real numbers, got {type(values).__name__}") from error
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: wanted finite numbers, got {array[where]} at index {where}")
    return array


def drawn(draws, contexts: Float[np.ndarray, "batch arms dim"]) -> Float[np.ndarray, "batch dim"]:
    """One draw for each context, checked."""
    draws, wanted = finite("draws", draws), contexts.shape[::2]
    if draws.shape != wanted:
        raise ValueError(f"draws: wanted shape {wanted}, a vector for each context, got {draws.shape}")
    return draws


def taken(actions, rewards, contexts: Float[np.ndarray, "batch arms dim"]):
    """One action and one reward for each context, checked as in a history: the vectors played, and the rewards."""
    actions, rewards = _indices("actions", "arm indices", actions), finite("rewards", rewards)
    for name, array in (("actions", actions), ("rewards", rewards)):
        if array.shape != contexts.shape[:1]:
            raise ValueError(
                f"{name}: wanted one for each of {len(contexts)} contexts, got shape {array.shape}"
            )
    _within(actions, contexts.shape[1])
    return contexts[np.arange(len(contexts)), actions], rewards


def _within(actions: Int[np.ndarray, " taken"], arms: int) -> None:
    if actions.size and not (actions.min() >= 0 and actions.max() < arms):
        raise ValueError(
            f"actions: wanted arm indices in 0..{arms - 1}, got {actions.min()}..{actions.max()}"
        )


def _indices(name, meaning, values) -> np.ndarray:
    try:
        array = np.asarray(values)  # `astype` copies
    except ValueError as error:
        raise ValueError(f"{name}: wanted integer {meaning}, got {type(values).__name__}") from error
    if array.size == 0:
        return array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name}: wanted integer {meaning}, got an array of {array.dtype}")
    return array.astype(np.int64)
