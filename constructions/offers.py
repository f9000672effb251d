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
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.special import logsumexp

from constructions import saving
from constructions.history import BanditHistory
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
    way = getattr(built.spec, "offers", None)
    if way not in ("scores", "fewer"):
        wanted = "a specification that says what the policy is with fewer actions (`offers`)"
        raise ValueError(f"offered: wanted {wanted}, got {saving.kind(built.spec)}")
    built.tokens.encode(history)
    mask = _mask(offered, history)
    if way == "scores":
        policy = np.where(mask, built.log_probabilities(history, dtype, device), -np.inf)
        return policy - logsumexp(policy, axis=1, keepdims=True)
    if built.certificate == np.inf or built.seal != _build(built.spec).seal:
        raise ValueError(
            f"offered: wanted what {saving.kind(built.spec)} builds, got other weights or a part of it"
        )
    policy = np.where(mask, 0.0, -np.inf)
    counts = mask.sum(axis=1)
    for count in np.unique(counts[counts > 1]).tolist():
        fewer = _build(replace(built.spec, actions=count))
        among = _coins if getattr(built.tokens, "bernoulli", False) else _vectors
        for part, rows, places, arms in among(history, mask, counts == count, count):
            found = fewer.log_probabilities(part, dtype, device)
            policy[rows[:, None], arms] = found[places]
    return policy


@lru_cache(maxsize=8)
def _build(spec: Any) -> Any:
    """What a spec builds, kept: nobody is handed it."""
    return saving.home(spec).build(spec)


def _mask(offered: Any, history: BanditHistory) -> Mask:
    """Which arms are on offer at every step, checked."""
    shape, found = history.contexts.shape[:2], reals("offered", offered)
    if found.shape not in (shape, shape[1:]):
        raise ValueError(f"offered: wanted shape {shape} or {shape[1:]}, got {found.shape}")
    if (odd := ~np.isin(found, (0, 1))).any():
        raise ValueError(f"offered: wanted True or False, got {found[odd][0]:g}")
    mask = np.broadcast_to(found == 1, shape)
    if (none := ~mask.any(axis=1)).any():
        raise ValueError(
            f"offered: wanted an arm at every step, got none at step {none.argmax()}, counted from 0"
        )
    played = mask[np.arange(history.steps - 1), history.actions]
    if not played.all():
        step = int(played.argmin())
        arm = history.actions[step]
        raise ValueError(
            f"offered: wanted the arm that was played at step {step}, {arm}, to be on offer, got others"
        )
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
