"""Vectors within bounds: redrawn until they are, and made to be where hardly any draw is.

Bounds that leave a law of vectors room keep it, conditioned on them. Others are met all the same: a vector keeps its
direction and is given a length within them, and arms that cannot be drawn far enough apart are laid out.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from constructions import checks, limits

REDRAWS = 1000
"""So many draws are tried before the law is given up."""

Law = Callable[[int], Float[np.ndarray, "arms dim"]]
"""Draws so many vectors."""


def within_ball(
    draw: Callable[[], Float[np.ndarray, " dim"]], generator: np.random.Generator, bound: float | None
) -> Float[np.ndarray, " dim"]:
    """A vector, redrawn until its norm is at most the bound; at last one direction, at a place uniform in the ball.

    >>> generator = np.random.default_rng(0)
    >>> bool(np.linalg.norm(within_ball(lambda: generator.normal(size=3), generator, 1e-9)) <= 1e-9)
    True
    """
    if bound is None:
        return draw()
    bound = checks.number("weight_norm", bound, positive=False)
    vector = draw()
    for _ in range(REDRAWS):
        if np.linalg.norm(vector) <= bound:
            return vector
        vector = draw()
    return _unit(vector) * (bound * generator.random() ** (1 / vector.size))


def arms(
    generator: np.random.Generator,
    actions: int,
    dim: int,
    norms: tuple[float, float] | None,
    separation: float | None,
) -> Float[np.ndarray, "actions dim"]:
    """Arms of U[−1,1]^dim with norms within bounds and `separation` apart; those redrawn that are not.

    Where that hardly ever succeeds, directions stay as they are drawn and norms are uniform within the bounds; and where
    arms are not far enough apart even so, they are laid out (`layouts`).

    Raises:
        ValueError: if arms cannot be so far apart, or no place for them was found.

    >>> np.linalg.norm(arms(np.random.default_rng(0), 4, 2, (2, 3), None), axis=1).round(1).tolist()
    [2.7, 2.1, 2.8, 2.1]
    """
    if norms is not None:
        norms = checks.interval("action_norm", norms)
    if separation is not None:
        separation = checks.number("separation", separation, positive=False)
        limits.hold("separation of arms", numbers=float(actions) ** 2 * dim)

    def cube(count: int) -> np.ndarray:
        return generator.uniform(-1, 1, (count, dim))

    def scaled(count: int) -> np.ndarray:
        return _unit(cube(count)) * generator.uniform(*norms, (count, 1))  # type: ignore[misc]

    found = _redrawn(cube, actions, norms, separation)
    if found is None and norms is not None:
        found = _redrawn(scaled, actions, None, separation)
    if found is None and norms is not None:
        turn = np.linalg.qr(generator.normal(size=(dim, dim)))[0]
        far = (one @ turn for one in layouts(actions, dim, norms, separation or 0.0))
        found = next((one for one in far if not _near(one, (separation or 0.0) * (1 - 1e-9)).any()), None)
    if found is not None:
        return found
    room = f"norms in {norms}" if norms else "entries in [−1, 1]"
    raise ValueError(
        f"separation: wanted a distance that {actions} actions of dimension {dim} with {room} can keep, got {separation}"
    )


def _redrawn(
    law: Law, actions: int, norms: tuple[float, float] | None, separation: float | None
) -> Float[np.ndarray, "actions dim"] | None:
    """Arms of a law, those redrawn that are out of bounds or too near one before them; None if there are some to the end."""
    found = law(actions)
    for _ in range(REDRAWS):
        wrong = np.zeros(actions, bool)
        if norms is not None:
            lengths = np.linalg.norm(found, axis=1)
            wrong |= (lengths < norms[0]) | (lengths > norms[1])
        if separation is not None:
            wrong |= _near(found, separation)
        if not wrong.any():
            return found
        found[wrong] = law(int(wrong.sum()))
    return None


def _near(found: Float[np.ndarray, "actions dim"], separation: float) -> np.ndarray:
    """Which of the arms are closer than that to one before them."""
    distances = np.linalg.norm(found[:, None] - found, axis=2)
    return np.tril(distances < separation, -1).any(axis=1)


def layouts(
    actions: int, dim: int, norms: tuple[float, float], separation: float
) -> Iterator[Float[np.ndarray, "actions dim"]]:
    """Arms laid out within norms, as far apart as they can be on a line or with at most 2·dim of them (Rankin, 1955).

    On a line from one end to the other; up to dim + 1 as a regular simplex, up to 2·dim as the axes, both ways; more of
    them in rings of a plane.
    """
    low, high = norms
    if dim == 1:
        yield from _filled(_line(actions, norms, separation), actions)
    elif actions <= dim + 1:
        corners = np.eye(actions) - 1 / actions  # of the simplex, in the hyperplane where entries sum to 0
        flat = np.linalg.svd(corners)[0][:, : max(actions - 1, 1)]
        found = np.zeros((actions, dim))
        found[:, : flat.shape[1]] = _unit(flat) if actions > 1 else 1.0
        yield high * found
    elif actions <= 2 * dim:
        yield high * np.concatenate([np.eye(dim), -np.eye(dim)])[:actions]
    else:
        radii = np.arange(high, low * (1 - 1e-12), -separation) if separation else np.array([high])
        rings = [_ring(radius, separation, dim) for radius in radii]
        yield from _filled(np.concatenate(rings), actions)


def _line(actions: int, norms: tuple[float, float], separation: float) -> Float[np.ndarray, "places 1"]:
    """Places from the upper end down, each the next that is far enough from the one before."""
    (low, high), found, place = norms, list[float](), norms[1]
    while len(found) < actions and place >= -high * (1 + 1e-12):
        found.append(place)
        place -= separation
        if -low < place < low * (1 - 1e-12):
            place = -low
    return np.array(found)[:, None]


def _ring(radius: float, separation: float, dim: int) -> Float[np.ndarray, "places dim"]:
    """As many places as a circle has, evenly spread."""
    angle = 2 * np.arcsin(min(1.0, separation / (2 * radius)))
    count = min(max(1, int(2 * np.pi / max(angle, 1e-3) * (1 + 1e-12))), 10_000)
    turns = 2 * np.pi * np.arange(count) / count
    found = np.zeros((count, dim))
    found[:, 0], found[:, 1] = radius * np.cos(turns), radius * np.sin(turns)
    return found


def _filled(places: Float[np.ndarray, "places dim"], actions: int) -> Iterator[np.ndarray]:
    """The first of the places, if they are enough."""
    if len(places) >= actions:
        yield places[:actions]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
