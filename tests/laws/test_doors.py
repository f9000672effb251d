"""Every door answers unusual input with the right answer, or with one clear line."""

import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from doors import (
    BUILT,
    CONTEXTS,
    LINUCB,
    REFUSED,
    TRAINED,
    UCBVI,
    finite,
    knock,
    same,
)
from entrances import ARRAYS, BASES, DOORS
from hostile import NO_NUMBER, NO_WHOLE, OBJECTS, REAL, SIZES, WHOLE, forms, no_arrays
from typer.testing import CliRunner

from constructions import linucb, thompson, ucbvi
from constructions.history import BanditHistory, EpisodeHistory
from verify import __main__ as started
from verify import algorithms
from verify.catalog import CATALOG
from verify.claims import general
from verify.cli import commands as cli

RNG = np.random.default_rng

# ------------------------------------------------------------------ numbers: specifications, recipes, environments

OPTIONAL = {
    "error",
    "truncation",
    "weight_norm",
    "noise_bound",
    "temperature",
    "separation",
    "batch",
    "horizon",
}
"""Fields that may be None."""

SHARES = {"share", "warmup", "descent", "momentum", "memory"}
"""Fields that may be as small as they like."""

WHOLES = [(door, name) for door, (*_, names, _) in BASES.items() for name in names.split()]
REALS = [(door, name) for door, (*_, names) in BASES.items() for name in names.split()]


def with_field(door: str, name: str, value: Any) -> Any:
    make, base, *_ = BASES[door]
    return knock(make, **base | {name: value})


@pytest.mark.parametrize(("door", "name"), WHOLES)
def test_whole_numbers_of_every_make_are_numbers(door, name):
    wanted = with_field(door, name, 2)
    assert wanted is not REFUSED
    for form, value in WHOLE.items():
        assert same(with_field(door, name, value), wanted), form


@pytest.mark.parametrize(("door", "name"), REALS)
def test_real_numbers_of_every_make_are_numbers(door, name):
    wanted = with_field(door, name, 0.5)
    for form, value in REAL.items():
        assert same(with_field(door, name, value), wanted), form


@pytest.mark.parametrize(("door", "name"), WHOLES)
def test_what_is_no_whole_number_is_refused(door, name):
    wrong = NO_WHOLE | {"negative": -2, "half": 0.5}
    for kind, value in wrong.items():
        if value is not None or name not in OPTIONAL:
            assert with_field(door, name, value) is REFUSED, kind


@pytest.mark.parametrize(("door", "name"), REALS)
def test_what_is_no_real_number_is_refused(door, name):
    for kind, value in (NO_NUMBER | {"negative": -0.5, "large": 1e40, "small": 1e-40}).items():
        if (value is not None or name not in OPTIONAL) and not (kind == "small" and name in SHARES):
            assert with_field(door, name, value) is REFUSED, kind


UNBOUNDED = ("BanditRecipe", "action_norm")
"""A pair that may be None."""
CHOICES = "solver depth root form rule problem player labels attention numbered placed action_norm"
WORDS = [
    (door, field.name)
    for door, (make, *_) in BASES.items()
    if isinstance(make, type)
    for field in fields(make)
    if field.name in CHOICES.split()
]


@pytest.mark.parametrize(("door", "name"), WORDS)
def test_words_pairs_and_flags_are_plain_and_nothing_else_passes(door, name):
    make, base, *_ = BASES[door]
    for kind, value in (OBJECTS | NO_NUMBER).items():
        if value is None and (door, name) == UNBOUNDED:
            continue
        flag = name in ("numbered", "placed") and isinstance(value, bool | np.bool_)
        assert (with_field(door, name, value) is REFUSED) != flag, kind
    plain = getattr(make(**base), name)
    other = (
        np.array(plain) if name == "action_norm" else np.bool_(plain) if plain is False else np.str_(plain)
    )
    assert same(with_field(door, name, other), make(**base))


def test_a_specification_of_foreign_numbers_is_that_of_plain_ones_even_as_a_key_and_built():
    foreign = knock(linucb.Spec, np.int64(2), torch.tensor(3), np.array(4), np.float32(0.25), "newton")
    plain = linucb.Spec(2, 3, 4, 0.25, "newton")
    assert {plain: 1}[foreign] == 1
    assert repr(linucb.build(foreign)) == repr(linucb.build(plain))
    assert linucb.build(foreign).seal == linucb.build(plain).seal


