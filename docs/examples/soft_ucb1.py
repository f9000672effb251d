"""Soft UCB1 for Bernoulli arms: a transformer of two layers.

Arm k of A has been played n_k times and has won s_k times. Its probability is proportional to exp(score_k/τ), where
score_k = s_k/max(n_k, 1) + c/√max(n_k, 1).

    layer 1   2 heads: n_k and s_k, exactly;   MLP: 1/max(n_k, 1) and 1/√max(n_k, 1), within a factor 1 ± δ
    layer 2   2A heads: mean_k = s_k · that;   MLP: logits_k = (mean_k + c·width_k)/τ

**Theorem.** Every log-probability is off by at most 2(1 + c)δ/τ, for every history. With δ = min(½, ετ/(2(1 + c))) that
is at most ε. There are 2 layers, 2A heads, A² + 7A + 4 registers and at most 2A(2 + ln(max(T, 2))/√δ) + 2 neurons.

*Proof.* As 0 ≤ s_k ≤ n_k, a factor 1 ± δ moves the mean by at most s_kδ/max(n_k, 1) ≤ δ. The width is at most 1 and moves by
at most δ. So a logit is off by at most (1 + c)δ/τ, and what float64 leaves of 1/τ and c/τ, for which ε has room; log-softmax
is 2-Lipschitz in the largest difference. Neurons: the knots of x^-p lie g apart in x, (g − 1)g^{p/2} = 4√(δ/(p(p + 1))). For
δ ≤ ½ and p = 1 or ½ that gives ln g ≥ √δ: at most 1 + ln(max(T, 2))/√δ pieces from 1 on, one below, and one constant.  ∎
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from constructions import checks
from constructions.construction import Construction
from constructions.history import BanditHistory
from constructions.inputs.bandits import BANDIT_INPUTS, BanditTokens, bandit_stream
from constructions.parts.assemble import assemble, clip_radius
from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step
from constructions.parts.links import Values, read
from constructions.parts.stream import Stream
from constructions.primitives import copying, interpolation, product, stored
from constructions.rounding.outward import balls

SOURCE = "soft UCB1 (docs/examples/soft_ucb1.py)"


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        actions: A, arms with rewards 0 or 1; arm k is the k-th one-hot vector.
        horizon: T, the largest number of steps.
        error: ε, bound on |log-probability error|.
        exploration: c, weight of the confidence width.
        temperature: τ of the softmax.
    """

    actions: int
    horizon: int
    error: float = 1e-2
    exploration: float = 1.0
    temperature: float = 0.1
    action_norm: ClassVar[tuple[float, float]] = (1.0, 1.0)  # what the tokens of a bandit are checked against
    weight_norm: ClassVar[float] = 1.0
    noise_bound: ClassVar[float] = 0.0

    def __post_init__(self):
        for name in ("actions", "horizon"):
            checks.whole(name, getattr(self, name))
        for name in ("error", "temperature", "exploration"):
            checks.number(name, getattr(self, name), positive=name != "exploration")

    @property
    def dim(self) -> int:
        """An arm is a one-hot vector."""
        return self.actions

    @property
    def spread(self) -> float:
        """δ, a hair below what the theorem allows, so that rounding does not carry the certificate over ε."""
        return min(0.5, (1 - 1e-6) * self.error * self.temperature / (2 * (1 + self.exploration)))


def true_log_probabilities(spec: Spec, history: BanditHistory) -> np.ndarray:
    """Soft UCB1 itself, step by step, from the list of what was played and won."""
    rows = []
    for step in range(history.steps):
        played, won = history.actions[:step], history.rewards[:step]
        n = np.maximum(np.bincount(played, minlength=spec.actions), 1)
        s = np.bincount(played, weights=won, minlength=spec.actions)
        score = (s / n + spec.exploration / np.sqrt(n)) / spec.temperature
        rows.append(score - np.logaddexp.reduce(score))
    return np.array(rows)


def counts(spec: Spec, stream: Stream) -> Block:
    """n_k and s_k: the scores i and i·r_j undo the 1/i of attention, and the value is the arm as a one-hot vector."""
    place, action = Position.of(stream["position"]), read(stream["action"])
    to, keys = (stream["plays"], stream["wins"]), (place.one, read(stream["reward"]))
    heads = tuple(Head(one.name, place.index, key, action, one) for one, key in zip(to, keys, strict=True))

    def truth(values: Values):
        return np.cumsum(np.hstack([values["action"], values["reward"] * values["action"]]), axis=0)

    own = Bound(0.0, 4 * UNIT * spec.horizon)  # integers, up to one division by i
    promise = Promise("rewards 0 or 1", own, own, math.sqrt(2) * spec.horizon)
    return Block("counts n, s", SOURCE, (Step(heads),), to, truth, promise, groups=2 * spec.actions)


def power(spec: Spec, stream: Stream, counted: Block, exponent: float, to: str) -> Block:
    """max(n_k, 1)^-exponent: one flat piece up to n = 1, then knots at even steps of log n."""
    curve, error = stored.power_of_counts(exponent, spec.horizon, spec.spread)
    return interpolation.function(
        f"1/n^{exponent:g}",
        SOURCE,
        curve,
        of=lambda n: np.maximum(n, 1.0) ** -exponent,
        error=error,
        source=stream["plays"],
        one=stream["position"].part(2, of=3),
        to=stream[to],
        inherited=counted.promise.total,  # no slope exceeds 1
    )


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> built = build(Spec(actions=3, horizon=50))
    >>> built.size().layers, built.size().heads, built.certificate <= 1e-2
    (2, 6, True)
    """
    arms, tau, c, steps = spec.actions, spec.temperature, spec.exploration, spec.horizon
    stream = bandit_stream(arms, arms, plays=arms, wins=arms, inverse=arms, width=arms, mean=arms)
    counted = counts(spec, stream)
    inverse, width = (power(spec, stream, counted, p, to) for p, to in ((1.0, "inverse"), (0.5, "width")))
    drift = counted.promise.total.rounding + steps * inverse.promise.total.rounding
    registers = {"left": stream["wins"], "right": stream["inverse"], "position": stream["position"]}
    inherited = Bound(inverse.promise.own.error, drift)  # s_k ≤ n_k, and 1/n_k is within a factor
    mean = product.own_token(
        "mean s/n", SOURCE, to=stream["mean"], bound=steps, tokens=2 * steps, inherited=inherited, **registers
    )
    logits = copying.combine(
        "logits",
        SOURCE,
        terms=((1 / tau, stream["mean"]), (c / tau, stream["width"])),
        to=stream["logits"],
        bound=(1 + c) * (1 + spec.spread) / tau,
        inherited=math.nextafter(1 / tau, math.inf) * (mean.promise.total + c * width.promise.total),
        error=2 * UNIT * (1 + c) / tau,  # 1/τ and c/τ are rounded, mean and width at most 1 + δ ≤ 3/2
    )
    stages, blocks = [[counted], [inverse, width], [mean], [logits]], (counted, inverse, width, mean, logits)
    radius = clip_radius([2 * steps, 4 * steps**2, 1, math.sqrt(arms), 1], blocks)
    transformer = assemble(stream, BANDIT_INPUTS, stages, radius)
    checks.carried(spec.error, certificate := 2 * logits.promise.total.error)
    return Construction(spec, BanditTokens(stream, spec, bernoulli=True), blocks, transformer, certificate)
