"""Blocks by which a prediction is chosen on held-out pairs: the halves of the past, and a selection without a softmax.

**Halves.** relu(i − m) − relu(i − m − 1) is 0 up to token m and 1 beyond, `late`; `early` is 1 − late. With C ≥ |x|,
relu(x − C·late) − relu(−x − C·late) is x up to token m and 0 beyond, with `early` the other way round, without rounding.

**Selection.** For losses L_1 … L_K and a slope s let c_k = Σ_l relu(L_k − L_l), u_k = relu(1 − s c_k) and
g_k = relu(1 − u_1 − … − u_k). The weights q_1 = 1 − g_1, q_k = g_{k−1} − g_k are ≥ 0 and add up to 1, as the k of the least
loss has u_k = 1; q_k > 0 only where u_k > 0, so that L_k < min L + 1/s. Σ q_k f_k = f_1 + Σ_{k<K} g_k (f_{k+1} − f_k): a
head for each term. If losses are off by δ, c_k is by 2(K − 1)δ, u_k by 2s(K − 1)δ, g_k by k times that, and Σ q_k f_k by
what the f_k are off, plus Σ_{k<K} 2ks(K − 1)δ ‖f_{k+1} − f_k‖.

Source: the selection is that of arXiv 2306.04637, Appendix H.1, with K heads in place of 2(K + 1).
"""

import math
from collections.abc import Sequence

import numpy as np

from constructions.language import Program, Value
from constructions.parts.block import (
    UNIT,
    Block,
    Bound,
    Position,
    Promise,
    Step,
    Units,
    gate_size,
    own_heads,
    own_linear,
)
from constructions.parts.links import Link, Values, held, read, repeat_rows, rows, stack
from constructions.parts.units import relu_units

SOURCE = "constructions/prediction/choice.py"
EXACT = Bound(0.0)


def halves(p: Program, x: Value, y: Value, last: int) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
    """The pair of a token up to token number `last`, 0 beyond, and the other way round.

    Registers: late, early; train_x, train_y, held_x, held_y. Cost: 2 layers of 4 and 4(d + 1) neurons, no heads.
    """
    place, late, early = Position.of(p.position), p.stream["late"], p.stream["early"]
    turn = stack(place.index - last * place.one, place.index - (last + 1) * place.one)
    ones, signs = np.zeros(3, int), np.array([1.0, -1.0])
    flags = Units(
        "halves",
        stack(turn, place.one),
        ((late, ones[:2], np.arange(2), signs), (early, ones, np.arange(3), np.array([-1.0, 1.0, 1.0]))),
    )

    def turned(values: Values) -> np.ndarray:
        beyond = (held(values, p.position)[:, :1] > last).astype(float)
        return np.concatenate([beyond, 1 - beyond], axis=1)

    p.put(
        Block(
            "halves", SOURCE, (Step((), (flags,)),), (late, early), turned, Promise("any", EXACT, EXACT, 2.0)
        )
    )
    found = []
    for name, off in (("train", late), ("held", early)):
        pair = tuple(p.stream[f"{name}_{part}"] for part in "xy")
        size = gate_size(max(x.size, y.size))
        reads, shut = (
            stack(read(x.register), read(y.register)),
            repeat_rows(size * read(off), x.register.size + 1),
        )
        signed = stack(reads - shut, -reads - shut)
        d, writes = x.register.size, []
        for to, first in zip(pair, (0, d), strict=True):
            entries, neurons = np.tile(np.arange(to.size), 2), first + np.arange(to.size)
            weights = np.repeat(signs, to.size)
            writes.append((to, entries, np.concatenate([neurons, neurons + d + 1]), weights))

        def truth(values: Values, off=off) -> np.ndarray:
            both = np.concatenate([held(values, x.register), held(values, y.register)], axis=1)
            return both * (1 - held(values, off))

        promise = Promise("norm bounds", EXACT, EXACT, math.hypot(x.size, y.size))
        p.put(
            Block(
                f"pairs, {name}",
                SOURCE,
                (Step((), (Units(name, signed, tuple(writes)),)),),
                pair,
                truth,
                promise,
            )
        )
        found.append((Value(pair[0], x.size), Value(pair[1], y.size)))
    return found[0], found[1]


