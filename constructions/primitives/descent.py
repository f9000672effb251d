"""In-context gradient descent, plain and accelerated, on ridge problems.

At token i, with the actions a_j and rewards r_j of the action tokens j ≤ i, let A_i = λI + Σ a_j a_jᵀ. Both blocks solve
systems A_i x = y from x = 0 by descent on (1/i)(½ xᵀA_i x − yᵀx), one step a layer, with the paper's step size
η = 1/(B_a² + λ) and momentum β = (√κ−1)/(√κ+1), κ = 2T(B_a² + λ)/λ:

    ridge     y = Σ a_j r_j        the ridge estimate
    inverse   y = a vector of the token itself, several at once

**The layer.** Two signed heads add −(η/i) Σ_j (⟨a_j, v⟩ − r_j) a_j to v: query (v, 1), key (a_j, −r_j), value ∓η a_j.
Tokens without an action have a_j = 0 and drop out. A third head has score relu(1 + j − i), which is 1 at j = i and 0
before, and adds (1/i)(η y − ηλ v). Together they are v − η∇(v), the gradient step. That is all of gradient descent.
For the accelerated method the paper keeps v, the iterate w_a and a copy w_b of the last iterate, with a fourth head and
4d neurons. Two registers suffice: `ahead` = v and `point` = w. After the heads `ahead` holds the new iterate
v − η∇(v); with u = ahead − point, 2d neurons relu(±u) do point += u and ahead += βu.

**The certificate.** The error after k steps is e_k(A_i/(iL)) x*, L = 1/η, for the polynomial
e_0 = 1, e_1 = 1 − x, e_{k+1} = (1 − x)(e_k + β(e_k − e_{k−1})) (β = 0 for plain descent). All eigenvalues of A_i/(iL)
lie in [1/κ, fastest], so ε_k = sup |e_k| there bounds the error of every history. The supremum is taken rigorously:
by Ehlich and Zeller (1964) a polynomial of degree k on an interval exceeds its maximum over m > k Chebyshev nodes at
most by the factor 1/cos(kπ/2m). Then ‖ŵ − w‖ ≤ ε_k ‖w‖ and, with n rewards of size at most ρ,
‖w‖ = ‖A⁻¹Xᵀr‖ ≤ max_s s/(s² + λ) · ‖r‖ ≤ √n ρ/(2√λ); likewise ‖x̂ − A⁻¹a‖ ≤ ε_k ‖a‖/λ, and, e_k(A) being a function
of A, aᵀx̂ lies within a factor 1 ± ε_k of aᵀA⁻¹a.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from constructions.block import (
    UNIT,
    Block,
    Bound,
    Head,
    Link,
    Position,
    Promise,
    Step,
    Values,
    blank,
    read,
    signed,
    signed_units,
    stack,
)
from constructions.stream import Register

Solver = Literal["gd", "agd"]


@dataclass(frozen=True)
class Descent:
    """A descent method on every ridge problem that a history within the norm bounds can pose.

    Attributes:
        solver: "gd" or "agd".
        ridge: λ.
        action_max: B_a.
        horizon: T; tokens run to 2T, of which at most T hold an action.

    >>> Descent("agd", ridge=1.0, action_max=2.0, horizon=10).residuals(40)[[0, 20, 40]].round(4).tolist()
    [1.0, 0.3676, 0.0764]
    """

    solver: Solver
    ridge: float
    action_max: float
    horizon: int

    @property
    def step_size(self) -> float:
        """η = 1/(B_a² + λ)."""
        return 1 / (self.action_max**2 + self.ridge)

    @property
    def condition(self) -> float:
        """κ = 2T(B_a² + λ)/λ."""
        return 2 * self.horizon / (self.ridge * self.step_size)

    @property
    def momentum(self) -> float:
        """β, 0 for plain gradient descent."""
        root = math.sqrt(self.condition)
        return (root - 1) / (root + 1) if self.solver == "agd" else 0.0

    @property
    def fastest(self) -> float:
        """Largest eigenvalue of η A_i/i: λη at i = 1; later at most half the tokens hold an action."""
        return max(self.ridge * self.step_size, 0.5)

    def residuals(self, depth: int) -> Float[np.ndarray, " depths"]:
        """ε_0, …, ε_depth: certified suprema of |e_k| over [1/κ, fastest]."""
        low, high = 1 / self.condition, self.fastest
        if self.solver == "gd":  # 0 ≤ 1 − x, so the slowest component is the worst
            return np.exp(np.arange(depth + 1) * math.log1p(-low))
        nodes = 6 * max(depth, 1)
        angles = (np.arange(nodes) + 0.5) * math.pi / nodes
        factor = 1 - (low + (high - low) * (1 + np.cos(angles)) / 2)
        suprema, before, now = np.ones(depth + 1), np.ones(nodes), np.ones(nodes)
        for k in range(1, depth + 1):
            before, now = now, factor * (now + self.momentum * (now - before))
            suprema[k] = np.abs(now).max() / math.cos(k * math.pi / (2 * nodes))
        return suprema

    @property
    def amplification(self) -> float:
        """What the sum over all later steps makes of a unit error in one: κ, or 1/(1 − √β)² for "agd"."""
        return 1 / (1 - math.sqrt(self.momentum)) ** 2 if self.solver == "agd" else self.condition

    def promise(self, domain: str, depth: int, largest: float, seen: float, groups: int, dim: int) -> Promise:
        """The promise of `depth` steps towards solutions of norm ≤ largest, or ≤ seen where results are read.

        Rounding: each step computes a sum over at most 2T tokens and d entries of terms of size ≤ 4 largest.
        """
        residuals = self.residuals(depth)
        rounding = UNIT * (2 * self.horizon + dim + 10) * 4 * largest * self.amplification
        reach = math.sqrt(1 + 3**2) * (
            1 + float(residuals.max())
        )  # ‖point‖ ≤ 1 + ε, ‖ahead‖ ≤ (1 + 2β)(1 + ε)
        own = Bound(float(residuals[-1]) * seen, rounding)
        return Promise(domain, own, own, reach * largest * math.sqrt(groups))

    def depth_for(self, target: float) -> int:
        """The least depth at which the certified residual is at most `target` > 0."""
        if target >= 1:
            return 1
        if self.solver == "gd":
            return math.ceil(math.log(target) / math.log1p(-1 / self.condition))
        guess = 16
        while True:
            reached = np.flatnonzero(self.residuals(guess) <= target)
            if reached.size:
                return int(reached[0])
            guess *= 2


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
    Reads: action, reward (0 on tokens without an action), position.
    Writes: point, and ahead for "agd".
    Error: ε_depth · √(T−1) · reward_max / (2√λ); the paper prints T B_a(B_aB_w + σ)/λ in place of the last two.
    Cost: depth layers of 3 heads; 2·dim neurons for "agd", none for "gd".

    >>> from constructions.stream import Stream
    >>> s = Stream.of(action=2, reward=1, point=2, ahead=2, position=3)
    >>> registers = dict(action=s["action"], reward=s["reward"], position=s["position"], point=s["point"])
    >>> method = Descent("agd", ridge=1.0, action_max=1.0, horizon=10)
    >>> round(ridge(method, 60, ahead=s["ahead"], reward_max=1.0, **registers).promise.total.error, 6)
    0.000532
    """

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        targets = np.cumsum(values[action.name] * values[reward.name], axis=0)
        return np.linalg.solve(_gram(values[action.name], method.ridge), targets[..., None])[..., 0]

    largest, seen = (
        largest_estimate(method.ridge, n, reward_max) for n in (method.horizon, method.horizon - 1)
    )
    domain = f"‖a‖ ≤ {method.action_max:.4g}, |r| ≤ {reward_max:.4g}, at most {method.horizon - 1} rewards"
    heads = _gradient(method, action, reward, position, ahead or point, blank(point.size))
    return Block(
        name="ridge estimate",
        source="Lemma approx_ridge",
        steps=(Step(heads, _momentum(method, point, ahead)),),
        repeat=depth,
        output=point,
        truth=truth,
        promise=method.promise(domain, depth, largest, seen, 1, action.size),
    )


