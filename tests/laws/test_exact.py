"""The forward pass in rational arithmetic: against the definitions in plain fractions, and against the algorithm."""

import copy
import itertools
from dataclasses import replace
from fractions import Fraction

import pytest
from by_definition import by_definition
from hypothesis import given, settings

from constructions import linucb, ucbvi
from constructions.history import EpisodeHistory
from verify import algorithms
from verify.audit import exact
from verify.histories import episodes as episode_strategies
from verify.histories.linear import battery

TINY = ucbvi.Spec(states=1, actions=2, horizon=1, episodes=3, temperature=0.5, exploration=0.1, form="narrow")
SMALL = ucbvi.Spec(states=2, actions=2, horizon=2, episodes=2, temperature=0.25, exploration=0.05)
MAIN = ucbvi.Spec(states=4, actions=3, horizon=4, episodes=20, exploration=0.03)
HISTORY = EpisodeHistory([0, 0, 0], actions=[0, 0], rewards=[1 / 3, 0.2], horizon=1)
FORMS = pytest.mark.parametrize("form", ["theorem", "slim", "narrow"])


def stream(built, history) -> list[list[Fraction]]:
    numbers = exact.forward(built, history)
    rows = [[Fraction(int(x.p), int(x.q)) for x in numbers.row(n)] for n in range(len(numbers.integers))]
    return [list(token) for token in zip(*rows, strict=True)]


def wanted(spec: ucbvi.Spec, history: EpisodeHistory) -> list[list[Fraction]]:
    bonus = [Fraction(spec.bonus(n)) for n in range(spec.episodes + 1)]
    scale = Fraction(1 / spec.tau)
    return [[scale * q for q in row] for row in algorithms.ucbvi_exact(spec, history, bonus)]


@FORMS
def test_it_is_the_forward_pass_of_the_definitions(form):
    """Logits at every token, or the whole stream where nothing was left out."""
    built = ucbvi.build(replace(TINY, form=form))
    literal = by_definition(built.transformer, built.tokens.encode(HISTORY))
    logits = built.tokens.stream["logits"].slice
    assert [token[logits] for token in stream(built, HISTORY)[::3]] == [
        token[logits] for token in literal[::3]
    ]
    assert exact.logits(built, HISTORY) == wanted(built.spec, HISTORY)


def test_a_changed_weight_changes_it_as_the_definitions_do():
    built = ucbvi.build(TINY)
    model = copy.deepcopy(built.transformer)
    for name, weight in model.named_parameters():
        if name.endswith("mlp.second.weight"):
            weight[::5] *= 1.25
    broken = replace(built, transformer=model)
    logits = built.tokens.stream["logits"].slice
    literal = by_definition(model, built.tokens.encode(HISTORY))
    assert exact.logits(broken, HISTORY) == [token[logits] for token in literal[::3]]
    assert exact.logits(broken, HISTORY) != exact.logits(built, HISTORY)


def every_history(spec: ucbvi.Spec, rewards: tuple[float, ...]):
    """All histories of full length whose rewards take a few values."""
    steps = spec.episodes * spec.horizon
    pools = [range(spec.states)] * steps, [range(spec.actions)] * (steps - 1), [rewards] * (steps - 1)
    for states, actions, gains in itertools.product(*(itertools.product(*pool) for pool in pools)):
        yield EpisodeHistory(states, actions, gains, spec.horizon)


def test_no_difference_on_every_small_history():
    """One stage, three episodes, one state, two actions, rewards 0, 1/3 and 1."""
    built = ucbvi.build(TINY)
    histories = list(every_history(TINY, (0.0, 1 / 3, 1.0)))
    assert len(histories) == 36
    seen = set()
    for history in histories:
        found = exact.logits(built, history)
        assert found == wanted(TINY, history)
        seen.add(tuple(found[-1]))
    assert len(seen) > 5  # not all the same


@pytest.mark.nightly
@FORMS
def test_no_difference_on_every_history_of_two_stages(form):
    """Two states, two actions, two stages, two episodes, rewards 0 and 3/4: 1,024 histories."""
    spec = replace(SMALL, form=form)
    built, count = ucbvi.build(spec), 0
    for history in every_history(spec, (0.0, 0.75)):
        assert exact.logits(built, history) == wanted(spec, history)
        count += 1
    assert count == 1024


@pytest.mark.parametrize("form", [pytest.param("theorem", marks=pytest.mark.nightly), "slim", "narrow"])
@settings(max_examples=4)
@given(outline=episode_strategies.outlines(MAIN))
def test_no_difference_on_histories_that_are_found(form, outline):
    spec = replace(MAIN, form=form)
    built, history = ucbvi.build(spec), outline.history(spec).prefix(min(outline.steps, 24))
    assert exact.logits(built, history) == wanted(spec, history)


def test_other_heads_are_named():
    spec = linucb.Spec(dim=2, actions=2, horizon=3, error=0.1, solver="newton")
    with pytest.raises(ValueError, match="wanted heads of other kinds, got OwnMatrix"):
        exact.forward(linucb.build(spec), battery(spec)[0].history(spec))
