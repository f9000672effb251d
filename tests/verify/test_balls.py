"""Ball arithmetic: the pass against the definitions in fractions, the algorithms against other ways to compute them."""

import copy
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import soft_ucb1
from by_definition import by_definition
from flint import arb, arb_mat, ctx, fmpq
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_cases import CASES as TINY

from constructions import linucb, thompson, ucbvi
from constructions.history import BanditHistory, EpisodeHistory
from constructions.parts.block import UNIT
from constructions.transformer import SparseMap
from verify import algorithms, audit
from verify.audit import exact
from verify.balls import arrays, counts, forward, heads, linear, neurons
from verify.catalog import line_policy
from verify.histories import bernoulli as bernoulli_strategies
from verify.histories import linear as strategies
from verify.sweeps.thompson import FLOOR

TRUTHS = {"linucb": linear.linucb, "thompson": linear.thompson, "ucbvi": counts.ucbvi}
BERNOULLI = thompson.BernoulliSpec(actions=3, horizon=5, error=0.1)


def truth_of(name):
    return counts.bernoulli_thompson if "bernoulli" in name else TRUTHS[name.split()[0]]


def inside(ball: arb, number: Fraction) -> bool:
    with arrays.precision(2**14):
        return ball.contains(arb(fmpq(number.numerator, number.denominator)))


def as_stored(model):
    """A copy whose weights stand for the numbers that float64 holds, no longer for 1/3."""
    model = copy.deepcopy(model)
    for part in model.modules():
        if isinstance(part, SparseMap):
            part.exact = None
    return model


def logits(built, history, steps, **how):
    layers = forward.compile_layers(built, **({} if how else {"everything": False}))
    with arrays.precision(1024):
        return forward.logits(built, history, steps, layers, **how)


# ---------------------------------------------------------------- the pass

SHORT = {
    "linucb gd": linucb.Spec(1, 2, 2, 3.0, "gd", action_norm=(0.5, 1.0), temperature=1.0),
    "linucb agd": linucb.Spec(2, 2, 2, 3.0, "agd", action_norm=(0.5, 1.0), temperature=1.0),
    "linucb newton": linucb.Spec(1, 2, 3, 0.5, "newton", root="products", temperature=1.0),
    "ucbvi narrow": ucbvi.Spec(states=1, actions=2, horizon=1, episodes=3, exploration=0.1, form="narrow"),
    "ucbvi theorem": ucbvi.Spec(states=2, actions=2, horizon=2, episodes=2, exploration=0.05),
}
PASTS = {
    "linucb": BanditHistory([[[0.5], [1.0]], [[1.0], [0.75]]], [1], [0.3]),
    "linucb 2": BanditHistory([[[0.5, 0.3], [0.7, -0.7]], [[-0.6, 0.1], [0.3, 0.7]]], [1], [0.3]),
    "ucbvi": EpisodeHistory([0, 0, 0], [0, 0], [1 / 3, 0.2], 1),
    "ucbvi 2": EpisodeHistory([0, 1, 0, 0], [0, 1, 1], [1 / 3, 0.2, 0.9], 2),
}


def short(name):
    """A small construction, and a short history of it."""
    spec = SHORT[name]
    package, past = {"linucb": linucb, "ucbvi": ucbvi}[name.split()[0]], name.split()[0]
    wide = getattr(spec, "dim", getattr(spec, "states", 1)) == 2
    return package.build(spec), PASTS[f"{past} 2" if wide else past]


def definitions(model, built, history):
    """Definitions 1 to 3 in fractions: the logits at every state."""
    found = by_definition(as_stored(model), built.tokens.encode(history))
    place = built.tokens.stream["logits"].slice
    return [found[token][place] for token in built.tokens.states(history.steps)]


@pytest.mark.parametrize("name", SHORT)
def test_the_definitions_in_fractions_lie_inside(name):
    built, history = short(name)
    wanted = definitions(built.transformer, built, history)
    for how in ({}, {"everywhere": True}):
        found = logits(built, history, range(history.steps), **how)
        for balls, values in zip(found, wanted, strict=True):
            assert all(inside(ball, x) for ball, x in zip(balls, values, strict=True))
            assert all(float(ball.rad()) < 1e-60 for ball in balls)


