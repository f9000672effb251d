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

**The certificate.** The error after k steps is e_k(ηA_i/i) x*, with the polynomials e_k and bounds ε_k ≥ |e_k| of
rounding/rates.py. For A⁻¹a this is all: ‖x̂ − A⁻¹a‖ ≤ ε_k ‖a‖/λ and, e_k(A) being a function of A, aᵀx̂ lies within 1 ± ε_k
of aᵀA⁻¹a. The ridge estimate from n rewards of size ≤ ρ_r is w = A⁻¹Xᵀr, and a singular value s of X contributes
s/(s² + λ) |e_k| to the error. The slowest component x = 1/κ has s = 0 and contributes nothing. With y = κx, s² + λ ≤ λy, so
s/(s² + λ) ≤ φ(y)/(2√λ), φ(y) = 2√(y−1)/y up to y = 2 and 1 beyond, and ‖ŵ − w‖ ≤ (√n ρ_r/(2√λ)) · sup_y φ(y) |e_k(y/κ)|.
Chebyshev's e_k is as large everywhere: its slowest component gains nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

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
from constructions.rounding.outward import above
from constructions.rounding.rates import Descent


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

    def moments(values: Values) -> Float[np.ndarray, "tokens dim"]:
        return np.cumsum(values[action.name] * values[reward.name], axis=0)

    largest, seen = (
        largest_estimate(method.ridge, n, reward_max) for n in (method.horizon, method.horizon - 1)
    )
    error = above(method.reward_residual(depth) * seen)
    domain = f"‖a‖ ≤ {method.action_max:.4g}, |r| ≤ {reward_max:.4g}, at most {method.horizon - 1} rewards"
    systems = _Systems(method, action, reward, blank(point.size), moments, position, point, ahead)

    def truth(values: Values) -> Float[np.ndarray, "tokens dim"]:
        return systems.solutions(values)

    return systems.solved("ridge estimate", "Lemma approx_ridge", truth, depth, domain, error, above(largest))


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
    largest = above(arb(norm or method.action_max) / method.ridge)
    domain = f"‖a‖ ≤ {norm or method.action_max:.4g}, at most {method.horizon - 1} actions"
    error = above(arb(method.residual(depth)) * largest)
    own = read(vectors), lambda values: held(values, vectors)
    systems = _Systems(method, action, None, *own, position, point, ahead)

    def truth(values: Values) -> Float[np.ndarray, "tokens size"]:
        return systems.solutions(values)

    return systems.solved(name, source, truth, depth, domain, error, largest)


