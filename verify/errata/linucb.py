"""Errors believed to be in the paper, each with the smallest input that shows it and the repaired form.

These are claims about published work. Each is demonstrated by running the literal construction and the repaired one side by
side; if the literal one were right, the demonstration would say so.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from constructions import linucb
from constructions.assemble import assemble
from constructions.primitives import interpolation
from constructions.stream import Stream
from verify import algorithms
from verify.audit import measure
from verify.strategies import battery


@dataclass(frozen=True)
class Demonstration:
    """What running both forms gives on the witness.

    Attributes:
        witness: the input, in words.
        wanted: the value that the claim promises.
        literal: what the construction as printed computes.
        repaired: what the repaired construction computes.
        tolerance: the error that the claim allows.
        context: the literal piece inside the whole construction, in words and numbers.
    """

    witness: str
    wanted: float
    literal: float
    repaired: float
    tolerance: float
    context: str

    @property
    def confirmed(self) -> bool:
        """Whether the literal form fails and the repaired form does not."""
        return abs(self.literal - self.wanted) > self.tolerance >= abs(self.repaired - self.wanted)


@dataclass(frozen=True)
class Erratum:
    """One candidate error.

    Attributes:
        name: a short name.
        where: the place in the paper.
        printed: what it says.
        repair: what it should say.
        effect: what the repair does to the theorem.
        demonstrate: runs both forms.
    """

    name: str
    where: str
    printed: str
    repair: str
    effect: str
    demonstrate: Callable[[], Demonstration]

    def record(self) -> dict:
        """For JSON, the demonstration included."""
        shown = self.demonstrate()
        texts = {key: getattr(self, key) for key in ("name", "where", "printed", "repair", "effect")}
        return texts | asdict(shown) | {"confirmed": shown.confirmed}


def _root_witness() -> Demonstration:
    """Knots 1, 4, 9: the printed coefficients give 14/3 at x = 9, where √x = 3."""
    knots = np.array([1.0, 4.0, 9.0])
    function = interpolation.Interpolant(knots, np.sqrt(knots))
    stream = Stream.of(x=1, one=1, root=1)
    values = {}
    for changes in (False, True):
        block = interpolation.root(
            "√x",
            "",
            function,
            error=0.0,
            source=stream["x"],
            one=stream["one"],
            to=stream["root"],
            changes=changes,
        )
        transformer = assemble(stream, frozenset({"x", "one"}), [[block]], clip_radius=64.0)
        output = transformer(torch.tensor([[9.0, 1.0, 0.0]], dtype=torch.float64))
        values[changes] = float(output[0, stream["root"].start])
    return Demonstration(
        "√ interpolated at the knots 1, 4, 9, evaluated at the knot x = 9",
        3.0,
        values[False],
        values[True],
        1e-12,
        _root_in_place(),
    )


def _root_in_place() -> str:
    """The same inside LinUCB: the worst log-probability error with either form."""
    spec = linucb.Spec(dim=2, actions=3, horizon=5, error=1e-2)
    errors = []
    for changes in (False, True):
        built = linucb.assemble_plan(spec, linucb.plan(spec), changes=changes)
        errors.append(measure(built, algorithms.linucb, battery(spec)).error)
    return (
        f"in LinUCB with d=2, A=3, T=5, ε={spec.error:g} the worst |log-probability error| is {errors[0]:.3g} with the "
        f"printed coefficients and {errors[1]:.3g} with the repaired ones"
    )


ERRATA = (
    Erratum(
        name="square-root interpolant",
        where="proof of Theorem 8, step 3, definition of f̃ (arXiv 2310.08566, May 2024)",
        printed="f̃(x) = √x₁ + Σ_j relu(x − x_j)/(√x_{j+1} + √x_j): the coefficients are the slopes of √ between knots",
        repair="the coefficients are the differences of successive slopes; knots with (Δ√x)² = 16ε√x, lifted by ε",
        effect="the theorem stands; the √ needs O(ε^{-1/2}) neurons an arm, without the factor √T of the printed knots",
        demonstrate=_root_witness,
    ),
)
