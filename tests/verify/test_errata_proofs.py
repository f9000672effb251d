"""What docs/errata.md proves of the repairs, held against numbers; and that no repair is said to stand without a proof."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, norm
from typer.testing import CliRunner

from constructions.primitives import interpolation
from constructions.sizes import measured, operator_norm
from constructions.ucbvi import Spec
from verify import errata
from verify.cli import commands as cli
from verify.errata import ERRATA, KINDS, thompson, ucbvi
from verify.show import sections

PAGE = (Path(__file__).parents[2] / "docs" / "errata.md").read_text(encoding="utf-8")
SECTIONS = {
    title.lower().replace(" ", "-"): text
    for title, text in re.findall(r"^### (.+?)\n(.+?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def proven(place: str) -> bool:
    """Whether a place is a section of docs/errata.md with a proof from its beginning to its end."""
    page, _, anchor = place.partition("#")
    text = SECTIONS.get(anchor, "")
    return page == "errata.md" and -1 < text.find("**Proof.**") < text.find("∎")


@pytest.mark.parametrize("erratum", ERRATA, ids=lambda one: one.name)
def test_what_is_said_to_stand_is_proven(erratum):
    if re.search(r"\bstands?\b", erratum.effect):
        assert proven(erratum.proof)
    if erratum.proof:
        assert proven(erratum.proof)
        assert erratum.proof.partition("#")[2] == erratum.name.lower().replace(" ", "-")


def test_a_place_without_a_proof_is_not_taken_for_one():
    assert not any(map(proven, ("", "errata.md", "errata.md#misprints", "theory.md#norm-of-the-poles")))


def test_no_other_sentence_says_that_theorems_stand():
    root = Path(__file__).parents[2]
    for path in (root / "README.md", *root.glob("docs/*.md"), *root.glob("notebooks/*.ipynb")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"[Aa]ll (the )?theorems? stand", text), path.name


def test_errors_come_before_misprints_and_the_page_has_them_apart():
    kinds = [erratum.kind for erratum in ERRATA]
    assert kinds == sorted(kinds, key=list(KINDS).index)
    for kind, title in KINDS.items():
        [part] = re.findall(rf"^## {title}\n(.+?)(?=^#)", PAGE, re.MULTILINE | re.DOTALL)
        assert re.findall(r"^\| \d+ \| \[([^]]+)\]", part, re.MULTILINE) == [
            erratum.name for erratum in ERRATA if erratum.kind == kind
        ]


def test_terminal_and_page_list_misprints_apart(monkeypatch):
    shown = errata.Demonstration("witness", 0.0, 1.0, 0.0, 0.1, "context")
    short = tuple(replace(one, demonstrate=lambda: shown) for one in ERRATA)
    monkeypatch.setattr(errata, "ERRATA", short)
    terminal = CliRunner().invoke(cli.app, ["errata"]).output
    written = sections.errata([one.record() for one in short])
    for text in (terminal, written):
        words = ("Mathematical errors", "hidden width", "Misprints", "power of the")
        assert [text.count(word) for word in words] == [1, 1, 1, 1]
        assert sorted(words, key=text.index) == list(words)
    for one in ERRATA:
        assert f"docs/{one.proof}" in written


# Square-root interpolant, norm of the cut, norm of the look-ups, norm of the poles.


@pytest.mark.parametrize("error", [1e-1, 1e-3, 1e-5])
def test_knots_of_the_root(error):
    low, high = 1e-4, 10.0
    function = interpolation.square_root(low, high, error)
    roots = np.sqrt(function.knots)
    assert (np.diff(roots) ** 2 <= 8 * error * (roots[1:] + roots[:-1]) * (1 + 1e-9)).all()
    assert len(function.slopes) <= high**0.25 / (2 * math.sqrt(error)) + 1
    assert np.abs(function.weights).sum() <= 1 / math.sqrt(low)
    x = np.geomspace(low, high, 10_001)
    assert np.abs(function(x) - np.sqrt(x)).max() <= error * (1 + 1e-9)


@pytest.mark.parametrize(("arms", "horizon"), [(4, 1), (16, 4)])
def test_norms_of_the_cut(arms, horizon):
    spec, root = Spec(states=1, actions=arms, horizon=horizon, episodes=2), math.sqrt(arms)
    plain, scaled = (ucbvi.scaled(spec, ucbvi.CUT, copies)[1] for copies in (1.0, arms))
    assert horizon * root <= operator_norm(plain.first.matrix()) <= 3 + horizon * root
    assert operator_norm(scaled.first.matrix()) <= horizon + 3
    assert operator_norm(scaled.second.matrix()) <= 2 * root


@pytest.mark.parametrize(("states", "episodes"), [(1, 4), (4, 4), (1, 16)])
def test_norms_of_the_lookups(states, episodes):
    spec = Spec(states=states, actions=1, horizon=1, episodes=episodes)
    mlp, most, group = ucbvi.scaled(spec, ucbvi.LOOKUPS)[1], episodes, states**2
    level = math.log(states * episodes / (1 / episodes))
    grid = (1 - np.add.outer(np.arange(most + 1) ** 2, np.arange(most + 1) ** 2)) ** 2
    low, high = math.sqrt(group * grid.sum()), 2 * math.sqrt(group) * (most + 1) ** 3
    assert low <= operator_norm(mlp.first.matrix()) <= high + 4 * math.sqrt(states) * (most + 1) ** 2
    rows = (most + 1) ** 1.5 + 2 * math.sqrt(level * (2 + math.log(most)))
    assert operator_norm(mlp.second.matrix()) <= rows


@pytest.mark.parametrize("horizon", [2**8, 2**12])
def test_norms_of_the_poles(horizon):
    center = math.sqrt(2 * horizon)
    count, own = thompson.poles_alone(horizon, own_steps=True)
    _, printed = thompson.poles_alone(horizon, own_steps=False)
    assert measured(own).norm <= 10 + 2 * count * (3 + 1 + 1 / center)
    assert measured(printed).norm >= (2 * count + 1) / 4 * center / 2  # one head serves both arms here


# Size of the posterior mean.


@pytest.mark.parametrize("dim", [1, 2, 5, 50])
@pytest.mark.parametrize("level", [0.01, 0.5, 3.0, 30.0])
def test_the_last_weights_are_as_small_as_the_lemma_says(dim, level):
    assert chi2.sf((math.sqrt(dim) + math.sqrt(2 * level)) ** 2, dim) <= math.exp(-level)
    assert 2 * norm.sf(math.sqrt(2 * level)) <= math.exp(-level)


def test_the_posterior_mean_is_a_martingale_with_the_weights_at_its_end():
    """Covariances for fixed actions, exactly: Cov(μ_t, μ_s) = Cov(μ_s) for s ≤ t, and Cov(w*, μ_t) = Cov(μ_t)."""
    draw, prior, noise = np.random.default_rng(0), 0.7, 2.0
    actions = draw.normal(size=(6, 3))
    maps = []  # μ_t as a linear map of (w*, noises)
    for count in range(7):
        past = actions[:count]
        precision = noise / prior * np.eye(3) + past.T @ past
        effects = np.zeros((3, 6))
        effects[:, :count] = past.T
        maps.append(np.linalg.solve(precision, np.hstack([past.T @ past, effects])))
    maps.append(np.hstack([np.eye(3), np.zeros((3, 6))]))
    sizes = np.diag([prior] * 3 + [noise] * 6)
    for last in range(8):
        for first in range(last + 1):
            cross, own = maps[last] @ sizes @ maps[first].T, maps[first] @ sizes @ maps[first].T
            np.testing.assert_allclose(cross, own, atol=1e-12)


def largest_means(dim: int, play: str, runs: int = 20_000, steps: int = 15) -> np.ndarray:
    """max(‖w*‖, max_t ‖μ_t‖) in independent runs, λ = r = 1, actions chosen from the data."""
    draw = np.random.default_rng([dim, len(play)])
    weights = draw.normal(size=(runs, dim))
    inverse, moment = np.tile(np.eye(dim), (runs, 1, 1)), np.zeros((runs, dim))
    largest = np.linalg.norm(weights, axis=1)
    for _ in range(steps):
        mean = np.einsum("nde,ne->nd", inverse, moment)
        largest = np.maximum(largest, np.linalg.norm(mean, axis=1))
        towards = draw.normal(size=(runs, dim)) + (3 * mean if play == "along the mean" else 0)
        arm = towards / np.linalg.norm(towards, axis=1, keepdims=True)
        moment += arm * ((arm * weights).sum(1) + draw.normal(size=runs))[:, None]
        moved = np.einsum("nde,ne->nd", inverse, arm)
        inverse -= np.einsum("nd,ne->nde", moved, moved) / (1 + (moved * arm).sum(1))[:, None, None]
    return largest


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("play", ["at random", "along the mean"])
def test_posterior_means_leave_the_ball_no_more_often_than_proven(dim, play):
    """20,000 runs against four standard deviations; in one dimension the reflection principle too."""
    largest = largest_means(dim, play)
    for level in (0.1, 0.5, 1.0, 2.0):
        radius = math.sqrt(dim) + math.sqrt(2 * level)
        bounds = [math.exp(-level), 4 * norm.sf(radius)] if dim == 1 else [math.exp(-level)]
        for bound in bounds:
            assert (largest >= radius).mean() <= bound + 4 * math.sqrt(min(bound, 0.25) / len(largest))


# Conditioning on the weights.


@pytest.mark.parametrize("dim", [1, 2, 10])
@pytest.mark.parametrize("failure", [1.0, 0.3, 1e-3])
def test_what_is_off_the_ellipsoid_costs_what_is_proven(dim, failure):
    """E(X − β)₊ for X² ~ χ²_d, by quadrature."""
    radius = math.sqrt(dim) + math.sqrt(2 * math.log(1 / failure))
    cost, _ = quad(lambda x: chi2.sf(x**2, dim), radius, radius + 20)
    assert 0 < cost <= math.sqrt(math.pi / 2) * failure


def differences(greedy: bool, runs: int = 20_000, horizon: int = 10) -> np.ndarray:
    """U_t(a*) − U_t(a_t) for two fixed arms, β = λ = r = 1, a_t by Thompson sampling or by the posterior mean."""
    draw, arms = np.random.default_rng(0), np.array([[1.0, 0.0], [-0.5, 0.5]])
    weights = draw.normal(size=(runs, 2))
    best, every, found = (weights @ arms.T).argmax(1), np.arange(runs), []
    inverse, moment = np.tile(np.eye(2), (runs, 1, 1)), np.zeros((runs, 2))
    for _ in range(horizon):
        mean = np.einsum("nde,ne->nd", inverse, moment)
        noise = np.einsum("nde,ne->nd", np.linalg.cholesky(inverse), draw.normal(size=(runs, 2)))
        chosen = ((mean + (0 if greedy else noise)) @ arms.T).argmax(1)
        upper = mean @ arms.T + np.sqrt(np.einsum("ad,nde,ae->na", arms, inverse, arms))
        found.append(upper[every, best] - upper[every, chosen])
        arm = arms[chosen]
        moment += arm * ((arm * weights).sum(1) + draw.normal(size=runs))[:, None]
        moved = np.einsum("nde,ne->nd", inverse, arm)
        inverse -= np.einsum("nd,ne->nde", moved, moved) / (1 + (moved * arm).sum(1))[:, None, None]
    return np.array(found)


def test_upper_bounds_of_the_best_arm_and_of_the_one_played_are_equal_on_average():
    """At every decision, within four standard errors; a greedy player's are not."""
    for greedy in (False, True):
        found = differences(greedy)
        errors = found.std(1) / math.sqrt(found.shape[1])
        assert (np.abs(found.mean(1)) <= 4 * errors).all() == (not greedy)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 3.0])
def test_the_cut_of_widths(ratio):
    """The repaired inequality everywhere; the printed one fails just below x = 1/(c + 1), c ≥ 1."""
    x = np.linspace(0, 5, 5001)
    left = np.minimum(ratio, x)
    assert (left <= max(1, ratio) * np.minimum(1, x) + 1e-15).all()
    small = min(ratio, 1 / (ratio + 1)) * 0.99
    assert small > (ratio + 1) * min(1, small**2)
