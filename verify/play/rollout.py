"""Playing a policy in a bandit, with random numbers that are the same for every policy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from constructions.history import BanditHistory
from verify.environments.sampling import checked, pick, streams


@runtime_checkable
class Environment(Protocol):
    """What a rollout needs of a bandit; steps and arms are indices from 0."""

    @property
    def dim(self) -> int:
        """Length of an action vector."""
        ...

    @property
    def actions(self) -> int:
        """Number of arms."""
        ...

    @property
    def horizon(self) -> int:
        """Number of decisions."""
        ...

    def context(self, step: int) -> Float[np.ndarray, "arms dim"]:
        """The action vectors offered at a step in 0..horizon−1."""
        ...

    def reward(self, step: int, arm: int, generator: np.random.Generator) -> float:
        """The reward of an arm, its noise drawn from the generator."""
        ...

    def regret(self, step: int, arm: int) -> float:
        """Mean reward of the step's best arm less that of this arm, ≥ 0."""
        ...


@runtime_checkable
class Answering(Environment, Protocol):
    """A bandit whose contexts depend on what was played: `context(0)` is the first, and `after` has all others."""

    def after(self, step: int, arm: int, odds: float) -> Float[np.ndarray, "arms dim"]:
        """The context of step + 1, when the arm was played at a step in 0..horizon−2, with so large a probability."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """A policy run one decision at a time, true or built, one or several in lockstep; it starts with an empty history."""

    def observe(self, context: Any, /) -> Any:
        """Log-probabilities over the actions, in a context: the vectors of the arms offered, or a state."""
        ...

    def record(self, action: Any, reward: Any, /) -> None:
        """Take in the action taken and its reward."""
        ...


@dataclass(frozen=True, eq=False)
class Rollout:
    """One run of a policy.

    Attributes:
        history: contexts or states of all steps, with the actions and rewards of all steps but the last.
        actions: the action taken at each step, the last included, shape (steps,).
        regret: each step's regret in mean reward, not cumulated, shape (steps,); in episodes V*_h(s) − Q*_h(s,a), whose sum
            over an episode has the mean of the optimal value less the episode's reward.
        log_probabilities: the policy at each step, shape (steps, actions).
        rewards: in episodes the reward of each step, the last included, in [0, 1], shape (steps,).
    """

    history: Any
    actions: Int[np.ndarray, " steps"]
    regret: Float[np.ndarray, " steps"]
    log_probabilities: Float[np.ndarray, "steps actions"]
    rewards: Float[np.ndarray, " steps"] | None = None


def rollout(environment: Environment, decoder: Decoder, generator: np.random.Generator) -> Rollout:
    """Play a fresh decoder to the environment's horizon.

    Two streams are split off the generator before the first decision: one uniform a step, through which the
    inverse of the policy's distribution function picks the arm, and one generator a step for the reward.
    So two policies run from equal seeds see common random numbers at every step, whatever either plays.
    An environment that is `Answering` makes contexts of what was played, and of the probability with which it was.

    Raises:
        ValueError: if the decoder returns anything but the log-probabilities of the arms.

    >>> from types import SimpleNamespace
    >>> from verify import algorithms, environments
    >>> bandit = environments.paper_linear_bandit(np.random.default_rng(0), horizon=30)
    >>> policy = algorithms.decoder(SimpleNamespace(ridge=1.0, exploration=2.0, temperature=0.1))
    >>> run = rollout(bandit, policy, np.random.default_rng(1))
    >>> run.history.steps, run.actions.shape, run.log_probabilities.shape
    (30, (30,), (30, 10))
    """
    return rollouts([environment], SideBySide([decoder]), [generator])[0]


def rollouts(
    environments: Sequence[Environment], decoder: Decoder, generators: Sequence[np.random.Generator]
) -> list[Rollout]:
    """Play several environments of equal horizon in lockstep, each with random numbers of its own, as `rollout` does.

    Raises:
        ValueError: if the horizons differ, or as for `rollout`.
    """
    horizons = {environment.horizon for environment in environments}
    if len(horizons) != 1 or len(environments) != len(generators):
        raise ValueError(
            f"rollouts: wanted environments of one horizon and a generator each, got horizons {horizons}"
        )
    [steps] = horizons
    randomness = [streams(generator, steps) for generator in generators]
    first = np.array([stage.context(0) for stage in environments], np.float64)
    contexts = np.repeat(first[:, None], steps, axis=1)
    comes = [_next(stage) for stage in environments]
    log_probabilities = np.empty(contexts.shape[:3])
    actions, rewards = np.empty(contexts.shape[:2], np.int64), np.empty((len(environments), steps - 1))
    for step in range(steps):
        observed = decoder.observe(contexts[:, step])
        for n, (stage, (uniforms, chances)) in enumerate(zip(environments, randomness, strict=True)):
            log_probabilities[n, step] = checked(observed[n], step, stage.actions)
            actions[n, step] = arm = pick(log_probabilities[n, step], uniforms[step])
            if step < steps - 1:
                rewards[n, step] = stage.reward(step, arm, chances[step])
                contexts[n, step + 1] = comes[n](step, arm, log_probabilities[n, step])
        if step < steps - 1:
            decoder.record(actions[:, step], rewards[:, step])
    return [
        Rollout(
            BanditHistory(contexts[n], actions[n, :-1], rewards[n]),
            actions[n],
            np.array([environment.regret(step, int(arm)) for step, arm in enumerate(actions[n])]),
            log_probabilities[n],
        )
        for n, environment in enumerate(environments)
    ]


def _next(stage: Environment) -> Callable[[int, int, np.ndarray], np.ndarray]:
    """From a step, what was played there, and the policy, to the context of the step after."""
    if isinstance(stage, Answering):
        return lambda step, arm, policy: stage.after(step, arm, float(np.exp(policy[arm])))
    return lambda step, arm, policy: stage.context(step + 1)


@dataclass(frozen=True)
class SideBySide:
    """Several decoders as one batch; of episodes too, whose contexts are states."""

    decoders: Sequence[Any]

    def observe(self, contexts: Float[np.ndarray, "batch arms dim"] | Int[np.ndarray, " batch"]) -> list:
        """Each decoder's answer to its own context."""
        return [decoder.observe(context) for decoder, context in zip(self.decoders, contexts, strict=True)]

    def record(self, actions: Int[np.ndarray, " batch"], rewards: Float[np.ndarray, " batch"]) -> None:
        """Hand each decoder its own arm and reward."""
        for decoder, action, reward in zip(self.decoders, actions, rewards, strict=True):
            decoder.record(int(action), float(reward))
