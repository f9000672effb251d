"""The table behind test_laws.py: one row for every primitive and every way it can be stretched.

Rows for tabular episodes stand in tabular_cases.py.

The oracles are loops over the definitions in exact rational arithmetic and share no code with constructions/.
"""

import math
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from newton_cases import NEWTON
from primitive_case import Case, Token, chunks, dot, entries, matrices, matrix, several, vectors
from tabular_cases import TABULAR

from constructions.parts.block import EXACT
from constructions.parts.links import read
from constructions.parts.stream import Stream
from constructions.primitives import (
    copying,
    descent,
    envelope,
    interpolation,
    product,
    refinement,
)
from constructions.rounding import rates

# ---------------------------------------------------------------- exact oracles


def solve(matrix: list[list], vector: list) -> list:
    """Gauss–Jordan elimination; positive definite matrices need no pivoting."""
    rows = [[*row, x] for row, x in zip(matrix, vector, strict=True)]
    for n, pivot in enumerate(rows):
        rows[n] = pivot = [x / pivot[n] for x in pivot]
        for m in range(len(rows)):
            if m != n:
                rows[m] = [x - rows[m][n] * y for x, y in zip(rows[m], pivot, strict=True)]
    return [row[-1] for row in rows]


def gram(past: list[Token], ridge: float) -> list[list]:
    dim = range(len(past[0]["action"]))
    return [
        [sum((t["action"][n] * t["action"][m] for t in past), Fraction(ridge) * (n == m)) for m in dim]
        for n in dim
    ]


# ---------------------------------------------------------------- descent


def descent_case(what: str, solver: str, depth: int, ridge=1.0, norm=1.0, horizon=4, dim=2, note="") -> Case:
    """Ridge estimate or inverse; one more register and 2·dim neurons a system where the method is accelerated."""
    method, reward_max = rates.Descent(solver, ridge, norm, horizon), 3.0
    count = 1 if what == "ridge" else 2
    size, ahead = count * dim, count * dim * (solver != "gd")
    stream = Stream.of(action=dim, reward=1, arms=2 * dim, bystander=2, point=size, ahead=ahead, position=3)
    registers = {name: stream[name] for name in ("action", "position", "point")}
    registers["ahead"] = stream["ahead"] if ahead else None
    if what == "ridge":
        block = descent.ridge(method, depth, reward=stream["reward"], reward_max=reward_max, **registers)
    else:
        block = descent.inverse(method, depth, vectors=stream["arms"], **registers)

    def oracle(past):
        matrix = gram(past, ridge)
        if what == "ridge":
            target = [sum((t["action"][n] * t["reward"][0] for t in past), Fraction(0)) for n in range(dim)]
            return solve(matrix, target)
        return [x for arm in chunks(past[-1]["arms"], dim) for x in solve(matrix, arm)]

    def rule(rows):  # at most horizon − 1 tokens hold an action, and without one there is no reward
        taken = 0
        for row in rows:
            taken += bool(np.any(row["action"]))
            if taken >= horizon or not np.any(row["action"]):
                row["action"], row["reward"] = np.zeros(dim), np.zeros(1)
        return rows

    tokens = matrices(
        stream,
        2 * horizon,
        rule,
        action=st.just(np.zeros(dim)) | vectors(dim, norm),
        reward=entries(1, reward_max),
        arms=several(2, dim, norm),
    )
    first, second = np.eye(dim)[0] * norm, np.eye(dim)[-1] * norm
    pair = {"arms": np.concatenate([first, second])}
    played = [pair, {"action": first, "reward": reward_max}]  # one arm for ever, the other direction never
    cost = (depth, 2 * count + 1, 2 * size if ahead else 0)
    name = f"descent.{what} {solver}{note}"
    return Case(name, stream, block, tokens, cost, oracle, (matrix(stream, [*played * (horizon - 1), pair]),))


# ---------------------------------------------------------------- products, square roots, copies, choices


def product_case(count: int, shared: bool, rest: int = 0) -> Case:
    """‖left‖, ‖right‖ ≤ 2 meet the bound 4 exactly, which is a power of two: the gate has to be the next one."""
    dim, longest = 2, 64
    stream = Stream.of(
        left=dim if shared else dim * count, right=(dim + rest) * count, bystander=2, out=count, position=3
    )
    registers = {"left": stream["left"], "right": stream["right"], "to": stream["out"]}
    block = product.own_token(
        "products", "", bound=4.0, tokens=longest, position=stream["position"], **registers
    )

    def oracle(past):
        right = chunks(past[-1]["right"], dim + rest)
        left = chunks(past[-1]["left"], dim) * (count if shared else 1)
        return [dot(x, y[:dim]) for x, y in zip(left, right, strict=True)]

    tokens = matrices(
        stream, 8, left=several(1 if shared else count, dim, 2.0), right=several(count, dim + rest, 2.0)
    )
    ends = [
        {"left": [(-1) ** n * 2, 0] * (1 if shared else count), "right": ([2, 0] + [0] * rest) * count}
        for n in range(longest)
    ]
    name = f"product.own_token {'shared' if shared else 'pairwise'}{', shorter' if rest else ''}"
    return Case(name, stream, block, tokens, (1, 2 * count, 0), oracle, (matrix(stream, ends),))


