"""Operations that wait for nothing but what is there already are done together, as early as that can be."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from constructions.tapes.tape import Crowd, Matrices, Operation, Products, Sum, Tape


def level(tape: Tape) -> Int[np.ndarray, " slots"]:
    """Rewrite a tape, in place; the answer is where each slot stands now.

    Slots that were written by one operation stay side by side, and so do those that none writes.
    """
    depth, found = np.zeros(tape.size, np.int64), defaultdict(list)
    given = np.ones(tape.size, bool)
    for one in tape.operations:
        now = 1 + max((int(depth[part].max(initial=0)) for part in one.reads), default=0)
        depth[one.out], given[one.out] = now, False
        found[now].append(one)
    place, operations = np.zeros(tape.size, np.int64), []
    place[given] = np.arange(given.sum())
    size = int(given.sum())
    for now in sorted(found):
        for members in _crowds(found[now]):
            start = size
            for one in members:
                count = one.out.stop - one.out.start
                place[one.out] = np.arange(size, size + count)
                size += count
            operations.append(_joined([_moved(one, place) for one in members], slice(start, size)))
    tape.operations[:], tape.size = operations, size
    tape.copies.clear()
    return place


def _crowds(operations: list[Operation]) -> list[list[Operation]]:
    """What can be one operation."""
    found: dict[object, list[Operation]] = defaultdict(list)
    for one in operations:
        found[type(one) if isinstance(one, Sum | Products) else one].append(one)
    return list(found.values())


def _moved(one: Operation, place: Int[np.ndarray, " slots"]) -> Operation:
    """The operation on slots as they are now."""
    out = moved(one.out, place)
    if isinstance(one, Sum):
        return replace(one, out=out, slots=place[one.slots])
    if isinstance(one, Products):
        return replace(one, out=out, left=place[one.left], right=place[one.right])
    if isinstance(one, Matrices):
        (left, rows), (right, columns) = one.left, one.right
        return replace(one, out=out, left=(moved(left, place), rows), right=(moved(right, place), columns))
    if isinstance(one, Crowd):
        names = ("query", "keys", "gates", "values")
        return replace(one, out=out, **{name: moved(getattr(one, name), place) for name in names})
    return replace(one, out=out, at=moved(one.at, place))


def moved(slots: slice, place: Int[np.ndarray, " slots"]) -> slice:
    """Consecutive slots, which still are."""
    if slots.stop == slots.start:
        return slice(0, 0)
    start = int(place[slots.start])
    return slice(start, start + slots.stop - slots.start)


def _joined(members: list, out: slice) -> Operation:
    """Sums, or products, as one operation."""
    if len(members) == 1:
        return members[0]
    first = members[0]
    sizes = [len(one.slots if isinstance(one, Sum) else one.left) for one in members]
    starts = np.concatenate(
        [one.starts + at for one, at in zip(members, np.cumsum([0, *sizes]), strict=False)]
    )
    names = ("slots", "weights", "factors") if isinstance(first, Sum) else ("left", "right")
    whole = {name: np.concatenate([getattr(one, name) for one in members]) for name in names}
    return replace(first, out=out, starts=starts, **whole)
