"""The policy where not every arm is on offer: that of the algorithm which has the others left out.

What that is depends on the algorithm, and its specification says which of two ways is right, as `offers`:

**"scores"**, soft LinUCB: a logit is a score that its arm has whichever others there are, and the policy is their softmax.
So it is the softmax over those on offer: P(k)/Σ P(j) of the policy over all. The certificate is twice a bound on the error
of a logit, and a log-softmax moves by no more than that whichever logits it is over: it holds as it stands.

**"fewer"**, Thompson sampling: P(k) is how likely k is to be the best *of those on offer*, and who is left out changes more
than the sum. Arms e₁, e₂, e₃, w ~ N(0, 4I), noise N(0, 0.01), e₁ has paid 1.0025, e₃ 0.90225: with e₁ and e₂ on offer,
⟨w, e₁⟩ ~ N(1, 1/100.25) and ⟨w, e₂⟩ ~ N(0, 4), so that P(e₁) = Φ(1/√(4 + 1/100.25)) = 0.6912; the policy over all three,
divided by what it gives e₁ and e₂, has 0.6344. So the transformer of the same specification with as many arms as are on
offer answers, and what is promised is its own certificate, which meets the same `error`. It is handed an admissible history
with the same posterior:

- of linear bandits: the posterior is a function of the vectors played and of what they paid. Each step is cut down to so
  many arms: those on offer, where they are as many, and elsewhere the one played and any others of that step.
- of Bernoulli arms: an arm's posterior is a function of its own plays, and arms are independent. Plays of others are left
  out.

A past step's other arms reach no token but their own, so that one pass serves all steps with equally many on offer. A single
arm on offer has probability 1.

Step by step, `Offers` gives a decoder the same answer: decoders of constructions for fewer arms are made where they are
first asked, and follow from there.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.special import logsumexp

from constructions import saving
from constructions.history import BanditHistory, taken
from constructions.plain import reals

Mask = Bool[np.ndarray, "steps arms"]
Policy = Float[np.ndarray, "steps arms"]


def log_probabilities(built: Any, history: Any, offered: Any, dtype: torch.dtype, device: str) -> Policy:
    """The policy at every step over the arms on offer; −∞ for the others.

    Args:
        built: a construction.
        history: what has been seen, admissible with its vectors of arms that are not on offer: they need not be those of
            any arm.
        offered: which arms are, of every step, shape (steps, arms), or the same at all steps, shape (arms,).
        dtype: as for `Construction.log_probabilities`.
        device: likewise.

    Raises:
        ValueError: if the specification does not say what the policy is; for a mask of another shape, one that offers no arm
            or not the one that was played; and, where constructions for fewer arms answer, for one that its spec alone
            does not build, weights included.
    """
    way = _way(built)
    built.tokens.encode(history)
    mask = _mask(offered, [history.contexts.shape[:2], history.contexts.shape[1:2]], "step")
    played = mask[np.arange(history.steps - 1), history.actions]
    if not played.all():
        step = int(played.argmin())
        arm = history.actions[step]
        raise ValueError(
            f"offered: wanted the arm that was played at step {step}, {arm}, to be on offer, got others"
        )
    if way == "scores":
        return _left(built.log_probabilities(history, dtype, device), mask)
    policy, counts = _alone(mask), mask.sum(axis=1)
    for count in np.unique(counts[counts > 1]).tolist():
        fewer, among = _fewer(built, count)
        for part, rows, places, arms in among(history, mask, counts == count, count):
            found = fewer.log_probabilities(part, dtype, device)
            policy[rows[:, None], arms] = found[places]
    return policy


class Offers:
    """What is on offer to a decoder: its policy over that, and what of the past it takes.

    Attributes:
        past: of each decision that was recorded, for each history: contexts, what was on offer, action and reward. Kept
            where constructions for fewer arms are to be told of it.
        mask: what is on offer now; None if everything is.
    """

    def __init__(self, built: Any, batch: int | None, dtype: torch.dtype, device: str):
        self._built, self._batch = built, batch
        self._place: dict[str, Any] = {"dtype": dtype, "device": device}
        self._told = getattr(built.spec, "offers", None) == "fewer"
        self._way, self._decoders = "", dict[tuple[int, Any], Any]()
        self.past: list[tuple[np.ndarray, Mask, np.ndarray, np.ndarray]] = []
        self.mask: Mask | None = None

    def checked(self, offered: Any, contexts: np.ndarray) -> Mask | None:
        """Which arms are on offer to each history, shape (batch, arms); None if that is not said.

        Raises:
            ValueError: as `log_probabilities`.
        """
        if offered is None:
            return None
        self._way = self._way or _way(self._built)
        shape = (len(contexts), self._built.spec.actions)
        mask = _mask(offered, [shape[1:]] if self._batch is None else [shape, shape[1:]], "history")
        mask = np.broadcast_to(mask, shape)
        for count in set(mask.sum(axis=1).tolist()) - {1} if self._told else ():
            _fewer(self._built, count)  # one that there cannot be is refused before anything is taken in
        return mask

    def policy(self, whole: Policy, contexts: np.ndarray) -> Policy:
        """The policy over what is on offer, from that over all arms."""
        if self.mask is None:
            return whole
        if not self._told:
            return _left(whole, self.mask)
        counts = np.count_nonzero(self.mask, axis=1)
        everything = counts == self.mask.shape[1]
        policy = np.where(everything[:, None], whole, _alone(self.mask))
        for member in np.flatnonzero((counts > 1) & ~everything).tolist():
            history, mask = self._seen(member, contexts)
            fewer, among = _fewer(self._built, int(counts[member]))
            now = np.arange(history.steps) == history.steps - 1
            [(part, _, _, arms)] = among(history, mask, now, int(counts[member]))
            which = member, mask[-1].tobytes() if among is _coins else len(arms[-1])
            if which not in self._decoders:
                self._decoders[which] = fewer.decoder(**self._place)
            policy[member, arms[-1]] = self._decoders[which].follow(part)
        return policy

    def record(self, contexts: np.ndarray, actions: Any, rewards: Any) -> None:
        """Take down what was done.

        Raises:
            ValueError: if it was not on offer.
        """
        if self.mask is None and not self._told:
            return
        shape = len(contexts), self._built.spec.actions
        actions, rewards = taken(actions, rewards, *shape)
        mask = np.ones(shape, bool) if self.mask is None else self.mask
        if not (held := mask[np.arange(len(mask)), actions]).all():
            raise ValueError(f"actions: wanted an arm that is on offer, got {actions[~held][0]}")
        if self._told:
            self.past.append((contexts, mask, actions, rewards))

    def go_on(self, past: list, mask: Mask | None) -> None:
        """From another past; decoders of fewer arms are made anew where they are asked."""
        self.past, self.mask = past, mask
        self._decoders.clear()

    def _seen(self, member: int, contexts: np.ndarray) -> tuple[BanditHistory, Mask]:
        """What one history has seen, and what was on offer to it."""
        parts = [[part[member] for part in step] for step in self.past]
        before, masks, actions, rewards = zip(*parts, strict=True) if parts else ((), (), (), ())
        history = BanditHistory(np.array([*before, contexts[member]]), actions, rewards)
        return history, np.array([*masks, self.mask[member]])  # type: ignore[index]  # there is one


def _way(built: Any) -> str:
    """How a construction's policy is made where not all arms are on offer; wanted: one that its spec says."""
    way = getattr(built.spec, "offers", None)
    if way not in ("scores", "fewer"):
        wanted = "a specification that says what the policy is with fewer actions (`offers`)"
        raise ValueError(f"offered: wanted {wanted}, got {saving.kind(built.spec)}")
    if way == "fewer" and (built.certificate == np.inf or built.seal != _build(built.spec).seal):
        raise ValueError(
            f"offered: wanted what {saving.kind(built.spec)} builds, got other weights or a part of it"
        )
    return way


