"""Whatever comes to a door, the answer is right, held against the true algorithm, or one clear line."""

import os
import resource
import time
from collections import Counter

import numpy as np
import pytest
import torch
from doors import BUILT, REFUSED, TRAINED, finite, knock
from effort import PROFILE
from entrances import ARRAYS, BASES, DOORS
from hostile import NO_NUMBER, OBJECTS, REAL, WHOLE
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from constructions import files
from constructions.history import BanditHistory, EpisodeHistory
from verify import algorithms

HEARD: dict[tuple[str, str], int] = Counter()
"""Calls by entry point and outcome."""
LONGEST = [0.0, ""]
"""Seconds of the longest call, and where it was made."""


@pytest.fixture(autouse=True, scope="module")
def _little_memory():
    """What is within the limits is made: so they are low."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHTWRIGHT_MEMORY", "0.02")
        yield
    if path := os.environ.get("WEIGHTWRIGHT_FUZZ_RECORD"):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        lines = [
            f"{HEARD[door, 'answered']:7} {HEARD[door, REFUSED]:7}  {door}"
            for door in sorted({d for d, _ in HEARD})
        ]
        total = (
            f"{sum(HEARD.values()):,} calls, longest {LONGEST[0]:.2f} s at {LONGEST[1]}, peak {peak:.2f} GiB"
        )
        files.write(path, "\n".join([total, "answered refused  entry point", *lines]) + "\n")


def heard(place: str, call, *values, **named):
    """Knock, and count what comes."""
    start = time.perf_counter()
    answer = knock(call, *values, **named)
    took = time.perf_counter() - start
    HEARD[place, REFUSED if answer is REFUSED else "answered"] += 1
    if took > LONGEST[0]:
        LONGEST[:] = [took, place]
    return answer


CALLS = 10
"""Doors that are knocked at in each example."""

EXAMPLES = 5_000 if PROFILE == "nightly" else 110
"""Of each of two tests: 100,000 calls by night, 2,200 by day; those of decided histories not counted."""

HARD = settings(
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)],  # which takes minutes
)

TRUTHS = {
    "linucb": algorithms.linucb,
    "sampling": lambda spec, history: _log_softmax(algorithms.thompson_scores(spec, history)),
    "two arms": algorithms.thompson,
    "bernoulli": algorithms.bernoulli_thompson,
    "ucbvi": algorithms.ucbvi,
}


def one_of_these(values: list) -> st.SearchStrategy:
    """Of values that need not be hashable, but that can be written down."""
    told = [value for value in values if not (isinstance(value, int) and abs(value) > 10**4000)]
    return st.integers(0, len(told) - 1).map(lambda n: told[n])


numbers = st.one_of(
    st.integers(-3, 5),
    st.integers(),
    st.floats(allow_subnormal=True),
    st.floats(0, 2),
    st.fractions(),
    st.booleans(),
    st.complex_numbers(),
    st.decimals(),
    st.text(max_size=3),
    st.none(),
    one_of_these([*NO_NUMBER.values(), *WHOLE.values(), *REAL.values()]),
)
dtypes = st.one_of(
    arrays.floating_dtypes(endianness="="),
    arrays.integer_dtypes(endianness="="),
    arrays.unsigned_integer_dtypes(endianness="="),
    arrays.boolean_dtypes(),
    arrays.complex_number_dtypes(endianness="="),
    arrays.timedelta64_dtypes(endianness="="),
    arrays.datetime64_dtypes(endianness="="),
    arrays.unicode_string_dtypes(endianness="=", max_len=3),
)
shapes = st.one_of(
    st.sampled_from([(2, 3, 2), (3, 2), (2,), (1,), (1, 2, 1, 2)]), arrays.array_shapes(min_dims=0)
)
real_arrays = dtypes.flatmap(lambda dtype: arrays.arrays(dtype, shapes))
tensors = st.builds(
    lambda array, dtype: torch.tensor(array).to(dtype),
    arrays.arrays(np.float64, shapes, elements=st.floats(-2, 2)),
    st.sampled_from([torch.float64, torch.bfloat16, torch.int8, torch.bool, torch.complex64]),
)
masked = st.builds(np.ma.masked_invalid, arrays.arrays(np.float32, shapes))
anything = st.one_of(
    numbers,
    st.recursive(numbers, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=9),
    st.dictionaries(st.text(max_size=2), numbers, max_size=2),
    real_arrays,
    tensors,
    masked,
    one_of_these(list(OBJECTS.values())),
)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)


FIELDS = [
    (door, name)
    for door, (_, _, wholes, reals) in BASES.items()
    for name in (wholes + " " + reals).split()
    if door != "batch of a recipe"  # a large batch within the limits takes its time
]


def plain(answer) -> bool:
    """Whether numbers of an answer are Python's own or arrays of float64 and int64."""
    values = vars(answer).values() if hasattr(answer, "__dict__") else [answer]
    return all(
        value.dtype in (np.float64, np.int64)
        if isinstance(value, np.ndarray)
        else not isinstance(value, np.generic)
        for value in values
    )


