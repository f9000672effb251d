"""Records of sweeps: fits against known laws, measured ≤ certified ≤ stated, exponents within what the theory says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import sympy
from fixed_play import history_from

from constructions import linucb
from verify import algorithms, environments, theorems
from verify.play.rollout import rollout
from verify.sweeps import linucb as sweeps
from verify.sweeps import records
from verify.theorems import linucb as stated

SMALL = linucb.Spec(dim=2, actions=2, horizon=8, error=0.01, noise_bound=1.0, weight_norm=1.0)
TOLERANCE = 0.05  # the window around a theoretical exponent


def bandit(spec):
    """The paper's bandit, held to a spec's bounds."""
    bounds = {"action_norm": spec.action_norm, "noise_bound": spec.noise_bound}
    shape = {"dim": spec.dim, "actions": spec.actions, "horizon": spec.horizon}
    return lambda generator: environments.paper_linear_bandit(generator, **shape, **bounds)


def histories(spec):
    played = [
        history_from(bandit(spec)(np.random.default_rng(n)), np.random.default_rng(n)) for n in range(4)
    ]
    return sweeps.adversarial_histories(spec) + played


def saved(record):
    """The record after a round trip through strict JSON."""
    return json.loads(json.dumps(record, allow_nan=False))


@pytest.mark.parametrize("exponent", [-1.5, 0.0, 0.5, 2.0])
@pytest.mark.parametrize("constant", [1e-6, 3.0])
def test_fit_recovers_an_exact_law(exponent, constant):
    x = np.geomspace(1, 1e4, 7)
    fit = records.fit_power(x, constant * x**exponent)
    assert fit.exponent == pytest.approx(exponent, abs=1e-12)
    assert fit.constant == pytest.approx(constant)
    assert fit.low <= fit.exponent <= fit.high
    assert fit.high - fit.low < 1e-6
    assert exponent == 0 or fit.r_squared == pytest.approx(1)


@pytest.mark.parametrize("points", [3, 4, 12])
def test_intervals_cover_as_often_as_they_claim(points):
    generator, x = np.random.default_rng(0), np.geomspace(1, 100, points)
    noise = generator.standard_normal((2000, points))
    fits = [records.fit_power(x, 2 * x**0.5 * np.exp(0.3 * row)) for row in noise]
    covered = np.mean([fit.low <= 0.5 <= fit.high for fit in fits])
    assert covered == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / 2000) ** 0.5)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 2], [1, 2]),
        ([1, 2, 3], [1, 2]),
        ([[1, 2, 3]], [[1, 2, 3]]),
        ([2, 2, 2], [1, 2, 3]),
        ([0, 1, 2], [1, 2, 3]),
        ([1, 2, 3], [1, -2, 3]),
        ([1, 2, 3], [1, np.nan, 3]),
        ([1, 2, np.inf], [1, 2, 3]),
    ],
)
def test_fit_rejects_what_is_no_power_law(x, y):
    with pytest.raises(ValueError, match="fit_power: wanted"):
        records.fit_power(x, y)


DEPTHS = {"gd": [1, 5, 30, 100, 300, 1000, 3000], "agd": [1, 2, 5, 10, 30, 60, 100, 200, 400]}


@pytest.mark.parametrize("solver", DEPTHS)
@pytest.mark.parametrize("spec", [SMALL, replace(SMALL, dim=1), replace(SMALL, ridge=0.1, horizon=5)])
def test_measured_certified_stated_in_order_at_every_depth(solver, spec):
    record = saved(sweeps.error_against_depth(spec, solver, DEPTHS[solver], histories(spec)))
    curves = {name: np.array(record[name]) for name in ("measured", "certified", "rounding", "stated")}
    assert record["depths"] == DEPTHS[solver]
    assert record["spec"]["solver"] == solver
    assert (curves["measured"] > 0).all()
    assert (curves["measured"] <= curves["certified"] + curves["rounding"]).all()
    assert (curves["certified"] <= curves["stated"]).all()
    assert (curves["rounding"] < 1e-8).all()


@pytest.mark.parametrize("solver", DEPTHS)
def test_adversarial_histories_use_up_most_of_the_certificate(solver):
    record = sweeps.error_against_depth(SMALL, solver, DEPTHS[solver], sweeps.adversarial_histories(SMALL))
    above = np.array(record["certified"]) > 1e3 * max(np.array(record["rounding"]))
    assert above.sum() >= 4
    assert (np.array(record["measured"])[above] > 0.4 * np.array(record["certified"])[above]).all()


def test_errors_are_those_of_the_deepest_step_on_the_worst_history():
    tried = histories(SMALL)
    together = sweeps.error_against_depth(SMALL, "agd", [20], tried)["measured"][0]
    alone = [sweeps.error_against_depth(SMALL, "agd", [20], [history])["measured"][0] for history in tried]
    assert together == pytest.approx(max(alone), rel=1e-12)
    assert min(alone) < 0.5 * together
    built = linucb.estimator(SMALL, 20)
    probes = [built.probe(history)[0].error for history in tried]
    assert together == pytest.approx(max(probes), rel=1e-9)


def test_depth_sweep_rejects_what_it_cannot_measure():
    tried = histories(SMALL)
    with pytest.raises(ValueError, match="depths: wanted"):
        sweeps.error_against_depth(SMALL, "agd", [], tried)
    with pytest.raises(ValueError, match="depths: wanted"):
        sweeps.error_against_depth(SMALL, "agd", [3, 0], tried)
    for wrong in ([], [tried[0], tried[0].prefix(3)]):
        with pytest.raises(ValueError, match="histories: wanted"):
            sweeps.error_against_depth(SMALL, "agd", [3], wrong)


def test_square_root_needs_neurons_like_the_inverse_root_of_the_error():
    errors = np.geomspace(1e-1, 1e-5, 9).tolist()
    record = saved(sweeps.error_against_width(linucb.Spec(5, 10, 50), errors, points=2001))
    measured, certified, rounding = (np.array(record[k]) for k in ("measured", "certified", "rounding"))
    np.testing.assert_allclose(record["errors"], errors)
    assert (measured <= certified + rounding).all()
    assert (measured >= 0.99 * certified).all()  # the search meets the bound, so it can be trusted to look
    assert (certified <= record["errors"]).all()
    assert record["fit"]["exponent"] == pytest.approx(0.5, abs=TOLERANCE)
    assert record["fit"]["constant"] == pytest.approx(5**0.25 / 2, rel=0.15)  # ∫ dp/(4√(εp)) for p = √x ≤ √5
    assert record["fit"] == sweeps.asdict(records.fit_power(1 / np.array(errors), record["neurons"]))


def test_square_root_has_the_neurons_that_a_whole_construction_has():
    spec = linucb.Spec(dim=2, actions=3, horizon=5, error=0.05)
    built = linucb.build(spec)
    root = built.blocks[-2].promise.own.error
    neurons = sweeps.error_against_width(spec, [root, root / 2, root / 4], points=101)["neurons"]
    hidden = max(layer.mlp.first.outputs for layer in built.transformer.stored_layers[1:])
    assert abs(hidden - (spec.actions * neurons[0] + 1)) <= spec.actions  # its range is wider by 1 ± ε


def test_width_sweep_rejects_too_few_errors_and_errors_of_zero():
    with pytest.raises(ValueError, match="fit_power: wanted"):
        sweeps.error_against_width(SMALL, [0.1, 0.01])
    with pytest.raises(ValueError, match="error > 0"):
        sweeps.error_against_width(SMALL, [0.1, 0.01, 0.0])


@pytest.mark.parametrize(("solver", "power"), [("agd", 0.5), ("gd", 1.0)])
def test_layers_grow_as_stated(solver, power):
    horizons = [10, 32, 100, 320, 1000]
    spec = linucb.Spec(dim=5, actions=2, horizon=2)
    record = saved(sweeps.size_against_horizon(spec, horizons, solver))
    fits = {name: fit["exponent"] for name, fit in record["fits"].items()}
    assert {name: fits[name] for name in ("certified", "stated", "certified_own")} == pytest.approx(
        dict.fromkeys(("certified", "stated", "certified_own"), power), abs=TOLERANCE
    )
    assert fits["stated"] == pytest.approx(power, abs=0.005)
    assert fits["certified_own"] == pytest.approx(power, abs=0.01)
    assert (np.array(record["certified"]) <= record["stated"]).all()
    assert fits["certified_raw"] > fits["certified"]
    assert fits["hidden_raw"] < 0.1  # the theorem allows 0.5
    built = linucb.build(replace(spec, solver=solver, horizon=horizons[-1])).size()
    names = ("certified", "heads", "width", "hidden", "norm")
    sizes = (built.layers, built.heads, built.width, built.hidden, built.norm)
    assert tuple(record[name][-1] for name in names) == sizes


def test_stated_layers_and_their_logarithms_are_those_of_the_theorem():
    spec = linucb.Spec(dim=3, actions=2, horizon=2)
    record = sweeps.size_against_horizon(spec, [5, 50, 500], "agd")
    for horizon, layers, log in zip(record["horizons"], record["stated"], record["log_stated"], strict=True):
        values = theorems.symbols(replace(spec, horizon=horizon))
        assert layers == stated.THEOREM_8_EXPLICIT.evaluate("layers", **values)
        factor = 2 * np.sqrt(2 * horizon * (values["action_max"] ** 2 + 1))
        assert layers == pytest.approx(factor * log + 2, abs=2)  # two roundings up
    assert len(stated.STATED_LAYERS.atoms(sympy.log)) == 2


def test_size_sweep_rejects_what_cannot_be_fitted():
    for horizons in ([10, 20], [10, 10, 20], [1, 10, 100]):
        with pytest.raises(ValueError, match="horizons, exploration: wanted"):
            sweeps.size_against_horizon(SMALL, horizons, "agd")
    with pytest.raises(ValueError, match="horizons, exploration: wanted"):
        sweeps.size_against_horizon(replace(SMALL, exploration=0.0), [5, 10, 20], "agd")


def test_regret_of_the_transformer_is_that_of_linucb():
    spec, seeds = replace(SMALL, noise_bound=3.0, weight_norm=1.5), [3, 5, 8]
    record = saved(sweeps.regret(bandit(spec), spec, seeds, "paper"))
    assert record["measured"] <= record["certified"] + record["rounding"]
    assert record["certified"] <= record["stated"] == spec.error
    assert record["measured"] > 0
    assert record["decisions"] == 3 * spec.horizon
    assert record["seeds"] == seeds
    assert record["steps"] == list(range(1, spec.horizon + 1))
    runs = []
    for seed in seeds:
        stage = bandit(spec)(np.random.default_rng(seed))
        runs.append(rollout(stage, algorithms.decoder(spec), np.random.default_rng([seed, 1])))
    totals = [np.cumsum(run.regret) for run in runs]
    np.testing.assert_allclose(record["true"], np.mean(totals, axis=0))
    np.testing.assert_allclose(record["true_deviation"], np.std(totals, axis=0, ddof=1))
    assert record["differing"] <= 2
    if not record["differing"]:
        np.testing.assert_allclose(record["built"], record["true"])
        np.testing.assert_allclose(record["built_deviation"], record["true_deviation"])


def test_decisions_that_differ_are_counted(monkeypatch):
    other = replace(SMALL, temperature=1e3)
    true = algorithms.decoder
    monkeypatch.setattr(algorithms, "decoder", lambda spec: true(other))
    record = sweeps.regret(bandit(SMALL), SMALL, list(range(4)), "paper")
    assert record["differing"] > 0
    assert record["built"] != record["true"]
    assert (
        record["measured"] <= record["certified"] + record["rounding"]
    )  # against `algorithms.linucb`, which was left alone


def test_regret_on_labelled_data():
    spec = linucb.Spec(dim=9, actions=3, horizon=10, action_norm=(1.0, 1.0), weight_norm=0.0, noise_bound=1.0)
    iris = lambda generator: environments.classification_bandit("iris", generator, 10, 2)  # noqa: E731
    record = sweeps.regret(iris, spec, [0, 1], "iris")
    assert record["measured"] <= record["certified"] + record["rounding"] <= 1.001 * record["stated"]
    assert record["label"] == "iris"


def test_regret_rejects_a_single_seed_and_an_environment_outside_the_spec():
    with pytest.raises(ValueError, match="seeds: wanted 2 or more"):
        sweeps.regret(bandit(SMALL), SMALL, [1], "paper")
    with pytest.raises(ValueError, match="rewards: wanted"):
        sweeps.regret(bandit(replace(SMALL, noise_bound=6.0)), SMALL, list(range(6)), "paper")