# ------------------------------------------------------------------ arrays: histories, decoders, environments


@pytest.mark.parametrize("door", ARRAYS)
def test_arrays_of_every_make_are_arrays(door):
    call, name, plain = ARRAYS[door]
    wanted = knock(call, **{name: plain})
    assert wanted is not REFUSED
    for form, value in forms(plain).items():
        assert same(knock(call, **{name: value}), wanted), form


@pytest.mark.parametrize("door", ARRAYS)
def test_what_is_no_array_of_real_numbers_is_refused(door):
    call, name, plain = ARRAYS[door]
    optional = {"None"} if name in ("draws", "draw", "context", "contexts", "steps") else set()
    shapes = {"another shape", "empty", "list"} if name in ("contexts", "steps", "means") else set()
    shapes |= {"array", "tensor"} if door == "true LinUCB" else set()  # arms of another dimension
    for kind, value in (no_arrays(plain) | OBJECTS).items():
        if kind not in optional | shapes:
            assert knock(call, **{name: value}) is REFUSED, kind


@pytest.mark.parametrize("reward", [1 + 2.0**-52, -(2.0**-60), 1 + 1e-7, np.float32(1) + np.float32(1e-7)])
def test_rewards_that_rounding_moved_out_of_the_unit_interval_are_cut_off_for_all_alike(reward):
    spec, edge = UCBVI.spec, float(np.clip(reward, 0, 1))
    moved, cut = (EpisodeHistory([0, 1, 1], [2, 0], [0.5, r], 2) for r in (reward, edge))
    assert same(moved, cut)
    stepwise, true = UCBVI.decoder(), algorithms.ucbvi_decoder(spec)
    for decoder in (stepwise, true):
        for state, action, given in ((0, 2, 0.5), (1, 0, reward)):
            decoder.observe(state)
            knock(decoder.record, action, given)
    wanted = algorithms.ucbvi(spec, cut)[-1]
    np.testing.assert_allclose(stepwise.observe(1), wanted, rtol=0, atol=UCBVI.allowed)
    np.testing.assert_array_equal(true.observe(1), wanted)
    with pytest.raises(ValueError, match=r"got 1\.00001 at"):
        EpisodeHistory([0, 1], [0], [1.00001], 1)


@pytest.mark.parametrize("off", [1.5e-6, 1e-5, -1.5e-6])
def test_a_norm_that_is_refused_is_told_apart_from_its_bound(off):
    spec = linucb.Spec(1, 1, 2, 0.1, action_norm=(1.0, 1.0))
    with pytest.raises(ValueError, match=rf"wanted action norms in \[1, 1\], got {1 + off:.9g} at"):
        linucb.build(spec).log_probabilities(BanditHistory([[[1 + off]]], [], []))


def test_the_zero_vector_and_equal_arms_are_told_what_is_assumed():
    with pytest.raises(ValueError, match=r"b_a > 0; with action_norm=\(1e-06, …\)"):
        LINUCB.log_probabilities(BanditHistory([[[0, 0], [1, 0], [0, 1]]], [], []))
    wide = replace(LINUCB.spec, action_norm=(1e-6, 2.0))
    short = BanditHistory([[[1e-6, 0], [1, 0], [0, 1]]] * 2, [0], [1.0])
    built = linucb.build(wide)
    assert abs(built.log_probabilities(short) - algorithms.linucb(wide, short)).max() <= built.allowed
    with pytest.raises(ValueError, match=r"at least 0\.05 apart, got 0 at index"):
        BUILT["two arms"][0].log_probabilities(BanditHistory([[[1, 0], [1, 0]]], [], []))


def test_actions_are_counted_from_0_and_one_too_many_is_told_so():
    with pytest.raises(ValueError, match="counted from 0: there is no 3"):
        BanditHistory(CONTEXTS, [3], [0.5])
    with pytest.raises(ValueError, match="counted from 0: there is no 3"):
        UCBVI.log_probabilities(EpisodeHistory([0, 0], [3], [0.5], 2))


# ------------------------------------------------------------------ objects


RIGHT = {
    ("list", "hooks"),
    ("number", "batch"),
    ("number", "layers"),
    ("bandit history", "true linucb"),
    ("bandit history", "true thompson"),
}
"""What is in place there: nothing hooked, three members, layer 3; arms of any norm, for algorithms that take them."""


