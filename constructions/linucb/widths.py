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
from constructions.language import Curve, Program, Value
from constructions.linucb.spec import Spec
from constructions.parts.block import UNIT, Block, Bound
from constructions.parts.stream import Register, Stream
from constructions.primitives import descent, interpolation, refinement, stored
from constructions.rounding.outward import above, balls, below

NAME = "width √(a_kᵀA⁻¹a_k)"
SOURCE = "theorem ours, in place of Theorem approx_smooth_linucb, step 3"
SPREAD = 1 / 16
"""How rough the first 1/√x is: its neurons grow as 1/√SPREAD, the steps as log log 1/SPREAD."""


SLACK = 1e-6
"""Part of the error kept back, so that rounding does not carry a bound that is met exactly over its edge."""


ONE = arb(1)


def longest(spec: Spec) -> arb:
    """B_a/√λ, the largest √(aᵀA⁻¹a)."""
    return admitted_norms(spec)[1] / arb(spec.ridge).sqrt()


def width_error(spec: Spec, residual: float) -> float:
    """Bound on |√x̂_k − √x_k| for x̂_k within a factor 1 ± residual of x_k."""
    part = arb(min(residual, 1.0))
    return above(longest(spec) * part / (1 + (1 - part).sqrt()))


def carried(spec: Spec, rounding: float, low: float, residual: float) -> Bound:
    """What errors of x̂ ≥ low, within a factor 1 ± residual of x and rounded by so much, make of √x̂."""
    return Bound(width_error(spec, residual), rounding / (2 * math.sqrt(low)))


def largest_mean(spec: Spec) -> arb:
    """B_a √(T−1) ρ/(2√λ): bound on |⟨a, w⟩|."""
    largest = descent.largest_estimate(spec.ridge, max(spec.horizon - 1, 1), admitted_reward(spec))
    return admitted_norms(spec)[1] * largest


def rounded_weights(spec: Spec) -> float:
    """What 1/τ and α/τ being rounded adds to a logit, its mean and its width at most twice as large as true ones."""
    return above(2 * UNIT * (largest_mean(spec) + spec.exploration * longest(spec)) / spec.temperature)


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
    p: Program,
    spec: Spec,
    square: Value,
    bounds: tuple[float, float],
    residual: float,
    error: float,
    *,
    inline: bool = False,
    changes: bool = True,
) -> Value | Curve:
    """√x of x̂.

    Args:
        p: the program.
        spec: what is built.
        square: x̂.
        bounds: on x̂.
        residual: x̂ is within a factor 1 ± residual of x.
        error: what is left to the square root.
        inline: whether an interpolant is left to the sum that it goes into, else it stands in the register `width`.
        changes: whether the coefficients of the interpolant are repaired.
    """
    inherited = carried(spec, square.error.rounding, bounds[0], residual)
    if spec.root == "products":
        near = _near(spec, p.stream, *bounds, residual, inherited.rounding)
        [_, width] = p.put(near, _refined(spec, p.stream, near, *bounds, error, inherited))
        return p.held(width, math.sqrt(bounds[1]) + width.promise.total.error)
    if inline:
        least = min(error, below(arb(bounds[1]).sqrt()))

        def made(to: Register, weight: float, over: float) -> Block:
            with balls():
                times = arb(weight) / over
            return interpolated(p, bounds, least, inherited, to, times=times)

        return Curve(made, 2 * math.sqrt(bounds[1]))
    least = min(error, below(longest(spec)))
    [width] = p.put(interpolated(p, bounds, least, inherited, p.stream["width"], changes=changes))
    return p.held(width, math.sqrt(bounds[1]) + width.promise.total.error)


def interpolated(
    p: Program,
    bounds: tuple[float, float],
    error: float,
    inherited: Bound,
    to: Register,
    *,
    times: arb = ONE,
    changes: bool = True,
) -> Block:
    """`times` √x̂ by an interpolant within `times` error, in a register; `inherited` is what errors of x̂ cause of √x̂."""
    scale = float(times)
    shape, reached = stored.within(
        lambda aim: interpolation.scaled(
            interpolation.square_root(*bounds, aim / scale * (1 - SLACK)), scale
        ),
        stored.SQUARE_ROOT.scaled(times),
        below(error * times),
    )
    factor = float(times)
    return interpolation.function(
        NAME,
        p.source,
        shape,
        of=lambda x: factor * np.sqrt(np.maximum(x, 0.0)),
        error=reached,
        source=p.stream["square"],
        one=p.position.part(2, of=3),
        to=to,
        inherited=above(times) * inherited,
        changes=changes,
    )


def _near(spec: Spec, stream: Stream, low: float, high: float, residual: float, rounding: float) -> Block:
    shape, _ = stored.within(
        lambda aim: interpolation.power(0.5, low, high, aim * (1 - SLACK)), stored.power(0.5), SPREAD
    )
    least, part = arb(low).sqrt(), arb(residual)
    rough = above((1 + arb(SPREAD)) / least)
    inherited = Bound(above(rough * (1 / (1 - part).sqrt() - 1)), rough * rounding / math.sqrt(low))
    return interpolation.function(
        "rough 1/√(a_kᵀA⁻¹a_k)",
        SOURCE,
        shape,
        of=lambda x: 1 / np.sqrt(np.maximum(x, low)),
        error=above(SPREAD / least),
        source=stream["square"],
        one=stream["position"].part(2, of=3),
        to=stream["near"],
        inherited=inherited,
    )


def _refined(
    spec: Spec, stream: Stream, near: Block, low: float, high: float, error: float, inherited: Bound
) -> Block:
    steps = refinement.least(SPREAD, below(error * (1 - SLACK) / arb(high).sqrt()), "error")
    return refinement.root(
        NAME,
        SOURCE,
        of=stream["square"],
        near=stream["near"],
        position=stream["position"],
        to=stream["width"],
        to_times=stream["width_times"],
        partner=stream["near_again"],
        spread=SPREAD,
        steps=steps,
        high=high,
        nearest=near.promise.magnitude,
        tokens=2 * spec.horizon,
        inherited=inherited,
    )