def root_case(low: float, high: float, error: float) -> Case:
    curve = interpolation.square_root(low, high, error)
    stream = Stream.of(x=2, one=1, bystander=1, out=2)
    registers = {"source": stream["x"], "one": stream["one"], "to": stream["out"]}
    block = interpolation.function("roots", "", curve, of=np.sqrt, error=error, **registers)
    knots = curve.knots
    number = (
        st.floats(low, knots[-1])
        | st.sampled_from(list(knots))
        | st.sampled_from(list((knots[1:] + knots[:-1]) / 2))
    )
    number = number.map(lambda x: float(np.clip(x, low, high)))
    tokens = matrices(stream, 3, x=st.lists(number, min_size=2, max_size=2), one=st.just([1.0]))
    cost = (1, 0, 2 * (len(knots) - 1) + 1)
    return Case(
        f"interpolation.function √ {low:g} to {high:g}",
        stream,
        block,
        tokens,
        cost,
        lambda past: [math.sqrt(x) for x in past[-1]["x"]],
        (matrix(stream, [{"x": [low, high], "one": 1}]),),
    )


def on_curve(curve: envelope.Envelope, low: float):
    """Arguments from `low` to the last knot: knots, and what lies between them, more often than chance."""
    knots = curve.knots
    high, middles = float(knots[-1]), (knots[1:] + knots[:-1]) / 2
    return st.floats(low, high, allow_subnormal=False) | st.sampled_from([low, *knots, *middles])


def exponentials_case(weights: tuple[float, ...], high: float, error: float) -> Case:
    """Sums of two forms x; the lift is as large as the error itself."""
    curve, shares, size = envelope.exponential(high, error, error / 4), np.array(weights), 2 * len(weights)
    stream = Stream.of(x=size, one=1, bystander=1, out=2)
    block = envelope.exponentials(
        "sums of e^x",
        "",
        curve,
        of=read(stream["x"]),
        exponents=lambda values: values["x"],
        weights=shares,
        lift=error,
        one=stream["one"],
        to=stream["out"],
        size=50.0,
        largest=math.exp(high) * float(shares.sum()),
        inherited=EXACT,
    )

    def oracle(past):
        terms = [Fraction(math.exp(x)) for x in past[-1]["x"]]
        return [dot([Fraction(w) for w in weights], part) for part in chunks(terms, len(weights))]

    number = on_curve(curve, -50.0)
    tokens = matrices(stream, 3, x=st.lists(number, min_size=size, max_size=size), one=st.just([1.0]))
    cost = (1, 0, size * len(curve.knots) + 1)
    ends = matrix(stream, [{"x": np.resize([high, -50.0], size), "one": 1}])
    return Case(f"envelope.exponentials of {len(weights)}", stream, block, tokens, cost, oracle, (ends,))


def logarithms_case(high: float, error: float) -> Case:
    curve = envelope.logarithm(high, error)
    stream = Stream.of(x=2, one=1, bystander=1, out=2)
    registers = {"of": stream["x"], "one": stream["one"], "to": stream["out"]}
    block = envelope.logarithms("log x", "", curve, inherited=EXACT, **registers)
    number = on_curve(curve, 0.0) | st.sampled_from([error, error / 2])
    tokens = matrices(stream, 3, x=st.lists(number, min_size=2, max_size=2), one=st.just([1.0]))
    return Case(
        f"envelope.logarithms to {high:g}",
        stream,
        block,
        tokens,
        (1, 0, 2 * len(curve.knots) - 1),
        lambda past: [math.log(max(x, error)) for x in past[-1]["x"]],
        (matrix(stream, [{"x": [error, high], "one": 1}]),),
    )


def function_case(name: str, curve: interpolation.Interpolant, of, error: float, signs=(1.0,)) -> Case:
    """Between the first and the last knot, for every sign."""
    stream = Stream.of(x=2, one=1, bystander=1, out=2 * len(signs))
    registers = {"source": stream["x"], "one": stream["one"], "to": stream["out"]}
    block = interpolation.function(
        "values", "", curve, of=np.vectorize(of), error=error, signs=signs, **registers
    )
    low, high = curve.knots[[0, -1]]
    middles = (curve.knots[1:] + curve.knots[:-1]) / 2
    number = st.floats(low, high) | st.sampled_from([*curve.knots, *middles])
    tokens = matrices(stream, 3, x=st.lists(number, min_size=2, max_size=2), one=st.just([1.0]))
    return Case(
        f"interpolation.function {name}",
        stream,
        block,
        tokens,
        (1, 0, 2 * len(signs) * (len(curve.knots) - 1) + 1),
        lambda past: [of(float(sign * x)) for sign in signs for x in past[-1]["x"]],
        (matrix(stream, [{"x": [low, high], "one": 1}, {"x": middles[[0, -1]], "one": 1}]),),
    )


