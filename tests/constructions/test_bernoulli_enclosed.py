"""Thompson sampling for Bernoulli arms, and soft UCB1, in balls: the proofs' steps and the certificates, rounding included.

The layers are run in ball arithmetic from the weights that the transformer holds; what they are held to is had from counts
in rationals, at the true nodes of Gauss's rule.
"""

import math

import numpy as np
import pytest
import soft_ucb1
from effort import PROFILE
from flint import arb, fmpq, fmpq_poly
from hypothesis import given, settings
from hypothesis import strategies as st

from constructions.primitives import envelope
from constructions.rounding.outward import balls
from constructions.thompson.bernoulli import BernoulliSpec, build
from constructions.thompson.bernoulli_plan import BernoulliPlan, plan
from constructions.thompson.quadrature import _gauss
from constructions.transformer import SparseMap

BITS = 256
MANY = 200 if PROFILE == "nightly" else 30
Counts = list[tuple[int, int]]
"""Successes and failures of each arm."""

# ---------------------------------------------------------------- the transformer


def applied(matrix: SparseMap, tokens: list[arb]) -> list[arb]:
    rows = [arb(0)] * matrix.outputs
    entries = zip(matrix.rows.tolist(), matrix.columns.tolist(), matrix.weight.tolist(), strict=True)
    for row, column, weight in entries:
        rows[row] += weight * tokens[column]
    return rows


def run(built, counts: Counts) -> dict[str, list[arb]]:
    """All registers of a token whose heads have counted so much; heads of layer 2, if any, multiply wins by 1/n."""
    stream, layers = built.tokens.stream, built.transformer.stored_layers
    wins, losses = ([arb(pair[n]) for pair in counts] for n in (0, 1))
    plays, tokens = [s + b for s, b in zip(wins, losses, strict=True)], [arb(0)] * stream.width
    for name, numbers in {"plays": plays, "wins": wins, "losses": losses}.items():
        if name in stream.registers:
            tokens[stream[name].slice] = numbers
    tokens[stream["position"].part(2, of=3).slice] = [arb(1)]
    for number, layer in enumerate(layers):
        if number and layer.attention.groups:
            inverse = tokens[stream["inverse"].slice]
            tokens[stream["mean"].slice] = [s * x for s, x in zip(wins, inverse, strict=True)]
        hidden = [x.max(arb(0)) for x in applied(layer.mlp.first, tokens)]
        tokens = [x + y for x, y in zip(tokens, applied(layer.mlp.second, hidden), strict=True)]
    return {name: tokens[register.slice] for name, register in stream.registers.items()}


# ---------------------------------------------------------------- the algorithm


def density(wins: int, losses: int) -> fmpq_poly:
    scale = fmpq(math.factorial(wins + losses + 1), math.factorial(wins) * math.factorial(losses))
    return scale * fmpq_poly([0, 1]) ** wins * fmpq_poly([1, -1]) ** losses


def probabilities(counts: Counts) -> list[fmpq]:
    """P(arm k has the largest draw)."""
    found = []
    for k, own in enumerate(counts):
        product = density(*own)
        for other in counts[:k] + counts[k + 1 :]:
            product *= density(*other).integral()
        found.append(product.integral()(fmpq(1)))
    return found


def at(polynomial: fmpq_poly, x: arb) -> arb:
    total = arb(0)
    for coefficient in reversed(polynomial.coeffs()):
        total = total * x + arb(coefficient)
    return total