@pytest.mark.parametrize("name", ["linucb agd", "linucb newton", "ucbvi narrow"])
def test_a_changed_weight_moves_it_as_it_moves_the_definitions(name):
    built, history = short(name)
    before = logits(built, history, range(history.steps), everywhere=True)
    generator, moved = np.random.default_rng(0), 0
    names = [key for key, weight in built.transformer.named_parameters() if weight.numel()]
    for key in generator.choice(names, 6):
        model = copy.deepcopy(built.transformer)
        weight = model.get_parameter(str(key))
        weight[int(generator.integers(weight.numel()))] *= 1.001
        broken = replace(built, transformer=model)
        wanted = definitions(model, built, history)
        found = logits(broken, history, range(history.steps), everywhere=True)
        for balls, values in zip(found, wanted, strict=True):
            assert all(inside(ball, x) for ball, x in zip(balls, values, strict=True))
        moved += not all(
            one.overlaps(other) for one, other in zip(found.ravel(), before.ravel(), strict=True)
        )
    assert moved


def changed(built, generator, factor):
    """A construction with one weight of a random map made wrong."""
    model = copy.deepcopy(built.transformer)
    names = [key for key, weight in model.named_parameters() if weight.numel()]
    weight = model.get_parameter(str(generator.choice(names)))
    weight[int(generator.integers(weight.numel()))] *= factor
    return replace(built, transformer=model)


@pytest.mark.parametrize("name", SHORT)
def test_a_run_that_goes_on_from_another_ends_as_one_from_the_start(name):
    built, history = short(name)
    layers, past, generator = forward.compile_layers(built), forward.Past(), np.random.default_rng(1)
    last, saved = [history.steps - 1], []

    def ends(weights, filed, **how):
        try:
            found = forward.logits(weights, history, last, filed, **how)
        except ValueError:  # clipping acts
            return []
        return [(ball.mid(), ball.rad()) for ball in found.ravel()]

    with arrays.precision(512):
        whole = ends(built, layers, past=past)
        for factor in (1.1, -1.0, 0.0, 1.1, 1.1, -1.0, 1.1, 0.9):
            broken = changed(built, generator, factor)
            mine = forward.recompile(broken, built, layers)
            saved.append(past.shared(mine, past.alone))
            alone = forward.compile_layers(broken)
            assert ends(broken, mine, past=past) == ends(broken, alone)
        assert whole
        assert whole == ends(built, layers, past=past) == ends(built, layers)
    assert max(saved) > 0
    assert sum(one is other for one, other in zip(mine, layers, strict=True)) == len(layers) - 1


@pytest.mark.parametrize("form", ["theorem", "slim", "narrow"])
def test_the_pass_in_rationals_lies_inside(form):
    """A run of several episodes, weights as they are stored, at the last steps and everywhere."""
    case = TINY[f"ucbvi {form}"]
    built, history = case.built(), case.history(3)
    stored = replace(built, transformer=as_stored(built.transformer))
    wanted, steps = exact.logits(stored, history), range(history.steps)
    for how, chosen in (({}, steps[-2:]), ({"everywhere": True}, steps)):
        for step, balls in zip(chosen, logits(stored, history, chosen, **how), strict=True):
            assert all(inside(ball, x) for ball, x in zip(balls, wanted[step], strict=True))


@pytest.mark.parametrize("name", TINY)
def test_float64_is_as_close_as_its_promise_of_rounding_says(name):
    built, history = TINY[name].built(), TINY[name].history(1)
    found = audit.enclose(built, truth_of(name), history)
    room = 2 * built.blocks[-1].promise.total.rounding
    assert found.exact_low - room <= found.float64_low <= found.float64_high <= found.exact_high + room
    assert 0 <= found.exact_high - found.exact_low <= 4 * UNIT * found.exact_high + found.width
    assert found.width <= 1e-30


