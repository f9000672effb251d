"""In-context gradient descent on ridge problems: plain, accelerated, and Chebyshev's semi-iteration.

At token i, with the actions a_j and rewards r_j of the action tokens j ≤ i, let A_i = λI + Σ a_j a_jᵀ. Both blocks solve
systems A_i x = y from x = 0 by descent on (1/i)(½ xᵀA_i x − yᵀx), one step a layer, with the paper's step size
η = 1/(B_a² + λ) and momentum β = (√κ−1)/(√κ+1), κ = 2T(B_a² + λ)/λ, or with a step and a momentum of its own in each layer:

    ridge     y = Σ a_j r_j        the ridge estimate
    inverse   y = a vector of the token itself, several at once

**The layer.** Two signed heads add −(η/i) Σ_j (⟨a_j, v⟩ − r_j) a_j to v: query (v, 1), key (a_j, −r_j), value ∓η a_j.
Tokens without an action have a_j = 0 and drop out. A third head has score relu(1 + j − i), which is 1 at j = i and 0
before, and adds (1/i)(η y − ηλ v). Together they are v − η∇(v), the gradient step. That is all of gradient descent.
For the accelerated method the paper keeps v, the iterate w_a and a copy w_b of the last iterate, with a fourth head and
4d neurons. Two registers suffice: `ahead` = v and `point` = w. After the heads `ahead` holds the new iterate
v − η∇(v); with u = ahead − point, 2d neurons relu(±u) do point += u and ahead += βu.
Chebyshev's layer is the same with the gradient taken at `point`: v − η_k∇(w) is the new iterate, and β_k follows.

**The certificate.** The error after k steps is e_k(ηA_i/i) x* for the polynomial e_0 = 1, e_1 = 1 − x,
e_{k+1} = (1 − x)(e_k + β(e_k − e_{k−1})), and ηA_i/i has its eigenvalues in [1/κ, 1]. Write q = 1 − x.

- Plain descent (β = 0): |e_k| = q^k.
- Accelerated: the roots of z² − (1+β)q z + βq are ρe^{±iθ}, ρ = √(βq), cos θ = (1+β)√q/(2√β), real only at x ≤ 1/κ. So
  e_k = ρ^k (cos kθ + c sin kθ / sin θ) with c = (1−β)q/(2ρ), and |e_k| ≤ ρ^k (1 + c·min(k, 1/sin θ)).

Both bounds fall with x (ρ, c and 1/sin θ do), so the worst case is x = 1/κ, where they are exact: ε_k = (1 − 1/κ)^k, and
(1 − κ^{-1/2})^k (1 + k κ^{-1/2}) with momentum. The paper uses √(1+κ) e^{−k/(2√κ)}: half the rate.

- Chebyshev: with σ = (κ+1)/(κ−1), g = (√κ−1)/(√κ+1) and 2σ = g + 1/g, let e_k(x) = T_k(t)/T_k(σ), where t = σ − (σ+1)x runs
  through [−1, 1] as x does through [1/κ, 1], and t = σ at x = 0. From T_{k+1} = 2tT_k − T_{k−1},
  e_{k+1} = e_k − (1+β_k)(1+1/σ) x e_k + β_k(e_k − e_{k−1}), 1 + β_k = 2σT_k(σ)/T_{k+1}(σ). As T_k(σ) = (g^k + g^{−k})/2,
  β_k = (g² + g^{2k})/(1 + g^{2k+2}) and η_{k+1} = (1+β_k)(1+1/σ)η; the first step has β_0 = 0. |e_k| ≤ ε_k = 1/T_k(σ) =
  2g^k/(1 + g^{2k}), with equality at both ends and k − 1 times in between, signs alternating. No polynomial p of degree k
  with p(0) = 1 does better: if |p| < ε_k on [1/κ, 1], e_k − p would have a zero between any two of these k + 1 points and
  another at 0, k + 1 in all. So no method that moves along sums of earlier gradients, with steps chosen in advance, has a
  smaller worst case; and g^k ≈ e^{−2k/√κ} against e^{−k/√κ}: half the layers.

For A⁻¹a this is all: ‖x̂ − A⁻¹a‖ ≤ ε_k ‖a‖/λ and, e_k(A) being a function of A, aᵀx̂ lies within 1 ± ε_k of aᵀA⁻¹a. The ridge
estimate from n rewards of size ≤ ρ_r is w = A⁻¹Xᵀr, and a singular value s of X contributes s/(s² + λ) |e_k| to the error.
The slowest component x = 1/κ has s = 0 and contributes nothing. With y = κx, s² + λ ≤ λy, so s/(s² + λ) ≤ φ(y)/(2√λ),
φ(y) = 2√(y−1)/y up to y = 2 and 1 beyond, and ‖ŵ − w‖ ≤ (√n ρ_r/(2√λ)) · sup_y φ(y) |e_k(y/κ)|. Chebyshev's e_k is as
large everywhere: its slowest component gains nothing.

**Weights in float64.** Rounding leaves η and β, whatever they have become, and ηλ, which is η times another ridge λ'. η is
rounded down, so that x ≤ 1, and β up, so that the roots stay complex. The two bounds above hold for any such η and β, and
are taken in balls at x = 1/κ, κ = 2T/(ηλ'). Only the limit is another, (A + (λ' − λ)I)⁻¹y, whose relative distance from
A⁻¹y is at most |λ' − λ|/λ' ≤ 2u, u the unit roundoff. For Chebyshev all follows from g, rounded up, which makes the interval
longer; each layer rounds its η_k and β_k by at most 10u and 8u, so that a step is off by d ≤ 48u(|e_j| + |e_{j−1}|). n steps
later that is 2(n + 1)gⁿd at most, and with |e_j| ≤ 2Bg^j, B = 1 + 288u(k²/g)B: |e_k| ≤ ε_k + 2g^k p/(1 − p), p = 288uk²/g.
The ridge of each layer being off by u adds 4u · 2T/(iκ) a step, at token i, in all 8uT(1 + 1/κ).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from flint import arb
from jaxtyping import Float

from constructions import limits
from constructions.parts.block import (
    UNIT,
    Block,
    Bound,
    Head,
    Position,
    Promise,
    Step,
    Surrogate,
    Units,
    signed,
)
from constructions.parts.links import Link, Values, blank, grams, held, read, stack
from constructions.parts.stream import Register
from constructions.parts.units import signed_units
from constructions.rounding.outward import above, balls, below, nearest

Solver = Literal["gd", "agd", "chebyshev"]

DEEP = 10_000
"""This many layers and 16κ leave no more than rounding does, whatever the method."""

ROUNDED = 4 * UNIT
"""Relative distance of the limit from the solution, as ηλ is rounded, and of its error with it."""


@dataclass(frozen=True)
class Descent:
    """A descent method on every ridge problem that a history within the norm bounds can pose.

    Attributes:
        solver: "gd", "agd" or "chebyshev".
        ridge: λ.
        action_max: B_a.
        horizon: T; tokens run to 2T, of which at most T hold an action.
        step: η, 1/(B_a² + λ) if left out. Nothing is promised of longer steps.
        momentum_condition: the κ that β is made of, that of the problem if left out.

    >>> round(Descent("agd", ridge=1.0, action_max=2.0, horizon=10).residual(40), 6)
    0.073904
    """

    solver: Solver
    ridge: float
    action_max: float
    horizon: int
    step: float | None = None
    momentum_condition: float | None = None

    @property
    def step_size(self) -> float:
        """η = 1/(B_a² + λ), rounded down."""
        return self.step or below(1 / (arb(self.action_max) ** 2 + self.ridge))

    @property
    def condition(self) -> float:
        """κ = 2T/(ηλ) = 2T(B_a² + λ)/λ, rounded up."""
        return above(2 * self.horizon / (arb(self.ridge) * self.step_size))

    @property
    def momentum(self) -> float:
        """β, rounded up, 0 for plain gradient descent; for Chebyshev g, the factor that a step gains in the long run."""
        if self.solver == "gd":
            return 0.0
        with balls():
            root = (arb(self.momentum_condition) if self.momentum_condition else 1 / self.slowest).sqrt()
            return above((root - 1) / (root + 1))

    @property
    def slowest(self) -> arb:
        """1/κ, the least x, of the weights as they are stored."""
        if self.solver == "chebyshev":
            return 1 / arb(self.condition)
        return arb(self.step_size * self.ridge) / (2 * self.horizon)

    def layers(self, depth: int) -> list[tuple[float, float]]:
        """(step, momentum) of each layer.

        >>> method = Descent("chebyshev", ridge=1.0, action_max=1.0, horizon=1)  # κ = 4, g = 1/3
        >>> [(round(step, 4), round(momentum, 4)) for step, momentum in method.layers(3)]
        [(0.8, 0.2195), (0.9756, 0.1233), (0.8986, 0.1125)]
        """
        if self.solver != "chebyshev":
            return [(self.step_size, self.momentum)] * depth
        g, steps = arb(self.momentum), np.arange(1.0, depth + 1)
        momenta = nearest(lambda k: (g * g + g ** (2 * k)) / (1 + g ** (2 * k + 2)), steps).tolist()
        first = self.step_size * 2 / (1 + 1 / self.condition)
        return [(first * (1 + last), now) for last, now in zip([0.0, *momenta], momenta, strict=False)]

    def envelope(self, x: arb, depth: int) -> arb:
        """Bound on |e_depth(x)| for 1/κ ≤ x ≤ 1, falling in x and in depth."""
        q, beta = 1 - x, arb(self.momentum)
        if self.solver == "gd":
            return q**depth
        if self.solver == "chebyshev":
            part = 288 * UNIT * arb(depth) ** 2 / beta
            power = beta**depth
            if not part < 1:
                return arb("inf")
            shifted = 8 * UNIT * self.horizon * (1 + self.slowest)
            return 2 * power / (1 + power**2) + 2 * power * part / (1 - part) + shifted
        radius = (beta * q).sqrt()
        sine = (1 - (1 + beta) ** 2 * q / (4 * beta)).nonnegative_part().sqrt()
        turns = arb(depth) if not sine > 0 else (1 / sine).min(arb(depth))
        return radius**depth + radius ** (depth - 1) * (1 - beta) * q / 2 * turns

    def residual(self, depth: int) -> float:
        """ε_depth = sup |e_depth| over [1/κ, 1], and what rounding of λ adds; ∞ for steps that may diverge."""
        if self.step_size * (self.action_max * self.action_max + self.ridge) > 1 + 1e-9:
            return math.inf
        with balls():
            return above(self.envelope(self.slowest, depth) + ROUNDED)

    def reward_residual(self, depth: int, cells: int = 256) -> float:
        """sup_y φ(y) |e_depth(y/κ)|, on a grid: φ rises and the envelope falls, so each cell is bounded by its corners."""
        with balls():
            steps = [1 + (arb(n) / cells) ** 2 for n in range(cells + 1)]
            bounds = [self.envelope(y * self.slowest, depth) for y in steps]
            worst = bounds[-1]
            for y, bound in zip(steps[1:], bounds[:-1], strict=True):
                worst = worst.max(2 * (y - 1).sqrt() / y * bound)
            return above(worst + ROUNDED)

    @property
    def amplification(self) -> float:
        """What the sum over all later steps makes of a unit error in one: κ, or 1/(1 − √β)² for "agd".

        For Chebyshev an error in the j-th iterate becomes T_j(σ)/T_k(σ) U_{k−j}(t) times itself, at most
        2(k − j + 1)g^{k−j}, in all 2/(1 − g)². Gradient steps are up to (1 + β_k)(1 + 1/σ) ≤ 4 times as long, and so is
        what they round.
        """
        if self.solver == "chebyshev":
            return 8 / (1 - self.momentum) / (1 - self.momentum)
        root = 1 - math.sqrt(self.momentum)
        return 1 / (root * root) if self.solver == "agd" else self.condition

    def iterates(
        self,
        depth: int,
        actions: Float[np.ndarray, "tokens dim"],
        targets: Float[np.ndarray, "tokens count dim"],
        index: Float[np.ndarray, " tokens"],
    ) -> Float[np.ndarray, "tokens count dim"]:
        """What so many layers make of A_i x = y at each token, with steps and momenta as they are stored."""
        past, place = grams(actions, 0.0), index[:, None, None]
        point = ahead = np.zeros_like(targets)
        for step, momentum in self.layers(depth):
            at = point if self.solver == "chebyshev" else ahead
            new = ahead + (step * (targets - at @ past) - step * self.ridge * at) / place
            point, ahead = new, new + momentum * (new - point)
        return point

    def surrogate(
        self,
        depth: int,
        action: Register,
        position: Register,
        targets: Callable[[Values], np.ndarray],
        own: Bound,
    ) -> Surrogate | None:
        """The iterate itself, where each layer has a step of its own: wrong ones hide behind what others leave.

        Tied layers are all wrong if one is, and the promise shows it.
        """
        if self.solver != "chebyshev":
            return None

        def function(values: Values) -> Float[np.ndarray, "tokens size"]:
            actions, index = values[action.name], held(values, position)[:, 0]
            wanted = targets(values).reshape(len(index), -1, action.size)
            return self.iterates(depth, actions, wanted, index).reshape(len(index), -1)

        return Surrogate(function, Bound(0.0, 2 * own.rounding))

    def promise(self, domain: str, own: float, largest: float, groups: int, dim: int) -> Promise:
        """The promise of an error `own` on the way to solutions of norm at most `largest`.

        Rounding: each step computes a sum over at most 2T tokens and d entries of terms of size ≤ 4 largest.
        Magnitude: residuals are at most 1, so ‖point‖ ≤ 2 largest and ‖ahead‖ ≤ (1 + 2β) 2 largest.
        """
        bound = Bound(own, UNIT * (2 * self.horizon + dim + 10) * 4 * largest * self.amplification)
        return Promise(domain, bound, bound, math.sqrt(1 + 3**2) * 2 * largest * math.sqrt(groups))


def ridge(
    method: Descent,
    depth: int,
    *,
    action: Register,
    reward: Register,
    position: Register,
    point: Register,
    ahead: Register | None,
    reward_max: float,
) -> Block:
    """The ridge estimate of all past rewards.

    Claim: at every token `point` is within `promise.total` (ℓ2) of argmin_w Σ_j (⟨a_j, w⟩ − r_j)² + λ‖w‖².
    Source: Lemma approx_ridge, arXiv 2310.08566 (Appendix C.3 of the version of May 2024), parts 1 (gd) and 2 (agd).
        Chebyshev's semi-iteration in its place is ours.
    Reads: action, reward (0 on tokens without an action), position.
    Writes: point, and ahead but for "gd".
    Error: reward_residual(depth) · √(T−1) · reward_max/(2√λ); the paper has T B_a(B_aB_w + σ)/λ for the last factor.
    Cost: depth layers of 3 heads; 2·dim neurons, none for "gd". Layers are tied but for "chebyshev".

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(action=2, reward=1, point=2, ahead=2, position=3)
    >>> registers = dict(action=s["action"], reward=s["reward"], position=s["position"], point=s["point"])
    >>> method = Descent("agd", ridge=1.0, action_max=1.0, horizon=10)
    >>> round(ridge(method, 60, ahead=s["ahead"], reward_max=1.0, **registers).promise.total.error, 6)
    0.000111
    """

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return np.linalg.solve(grams(values[action.name], method.ridge), moments(values)[..., None])[..., 0]

    def moments(values: Values) -> Float[np.ndarray, "tokens dim"]:
        return np.cumsum(values[action.name] * values[reward.name], axis=0)

    largest, seen = (
        largest_estimate(method.ridge, n, reward_max) for n in (method.horizon, method.horizon - 1)
    )
    error = above(method.reward_residual(depth) * seen)
    domain = f"‖a‖ ≤ {method.action_max:.4g}, |r| ≤ {reward_max:.4g}, at most {method.horizon - 1} rewards"
    steps, repeat = _loop(method, depth, action, reward, position, point, ahead, blank(point.size))
    promise = method.promise(domain, error, above(largest), 1, action.size)
    return Block(
        name="ridge estimate",
        source="Lemma approx_ridge",
        steps=steps,
        repeat=repeat,
        output=point,
        truth=truth,
        promise=promise,
        surrogate=method.surrogate(depth, action, position, moments, promise.own),
    )


def largest_estimate(ridge: float, rewards: int, reward_max: float) -> arb:
    """√n ρ/(2√λ): bound on the norm of a ridge estimate from n rewards of size at most ρ."""
    return (arb(rewards) / ridge).sqrt() * reward_max / 2


def inverse(
    method: Descent,
    depth: int,
    *,
    action: Register,
    vectors: Register,
    position: Register,
    point: Register,
    ahead: Register | None,
    norm: float | None = None,
    name: str = "inverse times arms",
    source: str = "Theorem approx_smooth_linucb, step 2",
) -> Block:
    """A⁻¹a_k for several vectors a_k of the token itself.

    Claim: at every token the k-th part of `point` is within `promise.total` (ℓ2) of A_i⁻¹ a_k, and ⟨a_k, point_k⟩ lies
        within a factor 1 ± ε_depth of a_kᵀA_i⁻¹a_k.
    Source: proof of Theorem approx_smooth_linucb, step 2, arXiv 2310.08566.
    Reads: action, vectors (k parts of the action's size), position.
    Writes: point, and ahead but for "gd".
    Error: ε_depth · norm/λ; `norm` bounds ‖a_k‖ and is B_a if left out.
    Cost: depth layers of 2k + 1 heads (the paper: 4k); 2·k·dim neurons, none for "gd".

    >>> from constructions.parts.stream import Stream
    >>> s = Stream.of(action=2, arms=6, point=6, position=3)
    >>> registers = dict(action=s["action"], vectors=s["arms"], position=s["position"], point=s["point"])
    >>> block = inverse(Descent("gd", ridge=1.0, action_max=1.0, horizon=5), 100, ahead=None, **registers)
    >>> len(block.steps[0].heads), round(block.promise.total.error, 5)
    (7, 0.00592)
    """
    count = vectors.size // action.size

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        columns = values[vectors.name].reshape(-1, count, action.size).transpose(0, 2, 1)
        solved = np.linalg.solve(grams(values[action.name], method.ridge), columns)
        return solved.transpose(0, 2, 1).reshape(-1, vectors.size)

    largest = above(arb(norm or method.action_max) / method.ridge)
    domain = f"‖a‖ ≤ {norm or method.action_max:.4g}, at most {method.horizon - 1} actions"
    steps, repeat = _loop(method, depth, action, None, position, point, ahead, read(vectors))
    error = above(arb(method.residual(depth)) * largest)
    promise = method.promise(domain, error, largest, count, action.size)
    return Block(
        name=name,
        source=source,
        steps=steps,
        repeat=repeat,
        output=point,
        groups=count,
        truth=truth,
        promise=promise,
        surrogate=method.surrogate(
            depth, action, position, lambda values: held(values, vectors), promise.own
        ),
    )


def _loop(
    method: Descent,
    depth: int,
    action: Register,
    reward: Register | None,
    position: Register,
    point: Register,
    ahead: Register | None,
    targets: Link,
) -> tuple[tuple[Step, ...], int]:
    """All layers, and how often they run: one layer `depth` times if all have the same step and momentum."""
    if (ahead is None) != (method.solver == "gd"):
        raise ValueError(
            f"descent: wanted a register `ahead`, and none for gd, got {method.solver} and {ahead}"
        )
    to = ahead or point
    at = point if method.solver == "chebyshev" else to
    apart = depth if method.solver == "chebyshev" else 1  # of all others layers are alike
    weights = 16.0 * at.size * apart  # six for each entry in gradients, two in the pull, eight in momenta
    limits.hold("descent", layers=depth, stored=apart, weights=weights)
    layers = method.layers(apart)
    tied = len(set(layers)) == 1
    steps = tuple(
        Step(
            _gradient(method.ridge, step, action, reward, position, at, to, targets),
            _momentum(momentum, point, ahead) if ahead else (),
        )
        for step, momentum in (layers[:1] if tied else layers)
    )
    return steps, depth if tied else 1


def _gradient(
    ridge: float,
    step: float,
    action: Register,
    reward: Register | None,
    position: Register,
    at: Register,
    to: Register,
    targets: Link,
) -> tuple[Head, ...]:
    """Heads that add a gradient step of all systems, the gradient taken at one register, to another.

    `targets` are the own-token right-hand sides.
    """
    place, heads = Position.of(position), []
    count = at.size // action.size
    for k in range(count):
        part = to.part(k, of=count)
        query, key = read(at.part(k, of=count)), read(action)
        if reward is not None:
            query, key = stack(query, place.one), stack(key, -read(reward))
        heads += signed(f"gradient {part.name} {k}", query, key, -step * read(action), part)
    gate_query = stack(place.one, -place.index, place.one)
    gate_key = stack(place.one, place.one, place.index)
    pull = step * targets - step * ridge * read(at)
    return (*heads, Head(f"ridge {to.name}", gate_query, gate_key, pull, to))


def _momentum(momentum: float, point: Register, ahead: Register) -> tuple[Units, ...]:
    return (
        signed_units(f"momentum {point.name}", read(ahead) - read(point), (point, 1.0), (ahead, momentum)),
    )
