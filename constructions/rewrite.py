"""The rewriting itself: which identity each head and neuron provably satisfies. identities.py says what they are."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from constructions.evaluate import CompiledLayer, Program
from constructions.identities import General, Group, Linear, OwnProduct, OwnToken, PositionScore
from constructions.sparsity import Rows, Sparse, bands, spans
from constructions.transformer import Attention, HeadMatrices, Layer, Transformer, head_matrices

MANY = 8
"""From so many bands on, paired neurons are written entry by entry."""


def compile_weights(transformer: Transformer, position: slice, longest: int) -> Program:
    """Rewrite a transformer's current weights.

    Args:
        transformer: the weights as they are now; compile again after changing one.
        position: the stream entries at which every token holds (i, i², 1).
        longest: the largest number of tokens that will be processed.
    """
    written = np.zeros(transformer.width, dtype=bool)
    for layer in transformer.stored_layers:
        written[layer.attention.targets[layer.attention.value.rows].numpy(force=True)] = True
        written[layer.mlp.second.rows.numpy(force=True)] = True
    layers = [
        CompiledLayer(
            tuple(_groups(layer.attention, written, position, longest)),
            *_neurons(layer),
            layer.repeat,
            layer.mlp.first.outputs,
        )
        for layer in transformer.stored_layers
    ]
    return Program(transformer, layers, np.flatnonzero(written), position)


def explain(transformer: Transformer, position: slice, tokens: int) -> list[dict]:
    """Program.explain for a transformer's current weights."""
    return compile_weights(transformer, position, tokens).explain(tokens)


def _groups(attention: Attention, written: np.ndarray, position: slice, longest: int) -> Iterator[Group]:
    """File every head of a layer under an identity."""
    own, products, rest, general = defaultdict(list), defaultdict(list), [], []
    for head in head_matrices(attention):
        split = _split_score(head[0], head[1], written, position, longest)
        if not min(part.count_nonzero() for part in head[:3]):
            split = _SILENT
        if split is not None and not split.rows.any():
            own[split.score.coefficients.tobytes()].append((split, head))
        else:
            rest.append((split, head))
    for members in own.values():
        value = sum(_placed(value, targets, len(written)) for _, (_, _, value, targets) in members)
        yield OwnToken(members[0][0].score, Rows(value), len(members))
    pairs, rest = _signed_pairs(rest)
    for name, heads in pairs.items():
        yield _linear(name, heads, written)
    for split, head in rest:
        if split is None or not split.score.coefficients.any():
            general.append(head)
        else:
            products[(split.score.coefficients.tobytes(), int(split.rows.sum()))].append((split, head))
    for members in products.values():
        yield _product([split for split, _ in members], [head for _, head in members], written)
    if general:
        yield _general(general, written)


@dataclass(frozen=True)
class _Split:
    """A score as a polynomial of the positions plus the product of some rows of query and key."""

    score: PositionScore
    rows: np.ndarray


_SILENT = _Split(PositionScore(np.zeros((3, 3))), np.zeros(0, dtype=bool))
"""A head with a zero query, key or value: it sees its own token and adds nothing."""


def _split_score(query, key, written: np.ndarray, position: slice, longest: int) -> _Split | None:
    """Split a score by rows into positions and the rest; None where an own-token identity cannot hold.

    Each row must read the position only, on both sides, or not at all, on both; no layer may write what the key reads; the
    polynomial must be ≤ 0 for all j < i ≤ longest.
    """
    place = np.zeros(len(written), dtype=bool)
    place[position] = True
    if written[place].any() or written[key.indices].any():
        return None
    (query_at, query_off), (key_at, key_off) = (
        (abs(part[:, place]).sum(1) > 0, abs(part[:, ~place]).sum(1) > 0) for part in (query, key)
    )
    live = (query_at | query_off) & (key_at | key_off)  # a product with nothing is 0
    if (live & (query_at | key_at) & (query_off | key_off)).any():
        return None
    rows = live & query_at
    score = PositionScore((query[rows][:, position].T @ key[rows][:, position]).toarray())
    if (score.before(torch.arange(2, longest + 1, dtype=torch.float64)) > 0).any():
        return None
    return _Split(score, live & query_off)


