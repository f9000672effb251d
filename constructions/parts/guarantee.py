"""What a certificate bounds: of what the distance is taken, and which distances count."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Guarantee:
    """The errors that a construction's certificate bounds; a spec that means others than the default has one as `guarantee`.

    Attributes:
        of: "log-probabilities" of the policy, or "scores": the register `logits` as it is, whose largest entry is played.
        one_sided: whether true − built alone is bounded: log-probabilities that are too small.
        floor: only actions of at least this true probability count.
    """

    of: Literal["log-probabilities", "scores"] = "log-probabilities"
    one_sided: bool = False
    floor: float = 0.0

    @property
    def least(self) -> float:
        """The floor as a log-probability."""
        return math.log(self.floor) if self.floor else -math.inf

    def errors(
        self, true: Float[np.ndarray, "*steps actions"], built: Float[np.ndarray, "*steps actions"]
    ) -> Float[np.ndarray, "*steps actions"]:
        """What counts of the distance of two policies, or scores; 0 where it does not, infinite where one is NaN.

        >>> Guarantee(one_sided=True).errors(np.array([-1.0, -2.0]), np.array([-1.5, -1.0]))
        array([ 0.5, -1. ])
        """
        with np.errstate(invalid="ignore"):
            apart = np.where(true == built, 0.0, true - built)
        apart = np.nan_to_num(apart if self.one_sided else np.abs(apart), nan=np.inf)
        return np.where(true < self.least, 0.0, apart)


POLICY = Guarantee()
