"""The largest of several numbers, exactly.

max(p, q) = q + relu(p − q). An attention head at its own token computes one such relu, an MLP neuron another, so one
transformer layer takes the maximum over four numbers, ⌈log₄ n⌉ layers over n. With query (p − q, i, 1) and key (1, −G, Gj)
the score of token j is p_i − q_i + G(j − i): relu(p − q) at j = i, ≤ 0 before, once G ≥ |p − q|; the value j undoes the
1/i.

The numbers may be b + i·y with registers b and y, as a head's value that still lacks its factor i: the score
(y_p − y_q)·j + (b_p − b_q) + G(j − i) is bilinear, and right at j = i.

**As printed**, relu(Q₁) + Σ_{j≥2} relu(Q_j − Q_{j−1}) is the maximum for two numbers only: at Q = (1, 0, 1) it is 2.
"""

import math

import numpy as np
from jaxtyping import Float

from constructions.parts.block import (
    EXACT,
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    Units,
    gate_size,
    own_heads,
)
from constructions.parts.links import Link, Values, blank, held, read, rows, side_by_side, stack, tile
from constructions.parts.stream import Register


def layers(count: int) -> int:
    """How many transformer layers the maximum over so many numbers takes.

    >>> [layers(n) for n in (1, 2, 4, 5, 16, 17)]
    [1, 1, 1, 2, 2, 3]
    """
    depth = 1
    while 4**depth < count:
        depth += 1
    return depth


def halves(groups: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers held group by group: first and second of every pair, and the last of each group that has no partner."""
    first = (np.arange(groups)[:, None] * count + np.arange(0, count - 1, 2)).ravel()
    lonely = np.arange(groups) * count + count - 1 if count % 2 else np.empty(0, int)
    return first, first + 1, lonely


def differences(numbers: Link, groups: int) -> Link:
    """P − q of every pair."""
    first, second, _ = halves(groups, numbers.height // groups)
    return rows(numbers, first) - rows(numbers, second)


def attention_level(
    role: str,
    numbers: Link,
    groups: int,
    to: Register,
    position: Register,
    bound: float,
    factor: Link | None = None,
) -> tuple[Head, ...]:
    """Heads that add relu(p − q) of every pair to `to`; the numbers are `numbers` + i · `factor`."""
    place, pairs = Position.of(position), groups * (numbers.height // groups // 2)
    if not pairs:
        return ()
    left, right = [differences(numbers, groups)], [tile(place.one, pairs)]
    if factor is not None:
        left.append(differences(factor, groups))
        right.append(tile(place.index, pairs))
    left, right = side_by_side(pairs, *left), side_by_side(pairs, *right)
    return own_heads(role, left, right, to, position, gate_size(bound), signs=(1.0,))


def after_attention(numbers: Link, groups: int, excess: Link) -> Link:
    """The numbers that remain after an attention level, group by group: q + relu(p − q), and those without a partner."""
    count = numbers.height // groups
    _, second, lonely = halves(groups, count)
    pairs = rows(numbers, second) + excess
    return pairs if not len(lonely) else side_by_side(groups, pairs, rows(numbers, lonely))


def neuron_level(role: str, numbers: Link, groups: int, to: Register) -> Units:
    """Neurons that add max(p, q) = relu(q) + relu(p − q) of every pair to `to`, for numbers ≥ 0."""
    count = numbers.height // groups
    _, second, lonely = halves(groups, count)
    left = math.ceil(count / 2)
    place = (np.arange(groups)[:, None] * left + np.arange(count // 2)).ravel()
    ends = np.arange(groups) * left + left - 1 if len(lonely) else np.empty(0, int)
    reads = stack(rows(numbers, second), differences(numbers, groups), rows(numbers, lonely))
    entries = np.concatenate([place, place, ends])
    return Units(role, reads, ((to, entries, np.arange(len(entries)), np.ones(len(entries))),))


def over_groups(
    name: str,
    source: str,
    *,
    numbers: Register,
    to: Register,
    scratch: tuple[Register, ...],
    position: Register,
    bound: float,
    tokens: int,
    inherited: Bound = EXACT,
) -> Block:
    """The maximum of each group of numbers.

    Claim: entry m of `to` is the largest of the m-th of to.size equal groups of `numbers`.
    Source: theorem ours; in place of step 3 of the proof of Theorem approx_ucbvi, arXiv 2310.08566.
    Reads: numbers, position, scratch.  Writes: to, scratch.
    Error: none, for numbers in [0, bound].
    Cost: ⌈log₄ n⌉ layers (1 at n = 1) of at most ⌊n/2⌋ heads and ⌈n/2⌉ neurons a group of n; `scratch_sizes` says which
    registers it needs.

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(q=6, u=2, v=2, position=3)
    >>> registers = dict(numbers=s["q"], to=s["v"], scratch=(s["u"],), position=s["position"])
    >>> block = over_groups("max", "", bound=4.0, tokens=9, **registers)
    >>> len(block.steps), block.steps[0].heads[0].count, block.steps[0].units[0].reads.height
    (1, 2, 4)
    """
    groups, left, steps = to.size, read(numbers), []
    free = list(scratch)
    for last in range(layers(numbers.size // groups) - 1, -1, -1):
        pairs = left.height // groups // 2
        excess = free.pop(0) if pairs else None
        heads = attention_level(f"{to.name} level", left, groups, excess, position, bound) if excess else ()
        left = after_attention(left, groups, read(excess) if excess else blank(0))
        target = free.pop(0) if last else to
        steps.append(Step(heads, (neuron_level(f"{to.name} level", left, groups, target),)))
        left = read(target)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return held(values, numbers).reshape(-1, groups, numbers.size // groups).max(-1)

    gate = gate_size(bound)
    own = Bound(0.0, UNIT * 8 * len(steps) * (bound + 2 * gate * tokens))
    promise = Promise(f"0 ≤ numbers ≤ {bound:g}", own, own + inherited, 4 * bound * math.sqrt(numbers.size))
    return Block(name, source, tuple(steps), to, truth, promise, groups=groups)


def scratch_sizes(groups: int, count: int) -> list[int]:
    """Sizes of the registers that `over_groups` needs for groups of `count` numbers.

    >>> scratch_sizes(1, 6), scratch_sizes(2, 3), scratch_sizes(1, 1)
    ([3, 2, 1], [2], [])
    """
    sizes, depth = [], layers(count)
    for level in range(depth):
        if count // 2:
            sizes.append(groups * (count // 2))
        count = math.ceil(math.ceil(count / 2) / 2)
        if level < depth - 1:
            sizes.append(groups * count)
    return sizes
