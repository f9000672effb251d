"""What a construction gives: a policy, scores, or values in registers of any name; without any it is not built."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import td0
from flint import arb, ctx

import constructions
from constructions import linucb
from constructions.history import BanditHistory
from constructions.language import bandits, episodes, repeat
from constructions.parts.guarantee import Guarantee
from verify import audit
from verify.balls import enclose
from verify.balls.arrays import balls, log_softmax

SMALL = td0.Spec(states=2, actions=2, horizon=2, episodes=3, sweeps=3)


@dataclass(frozen=True)
class Counts:
    """Plays of each arm, in a register `plays`, and rewards, in `wins`."""

    guarantee: Guarantee
    dim: int = 2
    actions: int = 2
    horizon: int = 5
    action_norm = (1.0, 1.0)
    weight_norm, noise_bound = 1.0, 0.0


def counts(guarantee: Guarantee):
    spec = Counts(guarantee)
    p = bandits.program("here", spec, plays=2, wins=2)
    arm, reward = p.input("action", 1.0).entries, p.input("reward", 1.0)
    p.sum("plays", arm)
    p.sum("wins", arm, by=reward)
    return bandits.complete(p, spec, 0.0, bernoulli=True)


def played(*actions: int) -> BanditHistory:
    return BanditHistory(np.tile(np.eye(2), (len(actions) + 1, 1, 1)), actions, np.ones(len(actions)))


def test_values_stand_in_registers_of_any_name_and_of_several():
    history = played(0, 1, 1)
    plays = [[0, 0], [1, 0], [1, 1], [1, 2]]
    alone = counts(Guarantee("values", output="plays"))
    assert "logits" not in alone.tokens.stream.registers
    np.testing.assert_allclose(alone.values(history), plays, rtol=0, atol=1e-12)
    both = counts(Guarantee("values", output=("wins", "plays")))
    np.testing.assert_allclose(both.values(history), np.hstack([plays, plays]), rtol=0, atol=1e-12)
    policy = counts(Guarantee(output="plays"))
    np.testing.assert_allclose(np.exp(policy.log_probabilities(history)).sum(1), 1)


def test_values_are_no_policy_and_come_step_by_step_too():
    built, history = counts(Guarantee("values", output="plays")), played(0, 1, 1)
    with pytest.raises(
        ValueError, match=r"log_probabilities: wanted a policy, got values, in plays: values\(h"
    ):
        built.log_probabilities(history)
    decoder = built.decoder()
    decoder.observe(np.eye(2))
    decoder.record(0, 1.0)
    np.testing.assert_allclose(decoder.observe(np.eye(2)), [1, 0], atol=1e-12)
    given, _ = built.run_with_cache(history)
    np.testing.assert_allclose(given, built.values(history), atol=1e-12)


@pytest.mark.parametrize("name", ["logits", "arms", "nowhere"])
def test_an_output_that_no_block_holds_is_refused_when_it_is_built(name):
    message = rf"output: wanted a register that holds a block's result, one of plays, wins, got '{name}'; .*output=NAME"
    with pytest.raises(ValueError, match=message):
        counts(Guarantee("values", output=name))


def test_what_is_promised_belongs_to_the_seal():
    built = counts(Guarantee("values", output="plays"))
    assert built.certificate == 0
    assert replace(built, promised=Guarantee("values", output="wins")).certificate == np.inf
    assert replace(built, promised=Guarantee("values", output="plays")).certificate == 0


def test_a_part_of_a_construction_says_what_it_gives():
    spec = linucb.Spec(2, 3, 5, 0.1)
    part = linucb.estimator(spec, depth=30)
    assert part.guarantee == Guarantee("values", output="ridge")
    assert "logits" not in part.tokens.stream.registers
    arms = np.random.default_rng(0).uniform(0.5, 0.7, (4, 3, 2))
    history = BanditHistory(arms, [0, 1, 2], [0.5, -0.5, 1.0])
    past = arms[range(3), history.actions]
    truth = np.linalg.solve(np.eye(2) * spec.ridge + past.T @ past, past.T @ history.rewards)
    assert 0 < np.abs(part.values(history)[-1] - truth).max() <= part.certificate


def test_a_truth_of_another_shape_is_refused_in_a_line():
    built = td0.build(SMALL)
    with pytest.raises(ValueError, match=r"truth: wanted values of shape \(6, 2\), got \(6, 1\)"):
        audit.search(built, lambda spec, history: td0.truth(spec, history)[:, :1], 1, source=td0.histories)


# ---------------------------------------------------------------- batch TD(0), of docs/examples


def test_td0_gives_the_values_of_the_algorithm_exactly_and_a_certainty_equivalent_estimate():
    built = td0.build(SMALL)
    assert (built.size().layers, built.size().heads) == (SMALL.sweeps + 2, 3)
    assert built.certificate == 0
    for outline in td0.histories.battery(SMALL)[::5]:
        history = outline.history(SMALL)
        assert enclose(built, td0.ENTRY.balls, history).exact_high <= 1e-30
        np.testing.assert_allclose(built.values(history), td0.truth(SMALL, history), rtol=0, atol=1e-12)
    long = replace(SMALL, sweeps=8000, step=1.0)
    outline = td0.histories.battery(long)[3]  # "random", rewards at random
    history = outline.history(long)
    value = np.array(td0.estimate(long, history, history.steps - 1))
    model, gained, visits = np.zeros((2, 2)), np.zeros(2), np.zeros(2)
    for j, (state, reward) in enumerate(zip(history.states, history.rewards, strict=False)):
        visits[state] += 1
        gained[state] += reward
        if (j + 1) % long.horizon:
            model[state, history.states[j + 1]] += 1
    seen = visits > 0
    fixed = np.linalg.solve(np.diag(np.where(seen, visits, 1)) - long.discount * model, gained)
    np.testing.assert_allclose(value[seen], fixed[seen], rtol=1e-6)


def test_td0_is_kept_in_a_file(tmp_path):
    built = td0.build(SMALL)
    built.save(tmp_path / "td0.safetensors")
    assert constructions.load(tmp_path / "td0.safetensors").seal == built.seal


@pytest.mark.parametrize("name", ["step", "discount"])
def test_td0_refuses_sizes_for_which_a_sweep_might_grow(name):
    with pytest.raises(ValueError, match=rf"{name}: wanted a number in \[0, 1\], got 1\.5"):
        replace(SMALL, **{name: 1.5})
    assert td0.build(replace(SMALL, **{name: 0.0})).certificate == 0


def test_a_repeated_average_is_of_exact_values():
    p = episodes.program("here", SMALL, **episodes.before(SMALL, "state", "reward"), values=2)
    state, reward = episodes.step_before(p, ("state", "reward"))
    off = replace(reward, error=replace(reward.error, error=0.5))
    sizes = {"weight": 1.0, "largest": 3.0}
    with pytest.raises(ValueError, match=r"sweep: wanted exact values, got previous_reward within 0\.5"):
        repeat(p, "values", "sweep", 2, 1.0 * state, off, state, **sizes)
    with pytest.raises(ValueError, match="sweep: wanted a sum of values, got one with curves or a divisor"):
        repeat(p, "values", "sweep", 2, (1.0 * state) / 3.0, reward, state, **sizes)


def test_log_softmax_rounds_by_no_more_than_is_said():
    """Against balls, on logits near and far apart; what is said covers twice one log softmax, the truth's among them."""
    chance, worst = np.random.default_rng(0), 0.0
    for entries in (1, 2, 3, 10, 100):
        for scale in (0.0, 1e-3, 1.0, 30.0, 700.0):
            logits = scale * chance.standard_normal((40, entries))
            said = Guarantee().policy(logits)
            for row, found in zip(logits, said, strict=True):
                with ctx.workprec(200):
                    exact = log_softmax(balls(row))
                    off = max(abs(float(one - arb(value))) for one, value in zip(exact, found, strict=True))
                allowed = Guarantee().rounding(0.0, math.hypot(*row), entries) / 2
                assert off <= allowed, (entries, scale, off, allowed)
                worst = max(worst, off / allowed)
    assert worst > 0.1, "what is said is not idle"
