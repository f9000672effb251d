"""What a token takes of itself, or of one shortly before it, under softmax attention.

The score −2B(i − c − j)², bilinear in (i, i², 1) and (j, j², 1), is 0 at j = i − c and −2B or less elsewhere. Token 0 has no
position; its register `start` gives it a score of its own. Let θ = Σ_{m≥1} e^{−2Bm²}, at most 1.01 e^{−2B} for B ≥ 1.

**One token.** Token 0 at −B: the head moves the value of token i − c, or that of token 0 where i ≤ c, within 2R e^{−B} for
values at most R apart. If i > c all others have the share e^{−B} + 2θ ≤ 1.8 e^{−B} at most, else θ/e^{−B} ≤ 1.01 e^{−B}.

**By odds.** c = 0, token 0 is at −s_i, with s_i a number that token i holds, and its value is 0. The head moves σ(s_i) x_i,
σ(s) = 1/(1 + e^{−s}), within 2.1 e^{−2B} X for values of size X at most: it gives (x_i + y)/(1 + e^{−s} + θ'), 0 ≤ θ' ≤ θ,
with y = Σ_m e^{−2Bm²} x_{i−m}, and y and θ' change that by θX at most. At s = log n − log(N − n) the weight is n/N, so that
attention multiplies a frequency by a register. The gate is a sum of integers, which float64 adds up without rounding.
"""

from flint import arb

from constructions.parts.block import Head, Position
from constructions.parts.links import Link, blank, read, side_by_side, stack, tile
from constructions.parts.stream import Register


def _gate(back: int, gate: float, position: Register) -> tuple[Link, Link]:
    """Query and key of −2B(i − c − j)² = 2B(2(i − c)j − j² − (i − c)²)."""
    place, c = Position.of(position), float(back)
    square = place.square - 2 * c * place.index + c * c * place.one
    query = stack(place.index - c * place.one, place.one, square)
    return query, 2 * gate * stack(2.0 * place.index, -place.square, -place.one)


def one_token(
    role: str,
    back: int,
    value: Link,
    to: Register | tuple[Register, ...],
    *,
    position: Register,
    start: Register,
    gate: float,
) -> Head:
    """A head that moves a value of the token so many places before, of the token itself with 0."""
    query, key = _gate(back, gate, position)
    level = stack(blank(1), -gate * read(start), blank(1))  # the query of the second row is 1
    return Head(role, query, key + level, value, to, 1, "softmax")


def one_token_error(gate: float, spread: float) -> arb:
    """How far that is off, for values at most `spread` apart and a gate of at least 1."""
    return 2 * arb(spread) * (-arb(gate)).exp()


def by_odds(
    role: str, odds: Link, value: Link, to: Register, *, position: Register, start: Register, gate: float
) -> Head:
    """A head for each row of `odds`, with σ(odds_k) · value_k of the token itself for entry k of `to`; 0 at token 0."""
    count = odds.height
    query, key = (tile(part, count) for part in _gate(0, gate, position))
    query, key = side_by_side(count, query, -odds), side_by_side(count, key, tile(read(start), count))
    return Head(role, query, key, value, to, count, "softmax")


def by_odds_error(gate: float, size: float) -> arb:
    """How far that is off, for values of this size and a gate of at least 1."""
    return arb("2.1") * arb(size) * (-2 * arb(gate)).exp()
