"""One construction used by many at once: threads, processes, and the members of a batch."""

import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest
import torch
from flint import ctx
from tiny_cases import CASES, PACKAGES

from constructions.construction import Construction
from constructions.history import BanditHistory

NAMES = ("linucb newton", "thompson sampling", "thompson bernoulli", "ucbvi narrow")


def everything(built, history):
    """What a construction answers, by all of its doors."""
    policy, cache = built.run_with_cache(history)
    rows = [built.log_probabilities(history), policy, *(cache[block.name] for block in built.blocks)]
    rows += [np.array([probe.error for probe in built.probe(history)]), stepped(built.decoder(), history)]
    return [*rows, np.array([built.certificate])]


def stepped(decoder, history):
    """A decoder's answers along a history."""
    rows, draws = [], getattr(history, "draws", None)
    seen = history.contexts if isinstance(history, BanditHistory) else history.states
    for step, context in enumerate(seen):
        rows.append(decoder.observe(context) if draws is None else decoder.observe(context, draws[step]))
        if step < history.steps - 1:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))
    return np.array(rows)


def equal(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "ucbvi narrow" else pytest.mark.nightly) for name in NAMES],
)
def test_eight_threads_at_once_get_what_one_after_another_get(name):
    case, barrier = CASES[name], Barrier(8)
    histories = [case.history(seed) for seed in range(8)]
    quiet = replace(case.built())
    alone = [everything(quiet, history) for history in histories]
    shared = replace(case.built())  # nothing is made from its weights yet: all eight meet that

    def ask(history):
        barrier.wait()
        return [everything(shared, history) for _ in range(2)]

    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(ask, histories), alone, strict=True):
            assert all(equal(one, wanted) for one in found)


def bounds(case):
    """A construction made afresh, by all that balls have a say in."""
    built = PACKAGES[case.package].build(case.spec)
    return [built.certificate, *((block.name, block.promise) for block in built.blocks)]


def test_threads_that_build_at_once_get_the_bounds_of_one_that_builds_alone():
    """Flint's precision is that of all threads: each works at its own, and leaves the one that was there."""
    cases, before, interval = [CASES[name] for name in NAMES[:3]], ctx.prec, sys.getswitchinterval()
    alone = [bounds(case) for case in cases]
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as pool:
            for _ in range(3):
                assert list(pool.map(bounds, cases * 2)) == alone * 2
    finally:
        sys.setswitchinterval(interval)
    assert ctx.prec == before


def asked(built: Construction, history):
    torch.set_num_threads(1)
    return everything(built, history)


def test_what_is_pickled_to_workers_answers_the_same():
    cases = [CASES[name] for name in NAMES]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(asked, case.built(), case.history()) for case in cases]
        for case, one in zip(cases, waiting, strict=True):
            assert equal(one.result(timeout=120), everything(case.built(), case.history()))


@pytest.mark.parametrize("name", NAMES)
def test_members_of_a_batch_do_not_see_each_other(name):
    """Each in the company of different others, and at different places, to the last bit."""
    case = CASES[name]
    built, histories = case.built(), [case.history(seed) for seed in range(6)]
    for place in range(3):
        first, second = ([*histories[:place], histories[5], *histories[n : n + 2 - place]] for n in (3, 1))
        one, other = (built.outputs(batch)[place] for batch in (first, second))
        np.testing.assert_array_equal(one, other)
    if getattr(histories[0], "draws", None) is None:
        rows = [lockstep(built.decoder(batch=3), [histories[5], *histories[n : n + 2]])[:, 0] for n in (1, 3)]
        np.testing.assert_array_equal(*rows)


def lockstep(decoder, histories):
    """A batched decoder's answers along several histories."""
    rows = []
    for step in range(histories[0].steps):
        seen = [
            one.contexts[step] if isinstance(one, BanditHistory) else one.states[step] for one in histories
        ]
        rows.append(decoder.observe(np.array(seen)))
        if step < histories[0].steps - 1:
            done = ((one.actions[step], one.rewards[step]) for one in histories)
            actions, rewards = map(np.array, zip(*done, strict=True))
            decoder.record(actions, rewards)
    return np.array(rows)


def test_a_pickle_holds_no_more_than_what_builds_it():
    built = CASES["linucb newton"].built()
    built.log_probabilities(CASES["linucb newton"].history())
    assert len(pickle.dumps(built)) <= 1.01 * len(pickle.dumps(replace(built)))
