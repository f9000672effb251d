"""Errors believed to be in the regret bounds of Theorem 9, soft LinUCB, and Theorem 11, Thompson sampling.

The claims are inequalities: `wanted` is 0, and the two forms give by how much the claim is missed.
"""

import math

import numpy as np
from scipy.stats import chi2, norm

from constructions import linucb, thompson
from constructions.history import BanditHistory
from verify import algorithms
from verify.errata.entry import PAPER, Demonstration, Erratum
from verify.errata.thompson import UNITS, opposite
from verify.theorems import evaluate, thompson_whole

RADIUS = {"dim": 10, "horizon": 10, "action_max": 1.0, "noise_variance": 1e-3, "prior_variance": 1e-4}
"""λ̃ = 10."""


def miss(radius: float, failure: float, dim: int, noise_variance: float) -> float:
    """P(‖μ_1 − w*‖_{Σ_1} ≥ radius and w* within its own bound): μ_1 = 0 and λ̃‖w*‖² = r χ²_d, exactly."""
    low, high = radius**2 / noise_variance, 2 * dim * math.log(4 * dim / failure)
    return float(max(0.0, chi2.sf(low, dim) - chi2.sf(high, dim)))


def radius_without_the_root(values: dict[str, float]) -> float:
    """β with √λ̃‖w*‖ ≤ √r √(2d log(4d/δ))."""
    d, r, failure = (values[name] for name in ("dim", "noise_variance", "failure"))
    growth = values["horizon"] * values["action_max"] ** 2 * values["prior_variance"] / (r * d)
    rest = 2 * math.log(2 / failure) + d * math.log1p(growth)
    return math.sqrt(r) * (math.sqrt(2 * d * math.log(4 * d / failure)) + math.sqrt(rest))


def _radius() -> Demonstration:
    values = RADIUS | {"failure": evaluate(thompson_whole.REGRET_FAILURE, **RADIUS)}
    failure, r = values["failure"], values["noise_variance"]
    radius = evaluate(thompson_whole.CONFIDENCE_RADIUS, **values)
    repaired = radius_without_the_root(values)
    chances = [miss(each, failure, int(values["dim"]), r) for each in (radius, repaired)]
    return Demonstration(
        "d=10, T=10, B_a=1, r=10⁻³, λ=10⁻⁴, δ = 1/(T√d), the first decision, before any reward: by how much the exact "
        "probability of leaving the ellipsoid of radius β exceeds δ",
        0.0,
        max(0.0, chances[0] - failure),
        max(0.0, chances[1] - failure),
        1e-12,
        f"δ = {failure:.4f}; the probability is {chances[0]:.3f} with β = {radius:.3f} as printed and {chances[1]:.1g} with "
        f"β = {repaired:.3f} repaired",
    )


def upper_bounds(spec: thompson.Spec, seen: BanditHistory, radius: float) -> np.ndarray:
    """U_t(a) = ⟨μ_t, a⟩ + β‖a‖_{Σ_t⁻¹} of the arms on offer at the last decision."""
    values = algorithms.thompson_values(spec, seen)
    widths = np.linalg.norm(values.whitened[-1], axis=-1) / math.sqrt(spec.noise_variance)
    return values.mean[-1] + radius * widths


def chances_of_being_best(spec: thompson.Spec, seen: BanditHistory, radius: float = math.inf) -> np.ndarray:
    """Posterior chances that arm 1 is better than −1/2, and the other way round, with ‖μ_t − w*‖_{Σ_t} ≤ β; d = 1."""
    values, arm = algorithms.thompson_values(spec, seen), seen.contexts[-1, 0, 0]
    spread = values.whitened[-1, 0, 0] / arm
    reach = radius / math.sqrt(spec.noise_variance)
    sign = np.clip(-values.posterior_mean[-1, 0] / spread, -reach, reach)
    positive, negative = norm.cdf(reach) - norm.cdf(sign), norm.cdf(sign) - norm.cdf(-reach)
    return np.array([positive, negative])


