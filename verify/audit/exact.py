"""The same forward pass in exact rational arithmetic.

The heads and neurons are those of the transformer's weights, filed by rewrite.py: every identity is an equation between
polynomials and relus, so it holds for rationals as it does for floats, and what it presumes of the tokens at hand (a gate
that outweighs a product) is checked here in rationals too, or in floats with room to spare. Weights are taken as float64
holds them, or as the exact numbers they stand for (1/3) where the transformer keeps those and they still round to the
weight.

Rows of integers are held in float64 as long as that is exact (rationals.py); everything else is computed as rationals.
"""

from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from flint import fmpq

from constructions import checks
from constructions.construction import Construction
from constructions.fast.chunks import POWERS, PositionScore
from constructions.fast.heads import Gated, General, Group, Linear, OwnProduct, OwnToken
from constructions.fast.softmax_heads import SoftmaxGroup
from constructions.inputs.bandits import History
from constructions.transformer import Layer, SparseMap
from verify.audit.rationals import SAFE, Numbers, rational

ROOM = 1e-9
"""Relative room for rounding where an inequality is checked in floats."""


def logits(built: Construction, history: History) -> list[list[Fraction]]:
    """The output at every step of a history, exactly: its logits, an entry for each action, or scores or values.

    Raises:
        ValueError: if the history is not admissible, a head is of a kind that is not evaluated exactly, or an identity does
            not hold for this history.
    """
    stream = forward(built, history)
    states = built.tokens.states(history.steps)
    rows: list[Any] = [stream.row(entry) for entry in built.output.tolist()]
    return [[Fraction(int(row[t].p), int(row[t].q)) for row in rows] for t in states]


def forward(built: Construction, history: History) -> Numbers:
    """The whole stream after the last layer, exactly; the attention is the paper's."""
    checks.instance("built", built, Construction)
    if not built.transformer.as_printed:
        raise ValueError(
            "exact evaluation: wanted the paper's attention, got another, of which rationals do not know"
        )
    tokens = built.tokens.encode(history).T
    stream = Numbers(np.zeros_like(tokens))
    for number, row in enumerate(tokens):
        stream.put(number, np.array([rational(float(x)) for x in row], dtype=object))
    program, radius = built.policy_program, built.transformer.clip_radius
    for compiled, layer in zip(program.layers, built.transformer.stored_layers, strict=True):
        for _ in range(layer.repeat):
            _attend(stream, compiled.groups)
            _neurons(stream, layer)
            norm = np.sqrt(np.square(stream.floats()).sum(0)).max()
            if not norm <= radius * (1 - ROOM):
                wanted = f"norms below the clip radius {radius:g}"
                raise ValueError(f"exact evaluation: wanted {wanted}, got {norm:g}")
    return stream


Sums = dict[int, np.ndarray]
"""What is added to stream entries."""


def _attend(stream: Numbers, groups: tuple[Group | SoftmaxGroup, ...]) -> None:
    """One attention layer."""
    sums: Sums = {}
    for group in groups:
        kinds = {OwnToken: _own_token, OwnProduct: _own_product, Linear: _linear, Gated: _gated}
        kinds[General] = _general
        if type(group) not in kinds:
            raise ValueError(f"exact evaluation: wanted heads of other kinds, got {type(group).__name__}")
        for entry, row in kinds[type(group)](group, stream):
            sums[entry] = sums[entry] + row if entry in sums else row
    _add(stream, sums)


def _add(stream: Numbers, sums: Sums) -> None:
    for entry, row in sums.items():
        stream.put(entry, stream.row(entry) + row)


def _count(stream: Numbers) -> int:
    return stream.integers.shape[1]


def _index(tokens: int) -> np.ndarray:
    """1/i for every token."""
    return np.array([fmpq(1, i) for i in range(1, tokens + 1)], dtype=object)


def _own(score: PositionScore, tokens: int) -> list[fmpq]:
    """p(i, i) for every token."""
    entries = zip(score.coefficients.ravel(), POWERS.ravel(), strict=True)
    terms = [(rational(float(c)), int(n)) for c, n in entries if c]
    return [sum((c * i**n for c, n in terms), fmpq(0)) for i in range(1, tokens + 1)]


