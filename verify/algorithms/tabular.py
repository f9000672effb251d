"""True soft UCB-VI for tabular episodes: counts, optimism, backward induction.

Letters: H stages, S states, A actions, K episodes; (h, s, a, s') a stage, a state, an action, the next state. A spec is
anything with the numbers of `states`, `actions`, `horizon` (H) and `episodes`, on which the bonus depends, all ≥ 1, and the
`temperature` τ > 0 of the softmax, in units of reward. It may also have `exploration` ≥ 0, a factor on the bonus; it is 1 in
the paper and where it is left out.

Source: arXiv 2310.08566, section 4.3 (soft UCB-VI), after Azar, Osband and Munos (2017).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions import checks, limits
from constructions.history import EpisodeHistory, within
from verify.algorithms.common import finite, log_softmax, parameter, whole


@dataclass(frozen=True, eq=False)
class UCBVIValues:
    """Every quantity of soft UCB-VI, for each episode begun; row k−1 is what episodes 1..k−1 teach episode k.

    Attributes:
        counts: N_h(s,a), shape (episodes, horizon, states, actions).
        rewards: mean of the rewards seen at (h,s,a), 0 where none was, shape as counts.
        action_values: Q_h(s,a), in units of reward, within [0, H], shape as counts.
        state_values: V_h(s) = max_a Q_h(s,a), and V_{H+1} = 0, shape (episodes, horizon + 1, states).
        score: Q_h(s_t,·) at each step of the history, shape (steps, actions).
        log_probabilities: log-softmax of score/τ, shape (steps, actions), natural logarithm.
    """

    counts: Int[np.ndarray, "episodes horizon states actions"]
    rewards: Float[np.ndarray, "episodes horizon states actions"]
    action_values: Float[np.ndarray, "episodes horizon states actions"]
    state_values: Float[np.ndarray, "episodes stages states"]
    score: Float[np.ndarray, "steps actions"]
    log_probabilities: Float[np.ndarray, "steps actions"]


@dataclass(frozen=True, eq=False)
class _Plan:
    """What one episode is played by; shapes as in `UCBVIValues`, without the episodes."""

    counts: Int[np.ndarray, "horizon states actions"]
    rewards: Float[np.ndarray, "horizon states actions"]
    action_values: Float[np.ndarray, "horizon states actions"]
    state_values: Float[np.ndarray, "stages states"]


def ucbvi(spec: Any, history: EpisodeHistory) -> Float[np.ndarray, "steps actions"]:
    """Log-probabilities of soft UCB-VI at every step of a history.

    The policy of episode k depends on episodes 1..k−1 only, and on the present stage and state.
    Cost: O(H(SA + K)) an episode; unlike `ucbvi_values` it holds the values of one episode at a time.

    Raises:
        ValueError: as for `ucbvi_values`.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(states=1, actions=2, horizon=1, episodes=80, temperature=0.5)
    >>> history = EpisodeHistory([0] * 80, actions=[0] * 79, rewards=[0.0] * 79, horizon=1)
    >>> np.exp(ucbvi(spec, history)[[0, -1]]).round(3).tolist()  # at last Q = 2√(log(2·80²)/79) and 1
    [[0.5, 0.5], [0.351, 0.649]]
    """
    plans = _plans(spec, history, ucbvi_bonus(spec))
    score = [_score(plan, states) for plan, states in plans]
    return log_softmax(np.concatenate(score), spec.temperature)


def ucbvi_bonus(spec: Any) -> Float[np.ndarray, " visits"]:
    """The bonus b(n) = 2H√(log(S·A·T/δ)/max(n, 1)) after n = 0..K visits, with T = KH and δ = 1/(KH).

    It is multiplied by the specification's `exploration`, if it has one.

    In units of reward. A bonus of H or more hides everything that was learnt: Q_h(s,a) = H exactly until
    N_h(s,a) > 4·log(S·A·T/δ).

    Raises:
        ValueError: if a size is not an integer ≥ 1, or the temperature not a finite number > 0.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(states=2, actions=2, horizon=1, episodes=100, temperature=0.1)
    >>> bonus = ucbvi_bonus(spec)  # log(4·100²) = 10.6, so 43 visits are needed to bring it below H = 1
    >>> len(bonus), int((bonus >= 1).sum()) - 1
    (101, 42)
    """
    check_tabular(spec)
    limits.hold("ucbvi", numbers=spec.episodes + 4.0 * spec.horizon * spec.states * spec.actions)
    steps = spec.episodes * spec.horizon
    confidence = np.log(spec.states * spec.actions) + 2 * np.log(steps)
    factor = getattr(spec, "exploration", 1.0)
    return factor * 2 * spec.horizon * np.sqrt(confidence / np.maximum(np.arange(spec.episodes + 1), 1))


def ucbvi_values(
    spec: Any, history: EpisodeHistory, bonus: Float[np.ndarray, " visits"] | None = None
) -> UCBVIValues:
    """The values of soft UCB-VI on the way to its log-probabilities, for every episode begun.

    Q_h(s,a) = min{H, r_h(s,a) + b(N_h(s,a)) + Σ_{s'} N_h(s,a,s')/max(N_h(s,a), 1) · V_{h+1}(s')}, and H where
    N_h(s,a) = 0. The reward r_h(s,a) is the mean of those seen there: the reward itself if that is a function of
    (h,s,a), as the theorem assumes. Memory: four arrays of K·H·S·A numbers. Errors: a few units of rounding a stage.

    Args:
        spec: the sizes and the temperature.
        history: the episodes so far.
        bonus: b(n) for n = 0..K, in units of reward; by default `ucbvi_bonus(spec)`.

    Raises:
        ValueError: if a parameter is out of range, or the history has another horizon than the spec, a state or action
            beyond it, or too many episodes.
    """
    bonus = ucbvi_bonus(spec) if bonus is None else bonus
    if bonus.shape != (spec.episodes + 1,):
        raise ValueError(f"bonus: wanted shape ({spec.episodes + 1},), visits 0..K, got {bonus.shape}")
    plans, visited = zip(*_plans(spec, history, bonus), strict=True)
    score = np.concatenate([_score(plan, states) for plan, states in zip(plans, visited, strict=True)])
    return UCBVIValues(
        counts=np.stack([plan.counts for plan in plans]),
        rewards=np.stack([plan.rewards for plan in plans]),
        action_values=np.stack([plan.action_values for plan in plans]),
        state_values=np.stack([plan.state_values for plan in plans]),
        score=score,
        log_probabilities=log_softmax(score, spec.temperature),
    )


class UCBVIDecoder:
    """Soft UCB-VI one decision at a time: observe a state, record what was done, and so on.

    Calls must alternate; it plans when an episode begins, and agrees with `ucbvi` on the same history.
    """

    def __init__(self, spec: Any):
        self._bonus = ucbvi_bonus(spec)
        self._spec = spec
        self._states, self._actions, self._rewards = [], [], []
        self._plan = _plan(spec, self._bonus, *_columns([], [], [], spec.horizon))

    def observe(self, state: Any) -> Float[np.ndarray, " actions"]:
        """Log-probabilities over the actions in this state.

        Raises:
            ValueError: if the state is out of range, the decision before it has not been recorded, or the last
                episode is over.
        """
        spec, steps = self._spec, len(self._actions)
        if len(self._states) > steps:
            raise ValueError("observe: wanted the pending decision recorded first, got another state")
        if steps == spec.episodes * spec.horizon:
            raise ValueError(f"observe: wanted at most {spec.episodes} episodes, got the state of another")
        seen = EpisodeHistory([state], [], [], 1).states
        within("states", seen, spec.states)
        stage = steps % spec.horizon
        if steps and not stage:
            past = _columns(self._states, self._actions, self._rewards, spec.horizon)
            self._plan = _plan(spec, self._bonus, *past)
        self._states.append(int(seen[0]))
        return log_softmax(self._plan.action_values[stage, seen[0]], spec.temperature)

    def record(self, action: Any, reward: Any) -> None:
        """Take in the action taken in the observed state, and its reward in [0, 1].

        Raises:
            ValueError: if no state is pending, the action is out of range or the reward not in [0, 1].
        """
        if len(self._states) == len(self._actions):
            raise ValueError("record: wanted a state observed first, got none pending")
        pair = EpisodeHistory([0, 0], [action], [reward], 1)
        within("actions", pair.actions, self._spec.actions)
        self._actions.append(int(pair.actions[0]))
        self._rewards.append(float(pair.rewards[0]))


def ucbvi_decoder(spec: Any) -> UCBVIDecoder:
    """A fresh incremental soft UCB-VI: `.observe(state)` → log-probabilities, `.record(action, reward)`.

    Raises:
        ValueError: if a parameter is out of range, as for `ucbvi_bonus`.

    >>> from types import SimpleNamespace
    >>> policy = ucbvi_decoder(SimpleNamespace(states=3, actions=2, horizon=2, episodes=9, temperature=1.0))
    >>> np.exp(policy.observe(2)).tolist()
    [0.5, 0.5]
    >>> policy.record(0, 1.0)
    """
    return UCBVIDecoder(spec)


def check_tabular(spec: Any, history: EpisodeHistory | None = None) -> None:
    """Wanted: sizes ≥ 1, a temperature > 0, and a history that lies within the sizes."""
    for name in ("states", "actions", "horizon", "episodes"):
        whole(name, parameter(spec, name))
    finite("temperature", parameter(spec, "temperature"), positive=True)
    if history is None:
        return
    if history.horizon != spec.horizon:
        raise ValueError(f"horizon: wanted a history of horizon {spec.horizon}, got {history.horizon}")
    if history.episodes > spec.episodes:
        raise ValueError(f"episodes: wanted at most {spec.episodes}, got a history of {history.episodes}")
    within("states", history.states, spec.states)
    within("actions", history.actions, spec.actions)


def _plans(
    spec: Any, history: EpisodeHistory, bonus: Float[np.ndarray, " visits"]
) -> Iterator[tuple[_Plan, Int[np.ndarray, " visited"]]]:
    """For each episode begun, what it is played by and the states it has visited so far."""
    check_tabular(spec, checks.instance("history", history, EpisodeHistory))
    horizon = spec.horizon
    past = _columns(history.states[:-1], history.actions, history.rewards, horizon)
    for episode in range(history.episodes):
        plan = _plan(spec, bonus, *(column[:episode] for column in past))
        yield plan, history.states[episode * horizon : (episode + 1) * horizon]


def _plan(
    spec: Any,
    bonus: Float[np.ndarray, " visits"],
    states: Int[np.ndarray, "past horizon"],
    actions: Int[np.ndarray, "past horizon"],
    rewards: Float[np.ndarray, "past horizon"],
) -> _Plan:
    """Backward induction on what the past episodes, one a row, have shown.

    Σ_{s'} N_h(s,a,s') V(s') is summed over the past visits to (h,s,a), each adding the V of the state it led to.
    """
    top, shape = spec.horizon, (spec.horizon, spec.states, spec.actions)
    size = spec.states * spec.actions
    pairs = states * spec.actions + actions
    visits = (np.arange(top) * size + pairs).ravel()
    counts = np.bincount(visits, minlength=top * size).reshape(shape)
    total = np.bincount(visits, rewards.ravel(), minlength=top * size).reshape(shape)
    often = np.maximum(counts, 1)
    mean = total / often
    state_values, action_values = np.zeros((top + 1, spec.states)), np.empty(shape)
    for stage in reversed(range(top)):
        ahead = np.zeros(shape[1:])
        if stage < top - 1:
            reached = state_values[stage + 1, states[:, stage + 1]]
            ahead = np.bincount(pairs[:, stage], reached, minlength=size).reshape(shape[1:])
        hopeful = mean[stage] + bonus[counts[stage]] + ahead / often[stage]
        action_values[stage] = np.where(counts[stage] == 0, top, np.minimum(top, hopeful))
        state_values[stage] = action_values[stage].max(axis=1)
    return _Plan(counts, mean, action_values, state_values)


def _score(plan: _Plan, states: Int[np.ndarray, " visited"]) -> Float[np.ndarray, "visited actions"]:
    """Q_h(s_h,·) at the stages of one episode, as far as it has come."""
    return plan.action_values[np.arange(len(states)), states]


def _columns(states, actions, rewards, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finished episodes as rows of shape (episodes, horizon); what follows them is left out."""
    columns = np.array(states, np.int64), np.array(actions, np.int64), np.array(rewards, np.float64)
    finished = len(columns[1]) // horizon * horizon
    first, second, third = (column[:finished].reshape(-1, horizon) for column in columns)
    return first, second, third
