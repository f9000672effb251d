"""The confidence width √x, x = aᵀA⁻¹a: what errors of x do to it, and how it is had without many neurons.

root = "interpolation"    1 layer, an MLP of about high^{1/4}/(2√ε_√) neurons an arm
root = "products"         k + 2 layers: an MLP for a rough 1/√x, about log(high/low) neurons an arm whatever the error;
                          then attention alone, one step of Newton's iteration a layer (refinement.py); k grows as
                          log log 1/ε_√
"""

import math

import numpy as np
from flint import arb

from constructions.inputs.bandits import admitted_norms, admitted_reward
from constructions.inputs.ridge import largest_eigenvalue
from constructions.language import Curve, Program, Value
from constructions.linucb.spec import Spec
from constructions.parts.block import UNIT, Block, Bound
from constructions.parts.stream import Register
from constructions.primitives import descent, interpolation, refinement, stored
from constructions.rounding.outward import above, balls, below

NAME = "width √(a_kᵀA⁻¹a_k)"
SOURCE = "theorem ours, in place of Theorem approx_smooth_linucb, step 3"
SPREAD = 1 / 16
"""How rough the first 1/√x is: its neurons grow as 1/√SPREAD, the steps as log log 1/SPREAD."""
SLACK = 1e-6
"""Part of the error kept back, so that rounding does not carry a bound that is met exactly over its edge."""


def longest(spec: Spec) -> arb:
    """B_a/√λ, the largest √(aᵀA⁻¹a)."""
    return admitted_norms(spec)[1] / arb(spec.ridge).sqrt()


def width_error(spec: Spec, residual: float) -> float:
    """Bound on |√x̂_k − √x_k| for x̂_k within a factor 1 ± residual of x_k."""
    part = arb(min(residual, 1.0))
    return above(longest(spec) * part / (1 + (1 - part).sqrt()))


def largest_mean(spec: Spec) -> arb:
    """B_a √(T−1) ρ/(2√λ): bound on |⟨a, w⟩|."""
    largest = descent.largest_estimate(spec.ridge, max(spec.horizon - 1, 1), admitted_reward(spec))
    return admitted_norms(spec)[1] * largest


def rounded_weights(spec: Spec) -> float:
    """What 1/τ and α/τ being rounded adds to a logit, its mean and its width at most twice as large as true ones."""
    return above(2 * UNIT * (largest_mean(spec) + spec.exploration * longest(spec)) / spec.temperature)


def inherited(spec: Spec, mean: float, residual: float) -> float:
    """What relative errors of means and of x̂, and rounded weights, add to τ times a logit: all but the root."""
    rounded = spec.temperature * rounded_weights(spec)
    return above(mean * largest_mean(spec)) + spec.exploration * width_error(spec, residual) + rounded


def root_share(spec: Spec) -> float:
    """Part of the error left to the square root.

    Depth grows with log(1/error) only, neurons for an interpolant with error^{-1/2}; products double digits in a layer.
    """
    return 0.8 if spec.root == "interpolation" else 0.1


def registers(spec: Spec) -> dict[str, int]:
    """Names and sizes of the scratch registers that products need."""
    names = ("near", "width_times", "near_again") if spec.root == "products" else ()
    return dict.fromkeys(names, spec.actions)


def root(
    p: Program, spec: Spec, square: Value, residual: float, error: float, *, inline: bool = False
) -> Value | Curve:
    """√x of x̂.

    Args:
        p: the program.
        spec: what is built.
        square: x̂.
        residual: x̂ is within a factor 1 ± residual of x.
        error: what is left to the square root.
        inline: whether an interpolant is left to the sum that it goes into, else it stands in the register `width`.
    """
    (least, most), part = admitted_norms(spec), arb(residual)
    low = below(arb(least) ** 2 / largest_eigenvalue(spec) * (1 - part))
    high = above(arb(most) ** 2 / spec.ridge * (1 + part))
    carried = Bound(width_error(spec, residual), square.error.rounding / (2 * math.sqrt(low)))
    if spec.root == "products":
        return _by_products(p.citing(SOURCE), square, (low, high), part, error, carried)
    error = min(error, below(arb(high).sqrt() if inline else longest(spec)))

    def made(to: Register, weight: float, over: float) -> Block:
        """Weight/over · √x̂ by an interpolant."""
        with balls():
            times = arb(weight) / over
        scale = float(times)
        shape, reached = stored.within(
            lambda aim: interpolation.scaled(
                interpolation.square_root(low, high, aim / scale * (1 - SLACK)), scale
            ),
            stored.SQUARE_ROOT.scaled(times),
            below(error * times),
        )
        return interpolation.function(
            NAME,
            p.source,
            shape,
            of=lambda x: scale * np.sqrt(np.maximum(x, 0.0)),
            error=reached,
            source=square.register,
            one=p.stream.one,
            to=to,
            inherited=above(times) * carried,
        )

    if inline:
        return Curve(made, 2 * math.sqrt(high), square)
    p.put(made(p.stream["width"], 1.0, 1.0))
    return p.value("width", math.sqrt(high) + p.written("width").promise.total.error)


def _by_products(
    p: Program, square: Value, bounds: tuple[float, float], residual: arb, error: float, carried: Bound
) -> Value:
    """A rough 1/√x by neurons, then Newton's iteration."""
    low, high = bounds
    shape, _ = stored.within(
        lambda aim: interpolation.power(0.5, low, high, aim * (1 - SLACK)), stored.power(0.5), SPREAD
    )
    least = arb(low).sqrt()
    rough = above((1 + arb(SPREAD)) / least)
    moved = Bound(above(rough * (1 / (1 - residual).sqrt() - 1)), rough * carried.rounding / math.sqrt(low))
    p.function(
        "near",
        "rough 1/√(a_kᵀA⁻¹a_k)",
        square,
        lambda x: 1 / np.sqrt(np.maximum(x, low)),
        (shape, above(SPREAD / least)),
        size=rough,
        proved=(moved, "x̂ is within a factor of x"),
    )
    steps = refinement.least(SPREAD, below(error * (1 - SLACK) / arb(high).sqrt()), "error")
    block = refinement.root(
        NAME,
        p.source,
        spread=SPREAD,
        steps=steps,
        high=high,
        nearest=p.written("near").promise.magnitude,
        tokens=p.tokens,
        inherited=carried,
        **p.at(of="square", near="near", to="width", to_times="width_times", partner="near_again"),
    )
    p.put(block)
    return p.value("width", math.sqrt(high) + p.written("width").promise.total.error)