def test_where_tokens_are_read_that_were_left_out_all_are_evaluated():
    built, history = TINY["ucbvi narrow"].built(), TINY["ucbvi narrow"].history(2)
    wanted = logits(built, history, [history.steps - 1], everywhere=True)
    hasty = copy.copy(built)
    hasty.__dict__["policy_program"] = replace(built.policy_program, alone=0)
    layers, encoded = forward.compile_layers(built), built.tokens.encode(history).T
    last = built.tokens.states(history.steps)[-1:]
    with pytest.raises(heads.StaleError):
        forward._run(layers, encoded, last, 0, built.transformer.clip_radius)
    found = logits(hasty, history, [history.steps - 1])
    assert all(one.overlaps(other) for one, other in zip(found.ravel(), wanted.ravel(), strict=True))


def test_clipping_that_acts_is_told():
    built, history = TINY["linucb newton"].built(), TINY["linucb newton"].history()
    small = copy.deepcopy(built.transformer)
    small.clip_radius = 10.0
    with pytest.raises(ValueError, match="balls: wanted norms below the clip radius 10, got"):
        audit.enclose(replace(built, transformer=small), linear.linucb, history)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_that_float64_takes_for_0_is_seen(sign):
    """x² − (1 + 2⁻⁵¹) with x = 1 + 2⁻⁵² is 2⁻¹⁰⁴; its negative moves nothing."""
    x, y = 1 + 2.0**-52, 1 + 2.0**-51
    assert x * x - y == 0
    stream = heads.BallStream.of(np.array([[x], [y], [1.0]]), np.zeros(3, dtype=bool))

    def matrix(rows):
        return arrays.Matrix(neurons.sparse.csr_array(np.array(rows, dtype=float)))

    query, key = matrix([[1, 0, 0], [0, 0, 1]]), matrix([[sign, 0, 0], [0, -sign, 0]])
    head = heads.Literal(query, key, matrix([[0, 0, 1]]), np.array([2]), 1, ("one",))
    with arrays.precision(256):
        _, moved = head(stream)
    assert sum(moved.ravel(), start=arb(0)) == (arb(2) ** -104 if sign > 0 else 0)


finite = st.floats(-4, 4).map(lambda x: float(np.float32(x)))


@given(
    st.lists(st.tuples(finite.map(lambda x: abs(x) + 0.125), finite, finite), min_size=1, max_size=9),
    finite,
    st.sampled_from([0.0, 1e-9, 0.5]),
)
@example([(1.0, -1.0, 1.0), (2.0, -2.0, 3.0)], 1.0, 0.0)  # at two knots at once
@example([(1e-309, -1.0, 1.0), (1e-309, 1.0, 1.0), (1.0, -1.0, 1.0)], 2.0, 0.0)  # knots beyond float64
@example([(3.0, -1.0, 1.0)], 1 / 3, 1e-17)  # a ball around a knot that float64 does not hold
def test_a_curve_encloses_its_neurons(terms, middle, radius):
    curve = neurons.Curve.of(*map(np.array, zip(*terms, strict=True)))
    ball = arb(middle, radius)
    room = radius + abs(middle) * 2.0**-50 + 1e-300
    found = curve(ball, middle - room, middle + room)
    for end in (Fraction(middle), Fraction(middle) + Fraction(radius), Fraction(middle) - Fraction(radius)):
        value = sum(Fraction(w) * max(Fraction(a) * end + Fraction(t), Fraction(0)) for a, t, w in terms)
        assert inside(found, value)
    if not radius:
        assert float(found.rad()) < 1e-10 + 4 * room * sum(abs(a * w) for a, _, w in terms)


# ---------------------------------------------------------------- the algorithms

LINEAR = linucb.Spec(3, 4, 12, exploration=0.7, temperature=0.3, ridge=0.9)


def posterior(history, ridge):
    """Σ and b before the last decision, by mpmath."""
    a, r = mpmath.matrix(history.chosen.tolist()), mpmath.matrix(history.rewards.tolist())
    return ridge * mpmath.eye(history.contexts.shape[2]) + a.T * a, a.T * r


def holds(balls, values, width=1e-60):
    """Whether each ball is narrow and a number of 60 digits is in it, but for its own rounding."""
    for ball, value in zip(balls, values, strict=True):
        assert float(ball.rad()) < width
        assert abs(float((ball - arb(mpmath.nstr(value, 60))).abs_upper())) < 1e-50 * (1 + abs(float(value)))


