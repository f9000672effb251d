"""Algorithms that are nearly the right one: an audit that passes one of them is worth nothing.

`unmasked` holds a construction to each impostor in place of its true algorithm, and says what the audit made of it:

    caught      the score is above 1
    the same    it says what the true algorithm says, to the last digit, on every history that was tried
    too close   it differs by no more than is allowed: nothing could tell it apart, a smaller certificate might
    missed      it differs by more, and the audit passed it
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from constructions.construction import Construction
from constructions.history import EpisodeHistory
from constructions.inputs.bandits import History
from verify import algorithms
from verify.audit import Strategies, Truth, search
from verify.audit.measuring import over
from verify.histories import linear as strategies

Impostor = Callable[[Truth, Any, History], np.ndarray]
"""From the true algorithm, a spec and a history to log-probabilities that are wrong."""

TRUE = "the true algorithm"
OFF = 1.01
"""What is 1 % off is multiplied by this."""


def exchanged(truth: Truth, spec: Any, history: History) -> Float[np.ndarray, "steps arms"]:
    """The first two arms in each other's place."""
    right = truth(spec, history)
    return right[:, [1, 0, *range(2, right.shape[1])]] if right.shape[1] > 1 else right


def reversed_arms(truth: Truth, spec: Any, history: History) -> Float[np.ndarray, "steps arms"]:
    """The arms in the other order."""
    return truth(spec, history)[:, ::-1]


def unrewarded(truth: Truth, spec: Any, history: History) -> Float[np.ndarray, "steps arms"]:
    """The first reward that is not 0 taken for 0."""
    rewards = history.rewards.copy()
    rewards[np.flatnonzero(rewards)[:1]] = 0.0
    return truth(spec, replaced(history, rewards=rewards))


def forgotten(truth: Truth, spec: Any, history: History) -> Float[np.ndarray, "steps arms"]:
    """The first decision, or the first episode, never counted."""
    first = history.horizon if isinstance(history, EpisodeHistory) else 1
    if history.steps <= first:
        return truth(spec, history)
    early = truth(spec, history.prefix(first))
    arrays = {name: part for name, part in vars(history).items() if isinstance(part, np.ndarray)}
    later = replaced(history, **{name: part[first:] for name, part in arrays.items()})
    return np.concatenate([early, truth(spec, later)])


def off(name: str, truth: Truth, spec: Any, history: History) -> Float[np.ndarray, "steps arms"]:
    """A number of the spec 1 % off, upwards if that is admissible."""
    number = getattr(spec, name)
    try:
        wrong = replace(spec, **{name: OFF * number})
    except ValueError:  # the largest that there may be
        wrong = replace(spec, **{name: number / OFF})
    return truth(wrong, history)


def clipped(truth: Truth, spec: Any, history: History) -> Float[np.ndarray, "steps arms"]:
    """UCB-VI's bonus cut off just below what one visit has."""
    bonus = algorithms.ucbvi_bonus(spec)
    return algorithms.ucbvi_values(spec, history, np.minimum(bonus, 0.99 * bonus[1])).log_probabilities  # type: ignore[arg-type]  # episodes


def replaced(history: History, **change: Any) -> History:
    """A history with other fields, checked as any other."""
    return type(history)(**vars(history) | change)


NUMBERS = ("exploration", "ridge", "temperature", "prior_variance", "noise_variance", "rate")
NUMBERS += ("step", "discount", "trace", "penalty")
"""Fields of specs on which an algorithm depends."""


def impostors(spec: Any, truth: Truth) -> Mapping[str, Impostor]:
    """Those that a spec has the fields for."""
    found: dict[str, Impostor] = {
        "two arms exchanged": exchanged,
        "arms reversed": reversed_arms,
        "one reward dropped": unrewarded,
        "counts one off": forgotten,
    }
    fields = [name for name in getattr(spec, "__dataclass_fields__", {}) if getattr(spec, name) is not None]
    found |= {f"{name.replace('_', ' ')} 1 % off": partial(off, name) for name in NUMBERS if name in fields}
    return found | ({"bonus clipped elsewhere": clipped} if truth is algorithms.ucbvi else {})


@dataclass(frozen=True)
class Unmasked:
    """What an audit makes of one impostor.

    Attributes:
        impostor: its name.
        score: what the audit found, worst error over promise.
        error: the worst error of the policy.
        distance: by how much impostor and true algorithm differ at most, on the histories that were tried.
        allowed: what the policy is held to.
    """

    impostor: str
    score: float
    error: float
    distance: float
    allowed: float

    @property
    def outcome(self) -> str:
        """One of those above; of the true algorithm itself "passed" or "refused"."""
        if self.impostor == TRUE:
            return "passed" if self.score <= 1 else "refused"
        if not self.distance:
            return "the same"
        if self.score > 1:
            return "caught"
        return "too close" if self.distance <= self.allowed else "missed"

    def __str__(self) -> str:
        numbers = f"distance {self.distance:.2e}, error {self.error:.2e}, allowed {self.allowed:.2e}, score {self.score:.3g}"
        return f"{self.impostor}: {self.outcome}, {numbers}"


def unmasked(
    built: Construction, truth: Truth, histories: int = 10, source: Strategies = strategies, **held: Any
) -> list[Unmasked]:
    """The true algorithm and every impostor, audited on the same histories: so many and as many again.

    Further arguments are those of `audit.measure`.

    >>> from constructions import linucb
    >>> built = linucb.build(linucb.Spec(dim=2, actions=2, horizon=3, error=1e-4, solver="newton"))
    >>> found = unmasked(built, algorithms.linucb)
    >>> [(one.impostor, one.outcome) for one in found][:3]
    [('the true algorithm', 'passed'), ('two arms exchanged', 'caught'), ('arms reversed', 'caught')]
    >>> {one.outcome for one in found[1:]}
    {'caught'}
    """
    seen: list[History] = []
    right: list[np.ndarray] = []

    def noted(spec: Any, history: History) -> np.ndarray:
        seen.append(history)
        right.append(truth(spec, history))
        return right[-1]

    def apart(these: Sequence[np.ndarray], those: Sequence[np.ndarray]) -> float:
        """The worst difference."""
        pairs = zip(these, those, strict=True)
        return max(float(built.guarantee.errors(*pair).max(initial=0.0)) for pair in pairs)

    found, spec = search(built, noted, histories, histories, source, **held), built.spec
    allowed, blocks = (held.get("held_to") or built).allowed, [one.ratio for one in found.blocks.values()]
    policies = [built.said(built.outputs([history])[0]) for history in seen]
    rows = []
    for name, wrong in impostors(spec, truth).items():
        said = [wrong(truth, spec, history) for history in seen]
        error = apart(said, policies)
        score = max([over(error, allowed), *blocks])
        rows.append(Unmasked(name, score, error, apart(said, right), allowed))
    return [Unmasked(TRUE, found.score, found.error, 0.0, allowed), *rows]
