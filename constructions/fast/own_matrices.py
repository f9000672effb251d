"""Own-token products that form matrices: how they are found. own_token.OwnMatrix says what they are."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Int
from scipy import sparse

from constructions.fast.chunks import PositionScore
from constructions.fast.own_token import OwnMatrix
from constructions.fast.pruning import HeadWeights
from constructions.fast.sparsity import Sparse, Targets, packed, shape

CROWD = 4
"""So many heads or pairs at least make a crowd, which is evaluated together."""

Heads = Int[np.ndarray, " _"]
"""Numbers of heads."""


def own_matrices(
    heads: HeadWeights, product: Bool[np.ndarray, " rows"], members: Heads, score: PositionScore
) -> tuple[list[OwnMatrix], Heads]:
    """File signed pairs that form matrices; also, the heads that are left.

    Args:
        heads: the weights of a group of heads.
        product: which rows of its queries and keys make the products, not the polynomial in the positions.
        members: the heads to file, whose polynomial is negative at all earlier tokens.
        score: that polynomial.
    """
    mask = product.reshape(heads.count, -1)[members]
    if score.powers.any() or not (mask == mask[0]).all():
        return [], members
    seeker = Seeker(heads, mask[0], product)
    pairs = {}
    for pair in seeker.pairs(members):
        one, other = sorted(pair, key=seeker.query_print)  # of q and −q always the same first
        pairs[one] = other
    crowds = defaultdict(list)
    for keyed, columns, row in seeker.rows(pairs):
        crowds[keyed, columns].append(row)
    found, used = [], []
    for (keyed, columns), rows in crowds.items():
        if len(columns) > 1 and len(rows) * len(columns) >= CROWD:
            found.append(seeker.matrix(score, keyed, np.array(rows)))
            used += [head for row in rows for one in row for head in (one, pairs[one])]
    return found, np.setdiff1d(members, used)


class Seeker:
    """Finds signed pairs, and matrices of them, among the heads of one group.

    Args:
        heads: the weights of the group.
        mask: which rows of a head's query and key are looked at, the same in all heads.
        rows: which rows of all queries and keys are; all if left out.
    """

    def __init__(
        self,
        heads: HeadWeights,
        mask: Bool[np.ndarray, " rank"],
        rows: Bool[np.ndarray, " rows"] | None = None,
    ):
        self.heads, self.mask, self.rank = heads, mask, len(mask)
        self.span = shape(heads.value)[0] // heads.count
        self.query, self.key = heads.query, heads.key
        if rows is not None:
            only = sparse.diags_array(rows.astype(float))
            self.query, self.key = (sparse.csr_array(only @ part) for part in (heads.query, heads.key))
        self.query_print, self.opposite = packed(self.query, self.rank)
        self.key_print, _ = packed(self.key, self.rank)
        self.value_print, self.reverse = packed(heads.value, self.span)

    def targets(self, head: int) -> bytes:
        """Where a head writes, as a name."""
        return self.heads.targets[head * self.span : (head + 1) * self.span].tobytes()

    def pairs(self, members: Heads) -> Iterator[tuple[int, int]]:
        """Matches of (q, k, v) with (−q, k, −v): the later head first."""
        waiting = defaultdict(list)
        for head in members.tolist():
            same = self.key_print(head), self.targets(head)
            mates = waiting[(self.opposite(head), self.reverse(head), *same)]
            if mates:
                yield head, mates.pop()
            else:
                waiting[(self.query_print(head), self.value_print(head), *same)].append(head)

    def rows(self, pairs: dict[int, int]) -> Iterator[tuple[bool, tuple[int, ...], list[int]]]:
        """Pairs with one target and one vector in common: whether it is the query, the others' numbers, the pairs."""
        targets = defaultdict(list)
        for head in pairs:
            targets[self.targets(head)].append(head)
        query, key = (_numbers(sorted(pairs), name) for name in (self.query_print, self.key_print))
        for members in targets.values():
            for keyed, near, far in ((True, query, key), (False, key, query)):
                columns = {far[head]: head for head in members}
                if len({near[head] for head in members}) == 1 and len(columns) == len(members):
                    names = tuple(sorted(columns))
                    yield keyed, names, [columns[name] for name in names]
                    break

    def matrix(
        self, score: PositionScore, keyed: bool, members: Int[np.ndarray, "rows columns"]
    ) -> OwnMatrix:
        """A matrix of pairs."""
        rows, columns = members.shape
        near, far = (self.query, self.key) if keyed else (self.key, self.query)
        common = all(len({self.value_print(head) for head in column}) == 1 for column in members.T.tolist())
        values = self._of(members[0] if common else members.ravel(), self.span)
        height = np.flatnonzero(self.mask)
        left, right = (
            (part[(ones[:, None] * self.rank + height).ravel()])
            for part, ones in ((near, members[:, 0]), (far, members[0]))
        )
        keys = right if keyed else left
        name = (
            f"{columns if keyed else rows} {hashlib.sha256(packed(keys, shape(keys)[0])[0](0)).hexdigest()}"
        )
        targets = Targets(self.heads.targets[self._of(members[:, 0], self.span)])
        parts = Sparse(left), Sparse(right), Sparse(self.heads.value[values]), targets
        return OwnMatrix(score, *parts, rows, columns, 2 * members.size, common, keyed, name, False)

    @staticmethod
    def _of(members: Heads, height: int) -> Int[np.ndarray, " rows"]:
        return (members[:, None] * height + np.arange(height)).ravel()


def _numbers(heads: list[int], name: Callable[[int], bytes]) -> dict[int, int]:
    """A number for each head, the same for heads of one name, in the order in which names turn up."""
    known: dict[bytes, int] = {}
    return {head: known.setdefault(name(head), len(known)) for head in heads}
