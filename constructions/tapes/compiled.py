"""Tapes compiled to machine code by numba, an optional extra: operations that follow one another are one call.

Of one history, small tapes are played whole, of large ones what has changed; of many in lockstep, products of matrices are
compiled, the rest is NumPy's.
"""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, groupby
from typing import Any

import numpy as np
from jaxtyping import Float
from numba import njit

from constructions.fast.sparsity import TINY
from constructions.tapes import changes
from constructions.tapes.crowds import CLOSE
from constructions.tapes.machine_code import play, written
from constructions.tapes.tape import Crowd, Operation

FEW = 1500
"""Of a small tape, operations of up to so many terms are compiled; of more, NumPy's and SciPy's calls are quicker."""

LARGE = 50_000
"""A tape of more terms is played by what has changed."""


def _large(operations: list[Operation]) -> bool:
    """Whether a tape is."""
    return sum(len(part) for one in operations for part in one.reads) > LARGE


def taken(operations: list[Operation]) -> set[int]:
    """The ids of operations that are compiled."""
    large = _large(operations)
    return {
        id(one)
        for one in operations
        if not isinstance(one, Crowd) and (large or sum(map(len, one.reads)) <= FEW)
    }


def calls(
    operations: list[Operation],
    slots: Float[np.ndarray, " slots"],
    factors: Float[np.ndarray, " factors"],
    otherwise: Callable[[Operation], Iterable[tuple]],
) -> list[tuple]:
    """Calls that carry out operations on one history; `otherwise` has them for what is not compiled."""
    if _large(operations):
        return changes.calls(operations, slots, factors, otherwise)
    found: list[tuple] = []
    here = taken(operations)
    for compiled, group in groupby(operations, lambda one: id(one) in here):
        some = list(group)
        if compiled:
            found.append((play, (*written(some), factors, slots)))
        else:
            found += chain.from_iterable(map(otherwise, some))
    return found


def looked(norms: Any, slots: Float[np.ndarray, " slots"]) -> Callable:
    """The same as `norms.Looking` says, of one history."""
    of_gates = norms.queries, norms.before, norms.gates, norms.weights
    return partial(_looked, slots, norms.totals, norms.keys, norms.scale, *of_gates)


def sized(sizes: Any) -> Callable:
    """The same as `norms.Sizes` says, of one history."""
    places, tokens = (np.array(part, np.int64) for part in sizes.at)
    return partial(_sized, sizes.keys, sizes.queries, places, tokens, sizes.gates)


@njit(cache=True)
def matrices(left, right, out, turned):
    """X Yᵀ, or XY, of many histories in lockstep, which come last in every shape."""
    rows, inner, count = left.shape
    columns = out.shape[1]
    for row in range(rows):
        for column in range(columns):
            for z in range(count):
                out[row, column, z] = 0.0
            for k in range(inner):
                if turned:
                    for z in range(count):
                        out[row, column, z] += left[row, k, z] * right[column, k, z]
                else:
                    for z in range(count):
                        out[row, column, z] += left[row, k, z] * right[k, column, z]


@njit(cache=True, inline="always")
def _larger(now, most):
    """The larger of two, NaN if one is."""
    return now if now > most or now != now else most


@njit(cache=True)
def look_back(head, key, gate, value, count, query, out):
    """The same as `crowds.look_back` says."""
    out[:] = 0.0
    for row in range(count):
        score = gate[row]
        for k in range(len(query)):
            score += key[row, k] * query[k]
        if not score <= 0:
            for k in range(out.shape[1]):
                out[head[row], k] += score * value[row, k]
    largest = 0.0
    for k in range(len(query)):
        largest = _larger(abs(query[k]), largest)
    return largest


@njit(cache=True)
def opened(gates, cap, keys):
    """The same as `crowds.opened` says."""
    tokens, heads = gates.shape
    met = np.zeros(tokens, np.int64)
    token, head = np.empty(gates.size, np.int64), np.empty(gates.size, np.int64)
    count, closed, size = 0, -np.inf, 0.0
    for n in range(tokens):
        for h in range(heads):
            if gates[n, h] <= -cap:
                closed = max(closed, gates[n, h])
            else:
                token[count], head[count] = n, h
                count += 1
        met[n] = count
        total = 0.0
        for k in range(keys.shape[1]):
            total += abs(keys[n, k])
        size = _larger(total, size)
    return token[:count], head[:count], met, closed, size


@njit(cache=True)
def _norms(slots, totals, keys, scale, queries, before, gates, weights, factors, past):
    """The stream's largest squared norm, whether all gates are closed, the largest norms of keys."""
    norms = np.empty(len(totals))
    for span in range(len(totals)):
        total = slots[totals[span]]
        norms[span] = total if span == 0 else np.sqrt(total) + TINY
    count, tokens = keys.shape
    trail = np.empty(count * (tokens + 1))
    largest = np.empty(count)
    for place in range(count):
        most = past[place]
        trail[place * (tokens + 1)] = most
        for token in range(tokens):
            norm = norms[1 + keys[place, token]] * scale[place]
            if norm > most or norm != norm:
                most = norm
            trail[place * (tokens + 1) + token + 1] = most
        largest[place] = most
    closed = True
    for n in range(len(queries)):
        reach = norms[1 + queries[n]] * trail[before[n]] * weights[n] + factors[gates[n]]
        closed &= reach <= 0
    return norms[0], closed, largest


def _looked(*arrays) -> tuple[float, Float[np.ndarray, " keys"] | None]:
    most, closed, largest = _norms(*arrays)
    return most, largest if closed else None


@njit(cache=True)
def _sizes(keys, queries, places, times, gates, slots, factors, past):
    """The largest sizes of keys, and whether all gates are closed."""
    count, tokens, heads, rank = keys.shape
    trail = np.empty((count, tokens + 1, heads, rank + 2))
    trail[:, 0] = past
    for place in range(count):
        for token in range(tokens):
            for head in range(heads):
                last, next = trail[place, token, head], trail[place, token + 1, head]
                square = total = 0.0
                for k in range(rank):
                    now = abs(slots[keys[place, token, head, k]])
                    square += now * now
                    total += now
                    next[k] = _larger(now, last[k])
                next[rank] = _larger(np.sqrt(square) + TINY, last[rank])
                next[rank + 1] = _larger(total, last[rank + 1])
    closed = True
    for gate in range(len(gates)):
        for head in range(heads):
            most = trail[places[gate], times[gate], head]
            square = largest = inner = 0.0
            for k in range(rank):
                now = abs(slots[queries[gate, head, k]])
                square += now * now
                inner += now * most[k]
                largest = _larger(now, largest)
            reach = min(largest * most[rank + 1], (np.sqrt(square) + TINY) * most[rank], inner)
            closed &= reach * CLOSE + factors[gates[gate]] <= 0
    return trail[:, tokens].copy(), closed


def _sized(keys, queries, places, times, gates, slots, factors, past) -> Float[np.ndarray, "..."] | None:
    sizes, closed = _sizes(keys, queries, places, times, gates, slots, factors, past)
    return sizes if closed else None
