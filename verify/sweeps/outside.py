"""What becomes of a solver when the spectrum leaves the interval that it was built for (docs/depth.md, section 11).

One action in one dimension, played again and again, is a little longer than any that the weights were made for, so that the
only eigenvalue A = λ + n a² is (1 + δ) times the largest that was to be expected. What is left of the error along it is
read off the weights as they are built, and held to the formula.

    accelerated           descent with momentum, tied layers
    Chebyshev             a step and a momentum of its own in each layer
    Newton, scaled        a scale of its own in each layer, as LinUCB is built
    Newton, plain         tied layers but for the first
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from scipy.optimize import root_scalar

from constructions.parts.assemble import assemble
from constructions.parts.block import Block
from constructions.parts.stream import Stream
from constructions.primitives import descent, newton
from constructions.rounding import rates, schedules
from constructions.transformer import Transformer
from verify.sweeps.records import Record, curve, panel
from verify.theorems import evaluate
from verify.theorems import newton as stated

TOLERANCE = 1e-3
"""What every solver is built to leave of the error, within its interval."""
FAR = 1e3
"""Errors larger than this times what is to be found are not looked at: farther out, gates of Newton's heads open."""
ROUNDED = 1e-10
"""Measured and stated shares agree to so much, of 1 or of themselves: 10⁶ times the unit of float64."""
TINY, LARGE = 1e-9, 4.0
"""Between these excesses every solver begins to do harm."""
EDGE = np.linspace(0.97, 1.01, 9)
"""Where the share is looked at, in units of the excess from which on there is harm."""
RADIUS = 1e150
"""Of a clipping that does not act."""


@dataclass(frozen=True)
class Solver:
    """One way to solve λx + Σ a²x = Σ a r.

    Attributes:
        name: what a figure calls it.
        weights: the transformer.
        stream: its registers.
        largest: the largest eigenvalue that it was built for, after `steps` actions.
        left: from what the transformer returns at the last token, an eigenvalue and an action to the error along it,
            as a share of what is to be found.
        formula: from δ to that share, as docs/depth.md has it.
    """

    name: str
    weights: Transformer
    stream: Stream
    largest: float
    left: Callable[[dict[str, float], float, float], float]
    formula: Callable[[float], float]

    @property
    def harmful(self) -> float:
        """The δ from which on more is left than there was, by the formula."""
        return root_scalar(lambda excess: self.formula(excess) - 1, bracket=(TINY, LARGE)).root

    def measured(self, excess: float, ridge: float, steps: int) -> float:
        """The share that is left at an eigenvalue (1 + δ) times the largest."""
        eigenvalue = (1 + excess) * self.largest
        action, index = math.sqrt((eigenvalue - ridge) / steps), np.arange(1.0, steps + 1)
        tokens = np.zeros((steps, self.stream.width))
        filled = {"action": action, "reward": 1.0, "position": np.stack([index, index**2, index**0], axis=1)}
        for name, values in filled.items():
            tokens[:, self.stream[name].slice] = values
        last = self.weights(torch.as_tensor(tokens)).numpy()[-1]
        held = {
            register.name: float(last[register.start])
            for register in self.stream.registers.values()
            if register.size == 1
        }
        return abs(self.left(held, eigenvalue, steps * action))


def solvers(ridge: float, action_max: float, steps: int, tolerance: float = TOLERANCE) -> list[Solver]:
    """All of them, each with the fewest layers that leave no more than `tolerance` within the interval.

    Args:
        ridge: λ.
        action_max: B_a, the longest action that they are built for.
        steps: n, how many actions there are.
        tolerance: what may be left, as a share of what is to be found.
    """
    found = [_descent("accelerated", "agd", ridge, action_max, steps, tolerance)]
    found.append(_descent("Chebyshev", "chebyshev", ridge, action_max, steps, tolerance))
    for name, scaled in (("Newton, scaled", True), ("Newton, plain", False)):
        found.append(_newton(name, scaled, ridge, ridge + steps * action_max**2, steps, tolerance))
    return found


