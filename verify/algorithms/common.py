"""What all true algorithms share: the softmax policy, sums over the past, and checks on their parameters."""

from typing import Any

import numpy as np
from jaxtyping import Float

from constructions import checks, plain
from constructions.history import BanditHistory


def log_softmax(
    score: Float[np.ndarray, "*shape arms"], temperature: float
) -> Float[np.ndarray, "*shape arms"]:
    """Log of softmax(score/τ): subtract the maximum before dividing, so that a tiny τ gives −∞, never NaN.

    >>> log_softmax(np.array([1.0, 0.0]), 1e-320).tolist()
    [0.0, -inf]
    """
    with np.errstate(over="ignore"):
        gaps = (score - score.max(axis=-1, keepdims=True)) / temperature
    return gaps - np.log(np.exp(gaps).sum(axis=-1, keepdims=True))


def before(terms: Float[np.ndarray, "taken *shape"]) -> Float[np.ndarray, "steps *shape"]:
    """Sums over the strictly earlier terms: one row more than `terms`, the first of them zero."""
    totals = np.zeros((len(terms) + 1, *terms.shape[1:]))
    np.cumsum(terms, axis=0, out=totals[1:])
    return totals


def sums(history: BanditHistory) -> tuple[Float[np.ndarray, "steps dim dim"], Float[np.ndarray, "steps dim"]]:
    """Σ a aᵀ and Σ r a over each step's past."""
    checks.instance("history", history, BanditHistory)
    chosen = history.chosen
    return before(chosen[:, :, None] * chosen[:, None, :]), before(chosen * history.rewards[:, None])


class Turns:
    """Contexts come in and plays are recorded, by turns; `_context` is what waits for the play on it."""

    _context: np.ndarray | None = None

    def _come(self, context: Any) -> BanditHistory:
        """A context, checked, as a history that nothing has been played in yet."""
        if self._context is not None:
            raise ValueError("observe: wanted the pending decision recorded first, got another context")
        return BanditHistory([context], [], [])

    def _play(self, action: Any, reward: Any) -> BanditHistory:
        """A play on the context that waits, checked, as a history of that alone."""
        if self._context is None:
            raise ValueError("record: wanted a context observed first, got none pending")
        return BanditHistory(np.stack([self._context] * 2), [action], [reward])


class RunningSums(Turns):
    """Σ a aᵀ and Σ r a, kept one decision at a time."""

    def __init__(self):
        self._gram = self._moment = None

    def record(self, action: Any, reward: Any) -> None:
        """Take in the arm played on the observed context, and its reward.

        Raises:
            ValueError: if no context is pending, the arm is out of range or the reward is not finite.
        """
        pair = self._play(action, reward)
        chosen = pair.chosen[0]
        self._gram = self._gram + chosen[:, None] * chosen[None, :]
        self._moment = self._moment + chosen * pair.rewards[0]
        self._context = None

    def offered(
        self, context
    ) -> tuple[Float[np.ndarray, "dim dim"], Float[np.ndarray, " dim"], Float[np.ndarray, "arms dim"]]:
        """The sums so far, and the context checked, which waits from now on for what is played on it."""
        context = self._come(context).contexts[0]
        dim = context.shape[1]
        if self._moment is None or self._gram is None:
            self._gram, self._moment = np.zeros((dim, dim)), np.zeros(dim)
        if dim != self._moment.size:
            raise ValueError(f"observe: wanted action vectors of dimension {self._moment.size}, got {dim}")
        self._context = context
        return self._gram, self._moment, context


def parameter(spec: Any, name: str) -> Any:
    """What a specification says, whatever its class.

    Raises:
        ValueError: if it says nothing of that.
    """
    if not hasattr(spec, name):
        raise ValueError(f"spec: wanted one with {name}, got {plain.shown(spec)}")
    return getattr(spec, name)


def finite(name: str, value: Any, *, positive: bool) -> None:
    """Wanted: a finite number, > 0 or ≥ 0."""
    number = plain.real(value) if isinstance(value, int | float | np.integer | np.floating) else None
    if number is None or number < 0 or (positive and number == 0):
        raise ValueError(
            f"{name}: wanted a finite number {'> 0' if positive else '≥ 0'}, got {plain.shown(value)}"
        )


def whole(name: str, value: object) -> None:
    """Wanted: an integer of at least 1."""
    number = plain.integer(value) if isinstance(value, int | np.integer) else None
    if number is None or number < 1:
        raise ValueError(f"{name}: wanted an integer ≥ 1, got {plain.shown(value)}")