@settings(max_examples=10)
@given(strategies.outlines(LINEAR, 12))
def test_linucb_is_what_its_definition_says(outline):
    history = outline.history(LINEAR)
    steps = [history.steps - 1, 0]
    with arrays.precision(256), mpmath.workdps(80):
        last, first = linear.linucb(LINEAR, history, steps)
        gram, moment = posterior(history, mpmath.mpf(LINEAR.ridge))
        inverse, arms = gram**-1, mpmath.matrix(history.contexts[-1].tolist())
        estimate = inverse * moment
        scores = []
        for k in range(arms.rows):
            arm = arms[k, :]
            width = mpmath.sqrt((arm * inverse * arm.T)[0])
            scores.append(((arm * estimate)[0] + LINEAR.exploration * width) / LINEAR.temperature)
        total = mpmath.log(sum(mpmath.exp(score) for score in scores))
        holds(last, [score - total for score in scores])
    close = algorithms.linucb(LINEAR, history)
    np.testing.assert_allclose(np.array([last, first], dtype=float), close[steps], atol=1e-9)


SAMPLED = thompson.Spec(3, 4, 6, form="sampling", noise_variance=0.5, prior_variance=1.5, separation=0.01)


@settings(max_examples=5)
@given(strategies.outlines(SAMPLED, 6), st.integers(0, 9))
def test_thompson_scores_are_what_their_definition_says(outline, seed):
    past = outline.history(SAMPLED)
    draws = np.random.default_rng(seed).normal(size=(past.steps, SAMPLED.dim))
    history = BanditHistory(past.contexts, past.actions, past.rewards, draws)
    with arrays.precision(256), mpmath.workdps(80):
        [found] = linear.thompson(SAMPLED, history, [history.steps - 1])
        noise = mpmath.mpf(SAMPLED.noise_variance)
        gram, moment = posterior(history, noise / SAMPLED.prior_variance)
        inverse = gram**-1
        sample = inverse * moment + mpmath.sqrt(noise) * mpmath.sqrtm(inverse) * mpmath.matrix(
            draws[-1].tolist()
        )
        holds(found, mpmath.matrix(history.contexts[-1].tolist()) * sample, 1e-50)
    np.testing.assert_allclose(
        found.astype(float), algorithms.thompson_scores(SAMPLED, history)[-1], atol=1e-9
    )


def test_a_root_is_a_root():
    with arrays.precision(256):
        matrix = arb_mat([[2, 1, 0], [1, 3, 1], [0, 1, 2]])
        root = linear.inverse_root(matrix, arb("0.9"))
        whole = root * matrix * root
        for i in range(3):
            for j in range(3):
                assert whole[i, j].contains(int(i == j))
                assert 0 < float(root[i, j].rad()) < 1e-60
        twice = linear.inverse_root(
            arb_mat([[4, 0], [0, 4]]), arb(4) * (1 - arb("1e-9"))
        )  # equal eigenvalues
        assert twice[0, 0].contains(arb("0.5"))
        with pytest.raises(ValueError, match="inverse root: wanted positive eigenvalues"):
            linear.inverse_root(arb_mat([[1, 2], [2, 1]]), arb("0.1"))


@pytest.mark.parametrize("x", [-400.0, -135.0, -8.0, -1e-3, 0.0, 1e-3, 3.0, 40.0])
def test_the_logarithm_of_the_normal_distribution_has_all_digits(x):
    with arrays.precision(256), mpmath.workdps(70):
        found = linear.log_normal(arb(x))
        with mpmath.workdps(900):
            wanted = mpmath.log(mpmath.ncdf(x))
        holds([found], [wanted], 1e-55 * (1 + x * x))
    assert x > -400 or float(found) < -80000


TWO = thompson.Spec(2, 2, 8, separation=0.05)
LINES = thompson.Spec(2, 3, 5, nodes=8, separation=0.05)


@settings(max_examples=10)
@given(strategies.outlines(TWO, 8))
def test_two_arms_agree_with_numpy(outline):
    history = outline.history(TWO)
    with arrays.precision(256):
        found = linear.thompson(TWO, history, range(history.steps))
    np.testing.assert_allclose(found.astype(float), algorithms.thompson(TWO, history), rtol=1e-9, atol=1e-9)


