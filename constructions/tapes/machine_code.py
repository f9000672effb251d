"""Operations of a tape written down as numbers, and machine code, made by numba, that carries them out.

An operation is written down as integers, which say where it reads and writes, and numbers, its weights. What reads them
knows of no algorithm: what it works out is what the weights say.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from constructions.tapes.tape import Matrices, Operation, Pieces, Products, Relu, Sum

SUM, PRODUCTS, MATRICES, RELU, PIECES = range(5)
"""How an operation begins; where the next one begins, where its weights do and what it writes come next."""

Written = tuple[int, tuple[Any, ...], tuple[Float[np.ndarray, "..."], ...]]
"""The kind of an operation, its integers and its weights."""


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
    return np.concatenate(code, dtype=np.int64).astype(np.int32), np.concatenate(numbers)


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


@njit(cache=True, inline="always")
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


@njit(cache=True, inline="always")
def size_of(code, at):
    """How many numbers the operation that begins at `at` writes."""
    return code[at + 4] * code[at + 5] if code[at] == MATRICES else code[at + 4]


@njit(cache=True, inline="always")
def one_of(code, numbers, factors, slots, at, n):
    """Number n of those that it writes."""
    kind, held, rows, terms, more = code[at], code[at + 2], code[at + 4], code[at + 5], at + 6
    total = 0.0
    if kind == SUM:
        first, second = more + rows, more + rows + terms
        for term in range(code[more + n - 1] if n else 0, code[more + n]):
            total += numbers[held + term] * factors[code[second + term]] * slots[code[first + term]]
    elif kind == PRODUCTS:
        first, second = more + rows, more + rows + terms
        for term in range(code[more + n - 1] if n else 0, code[more + n]):
            total += slots[code[second + term]] * slots[code[first + term]]
    elif kind == MATRICES:
        left, right, inner, down, across = code[more : more + 5]
        row, column = n // terms, n % terms
        for k in range(inner):
            total += slots[left + row * inner + k] * slots[right + k * down + column * across]
        if row == column:
            total += numbers[held] * factors[code[more + 5]]
    elif kind == RELU:
        total = slots[terms + n]
        if total < 0:
            total = 0.0
    else:
        given, kinds, knots = code[more : more + 3]
        source = code[more + 3 + n]
        value = slots[given + source]
        piece = _piece(numbers, held + source * knots, knots, value)
        anchors = held + kinds * knots
        mine = anchors + kinds * (knots + 1) + n * (knots + 1) + piece
        past = value - numbers[anchors + source * (knots + 1) + piece]
        total = numbers[mine + rows * (knots + 1)] * past + numbers[mine]
    return total


@njit(cache=True)
def play(code, numbers, factors, slots):
    """Carry out what is written down."""
    at = 0
    while at < len(code):
        out = code[at + 3]
        for n in range(size_of(code, at)):
            slots[out + n] = one_of(code, numbers, factors, slots, at, n)
        at = code[at + 1]
