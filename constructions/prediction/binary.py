"""Are all responses so far 0 or 1? An exact test in one layer, by which regression and classification can be told apart.

    φ(y) = relu(−y) + relu(y) − 2 relu(y − ½) + 2 relu(y − 1),   distance = Σ_{j≤n} φ(y_j),   binary = relu(1 − s · distance)

φ(y) is the distance of y from {0, 1}, and s the least power of two with 1/s ≤ γ.

    layer 1   4 heads: score i · (±y_j + c), value ±1 or ±2, hence the distance;   1 neuron: binary

**Theorem.** For |y| ≤ R both registers are exact, at every decision: `binary` is 1 if all responses are 0 or 1, below 1 if
one is not, and 0 if one is γ or more from both. There are 1 layer, 4 heads, 1 neuron and 8 registers. *Proof.* φ is |y| up
to ½ and |y − 1| beyond, piece by piece. A head's score makes relu(i(a y_j + c))/i = relu(a y_j + c), 0 on tokens without a
response, as c ≤ 0. The neuron reads what the heads of its layer have added.  ∎

**Beside** arXiv 2306.04637: its Lemma 18 has the mean of tents of width ε around 0 and 1 by 6 heads, for a number of
responses that is known; its Corollary H.1 has the thresholded test in 2 layers, of 6 heads at most.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from constructions import checks
from constructions.construction import Construction
from constructions.inputs.bandits import admitted_reward
from constructions.language import bandits
from constructions.parts.block import UNIT, Block, Bound, Head, Position, Promise, Step
from constructions.parts.guarantee import Guarantee
from constructions.parts.links import Values, held, read
from constructions.parts.units import relu_units
from constructions.rounding.outward import balls, power_of_two

PIECES = ((-1.0, 0.0, 1.0), (1.0, 0.0, 1.0), (1.0, -0.5, -2.0), (1.0, -1.0, 2.0))
"""(a, c, w) of each term w relu(a y + c) of φ."""


@dataclass(frozen=True)
class Spec:
    """What to build.

    Attributes:
        horizon: T, the largest number of decisions: one more than responses.
        margin: γ, how far from 0 and 1 a response is that is certainly not binary.
        response: R, on the size of a response.

    Raises:
        ValueError: for values no transformer can be built for.
    """

    horizon: int
    margin: float = 0.25
    response: float = 2.0
    dim: ClassVar[int] = 1
    actions: ClassVar[int] = 1
    action_norm: ClassVar[tuple[float, float]] = (0.0, 1.0)
    weight_norm: ClassVar[float] = 0.0
    guarantee: ClassVar[Guarantee] = Guarantee("values", output=("distance", "binary"))

    def __post_init__(self):
        checks.settle(self, checks.whole, "horizon")
        checks.settle(self, checks.number, "margin", "response", positive=True)

    @property
    def slope(self) -> float:
        """The slope s of the threshold."""
        return power_of_two(1 / self.margin)

    @property
    def noise_bound(self) -> float:
        """Bound on the size of a response."""
        return self.response


@balls(53)  # this thread's own precision, while promises are worked out
def build(spec: Spec) -> Construction:
    """The transformer for a spec, with its certificate.

    >>> built = build(Spec(horizon=10))
    >>> built.certificate, built.size().layers, built.size().heads, built.size().hidden
    (0.0, 1, 4, 1)
    """
    checks.instance("spec", spec, Spec)
    source = "Theorem of constructions/prediction/binary.py"
    p = bandits.program(source, spec, distance=1, binary=1)
    place, response = Position.of(p.position), p.stream["reward"]
    distance, binary = p.stream["distance"], p.stream["binary"]
    heads = [
        Head(
            f"{w:g} relu({a:g} y {c:+g})",
            place.index,
            a * read(response) + c * place.one,
            w * place.one,
            distance,
        )
        for a, c, w in PIECES
    ]
    threshold = relu_units("binary", read(p.stream.one) - spec.slope * read(distance), (binary, 1.0))

    def truth(values: Values) -> Float[np.ndarray, "tokens 2"]:
        y = held(values, response)
        total = np.cumsum(np.minimum(np.abs(y), np.abs(y - 1)), axis=0)
        return np.concatenate([total, np.maximum(1 - spec.slope * total, 0.0)], axis=1)

    size = p.tokens * (6 * admitted_reward(spec) + 3)  # of all terms, in absolute value
    own = Bound(0.0, UNIT * (p.tokens + 8) * size * (1 + spec.slope))
    promise = Promise("norm bounds", own, own, size + 1)
    step = Step(tuple(heads), (threshold,))
    p.put(Block("are responses binary", source, (step,), (distance, binary), truth, promise, groups=2))
    return bandits.complete(p, spec, 0.0)
