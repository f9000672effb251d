"""What has been seen of a decision process: states, actions and rewards, episode by episode."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions import checks
from constructions.history.admitted import in_unit_interval, up_to
from constructions.history.kept import write
from constructions.history.tables import Table, empty
from constructions.plain import integers, real, reals, shown


@dataclass(frozen=True, eq=False)
class EpisodeHistory:
    """Tabular episodes of `horizon` steps, one after another; the last decision is still to be taken.

    Step t = horizon·(k−1) + h is stage h of episode k, all counted from 1; states and actions are numbered
    from 0. How many of each there are, and how many episodes, is checked by whoever knows the specification. Arrays do not
    say where an episode was cut short: logs of such episodes go through `from_episodes` or `from_table`.

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
        steps = up_to(steps, self.steps)
        past = slice(steps - 1)
        return EpisodeHistory(self.states[:steps], self.actions[past], self.rewards[past], self.horizon)

    def save(self, path: str | Path) -> None:
        """Write an .npz file for `load_history`, whole or not at all."""
        write(path, self)

    @classmethod
    def from_episodes(
        cls,
        episodes: Iterable[Any],
        horizon: Any,
        *,
        offset: Any = 0.0,
        scale: Any = 1.0,
        present: Any = None,
    ) -> "EpisodeHistory":
        """The history of episodes that may have ended early: each goes on to the horizon in the state in which it ended.

        There, every action leads back to that state at raw reward 0, and action 0 is recorded; `gymnasium_mdp` of
        `verify.environments` is such a process. A reward is (raw − offset)/scale, and so is that of the state in which an
        episode ended: 0 for FrozenLake, 1 for CliffWalking, where a step costs, 1/3 for Taxi, with the `offset` and `scale`
        of their processes. Without this, what follows an episode cut short would be counted at the wrong stages.

        Args:
            episodes: triples (states, actions, rewards): n ≤ horizon actions and raw rewards, and n + 1 states, the last of
                them where the episode ended; n states do where n is the horizon.
            horizon: number of steps in an episode.
            offset: raw reward of what counts as 0.
            scale: raw reward of what counts as 1, less the offset.
            present: the episode that is going on: a triple with fewer actions than the horizon, the last of its states being
                where the pending decision is to be taken. If left out, the last step of the last episode is pending.

        Raises:
            ValueError: if there is no episode, one is longer than the horizon or has another number of states or rewards, or
                as the class.

        >>> cut = ([0, 4, 5], [1, 2], [0.0, 0.0])                 # FrozenLake: down, then right into the hole at 5
        >>> history = EpisodeHistory.from_episodes([cut, cut], horizon=4)
        >>> history.states.tolist(), history.actions.tolist()
        ([0, 4, 5, 5, 0, 4, 5, 5], [1, 2, 0, 0, 1, 2, 0])
        """
        horizon = checks.whole("horizon", horizon)
        low, unit = real(offset), real(scale)
        if low is None or unit is None or unit <= 0:
            raise ValueError(
                f"offset, scale: wanted finite numbers, scale > 0, got {shown(offset)}, {shown(scale)}"
            )
        parts = [_padded(number, episode, horizon) for number, episode in enumerate(episodes)]
        if present is not None:
            parts.append(_episode("present", present, horizon - 1))
        if not parts:
            raise ValueError("episodes: wanted at least one, got none")
        states, actions, raw = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        taken = len(states) - 1
        return cls(states, actions[:taken], (raw[:taken] - low) / unit, horizon)

    @classmethod
    def from_table(
        cls,
        table: Any,
        horizon: Any,
        *,
        offset: Any = 0.0,
        scale: Any = 1.0,
        names: Mapping[str, str] | None = None,
    ) -> "EpisodeHistory":
        """The history in a table with a row for each step; the decision of the last row is still to be taken.

        Columns are `episode`, by which rows that follow one another belong together, `state`, `action` and `reward`. An
        episode that ended early has one row more, with the state in which it ended and no action, and goes on in that state
        to the horizon, as in `from_episodes`. Action and reward of the table's last row may be empty: they are not read.

        Args:
            table: the path of a CSV file, a frame of pandas or polars, or a mapping of columns.
            horizon: number of steps in an episode.
            offset: as for `from_episodes`.
            scale: as for `from_episodes`.
            names: what columns are called in the table where it is not as here, from our name to theirs.

        Raises:
            ValueError: if a column is missing, a cell that is read is no number, an episode is cut short and does not say
                where it ended, or as `from_episodes`.
        """
        found, horizon = Table.of(table, names), checks.whole("horizon", horizon)
        labels, acted = found.column("episode"), [not empty(cell) for cell in found.column("action")]
        acted[-1] = False  # whatever stands there
        parts = []
        for label, rows in groupby(range(found.rows), lambda row: labels[row]):
            here = list(rows)
            done = here[:-1] if not acted[here[-1]] else here
            if done == here and len(here) < horizon:
                wanted = f"{horizon} steps, or a last row with the state in which it ended and no action"
                raise ValueError(f"episode {shown(label)}: wanted {wanted}, got {len(here)} steps")
            parts.append(
                (found.integers("state", here), found.integers("action", done), found.reals("reward", done))
            )
        *over, present = parts
        return cls.from_episodes(over, horizon, offset=offset, scale=scale, present=present)

    def table(self) -> dict[str, list]:
        """The columns that `from_table` reads, for a data frame or a CSV file; None where nothing was done yet."""
        return {
            "episode": (np.arange(self.steps) // self.horizon).tolist(),
            "state": self.states.tolist(),
            "action": [*self.actions.tolist(), None],
            "reward": [*self.rewards.tolist(), None],
        }


def _episode(name: str, episode: Any, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States, actions and rewards; wanted: at most so many actions, and one state more."""
    if not isinstance(episode, tuple | list) or len(episode) != 3:
        raise ValueError(f"{name}: wanted (states, actions, rewards), got {shown(episode)}")
    states, actions = integers("states", episode[0]), integers("actions", episode[1])
    rewards = reals("rewards", episode[2])
    if states.ndim != 1 or actions.shape != rewards.shape or actions.shape != (max(states.size - 1, 0),):
        shapes = f"{states.shape}, {actions.shape} and {rewards.shape}"
        raise ValueError(f"{name}: wanted a state more than actions and rewards, got shapes {shapes}")
    if not 0 < states.size <= most + 1:
        raise ValueError(f"{name}: wanted at most {most} actions, got {actions.size}")
    return states, actions, rewards


def _padded(number: int, episode: Any, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An episode of full length: where it ended it stays, by action 0 at raw reward 0."""
    name, whole = f"episode {number}", False
    if isinstance(episode, tuple | list) and len(episode) == 3:
        lengths = [len(part) if hasattr(part, "__len__") else -1 for part in episode]
        whole = lengths[0] == lengths[1] == horizon
    if whole:  # nobody asks where it ended
        states = integers("states", episode[0])
        episode = (np.append(states, states[-1:]), *episode[1:])
    states, actions, rewards = _episode(name, episode, horizon)
    left = horizon - actions.size
    states = np.concatenate([states[:horizon], np.full(max(left - 1, 0), states[-1])])
    return states, np.append(actions, np.zeros(left, np.int64)), np.append(rewards, np.zeros(left))
