"""Symmetries of UCB-VI: it sees counts and sums of rewards by stage, state and action, of whole episodes.

It does not care how states and actions are numbered, or in which order the past episodes came.
"""

from functools import partial

import numpy as np

from constructions import ucbvi
from constructions.history import EpisodeHistory
from verify.probes.symmetries import Image, Symmetry


def renumber_states(history: EpisodeHistory, generator: np.random.Generator, spec: ucbvi.Spec) -> Image:
    """States numbered anew, in the same way throughout.

    >>> history = EpisodeHistory([0, 1, 0], actions=[1, 0], rewards=[0.5, 1.0], horizon=2)
    >>> image = renumber_states(history, np.random.default_rng(3), ucbvi.Spec(2, 2, 2, 2))
    >>> image.history.states.tolist(), image.history.actions.tolist(), image.places.tolist()
    ([1, 0, 1], [1, 0], [0, 1])
    """
    states = generator.permutation(spec.states)[history.states]
    renamed = EpisodeHistory(states, history.actions, history.rewards, history.horizon)
    return Image(renamed, np.arange(spec.actions))


def renumber_actions(history: EpisodeHistory, generator: np.random.Generator, spec: ucbvi.Spec) -> Image:
    """Actions numbered anew, in the same way throughout."""
    places = generator.permutation(spec.actions)
    renamed = EpisodeHistory(history.states, places[history.actions], history.rewards, history.horizon)
    return Image(renamed, places)


def reorder_episodes(history: EpisodeHistory, generator: np.random.Generator, spec: ucbvi.Spec) -> Image:
    """The episodes that are over in another order; the policy ought to be the same in the one that is not."""
    begun = (history.episodes - 1) * history.horizon
    order = generator.permutation(history.episodes - 1)
    past = (order[:, None] * history.horizon + np.arange(history.horizon)).reshape(-1)
    whole = np.concatenate([past, np.arange(begun, history.steps)])
    done = whole[:-1]
    moved = EpisodeHistory(
        history.states[whole], history.actions[done], history.rewards[done], history.horizon
    )
    return Image(moved, np.arange(spec.actions), first=begun)


def episodic(spec: ucbvi.Spec) -> dict[str, Symmetry]:
    """What UCB-VI has, by name."""
    kinds = {
        "states renumbered": renumber_states,
        "actions renumbered": renumber_actions,
        "episodes reordered": reorder_episodes,
    }
    return {name: partial(kind, spec=spec) for name, kind in kinds.items()}
