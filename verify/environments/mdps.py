"""Tabular decision processes of finite horizon: given, drawn at random, or read from gymnasium.

Stages are array indices 0..horizon−1 here: stage h of the paper, and of `EpisodeHistory.stages`, is h−1.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks, limits
from constructions.plain import real, reals, shown
from verify.environments.common import index, random
from verify.environments.sampling import draw

TABLES = ("FrozenLake", "CliffWalking", "Taxi")
_SLACK = 1e-9  # how far from 1 a row may sum: thousands of roundings pass, a forgotten successor does not


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A decision process with deterministic rewards r_h(s,a) and random transitions P_h(s'|s,a).

    Attributes:
        initial: distribution of an episode's first state, shape (states,).
        transitions: P_h(s'|s,a) at [h, s, a, s'], shape (horizon, states, actions, states); kept as given, so one
            table broadcast over the stages takes the memory of one.
        rewards: r_h(s,a) in [0, 1], shape (horizon, states, actions).
        offset: the reward in its original units is offset + scale·reward.
        scale: as above, > 0.

    Raises:
        ValueError: if shapes disagree, a distribution has a negative number or does not sum to 1, a reward is not in
            [0, 1], or offset and scale are not finite numbers, the scale > 0.

    >>> mdp = TabularMDP([1, 0], np.full((3, 2, 2, 2), 0.5), np.ones((3, 2, 1)) * [0.0, 1.0])
    >>> mdp.states, mdp.actions, mdp.horizon, mdp.regret(stage=0, state=0, action=0)
    (2, 2, 3, 1.0)
    """

    initial: Float[np.ndarray, " states"]
    transitions: Float[np.ndarray, "horizon states actions states"]
    rewards: Float[np.ndarray, "horizon states actions"]
    offset: float
    scale: float

    def __init__(self, initial, transitions, rewards, offset=0.0, scale=1.0):
        """Convert anything array-like, then check."""
        initial, rewards = reals("initial", initial), reals("rewards", rewards)
        repeated = (
            isinstance(transitions, np.ndarray) and transitions.ndim == 4 and transitions.strides[0] == 0
        )
        stages = len(transitions) if repeated else 1
        transitions = reals("transitions", transitions[:1] if repeated else transitions)
        if repeated:
            transitions = np.broadcast_to(transitions[0], (stages, *transitions.shape[1:]))
        shape = transitions.shape
        if transitions.ndim != 4 or 0 in shape or shape[1] != shape[3]:
            raise ValueError(
                f"transitions: wanted shape (horizon, states, actions, states), none of them 0, got {shape}"
            )
        for name, array, wanted in (("initial", initial, shape[1:2]), ("rewards", rewards, shape[:3])):
            if array.shape != wanted:
                raise ValueError(f"{name}: wanted shape {wanted}, got {array.shape}")
        _check_odds("initial", initial)
        _check_odds("transitions", transitions[:1] if transitions.strides[0] == 0 else transitions)
        if not 0 <= rewards.min() <= rewards.max() <= 1:
            raise ValueError(f"rewards: wanted numbers in [0, 1], got {rewards.min()}..{rewards.max()}")
        origin, unit = real(offset), real(scale)
        if origin is None or unit is None or unit <= 0:
            got = f"{shown(offset)}, {shown(scale)}"
            raise ValueError(f"offset, scale: wanted finite numbers, scale > 0, got {got}")
        fields = (initial, transitions, rewards, origin, unit)
        for name, value in zip(self.__dataclass_fields__, fields, strict=True):
            object.__setattr__(self, name, value)

    @property
    def states(self) -> int:
        """Number of states."""
        return self.transitions.shape[1]

    @property
    def actions(self) -> int:
        """Number of actions."""
        return self.transitions.shape[2]

    @property
    def horizon(self) -> int:
        """Number of steps in an episode."""
        return self.transitions.shape[0]

    def reset(self, generator: np.random.Generator) -> int:
        """The first state of an episode, from one uniform of the generator."""
        return draw(self.initial, generator.random())

    def step(self, stage: int, state: int, action: int, generator: np.random.Generator) -> tuple[float, int]:
        """Reward and next state of an action at a stage in 0..horizon−1, from one uniform of the generator."""
        here = self._here(stage, state, action)
        return float(self.rewards[here]), draw(self.transitions[here], generator.random())

    def values(
        self,
    ) -> tuple[Float[np.ndarray, "stages states"], Float[np.ndarray, "horizon states actions"]]:
        """The optimal values V*, shape (horizon + 1, states), last row 0, and Q*, by backward induction."""
        return self._values

    def regret(self, stage: int, state: int, action: int) -> float:
        """V*_h(s) − Q*_h(s,a), ≥ 0: what the action loses if all that follows is optimal.

        Summed over an episode it has the mean of V*_1(s_1) less the episode's reward.
        """
        state_values, action_values = self._values
        here = self._here(stage, state, action)
        return float(state_values[here[:2]] - action_values[here])

    @cached_property
    def _values(self) -> tuple[np.ndarray, np.ndarray]:
        state_values, action_values = np.zeros((self.horizon + 1, self.states)), np.empty(self.rewards.shape)
        for stage in reversed(range(self.horizon)):
            action_values[stage] = self.rewards[stage] + self.transitions[stage] @ state_values[stage + 1]
            state_values[stage] = action_values[stage].max(axis=1)
        for array in (state_values, action_values):
            array.flags.writeable = False
        return state_values, action_values

    def _here(self, stage: int, state: int, action: int) -> tuple[int, int, int]:
        stage, state = index("stage", stage, self.horizon), index("state", state, self.states)
        return stage, state, index("action", action, self.actions)


