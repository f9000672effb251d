"""Single decisions, built and true, of one history and of many in lockstep; for evaluation.py."""

import time

import numpy as np
from scipy.special import log_softmax

from benchmarks.ratios import Ratio
from constructions import linucb
from constructions.construction import Construction
from constructions.history import BanditHistory
from verify import algorithms

ROUNDS = 12


def batches(built: Construction, history: BanditHistory, size: int = 256, steps: int = 10) -> list[Ratio]:
    """Decisions of one history and of many in lockstep, built and true; the least time of several rounds for each."""
    one = many(history, 1, steps + BEGUN), many(history, size, steps + BEGUN)
    jobs = {
        "built": lambda: decided(built.decoder(), *one[0]),
        "compiled": lambda: decided(built.decoder(compiled=True), *one[0]),
        "true": lambda: decided(algorithms.decoder(built.spec), *one[0]),
        "bare": lambda: bare(built.spec, history, steps),
        "built, batch": lambda: decided(built.decoder(size), *one[1]),
        "compiled, batch": lambda: decided(built.decoder(size, compiled=True), *one[1]),
        "bare, batch": lambda: in_numpy(built.spec, history, steps, size),
    }
    rounds = [{name: job() for name, job in jobs.items()} for _ in range(ROUNDS)]
    least = {name: min(found[name] for found in rounds) / steps for name in jobs}
    note = f"{built.size().layers} layers, T = {built.spec.horizon:,}, {steps} decisions, least of {ROUNDS} rounds"
    together = {name: least[f"{name}, batch"] / size for name in ("built", "compiled", "bare")}
    found = [
        Ratio(
            f"one history at a time / batch of {size}, per decision", least["built"], together["built"], note
        )
    ]
    for how in ("built", "compiled"):
        name = f"{how} / true LinUCB in NumPy, per decision, batch"
        found += [
            Ratio(f"{name} 1", least[how], least["true"], f"{note}; true as algorithms.decoder, checked"),
            Ratio(f"{name} 1", least[how], least["bare"], f"{note}; true as a bare loop, unchecked"),
            Ratio(f"{name} {size}", together[how], together["bare"], f"{note}; true batched, unchecked"),
        ]
    return found


BEGUN = 3
"""So many decisions are taken before the clock starts: the first ones write down, and compile, what the others play."""


def many(history: BanditHistory, size: int, steps: int) -> tuple[list, list, list]:
    """Contexts, actions and rewards of the first steps, of so many copies of a history if they are several."""
    contexts, actions, rewards = history.contexts[:steps], history.actions[:steps], history.rewards[:steps]
    if size == 1:
        return list(contexts), actions.tolist(), rewards.tolist()
    repeated = [np.repeat(part[:, None], size, axis=1) for part in (contexts, actions, rewards)]
    return tuple(list(part) for part in repeated)  # type: ignore[return-value]


def decided(decoder, contexts: list, actions: list, rewards: list) -> float:
    """Seconds of all decisions but the first few."""
    start = 0.0
    for step, given in enumerate(zip(contexts, actions, rewards, strict=True)):
        if step == BEGUN:
            start = time.perf_counter()
        decoder.observe(given[0])
        decoder.record(*given[1:])
    return time.perf_counter() - start


def bare(spec: linucb.Spec, history: BanditHistory, steps: int) -> float:
    """Seconds of true LinUCB as a loop of a few lines: an inverse, an einsum, a softmax, and nothing looked at."""
    gram, moment, start = spec.ridge * np.eye(spec.dim), np.zeros(spec.dim), time.perf_counter()
    for step in range(steps):
        arms = history.contexts[step]
        score = bare_scores(spec, arms, gram, moment) / spec.temperature
        score -= score.max()
        score -= np.log(np.exp(score).sum())
        played = arms[history.actions[step]]
        gram += np.outer(played, played)
        moment += history.rewards[step] * played
    return time.perf_counter() - start


def bare_scores(spec: linucb.Spec, arms: np.ndarray, gram: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Scores of arms, from the sums so far."""
    inverse = np.linalg.inv(gram)
    width = np.sqrt(np.einsum("kd,de,ke->k", arms, inverse, arms))
    return arms @ (inverse @ moment) + spec.exploration * width


def in_numpy(spec: linucb.Spec, history: BanditHistory, steps: int, size: int) -> float:
    """Seconds of true LinUCB on so many copies of a history in lockstep, as one would write it in NumPy."""
    start = time.perf_counter()
    gram = np.tile(spec.ridge * np.eye(spec.dim), (size, 1, 1))
    moment = np.zeros((size, spec.dim))
    for step in range(steps):
        arms = np.broadcast_to(history.contexts[step], (size, spec.actions, spec.dim))
        solved = np.linalg.solve(gram, np.concatenate([arms.mT, moment[..., None]], axis=2))
        mean = np.einsum("bkd,bd->bk", arms, solved[..., -1])
        width = np.sqrt(np.einsum("bkd,bdk->bk", arms, solved[..., :-1]))
        log_softmax((mean + spec.exploration * width) / spec.temperature, axis=1)
        played = arms[:, history.actions[step]]
        gram += played[:, :, None] * played[:, None, :]
        moment += history.rewards[step] * played
    return time.perf_counter() - start