def _filtration() -> Demonstration:
    values = {
        "dim": 1,
        "horizon": UNITS.horizon,
        "action_max": 1.0,
        "noise_variance": 1.0,
        "prior_variance": 1.0,
    }
    radius = evaluate(thompson_whole.REGRET_RADIUS, **values)
    seen = opposite(UNITS, 1)
    bounds, policy = upper_bounds(UNITS, seen, radius), np.exp(algorithms.thompson(UNITS, seen)[-1])
    later = BanditHistory(np.tile([[1.0], [-0.5]], (2, 1, 1)), [0], [1.0])
    tilted, played = upper_bounds(UNITS, later, 1.0), np.exp(algorithms.thompson(UNITS, later)[-1])
    inside = chances_of_being_best(UNITS, later, 1.0)
    lost = inside @ tilted - inside.sum() * (played @ tilted)
    return Demonstration(
        "d=1, B_a=λ=r=1, T=5, the first decision, arms 1 and −1/2: E[U(a*) − U(a)|F], given w* = 1 as printed, and given "
        "the data only",
        0.0,
        float(bounds[0] - policy @ bounds),
        float(chances_of_being_best(UNITS, seen) @ bounds - policy @ bounds),
        1e-9,
        f"β = {radius:.3f}, U = ({bounds[0]:.3f}, {bounds[1]:.3f}), TS plays each arm with chance 1/2, and a* is arm 1 if "
        "w* > 0. Given the data only, the event ‖μ − w*‖ ≤ β has a chance between 0 and 1 and cannot be taken out of the "
        f"expectation: after a reward of 1 for arm 1, with β=1 the chance is {inside.sum():.3f} and E[(U(a*) − U(a)) 1|F] "
        f"is {lost:.3f}",
    )


PAIR = thompson.Spec(
    dim=1,
    actions=2,
    horizon=1,
    prior_variance=1.0,
    noise_variance=4.0,
    action_norm=(0.5, 1.0),
    weight_norm=10.0,
    noise_bound=10.0,
)
"""λ̃ = 4, so that no width is above 1/2."""


def _cut() -> Demonstration:
    """Arms ±1 before any reward: either is played with chance 1/2, and the wrong one costs 2|w*|."""
    values = {"dim": 1, "horizon": 1, "action_max": 1.0, "noise_variance": 4.0, "prior_variance": 1.0}
    radius, seen = evaluate(thompson_whole.REGRET_RADIUS, **values), BanditHistory([[[1.0], [-1.0]]], [], [])
    width = float(np.linalg.norm(algorithms.thompson_values(PAIR, seen).whitened[-1, 0])) / math.sqrt(
        PAIR.noise_variance
    )
    wrong = 1 - float(np.exp(algorithms.thompson(PAIR, seen)[-1]).max())
    reach = radius / math.sqrt(PAIR.ridge)
    regret = 2 * wrong * math.sqrt(2 / math.pi) * -math.expm1(-(reach**2) / 2)  # E|w| over |w| ≤ reach
    high = PAIR.action_norm[1] / math.sqrt(PAIR.ridge)
    return Demonstration(
        "d=1, B_a=λ=1, r=4, T=1, arms 1 and −1, before any reward: by how much the regret on the event exceeds the summand",
        0.0,
        max(0.0, regret - min(2 * radius * width, high)),
        max(0.0, regret - 2 * radius * min(width, high)),
        1e-9,
        f"regret {regret:.3f}, β = {radius:.2f}, ‖a‖_{{Σ⁻¹}} = {width:g}; the summand is {min(2 * radius * width, high):g} "
        f"as printed and {2 * radius * min(width, high):.2f} repaired",
    )


def right_side(widths: np.ndarray, factor: float, power: int) -> np.ndarray:
    """Factor times (1 ∧ ‖a‖^power)."""
    return factor * np.minimum(1, widths**power)


LINE = linucb.Spec(dim=1, actions=1, horizon=200, ridge=1.0, action_norm=(0.5, 1.0))


