"""Sweeps over UCB-VI transformers, as records (see sweeps.py): sizes of the three forms, regret, the stream at one token."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from constructions import ucbvi
from constructions.construction import Construction
from constructions.history import EpisodeHistory
from constructions.inputs.episodes import episode_stream
from verify import algorithms
from verify.environments import TabularMDP
from verify.play.episodes import play
from verify.sweeps import records
from verify.sweeps.records import Record, fit_power

SIZES = ("width", "heads", "hidden")


def rounding(spec: ucbvi.Spec) -> float:
    """What this project states of float64: no |log-probability error| is above 10⁻¹⁰/τ; without rounding it is 0."""
    return 1e-10 / spec.tau


def sizes(spec: ucbvi.Spec) -> dict[str, int]:
    """L, M, D, D' of a form, the theorem's without building it."""
    if spec.form == "theorem":
        layers = ucbvi.theorem.layer_sizes(spec)
        width = episode_stream(spec, **ucbvi.theorem.registers(spec)).width
        heads, hidden = (max(part) for part in zip(*layers, strict=True))
        return {"layers": len(layers), "heads": heads, "width": width, "hidden": hidden}
    built = ucbvi.build(spec).transformer
    layers = [(layer.attention.heads, layer.mlp.first.outputs) for layer in built.run()]
    heads, hidden = (max(part) for part in zip(*layers, strict=True))
    return {"layers": len(layers), "heads": heads, "width": built.width, "hidden": hidden}


def size_of_forms(spec: ucbvi.Spec, variable: str, values: Sequence[int]) -> Record:
    """Sizes of all forms as one of S, A, H, K moves, with fitted powers.

    Fields: variable; values; forms, the sizes of each by name; fits, the power of each.
    """
    forms: dict[str, dict[str, list[int]]] = {}
    fits: dict[str, dict[str, dict]] = {}
    for form in ("theorem", "slim", "narrow"):
        rows = [
            sizes(replace(spec, **{variable: value, "form": form, "temperature": 0.1})) for value in values
        ]
        forms[form] = {name: [row[name] for row in rows] for name in ("layers", *SIZES)}
        fits[form] = {name: asdict(fit_power(list(values), forms[form][name])) for name in SIZES}
    fields = {"variable": variable, "values": list(map(int, values)), "forms": forms, "fits": fits}
    return {"kind": "size_of_forms", "spec": asdict(spec), **fields}


def regret(
    environment: Callable[[np.random.Generator], TabularMDP],
    spec: ucbvi.Spec,
    seeds: Sequence[int],
    label: str,
) -> Record:
    """Cumulative regret of the constructed transformer and of true UCB-VI, with the same random numbers.

    Fields of `records.regret`; measured, the worst |log-probability error| along the transformer's own histories; stated,
    which is `rounding`; uniform, the share of decisions at which all actions are equally likely.
    """
    built = ucbvi.build(spec)
    runs, errors, uniform = [], [], []
    for seed in seeds:
        mdp = environment(np.random.default_rng(seed))
        own, true = (
            play(mdp, decoder, np.random.default_rng([seed, 1]), spec.episodes)
            for decoder in (built.decoder(), algorithms.ucbvi_decoder(spec))
        )
        runs.append((own, true))
        wanted = algorithms.ucbvi(spec, own.history)
        errors.append(float(np.abs(own.log_probabilities - wanted).max()))
        uniform.append(float((np.ptp(wanted, axis=1) < 1e-9).mean()))
    told = {"setting": f"S = {spec.states}, H = {spec.horizon}", "name": "UCB-VI"}
    found = {"measured": max(errors), "stated": rounding(spec), "uniform": float(np.mean(uniform))}
    own, true = zip(*runs, strict=True)
    return records.regret(built, (own, true), seeds, label, told, **found)


def stream_at_token(built: Construction, history: EpisodeHistory) -> Record:
    """What every register holds at the last token of a history, and which layer put it there.

    Fields: registers, rows with name, values, layer (0 for inputs), heads and neurons that write it.
    """
    output = built.outputs([history])[0, -1]
    rows = [
        {"name": name, "values": output[register.slice].tolist(), "layer": 0, "heads": 0, "neurons": 0}
        for name, register in built.tokens.stream.registers.items()
    ]
    places = {row["name"]: row for row in rows}
    inputs = built.tokens.encode(history)[-1]
    for name, register in built.tokens.stream.registers.items():
        if name in ("action", "reward", "state", "clock", "position"):
            places[name]["values"] = inputs[register.slice].tolist()
    for number, layer in enumerate(built.transformer.run(), start=1):
        for name, writes in _writes(built, layer).items():
            row: Any = places[name]
            row["layer"] = number
            row["heads"] += writes[0]
            row["neurons"] += writes[1]
    return {"kind": "stream_at_token", "spec": asdict(built.spec), "registers": rows, "steps": history.steps}


def _writes(built: Construction, layer) -> dict[str, tuple[int, int]]:
    """Heads and neurons of a layer by the register they write."""
    found: dict[str, tuple[int, int]] = {}
    stream = built.tokens.stream
    for name, register in stream.registers.items():
        inside = range(register.start, register.start + register.size)
        heads = sum(
            int(np.isin(group.targets.numpy(), inside).reshape(group.count, -1).any(1).sum())
            for group in layer.attention.stored_groups
        )
        second = layer.mlp.second
        neurons = len(np.unique(second.columns.numpy()[np.isin(second.rows.numpy(), inside)]))
        if heads or neurons:
            found[name] = heads, neurons
    return found