def _left(policy: Policy, mask: Mask) -> Policy:
    """The softmax over what is left."""
    policy = np.where(mask, policy, -np.inf)
    return policy - logsumexp(policy, axis=1, keepdims=True)


def _alone(mask: Mask) -> Policy:
    """The policy where a single arm is on offer."""
    return np.where(mask, 0.0, -np.inf)


def _fewer(built: Any, count: int) -> tuple[Any, Any]:
    """What answers for so many arms, and how histories are cut down to them."""
    among = _coins if getattr(built.tokens, "bernoulli", False) else _vectors
    return _build(replace(built.spec, actions=count)), among


@lru_cache(maxsize=8)
def _build(spec: Any) -> Any:
    """What a spec builds, kept: nobody is handed it."""
    return saving.home(spec).build(spec)


def _mask(offered: Any, shapes: list[tuple[int, ...]], of: str) -> Bool[np.ndarray, "*any arms"]:
    """Which arms are on offer, in the first of these shapes, given in any; `of` is what there is a row for."""
    found = reals("offered", offered)
    if found.shape not in shapes:
        raise ValueError(f"offered: wanted shape {' or '.join(map(str, shapes))}, got {found.shape}")
    if (odd := ~np.isin(found, (0, 1))).any():
        raise ValueError(f"offered: wanted True or False, got {found[odd][0]:g}")
    mask = np.broadcast_to(found == 1, shapes[0])
    if (none := ~mask.any(axis=-1)).any():
        where = f" at {of} {none.argmax()}, counted from 0" if mask.ndim > 1 else ""
        raise ValueError(f"offered: wanted an arm{f' at every {of}' * bool(where)}, got none{where}")
    return mask


def _vectors(history: BanditHistory, mask: Mask, rows: np.ndarray, count: int):
    """One history with so many arms at each step; of which rows, at which of its places, and of which arms it tells."""
    rank = mask.astype(int)
    rank[np.arange(history.steps - 1), history.actions] += 1
    kept = np.sort(np.argsort(-rank, axis=1, kind="stable")[:, :count], axis=1)
    contexts = np.take_along_axis(history.contexts, kept[:, :, None], axis=1)
    actions = (kept[:-1] == history.actions[:, None]).argmax(axis=1)
    here = np.flatnonzero(rows)
    yield BanditHistory(contexts, actions, history.rewards, history.draws), here, here, kept[here]


def _coins(history: BanditHistory, mask: Mask, rows: np.ndarray, count: int):
    """A history for each set of arms on offer, the plays of these in their order; what it tells, as for `_vectors`."""
    for offered in np.unique(mask[rows], axis=0):
        arms, here = np.flatnonzero(offered), np.flatnonzero((mask == offered).all(axis=1))
        own = offered[history.actions]
        actions = np.searchsorted(arms, history.actions[own])
        part = BanditHistory([np.eye(count)] * (len(actions) + 1), actions, history.rewards[own])
        before = np.append(0, own.cumsum())[here]
        yield part, here, before, np.broadcast_to(arms, (len(here), count))
