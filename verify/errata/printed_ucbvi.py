"""Pieces of Theorem 12's proof as printed (arXiv 2310.08566), each in the theorem's program in place of its repair.

What is then built promises what the repaired construction does, which is too much: that is what the errata show.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from constructions.construction import Construction
from constructions.language import Program
from constructions.parts.block import Block, Head, Step, Units, gate_size
from constructions.parts.links import blank, pick, read, rows, side_by_side, stack
from constructions.parts.stream import Stream
from constructions.primitives import lookup, product
from constructions.ucbvi import Spec, theorem


def build(spec: Spec, piece: str | None = None) -> Construction:
    """The transformer of the theorem with one of PIECES as printed, or with none."""
    program = theorem.written(spec)
    if piece is not None:
        PIECES[piece](program, spec)
    return theorem.complete(program, spec)


def _constant(program: Program, spec: Spec) -> None:
    """Step 1b, K_5: −B·wanted, so that the score on a match is 0 instead of 1."""
    one = program.stream.one

    def less(head: Head) -> Head:
        ones, rest = pick(one, np.zeros(head.count, int)), head.key.height // head.count - 1
        return replace(head, key=head.key - side_by_side(head.count, ones, blank(rest * head.count)))

    def change(heads: tuple[Head, ...]) -> tuple[Head, ...]:
        return *heads[:8], *map(less, heads[8:])

    _count(program, change)


def _values(program: Program, spec: Spec) -> None:
    """Step 1b, heads 6 to 10: V = −V, which only V = 0 satisfies."""

    def change(heads: tuple[Head, ...]) -> tuple[Head, ...]:
        return tuple(replace(head, value=0.0 * head.value) if n % 2 else head for n, head in enumerate(heads))

    _count(program, change)


def _gate(program: Program, spec: Spec) -> None:
    """Step 2, x ↦ x²: the gate K."""
    for what in ("transitions", "visits"):
        block = theorem.squares(spec, program.stream, what, float(spec.episodes))
        _put(program, f"{what}_squared", block.steps)


def _reward(program: Program, spec: Spec) -> None:
    """Step 2, f₃: the look-up at integers, for N·r, which is real; it needs the square of that too."""
    sizes = {name: register.size for name, register in program.stream.registers.items()}
    program.stream = stream = Stream.of(**sizes, rewards_squared=spec.horizon * spec.pairs)
    program.put(theorem.squares(spec, stream, "rewards", gate_size(float(spec.episodes**2))))
    top, bottom = ((read(stream[name]), read(stream[f"{name}_squared"])) for name in ("rewards", "visits"))
    units = lookup.printed_quotient_units(
        "r̂", top, bottom, stream["reward_estimate"], stream.one, spec.episodes
    )
    _put(program, "reward_estimate", (Step((), (units,)),))


def _model(program: Program, spec: Spec) -> None:
    """Step 3: P̂_{h+1} for P̂_h."""
    stream, models = program.stream, program.value("model").split(spec.horizon)
    more = {"bound": 3.0 * spec.horizon, "tokens": spec.tokens, "position": stream["position"]}
    for stage in range(1, spec.horizon):
        left, to = stream[f"v_{stage + 1}"], stream[f"ahead_{stage}"]
        block = product.own_token(to.name, "", left=left, right=models[stage].register, to=to, **more)
        _put(program, to.name, block.steps)


def _maximum(program: Program, spec: Spec) -> None:
    """Step 3: relu(Q₁) + Σ_{j≥2} relu(Q_j − Q_{j−1}), which is the largest of two."""
    entries = np.arange(spec.pairs)
    first, later = entries[:: spec.actions], entries[entries % spec.actions > 0]
    groups = np.concatenate([first, later]) // spec.actions
    for stage in range(1, spec.horizon + 1):
        numbers, to = read(program.stream[f"q_{stage}"]), program.stream[f"v_{stage}"]
        reads = stack(rows(numbers, first), rows(numbers, later) - rows(numbers, later - 1))
        units = Units("maximum", reads, ((to, groups, np.arange(len(groups)), np.ones(len(groups))),))
        _put(program, to.name, (Step((), (units,)),))


def _count(program: Program, change: Callable[[tuple[Head, ...]], tuple[Head, ...]]) -> None:
    """Both blocks that count by ramps, with other heads."""
    for name in ("transitions_raw", "visits_raw"):
        [step] = program.written(name).steps
        _put(program, name, (replace(step, heads=change(step.heads)),))


def _put(program: Program, writes: str, steps: tuple[Step, ...]) -> None:
    """Other steps in the block that writes a register."""

    def change(block: Block) -> Block:
        return replace(block, steps=steps) if writes in block.writes else block

    program.stages = [[change(block) for block in stage] for stage in program.stages]


PIECES: dict[str, Callable[[Program, Spec], None]] = {
    "constant": _constant,
    "values": _values,
    "gate": _gate,
    "reward": _reward,
    "model": _model,
    "maximum": _maximum,
}