def outside(ridge: float, action_max: float, steps: int, excesses: Sequence[float]) -> Record:
    """The share of the error that is left at each δ, and at some near the one where harm begins, by each solver.

    Fields: solvers, each with name, layers, harmful, excesses, measured and stated; curves to draw.

    Raises:
        ValueError: for an excess that is not positive.
    """
    if not min(excesses, default=0) > 0:
        raise ValueError(f"excesses: wanted some, each > 0, got {list(excesses)}")
    rows, curves = [], []
    for solver in solvers(ridge, action_max, steps):
        harmful = solver.harmful
        tried = sorted({*excesses, *(harmful * EDGE).tolist()})
        stated_ = np.array([solver.formula(excess) for excess in tried])
        measured = np.array([solver.measured(excess, ridge, steps) for excess in tried])
        layers, near = solver.weights.counts()["layers"], (stated_ > ROUNDED) & (stated_ < FAR)
        drawn = np.array(tried)[near].tolist()
        label = f"{solver.name}: {layers}"
        curves.append(curve(label, drawn, measured[near].tolist(), solver.name))
        curves.append(curve("", drawn, stated_[near].tolist(), solver.name, "stated"))
        row = {"name": solver.name, "layers": layers, "harmful": harmful, "excesses": tried}
        rows.append(row | {"measured": measured.tolist(), "stated": stated_.tolist()})
    labels = "excess δ of the largest eigenvalue", "share left of the error"
    return panel("beyond the interval, by layers", labels, curves, legend="lower right") | {"solvers": rows}


def _descent(
    name: str, solver: rates.Solver, ridge: float, action_max: float, steps: int, tolerance: float
) -> Solver:
    method = rates.Descent(solver, ridge, action_max, steps)
    depth = next(n for n in count(1) if method.residual(n) <= tolerance)
    stream = Stream.of(action=1, reward=1, point=1, ahead=1, position=3)
    registers = {role: stream[role] for role in ("action", "reward", "position", "point", "ahead")}
    block = descent.ridge(method, depth, reward_max=1.0, **registers)
    chebyshev = solver == "chebyshev"
    parameter = {"condition": method.condition} if chebyshev else {"momentum": method.momentum}
    formula = stated.OUTSIDE if chebyshev else stated.OUTSIDE_ACCELERATED
    return Solver(
        name,
        _assembled(stream, block),
        stream,
        steps / method.step_size,
        lambda held, eigenvalue, moment: held["point"] * eigenvalue / moment - 1,
        lambda excess: evaluate(formula, depth=depth, excess=excess, **parameter),
    )


def _newton(name: str, scaled: bool, ridge: float, largest: float, steps: int, tolerance: float) -> Solver:
    depth = next(n for n in count(1) if schedules.inverse(ridge, largest, n, scaled).error <= tolerance)
    stream = Stream.of(
        action=1, reward=1, gram=1, gram_times=1, moment=1, moment_times=1, inverse=1, position=3
    )
    names = ("action", "reward", "position", "gram", "gram_times", "moment", "moment_times")
    sums = newton.normal_equations(
        "normal equations",
        stated.SOURCE_OUTSIDE,
        ridge=ridge,
        action_max=math.sqrt((largest - ridge) / steps),
        reward_max=1.0,
        horizon=steps,
        **{role: stream[role] for role in names},
    )
    block = newton.inverse(
        "inverse",
        stated.SOURCE_OUTSIDE,
        to=stream["inverse"],
        ridge=ridge,
        largest=largest,
        steps=depth,
        tokens=2 * steps,
        scaled=scaled,
        **{role: stream[role] for role in ("gram", "gram_times", "position")},
    )
    formula, parameter = (
        (stated.OUTSIDE, {"condition": largest / ridge}) if scaled else (stated.OUTSIDE_PLAIN, {})
    )
    return Solver(
        name,
        _assembled(stream, sums, block),
        stream,
        largest,
        lambda held, eigenvalue, _: held["inverse"] * eigenvalue - 1,
        lambda excess: evaluate(formula, depth=2**depth, excess=excess, **parameter),
    )


def _assembled(stream: Stream, *blocks: Block) -> Transformer:
    return assemble(
        stream, frozenset({"action", "reward", "position"}), [[block] for block in blocks], RADIUS
    )
