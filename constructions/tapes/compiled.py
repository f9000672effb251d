"""Tapes compiled to machine code by numba, an optional extra: operations that follow one another are one call.

An operation is written down as integers, which say where it reads and writes, and numbers, its weights; one function carries
out whatever is written down, for one history. It knows of no algorithm: what it plays is what the weights say. Of many
histories in lockstep, products of matrices are compiled, the rest is NumPy's.
"""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, groupby
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from constructions.fast.sparsity import TINY
from constructions.tapes.tape import Crowd, Matrices, Operation, Pieces, Products, Relu, Sum

SUM, PRODUCTS, MATRICES, RELU, PIECES = range(5)
"""How an operation begins; where the next one begins, where its weights do and what it writes come next."""

Written = tuple[int, tuple[Any, ...], tuple[Float[np.ndarray, "..."], ...]]
"""The kind of an operation, its integers and its weights."""


FEW = 300
"""Up to so many terms are compiled; of more, NumPy's and SciPy's calls are quicker than what reads them one by one."""


def takes(one: Operation) -> bool:
    """Whether an operation is compiled."""
    return not isinstance(one, Crowd) and sum(map(len, one.reads)) <= FEW


def calls(
    operations: list[Operation],
    slots: Float[np.ndarray, " slots"],
    factors: Float[np.ndarray, " factors"],
    otherwise: Callable[[Operation], Iterable[tuple]],
) -> list[tuple]:
    """Calls that carry out operations on one history; `otherwise` has them for what is not compiled."""
    found: list[tuple] = []
    for taken, group in groupby(operations, takes):
        some = list(group)
        found += [_played(some, slots, factors)] if taken else chain.from_iterable(map(otherwise, some))
    return found


def _played(operations: list[Operation], slots: np.ndarray, factors: np.ndarray) -> tuple:
    return play, (*written(operations), factors, slots)


def written(
    operations: Iterable[Operation],
) -> tuple[Int[np.ndarray, " code"], Float[np.ndarray, " weights"]]:
    """Operations one after the other."""
    code, numbers = [np.zeros(0, np.int64)], [np.zeros(0)]
    at = held = 0
    for one in operations:
        kind, integers, weights = WRITTEN[type(one)](one)
        size = 3 + sum(map(np.size, integers))
        code += [np.atleast_1d(part) for part in (kind, at + size, held, *integers)]
        numbers += map(np.ravel, weights)
        at, held = at + size, held + sum(map(np.size, weights))
    return np.concatenate(code, dtype=np.int64), np.concatenate(numbers)


def looked(norms: Any, slots: Float[np.ndarray, " slots"]) -> Callable:
    """The same as `playing.Norms` says, of one history."""
    of_keys = norms.keys, norms.scale
    of_gates = norms.queries, norms.before, norms.gates, norms.weights
    ends = np.append(norms.starts[1:], len(norms.where))
    return partial(_looked, slots, norms.where, ends, norms.often, *of_keys, *of_gates)


def _sum(one: Sum) -> Written:
    ends = np.append(one.starts[1:], len(one.slots))
    return SUM, (one.out.start, len(ends), len(one.slots), ends, one.slots, one.factors), (one.weights,)


def _products(one: Products) -> Written:
    ends = np.append(one.starts[1:], len(one.left))
    return PRODUCTS, (one.out.start, len(ends), len(one.left), ends, one.left, one.right), ()


def _matrices(one: Matrices) -> Written:
    (left, rows), (right, columns) = one.left, one.right
    inner = (left.stop - left.start) // rows
    if not one.turned:
        columns = (right.stop - right.start) // columns
    weight, factor = one.shift or (0.0, 0)
    steps = (1, inner) if one.turned else (columns, 1)
    return (
        MATRICES,
        (one.out.start, rows, columns, left.start, right.start, inner, *steps, factor),
        (np.array([weight]),),
    )


def _relu(one: Relu) -> Written:
    return RELU, (one.out.start, one.at.stop - one.at.start, one.at.start), ()


def _pieces(one: Pieces) -> Written:
    tables = one.functions
    kinds, knots = tables.knots.shape
    where = one.out.start, len(tables.source), 0, one.at.start, kinds, knots, tables.source
    return PIECES, where, (tables.knots, tables.anchors, tables.values, tables.slopes)


WRITTEN = {Sum: _sum, Products: _products, Matrices: _matrices, Relu: _relu, Pieces: _pieces}


@njit(cache=True)
def _piece(numbers, first, count, at):
    """How many of so many knots are below a number."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if numbers[first + middle] < at:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def play(code, numbers, factors, slots):
    """Carry out what is written down."""
    at = 0
    while at < len(code):
        kind, held, out, rows, terms = code[at], code[at + 2], code[at + 3], code[at + 4], code[at + 5]
        more = at + 6
        if kind in (SUM, PRODUCTS):
            ends, first, second = more, more + rows, more + rows + terms
            start = 0
            for row in range(rows):
                total = 0.0
                for term in range(start, code[ends + row]):
                    if kind == SUM:
                        weight = numbers[held + term] * factors[code[second + term]]
                    else:
                        weight = slots[code[second + term]]
                    total += weight * slots[code[first + term]]
                start = code[ends + row]
                slots[out + row] = total
        elif kind == MATRICES:
            left, right, inner, down, across = code[more : more + 5]
            for row in range(rows):
                for column in range(terms):
                    total = 0.0
                    for k in range(inner):
                        total += slots[left + row * inner + k] * slots[right + k * down + column * across]
                    slots[out + row * terms + column] = total
            shift = numbers[held] * factors[code[more + 5]]
            if shift != 0:
                for row in range(rows):
                    slots[out + row * (terms + 1)] += shift
        elif kind == RELU:
            for n in range(rows):
                value = slots[terms + n]
                slots[out + n] = 0.0 if value < 0 else value
        else:
            given, kinds, knots = code[more : more + 3]
            anchors = held + kinds * knots
            values = anchors + kinds * (knots + 1)
            slopes = values + rows * (knots + 1)
            for n in range(rows):
                source = code[more + 3 + n]
                value = slots[given + source]
                piece = _piece(numbers, held + source * knots, knots, value)
                past = value - numbers[anchors + source * (knots + 1) + piece]
                mine = n * (knots + 1) + piece
                slots[out + n] = numbers[slopes + mine] * past + numbers[values + mine]
        at = code[at + 1]


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


@njit(cache=True)
def _norms(slots, where, ends, often, keys, scale, queries, before, gates, weights, factors, past):
    """The stream's largest squared norm, whether all gates are closed, the largest norms of keys."""
    norms = np.empty(len(ends))
    start = 0
    for span in range(len(ends)):
        total = 0.0
        for n in range(start, ends[span]):
            total += often[n] * slots[where[n]] * slots[where[n]]
        start = ends[span]
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
