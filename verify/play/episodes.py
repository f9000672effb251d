"""Playing a policy in a tabular decision process, with random numbers that are the same for every policy."""

from typing import Protocol, runtime_checkable

import numpy as np

from constructions.history import EpisodeHistory
from verify.environments.sampling import checked, pick, streams
from verify.play.rollout import Decoder, Rollout


@runtime_checkable
class EpisodicEnvironment(Protocol):
    """What a run of episodes needs of a decision process; stages, states and actions are indices from 0."""

    @property
    def states(self) -> int:
        """Number of states."""
        ...

    @property
    def actions(self) -> int:
        """Number of actions."""
        ...

    @property
    def horizon(self) -> int:
        """Number of steps in an episode."""
        ...

    def reset(self, generator: np.random.Generator) -> int:
        """The first state of an episode, drawn from the generator."""
        ...

    def step(self, stage: int, state: int, action: int, generator: np.random.Generator) -> tuple[float, int]:
        """The reward in [0, 1] of an action, and the next state, drawn from the generator."""
        ...

    def regret(self, stage: int, state: int, action: int) -> float:
        """V*_h(s) − Q*_h(s,a), ≥ 0."""
        ...


def play(
    environment: EpisodicEnvironment, decoder: Decoder, generator: np.random.Generator, episodes: int
) -> Rollout:
    """Let a fresh decoder play some episodes.

    Streams are split off the generator before the first decision: one uniform a step, through which the inverse
    of the policy's distribution function picks the action; one generator a step for the transition; and one an
    episode for its first state. So two policies run from equal seeds see common random numbers at every step,
    whatever either plays, and a longer run begins like a shorter one.

    Raises:
        ValueError: if episodes is not ≥ 1, or the decoder returns anything but the log-probabilities of the actions.

    >>> from types import SimpleNamespace
    >>> from verify import algorithms, environments
    >>> sizes = {"states": 4, "actions": 2, "horizon": 3}
    >>> mdp = environments.random_mdp(np.random.default_rng(0), **sizes)
    >>> policy = algorithms.ucbvi_decoder(SimpleNamespace(**sizes, episodes=10, temperature=0.1))
    >>> run = play(mdp, policy, np.random.default_rng(1), episodes=10)
    >>> run.history.episodes, run.history.steps, run.log_probabilities.shape
    (10, 30, (30, 2))
    """
    if episodes < 1:
        raise ValueError(f"episodes: wanted an integer ≥ 1, got {episodes}")
    horizon = environment.horizon
    steps = episodes * horizon
    uniforms, transition_generators = streams(generator, steps)
    first_states = [environment.reset(start) for start in generator.spawn(episodes)]
    states, actions = np.empty(steps, np.int64), np.empty(steps, np.int64)
    rewards, regret = np.empty(steps), np.empty(steps)
    log_probabilities = np.empty((steps, environment.actions))
    after = 0
    for step in range(steps):
        stage = step % horizon
        state = after if stage else first_states[step // horizon]
        observed = checked(decoder.observe(state), step, environment.actions)
        action = pick(observed, uniforms[step])
        reward, after = environment.step(stage, state, action, transition_generators[step])
        if step < steps - 1:
            decoder.record(action, reward)
        states[step], actions[step], rewards[step] = state, action, reward
        log_probabilities[step], regret[step] = observed, environment.regret(stage, state, action)
    history = EpisodeHistory(states, actions[:-1], rewards[:-1], horizon)
    return Rollout(history, actions, regret, log_probabilities, rewards)
