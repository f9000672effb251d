"""A history run through a construction: what the registers hold after each layer, and what they should hold in the end."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from constructions.anatomy.formulas import OWN
from constructions.anatomy.layers import Family
from constructions.construction import Construction
from constructions.history import BanditHistory, EpisodeHistory
from constructions.inputs.bandits import History
from constructions.parts.guarantee import Guarantee
from constructions.plain import reals
from constructions.probing import Probe
from verify.audit import Outline, Truth, words
from verify.catalog import Entry, entry_of
from verify.play.episodes import play
from verify.play.rollout import rollout
from verify.sweeps.rounding import prefix

MOST = 24
"""So many decisions of a history, or layers of a transformer, are shown; of more, some spread evenly by ratio."""


@dataclass(frozen=True, eq=False)
class Replay:
    """One history, and what a construction makes of it.

    Attributes:
        history: what was seen.
        setting: where it comes from, in words.
        decisions: the decisions that are shown, from 1.
        points: after how many layers the registers are shown, 0 first.
        held: what the state tokens of those decisions hold there.
        states: where the state tokens of all decisions stand, from 0.
        seen: what all tokens hold there in the registers that heads of the next layer read of tokens other than their own,
            by name; nothing after the last layer.
        probes: block by block, at all decisions.
        built: the construction's log-probabilities, or scores, at all decisions.
        true: the algorithm's.
        guarantee: which of the two they are, and what the certificate bounds.
    """

    history: History
    setting: str
    decisions: Int[np.ndarray, " decisions"]
    points: tuple[int, ...]
    held: tuple[Float[np.ndarray, "decisions width"], ...]
    states: Int[np.ndarray, " steps"]
    seen: tuple[dict[str, Float[np.ndarray, "tokens _"]], ...]
    probes: tuple[Probe, ...]
    built: Float[np.ndarray, "steps arms"]
    true: Float[np.ndarray, "steps arms"]
    guarantee: Guarantee

    @property
    def errors(self) -> Float[np.ndarray, "steps arms"]:
        """What the certificate bounds."""
        return self.guarantee.errors(self.true, self.built)


def example(built: Construction, entry: Entry, seed: int = 0) -> tuple[History, str]:
    """A history of full length and where it comes from.

    The true algorithm plays a problem within the norm bounds. Of a row that has no problem or no player, as those of values
    have none, it is one that the search begins with: that whose true values differ most, or, by seed, the next of them.
    """
    spec: Any = built.spec
    if entry.environment is None or entry.decoder is None:
        return _searched(spec, entry, seed)
    environment, algorithm = entry.environment, entry.decoder
    problem, player, chance = np.random.default_rng(seed).spawn(3)
    draws = deepcopy(player)  # those which the decoder will draw
    stage, decoder = environment(spec, problem), algorithm(spec, player)
    if entry.seen is EpisodeHistory:
        history = play(stage, decoder, chance, spec.episodes).history
    else:
        history = rollout(stage, decoder, chance).history
        if built.guarantee.of == "scores":
            drawn = draws.standard_normal((spec.horizon, spec.dim))
            history = BanditHistory(history.contexts, history.actions, history.rewards, drawn)
    return history, f"{entry.played}, seed {seed}"


def _searched(spec: Any, entry: Entry, seed: int) -> tuple[History, str]:
    """The outline of the battery whose true values differ most; those of equal difference in their order."""

    def spread_of(outline: Outline) -> float:
        true = entry.truth(spec, outline.history(spec))
        seen = true[np.isfinite(true)]
        return float(np.ptp(seen)) if seen.size else 0.0

    tried = sorted(entry.histories.battery(spec), key=spread_of, reverse=True)
    outline = tried[seed % len(tried)]
    told = ", ".join(f"{name} {value}" for name, value in (words(outline) or {}).items())
    return outline.history(spec), f"A history of the search: {told}"


def replay(
    built: Construction,
    entry: Entry | None = None,
    seed: int = 0,
    history: History | None = None,
    truth: Truth | None = None,
    setting: str = "a history of one's own",
) -> Replay:
    """Run a history and take down the registers on the way.

    Args:
        built: the construction.
        entry: its row of the catalog; found by its specification if left out.
        seed: of the row's example, where no history is given.
        history: what has been seen.
        truth: what it is held against, from specification and history to what the certificate speaks of, shape (steps,
            actions); by default the row's.
        setting: where the history comes from, in words.

    Raises:
        ValueError: for a history that is not admissible, a truth of another shape or with NaN, or a specification of no row
            where one is needed.
    """
    if entry is None and (history is None or truth is None):
        entry = entry_of(built.spec)
    if history is None:
        history, setting = example(built, entry, seed)  # type: ignore[arg-type]
    truth = truth or entry.truth  # type: ignore[union-attr]
    decisions = spread(history.steps) - 1
    points = _points(built)
    output, encoded = built.outputs([history])[0], built.tokens.encode(history)
    states = built.tokens.states(history.steps)
    between = [prefix(built, count).outputs([history], steps=decisions)[0] for count in points[1:-1]]
    held, said = [encoded[states[decisions]], *between, output[decisions]], built.said(output)
    return Replay(
        history,
        setting,
        decisions + 1,
        points,
        tuple(held),
        states,
        _seen(built, encoded, points),
        tuple(built.probe(history, output)),
        said,
        _held(truth(built.spec, history), said.shape),
        built.guarantee,
    )


def _seen(
    built: Construction, tokens: Float[np.ndarray, "tokens width"], points: Sequence[int]
) -> tuple[dict[str, Float[np.ndarray, "tokens _"]], ...]:
    """What the heads that follow each point read of other tokens; what no layer writes is as it came."""
    views, stream, found = built.heads().views, built.tokens.stream, {}
    written = {name for view in views for name in view.writes}
    for view in views:
        read = {name for family in view.families if family.kind not in OWN for name in _read(family)}
        for point in points:
            if view.first <= point + 1 < view.first + view.repeat:
                found[point] = {name: tokens[:, stream[name].slice] for name in read - written}
                if changed := read & written:
                    held = (
                        prefix(built, point).program.run(torch.as_tensor(tokens)[None])[0].numpy(force=True)
                    )
                    found[point] |= {name: held[:, stream[name].slice] for name in changed}
    return tuple(found.get(point, {}) for point in points)


def _read(family: Family) -> Iterator[str]:
    """The registers that keys and values read."""
    return iter(family.form.names(np.unique(np.concatenate([family.key.indices, family.value.indices]))))


def _held(true: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "steps arms"]:
    """What a truth gave; wanted: a number for every step and action, −∞ for what is never done."""
    found = reals("truth", true, finite=False)
    if found.shape != shape or np.isnan(found).any():
        got = f"shape {found.shape}" if found.shape != shape else "NaN among them"
        raise ValueError(f"truth: wanted numbers of shape {shape}, got {got}")
    return found


def spread(last: int) -> Int[np.ndarray, " numbers"]:
    """1 … last, or at most MOST of these, the first and the last among them, evenly spread by ratio.

    >>> spread(5).tolist(), spread(200)[[0, 1, -2, -1]].tolist()
    ([1, 2, 3, 4, 5], [1, 2, 159, 200])
    """
    if last <= MOST:
        return np.arange(1, last + 1)
    return np.unique(np.rint(np.geomspace(1, last, MOST)).astype(int))


def _points(built: Construction) -> tuple[int, ...]:
    """After how many layers to look: of many, after each stored one, and after 1, 4, 16, … turns of one that repeats."""
    lengths = [layer.repeat for layer in built.transformer.stored_layers]
    whole = sum(lengths)
    if whole <= MOST:
        return tuple(range(whole + 1))
    ends = np.cumsum([0, *lengths]).tolist()
    kept = set(ends) if len(ends) <= MOST else {0, whole, *spread(whole).tolist()}
    for start, length in zip(ends, lengths, strict=False):
        kept |= {start + 4**power for power in range(length.bit_length()) if 4**power < length}
    return tuple(sorted(kept))
