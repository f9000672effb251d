"""The audit of Bernoulli arms: its histories are admissible, its claims hold, and each of them can fail."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructions import thompson
from constructions.thompson import BernoulliSpec
from verify import algorithms
from verify.claims import bernoulli
from verify.histories import bernoulli as bernoulli_strategies
from verify.histories.bernoulli import PATHS, REWARDS, BernoulliOutline
from verify.show import plots

SPEC = BernoulliSpec(3, 12, 0.05)
SPECS = st.builds(BernoulliSpec, st.integers(2, 6), st.integers(1, 30))


@given(SPECS, st.data())
def test_all_outlines_are_admissible(spec, data):
    outline = data.draw(bernoulli_strategies.outlines(spec))
    history = outline.history(spec)
    assert history.steps == outline.steps <= spec.horizon
    assert np.array_equal(history.contexts, np.tile(np.eye(spec.actions), (outline.steps, 1, 1)))
    assert set(history.rewards) <= {0.0, 1.0}
    assert algorithms.bernoulli_thompson(spec, history).shape == (outline.steps, spec.actions)
    again = outline.history(spec)
    assert np.array_equal(history.actions, again.actions)
    assert np.array_equal(history.rewards, again.rewards)


def test_the_transformer_takes_all_of_the_battery():
    built, outlines = thompson.build(SPEC), bernoulli_strategies.battery(SPEC)
    assert {(outline.path, outline.rewards) for outline in outlines} == {
        (p, r) for p in PATHS for r in REWARDS
    }
    assert built.outputs([outline.history(SPEC) for outline in outlines], logits_only=True).shape[:2] == (
        40,
        12,
    )
    assert len(bernoulli_strategies.battery(SPEC, repeats=2)) == 80


def played(path: str, rewards: str, spec=SPEC, seed: int = 0):
    history = BernoulliOutline(path, rewards, spec.horizon, seed).history(spec)
    return history.actions, history.rewards


def test_outlines_are_what_they_are_called():
    assert len(set(played("one arm", "one")[0])) == 1
    assert played("in turn", "zero")[0].tolist() == [0, 1, 2] * 3 + [0, 1]
    actions = played("two arms", "prior")[0]
    assert len(set(actions)) == 2
    assert (actions[1:] != actions[:-1]).all()
    assert played("random", "one")[1].tolist() == [1.0] * 11
    assert played("one arm", "zero")[1].tolist() == [0.0] * 11
    assert played("one arm", "alternating")[1].tolist() == [1.0, 0.0] * 5 + [1.0]
    assert played("in turn", "late")[1].tolist() == [0.0] * 6 + [1.0] * 5
    for rewards, share in (("one wins", 4), ("one loses", 7)):
        actions, won = played("in turn", rewards)
        assert len(set(actions[won == (rewards == "one wins")])) == 1
        assert share - 1 <= won.sum() <= share + 1
    large = BernoulliSpec(2, 5000)
    assert np.mean(played("random", "close", large)[1]) == pytest.approx(0.5, abs=0.05)
    means = [np.mean(played("one arm", "prior", large, seed)[1]) for seed in range(4)]
    assert max(means) - min(means) > 0.2


@pytest.mark.parametrize("rewards", ["one", "zero", "prior"])
def test_thompson_outlines_follow_the_probabilities(rewards):
    """How often the third action repeats the second in 3,000 runs, against true probabilities: five standard deviations."""
    runs = [
        BernoulliOutline("Thompson", rewards, 4, seed).history(BernoulliSpec(3, 4)) for seed in range(3000)
    ]
    wanted = [np.exp(algorithms.bernoulli_thompson(SPEC, run)[2, run.actions[1]]) for run in runs]
    found = [run.actions[2] == run.actions[1] for run in runs]
    assert np.mean(found) == pytest.approx(np.mean(wanted), abs=5 * 0.5 / np.sqrt(3000))


def test_true_policies_without_a_generator_return_the_probabilities():
    for outline in bernoulli_strategies.battery(SPEC)[::5]:
        history, policy, rows = outline.history(SPEC), algorithms.bernoulli_thompson_decoder(SPEC), []
        for step in range(history.steps):
            rows.append(policy.observe(history.contexts[step]))
            if step < history.steps - 1:
                policy.record(int(history.actions[step]), float(history.rewards[step]))
        np.testing.assert_allclose(rows, algorithms.bernoulli_thompson(SPEC, history), rtol=1e-10, atol=1e-11)


@pytest.fixture
def quick(monkeypatch):
    """Smaller sizes."""
    monkeypatch.setattr(bernoulli, "MAIN", BernoulliSpec(3, 20, 0.05))
    monkeypatch.setattr(bernoulli, "SMALL", BernoulliSpec(2, 8, 0.1))
    monkeypatch.setattr(bernoulli, "RUNS", range(4))
    return monkeypatch


def claimed():
    """All verdicts, of few histories."""
    return [verdict for part in bernoulli.parts(1) for verdict in part.found().verdicts]


def failed(verdicts) -> str:
    return "; ".join(verdict.claim for verdict in verdicts if not verdict.holds)


@pytest.mark.nightly
def test_all_claims_hold(quick):
    found = [part.found() for part in bernoulli.parts(60)]
    verdicts = [verdict for part in found for verdict in part.verdicts]
    assert not failed(verdicts)
    [main] = [verdict for verdict in verdicts if verdict.main]
    assert 0 < main.enclosed <= main.certified
    [slack] = [rows for part in found for rows in part.slacks.values()]
    assert [row["block"] for row in slack] == [block.name for block in thompson.build(SPEC).blocks]
    assert all(verdict.measured > 0 for verdict in verdicts if "log TS" in verdict.claim)
    [record] = found[-1].records["regret"]
    assert plots.draw(record) is not None
    assert len(record["built"]) == 20
    assert record["decisions"] == 80


def spoil(built, layer: int, factor: float):
    """A construction whose last matrix of a layer is a factor off."""
    weight = built.transformer.stored_layers[layer].mlp.second.weight
    weight *= factor
    return built


BROKEN = {
    "log TS − log TF": (5, 1.1),
    "KL(TS ‖ TF)": (5, 3.0),
    "total variation": (5, 3.0),
    "(TF_k − TS_k)/(1 − TS_k)": (5, 1.1),
    "as true Thompson sampling does": (5, 1.1),
    "log (n+1)!/(s! b!)": (0, 1.01),
    "densities f_k(u_g)": (1, 1.5),
    "distribution functions F_k(u_g)": (2, 1.1),
    "log F_k(u_g)": (3, 1.5),
    "probabilities p_k": (4, 1.1),
    "logits log p_k": (5, 2.0),
}


@pytest.mark.parametrize("claim", BROKEN)
def test_claims_fail_for_wrong_weights(claim, quick):
    right, (layer, factor) = thompson.build, BROKEN[claim]
    quick.setattr(bernoulli, "_orders", list)
    quick.setattr(thompson, "build", lambda spec: spoil(right(spec), layer, factor))
    assert claim in failed(claimed())


def test_counts_fail_for_wrong_heads(quick):
    right = thompson.build

    def broken(spec):
        built = right(spec)
        built.transformer.stored_layers[0].attention.groups[0].value.weight *= 1.01
        return built

    quick.setattr(bernoulli, "_orders", list)
    quick.setattr(thompson, "build", broken)
    assert "counts n, s, b" in failed(claimed())


@pytest.mark.nightly
def test_sizes_and_orders_fail_for_others(quick):
    right, size = bernoulli.plan, thompson.build(bernoulli.MAIN).size()
    built = thompson.build(bernoulli.MAIN)
    quick.setattr(type(built), "size", lambda self: replace(size, layers=7, heads=4, width=999, hidden=10**6))
    found = failed(bernoulli._sizes(built))
    assert all(what in found for what in ("layers", "heads", "registers", "neurons"))
    quick.setattr(
        bernoulli, "_knots", lambda chosen: chosen.rule.nodes.size
    )  # grows with T, not with A or 1/ε
    found = failed(bernoulli._orders())
    assert all(what in found for what in ("knots in 1/ε", "knots in A", "knots in log T"))
    quick.setattr(bernoulli, "plan", lambda spec: right(replace(spec, horizon=100)))
    assert "nodes over" in failed(bernoulli._orders())


@pytest.mark.nightly
def test_regret_fails_for_a_transformer_that_knows_nothing(quick):
    """Uniform over five arms, 200 steps: about twice the bound."""
    quick.setattr(bernoulli, "MAIN", BernoulliSpec(5, 200, 0.5))
    built = thompson.build(bernoulli.MAIN)
    record, found = bernoulli.regret(spoil(built, 5, 0.0), range(2))
    assert "mean regret" in failed(bernoulli._regret(built, record, found))