def chosen(p: Program, losses: Sequence[Value], predictions: Sequence[Value], slope: float) -> Value:
    """Σ q_k f_k in the register predictions, for losses L_k and predictions f_k; registers excess and share besides.

    Cost: K(K − 1) neurons beside what makes the losses; a layer of K neurons; a layer of K heads.
    """
    count = len(losses)
    off, most = max(loss.error.error for loss in losses), max(loss.size for loss in losses)
    noise = max(loss.error.rounding for loss in losses) + 4 * UNIT * most
    pairs = [(k, other) for k in range(count) for other in range(count) if k != other]
    excess, share = p.stream["excess"], p.stream["share"]
    differences = stack(*(read(losses[k].register) - read(losses[other].register) for k, other in pairs))
    places = ((excess, np.array([k for k, _ in pairs]), np.arange(len(pairs)), np.ones(len(pairs))),)

    def exceeded(values: Values) -> np.ndarray:
        each = np.concatenate([held(values, loss.register) for loss in losses], axis=1)
        return np.maximum(each[:, :, None] - each[:, None, :], 0.0).sum(axis=2)

    own = Bound(0.0, 4 * UNIT * count * most)
    total = Bound(2 * (count - 1) * off, 2 * count * noise)
    promise = Promise("norm bounds", own, own + total, math.sqrt(count) * count * most)
    steps = (Step((), (Units("excess", differences, places),)),)
    p.put(Block("excess Σ relu(L_k − L_l)", SOURCE, steps, excess, exceeded, promise, groups=count))
    shut = repeat_rows(read(p.stream.one), count) - slope * read(excess)

    def shared(values: Values) -> np.ndarray:
        return np.maximum(1 - slope * held(values, excess), 0.0)

    own, moved = Bound(0.0, 4 * UNIT), slope * (own + total)
    promise = Promise("any", own, own + moved, math.sqrt(count))
    steps = (Step((), (relu_units("share", shut, (share, 1.0)),)),)
    p.put(Block("share relu(1 − s c_k)", SOURCE, steps, share, shared, promise, groups=count))
    return _mixed(p, predictions, own + moved)


def _mixed(p: Program, predictions: Sequence[Value], moved: Bound) -> Value:
    """f_1 + Σ g_k (f_{k+1} − f_k), the shares being off by `moved` each."""
    share, to, place = p.stream["share"], p.stream["predictions"], Position.of(p.position)
    count, registers = len(predictions), [f.register for f in predictions]
    size = max(f.size for f in predictions)
    heads = [own_linear("f_1", read(registers[0]), to, p.position)]
    for k in range(1, count):
        left: Link = read(p.stream.one)
        for n in range(k):
            left = left - rows(read(share), np.array([n]))
        value = read(registers[k]) - read(registers[k - 1])
        gate = gate_size((count + 1) * p.tokens)
        heads += own_heads(
            f"g_{k}", left, place.index, to, p.position, gate, signs=(1.0,), value=value, count=1
        )

    def truth(values: Values) -> np.ndarray:
        left = np.maximum(1 - np.cumsum(held(values, share), axis=1), 0.0)
        total = held(values, registers[0])
        for k in range(1, count):
            total = total + left[:, [k - 1]] * (held(values, registers[k]) - held(values, registers[k - 1]))
        return total

    groups = predictions[0].groups
    own = Bound(0.0, UNIT * 64 * p.tokens * (count + 1) * 2 * size * count)
    each = Bound(max(f.error.error for f in predictions), max(f.error.rounding for f in predictions))
    inherited = each + (count * (count - 1) * size) * moved
    promise = Promise("norm bounds", own, own + inherited, math.sqrt(groups) * 3 * size)
    p.put(Block("Σ q_k f_k", SOURCE, (Step(tuple(heads)),), to, truth, promise, groups=groups))
    return p.value("predictions", size)
