"""What has been seen: contexts or states, actions and rewards, checked once, at the door; and as files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from constructions import checks, files
from constructions.checks import DOOR
from constructions.plain import integer, integers, reals, shown

FORMAT = "weightwright history 1"


@dataclass(frozen=True, eq=False)
class BanditHistory:
    """A linear-bandit history of `steps` decisions, the last of which is still to be taken.

    Attributes:
        contexts: the action vectors offered at each step, shape (steps, arms, dim).
        actions: index of the arm chosen at each step but the last, from 0, shape (steps - 1,).
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
        contexts, rewards = reals("contexts", contexts), reals("rewards", rewards)
        actions = integers("actions", actions, "arm indices")
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
        within("actions", actions, arms)
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
        steps = _steps(steps, self.steps)
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
        rewards: the reward in [0, 1] received for each of them, shape (steps - 1,); `in_unit_interval` says what is taken
            for 0 or 1.
        horizon: number of steps in an episode.

    Raises:
        ValueError: if shapes disagree, a state or action is not an integer ≥ 0, a reward is not in [0, 1], or the
            horizon is not an integer ≥ 1.

    Source: arXiv 2310.08566, section 4.3 (the data of episodes 1, …, k−1 and of the present one).

    >>> history = EpisodeHistory([0, 1, 1, 0], actions=[0, 0, 1], rewards=[0.5, 0.0, 1.0], horizon=3)
    >>> history.steps, history.episodes, history.stages.tolist()
    (4, 2, [1, 2, 3, 1])
    """

    states: Int[np.ndarray, " steps"]
    actions: Int[np.ndarray, " taken"]
    rewards: Float[np.ndarray, " taken"]
    horizon: int

    def __init__(self, states, actions, rewards, horizon):
        """Convert anything array-like, then check."""
        horizon = checks.whole("horizon", horizon)
        states, actions = integers("states", states), integers("actions", actions)
        rewards = reals("rewards", rewards)
        if states.ndim != 1 or not states.size:
            raise ValueError(f"states: wanted shape (steps,) with at least one step, got {states.shape}")
        for name, array in (("actions", actions), ("rewards", rewards)):
            if array.shape != (states.size - 1,):
                raise ValueError(
                    f"{name}: wanted shape ({states.size - 1},), one fewer than the {states.size} states, "
                    f"got {array.shape}"
                )
        for name, array in (("states", states), ("actions", actions)):
            if (array < 0).any():
                where = int((array < 0).argmax())
                raise ValueError(f"{name}: wanted numbers ≥ 0, got {array[where]} at index {where}")
        rewards = in_unit_interval(rewards)
        fields = (("states", states), ("actions", actions), ("rewards", rewards), ("horizon", horizon))
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

    def prefix(self, steps: int) -> "EpisodeHistory":
        """The history as it stood when decision number `steps` (counted from 1) was pending."""
        steps = _steps(steps, self.steps)
        past = slice(steps - 1)
        return EpisodeHistory(self.states[:steps], self.actions[past], self.rewards[past], self.horizon)

    def save(self, path: str | Path) -> None:
        """Write an .npz file for `load_history`, whole or not at all."""
        _write(path, self)


def _steps(steps, most: int) -> int:
    """Wanted: as many steps as there are, or fewer."""
    found = integer(steps)
    if found is None or not 1 <= found <= most:
        raise ValueError(f"prefix: wanted 1 to {most} steps, got {shown(steps)}")
    return found


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


def drawn(draws, contexts: Float[np.ndarray, "batch arms dim"]) -> Float[np.ndarray, "batch dim"]:
    """One draw for each context, checked."""
    draws, wanted = reals("draws", draws), contexts.shape[::2]
    if draws.shape != wanted:
        raise ValueError(f"draws: wanted shape {wanted}, a vector for each context, got {draws.shape}")
    return draws


def taken(
    actions, rewards, count: int, choices: int
) -> tuple[Int[np.ndarray, " _"], Float[np.ndarray, " _"]]:
    """One action and one reward for each of `count` decisions between so many choices, checked as in a history."""
    actions, rewards = integers("actions", actions), reals("rewards", rewards)
    for name, array in (("actions", actions), ("rewards", rewards)):
        if array.shape != (count,):
            raise ValueError(f"{name}: wanted one for each of {count} decisions, got shape {array.shape}")
    within("actions", actions, choices)
    return actions, rewards


def within(name: str, values: Int[np.ndarray, "..."], count: int) -> None:
    """Wanted: numbers in 0..count−1, which are counted from 0."""
    if values.size and not 0 <= values.min() <= values.max() < count:
        beyond = values.max() >= count
        hint = f" (counted from 0: there is no {count})" if beyond else ""
        got = values.max() if beyond else values.min()
        raise ValueError(f"{name}: wanted numbers in 0..{count - 1}, got {got}{hint}")


def finite_policy(policy: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """A policy as it is; wanted: finite log-probabilities."""
    if not np.isfinite(policy).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(policy))[0])
        raise ValueError(f"policy: wanted finite log-probabilities, got {policy[where]} at index {where}")
    return policy


def in_unit_interval(rewards: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Rewards in [0, 1]; those that miss it by DOOR at most, as rounded ones do, are cut off there.

    The one place where a reward is changed, so that the true algorithm and the transformer are given the same number, and
    what is proved of rewards in [0, 1] holds for it.
    """
    wrong = (rewards < -DOOR) | (rewards > 1 + DOOR)
    if wrong.any():
        where = int(wrong.argmax())
        raise ValueError(f"rewards: wanted numbers in [0, 1], got {rewards[where]} at index {where}")
    return np.clip(rewards, 0.0, 1.0)
