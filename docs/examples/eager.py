"""LinUCB's weights held to another algorithm, whose bonus is 1 % too large: what an audit says when it objects."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from constructions import linucb
from constructions.history import BanditHistory
from verify import algorithms
from verify.catalog import CATALOG


def eager(spec: linucb.Spec, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
    """Log-probabilities of soft LinUCB with a larger bonus, shape (decisions, arms)."""
    return algorithms.linucb(replace(spec, exploration=1.01 * spec.exploration), history)


ENTRY = replace(CATALOG["linucb"], name="eager", truth=eager, balls=None, claims=None)