@pytest.mark.parametrize("door", DOORS)
def test_objects_of_the_wrong_kind_are_refused(door):
    for kind, value in OBJECTS.items():
        answer = knock(DOORS[door], value)
        if (kind, door.split(": ")[-1]) not in RIGHT:
            assert answer is REFUSED, kind


@pytest.mark.parametrize("policy", BUILT | TRAINED)
def test_what_hooks_return_is_numbers_or_refused(policy):
    built, history = (BUILT | TRAINED)[policy]
    place = (1, "logits") if policy in BUILT else 1
    for kind, value in (OBJECTS | no_arrays([[1.0]])).items():
        answer = knock(built.run_with_hooks, history, [(place, lambda *_, value=value: value)])
        assert answer is REFUSED or value is None, kind
    assert knock(built.run_with_hooks, history, [(place, 3)]) is REFUSED
    assert finite(knock(built.run_with_hooks, history, [(place, lambda held, _: torch.tensor(0 * held))]))


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.int64, torch.float32]
)
@pytest.mark.parametrize("policy", BUILT)
def test_a_precision_gives_a_policy_or_is_refused(policy, dtype):
    built, history = BUILT[policy]
    answer = knock(built.log_probabilities, history, dtype=dtype)
    assert finite(answer) if dtype is torch.float32 else answer is REFUSED


@pytest.mark.parametrize("size", [1e30, 1e300, 1.7e308])
def test_trained_models_give_finite_policies_or_refuse(size):
    trained = TRAINED["bandits"][0]
    for history in (
        BanditHistory(CONTEXTS, [1], [size]),
        BanditHistory(size / 2 * np.array(CONTEXTS), [1], [0.5]),
        BanditHistory(np.array(CONTEXTS) > 0, [1], [True]),
    ):
        answer = knock(trained.log_probabilities, history)
        assert answer is REFUSED or finite(answer)
        decoder = trained.decoder()
        for context, reward in zip(history.contexts, (*history.rewards, 0.0), strict=True):
            answer = knock(decoder.observe, context)
            assert answer is REFUSED or finite(answer)
            knock(decoder.record, 1, reward)


# ------------------------------------------------------------------ sizes and depths

HUGE: dict[str, Callable[[], Any]] = {}
for door, name in WHOLES:
    for size in SIZES if door.endswith("pec") else ():
        make, base, *_ = BASES[door]
        builder = {"linucb.Spec": linucb, "thompson.Spec": thompson, "ucbvi.Spec": ucbvi}.get(door, thompson)
        HUGE[f"{door} {name} {size if size < 1e20 else 'beyond'}{len(bin(size))}"] = (
            lambda make=make, base=base, name=name, size=size, builder=builder: builder.build(
                make(**base | {name: size})
            )
        )
    if not door.endswith("pec") and name in ("dim", "actions", "states", "layers", "width", "batch", "size"):
        HUGE[f"{door} {name}"] = lambda door=door, name=name: BASES[door][0](**BASES[door][1] | {name: 10**9})
FLAT = {"ridge": 1e-9, "temperature": 1e12}
WIDE = {"action_norm": (0.03, 210.0)}
for solver in ("gd", "agd", "chebyshev", "newton"):
    for case, given in {"flat": FLAT, "wide": WIDE, "both": FLAT | WIDE, "long": {"horizon": 10**7}}.items():
        HUGE[f"linucb {solver} {case}"] = lambda s=solver, g=given: linucb.build(
            linucb.Spec(**{"dim": 2, "actions": 3, "horizon": 20, "error": 0.01, "solver": s} | g)
        )
for solver in ("pade", "zolotarev", "chebyshev", "newton"):
    for error in (1e-9, 1e-11, 1e-14, 1e-20, 1e-29):
        for form, arms in (("policy", 2), ("policy", 3), ("sampling", 3)):
            HUGE[f"thompson {solver} {form} {arms} {error}"] = lambda s=solver, e=error, f=form, a=arms: (
                thompson.build(thompson.Spec(2, a, 20, e, s, f, nodes=8))
            )
for form in ("theorem", "slim", "narrow"):
    for name in ("states", "actions", "horizon", "episodes"):
        HUGE[f"ucbvi {form} {name}"] = lambda f=form, n=name: ucbvi.build(
            ucbvi.Spec(**{"states": 2, "actions": 2, "horizon": 2, "episodes": 2, "form": f} | {n: 10**8})
        )


