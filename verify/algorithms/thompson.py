"""True linear Thompson sampling: the Gaussian posterior, how likely each arm is to be drawn, and the drawing.

A spec is anything with `prior_variance` λ > 0 and `noise_variance` r > 0, in squared units of reward: w* ~ N(0, λI), rewards
⟨a, w*⟩ + N(0, r).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks
from constructions.history import BanditHistory
from verify.algorithms.choice import choice_probabilities
from verify.algorithms.common import RunningSums, finite, parameter, sums

_EPSILON = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class ThompsonValues:
    """The posterior at every step, as the arms on offer see it; row t−1 belongs to decision t.

    With Σ_t = (r/λ)I + Σ_{j<t} a_j a_jᵀ the posterior is N(μ_t, r Σ_t⁻¹), and a sample of it is
    w̃ = μ_t + √r Σ_t⁻¹ᐟ² z with z ~ N(0, I), so that ⟨a_{t,k}, w̃⟩ = y_{t,k} + ⟨x_{t,k}, z⟩.

    Attributes:
        posterior_mean: μ_t = Σ_t⁻¹ Σ_{j<t} r_j a_j, shape (steps, dim).
        whitened: x_{t,k} = √r Σ_t⁻¹ᐟ² a_{t,k} with the symmetric root, shape (steps, arms, dim).
        mean: y_{t,k} = ⟨a_{t,k}, μ_t⟩, shape (steps, arms), in units of reward.
    """

    posterior_mean: Float[np.ndarray, "steps dim"]
    whitened: Float[np.ndarray, "steps arms dim"]
    mean: Float[np.ndarray, "steps arms"]


def thompson(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Log-probabilities of linear Thompson sampling at every step of a history; its draws play no part.

    The policy at decision t (row t−1) has seen the contexts 1..t and the first t−1 actions and rewards. With two
    arms or in one dimension the numbers are exact; otherwise `choice_probabilities` estimates them at its
    default accuracy and a fixed seed. Use it on `thompson_values` for the error bars. An entry is −∞ where no
    line of the estimate finds the arm; none is NaN.

    Raises:
        ValueError: as for `thompson_values`.

    Source: arXiv 2310.08566, section 4.2 and section F.1.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(prior_variance=1.0, noise_variance=1.0)
    >>> history = BanditHistory([[[1.0], [0.0]], [[1.0], [0.0]]], actions=[0], rewards=[1.0])
    >>> np.exp(thompson(spec, history)).round(3).tolist()  # w̃ ~ N(0, 1), then N(1/2, 1/2)
    [[0.5, 0.5], [0.76, 0.24]]
    """
    values = thompson_values(spec, history)
    return choice_probabilities(values.whitened, values.mean).log_probabilities


def thompson_values(spec: Any, history: BanditHistory) -> ThompsonValues:
    """The posterior at every step of a history, through the eigenvectors of Σ_t.

    Raises:
        ValueError: if a variance is not a finite number > 0, or r/λ is lost to rounding beside these actions.
    """
    _check(spec)
    return _values(spec, *sums(history), history.contexts)


def thompson_scores(spec: Any, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """⟨a_{t,k}, μ_t + √r Σ_t⁻¹ᐟ² z_t⟩ with z_t the draw of step t: the action of that draw is the argmax.

    Raises:
        ValueError: if the history has no draws, or as for `thompson_values`.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(prior_variance=4.0, noise_variance=1.0)
    >>> history = BanditHistory([[[1.0], [0.0]]], actions=[], rewards=[], draws=[[-0.5]])
    >>> thompson_scores(spec, history).tolist()
    [[-1.0, 0.0]]
    """
    checks.instance("history", history, BanditHistory)
    if history.draws is None:
        raise ValueError("draws: wanted a standard normal vector at each step, got None")
    return _scores(thompson_values(spec, history), history.draws)


class ThompsonDecoder:
    """Linear Thompson sampling one decision at a time: observe a context, record what was played, and so on.

    Each observation draws the next standard normal vector from the generator. It keeps running sums; calls must
    alternate, and the arm chosen is the argmax of `thompson_scores` on the same history and draws.
    """

    def __init__(self, spec: Any, generator: np.random.Generator):
        _check(spec)
        checks.instance("generator", generator, np.random.Generator)
        self._spec, self._generator, self._past = spec, generator, RunningSums()

    def observe(self, context) -> Float[np.ndarray, " arms"]:
        """Log-probabilities given the draw: 0 for the sampled arm, −∞ for the others, rows of `context`.

        Raises:
            ValueError: if the context is not a finite matrix of the first one's dimension, or if the
                decision before it has not been recorded.
        """
        gram, moment, context = self._past.offered(context)
        values = _values(self._spec, gram[None], moment[None], context[None])
        draw = self._generator.standard_normal(moment.size)
        chosen = _scores(values, draw[None])[0].argmax()
        return np.where(np.arange(len(context)) == chosen, 0.0, -np.inf)

    def record(self, action: Any, reward: Any) -> None:
        """Take in the arm played on the observed context, and its reward; errors as for `RunningSums.record`."""
        self._past.record(action, reward)


def thompson_decoder(spec: Any, generator: np.random.Generator) -> ThompsonDecoder:
    """A fresh incremental Thompson sampler: `.observe(context)` → the sampled arm, `.record(action, reward)`.

    Raises:
        ValueError: if a variance is not a finite number > 0.

    >>> from types import SimpleNamespace
    >>> spec = SimpleNamespace(prior_variance=1.0, noise_variance=1.0)
    >>> policy = thompson_decoder(spec, np.random.default_rng(0))
    >>> policy.observe(np.array([[1.0], [0.0]])).tolist()
    [0.0, -inf]
    >>> policy.record(0, 1.0)
    """
    return ThompsonDecoder(spec, generator)


def _values(
    spec: Any,
    gram: Float[np.ndarray, "steps dim dim"],
    moment: Float[np.ndarray, "steps dim"],
    contexts: Float[np.ndarray, "steps arms dim"],
) -> ThompsonValues:
    """All values, from the sums Σ a aᵀ and Σ r a of each step's past."""
    ridge = spec.noise_variance / spec.prior_variance
    largest = np.abs(gram).max()
    if not _EPSILON * gram.shape[-1] * largest < ridge < np.inf:  # also refuses NaN
        raise ValueError(
            "noise_variance / prior_variance: wanted a ratio that float64 does not lose beside the actions, "
            f"got {ridge} against actions whose Gram matrix has entries up to {largest:.3g}"
        )
    spectrum, basis = np.linalg.eigh(gram)
    spectrum = np.maximum(spectrum, 0) + ridge
    posterior_mean = np.einsum("tde,te,tfe,tf->td", basis, 1 / spectrum, basis, moment)
    roots = np.sqrt(spec.noise_variance / spectrum)
    whitened = (contexts @ basis * roots[:, None]) @ basis.mT
    return ThompsonValues(posterior_mean, whitened, np.einsum("tkd,td->tk", contexts, posterior_mean))


def _scores(values: ThompsonValues, draws: Float[np.ndarray, "steps dim"]) -> Float[np.ndarray, "steps arms"]:
    return values.mean + np.einsum("tkd,td->tk", values.whitened, draws)


def _check(spec: Any) -> None:
    for name in ("prior_variance", "noise_variance"):
        finite(name, parameter(spec, name), positive=True)
