"""Definitions 1 to 3 in fractions, one head and one pair of tokens at a time: no identity is used."""

import itertools
from fractions import Fraction

import numpy as np


def entries(part) -> list[tuple[int, int, Fraction]]:
    """Rows, columns and weights of a map, the weights as the numbers that they stand for."""
    weights = part.weight.tolist()
    true = weights if part.exact is None else part.exact
    true = [t if float(t) == w else w for t, w in zip(true, weights, strict=True)]
    return [(int(r), int(c), Fraction(t)) for r, c, t in zip(part.rows, part.columns, true, strict=True)]


def apply(part, tokens: list[list[Fraction]]) -> list[list[Fraction]]:
    held = entries(part)
    results = [[Fraction(0)] * part.outputs for _ in tokens]
    for token, result in zip(tokens, results, strict=True):
        for row, column, weight in held:
            result[row] += weight * token[column]
    return results


def by_definition(model, tokens: np.ndarray) -> list[list[Fraction]]:
    """What the transformer makes of the tokens."""
    now = [[Fraction(float(x)) for x in row] for row in tokens]
    for layer in model.run():
        moved = [list(token) for token in now]
        for group in layer.attention.stored_groups:
            query, key, value = (apply(part, now) for part in (group.query, group.key, group.value))
            rank, span = len(query[0]) // group.count, len(value[0]) // group.count
            for head, i in itertools.product(range(group.count), range(len(now))):
                rows = range(head * rank, (head + 1) * rank)
                for j in range(i + 1):
                    score = max(sum((query[i][n] * key[j][n] for n in rows), Fraction(0)), Fraction(0))
                    for n in range(head * span, (head + 1) * span) if score else ():
                        moved[i][int(group.targets[n])] += score * value[j][n] / (i + 1)
        for token, inner in zip(moved, apply(layer.mlp.first, moved), strict=True):
            [change] = apply(layer.mlp.second, [[max(x, Fraction(0)) for x in inner]])
            for n, x in enumerate(change):
                token[n] += x
        now = moved
    return now