def check_steps(chosen: BernoulliPlan, registers: dict[str, list[arb]], counts: Counts) -> None:
    """Every line of the proof, at every node."""
    arms, count = len(counts), chosen.rule.nodes.size
    r1, e = map(arb, chosen.cdf_error)
    drift = arb(chosen.drift)
    d1 = chosen.density.shortfall + drift
    eta = e + chosen.log_cdf.absolute
    nodes = [(1 + arb.legendre_p_root(count, k)) / 2 for k in reversed(range(count))]
    for k, (wins, losses) in enumerate(counts):
        f, cdf = density(wins, losses), density(wins, losses).integral()
        for g, u in enumerate(nodes):
            held = [registers[name][k * count + g] for name in ("density", "cdf", "log_cdf")]
            log = registers["factor"][k] + wins * arb(float(chosen.rule.logs[g]))
            log += losses * arb(float(chosen.rule.logs[count - 1 - g]))
            true, below = at(f, u), at(cdf, u)
            assert abs(log - true.log()) <= drift
            assert (1 - d1) * true <= held[0] <= (1 + r1) * true + chosen.density.absolute
            assert below <= held[1] <= (1 + r1) * below + e
            assert (-arb(chosen.log_cdf.shortfall)).exp() * below <= held[2].exp() <= (1 + r1) * below + eta
    d = arb(chosen.shortfall)
    for p, logit in zip(probabilities(counts), registers["logits"], strict=True):
        assert logit >= arb(p).log() - d
    whole = sum((logit.exp() for logit in registers["logits"]), arb(0))
    assert whole <= (arb(chosen.certificate) - d).exp()
    assert len(registers["logits"]) == arms


SPECS = st.builds(
    BernoulliSpec,
    st.integers(2, 4),
    st.integers(1, 12),
    st.floats(-2, math.log10(0.5)).map(lambda x: 10**x),
)


