"""Rows of the laws' table for tabular episodes: counts, look-ups, maxima, copies of the step before.

Tokens lie in the promises' domain: one-hot registers, integer counts, and a clock (k, h, v) that goes with the position as
in episodes of 2H + 1 tokens. The oracles are loops over the definitions in exact rational arithmetic.
"""

import math
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from primitive_case import Case, Token, chunks, dot, entries, matrices, matrix, numbers

from constructions.parts.stream import Stream
from constructions.primitives import clipping, copying, counting, lookup, maximum, repetition

SHARES = st.sampled_from([0.0, 1.0, 1 / 3]) | st.floats(0, 1, allow_subnormal=False)


def timed(horizon: int, rows: list[dict]) -> list[dict]:
    """Rows with clocks as the paper's layout has them: state, action, …, state, action, empty, again and again."""
    length = 2 * horizon + 1
    for number, row in enumerate(rows):
        episode, place = divmod(number, length)
        row["clock"] = [episode + 1, place // 2 + 1, 1 - place % 2]
    return rows


def one_hot(size: int):
    """A unit vector, or nothing."""
    return st.sampled_from([*np.eye(size), np.zeros(size)])


def shares(size: int):
    """Numbers within [0, 1]."""
    return st.lists(SHARES, min_size=size, max_size=size)


# ---------------------------------------------------------------- copies


def previous_step_case(horizon: int) -> Case:
    stream = Stream.of(x=2, r=1, bystander=1, out=2, out_reward=1, clock=3, position=3)
    what, to = (stream["x"], stream["r"]), (stream["out"], stream["out_reward"])
    place = {"clock": stream["clock"], "position": stream["position"]}
    block = copying.previous_step("step before", "", what=what, to=to, **place)

    def oracle(past: list[Token]) -> list:
        found = [Fraction(0)] * 3
        for token in past[-3:-1]:
            if past[-1]["clock"][2] == 1 and token["clock"][0] == past[-1]["clock"][0]:
                found = [x + y for x, y in zip(found, token["x"] + token["r"], strict=True)]
        return [x / len(past) for x in found]

    def rule(rows):
        return timed(horizon, rows)

    tokens = matrices(stream, 3 * (2 * horizon + 1), rule, x=shares(2), r=shares(1))
    full = matrix(stream, rule([{"x": [1, 1], "r": 1} for _ in range(8 * (2 * horizon + 1))]))
    name = f"copying.previous_step H = {horizon}"
    return Case(name, stream, block, tokens, (1, 3, 0), oracle, (full,))


def times_index_case(scale: float) -> Case:
    bound, longest = 3.0, 40
    stream = Stream.of(x=2, y=1, bystander=1, out=2, out_y=1, position=3)
    what, to = (stream["x"], stream["y"]), (stream["out"], stream["out_y"])
    place = {"position": stream["position"], "tokens": longest, "bound": bound, "scale": scale}
    block = copying.times_index("times i", "", what=what, to=to, **place)

    def rule(rows):  # what an attention left: numbers that the index was divided out of
        for number, row in enumerate(rows):
            for name in ("x", "y"):
                row[name] = np.asarray(row[name]) * bound / scale / (number + 1) * (1 - 2**-50)
        return rows

    def oracle(past: list[Token]) -> list:
        return [Fraction(scale) * len(past) * x for x in past[-1]["x"] + past[-1]["y"]]

    ends = rule([{"x": [(-1) ** n, 1], "y": 1 / 3} for n in range(longest)])
    tokens = matrices(stream, 8, rule, x=entries(2), y=entries(1))
    name = f"copying.times_index scale {scale:g}"
    return Case(name, stream, block, tokens, (1, 1, 0), oracle, (matrix(stream, ends),))


# ---------------------------------------------------------------- counting


def counting_case(how: str, horizon: int, first: int = 1) -> Case:
    """Every (s, a) at the stages from `first`, two states and two actions; 1 and a reward are summed up."""
    stages, state, action = (axis.ravel() for axis in np.mgrid[first : horizon + 1, :2, :2])
    count = len(stages)
    stream = Stream.of(
        s=2, a=2, r=1, stage=horizon + 1, bystander=1, out=count, out_reward=count, clock=3, position=3
    )
    counters = counting.Counters(
        wanted=((stream["s"], state), (stream["a"], action)),
        stages=stages,
        moved=(stream["position"].part(2, of=3), stream["r"]),
        to=(stream["out"], stream["out_reward"]),
    )
    place = {"position": stream["position"], "tokens": 12 * (2 * horizon + 1)}
    if how == "by_ramps":
        place |= {"clock": stream["clock"], "horizon": horizon}
        block, heads = counting.by_ramps("counts", "", counters, **place), 10
    else:
        block, heads = counting.by_stage("counts", "", counters, stage=stream["stage"], **place), 1

    def oracle(past: list[Token]) -> list:
        counts, rewards = [Fraction(0)] * count, [Fraction(0)] * count
        episode, _, idle = past[-1]["clock"]
        for token in past:
            earlier = token["clock"][0] < episode and idle == 1
            for m in range(count if earlier or how == "by_stage" else 0):
                match = token["s"][state[m]] == 1 and token["a"][action[m]] == 1
                if match and token["clock"][1] == stages[m] + 1:
                    counts[m], rewards[m] = counts[m] + 1, rewards[m] + token["r"][0]
        return [x / len(past) for x in counts + rewards]

    def rule(rows):
        for row in timed(horizon, rows):
            row["stage"] = np.eye(horizon + 1)[row["clock"][1] - 1]
        return rows

    tokens = matrices(stream, 3 * (2 * horizon + 1), rule, s=one_hot(2), a=one_hot(2), r=shares(1))
    played = [{"s": [1, 0], "a": [0, 1], "r": 1 / 3 + n % 7 / 11} for n in range(12 * (2 * horizon + 1))]
    cost, name = (1, heads * count, 0), f"counting.{how} H = {horizon}"
    return Case(name, stream, block, tokens, cost, oracle, (matrix(stream, rule(played)),))


# ---------------------------------------------------------------- look-ups


def table_case(values: list[Fraction]) -> Case:
    most = len(values) - 1
    stream = Stream.of(n=2, one=1, bystander=1, out=2)
    block = lookup.table("f(n)", "", of=stream["n"], to=stream["out"], one=stream["one"], values=values)

    def oracle(past: list[Token]) -> list:
        return [values[int(n)] for n in past[-1]["n"]]

    number = st.lists(st.integers(0, most), min_size=2, max_size=2)
    tokens = matrices(stream, 3, n=number, one=st.just([1.0]))
    every = matrix(stream, [{"n": [n, most - n], "one": 1} for n in range(most + 1)])
    cost = (1, 0, 2 * most + 1)
    return Case(f"lookup.table of {most + 1}", stream, block, tokens, cost, oracle, (every,))


def one_hot_case(size: int) -> Case:
    stream = Stream.of(n=1, one=1, bystander=1, out=size)
    block = lookup.one_hot("[n = m]", "", of=stream["n"], to=stream["out"], one=stream["one"])

    def oracle(past: list[Token]) -> list:
        return [Fraction(past[-1]["n"][0] == m) for m in range(1, size + 1)]

    tokens = matrices(stream, 3, n=st.integers(0, size).map(float), one=st.just([1.0]))
    every = matrix(stream, [{"n": n, "one": 1} for n in range(size + 1)])
    return Case(f"lookup.one_hot of {size}", stream, block, tokens, (1, 0, size), oracle, (every,))


# ---------------------------------------------------------------- maxima, cuts


def maximum_case(count: int, depth: int, scratch: tuple[int, ...], groups: int = 2) -> Case:
    """`scratch` are the sizes of the registers between the levels for one group, by hand."""
    bound, longest = 4.0, 40
    sizes = {f"scratch_{n}": groups * size for n, size in enumerate(scratch)}
    stream = Stream.of(q=groups * count, bystander=1, **sizes, out=groups, position=3)
    block = maximum.over_groups(
        "max",
        "",
        numbers=stream["q"],
        to=stream["out"],
        scratch=tuple(stream[name] for name in sizes),
        position=stream["position"],
        bound=bound,
        tokens=longest,
    )

    def oracle(past: list[Token]) -> list:
        return [max(part) for part in chunks(past[-1]["q"], count)]

    size = groups * count
    tokens = matrices(stream, 6, q=st.lists(numbers(bound).map(abs), min_size=size, max_size=size))
    ends = [{"q": [bound * ((n + m) % (count + 1) == 0) for m in range(size)]} for n in range(longest)]
    slopes = [{"q": [bound * (m + n) % 7 / 7 for m in range(size)]} for n in range(longest)]
    cost = (depth, groups * (count // 2), groups * math.ceil(count / 2))
    examples = matrix(stream, ends), matrix(stream, slopes)
    return Case(f"maximum.over_groups of {count}", stream, block, tokens, cost, oracle, examples)


def clipping_case(terms: int) -> Case:
    names = [f"x{n}" for n in range(terms)]
    stream = Stream.of(**dict.fromkeys(names, 2), one=1, bystander=1, out=2)
    parts = tuple(stream[name] for name in names)
    block = clipping.between(
        "cut", "", terms=parts, to=stream["out"], one=stream["one"], high=3.0, bound=4.0 * terms
    )

    def oracle(past: list[Token]) -> list:
        sums = [sum(past[-1][name][n] for name in names) for n in range(2)]
        return [min(max(x, Fraction(0)), Fraction(3)) for x in sums]

    tokens = matrices(stream, 3, **{name: entries(2, 4.0) for name in names}, one=st.just([1.0]))
    ends = matrix(
        stream, [{**{name: [x, 3.0 / terms] for name in names}, "one": 1} for x in (4.0, -4.0, 0.1)]
    )
    return Case(f"clipping.between {terms} terms", stream, block, tokens, (1, 0, 4), oracle, (ends,))


def averages_case(turns: int, weight: float, threshold: float = 0.0) -> Case:
    """One-hot keys and values, or none: no turn increases a distance while weight ≤ 1."""
    stream = Stream.of(x=2, y=2, r=1, bystander=1, out=2, position=3)
    names, discount = {"by": "r", "value": "y", "to": "out", "position": "position"}, 0.75
    block = repetition.averages(
        "averages",
        "",
        key=[(discount, stream["x"]), (-1.0, stream["y"])],
        weight=weight,
        turns=turns,
        score=2 * turns + 1.0,
        largest=float(turns),
        tokens=9,
        threshold=threshold,
        **{role: stream[name] for role, name in names.items()},
    )

    def shrunk(z: Fraction) -> Fraction:
        if abs(z) <= threshold:
            return Fraction(0)
        return z - Fraction(threshold) if z > 0 else z + Fraction(threshold)

    def oracle(past: list[Token]) -> list:
        x = [Fraction(0)] * 2
        for _ in range(turns):
            moves = [
                sum(
                    (
                        token["y"][k]
                        * (Fraction(discount) * dot(token["x"], x) - dot(token["y"], x) + token["r"][0])
                        for token in past
                    ),
                    Fraction(0),
                )
                for k in range(2)
            ]
            x = [
                shrunk(held + Fraction(weight) * moved / len(past))
                for held, moved in zip(x, moves, strict=True)
            ]
        return x

    tokens = matrices(stream, 9, x=one_hot(2), y=one_hot(2), r=shares(1))
    name, neurons = f"repetition.averages {turns} turns, threshold {threshold}", 5 if threshold else 0
    return Case(name, stream, block, tokens, (turns, 2, neurons), oracle)


def discounted_case(steps: int, keep: float) -> Case:
    stream = Stream.of(x=2, bystander=1, out=2, position=3)
    at = {role: stream[name] for role, name in (("what", "x"), ("to", "out"), ("position", "position"))}
    sizes = {"keep": keep, "steps": steps, "tokens": 2 * steps, "largest": 3.0}
    block = repetition.discounted("sum that decays", "", **at, **sizes)

    def oracle(past: list[Token]) -> list:
        terms = [(Fraction(keep) ** m, token["x"]) for m, token in enumerate(past[::-2])]
        return [sum((weight * x[k] for weight, x in terms), Fraction(0)) for k in range(2)]

    def rule(rows):
        return [row | {"x": [0.0, 0.0]} if n % 2 == 0 else row for n, row in enumerate(rows)]

    layers = max(1, math.ceil(math.log2(steps)))
    tokens = matrices(stream, 2 * steps, rule, x=entries(2, 2.0))
    full = matrix(stream, rule([{"x": [2.0, -2.0]} for _ in range(2 * steps)]))
    name = f"repetition.discounted {keep}, {steps} steps"
    return Case(name, stream, block, tokens, (layers, 2, 0), oracle, (full,))


TABULAR = [
    averages_case(1, 1.0),
    averages_case(5, 0.3),
    averages_case(4, 0.5, 0.125),
    *(discounted_case(*sizes) for sizes in ((1, 0.5), (2, 0.9), (7, 0.9), (8, 1.0))),
    *(previous_step_case(horizon) for horizon in (1, 3)),
    *(times_index_case(scale) for scale in (1.0, 0.3)),
    *(counting_case("by_ramps", horizon) for horizon in (1, 3)),
    counting_case("by_ramps", 20, first=20),
    *(counting_case("by_stage", horizon) for horizon in (1, 3)),
    table_case([Fraction(1, 3)]),
    table_case([Fraction(math.sqrt(2)) / max(n, 1) + 5 * (n == 0) for n in range(12)]),
    *(one_hot_case(size) for size in (1, 2, 6)),
    *(
        maximum_case(*sizes)
        for sizes in (
            (1, 1, ()),
            (2, 1, (1,)),
            (3, 1, (1,)),
            (4, 1, (2,)),
            (5, 2, (2, 2, 1)),
            (6, 2, (3, 2, 1)),
            (17, 3, (8, 5, 2, 2, 1), 1),
        )
    ),
    *(clipping_case(terms) for terms in (1, 3)),
]
