"""Everything the inspector knows as one JSON record; weights are exact, arrays that occur again are stored once.

`arrays` holds lists of numbers; everywhere else an array is the number of its list. A sparse matrix is {"rows", "columns",
"weights"}, entry n being weights[n] at (rows[n], columns[n]).
"""

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
from scipy import sparse

from constructions.anatomy.formulas import KINDS, OWN
from constructions.anatomy.layers import Family, Neurons, View, said, span
from constructions.construction import Construction
from constructions.parts.block import Block, Bound
from verify.inspector.replay import Replay


class Pool:
    """Lists of numbers, equal ones once."""

    def __init__(self):
        self.arrays: list[list[float | int | str]] = []
        self._places: dict[tuple[str, bytes], int] = {}

    def put(self, array: np.ndarray) -> int:
        """The number of the list that holds this array's entries, in order."""
        flat = np.ascontiguousarray(array).ravel()
        key = flat.dtype.kind, flat.tobytes()
        if key not in self._places:
            self._places[key] = len(self.arrays)
            self.arrays.append([plain(value) for value in flat.tolist()])
        return self._places[key]

    def matrix(self, matrix: sparse.csr_array) -> dict[str, int]:
        """A sparse matrix."""
        coo = matrix.tocoo()
        return {
            "rows": self.put(coo.row.astype(np.int64)),
            "columns": self.put(coo.col.astype(np.int64)),
            "weights": self.put(coo.data),
        }


def plain(value: float) -> float | int | str:
    """A number as JSON writes it shortest, without loss; what JSON has no number for as text.

    >>> plain(2.0), plain(0.1), plain(float("inf"))
    (2, 0.1, 'inf')
    """
    if not np.isfinite(value):
        return str(value)
    return int(value) if value == int(value) and abs(value) < 1e15 else value


def record(built: Construction, title: str, run: Replay | None = None, source: str = "") -> dict[str, Any]:
    """A construction as a JSON record: registers, blocks, layers with all weights, and a history if there is one.

    Args:
        built: the construction.
        title: what it is, in a few words.
        run: the history.
        source: whose construction it is.
    """
    views, pool, size = built.heads().views, Pool(), built.size()
    stream = built.tokens.stream
    return {
        "title": title,
        "source": source,
        "spec": _spec(built.spec),
        "size": {**{key: plain(value) for key, value in asdict(size).items()}},
        "certificate": plain(built.certificate),
        "clip_radius": plain(built.transformer.clip_radius),
        "kinds": KINDS,
        "own": OWN,
        "registers": [{"name": r.name, "start": r.start, "size": r.size} for r in stream.registers.values()],
        "blocks": [_block(built, views, number, block) for number, block in enumerate(built.blocks)],
        "layers": [_layer(view, pool) for view in views],
        "history": None if run is None else _history(built, run, pool),
        "arrays": pool.arrays,
    }


def _spec(spec: Any) -> dict[str, Any]:
    return asdict(spec) if is_dataclass(spec) and not isinstance(spec, type) else {}


def _bound(bound: Bound) -> dict[str, Any]:
    return {"error": plain(bound.error), "rounding": plain(bound.rounding), "whole": plain(bound.whole)}


def _block(built: Construction, views: Sequence[View], number: int, block: Block) -> dict[str, Any]:
    order = list(built.tokens.stream.registers)
    first, last = span(views, number)
    return {
        "name": block.name,
        "source": block.source,
        "said": said(block),
        "domain": block.promise.domain,
        "own": _bound(block.promise.own),
        "total": _bound(block.promise.total),
        "derived": block.promise.derived and _bound(block.promise.derived),
        "proof": block.promise.proof,
        "magnitude": plain(block.promise.magnitude),
        "first": first,
        "last": last,
        "groups": block.groups,
        "outputs": [register.name for register in block.outputs],
        "reads": sorted(block.reads, key=order.index),
        "writes": sorted(block.writes, key=order.index),
    }


def _layer(view: View, pool: Pool) -> dict[str, Any]:
    return {
        "first": view.first,
        "repeat": view.repeat,
        "blocks": list(view.blocks),
        "reads": list(view.reads),
        "writes": list(view.writes),
        "norms": dict(
            zip(("scores", "values", "first", "second"), (plain(norm) for norm in view.norms), strict=True)
        ),
        "families": [_family(family, pool) for family in view.families],
        "neurons": [_neurons(neurons, pool) for neurons in view.neurons],
    }


def _family(family: Family, pool: Pool) -> dict[str, Any]:
    return {
        "block": family.block,
        "role": family.role,
        "kind": family.kind,
        "place": family.place,
        "count": family.count,
        "rank": family.rank,
        "span": family.span,
        "formulas": list(family.formulas),
        "query": pool.matrix(family.query),
        "key": pool.matrix(family.key),
        "value": pool.matrix(family.value),
        "targets": pool.put(family.targets),
    }


def _neurons(neurons: Neurons, pool: Pool) -> dict[str, Any]:
    return {
        "block": neurons.block,
        "role": neurons.role,
        "place": neurons.place,
        "count": neurons.count,
        "first": pool.matrix(neurons.first),
        "second": pool.matrix(neurons.second),
    }


def _history(built: Construction, run: Replay, pool: Pool) -> dict[str, Any]:
    at = run.decisions - 1
    return {
        "setting": run.setting,
        "steps": run.history.steps,
        "decisions": run.decisions.tolist(),
        "before": _before(run),
        "states": pool.put(run.states),
        "points": [
            {
                "layers": count,
                "values": _changed(built, run, number, pool),
                "seen": {name: pool.put(values) for name, values in run.seen[number].items()},
            }
            for number, count in enumerate(run.points)
        ],
        "probes": [
            {
                "true": pool.put(probe.true[at]),
                "computed": pool.put(probe.computed[at]),
                "error": plain(probe.error),
                "promise": plain(probe.promise),
                "own_error": plain(probe.own_error),
                "own_promise": plain(probe.own_promise),
            }
            for probe in run.probes
        ],
        "compared": run.guarantee.of,
        "one_sided": run.guarantee.one_sided,
        "built": pool.put(run.built[at]),
        "true": pool.put(run.true[at]),
        "worst": plain(float(run.errors.max())),
    }


def _before(run: Replay) -> list[dict[str, Any] | None]:
    """What was done and received just before each decision; None before the first one."""
    history = run.history
    return [
        None
        if decision == 1
        else {
            "action": int(history.actions[decision - 2]),
            "reward": plain(float(history.rewards[decision - 2])),
        }
        for decision in run.decisions.tolist()
    ]


def _changed(built: Construction, run: Replay, number: int, pool: Pool) -> dict[str, int]:
    """Registers that hold something else than at the point before (at first: than zero), entries decision by decision."""
    now = run.held[number]
    before = run.held[number - 1] if number else np.zeros_like(now)
    registers = built.tokens.stream.registers.items()
    return {
        name: pool.put(now[:, register.slice])
        for name, register in registers
        if not np.array_equal(now[:, register.slice], before[:, register.slice])
    }