@dataclass(frozen=True, eq=False)
class _Systems:
    """Systems A_i x = y, solved side by side.

    Attributes:
        method: how they are solved.
        action: a_j.
        reward: r_j, if Σ a_j r_j belongs to y.
        targets: what else does, of the token itself.
        right: y in plain NumPy.
        position: i.
        point: x.
        ahead: where momentum carries it; none for "gd".
    """

    method: Descent
    action: Register
    reward: Register | None
    targets: Link
    right: Callable[[Values], np.ndarray]
    position: Register
    point: Register
    ahead: Register | None

    def __post_init__(self):
        if (self.ahead is None) != (self.method.solver == "gd"):
            raise ValueError(
                f"descent: wanted a register `ahead`, and none for gd, got {self.method.solver} and {self.ahead}"
            )

    @property
    def count(self) -> int:
        """How many there are."""
        return self.point.size // self.action.size

    @property
    def apart(self) -> bool:
        """Whether the gradient is taken at `point`, and each layer has a step of its own."""
        return self.method.solver == "chebyshev"

    def solved(
        self,
        name: str,
        source: str,
        truth: Callable[[Values], np.ndarray],
        depth: int,
        domain: str,
        error: float,
        largest: float,
    ) -> Block:
        """The block of so many layers, with an error on the way to `truth`, solutions of norm at most `largest`.

        Rounding: each step computes a sum over at most 2T tokens and d entries of terms of size ≤ 4 largest.
        Magnitude: residuals are at most 1, so ‖point‖ ≤ 2 largest and ‖ahead‖ ≤ (1 + 2β) 2 largest.

        Where each layer has a step of its own, wrong ones hide behind what others leave: the iterate is the surrogate.
        Tied layers are all wrong if one is, and the promise shows it.
        """
        terms = 2 * self.method.horizon + self.action.size + 10
        own = Bound(error, UNIT * terms * 4 * largest * self.method.amplification)
        promise = Promise(domain, own, own, math.sqrt(1 + 3**2) * 2 * largest * math.sqrt(self.count))
        steps, repeat = self.loop(depth)

        def iterates(values: Values) -> Float[np.ndarray, "tokens size"]:
            return self.iterates(depth, values).reshape(-1, self.point.size)

        surrogate = Surrogate(iterates, Bound(0.0, 2 * own.rounding)) if self.apart else None
        return Block(name, source, steps, self.point, truth, promise, repeat, self.count, surrogate)

    def solutions(self, values: Values) -> Float[np.ndarray, "tokens size"]:
        """Each x at each token."""
        square, y = grams(values[self.action.name], self.method.ridge), self.wanted(values)
        return np.linalg.solve(square, y.transpose(0, 2, 1)).transpose(0, 2, 1).reshape(len(y), -1)

    def wanted(self, values: Values) -> Float[np.ndarray, "tokens count dim"]:
        """Each y at each token."""
        return self.right(values).reshape(-1, self.count, self.action.size)

    def iterates(self, depth: int, values: Values) -> Float[np.ndarray, "tokens count dim"]:
        """What so many layers make of each x at each token, with steps and momenta as they are stored."""
        past, y = grams(values[self.action.name], 0.0), self.wanted(values)
        place = held(values, self.position)[:, 0, None, None]
        point = ahead = np.zeros_like(y)
        for step, momentum in self.method.layers(depth):
            at = point if self.apart else ahead
            new = ahead + (step * (y - at @ past) - step * self.method.ridge * at) / place
            point, ahead = new, new + momentum * (new - point)
        return point

    def loop(self, depth: int) -> tuple[tuple[Step, ...], int]:
        """All layers, and how often they run: one layer `depth` times if all have the same step and momentum."""
        stored = depth if self.apart else 1  # of all others layers are alike
        weights = (
            16.0 * self.point.size * stored
        )  # six an entry in gradients, two in the pull, eight in momenta
        limits.hold("descent", layers=depth, stored=stored, weights=weights)
        layers = self.method.layers(stored)
        tied = len(set(layers)) == 1
        steps = (
            Step(self.gradient(step), self.momentum(beta)) for step, beta in (layers[:1] if tied else layers)
        )
        return tuple(steps), depth if tied else 1

    def gradient(self, step: float) -> tuple[Head, ...]:
        """Heads that add a gradient step of all systems to the register that is ahead."""
        place, to, heads = Position.of(self.position), self.ahead or self.point, []
        at = self.point if self.apart else to
        for k in range(self.count):
            part = to.part(k, of=self.count)
            query, key = read(at.part(k, of=self.count)), read(self.action)
            if self.reward is not None:
                query, key = stack(query, place.one), stack(key, -read(self.reward))
            heads += signed(f"gradient {part.name} {k}", query, key, -step * read(self.action), part)
        gate_query = stack(place.one, -place.index, place.one)
        gate_key = stack(place.one, place.one, place.index)
        pull = step * self.targets - step * self.method.ridge * read(at)
        return (*heads, Head(f"ridge {to.name}", gate_query, gate_key, pull, to))

    def momentum(self, beta: float) -> tuple[Units, ...]:
        """Neurons that add u = ahead − point to `point`, and βu to `ahead`."""
        if self.ahead is None:
            return ()
        gap, to = read(self.ahead) - read(self.point), ((self.point, 1.0), (self.ahead, beta))
        return (signed_units(f"momentum {self.point.name}", gap, *to),)