def _widths() -> Demonstration:
    """One arm of length 1: ‖a‖ at decision t is 1/√t."""
    seen = BanditHistory(np.ones((200, 1, 1)), [0] * 199, [0.0] * 199)
    widths = algorithms.linucb_values(LINE, seen).width[:, 0]
    ratio = LINE.action_norm[1] / math.sqrt(LINE.ridge)
    cut = np.minimum(ratio, widths)
    printed, repaired = right_side(widths, ratio + 1, 2), right_side(widths, max(1.0, ratio), 1)
    total = max(1.0, ratio) * math.sqrt(len(widths) * right_side(widths, 1.0, 2).sum())
    return Demonstration(
        "d=1, B_a=λ=1, one arm of length 1, the fifth decision: by how much the left side exceeds the right",
        0.0,
        max(0.0, float((cut - printed)[4])),
        max(0.0, float((cut - repaired).max())),
        1e-12,
        f"the width is {widths[4]:.3f}. Summed over T=200 decisions the left side is {cut.sum():.1f}, the printed right "
        f"side {printed.sum():.1f}, and the repaired one, by Cauchy–Schwarz, at most {total:.1f}",
    )


_PROOF = f"proof of Theorem 11, {{}} ({PAPER})"

ERRATA = (
    Erratum(
        name="power of the widths",
        kind="misprint",
        where=f"proof of Theorem 9, last display but one ({PAPER})",
        printed="(B_a/√λ) ∧ ‖a‖ ≤ (B_a/√λ + 1)(1 ∧ ‖a‖²), norms in A_t⁻¹: false for small ‖a‖",
        repair="(B_a/√λ) ∧ ‖a‖ ≤ max(1, B_a/√λ)(1 ∧ ‖a‖), which is what the line before uses, with Cauchy–Schwarz",
        effect="the theorem's bound on the regret of soft LinUCB stands, with the same constants; B_a/√λ + 1 may be "
        "max(1, B_a/√λ)",
        demonstrate=_widths,
    ),
    Erratum(
        name="radius of the confidence ellipsoids",
        kind="error",
        where=_PROOF.format("definition of β"),
        printed="β = √r(√(2rd log(4d/δ)) + √(2 log(2/δ) + d log(1 + TB_a²/(λ̃d)))), from Theorem 20.5 of Lattimore and "
        "Szepesvári: ‖w*‖ ≤ √(2λd log(4d/δ)) there enters as √λ̃‖w*‖ = √r √(2d log(4d/δ)), without another √r",
        repair="β = √r(√(2d log(4d/δ)) + …)",
        effect="the theorem's bound on the regret of Thompson sampling stands: r is a constant there. For r ≥ 1 the "
        "printed β is the larger one and every bound with it holds",
        demonstrate=_radius,
    ),
    Erratum(
        name="conditioning on the weights",
        kind="error",
        where=_PROOF.format("equality of E[U_t(a*)|F] and E[U_t(a)|F]"),
        printed="F_{t−1} is generated by the data and w*, and given F_{t−1} the actions a* and a_t have the same "
        "distribution; but given w* the action a* is known. Without w* they have, and then the event ‖μ_t − w*‖ ≤ β is not "
        "in F_{t−1}",
        repair="E U_t(a*) = E U_t(a_t) given the data and the arms, before any event is split off; what is off the event "
        "costs at most √(2π)B_a√λTδ",
        effect="the theorem's bound on the regret of Thompson sampling stands, with β = √r(√d + √(2 log(1/δ))): the cost at "
        "δ = 1/(T√d) is √(2πλ/d)B_a. What learning from data adds to it is not examined",
        demonstrate=_filtration,
    ),
    Erratum(
        name="cut of the confidence widths",
        kind="error",
        where=_PROOF.format("last display, first and second lines"),
        printed="regret of a step at most 2β‖a‖ ∧ (B_a/√λ̃), hence the factor max(β, B_a/√λ̃) of the sum; but B_a/√λ̃ "
        "bounds the width ‖a‖, not the regret",
        repair="at most 2β(‖a‖ ∧ (B_a/√λ̃)), hence the factor β max(1, B_a/√λ̃)",
        effect="the theorem's bound on the regret of Thompson sampling stands: B_a, λ and r are constants there",
        demonstrate=_cut,
    ),
)
