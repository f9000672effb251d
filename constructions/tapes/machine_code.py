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
    return np.concatenate(code, dtype=np.int64), np.concatenate(numbers)


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
def _weighted(code, numbers, factors, slots, first, second, weights, start, end):
    """A sum: its terms from `start` to `end`."""
    total = 0.0
    for term in range(start, end):
        total += numbers[weights + term] * factors[code[second + term]] * slots[code[first + term]]
    return total


@njit(cache=True, inline="always")
def _multiplied(code, slots, first, second, start, end):
    """A sum of products: its terms from `start` to `end`."""
    total = 0.0
    for term in range(start, end):
        total += slots[code[second + term]] * slots[code[first + term]]
    return total


@njit(cache=True, inline="always")
def _inner(slots, left, right, inner, down):
    """An entry of a product of matrices."""
    total = 0.0
    for k in range(inner):
        total += slots[left + k] * slots[right + k * down]
    return total


@njit(cache=True, inline="always")
def _bent(value):
    """Relu; NaN stays."""
    return 0.0 if value < 0 else value


@njit(cache=True, inline="always")
def _looked_up(code, numbers, slots, held, rows, more, n):
    """A piecewise linear function: the piece is searched for, knots below the number counted."""
    given, kinds, knots = code[more : more + 3]
    source = code[more + 3 + n]
    value, first = slots[given + source], held + source * knots
    low, high = 0, knots
    while low < high:
        middle = (low + high) // 2
        if numbers[first + middle] < value:
            low = middle + 1
        else:
            high = middle
    anchors = held + kinds * knots
    mine = anchors + kinds * (knots + 1) + n * (knots + 1) + low
    past = value - numbers[anchors + source * (knots + 1) + low]
    return numbers[mine + rows * (knots + 1)] * past + numbers[mine]


@njit(cache=True, inline="always")
def size_of(code, at):
    """How many numbers the operation that begins at `at` writes."""
    return code[at + 4] * code[at + 5] if code[at] == MATRICES else code[at + 4]


@njit(cache=True, inline="always")
def one_of(code, numbers, factors, slots, at, n):
    """Number n of those that it writes."""
    kind, held, rows, terms, more = code[at], code[at + 2], code[at + 4], code[at + 5], at + 6
    start = code[more + n - 1] if n and kind <= PRODUCTS else 0
    if kind == SUM:
        first, second = more + rows, more + rows + terms
        total = _weighted(code, numbers, factors, slots, first, second, held, start, code[more + n])
    elif kind == PRODUCTS:
        total = _multiplied(code, slots, more + rows, more + rows + terms, start, code[more + n])
    elif kind == MATRICES:
        left, right, inner, down, across = code[more : more + 5]
        row = n // terms
        column = n - row * terms
        total = _inner(slots, left + row * inner, right + column * across, inner, down)
        if row == column:
            total += numbers[held] * factors[code[more + 5]]
    elif kind == RELU:
        total = _bent(slots[terms + n])
    else:
        total = _looked_up(code, numbers, slots, held, rows, more, n)
    return total


@njit(cache=True)
def play(code, numbers, factors, slots):
    """Carry out what is written down: what `one_of` makes, for all of each operation."""
    at = 0
    while at < len(code):
        kind, held, out, rows, terms = code[at], code[at + 2], code[at + 3], code[at + 4], code[at + 5]
        more, start = at + 6, 0
        first, second = more + rows, more + rows + terms
        if kind == SUM:
            for n in range(rows):
                end = code[more + n]
                slots[out + n] = _weighted(code, numbers, factors, slots, first, second, held, start, end)
                start = end
        elif kind == PRODUCTS:
            for n in range(rows):
                end = code[more + n]
                slots[out + n] = _multiplied(code, slots, first, second, start, end)
                start = end
        elif kind == MATRICES:
            left, right, inner, down, across = code[more : more + 5]
            for row in range(rows):
                for column in range(terms):
                    at_column = right + column * across
                    slots[out + row * terms + column] = _inner(
                        slots, left + row * inner, at_column, inner, down
                    )
            shift = numbers[held] * factors[code[more + 5]]
            if shift != 0:
                for row in range(rows):
                    slots[out + row * (terms + 1)] += shift
        elif kind == RELU:
            for n in range(rows):
                slots[out + n] = _bent(slots[terms + n])
        else:
            for n in range(rows):
                slots[out + n] = _looked_up(code, numbers, slots, held, rows, more, n)
        at = code[at + 1]
