"""What a construction gives and its certificate bounds: in which registers, of what the distance, which distances count."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from constructions.checks import UNIT
from constructions.parts.block import Block
from constructions.parts.stream import Stream
from constructions.plain import listed, shown


@dataclass(frozen=True)
class Guarantee:
    """What a construction gives, and the errors that its certificate bounds; a spec has one that means others than these.

    Attributes:
        of: "log-probabilities" of the policy, log softmax of the output; "scores": the output as it is, whose largest entry
            is played; "values": the output as it is, which is no policy: estimates, counts, predictions.
        one_sided: whether true − built alone is bounded: log-probabilities that are too small.
        floor: only actions of at least this true probability count.
        output: the name of the register that holds the output at state tokens, or of several, side by side.
    """

    of: Literal["log-probabilities", "scores", "values"] = "log-probabilities"
    one_sided: bool = False
    floor: float = 0.0
    output: str | tuple[str, ...] = "logits"

    @property
    def names(self) -> tuple[str, ...]:
        """The output's registers."""
        return (self.output,) if isinstance(self.output, str) else self.output

    @property
    def normalised(self) -> bool:
        """Whether log softmax makes what is bounded of the output; else it is bounded as it is."""
        return self.of == "log-probabilities"

    def scratch(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Sizes of scratch registers; without the token layout's logits, where they are no output."""
        return dict(sizes) if "logits" in self.names else {"logits": 0, **sizes}

    def entries(self, stream: Stream) -> Int[np.ndarray, " entries"]:
        """The stream entries of the output, register by register."""
        places = [stream[name].slice for name in self.names]
        return np.concatenate([np.arange(place.start, place.stop) for place in places])

    def written(self, blocks: Sequence[Block]) -> list[Block]:
        """The blocks whose result holds the output.

        Raises:
            ValueError: if it is no block's.
        """
        makers = {register.name: block for block in blocks for register in block.outputs}
        for name in self.names:
            if name not in makers:
                wanted = f"a register that holds a block's result, one of {listed(makers)}"
                hint = "the spec's guarantee names it: guarantee = Guarantee(…, output=NAME)"
                raise ValueError(f"output: wanted {wanted}, got {shown(name)}; {hint}")
        return [makers[name] for name in self.names]

    def hold_policy(self, what: str) -> None:
        """Wanted, by `what`: a policy.

        Raises:
            ValueError: if values are given.
        """
        if self.of == "values":
            held = ", ".join(self.names)
            raise ValueError(f"{what}: wanted a policy, got values, in {held}: values(history) has them")

    def policy(self, output: Float[np.ndarray, "*any entries"]) -> Float[np.ndarray, "*any entries"]:
        """Log-probabilities: log softmax of the output, NaN where altered weights make it so; values stay as they are."""
        if self.of == "values":
            return output
        with np.errstate(invalid="ignore"):
            gaps = output - np.maximum.reduce(output, -1, keepdims=True)
            return gaps - np.log(np.add.reduce(np.exp(gaps), -1, keepdims=True))

    def rounding(self, own: float, size: float, entries: int) -> float:
        """What float64 may add to what is bounded, that of the truth's own log softmax included, to first order.

        With u = 2⁻⁵³, A entries and R the largest distance of two of them, log softmax adds u(3R + A + 1 + 3 ln A): uR by
        the gaps; uR, A − 1 and two units by the sum of exponentials; 3 ln A by the logarithm and what is made of it; uR by
        the last difference. Errors of the entries count twice in a log-probability.

        Args:
            own: what it may add to an entry of the output.
            size: bound on the ℓ2 norm of the output, so that R ≤ √2 size.
            entries: how many there are, A.

        >>> Guarantee().rounding(0.0, 1.0, 1) / 2**-52, Guarantee("values").rounding(0.5, 1.0, 1)
        (6.242640687119286, 0.5)
        """
        if not self.normalised:
            return own
        return 2 * own + 2 * UNIT * (3 * math.sqrt(2) * size + entries + 1 + 3 * math.log(entries))

    def said(self, output: Float[np.ndarray, "*any entries"]) -> Float[np.ndarray, "*any entries"]:
        """What is bounded: log-probabilities, or the output as it is."""
        return self.policy(output) if self.normalised else output

    @property
    def one(self) -> str:
        """What there is one of for each entry of the output, in words.

        >>> Guarantee().one, Guarantee("values").one
        ('log-probability', 'value')
        """
        return {"log-probabilities": "log-probability", "scores": "score", "values": "value"}[self.of]

    @property
    def least(self) -> float:
        """The floor as a log-probability."""
        return math.log(self.floor) if self.floor else -math.inf

    def errors(
        self, true: Float[np.ndarray, "..."], built: Float[np.ndarray, "*steps actions"]
    ) -> Float[np.ndarray, "*steps actions"]:
        """What counts of the distance of two policies, scores or values; 0 where it does not, infinite where one is NaN.

        Raises:
            ValueError: if the two have different shapes.

        >>> Guarantee(one_sided=True).errors(np.array([-1.0, -2.0]), np.array([-1.5, -1.0]))
        array([ 0.5, -1. ])
        """
        if np.shape(true) != np.shape(built):
            raise ValueError(f"truth: wanted {self.of} of shape {np.shape(built)}, got {np.shape(true)}")
        with np.errstate(invalid="ignore"):
            apart = np.where(true == built, 0.0, true - built)
        apart = np.nan_to_num(apart if self.one_sided else np.abs(apart), nan=np.inf)
        return np.where(true < self.least, 0.0, apart)


RESOLUTION = 1e-9
"""Errors of log-probabilities that are smaller are not told from rounding in float64."""


def allowed(certificate: float, rounding: float) -> float:
    """What an error measured in float64 is held to: the certificate, and rounding up to as much again.

    More than that would swallow the claim. Certificates below RESOLUTION are for balls to tell; float64 is held to that.

    >>> allowed(1.0, 0.25), allowed(1.0, 3.0), allowed(0.0, 1.0)
    (1.25, 2.0, 1e-09)
    """
    return certificate + min(rounding, max(certificate, RESOLUTION))


POLICY = Guarantee()


def guaranteed(spec: Any) -> Guarantee:
    """What a specification says is given: a policy, unless it has a guarantee of its own."""
    return getattr(spec, "guarantee", POLICY)