@pytest.mark.parametrize("case", HUGE)
def test_what_is_too_large_is_refused_in_a_second_and_what_is_not_is_built(case):
    start = time.process_time()
    answer = knock(HUGE[case])
    if answer is REFUSED:
        assert time.process_time() - start < 1.0
    elif hasattr(answer, "certificate"):
        assert answer.certificate <= getattr(answer.spec, "error", 1.0)


def test_limits_can_be_moved(monkeypatch):
    spec = linucb.Spec(2, 3, 20, 0.01, "gd")
    assert 2750 <= linucb.plan(spec).loops[0][0] < 2850
    monkeypatch.setenv("WEIGHTWRIGHT_LAYERS", "1000")
    with pytest.raises(
        ValueError, match=r"wanted at most 1000 layers \(WEIGHTWRIGHT_LAYERS\), got about 2.8e\+03"
    ):
        linucb.build(spec)
    monkeypatch.setenv("WEIGHTWRIGHT_LAYERS", "many")
    with pytest.raises(ValueError, match="WEIGHTWRIGHT_LAYERS: wanted a number > 0, got 'many'"):
        linucb.build(spec)


COMMANDS = [
    "inspect linucb --horizon 99999999999999999999",
    "inspect linucb --dim 1000000000",
    "inspect linucb --actions 0",
    "inspect linucb --error nan",
    "inspect linucb --error 1e-300",
    "inspect thompson --horizon 1000000000 --solver chebyshev",
    "inspect bernoulli --horizon 1000000000",
    "inspect ucbvi --set episodes=1000000000",
    "inspect ucbvi --set exploration=inf",
    "train dpt-bernoulli --layers 4294967296",
    "train dpt-bernoulli --width 1000000000",
    "train dpt-bernoulli --batch 1000000000",
    "train dpt-bernoulli --set horizon=99999999999999999999",
    "train dpt-bernoulli --seed 99999999999999999999",
    "train dpt-bernoulli --set rate=nan",
    "train ad-linucb --set share=0.4",
    "train nothing",
    "train ad-linucb --set moon=full",
    "train ad-linucb --set lengths=[[0.5]]",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_refuse_in_one_line(command, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["weightwright", *command.split()])
    for _ in range(2):  # imports, and types that tests enforce, take their time once
        start = time.process_time()
        with pytest.raises(SystemExit) as stopped:
            knock(started.main)
        took = time.process_time() - start
    [line] = capsys.readouterr().err.strip().splitlines()[-1:]
    assert stopped.value.code == 2
    assert line.startswith("weightwright: ")
    assert len(line) <= 320
    assert took < 1.0
    assert not list(tmp_path.iterdir())


def test_every_count_of_the_command_line_has_an_end():
    """How many histories, mutants, problems or workers; other numbers are judged by a spec, a recipe or a history."""
    commands = {name: command.loaded(name) for name, command in cli.COMMANDS.items()}
    counts = {
        (name, option.name): option.max
        for name, command in commands.items()
        if name not in ("train", "certify")
        for option in command.params
        if option.type_descriptor.annotation is int and option.min is not None
    }
    assert {("verify", "histories"), ("verify", "mutants"), ("compare", "runs")} <= counts.keys()
    assert all(most is not None and most <= 10**6 for most in counts.values()), counts


@pytest.mark.parametrize(
    "command", ["verify linucb --histories", "verify linucb --mutants", "compare x --runs"]
)
def test_a_count_beyond_it_is_refused_before_anything_is_done(command):
    result = CliRunner().invoke(cli.app, [*command.split(), "1000001"])
    assert result.exit_code == 2
    assert f"Invalid value for '{command.split()[-1]}'" in result.stderr


def test_an_audit_of_very_many_layers_is_refused_before_any_history_goes_through_them(monkeypatch):
    spec = linucb.Spec(2, 3, 20, 0.01, "gd")
    monkeypatch.setenv("WEIGHTWRIGHT_SEARCHED", "1000")
    with pytest.raises(
        ValueError,
        match=r"wanted at most 1000 layers for an audit \(WEIGHTWRIGHT_SEARCHED\), got about 2.8e\+03",
    ):
        general.report(CATALOG["linucb"], spec, histories=4, trials=1)