def largest_estimate(ridge: float, rewards: int, reward_max: float) -> float:
    """√n ρ/(2√λ): bound on the norm of a ridge estimate from n rewards of size at most ρ."""
    return math.sqrt(rewards) * reward_max / (2 * math.sqrt(ridge))


def inverse(
    method: Descent,
    depth: int,
    *,
    action: Register,
    vectors: Register,
    position: Register,
    point: Register,
    ahead: Register | None,
) -> Block:
    """A⁻¹a_k for several vectors a_k of the token itself.

    Claim: at every token the k-th part of `point` is within `promise.total` (ℓ2) of A_i⁻¹ a_k, and ⟨a_k, point_k⟩ lies
        within a factor 1 ± ε_depth of a_kᵀA_i⁻¹a_k.
    Source: proof of Theorem approx_smooth_linucb, step 2, arXiv 2310.08566.
    Reads: action, vectors (k parts of the action's size), position.
    Writes: point, and ahead for "agd".
    Error: ε_depth · B_a/λ.
    Cost: depth layers of 2k + 1 heads (the paper: 4k); 2·k·dim neurons for "agd", none for "gd".

    >>> from constructions.stream import Stream
    >>> s = Stream.of(action=2, arms=6, point=6, position=3)
    >>> registers = dict(action=s["action"], vectors=s["arms"], position=s["position"], point=s["point"])
    >>> block = inverse(Descent("gd", ridge=1.0, action_max=1.0, horizon=5), 100, ahead=None, **registers)
    >>> len(block.steps[0].heads), round(block.promise.total.error, 5)
    (7, 0.00592)
    """
    count = vectors.size // action.size

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        columns = values[vectors.name].reshape(-1, count, action.size).transpose(0, 2, 1)
        solved = np.linalg.solve(_gram(values[action.name], method.ridge), columns)
        return solved.transpose(0, 2, 1).reshape(-1, vectors.size)

    largest = method.action_max / method.ridge
    domain = f"‖a‖ ≤ {method.action_max:.4g}, at most {method.horizon - 1} actions"
    heads = _gradient(method, action, None, position, ahead or point, method.step_size * read(vectors))
    return Block(
        name="inverse times arms",
        source="Theorem approx_smooth_linucb, step 2",
        steps=(Step(heads, _momentum(method, point, ahead)),),
        repeat=depth,
        output=point,
        groups=count,
        truth=truth,
        promise=method.promise(domain, depth, largest, largest, count, action.size),
    )


