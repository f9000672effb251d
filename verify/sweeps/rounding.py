"""What rounding does to Newton's iteration: step by step, and as the problem becomes ill-conditioned.

Certificates are those of exact arithmetic; here is measured what float64 and float32 add. The iterates that ought to
come out are followed in extended precision (64 bits of mantissa), the policy in balls of 200 bits.

A wrong D in A^½X_kA^½ becomes −c(DE + ED) in the next step, to first order, and 2c_k e_k = 4e_{k+1}/e_k: from step j to
step k it grows by at most 4^{k−j} e_k/e_j. That is κ or so halfway, and next to nothing at the end: the iteration corrects
itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float

from constructions import linucb
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.inputs.ridge import largest_eigenvalue
from constructions.linucb import by_newton
from constructions.parts.block import UNIT
from constructions.rounding import schedules
from constructions.transformer import Layer, Transformer
from verify.balls import linear
from verify.balls.arrays import precision
from verify.sweeps.records import Record, curve, panel

PRECISIONS = {"float64": torch.float64, "float32": torch.float32}
EARLY = 16
BITS = 200
"""Precision of the true policy."""
STEP = 64
"""So many times d·κ units in the last place may one step's own rounding be, as its block promises (newton.py)."""


def along_the_iteration(spec: linucb.Spec, histories: Sequence[BanditHistory]) -> Record:
    """Rounding of X_k after each step of the iteration for A⁻¹, at the last token of histories.

    Fields: steps; certified, the e_k of exact arithmetic; float64 and float32, the worst ‖A^½(X_k − X_k exact)A^½‖, the
    norm in which e_k is; bounds, what that may be in float64, to first order.

    Raises:
        ValueError: for another solver than "newton", or no histories.
    """
    if spec.solver != "newton" or not histories:
        raise ValueError(
            f"numerics: wanted solver 'newton' and histories, got {spec.solver!r} and {len(histories)}"
        )
    built, (steps, _, _) = linucb.build(spec), by_newton.plan(spec)
    largest = largest_eigenvalue(spec)
    exact = [_iterates(spec, history, steps, largest) for history in histories]
    roots = [np.linalg.cholesky(gram.astype(float)) for gram, _ in exact]
    curves = {name: [] for name in PRECISIONS}
    for step in range(1, steps + 1):
        cut = prefix(built, 1 + step)
        for name, dtype in PRECISIONS.items():
            worst = 0.0
            for history, root, (_, iterates) in zip(histories, roots, exact, strict=True):
                found = cut.outputs([history], dtype, steps=np.array([history.steps - 1]))[0, 0]
                found = found[cut.tokens.stream["inverse"].slice].reshape(spec.dim, spec.dim)
                wrong = (found - iterates[step - 1]).astype(float)
                worst = max(worst, float(np.linalg.norm(root.T @ wrong @ root, 2)))
            curves[name].append(worst)
    errors, condition = schedules.inverse_errors(spec.ridge, largest, steps)[1:], largest / spec.ridge
    bounds = [STEP * spec.dim * UNIT * condition]  # of every step, each its own
    for earlier, later in pairwise(errors):
        bounds.append(4 * later / earlier * bounds[-1] + bounds[0])
    found = {"steps": list(range(1, steps + 1)), "certified": errors, **curves, "bounds": bounds}
    return {"horizon": spec.horizon, "condition": condition, **found}


def by_condition(spec: linucb.Spec, ridges: Sequence[float], histories: Sequence[BanditHistory]) -> Record:
    """Worst |log-probability error| over histories of equal length, for each ridge, against the policy in balls.

    At the first EARLY steps, which are the worst where little has been seen, and at every EARLY-th later one.

    Fields: ridges; conditions, κ; certified; float64 and float32.
    """
    last = histories[0].steps
    steps = np.array(sorted({*range(min(EARLY, last)), *range(0, last, EARLY), last - 1}))
    rows = []
    for ridge in ridges:
        chosen = replace(spec, ridge=float(ridge))
        built = linucb.build(chosen)
        true = np.stack(
            [[policy(chosen, history.prefix(int(t) + 1)) for t in steps] for history in histories]
        )
        row = [float(ridge), largest_eigenvalue(chosen) / ridge, built.certificate]
        for dtype in PRECISIONS.values():
            found = np.stack([built.outputs([h], dtype, logits_only=True, steps=steps)[0] for h in histories])
            wrong = built.policy(found.astype(float)) - true
            row.append(float(np.abs(wrong).max()))
        rows.append(row)
    names = ("ridges", "conditions", "certified", *PRECISIONS)
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def policy(spec: linucb.Spec, history: BanditHistory) -> Float[np.ndarray, " arms"]:
    """Soft LinUCB's log-probabilities at the last step, within one rounding of float64."""
    with precision(BITS):
        [row] = linear.linucb(spec, history, [history.steps - 1])
    return np.array([float(ball) for ball in row])


def panels(along: Record, condition: Record) -> list[Record]:
    """Both as panels of one figure, for plots.draw."""
    curves = [curve("in exact arithmetic", along["steps"], along["certified"], "e_k", "certified")]
    curves += [curve(f"rounding, {name}", along["steps"], along[name], name) for name in PRECISIONS]
    title = f"T = {along['horizon']:,}, κ = {along['condition']:,.0f}"
    labels, scales = ("step k", "error of A^½XA^½"), ("linear", "log")
    steps = panel(title, labels, curves, scales, "lower left")
    found = [curve("certified", condition["conditions"], condition["certified"], "e_k", "certified")]
    found += [curve(name, condition["conditions"], condition[name], name) for name in PRECISIONS]
    return [steps, panel("policy", ("condition number κ", "|log-probability error|"), found)]


def prefix(built: Construction, layers: int) -> Construction:
    """The same weights, cut off after so many layers; those that repeat are counted as often as they run."""
    whole, kept = built.transformer, []
    for layer in whole.stored_layers:
        if layers > 0:
            kept.append(Layer(layer.attention, layer.mlp, min(layer.repeat, layers)))
        layers -= layer.repeat
    return replace(built, transformer=Transformer(kept, whole.width, whole.clip_radius))


def _iterates(spec: linucb.Spec, history: BanditHistory, steps: int, largest: float):
    """A and X_1, X_2, … in extended precision."""
    actions = history.chosen.astype(np.longdouble)
    gram = actions.T @ actions + spec.ridge * np.eye(spec.dim, dtype=np.longdouble)
    found = [2 / np.longdouble(spec.ridge + largest) * np.eye(spec.dim, dtype=np.longdouble)]
    for error in schedules.inverse_errors(spec.ridge, largest, steps)[1:]:
        x = found[-1]
        found.append((1 + np.longdouble(error)) * (2 * x - x @ gram @ x))
    return gram, found[1:]