def refinement_case(spread: float, steps: int, low: float, high: float) -> Case:
    """0 among the arguments, where a rough inverse root may be anything up to the largest; both ends of the spread."""
    longest, nearest = 12, 1.5 * (1 + spread) / math.sqrt(low)
    stream = Stream.of(x=2, near=2, bystander=1, out=2, out_times=2, scratch=2, position=3)
    block = refinement.root(
        "roots",
        "",
        **{name: stream[name] for name in ("near", "position")},
        of=stream["x"],
        to=stream["out"],
        to_times=stream["out_times"],
        partner=stream["scratch"],
        spread=spread,
        steps=steps,
        high=high,
        nearest=nearest,
        tokens=longest,
    )

    def start(row):  # near holds how rough it is, in units of the spread
        x, off = np.array(row["x"], dtype=float), np.array(row["near"], dtype=float)
        rough = (1 + spread * off) / np.sqrt(np.maximum(x, low))
        return row | {"near": np.where(x > 0, rough, nearest * np.abs(off))}

    def rule(rows):
        return [start(row) for row in rows]

    number = st.floats(low, high) | st.sampled_from([0.0, low, high])
    tokens = matrices(stream, longest, rule, x=st.lists(number, min_size=2, max_size=2), near=entries(2))
    ends = [{"x": [low, high], "near": [a, b]} for a in (-1, 1) for b in (-1, 1)]
    before = [{"x": [0.0, 0.0], "near": [1.0, 1.0]}]
    return Case(
        f"refinement.root {spread:g} {steps}",
        stream,
        block,
        tokens,
        (1 + steps, 3, 0),
        lambda past: [math.sqrt(x) for x in past[-1]["x"]],
        (matrix(stream, rule(before + ends + before + ends)),),
    )


FALLING = interpolation.walk(lambda x: math.exp(-x), lambda x: math.exp(-x), -2.0, 2.0, 1e-3)


def combine_case() -> Case:
    stream = Stream.of(x=2, y=2, bystander=1, out=2)
    terms = ((10.0, stream["x"]), (-1 / 3, stream["y"]))
    block = copying.combine("sum", "", terms=terms, to=stream["out"], bound=10.0 + 1 / 3)
    weights = [Fraction(weight) for weight, _ in terms]

    def oracle(past):
        return [weights[0] * x + weights[1] * y for x, y in zip(past[-1]["x"], past[-1]["y"], strict=True)]

    tokens = matrices(stream, 3, x=entries(2), y=entries(2))
    return Case("copying.combine", stream, block, tokens, (1, 0, 4), oracle)


STRETCHES = (
    {"depth": 6},
    {"depth": 1, "note": " one layer"},
    {"depth": 12, "ridge": 0.1, "norm": 2.0, "note": " weak ridge"},
    {"depth": 6, "horizon": 1, "note": " one step"},
    {"depth": 6, "dim": 1, "horizon": 6, "note": " one dimension"},
)

CASES = [
    *(
        descent_case(what, solver, **stretch)
        for what in ("ridge", "inverse")
        for solver, stretches in (("gd", STRETCHES[:3]), ("agd", STRETCHES), ("chebyshev", STRETCHES))
        for stretch in stretches
    ),
    product_case(3, shared=True),
    product_case(2, shared=False),
    product_case(2, shared=True, rest=1),
    root_case(0.01, 4.0, 0.01),
    root_case(1e-6, 9.0, 0.003),
    exponentials_case((1.0,), 5.0, 1e-3),
    exponentials_case((0.3, 0.5, 0.2), 0.0, 0.1),
    logarithms_case(1.0, 1e-3),
    logarithms_case(2.0, 0.1),
    function_case("1/x", interpolation.power(1.0, 0.1, 4.0, 0.01), lambda x: 1 / x, 0.01 / 0.1),
    function_case(
        "1/(3√x)",
        interpolation.scaled(interpolation.power(0.5, 1e-4, 9.0, 1e-3), 1 / 3),
        lambda x: 1 / (3 * math.sqrt(x)),
        1e-3 * 100 / 3,
    ),
    function_case("exp(∓x)", FALLING, lambda x: math.exp(-x), 1e-3, (1.0, -1.0)),
    combine_case(),
    refinement_case(0.1, 1, 0.01, 4.0),
    refinement_case(0.1, 1, 3.0, 4.0),
    refinement_case(1 / 16, 2, 1e-4, 5.0),
    refinement_case(0.4, 4, 0.5, 1.0),
    *NEWTON,
    *TABULAR,
]

DEEP = [
    descent_case(what, solver, depth, ridge=10.0, horizon=2, note=" converged")
    for what in ("ridge", "inverse")
    for solver, depth in (("gd", 150), ("agd", 65), ("chebyshev", 30))
]
"""So deep that rounding alone is left of the promise."""
