"""The rewriting itself: which identity each head and neuron provably satisfies. evaluate.py says what the identities are."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from scipy import sparse

from constructions.evaluate import CompiledLayer, General, Linear, OwnToken, Program, Rows, Sparse, spans
from constructions.transformer import Attention, Layer, Transformer, head_matrices


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
            tuple(_groups(layer.attention, written, position, longest)), *_neurons(layer), repeat=layer.repeat
        )
        for layer in transformer.stored_layers
    ]
    return Program(layers, np.flatnonzero(written), transformer.clip_radius)


def _groups(
    attention: Attention, written: np.ndarray, position: slice, longest: int
) -> Iterator[OwnToken | Linear | General]:
    """File every head of a layer under an identity."""
    own, rest = defaultdict(list), []
    for query, key, value, targets in head_matrices(attention):
        score = _position_score(query, key, written, position, longest)
        if score is None:
            rest.append((query, key, value, targets))
        else:
            own[score.tobytes()].append((score, _placed(value, targets, len(written))))
    for members in own.values():
        yield OwnToken(members[0][0], Rows(sum(value for _, value in members)), len(members))
    pairs, rest = _signed_pairs(rest)
    for name, members in pairs.items():
        yield _linear(name, members, written)
    if rest:
        query, key, value = (Sparse(sparse.vstack([head[n] for head in rest])) for n in range(3))
        static = not any(written[part.indices].any() for _, key, value, _ in rest for part in (key, value))
        targets = spans(np.concatenate([targets for *_, targets in rest]))
        yield General(query, key, value, targets, static, len(rest))


def _position_score(query, key, written: np.ndarray, position: slice, longest: int) -> np.ndarray | None:
    """The score as coefficients of (i, i², 1) ⊗ (j, j², 1), if it is one and is ≤ 0 for all j < i ≤ longest."""
    elsewhere = np.ones(len(written), dtype=bool)
    elsewhere[position] = False
    reads = np.zeros(len(written), dtype=bool)
    reads[query.indices], reads[key.indices] = True, True
    if (reads & elsewhere).any() or written[position].any():
        return None
    score = (query[:, position].T @ key[:, position]).toarray()
    i = np.arange(2, longest + 1, dtype=np.float64)
    linear, quadratic, constant = (np.stack([i, i**2, np.ones_like(i)], axis=1) @ score).T
    vertex = np.divide(-linear, 2 * quadratic, out=np.ones_like(i), where=quadratic != 0)
    for candidate in (np.ones_like(i), i - 1, np.floor(vertex), np.ceil(vertex)):
        j = np.clip(candidate, 1, i - 1)
        if (linear * j + quadratic * j**2 + constant > 0).any():
            return None
    return score


def _placed(value: sparse.csr_array, targets: np.ndarray, width: int) -> sparse.csr_array:
    """Value rows put at their stream entries: the literal V."""
    coo = value.tocoo()
    return sparse.csr_array((coo.data, (targets[coo.row], coo.col)), shape=(width, width))


def _signed_pairs(heads: list) -> tuple[dict[tuple, list], list]:
    """Match heads (q, k, v, targets) with (−q, k, −v, targets); group the matches by their key and value rows."""
    waiting, pairs = defaultdict(list), defaultdict(list)
    for head in heads:
        query, key, value, targets = head
        mates = waiting[(_print(-query), _print(key), _print(-value), targets.tobytes())]
        if mates:
            mates.pop()
            pairs[(_print(key), _print(value))].append(head)
        else:
            waiting[(_print(query), _print(key), _print(value), targets.tobytes())].append(head)
    return pairs, [head for group in waiting.values() for head in group]


def _print(matrix: sparse.csr_array) -> bytes:
    """A fingerprint that agrees exactly for equal matrices."""
    coo = matrix.tocoo()
    keep = np.flatnonzero(coo.data)
    order = keep[np.lexsort((coo.col[keep], coo.row[keep]))]
    return b"|".join(
        part[order].tobytes() for part in (coo.row.astype(np.int64), coo.col.astype(np.int64), coo.data)
    )


def _linear(name: tuple, members: list, written: np.ndarray) -> Linear:
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


def _neurons(layer: Layer) -> tuple[Rows, Sparse, Rows]:
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
    linear = sparse.csr_array(second[paired].T @ first[paired])
    return Rows(linear), Sparse(first[rest]), Rows(second[rest].T)