def _product(splits: list[_Split], heads: list[HeadMatrices], written: np.ndarray) -> OwnProduct:
    query, key = (
        Sparse(sparse.vstack([head[n][split.rows] for split, head in zip(splits, heads, strict=True)]))
        for n in range(2)
    )
    whole = _general(heads, written)
    return OwnProduct(splits[0].score, query, key, whole.value, whole.targets, len(heads), whole)


def _general(heads: list[HeadMatrices], written: np.ndarray) -> General:
    """Heads by the definition."""
    query, key, value = (Sparse(sparse.vstack([head[n] for head in heads])) for n in range(3))
    reads = np.concatenate([part.indices for _, key, value, _ in heads for part in (key, value)])
    targets = spans(np.concatenate([targets for *_, targets in heads]))
    return General(query, key, value, targets, not written[reads].any(), len(heads))


def _placed(value: sparse.csr_array, targets: np.ndarray, width: int) -> sparse.csr_array:
    """Value rows put at their stream entries: the literal V."""
    coo = value.tocoo()
    return sparse.csr_array((coo.data, (targets[coo.row], coo.col)), shape=(width, width))


def _signed_pairs(heads: list) -> tuple[dict[str, list], list]:
    """Match heads (q, k, v, targets) with (−q, k, −v, targets); group the matches by their key and value rows."""
    waiting, pairs = defaultdict(list), defaultdict(list)
    for split, head in heads:
        query, key, value, targets = head
        mates = waiting[(_print(-query), _print(key), _print(-value), targets.tobytes())]
        if mates:
            mates.pop()
            pairs[hashlib.sha256(_print(key) + b"/" + _print(value)).hexdigest()].append(head)
        else:
            waiting[(_print(query), _print(key), _print(value), targets.tobytes())].append((split, head))
    return pairs, [head for group in waiting.values() for head in group]


def _print(matrix: sparse.csr_array) -> bytes:
    """A fingerprint that agrees exactly for equal matrices."""
    coo = matrix.tocoo()
    keep = np.flatnonzero(coo.data)
    order = keep[np.lexsort((coo.col[keep], coo.row[keep]))]
    return b"|".join(
        part[order].tobytes() for part in (coo.row.astype(np.int64), coo.col.astype(np.int64), coo.data)
    )


def _linear(name: str, members: list, written: np.ndarray) -> Linear:
    _, key, value, _ = members[0]
    key_rows, value_rows = (np.flatnonzero(np.diff(part.indptr)) for part in (key, value))
    return Linear(
        Rows(key),
        Rows(value),
        Sparse(sparse.vstack([query[key_rows] for query, *_ in members])),
        spans(np.concatenate([targets[value_rows] for *_, targets in members])),
        not written[np.concatenate([key.indices, value.indices])].any(),
        name,
        2 * len(members),
    )


def _neurons(layer: Layer) -> tuple[tuple[Sparse, Sparse], Sparse, Rows]:
    """Split the MLP into the linear map of its opposite pairs and the neurons that remain."""
    first, second = layer.mlp.first.matrix(), layer.mlp.second.matrix().T.tocsr()
    waiting, paired = defaultdict(list), []
    for unit in range(layer.mlp.first.outputs):
        reads, writes = first[[unit]], second[[unit]]
        mates = waiting[(_print(-reads), _print(-writes))]
        if mates:
            mates.pop()
            paired.append(unit)
        else:
            waiting[(_print(reads), _print(writes))].append(unit)
    rest = sorted(unit for group in waiting.values() for unit in group)
    reads, writes = first[paired], sparse.csr_array(second[paired].T)
    if len(bands(writes)) > MANY:  # one row of the product for each stream entry instead
        product = Rows(writes @ reads)
        picks = (np.ones(product.count), (product.used, np.arange(product.count)))
        reads, writes = (
            product.matrix,
            sparse.csr_array(picks, shape=(layer.mlp.second.outputs, product.count)),
        )
    return (Sparse(reads), Sparse(writes)), Sparse(first[rest]), Rows(second[rest].T)
