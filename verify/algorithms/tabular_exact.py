"""True UCB-VI in rational arithmetic: the definition in plain loops, with no rounding anywhere."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from constructions import checks
from constructions.history import EpisodeHistory
from verify.algorithms.tabular import check_tabular

Step = tuple[int, int, Fraction]  # state, action, reward


def ucbvi_exact(spec: Any, history: EpisodeHistory, bonus: Sequence[Fraction | int]) -> list[list[Fraction]]:
    """The action values Q_h(s_t,·) of UCB-VI at every step t, exactly; an entry for each action.

    Rewards are taken as the rationals that float64 holds. Cost: O(HS²A) fractions an episode.

    Args:
        spec: the sizes; the temperature plays no part.
        history: the episodes so far.
        bonus: b(n) after n = 0..K visits, in units of reward; the square roots of the definition are irrational.

    Raises:
        ValueError: as for `ucbvi_values`, or if there are not K+1 bonuses.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(states=1, actions=2, horizon=1, episodes=2, temperature=1.0)
    >>> history = EpisodeHistory([0, 0], actions=[1], rewards=[0.25], horizon=1)
    >>> [[str(q) for q in row] for row in ucbvi_exact(spec, history, [Fraction(1, 3)] * 3)]
    [['1', '1'], ['1', '7/12']]
    """
    check_tabular(spec, checks.instance("history", history, EpisodeHistory))
    if len(bonus) != spec.episodes + 1:
        raise ValueError(f"bonus: wanted {spec.episodes + 1} numbers, for visits 0..K, got {len(bonus)}")
    rewards = [Fraction(float(reward)) for reward in history.rewards]
    past: list[Step] = list(
        zip(map(int, history.states[:-1]), map(int, history.actions), rewards, strict=True)
    )
    rows = []
    for first in range(0, history.steps, spec.horizon):
        values = _action_values(spec, past[:first], [Fraction(b) for b in bonus])
        present = history.states[first : first + spec.horizon]
        for stage, state in enumerate(map(int, present)):
            rows.append([values[stage, state, action] for action in range(spec.actions)])
    return rows


def _action_values(
    spec: Any, past: list[Step], bonus: list[Fraction]
) -> dict[tuple[int, int, int], Fraction]:
    """Q_h(s,a) for all (h−1, s, a), from whole episodes one after another."""
    top = spec.horizon
    visits: Counter[tuple[int, ...]] = Counter()
    moves: Counter[tuple[int, ...]] = Counter()
    earned: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for step, (state, action, reward) in enumerate(past):
        stage = step % top
        visits[stage, state, action] += 1
        earned[stage, state, action] += reward
        if stage < top - 1:
            moves[stage, state, action, past[step + 1][0]] += 1
    values: dict[tuple[int, int, int], Fraction] = {}
    best = [Fraction(0)] * spec.states
    for stage in reversed(range(top)):
        for state in range(spec.states):
            for action in range(spec.actions):
                here = stage, state, action
                if visits[here] == 0:
                    values[here] = Fraction(top)
                    continue
                value = earned[here] / visits[here] + bonus[visits[here]]
                for after in range(spec.states):
                    value += Fraction(moves[*here, after], visits[here]) * best[after]
                values[here] = min(Fraction(top), value)
        best = [max(values[stage, s, a] for a in range(spec.actions)) for s in range(spec.states)]
    return values
