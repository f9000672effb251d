"""Histories that try to break a construction.

An outline is a few words and numbers from which one history follows; Hypothesis draws, aims and shrinks outlines, and an
outline in a report is a witness that anyone can rebuild. Every history stays within the norm bounds of the spec, and keeps
arms apart where the spec has a `separation`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float

from constructions.history import BanditHistory
from constructions.inputs.bandits import BanditSpec, reward_bound
from verify.histories import grid

FAMILIES = (
    "random",  # fresh random directions at every step, arms chosen at random
    "fixed",  # one random action set for ever, arms chosen at random
    "one arm",  # one action set, one arm for ever: one large eigenvalue, the rest at λ
    "duplicates",  # all arms are the same vector
    "collinear",  # all arms on one line, both directions
    "weak direction",  # the arm played has a small alternating part along a direction that other arms point at
)
REWARDS = ("highest", "lowest", "alternating", "random", "linear")
NORMS = ("smallest", "largest", "both ends", "spread")


@dataclass(frozen=True)
class LinearOutline:
    """One history in words.

    Attributes:
        family: how actions are laid out and chosen, one of FAMILIES.
        rewards: one of REWARDS; "linear" is ⟨a, w⟩ plus noise at the norm bounds.
        norms: where in [b_a, B_a] the action norms lie, one of NORMS.
        steps: number of decisions.
        weakness: for "weak direction", log10 of (its squared singular value / λ).
        seed: of the generator for everything random.
    """

    family: str
    rewards: str
    norms: str
    steps: int
    weakness: float
    seed: int

    def history(self, spec: BanditSpec) -> BanditHistory:
        """The history."""
        generator = np.random.default_rng(self.seed)
        norms = self._norms(spec, generator)
        directions, arms = self._directions(spec, norms, generator)
        contexts = directions * norms[..., None]
        separation = getattr(spec, "separation", 0.0)
        if separation:
            contexts = np.stack([apart(arms, separation, spec.action_norm) for arms in contexts])
        chosen = contexts[np.arange(self.steps), arms]
        rewards = self._rewards(spec, chosen, generator)
        draws = self._draws(spec, generator) if getattr(spec, "drawn", False) else None
        return BanditHistory(contexts, arms[:-1], rewards[:-1], draws)

    def _draws(self, spec: Any, generator: np.random.Generator) -> Float[np.ndarray, "steps dim"]:
        """Standard normal, with the largest norms at their bound."""
        draws = generator.normal(size=(self.steps, spec.dim))
        lengths, longest = np.linalg.norm(draws, axis=1, keepdims=True), (1 - 1e-12) * spec.draw_norm
        return draws * (longest / lengths if self.norms == "largest" else np.minimum(1, longest / lengths))

    def _norms(self, spec: BanditSpec, generator: np.random.Generator) -> Float[np.ndarray, "steps arms"]:
        low, high = spec.action_norm
        shape = (self.steps, spec.actions)
        if self.norms == "spread":
            return np.broadcast_to(generator.permuted(np.linspace(low, high, spec.actions)), shape)
        ends = {"smallest": [low], "largest": [high], "both ends": [low, high]}[self.norms]
        return generator.choice(ends, shape)

    def _directions(self, spec: BanditSpec, norms: np.ndarray, generator: np.random.Generator):
        """Unit vectors (steps, arms, dim) and the arm chosen at each step."""
        steps, arms, dim = self.steps, spec.actions, spec.dim
        unit = _unit(generator.normal(size=(steps, arms, dim)))
        choices = generator.integers(arms, size=steps)
        if self.family == "random":
            return unit, choices
        unit = np.broadcast_to(unit[0], unit.shape).copy()
        if self.family == "fixed":
            return unit, choices
        if self.family == "one arm":
            return unit, np.full(steps, choices[0])
        if self.family == "duplicates":
            return np.broadcast_to(unit[:, :1], unit.shape), choices
        strong, weak = np.linalg.qr(generator.normal(size=(dim, max(dim, 2))))[0].T[[0, -1]]
        signs = generator.choice([-1.0, 1.0], size=(arms, 1))
        if self.family == "collinear":
            return np.broadcast_to(signs * strong, unit.shape), choices
        played = choices[0]
        others = generator.random(arms) < 0.5
        unit[:, others] = (signs * weak)[others]
        part = np.sqrt(10**self.weakness * getattr(spec, "ridge", 1.0) / max(steps - 1, 1))
        with np.errstate(divide="ignore"):  # of arms of norm 0
            part = np.minimum(part / norms[:, played], 0.9) * np.where(np.arange(steps) % 2, 1.0, -1.0)
        unit[:, played] = np.sqrt(1 - part[:, None] ** 2) * strong + part[:, None] * weak
        return _unit(unit), np.full(steps, played)

    def _rewards(self, spec: BanditSpec, chosen: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        bound, steps = reward_bound(spec), self.steps
        if self.rewards == "linear":
            weights = spec.weight_norm * _unit(generator.normal(size=spec.dim))
            return chosen @ weights + generator.uniform(-spec.noise_bound, spec.noise_bound, steps)
        return {
            "highest": np.full(steps, bound),
            "lowest": np.full(steps, -bound),
            "alternating": np.where(np.arange(steps) % 2, bound, -bound),
            "random": generator.uniform(-bound, bound, steps),
        }[self.rewards]


def apart(
    arms: Float[np.ndarray, "arms dim"], separation: float, norms: tuple[float, float]
) -> Float[np.ndarray, "arms dim"]:
    """The same arms, those too close to an earlier one moved: turned in a plane at their norm, on a line along it.

    Raises:
        ValueError: if an arm finds no place.

    >>> apart(np.ones((2, 2)), 0.1, (0.5, 2.0)).round(4).tolist()
    [[1.0, 1.0], [1.0682, 0.9268]]
    """
    placed: list[np.ndarray] = []
    for number, arm in enumerate(arms):
        places = _line(arm, separation, norms) if len(arm) == 1 else _circle(arm, separation)
        free = (
            x
            for x in places
            if all(np.linalg.norm(x - other) >= separation * (1 - 1e-12) for other in placed)
        )
        found = next(free, None)
        if found is None:
            raise ValueError(
                f"separation: wanted {len(arms)} arms {separation:g} apart, got room for {number}"
            )
        placed.append(found)
    return np.array(placed)


def _circle(arm: Float[np.ndarray, " dim"], separation: float) -> Iterator[np.ndarray]:
    """The arm, then turned by more and more in the plane with the axis that it is farthest from."""
    norm, axis = np.linalg.norm(arm), np.eye(len(arm))[np.abs(arm).argmin()]
    across = norm * _unit(axis - (axis @ arm) * arm / norm**2)
    angle = 2 * np.arcsin(min(1.0, separation * (1 + 1e-3) / (2 * norm)))
    yield arm
    for turn in range(1, 1 + int(np.pi / angle)):
        for signed in (turn * angle, -turn * angle):
            yield np.cos(signed) * arm + np.sin(signed) * across


def _line(
    arm: Float[np.ndarray, " 1"], separation: float, norms: tuple[float, float]
) -> Iterator[np.ndarray]:
    """The arm, then places from either end of the norms, on its side of 0 first."""
    low, high = norms
    yield arm
    for side in (arm / np.abs(arm), -arm / np.abs(arm)):
        for step in range(1 + int((high - low) / (separation * (1 + 1e-3)))):
            yield side * (low + step * separation * (1 + 1e-3))
            yield side * (high - step * separation * (1 + 1e-3))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def outlines(spec: BanditSpec, steps: int | None = None) -> st.SearchStrategy[LinearOutline]:
    """Outlines for a spec, of any length up to its horizon or of the given one."""
    lengths = st.integers(1, spec.horizon) if steps is None else st.just(steps)
    return st.builds(
        LinearOutline,
        family=st.sampled_from(FAMILIES),
        rewards=st.sampled_from(REWARDS),
        norms=st.sampled_from(NORMS),
        steps=lengths,
        weakness=st.floats(-3, 3),
        seed=st.integers(0, 2**32 - 1),
    )


def batches(spec: BanditSpec, size: int) -> st.SearchStrategy[list[LinearOutline]]:
    """Lists of `size` outlines of equal length, for evaluation side by side; half the lists have the full horizon."""
    return grid.batches(outlines, spec, spec.horizon, size)


def battery(spec: BanditSpec, repeats: int = 1) -> list[LinearOutline]:
    """Every family with every kind of reward and norm, at the full horizon: the same for everyone."""
    kinds = [(f, r, n) for f in FAMILIES for r in REWARDS for n in NORMS]
    return [
        LinearOutline(family, rewards, norms, spec.horizon, float(number % 5 - 2), 1000 * repeat + number)
        for repeat in range(repeats)
        for number, (family, rewards, norms) in enumerate(kinds)
    ]


def decisions(spec: BanditSpec) -> int:
    """The most decisions that a history can hold."""
    return spec.horizon


def step(spec: BanditSpec) -> st.SearchStrategy[tuple[int, float]]:
    """An arm and its reward, a whole number."""
    high = int(reward_bound(spec))
    return st.tuples(st.integers(0, spec.actions - 1), st.integers(-high, high).map(float))


def told(spec: BanditSpec, past: Sequence[tuple], seed: int) -> BanditHistory:
    """The history of such steps: one action set for ever, random directions with norms spread over [b_a, B_a]."""
    contexts = LinearOutline("fixed", "random", "spread", len(past) + 1, 0.0, seed).history(spec).contexts
    return BanditHistory(contexts, [arm for arm, _ in past], [reward for _, reward in past])