def random_mdp(
    generator: np.random.Generator, states: int, actions: int, horizon: int, concentration: float = 1.0
) -> TabularMDP:
    """A process drawn at random: symmetric Dirichlet transitions and first state, rewards U[0,1], fresh at each stage.

    Args:
        generator: draws everything.
        states: number of states.
        actions: number of actions.
        horizon: number of stages.
        concentration: of the Dirichlet, > 0; near 0 the next state is almost sure, at 1 its law is uniform on the
            simplex.

    Raises:
        ValueError: if a size is not an integer ≥ 1 or the concentration not a finite number > 0.

    >>> random_mdp(np.random.default_rng(0), states=4, actions=3, horizon=2).transitions.shape
    (2, 4, 3, 4)
    """
    sizes = (("states", states), ("actions", actions), ("horizon", horizon))
    states, actions, horizon = (checks.whole(name, size) for name, size in sizes)
    concentration = checks.number("concentration", concentration, positive=True)
    limits.hold("process", numbers=float(horizon) * states * actions * (states + 1))
    initial = random(generator).dirichlet(np.full(states, concentration))
    transitions = generator.dirichlet(np.full(states, concentration), (horizon, states, actions))
    return TabularMDP(initial, transitions, generator.random((horizon, states, actions)))


def gymnasium_mdp(name: str, horizon: int, **options) -> TabularMDP:
    """A toy-text environment of gymnasium, played for `horizon` steps: "FrozenLake", "CliffWalking" or "Taxi".

    The name may carry a version ("FrozenLake-v1") if it is the installed one; `options` go to gymnasium, such as
    map_name="8x8" or is_slippery=False. Three things differ from gymnasium:

    - The theorem wants rewards that are functions of (h,s,a): the reward is its expectation over the next state.
    - It wants them in [0, 1]: with [low, high] the range of all raw rewards and 0, the reward is
      (raw − low)/(high − low); offset = low and scale = high − low undo it. That is raw for FrozenLake,
      (raw + 100)/100 for CliffWalking and (raw + 10)/30 for Taxi.
    - An episode does not end early: a state that ended it keeps itself, at raw reward 0, to the horizon.

    The affine map moves the value of every policy alike, so what is optimal stays optimal for this horizon.

    Raises:
        ValueError: if the name, the horizon or an option is not one that is known, the environment is not described
            by its table, or gymnasium is missing.
    """
    try:
        import gymnasium
    except ImportError as error:
        message = "gymnasium: wanted it installed (pip install 'weightwright[data]'), got none"
        raise ValueError(message) from error
    newest = {table: f"{table}-v{_newest(gymnasium.registry, table)}" for table in TABLES}
    name = checks.choice("name", name, (*newest, *newest.values()))
    horizon = checks.whole("horizon", horizon)
    try:
        model: Any = gymnasium.make(newest.get(name, name), **options).unwrapped
    except (TypeError, KeyError) as error:
        raise ValueError(f"options: wanted those of gymnasium's {name}, got {shown(options)}") from error
    if getattr(model, "fickle_passenger", False):
        raise ValueError("fickle_passenger: wanted False, as it is not in Taxi's table, got True")
    transitions, rewards, low, high = _table(model.P)
    repeat = [np.broadcast_to(array, (horizon, *array.shape)) for array in (transitions, rewards)]
    return TabularMDP(model.initial_state_distrib, *repeat, offset=low, scale=high - low)


def _table(
    model: dict,
) -> tuple[Float[np.ndarray, "states actions states"], Float[np.ndarray, "states actions"], float, float]:
    """Transitions, rewards in [0, 1], and the range of raw rewards, from model[s][a] = [(odds, s', raw, ended), …]."""
    rows = [
        (state, action, *outcome)
        for state, actions in model.items()
        for action, outcomes in actions.items()
        for outcome in outcomes
    ]
    ends = sorted({after for *_, after, _, ended in rows if ended})
    low, high = min(0.0, *(raw for *_, raw, _ in rows)), max(0.0, *(raw for *_, raw, _ in rows))
    high = high if high > low else low + 1.0  # no reward but 0: any scale will do
    states, actions = len(model), len(model[0])
    transitions, raw_rewards = np.zeros((states, actions, states)), np.zeros((states, actions))
    for state, action, odds, after, raw, _ in rows:
        transitions[state, action, after] += odds
        raw_rewards[state, action] += odds * raw
    transitions[ends] = np.eye(states)[ends][:, None]
    raw_rewards[ends] = 0
    return transitions, np.clip((raw_rewards - low) / (high - low), 0, 1), float(low), float(high)


def _newest(registry: dict, table: str) -> int:
    return max(spec.version for spec in registry.values() if spec.name == table and spec.namespace is None)


def _check_odds(name: str, odds: Float[np.ndarray, "*shape states"]) -> None:
    """Wanted: distributions along the last axis."""
    if not (odds >= 0).all():  # also refuses NaN
        raise ValueError(f"{name}: wanted probabilities ≥ 0, got {odds.min()}")
    totals = odds.sum(axis=-1)
    wrong = np.argwhere(np.abs(totals - 1) > _SLACK)
    if len(wrong):
        where = tuple(int(i) for i in wrong[0])
        raise ValueError(f"{name}: wanted probabilities that sum to 1, got {totals[where]} at {where}")
