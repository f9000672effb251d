"""A history run through a construction: what the registers hold after each layer, and what they should hold in the end."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from constructions import linucb, thompson, ucbvi
from constructions.construction import Construction, Probe
from constructions.tokens import History
from constructions.transformer import Layer, Transformer
from verify import algorithms
from verify.environments import gaussian_linear_bandit, paper_linear_bandit, random_mdp
from verify.episodes import play
from verify.rollout import rollout

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
        probes: block by block, at all decisions.
        built: the construction's log-probabilities at all decisions.
        true: the algorithm's.
    """

    history: History
    setting: str
    decisions: Int[np.ndarray, " decisions"]
    points: tuple[int, ...]
    held: tuple[Float[np.ndarray, "decisions width"], ...]
    probes: tuple[Probe, ...]
    built: Float[np.ndarray, "steps arms"]
    true: Float[np.ndarray, "steps arms"]


def example(built: Construction, seed: int = 0) -> tuple[History, str]:
    """A history of full length and where it comes from: the true algorithm plays a problem within the norm bounds.

    Raises:
        ValueError: for constructions that no true algorithm of ours plays without more ado.
    """
    spec: Any = built.spec
    problem, player, chance = np.random.default_rng(seed).spawn(3)
    if isinstance(spec, ucbvi.Spec):
        mdp = random_mdp(problem, spec.states, spec.actions, spec.horizon)
        run = play(mdp, algorithms.ucbvi_decoder(built.spec), chance, spec.episodes)
        return run.history, f"UCB-VI on a random decision process, seed {seed}"
    sizes = {
        name: getattr(spec, name) for name in ("dim", "actions", "horizon", "action_norm", "noise_bound")
    }
    if isinstance(spec, linucb.Spec):
        bandit, decoder = paper_linear_bandit(problem, **sizes), algorithms.decoder(spec)
        setting = f"LinUCB on the paper's linear bandit, seed {seed}"
    elif isinstance(spec, thompson.Spec) and spec.form == "policy":
        for name in ("prior_variance", "noise_variance", "separation", "weight_norm"):
            sizes[name] = getattr(spec, name)
        bandit, decoder = gaussian_linear_bandit(problem, **sizes), algorithms.thompson_decoder(spec, player)
        setting = f"Thompson sampling on a Gaussian linear bandit, seed {seed}"
    else:
        raise ValueError(f"history: wanted LinUCB, Thompson sampling's policy or UCB-VI, got {spec}")
    return rollout(bandit, decoder, chance).history, setting


def replay(built: Construction, seed: int = 0) -> Replay:
    """Run an example history and take down the registers on the way."""
    history, setting = example(built, seed)
    decisions = spread(history.steps) - 1
    points = _points(built)
    output = built.outputs([history])[0]
    inputs = built.tokens.encode(history)[built.tokens.states(history.steps)]
    after = partial(_after, built, history, decisions)
    held = [inputs[decisions], *(after(count) for count in points[1:-1]), output[decisions]]
    return Replay(
        history,
        setting,
        decisions + 1,
        points,
        tuple(held),
        tuple(built.probe(history, output)),
        built.policy(output),
        _true(built, history),
    )


def _true(built: Construction, history: Any) -> Float[np.ndarray, "steps arms"]:
    """What the algorithm itself says."""
    if isinstance(built.spec, linucb.Spec):
        return algorithms.linucb(built.spec, history)
    policy: Any = algorithms.ucbvi if isinstance(built.spec, ucbvi.Spec) else algorithms.thompson
    return policy(built.spec, history)


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


def _after(built: Construction, history: History, decisions: np.ndarray, count: int) -> np.ndarray:
    """What the state tokens hold after so many layers."""
    layers: list[Layer] = []
    for layer in built.transformer.stored_layers:
        if count > 0:
            layers.append(Layer(layer.attention, layer.mlp, min(layer.repeat, count)))
        count -= layer.repeat
    begun = Transformer(layers, built.transformer.width, built.transformer.clip_radius)
    return replace(built, transformer=begun).outputs([history], steps=decisions)[0]
