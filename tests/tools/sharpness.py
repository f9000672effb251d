"""How sharp promises are: slack, block by block, errors of inputs included, over histories and other inputs.

What is promised holds in exact arithmetic, so it is held against errors that float64 shows. A block is

    measured    its slack is promise / worst error
    exact       nothing but rounding is promised
    rounding    the promise is below COARSE of what the block computes, of rounded weights say: float64 cannot show it

Besides histories there are inputs that no history makes and that the lemmas admit: a history's tokens with the pending
decision one token later, at token 2T, where descent is slowest (`Late`), and other arms there: opposite ones along the
direction least played, and such as are hardly apart along the one most played. A bound that only these come near is sharp
for its lemma, and histories do not use all of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float

from constructions.construction import Construction
from constructions.inputs.bandits import BanditTokens, History, position
from constructions.parts.guarantee import RESOLUTION
from constructions.probing import Probe, probes
from verify.audit import Findings, Strategies, Truth, enclose, search
from verify.catalog import entry_of
from verify.histories import linear as strategies

COARSE = 2.0**-40
"""Part of what a block computes below which float64 shows no error."""
POLICY = "the policy"
"""The name of the row of log-probabilities and their certificate."""
ENCLOSED = 25
"""So many histories are enclosed where float64 is too coarse for the certificate."""


@dataclass(frozen=True)
class Row:
    """One promise and the worst that was found.

    Attributes:
        block: its name, or POLICY.
        kind: "measured", "exact" or "rounding".
        promise: the bound on its error in exact arithmetic.
        by_history: the worst error over histories.
        worst: the same, inputs that no history makes included.
    """

    block: str
    kind: Literal["measured", "exact", "rounding"]
    promise: float
    by_history: float
    worst: float

    @property
    def slack(self) -> float | None:
        """Promise over worst error; infinite where no error was found, None where float64 shows none."""
        return self._over(self.worst)

    @property
    def slack_by_history(self) -> float | None:
        """The same for histories alone."""
        return self._over(self.by_history)

    def _over(self, error: float) -> float | None:
        if self.kind != "measured":
            return None
        return self.promise / error if error else float("inf")


def table(
    built: Construction,
    truth: Truth | None,
    histories: int = 400,
    source: Strategies = strategies,
    **held: Any,
) -> list[Row]:
    """The slack of the policy, if a true one is given, and of every block.

    Args:
        built: the construction.
        truth: the true algorithm.
        histories: so many are searched, and a third as many of the battery, or all of it, are made into other inputs.
        source: where histories come from.
        held: further arguments of `audit.search`.
    """
    found, battery = search(built, truth, histories, source=source, **held), source.battery(built.spec)
    tried = [outline.history(built.spec) for outline in battery[:: max(1, 3 * len(battery) // histories)]]
    worst = {name: one.error for name, one in found.blocks.items()}
    for probe in direct(built, tried):
        worst[probe.block] = max(worst[probe.block], probe.error)
    rows = [] if truth is None else [_policy(built, found, tried)]
    for block in built.blocks:
        error, seen = block.promise.total.error, found.blocks[block.name]
        size = float(np.linalg.norm(seen.probe.true, axis=-1).max()) or block.promise.magnitude
        kind = "exact" if not error else "measured" if error > COARSE * size else "rounding"
        rows.append(Row(block.name, kind, error, seen.error, worst[block.name]))
    return rows


def _policy(built: Construction, found: Findings, tried: Sequence[History]) -> Row:
    """The certificate; below what float64 resolves errors are enclosed in balls, on some histories."""
    error, certificate = found.error, built.certificate
    if certificate < RESOLUTION:
        balls: Any = entry_of(built.spec).balls
        some = tried[:: max(1, len(tried) // ENCLOSED)]
        error = max((enclose(built, balls, history).exact_high for history in some), default=0.0)
    return Row(POLICY, "measured" if certificate else "exact", certificate, error, error)


def direct(built: Construction, tried: Iterable[History]) -> Iterator[Probe]:
    """Probes of inputs that no history makes; none where tokens are not those of linear or Bernoulli bandits."""
    if not isinstance(built.tokens, BanditTokens):
        return
    for history in tried:
        late = later(built, built.tokens.encode(history))  # type: ignore[arg-type]
        for tokens in (late, *_other_arms(built, late)):
            last = np.array([len(tokens) - 1])
            outputs = built.program.run(torch.as_tensor(tokens)[None], torch.as_tensor(last))
            final = outputs.numpy(force=True)[0]
            yield from probes(built.blocks, built.tokens.stream, tokens, last, final)


def later(
    built: Construction, tokens: Float[np.ndarray, "tokens width"]
) -> Float[np.ndarray, "longer width"]:
    """The same with an empty token before the last, which then is an even one: token 2T at the full horizon."""
    place = built.tokens.stream["position"].slice
    late = np.concatenate([tokens[:-1], np.zeros_like(tokens[:1]), tokens[-1:]])
    late[:, place] = position(np.arange(1, len(late) + 1))
    return late


def _other_arms(
    built: Construction, tokens: Float[np.ndarray, "tokens width"]
) -> Iterator[Float[np.ndarray, "tokens width"]]:
    """Other arms at the last token.

    The longest, in turn either way along the direction least played; and two hardly apart along the one most played.
    """
    spec, stream = built.spec, built.tokens.stream
    apart = getattr(spec, "separation", 0.0)
    if getattr(built.tokens, "bernoulli", False) or (apart and spec.actions > 2):
        return
    played, place, high = tokens[:, stream["action"].slice], stream["arms"].slice, spec.action_norm[1]
    basis = np.linalg.eigh(played.T @ played)[1].T
    signs = np.where(np.arange(spec.actions) % 2, -1.0, 1.0)
    lengths = [high * signs]
    if spec.actions == 2 and apart:
        lengths.append(np.array([high, high - apart]))
    for direction, sizes in zip(basis[[0, -1]], lengths, strict=False):
        changed = tokens.copy()
        changed[-1, place] = np.outer(sizes, direction).ravel()
        yield changed