def _gradient(
    method: Descent, action: Register, reward: Register | None, position: Register, at: Register, push: Link
) -> tuple[Head, ...]:
    """Heads for one gradient step of all systems in `at`; `push` is η times the own-token right-hand sides."""
    place, heads = Position.of(position), []
    count = at.size // action.size
    for k in range(count):
        part = at.part(k, of=count)
        query, key = read(part), read(action)
        if reward is not None:
            query, key = stack(query, place.one), stack(key, -read(reward))
        heads += signed(f"gradient {part.name} {k}", query, key, -method.step_size * read(action), part)
    gate_query = stack(place.one, -place.index, place.one)
    gate_key = stack(place.one, place.one, place.index)
    pull = push - method.step_size * method.ridge * read(at)
    return (*heads, Head(f"ridge {at.name}", gate_query, gate_key, pull, at))


def _momentum(method: Descent, point: Register, ahead: Register | None):
    if (ahead is None) != (method.solver == "gd"):
        raise ValueError(
            f"descent: wanted a register `ahead` for agd and none for gd, got {method.solver} and {ahead}"
        )
    if ahead is None:
        return ()
    return (
        signed_units(
            f"momentum {point.name}", read(ahead) - read(point), (point, 1.0), (ahead, method.momentum)
        ),
    )


def _gram(actions: Float[np.ndarray, "tokens dim"], ridge: float) -> Float[np.ndarray, "tokens dim dim"]:
    return ridge * np.eye(actions.shape[1]) + np.cumsum(actions[:, :, None] * actions[:, None, :], axis=0)