@settings(max_examples=10)
@given(strategies.outlines(LINES, 5))
def test_lines_agree_with_numpy(outline):
    history = outline.history(LINES)
    with arrays.precision(256):
        found = linear.thompson(LINES, history, range(history.steps)).astype(float)
    wanted = line_policy(LINES, history)
    counted = wanted > np.log(FLOOR)
    np.testing.assert_allclose(found[counted], wanted[counted], atol=1e-9)


def test_probabilities_along_lines_add_up_to_1():
    history = TINY["thompson lines"].history(0)
    with arrays.precision(256):
        for row in linear.thompson(TINY["thompson lines"].spec, history, range(history.steps)):
            assert sum((x.exp() for x in row if x.is_finite()), start=arb(0)).contains(1)


def test_bernoulli_arms_are_what_integrals_say():
    history = BanditHistory([np.eye(3)] * 6, [0, 0, 1, 2, 0], [1, 0, 1, 0, 1])
    with arrays.precision(256), mpmath.workdps(60):
        found = counts.bernoulli_thompson(replace(BERNOULLI, horizon=6), history, [0, 1, 5])

        def odds(arm, pairs):
            def integrand(u):
                value = (
                    u ** pairs[arm][0] * (1 - u) ** pairs[arm][1] / mpmath.beta(*(n + 1 for n in pairs[arm]))
                )
                for other, (wins, losses) in enumerate(pairs):
                    value *= (
                        mpmath.betainc(wins + 1, losses + 1, 0, u, regularized=True) if other != arm else 1
                    )
                return value

            return mpmath.log(mpmath.quad(integrand, [0, 1]))

        holds(found[0], [mpmath.log(mpmath.mpf(1) / 3)] * 3)
        for ball, arm in zip(found[2], range(3), strict=True):
            assert abs(float(ball) - float(odds(arm, [(2, 1), (1, 0), (0, 1)]))) < 1e-14
    close = algorithms.bernoulli_thompson(BERNOULLI, history)
    np.testing.assert_allclose(found.astype(float), close[[0, 1, 5]], atol=1e-10)


def test_ucbvi_agrees_with_numpy():
    case = TINY["ucbvi slim"]
    history = case.history(5)
    found = audit.enclose(case.built(), counts.ucbvi, history)
    assert found.float64_high < 1e-12  # of plain NumPy as of balls: both are the algorithm
    close = np.abs(algorithms.ucbvi(case.spec, history) - case.built().log_probabilities(history)).max()
    assert abs(close - found.float64_high) < 1e-13


# ---------------------------------------------------------------- enclosures


def reversed_arms(truth):
    return lambda spec, history, steps: truth(spec, history, steps)[:, ::-1]


@pytest.mark.parametrize("name", TINY)
def test_errors_lie_inside_certificates_and_a_wrong_truth_is_seen(name):
    case = TINY[name]
    built, truth = case.built(), truth_of(name)
    for seed in range(2):
        found = audit.enclose(built, truth_of(name), case.history(seed))
        assert found.exact_high <= built.certificate
        assert found.holds == (found.exact_high <= built.certificate + found.width) == found.record()["holds"]
    worst = max(audit.enclose(built, reversed_arms(truth), case.history(seed)).exact_low for seed in range(4))
    assert worst > built.certificate


STORED = linucb.Spec(
    2, 3, 3, 0.02, "newton", ridge=2.4968459322615213e-11, exploration=0.0, temperature=1.746028212170019e-06,
    action_norm=(0.011657189994642787, 0.03885729998214262), weight_norm=0.00977, noise_bound=0.0735,
)  # fmt: skip
ARMS = [
    [[0.0116420509030332, -0.0005939102140759756], [0.006099358156821831, -0.009934178810853513],
     [-0.038856250294144, -0.0002856133418723156]],
    [[0.03880683634344399, -0.0019797007135865853], [0.006099358156821831, -0.009934178810853513],
     [-0.03885630159336264, -0.00027854692219645447]],
    [[0.0116420509030332, -0.0005939102140759756], [0.006099358156821831, -0.009934178810853513],
     [-0.011656856646248735, -8.815724591088687e-05]],
]  # fmt: skip
DOOR = linucb.Spec(
    1, 2, 2, 1e-3, "newton", ridge=1e-8, exploration=0.0, temperature=1.0, action_norm=(1.0, 1.0),
    weight_norm=1.0, noise_bound=1.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "history"),
    [
        (STORED, BanditHistory(ARMS, [2, 2], [0.07379904442282882] * 2)),  # 8.5e-12 > 3.7e-12: κ = 1.8e8
        (DOOR, BanditHistory([[[1 + 9e-10], [-1 - 9e-10]]] * 2, [0], [2.0])),  # 1.1e-6 > 3.3e-7
    ],
)
def test_certificates_cover_what_is_stored_and_what_is_admitted(spec, history):
    assert audit.enclose(linucb.build(spec), linear.linucb, history).holds


