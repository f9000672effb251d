"""Steps of a matrix iteration, a X + b (Y Zᵀ) X, as one product: (a I + Y (b Z)ᵀ) X, all b Z worked out together."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from constructions.tapes.tape import Matrices, Slots, Sum, Tape, span


def fold(tape: Tape, kept: Slots) -> None:
    """Rewrite a tape's iterations, in place; `kept` are slots that are read by others than its operations."""
    reads, makers = np.zeros(tape.size, np.int64), {}
    np.add.at(reads, kept, 1)
    for number, one in enumerate(tape.operations):
        for part in one.reads:
            np.add.at(reads, part, 1)
        makers[one.out.start] = number
    scaled, gone = defaultdict(list), set()
    for number, last in enumerate(tape.operations):
        if not isinstance(last, Sum) or len(last.slots) != 2 * len(last.starts):
            continue
        for here, there in ((0, 1), (1, 0)):
            second = makers.get(int(last.slots[there]))
            product = tape.operations[second] if second is not None else None
            first = makers.get(product.left[0].start) if isinstance(product, Matrices) else None
            scores = tape.operations[first] if first is not None else None
            if first is None or not isinstance(product, Matrices) or not isinstance(scores, Matrices):
                continue
            if _step(last, here, there, product, scores) and all(
                (reads[one.out] == 1).all() for one in (product, scores)
            ):
                at, rows = scores.right
                use = first, last.weights[there], last.factors[there]
                scaled[at.start, at.stop, rows].append(use)
                shift = float(last.weights[here]), int(last.factors[here])
                tape.operations[first] = replace(scores, shift=shift)
                tape.operations[number] = replace(product, out=last.out)
                gone.add(second)
                break
    _scale(tape, scaled, gone)


def _step(last: Sum, here: int, there: int, product: Matrices, scores: Matrices) -> bool:
    """Whether a sum is a X + b (Y Zᵀ) X: `product` makes one of its terms, of `scores` and the other."""
    if (last.starts != 2 * np.arange(len(last.starts))).any() or product.turned or not scores.turned:
        return False
    same, moved = last.part(slice(here, None, 2)), last.part(slice(there, None, 2))
    square = scores.left[1] == scores.right[1] == product.right[1]
    stands = (product.out, product.right[0], product.left[0]) == (moved, same, scores.out)
    return square and stands and scores.shift is None


def _scale(tape: Tape, scaled: dict, gone: set[int]) -> None:
    """Put in the matrices that are scaled, before the first product that uses them, and leave out what is gone."""
    before = defaultdict(list)
    for (start, stop, rows), uses in scaled.items():
        size, end = stop - start, len(tape.operations)
        turned = tape.together(np.arange(start, stop).reshape(rows, -1).T.ravel())
        copies = tape.operations[end:]
        del tape.operations[end:]
        new = tape.new(size * len(uses))
        weights, factors = (np.repeat([use[n] for use in uses], size) for n in (1, 2))
        many = Sum(span(new), np.arange(len(new)), np.tile(turned, len(uses)), weights, factors)
        before[uses[0][0]] += [*copies, many]
        for part, (number, *_) in zip(np.split(new, len(uses)), uses, strict=True):
            right = span(part), size // rows
            tape.operations[number] = replace(tape.operations[number], right=right, turned=False)
    tape.operations[:] = [
        one
        for number, last in enumerate(tape.operations)
        for one in [*before[number], last]
        if one is not last or number not in gone
    ]