@HARD
@given(st.lists(st.tuples(st.sampled_from(FIELDS), anything), min_size=CALLS, max_size=CALLS))
def test_a_field_is_a_plain_number_or_refused(calls):
    for (door, name), value in calls:
        make, base, *_ = BASES[door]
        assert plain(heard(f"{door}: {name}", make, **base | {name: value}))


@HARD
@given(st.lists(st.tuples(st.sampled_from([*ARRAYS, *DOORS]), anything), min_size=CALLS, max_size=CALLS))
def test_a_door_answers_or_refuses(calls):
    for door, value in calls:
        call, name, *_ = ARRAYS.get(door, (DOORS.get(door), None))
        answer = heard(door, call, **{name: value}) if name else heard(door, call, value)
        if door.endswith(("policy", "observe")) and answer is not REFUSED:
            assert finite(answer)


@st.composite
def histories(draw, kind: str):
    """Near what the construction of a kind admits, in all makes of arrays."""
    spec, steps = BUILT[kind][0].spec, draw(st.integers(1, 4))
    if kind == "ucbvi":
        states, actions = (
            draw(st.lists(st.integers(0, most), min_size=n, max_size=n))
            for most, n in ((spec.states - 1, steps), (spec.actions - 1, steps - 1))
        )
        rewards = draw(st.lists(st.floats(-1e-6, 1 + 1e-6), min_size=steps - 1, max_size=steps - 1))
        return EpisodeHistory(*(_made(draw, x) for x in (states, actions, rewards)), spec.horizon)
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    contexts = generator.normal(size=(steps, spec.actions, spec.dim))
    norms = draw(st.sampled_from([spec.action_norm[0], 0.99 * spec.action_norm[1], spec.action_norm[1]]))
    contexts *= norms / np.linalg.norm(contexts, axis=-1, keepdims=True)
    bound = spec.action_norm[1] * spec.weight_norm + spec.noise_bound
    rewards = generator.choice([-bound, bound, 0.0, 0.3 * bound], steps - 1)
    if kind == "bernoulli":
        contexts, rewards = (
            np.tile(np.eye(spec.actions), (steps, 1, 1)),
            generator.integers(2, size=steps - 1),
        )
    actions = generator.integers(spec.actions, size=steps - 1)
    draws = generator.normal(size=(steps, spec.dim)) if kind == "sampling" else None
    return BanditHistory(*(_made(draw, x) for x in (contexts, actions, rewards)), draws)


def _made(draw, values):
    """An array in another make; narrow ones hold other numbers, which are those of both sides."""
    array = np.array(values)
    makes = [
        lambda: array,
        lambda: array.tolist(),
        lambda: list(array),
        lambda: array.astype(object),
        lambda: torch.tensor(array),
        lambda: list(torch.tensor(array)),
        lambda: np.ma.array(array),
    ]
    if array.dtype.kind == "f":
        makes += [
            lambda: array.astype(np.float32),
            lambda: torch.tensor(array, dtype=torch.float32, requires_grad=True),
            lambda: torch.tensor(array).to_sparse(),
        ]
    return draw(st.sampled_from(makes))()


@settings(max_examples=1_000 if PROFILE == "nightly" else 30)
@given(st.data(), st.sampled_from(sorted(BUILT)))
def test_a_policy_is_that_of_the_true_algorithm_however_its_numbers_are_made(data, kind):
    built = BUILT[kind][0]
    history = data.draw(histories(kind))
    answer = heard(f"{kind}: decided history", built.log_probabilities, history)
    if answer is REFUSED:
        return
    truth = TRUTHS[kind](built.spec, history)
    gap = truth - answer if kind == "bernoulli" else abs(truth - answer)
    allowed = (
        2 * built.allowed if kind == "sampling" else built.allowed
    )  # of scores, whose log-softmax is 2-Lipschitz
    assert gap.max() <= allowed
    decoder, found = built.decoder(), []
    for step in range(history.steps):
        context = history.states[step] if kind == "ucbvi" else history.contexts[step]
        extra = () if kind == "ucbvi" or history.draws is None else (history.draws[step],)
        found.append(knock(decoder.observe, context, *extra))
        if step < history.steps - 1:
            knock(decoder.record, history.actions[step], history.rewards[step])
    np.testing.assert_allclose(found, answer, rtol=0, atol=1e-9)


@given(st.data(), st.sampled_from(sorted(TRAINED)))
def test_a_trained_policy_is_finite_or_refused(data, name):
    trained, history = TRAINED[name]
    scale = data.draw(st.floats(0, 1e308))
    if name == "bandits":
        history = BanditHistory(
            history.contexts * min(scale, 1e307), history.actions, history.rewards * scale
        )
    answer = heard(f"{name}: trained policy", trained.log_probabilities, history)
    assert answer is REFUSED or finite(answer)
