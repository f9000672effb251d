"""LinUCB swept: error against depth and width, size against the horizon, regret."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, get_args

import numpy as np
import sympy
import torch

from constructions import linucb, thompson
from constructions.history import BanditHistory
from constructions.inputs.bandits import reward_bound
from constructions.parts.assemble import assemble
from constructions.parts.stream import Stream
from constructions.primitives import descent, interpolation
from constructions.rounding import rates
from constructions.sizes import measured
from verify import algorithms, audit, theorems
from verify.balls import linear
from verify.play.rollout import Environment, SideBySide, rollouts
from verify.sweeps import records
from verify.sweeps.records import Grid, Record, fit_power, plain
from verify.theorems import lemmas, symbols
from verify.theorems import linucb as stated

Factory = Callable[[np.random.Generator], Environment]
"""Draws an environment."""


def adversarial_histories(spec: linucb.Spec) -> list[BanditHistory]:
    """Histories on which descent is slow: one arm, or nearly low-rank actions, always with the largest reward ρ.

    The low-rank ones alternate (±strong, weak), the squares of the weak entries adding up to some s² ≤ λ. The strong
    parts cancel in Σ a_j r_j, so that all of the estimate, of norm √n ρ/(2√λ) at s² = λ, lies along the eigenvalue
    λ + s², where descent is slowest. At d = 1 there are only the one-arm histories.
    """
    (low, high), steps = spec.action_norm, spec.horizon
    runs = [np.tile(norm * np.eye(spec.dim)[0], (steps, 1)) for norm in (low, high)]
    for energy in spec.ridge * np.geomspace(0.01, 1, 12) if spec.dim > 1 else ():
        weak = min(math.sqrt(energy / max(steps - 1, 1)), high)
        rows = np.zeros((steps, spec.dim))
        rows[:, 0] = math.sqrt(high**2 - weak**2) * (-1.0) ** np.arange(steps)
        rows[:, 1] = weak
        runs.append(rows)
    arms, rewards = np.zeros(steps - 1, int), np.full(steps - 1, reward_bound(spec))
    return [BanditHistory(np.repeat(rows[:, None], spec.actions, axis=1), arms, rewards) for rows in runs]


def hard_histories(spec: Any) -> list[BanditHistory]:
    """Some of `adversarial_histories`, with arms that are never played near ± the direction that descent is slow in.

    For Thompson sampling with draws in random directions, nearly as large as any that is admitted.
    """
    names = ("dim", "actions", "horizon", "ridge", "action_norm", "weight_norm", "noise_bound")
    plain = adversarial_histories(linucb.Spec(**{name: getattr(spec, name) for name in names}))
    generator = np.random.default_rng(0)
    others = 0.1 * generator.normal(size=(spec.actions - 1, spec.dim))
    others[:, min(1, spec.dim - 1)] += (-1.0) ** np.arange(spec.actions - 1)
    others *= (1 - 1e-9) * spec.action_norm[1] / np.linalg.norm(others, axis=1, keepdims=True)
    draws = generator.normal(size=(spec.horizon, spec.dim))
    if drawn := isinstance(spec, thompson.Spec):
        draws *= (1 - 1e-9) * spec.draw_norm / np.linalg.norm(draws, axis=1, keepdims=True)
    found = []
    for one in plain[1::4]:
        contexts = one.contexts.copy()
        contexts[:, 1:] = others
        found.append(BanditHistory(contexts, one.actions, one.rewards, draws if drawn else None))
    return found


def error_against_depth(
    spec: linucb.Spec, solver: rates.Solver, depths: Sequence[int], histories: Sequence[BanditHistory]
) -> Record:
    """Worst ‖ŵ − w‖ over histories and steps, on weights built for each depth.

    Fields: depths; measured, against `algorithms`; certified, the block's promise in exact arithmetic; rounding, what
    float64 may add to it; stated, the ridge lemma solved for ε. All errors in units of reward per unit of action.

    Raises:
        ValueError: if there are no depths, one is below 1, or histories are none or of unequal lengths.
    """
    if len(lengths := {history.steps for history in histories}) != 1:
        raise ValueError(f"histories: wanted one or more, all of one length, got lengths {sorted(lengths)}")
    if not len(depths) or min(depths) < 1:
        raise ValueError(f"depths: wanted one or more, each >= 1, got {list(depths)}")
    spec, rows = replace(spec, solver=solver), []
    true = np.stack([algorithms.linucb_values(spec, history).ridge_estimate for history in histories])
    lemma = {"gd": lemmas.RIDGE_GD_DEPTH, "agd": lemmas.RIDGE_AGD_DEPTH}[solver]
    for depth in map(int, depths):
        built = linucb.estimator(spec, depth)
        wrong = built.outputs(histories)[..., built.tokens.stream["ridge"].slice] - true
        worst, bound = np.linalg.norm(wrong, axis=-1).max(), built.blocks[0].promise.total
        formula = lemma.evaluate("error", depth=depth, **symbols(spec))
        rows.append((depth, worst, bound.error, bound.rounding, formula))
    curves = _columns(("depths", "measured", "certified", "rounding", "stated"), rows)
    return _record("error_against_depth", spec, **curves, histories=len(histories), source=lemma.source)


def error_against_width(spec: linucb.Spec, errors: Sequence[float], points: int = 20_001) -> Record:
    """√x on the range of aᵀA⁻¹a, by the neurons of a transformer that does nothing else.

    Fields: errors, as requested; measured, the worst at `points` even steps of √x, at knots and midway between them;
    certified and rounding; neurons, for one arm (one more serves all); fit, the power of 1/error with which they grow.

    Raises:
        ValueError: for fewer than 3 errors, or one that is not positive.
    """
    low, high = np.square(spec.action_norm).tolist()
    least, largest = low / (spec.ridge + (spec.horizon - 1) * high), high / spec.ridge
    stream, names, rows = Stream.of(square=1, one=1, root=1), ("root", "Theorem 8, step 3"), []
    square, one, root = (stream[name] for name in ("square", "one", "root"))
    for error in map(float, errors):
        function = interpolation.square_root(least, largest, error)
        block = interpolation.function(
            *names, function, of=np.sqrt, error=error, source=square, one=one, to=root
        )
        radius = 2 * math.hypot(largest, 1, block.promise.magnitude)
        transformer = assemble(stream, frozenset({"square", "one"}), [[block]], radius)
        knots, bound, size = np.sqrt(function.knots), block.promise.total, measured(transformer)
        even, between = np.linspace(knots[0], knots[-1], points), (knots[1:] + knots[:-1]) / 2
        roots = np.concatenate([even, knots, between])
        tokens = np.stack([roots**2, np.ones_like(roots), np.zeros_like(roots)], axis=1)
        found = transformer(torch.as_tensor(tokens)).numpy()[:, root.start]
        rows.append((error, np.abs(found - roots).max(), bound.error, bound.rounding, size.hidden - 1))
    curves = _columns(("errors", "measured", "certified", "rounding", "neurons"), rows)
    fit = fit_power(1 / np.array(curves["errors"]), curves["neurons"])
    return _record("error_against_width", spec, **curves, domain=[least, largest], fit=asdict(fit))


def size_against_horizon(spec: linucb.Spec, horizons: Sequence[int], solver: rates.Solver) -> Record:
    """Sizes of the transformers built for each horizon, beside the number of layers that the paper states.

    Fields: horizons; certified, heads, width, hidden, norm: layers and other sizes as built; stated: layers by Theorem 8
    and its proof for "agd", by the ridge lemma alone at the proof's error_1 for "gd", of which the theorem does not
    speak; log_stated: the logarithms in that formula, added; log_certified: log(bound on ‖w‖ / certified ‖ŵ − w‖).
    Fits, powers of T: certified and stated over log_stated; certified_own over log_certified; all others as they are.
    Those of `stated` only read a formula back; those of `certified` speak of what was built.

    Raises:
        ValueError: for fewer than 3 horizons, one below 2, or no exploration, by which the proof divides.
    """
    if len(set(horizons)) < 3 or min(horizons) < 2 or not spec.exploration:
        got = f"got {list(horizons)} and {spec.exploration}"
        raise ValueError(f"horizons, exploration: wanted 3 or more, each >= 2, and > 0, {got}")
    rows, source = [], "Theorem 8" if solver == "agd" else "ridge lemma"
    for horizon in map(int, horizons):
        built = linucb.build(chosen := replace(spec, horizon=horizon, solver=solver, depth="certified"))
        size, start = built.size(), descent.largest_estimate(spec.ridge, horizon - 1, reward_bound(spec))
        sizes = (size.layers, size.heads, size.width, size.hidden, size.norm)
        gained = math.log(start / built.blocks[0].promise.total.error)
        rows.append((horizon, *sizes, *_stated_layers(chosen), gained))
    names = ("certified", "heads", "width", "hidden", "norm", "stated", "log_stated", "log_certified")
    lists = _columns(("horizons", *names), rows)
    ratios = {f"{name}_raw": np.array(lists[name]) for name in ("certified", "stated", "hidden", "norm")}
    ratios |= {name: ratios[f"{name}_raw"] / lists["log_stated"] for name in ("certified", "stated")}
    ratios["certified_own"] = ratios["certified_raw"] / lists["log_certified"]
    fits = {name: asdict(fit_power(horizons, ratio)) for name, ratio in ratios.items()}
    return _record("size_against_horizon", replace(spec, solver=solver), **lists, fits=fits, source=source)


def regret(environment: Factory, spec: linucb.Spec, seeds: Sequence[int], label: str) -> Record:
    """Cumulative regret of the constructed transformer and of true LinUCB, with the same random numbers.

    Fields of `records.regret`; measured, the worst |log-probability error| along the transformer's own histories; enclosed,
    of the same history; certified, rounding and stated.

    Raises:
        ValueError: for fewer than 2 seeds, or an environment outside the spec.
    """
    if len(seeds) < 2:
        raise ValueError(f"seeds: wanted 2 or more, got {list(seeds)}")
    built = linucb.build(spec)
    stages = [environment(np.random.default_rng(seed)) for seed in seeds]
    players: list[Any] = [built.decoder(len(seeds)), SideBySide([algorithms.decoder(spec) for _ in seeds])]
    own, other = (rollouts(stages, each, [np.random.default_rng([n, 1]) for n in seeds]) for each in players)
    histories = [run.history for run in own]
    true = [algorithms.linucb(spec, history) for history in histories]
    wrong = [np.abs(run.log_probabilities - row).max(-1) for run, row in zip(own, true, strict=True)]
    worst, step = np.unravel_index(np.argmax(wrong), np.shape(wrong))
    errors = {"measured": float(np.max(wrong)), "certified": built.certificate, "stated": spec.error}
    found = audit.enclosed(built, linear.linucb, histories[worst], int(step))
    more = {"enclosed": found, "rounding": built.rounding}
    return records.regret(built, (own, other), seeds, label, {}, **errors, **more)


def _stated_layers(spec: linucb.Spec) -> tuple[float, float]:
    """The stated number of layers, and the sum of the logarithms that stand in its formula."""
    ridge_step = lemmas.RIDGE_GD.expression("layers").subs(theorems.error, stated.ERROR_SPLIT["error_1"])
    formula = ridge_step if spec.solver == "gd" else stated.STATED_LAYERS
    factor = sympy.Add(*formula.atoms(sympy.log))
    return theorems.evaluate(formula, **symbols(spec)), theorems.evaluate(factor, **symbols(spec))


def _columns(names: Sequence[str], rows: Sequence[tuple]) -> dict[str, list]:
    return {name: np.array([row[n] for row in rows]).tolist() for n, name in enumerate(names)}


def _record(kind: str, spec: linucb.Spec, **measures) -> Record:
    return {"kind": kind, "spec": plain(spec), **measures}


def _planned(spec: linucb.Spec) -> int:
    """Layers of a descent at its least certified depth."""
    return sum(depth for depth, *_ in linucb.plan(spec).loops) + 2


def _counted(spec: linucb.Spec) -> tuple[float, float]:
    """Layers and heads of Theorem 8."""
    layers, heads = (
        stated.THEOREM_8_EXPLICIT.evaluate(what, **symbols(spec)) for what in ("layers", "heads")
    )
    return layers, heads


GRID = Grid(get_args(linucb.Solver), linucb.Spec, _planned, _counted, "Theorem 8 and its proof")