def tried(spec: BernoulliSpec):
    """Counts that a history may have: all at one arm, in equal parts, one that wins, and any."""
    arms, most = spec.actions, spec.horizon - 1
    equal = most // arms
    fixed = [
        [(most, 0)] + [(0, 0)] * (arms - 1),
        [(0, most)] + [(0, 0)] * (arms - 1),
        [(equal, 0)] + [(0, equal)] * (arms - 1),
        [(equal // 2, equal - equal // 2)] * arms,
    ]
    plays = st.lists(st.tuples(st.integers(0, arms - 1), st.booleans()), max_size=most)

    def counted(steps) -> Counts:
        return [(steps.count((arm, True)), steps.count((arm, False))) for arm in range(arms)]

    return st.sampled_from(fixed) | plays.map(counted)


@settings(max_examples=MANY)
@given(SPECS, st.data())
def test_the_certificate_is_never_exceeded_nor_any_step_of_its_proof(spec, data):
    """Many specs, in balls."""
    counts, built, chosen = data.draw(tried(spec)), build(spec), plan(spec)
    with balls(BITS):
        registers = run(built, counts)
        check_steps(chosen, registers, counts)
        whole = sum((logit.exp() for logit in registers["logits"]), arb(0)).log()
        for p, logit in zip(probabilities(counts), registers["logits"], strict=True):
            assert arb(p).log() - (logit - whole) <= built.certificate
    assert built.certificate <= spec.error


# ---------------------------------------------------------------- what float64 leaves


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_gauss_is_stored_within_what_it_says(count):
    """Weights by 2/((1 − x²)P'(x)²), and D by what it does to powers: exact for degrees below the number of nodes."""
    rule = _gauss(count)
    with balls(BITS):
        nodes = [(1 + arb.legendre_p_root(count, k)) / 2 for k in reversed(range(count))]
        true = []
        for u in nodes:
            x = 2 * u - 1
            slope = count * (x.legendre_p(count - 1) - x * x.legendre_p(count)) / (1 - x * x)
            true.append(1 / ((1 - x * x) * slope * slope))
        log_error = [abs(float(log) - u.log()) for log, u in zip(rule.logs, nodes, strict=True)]
        weight_error = [abs(float(w) / ball - 1) for w, ball in zip(rule.weights, true, strict=True)]
        assert all(error <= rule.log_error for error in log_error)
        assert any(error >= 0.99 * rule.log_error for error in log_error)
        assert all(error <= rule.weight_error for error in weight_error)
        assert count <= 2 or any(error >= 0.99 * rule.weight_error for error in weight_error)
        for g in (0, count // 2, count - 1):
            for degree in range(count):
                found = sum(
                    (float(d) * u**degree for d, u in zip(rule.partial[g], nodes, strict=True)), arb(0)
                )
                mass = sum((w * u**degree for w, u in zip(true, nodes, strict=True)), arb(0))
                assert abs(found - nodes[g] ** (degree + 1) / (degree + 1)) <= rule.partial_error * mass


def neurons(curve: envelope.Envelope, x: float) -> arb:
    """Their sum, one after the other."""
    if curve.left:
        pairs = zip(curve.weights.tolist(), curve.thresholds.tolist(), strict=True)
        active = [(w, k) for w, k in pairs if k > x]
        return sum((w * (arb(k) - x) for w, k in active), arb(float(curve.values[-1])))
    active = [(w, k) for w, k in zip(curve.bends.tolist(), curve.knots.tolist(), strict=True) if k < x]
    return sum((w * (x - arb(k)) for w, k in active), arb(float(curve.values[0])))


def places(curve: envelope.Envelope, tops: np.ndarray) -> list[float]:
    """Some knots, points between them, and where an error is largest."""
    inside = np.concatenate([curve.knots, (curve.knots[1:] + curve.knots[:-1]) / 2, tops])
    return inside[:: max(1, len(inside) // 150)].tolist()


@pytest.mark.parametrize(
    ("high", "relative", "absolute"),
    [(0.0, 0.1, 0.1), (6.0, 1e-3, 2e-4), pytest.param(3.0, 1e-7, 1e-9, marks=pytest.mark.nightly)],
)
def test_exponentials_keep_what_is_said_of_their_neurons(high, relative, absolute):
    curve = envelope.exponential(high, relative, absolute)
    tops = np.clip(np.log(curve.slopes / (1 + relative)), curve.knots[:-1], curve.knots[1:])
    with balls(BITS):
        ratios = []
        for x in [curve.knots[0] - 5.0, *places(curve, tops)]:
            y, true = neurons(curve, x), arb(x).exp()
            assert y <= (1 + arb(curve.relative)) * true + curve.absolute
            assert y >= true * (-arb(curve.shortfall)).exp()
            ratios.append(y / true)
        lowest = min(float(1 - neurons(curve, x) / arb(x).exp()) for x in curve.knots[:300].tolist())
    assert curve.relative <= relative * (1 + 1e-6)
    assert curve.shortfall <= 1e-14
    if len(curve.knots) < 300:  # every knot is looked at
        worst = max(float(1 - y) for y in ratios)
        assert lowest <= worst <= curve.shortfall


@pytest.mark.parametrize(
    ("high", "absolute"), [(1.0, 0.1), (1.0, 1e-4), pytest.param(2.0, 6e-9, marks=pytest.mark.nightly)]
)
def test_logarithms_keep_what_is_said_of_their_neurons(high, absolute):
    curve = envelope.logarithm(high, absolute)
    tops = np.clip(1 / curve.slopes, curve.knots[:-1], curve.knots[1:])
    with balls(BITS):
        for x in places(curve, tops):
            y = neurons(curve, x)
            assert y.exp() <= x + arb(curve.absolute)
            assert x == 0 or y >= arb(x).log() - curve.shortfall
    assert curve.absolute <= absolute * (1 + 1e-6)
    assert curve.shortfall <= 1e-14


# ---------------------------------------------------------------- soft UCB1

SOFT = st.builds(
    soft_ucb1.Spec,
    actions=st.integers(2, 3),
    horizon=st.integers(1, 40),
    error=st.floats(-2, 1).map(lambda x: 10**x),
    exploration=st.just(0.0) | st.floats(1e-3, 3),
    temperature=st.floats(-1, 1).map(lambda x: 10**x),
)


@settings(max_examples=MANY)
@given(SOFT, st.data())
def test_soft_ucb1_is_within_its_certificate(spec, data):
    """Many specs, in balls, for the arms' scores at every count of one arm against none."""
    built = soft_ucb1.build(spec)
    tau, c, n = arb(spec.temperature), arb(spec.exploration), spec.horizon - 1
    wins = data.draw(st.integers(0, n))
    counts = [(wins, n - wins)] + [(0, 0)] * (spec.actions - 1)
    with balls(BITS):
        logits = run(built, counts)["logits"]
        scores = [(arb(s) / max(s + b, 1) + c / arb(max(s + b, 1)).sqrt()) / tau for s, b in counts]
        ours, true = (
            [x - sum((y.exp() for y in row), arb(0)).log() for x in row] for row in (logits, scores)
        )
        assert all(abs(x - y) <= built.certificate for x, y in zip(ours, true, strict=True))
    assert built.certificate <= spec.error
