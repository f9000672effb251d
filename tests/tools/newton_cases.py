"""Rows of the laws' table for Newton's iterations on matrices."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from primitive_case import Case, entries, matrices, matrix, vectors

from constructions.parts.stream import Stream
from constructions.primitives import newton
from constructions.rounding import schedules

DIM, RIDGE, NORM, HORIZON, REWARD = 2, 1.0, 1.0, 4, 3.0
LARGEST = RIDGE + (HORIZON - 1) * NORM**2


def play(rows: list[dict]) -> list[dict]:
    """At most HORIZON − 1 tokens hold an action, and without one there is no reward; sums of the past are filled in."""
    taken, gram = 0, RIDGE * np.eye(DIM)
    for number, row in enumerate(rows, 1):
        taken += bool(np.any(row["action"]))
        if taken >= HORIZON or not np.any(row["action"]):
            row["action"] = np.zeros(DIM)
            row["reward"] = np.zeros(1)
        gram = gram + np.outer(row["action"], row["action"])
        if "gram" in row:
            row["gram"], row["times"] = gram.ravel(), number * gram.ravel()
    return rows


def exact_gram(past) -> list[list[Fraction]]:
    pairs = range(DIM)
    return [
        [sum((t["action"][n] * t["action"][m] for t in past), Fraction(RIDGE) * (n == m)) for m in pairs]
        for n in pairs
    ]


def normal_equations_case() -> Case:
    square = DIM * DIM
    stream = Stream.of(
        action=DIM, reward=1, bystander=2, out=square, out_times=square, out_b=DIM, out_bi=DIM, position=3
    )
    names = {"gram": "out", "gram_times": "out_times", "moment": "out_b", "moment_times": "out_bi"}
    block = newton.normal_equations(
        "normal equations",
        "",
        **{name: stream[name] for name in ("action", "reward", "position")},
        **{name: stream[to] for name, to in names.items()},
        ridge=RIDGE,
        action_max=NORM,
        reward_max=REWARD,
        horizon=HORIZON,
    )

    def oracle(past):
        rows = [x for row in exact_gram(past) for x in row]
        moment = [sum((t["action"][n] * t["reward"][0] for t in past), Fraction(0)) for n in range(DIM)]
        index = len(past)
        return [*rows, *(index * x for x in rows), *moment, *(index * x for x in moment)]

    tokens = matrices(
        stream,
        2 * HORIZON,
        play,
        action=st.just(np.zeros(DIM)) | vectors(DIM, NORM),
        reward=entries(1, REWARD),
    )
    played = [{"action": [1.0, 0.0], "reward": REWARD}] * (HORIZON - 1)
    name = "newton.normal_equations"
    return Case(name, stream, block, tokens, (1, 4 * (DIM + 1), 2), oracle, (matrix(stream, [*played, {}]),))


def iteration_case(what: str, steps: int) -> Case:
    square, scratch = DIM * DIM, {"scratch": DIM * DIM} if what == "inverse_root" else {}
    stream = Stream.of(
        action=DIM, reward=1, gram=square, times=square, bystander=2, out=square, **scratch, position=3
    )
    more = {"partner": stream["scratch"], "action": stream["action"]} if scratch else {}
    block = getattr(newton, what)(
        what,
        "",
        gram=stream["gram"],
        gram_times=stream["times"],
        position=stream["position"],
        to=stream["out"],
        ridge=RIDGE,
        largest=LARGEST,
        steps=steps,
        tokens=2 * HORIZON,
        **more,
    )

    def oracle(past):
        (a, b), (_, c) = exact_gram(past)
        if what == "inverse":
            determinant = a * c - b * b
            return [c / determinant, -b / determinant, -b / determinant, a / determinant]
        # A^{-1/2} = (A + √det I)⁻¹ √(tr A + 2√det)
        scale = schedules.inverse_root(RIDGE, LARGEST, steps).middle * LARGEST**0.5
        root = float(a * c - b * b) ** 0.5
        trace = (float(a + c) + 2 * root) ** 0.5
        p, q, r = float(a) + root, float(b), float(c) + root
        factor = scale * trace / (p * r - q * q)
        return [factor * r, -factor * q, -factor * q, factor * p]

    square_zero = st.just(np.zeros(square))
    tokens = matrices(
        stream,
        2 * HORIZON,
        play,
        action=st.just(np.zeros(DIM)) | vectors(DIM, NORM),
        reward=entries(1, REWARD),
        gram=square_zero,
        times=square_zero,
    )
    heads = {"inverse": 2 * DIM**2 + 1, "inverse_root": 4 * DIM**2 + 2}[what]
    first = {"inverse": 1, "inverse_root": 2 * DIM**2 + 2}[what]
    rows = [{"action": np.array([0.6, 0.8]), "reward": np.zeros(1), "gram": 0, "times": 0} for _ in range(3)]
    example = matrix(stream, play([*rows, {"action": np.zeros(DIM), "gram": 0, "times": 0}]))
    cost = (steps, heads if steps > 1 else first, 0)
    return Case(f"newton.{what} {steps}", stream, block, tokens, cost, oracle, (example,))


NEWTON = [
    normal_equations_case(),
    *(iteration_case(what, steps) for what in ("inverse", "inverse_root") for steps in (1, 2, 5)),
]