def soft_ucb1_in_balls(spec, history, steps):
    """A stranger's algorithm."""
    rows = []
    for step in steps:
        played, won = history.actions[:step], history.rewards[:step]
        counts = [int((played == arm).sum()) for arm in range(spec.actions)]
        wins = [int(won[played == arm].sum()) for arm in range(spec.actions)]
        rows.append(
            [
                (arb(s) / max(n, 1) + arb(spec.exploration) / arb(max(n, 1)).sqrt()) / arb(spec.temperature)
                for n, s in zip(counts, wins, strict=True)
            ]
        )
    return arrays.log_softmax(np.array(rows, dtype=object))


def test_the_construction_of_a_stranger_is_enclosed():
    spec = soft_ucb1.Spec(actions=3, horizon=12)
    built = soft_ucb1.build(spec)
    for outline in bernoulli_strategies.battery(spec)[:6]:
        found = audit.enclose(built, soft_ucb1_in_balls, outline.history(spec))
        assert found.holds
        assert found.width < 1e-60


def test_some_steps_are_those_of_all():
    built, history = TINY["linucb newton"].built(), TINY["linucb newton"].history(2)
    each = [audit.enclose(built, linear.linucb, history, [step]) for step in range(history.steps)]
    whole = audit.enclose(built, linear.linucb, history)
    for name in ("exact_high", "float64_high"):
        assert max(getattr(one, name) for one in each) == pytest.approx(getattr(whole, name), rel=1e-9)


def test_precision_is_raised_as_far_as_need_be():
    built, history = TINY["linucb agd"].built(), TINY["linucb agd"].history()
    coarse, fine = (audit.enclose(built, linear.linucb, history, bits=bits) for bits in (2, 512))
    assert coarse.bits < fine.bits
    assert coarse.width <= 1e-30
    assert coarse.exact_low <= fine.exact_high
    assert fine.exact_low <= coarse.exact_high


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": []}, "steps: wanted some of 0..4, got"),
        ({"steps": [5]}, "steps: wanted some of 0..4, got"),
        ({"bits": 1}, "bits: wanted 2 to"),
        (
            {"truth": lambda spec, history, steps: np.zeros((5, 3))},
            "truth: wanted arb of shape .* got float of",
        ),
    ],
)
def test_what_cannot_be_asked_is_told(change, said):
    case = TINY["linucb newton"]
    asked = {"truth": linear.linucb} | change
    with pytest.raises(ValueError, match=said):
        audit.enclose(case.built(), history=case.history(), **asked)


def test_a_certificate_of_0_is_kept_by_no_error_and_by_no_error_that_can_be_told_from_it():
    """One decision without exploration: all logits are 0, and balls know that up to their width only."""
    built = linucb.build(linucb.Spec(2, 3, 1, 0.01, "gd", exploration=0.0))
    history = BanditHistory([[[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]], [], [])
    found = audit.enclose(built, linear.linucb, history)
    assert found.holds
    assert found.exact_low == 0 < built.certificate
    found = replace(found, certificate=0.0)
    assert found.holds
    assert not replace(found, exact_high=1e-20).holds
    assert not replace(found, exact_high=1e-20, width=np.inf).holds


def test_precision_is_put_back():
    before = ctx.prec
    with pytest.raises(ZeroDivisionError), arrays.precision(77):
        raise ZeroDivisionError
    assert ctx.prec == before