def _share(scores: list) -> np.ndarray:
    """relu(score)/i."""
    return np.array([max(score, fmpq(0)) / i for i, score in enumerate(scores, start=1)], dtype=object)


def _own_token(group: OwnToken, stream: Numbers):
    moved, factor = stream.times(group.value.matrix), _share(_own(group.score, _count(stream)))
    for number, entry in enumerate(group.value.targets.entries):
        yield int(entry), moved.row(number) * factor


def _linear(group: Linear, stream: Numbers):
    """Signed pairs: the prefix sums of value ⊗ key, applied to each query."""
    query, key, value = (stream.times(part.matrix) for part in (group.queries, group.key, group.value))
    keys, values, index = group.key.count, group.value.count, _index(_count(stream))
    for n in range(values):
        sums = [np.cumsum(value.row(n) * key.row(k)) * index for k in range(keys)]
        for head in range(group.heads // 2):
            moved = sum((query.row(head * keys + k) * sums[k] for k in range(keys)), 0 * index)
            yield int(group.targets.entries[head * values + n]), moved


def _own_product(group: OwnProduct, stream: Numbers):
    """Heads that see their own token only; that the gate outweighs all products before is checked with room to spare."""
    query, key, value = (stream.times(part.matrix) for part in (group.query, group.key, group.value))
    tokens, heads = _count(stream), group.heads
    x, y = (abs(part.floats()).reshape(heads, -1, tokens) for part in (query, key))
    sizes = np.concatenate([y, np.linalg.norm(y, axis=1, keepdims=True), y.sum(1, keepdims=True)], axis=1)
    before = np.maximum.accumulate(
        np.concatenate([np.zeros((*sizes.shape[:2], 1)), sizes[..., :-1]], axis=-1), -1
    )
    reach = group._reach(torch.as_tensor(x)[:, :, None], torch.as_tensor(before)[:, :, None])[:, 0].numpy()
    gate = group.score.before(torch.arange(1, tokens + 1, dtype=torch.float64)).numpy()
    if (reach * (1 + ROOM) + gate > 0).any():
        raise ValueError("exact evaluation: wanted gates that outweigh all products, got a weaker one")
    own = np.array(_own(group.score, tokens), dtype=object)
    rank, span = x.shape[1], len(value.integers) // heads
    for head in range(heads):
        rows = range(head * rank, (head + 1) * rank)
        some = (n for n in rows if query.integers[n].any() or n in query.rationals)
        score = sum((query.row(n) * key.row(n) for n in some), own)
        factor = _share(list(score))
        for n in range(head * span, (head + 1) * span):
            yield int(group.targets.entries[n]), value.row(n) * factor


def _moves(pairs, value: Numbers, span: int, entries: np.ndarray, tokens: int):
    """Σ over (head, token j, scores of the tokens from j on) of score · value_j/i."""
    sums: defaultdict[int, np.ndarray] = defaultdict(lambda: np.array([fmpq(0)] * tokens, dtype=object))
    for head, token, scores in pairs:
        for n in range(head * span, (head + 1) * span):
            moved = (
                value.rationals[n][token]
                if n in value.rationals
                else rational(float(value.integers[n, token]))
            )
            if moved:
                sums[n][token:] += scores * moved
    for n, row in sums.items():
        yield int(entries[n]), row * _index(tokens)


def _gated(group: Gated, stream: Numbers):
    query, key, gates, value = (
        stream.times(part.matrix) for part in (group.query, group.key, group.gates, group.value)
    )
    tokens = _count(stream)
    if gates.rationals or key.rationals:
        raise ValueError("exact evaluation: wanted gates and keys that are integers, got others")
    opened = gates.integers > -group.cap
    closed = np.where(opened, -np.inf, gates.integers).max(0)
    pairs = []
    for token in range(tokens):
        common = np.array([fmpq(0)] * (tokens - token), dtype=object)
        for n in np.flatnonzero(key.integers[:, token]):
            common = common + query.row(int(n))[token:] * rational(float(key.integers[n, token]))
        if np.isfinite(closed[token]) and max(common) + rational(float(closed[token])) > 0:
            raise ValueError("exact evaluation: wanted gates that outweigh all products, got a weaker one")
        for head in np.flatnonzero(opened[:, token]):
            gate = rational(float(gates.integers[head, token]))
            scores = np.array([max(score + gate, fmpq(0)) for score in common], dtype=object)
            if scores.any():
                pairs.append((int(head), token, scores))
    yield from _moves(pairs, value, len(value.integers) // group.heads, group.targets.entries, tokens)


def _general(group: General, stream: Numbers):
    query, key, value = (stream.times(part.matrix) for part in (group.query, group.key, group.value))
    tokens, pairs = _count(stream), []
    if query.rationals or key.rationals:
        left, right = (_rows(part, group.heads) for part in (query, key))
        for head, token in np.ndindex(group.heads, tokens):
            terms = left[head, :, token:] * right[head, :, token, None]
            row = np.array([max(score, fmpq(0)) for score in terms.sum(axis=0)], dtype=object)
            pairs += [(head, token, row)] if row.any() else []
        yield from _moves(pairs, value, len(value.integers) // group.heads, group.targets.entries, tokens)
        return
    x, y = (part.integers.reshape(group.heads, -1, tokens) for part in (query, key))
    if np.einsum("hri,hrj->hij", abs(x), abs(y)).max(initial=0) >= SAFE:
        raise ValueError("exact evaluation: wanted scores below 2^53, got larger ones")
    scores = np.triu(np.maximum(np.einsum("hri,hrj->hji", x, y), 0))  # (heads, token j, tokens i ≥ j)
    for head, token in np.argwhere(scores.any(-1)):
        row = np.array([rational(float(score)) for score in scores[head, token, token:]], dtype=object)
        pairs.append((int(head), int(token), row))
    yield from _moves(pairs, value, len(value.integers) // group.heads, group.targets.entries, tokens)


def _rows(part: Numbers, heads: int) -> np.ndarray:
    """All rows as exact objects, shape (heads, rows of one, tokens)."""
    rows = np.array([part.row(number) for number in range(len(part.integers))], dtype=object)
    return rows.reshape(heads, -1, part.integers.shape[1])


def _neurons(stream: Numbers, layer: Layer) -> None:
    """The MLP, neuron by neuron."""
    first, second = layer.mlp.first.matrix(), layer.mlp.second
    hidden, exact = stream.times(first), _exact(second)
    units, entries = second.columns.numpy(force=True), second.rows.numpy(force=True)
    order = np.argsort(units, kind="stable")
    starts = np.searchsorted(units[order], np.arange(second.inputs + 1))
    tokens = _count(stream)
    sums: defaultdict[int, np.ndarray] = defaultdict(lambda: np.array([fmpq(0)] * tokens, dtype=object))
    active = np.maximum(hidden.integers, 0)
    active[list(hidden.rationals)] = 0
    for unit, token in np.argwhere(active):
        for n in order[starts[unit] : starts[unit + 1]]:
            sums[int(entries[n])][token] += exact[n] * rational(float(active[unit, token]))
    for unit, row in hidden.rationals.items():
        relu = np.array([max(x, fmpq(0)) for x in row], dtype=object)
        for n in order[starts[unit] : starts[unit + 1]]:
            sums[int(entries[n])] = sums[int(entries[n])] + relu * exact[n]
    _add(stream, sums)


def _exact(part: SparseMap) -> list[fmpq]:
    """The weights as rationals: the exact numbers they stand for, where those are kept and still round to the weights."""
    weights = part.weight.numpy(force=True)
    kept = weights if part.exact is None else part.exact
    known: dict[tuple[int, float], fmpq] = {}  # many weights share one number
    found = []
    for weight, number in zip(weights.tolist(), kept.tolist(), strict=True):
        name = id(number), weight
        if name not in known:
            known[name] = rational(number if float(number) == weight else weight)
        found.append(known[name])
    return found
