"""True Thompson sampling for Bernoulli bandits with uniform priors: its probabilities, and its draws.

A spec is anything with `actions`, the number of arms.

After s successes and b failures the mean of an arm has distribution Beta(s + 1, b + 1). The probability that arm k has the
largest draw, ∫₀¹ f_k Π_{j≠k} F_j, is summed up by the double-exponential rule u = 1/(1 + exp(−π sinh t)) with equal steps
in t. All terms are positive, so that small probabilities are as accurate as large ones.

**Accuracy.** The integrand is log-concave, with a peak of width 2/(π√(T + 2)) in t at least, about twice
the step. By Poisson summation the relative error is about exp(−2(π · width/step)²) < 10⁻³⁰, so that rounding is left, some
10⁻¹² for T = 200. `bernoulli_thompson_accuracy` is the difference to the rule of twice the step, an overestimate of what the
finer rule errs by, which is the fourth power of it. Probabilities below 10⁻²⁹⁰ may come out as 0.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.special import betainc, betaln

from constructions import checks
from constructions.history import BanditHistory
from verify.algorithms.common import Turns, parameter, whole

REACH = 4.0
"""The rule covers |t| ≤ REACH, all but 10⁻³⁷ of [0, 1] at either end."""


def bernoulli_thompson(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Log-probabilities of Thompson sampling at every step of a history, natural logarithm.

    Raises:
        ValueError: if the history has another number of arms than the spec, or a reward other than 0 and 1.

    Source: arXiv 2310.08566, app-TS-bernoulli.

    >>> from types import SimpleNamespace
    >>> history = BanditHistory(np.ones((2, 2, 1)), actions=[0], rewards=[1.0])
    >>> np.exp(bernoulli_thompson(SimpleNamespace(actions=2), history)).round(12).tolist()  # ∫ 2u · u du = 2/3
    [[0.5, 0.5], [0.666666666667, 0.333333333333]]
    """
    return np.logaddexp.reduce(_terms(spec, history), axis=-1)


def bernoulli_thompson_at(
    counts: Real[np.ndarray, "posteriors arms 2"],
) -> Float[np.ndarray, "posteriors arms"]:
    """Log-probabilities of Thompson sampling after so many successes and failures of each arm, many posteriors at once.

    >>> np.exp(bernoulli_thompson_at(np.array([[[1, 0], [0, 0]]]))).round(12).tolist()
    [[0.666666666667, 0.333333333333]]
    """
    return np.logaddexp.reduce(_integrands(counts, int(counts.sum(axis=(1, 2)).max()) + 1), axis=-1)


def bernoulli_thompson_accuracy(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """An error bar for each log-probability: how far the rule of twice the step is from it."""
    terms = _terms(spec, history)
    coarse = np.logaddexp.reduce(terms[..., 1::2], axis=-1) + np.log(2)
    return np.abs(np.logaddexp.reduce(terms, axis=-1) - coarse)


class BernoulliThompsonDecoder(Turns):
    """Thompson sampling one decision at a time.

    By drawing, what it returns being certain of the arm whose draw is largest; without a generator, the log-probabilities.
    """

    def __init__(self, spec: Any, generator: np.random.Generator | None = None):
        whole("actions", parameter(spec, "actions"))
        if generator is not None:
            checks.instance("generator", generator, np.random.Generator)
        self._generator = generator
        self._wins, self._losses = np.zeros((2, spec.actions))

    def observe(self, context) -> Float[np.ndarray, " arms"]:
        """Log of the one-hot vector of the arm whose posterior draw is largest; without a generator, log-probabilities.

        Raises:
            ValueError: if the context is not a finite matrix of a row for each arm, or the decision before it has not been
                recorded.
        """
        context = self._come(context).contexts[0]
        if (arms := len(context)) != len(self._wins):
            raise ValueError(f"observe: wanted {len(self._wins)} arms, got {arms}")
        self._context = context
        if self._generator is None:
            pairs = np.stack([self._wins, self._losses], axis=-1)[None]
            return np.logaddexp.reduce(_integrands(pairs, int(pairs.sum()) + 1)[0], axis=-1)
        draws = self._generator.beta(self._wins + 1, self._losses + 1)
        with np.errstate(divide="ignore"):
            return np.log(np.arange(arms) == draws.argmax())

    def record(self, action: Any, reward: Any) -> None:
        """Take in the arm played and its reward, 0 or 1.

        Raises:
            ValueError: if no context is pending, the arm is out of range or the reward neither 0 nor 1.
        """
        wins, losses = _counts(len(self._wins), self._play(action, reward))
        self._wins, self._losses, self._context = self._wins + wins[1], self._losses + losses[1], None


def bernoulli_thompson_decoder(
    spec: Any, generator: np.random.Generator | None = None
) -> BernoulliThompsonDecoder:
    """Thompson sampling that draws: `.observe(context)` → log-probabilities 0 and −∞, `.record(action, reward)`.

    Without a generator, `.observe` returns the log-probabilities of Thompson sampling.

    >>> from types import SimpleNamespace
    >>> policy = bernoulli_thompson_decoder(SimpleNamespace(actions=2), np.random.default_rng(0))
    >>> sorted(np.exp(policy.observe(np.eye(2))).tolist())
    [0.0, 1.0]
    >>> policy.record(0, 1.0)
    """
    return BernoulliThompsonDecoder(spec, generator)


def _counts(
    arms: int, history: BanditHistory
) -> tuple[Int[np.ndarray, "steps arms"], Int[np.ndarray, "steps arms"]]:
    """Successes and failures of each arm before each decision."""
    if history.contexts.shape[1] != arms:
        raise ValueError(f"contexts: wanted {arms} arms, got {history.contexts.shape[1]}")
    odd = ~np.isin(history.rewards, (0, 1))
    if odd.any():
        raise ValueError(f"rewards: wanted 0 or 1, got {float(history.rewards[odd][0])!r}")
    result = np.zeros((2, history.steps, arms), np.int64)
    rows = np.arange(1, history.steps)
    result[1 - history.rewards.astype(int), rows, history.actions] = 1
    wins, losses = result.cumsum(axis=1)
    return wins, losses


def _terms(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms nodes"]:
    """Logarithms of the terms of the sum that is ∫ f_k Π_{j≠k} F_j, at every step of a history."""
    whole("actions", parameter(spec, "actions"))
    checks.instance("history", history, BanditHistory)
    return _integrands(np.stack(_counts(spec.actions, history), axis=-1), history.steps)


def _integrands(pairs: Real[np.ndarray, "steps arms 2"], steps: int) -> Float[np.ndarray, "steps arms nodes"]:
    """The same from successes and failures, fewer than `steps` together; each posterior is computed once."""
    half = int(np.ceil(REACH * np.sqrt(steps + 20) / 0.3))
    t = np.linspace(-REACH, REACH, 2 * half + 1)
    x = np.pi * np.sinh(t)
    log_u, log_v = -np.logaddexp(0, -x), -np.logaddexp(0, x)
    jacobian = np.log(np.pi * np.cosh(t) * (t[1] - t[0])) + log_u + log_v
    unique, which = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    s, b = unique[:, 0, None], unique[:, 1, None]
    log_f = s * log_u + b * log_v - betaln(s + 1, b + 1)
    with np.errstate(divide="ignore"):
        log_cdf = np.log(betainc(s + 1, b + 1, np.exp(log_u)))
    which = which.reshape(pairs.shape[:2])
    f, cdf = log_f[which], log_cdf[which]
    others = np.stack([np.delete(cdf, k, axis=1).sum(axis=1) for k in range(pairs.shape[1])], axis=1)
    return f + others + jacobian
